"""How good answers are: recalls, F1, calibration, and how far luck may have moved them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

BINS: Final = 15


def recalls(said: Codes, labels: Codes) -> Floats:
    """The recall of each label that occurs, in order."""
    return np.array([(said[labels == code] == code).mean() for code in np.unique(labels)])


def f1s(said: Codes, labels: Codes) -> Floats:
    """The F1 of each label that occurs, in order."""
    return np.array([f1(said == code, labels == code) for code in np.unique(labels)])


def macro_recall(said: Codes, labels: Codes) -> float:
    """The mean recall over labels, the measure of SemEval 2017."""
    return float(recalls(said, labels).mean())


def macro_f1(said: Codes, labels: Codes) -> float:
    """The mean F1 over the labels that occur."""
    return float(f1s(said, labels).mean())


def f1(said: NDArray[np.bool_], right: NDArray[np.bool_]) -> float:
    """F1 of a yes-or-no answer.

    >>> f1(np.array([True, True, False]), np.array([True, False, False]))
    0.6666666666666666
    """
    both = int(said.sum()) + int(right.sum())
    return 2 * int((said & right).sum()) / both if both else 0.0


@dataclass(frozen=True)
class Bin:
    """Answers given with about the same probability.

    Attributes:
        sure: the mean probability given.
        right: the share that was right.
        rows: how many they are.
    """

    sure: float
    right: float
    rows: int


def bins(sure: Floats, right: NDArray[np.bool_]) -> Iterator[Bin]:
    """Answers in equal bins of probability; those without answers are left out."""
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    for one in np.unique(places):
        inside = places == one
        yield Bin(float(sure[inside].mean()), float(right[inside].mean()), int(inside.sum()))


def calibration_error(sure: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error with equal bins (Naeini et al., 2015).

    Args:
        sure: the probability given to each answer.
        right: whether the answer was right.
    """
    return sum(abs(one.sure - one.right) * one.rows for one in bins(sure, right)) / len(sure)


def interval(
    score: Callable[[NDArray[np.int64]], float], size: int, *, draws: int = 1_000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of a score by the bootstrap (Efron, 1979).

    Args:
        score: the score of some rows, given by number, some of them several times.
        size: number of rows.
        draws: how often rows are drawn anew.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed)
    found = [score(draw.integers(0, size, size)) for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
