"""A history: what the index and its detectors say of mentions, all at once and offline.

The same rows, ledgers and watch as a worker's, but no day closes: a closed day says what its rows
say, so that makes no difference, and no post can come late.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.brands import Brand
from streams.domain.evidence import Floats
from streams.domain.ledger import Ledger
from streams.domain.row import DAY, HOUR, KINDS, LABELS, Columns, Row, columns, day_of, instant
from streams.domain.stories import Chapter, Shocks, Story, shared
from streams.domain.track import TICK, TICKS_A_DAY, Track
from streams.domain.trust import Reading as Numbers
from streams.domain.trust import Rule
from streams.domain.tuning import Tuning
from streams.domain.view import shock
from streams.domain.watch import Terms, Watch
from streams.pipeline import millis, row_of
from streams.records import Incident, Mention, Reading, Shock, Signal

TICKS_AN_HOUR = HOUR // TICK
_READ = ("index", "low", "high", "capital", "mood", "mood_loss")
_NUMBERS = ("index", "low", "high", "capital", "mood", "mood_loss", "shock_loss")


@dataclass(frozen=True, kw_only=True)
class BrandHistory:
    """A brand over time: readings at the end of each hour, and posts by hour.

    Attributes:
        brand: its id.
        name: what it is called.
        at: when each reading was due, milliseconds, shape (n,): so are those that follow.
        index: 0 to 100; `low` and `high` bound it at 95 %, without `enough` it is unknown.
        capital: points, before anything is taken off.
        mood: points; where it is below the capital, some of the difference is taken off.
        mood_loss: points that the mood takes off.
        shock_loss: points that leak stories take off.
        hours: beginnings of the hours with posts, milliseconds, shape (m,).
        negative: posts of each hour by likeliest sentiment, shape (m,), as are those that follow.
    """

    brand: str
    name: str
    at: NDArray[np.int64]
    index: Floats
    low: Floats
    high: Floats
    capital: Floats
    mood: Floats
    mood_loss: Floats
    shock_loss: Floats
    enough: NDArray[np.bool_]
    hours: NDArray[np.int64]
    negative: NDArray[np.int64]
    neutral: NDArray[np.int64]
    positive: NDArray[np.int64]


@dataclass(frozen=True)
class History:
    """All that mentions come to.

    Attributes:
        brands: those that were mentioned.
        readings: at the end of each hour in which a brand was mentioned.
        signals: every alarm.
        incidents: every leak story.
        alarms: raises the alarms again, with other constants.
    """

    brands: list[BrandHistory]
    readings: list[Reading]
    signals: list[Signal]
    incidents: list[Incident]
    alarms: Callable[[Tuning], list[Signal]] = field(repr=False)


def replay(
    mentions: Iterable[Mention],
    *,
    brands: Sequence[Brand],
    rule: Rule | None = None,
    tuning: Tuning | None = None,
    on_day: Callable[[date], None] = lambda _: None,
) -> History:
    """Return the history of mentions, in whatever order they come.

    Args:
        mentions: as `judge` writes them.
        brands: whom they may be about; their balance and planned events count.
        rule: constants of the index.
        tuning: constants of the detectors.
        on_day: told of each day that was looked at.
    """
    known = {brand.id: brand for brand in brands}
    terms = Terms(
        rule=rule or Rule(),
        tuning=tuning or Tuning(),
        balance=lambda brand: known[brand].balance,
        planned=lambda brand, at: known[brand].planned(instant(at)),
    )
    heard = _Heard(terms.rule)
    for mention in mentions:
        if mention.deleted or mention.brand in known:
            heard.enter(mention)
    return _History(heard, terms, known, on_day).tell()


class _Heard:
    """What was said about each brand, by post.

    A book looks for a post in each of its open days; here, where all days are open, that would take
    ever longer.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._rows: dict[str, dict[str, bytes]] = {}
        self._deleted: set[str] = set()

    def enter(self, mention: Mention) -> None:
        """Enter a mention; of two versions of a post the one that outranks counts."""
        at = millis(mention.at)
        if at < 0:
            return
        if mention.deleted:
            self._deleted.add(mention.post)
            return
        row = row_of(mention, at, self._rule.weights)
        rows = self._rows.setdefault(mention.brand, {})
        known = rows.get(mention.post)
        if known is None or row.outranks(Row.unpack(known)):
            rows[mention.post] = row.pack()

    def told(self) -> Iterator[tuple[str, Ledger, Columns]]:
        """Yield each brand with its ledger and the rows that count, and forget them."""
        for brand in sorted(self._rows):
            rows = self._rows.pop(brand)
            ledger, counted = Ledger(self._rule), columns(rows)
            for day, i in zip((counted.at // DAY).tolist(), counted.order.tolist(), strict=True):
                ledger.days.setdefault(day, {})[counted.names[i]] = counted.packed[i]
            ledger.withdrawn = self._deleted.intersection(rows)
            if ledger.withdrawn:
                counted = columns({post: rows[post] for post in rows.keys() - ledger.withdrawn})
            if len(counted.at):
                yield brand, ledger, counted


class _Volume(NamedTuple):
    """The hours with posts, and their posts by label, shape (labels, hours)."""

    hours: NDArray[np.int64]
    counts: NDArray[np.int64]


class _Seen(NamedTuple):
    """Readings of a brand at the ends of some hours."""

    at: NDArray[np.int64]
    numbers: Mapping[str, NDArray[Any]]


class _History:
    """All that was heard, looked at from the first day to the last."""

    def __init__(
        self,
        heard: _Heard,
        terms: Terms,
        brands: Mapping[str, Brand],
        on_day: Callable[[date], None],
    ) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._volumes: dict[str, _Volume] = {}
        newest = 0
        for brand, ledger, rows in heard.told():
            self._ledgers[brand], self._volumes[brand] = ledger, _volume(rows)
            newest = max(newest, int(rows.at[-1]))
        self._terms, self._brands, self._on_day = terms, brands, on_day
        self._until = (newest // HOUR + 1) * TICKS_AN_HOUR
        self._chapters: dict[tuple[str, int], list[Chapter]] = {}
        self._seen: dict[str, list[_Seen]] = {brand: [] for brand in self._ledgers}

    def tell(self) -> History:
        """Return the history."""
        signals = self._signals(self._terms, self._look)
        brands = [self._brand(brand) for brand in self._ledgers]
        return History(
            brands=brands,
            readings=sorted(
                (one for brand in brands for one in self._readings(brand)),
                key=lambda one: (one.at, one.brand),
            ),
            signals=signals,
            incidents=sorted(
                (
                    one
                    for brand, ledger in self._ledgers.items()
                    for one in self._told(brand, ledger)
                ),
                key=lambda one: (one.first_seen, one.incident),
            ),
            alarms=lambda tuning: self._signals(replace(self._terms, tuning=tuning)),
        )

    def _signals(self, terms: Terms, look: Any = None) -> list[Signal]:
        found = Watch(terms, self._ledgers, look).step(self._until) if self._ledgers else []
        return sorted(found, key=lambda one: (one.at, one.id))

    def _look(self, brands: Sequence[str], first: int, _: Track, seen: Numbers) -> None:
        """Keep the readings at the ends of hours, from the brand's first one on."""
        ticks = first + np.arange(seen.index.shape[1])
        kept = (ticks + 1) % TICKS_AN_HOUR == 0
        at, day = (ticks[kept] + 1) * TICK, first // TICKS_A_DAY
        for i, brand in enumerate(brands):
            numbers = {name: getattr(seen, name)[i, kept] for name in (*_NUMBERS, "enough")}
            self._seen[brand].append(_Seen(at, numbers))
            if numbers["shock_loss"].any():
                # The ledger has just looked at the day: now it costs nothing to ask.
                tail = self._ledgers[brand].settled(day, (day + 1) * DAY)
                self._chapters[brand, day] = tail.chapters
        self._on_day(instant(day * DAY).date())

    def _brand(self, brand: str) -> BrandHistory:
        hours, counts = self._volumes[brand]
        seen = self._seen[brand]
        at = np.concatenate([one.at for one in seen])
        heard = at > hours[0]
        numbers = {
            name: np.concatenate([one.numbers[name] for one in seen])[heard]
            for name in (*_NUMBERS, "enough")
        }
        volume = dict(zip(LABELS, counts, strict=True))
        name = self._brands[brand].name
        return BrandHistory(brand=brand, name=name, at=at[heard], hours=hours, **numbers, **volume)

    def _readings(self, brand: BrandHistory) -> Iterable[Reading]:
        """Yield the readings at the ends of the hours with posts."""
        due = np.isin(brand.at - HOUR, brand.hours)
        version = self._terms.rule.version
        series = [getattr(brand, name)[due].tolist() for name in _READ]
        at, enough = brand.at[due].tolist(), brand.enough[due].tolist()
        shocks = self._shocks(brand.brand, at, brand.shock_loss[due].tolist())
        for due_at, told, known, *numbers in zip(at, shocks, enough, *series, strict=True):
            yield Reading(
                brand=brand.brand,
                at=instant(due_at),
                enough=known,
                shocks=told,
                version=version,
                **{name: round(one, 6) for name, one in zip(_READ, numbers, strict=True)},
            )

    def _shocks(
        self, brand: str, at: Iterable[int], losses: Iterable[float]
    ) -> Iterator[tuple[Shock, ...]]:
        """Yield what each incident takes off at each of some instants, given what all do."""
        for day, due in groupby(zip(at, losses, strict=True), key=lambda one: day_of(one[0] - 1)):
            instants, points = zip(*due, strict=True)
            chapters = self._chapters.get((brand, day), [])
            parts = shared(chapters, np.array(instants), self._terms.rule.shocks)
            for loss, part in zip(points, parts, strict=True):
                yield tuple(
                    shock(brand, name, loss * share) for name, share in part.items() if loss
                )

    def _told(self, brand: str, ledger: Ledger) -> Iterable[Incident]:
        stories = {story.name: story for story in ledger.stories()}
        for story in stories.values():
            yield incident(brand, story, now=self._until * TICK, shocks=self._terms.rule.shocks)


def _volume(rows: Columns) -> _Volume:
    hours, code = np.unique(rows.at // HOUR, return_inverse=True)
    counts = [
        np.bincount(code[rows.label == one], minlength=len(hours)) for one in range(len(LABELS))
    ]
    return _Volume(hours * HOUR, np.array(counts))


def incident(brand: str, story: Story, *, now: int, shocks: Shocks) -> Incident:
    """Return a leak story as it goes to a file or a topic."""
    quiet = now - story.last > shocks.gap * HOUR
    return Incident(
        incident=f"{brand}/{story.name}",
        brand=brand,
        status="quiet" if quiet else "open",
        severity=story.severity(shocks),
        credibility=round(story.credibility(shocks), 6),
        kinds=(KINDS[story.kind],),
        first_seen=instant(story.first),
        last_seen=instant(story.last),
        mentions=story.mentions,
        authors=story.authors,
        evidence=(_witnesses(story.witnesses), f"on {', '.join(story.sources)}"),
        posts=story.posts,
    )


def _witnesses(number: int) -> str:
    return f"{number} independent witness{'' if number == 1 else 'es'}"
