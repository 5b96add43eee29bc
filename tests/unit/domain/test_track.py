"""A track: what the detectors see of a brand, tick by tick."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.ledger import Ledger
from streams.domain.row import DAY
from streams.domain.track import TICK, TICKS_A_DAY, Track, spans, track
from tests.support.rows import DAY0, RULE, T0, ledger, row, rows, seen, tick

FIRST = DAY0 * TICKS_A_DAY


def tracked(*made: Ledger, first: int = FIRST, ticks: int = TICKS_A_DAY) -> Track:
    return track(made, first, first + ticks, rule=RULE)


#   tick   0        1        2
#          a a b    .        c R     a, b, c: authors of complaints; R: a repost of one
def test_a_tick_counts_people_and_posts_once_and_no_reposts() -> None:
    complaints = [row(h / 60, loss=0.9, author=who) for h, who in ((0, 1), (5, 1), (9, 2), (20, 3))]
    repost = row(21 / 60, label=0, weighty=False, author=4)
    seen_ = tracked(ledger([*complaints, repost, row(8 / 60, gain=0.9)]), ticks=3)
    assert seen_.authors.tolist() == [[2, 0, 1]]
    assert seen_.negatives.tolist() == [[3, 0, 1]]
    assert seen_.posts.tolist() == [[4, 0, 1]]


def test_a_post_on_the_edge_belongs_to_the_tick_that_begins() -> None:
    seen_ = tracked(ledger([row(1 / 6, loss=0.9)]), ticks=2)
    assert seen_.posts.tolist() == [[0, 1]]


def test_a_track_reads_as_a_view_does_at_the_end_of_each_tick() -> None:
    made = ledger(
        [row(n / 3, gain=0.4, loss=0.4, leak=n % 7 == 0, author=n + 1) for n in range(72)]
    )
    for day in range(3):
        first = FIRST + day * TICKS_A_DAY
        laid = tracked(made, first=first)
        for n in range(0, TICKS_A_DAY, 13):
            shot = seen(made, 24 * day + (n + 1) / 6)
            assert laid.sums[0, n].tolist() == shot.scene.sums.tolist()
            assert laid.kept[0, n] == shot.scene.kept


@given(st.lists(rows, max_size=25), st.integers(0, 3 * TICKS_A_DAY - 1), st.integers(1, 40))
def test_a_part_of_a_track_is_the_track_of_that_part(given_: list, start: int, ticks: int) -> None:
    first = FIRST + start
    ticks = min(ticks, TICKS_A_DAY - start % TICKS_A_DAY)
    begin = first // TICKS_A_DAY * TICKS_A_DAY
    whole = tracked(ledger(given_), first=begin)
    part = tracked(ledger(given_), first=first, ticks=ticks)
    one_by_one = ledger(given_)
    for n in range(ticks):
        step = tracked(one_by_one, first=first + n, ticks=1)
        for of_whole, of_part, of_step in zip(whole, part, step, strict=True):
            expected = of_whole[:, first - begin + n]
            assert of_part[:, n].tolist() == expected.tolist()
            assert of_step[:, 0].tolist() == expected.tolist()


def test_brands_side_by_side_are_as_each_alone() -> None:
    busy = ledger([row(n / 2, loss=0.4, leak=n == 5, author=n + 1) for n in range(48)])
    quiet = ledger([row(-30, gain=0.5)])
    told = ledger([row(-10, loss=0.5, leak=True)])
    blank = Ledger(RULE)
    laid = tracked(busy, quiet, told, blank)
    for i, made in enumerate((busy, quiet, told, blank)):
        for column, own in zip(laid, tracked(made), strict=True):
            assert column[i].tolist() == own[0].tolist()
    assert laid.posts.sum(axis=1).tolist() == [48, 0, 0, 0]
    assert (laid.kept[2] < 1).all()
    assert (laid.sums[3] == 0).all()


def test_the_gravest_story_is_told_with_its_witnesses() -> None:
    breach = [row(n, leak=True, kind=1, author=n + 1, copy=n + 1) for n in range(4)]
    product = [row(n, leak=True, kind=4, author=n + 1, copy=n + 1) for n in range(9)]
    laid = tracked(ledger([*breach, *product]))
    assert laid.severity[0, -1] == 3
    assert laid.witnesses[0, -1] == 4
    assert laid.leaks[0].sum() == 13


def test_a_tick_on_the_next_day_has_decayed_sums() -> None:
    made = ledger([row(1, gain=0.5)])
    laid = tracked(made, first=tick(12), ticks=1)
    assert laid.sums[0, 0] == pytest.approx(seen(made, 12 * 24 + 1 / 6).scene.sums)


def test_spans_part_at_midnight() -> None:
    assert list(spans(FIRST - 2, FIRST + 1)) == [(FIRST - 2, FIRST), (FIRST, FIRST + 1)]
    assert list(spans(FIRST, FIRST)) == []
    assert T0 == FIRST * TICK
    assert np.diff(list(spans(FIRST, FIRST + 2 * TICKS_A_DAY))).tolist() == [[TICKS_A_DAY]] * 2
    assert DAY == TICK * TICKS_A_DAY
