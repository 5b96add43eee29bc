"""Delay against false alarms as a picture: a place for each threshold, and the same in a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from streams.report.charts import ceiling
from streams.report.words import DASH, advice
from streams.sweep import Point, Rate, advised

_SPAN: Final = 90.0
"""Days that a rate of false pages is told for."""
_MISSED: Final = 92.0
"""Height, in per cent, at which a crisis that was missed stands."""
_LINE: Final = 35.0
"""Height of all dots where no crisis was named, so that there is no delay to show."""
_NEAR: Final = 6.0
"""Per cent within which two dots would hide each other."""
_SEEN: Final = 80.0
"""Height of the longest delay."""


class Dot(NamedTuple):
    """One or more thresholds that come to the same; in per cent from the left and the bottom."""

    left: float
    bottom: float
    label: str
    title: str
    chosen: bool


class Line(NamedTuple):
    """A line of the table."""

    threshold: str
    pages: int
    false: int
    other: int
    rate: str
    seen: str
    delay: str
    used: bool
    chosen: bool


class Mark(NamedTuple):
    """A labelled place on an axis, in per cent."""

    place: float
    label: str


@dataclass(frozen=True, kw_only=True)
class Tradeoff:
    """The picture of a sweep."""

    advice: str
    dots: list[Dot]
    lines: list[Line]
    across: list[Mark]
    up: list[Mark]
    wish: float
    """Where the wished rate stands on the horizontal axis."""
    crises: int


def tradeoff(points: Sequence[Point], wish: Rate, *, used: float) -> Tradeoff:
    """Return the picture of a sweep, all brands together."""
    whole = sorted((one for one in points if one.brand is None), key=lambda one: one.threshold or 0)
    best = advised(points, wish)
    right = ceiling(_SPAN * max([wish.daily, *(one.daily for one in whole)]))
    longest = ceiling(max((one.delay or 0.0 for one in whole), default=0.0))
    return Tradeoff(
        advice=advice(best, wish, highest=whole[-1], used=used),
        dots=_dots(whole, right, longest, best),
        lines=[_line(one, used=used, chosen=one == best) for one in whole],
        across=[
            Mark(_across(part * right, right), f"{part * right:.3g}") for part in (0, 0.1, 0.4, 1)
        ],
        up=_heights(longest) if whole[0].crises else [],
        wish=_across(_SPAN * wish.daily, right),
        crises=whole[0].crises,
    )


def _dots(points: Sequence[Point], right: float, longest: float, best: Point | None) -> list[Dot]:
    """Return a dot for each place; thresholds that come to nearly the same share it."""
    places: dict[tuple[float, float], list[Point]] = {}
    for one in points:
        left, bottom = _place(one, right, longest)
        near = ((x, y) for x, y in places if abs(x - left) < _NEAR and abs(y - bottom) < _NEAR)
        places.setdefault(next(near, (left, bottom)), []).append(one)
    return [
        Dot(left, bottom, _names(some), _title(some[0]), best in some)
        for (left, bottom), some in places.items()
    ]


def _place(one: Point, right: float, longest: float) -> tuple[float, float]:
    left = _across(_SPAN * one.daily, right)
    if not one.crises:
        return left, _LINE
    return left, _MISSED if one.delay is None else round(_SEEN * one.delay / longest, 2)


def _across(rate: float, right: float) -> float:
    """Return where a rate stands: by its square root, as the low ones matter."""
    return round(100 * sqrt(rate / right), 2)


def _heights(longest: float) -> list[Mark]:
    steps = [Mark(_SEEN * part, f"{longest * part:g} h") for part in (0, 0.5, 1)]
    return [*steps, Mark(_MISSED, "missed")]


def _names(points: Sequence[Point]) -> str:
    """Name thresholds: the first and the last of several."""
    first, last = points[0].threshold, points[-1].threshold
    return f"{first:g}" if first == last else f"{first:g}{DASH}{last:g}"


def _title(one: Point) -> str:
    return f"{one.false} false pages, {_SPAN * one.daily:.2g} for a brand in 90 days"


def _line(one: Point, *, used: float, chosen: bool) -> Line:
    return Line(
        threshold=f"{one.threshold:g}",
        pages=one.pages,
        false=one.false,
        other=one.other,
        rate=f"{_SPAN * one.daily:.2f}",
        seen=f"{one.seen} of {one.crises}",
        delay="missed" if one.delay is None else f"{one.delay:.1f} h",
        used=one.threshold == used,
        chosen=chosen,
    )
