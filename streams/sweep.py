"""What alarms cost and what they bring: false pages and delays, for one threshold or for many."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from math import inf, sqrt
from statistics import median
from typing import Final, NamedTuple

from streams.domain.row import DAY, HOUR
from streams.errors import InputError
from streams.pipeline import millis
from streams.records import Signal

THRESHOLDS: Final = (4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 14.0, 17.0, 20.0, 25.0)
"""Page thresholds that are tried."""

SWEPT: Final = ("negative_authors", "negative_share")
"""The detectors that a page threshold is about."""

_ONE_SIDED: Final = 1.645
"""Standard deviations that hold 95 % on one side."""
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*d")


class Rate(NamedTuple):
    """Pages in a number of days, for each brand."""

    pages: float
    days: float

    @property
    def daily(self) -> float:
        """Pages a brand and day."""
        return self.pages / self.days

    def __str__(self) -> str:
        """Write it as it is given."""
        return f"{self.pages:g}/{self.days:g}d"


class Crisis(NamedTuple):
    """A time in which a page about a brand is right; milliseconds, the end is not included."""

    brand: str
    since: int
    until: int


class Watched(NamedTuple):
    """From when to when a brand was watched, in milliseconds."""

    brand: str
    since: int
    until: int


class Point(NamedTuple):
    """What one setting comes to, for one brand or for all."""

    threshold: float | None
    brand: str | None
    """None: all brands together."""
    pages: int
    false: int
    """Pages outside of every crisis that was named."""
    other: int
    """Those of them that another detector raised than the two that the threshold is about."""
    days: float
    """Days that the brands were watched outside of those crises, added up."""
    crises: int
    seen: int
    delay: float | None
    """Median hours from the beginning of a crisis to its first page; one that was missed counts
    as endless, and None stands for that, or for no crisis."""

    @property
    def daily(self) -> float:
        """False pages a brand and day."""
        return self.false / self.days if self.days else 0.0


def rate(text: str) -> Rate:
    """Read a rate such as `1/90d`.

    Raises:
        InputError: it is none.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None or not float(found[1]) or not float(found[2]):
        raise InputError(f"--false-alarms {text}: write pages and days for each brand, as in 1/90d")
    return Rate(float(found[1]), float(found[2]))


def crisis(text: str, *, brands: Iterable[str]) -> Crisis:
    """Read a crisis such as `acme:2026-11-22..2026-11-24` or with instants; days are whole, UTC.

    Raises:
        InputError: it is none, or about no brand that is known.
    """
    brand, colon, span = text.partition(":")
    since, dots, until = span.partition("..")
    if not (brand and colon and dots):
        raise InputError(
            f"--crisis {text}: write BRAND:FROM..TO, as in acme:2026-11-22..2026-11-24"
        )
    if brand not in (known := sorted(brands)):
        raise InputError(f"--crisis {text}: no brand {brand!r}; there are: {', '.join(known[:20])}")
    found = Crisis(brand, _instant(text, since), _instant(text, until, end=True))
    if found.until <= found.since:
        raise InputError(f"--crisis {text}: it must end after it begins")
    return found


def _instant(text: str, given: str, *, end: bool = False) -> int:
    """Return an instant in milliseconds; as an end, a day is over when the next one begins."""
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", given):
            midnight = datetime.combine(date.fromisoformat(given), datetime.min.time(), UTC)
            return millis(midnight + timedelta(days=end))
        return millis(datetime.fromisoformat(given))
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"--crisis {text}: {given!r} is no day or instant, such as 2026-11-22 or "
            "2026-11-22T07:00Z"
        ) from error


def measure(
    signals: Iterable[Signal],
    watched: Sequence[Watched],
    crises: Sequence[Crisis],
    *,
    threshold: float | None = None,
) -> list[Point]:
    """Return what some signals come to: all brands first, then each."""
    pages = [one for one in signals if one.channel == "page"]
    parts = [([one.brand], one.brand) for one in watched]
    groups: list[tuple[list[str], str | None]] = [([one.brand for one in watched], None), *parts]
    return [
        _point(
            [page for page in pages if page.brand in names],
            [one for one in watched if one.brand in names],
            [one for one in crises if one.brand in names],
            brand=brand,
            threshold=threshold,
        )
        for names, brand in groups
    ]


def sweep(
    alarms: Callable[[float], Sequence[Signal]],
    watched: Sequence[Watched],
    crises: Sequence[Crisis],
    *,
    on_step: Callable[[float], None],
) -> list[Point]:
    """Raise the alarms again with each page threshold, and measure what comes of it."""
    points: list[Point] = []
    for threshold in THRESHOLDS:
        points += measure(alarms(threshold), watched, crises, threshold=threshold)
        on_step(threshold)
    return points


def advised(points: Iterable[Point], wish: Rate) -> Point | None:
    """Return the lowest threshold that meets a rate over all brands, and from which all do."""
    best = None
    whole = [point for point in points if point.brand is None]
    for point in sorted(whole, key=lambda one: one.threshold or 0, reverse=True):
        if point.daily > wish.daily:
            break
        best = point
    return best


def is_within(signal: Signal, crises: Iterable[Crisis]) -> bool:
    """Tell whether a signal was raised in a crisis of its brand."""
    at = millis(signal.at)
    return any(one.brand == signal.brand and one.since <= at < one.until for one in crises)


def bounds(count: int, days: float) -> tuple[float, float]:
    """Return what a daily rate is at least and at most, each at 95 %, from a count.

    The bounds of a Poisson mean, by Wilson and Hilferty's approximation of chi squared (1931).
    """
    if not days:
        return 0.0, inf
    low = count * (1 - 1 / (9 * count) - _ONE_SIDED / (3 * sqrt(count))) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + _ONE_SIDED / (3 * sqrt(more))) ** 3
    return low / days, high / days


def _point(
    pages: Sequence[Signal],
    watched: Sequence[Watched],
    crises: Sequence[Crisis],
    *,
    brand: str | None,
    threshold: float | None,
) -> Point:
    false = [page for page in pages if not is_within(page, crises)]
    delays = [_delay(pages, one) for one in crises]
    middle = median(delays) if delays else inf
    return Point(
        threshold=threshold,
        brand=brand,
        pages=len(pages),
        false=len(false),
        other=sum(page.detector not in SWEPT for page in false),
        days=sum(_quiet(one, crises) for one in watched),
        crises=len(crises),
        seen=sum(delay < inf for delay in delays),
        delay=None if middle == inf else middle,
    )


def _delay(pages: Iterable[Signal], crisis: Crisis) -> float:
    """Return hours from the beginning of a crisis to its first page; endless without one."""
    found = [millis(page.at) for page in pages if is_within(page, [crisis])]
    return (min(found) - crisis.since) / HOUR if found else inf


def _quiet(watched: Watched, crises: Iterable[Crisis]) -> float:
    """Return the days that a brand was watched outside of its crises."""
    left, quiet = watched.since, 0
    for one in sorted(one for one in crises if one.brand == watched.brand):
        quiet += max(0, min(one.since, watched.until) - left)
        left = max(left, one.until)
    return (quiet + max(0, watched.until - left)) / DAY
