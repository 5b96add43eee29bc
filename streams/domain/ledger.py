"""The ledger of a brand: its live rows, its closed days, and the hourly sums of both."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.domain.row import HOUR, LABELS, Row, day_of

HOURS_A_DAY = 24
COLUMNS = ("hour", "gain", "loss", "square", "leaks", *LABELS)
"""Columns of a ledger's table: the hour since 1970, then the sums of `Hour.dump`."""

Table = NDArray[np.int64]
"""Whole numbers, one line an hour in ascending order, one column for each of `COLUMNS`."""


class Leak(NamedTuple):
    """The latest post of a brand that speaks of a leak."""

    at: int
    post: str
    source: str


class Hour:
    """Exact sums of the rows of one hour, as whole numbers in units of `row.UNIT`."""

    __slots__ = ("gain", "labels", "leaks", "loss", "square")

    def __init__(self) -> None:
        self.gain = 0
        self.loss = 0
        self.square = 0
        self.leaks = 0
        self.labels = [0] * len(LABELS)

    def add(self, row: Row, times: int = 1) -> None:
        """Add a row (`times=1`) or take it back (`times=-1`)."""
        self.gain += times * row.gain
        self.loss += times * row.loss
        self.square += times * (row.gain + row.loss) ** 2
        self.leaks += times * row.leak
        self.labels[row.label] += times

    def dump(self) -> list[int]:
        """Return the sums in the order of `COLUMNS`."""
        return [self.gain, self.loss, self.square, self.leaks, *self.labels]

    @property
    def count(self) -> int:
        """Number of posts."""
        return sum(self.labels)


class ClosedDay(msgspec.Struct, frozen=True):
    """A closed day of a brand: assigned from its rows once, never added to."""

    hours: dict[int, list[int]]
    leak: Leak | None = None


class Ledger:
    """What is known about one brand; every sum is a pure function of rows and closed days.

    Attributes:
        rows: live rows by post, packed.
        withdrawn: posts among them that were deleted.
        hours: sums of the live rows.
        past: sums of the closed days; a table, since a brand keeps them for a year.
        closed: the closed days, each with its latest post that speaks of a leak.
    """

    __slots__ = ("closed", "hours", "latest", "leak", "leaks", "past", "rows", "withdrawn")

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.withdrawn: set[str] = set()
        self.closed: dict[int, Leak | None] = {}
        self.past = _table([])
        self.hours: dict[int, Hour] = {}
        self.leaks: set[str] = set()
        self.leak: Leak | None = None
        self.latest = 0
        """The brand's own clock: event time of its newest post, milliseconds."""

    def put(self, post: str, row: Row) -> bool:
        """Set the row of a post; return whether anything changed.

        Writing a row again changes nothing; of two versions the one that outranks stays.
        """
        packed = self.rows.get(post)
        if packed is not None:
            old = Row.unpack(packed)
            if not row.outranks(old):
                return False
            self._count(post, old, -1)
        self.rows[post] = row.pack()
        self.latest = max(self.latest, row.at)
        self._count(post, row, 1)
        return True

    def withdraw(self, post: str) -> bool:
        """Take a deleted post out of the sums; its row stays. Return whether anything changed."""
        packed = self.rows.get(post)
        if packed is None or post in self.withdrawn:
            return False
        self._count(post, Row.unpack(packed), -1)
        self.withdrawn.add(post)
        return True

    def drop(self, post: str) -> None:
        """Forget the row of a post."""
        packed = self.rows.pop(post, None)
        if packed is not None:
            self._count(post, Row.unpack(packed), -1)
            self.withdrawn.discard(post)

    def summary(self, day: int) -> ClosedDay:
        """Return what the rows of a day come to."""
        hours: dict[int, Hour] = {}
        leak = None
        for post, row in self.live():
            if day_of(row.at) != day:
                continue
            hours.setdefault(row.at // HOUR, Hour()).add(row)
            if row.leak:
                leak = max(leak or Leak(row.at, post, row.source), Leak(row.at, post, row.source))
        return ClosedDay({hour: sums.dump() for hour, sums in hours.items()}, leak)

    def close(self, day: int, value: ClosedDay) -> list[str]:
        """Replace the rows of a day by its closed value; return the posts whose rows went."""
        gone = [post for post, packed in self.rows.items() if day_of(Row.unpack(packed).at) == day]
        for post in gone:
            self.drop(post)
        self._forget_hours(day)
        lines = _table([[hour, *sums] for hour, sums in value.hours.items()])
        past = np.concatenate([self.past, lines])
        self.past = past[np.argsort(past[:, 0])]
        self.closed[day] = value.leak
        self.latest = max(self.latest, max(value.hours, default=0) * HOUR)
        self._find_leak()
        return gone

    def forget(self, day: int) -> None:
        """Drop a closed day that is too old to weigh anything."""
        del self.closed[day]
        self._forget_hours(day)

    def table(self) -> Table:
        """Return the sums of all hours, closed and live."""
        live = _table([[hour, *sums.dump()] for hour, sums in sorted(self.hours.items())])
        return np.concatenate([self.past, live])

    def live(self) -> Iterator[tuple[str, Row]]:
        """Yield the rows that count."""
        for post, packed in self.rows.items():
            if post not in self.withdrawn:
                yield post, Row.unpack(packed)

    def _count(self, post: str, row: Row, times: int) -> None:
        if post in self.withdrawn:
            return
        at = row.at // HOUR
        hour = self.hours.get(at)
        if hour is None:
            hour = self.hours[at] = Hour()
        hour.add(row, times)
        if times < 0 and not hour.count:
            del self.hours[at]
        if row.leak:
            self._count_leak(Leak(row.at, post, row.source), times)

    def _count_leak(self, leak: Leak, times: int) -> None:
        if times > 0:
            self.leaks.add(leak.post)
            self.leak = max(self.leak or leak, leak)
        else:
            self.leaks.discard(leak.post)
            if self.leak == leak:
                self._find_leak()

    def _forget_hours(self, day: int) -> None:
        self.past = self.past[self.past[:, 0] // HOURS_A_DAY != day]

    def _find_leak(self) -> None:
        found = [leak for leak in self.closed.values() if leak]
        for post in self.leaks:
            row = Row.unpack(self.rows[post])
            found.append(Leak(row.at, post, row.source))
        self.leak = max(found, default=None)


def _table(lines: list[list[int]]) -> Table:
    return np.array(lines, dtype=np.int64).reshape(-1, len(COLUMNS))
