"""What alarms cost and bring: crises, rates, delays, and which threshold keeps to a wish."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from streams.domain.row import DAY, HOUR
from streams.errors import InputError
from streams.records import Signal
from streams.sweep import (
    THRESHOLDS,
    Crisis,
    Point,
    Rate,
    Watched,
    advised,
    bounds,
    crisis,
    is_within,
    measure,
    rate,
    sweep,
)
from tests.support.history import START, millis, signal

BEGAN = millis(START)


def watched(brand: str = "velmora", days: float = 10) -> Watched:
    return Watched(brand, BEGAN, BEGAN + int(days * DAY))


def named(since: float, until: float, brand: str = "velmora") -> Crisis:
    return Crisis(brand, BEGAN + int(since * HOUR), BEGAN + int(until * HOUR))


def pages(*hours: float, brand: str = "velmora") -> list[Signal]:
    return [signal(hour, brand=brand) for hour in hours]


def whole(points: Sequence[Point]) -> Point:
    (point,) = [one for one in points if one.brand is None]
    return point


@pytest.mark.parametrize(
    ("text", "wish"),
    [("1/90d", Rate(1, 90)), (" 2 / 30 d ", Rate(2, 30)), ("0.5/7d", Rate(0.5, 7))],
)
def test_a_rate_is_pages_in_days(text: str, wish: Rate) -> None:
    assert rate(text) == wish


@pytest.mark.parametrize("text", ["", "1", "1/90", "0/90d", "1/0d", "-1/90d", "a/bd", "1/nand"])
def test_any_other_rate_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="1/90d"):
        rate(text)


def test_days_of_a_crisis_are_whole() -> None:
    found = crisis("velmora:2026-03-02..2026-03-03", brands=["velmora"])
    assert found == named(0, 48)


def test_a_crisis_may_have_instants_with_a_zone() -> None:
    found = crisis("velmora:2026-03-02T02:00+01:00..2026-03-02T03:00Z", brands=["velmora"])
    assert found == named(1, 3)


@pytest.mark.parametrize(
    "text",
    [
        "velmora",
        "velmora:2026-03-02",
        ":2026-03-02..2026-03-03",
        "acme:2026-03-02..2026-03-03",
        "velmora:2026-03-03..2026-03-02",
        "velmora:2026-02-30..2026-03-02",
        "velmora:yesterday..today",
        "velmora:9999-12-31..9999-12-31",
    ],
)
def test_any_other_crisis_is_refused_by_name(text: str) -> None:
    with pytest.raises(InputError, match="--crisis"):
        crisis(text, brands=["velmora"])


def test_pages_outside_of_a_crisis_are_false() -> None:
    #  hour    0 . . . 10 ======== 30 . . . . 240
    #  pages     2        12  15       31
    point = whole(measure(pages(2, 12, 15, 31), [watched()], [named(10, 30)]))
    assert (point.pages, point.false) == (4, 2)
    assert (point.crises, point.seen, point.delay) == (1, 1, 2.0)
    assert point.days == pytest.approx(10 - 20 / 24)


def test_only_pages_count() -> None:
    raised = [signal(1, channel="ticket"), signal(2, channel="digest")]
    assert whole(measure(raised, [watched()], [])).pages == 0


def test_a_crisis_begins_with_its_first_instant_and_ends_before_its_last() -> None:
    assert is_within(signal(10), [named(10, 30)])
    assert not is_within(signal(30), [named(10, 30)])
    assert not is_within(signal(10, brand="other"), [named(10, 30)])


def test_a_crisis_of_another_brand_excuses_nothing() -> None:
    points = measure(pages(12), [watched(), watched("other")], [named(10, 30, "other")])
    assert [(one.brand, one.false) for one in points] == [(None, 1), ("velmora", 1), ("other", 0)]


def test_a_missed_crisis_counts_as_endless() -> None:
    crises = [named(10, 30), named(50, 60), named(100, 110)]
    assert whole(measure(pages(11, 53), [watched()], crises)).delay == 3.0
    assert whole(measure(pages(11), [watched()], crises)).delay is None
    assert whole(measure([], [watched()], [])).delay is None


def test_crises_that_overlap_are_taken_off_once() -> None:
    point = whole(measure([], [watched()], [named(24, 72), named(48, 96), named(230, 999)]))
    assert point.days == pytest.approx(10 - 3 - 10 / 24)


def test_a_crisis_before_the_history_takes_nothing_off() -> None:
    assert whole(measure([], [watched()], [named(-48, -24)])).days == 10


def test_the_lowest_threshold_that_keeps_to_the_wish_is_advised() -> None:
    hours = [24.0 * day for day in range(8)]
    seen: list[float] = []

    def alarms(threshold: float) -> list[Signal]:
        return pages(*hours[: max(0, 8 - int(threshold))])

    points = sweep(alarms, [watched()], [], on_step=seen.append)
    assert seen == list(THRESHOLDS)
    best = advised(points, Rate(2, 10))
    assert best is not None
    assert (best.threshold, best.pages) == (6.0, 2)


def test_a_threshold_below_one_that_fails_is_not_advised() -> None:
    def alarms(threshold: float) -> list[Signal]:
        return pages(1) if threshold == 9 else []

    best = advised(sweep(alarms, [watched()], [], on_step=lambda _: None), Rate(1, 90))
    assert best is not None
    assert best.threshold == 10


def test_nothing_is_advised_where_nothing_keeps_to_the_wish() -> None:
    points = sweep(lambda _: pages(1), [watched()], [], on_step=lambda _: None)
    assert advised(points, Rate(1, 90)) is None


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Exact bounds of a Poisson mean, one-sided 95 %.
    [(0, 0.0, 2.996), (1, 0.0513, 4.744), (5, 1.970, 10.513), (20, 13.255, 29.062)],
)
def test_bounds_are_near_the_exact_ones(count: int, low: float, high: float) -> None:
    found = bounds(count, 1.0)
    assert found == pytest.approx((low, high), rel=0.02, abs=0.02)


def test_no_time_bounds_nothing() -> None:
    assert bounds(0, 0.0) == (0.0, float("inf"))


def test_a_page_at_the_end_of_time_is_measured() -> None:
    late = signal(0, at=START + timedelta(days=365 * 70))
    assert whole(measure([late], [watched()], [])).false == 1
