"""Replay of dead letters: each is sent back to its topic exactly once.

It may be run twice, killed half-way, or run by two people at a time. Transactions would do, but
leave holes in the topics that the workers read. So each letter has its marks in the topic of the
letters itself, in the letter's partition:

    claimed  this run will send the letter now; a copy would stand at offset `from` or after
    done     the letter has been sent

The first claim in the log wins, and a run sends a letter only within the lease of its claim. If a
run dies between claim and done, the next one waits until that lease is over and looks for the
letter in its topic, from offset `from` on: each copy says in the header `replayed` what it is of.
"""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams import clients
from streams.errors import BrokerError
from streams.rejected import Catalogue, Id, Letter, Mark, is_done, read_letter, reading, scan
from streams.settings import Settings
from streams.topics import Topics

LEASE = 20.0
"""Seconds after its claim in which a run may send a letter; the producer may take half of them."""
_SKEW = 60.0
"""Seconds by which the clocks of two machines may differ."""
_BATCH = 500
_BATCH_BYTES = 16 * 1024 * 1024


def owner(marks: Iterable[Mark]) -> str | None:
    """Return the run that may send a letter: the first with a claim.

    >>> owner([Mark(Id(0, 1), "claimed", run, 0, 0.0) for run in "ab"])
    'a'
    """
    return next((mark.run for mark in marks if mark.state == "claimed"), None)


@dataclass
class Outcome:
    """What a replay did."""

    sent: list[Id] = field(default_factory=list)
    before: list[Id] = field(default_factory=list)
    """Sent by an earlier replay."""
    elsewhere: list[Id] = field(default_factory=list)
    """Being sent by another replay right now."""
    doubtful: list[Id] = field(default_factory=list)
    """Claimed by a replay that died, too long ago to tell whether they were sent."""
    foreign: list[Id] = field(default_factory=list)
    """Not from a topic of ours: they cannot be sent anywhere."""


