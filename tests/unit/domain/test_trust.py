"""The index: the formula by hand, bounds, asymmetry, decay, what money buys, how sure it is."""

from math import expm1, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.evidence import Caps, Weights
from streams.domain.row import UNIT, Row
from streams.domain.stories import Shocks
from streams.domain.trust import UNSEEN, WIDTH, Reading, Rule, read
from streams.records import Mention
from tests.support.rows import RULE, ledger, row, seen, shuffled, steady

FREE = Rule(caps=Caps(author=1e9, copies=1e9, praise=1e9))


def at(rows: list[Row], hours: float, rule: Rule = RULE) -> Reading:
    return seen(ledger(rows, rule), hours, rule).reading


def test_a_brand_nobody_speaks_of_is_unknown() -> None:
    reading = at([], 0)
    assert not reading.enough
    assert reading.index == pytest.approx(50.0)
    assert 20 < reading.low < 40
    assert 60 < reading.high < 80


def test_the_formula_worked_by_hand() -> None:
    reading = at([row(23, gain=1.0), row(23, loss=1.0)], 24, FREE)
    long, day = 2 ** -(1 / 720), 2 ** -(1 / 12)
    capital = (2 * long + 0.5 * 20) / (2 * long + 2 * long + 20)
    mood = (2 * day + 30 * capital) / (2 * day + 2 * day + 30)
    assert reading.capital == pytest.approx(100 * capital, abs=1e-6)
    assert reading.mood == pytest.approx(100 * mood, abs=1e-6)
    assert reading.mood_loss == pytest.approx(60 * max(0, capital - mood), abs=1e-6)
    assert reading.index == pytest.approx(reading.capital - reading.mood_loss)


def test_an_author_of_one_post_weighs_four_fifths_of_it() -> None:
    reading = at([row(0, loss=1.0)], 0.001)
    weight = -2 * expm1(-1 / 2)
    assert reading.capital == pytest.approx(100 * 10 / (2 * weight + 20), abs=1e-3)


def test_evidence_halves_in_a_half_life() -> None:
    old = at([row(0, loss=1.0)] * 8, 30 * 24, FREE)
    fresh = at([row(30 * 24 - 0.001, loss=1.0)] * 4, 30 * 24, FREE)
    assert old.capital == pytest.approx(fresh.capital, abs=1e-3)


def test_of_silence_a_trusted_brand_loses_half_its_lead_in_about_72_days() -> None:
    made = ledger(steady(0, 400, 20, 0.6, 0.2))
    lead = [float(seen(made, 24 * (400 + day)).reading.index) - 50 for day in (0, 67, 77)]
    assert lead[0] > 15
    assert lead[1] > lead[0] / 2 > lead[2]


def test_distrust_fades_too_but_no_silence_turns_it_into_trust() -> None:
    made = ledger(steady(0, 60, 20, 0.1, 0.7))
    readings = [float(seen(made, 24 * day).reading.index) for day in (60, 90, 150, 3_000)]
    assert readings == sorted(readings)
    assert readings[-1] <= 50


def test_trust_is_lost_faster_than_it_is_earned() -> None:
    calm = steady(0, 60, 20, 0.6, 0.25)
    before = float(at(calm, 60 * 24).index)
    hated = float(at([*calm, *steady(60, 62, 100, 0.02, 0.95)], 62 * 24).index)
    loved = float(at([*calm, *steady(60, 62, 100, 0.95, 0.02)], 62 * 24).index)
    assert before - hated > 25
    assert 0 < loved - before < 5


def test_a_bad_mood_passes_and_leaves_a_mark() -> None:
    posts = steady(0, 60, 20, 0.6, 0.25)
    calm = at(posts, 60 * 24).index
    posts += steady(60, 61, 100, 0.02, 0.95)
    crisis = at(posts, 61 * 24).index
    week_later = at([*posts, *steady(61, 68, 20, 0.6, 0.25)], 68 * 24).index
    assert crisis + 10 < week_later < calm - 5


def test_100_000_likes_reposts_and_follows_change_the_index_by_nothing() -> None:
    posts = steady(0, 3, 20, 0.6, 0.2)
    reposts = [row(36, label=2, weighty=False, author=n + 1) for n in range(100_000)]
    assert at([*posts, *reposts], 72) == at(posts, 72)
    told = {*Mention.__struct_fields__}
    assert not told & {"reach", "likes", "reposts", "followers", "views"}, "no reach gets here"


