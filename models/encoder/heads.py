"""The questions that the encoder answers, and where each answer stands among its scores."""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from models.labels import LEAK_KINDS, SENTIMENTS

EMOTIONS: Final = ("anger", "joy", "optimism", "sadness")


@dataclass(frozen=True)
class Head:
    """One question.

    Attributes:
        name: what it is about.
        labels: its answers.
        several: whether several answers, or none, may hold at once.
        weight: how much it counts in training.
    """

    name: str
    labels: tuple[str, ...]
    several: bool = False
    weight: float = 1.0


HEADS: Final = (
    Head("sentiment", SENTIMENTS),
    Head("target", SENTIMENTS),
    Head("leak", ("leak",), several=True),
    Head("kind", LEAK_KINDS, several=True, weight=2.0),
    Head("irony", ("irony",), several=True),
    Head("emotion", EMOTIONS),
)
"""In the order of their scores; `target` is the sentiment towards the marked brand."""

_ENDS: Final = tuple(accumulate(len(head.labels) for head in HEADS))
WIDTH: Final = _ENDS[-1]
"""Number of scores."""

PLACES: Final = {
    head.name: slice(end - len(head.labels), end) for head, end in zip(HEADS, _ENDS, strict=True)
}
"""Where the scores of each head stand."""
