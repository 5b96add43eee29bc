"""The watch over the brands of a book: steps the detectors tick by tick, and keeps their alarms.

What it finds is a function of the rows alone. A row that comes late, or goes, has its brand looked
at again from the last closed day on; alarms that are found no more are withdrawn.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from itertools import islice, pairwise
from typing import TypeVar

import msgspec
import numpy as np

from streams.domain.alarms import BLANK, Observed, Panel
from streams.domain.events import Event, why
from streams.domain.ledger import Ledger
from streams.domain.row import DAY, instant
from streams.domain.track import TICK, TICKS_A_DAY, Track, spans, track
from streams.domain.trust import Reading, Rule, read
from streams.domain.tuning import Tuning
from streams.domain.view import view
from streams.records import Signal

DETECTORS = "D1"
"""Changes whenever the same ticks and constants would give other alarms."""
AT_ONCE = 512
"""Brands whose ticks are laid side by side: bounds the memory that a step takes, and how long
nothing else gets its turn."""

_DIGITS = 6

DAY_MARKS = 8
"""Beginnings of days that a watch can go back to, since most posts that are late are of a day."""
RECENT_MARKS = 3
"""Ticks of late that it can go back to."""
TICKS_A_MARK = 6
"""Ticks between two of those."""

T = TypeVar("T")
Ledgers = Mapping[str, Ledger]
Look = Callable[[Sequence[str], int, Track, Reading], None]
"""Told of brands, the first of some ticks, and what was seen in them, shape (brands, ticks)."""


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a book goes by.

    Attributes:
        rule: the constants of the index.
        tuning: those of the detectors.
        balance: a brand's weight of praise.
        planned: why nobody is to be called about a brand at an instant (milliseconds), or None.
    """

    rule: Rule = field(default_factory=Rule)
    tuning: Tuning = field(default_factory=Tuning)
    balance: Callable[[str], float] = lambda _: 2.0
    planned: Callable[[str, int], str | None] = lambda *_: None

    @property
    def version(self) -> str:
        """The version of the index and of the detectors."""
        constants = repr(self.tuning).encode()
        return f"{self.rule.version}/{DETECTORS}-{sha256(constants).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a brand up to a tick: the detectors' state, and its alarms by id."""

    state: bytes = b""
    signals: Mapping[str, Signal] = field(default_factory=dict)


