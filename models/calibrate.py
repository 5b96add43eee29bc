"""Calibration: the scores of a model become probabilities that can be taken at their word."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_FACTORS: Final = np.geomspace(0.2, 5.0, 400)
_THRESHOLDS: Final = [step / 200 for step in range(10, 191)]


def temper(logits: Floats, labels: Codes) -> float:
    """The factor on the logits under which the labels are most likely (Guo et al., 2017).

    Args:
        logits: a row per text, a column per label.
        labels: the number of the right label of each text.
    """

    def loss(factor: float) -> float:
        shifted = logits * factor
        top = shifted.max(axis=1)
        total = np.log(np.exp(shifted - top[:, None]).sum(axis=1)) + top
        return float((total - shifted[np.arange(len(labels)), labels]).mean())

    return float(min(_FACTORS, key=loss))


def platt(scores: Floats, labels: Codes) -> tuple[float, float]:
    """Slope and offset of the log-odds under which the labels are most likely (Platt, 1999)."""
    model = LogisticRegression(C=1e6).fit(scores.reshape(-1, 1), labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def threshold(odds: Floats, labels: Codes) -> float:
    """The probability of a leak from which on F1 is highest; of several the lowest."""
    shares = 1.0 / (1.0 + np.exp(-odds))

    def f1(least: float) -> float:
        said = shares >= least
        right = int((said & (labels == 1)).sum())
        return 2 * right / max(1, int(said.sum()) + int(labels.sum()))

    best: float = max(_THRESHOLDS, key=f1)
    return round(best, 3)
