"""Faults against real workers on a real broker, and an exact comparison afterwards.

A run feeds posts at a steady rate while one scenario kills, freezes or scales the workers or the
broker; a supervisor starts again whatever ended. When all lag is gone, three states must agree in
every count and every reading: that rebuilt from the changelog, the workers' own, and an offline
fold of the posts that are on the broker. The signals on the broker must be those of that fold.

Then the posts go into a file and through `trustwatch backtest`, whose readings and signals must be
the same ones. It reads each brand at the end of its hours and watches until the end of the last
one. So the posts end with that hour: each brand has one in its last millisecond, and behind them
each source partition has a mark, a deletion of nothing, dated so that the workers look as far.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from msgspec.json import Decoder, encode

from streams.domain.book import Book
from streams.domain.brands import Matcher
from streams.domain.explain import Explanation
from streams.domain.ledger import COUNTS
from streams.domain.row import day_of
from streams.domain.track import TICK
from streams.domain.watch import Watch
from streams.pipeline import Judge, follow, millis, reading
from streams.records import Reading, Signal
from streams.settings import Settings, load_settings
from streams.topics import Topics
from tests.support.alike import alike
from tests.support.backtest import Told, backtest
from tests.support.broker import ROOT, Kafka
from tests.support.free import Free
from tests.support.posts import BRANDS, mark, posts

SESSION = 8.0
"""Seconds of the workers' session: the broker's least is 6."""
OPEN_HOURS = 72
"""See `posts.SPAN`."""
PATIENCE = 60.0
"""Seconds to wait for something that no longer goes on."""
SHOWN = 3
"""Signals, or readings, that differ which are shown."""
FRESH = timedelta(minutes=5)
"""Posts end an hour that has been over for at least so long: none is dated ahead."""
AGAIN = 5.0
"""Seconds after which marks are written again to workers that were not there for the first."""
ROUNDED = 1e-6
"""What rounding leaves of a number in a file."""
EACH = 3
"""Of so many readings of the backtest one is compared, of all brands and hours in turns."""
IDLE = 8.0
"""Seconds without mentions after which a source holds no day open."""
KEY = "a key for the tests only"
"""Of the pseudonyms of authors."""

_decode_signal = Decoder(Signal).decode

Totals = dict[str, list[int]]
"""By brand, the counts of `ledger.COUNTS`."""
Readings = dict[str, list[float]]
"""By brand, the index and its bounds as of its newest post."""


def brands_file(folder: Path) -> Path:
    """Write the brands of a run; return the file."""
    path = folder / "brands.toml"
    path.write_text("".join(f'[[brand]]\nid = "{b.id}"\nname = "{b.name}"\n' for b in BRANDS))
    return path


class Feeder(threading.Thread):
    """Publishes posts at a rate, then marks; every delivery is acknowledged in the end."""

    def __init__(
        self, broker: str, topic: str, *, seed: int, count: int, rate: float, end: datetime
    ) -> None:
        super().__init__(daemon=True)
        self._options = {"bootstrap_servers": broker, "linger_ms": 5}
        self._topic, self._seed, self._count, self._rate = topic, seed, count, rate
        self._end = end
        self.sent = 0
        self.failed = 0

    def run(self) -> None:
        """Send them all."""
        producer = KafkaProducer(**self._options, delivery_timeout_ms=300_000)
        began = time.monotonic()
        for key, value, received in posts(self._seed, self._count, self._end):
            sending = producer.send(
                self._topic, key=key, value=value, headers=[("received", received)]
            )
            sending.add_errback(self._count_failure)
            self.sent += 1
            ahead = began + self.sent / self._rate - time.monotonic()
            if ahead > 0.01:
                time.sleep(ahead)
        mark(producer, self._topic, self._end)
        producer.flush(300)
        producer.close()

    def _count_failure(self, _: object) -> None:
        self.failed += 1


@dataclass
class Process:
    """A worker process that its supervisor keeps alive."""

    name: str
    command: list[str]
    env: dict[str, str]
    folder: Path
    wanted: bool = False
    starts: int = 0
    popen: subprocess.Popen[bytes] | None = None
    _begin: int = 0

    @property
    def log(self) -> Path:
        """Where it logs."""
        return self.folder / f"{self.name}.log"

    def wait(self, timeout: float = 60.0) -> None:
        """Return when it has begun to work."""
        end = time.monotonic() + timeout
        while b"Metrics on" not in self.log.read_bytes()[self._begin :]:
            assert time.monotonic() < end, f"{self.name} does not start: see {self.log}"
            time.sleep(0.1)

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self.popen is not None and self.popen.poll() is None

    def start(self) -> None:
        """Start it, and keep it running."""
        self.starts += 1
        with self.log.open("ab") as log:
            self._begin = log.tell()
            self.popen = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.wanted = True  # last: the supervisor must not see it wanted and not there

    def signal(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        if self.running and self.popen is not None:
            self.popen.send_signal(sign)

    def kill(self) -> None:
        """SIGKILL it and wait for its end; the supervisor starts it again."""
        if self.popen is not None:
            self.signal(signal.SIGKILL)
            self.popen.wait()

    def stop(self, timeout: float = 60.0) -> int:
        """SIGTERM it for good, once it works; return its exit code."""
        self.wait(timeout)
        self.wanted = False
        self.signal(signal.SIGTERM)
        assert self.popen is not None
        return self.popen.wait(timeout)


@dataclass
class Found:
    """What a run found."""

    scenario: str
    seed: int
    transport: str
    posts: int = 0
    mentions: int = 0
    mentions_written: int = 0
    lost: int = 0
    doubled: int = 0
    behind: int = 0
    """Records of posts and mentions that the group had not committed in the end."""
    sums_differ: int = 0
    """Brands whose counts are others in the state that the changelog rebuilds."""
    workers_differ: int = 0
    """The same in the workers' own state."""
    readings_differ: int = 0
    """Readings, of both states, that differ by 1e-9 or more."""
    signals: int = 0
    signals_differ: int = 0
    """Signals that are missing, too many, or other ones."""
    backtest_readings: int = 0
    """Readings of the backtest that were compared."""
    backtest_differs: int = 0
    """Readings, signals and bad lines in which the backtest differs, or that it lacks."""
    letters: int = 0
    letters_missing: int = 0
    late: int = 0
    brands_closed: int = 0
    """Brands with days that closed."""
    rows_left: int = 0
    starts: int = 0
    exits: list[int] = field(default_factory=list)
    seconds: float = 0.0
    did: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether nothing was lost, doubled or different."""
        wrong = (
            *(self.lost, self.doubled, self.behind, self.late, self.letters_missing),
            *(self.sums_differ, self.workers_differ, self.readings_differ, self.signals_differ),
            self.backtest_differs,
        )
        return not any(wrong)


class Run:
    """One run: topics, workers, feeder, and what is done to them."""

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        *,
        scenario: str,
        seed: int,
        count: int,
        rate: float,
        faust: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.kafka, self.folder, self._say = kafka, folder, say
        self.rng = random.Random(seed)
        self.found = Found(scenario, seed, "faust" if faust else "ours")
        self._command = [sys.executable, "-m", "tests.support.free", "--pause=0.01"]
        self._command += ["--faust"] if faust else []
        self._env = self._environment(f"{scenario}-{seed}-{int(time.time())}")
        self.settings: Settings = load_settings(env=self._env)
        self.topics = Topics(self.settings)
        self.workers: list[Process] = []
        self._count, self._rate, self._seed = count, rate, seed
        self._until = (datetime.now(UTC) - FRESH).replace(minute=0, second=0, microsecond=0)
        self._began = time.monotonic()
        self._over = threading.Event()

    def _environment(self, name: str) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("TRUSTWATCH_")},
            "TRUSTWATCH_KAFKA_BROKER": self.kafka.bootstrap,
            "TRUSTWATCH_KAFKA_PREFIX": f"{name}.",
            "TRUSTWATCH_KAFKA_GROUP": name,
            "TRUSTWATCH_KAFKA_SESSION_TIMEOUT": str(SESSION),
            "TRUSTWATCH_KAFKA_HEARTBEAT": "2",
            "TRUSTWATCH_BRANDS_FILE": str(brands_file(self.folder)),
            "TRUSTWATCH_WORKER_DATA_DIR": str(self.folder),
            "TRUSTWATCH_METRICS_PORT": "0",
            "TRUSTWATCH_PRIVACY_KEY": KEY,
            "TRUSTWATCH_TRUST_IDLE_AFTER": str(IDLE),
            "TRUSTWATCH_TRUST_CLOSE_AFTER_HOURS": str(OPEN_HOURS),
        }

    def say(self, what: str) -> None:
        """Note and tell what is being done."""
        line = f"{time.monotonic() - self._began:6.1f} s  {what}"
        self.found.did.append(line)
        self._say(line)

    def worker(self, number: int) -> Process:
        """Return worker `number`, started if it is not."""
        while len(self.workers) <= number:
            name = f"worker-{len(self.workers)}"
            env = {**self._env, "TRUSTWATCH_WORKER_INSTANCE": f"{self.settings.kafka.group}-{name}"}
            self.workers.append(Process(name, self._command, env, self.folder))
        if not self.workers[number].running:
            self.workers[number].start()
        return self.workers[number]

    def pause(self, low: float, high: float) -> None:
        """Let it work for a random while."""
        time.sleep(self.rng.uniform(low, high))

    def play(self, act: Callable[["Run"], None]) -> Found:
        """Feed, do the faults, wait until all is worked off, compare; return what was found."""
        _create_topics(self.settings)
        feeder = Feeder(
            self.kafka.bootstrap,
            self.topics.posts,
            seed=self._seed,
            count=self._count,
            rate=self._rate,
            end=self._until,
        )
        threading.Thread(target=self._supervise, daemon=True).start()
        try:
            self.worker(0)
            self.worker(1)
            feeder.start()
            self._await_work()
            act(self)
            feeder.join()
            self.say(f"all {feeder.sent} posts are sent")
            assert feeder.failed == 0, "the feeder could not deliver: nothing can be compared"
            self._settle()
            self._compare()
        finally:
            self._end()
        self.found.seconds = round(time.monotonic() - self._began, 1)
        return self.found

    def _supervise(self) -> None:
        while not self._over.wait(0.2):
            for worker in self.workers:
                if worker.wanted and not worker.running:
                    worker.start()

    def _end(self) -> None:
        wanted = [worker for worker in self.workers if worker.wanted]
        self._over.set()
        for worker in wanted:
            worker.signal(signal.SIGCONT)
            try:
                self.found.exits.append(worker.stop(30))
            except (subprocess.TimeoutExpired, AssertionError):
                self.found.exits.append(-9)
                worker.kill()
        self.found.starts = sum(worker.starts for worker in self.workers)

    def _settle(self) -> None:
        """Return when the group has nothing left to read, or reads nothing more for a minute."""
        calm, least, end = 0, sys.maxsize, time.monotonic() + PATIENCE
        while calm < 3 and time.monotonic() < end:
            time.sleep(0.7)
            try:
                self.found.behind = self._lag()
            except KafkaError:
                calm = 0
                continue
            calm = 0 if self.found.behind else calm + 1
            if self.found.behind < least:
                least, end = self.found.behind, time.monotonic() + PATIENCE
        self.say(f"still {self.found.behind} behind" if calm < 3 else "all is worked off")

    def _await_work(self, timeout: float = 90.0) -> None:
        """Return when the first posts are worked off: faults before that hit nothing."""
        end = time.monotonic() + timeout
        while not self._committed() and time.monotonic() < end:
            time.sleep(0.3)
        works = time.monotonic() < end
        assert works or self.found.transport == "faust", f"no worker starts: see {self.folder}"
        self.say("the workers work" if works else "the workers have committed nothing so far")

    def _committed(self) -> int:
        with _reader(self.kafka.bootstrap, group_id=self.settings.kafka.group) as reader:
            parts = _partitions(reader, self.topics.mentions)
            return sum(reader.committed(part) or 0 for part in parts)

    def _lag(self) -> int:
        with _reader(self.kafka.bootstrap, group_id=self.settings.kafka.group) as reader:
            lag = 0
            for topic in (self.topics.posts, self.topics.mentions):
                parts = _partitions(reader, topic)
                for part, end in reader.end_offsets(parts).items():
                    lag += end - (reader.committed(part) or 0)
            return lag

    def _compare(self) -> None:
        held = self._held()
        time.sleep(1)  # for signals on their way to the broker
        names = ("posts", "mentions", "changelog", "rejected", "signals")
        read = {name: self._read(getattr(self.topics, name)) for name in names}
        found = self.found
        found.posts, found.mentions_written = len(read["posts"]), len(read["mentions"])
        expected, bad, found.mentions = asyncio.run(_offline(read["posts"]))
        books: dict[int, Book] = defaultdict(Book)
        for one in read["changelog"]:
            books[one.partition].apply(one.key, one.value)
        rebuilt = {brand: t for book in books.values() for brand, t in book.totals().items()}
        found.lost, found.doubled, found.sums_differ = _differences(expected.totals(), rebuilt)
        found.late = held.late
        found.workers_differ = held.twice + sum(_differences(expected.totals(), held.totals))
        again = {brand: r for book in books.values() for brand, r in book.readings().items()}
        wanted = expected.readings()
        found.readings_differ = _far(wanted, held.readings) + _far(wanted, again)
        told = {one.id: one for one in map(_decode_signal, (r.value for r in read["signals"]))}
        there = {id_: one for id_, one in told.items() if not one.withdrawn}
        due = _due(expected, held)
        found.signals = len(due)
        found.signals_differ = self._unlike("signal", due, there)
        self._compare_letters(bad, read["rejected"])
        ledgers = [ledger for book in books.values() for ledger in book.ledgers.values()]
        found.brands_closed = sum(ledger.closed is not None for ledger in ledgers)
        found.rows_left = sum(len(rows) for ledger in ledgers for rows in ledger.days.values())
        lines = [one.value for one in read["posts"]]
        self._compare_backtest(backtest(self.folder, lines, env=self._env), held, books, there)

    def _unlike(self, what: str, due: Mapping[Any, Any], there: Mapping[Any, Any]) -> int:
        """Return in how many entries two mappings differ; show some."""
        every = sorted(due.keys() | there.keys())
        wrong = [key for key in every if not alike(due.get(key), there.get(key), within=1e-8)]
        for key in wrong[:SHOWN]:
            self.say(f"{what}: due {due.get(key)}, there {there.get(key)}")
        return len(wrong)

    def _compare_backtest(
        self, told: Told, held: "Held", books: Mapping[int, Book], signals: Mapping[str, Signal]
    ) -> None:
        """Compare what the command says with what the workers hold, wrote and told."""
        end = millis(self._until)
        last = {brand: at[end] for brand, at in told.exact.items() if end in at}
        files = {(one.brand, millis(one.at)): one for one in told.readings[::EACH]}
        ours = _reread(books, files)
        exact = {key: told.exact[key[0]].get(key[1]) for key in ours}
        self.found.backtest_readings = len(ours) + len(held.readings)
        ticks = {tick for tick, _ in held.ticks}
        self.found.backtest_differs = sum(
            (
                self._unlike("signal of the backtest", told.signals, signals),
                _far(held.readings, last) + len(last.keys() ^ held.readings.keys()),
                _far({key: numbers for key, (numbers, _) in ours.items()}, exact),
                sum(not alike(files[k], one, within=ROUNDED) for k, (_, one) in ours.items()),
                abs(told.bad - self.found.letters),
                len(ticks - {end // TICK}),
            )
        )

    def _compare_letters(self, bad: set[tuple[int, int]], records: list[Any]) -> None:
        headers = (dict(record.headers) for record in records)
        letters = {(int(h["source_partition"]), int(h["source_offset"])) for h in headers}
        self.found.letters = len(bad)
        self.found.letters_missing = len(bad ^ letters)

    def _held(self) -> "Held":
        """Return what the workers hold, once each partition has one, and all ticks are over."""
        until, end, marked = millis(self._until) // TICK, time.monotonic() + PATIENCE, 0.0
        while True:
            held = Held()
            for dump in self._dumps():
                held.add(dump)
            whole = held.partitions == Counter(map(str, range(self.settings.kafka.partitions)))
            over = {tick for tick, _ in held.ticks} == held.ahead == {until}
            if (whole and over) or time.monotonic() > end:
                return held
            if held.ahead != {until} and time.monotonic() - marked > AGAIN:
                marked = time.monotonic()
                self._mark()
            time.sleep(1)

    def _mark(self) -> None:
        """Mark the end again: whoever took over a partition has not heard of it."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        mark(producer, self.topics.posts, self._until)
        producer.flush(60)
        producer.close()
        self._settle()

    def _dumps(self) -> Iterator[Any]:
        for worker in self.workers:
            if not worker.wanted:
                continue
            worker.wait(PATIENCE)
            end = time.monotonic() + PATIENCE
            while (dump := self._dump(worker)) is None and time.monotonic() < end:
                pass
            if dump:
                yield dump
            else:
                self.say(f"{worker.name} does not say what it holds")

    def _dump(self, worker: Process) -> Any:
        """Ask a worker what it holds; one that does not work yet gives no answer."""
        assert worker.popen is not None
        path = self.folder / f"books-{worker.popen.pid}.json"
        path.unlink(missing_ok=True)
        worker.signal(signal.SIGUSR2)
        end = time.monotonic() + 5
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.05)
        return json.loads(path.read_bytes()) if path.exists() else None

    def _read(self, topic: str) -> list[Any]:
        with _reader(self.kafka.bootstrap) as reader:
            parts = _partitions(reader, topic)
            ends = reader.end_offsets(parts)
            reader.assign(parts)
            reader.seek_to_beginning(*parts)
            records: list[Any] = []
            while any(reader.position(part) < end for part, end in ends.items()):
                for some in reader.poll(1_000, max_records=5_000).values():
                    records += some
            return records


