"""Alarms: what raises, escalates and ends them, and that a state is worth its ticks."""

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.alarms import BLANK, Observed, Panel
from streams.domain.events import DETECTORS, Event, why
from streams.domain.surge import season_of
from streams.domain.tuning import Tuning

HOUR, DAY = 6, 144
START = 19_996 * DAY
"""A Monday at midnight."""
QUIET = {"index": 60, "low": 55, "high": 65}


def seen(shape: tuple[int, int], **arrays: Any) -> Observed:
    """Ticks in which nothing is seen but what is given."""
    full = {
        field.name: np.broadcast_to(
            np.asarray(arrays.get(field.name, QUIET.get(field.name, 0)), float), shape
        )
        for field in fields(Observed)
    }
    return Observed(**full)


def ticks(counts: Any, **arrays: Any) -> Observed:
    """One brand's complaints, with as many other posts."""
    row = np.asarray(counts, float)[None, :]
    return seen(row.shape, authors=row, negatives=row, posts=2 * row, **arrays)


def steady(days: float, an_hour: float = 6.0, seed: int = 1) -> Any:
    return np.random.default_rng(seed).poisson(an_hour / HOUR, round(days * DAY))


def told(events: list[Event], detector: str = "negative_authors") -> list[tuple[str, str]]:
    return [(each.what, each.channel) for each in events if each.detector == detector]


def warm(days: float = 10, an_hour: float = 6.0) -> tuple[Panel, int]:
    """A panel of one brand with a past, and the tick that comes next."""
    panel = Panel(1)
    past = steady(days, an_hour)
    past[0] = 1
    assert told(panel.step(START, ticks(past))) == []
    return panel, START + len(past)


def after(panel: Panel, at: int, more: Observed) -> tuple[list[Event], int]:
    return panel.step(at, more), at + np.shape(more.posts)[1]


# Complaints: 6 an hour for ten days, then 36.
#
#   ______________________########________________
#                       ticket page         ended


def test_a_surge_opens_a_ticket_then_pages_and_ends_after_it() -> None:
    panel, at = warm()
    surge, at = after(panel, at, ticks(steady(0.5, 36)))
    calm, _ = after(panel, at, ticks(steady(3)))
    assert told(surge) == [("raised", "ticket"), ("escalated", "page")]
    assert told(calm) == [("ended", "page")]
    assert {each.began for each in surge + calm if each.detector == "negative_authors"} == {
        surge[0].tick
    }
    assert surge[1].tick < surge[0].tick + 2 * HOUR


def test_a_surge_of_six_times_pages_within_an_hour() -> None:
    panel, at = warm()
    surge, _ = after(panel, at, ticks(steady(0.5, 36)))
    page = next(each for each in surge if each.channel == "page")
    assert page.tick - at <= HOUR


def test_usual_complaints_hardly_ever_page() -> None:
    panel = Panel(100)
    counts = np.random.default_rng(3).poisson(1.0, (100, 20 * DAY))
    events = panel.step(
        START, seen(counts.shape, authors=counts, negatives=counts, posts=2 * counts)
    )
    assert sum(each.channel == "page" for each in events) <= 2  # of 1,700 days


def test_a_steep_day_is_learnt_and_not_alarmed_at() -> None:
    hour = np.arange(14 * DAY) % DAY // HOUR
    busy = np.where((hour >= 9) & (hour < 18), 20.0, 2.0)
    past = np.random.default_rng(4).poisson(busy / HOUR)
    events = Panel(1).step(START, ticks(past))
    assert [each for each in events if each.tick > START + 7 * DAY] == []


def test_a_young_brand_may_page_after_its_warm_up() -> None:
    panel, at = warm(days=4, an_hour=2)
    surge, _ = after(panel, at, ticks(steady(0.2, 30)))
    assert ("escalated", "page") in told(surge)


def test_nothing_is_raised_within_the_warm_up() -> None:
    panel = Panel(1)
    counts = np.concatenate([steady(2.8, 1), steady(0.19, 200)])
    counts[0] = 1
    events, at = after(panel, START, ticks(counts))
    assert events == []
    late, _ = after(panel, at, ticks(steady(0.5, 200)))
    assert told(late)


