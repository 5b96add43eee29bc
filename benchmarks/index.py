"""What the trust index holds and what it costs: attacks, silence, certainty, wrong labels, speed.

    python benchmarks/index.py                  everything; exits 1 when a held figure is missed
    python benchmarks/index.py --quick          a tenth of it; shows the figures and holds none
    python benchmarks/index.py --only interval  one part: attacks, interval, labels or speed

All brands are made up from a seed. A brand has so many posts a day at random instants, each by an
author and in words of its own; a post is praise, blame or neither by the brand's shares, and the
probabilities that a classifier would give are drawn from Beta distributions around that. Posts go
through the same rows, ledgers, books and watch as a worker's. Nothing here needs a broker.
"""

import gc
import sys
import time
import tracemalloc
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lab import Hold, Report, parser
from streams.domain.book import Book
from streams.domain.brands import Brand
from streams.domain.ledger import Ledger
from streams.domain.row import DAY, HOUR, UNIT, Row, instant
from streams.domain.track import TICK
from streams.domain.trust import Reading, Rule, read
from streams.domain.view import view
from streams.history import replay
from streams.pipeline import follow, reading
from streams.reasons import Reasons
from streams.records import Mention, Sentiment

SEED = 20261123
START = 20_003 * DAY
RULE = Rule()
BALANCE = 2.0
USUAL = 100
"""Posts a day of the brand that is attacked."""
CALM = 120
"""Days before the attack."""
BOT_POSTS = 20
"""Posts of a bot over the two days of an attack..."""
BOT_TEXTS = 5
"""...from a stock of so many texts that all bots share."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of brand: its shares of praise and blame; the rest is neither."""

    name: str
    praise: float
    blame: float


KINDS = (Kind("liked", 0.50, 0.10), Kind("mixed", 0.35, 0.25), Kind("disliked", 0.20, 0.40))
LOUD = Kind("loud", 0.70, 0.26)
"""Everybody has an opinion of it: the brand that is attacked. A naive share of praise says 73 %."""


class Posts:
    """Rows made from a seed.

    Args:
        rng: where chance comes from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def steady(
        self, kind: Kind, first: int, last: int, each: float, flipped: float = 0.0
    ) -> list[Row]:
        """Return the posts of a brand from one day to before another."""
        count = int(self._rng.poisson(each * (last - first)))
        at = START + first * DAY + self._rng.integers(0, (last - first) * DAY, count)
        shares = [kind.praise, kind.blame, 1 - kind.praise - kind.blame]
        gain, loss = self.judged(self._rng.choice(3, count, p=shares))
        wrong = self._rng.random(count) < flipped
        return self.rows(at, np.where(wrong, loss, gain), np.where(wrong, gain, loss))

    def judged(self, mood: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Return probabilities of praise and blame for praise (0), blame (1) and neither (2)."""
        sure, stray = self._rng.beta(8, 2, len(mood)), self._rng.beta(1, 8, len(mood))
        low = stray * (1 - sure)
        return np.where(mood == 0, sure, low), np.where(mood == 1, sure, low)

    def rows(self, at: NDArray[np.int64], gain: Floats, loss: Floats) -> list[Row]:
        """Return rows, each by an author and in words of its own."""
        keys = self._rng.integers(1, 2**62, (len(at), 2))
        return [
            Row(int(t), int(g * UNIT), int(b * UNIT), 2 if g > b else 0, False, "forum", 0, a, c)
            for t, g, b, (a, c) in zip(at, gain, loss, keys.tolist(), strict=True)
        ]

    def bots(self, count: int, day: int, days: int, mood: int) -> list[Row]:
        """Return the posts of a campaign: accounts made for it, and near-copies."""
        posts = count * BOT_POSTS
        at = START + day * DAY + self._rng.integers(0, days * DAY, posts)
        gain, loss = self.judged(np.full(posts, mood))
        return [
            row._replace(author=1 + n % count, copy=1 + n % BOT_TEXTS, young=True)
            for n, row in enumerate(self.rows(at, gain, loss))
        ]


def ledger(rows: Iterable[Row]) -> Ledger:
    """Return a ledger with rows."""
    made = Ledger(RULE)
    for number, row in enumerate(rows):
        made.put(f"post/{number}", row)
    return made