@contextmanager
def _reader(broker: str, **options: Any) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(
        bootstrap_servers=broker, enable_auto_commit=False, auto_offset_reset="earliest", **options
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _partitions(reader: KafkaConsumer, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, p) for p in sorted(reader.partitions_for_topic(topic) or ())]


def _create_topics(settings: Settings) -> None:
    env = {"TRUSTWATCH_KAFKA_BROKER": settings.kafka.broker}
    env |= {"TRUSTWATCH_KAFKA_PREFIX": settings.kafka.prefix}
    env |= {"TRUSTWATCH_KAFKA_GROUP": settings.kafka.group}
    command = [sys.executable, "-m", "streams", "topics", "apply"]
    subprocess.run(
        command, cwd=ROOT, env={**os.environ, **env}, check=True, stdout=subprocess.DEVNULL
    )


async def _offline(records: list[Any]) -> tuple[Book, set[tuple[int, int]], int]:
    """Judge and fold posts without Kafka: the book, the bad records, the number of mentions."""
    free, matcher = Free(), Matcher(BRANDS)

    async def classify(texts: Any) -> Any:
        return free.classify(texts)

    judge = Judge(
        matcher=lambda: matcher,
        classify=classify,
        model=free.name,
        threshold=free.leak_threshold,
        key=KEY.encode(),
    )
    judged = await judge(records)
    book = Book()
    follow([_Wire(encode(mention)) for mention in judged.mentions], book, heard=0.0)
    bad = {(letter.record.partition, letter.record.offset) for letter in judged.letters}
    return book, bad, len(judged.mentions)


