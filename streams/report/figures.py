"""What a brand's charts are drawn from: paths, labels, and the same in rows of a table."""

from dataclasses import dataclass
from math import ceil
from typing import Any, Final, NamedTuple

import numpy as np

from streams.domain.row import DAY, HOUR
from streams.history import BrandHistory
from streams.report import charts
from streams.report.charts import Floats, Ints
from streams.report.scales import Scale, Span, clock, day

_ROWS: Final = 62
"""Most rows of a table."""
_HOVERED: Final = 320
"""Places along a chart that show their figures to the pointer."""
_INDEX: Final = 100.0


class Level(NamedTuple):
    """A labelled height of a chart, in per cent from the bottom."""

    bottom: float
    label: str


class Row(NamedTuple):
    """A line of the table that stands for the charts."""

    since: str
    value: str
    interval: str
    lowest: str
    capital: str
    mood: str
    shock: str
    negative: int
    neutral: int
    positive: int


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The charts of a brand as paths, and the same as text."""

    line: str
    band: str
    capital: str
    hidden: list[Span]
    losses: list[str]
    loss_levels: list[Level]
    bars: list[str]
    bar_levels: list[Level]
    bar_hours: int
    rows: list[Row]
    row_days: int
    hover: dict[str, Any]
    index_text: str
    loss_text: str
    volume_text: str


@dataclass(frozen=True, kw_only=True)
class Course:
    """The arrays of a brand, made safe to draw: nothing endless, no gaps in what is known."""

    at: Ints
    index: Floats
    low: Floats
    high: Floats
    capital: Floats
    mood: Floats
    shock: Floats
    known: charts.Bools
    hours: Ints
    counts: list[Ints]

    @property
    def known_index(self) -> Floats:
        """The index where there is enough evidence."""
        return self.index[self.known]


def course(brand: BrandHistory) -> Course:
    """Return the arrays of a brand, ready to be drawn."""
    finite = np.isfinite(brand.index) & np.isfinite(brand.low) & np.isfinite(brand.high)
    return Course(
        at=brand.at,
        index=np.nan_to_num(brand.index),
        low=np.nan_to_num(brand.low),
        high=np.nan_to_num(brand.high),
        capital=np.nan_to_num(brand.capital),
        mood=np.nan_to_num(brand.mood_loss),
        shock=np.nan_to_num(brand.shock_loss),
        known=brand.enough.astype(bool) & finite,
        hours=brand.hours,
        counts=[brand.negative, brand.neutral, brand.positive],
    )


def draw(scale: Scale, name: str, one: Course) -> Figures:
    """Return the charts of a brand."""
    loss_top = charts.ceiling(float((one.mood + one.shock).max(initial=0.0)), least=10.0)
    size, starts, sums = charts.binned(scale, one.hours, *one.counts)
    bar_top = charts.ceiling(float(np.sum(sums, axis=0).max(initial=0)), least=4.0)
    days, rows = _table(scale, one)
    return Figures(
        line=charts.line(scale, one.at, one.index, top=_INDEX, shown=one.known),
        band=charts.band(scale, one.at, one.low, one.high, top=_INDEX, shown=one.known),
        capital=charts.line(scale, one.at, one.capital, top=_INDEX, shown=one.known),
        hidden=charts.hidden(scale, one.at, one.known),
        losses=charts.layers(scale, one.at, one.mood, one.shock, top=loss_top),
        loss_levels=_levels(loss_top),
        bars=charts.bars(scale, starts, size, sums, top=bar_top),
        bar_levels=_levels(bar_top),
        bar_hours=size,
        rows=rows,
        row_days=days,
        hover=_hover(scale, one, starts, sums, size),
        index_text=_index_text(name, one),
        loss_text=_loss_text(one),
        volume_text=_volume_text(starts, sums, size),
    )


def _levels(top: float) -> list[Level]:
    return [Level(50.0, f"{top / 2:,g}"), Level(100.0, f"{top:,g}")]


def _index_text(name: str, one: Course) -> str:
    """Say in a sentence what the chart of the index shows."""
    if not one.known.any():
        return f"Trust index of {name}: never enough evidence."
    known = np.flatnonzero(one.known)
    first, last, least = known[0], known[-1], known[one.known_index.argmin()]
    return (
        f"Trust index of {name}: {one.index[first]:.0f} on {clock(one.at[first])}, "
        f"lowest {one.index[least]:.0f} on {clock(one.at[least])}, "
        f"{one.index[last]:.0f} on {clock(one.at[last])} "
        f"(95 % interval {one.low[last]:.0f} to {one.high[last]:.0f})."
    )


def _loss_text(one: Course) -> str:
    total = one.mood + one.shock
    if not total.any():
        return "Nothing was taken off the capital."
    most = int(total.argmax())
    return (
        f"Points taken off the capital: at most {total[most]:.1f}, on {clock(one.at[most])}: "
        f"{one.mood[most]:.1f} by the mood and {one.shock[most]:.1f} by shocks."
    )


def _volume_text(starts: Ints, sums: list[Ints], size: int) -> str:
    total = np.sum(sums, axis=0)
    if not len(total):
        return "No posts."
    most = int(total.argmax())
    span = "hour" if size == 1 else f"{size} hours"
    return (
        f"Posts by sentiment: {sums[0].sum():,} negative, {sums[1].sum():,} neutral and "
        f"{sums[2].sum():,} positive; most in the {span} from {clock(starts[most])}: "
        f"{total[most]:,}."
    )


def _table(scale: Scale, one: Course) -> tuple[int, list[Row]]:
    """Return a row a day, or for as many days as keep the table readable."""
    first, last = scale.start // DAY, scale.end // DAY
    days = ceil((last - first + 1) / _ROWS)
    spans = [(at * DAY, (at + days) * DAY) for at in range(first, last + 1, days)]
    rows = [_row(one, since, until) for since, until in spans]
    return days, [row for row in rows if row]


def _row(one: Course, since: int, until: int) -> Row | None:
    steps = np.flatnonzero((one.at > since) & (one.at <= until))
    hours = (one.hours >= since) & (one.hours < until)
    if not len(steps):
        return None
    last, known = steps[-1], steps[one.known[steps]]
    shown = one.known[last]
    return Row(
        since=day(since),
        value=f"{one.index[last]:.1f}" if shown else "unknown",
        interval=f"{one.low[last]:.0f} to {one.high[last]:.0f}" if shown else "",
        lowest=f"{one.index[known].min():.1f}" if len(known) else "",
        capital=f"{one.capital[last]:.1f}" if shown else "",
        mood=f"{one.mood[last]:.1f}",
        shock=f"{one.shock[last]:.1f}",
        negative=int(one.counts[0][hours].sum()),
        neutral=int(one.counts[1][hours].sum()),
        positive=int(one.counts[2][hours].sum()),
    )


def _hover(scale: Scale, one: Course, starts: Ints, sums: list[Ints], size: int) -> dict[str, Any]:
    """Return what the script shows under the pointer, a few hundred places at most."""
    count = len(one.at)
    kept = np.unique(np.linspace(0, max(count - 1, 0), min(count, _HOVERED)).astype(int))
    places = kept if count else np.array([], dtype=int)
    index, low, high, mood, shock = (
        [_short(value) for value in values[places].tolist()]
        for values in (one.index, one.low, one.high, one.mood, one.shock)
    )
    known = one.known[places].tolist()
    return {
        "s": scale.start,
        "l": scale.length,
        "t": ((one.at[places] - scale.start) // 60_000).tolist(),
        "i": [value if seen else None for value, seen in zip(index, known, strict=True)],
        "a": low,
        "z": high,
        "m": mood,
        "k": shock,
        "b": ((starts - scale.start) // HOUR).tolist(),
        "w": size,
        "v": [counts.tolist() for counts in sums],
    }


def _short(value: float) -> float | int:
    rounded = round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
