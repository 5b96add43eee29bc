"""Rows and books to test the index with: made by hand, by chance, or as a whole crisis."""

import random
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from hypothesis import strategies as st

from streams.domain.book import Book, Entry
from streams.domain.ledger import Ledger
from streams.domain.row import DAY, HOUR, UNIT, Row
from streams.domain.track import TICK
from streams.domain.trust import Rule
from streams.domain.view import View, view
from streams.records import Signal

T0 = 20_003 * DAY
"""A Monday."""
DAY0 = T0 // DAY
RULE = Rule()

Act = tuple[Any, ...]
Acts = Sequence[Act]


def row(hours: float = 0.0, *, gain: float = 0.0, loss: float = 0.0, **given: Any) -> Row:
    """Makes a row some hours after T0; evidence is in posts."""
    known: dict[str, Any] = {
        "label": 0 if loss > gain else 2 if gain else 1,
        "leak": False,
        "source": "forum",
    }
    at = T0 + round(hours * HOUR)
    return Row(at, round(gain * UNIT), round(loss * UNIT), **(known | given))


def ledger(rows: Iterable[Row], rule: Rule = RULE) -> Ledger:
    """Makes a ledger; posts are named by their place."""
    made = Ledger(rule)
    for number, one in enumerate(rows):
        made.put(f"{number}", one)
    return made


def seen(made: Ledger, hours: float, rule: Rule = RULE, **given: Any) -> View:
    """Looks at a ledger some hours after T0."""
    at = T0 + round(hours * HOUR)
    return view("acme", made, at=at, rule=rule, **({"balance": 2.0} | given))


def steady(first: int, last: int, each: int, gain: float, loss: float) -> list[Row]:
    """Makes the same posts every day, evenly spread."""
    hours = (24 * day + 24 * n / each for day in range(first, last) for n in range(each))
    return [row(hour, gain=gain, loss=loss) for hour in hours]


rows = st.builds(
    Row,
    at=st.integers(0, 3 * DAY - 1).map(lambda ms: T0 + ms),
    gain=st.integers(0, UNIT),
    loss=st.integers(0, UNIT),
    label=st.integers(0, 2),
    leak=st.booleans(),
    source=st.sampled_from(["forum", "bluesky", "réseau"]),
    kind=st.integers(0, 6),
    author=st.integers(0, 3),
    copy=st.integers(0, 3),
    weighty=st.booleans(),
    young=st.booleans(),
)
posts = st.sampled_from("abcdefgh")
puts = st.tuples(st.just("put"), st.sampled_from(["acme", "brio"]), posts, rows)
deletes = st.tuples(st.just("delete"), posts)
acts = st.lists(st.one_of(puts, puts, puts, deletes), max_size=30)


def act(book: Book, sequence: Iterable[Act]) -> list[Entry]:
    """Puts and deletes; returns what went to the changelog."""
    written: list[Entry] = []
    for name, *args in sequence:
        written += book.put(*args) if name == "put" else book.delete(args[0], T0 + DAY)[0]
    return written


def replay(entries: Iterable[Entry]) -> Book:
    """Rebuilds a book from its changelog."""
    book = Book()
    for key, value in entries:
        book.apply(key, value)
    return book


def close(book: Book, day: int) -> list[Entry]:
    """Closes days; returns what went to the changelog."""
    return list(chain.from_iterable(book.close(day)))


def told(one: View) -> dict[str, Any]:
    """Everything that a view says."""
    numbers = {name: float(getattr(one.reading, name)) for name in one.reading.__slots__}
    groups, telling = one.explain()
    return {
        "reading": numbers,
        "counts": one.known.counts,
        "leak": one.known.leak,
        "shocks": one.shocks(),
        "groups": groups,
        "posts": telling,
    }


def state(book: Book, days: Sequence[float] = (0.5, 2, 3, 40)) -> dict[str, Any]:
    """All that a book says, at instants given in days after T0."""
    views = {
        (brand, day): told(book.view(brand, T0 + round(day * DAY)))
        for brand in sorted(book.ledgers)
        if book.ledgers[brand].days or book.ledgers[brand].closed
        for day in days
    }
    return {"totals": book.totals(), "views": views, "last": book.latest()}


def numbers(book: Book, brand: str, days: Sequence[float]) -> list[list[float]]:
    """The sums and the reading of a brand at instants given in days after T0."""
    out = []
    for day in days:
        one = book.view(brand, T0 + round(day * DAY))
        values = [float(getattr(one.reading, name)) for name in one.reading.__slots__]
        out.append([*one.scene.sums.tolist(), *values, *(shock.loss for shock in one.shocks())])
    return out


def crisis(seed: int = 1, *, days: int = 12, calm: int = 30, surge: float = 6.0) -> list[Act]:
    """Makes a brand's fortnight: calm days, a surge of complaints and a leak across midnight.

    The surge goes from the evening of the fourth day before the end into the third; the leak has
    a dozen witnesses, and a last one two days after the others.
    """
    chance = np.random.default_rng(seed)
    at = [T0 + int(ms) for ms in np.sort(chance.integers(0, days * DAY, days * calm))]
    moods = [(0.6, 0.2)] * len(at)
    begin = T0 + (days - 4) * DAY + 20 * HOUR
    loud = chance.integers(0, 9 * HOUR, int(calm * surge))
    at += [begin + int(ms) for ms in loud]
    moods += [(0.02, 0.95)] * len(loud)
    made: list[Act] = []
    for n, (when, (gain, loss)) in enumerate(zip(at, moods, strict=True)):
        author, copy = chance.integers(1, 2**60, 2).tolist()
        label = 0 if loss > gain or chance.random() < 0.2 else 2
        one = Row(when, int(gain * UNIT), int(loss * UNIT), label, False, "forum", 0, author, copy)
        made.append(("put", "acme", f"post-{n}", one))
    leaks = [*(begin + 20 * 60_000 * n for n in range(12)), begin + 47 * HOUR]
    for n, when in enumerate(leaks):
        one = Row(when, 0, UNIT, 0, True, "paste", 1, 900 + n, 900 + n)
        made.append(("put", "acme", f"leak-{n}", one))
    return made


def dated(sequence: Iterable[Act]) -> list[Act]:
    """Sorts puts by event time."""
    return sorted(sequence, key=lambda one: one[3].at)


def shuffled(sequence: Iterable[Act], seed: int = 1) -> list[Act]:
    """Shuffles."""
    mixed = list(sequence)
    random.Random(seed).shuffle(mixed)
    return mixed


def last(signals: Iterable[Signal]) -> dict[str, Signal]:
    """The last word on each alarm; those that were withdrawn are left out."""
    final = {one.id: one for one in signals}
    return {id_: one for id_, one in sorted(final.items()) if not one.withdrawn}


def tick(days: float) -> int:
    """The tick that begins so many days after T0."""
    return (T0 + round(days * DAY)) // TICK
