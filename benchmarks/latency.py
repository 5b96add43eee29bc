"""How long it takes from a post on the topic to its row, and to the reading that includes it.

    python benchmarks/latency.py                the free classifier at 1,000 posts/s, then the model
                                                at half of what it can do; exits 1 on a miss
    python benchmarks/latency.py --only free    one of the two
    python benchmarks/latency.py --rate 3000    another rate for the free classifier
    python benchmarks/latency.py --tick 0.2     another setting of trust.tick
    python benchmarks/latency.py --quick        a short form that only shows the figures

It is watched from outside: the clock starts when the broker appends the post (the timestamp of its
record), and stops when another process has read the row from the changelog, or a reading of the
brand from the topic `trust` that counts the post.
"""

import asyncio
import sys
import time
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.crowd import SEED, Draft, brands, posts
from benchmarks.lab import FREE, MODEL, Hold, Report, Stand, broker, parser, read
from streams.domain.brands import Brand
from streams.records import TrustReading

BRANDS = brands(51)
WATCHED, FIRST = BRANDS[:50], BRANDS[50:]
"""Those that are measured, and one whose posts show that the worker is at work."""
LONGEST = 15
"""Seconds after the last post in which its reading must come."""
WARM = 0.2
"""The share of the posts, from the first on, that warms things up and is not counted."""

_decode = msgspec.json.Decoder(TrustReading).decode