@dataclass(frozen=True)
class _Wire:
    value: bytes


@dataclass
class Held:
    """What workers hold."""

    totals: Totals = field(default_factory=dict)
    readings: Readings = field(default_factory=dict)
    ticks: list[tuple[int, set[str]]] = field(default_factory=list)
    """The first tick that was not looked at, and the brands that it is about."""
    partitions: Counter[str] = field(default_factory=Counter)
    """How many workers hold each partition."""
    ahead: set[int] = field(default_factory=set)
    """The first ticks that are not over yet."""
    late: int = 0
    """Mentions that came too late."""
    twice: int = 0
    """Brands that two workers hold."""

    def add(self, dump: Any) -> None:
        """Add what one worker says."""
        self.late += dump["late"]
        self.readings |= dump["readings"]
        self.partitions.update(dump["partitions"].keys())
        for partition, totals in dump["partitions"].items():
            self.ahead.add(dump["ahead"][partition])
            self.twice += len(totals.keys() & self.totals.keys())
            self.totals |= totals
            self.ticks.append((dump["ticks"][partition], set(totals)))


def _differences(expected: Totals, found: Totals) -> tuple[int, int, int]:
    """Return posts lost, posts doubled, and brands whose counts differ."""
    lost = doubled = differ = 0
    for brand in expected.keys() | found.keys():
        one, other = (totals.get(brand, [0] * len(COUNTS)) for totals in (expected, found))
        posts, theirs = sum(one[:3]), sum(other[:3])
        lost += max(0, posts - theirs)
        doubled += max(0, theirs - posts)
        differ += one != other
    return lost, doubled, differ