def index(made: Ledger, day: float) -> float:
    """Return the index of a ledger some days after the start."""
    at = START + int(day * DAY)
    return float(view("acme", made, at=at, rule=RULE, balance=BALANCE).reading.index)


# ---------------------------------------------------------------------------------- properties


def attacks(options: Namespace, report: Report) -> None:
    """What campaigns and crowds do to a brand of 100 posts a day."""
    seeds = range(SEED, SEED + (1 if options.quick else 5))
    report.table(astroturf(seeds, report))
    report.table(bought(seeds, report))
    report.table(crowds(report))
    report.table(silence(options, report))


@dataclass
class Effect:
    """What posts do to a brand over two weeks, against the same brand without them."""

    before: float
    cost: float
    lift: float
    """Over what the index was before."""
    relief: float
    """Over what it would have been at that instant: a bad mood by chance is relieved too."""
    later: float


def effect(calm: list[Row], more: list[Row]) -> Effect:
    """Return what posts do to a brand that has had `CALM` days."""
    made, without = ledger([*calm, *more]), ledger(calm)
    days = [CALM + hour / 24 for hour in (*range(1, 73), *range(96, 14 * 24, 24))]
    pairs = np.array([(index(without, day), index(made, day)) for day in days])
    before = float(max(index(without, CALM - hour / 24) for hour in range(48)))
    moved = pairs[:, 1] - pairs[:, 0]
    highest = float(pairs[:, 1].max()) - max(before, float(pairs[:, 0].max()))
    return Effect(before, float(-moved.min()), highest, float(moved.max()), float(moved[-1]))


def mean(effects: Sequence[Effect], what: str) -> float:
    """Return the mean of an effect over the seeds."""
    return float(np.mean([getattr(one, what) for one in effects]))


def attacked(seed: int) -> tuple[Posts, list[Row], list[Row]]:
    """Return a maker of posts, a brand's posts, and those of the two days of an attack."""
    posts = Posts(np.random.default_rng(seed))
    calm = posts.steady(LOUD, 0, CALM + 14, USUAL)
    return posts, calm, [row for row in calm if CALM <= (row.at - START) / DAY < CALM + 2]


def astroturf(seeds: Sequence[int], report: Report) -> list[dict[str, Any]]:
    """Return what a campaign of complaints over two days costs."""
    table = []
    for share, most in ((0.05, 3), (0.10, 8), (0.21, 16), (0.45, 28)):
        effects, naively = [], []
        for seed in seeds:
            posts, calm, people = attacked(seed)
            bots = posts.bots(round(len(people) * share / (1 - share)), CALM, 2, mood=1)
            effects.append(effect(calm, bots))
            naively.append((naive(people), naive([*people, *bots])))
        then, now = 100 * np.mean(naively, axis=0)
        cost = mean(effects, "cost")
        table.append(
            {
                "complaining bots": f"{share:.0%} of the accounts",
                "their posts": len(bots),
                "of people": len(people),
                "index before": mean(effects, "before"),
                "cost": cost,
                "after 14 days": -mean(effects, "later"),
                "naive share": f"{then:.0f} -> {now:.0f}",
            }
        )
        report.holds.append(Hold(f"points lost to {share:.0%} bots", cost, "<=", most))
    report.figures["astroturf"] = table
    return table


