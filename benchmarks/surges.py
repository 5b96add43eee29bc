"""Made-up brands with surges, the rules of thumb that others use, and how an alarm is measured."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DAY = 144
"""Ticks of ten minutes in a day."""
MONDAY = 19_996
"""A day since 1970 that is a Monday: where all that is made up begins."""
MERGED = DAY
"""Ticks: alarms less than this apart are one. Whatever is above within it before a surge is out."""
LENGTH = 7 * DAY
"""Ticks that a surge lasts; what has not seen it by then never does."""

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]


class Surge(NamedTuple):
    """Brands whose rate rises `factor` times at the ticks `onset`."""

    factor: float
    onset: Counts


def make(
    rng: np.random.Generator,
    rate: float,
    season: Scores,
    surge: Surge | None = None,
) -> Counts:
    """Make posts of brands by tick, at a mean rate an hour: shape (brands, ticks).

    A self-exciting (Hawkes) process: each post draws answers, an exponential number in the mean
    0.1 to 0.5 by brand, half of them within some 30 minutes, half within some 6 hours. The rest
    follows the season, times a level that drifts (20 %, over 30 days).
    """
    brands, ticks = season.shape
    base: Scores = season * np.repeat(drift(rng, brands, ticks // DAY) * rate / 6, DAY, axis=1)
    excited: Scores = np.asarray(rng.uniform(0.1, 0.5, brands))
    base = base * (1 - excited)[:, None]
    if surge:
        since = np.arange(ticks) - surge.onset[:, None]
        base = np.where((since >= 0) & (since < LENGTH), base * surge.factor, base)
    return excite(rng, base, excited)


def excite(rng: np.random.Generator, base: Scores, excited: Scores) -> Counts:
    """Let each post draw answers."""
    lives = np.exp([[-1 / 3], [-1 / 36]])
    pending = np.zeros((2, len(base)))
    posts = np.empty(base.shape, dtype=np.int64)
    for tick in range(base.shape[1]):
        posts[:, tick] = rng.poisson(base[:, tick] + pending.sum(axis=0))
        drawn = excited * rng.gamma(np.maximum(posts[:, tick], 1e-9))
        pending = pending * lives + (1 - lives) * drawn / 2
    return posts


def seasons(rng: np.random.Generator, brands: int, days: int) -> Scores:
    """Make how many times the mean rate each tick has: shape (brands, ticks).

    A day of two harmonics, its own for each brand; a weekend, 0.5 to 1.1 times the rest; and one
    day in 30 a holiday, 0.3 to 0.6 or 1.2 to 1.7 times as busy.
    """
    tick = np.arange(days * DAY)
    hour, weekend = tick % DAY / 6, tick // DAY % 7 >= 5
    first, second = rng.uniform(0.4, 1.1, (brands, 1)), rng.uniform(0.0, 0.4, (brands, 1))
    own = rng.uniform(0.5, 1.1, (brands, 1))
    peak, other = rng.uniform(12, 20, (brands, 1)), rng.uniform(0, 12, (brands, 1))
    shape = first * np.cos(2 * np.pi * (hour - peak) / 24)
    shape = np.exp(shape + second * np.cos(4 * np.pi * (hour - other) / 24))
    shape = np.where(weekend, shape * own, shape)
    shape /= shape[:, : 7 * DAY].mean(axis=1, keepdims=True)
    return np.asarray(shape * np.repeat(holidays(rng, brands, days), DAY, axis=1))


def holidays(rng: np.random.Generator, brands: int, days: int) -> Scores:
    quiet = rng.random((brands, days)) < 0.5
    size = np.where(quiet, rng.uniform(0.3, 0.6, quiet.shape), rng.uniform(1.2, 1.7, quiet.shape))
    return np.where(rng.random(quiet.shape) < 1 / 30, size, 1.0)


def drift(rng: np.random.Generator, brands: int, days: int) -> Scores:
    """Make a level for each day: Ornstein and Uhlenbeck's process, in logarithms."""
    level = np.empty((brands, days))
    now = rng.normal(0, 0.2, brands)
    for day in range(days):
        level[:, day] = now
        now = now * (1 - 1 / 30) + rng.normal(0, 0.2 * np.sqrt(2 / 30), brands)
    return np.exp(level - 0.02)


def last(counts: Counts | Scores, span: int) -> Scores:
    """Sum the last ticks, this one included."""
    sums = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1, dtype=float)
    ends = np.arange(counts.shape[1]) + 1
    return np.asarray(sums[:, ends] - sums[:, np.maximum(ends - span, 0)])


def back(values: Scores, ticks: int) -> Scores:
    """Give what was so many ticks ago."""
    return np.pad(values, ((0, 0), (ticks, 0)))[:, : values.shape[1]]


def mean_3sd(counts: Counts) -> Scores:
    """Standard deviations of the last hour above the mean hour of the 14 days before."""
    hour, span = last(counts, 6), 14 * DAY
    mean = back(last(hour, span), 6) / span
    square = back(last(hour**2, span), 6) / span
    return (hour - mean) / np.maximum(np.sqrt(np.maximum(square - mean**2, 0)), 0.3)


def hour_against_12(counts: Counts) -> Scores:
    """The last hour over the mean of the 12 hours before, or over one."""
    return last(counts, 6) / np.maximum(back(last(counts, 72), 6) / 12, 1.0)


def ears_hours(counts: Counts) -> Scores:
    """EARS C2 on hours: against the mean of 7, two hours ago."""
    return _ears(counts, 6, 0.5)


def ears_days(counts: Counts) -> Scores:
    """EARS C2 on days, as it was made for; a day ends with each tick here."""
    return _ears(counts, DAY, 1.0)


def _ears(counts: Counts, unit: int, least: float) -> Scores:
    sums = last(counts, unit)
    past = np.stack([back(sums, unit * (3 + each)) for each in range(7)])
    spread = np.maximum(past.std(axis=0, ddof=1), least)
    return np.asarray((sums - past.mean(axis=0)) / spread)


def episodes(scores: Scores, threshold: float) -> int:
    """Count alarms; those close together are one."""
    total = 0
    for row in scores >= threshold:
        above = np.flatnonzero(row)
        total += bool(above.size) + int((np.diff(above) > MERGED).sum())
    return total


def calibrate(scores: Scores, days: float) -> float:
    """Give the lowest threshold with at most one false alarm in so many brand-days."""
    wished = scores.size / DAY / days
    low, high = 0.0, float(scores.max()) + 1
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if episodes(scores, middle) > wished else (low, middle)
    return high


@dataclass(frozen=True)
class Delay:
    """Hours from onset to alarm; infinite where more never came than the quantile leaves out."""

    median: float
    low: float
    """The median's 95 % interval, by order statistics."""
    high: float
    ninth: float
    """90th percentile."""
    runs: int
    blind: float
    """Share of runs that were in alarm already in the day before, and do not count."""


def hours(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}"


def delay(scores: Scores, threshold: float, onset: Counts) -> Delay:
    """Measure how soon surges are seen."""
    found = []
    for row, start in zip(scores >= threshold, onset, strict=True):
        if not row[start - MERGED : start].any():
            seen = np.flatnonzero(row[start : start + LENGTH])
            found.append((seen[0] + 1) / 6 if seen.size else np.inf)
    ordered, size = np.sort(found), len(found)
    reach = 0.98 * np.sqrt(size)
    at = [size / 2, size / 2 - reach, size / 2 + reach, 0.9 * size]
    median, low, high, ninth = (float(ordered[min(max(int(i), 0), size - 1)]) for i in at)
    return Delay(median, low, high, ninth, runs=size, blind=1 - size / len(onset))
