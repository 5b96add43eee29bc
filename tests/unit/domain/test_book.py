"""A book is what its entries say, in any order and written any number of times."""

import random
from functools import partial
from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from streams.domain.book import Book, Entry
from streams.domain.ledger import Ledger
from streams.domain.row import DAY, HOUR, Row
from streams.domain.trust import Rule, read

T0 = 20_000 * DAY

rows = st.builds(
    Row,
    at=st.integers(0, 3 * DAY - 1).map(lambda ms: T0 + ms),
    gain=st.integers(0, 10_000),
    loss=st.integers(0, 10_000),
    label=st.integers(0, 2),
    leak=st.booleans(),
    source=st.sampled_from(["forum", "bluesky", "réseau"]),
)
puts = st.tuples(
    st.just("put"), st.sampled_from(["acme", "brio"]), st.sampled_from("abcdefgh"), rows
)
deletes = st.tuples(st.just("delete"), st.sampled_from("abcdefgh"))
acts = st.lists(st.one_of(puts, puts, puts, deletes), max_size=30)


def act(book: Book, acts_: list) -> list[Entry]:
    written: list[Entry] = []
    for name, *args in acts_:
        if name == "put":
            written += book.put(*args)
        else:
            written += book.delete(args[0], T0 + DAY)[0]
    return written


def replay(entries: list[Entry]) -> Book:
    book = Book()
    for key, value in entries:
        book.apply(key, value)
    return book


def state(book: Book) -> dict:
    totals = book.totals()
    return {"hours": totals, "leaks": {brand: book.ledgers[brand].leak for brand in totals}}


def close(book: Book, day: int) -> list[Entry]:
    return list(chain.from_iterable(book.close(day)))


@given(acts, st.randoms())
def test_any_order_and_any_repetition_gives_the_same_state(
    sequence: list, rng: random.Random
) -> None:
    one, other = Book(), Book()
    act(one, sequence)
    shuffled = [*sequence, *sequence[::2]]
    rng.shuffle(shuffled)
    act(other, shuffled)
    assert state(one) == state(other)


@given(acts)
def test_the_changelog_rebuilds_the_book(sequence: list) -> None:
    book = Book()
    assert state(replay(act(book, sequence))) == state(book)


@given(acts, st.randoms())
def test_a_compacted_changelog_rebuilds_the_book(sequence: list, rng: random.Random) -> None:
    book = Book()
    last = dict(act(book, sequence))
    entries = list(last.items())
    rng.shuffle(entries)
    assert state(replay(entries)) == state(book)


@given(acts)
def test_closing_days_changes_no_sum(sequence: list) -> None:
    book = Book()
    act(book, sequence)
    before = state(book)
    close(book, T0 // DAY + 1)
    assert state(book) == before


@given(acts, st.data())
def test_a_stop_at_any_entry_of_a_closing_loses_nothing(
    sequence: list, data: st.DataObject
) -> None:
    book = Book()
    written = act(book, sequence)
    expected = state(replay(written))
    closing = close(book, T0 // DAY + 1)
    cut = data.draw(st.integers(0, len(closing)))
    again = replay([*written, *closing[:cut]])
    rest = close(again, T0 // DAY + 1)
    final = replay([*written, *closing[:cut], *rest])
    for found in (again, final):
        assert state(found) == expected
        live = [row for ledger in found.ledgers.values() for _, row in ledger.live()]
        assert all(row.at >= T0 + 2 * DAY for row in live)


@given(acts)
def test_closed_rows_leave_the_changelog(sequence: list) -> None:
    book = Book()
    written = act(book, sequence)
    log = dict([*written, *close(book, T0 // DAY + 3)])
    left = [key for key, value in log.items() if value is not None and key[:1] in b"rx"]
    assert left == []


def test_a_row_for_a_closed_day_is_late_and_changes_nothing() -> None:
    book = Book()
    book.put("acme", "a", Row(T0, 1, 2, 0, leak=False, source="forum"))
    close(book, T0 // DAY)
    before = state(book)
    assert book.put("acme", "b", Row(T0 + 1, 9, 9, 0, leak=True, source="forum")) == []
    assert book.put("brio", "b", Row(T0 + 1, 9, 9, 0, leak=True, source="forum")) == []
    assert book.late == 2
    assert state(book) == before


def test_a_deletion_finds_its_rows_under_every_brand_and_before_they_come() -> None:
    row = Row(T0, 5_000, 100, 2, leak=True, source="forum")
    book = Book()
    book.delete("b", T0)
    for brand, post in (("acme", "a"), ("brio", "a"), ("acme", "b")):
        book.put(brand, post, row)
    assert book.delete("a", T0)[1] == ["acme", "brio"]
    assert book.totals() == {}
    assert book.ledgers["acme"].leak is None


def test_the_graver_of_two_versions_with_one_date_counts_and_the_earlier_of_two_dates() -> None:
    mild = Row(T0, 8_000, 100, 2, leak=False, source="forum")
    grave = mild._replace(loss=9_000)
    earlier = mild._replace(at=T0 - HOUR)
    for versions in ((mild, grave), (grave, mild)):
        ledger = Ledger()
        for version in versions:
            ledger.put("a", version)
        assert dict(ledger.live()) == {"a": grave}
        ledger.put("a", earlier)
        assert dict(ledger.live()) == {"a": earlier}


#   source 0  ---D0---|---D1---|---D2---|-----> far ahead
#   source 1  --->                              behind, then idle
def test_a_day_stays_open_for_the_slowest_source_until_that_is_idle() -> None:
    book = Book()
    ripe = partial(book.ripe, close_after=2 * DAY, idle_after=60.0)
    hear(book, 0, T0 + 5 * DAY, start=0, seconds=50)
    assert ripe() is None, "a slow source may not have been heard of yet"
    book.progress.note(1, T0 + HOUR, heard=50.0)
    hear(book, 0, T0 + 5 * DAY, start=50, seconds=30)
    assert ripe() == T0 // DAY - 3
    hear(book, 0, T0 + 5 * DAY, start=80, seconds=60)
    assert ripe() == T0 // DAY + 2


def test_a_pause_of_everything_makes_no_source_idle() -> None:
    book = Book()
    ripe = partial(book.ripe, close_after=2 * DAY, idle_after=60.0)
    hear(book, 0, T0, start=0, seconds=70)
    hear(book, 1, T0, start=60, seconds=10)
    book.progress.note(0, T0 + 9 * DAY, heard=10_000.0)
    assert ripe() == T0 // DAY - 3


def hear(book: Book, source: int, at: int, *, start: int, seconds: int) -> None:
    for second in range(start, start + seconds + 1):
        book.progress.note(source, at, heard=float(second))


def test_old_closed_days_are_forgotten_and_weighed_nothing_before() -> None:
    book, rule = Book(), Rule()
    book.put("acme", "old", Row(T0, 0, 10_000, 0, leak=False, source="forum"))
    close(book, T0 // DAY)
    now = T0 + 400 * DAY
    book.put("acme", "new", Row(now, 9_000, 0, 2, leak=False, source="forum"))
    before = read(book.ledgers["acme"], now=now, rule=rule)
    entries = close(book, now // DAY - 2)
    assert (b"d|acme|20000", None) in entries
    assert read(book.ledgers["acme"], now=now, rule=rule) == before
