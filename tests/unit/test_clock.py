"""Which clock decays the index and ends alarms: that of the posts, or that on the wall."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from msgspec.json import Decoder, encode
from prometheus_client import CollectorRegistry

from streams import worker as module
from streams.brands import BrandsFile
from streams.domain.book import Book, Entry
from streams.domain.row import HOUR
from streams.domain.track import TICK
from streams.metrics import Metrics
from streams.records import Mention, Sentiment, Signal, TrustReading
from streams.settings import load_settings
from streams.tide import PAUSE
from streams.topics import Topics
from streams.transport import Fence, Out, Stall
from streams.worker import GRACE, LOOK, SILENCE, Worker

MENTIONS = TP("mentions", 0)
START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC).timestamp()
MINUTE = 60.0

Build = Callable[..., Worker]


class Clock:
    """The time of day, and sleep that passes it."""

    def __init__(self) -> None:
        self.now = START

    def time(self) -> float:
        """Return seconds since 1970."""
        return self.now

    monotonic = perf_counter = thread_time = time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Log:
    """A broker that keeps what is written, by topic."""

    def __init__(self) -> None:
        self.records: dict[str, list[Out]] = defaultdict(list)

    def partition(self, _topic: str, _key: bytes) -> int:
        """Return the one partition there is."""
        return 0

    async def publish(self, topic: str, _partition: int, run: Sequence[Out]) -> list[Any]:
        """Keep records."""
        self.records[topic] += run
        return []


class Table:
    """The table, with one book."""

    def __init__(self, book: Book) -> None:
        self.books = {0: book}

    def owned(self) -> set[int]:
        """Return the partition that is ours."""
        return set(self.books)

    def book(self, partition: int) -> Book:
        """Return the book."""
        return self.books[partition]

    async def save(self, partition: int, entries: Sequence[Entry], producer: Log) -> None:
        """Keep entries."""
        await producer.publish("changelog", partition, [Out(*entry) for entry in entries])


class Source:
    """The topics that are read: so many records wait."""

    waiting = 0
    gate = SimpleNamespace(unfinished=dict)

    def lag(self) -> Mapping[TP, int]:
        """Return how many records are still to be delivered: what waits was."""
        return {MENTIONS: 0}

    async def ends(self, _topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return where partitions end."""
        return dict.fromkeys(partitions, 9)

    async def done(self, _topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return how far they are worked off."""
        return dict.fromkeys(partitions, 9 - self.waiting)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.fixture
def build(tmp_path: Path, clock: Clock) -> Build:
    brands = tmp_path / "brands.toml"
    brands.write_text('[[brand]]\nid = "acme"\nname = "Acme"\n')

    def made(which: str) -> Worker:
        settings = load_settings(
            env={"TRUSTWATCH_TRUST_CLOCK": which, "TRUSTWATCH_BRANDS_RELOAD": "0"}
        )
        worker = Worker(
            settings=settings,
            judge=None,  # type: ignore[arg-type]
            brands=BrandsFile(str(brands)),
            metrics=Metrics(CollectorRegistry(), max_brands=3),
            fence=Fence(9.0, die=pytest.fail, clock=clock.time),
            topics=Topics(settings),
            stall=Stall(9.0, die=pytest.fail, clock=clock.time),
        )
        worker.table = Table(worker.new_book())  # type: ignore[assignment]
        tables = SimpleNamespace(
            actives_ready=True, recovery=SimpleNamespace(active_remaining_total=int)
        )
        worker.app = SimpleNamespace(
            producer=Log(),
            consumer=Source(),
            tables=tables,
            should_stop=False,
            in_recovery=False,
            rebalancing_count=1,
        )
        worker.own()
        return worker

    return made


_reading = Decoder(TrustReading).decode
_signal = Decoder(Signal).decode


def readings(worker: Worker) -> list[TrustReading]:
    return [_reading(out.value or b"") for out in worker.producer.records[worker.topics.trust]]


def signals(worker: Worker) -> list[Signal]:
    return [_signal(out.value or b"") for out in worker.producer.records[worker.topics.signals]]


async def post(
    worker: Worker, clock: Clock, *, count: int = 1, ago: float = 0.0, leak: bool = False
) -> None:
    """Have posts about the brand, all complaints, followed; so many seconds after they were."""
    records = []
    for offset in range(count):
        mention = Mention(
            post=f"{clock.now}/{offset}",
            at=datetime.fromtimestamp(clock.now - ago, UTC),
            partition=0,
            offset=offset,
            brand="acme",
            sentiment=Sentiment(0.9, 0.05, 0.05),
            is_leak=leak,
        )
        records.append(SimpleNamespace(partition=0, offset=offset, value=encode(mention)))
    await worker.follow_batch(records)


async def look(worker: Worker) -> None:
    """Have a worker ask how far the clock may run, then tell what is new."""
    await worker.ask()
    await worker.watch()


def looked(worker: Worker) -> int:
    """Tell up to which tick the alarms were looked at."""
    return worker.table.book(0).watch.tick or 0


async def test_by_the_wall_a_silent_brand_forgets_as_time_passes(
    build: Build, clock: Clock
) -> None:
    worker = build("wall")
    await post(worker, clock, count=30)
    seen = []
    for _ in range(4):
        clock.advance(6 * 60 * MINUTE)
        reading = worker.read("acme")
        assert reading is not None
        assert reading.at.timestamp() == clock.now
        due = worker.table.book(0).view("acme", int(clock.now * 1000) + 1).reading
        assert reading.index == pytest.approx(float(due.index), abs=1e-6)
        seen.append((reading.mood_loss, reading.index))
    assert sorted(seen, reverse=True) == seen, "the mood passes"
    assert seen[0][0] > 1.5 * seen[-1][0] > 0
    assert [index for _, index in seen] == sorted(index for _, index in seen)


async def test_by_the_posts_nothing_moves_while_there_are_none(build: Build, clock: Clock) -> None:
    worker = build("event")
    await post(worker, clock, count=30, leak=True)
    await look(worker)
    tick = looked(worker)
    for _ in range(5):
        clock.advance(24 * 60 * MINUTE)
        worker.own()
        await look(worker)
        assert looked(worker) == tick
    assert len(readings(worker)) == 6
    assert {one.at.timestamp() for one in readings(worker)} == {START}
    assert len({(one.index, one.low, one.high) for one in readings(worker)}) == 1
    assert all(one.ended is None for one in signals(worker))


@pytest.mark.parametrize("which", ["event", "wall"])
async def test_of_a_brand_without_posts_nothing_is_ever_told(
    build: Build, clock: Clock, which: str
) -> None:
    worker = build(which)
    for _ in range(5):
        clock.advance(24 * 60 * MINUTE)
        worker.own()
        await look(worker)
    assert not readings(worker)
    assert not signals(worker)


async def test_by_the_wall_ticks_go_on_without_posts_a_minute_after_their_end(
    build: Build, clock: Clock
) -> None:
    worker = build("wall")
    await post(worker, clock)
    await look(worker)
    for _ in range(50):
        clock.advance(7.5 * MINUTE)
        await look(worker)
        over = (looked(worker) * TICK + GRACE) / 1000
        assert over <= clock.now < over + TICK / 1000


@pytest.mark.parametrize("ago", [0.0, 3 * 60 * MINUTE])
async def test_while_posts_wait_the_wall_does_not_run_ahead_of_them(
    build: Build, clock: Clock, ago: float
) -> None:
    worker = build("wall")
    await post(worker, clock, ago=ago)
    reached = int(clock.now - ago) * 1000
    worker.consumer.waiting = 1
    for _ in range(3):
        clock.advance(40 * MINUTE)
        await look(worker)
        assert looked(worker) == (reached - GRACE) // TICK
    worker.consumer.waiting = 0
    for _ in range(2):
        clock.advance(PAUSE)
        await look(worker)
    assert looked(worker) == (int(clock.now * 1000) - GRACE) // TICK


async def test_posts_that_begin_to_wait_hold_the_clock_where_it_was(
    build: Build, clock: Clock
) -> None:
    worker = build("wall")
    await post(worker, clock)
    clock.advance(40 * MINUTE)
    await look(worker)
    tick = looked(worker)
    worker.consumer.waiting = 1
    for _ in range(3):
        clock.advance(40 * MINUTE)
        await look(worker)
        assert looked(worker) == tick


async def test_by_the_wall_posts_that_waited_are_looked_at_in_their_own_ticks(
    build: Build, clock: Clock
) -> None:
    waited, prompt = build("wall"), build("wall")
    await post(waited, clock, leak=True)
    await post(prompt, clock, leak=True)
    for _ in range(30):
        clock.advance(60 * MINUTE)
        await look(prompt)
    waited.consumer.waiting = 1
    await look(waited)
    waited.consumer.waiting = 0
    for _ in range(2):
        clock.advance(PAUSE)
        await look(waited)
    told = {one.id: one for one in signals(waited)}
    assert told == {one.id: one for one in signals(prompt)}
    assert all(one.ended for one in told.values())


async def test_an_alarm_ends_by_the_wall_when_posts_stop(build: Build, clock: Clock) -> None:
    worker = build("wall")
    await post(worker, clock, leak=True)
    began = clock.now
    hours = 0
    while not any(one.ended for one in signals(worker)):
        assert hours < 48, "it never ends"
        clock.advance(60 * MINUTE)
        await look(worker)
        hours += 1
    (first, *_, last) = signals(worker)
    assert (first.id, first.ended, first.detector) == (last.id, None, "leak")
    assert last.ended is not None
    assert began + 6 * HOUR / 1000 < last.ended.timestamp() <= clock.now - GRACE / 1000
    tick = looked(worker)
    clock.advance(60 * MINUTE)
    await look(worker)
    assert signals(worker)[-1] == last, "it is told once"
    assert looked(worker) > tick


async def run_for(
    worker: Worker, clock: Clock, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Let a worker look around, and tell what is new, for so long."""
    end, rest = clock.now + seconds, asyncio.sleep

    async def sleep(pause: float) -> None:
        if pause:
            clock.advance(pause)
            await look(worker)
            worker.app.should_stop = clock.now >= end
        await rest(0)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await worker.keep_looking()


async def test_by_the_wall_silent_brands_are_read_aloud_every_minute(
    build: Build, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = build("wall")
    await post(worker, clock, count=30)
    posted = clock.now
    await run_for(worker, clock, 10 * SILENCE, monkeypatch)
    aloud = [one for one in readings(worker) if one.at.timestamp() > posted + 20]
    gaps = [b.at.timestamp() - a.at.timestamp() for a, b in pairwise(aloud)]
    assert 8 <= len(aloud) <= 20
    assert all(0 < gap <= SILENCE + 2 * LOOK for gap in gaps)
    indices = [one.index for one in aloud]
    assert indices == sorted(set(indices)), "each is a little calmer"


async def test_by_the_posts_silent_brands_are_not_read_again(
    build: Build, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = build("event")
    await post(worker, clock, count=30)
    await run_for(worker, clock, 10 * SILENCE, monkeypatch)
    assert {one.at.timestamp() for one in readings(worker)} == {START}
    assert len(readings(worker)) <= 3, "no more than it takes to explain it"


@pytest.mark.parametrize("where", ["readings", "signals"])
async def test_a_worker_that_ends_in_the_middle_of_a_round_tells_no_more(
    build: Build, clock: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    worker = build("wall")
    for _ in range(20):
        await post(worker, clock, leak=True)
    told: list[str] = []
    publish, signal = worker.publish, worker.signal

    async def publish_and_end(found: Sequence[TrustReading]) -> None:
        assert not worker.app.should_stop, "the producer has ended"
        await publish(found)
        told.append("readings")
        worker.app.should_stop = where == "readings"

    async def signal_and_end(partition: int, found: Sequence[Signal]) -> None:
        assert not worker.app.should_stop, "the producer has ended"
        await signal(partition, found)
        told.append("signals")
        worker.app.should_stop = True

    monkeypatch.setattr(worker, "publish", publish_and_end)
    monkeypatch.setattr(worker, "signal", signal_and_end)
    for _ in range(3):
        clock.advance(60 * MINUTE)
        worker.own()
        await look(worker)
    assert told == (["readings"] if where == "readings" else ["readings", "signals"])
