"""The labels of each head, and how scores become a verdict."""

from math import exp
from typing import Final

from streams.records import Sentiment, Verdict

SENTIMENTS: Final = ("negative", "neutral", "positive")
LEAKS: Final = ("no_leak", "leak")
LEAK_KINDS: Final = (
    "data_breach",
    "documents",
    "credentials",
    "product",
    "whistleblower",
    "source_code",
)

DIGITS: Final = 4
"""Decimals of a probability in a verdict."""


def logistic(score: float) -> float:
    """The probability for a log-odds score; no score is too large.

    >>> logistic(0.0), logistic(-1e9), logistic(1e9)
    (0.5, 0.0, 1.0)
    """
    if score < 0:
        odds = exp(score)
        return odds / (1.0 + odds)
    return 1.0 / (1.0 + exp(-score))


def softmax(negative: float, positive: float) -> tuple[float, float, float]:
    """Probabilities of the three sentiments; the score of `neutral` is zero."""
    top = max(negative, 0.0, positive)
    low, middle, high = exp(negative - top), exp(-top), exp(positive - top)
    total = low + middle + high
    return low / total, middle / total, high / total


def judge(negative: float, positive: float, leak: float) -> Verdict:
    """Make the verdict of calibrated scores (log-odds; those of sentiment against `neutral`).

    >>> judge(0.0, 0.0, 0.0).sentiment
    Sentiment(negative=0.3333, neutral=0.3333, positive=0.3333)
    """
    low, middle, high = softmax(negative, positive)
    sentiment = Sentiment(round(low, DIGITS), round(middle, DIGITS), round(high, DIGITS))
    return Verdict(sentiment=sentiment, leak=round(logistic(leak), DIGITS))
