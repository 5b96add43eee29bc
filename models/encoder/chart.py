"""Draws lines as SVG: a few series over one axis, each with its name beside its last point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Final

COLOURS: Final = (
    "#1f4e79",
    "#b5460f",
    "#2e7d32",
    "#6a1b9a",
    "#00838f",
    "#8d6e00",
    "#c2185b",
    "#555555",
    "#4aa3df",
    "#000000",
)

_WIDE: Final = 800
_HIGH: Final = 440
_EDGE: Final = 56
_NAMES: Final = 260
"""Room for the names at the right."""
_STEPS: Final = 6
_APART: Final = 15
"""Least distance of two names."""


@dataclass(frozen=True)
class Series:
    """One line.

    Attributes:
        name: told beside it.
        points: across and up.
        ring: which of the points has a ring around it.
    """

    name: str
    points: Sequence[tuple[float, float]]
    ring: int | None = None


def draw(found: Sequence[Series], *, title: str, across: str, up: str) -> str:
    """Draw series with at least one point each."""
    left, right = _ends([x for one in found for x, _ in one.points])
    low, high = _ends([y for one in found for _, y in one.points])

    def place(x: float, y: float) -> tuple[float, float]:
        wide, tall = _WIDE - _EDGE - _NAMES, _HIGH - 2 * _EDGE
        return (
            _EDGE + wide * (x - left) / (right - left),
            _HIGH - _EDGE - tall * (y - low) / (high - low),
        )

    grid = [_level(place(left, y), f"{y:,g}") for y in ticks(low, high)]
    grid += [_foot(place(x, low), f"{x:,g}") for x in ticks(left, right)]
    lines = [
        _line(one, [place(x, y) for x, y in one.points], COLOURS[at % len(COLOURS)])
        for at, one in enumerate(found)
    ]
    notes = [_words(_EDGE, 24, title), _words(_EDGE, _HIGH - 10, across), _words(8, 44, up)]
    names = _names([(one.name, place(*one.points[-1])[1]) for one in found])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" '
        f'height="{_HIGH}" font-family="sans-serif" font-size="12" role="img">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{_WIDE}" height="{_HIGH}" fill="#fff"/>'
        + "".join([*grid, *lines, *names, *notes])
        + "</svg>\n"
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, about half a dozen.

    >>> ticks(3.0, 28.0)
    [5, 10, 15, 20, 25]
    """
    rough = (high - low) / _STEPS
    size = 10.0 ** floor(log10(rough))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= rough)
    found = [step * at for at in range(ceil(low / step), floor(high / step) + 1)]
    return [int(one) if one == int(one) else round(one, 6) for one in found]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest, with some room."""
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or 1.0
    return low - room, high + room


def _line(one: Series, places: Sequence[tuple[float, float]], colour: str) -> str:
    dots = "".join(_dot(x, y, colour, ring=at == one.ring) for at, (x, y) in enumerate(places))
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    said = f"{one.name}: {', '.join(f'{y:.1f}' for _, y in one.points)}"
    return (
        f"<g><title>{escape(said)}</title>"
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}</g>'
    )


def _dot(x: float, y: float, colour: str, *, ring: bool) -> str:
    size, fill = (6, "#fff") if ring else (3, colour)
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" stroke="{colour}" stroke-width="2" '
        f'fill="{fill}"/>'
    )


def _names(wanted: Sequence[tuple[str, float]]) -> Iterator[str]:
    """The names at the right, each near the end of its line and none over another."""
    last = 0.0
    colours = {name: COLOURS[at % len(COLOURS)] for at, (name, _) in enumerate(wanted)}
    for name, y in sorted(wanted, key=lambda one: one[1]):
        last = max(y + 4, last + _APART)
        yield _words(_WIDE - _NAMES + 14, last, name, colour=colours[name])


def _level(at: tuple[float, float], words: str) -> str:
    x, y = at
    return (
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDE - _NAMES}" y2="{y:.1f}" stroke="#ddd"/>'
        + _words(x - 6, y + 4, words, anchor="end")
    )


def _foot(at: tuple[float, float], words: str) -> str:
    return _words(at[0], at[1] + 18, words, anchor="middle")


def _words(x: float, y: float, words: str, *, colour: str = "#333", anchor: str = "start") -> str:
    look = f'x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}"'
    return f"<text {look}>{escape(words)}</text>"