def _far(expected: Mapping[Any, list[float]], found: Mapping[Any, list[float] | None]) -> int:
    """Return how many readings differ."""
    return sum(
        not (other := found.get(key)) or max(map(abs, map(float.__sub__, numbers, other))) >= 1e-9
        for key, numbers in expected.items()
    )


def _due(expected: Book, held: Held) -> dict[str, Signal]:
    """Return the signals of an offline fold, up to the tick that the workers have reached."""
    due: dict[str, Signal] = {}
    for tick, brands in held.ticks:
        ledgers = {b: expected.ledgers[b] for b in brands if b in expected.ledgers}
        due |= {one.id: one for one in Watch(expected.terms, ledgers).step(tick)}
    return due


def _reread(
    books: Mapping[int, Book], wanted: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], tuple[list[float], Reading]]:
    """Return what books say of brands at instants of their open days, unrounded and as published.

    Only the rows of closed days can tell what a brand was read at then.
    """
    homes = {brand: book for book in books.values() for brand in book.ledgers}
    found = {}
    for brand, at in wanted:
        book = homes.get(brand)
        if book is None or day_of(at - 1) <= max(book.horizon, _closed(book, brand)):
            continue
        seen = book.view(brand, at)
        numbers = [float(n) for n in (seen.reading.index, seen.reading.low, seen.reading.high)]
        whole = reading(seen, at=at, late=0, why=Explanation((), ()))
        named = {name: getattr(whole, name) for name in Reading.__struct_fields__}
        found[brand, at] = numbers, Reading(**named)
    return found


