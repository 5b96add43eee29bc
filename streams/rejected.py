"""Dead letters: posts that could not be judged, kept as they came, with the reason."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from streams import clients
from streams.errors import InputError
from streams.settings import Settings
from streams.topics import Topics, require

FACTS = (
    "reason",
    "stage",
    "detail",
    "source_topic",
    "source_partition",
    "source_offset",
    "time",
)
"""Headers that the worker adds behind those of the original."""

Headers = Sequence[tuple[str, bytes]]


class Id(NamedTuple):
    """Where a letter stands in its topic."""

    partition: int
    offset: int

    def __str__(self) -> str:
        """Write it as it is given on the command line."""
        return f"{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Id":
        """Read it back.

        >>> Id.parse("3:17")
        Id(partition=3, offset=17)

        Raises:
            InputError: it is not two numbers.
        """
        partition, _, offset = text.partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            raise InputError(f"{text!r} is no dead letter: give PARTITION:OFFSET, such as 0:17")
        return cls(int(partition), int(offset))


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A dead letter."""

    id: Id
    key: bytes | None
    value: bytes | None
    """The original bytes; left out of overviews."""
    size: int
    facts: Mapping[str, str]
    """What the worker says: those of `FACTS` that are there."""
    headers: Headers
    """The headers of the original."""

    @property
    def source(self) -> tuple[str | None, ...]:
        """Where the original stood, None for what the worker did not say."""
        return tuple(self.facts.get(f"source_{name}") for name in ("topic", "partition", "offset"))

    def fact(self, name: str) -> str:
        """Return what the worker says, `?` if it does not."""
        return self.facts.get(name, "?")


class Mark(NamedTuple):
    """What a replay says about a letter."""

    of: Id
    state: Literal["claimed", "done"]
    run: str
    start: int
    """Of a claim: the first offset at which a copy could stand."""
    at: float
    """When it was written, in seconds since 1970."""


def split(headers: Headers) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
    """Part the facts of the worker, which come last, from the headers of the original."""
    facts: dict[str, str] = {}
    original: list[tuple[str, bytes]] = []
    for name, value in reversed(headers):
        if name in FACTS and name not in facts:
            facts[name] = value.decode(errors="replace")
        else:
            original.append((name, value))
    return dict(reversed(facts.items())), original[::-1]


def read_letter(record: Any, *, whole: bool = True) -> Letter:
    """Return the letter in a record; with its bytes if `whole`."""
    facts, original = split(record.headers)
    return Letter(
        id=Id(record.partition, record.offset),
        key=record.key,
        value=record.value if whole else None,
        size=len(record.value or b""),
        facts=facts,
        headers=original,
    )


def read_mark(record: Any) -> Mark | None:
    """Return the mark in a record; None if it is a letter."""
    headers = dict(record.headers)
    if "replay_of" not in headers:
        return None
    return Mark(
        of=Id.parse(headers["replay_of"].decode()),
        state="done" if headers["state"] == b"done" else "claimed",
        run=headers["run"].decode(),
        start=int(headers["from"]),
        at=record.timestamp / 1000,
    )


def is_done(marks: Iterable[Mark]) -> bool:
    """Tell whether a letter has been sent."""
    return any(mark.state == "done" for mark in marks)


def scan(
    consumer: KafkaConsumer, topic: str, starts: Mapping[int, int] | None = None, *, patience: float
) -> Iterator[Any]:
    """Yield the records of a topic up to its present end.

    Args:
        consumer: without a group; its assignment is replaced.
        topic: of which at least one partition exists.
        starts: the first offset by partition; those not named are left out. None: all, from 0.
        patience: seconds without a record after which the broker is taken for gone.

    Raises:
        KafkaTimeoutError: the broker is gone.
    """
    numbers = consumer.partitions_for_topic(topic) if starts is None else starts
    parts = [TopicPartition(topic, number) for number in sorted(numbers or ())]
    consumer.assign(parts)
    consumer.resume(*parts)
    ends = consumer.end_offsets(parts)
    for part, beginning in consumer.beginning_offsets(parts).items():
        consumer.seek(part, max(beginning, (starts or {}).get(part.partition, 0)))
    heard = time.monotonic()
    while left := [part for part in parts if consumer.position(part) < ends[part]]:
        consumer.pause(*(part for part in parts if part not in left))
        for part, records in consumer.poll(timeout_ms=200).items():
            heard = time.monotonic()
            yield from (record for record in records if record.offset < ends[part])
        if time.monotonic() - heard > patience:
            raise KafkaTimeoutError(f"no records of {topic} for {patience:g} s")


