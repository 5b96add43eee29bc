"""Instants on the horizontal axis: where they stand, which are labelled, how they are written."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from streams.domain.row import DAY, HOUR
from streams.pipeline import millis

WIDTH: Final = 2000
"""Units of a drawing from left to right; whatever the screen, it is stretched to fit."""

_MOST: Final = 8
"""Labels under a chart."""
_STEPS: Final = (HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120, 240)
_YEAR: Final = 12
_EDGE: Final = 4.0
"""Per cent from an edge within which a label would stick out."""


class Tick(NamedTuple):
    """A labelled instant."""

    left: float
    """Per cent from the left."""
    label: str
    side: str
    """`start` or `end` for one that would stick out, else `middle`."""


class Span(NamedTuple):
    """A part of the axis, in per cent."""

    left: float
    width: float


class Scale(NamedTuple):
    """The period that all charts of a report share, in milliseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """Milliseconds from the left to the right, at least one hour."""
        return max(self.end - self.start, HOUR)

    def share(self, at: int) -> float:
        """Return where an instant stands: 0 at the left, 1 at the right."""
        return min(max((at - self.start) / self.length, 0.0), 1.0)

    def left(self, at: int) -> float:
        """Return where an instant stands, in per cent."""
        return round(100 * self.share(at), 2)

    def span(self, since: int, until: int) -> Span:
        """Return the part of the axis from one instant to another."""
        left = self.left(since)
        return Span(left, round(self.left(until) - left, 2))

    def ticks(self) -> list[Tick]:
        """Return the instants to label, at most eight."""
        return [self._tick(at, label) for at, label in self._labels()]

    def _tick(self, at: int, label: str) -> Tick:
        left = self.left(at)
        side = "start" if left < _EDGE else "end" if left > 100 - _EDGE else "middle"
        return Tick(left, label, side)

    def _labels(self) -> Iterator[tuple[int, str]]:
        step = next((step for step in _STEPS if self.length / step <= _MOST), None)
        if step is None:
            yield from self._months()
            return
        for at in range(-(-self.start // step) * step, self.end + 1, step):
            moment = _moment(at)
            yield at, f"{moment:%H:%M}" if at % DAY else f"{moment.day} {moment:%b}"

    def _months(self) -> Iterator[tuple[int, str]]:
        first, last = _month(self.start), _month(self.end)
        step = next((step for step in _MONTHS if (last - first) / step <= _MOST), _MONTHS[-1])
        for month in range(-(-(first + 1) // step) * step, last + 1, step):
            moment = datetime(month // _YEAR, month % _YEAR + 1, 1, tzinfo=UTC)
            yield millis(moment), f"{moment:%Y}" if step >= _YEAR else f"{moment:%b %Y}"


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)


def _month(at: int) -> int:
    moment = _moment(at)
    return moment.year * _YEAR + moment.month - 1


def clock(at: int) -> str:
    """Write an instant for people, in UTC.

    >>> clock(1_424_585_400_000)
    '22 Feb 2015, 06:10'
    """
    moment = _moment(at)
    return f"{moment.day} {moment:%b %Y, %H:%M}"


def day(at: int) -> str:
    """Write the day of an instant.

    >>> day(1_424_585_400_000)
    '22 Feb 2015'
    """
    moment = _moment(at)
    return f"{moment.day} {moment:%b %Y}"


def stamp(at: int) -> str:
    """Write an instant for machines, as RFC 3339.

    >>> stamp(1_424_585_400_000)
    '2015-02-22T06:10:00Z'
    """
    return f"{_moment(at):%Y-%m-%dT%H:%M:%SZ}"


def lasting(length: int) -> str:
    """Write a length of time, in milliseconds, with its two largest units.

    >>> lasting(100_000_000), lasting(600_000), lasting(2_678_400_000)
    ('1 d 3 h', '10 min', '31 d')
    """
    minutes = max(0, round(length / 60_000))
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(
        f"{number} {unit}" for i, (number, unit) in enumerate(parts[:2]) if number or not i
    )
