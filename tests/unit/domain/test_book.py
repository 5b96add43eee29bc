"""A book is what its entries say, in any order and written any number of times."""

import random
from functools import partial
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.book import Book, Entry
from streams.domain.ledger import Leak
from streams.domain.row import DAY, HOUR, UNIT, Row
from streams.records import Signal
from tests.support.rows import (
    DAY0,
    T0,
    Acts,
    act,
    acts,
    close,
    crisis,
    dated,
    last,
    numbers,
    replay,
    row,
    shuffled,
    state,
    tick,
)

some = settings(max_examples=40)


@some
@given(acts, st.integers(0, 9))
def test_any_order_and_any_repetition_gives_the_same_state(sequence: Acts, seed: int) -> None:
    one, other = Book(), Book()
    act(one, sequence)
    act(other, shuffled([*sequence, *sequence[::2]], seed))
    assert state(one) == state(other)


@some
@given(acts)
def test_the_changelog_rebuilds_the_book(sequence: Acts) -> None:
    book = Book()
    assert state(replay(act(book, sequence))) == state(book)


@some
@given(acts, st.randoms())
def test_a_compacted_changelog_rebuilds_the_book_in_any_order(
    sequence: Acts, rng: random.Random
) -> None:
    book = Book()
    entries = list(dict(act(book, sequence)).items())
    rng.shuffle(entries)
    assert state(replay(entries)) == state(book)


@some
@given(acts, st.integers(0, 30))
def test_two_books_of_a_part_each_make_one_of_the_whole(sequence: Acts, cut: int) -> None:
    whole, one, other = Book(), Book(), Book()
    act(whole, sequence)
    entries = [*act(one, sequence[:cut]), *act(other, sequence[cut:])]
    merged = replay(shuffled(entries, cut))
    assert state(merged) == state(whole)


@some
@given(acts)
def test_closing_days_changes_no_reading(sequence: Acts) -> None:
    book = Book()
    act(book, sequence)
    totals, days = book.totals(), (2, 2.5, 3, 9, 60)
    before = {brand: numbers(book, brand, days) for brand in book.ledgers}
    for day in (DAY0, DAY0 + 1):
        close(book, day)
        assert book.totals() == totals
        for brand in totals:
            for old, new in zip(before[brand], numbers(book, brand, days), strict=True):
                assert new == pytest.approx(old, abs=1e-9)


@some
@given(acts, st.data())
def test_a_stop_at_any_entry_of_a_closing_loses_nothing(
    sequence: Acts, data: st.DataObject
) -> None:
    book = Book()
    written = act(book, sequence)
    closing = close(book, DAY0 + 1)
    cut = data.draw(st.integers(0, len(closing)))
    again = replay([*written, *closing[:cut]])
    rest = close(again, DAY0 + 1)
    final = replay([*written, *closing[:cut], *rest])
    expected = state(book, (2, 3, 40))
    for found in (again, final):
        assert state(found, (2, 3, 40)) == expected
        assert all(day > DAY0 + 1 for made in found.ledgers.values() for day in made.days)


@some
@given(acts)
def test_closed_rows_and_deletions_leave_the_changelog(sequence: Acts) -> None:
    book = Book()
    written = act(book, sequence)
    log = dict([*written, *close(book, DAY0), *close(book, DAY0 + 3)])
    left = sorted(key[:1] for key, value in log.items() if value is not None)
    assert left == [b"c"] * len(book.totals()) + [b"h"]


