"""How records reach an agent: gap-free chunks from the committed offset, fenced.

Faust loses records when partitions move: after a rebalance it still delivers records that were
fetched at the old position, takes the jump in offsets for a compaction hole, and commits past it
(`docs/delivery.md` has the measurements). This file is all that we change, for topics that are
neither compacted nor, as a rule, written in transactions:

- Gate: each source partition is delivered from the committed offset on, without a gap;
- chunks: a run of records is one Faust message, and only an unbroken run of chunks is committed;
- Fence: a worker that was frozen for longer than its session writes nothing more;
- Rival: of two workers with one name, one ends and says so;
- sends are idempotent, and made in batches of our own.
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, NamedTuple

import faust
from faust.serializers.codecs import Codec, register
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage
from mode.utils.futures import notify
from yarl import URL

from streams.errors import InputError
from streams.offsets import Offsets

TESTED = ((0, 15, 2), (0, 16, 0))
"""Faust versions that this file was tested with: from the first to before the second."""

AS_IS = "trustwatch-as-is"

UNKNOWN_MEMBER, FENCED_INSTANCE = 25, 82
"""Kafka's codes for a member that is gone, and for one whose name another one took."""

POLL = 0.2
"""Longest that a fetch waits for records, here and at the broker, in seconds."""

log = logging.getLogger("trustwatch")


class _AsIs(Codec):  # type: ignore[misc]
    """Hands chunks over untouched; parsing is the agent's."""

    def loads(self, s: Any) -> Any:
        return s

    def dumps(self, obj: Any) -> Any:
        return obj


register(AS_IS, _AsIs())


def check_faust(found: str | None = None) -> None:
    """Raise `InputError` when Faust is of a version that this file was not tested with."""
    found = found or version("faust-streaming")
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    if not TESTED[0] <= numbers < TESTED[1]:
        low, high = (".".join(map(str, bound)) for bound in TESTED)
        raise InputError(
            f"faust-streaming {found} is installed, tested were {low} to before {high}: "
            "delivery without loss depends on it. Install a tested version, or run the chaos "
            "test with the new one and widen the range in streams/transport.py."
        )


class Out(NamedTuple):
    """A record to send."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch on the broker: its first offset and its number of records."""

    offset: int
    count: int


class Admitted(NamedTuple):
    """What the gate says to a run of records: those to deliver, or where to seek back to."""

    records: Sequence[Any] = ()
    seek: int | None = None
    hole: int = 0
    """Offsets before the first record at which the log has none."""


class Gate:
    """For each source partition the next offset to deliver, and how far may be committed.

    `TP` is any hashable; records have an `offset`. Pure: no Kafka, no clock.
    """

    def __init__(self) -> None:
        self.epoch = 0
        """Number of times it was opened: what was delivered in another one no longer counts."""
        self._next: dict[Any, int] = {}
        self._done: dict[Any, int] = {}
        self._chunks: dict[Any, dict[int, int]] = {}
        self._jumps: dict[Any, tuple[int, int]] = {}

    def open(self, starts: Mapping[Any, int]) -> None:
        """Start anew at these offsets; what was delivered and not committed is forgotten."""
        self.epoch += 1
        self._next = dict(starts)
        self._done = dict(starts)
        self._chunks = {tp: {} for tp in starts}
        self._jumps = {}

    def close(self) -> None:
        """Deliver nothing until it is opened again; what is still finished may be committed."""
        self._next = {}

    def position(self, tp: Any) -> int | None:
        """Return the next offset to deliver, None while closed."""
        return self._next.get(tp)

    def unfinished(self) -> dict[Any, int]:
        """Return the next offset to commit of each partition with chunks that are not done."""
        return {tp: done for tp, done in self._done.items() if self._next.get(tp, done) > done}

    def admit(self, tp: Any, run: Sequence[Any]) -> Admitted:
        """Say what of a fetched run of records, in ascending order, is to be delivered.

        Records from before the next offset are dropped. A run that begins after it was fetched at
        an old position, or the log has a hole there (retention, the marker of a transaction):
        seek back; if the same record comes first again, it is a hole, and the run is delivered.
        """
        want = self._next.get(tp)
        fresh = [] if want is None else [record for record in run if record.offset >= want]
        if want is None or not fresh:
            return Admitted()
        jump = (want, fresh[0].offset)
        if fresh[0].offset > want and self._jumps.get(tp) != jump:
            self._jumps[tp] = jump
            return Admitted(seek=want)
        return Admitted(fresh, hole=fresh[0].offset - want)

    def deliver(self, tp: Any, last: int) -> None:
        """Note that a chunk that ends with the offset `last` goes to its agent."""
        self._chunks[tp][last] = self._next[tp]
        self._next[tp] = last + 1

    def commit(self, tp: Any, acked: list[int]) -> int | None:
        """Return the offset to commit after the chunks whose last offsets are `acked`.

        Only an unbroken run from the last commit counts. Those done are taken out of `acked`,
        which must hold acknowledgements of this epoch alone: a chunk of an earlier one may end at
        the same offset and have begun elsewhere.
        """
        chunks, reached = self._chunks.get(tp), self._done.get(tp)
        if chunks is None or reached is None:
            return None
        for last in sorted(acked):
            if last >= reached and chunks.get(last, last + 1) <= reached:
                reached = last + 1
        acked[:] = [last for last in acked if last >= reached]
        if reached == self._done[tp]:
            return None
        self._done[tp] = reached
        self._chunks[tp] = {last: start for last, start in chunks.items() if last >= reached}
        return reached