class Watch:
    """The detectors of a book's brands.

    Args:
        terms: what they go by.
        ledgers: the brands, looked at as they are at each step.
        look: told what is looked at.

    Attributes:
        tick: the first tick that was not looked at; None before any was.
    """

    def __init__(self, terms: Terms, ledgers: Ledgers, look: Look | None = None) -> None:
        self.tick: int | None = None
        self._terms = terms
        self._shown = look
        self._ledgers = ledgers
        self._found: dict[str, Findings] = {}
        self._spoiled: dict[str, int] = {}
        self._marks: dict[int, dict[str, Findings]] = {}
        """What was found before some ticks, to go back to: it is never older than its rows."""

    def spoil(self, brand: str, at: int) -> None:
        """Say that what was found from an instant on may be wrong."""
        tick = at // TICK
        if brand not in self._found or self.tick is None or tick < self.tick:
            self._spoiled[brand] = min(tick, self._spoiled.get(brand, tick))

    def step(self, until: int) -> list[Signal]:
        """Look at all ticks before `until`; return the signals that are new or have changed."""
        return [signal for some in self.steps(until) for signal in some]

    def steps(self, until: int) -> Iterator[list[Signal]]:
        """Do the same some brands at a time; whoever begins must go on to the end.

        Rows may be entered between two parts: their brands are looked at again in the next step.
        """
        if self.tick is None:
            # A source that is behind must not take a book back to before its last closing.
            self.tick = max(until, *map(_closing, self._ledgers.values()), 0)
            self._spoiled = dict.fromkeys(self._ledgers, 0)
        yield from self._again(self.tick)
        if until > self.tick:
            first, self.tick = self.tick, until
            for some in _parted(self._found):
                yield self._learn(self._advance(some, first, until))
            self._mark()

    def close(self, end: int) -> dict[str, Findings]:
        """Return what was found out by the end of a day, and forget alarms that were over then.

        Whoever wants to be told of those steps there before.

        Args:
            end: the first tick of the next day.
        """
        self.step(max(end, self.tick or 0))
        known = self._marks.get(end, self._found if self.tick == end else {})
        missing = [brand for brand in self._ledgers if brand not in known]
        closed = dict(known)
        for part in _parted(dict.fromkeys(missing, 0)):
            closed |= self._since(part, end)
        over = instant(end * TICK)
        self._marks = {tick: mark for tick, mark in self._marks.items() if tick >= end}
        for some in (self._found, *self._marks.values()):
            some.update({brand: _lasting(found, over) for brand, found in some.items()})
        return {brand: _lasting(closed[brand], over) for brand in self._ledgers}

    def signals(self, brand: str) -> list[Signal]:
        """Return the alarms of a brand that began in its open days, or are not over."""
        found = self._found.get(brand)
        return list(found.signals.values()) if found else []

    def _learn(self, found: Mapping[str, Findings]) -> list[Signal]:
        """Take over what was found; return what is news."""
        news: list[Signal] = []
        for brand, one in found.items():
            known = self._found.get(brand, Findings()).signals
            news += [signal for id_, signal in one.signals.items() if known.get(id_) != signal]
            gone = [signal for id_, signal in known.items() if id_ not in one.signals]
            news += [msgspec.structs.replace(signal, withdrawn=True) for signal in gone]
            self._found[brand] = one
        return news

    def _again(self, until: int) -> Iterator[list[Signal]]:
        """Look again at the brands of which something was spoiled."""
        spoiled = {brand: at for brand, at in self._spoiled.items() if brand in self._ledgers}
        self._spoiled = {}
        for some in _parted(spoiled):
            yield self._learn(self._since(some, until))

    def _since(self, spoiled: Mapping[str, int], until: int) -> dict[str, Findings]:
        """Return what is known of brands before a tick, found anew from some tick of each on."""
        starts: dict[int, dict[str, Findings]] = {}
        for brand, at in sorted(spoiled.items()):
            start, known = self._before(brand, at, until)
            starts.setdefault(start, {})[brand] = known
        looks = [self._advance(known, start, until) for start, known in sorted(starts.items())]
        return {brand: found for look in looks for brand, found in look.items()}

    def _before(self, brand: str, at: int, until: int) -> tuple[int, Findings]:
        """Return what was found before a tick that still stands, and up to which tick."""
        for tick in sorted(self._marks, reverse=True):
            if tick <= min(at, until) and brand in self._marks[tick]:
                return tick, self._marks[tick][brand]
            self._marks[tick].pop(brand, None)
        ledger = self._ledgers[brand]
        known = Findings()
        if closed := ledger.closed:
            known = Findings(closed.detectors, {one.id: one for one in closed.signals})
        return _start(ledger, until), known

    def _advance(self, known: Mapping[str, Findings], first: int, last: int) -> dict[str, Findings]:
        """Return what is known of brands before the tick `last`; add to the marks on the way."""
        found = dict(known)
        days = {end for _, end in spans(first, last)}
        marks = {tick for tick in self._marks if first < tick < last}
        for begin, end in pairwise([first, *sorted(days | marks)]):
            found = self._look(found, begin, end)
            if end in marks or end % TICKS_A_DAY == 0:
                self._marks.setdefault(end, {}).update(found)
        self._prune()
        return found

    def _mark(self) -> None:
        """Keep what is known now: posts that come late mostly do so within the hour."""
        if self.tick is not None and self.tick - max(self._marks, default=0) >= TICKS_A_MARK:
            self._marks[self.tick] = dict(self._found)
            self._prune()

    def _prune(self) -> None:
        days = sorted(tick for tick in self._marks if tick % TICKS_A_DAY == 0)[-DAY_MARKS:]
        others = sorted(tick for tick in self._marks if tick % TICKS_A_DAY)[-RECENT_MARKS:]
        self._marks = {tick: self._marks[tick] for tick in (*days, *others)}

    def _look(self, known: Mapping[str, Findings], first: int, last: int) -> dict[str, Findings]:
        brands = list(known)
        ledgers = [self._ledgers[brand] for brand in brands]
        signals = [dict(found.signals) for found in known.values()]
        panel = Panel(len(brands), self._terms.tuning)
        for i, found in enumerate(known.values()):
            # The state of another version is of no use: the detectors warm up again.
            panel.load(i, found.state if len(found.state) == len(BLANK) else BLANK)
        for begin, end in spans(first, last):
            if not _anything(ledgers, begin) and all(map(panel.asleep, range(len(brands)))):
                continue
            laid, reading = _lay(brands, ledgers, begin, end, self._terms)
            if self._shown:
                self._shown(brands, begin, laid, reading)
            for event in panel.step(begin, _observed(laid, reading)):
                i = event.brand
                _enter(signals[i], event, brands[i], ledgers[i], self._terms)
        return {brand: Findings(panel.save(i), signals[i]) for i, brand in enumerate(brands)}


