"""The book of one partition: the ledgers of its brands, its deletions, and which days are closed.

The changelog is a list of entries, each a key and a value. A book is what its entries say, in any
order and written any number of times; no entry depends on what was there before.

    r|brand|post   a row                        x|post   the post is deleted
    c|brand|day    what the days of a brand     h|       the last closed day
                   come to, up to this one      s|id     a signal of days that are open
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from streams.domain.ledger import Carry, Closed, Ledger
from streams.domain.row import DAY, Row, day_of, instant
from streams.domain.track import TICKS_A_DAY
from streams.domain.view import View, view
from streams.domain.watch import Findings, Terms, Watch
from streams.records import Signal

Entry = tuple[bytes, bytes | None]
"""A changelog record: key, and value or None for "no more"."""

LONGEST_PAUSE = 1.0
"""Seconds between two mentions beyond which nothing is taken to have arrived."""
_encode = msgspec.msgpack.encode
_decode_signal = msgspec.msgpack.Decoder(Signal).decode
_decode_closed = msgspec.msgpack.Decoder(Closed).decode


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

    def reached(self, *, idle_after: float) -> int | None:
        """Return how far the slowest source has come among those heard of lately."""
        awake = [p for p, heard in self._heard.items() if self.active - heard < idle_after]
        return min((self.latest[p] for p in awake), default=None)

    def slowest(self, *, idle_after: float) -> int | None:
        """Return how far the slowest source that is not idle has come, None while unknown.

        Nothing is known until `idle_after` seconds with mentions have gone by: a source that is
        behind may not have been heard of yet.
        """
        return None if self.active < idle_after else self.reached(idle_after=idle_after)


class Book:
    """The state of one partition of the mentions topic."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms()
        self.ledgers: dict[str, Ledger] = {}
        self.deleted: dict[str, int] = {}
        self.horizon = -1
        self.late = 0
        self.progress = Progress()
        self.watch = Watch(self.terms, self.ledgers)
        self._told: dict[str, Signal] = {}
        self._outdated: dict[bytes, None] = {}

    def put(self, brand: str, post: str, row: Row) -> list[Entry]:
        """Set the row of a post about a brand; return the entries to write, none if it is known."""
        if self._is_closed(brand, day_of(row.at)):
            self.late += 1
            return []
        ledger = self._ledger(brand)
        changed = ledger.put(post, row)
        if changed is None:
            return []
        if post in self.deleted:
            ledger.withdraw(post)
        self.watch.spoil(brand, changed)
        return [(f"r|{brand}|{post}".encode(), ledger.days[day_of(row.at)][post])]

    def delete(self, post: str, at: int) -> tuple[list[Entry], list[str]]:
        """Delete a post, heard of or not; return the entries to write and the brands touched."""
        if post in self.deleted or day_of(at) <= self.horizon:
            return [], []
        self.deleted[post] = at
        touched = [brand for brand in self.ledgers if self._withdraw(brand, post)]
        return [(f"x|{post}".encode(), b"%d" % at)], touched

    def _withdraw(self, brand: str, post: str) -> bool:
        ledger = self.ledgers[brand]
        packed = ledger.row(post)
        if packed is None or not ledger.withdraw(post):
            return False
        self.watch.spoil(brand, Row.unpack(packed).at)
        return True

    def view(self, brand: str, at: int, *, since: int | None = None) -> View:
        """Return a brand at an instant, in milliseconds; posts from then on do not count.

        An explanation names posts from `since` on, a day before if left out.
        """
        rule, balance = self.terms.rule, self.terms.balance(brand)
        return view(brand, self.ledgers[brand], at=at, rule=rule, balance=balance, since=since)

    def step(self, until: int) -> list[Signal]:
        """Look at all ticks before `until`; return the signals to tell, new, changed or withdrawn.

        The first time, those of all open days: whoever told them may have ended half-way.
        """
        return [signal for some in self.steps(until) for signal in some]

    def steps(self, until: int) -> Iterator[list[Signal]]:
        """Do the same some brands at a time, as `Watch.steps` does."""
        first = self.watch.tick is None
        yield from self.watch.steps(until)
        if first:
            yield self._orphans()

    def _orphans(self) -> list[Signal]:
        """Return the signals that were told and are found no more."""
        found = {one.id for brand in self.ledgers for one in self.watch.signals(brand)}
        lost = [one for one in self._told.values() if one.id not in found and self._is_open(one)]
        return [msgspec.structs.replace(one, withdrawn=True) for one in lost]

    def _is_open(self, signal: Signal) -> bool:
        """Tell whether rows of open days may still change a signal."""
        ledger = self.ledgers.get(signal.brand)
        if ledger is None or ledger.closed is None or signal.ended is None:
            return True
        return signal.ended > instant(ledger.closed.carry.at)

    def tell(self, signals: Iterable[Signal]) -> list[Entry]:
        """Take note of signals; return the entries to write before anybody is told."""
        entries: list[Entry] = []
        for one in signals:
            self._told[one.id] = one
            entries.append((f"s|{one.id}".encode(), _encode(one)))
        return entries

    def _hush(self) -> list[Entry]:
        """Return the removals of the signals that no row can change any more."""
        final = [one.id for one in self._told.values() if one.withdrawn or not self._is_open(one)]
        for id_ in final:
            del self._told[id_]
        return [(f"s|{id_}".encode(), None) for id_ in final]

    def latest(self) -> int:
        """Return the event time of the newest post, 0 if there is none."""
        return max((ledger.newest() for ledger in self.ledgers.values()), default=0)

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
        found = self.watch.close((day + 1) * TICKS_A_DAY)
        for brand in list(self.ledgers):
            yield self._close_brand(brand, day, found[brand])
        self._advance(day)
        outdated = self._outlived(day)
        for post in outdated:
            del self.deleted[post]
        removals: list[Entry] = [(f"x|{post}".encode(), None) for post in outdated]
        yield [(b"h|", b"%d" % day), *removals, *self._sweep(), *self._hush()]

    def _outlived(self, day: int) -> list[str]:
        """Return the deletions up to a day that no live row needs any more."""
        needed = set[str]().union(*(ledger.withdrawn for ledger in self.ledgers.values()))
        return [p for p, at in self.deleted.items() if day_of(at) <= day and p not in needed]

    def _close_brand(self, brand: str, day: int, found: Findings) -> list[Entry]:
        ledger = self.ledgers[brand]
        carry = ledger.carry((day + 1) * DAY)
        if carry.blank or (ledger.closed and ledger.closed.carry.at >= carry.at):
            return []
        old = ledger.closed
        closed = Closed(carry, found.state, tuple(found.signals.values()))
        entries: list[Entry] = [(_day_key(brand, carry), _encode(closed))]
        if old:
            entries.append((_day_key(brand, old.carry), None))
        self._shed(brand, ledger.close(closed))
        return [*entries, *self._sweep()]

    def _advance(self, day: int) -> None:
        self.horizon = max(self.horizon, day)
        for brand, ledger in self.ledgers.items():
            shut = [p for d, rows in ledger.days.items() if d <= day for p in rows]
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
        elif kind == "c":
            self._apply_closing(rest.split("|", 1)[0], value)
        elif kind == "x":
            self._apply_deletion(rest, value)
        elif kind == "s":
            self._apply_signal(rest, value)
        elif value is not None:
            self._advance(int(value))

    def _apply_row(self, brand: str, post: str, value: bytes | None) -> None:
        if value is not None:
            row = Row.unpack(value)
            if self._is_closed(brand, day_of(row.at)):
                return
            ledger = self._ledger(brand)
            changed = ledger.put(post, row)
            if post in self.deleted:
                ledger.withdraw(post)
            # A book that was looked at before may learn of rows that another worker wrote.
            if changed is not None:
                self.watch.spoil(brand, changed)
        else:
            self._outdated.pop(f"r|{brand}|{post}".encode(), None)
            if brand in self.ledgers:
                self.ledgers[brand].drop(post)

    def _apply_closing(self, brand: str, value: bytes | None) -> None:
        """Apply what the days of a brand came to, unless a later one is known."""
        if value is None:
            return
        ledger, closed = self._ledger(brand), _decode_closed(value)
        if ledger.closed is None or closed.carry.at > ledger.closed.carry.at:
            self._shed(brand, ledger.close(closed))

    def _apply_deletion(self, post: str, value: bytes | None) -> None:
        if value is None:
            self.deleted.pop(post, None)
            return
        self.deleted[post] = int(value)
        for brand in self.ledgers:
            self._withdraw(brand, post)

    def _apply_signal(self, id_: str, value: bytes | None) -> None:
        if value is None:
            self._told.pop(id_, None)
        else:
            self._told[id_] = _decode_signal(value)

    def totals(self) -> dict[str, list[int]]:
        """Return the exact sums of `ledger.COUNTS` by brand, to compare books with one another."""
        known = {brand: ledger.latest() for brand, ledger in sorted(self.ledgers.items())}
        return {b: list(carry.counts) for b, carry in known.items() if carry and not carry.blank}

    def readings(self) -> dict[str, list[float]]:
        """Return by brand the index, and its bounds, as of the brand's newest post."""
        found = {}
        for brand, ledger in sorted(self.ledgers.items()):
            if newest := ledger.newest():
                reading = self.view(brand, newest + 1, since=newest).reading
                found[brand] = [float(n) for n in (reading.index, reading.low, reading.high)]
        return found

    def _ledger(self, brand: str) -> Ledger:
        ledger = self.ledgers.get(brand)
        if ledger is None:
            ledger = self.ledgers[brand] = Ledger(self.terms.rule)
        return ledger

    def _is_closed(self, brand: str, day: int) -> bool:
        if day <= self.horizon:
            return True
        ledger = self.ledgers.get(brand)
        return (
            ledger is not None and ledger.closed is not None and day * DAY < ledger.closed.carry.at
        )


def _day_key(brand: str, carry: Carry) -> bytes:
    return f"c|{brand}|{day_of(carry.at) - 1}".encode()