class Guard:
    """Ends the process when something takes too long."""

    def __init__(
        self,
        limit: float,
        *,
        die: Callable[[str], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._die = die
        self._clock = clock


class Fence(Guard):
    """Tells a worker that was frozen for too long before it writes anything.

    Armed by the first beat: joining a group can take longer than the limit.
    """

    _last: float | None = None

    def beat(self) -> None:
        """Say that the event loop is alive."""
        self.check()
        self._last = self._clock()

    def age(self) -> float:
        """Return the seconds since the last beat, 0 before the first."""
        return 0.0 if self._last is None else self._clock() - self._last

    def check(self) -> None:
        """Call `die` when the last beat is older than the limit."""
        if (age := self.age()) > self._limit:
            self._die(
                f"this worker stood still for {age:.1f} s, longer than its session allows; "
                "others may have taken over, so it writes nothing more and must be restarted"
            )


class Stall(Guard):
    """Notices chunks that were delivered and are never finished.

    Whatever drops a chunk between the gate and its agent, posts would wait until the next restart;
    so it is made at once.
    """

    _since: Mapping[tuple[Any, int], float] = MappingProxyType({})

    def check(self, unfinished: Mapping[Any, int]) -> None:
        """Call `die` when a partition has stood at the same unfinished offset for too long."""
        now = self._clock()
        self._since = {at: self._since.get(at, now) for at in unfinished.items()}
        for (tp, offset), since in self._since.items():
            if now - since > self._limit:
                self._die(f"{tp} has stood at offset {offset} for {now - since:.0f} s; start again")


class Rival(Guard):
    """Notices that another worker was started under the same name.

    The group gives the place of a name to whoever joined last and then knows nothing of the one
    before, which joins again: the two would take turns, and neither would ever work. A session that
    expired ends in the same way, but it takes a whole session each time: that is the limit.
    """

    _forgotten: Mapping[str, float] = MappingProxyType({})

    def unknown(self, member: str) -> None:
        """Take note that the group no longer knows us as this member."""
        now = self._clock()
        recent = {m: at for m, at in self._forgotten.items() if now - at < self._limit}
        self._forgotten = {member: now, **recent}
        if len(self._forgotten) > 1:
            self.taken()

    def taken(self) -> None:
        """Call `die`, since another worker has our name."""
        self._die(
            "another worker runs under the same name and has taken this one's place in the group: "
            "give each a worker.instance of its own (by default: host, metrics port and stages)"
        )

    def refused(self, reason: object) -> None:
        """Call `die` when the group does not want us: Faust would wait, and never say so."""
        self._die(f"the group of consumers does not take this worker: {reason}; start it again")


class Member(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The member of the group, in a thread of its own: tells `Rival` what the group says."""

    def _create_worker_consumer(self, transport: driver.Transport) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust's 1.5 s hold up whatever is to be fetched next: the first posts after a recovery.
        consumer._fetch_max_wait_ms = int(POLL * 1000)  # noqa: SLF001
        return consumer

    async def on_start(self) -> None:  # noqa: D102
        await super().on_start()
        self._group = group = self._consumer._coordinator  # noqa: SLF001 -- nobody hands it out
        self._ask, self._push = group._send_req, group._push_error_to_user  # noqa: SLF001
        group._send_req, group._push_error_to_user = self._answered, self._pushed  # noqa: SLF001

    async def _answered(self, request: Any) -> Any:
        """Send a request to the group's coordinator, and look at what it answers."""
        member = self._group.member_id
        answer = await self._ask(request)
        code = getattr(answer, "error_code", 0)
        if code == UNKNOWN_MEMBER and member:
            self.transport.rival.unknown(member)
        elif code == FENCED_INSTANCE:
            self.transport.rival.taken()
        return answer

    def _pushed(self, exc: Exception) -> Any:
        self.transport.rival.refused(exc)
        return self._push(exc)


class Consumer(Offsets, driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, with chunks and a gate."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = Gate()
        self._starts: Mapping[TP, int] | None = None
        """Where the gate is to open when the flow goes on."""
        self._opened: Mapping[TP, int] = {}
        """Where it opened and the fetcher has not sought back to yet."""

    def _new_consumer_thread(self) -> Member:
        return Member(self, loop=self.loop, beacon=self.beacon)

    @property
    def _wiring(self) -> "Transport":
        return self.transport  # type: ignore[no-any-return]

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:  # noqa: D102
        self.gate.close()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:  # noqa: D102
        await super().perform_seek()
        # Where the log begins is not asked for, since that waits for a poll: if it begins later
        # than this, the gate finds a hole.
        tps = [tp for tp in self.assignment() if tp.topic in self._wiring.sources]
        self._starts = {tp: self._committed_offset.get(tp) or 0 for tp in tps}

    def resume_flow(self) -> None:
        """Open the gate: not before, since Faust empties the agents' queues right before this."""
        super().resume_flow()
        if self._starts is None:
            return
        for tp in self._starts:
            self._acked[tp].clear()
            self._acked_index[tp].clear()
        self.gate.open(self._starts)
        self._opened, self._starts = self._starts, None

    async def _return(self) -> None:
        """Seek to where the gate opened: what was fetched while it was closed is gone."""
        opened, self._opened = self._opened, {}
        for tp in opened.keys() & self.assignment():
            if (position := self.gate.position(tp)) is not None:
                await self._seek(tp, position)

    def ack(self, message: Any) -> bool:
        """Take note of a finished chunk, unless it was delivered before the last seek."""
        if message.topic not in self._wiring.sources or message.key == self.gate.epoch:
            return super().ack(message)  # type: ignore[no-any-return]
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return False

    async def getmany(  # noqa: D102 -- Faust's own
        self,
        timeout: float,  # noqa: ASYNC109
    ) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        await self._return()
        # Whatever else is asked of the consumer's thread waits for this, a rebalance's seeks too.
        records, active = await self._wait_next_records(min(timeout, POLL))
        # Read after the fetch: read before it, changelog records are dropped and recovery hangs.
        now = (self.app.consumer_generation_id, self.gate.epoch)
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_back()
            return
        for tp, run in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            admitted = await self._admit(tp, run)
            for at in range(0, len(admitted), self._wiring.chunk):
                if not self.flow_active or self._changed(now):
                    return
                yield tp, self._deliver(tp, admitted[at : at + self._wiring.chunk])

    def _changed(self, since: tuple[int, int]) -> bool:
        """Tell whether partitions moved, or the gate was opened anew, since something was read."""
        return since != (self.app.consumer_generation_id, self.gate.epoch)

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except Exception as exc:  # noqa: BLE001 -- as Faust does: the flow is stopped, it seeks again
            self.log.warning("Cannot seek while the flow is stopped: %r", exc)

    async def _admit(self, tp: TP, run: Sequence[Any]) -> Sequence[Any]:
        if tp.topic not in self._wiring.sources:
            return run
        admitted = self.gate.admit(tp, run)
        if admitted.hole > 1 and self._committed_offset.get(tp):
            log.warning("%s/%s: %s records were removed unread", *tp, admitted.hole)
            self._wiring.on_expired(admitted.hole)
        if admitted.seek is not None:
            log.info("%s/%s: seeking back to %s", tp.topic, tp.partition, admitted.seek)
            await self._seek(tp, admitted.seek)
        return admitted.records

    def _deliver(self, tp: TP, chunk: Sequence[Any]) -> ConsumerMessage:
        last = chunk[-1]
        if tp.topic in self._wiring.sources:
            self.gate.deliver(tp, last.offset)
            # Around a rebalance Faust may set this back to where an old chunk ended, and would then
            # drop in silence what the gate let through.
            self._read_offset[tp] = None
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000,
            last.timestamp_type,
            [],
            self.gate.epoch,
            chunk,
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Chunks are longer than one offset: no gap is a hole."""

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._wiring.sources:
            return super()._new_offset(tp)  # type: ignore[no-any-return]
        acked = self._acked[tp]
        offset = self.gate.commit(tp, acked)
        self._acked_index[tp].intersection_update(acked)
        return offset

    def lag(self) -> Mapping[TP, int]:
        """Return the records that are still to be delivered, by source partition."""
        lags = {}
        for tp in self.assignment():
            position, end = self.gate.position(tp), self.highwater(tp)
            if position is not None and end is not None:
                lags[tp] = max(0, end - position)
        return lags


class Producer(driver.Producer):  # type: ignore[misc]
    """Faust's producer: idempotent, fenced, and able to send whole batches."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def on_start(self) -> None:  # noqa: D102
        await super().on_start()
        # key_partition fails on a topic whose metadata was never asked for.
        for topic in self.transport.targets:
            await self._producer.partitions_for(topic)
        self._fence(self._producer.client)

    def _fence(self, client: Any) -> None:
        send, fence = client.send, self.transport.fence

        async def fenced(*args: Any, **kwargs: Any) -> Any:
            fence.check()
            return await send(*args, **kwargs)

        client.send = fenced

    def partition(self, topic: str, key: bytes) -> int:
        """Return the partition that Kafka's own partitioner gives to a key."""
        return self.key_partition(topic, key).partition  # type: ignore[no-any-return]

    async def publish(self, topic: str, partition: int, records: Iterable[Out]) -> list[Sent]:
        """Send records to a partition, in order, and return when the broker has all of them.

        Raises:
            aiokafka.errors.KafkaError: the broker refused or did not answer in time.
        """
        pending, sent = [], 0
        for batch in self._batches(records):
            count = batch.record_count()
            future = await self._producer.send_batch(batch, topic, partition=partition)
            pending.append((future, count))
            sent += count
        return [Sent((await future).offset, count) for future, count in pending]

    def _batches(self, records: Iterable[Out]) -> Iterable[Any]:
        batch = self._producer.create_batch()
        now = int(time.time() * 1000)
        for key, value, headers in records:
            fields = {"key": key, "value": value, "headers": list(headers), "timestamp": now}
            if batch.append(**fields) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(**fields)
        if batch.record_count():
            yield batch


class Transport(driver.Transport):  # type: ignore[misc]
    """Our consumer and producer, and what they must know.

    Args:
        sources: topics that agents read: gated, committed in whole chunks.
        targets: topics that are written to.
        chunk: most records in a chunk.
        fence: what stops a worker that was frozen.
        rival: what stops a worker whose name another one has.
        on_expired: told how many records were gone before they were read.
    """

    Consumer = Consumer
    Producer = Producer

    def __init__(
        self,
        app: faust.App,
        *,
        urls: list[URL],
        sources: Iterable[str],
        targets: Iterable[str],
        chunk: int,
        fence: Fence,
        rival: Rival,
        on_expired: Callable[[int], None] = lambda _: None,
    ) -> None:
        super().__init__(urls, app)
        self.sources = frozenset(sources)
        self.targets = tuple(targets)
        self.chunk = chunk
        self.fence = fence
        self.rival = rival
        self.on_expired = on_expired

    def records(self, message: Any) -> Sequence[Any]:
        """Return the records of a message as it reaches an agent or a table."""
        return message.value  # type: ignore[no-any-return]