def test_an_alarm_does_not_flap_when_complaints_come_and_go() -> None:
    panel, at = warm()
    waves = np.concatenate(
        [np.concatenate([steady(1 / 24, 40, i), steady(1 / 24, 0)]) for i in range(12)]
    )
    events, _ = after(panel, at, ticks(waves))
    assert told(events) == [("raised", "page")]


def test_a_lasting_change_becomes_usual_within_three_weeks() -> None:
    panel, at = warm(days=28)
    events, _ = after(panel, at, ticks(steady(21, 15)))
    assert told(events)[0] == ("raised", "ticket")
    assert told(events)[-1][0] == "ended"


def test_a_page_that_calms_down_is_over_within_two_days_even_for_a_small_brand() -> None:
    panel, at = warm(days=28, an_hour=0.5)
    surge, at = after(panel, at, ticks(steady(2, 4)))
    assert told(surge)[-1] == ("escalated", "page")
    calm, _ = after(panel, at, ticks(steady(3, 0.5)))
    ended = [each for each in calm if each.what == "ended"]
    assert ended[0].tick - at < 2 * DAY


def test_three_angry_people_do_not_page_a_forgotten_brand() -> None:
    panel, at = warm(days=5, an_hour=0.02)
    events, _ = after(panel, at, ticks([1, 1, 1, 0, 0, 0]))
    assert events == []


# The share of negative posts turns while their number stays.


def test_a_turn_of_the_share_is_seen_at_a_constant_volume() -> None:
    panel = Panel(1)
    rng = np.random.default_rng(5)
    past = rng.binomial(4, 0.2, 10 * DAY)
    posts = np.full((1, 10 * DAY), 4)
    panel.step(START, seen((1, 10 * DAY), authors=0, negatives=past, posts=posts))
    turned = seen((1, DAY), authors=0, negatives=rng.binomial(4, 0.5, DAY), posts=4)
    events, at = after(panel, START + 10 * DAY, turned)
    assert told(events, "negative_share") == [("raised", "ticket"), ("escalated", "page")]
    back = seen((1, 2 * DAY), authors=0, negatives=rng.binomial(4, 0.2, 2 * DAY), posts=4)
    assert told(after(panel, at, back)[0], "negative_share") == [("ended", "page")]


# The index: level, then a fall.
#
#   60 ────────┐
#              └──── 51


SETTLED = 3 * DAY + HOUR
"""Ticks of a brand after which its index has found its place."""


def index(values: list[float], half: float = 2.0, *, enough: bool = True) -> Observed:
    row = np.asarray(values, float)[None, :]
    return seen(row.shape, posts=1, index=row, low=row - half, high=row + half, enough=enough)


def test_a_fall_of_eight_points_pages_and_of_five_opens_a_ticket() -> None:
    for fall, channel in ((9, "page"), (6, "ticket")):
        events = Panel(1).step(START, index([60] * SETTLED + [60.0 - fall]))
        assert told(events, "index_drop") == [("raised", channel)]


def test_a_fall_is_none_while_the_intervals_overlap() -> None:
    assert Panel(1).step(START, index([60] * SETTLED + [50.0] * HOUR, half=6)) == []


def test_a_fall_is_none_while_there_is_not_enough_evidence() -> None:
    assert Panel(1).step(START, index([60] * SETTLED + [40.0] * HOUR, enough=False)) == []


def test_a_fall_is_over_when_the_index_has_stayed_there_for_a_day() -> None:
    events = Panel(1).step(START, index([60] * SETTLED + [50.0] * 2 * DAY))
    assert told(events, "index_drop") == [("raised", "page"), ("ended", "page")]
    assert DAY - HOUR < events[1].tick - events[0].tick < DAY + 2 * HOUR


def test_a_fall_in_the_first_days_of_a_brand_is_none() -> None:
    assert Panel(1).step(START, index([60] * HOUR + [40.0] * DAY)) == []


def test_a_slow_decline_over_a_week_is_no_fall() -> None:
    assert Panel(1).step(START, index(list(np.linspace(60, 45, 7 * DAY)))) == []


