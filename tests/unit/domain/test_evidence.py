"""Caps: by examples worked by hand, and as functions of the set of posts."""

from math import expm1, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.evidence import Caps, Evidence, marginal, usual_praise, weigh
from streams.domain.row import Row, columns
from tests.support.rows import row, rows

CAPS = Caps()
FREE = Caps(author=1e12, copies=1e12, praise=1e12)


def weighed(*given_: Row, usual: float = 1e9, caps: Caps = CAPS) -> Evidence:
    return weigh(columns(packed(given_)), usual=usual, caps=caps, young=0.35)


def packed(given_: tuple[Row, ...] | list[Row]) -> dict[str, bytes]:
    return {f"{n:04}": one.pack() for n, one in enumerate(given_)}


def test_an_author_never_weighs_more_than_two_posts_in_a_day() -> None:
    found = weighed(*(row(n / 100, loss=1.0, author=7) for n in range(1_000)))
    assert found.loss[0] == pytest.approx(-2 * expm1(-1 / 2), abs=1e-8)
    assert found.loss[:3].sum() == pytest.approx(-2 * expm1(-3 / 2), abs=1e-8)
    assert found.loss.sum() == pytest.approx(2.0, abs=1e-6)


def test_a_young_account_never_weighs_more_than_its_share_of_that() -> None:
    old, young = (
        weighed(*(row(n, loss=1.0, author=7, young=one) for n in range(20)))
        for one in (False, True)
    )
    assert young.loss.tolist() == pytest.approx((0.35 * old.loss).tolist(), abs=1e-8)
    assert young.loss.sum() == pytest.approx(0.7, abs=1e-3)


def test_praise_and_blame_of_an_author_share_his_cap() -> None:
    found = weighed(row(1, gain=0.5, loss=0.5, author=7), row(2, gain=1.0, author=7))
    assert found.gain[0] == found.loss[0] == pytest.approx(-expm1(-1 / 2), abs=1e-8)
    assert found.gain[1] == pytest.approx(2 * (np.exp(-1 / 2) - np.exp(-1)), abs=1e-8)


def test_near_copies_count_up_to_ten_and_then_by_their_logarithm() -> None:
    one = -2 * expm1(-1 / 2)
    found = weighed(*(row(n / 100, loss=1.0, copy=5) for n in range(100)))
    assert found.loss[:12].tolist() == pytest.approx([one] * 12, abs=1e-8)
    assert found.loss.sum() == pytest.approx(10 * (1 + log(100 * one / 10)), abs=1e-6)


def test_praise_beyond_what_is_usual_counts_ever_less_and_blame_in_full() -> None:
    one = -2 * expm1(-1 / 2)
    praise = weighed(*(row(n / 10, gain=1.0) for n in range(100)), usual=4.0)
    blame = weighed(*(row(n / 10, loss=1.0) for n in range(100)), usual=4.0)
    assert praise.praise == pytest.approx(100 * one, abs=1e-6)
    assert praise.gain.sum() == pytest.approx(6 * (2 - 6 / (100 * one)), abs=1e-6)
    assert blame.loss.sum() == pytest.approx(100 * one, abs=1e-6)


def test_no_money_buys_more_than_three_days_of_praise_in_one() -> None:
    usual = 4.0
    for posts in (10, 100, 10_000):
        found = weighed(*(row(n / 1_000, gain=1.0) for n in range(posts)), usual=usual)
        assert found.gain.sum() <= 3 * usual
    assert found.gain.sum() == pytest.approx(3 * usual, abs=0.01)


@pytest.mark.parametrize(
    ("days", "usual"),
    [([], 2.0), ([0.5, 1.0], 2.0), ([3.0, 9.0, 5.0], 5.0), ([90.0] * 5 + [4.0] * 28, 4.0)],
)
def test_usual_praise_is_the_median_of_four_weeks_and_at_least_two(
    days: list[float], usual: float
) -> None:
    assert usual_praise(days, CAPS) == usual


def test_without_caps_a_post_weighs_what_it_says() -> None:
    found = weighed(row(1, gain=0.7, loss=0.2), row(2, gain=0.1, loss=0.9), caps=FREE)
    assert found.gain.tolist() == pytest.approx([0.7, 0.1])
    assert found.loss.tolist() == pytest.approx([0.2, 0.9])


def test_posts_of_no_weight_weigh_nothing_and_take_nothing_from_others() -> None:
    alone = weighed(row(2, loss=0.9, author=7, copy=3))
    among = weighed(*[row(1, author=7, copy=3)] * 50, row(2, loss=0.9, author=7, copy=3))
    assert among.loss.tolist() == [0.0] * 50 + alone.loss.tolist()


@given(st.lists(rows, max_size=30))
def test_no_post_weighs_more_than_it_says_or_less_than_nothing(given_: list) -> None:
    found = weighed(*given_, usual=2.0)
    laid = columns(packed(given_))
    assert (found.gain >= -1e-12).all()
    assert (found.loss >= -1e-12).all()
    assert (found.gain <= laid.gain + 1e-9).all()
    assert (found.loss <= laid.loss + 1e-9).all()


@given(st.lists(rows, max_size=30), st.integers(0, 30))
def test_to_the_last_bit_later_posts_change_no_weight(given_: list, count: int) -> None:
    ordered = sorted(given_, key=lambda one: one.at)
    whole, part = weighed(*ordered, usual=2.0), weighed(*ordered[:count], usual=2.0)
    assert whole.gain[:count].tolist() == part.gain.tolist()
    assert whole.loss[:count].tolist() == part.loss.tolist()


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0, 1)), max_size=40))
def test_a_group_weighs_its_cap_of_all_that_it_brought(given_: list) -> None:
    group = np.array([key for key, _ in given_], dtype=np.uint64)
    brought = np.array([weight for _, weight in given_])
    added = marginal(brought, group, np.sqrt)
    for key in set(group.tolist()):
        mine = group == key
        assert added[mine].sum() == pytest.approx(np.sqrt(brought[mine].sum()), abs=1e-4)


def test_no_posts_weigh_nothing() -> None:
    assert weighed().praise == 0.0
    assert len(weighed().gain) == 0