def _parted(brands: Mapping[str, T]) -> Iterator[dict[str, T]]:
    """Yield some brands at a time."""
    left = iter(list(brands.items()))
    while some := dict(islice(left, AT_ONCE)):
        yield some


def _start(ledger: Ledger, until: int) -> int:
    """Return the tick from which on nothing was found out for good."""
    if ledger.closed:
        return ledger.closed.carry.at // TICK
    return min(ledger.days, default=until // TICKS_A_DAY) * TICKS_A_DAY


def _closing(ledger: Ledger) -> int:
    """Return the tick up to which the days of a brand are closed, 0 if none is."""
    return ledger.closed.carry.at // TICK if ledger.closed else 0


def _anything(ledgers: Sequence[Ledger], tick: int) -> bool:
    return any(tick // TICKS_A_DAY in ledger.days for ledger in ledgers)


def _lasting(found: Findings, over: datetime) -> Findings:
    """Return findings with those alarms alone that were not over at an instant."""
    signals = found.signals.items()
    return replace(
        found,
        signals={id_: one for id_, one in signals if one.ended is None or one.ended > over},
    )


def _lay(
    brands: Sequence[str], ledgers: Sequence[Ledger], first: int, last: int, terms: Terms
) -> tuple[Track, Reading]:
    """Return ticks of brands side by side, and the readings at their ends, shape (brands, k)."""
    laid = track(ledgers, first, last, rule=terms.rule)
    balance = np.array([[terms.balance(brand)] for brand in brands])
    return laid, read(laid.sums, rule=terms.rule, balance=balance, kept=laid.kept)


def _observed(laid: Track, reading: Reading) -> Observed:
    return Observed(
        authors=laid.authors,
        negatives=laid.negatives,
        posts=laid.posts,
        index=reading.index,
        low=reading.low,
        high=reading.high,
        enough=reading.enough,
        severity=laid.severity,
        groups=laid.witnesses,
        leaks=laid.leaks,
    )


def _enter(
    signals: dict[str, Signal], event: Event, brand: str, ledger: Ledger, terms: Terms
) -> None:
    """Enter what a detector found among the alarms of a brand."""
    began, at = instant((event.began + 1) * TICK), (event.tick + 1) * TICK
    id_ = f"{brand}/{event.detector}/{began:%Y-%m-%dT%H:%MZ}"
    if event.what == "ended":
        if id_ in signals:
            signals[id_] = msgspec.structs.replace(signals[id_], ended=instant(at))
        return
    # The day before may have closed when an alarm is found again: only its own day is told.
    day = event.tick // TICKS_A_DAY * DAY
    balance = terms.balance(brand)
    seen = view(brand, ledger, at=at, rule=terms.rule, balance=balance, since=day)
    groups, posts = seen.explain()
    muted = terms.planned(brand, at)
    signals[id_] = Signal(
        id=id_,
        brand=brand,
        at=began,
        detector=event.detector,
        channel="digest" if muted else event.channel,
        why=why(event),
        numbers={name: round(number, _DIGITS) for name, number in event.numbers.items()},
        posts=posts,
        moved=groups,
        muted=muted,
        version=terms.version,
    )
