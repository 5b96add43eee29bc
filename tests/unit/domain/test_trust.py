"""The index: bounds, asymmetry, decay, and how sure it is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.ledger import Ledger
from streams.domain.row import DAY, HOUR, UNIT, Row
from streams.domain.trust import Reading, Rule, read

T0 = 20_000 * DAY
RULE = Rule()


def ledger(*posts: tuple[float, float, float]) -> Ledger:
    """Posts as (hours after T0, probability positive, probability negative)."""
    made = Ledger()
    for number, (hour, gain, loss) in enumerate(posts):
        at = T0 + int(hour * HOUR)
        label = 2 if gain > loss else 0
        row = Row(at, round(gain * UNIT), round(loss * UNIT), label, leak=False, source="forum")
        made.put(str(number), row)
    return made


def at(made: Ledger, hours: float) -> Reading:
    return read(made, now=T0 + int(hours * HOUR), rule=RULE)


def days(first: int, last: int, each: int, gain: float, loss: float) -> list:
    return [
        (24 * day + 24 * n / each, gain, loss) for day in range(first, last) for n in range(each)
    ]


def test_a_brand_nobody_speaks_of_is_unknown() -> None:
    reading = at(Ledger(), 0)
    assert not reading.enough
    assert reading.index == pytest.approx(50.0)
    assert reading.low == pytest.approx(28.6, abs=0.1)
    assert reading.high == pytest.approx(71.4, abs=0.1)


def test_the_formula_worked_by_hand() -> None:
    reading = at(ledger((0, 1.0, 0.0), (0, 0.0, 1.0)), 0)
    capital = (2 * 1 + 0.5 * 20) / (2 * 1 + 2 * 1 + 20)
    mood = (2 * 1 + 30 * capital) / (2 * 1 + 2 * 1 + 30)
    assert reading.capital == pytest.approx(100 * capital)
    assert reading.mood == pytest.approx(100 * mood)
    assert reading.mood_loss == pytest.approx(60 * max(0, capital - mood))
    assert reading.index == pytest.approx(reading.capital - reading.mood_loss)


def test_evidence_halves_in_a_half_life() -> None:
    old = at(ledger(*[(0, 1.0, 0.0)] * 8), 30 * 24)
    fresh = at(ledger(*[(30 * 24, 1.0, 0.0)] * 4), 30 * 24)
    assert old.capital == pytest.approx(fresh.capital, abs=1e-9)


def test_trust_is_lost_faster_than_it_is_earned() -> None:
    calm = days(0, 60, 20, 0.6, 0.25)
    before = at(ledger(*calm), 60 * 24).index
    hated = at(ledger(*calm, *days(60, 62, 100, 0.02, 0.95)), 62 * 24).index
    loved = at(ledger(*calm, *days(60, 62, 100, 0.95, 0.02)), 62 * 24).index
    assert before - hated > 25
    assert 0 < loved - before < 8


def test_a_bad_mood_passes_and_leaves_a_mark() -> None:
    posts = days(0, 60, 20, 0.6, 0.25)
    calm = at(ledger(*posts), 60 * 24).index
    posts += days(60, 61, 100, 0.02, 0.95)
    crisis = at(ledger(*posts), 61 * 24).index
    week_later = at(ledger(*posts, *days(61, 68, 20, 0.6, 0.25)), 68 * 24).index
    assert crisis + 10 < week_later < calm - 5


evidence = st.tuples(st.floats(0, 2000), st.floats(0, 1), st.floats(0, 1))


@given(st.lists(evidence, max_size=40))
def test_the_index_and_its_bounds_stay_between_0_and_100(posts: list) -> None:
    reading = at(ledger(*posts), 2000)
    assert 0 <= reading.low <= reading.index <= reading.high <= 100
    assert reading.mood_loss >= 0


@given(st.lists(evidence, min_size=2, max_size=40), st.randoms())
def test_the_order_of_posts_changes_no_bit(posts: list, rng: random.Random) -> None:
    numbered = list(enumerate(posts))
    rng.shuffle(numbered)
    one, other = ledger(*posts), Ledger()
    for number, _ in numbered:
        other.put(str(number), dict(one.live())[str(number)])
    assert at(one, 2000) == at(other, 2000)


@given(st.lists(evidence, min_size=1, max_size=20), st.floats(0.01, 1))
def test_one_more_complaint_never_helps(posts: list, loss: float) -> None:
    worse = at(ledger(*posts, (1999, 0.0, loss)), 2000)
    assert worse.index <= at(ledger(*posts), 2000).index + 1e-9


def test_more_posts_make_it_surer() -> None:
    few = at(ledger(*days(0, 30, 2, 0.6, 0.2)), 30 * 24)
    many = at(ledger(*days(0, 30, 40, 0.6, 0.2)), 30 * 24)
    assert many.high - many.low < (few.high - few.low) / 2
    assert many.enough
