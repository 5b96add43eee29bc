"""The ledger of a brand: the rows of its open days, and what all the closed ones come to."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.domain.evidence import Floats, usual_praise, weigh
from streams.domain.row import DAY, LABELS, UNIT, Columns, Row, columns, day_of
from streams.domain.stories import Chapter, Story, lasting, quiet, tell
from streams.domain.trust import WIDTH, Rule, decay, parts
from streams.records import Signal

Instants = NDArray[np.int64]

COUNTS = (*LABELS, "leaks", "gain", "loss")
"""What is counted of all posts, exactly: gain and loss in units of `row.UNIT` and before caps."""


class Leak(NamedTuple):
    """The latest post of a brand that speaks of a leak."""

    at: int
    post: str
    source: str


class Carry(msgspec.Struct, frozen=True):
    """What a day needs to know of the days before it.

    Attributes:
        at: the instant, milliseconds: the end of a day.
        sums: the decayed sums at that instant (`trust.WIDTH`).
        praise: praise of the days before, the latest last.
        stories: leak stories that go on or still weigh.
        counts: sums of `COUNTS`.
        leak: the latest post that speaks of a leak.
        latest: event time of the newest post.
    """

    at: int
    sums: tuple[float, ...] = (0.0,) * WIDTH
    praise: tuple[float, ...] = ()
    stories: tuple[Story, ...] = ()
    counts: tuple[int, ...] = (0,) * len(COUNTS)
    leak: Leak | None = None
    latest: int = 0

    @property
    def blank(self) -> bool:
        """Whether the brand was never heard of."""
        return not any(self.counts)


class Closed(msgspec.Struct, frozen=True):
    """What the closed days of a brand come to: assigned from its rows once, never added to.

    Attributes:
        carry: what the index needs.
        detectors: the state of the detectors at that instant.
        signals: alarms that were not over.
    """

    carry: Carry
    detectors: bytes = b""
    signals: tuple[Signal, ...] = ()


class Page(NamedTuple):
    """The rows of an open day that count, and all that follows from them.

    Attributes:
        day: days since 1970.
        rows: the rows.
        parts: what each adds to the sums at its instant, shape (rows, WIDTH).
        grown: the sums before any row and after each, as if they did not decay from the day's
            beginning on, shape (rows + 1, WIDTH).
        chapters: the leak stories.
        brought: what was known when the day began.
        praise: of the day, before its own cap.
    """

    day: int
    rows: Columns
    parts: Floats
    grown: Floats
    chapters: list[Chapter]
    brought: Carry
    praise: float

    def sums(self, at: Instants, rule: Rule) -> Floats:
        """Return the sums of all that was said before instants of the day, shape (k, WIDTH)."""
        known = np.searchsorted(self.rows.at, at)
        return self.grown[known] * decay(at - self.brought.at, rule)

    def known(self, at: int) -> Carry:
        """Return what was counted before an instant of the day."""
        count = int(np.searchsorted(self.rows.at, at))
        return _counted(self.brought, self.rows, count)


class Tail(NamedTuple):
    """A brand on a day, after the last of the day's rows so far.

    Attributes:
        day: days since 1970.
        latest: event time of that row; -1 when there is none.
        grown: the sums as if they did not decay from the day's beginning on, shape (WIDTH,).
        chapters: the leak stories.
    """

    day: int
    latest: int
    grown: Floats
    chapters: list[Chapter]


class Ledger:
    """What is known about one brand; whatever it says is a function of the rows that it was given.

    Attributes:
        closed: what the closed days come to.
        days: live rows by open day and post, packed.
        withdrawn: posts that were deleted.
    """

    __slots__ = ("_carries", "_newest", "_rule", "_tail", "closed", "days", "withdrawn")

    def __init__(self, rule: Rule) -> None:
        self.closed: Closed | None = None
        self.days: dict[int, dict[str, bytes]] = {}
        self.withdrawn: set[str] = set()
        self._rule = rule
        # Pages are made when they are asked for and not kept: they are larger than their rows.
        self._carries: dict[int, Carry] = {}
        self._tail: Tail | None = None
        self._newest: int | None = 0

    def put(self, post: str, row: Row) -> int | None:
        """Set the row of a post; return the instant from which on something changed, or None.

        Writing a row again changes nothing; of two versions the one that outranks stays.
        """
        day, changed, packed = day_of(row.at), row.at, self.row(post)
        if packed is not None:
            old = Row.unpack(packed)
            if not row.outranks(old):
                return None
            self._remove(post, day_of(old.at))
            changed = min(changed, old.at)
        self.days.setdefault(day, {})[post] = row.pack()
        self._spoil(day)
        if self._newest is not None:
            self._newest = max(self._newest, row.at)
        return changed

    def row(self, post: str) -> bytes | None:
        """Return the packed row of a post."""
        for rows in self.days.values():
            if post in rows:
                return rows[post]
        return None

    def withdraw(self, post: str) -> bool:
        """Take a deleted post out of the sums; its row stays. Return whether anything changed."""
        packed = self.row(post)
        if packed is None or post in self.withdrawn:
            return False
        self.withdrawn.add(post)
        self._newest = None
        self._spoil(day_of(Row.unpack(packed).at))
        return True

    def drop(self, post: str) -> None:
        """Forget the row of a post."""
        packed = self.row(post)
        if packed is not None:
            self._remove(post, day_of(Row.unpack(packed).at))
            self.withdrawn.discard(post)

    def _remove(self, post: str, day: int) -> None:
        rows = self.days[day]
        del rows[post]
        if not rows:
            del self.days[day]
        self._newest = None
        self._spoil(day)

    def _spoil(self, day: int) -> None:
        for known in [known for known in self._carries if known >= day]:
            del self._carries[known]
        if self._tail and self._tail.day >= day:
            self._tail = None

    def close(self, closed: Closed) -> list[str]:
        """Replace days by what they come to; return the posts whose rows went."""
        last = day_of(closed.carry.at) - 1
        gone = [post for day, rows in self.days.items() if day <= last for post in rows]
        self.days = {day: rows for day, rows in self.days.items() if day > last}
        self.withdrawn.difference_update(gone)
        self.closed = closed
        self._newest = None
        self._carries = {day: known for day, known in self._carries.items() if day > last}
        self._tail = None
        return gone

    def newest(self) -> int:
        """Return the event time of the newest post that counts, 0 if there is none."""
        if self._newest is None:
            self._newest = self.closed.carry.latest if self.closed else 0
            for day in sorted(self.days, reverse=True):
                if len(rows := self.rows(day).at):
                    self._newest = int(rows[-1])
                    break
        return self._newest

    def page(self, day: int) -> Page | None:
        """Return the page of an open day, None when it has no rows."""
        if day not in self.days:
            return None
        page = self._page(day, self._known(day - 1))
        latest = int(page.rows.at[-1]) if len(page.rows.at) else -1
        self._tail = Tail(day, latest, page.grown[-1].copy(), page.chapters)
        return page

    def settled(self, day: int, at: int) -> Tail | Page:
        """Return a day after its last row, or its page if that row is not before an instant."""
        page = None
        if self._tail is None or self._tail.day != day:
            page = self.page(day)
        if self._tail is None or self._tail.day != day:
            carry = self.carry(day * DAY)
            chapters = [quiet(story) for story in carry.stories]
            self._tail = Tail(day, -1, np.array(carry.sums), chapters)
        if self._tail.latest < at:
            return self._tail
        return page or self.page(day) or self._tail

    def carry(self, at: int) -> Carry:
        """Return all that is known at the beginning of a day, closed or open."""
        return carried(self._known(day_of(at) - 1), to=at, rule=self._rule)

    def latest(self) -> Carry | None:
        """Return all that is known, as of the end of the latest day with rows."""
        return self._known(max(self.days, default=-1))

    def _known(self, day: int) -> Carry | None:
        """Return what is known when a day ends, as of the latest day before it with rows."""
        known = self.closed.carry if self.closed else None
        for open_day in sorted(day_ for day_ in self.days if day_ <= day):
            if open_day not in self._carries:
                self._carries[open_day] = _carry(self._page(open_day, known), self._rule)
            known = self._carries[open_day]
        return known

    def _page(self, day: int, known: Carry | None) -> Page:
        brought = carried(known, to=day * DAY, rule=self._rule)
        rows = self.rows(day)
        caps = self._rule.caps
        usual, young = usual_praise(brought.praise, caps), self._rule.weights.young
        evidence = weigh(rows, usual=usual, caps=caps, young=young)
        chapters = tell(brought.stories, rows, self._rule.shocks)
        added = parts(evidence)
        grown = np.empty((len(added) + 1, added.shape[1]))
        grown[0] = brought.sums
        np.divide(added, decay(rows.at - brought.at, self._rule), out=grown[1:])
        grown.cumsum(axis=0, out=grown)
        return Page(day, rows, added, grown, chapters, brought, evidence.praise)

    def rows(self, day: int) -> Columns:
        """Return the rows of an open day that count."""
        rows = self.days[day]
        if not self.withdrawn.isdisjoint(rows):
            rows = {post: row for post, row in rows.items() if post not in self.withdrawn}
        return columns(rows)

    def stories(self) -> Iterator[Story]:
        """Yield the leak stories as each open day left them, in order."""
        for day in sorted(self.days):
            yield from self.carry((day + 1) * DAY).stories


def carried(carry: Carry | None, *, to: int, rule: Rule) -> Carry:
    """Return what is known of the days before, as of a later instant, the end of a day."""
    if carry is None or (carry.blank and carry.at <= to):
        return Carry(to)
    silent = (to - carry.at) // DAY
    if silent <= 0:
        return carry
    praise = (*carry.praise, *(0.0,) * min(silent, rule.caps.praise_days))
    return msgspec.structs.replace(
        carry,
        at=to,
        sums=tuple((np.array(carry.sums) * decay(to - carry.at, rule)).tolist()),
        praise=praise[-rule.caps.praise_days :],
        stories=tuple(lasting(carry.stories, to, rule.shocks)),
    )


def _carry(page: Page, rule: Rule) -> Carry:
    """Return what is known when the day of a page ends."""
    end = (page.day + 1) * DAY
    known = page.known(end)
    if known.blank:
        return Carry(end)
    stories = [chapter.story for chapter in page.chapters]
    return msgspec.structs.replace(
        known,
        at=end,
        sums=tuple((page.grown[-1] * decay(DAY, rule)).tolist()),
        praise=(*page.brought.praise, page.praise)[-rule.caps.praise_days :],
        stories=tuple(lasting(stories, end, rule.shocks)),
    )


def _counted(before: Carry, rows: Columns, count: int) -> Carry:
    """Return what is known with the first so many rows counted."""
    counts = zip(before.counts, _counts(rows, count), strict=True)
    return msgspec.structs.replace(
        before,
        counts=tuple(a + b for a, b in counts),
        leak=_latest_leak(rows, count) or before.leak,
        latest=int(rows.at[count - 1]) if count else before.latest,
    )


def _counts(rows: Columns, count: int) -> list[int]:
    """Return the sums of `COUNTS` over the first so many rows."""
    labels = np.bincount(rows.label[:count], minlength=len(LABELS)).tolist()
    units = [round(float((column[:count] * UNIT).sum())) for column in (rows.gain, rows.loss)]
    return [*labels, int(rows.leak[:count].sum()), *units]


def _latest_leak(rows: Columns, count: int) -> Leak | None:
    speaking = np.flatnonzero(rows.leak[:count])
    if not len(speaking):
        return None
    i = int(speaking[-1])
    return Leak(int(rows.at[i]), rows.post(i), rows.source(i))