def _closed(book: Book, brand: str) -> int:
    """Return the last day of a brand that is closed, -1 if none is."""
    closed = book.ledgers[brand].closed
    return day_of(closed.carry.at) - 1 if closed else -1


def kills(run: Run) -> None:
    """SIGKILL each of two workers three times, at random moments."""
    for turn in range(6):
        run.pause(1, 5)
        run.say(f"SIGKILL worker {turn % 2}")
        run.workers[turn % 2].kill()


def frozen(run: Run) -> None:
    """SIGSTOP a worker past its session and continue it, then SIGKILL the one that took over."""
    for turn in range(2):
        run.pause(2, 4)
        freeze(run, turn)


def freeze(run: Run, number: int) -> None:
    """SIGSTOP one of two workers past its session, continue it, SIGKILL the other at once."""
    run.say(f"SIGSTOP worker {number} for {SESSION + 6:g} s")
    run.workers[number].signal(signal.SIGSTOP)
    time.sleep(SESSION + 6)
    run.say("continue it, then SIGKILL the other")
    run.workers[number].signal(signal.SIGCONT)
    run.pause(0.05, 0.8)
    run.workers[1 - number].kill()
    run.pause(3, 5)


def scale(run: Run) -> None:
    """From two workers to three, to one, and up again, in good order."""
    for verb, number in (("up", 2), ("down", 0), ("down", 1), ("up", 0), ("up", 1), ("down", 2)):
        run.pause(3, 5)
        if verb == "up":
            run.say(f"start worker {number}")
            run.worker(number)
        else:
            run.say(f"SIGTERM worker {number}")
            code = run.workers[number].stop()
            run.found.exits.append(code)


