"""A view: a brand at an instant, blind to whatever came later."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.rows import ledger, row, rows, seen, told

many = st.lists(rows, max_size=25)


@given(many)
def test_the_index_is_the_capital_less_what_is_taken_off(given_: list) -> None:
    shot = seen(ledger(given_), 71)
    one = shot.reading
    left = one.capital - one.mood_loss - sum(shock.loss for shock in shot.shocks())
    assert one.index == pytest.approx(float(left), abs=1e-4)
    assert one.index == pytest.approx(float(one.capital - one.mood_loss - one.shock_loss), abs=1e-9)


@given(many, st.integers(1, 72 * 60))
@example(
    # A story begins after a post that speaks of a leak and weighs nothing.
    [row(0, loss=0.5, leak=True, weighty=False), row(0.5, leak=True)],
    15,
)
def test_later_posts_change_nothing_to_the_last_bit(given_: list, minute: int) -> None:
    hours = minute / 60
    ended = seen(ledger([]), hours).scene.at
    named = {str(n): one for n, one in enumerate(given_)}
    whole, part = ledger([]), ledger([])
    for post, one in named.items():
        whole.put(post, one)
        if one.at < ended:
            part.put(post, one)
    assert told(seen(whole, hours)) == told(seen(part, hours))


def test_a_post_counts_from_right_after_its_instant() -> None:
    made = ledger([row(1, loss=0.9)])
    assert seen(made, 1).known.counts[0] == 0
    assert seen(made, 1 + 1 / 3.6e6).known.counts[0] == 1


def test_an_instant_before_all_posts_is_that_of_a_brand_nobody_speaks_of() -> None:
    shot = seen(ledger([row(50, loss=0.9)]), 1)
    assert shot.reading.index == pytest.approx(50)
    assert shot.known.blank


def test_midnight_is_seen_alike_from_both_sides() -> None:
    made = ledger([row(n / 2 + 0.1, gain=0.5, loss=0.4) for n in range(96)])
    before, after = seen(made, 24).reading, seen(made, 24 + 1e-6).reading
    assert before.index == pytest.approx(float(after.index), abs=1e-3)


def test_shocks_share_what_they_take_off_together() -> None:
    leaks = [row(n, leak=True, kind=n % 3 + 1, author=n + 1, copy=n + 1) for n in range(12)]
    shot = seen(ledger(leaks), 20)
    losses = [shock.loss for shock in shot.shocks()]
    assert len(losses) == 3
    assert sum(losses) == pytest.approx(float(shot.reading.shock_loss), abs=1e-5)
    assert {shock.incident.split("/")[1] for shock in shot.shocks()} == {
        "data_breach",
        "documents",
        "credentials",
    }
