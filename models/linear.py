"""The linear model: a text's score is the sum of what its words and pairs of words add.

Weights are integers, so a sum is exact in any order: a verdict depends on the text alone, never on
its neighbours in a batch, on threads, or on what was judged before.
"""

from collections.abc import Sequence
from functools import reduce
from math import sqrt
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.bundle import Linear, load
from models.features import BUCKETS, Unit, features, latin, units
from models.labels import judge
from streams.errors import ModelError, RejectedError
from streams.records import Verdict

WEIGHTS: Final = "weights.npz"
KIND: Final = "linear"

LONGEST: Final = 100_000
"""Characters of the longest text that is judged; longer ones are refused."""

KEPT: Final = 200_000
"""Units remembered before the memory of them starts afresh (about 60 MB)."""

_KEY_LENGTH: Final = 40

# One Python integer carries five sums at once, so that one addition per unit is enough. A lane
# holds 2**39 either way: more than 4,000 characters could ever add up to.
_LANE: Final = 40
_HALF: Final = 1 << (_LANE - 1)
_MASK: Final = (1 << _LANE) - 1


class _Memory(dict[Unit, int]):
    """What each unit adds, computed when first asked for."""

    def __init__(self, weights: NDArray[np.int64]) -> None:
        super().__init__()
        self._weights = weights

    def __missing__(self, unit: Unit) -> int:
        sums = self._weights[features(unit)].sum(axis=0).tolist()
        packed = pack(*sums, latin(unit) if isinstance(unit, str) else 0)
        if len(self) >= KEPT:
            self.clear()
        if sum(map(len, unit)) <= _KEY_LENGTH:
            self[unit] = packed
        return packed


def pack(*lanes: int) -> int:
    """Put signed integers side by side into one, the first in the lowest bits."""
    return reduce(lambda packed, lane: (packed << _LANE) + lane, reversed(lanes), 0)


def unpack(packed: int) -> tuple[int, int, int, int, int]:
    """Take five lanes apart again.

    >>> unpack(pack(1, -2, 3, 4, -5) + pack(1, -1, 0, 0, 1))
    (2, -3, 3, 4, -4)
    """
    lanes = []
    for _ in range(4):
        lane = ((packed + _HALF) & _MASK) - _HALF
        lanes.append(lane)
        packed = (packed - lane) >> _LANE
    return lanes[0], lanes[1], lanes[2], lanes[3], packed


class LinearClassifier:
    """Judges sentiment and leak mentions; numpy is all that it needs.

    Attributes:
        name: `linear-1` and the digest of the bundle.
        leak_threshold: from here on a post counts as a leak mention.
    """

    def __init__(
        self,
        weights: NDArray[np.int8],
        *,
        norms: NDArray[np.uint8],
        linear: Linear,
        leak_threshold: float,
        name: str = "linear-1",
    ) -> None:
        self.name = name
        self.leak_threshold = leak_threshold
        squares = norms.astype(np.int64) ** 2
        self._memory = _Memory(np.column_stack([weights.astype(np.int64), squares]))
        self._linear = linear

    def classify(self, texts: Sequence[str]) -> list[Verdict | RejectedError]:
        """Judge each text; one that cannot be judged gives its reason instead.

        Reasons: `text_too_long`, `empty_text` (nothing to read), `unknown_script` (most letters
        are not Latin), `unknown_text` (nothing in it occurs in the training data).
        """
        return [self._judge(text) for text in texts]

    def _judge(self, text: str) -> Verdict | RejectedError:
        if len(text) > LONGEST:
            return RejectedError("text_too_long", f"{len(text)} characters, at most {LONGEST}")
        found = units(text)
        if not found:
            return RejectedError("empty_text", "no word, emoji or punctuation in the text")
        total = sum(map(self._memory.__getitem__, found))
        negative, positive, leak, square, script = unpack(total)
        if script < 0:
            return RejectedError("unknown_script", "most letters of the text are not Latin")
        if not square:
            return RejectedError("unknown_text", "nothing in the text is known to the model")
        return self._verdict(negative, positive, leak, 1.0 / sqrt(square))

    def _verdict(self, negative: int, positive: int, leak: int, shrink: float) -> Verdict:
        fit = self._linear
        mood = fit.sentiment_scale * shrink
        low, high = fit.sentiment_bias
        return judge(
            negative * mood + low,
            positive * mood + high,
            leak * shrink * fit.leak_scale + fit.leak_bias,
        )


def open_linear(folder: Path) -> LinearClassifier:
    """Open a folder written by `models.train`.

    Raises:
        ModelError: a file is missing or damaged, or the model is of another kind.
    """
    manifest, digest = load(folder)
    if manifest.kind != KIND:
        raise ModelError(f"{folder} holds a model of kind {manifest.kind!r}, not {KIND!r}")
    weights, norms = _arrays(folder / WEIGHTS)
    return LinearClassifier(
        weights,
        norms=norms,
        linear=manifest.linear,
        leak_threshold=manifest.leak_threshold,
        name=f"linear-1 sha256:{digest}",
    )


def _arrays(path: Path) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights, norms = arrays["weights"], arrays["norms"]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} holds no weights ({error}): fetch the model again") from error
    if weights.shape != (BUCKETS, 3) or norms.shape != (BUCKETS,):
        raise ModelError(f"{path} has another number of features: train the model again")
    return weights, norms