# Leaks: mentions, and groups of witnesses of one story.


def leak(groups: list[int], severity: int, leaks: list[int] | None = None) -> Observed:
    row = np.asarray(groups)[None, :]
    joined = np.diff(row, prepend=0) if leaks is None else leaks
    return seen(row.shape, posts=1, severity=severity, groups=row, leaks=joined)


def test_a_bare_mention_is_for_the_digest() -> None:
    events = Panel(1).step(START, leak([0, 0], 0, [1, 0]))
    assert told(events, "leak") == [("raised", "digest")]


def test_a_grave_story_escalates_with_its_witnesses_without_any_warm_up() -> None:
    events = Panel(1).step(START, leak([1, 2, 3, 4, 5, 6], 3))
    assert told(events, "leak") == [
        ("raised", "digest"),
        ("escalated", "ticket"),
        ("escalated", "page"),
    ]
    assert START + 3 <= events[-1].tick <= START + 5


def test_a_lesser_story_pages_only_when_it_grows_fast() -> None:
    slow = Panel(1).step(START, leak([1, 2, 3, 4, 5, 6], 2))
    assert told(slow, "leak")[-1] == ("escalated", "ticket")
    fast = Panel(1).step(START, leak([4, 8], 2))
    assert told(fast, "leak")[-1][1] == "page"
    harmless = Panel(1).step(START, leak([4, 8, 12], 1))
    assert told(harmless, "leak") == [("raised", "digest")]


def test_a_few_strays_a_day_do_not_page() -> None:
    rng = np.random.default_rng(6)
    strays = rng.poisson(3 / DAY, (50, 30 * DAY))
    events = Panel(50).step(
        START,
        seen(strays.shape, posts=1, severity=3, groups=strays.cumsum(axis=1), leaks=strays),
    )
    assert sum(each.channel == "page" for each in events) <= 1
    assert sum(each.what == "raised" for each in events) > 50


def test_an_old_story_that_becomes_the_gravest_brings_no_new_witnesses() -> None:
    panel = Panel(1)
    panel.step(START, leak([40] * DAY, 1, [0] * DAY))
    events = panel.step(START + DAY, leak([60, 60], 3, [1, 0]))
    assert told(events, "leak") == [("raised", "digest")]


def test_a_leak_alarm_ends_when_its_story_is_closed() -> None:
    panel = Panel(1)
    raised, at = after(panel, START, leak([3, 6, 9], 3))
    assert told(raised, "leak")[-1][1] == "page"
    closed, _ = after(panel, at, leak([0] * 2 * HOUR, 0))
    assert told(closed, "leak") == [("ended", "page")]
    assert closed[0].tick - at < 2 * HOUR


def test_a_leak_alarm_ends_a_day_after_the_last_mention() -> None:
    panel = Panel(1)
    _, at = after(panel, START, leak([20, 40, 60], 3))
    events, _ = after(panel, at, leak([60] * 2 * DAY, 3))
    assert told(events, "leak") == [("ended", "page")]
    assert 0.9 * DAY < events[0].tick - at < 1.2 * DAY


# Edges.


def test_no_posts_change_nothing() -> None:
    panel = Panel(1)
    assert panel.step(START, ticks([0] * 500)) == []
    assert panel.save(0) == BLANK
    assert panel.asleep(0)


def test_one_post_raises_nothing_until_it_is_forgotten() -> None:
    panel = Panel(1)
    assert panel.step(START, ticks([1] + [0] * 28 * DAY)) == []
    assert panel.asleep(0)


def test_all_in_one_tick_is_survived() -> None:
    panel, at = warm()
    events, at = after(panel, at, ticks([1_000_000, 0, 0, 0]))
    assert told(events) == [("raised", "page")]
    assert told(after(panel, at, ticks(steady(3)))[0]) == [("ended", "page")]