@dataclass
class Catalogue:
    """The letters of a topic without their bytes, and the marks of all."""

    letters: list[Letter] = field(default_factory=list)
    marks: dict[Id, list[Mark]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[int, int] = field(default_factory=dict)
    """By partition, the offset after the last record seen."""
    _sources: set[tuple[str | None, ...]] = field(default_factory=set)

    def add(self, record: Any, wanted: Callable[[Letter], bool]) -> None:
        """Take in a record."""
        self.ends[record.partition] = record.offset + 1
        if mark := read_mark(record):
            self.marks[mark.of].append(mark)
        elif self._is_first(letter := read_letter(record, whole=False)) and wanted(letter):
            self.letters.append(letter)

    def _is_first(self, letter: Letter) -> bool:
        """Tell a letter from another of the same record: a batch done again writes it again."""
        if None in letter.source:
            return True
        known = letter.source in self._sources
        self._sources.add(letter.source)
        return not known

    def state(self, letter: Letter) -> Literal["new", "in doubt", "replayed"]:
        """Say what became of a letter."""
        marks = self.marks.get(letter.id, [])
        if is_done(marks):
            return "replayed"
        return "in doubt" if marks else "new"


@contextmanager
def reading(settings: Settings) -> Iterator[KafkaConsumer]:
    """Open a consumer for the topic of letters.

    Raises:
        BrokerError: the broker cannot be reached.
        TopicsError: there is no topic of letters.
    """
    with clients.admin(settings.kafka) as admin:
        require(admin, Topics(settings).rejected)
    with clients.consumer(settings.kafka) as consumer:
        yield consumer


def catalogue(settings: Settings, wanted: Callable[[Letter], bool]) -> Catalogue:
    """Return the letters that are wanted, in the order of their offsets.

    Raises:
        BrokerError: the broker cannot be reached.
        TopicsError: there is no topic of letters.
    """
    found = Catalogue()
    with reading(settings) as consumer:
        for record in scan(consumer, Topics(settings).rejected, patience=settings.kafka.timeout):
            found.add(record, wanted)
    return found


def fetch(settings: Settings, wanted: Id) -> Letter:
    """Return one letter with its bytes.

    Raises:
        InputError: there is none.
        BrokerError: the broker cannot be reached.
    """
    with reading(settings) as consumer:
        topic = Topics(settings).rejected
        if wanted.partition in (consumer.partitions_for_topic(topic) or ()):
            starts = {wanted.partition: wanted.offset}
            record = next(scan(consumer, topic, starts, patience=settings.kafka.timeout), None)
            if record and record.offset == wanted.offset and read_mark(record) is None:
                return read_letter(record)
    raise InputError(f"there is no dead letter {wanted}; `trustwatch rejected list` shows them")


def matcher(
    *, ids: Iterable[Id] = (), reason: str | None = None, since: datetime | None = None
) -> Callable[[Letter], bool]:
    """Return a function that tells whether a letter is wanted; without arguments all are."""
    named = frozenset(ids)

    def wanted(letter: Letter) -> bool:
        return (
            (not named or letter.id in named)
            and (reason is None or letter.fact("reason") == reason)
            and (since is None or _rejected_at(letter) >= since)
        )

    return wanted


def _rejected_at(letter: Letter) -> datetime:
    try:
        moment = datetime.fromisoformat(letter.fact("time"))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