class Replay:
    """One run of a replay.

    Args:
        settings: where.
        consumer: without a group.
        producer: gives up a record after half a lease.
        wait: called with the seconds to wait for another run's lease to end.
        clock: seconds of a steady clock.
        lease: see `LEASE`.
    """

    def __init__(
        self,
        settings: Settings,
        consumer: KafkaConsumer,
        producer: KafkaProducer,
        *,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        lease: float = LEASE,
    ) -> None:
        self.outcome = Outcome()
        self._topics = Topics(settings)
        self._patience = settings.kafka.timeout
        self._consumer = consumer
        self._producer = producer
        self._wait = wait
        self._clock = clock
        self._lease = lease
        self._run = uuid.uuid4().hex
        self._known: dict[Id, int] = {}  # marks of others that say nothing any more
        self._found = Catalogue()

    @property
    def seen(self) -> frozenset[Id]:
        """The letters that were wanted and are there."""
        return frozenset(letter.id for letter in self._found.letters)

    def select(self, wanted: Callable[[Letter], bool]) -> list[Letter]:
        """Return the letters that are wanted, that have a topic, and that nobody has sent."""
        for record in self._scan(self._topics.rejected):
            self._found.add(record, wanted)
        homes = {
            f"{topic}:{partition}"
            for topic in (self._topics.posts, self._topics.mentions)
            for partition in self._consumer.partitions_for_topic(topic) or ()
        }
        fresh = []
        for letter in self._found.letters:
            if is_done(self._found.marks.get(letter.id, ())):
                self.outcome.before.append(letter.id)
            elif f"{letter.fact('source_topic')}:{letter.fact('source_partition')}" in homes:
                fresh.append(letter)
            else:
                self.outcome.foreign.append(letter.id)
        return fresh

    def send(self, letters: Sequence[Letter], *, insist: frozenset[Id] = frozenset()) -> None:
        """Send letters, those of them that nobody has sent or is sending.

        Args:
            letters: as selected.
            insist: those to send even if nobody can tell whether they were sent.
        """
        for batch in _batches(self._settle(letters, insist)):
            began = self._clock()
            mine = self._claim(batch)
            if mine:
                self._publish(mine, began)
                self._mark(mine, "done")
                self.outcome.sent += [letter.id for letter in mine]

    def _settle(self, letters: Sequence[Letter], insist: frozenset[Id]) -> list[Letter]:
        """Find out what became of letters that other runs claimed; return those to send."""
        marks = self._found.marks
        claimed = [letter for letter in letters if letter.id in marks]
        if not claimed:
            return list(letters)
        self._known = {letter.id: len(marks[letter.id]) for letter in claimed}
        self._outwait(mark for letter in claimed for mark in marks[letter.id])
        copies, begins = self._copies(claimed)
        sent = [letter for letter in claimed if letter.id in copies]
        self._mark(sent, "done")
        self.outcome.before += [letter.id for letter in sent]
        # Retention has cut off the place where the copy would be.
        blind = {
            letter.id for letter in claimed if begins[_source(letter)] > marks[letter.id][0].start
        }
        doubtful = blind - copies - insist
        self.outcome.doubtful += sorted(doubtful)
        return [letter for letter in letters if letter.id not in copies | doubtful]

    def _outwait(self, marks: Iterable[Mark]) -> None:
        youngest = max(mark.at for mark in marks)
        if time.time() - youngest < self._lease + _SKEW:
            self._wait(self._lease)

    def _copies(self, claimed: Sequence[Letter]) -> tuple[set[Id], dict[TopicPartition, int]]:
        """Return which letters stand in their topics, and the first offset that we can read."""
        starts: dict[TopicPartition, int] = {}
        for letter in claimed:
            source, start = _source(letter), self._found.marks[letter.id][0].start
            starts[source] = min(starts.get(source, start), start)
        copies: set[Id] = set()
        for (topic, partition), start in starts.items():
            for record in self._scan(topic, {partition: start}):
                if copy := dict(record.headers).get("replayed"):
                    copies.add(Id.parse(copy.decode()))
        return copies, self._consumer.beginning_offsets(list(starts))

    def _claim(self, batch: Sequence[Letter]) -> list[Letter]:
        """Claim letters and return, whole, those of which our claim is the first."""
        sources = {_source(letter) for letter in batch}
        self._mark(batch, "claimed", self._consumer.end_offsets(list(sources)))
        for record in self._scan(self._topics.rejected, dict(self._found.ends)):
            self._found.add(record, _nothing)
        mine = set()
        for letter in batch:
            marks = self._found.marks[letter.id][self._known.get(letter.id, 0) :]
            if owner(marks) == self._run:
                mine.add(letter.id)
            else:
                self.outcome.elsewhere.append(letter.id)
        return self._whole(mine)

    def _whole(self, wanted: set[Id]) -> list[Letter]:
        starts = {part: min(at for p, at in wanted if p == part) for part, _ in wanted}
        letters = []
        left = set(wanted)
        for record in self._scan(self._topics.rejected, starts) if wanted else ():
            found = Id(record.partition, record.offset)
            if found in left:
                left.discard(found)
                letters.append(read_letter(record))
            if not left:
                break
        return letters

    def _publish(self, letters: Sequence[Letter], began: float) -> None:
        """Send letters within the lease."""
        futures = []
        for letter in letters:
            if self._clock() - began > self._lease / 2:
                raise BrokerError("Kafka is too slow for a replay: run it again later")
            topic, partition = _source(letter)
            futures.append(
                self._producer.send(
                    topic,
                    key=letter.key,
                    value=letter.value if letter.value is not None or letter.key else b"",
                    headers=_headers(letter, dated=topic == self._topics.posts),
                    partition=partition,
                )
            )
        for future in futures:
            future.get(timeout=self._lease)

    def _mark(
        self,
        letters: Sequence[Letter],
        state: Literal["claimed", "done"],
        starts: Mapping[TopicPartition, int] = MappingProxyType({}),
    ) -> None:
        futures = [
            self._producer.send(
                self._topics.rejected,
                key=str(letter.id).encode(),
                partition=letter.id.partition,
                headers=[
                    ("replay_of", str(letter.id).encode()),
                    ("state", state.encode()),
                    ("run", self._run.encode()),
                    ("from", str(starts.get(_source(letter), 0)).encode()),
                ],
            )
            for letter in letters
        ]
        for future in futures:
            future.get(timeout=self._lease)

    def _scan(self, topic: str, starts: Mapping[int, int] | None = None) -> Iterator[Any]:
        return scan(self._consumer, topic, starts, patience=self._patience)


def _nothing(_: Letter) -> bool:
    return False


def _source(letter: Letter) -> TopicPartition:
    return TopicPartition(letter.fact("source_topic"), int(letter.fact("source_partition")))


def _headers(letter: Letter, *, dated: bool) -> list[tuple[str, bytes]]:
    """Return the headers of a copy: those of the original, and of which letter it is a copy.

    A post without the header `received` was received when its record was written. Its copy is
    written later, so it says that the post was received when it was rejected, at the latest.
    """
    headers = [header for header in letter.headers if header[0] != "replayed"]
    if dated and "received" not in dict(headers) and "time" in letter.facts:
        headers.append(("received", letter.fact("time").encode()))
    return [*headers, ("replayed", str(letter.id).encode())]


def _batches(letters: Sequence[Letter]) -> Iterator[list[Letter]]:
    """Yield letters in groups that can be sent within a lease."""
    batch: list[Letter] = []
    size = 0
    for letter in letters:
        if batch and (len(batch) == _BATCH or size + letter.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += letter.size
    if batch:
        yield batch


@contextmanager
def replaying(
    settings: Settings, *, wait: Callable[[float], None] = time.sleep, lease: float = LEASE
) -> Iterator[Replay]:
    """Open a replay.

    Raises:
        BrokerError: the broker cannot be reached, or went away: run it again.
        TopicsError: there is no topic of letters.
    """
    limits = {"delivery_timeout_ms": int(lease * 500), "request_timeout_ms": int(lease * 250)}
    with reading(settings) as consumer, clients.producer(settings.kafka, **limits) as producer:
        yield Replay(settings, consumer, producer, wait=wait, lease=lease)
