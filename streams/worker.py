"""A worker: carries batches from Kafka through the stages and back, and counts what it does."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

import faust
import msgspec
from aiokafka.errors import KafkaError

from streams.brands import BrandsFile
from streams.closing import Closing
from streams.domain.book import Book, Entry
from streams.domain.brands import Brand
from streams.domain.row import HOUR, LABELS, instant
from streams.domain.track import TICK, TICKS_A_DAY
from streams.domain.watch import Terms
from streams.metrics import Metrics
from streams.pipeline import Judge, Letter, follow, reading
from streams.reasons import Reasons
from streams.records import Mention, Signal, TrustReading
from streams.server import Health
from streams.settings import Settings
from streams.tables import Books
from streams.terms import rule_of, tuned
from streams.tide import Tide
from streams.topics import Topics
from streams.transport import Consumer, Fence, Out, Producer, Stall

BEAT = 0.25
"""Seconds between two beats of the event loop."""
ASK = 1.0
"""Seconds between two questions to the broker whether a day may close."""
LOOK = 5.0
"""Seconds between two looks at the lag."""
SILENCE = 60.0
"""Seconds between two readings of silent brands, when the wall clock decays the index."""
CLOSED_AT_ONCE = 1_000
"""Changelog entries of closing days that are sent together."""
GRACE = 60_000
"""Milliseconds that a tick waits for posts after its end; for later ones it is looked at again."""
READING_SHARE = 0.1
"""Share of a worker's time that may go into readings, however much there is to do: with many
brands, the pauses between them grow longer."""
IDLE_SHARE = 0.8
"""Share of the time in which it would have nothing to do that may go into them too."""
STRETCH = 0.02
"""Seconds of readings after which posts get their turn."""

Runs = Mapping[int, Sequence[Out]]
"""What to send, by partition."""

_encode = msgspec.json.encode


@dataclass
class Pace:
    """How much of its time a worker has for readings: part of what posts leave, and a bit more."""

    now: float
    worked: float

    def pause(self, took: float, *, now: float, worked: float) -> float:
        """Return the seconds to wait after a round of readings.

        Args:
            took: seconds of processor that the round took.
            now: seconds of a steady clock.
            worked: seconds of processor that all went into, the round included.
        """
        busy = (worked - self.worked - took) / max(now - self.now, took, 1e-9)
        self.now, self.worked = now, worked
        return took / max(READING_SHARE, IDLE_SHARE * (1.0 - busy))


@dataclass(kw_only=True)
class Worker:
    """What one worker does; `app` and `table` are set by `app.create_app`."""

    settings: Settings
    judge: Judge
    brands: BrandsFile
    metrics: Metrics
    fence: Fence
    topics: Topics
    stall: Stall
    app: faust.App = field(init=False)
    table: Books = field(init=False)
    dirty: set[str] = field(default_factory=set)
    _telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _silent: bool = False
    _reasons: Reasons = field(default_factory=Reasons)
    closing: Closing = field(init=False)
    tide: Tide = field(init=False)
    _looked: float = 0.0
    _homes: dict[str, int] = field(default_factory=dict)
    _known: dict[str, Brand] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Have the days close by the settings."""
        self.closing = Closing(
            posts=self.topics.posts,
            mentions=self.topics.mentions,
            partitions=self.settings.kafka.partitions,
            close_after=int(self.settings.trust.close_after_hours * HOUR),
        )
        self.tide = Tide(
            posts=self.topics.posts,
            mentions=self.topics.mentions,
            partitions=self.settings.kafka.partitions,
        )

    @property
    def producer(self) -> Producer:
        """The app's producer."""
        return self.app.producer  # type: ignore[no-any-return]

    @property
    def consumer(self) -> Consumer:
        """The app's consumer."""
        return self.app.consumer  # type: ignore[no-any-return]

    async def judge_batch(self, records: Sequence[Any]) -> None:
        """Judge records of the topic `posts`; return when Kafka has all that came of them."""
        with self._timed("judge", "judge"):
            judged = await self.judge(records)
        with self._timed("judge", "send"):
            await self._send(self.topics.mentions, self._addressed(judged.mentions))
            await self._reject(judged.letters)
        self.fence.check()
        self.metrics.batch("judge", len(records))
        self.metrics.judged(judged.posts, len(judged.mentions))

    async def follow_batch(self, records: Iterable[Any]) -> None:
        """Enter mentions in the books; return when the changelog has them."""
        runs: dict[int, list[Any]] = defaultdict(list)
        for record in records:
            runs[record.partition].append(record)
        owned = self.table.owned()
        await asyncio.gather(*(self._follow_run(p, run) for p, run in runs.items() if p in owned))
        self.fence.check()

    async def _follow_run(self, partition: int, run: Sequence[Any]) -> None:
        book = self.table.book(partition)
        late = book.late
        with self._timed("follow", "follow"):
            out = follow(run, book, heard=time.monotonic())
        with self._timed("follow", "save"):
            await self.table.save(partition, out.entries, self.producer)
            await self._reject(out.letters)
        self.dirty |= out.brands
        self.metrics.batch("follow", len(run))
        self.metrics.late(book.late - late)
        now = time.time()
        for mention, row in out.changes:
            self.metrics.mentioned(mention.brand, LABELS[row.label], leak=row.leak)
            self.metrics.delayed(now - row.at / 1000)
        await self._close_days(partition, entered=run[-1].offset + 1)

    async def _close_days(self, partition: int, *, entered: int) -> None:
        book, idle_after = self.table.book(partition), self.settings.trust.idle_after
        day = self.closing.day(partition, book, idle_after=idle_after, entered=entered)
        if day is not None:
            # What was found before must not be told after what is found now.
            async with self._telling:
                await self.signal(partition, book.step((day + 1) * TICKS_A_DAY))
                await self._close(partition, day)

    async def _close(self, partition: int, day: int) -> None:
        pending: list[Entry] = []
        for entries in self.table.book(partition).close(day):
            pending += entries
            if len(pending) >= CLOSED_AT_ONCE:
                await self.table.save(partition, pending, self.producer)
                pending = []
        await self.table.save(partition, pending, self.producer)

    async def keep_beating(self) -> None:
        """Show that the event loop is alive."""
        # Faust would open a debugger at this signal.
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self.dump)
        while True:
            self.fence.beat()
            await asyncio.sleep(BEAT)

    async def keep_watching(self) -> None:
        """Publish readings for as long as the app runs."""
        pause, pace = self.settings.trust.tick, Pace(time.monotonic(), time.thread_time())
        while not self.app.should_stop:
            await asyncio.sleep(pause)
            if self.app.tables.actives_ready:
                took = await self.watch()
                least = pace.pause(took, now=time.monotonic(), worked=time.thread_time())
                pause = max(self.settings.trust.tick, least)

    async def keep_looking(self) -> None:
        """Look around for as long as the app runs."""
        aired = time.monotonic()
        while not self.app.should_stop:
            await asyncio.sleep(min(self.settings.brands.reload or LOOK, LOOK))
            await self.look()
            if self.settings.trust.clock == "wall" and time.monotonic() - aired > SILENCE:
                aired = time.monotonic()
                self.own()

    async def keep_asking(self) -> None:
        """Ask the broker what waits, for as long as the app runs."""
        while not self.app.should_stop:
            await asyncio.sleep(ASK)
            await self.ask()

    async def ask(self) -> None:
        """Ask the broker whether days that are ripe may close, and how far the clock may run."""
        # Without an answer they stay open, and it stands; asked again in a moment.
        with suppress(KafkaError, TimeoutError):
            await self.closing.ask(self.consumer, self.table.books)
            if self.settings.trust.clock == "wall":
                await self.tide.ask(self.consumer, self.table.owned(), now=time.time())

    async def watch(self) -> float:
        """Publish what is new; return the seconds that it took to find it."""
        async with self._telling:
            return 0.0 if self._is_silent() else await self._tell()

    def _is_silent(self) -> bool:
        """Tell whether to publish nothing: partitions move, or the worker ends."""
        return self._silent or self.app.should_stop

    async def fall_silent(self) -> None:
        """Return when nothing more is on its way: partitions move, and another one will tell."""
        self._silent = True
        async with self._telling:
            pass

    def speak(self) -> None:
        """Publish again: it is known whose the partitions are."""
        self._silent = False

    async def _tell(self) -> float:
        took = await self._tell_readings()
        for partition in self.table.owned():
            book = self.table.book(partition)
            if until := self._until(partition, book):
                took += await self._tell_signals(partition, book.steps(until))
        return took

    async def _tell_readings(self) -> float:
        """Publish readings where there is news; return how long they took to make."""
        brands, self.dirty = self._reasons.begin(self.dirty | self._reasons.due()), set()
        took = 0.0
        while brands and not self._is_silent():
            began = time.thread_time()
            readings, brands = self._readings(brands)
            took += time.thread_time() - began
            await self.publish(readings)
        self.dirty.update(brands)
        return took

    def _readings(self, brands: list[str]) -> tuple[list[TrustReading], list[str]]:
        """Return the readings of some brands, and the brands that there was no time for."""
        ended, found = time.monotonic() + STRETCH, []
        for number, brand in enumerate(brands, start=1):
            if one := self.read(brand):
                found.append(one)
            if time.monotonic() > ended:
                return found, brands[number:]
        return found, []

    async def _tell_signals(self, partition: int, steps: Iterator[list[Signal]]) -> float:
        """Publish what detectors find, step by step; return how long they took to find it."""
        took, began = 0.0, time.thread_time()
        for found in steps:
            took += time.thread_time() - began
            # Of a worker that ends, the producer ends too; whoever follows looks at it all again.
            if self.app.should_stop:
                break
            await self.signal(partition, found)
            # Posts get their turn, also where nothing was found.
            await asyncio.sleep(0)
            began = time.thread_time()
        return took

    def _until(self, partition: int, book: Book) -> int | None:
        """Return the tick that is not over yet: by the slowest source, or by the clock if later."""
        reached = book.progress.reached(idle_after=self.settings.trust.idle_after)
        if reached is None and book.watch.tick is None:
            reached = book.latest() or None
        # Nothing is in there unless the clock on the wall counts.
        if partition in self.tide.reached:
            reached = max(reached or 0, int(self.tide.reached[partition] * 1000))
        return None if reached is None else (reached - GRACE) // TICK

    async def signal(self, partition: int, signals: Sequence[Signal]) -> None:
        """Write the signals of a partition to the changelog and to their topic; show the alarms."""
        book = self.table.book(partition)
        await self.table.save(partition, book.tell(signals), self.producer)
        records = [Out(one.brand.encode(), _encode(one)) for one in signals]
        await self._send(self.topics.signals, {partition: records} if records else {})
        for one in signals:
            self.metrics.signalled(one)
        for brand in {one.brand for one in signals}:
            self.metrics.alarmed(brand, book.watch.signals(brand))

    async def publish(self, readings: Iterable[TrustReading]) -> None:
        """Write readings to the topic `trust`, and show them."""
        runs: dict[int, list[Out]] = defaultdict(list)
        for one in readings:
            self.metrics.read(one, time.time())
            runs[self._home(one.brand)].append(Out(one.brand.encode(), _encode(one)))
        await self._send(self.topics.trust, runs)

    def read(self, brand: str) -> TrustReading | None:
        """Return the reading of a brand, None when it is not ours or was never heard of."""
        partition = self._home(brand)
        book = self.table.books.get(partition)
        if book is None or brand not in book.ledgers or brand not in self._known:
            return None
        newest = book.ledgers[brand].newest()
        if not newest:
            return None
        now = int(time.time() * 1000) if self.settings.trust.clock == "wall" else newest
        at, anew = max(now, newest) + 1, self._reasons.wanted(brand)
        seen = book.view(brand, at, since=None if anew else at)
        why = self._reasons.find(seen) if anew else self._reasons.recall(brand)
        return reading(seen, at=now, late=book.late, why=why)

    def new_book(self) -> Book:
        """Return an empty book that goes by the settings and the brands file."""
        terms = Terms(
            rule=rule_of(self.settings.trust),
            tuning=tuned(self.settings.alarms.page),
            balance=lambda brand: known.balance if (known := self._known.get(brand)) else 2.0,
            planned=lambda brand, at: (
                known.planned(instant(at)) if (known := self._known.get(brand)) else None
            ),
        )
        return Book(terms)

    def own(self) -> None:
        """Show the brands that this worker looks after, and no others; read them all again."""
        owned = self.table.owned()
        self._known = {brand.id: brand for brand in self.brands.matcher.brands}
        mine = {brand for brand in self._known if self._home(brand) in owned}
        self.metrics.own(mine)
        self.dirty |= mine
        self._reasons.keep(mine)

    async def look(self) -> None:
        """Look at the brands file, at what lies ahead, and whether anything stands still."""
        await self._look_at_brands()
        self.metrics.brands_file(ok=self.brands.error is None, loaded_at=self.brands.loaded_at)
        lags = self.consumer.lag()
        self.metrics.assigned(lags)
        for tp, records in lags.items():
            self.metrics.lag(tp.topic, tp.partition, records)
        self.metrics.ready(is_ready=self._state() == "ready")
        self.metrics.recovering(max(0, self.app.tables.recovery.active_remaining_total()))
        self.stall.check(self.consumer.gate.unfinished())

    async def _look_at_brands(self) -> None:
        every, now = self.settings.brands.reload, time.monotonic()
        if every and now - self._looked >= every:
            self._looked = now
            if await asyncio.to_thread(self.brands.reload):
                self.own()

    def dump(self) -> Path:
        """Write what the books of this worker say to its data folder, for comparison."""
        books = {partition: self.table.book(partition) for partition in self.table.owned()}
        told = {
            "partitions": {p: book.totals() for p, book in books.items()},
            "ticks": {p: book.watch.tick or 0 for p, book in books.items()},
            "ahead": {p: (self._until(p, book) or 0) for p, book in books.items()},
            "readings": {b: r for book in books.values() for b, r in book.readings().items()},
            "late": sum(book.late for book in books.values()),
        }
        path = Path(self.settings.worker.data_dir or gettempdir()) / f"books-{os.getpid()}.json"
        part = path.with_suffix(".part")
        part.write_bytes(_encode(told))
        return part.replace(path)

    def health(self) -> Health:
        """Return what `/healthz` and `/readyz` tell; called from the server's thread."""
        partitions = len(self.app.assignor.assigned_actives())
        return Health(
            state=self._state(), beat_age=self.fence.age(), partitions=partitions, detail=""
        )

    def _state(self) -> Literal["starting", "rebalancing", "recovering", "ready", "draining"]:
        if self.app.should_stop:
            return "draining"
        if self.app.in_recovery:
            return "recovering"
        if self.app.tables.actives_ready:
            return "ready"
        return "rebalancing" if self.app.rebalancing_count > 1 else "starting"

    def _addressed(self, mentions: Iterable[Mention]) -> Runs:
        """Return mentions by partition; a deletion goes to all, since it names no brand."""
        runs: dict[int, list[Out]] = defaultdict(list)
        for mention in mentions:
            value = _encode(mention)
            if mention.deleted:
                for partition in range(self.settings.kafka.partitions):
                    runs[partition].append(Out(mention.post.encode(), value))
            else:
                runs[self._home(mention.brand)].append(Out(mention.brand.encode(), value))
        return runs

    def _home(self, brand: str) -> int:
        """Return the partition of a brand: the same in the topics `mentions` and `trust`."""
        home = self._homes.get(brand)
        if home is None:
            home = self.producer.partition(self.topics.mentions, brand.encode())
            self._homes[brand] = home
        return home

    async def _reject(self, letters: Iterable[Letter]) -> None:
        runs: dict[int, list[Out]] = defaultdict(list)
        for letter in letters:
            record = letter.record
            partition = record.partition % self.settings.kafka.partitions
            runs[partition].append(Out(record.key, record.value, envelope(letter)))
            self.metrics.rejected(letter.stage, letter.reason)
        await self._send(self.topics.rejected, runs)

    async def _send(self, topic: str, runs: Runs) -> None:
        publish = self.producer.publish
        await asyncio.gather(*(publish(topic, partition, run) for partition, run in runs.items()))

    @contextmanager
    def _timed(self, stage: str, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.metrics.took(stage, step, time.perf_counter() - began)


def envelope(letter: Letter) -> list[tuple[str, bytes]]:
    """Return the headers of a dead letter: its own, then why and from where it came."""
    record = letter.record
    facts = {
        "reason": letter.reason,
        "stage": letter.stage,
        "detail": letter.detail,
        "source_topic": record.topic,
        "source_partition": record.partition,
        "source_offset": record.offset,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    return [*record.headers, *((name, str(fact).encode()) for name, fact in facts.items())]