@dataclass
class Heard:
    """What an observer heard of a stand, and when."""

    rows: list[tuple[str, str, float]] = field(default_factory=list)
    """Brand, post and time of each row."""
    readings: dict[str, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    """By brand: how many posts a reading counts, and when it came."""

    def note(self, topic: str, records: Iterable[Any], stand: Stand) -> None:
        """Note records that have just been read."""
        now = time.time()
        for record in records:
            if topic == stand.topics.trust:
                one = _decode(record.value)
                count = one.negative + one.neutral + one.positive
                self.readings[one.brand].append((count, now))
            elif record.key.startswith(b"r|") and record.value is not None:
                _, brand, post = record.key.decode().split("|", 2)
                self.rows.append((brand, post, now))

    def counted(self) -> int:
        """Return how many mentions have a reading that includes them."""
        watched = {brand.id for brand in WATCHED}
        return sum(heard[-1][0] for brand, heard in self.readings.items() if brand in watched)


@dataclass(frozen=True)
class Delays:
    """Seconds from the append of each post to its row, and to a reading that includes it."""

    name: str
    rate: float
    rows: Sequence[float]
    readings: Sequence[float]
    missing: int

    def line(self) -> dict[str, Any]:
        """Return a line of the table."""
        cells: dict[str, Any] = {"": self.name, "posts/s": self.rate}
        for name, delays in (("row", self.rows), ("reading", self.readings)):
            for share in (50, 99):
                cells[f"{name} p{share} ms"] = percentile(delays, share) * 1000
        return cells | {"not heard of": self.missing}


def percentile(values: Sequence[float], share: int) -> float:
    """Return the value below which a share of the values lies, in percent."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


async def observe(stand: Stand, drafts: Sequence[Draft], rate: float) -> Heard:
    """Feed posts at a rate and note what comes of them until nothing more is due."""
    heard = Heard()
    kafka = stand.settings.kafka
    names = (stand.topics.changelog, stand.topics.trust)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.broker, auto_offset_reset="latest"
    ) as reader:
        reader.assign([TopicPartition(name, n) for name in names for n in range(kafka.partitions)])
        await reader.seek_to_end()
        feeding = asyncio.ensure_future(feed(stand, drafts, rate))
        due = sum(draft.names for draft in drafts)
        ended = 0.0
        while not ended or time.monotonic() < ended:
            for part, records in (await reader.getmany(timeout_ms=200)).items():
                heard.note(part.topic, records, stand)
            if feeding.done() and not ended:
                ended = time.monotonic() + LONGEST
            if ended and heard.counted() >= due:
                break
        await feeding
    return heard


async def feed(stand: Stand, drafts: Sequence[Draft], rate: float) -> None:
    """Publish posts at a steady rate."""
    async with AIOKafkaProducer(bootstrap_servers=stand.settings.kafka.broker) as producer:
        began, sends = time.monotonic(), []
        for number, draft in enumerate(drafts):
            ahead = began + number / rate - time.monotonic()
            if ahead > 0.002:
                await asyncio.sleep(ahead)
            sends.append(await producer.send(stand.topics.posts, draft.value, key=draft.key))
        await asyncio.gather(*sends)


def delays(name: str, rate: float, heard: Heard, appended: dict[str, float]) -> Delays:
    """Return how long everything took, without the posts that warmed things up.

    A brand's rows are in the changelog in the order in which they were counted: the reading that
    includes the n-th of them is the first that counts n posts.
    """
    counted = set(sorted(appended, key=lambda post: appended[post])[int(len(appended) * WARM) :])
    rows, readings, missing = [], [], 0
    seen: dict[str, int] = defaultdict(int)
    for brand, post, at in heard.rows:
        seen[brand] += 1
        if post not in counted:
            continue
        rows.append(at - appended[post])
        included = next((t for count, t in heard.readings[brand] if count >= seen[brand]), None)
        if included is None:
            missing += 1
        else:
            readings.append(included - appended[post])
    return Delays(name, rate, rows, readings, missing)


async def appends(stand: Stand) -> dict[str, float]:
    """Return when the broker appended each post."""
    kafka = stand.settings.kafka
    records = read(kafka.broker, stand.topics.posts, kafka.partitions)
    return {record.key.decode(): record.timestamp / 1000 async for record in records}


def measure(
    stand: Stand, name: str, command: Sequence[str], *, rate: float, seconds: float
) -> Delays:
    """Start a worker, feed it at a rate, and return the delays."""
    subject = stand.start(command)
    with stand.watch() as watch:
        stand.feed(sample(100, FIRST, name="first"))
        subject.until(lambda: watch.end(stand.topics.trust) > 0)
    heard = asyncio.run(observe(stand, sample(int(rate * seconds), WATCHED, seconds=seconds), rate))
    subject.stop()
    appended = asyncio.run(appends(stand))
    fed = {post: at for post, at in appended.items() if not post.startswith("first")}
    return delays(name, rate, heard, fed)


def sample(
    count: int, about: Sequence[Brand], name: str = "p", *, seconds: float = 60
) -> list[Draft]:
    """Return posts of the next seconds: as they are fed, time goes on as it does in their dates."""
    now, span = datetime.now(UTC), timedelta(seconds=seconds)
    return list(posts(count, about=about, start=now, span=span, name=name))


def capacity(stand: Stand, count: int) -> float:
    """Return how many posts a second a worker with the model works off."""
    due = stand.feed(sample(count, WATCHED))
    subject = stand.start(MODEL)
    with stand.watch() as watch:
        subject.until(lambda: watch.end(stand.topics.mentions) > 0)
        began = time.monotonic()
        subject.until(lambda: watch.end(stand.topics.changelog) >= due)
        seconds = time.monotonic() - began
    subject.stop()
    return count / seconds


def run(options: Namespace, report: Report, kafka: Any, folder: Path) -> None:
    """Measure with both classifiers."""
    env = {"TRUSTWATCH_TRUST_TICK": str(options.tick)} if options.tick else {}
    found = []
    if options.only != "model":
        stand = Stand(kafka, folder, "free", brands=BRANDS, env=env)
        found.append(measure(stand, "free", FREE, rate=options.rate, seconds=options.seconds))
    if options.only != "free":
        whole = capacity(Stand(kafka, folder, "load", brands=BRANDS), options.load)
        print(f"  a worker with the model does {whole:,.0f} posts/s\n", flush=True)
        report.figures["posts a second with the model"] = whole
        stand = Stand(kafka, folder, "model", brands=BRANDS, env=env)
        found.append(
            measure(stand, "model, half load", MODEL, rate=whole / 2, seconds=options.seconds)
        )
    report.table([one.line() for one in found])
    report.figures["delays"] = [one.line() for one in found]
    for one in found:
        p99 = percentile(one.readings, 99)
        report.holds.append(Hold(f"{one.name}: p99 to the reading, s", p99, "<=", 1))
        report.holds.append(Hold(f"{one.name}: posts not heard of", one.missing, "<=", 0))


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="8 s each, nothing held")
    given.add_argument("--only", choices=("free", "model"), help="one classifier alone")
    given.add_argument("--rate", type=float, default=1_000, metavar="N", help="posts/s, free")
    given.add_argument("--seconds", type=float, metavar="S", help="length of a run (default 60)")
    given.add_argument("--tick", type=float, metavar="S", help="seconds between two readings")
    options = given.parse_args()
    options.seconds = options.seconds or (8 if options.quick else 60)
    options.load = 10_000 if options.quick else 50_000
    data = f"invented posts of about 130 characters about {len(WATCHED)} brands for "
    data += f"{options.seconds:g} s, the first {WARM:.0%} not counted, 4 partitions, seed {SEED}"
    report = Report("Delay from append to row and to reading", data, options.quick)
    report.head()
    with broker() as (kafka, folder):
        run(options, report, kafka, folder)
    return report.close(options.json)


if __name__ == "__main__":
    sys.exit(main())