def test_a_silent_brand_falls_asleep_and_starts_anew_after_any_gap() -> None:
    tuning = Tuning(sleep=48)
    panel, again = Panel(1, tuning), Panel(1, tuning)
    past = np.concatenate([steady(1), np.zeros(round(1.9 * DAY))])
    _, at = after(panel, START, ticks(past))
    assert not panel.asleep(0)
    _, at = after(panel, at, ticks([0] * DAY))
    assert panel.asleep(0)
    assert panel.save(0) == BLANK
    later, counts = at + 30 * 365 * DAY, steady(4)
    assert panel.step(later, ticks(counts)) == again.step(later, ticks(counts))
    assert panel.save(0) == again.save(0)


def test_an_alarm_ends_at_the_latest_when_the_brand_falls_asleep() -> None:
    panel = Panel(1, Tuning(patience=10**6, sleep=24))
    past = np.concatenate([steady(5), steady(0.5, 60)])
    _, at = after(panel, START, ticks(past))
    events, _ = after(panel, at, ticks([0] * 2 * DAY))
    assert told(events) == [("ended", "page")]


@pytest.mark.parametrize("name", [field.name for field in fields(Observed)])
@pytest.mark.parametrize("value", [float("nan"), -1.0, float("inf")])
def test_impossible_numbers_are_refused_by_name(name: str, value: float) -> None:
    panel = Panel(1)
    bad = replace(ticks([1, 1]), **{name: np.array([[1.0, value]])})
    with pytest.raises(ValueError, match=f"^{name}: "):
        panel.step(START, bad)
    assert panel.save(0) == BLANK


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="posts: shape"):
        Panel(2).step(START, ticks([1, 1]))
    with pytest.raises(ValueError, match="authors: shape"):
        Panel(1).step(START, replace(ticks([1, 1]), authors=[[1.0]]))


def test_a_gap_or_a_repeat_of_an_awake_brand_is_refused() -> None:
    panel, at = warm(days=1)
    for wrong in (at - 1, at + 1):
        with pytest.raises(ValueError, match="stands after tick"):
            panel.step(wrong, ticks([1]))
    assert panel.step(at, ticks([1])) == []


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="another version"):
        Panel(1).load(0, b"12345678")


def test_the_season_of_an_hour() -> None:
    monday = START // HOUR
    assert [season_of(monday + 24 * day) for day in range(7)] == [0, 0, 0, 0, 0, 24, 24]
    assert season_of(monday + 13) == 13


# Sentences.


def test_each_event_is_told_in_a_sentence_with_its_numbers() -> None:
    panel, at = warm()
    events, at = after(panel, at, ticks(steady(0.5, 36), index=50, low=48, high=52))
    assert "people complained in the last" in why(events[0])
    assert f"{events[0].numbers['ratio']:.1f} times" in why(events[0])
    over, _ = after(panel, at, ticks(steady(3)))
    assert why(over[0]).startswith("Over: ")
    fall = Panel(1).step(START, index([60] * SETTLED + [50.0]))[0]
    assert "10.0 points within a day, from 60.0 to 50.0" in why(fall)
    story = Panel(1).step(START, leak([1, 2], 3))
    assert "severity 3 of 4 has 2 independent groups of witnesses" in why(story[-1])
    assert "1 independent group of" in why(story[0])
    assert why(Panel(1).step(START, leak([0], 0, [1]))[0]).startswith("A post speaks of a leak")


# Properties. Brands with everything in them: silences, bursts, stories that open and close; lives
# are short, so that few ticks hold them all.

BRIEF = Tuning(warm_up=12, sleep=20)


@st.composite
def worlds(draw: st.DrawFn, brands: int = 3) -> Observed:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    days = draw(st.integers(0, 4))
    shape = (brands, days * DAY + draw(st.integers(0, 20)))
    rate = rng.choice([0, 0.01, 0.5, 5], (brands, days + 1), p=[0.3, 0.2, 0.3, 0.2])
    rate = np.repeat(rate, DAY, axis=1)[:, : shape[1]]
    negatives = rng.poisson(rate)
    level = 60 - rng.integers(0, 15, (brands, days + 1)).repeat(DAY, axis=1)[:, : shape[1]]
    leaks = rng.poisson(rate / 20)
    return seen(
        shape,
        authors=negatives,
        negatives=negatives,
        posts=negatives + rng.poisson(rate),
        index=level,
        low=level - 2,
        high=level + 2,
        enough=rng.random(shape) < 0.9,
        severity=rng.integers(0, 5, (brands, days + 1)).repeat(DAY, axis=1)[:, : shape[1]],
        groups=leaks.cumsum(axis=1),
        leaks=leaks,
    )


