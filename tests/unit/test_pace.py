"""The pace of readings: they take part of the time that posts leave, and a little in any case."""

import pytest

from streams.worker import IDLE_SHARE, READING_SHARE, Pace


def test_a_worker_that_has_nothing_else_to_do_rests_for_part_of_its_time() -> None:
    assert Pace(100.0, 5.0).pause(0.03, now=101.0, worked=5.03) == pytest.approx(0.03 / IDLE_SHARE)


def test_a_worker_that_never_rests_still_tells_of_brands() -> None:
    assert Pace(100.0, 5.0).pause(0.2, now=101.0, worked=6.2) == pytest.approx(0.2 / READING_SHARE)


def test_a_worker_that_is_busy_half_of_the_time_pauses_in_between() -> None:
    pause = Pace(100.0, 5.0).pause(0.1, now=101.0, worked=5.6)
    assert pause == pytest.approx(0.1 / (IDLE_SHARE / 2))


def test_each_round_is_reckoned_from_the_one_before() -> None:
    pace = Pace(100.0, 5.0)
    busy = pace.pause(0.1, now=101.0, worked=6.0)
    assert pace.pause(0.1, now=102.0, worked=6.1) < busy


def test_a_round_in_no_time_at_all_needs_no_pause() -> None:
    assert Pace(100.0, 5.0).pause(0.0, now=100.0, worked=5.0) == 0.0