evidence = st.tuples(st.floats(0, 2000), st.floats(0, 1), st.floats(0, 1))


def posted(given_: list) -> list[Row]:
    return [row(hour, gain=gain, loss=loss) for hour, gain, loss in given_]


@given(st.lists(evidence, max_size=40))
def test_the_index_and_its_bounds_stay_between_0_and_100(given_: list) -> None:
    reading = at(posted(given_), 2001)
    assert 0 <= reading.low <= reading.index <= reading.high <= 100
    assert reading.mood_loss >= 0
    assert reading.shock_loss >= 0


@given(st.lists(evidence, min_size=2, max_size=40), st.integers(0, 9))
def test_the_order_of_posts_changes_no_bit(given_: list, seed: int) -> None:
    numbered = list(enumerate(posted(given_)))
    one, other = ledger([]), ledger([])
    for number, post in numbered:
        one.put(str(number), post)
    for number, post in shuffled(numbered, seed):
        other.put(str(number), post)
    assert seen(one, 2001).reading == seen(other, 2001).reading


@given(st.lists(evidence, min_size=1, max_size=20), st.floats(0.01, 1))
def test_one_more_complaint_never_helps(given_: list, loss: float) -> None:
    posts = posted(given_)
    worse = at([*posts, row(2000.5, loss=loss)], 2001, FREE)
    assert worse.index <= at(posts, 2001, FREE).index + 1e-9


def test_more_posts_make_it_surer() -> None:
    few = at(steady(0, 30, 2, 0.6, 0.2), 30 * 24)
    many = at(steady(0, 30, 40, 0.6, 0.2), 30 * 24)
    assert many.high - many.low < (few.high - few.low) / 2
    assert many.enough


def test_many_brands_at_once_read_as_each_alone() -> None:
    chance = np.random.default_rng(3)
    sums, kept = chance.random((5, 7, WIDTH)) * 40, chance.random((5, 7))
    balance = chance.random((5, 1)) + 1
    whole = read(sums, rule=RULE, balance=balance, kept=kept)
    for i, j in np.ndindex(5, 7):
        one = read(sums[i, j], rule=RULE, balance=float(balance[i, 0]), kept=float(kept[i, j]))
        assert whole.index[i, j] == pytest.approx(float(one.index), abs=1e-12)
        assert whole.low[i, j] == pytest.approx(float(one.low), abs=1e-12)


@pytest.mark.parametrize(
    "other",
    [
        Rule(prior=21.0),
        Rule(weights=Weights(young=0.2)),
        Rule(weights=Weights(sources=(("forum", 0.5),))),
        Rule(caps=Caps(copies=9.0)),
        Rule(shocks=Shocks(gap=47.0)),
    ],
)
def test_another_constant_is_another_version(other: Rule) -> None:
    assert other.version != RULE.version == Rule().version
    assert other.version.startswith("T1-")


def test_upkeep_share_is_the_ratio_of_its_half_lives() -> None:
    assert RULE.upkeep_half_life / RULE.half_life == RULE.upkeep_share


def test_silence_of_30_years_leaves_the_base_and_no_nan() -> None:
    reading = at([row(0, gain=1.0)] * 50, 30 * 365.25 * 24)
    assert reading.index == pytest.approx(50.0)
    assert not reading.enough
    assert reading.low == pytest.approx(50 - 196 * sqrt(UNSEEN * 2) / RULE.prior, abs=0.1)


def test_all_in_one_second_is_read_like_all_in_an_hour() -> None:
    second = at([row(1 + n / 3.6e6, loss=0.9) for n in range(200)], 24)
    hour = at([row(1 + n / 200, loss=0.9) for n in range(200)], 24)
    assert second.index == pytest.approx(float(hour.index), abs=1.0)
    assert at([row(1, loss=0.9)] * 200, 24).index == pytest.approx(float(second.index), abs=1e-3)


def test_weights_of_0_leave_a_brand_unknown() -> None:
    reading = at([row(1, weighty=False)] * 500, 24)
    assert reading.index == pytest.approx(50.0)
    assert not reading.enough
    assert at([row(1, loss=1 / UNIT)] * 500, 24).enough == np.False_