def naive(rows: Sequence[Row]) -> float:
    """Return the share of praise among posts with a mood."""
    good = sum(row.gain > UNIT // 5 for row in rows)
    bad = sum(row.loss > UNIT // 5 for row in rows)
    return good / max(1, good + bad)


def bought(seeds: Sequence[int], report: Report) -> list[dict[str, Any]]:
    """Return what praise lifts that was bought in one day."""
    table = []
    for name in ("bots, 45% of the accounts", f"{10 * USUAL:,} old accounts, own words"):
        effects = []
        for seed in seeds:
            posts, calm, _ = attacked(seed)
            rows = posts.bots(round(USUAL * 0.45 / 0.55), CALM, 1, mood=0)
            if name.endswith("words"):
                rows = posts.steady(Kind("", 1.0, 0.0), CALM, CALM + 1, 10 * USUAL)
            effects.append(effect(calm, rows))
        lift = mean(effects, "lift")
        row = {"praise of one day": name, "posts": len(rows), "highest lift": lift}
        relief = {"with relief of moods": mean(effects, "relief")}
        table.append(row | relief | {"after 14 days": mean(effects, "later")})
        report.holds.append(Hold(f"points won by {name}", lift, "<=", 3))
    report.figures["bought"] = table
    return table


def crowds(report: Report) -> list[dict[str, Any]]:
    """Return what two days of real people at five times the volume do, for and against."""
    table = []
    posts, calm, _ = attacked(SEED)
    later = posts.steady(LOUD, CALM + 14, CALM + 92, USUAL)
    for name, kind in (("blame", Kind("", 0.0, 1.0)), ("praise", Kind("", 1.0, 0.0))):
        crowd = posts.steady(kind, CALM, CALM + 2, 5 * USUAL)
        made = ledger([*calm, *crowd, *later])
        days = {"before": 0.0, "after 2 days": 2.0, "day 5": 5.0, "day 14": 14.0, "day 90": 90.0}
        row = {"2 days, 5x volume": name}
        table.append(row | {at: index(made, CALM + day) for at, day in days.items()})
    fall = table[0]["before"] - table[0]["after 2 days"]
    rise = table[1]["after 2 days"] - table[1]["before"]
    report.holds.append(Hold("points lost by two days of blame", fall, ">=", 25))
    report.holds.append(Hold("points won by two days of praise", rise, "<=", 5))
    report.figures["crowds"] = table
    return table


def silence(options: Namespace, report: Report) -> list[dict[str, Any]]:
    """Return when a liked brand that falls silent has lost half of its lead."""
    heard, table = 400 if options.quick else 900, []
    for each in (2, 10) if options.quick else (2, 20):
        rng = np.random.default_rng(SEED + each)
        made = ledger(Posts(rng).steady(KINDS[0], 0, heard, each))
        lead = index(made, heard) - 50
        half = next(day for day in range(1, 400) if index(made, heard + day) - 50 <= lead / 2)
        table.append({"posts a day before": each, "lead in points": lead, "half after days": half})
    report.holds.append(Hold("days until half the lead is gone, at least", half, ">=", 60))
    report.holds.append(Hold("days until half the lead is gone, at most", half, "<=", 84))
    report.figures["silence"] = table
    return table


def interval(options: Namespace, report: Report) -> None:
    """How often the interval holds the index that the brand would have without chance.

    That index is the one of the mean sums: of the same posts, caps and prior, had each post come
    and been judged as on average. A run is a brand of 120 days, read at one instant.
    """
    runs, table = (40 if options.quick else 400), []
    for each in (2, 20):
        for kind in KINDS:
            rng = np.random.default_rng([SEED, each, int(100 * kind.praise)])
            sums = np.array([_sums(rng, kind, each) for _ in range(runs)])
            found = read(sums, rule=RULE, balance=BALANCE, kept=1.0)
            true = read(sums.mean(axis=0), rule=RULE, balance=BALANCE, kept=1.0)
            table.append(_covered(f"{kind.name}, {each} a day", found, float(true.index)))
    report.table(table)
    report.figures["interval"] = table
    for each in (2, 20):
        some = [row["covered"] for row in table if row["brand"].endswith(f" {each} a day")]
        covered = float(np.mean(some))
        name = f"covered at {each} posts a day, {len(some) * runs:,} runs"
        report.holds += [Hold(name, covered, ">=", 0.93), Hold(name, covered, "<=", 0.97)]


def _sums(rng: np.random.Generator, kind: Kind, each: int) -> Floats:
    made = ledger(Posts(rng).steady(kind, 0, CALM, each))
    at = START + CALM * DAY
    return view("acme", made, at=at, rule=RULE, balance=BALANCE).scene.sums


def _covered(name: str, found: Reading, true: float) -> dict[str, Any]:
    return {
        "brand": name,
        "index": true,
        "covered": float(((found.low <= true) & (true <= found.high)).mean()),
        "half-width": float((found.high - found.low).mean() / 2),
        "spread": float(found.index.std()),
        "bias": float(found.index.mean() - true),
        "enough": float(found.enough.mean()),
    }


def labels(options: Namespace, report: Report) -> None:
    """What wrong labels do: praise taken for blame and blame for praise."""
    each, table = (20 if options.quick else 100), []
    for flipped in (0.0, 0.1, 0.2, 0.25, 0.3, 0.4):
        row: dict[str, Any] = {"labels flipped": f"{flipped:.0%}"}
        for kind in KINDS:
            rng = np.random.default_rng(SEED)
            made = ledger(Posts(rng).steady(kind, 0, CALM, each, flipped))
            row[kind.name] = index(made, CALM)
        row["liked less disliked"] = row["liked"] - row["disliked"]
        table.append(row)
    report.table(table)
    report.figures["labels"] = table


# --------------------------------------------------------------------------------------- speed


def speed(options: Namespace, report: Report) -> None:
    """What it costs, in seconds of one processor: waiting for other programs does not count."""
    few = 10 if options.quick else 1
    figures = {
        **weighed(1_000_000 // few),
        **ticks(10_000 // few),
        **reads(100_000 // few),
        **followed(60_000 // few),
        **recovered(1_000_000 // few),
        **replayed(200_000 // few),
    }
    report.table([{"cost": name, "figure": figure} for name, (figure, *_) in figures.items()])
    for name, (figure, *bound) in figures.items():
        report.figures[name] = figure
        if bound:
            report.holds.append(Hold(name, figure, *bound))


Figures = dict[str, tuple[Any, ...]]


def rows_of(rng: np.random.Generator, count: int, span: int, begin: int = START) -> list[Row]:
    """Return rows at random instants of a span, in their order."""
    at = np.sort(begin + rng.integers(0, span, count))
    posts = Posts(rng)
    gain, loss = posts.judged(rng.choice(3, count, p=[0.35, 0.25, 0.4]))
    rows = posts.rows(at, gain, loss)
    return [row._replace(url=f"https://forum.example/{n:038}") for n, row in enumerate(rows)]


def ticks(brands: int) -> Figures:
    """Time ticks of ten minutes over brands with 20 live rows each."""
    rng, book = np.random.default_rng(SEED), Book()
    for n, row in enumerate(rows_of(rng, 20 * brands, 2 * DAY)):
        book.put(f"brand-{n % brands}", f"post/{n}", row)
    now = (START + 2 * DAY) // TICK
    found: Figures = {f"s to look at two days of {brands:,} brands": (timed(book, now),)}
    for share in (0.0, 0.1, 1.0):
        costs = []
        for _ in range(3):
            now += 1
            talk = rows_of(rng, round(brands * share), TICK, now * TICK - TICK)
            for n, row in enumerate(talk):
                book.put(f"brand-{n}", f"new/{now}/{n}", row)
            costs.append(timed(book, now))
        name = f"s a tick of {brands:,} brands, {share:.0%} with new posts"
        found[name] = (min(costs), "<=", 1.0) if share < 1 else (min(costs),)
    return found


def timed(book: Book, until: int) -> float:
    """Return the seconds that a step takes."""
    began = time.process_time()
    book.step(until)
    return time.process_time() - began


def reads(count: int) -> Figures:
    """Time a reading of one brand with many live rows, with what moved it."""
    rng, book = np.random.default_rng(SEED), Book()
    for n, row in enumerate(rows_of(rng, count, 2 * DAY)):
        book.put("acme", f"post/{n}", row)
    at, costs = START + 2 * DAY, []
    book.view("acme", at)
    for n in range(5):
        book.put("acme", f"new/{n}", Row(at - 60_000, UNIT, 0, 2, False, "forum"))
        began = time.process_time()
        seen = book.view("acme", at)
        bare = time.process_time() - began
        reading(seen, at=at, late=0)
        costs.append((bare, time.process_time() - began))
    bare, whole = np.min(costs, axis=0)
    return {
        f"ms to read a brand with {count:,} live rows": (1000 * bare, "<=", 50),
        f"ms with groups and posts that moved it ({count:,} rows)": (1000 * whole,),
    }


def mention(n: int, row: Row, brand: str) -> Mention:
    """Return a row as the mention that it came from."""
    gain, loss = row.gain / UNIT, row.loss / UNIT
    return Mention(
        post=f"forum:post/{n}",
        at=instant(row.at),
        partition=n % 4,
        offset=n,
        brand=brand,
        source="forum",
        sentiment=Sentiment(loss, max(0.0, 1 - gain - loss), gain),
        author=f"{row.author:016x}",
        copy=f"{row.copy:016x}",
        url=row.url,
        model="none",
    )


@dataclass
class Taken:
    """A record with a value."""

    value: bytes


def followed(count: int) -> Figures:
    """Time `follow` with all that a worker does of the index: rows, readings, ticks, signals."""
    rng, book = np.random.default_rng(SEED), Book()
    rows = rows_of(rng, count, 12 * HOUR)
    encode = msgspec.json.encode
    brands = [f"brand-{n}" for n in np.minimum(rng.zipf(1.3, count), 1_000).tolist()]
    records = [Taken(encode(mention(n, row, brands[n]))) for n, row in enumerate(rows)]
    began, ended, dirty = time.process_time(), 0.0, set[str]()
    # A worker reads brands once a second: here after as many mentions as are held to one.
    second = 0
    reasons = Reasons(lambda: float(second))
    for first in range(0, count, 500):
        out = follow(records[first : first + 500], book, heard=float(first))
        dirty |= out.brands
        if first % 2_000 == 0:
            second += 1
            readings(book, dirty | reasons.due(), reasons)
            dirty.clear()
            book.tell(book.step((book.progress.reached(idle_after=60) or 0) // TICK))
    readings(book, dirty, reasons)
    ended = time.process_time() - began
    return {"mentions/s through follow with readings and ticks": (count / ended, ">=", 2_000)}


def readings(book: Book, brands: Iterable[str], reasons: Reasons) -> None:
    """Read brands as a worker does."""
    for brand in reasons.begin(brands):
        newest, anew = book.ledgers[brand].newest(), reasons.wanted(brand)
        seen = book.view(brand, newest + 1, since=None if anew else newest + 1)
        why = reasons.find(seen) if anew else reasons.recall(brand)
        reading(seen, at=newest, late=0, why=why)


def recovered(count: int) -> Figures:
    """Time the changelog of many rows back into a book, and its first look."""
    rng = np.random.default_rng(SEED)
    rows = rows_of(rng, count, 3 * DAY)
    entries = [(f"r|brand-{n % 1_000}|post/{n}".encode(), row.pack()) for n, row in enumerate(rows)]
    del rows
    book, began = Book(), time.process_time()
    for key, value in entries:
        book.apply(key, value)
    applied = time.process_time() - began
    book.step((START + 3 * DAY) // TICK)
    looked = time.process_time() - began
    return {
        f"s to recover {count:,} rows": (applied, "<=", 60 * count / 1_000_000),
        f"s with the first look of the detectors ({count:,} rows)": (looked,),
    }


def replayed(count: int) -> Figures:
    """Time an offline replay of mentions: rows, readings, detectors, stories."""
    rng = np.random.default_rng(SEED)
    rows = rows_of(rng, count, 30 * DAY)
    brands = [Brand(id=f"brand-{n}", name=f"Brand {n}") for n in range(20)]
    mentions = [mention(n, row, f"brand-{n % 20}") for n, row in enumerate(rows)]
    began = time.process_time()
    replay(mentions, brands=brands)
    return {"mentions/s through replay": (count / (time.process_time() - began), ">=", 20_000)}


def weighed(count: int) -> Figures:
    """Weigh a live row with a link of 60 characters, by the process and by the allocator."""
    rng = np.random.default_rng(SEED)
    by_process = weigh(resident, rng, count)
    tracemalloc.start()
    by_allocator = weigh(lambda: tracemalloc.get_traced_memory()[0], rng, count // 4)
    tracemalloc.stop()
    return {
        f"bytes a row, resident, of {count:,}": (by_process, "<=", 300),
        "bytes a row, allocated": (by_allocator, "<=", 300),
    }


def weigh(measure: Callable[[], int], rng: np.random.Generator, count: int) -> float:
    """Return the bytes that each of so many rows in a book takes."""
    book, piece = Book(), 10_000
    before = measure()
    for first in range(0, count, piece):
        for n, row in enumerate(rows_of(rng, piece, 2 * DAY), first):
            book.put(f"brand-{n % 1_000}", f"forum:post/{n}", row)
    return (measure() - before) / count


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


PARTS = {"attacks": attacks, "interval": interval, "labels": labels, "speed": speed}


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="a tenth of it, nothing held")
    given.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="some parts")
    options = given.parse_args()
    data = f"made-up brands of {USUAL} posts a day or as told, {CALM} days, seed {SEED}"
    report = Report("The trust index", data, options.quick)
    report.head()
    for name in options.only:
        PARTS[name](options, report)
    return report.close(options.json)


if __name__ == "__main__":
    sys.exit(main())
