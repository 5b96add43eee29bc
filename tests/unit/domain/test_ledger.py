"""A ledger: pages and carries, versions, deletions, and what closing leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from streams.domain.ledger import Carry, Closed, Ledger, Page, Tail, carried
from streams.domain.row import DAY, Row
from streams.domain.trust import WIDTH
from tests.support.rows import DAY0, RULE, T0, ledger, row, rows, seen

many = st.lists(rows, max_size=20)


def close(made: Ledger, day: int) -> list[str]:
    return made.close(Closed(made.carry((day + 1) * DAY)))


def alike(one: Carry, other: Carry) -> None:
    """Compares carries; decay in two steps instead of one may differ in the last bits."""
    assert one.sums == pytest.approx(other.sums, abs=1e-12)
    assert replace(one, sums=()) == replace(other, sums=())


def test_a_ledger_that_was_told_nothing_knows_nothing() -> None:
    made = Ledger(RULE)
    assert made.latest() is None
    assert made.page(DAY0) is None
    assert made.row("a") is None
    assert made.carry(T0) == Carry(T0)
    assert made.carry(T0).blank
    assert list(made.stories()) == []


def test_writing_a_row_again_changes_nothing() -> None:
    made = Ledger(RULE)
    assert made.put("a", row(1, gain=0.5)) == T0 + DAY // 24
    assert made.put("a", row(1, gain=0.5)) is None
    assert made.carry(T0 + DAY).counts[2] == 1


def test_the_graver_of_two_versions_counts_and_the_earlier_of_two_dates() -> None:
    mild, grave = row(30, gain=0.8, loss=0.01), row(30, gain=0.8, loss=0.9)
    earlier = row(2, gain=0.8, loss=0.01)
    for versions in ((mild, grave, earlier), (earlier, grave, mild), (grave, earlier, mild)):
        made = Ledger(RULE)
        for version in versions:
            made.put("a", version)
        assert made.row("a") == earlier.pack()
        assert list(made.days) == [DAY0]


@given(many, st.data())
def test_a_withdrawn_post_is_as_if_it_had_never_been(given_: list, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, max(0, len(given_) - 1))))
    made, without = ledger(given_), Ledger(RULE)
    for n, one in enumerate(given_):
        if n not in gone:
            without.put(str(n), one)
        elif made.withdraw(str(n)):
            assert not made.withdraw(str(n)), "once is enough"
    end = (DAY0 + 3) * DAY
    alike(made.carry(end), without.carry(end))


@given(many, st.data())
def test_the_newest_post_is_the_latest_that_counts(given_: list, data: st.DataObject) -> None:
    made = Ledger(RULE)
    for n, one in enumerate(given_):
        if made.closed and one.at < made.closed.carry.at:
            continue
        made.put(str(n), one)
        what = data.draw(st.sampled_from(["stay", "withdraw", "drop", "close"]))
        if what == "withdraw":
            made.withdraw(str(n))
        elif what == "drop":
            made.drop(str(n))
        elif what == "close":
            close(made, DAY0)
        known = made.latest()
        assert made.newest() == (known.latest if known else 0)


def test_a_withdrawn_post_stays_withdrawn_in_an_earlier_version() -> None:
    made = ledger([row(30, loss=0.5)])
    made.withdraw("0")
    made.put("0", row(2, loss=0.5))
    assert made.carry(T0 + 3 * DAY).blank


def test_what_was_asked_before_changes_no_answer() -> None:
    asked, silent = Ledger(RULE), Ledger(RULE)
    for n in range(60):
        one = row(n * 1.1 % 70, gain=0.4, loss=0.3, leak=n % 9 == 0)
        for made in (asked, silent):
            made.put(str(n), one)
        asked.carry(T0 + 4 * DAY)
        asked.settled(DAY0 + n % 4, T0)
    for day in range(5):
        assert asked.carry(T0 + day * DAY) == silent.carry(T0 + day * DAY)


@given(many)
def test_closing_gives_the_posts_of_its_days_and_keeps_what_is_known(given_: list) -> None:
    made = ledger(given_)
    before = made.carry(T0 + 5 * DAY)
    gone = close(made, DAY0 + 1)
    assert set(gone) == {str(n) for n, one in enumerate(given_) if one.at < T0 + 2 * DAY}
    alike(made.carry(T0 + 5 * DAY), before)


@given(many, st.integers(0, 72 * 3600))
def test_a_page_knows_what_was_said_before_an_instant(given_: list, second: int) -> None:
    at = T0 + second * 1000
    page = ledger(given_).page(at // DAY)
    if page is not None:
        made = ledger([])
        for n, one in enumerate(given_):
            if one.at < at:
                made.put(str(n), one)
        before = made.latest() or Carry(0)
        known = page.known(at)
        assert (known.counts, known.leak, known.latest) == (
            before.counts,
            before.leak,
            before.latest,
        )


def test_a_day_is_settled_once_its_last_row_is_over() -> None:
    made = ledger([row(1, gain=0.5), row(30, gain=0.5)])
    assert isinstance(made.settled(DAY0, T0 + DAY // 24), Page)
    tail = made.settled(DAY0, T0 + DAY // 24 + 1)
    assert isinstance(tail, Tail)
    assert tail is made.settled(DAY0, T0 + DAY // 2), "the last one is kept"
    made.put("new", row(5, loss=0.5))
    assert isinstance(made.settled(DAY0, T0 + 5 * DAY // 24), Page)


def test_a_day_without_rows_is_settled_from_its_beginning() -> None:
    made = ledger([row(1, gain=0.5)])
    tail = made.settled(DAY0 + 9, T0 + 9 * DAY)
    assert isinstance(tail, Tail)
    assert tail.grown.tolist() == list(made.carry(T0 + 9 * DAY).sums)


def test_silence_pads_the_praise_of_four_weeks_and_no_more() -> None:
    made = ledger([row(1, gain=1.0)])
    assert len(made.carry(T0 + 3 * DAY).praise) == 3
    assert made.carry(T0 + 400 * DAY).praise == (0.0,) * 28


def test_no_carry_goes_back_in_time() -> None:
    known = Carry(T0 + DAY, sums=(1.0,) * WIDTH)
    assert carried(known, to=T0, rule=RULE) is known


def test_a_dropped_row_is_gone() -> None:
    made = ledger([row(1, gain=0.5), row(2, loss=0.5)])
    made.withdraw("1")
    made.drop("1")
    made.drop("no such post")
    assert made.row("1") is None
    assert made.put("1", row(2, loss=0.5)) is not None
    assert seen(made, 3).known.counts[:3] == (1, 0, 1)


def test_a_row_one_millisecond_before_midnight_is_of_the_day_before() -> None:
    made = Ledger(RULE)
    made.put("a", Row(T0 - 1, 1, 0, 2, leak=False, source=""))
    made.put("b", Row(T0, 1, 0, 2, leak=False, source=""))
    assert sorted(made.days) == [DAY0 - 1, DAY0]
