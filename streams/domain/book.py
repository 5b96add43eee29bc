"""The book of one partition: the ledgers of its brands, its deletions, and which days are closed.

The changelog is a list of entries, each a key and a value. A book is what its entries say, in any
order and written any number of times; no entry depends on what was there before.

    r|brand|post   a row                        x|post   the post is deleted
    d|brand|day    a closed day of a brand      h|       the last closed day
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from streams.domain.ledger import ClosedDay, Ledger
from streams.domain.row import DAY, HOUR, Row, day_of
from streams.domain.trust import MEMORY_HOURS

Entry = tuple[bytes, bytes | None]
"""A changelog record: key, and value or None for "no more"."""

LONGEST_PAUSE = 1.0
"""Seconds between two mentions beyond which nothing is taken to have arrived."""
_KEEP_DAYS = MEMORY_HOURS * HOUR // DAY + 1
_encode = msgspec.json.encode
_decode_day = msgspec.json.Decoder(ClosedDay).decode


@dataclass
class Progress:
    """How far each source partition has come, to tell when a day can be closed.

    Idleness is measured while mentions arrive: after a pause of everything, whoever is heard first
    must not close days over those that are still to come.
    """

    latest: dict[int, int] = field(default_factory=dict)
    active: float = 0.0
    """Seconds in which mentions arrived."""
    _heard: dict[int, float] = field(default_factory=dict)
    _last: float | None = None

    def note(self, source: int, at: int, heard: float) -> None:
        """Note a mention from a source partition.

        Args:
            source: the partition of the topic `posts`.
            at: event time, milliseconds.
            heard: when it arrived, in seconds of any steady clock.
        """
        if self._last is not None:
            self.active += min(heard - self._last, LONGEST_PAUSE)
        self._last = heard
        self.latest[source] = max(at, self.latest.get(source, at))
        self._heard[source] = self.active

    def slowest(self, *, idle_after: float) -> int | None:
        """Return how far the slowest source that is not idle has come, None while unknown.

        Nothing is known until `idle_after` seconds with mentions have gone by: a source that is
        behind may not have been heard of yet.
        """
        if self.active < idle_after:
            return None
        awake = [p for p, heard in self._heard.items() if self.active - heard < idle_after]
        return min((self.latest[p] for p in awake), default=None)


class Book:
    """The state of one partition of the mentions topic."""

    def __init__(self) -> None:
        self.ledgers: dict[str, Ledger] = {}
        self.deleted: dict[str, int] = {}
        self.horizon = -1
        self.late = 0
        self._outdated: dict[bytes, None] = {}
        self.progress = Progress()

    def put(self, brand: str, post: str, row: Row) -> list[Entry]:
        """Set the row of a post about a brand; return the entries to write, none if it is known."""
        if self._is_closed(brand, day_of(row.at)):
            self.late += 1
            return []
        ledger = self._ledger(brand)
        if not ledger.put(post, row):
            return []
        if post in self.deleted:
            ledger.withdraw(post)
        return [(f"r|{brand}|{post}".encode(), ledger.rows[post])]

    def delete(self, post: str, at: int) -> tuple[list[Entry], list[str]]:
        """Delete a post, heard of or not; return the entries to write and the brands touched."""
        if post in self.deleted or day_of(at) <= self.horizon:
            return [], []
        self.deleted[post] = at
        touched = [brand for brand, ledger in self.ledgers.items() if ledger.withdraw(post)]
        return [(f"x|{post}".encode(), b"%d" % at)], touched

    def ripe(self, *, close_after: int, idle_after: float) -> int | None:
        """Return the last day that can be closed, None when there is none to close.

        Args:
            close_after: milliseconds after its end that a day stays open for the slowest source.
            idle_after: seconds after which a source without mentions holds no day open.
        """
        reached = self.progress.slowest(idle_after=idle_after)
        if reached is None:
            return None
        day = day_of(reached - close_after) - 1
        return day if day > self.horizon else None

    def close(self, day: int) -> Iterator[list[Entry]]:
        """Close every day up to `day`; yield the entries to write, brand by brand and in order.

        A value comes before the removals of the rows that it stands for, and the horizon last:
        whoever stops half-way has lost nothing and closes the rest next time.
        """
        if day <= self.horizon:
            return
        for brand in list(self.ledgers):
            yield self._close_brand(brand, day)
        self._advance(day)
        outdated = [post for post, at in self.deleted.items() if day_of(at) <= day]
        for post in outdated:
            del self.deleted[post]
        removals: list[Entry] = [(f"x|{post}".encode(), None) for post in outdated]
        yield [(b"h|", b"%d" % day), *removals, *self._sweep()]

    def _close_brand(self, brand: str, day: int) -> list[Entry]:
        ledger = self.ledgers[brand]
        ripe = {day_of(row.at) for _, row in ledger.live()}
        entries: list[Entry] = [
            _day_entry(brand, ripe_day, ledger.summary(ripe_day))
            for ripe_day in sorted(ripe)
            if ripe_day <= day
        ]
        entries += [
            (f"d|{brand}|{old}".encode(), None) for old in ledger.closed if old < day - _KEEP_DAYS
        ]
        for key, value in entries:
            self.apply(key, value)
        return [*entries, *self._sweep()]

    def _advance(self, day: int) -> None:
        self.horizon = max(self.horizon, day)
        for brand, ledger in self.ledgers.items():
            shut = [p for p, row in ledger.rows.items() if day_of(Row.unpack(row).at) <= day]
            for post in shut:
                ledger.drop(post)
            self._shed(brand, shut)

    def _shed(self, brand: str, posts: list[str]) -> None:
        self._outdated.update(dict.fromkeys(f"r|{brand}|{post}".encode() for post in posts))

    def _sweep(self) -> list[Entry]:
        """Return the removals of the rows whose day has closed, once."""
        removals: list[Entry] = [(key, None) for key in self._outdated]
        self._outdated.clear()
        return removals

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Apply an entry read from the changelog."""
        kind, _, rest = key.decode().partition("|")
        if kind == "r":
            brand, post = rest.split("|", 1)
            self._apply_row(brand, post, value)
        elif kind == "d":
            brand, day = rest.split("|", 1)
            self._apply_day(brand, int(day), value)
        elif kind == "x":
            self._apply_deletion(rest, value)
        elif value is not None:
            self._advance(int(value))

    def _apply_row(self, brand: str, post: str, value: bytes | None) -> None:
        if value is not None:
            row = Row.unpack(value)
            if self._is_closed(brand, day_of(row.at)):
                return
            ledger = self._ledger(brand)
            ledger.put(post, row)
            if post in self.deleted:
                ledger.withdraw(post)
        else:
            self._outdated.pop(f"r|{brand}|{post}".encode(), None)
            if brand in self.ledgers:
                self.ledgers[brand].drop(post)

    def _apply_day(self, brand: str, day: int, value: bytes | None) -> None:
        ledger = self._ledger(brand)
        if value is not None:
            self._shed(brand, ledger.close(day, _decode_day(value)))
        elif day in ledger.closed:
            ledger.forget(day)

    def _apply_deletion(self, post: str, value: bytes | None) -> None:
        if value is None:
            self.deleted.pop(post, None)
            return
        self.deleted[post] = int(value)
        for ledger in self.ledgers.values():
            ledger.withdraw(post)

    def totals(self) -> dict[str, dict[int, list[int]]]:
        """Return the exact sums by brand and hour, to compare books with one another."""
        tables = {brand: ledger.table() for brand, ledger in sorted(self.ledgers.items())}
        return {
            brand: {hour: sums for hour, *sums in table.tolist()}
            for brand, table in tables.items()
            if len(table)
        }

    def _ledger(self, brand: str) -> Ledger:
        ledger = self.ledgers.get(brand)
        if ledger is None:
            ledger = self.ledgers[brand] = Ledger()
        return ledger

    def _is_closed(self, brand: str, day: int) -> bool:
        if day <= self.horizon:
            return True
        ledger = self.ledgers.get(brand)
        return ledger is not None and day in ledger.closed


def _day_entry(brand: str, day: int, value: ClosedDay) -> Entry:
    return f"d|{brand}|{day}".encode(), _encode(value)