def broker_killed(run: Run) -> None:
    """SIGKILL the broker and start it again."""
    run.pause(5, 9)
    run.say("SIGKILL the broker")
    run.kafka.kill()
    run.pause(1, 3)
    run.kafka.restart()
    run.say("the broker is back")
    run.pause(3, 5)


def broker_frozen(run: Run) -> None:
    """SIGSTOP the broker for 20 s."""
    run.pause(4, 7)
    run.say("SIGSTOP the broker for 20 s")
    run.kafka.pause()
    time.sleep(20)
    run.kafka.resume()
    run.say("the broker goes on")
    run.pause(3, 5)


def short(run: Run) -> None:
    """One of each but the frozen broker, for every run of the tests."""
    for turn in range(2):
        run.pause(1, 3)
        run.say(f"SIGKILL worker {turn}")
        run.workers[turn].kill()
    broker_killed(run)
    freeze(run, 0)
    run.say("start worker 2, SIGTERM worker 0")
    run.worker(2)
    run.pause(2, 4)
    run.found.exits.append(run.workers[0].stop())


def everything(run: Run) -> None:
    """All of them, one after the other."""
    for act in (kills, broker_killed, frozen, scale):
        act(run)


SCENARIOS: dict[str, Callable[[Run], None]] = {
    "kills": kills,
    "broker-killed": broker_killed,
    "frozen": frozen,
    "scale": scale,
    "broker-frozen": broker_frozen,
    "short": short,
    "everything": everything,
}


def describe(found: Found) -> str:
    """Return one line on a run."""
    counts = Counter(
        lost=found.lost,
        doubled=found.doubled,
        behind=found.behind,
        sums_differ=found.sums_differ,
        workers_differ=found.workers_differ,
        readings_differ=found.readings_differ,
        signals_differ=found.signals_differ,
        backtest_differs=found.backtest_differs,
        late=found.late,
    )
    verdict = "exact" if found.exact else "WRONG"
    return (
        f"{found.scenario} seed {found.seed} ({found.transport}): {verdict}; "
        f"{found.posts} posts, {found.mentions} mentions ({found.mentions_written} written), "
        + ", ".join(f"{name} {number}" for name, number in counts.items())
        + f"; {found.letters} letters ({found.letters_missing} missing), "
        f"{found.signals} signals, {found.backtest_readings} readings of the backtest, "
        f"{found.brands_closed} brands with closed days, "
        f"{found.rows_left} rows open, "
        f"{found.starts} starts, exits {found.exits}, {found.seconds} s"
    )
