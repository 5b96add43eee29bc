"""How soon a worker is at work: with much state, with none, and after a SIGKILL.

    python benchmarks/recovery.py               500,000 rows; exits 1 on a miss
    python benchmarks/recovery.py --rows 2000000
    python benchmarks/recovery.py --quick       50,000 rows, a short form that only shows figures

The rows are written to the changelog as a worker writes them. A worker is ready when its /readyz
says so; afterwards its own sums must hold every row. "First post" is the first mention it writes.
"""

import asyncio
import json
import signal
import sys
import time
import urllib.request
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from aiokafka.partitioner import DefaultPartitioner

from benchmarks import lab
from benchmarks.crowd import SEED, brands, posts
from benchmarks.lab import FREE, Hold, Report, Stand, Subject, broker, parser
from streams.domain.row import UNIT, Row

BRANDS = brands(1_000)
LITTLE = 2_000
"""Posts that make the little state of a worker that is killed."""
AGAIN = 5
"""Kills, of which the slowest return counts."""


def rows(count: int, partitions: int) -> Iterator[lab.Record]:
    """Yield changelog records of posts of the last two days."""
    homes = list(range(partitions))
    partition = DefaultPartitioner()
    now = int(time.time() * 1000)
    home = {one.id: partition(one.id.encode(), homes, homes) for one in BRANDS}
    for number in range(count):
        brand = BRANDS[number % len(BRANDS)].id
        at = now - number * 172_800_000 // count
        row = Row(at, number % UNIT, UNIT - number % UNIT, number % 3, number % 97 == 0, "bench")
        yield home[brand], f"r|{brand}|p{number}".encode(), row.pack(), []


def ready(stand: Stand) -> bool:
    """Ask a worker whether it is ready."""
    url = f"http://127.0.0.1:{stand.settings.metrics.port}/readyz"
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def held(stand: Stand, subject: Subject) -> int:
    """Return how many rows a worker holds, by its own account."""
    target = stand.folder / f"books-{subject.pid}.json"
    subject.signal(signal.SIGUSR2)
    subject.until(target.exists)
    partitions = json.loads(target.read_bytes())["partitions"].values()
    counts = (totals for books in partitions for totals in books.values())
    return sum(sum(one[:3]) for one in counts)


def much(kafka: Any, folder: Path, count: int) -> dict[str, Any]:
    """Start a worker on a long changelog."""
    stand = Stand(kafka, folder, "much", brands=BRANDS)
    records = rows(count, stand.settings.kafka.partitions)
    asyncio.run(lab.publish(stand.settings.kafka.broker, stand.topics.changelog, records))
    subject = stand.start(FREE)
    seconds = subject.until(lambda: ready(stand), every=0.05)
    cpu, peak = subject.cpu(), subject.memory("VmHWM")
    found = held(stand, subject)
    subject.stop()
    if found != count:
        raise SystemExit(f"the worker holds {found:,} of {count:,} rows")
    return line(f"{count:,} rows", "spawn to ready", seconds, cpu=cpu, peak=peak)


def line(state: str, what: str, seconds: float, *, cpu: float, peak: float) -> dict[str, Any]:
    """Return a line of the table."""
    return {"state": state, "": what, "seconds": seconds, "CPU s": cpu, "peak MiB": peak}


def none(kafka: Any, folder: Path) -> dict[str, Any]:
    """Start a worker without state on waiting posts."""
    stand = Stand(kafka, folder, "none", brands=BRANDS)
    feed(stand, 100, "p")
    subject = stand.start(FREE)
    with stand.watch() as watch:
        seconds = subject.until(lambda: watch.end(stand.topics.mentions) > 0)
    cpu, peak = subject.cpu(), subject.memory("VmHWM")
    subject.stop()
    return line("none", "spawn to first post", seconds, cpu=cpu, peak=peak)


def killed(kafka: Any, folder: Path, times: int) -> dict[str, Any]:
    """SIGKILL a worker and start it again at once; return how long its work stood still at most."""
    stand = Stand(kafka, folder, "killed", brands=BRANDS)
    feed(stand, LITTLE, "p")
    subject = stand.start(FREE)
    slowest: dict[str, Any] = {}
    with stand.watch() as watch:
        topics = stand.topics
        for turn in range(times):
            subject.until(lambda: watch.lag(topics.posts, topics.mentions) == 0, every=0.3)
            before = watch.end(topics.mentions)
            subject.kill()
            subject = stand.start(FREE)
            feed(stand, 100, f"again{turn}-")
            seconds = subject.until(lambda before=before: watch.end(topics.mentions) > before)
            found = line(
                f"{LITTLE:,} posts",
                "SIGKILL to next post",
                seconds,
                cpu=subject.cpu(),
                peak=subject.memory("VmHWM"),
            )
            slowest = max(slowest or found, found, key=lambda one: one["seconds"])
    subject.stop()
    return slowest


def feed(stand: Stand, count: int, name: str) -> None:
    """Publish posts of this hour."""
    hour = timedelta(hours=1)
    start = datetime.now(UTC) - hour
    stand.feed(posts(count, about=BRANDS, start=start, span=hour, name=name))


def run(options: Namespace, report: Report, kafka: Any, folder: Path) -> None:
    """Measure all three."""
    empty = none(kafka, folder)
    back = killed(kafka, folder, 1 if options.quick else AGAIN)
    full = much(kafka, folder, options.rows)
    found = [empty, back, full]
    report.table(found)
    pace = options.rows / max(0.1, full["seconds"] - empty["seconds"])
    print(f"rows recovered a second, the start of an empty worker taken off: {pace:,.0f}")
    report.figures |= {"starts": found, "rows a second": pace}
    report.holds += [
        Hold("spawn to first post, no state, s", empty["seconds"], "<=", 4),
        Hold("SIGKILL to next post, little state, s", back["seconds"], "<=", 5),
        Hold(f"spawn to ready, {options.rows:,} rows, s", full["seconds"], "<=", 45, 15),
    ]


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="50,000 rows, nothing held")
    given.add_argument("--rows", type=int, metavar="N", help="rows to recover (default 500,000)")
    options = given.parse_args()
    options.rows = options.rows or (50_000 if options.quick else 500_000)
    data = f"{options.rows:,} invented rows about {len(BRANDS):,} brands, 4 partitions, seed {SEED}"
    report = Report("From start to work", data, options.quick)
    report.head()
    with broker() as (kafka, folder):
        run(options, report, kafka, folder)
    return report.close(options.json)


if __name__ == "__main__":
    sys.exit(main())
