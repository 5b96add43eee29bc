"""Whether a worker's memory stays flat while posts come and days close.

    python benchmarks/memory.py                1,000,000 posts, 1,000 brands; exits 1 on a miss
    python benchmarks/memory.py --days 120     the same posts over more days: fewer rows at a time

The posts run through the days of event time as fast as the worker can follow; days close as they do
in operation. A straight line through the resident memory over the second half of the posts says how
much it grew there. The state is the rows of the open days and, for each brand, what its closed days
come to; the table shows both.
"""

import gc
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import linear_regression
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.crowd import SEED, brands, posts
from benchmarks.lab import FREE, Hold, Report, Stand, broker, parser
from streams.domain.book import Book
from streams.domain.row import UNIT, Row, day_of

BRANDS = brands(1_000)
IDLE = 2.0
"""Seconds without a mention after which a partition holds no day open."""
MIB = 1024 * 1024


class Sample(NamedTuple):
    """The memory of a worker when it had followed so many mentions."""

    mentions: int
    mib: float


def follow(stand: Stand, options: Namespace) -> list[Sample]:
    """Run all posts through a worker, and sample its memory."""
    start = datetime.now(UTC) - timedelta(days=options.days)
    drafts = posts(
        options.posts,
        about=BRANDS,
        start=start,
        span=timedelta(days=options.days),
        replayed=True,
    )
    feeder = threading.Thread(target=stand.feed, args=(drafts,), daemon=True)
    feeder.start()
    subject = stand.start(FREE, TRUSTWATCH_TRUST_IDLE_AFTER=str(IDLE))
    samples: list[Sample] = []
    topics = stand.topics

    def sample() -> bool:
        samples.append(Sample(watch.done(topics.mentions), subject.memory()))
        return not feeder.is_alive() and watch.lag(topics.posts, topics.mentions) == 0

    with stand.watch() as watch:
        subject.until(lambda: watch.end(topics.mentions) > 0)
        subject.until(sample, every=options.every, within=7_200)
    subject.stop()
    return [one for one in samples if one.mentions]


def growth(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return by what share memory grew over the second half, and MiB for 1,000 mentions there."""
    last = samples[-1].mentions
    half = [one for one in samples if one.mentions >= last / 2]
    slope, base = linear_regression([one.mentions for one in half], [one.mib for one in half])
    return slope * last / 2 / (base + slope * last / 2), slope * 1_000


def per_row(count: int = 100_000) -> float:
    """Return the bytes of memory that a live row takes in a book."""
    book = Book()
    now = int(time.time() * 1000)
    before = resident()
    for number in range(count):
        brand = BRANDS[number % 50].id
        row = Row(now - number, UNIT // 2, 0, 2, leak=False, source="bench")
        book.put(brand, f"bluesky:post/{number}", row)
    return (resident() - before) / count


def per_brand(count: int = 20_000) -> float:
    """Return the bytes of memory that a brand takes once its days have closed."""
    book, again = Book(), Book()
    now = int(time.time() * 1000)
    book.put("brand", "bluesky:post/1", Row(now, UNIT // 2, 0, 2, leak=False, source="bench"))
    closing = [entry for entries in book.close(day_of(now)) for entry in entries]
    value = next(value for key, value in closing if key.startswith(b"c|"))
    before = resident()
    for number in range(count):
        again.apply(f"c|brand-{number}|{day_of(now)}".encode(), value)
    return (resident() - before) / count


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024


def run(options: Namespace, report: Report, kafka: Any, folder: Path) -> None:
    """Measure a worker, then what its state is made of."""
    row, brand = per_row(), per_brand()
    stand = Stand(kafka, folder, "memory", brands=BRANDS)
    samples = follow(stand, options)
    books = stand.books().values()
    ledgers = [ledger for book in books for ledger in book.ledgers.values()]
    rows = sum(len(day) for ledger in ledgers for day in ledger.days.values())
    closed = sum(ledger.closed is not None for ledger in ledgers)
    grew, slope = growth(samples)
    report.table([{"mentions": one.mentions, "MiB": one.mib} for one in picked(samples, 9)])
    state = [
        {"state at the end": "live rows", "number": rows, "bytes each": row},
        {"state at the end": "brands with closed days", "number": closed, "bytes each": brand},
    ]
    report.table(state)
    print(f"memory by mention over the second half: {slope * MIB / 1_000:,.1f} bytes each")
    report.figures |= {
        "samples": samples,
        "state": state,
        "bytes a row": row,
        "bytes a brand": brand,
    }
    report.holds.append(Hold("growth over the second half, share", grew, "<=", 0.05))


def picked(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Return some samples, evenly spread, the last among them."""
    return [samples[(len(samples) - 1) * at // count] for at in range(count + 1)]


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="60,000 posts, nothing held")
    given.add_argument("--posts", type=int, metavar="N", help="posts (default 1,000,000)")
    given.add_argument("--days", type=float, default=30, metavar="N", help="event time (30)")
    options = given.parse_args()
    options.posts = options.posts or (60_000 if options.quick else 1_000_000)
    options.every = 0.2 if options.quick else 1.0
    data = f"{options.posts:,} invented posts about {len(BRANDS):,} brands over {options.days:g} "
    data += f"days of event time, 4 partitions, seed {SEED}"
    report = Report("Memory of one worker while days close", data, options.quick)
    report.head()
    with broker() as (kafka, folder):
        run(options, report, kafka, folder)
    return report.close(options.json)


if __name__ == "__main__":
    sys.exit(main())