#   days     0    1    2    3    4  ...  9   10   11  12
#   posts    ------------------------------------------>
#   closes        0    1    2    3  ...  8    9
def test_a_book_that_closes_days_says_what_one_says_that_does_not() -> None:
    posts = dated(crisis())
    calm, closing = Book(), Book()
    for day in range(12):
        today = [one for one in posts if one[3].at // DAY == DAY0 + day]
        act(calm, today)
        act(closing, today)
        told = closing.step(tick(day + 1))
        calm.step(tick(day + 1))
        closing.tell(told)
        if day >= 2:
            close(closing, DAY0 + day - 2)
        days = (day + 0.5, day + 1, day + 30)
        both = (numbers(calm, "acme", days), numbers(closing, "acme", days))
        for one, other in zip(*both, strict=True):
            assert other == pytest.approx(one, abs=1e-9)
    assert closing.totals() == calm.totals()
    assert closing.late == 0
    assert not [day for day in closing.ledgers["acme"].days if day < DAY0 + 10]


def signalled(every: int | None) -> list[Signal]:
    """Follows a crisis day by day; closes days after two, and starts anew every few days."""
    posts, book = dated(crisis()), Book()
    log: list[Entry] = []
    told: list[Signal] = []
    for day in range(13):
        if every and day % every == 0:
            book = replay(log)
        log += act(book, [one for one in posts if one[3].at // DAY == DAY0 + day])
        news = book.step(tick(day + 1))
        log += book.tell(news)
        told += news
        if every and day >= 2:
            log += close(book, DAY0 + day - 2)
    return told


def test_signals_are_the_same_with_closings_and_restarts_and_without() -> None:
    plain = last(signalled(None))
    assert {one.detector for one in plain.values()} >= {"negative_authors", "leak"}
    for every in (1, 2, 5):
        assert last(signalled(every)) == plain


def test_an_alarm_that_is_on_when_its_day_closes_ends_as_it_would_have() -> None:
    posts = dated(crisis())
    book = Book()
    act(book, posts)
    plain = last(book.step(tick(13)))
    lasting = [one for one in plain.values() if one.ended and one.ended.date() > one.at.date()]
    assert lasting, "an alarm goes on over midnight"
    for day in range(8, 12):
        other = Book()
        act(other, posts)
        signals = other.step(tick(day + 1))
        close(other, DAY0 + day)
        assert last([*signals, *other.step(tick(13))]) == plain


def test_a_row_for_a_closed_day_is_late_and_changes_nothing() -> None:
    book = Book()
    book.put("acme", "a", row(1, gain=0.1, loss=0.2))
    close(book, DAY0)
    before = state(book, (1, 2))
    grave = row(2, loss=0.9, leak=True)
    assert book.put("acme", "b", grave) == book.put("brio", "b", grave) == []
    assert book.late == 2
    assert state(book, (1, 2)) == before
    assert replay([(b"r|acme|b", grave.pack())]).totals() != {}, "open there"


def test_a_deletion_finds_its_rows_under_every_brand_and_before_they_come() -> None:
    told = row(1, gain=0.5, leak=True)
    book = Book()
    book.delete("b", T0)
    for brand, post in (("acme", "a"), ("brio", "a"), ("acme", "b")):
        book.put(brand, post, told)
    assert book.view("acme", T0 + DAY).known.leak == Leak(told.at, "a", "forum")
    assert book.delete("a", T0)[1] == ["acme", "brio"]
    assert book.totals() == {}
    assert book.view("acme", T0 + DAY).known.leak is None


def test_a_deletion_outlives_its_own_day_while_the_post_is_there() -> None:
    book = Book()
    log = [*book.put("acme", "a", row(30, loss=0.9)), *book.put("acme", "b", row(30, gain=0.5))]
    log += book.delete("a", T0)[0]
    log += close(book, DAY0)
    compacted = {key: value for key, value in dict(log).items() if value is not None}
    assert replay(compacted.items()).totals() == book.totals()
    log += close(book, DAY0 + 1)
    assert not [key for key, value in dict(log).items() if value and key[:1] == b"x"]


def test_a_post_that_is_deleted_again_and_again_is_deleted_once() -> None:
    book = Book()
    book.put("acme", "a", row(1, loss=0.9))
    assert len(book.delete("a", T0)[0]) == 1
    assert book.delete("a", T0 + HOUR) == ([], [])
    close(book, DAY0)
    assert book.delete("b", T0) == ([], []), "its day is closed"


#   source 0  ---D0---|---D1---|---D2---|-----> far ahead
#   source 1  --->                              behind, then idle
def test_a_day_stays_open_for_the_slowest_source_until_that_is_idle() -> None:
    book = Book()
    ripe = partial(book.ripe, close_after=2 * DAY, idle_after=60.0)
    hear(book, 0, T0 + 5 * DAY, start=0, seconds=50)
    assert ripe() is None, "a slow source may not have been heard of yet"
    book.progress.note(1, T0 + HOUR, heard=50.0)
    hear(book, 0, T0 + 5 * DAY, start=50, seconds=30)
    assert ripe() == DAY0 - 3
    hear(book, 0, T0 + 5 * DAY, start=80, seconds=60)
    assert ripe() == DAY0 + 2


def test_a_pause_of_everything_makes_no_source_idle() -> None:
    book = Book()
    ripe = partial(book.ripe, close_after=2 * DAY, idle_after=60.0)
    hear(book, 0, T0, start=0, seconds=70)
    hear(book, 1, T0, start=60, seconds=10)
    book.progress.note(0, T0 + 9 * DAY, heard=10_000.0)
    assert ripe() == DAY0 - 3


def hear(book: Book, source: int, at: int, *, start: int, seconds: int) -> None:
    for second in range(start, start + seconds + 1):
        book.progress.note(source, at, heard=float(second))


def test_a_source_that_is_days_ahead_changes_nothing_in_the_end() -> None:
    posts = dated(crisis())
    ahead, behind = posts[::2], posts[1::2]
    plain, skewed = Book(), Book()
    act(plain, posts)
    signals = plain.step(tick(13))
    told = []
    act(skewed, ahead)
    for n in range(0, len(behind), 40):
        act(skewed, behind[n : n + 40])
        told += skewed.step(behind[n][3].at // 600_000)
    told += skewed.step(tick(13))
    assert state(skewed) == state(plain)
    assert last(told) == last(signals)


def test_a_brand_of_30_years_takes_the_memory_of_its_open_days() -> None:
    book = Book()
    for year in (0, 3, 30):
        at = T0 + year * 365 * DAY
        book.put("acme", f"{year}", Row(at, UNIT // 2, 0, 2, leak=year == 3, source="forum"))
        close(book, at // DAY - 1)
    made = book.ledgers["acme"]
    assert sum(map(len, made.days.values())) == 1
    assert made.closed is not None
    assert len(made.closed.carry.praise) == 28
    assert made.closed.carry.stories == ()
    assert book.totals()["acme"][2] == 3


@pytest.mark.parametrize(
    "entry", [(b"h|", None), (b"c|acme|5", None), (b"x|a", None), (b"r|acme|a", None)]
)
def test_removals_of_what_is_not_there_say_nothing(entry: tuple) -> None:
    assert replay([entry]).totals() == {}


def test_entries_of_one_closing_say_the_same_twice() -> None:
    book = Book()
    written = act(book, crisis())
    closing = list(chain.from_iterable(book.close(DAY0 + 7)))
    once, twice = replay([*written, *closing]), replay([*written, *closing, *written, *closing])
    assert state(once, (12, 40)) == state(twice, (12, 40)) == state(book, (12, 40))
