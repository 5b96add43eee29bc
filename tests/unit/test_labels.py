"""Scores become probabilities that add up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.labels import judge, logistic, softmax

scores = st.floats(min_value=-1e12, max_value=1e12)


@given(scores, scores, scores)
def test_a_verdict_of_any_scores_holds_probabilities_that_sum_to_one(
    negative: float, positive: float, leak: float
) -> None:
    verdict = judge(negative, positive, leak)
    mood = verdict.sentiment
    assert mood.negative + mood.neutral + mood.positive == pytest.approx(1, abs=1e-3)
    assert all(0 <= share <= 1 for share in (*softmax(negative, positive), verdict.leak))


@given(scores, scores)
def test_a_higher_score_never_makes_a_leak_less_likely(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert logistic(low) <= logistic(high)


def test_the_highest_score_is_the_likeliest_sentiment() -> None:
    assert judge(2.0, 1.0, 0.0).sentiment.negative > judge(2.0, 1.0, 0.0).sentiment.positive
    assert judge(-2.0, -1.0, 0.0).sentiment.neutral > 0.5


def test_heads_that_the_model_does_not_have_are_absent() -> None:
    assert judge(0.0, 0.0, 0.0).leak_kind is None
    assert judge(0.0, 0.0, 0.0).brands is None