def part(world: Observed, brands: Any, span: slice) -> Observed:
    cut = {
        field.name: np.asarray(getattr(world, field.name))[brands, span] for field in fields(world)
    }
    return Observed(**cut)


def states(panel: Panel) -> list[bytes]:
    return [panel.save(brand) for brand in range(len(panel))]


@settings(max_examples=15)
@given(worlds(), st.lists(st.integers(1, 600), max_size=4))
def test_any_split_into_steps_gives_the_same_bits(world: Observed, cuts: list[int]) -> None:
    whole, split = Panel(3, BRIEF), Panel(3, BRIEF)
    length = np.shape(world.posts)[1]
    edges = sorted({0, length, *(cut for cut in cuts if cut < length)})
    events = [
        event
        for begin, end in pairwise(edges)
        for event in split.step(START + begin, part(world, slice(None), slice(begin, end)))
    ]
    assert whole.step(START, world) == events
    assert states(whole) == states(split)


@settings(max_examples=10)
@given(worlds())
def test_tick_by_tick_gives_the_same_bits(world: Observed) -> None:
    whole, split = Panel(3, BRIEF), Panel(3, BRIEF)
    world = part(world, slice(None), slice(0, 2 * DAY))
    events = [
        event
        for tick in range(np.shape(world.posts)[1])
        for event in split.step(START + tick, part(world, slice(None), slice(tick, tick + 1)))
    ]
    assert whole.step(START, world) == events
    assert states(whole) == states(split)


@settings(max_examples=15)
@given(worlds(brands=11), st.lists(st.integers(0, 10), min_size=1, unique=True))
def test_a_brand_does_not_depend_on_its_neighbours(world: Observed, chosen: list[int]) -> None:
    together, apart = Panel(11, BRIEF), Panel(len(chosen), BRIEF)
    events = together.step(START, world)
    alone = apart.step(START, part(world, chosen, slice(None)))
    mine = {(chosen[each.brand], *each[1:6], *each.numbers.values()) for each in alone}
    assert mine == {(*each[:6], *each.numbers.values()) for each in events if each.brand in chosen}
    assert states(apart) == [together.save(brand) for brand in chosen]


@settings(max_examples=15)
@given(worlds(), st.integers(0, 4 * DAY))
def test_a_saved_state_goes_on_to_the_bit(world: Observed, cut: int) -> None:
    length = np.shape(world.posts)[1]
    cut = min(cut, length)
    whole, begun, resumed = Panel(3, BRIEF), Panel(3, BRIEF), Panel(5, BRIEF)
    whole.step(START, world)
    begun.step(START, part(world, slice(None), slice(0, cut)))
    for brand in range(3):
        resumed.load(brand + 2, begun.save(brand))
    resumed.step(START + cut, part(world, slice(None), slice(cut, length)), [2, 3, 4])
    assert [resumed.save(brand + 2) for brand in range(3)] == states(whole)
    assert resumed.save(0) == BLANK


@settings(max_examples=15)
@given(worlds())
def test_an_alarm_is_raised_then_escalates_and_ends_once(world: Observed) -> None:
    open_: dict[tuple[int, str], Event] = {}
    grades = ["digest", "ticket", "page"]
    for event in Panel(3, BRIEF).step(START, world):
        key = event.brand, event.detector
        before = open_.get(key)
        if event.what == "raised":
            assert before is None
            assert event.began == event.tick
        else:
            assert before is not None
            assert event.began == before.began
            rise = grades.index(event.channel) - grades.index(before.channel)
            assert rise > 0 if event.what == "escalated" else rise == 0
        open_[key] = event
        if event.what == "ended":
            del open_[key]
        assert event.detector in DETECTORS
        assert all(np.isfinite(number) for number in event.numbers.values())
        assert "nan" not in why(event)
