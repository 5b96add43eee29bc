"""Posts in many partitions, by many workers and with any reach: the index is that of their set."""

import json
import random
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from streams.domain.book import Book, Entry
from streams.domain.row import DAY, HOUR
from streams.domain.track import TICK
from streams.pipeline import follow
from streams.records import Mention, Signal
from tests.support.rows import T0, last
from tests.unit.test_history import mentions
from tests.unit.test_pipeline import NOW, Rec, judge

PARTITIONS = 4
IDLE = 60.0
"""Seconds after which a source that says nothing holds no day open."""
CLOSE_AFTER = 2 * DAY
END = (T0 + 10 * DAY) // TICK
INSTANTS = tuple(T0 + hours * HOUR for hours in (100, 130, 150, 200, 2_000))


@cache
def spread() -> tuple[Mention, ...]:
    """The crisis, each post from a source partition of its own choice."""
    rng = random.Random(3)
    dated = sorted(mentions(), key=lambda one: one.at)
    return tuple(replace(one, partition=rng.randrange(PARTITIONS)) for one in dated)


def heard(book: Book, some: Iterable[Mention], at: float = 0.0) -> list[Entry]:
    """Follow mentions; return what goes to the changelog."""
    return follow([SimpleNamespace(value=encode(one)) for one in some], book, heard=at).entries


def numbers(book: Book) -> list[list[float]]:
    """Return the readings at some instants."""
    seen = (book.view("acme", at).reading for at in INSTANTS)
    return [[float(getattr(one, name)) for name in one.__slots__] for one in seen]


@cache
def plain() -> tuple[list[list[float]], dict[str, Signal]]:
    """What one worker says of all posts, in their order."""
    book = Book()
    heard(book, spread())
    return numbers(book), last(book.step(END))


def same(found: list[list[float]]) -> bool:
    return all(
        ours == pytest.approx(theirs, abs=1e-9)
        for ours, theirs in zip(found, plain()[0], strict=True)
    )


def test_the_crisis_moves_the_index_and_is_signalled() -> None:
    found, signals = plain()
    assert found[1][0] > found[2][0] + 15
    assert {one.detector for one in signals.values()} >= {"negative_authors", "leak"}


#   worker A  --- half of the posts ---         both wrote some of them
#   worker B           --- half of the posts ---
@pytest.mark.parametrize("seed", [1, 2])
def test_the_rows_of_two_workers_merged_read_as_those_of_one(seed: int) -> None:
    rng = random.Random(seed)
    halves: tuple[list[Mention], list[Mention]] = ([], [])
    for one in spread():
        for mine in rng.sample(halves, rng.choice((1, 1, 1, 2))):
            mine.append(one)
    entries = [entry for mine in halves for entry in heard(Book(), mine)]
    rng.shuffle(entries)
    merged = Book()
    for key, value in entries:
        merged.apply(key, value)
    assert len(entries) > len(spread()), "both wrote some of them"
    assert same(numbers(merged))
    assert last(merged.step(END)) == plain()[1]


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_in_whatever_order_they_come_the_readings_are_the_same(order: str) -> None:
    posts = list(spread())[::-1]
    if order == "shuffled":
        random.Random(5).shuffle(posts)
    book, told = Book(), []
    for n in range(0, len(posts), 200):
        heard(book, posts[n : n + 200])
        told += book.step(END)
    assert same(numbers(book))
    assert last(told) == plain()[1]


#   source 0      -----------------------------|> days ahead
#   sources 1-3   ------------|>
@pytest.mark.parametrize("ahead", [timedelta(days=4), timedelta(days=20)], ids=["some", "all"])
def test_a_source_days_ahead_of_the_others_closes_no_day_over_them(ahead: timedelta) -> None:
    posts = sorted(spread(), key=lambda one: one.at - ahead * (one.partition == 0))
    book, told = Book(), []
    for n, one in enumerate(posts):
        heard(book, [one], at=0.3 * n)
        if n % 60 == 0 and (reached := book.progress.reached(idle_after=IDLE)):
            told += book.step(reached // TICK)
            _close(book)
    assert book.horizon >= T0 // DAY + 3, "days did close"
    assert book.late == 0
    found, wanted = numbers(book)[3:], plain()[0][3:]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert last([*told, *book.step(END)]) == plain()[1]


def _close(book: Book) -> None:
    day = book.ripe(close_after=CLOSE_AFTER, idle_after=IDLE)
    if day is not None:
        for _ in book.close(day):
            pass


POSTS = 200
CROWD = 100_000
REPOSTS = 2_000


def record(number: int, text: str, **more: Any) -> Rec:
    at = f"2026-11-23T{number % 12:02}:{number % 60:02}:00Z"
    author = {"id": f"a{number}", "created_at": "2019-01-01T00:00:00Z"} | more.pop("author", {})
    post = {"id": f"p{number}", "created_at": at, "text": text, "author": author, **more}
    return Rec(json.dumps(post).encode())


async def read_at(records: Sequence[Rec]) -> tuple[Book, dict[str, float]]:
    """Judge and follow posts; return the book, and the reading of a day later."""
    book = Book()
    judged = await judge()(records)
    assert not judged.letters
    heard(book, judged.mentions)
    reading = book.view("acme", NOW + DAY).reading
    return book, {name: float(getattr(reading, name)) for name in reading.__slots__}


async def test_no_like_follow_or_repost_of_the_judged_posts_moves_the_index() -> None:
    texts = [f"Acme {'leaks again' if n % 5 == 0 else 'is fine'}, {n}" for n in range(POSTS)]
    _, calm = await read_at([record(n, text) for n, text in enumerate(texts)])
    reach = {"likes": CROWD, "reposts": CROWD, "replies": CROWD, "views": CROWD}
    liked = [
        record(n, text, reach=reach, author={"followers": CROWD}) for n, text in enumerate(texts)
    ]
    reposts = [record(POSTS + n, texts[n % POSTS], repost_of="p0") for n in range(REPOSTS)]
    book, loud = await read_at([*liked, *reposts])
    assert sum(book.totals()["acme"][:3]) == POSTS + REPOSTS, "they are counted"
    assert loud == calm
    assert book.ledgers["acme"].rows(NOW // DAY).weighty.sum() == POSTS, "nor do they alarm"
