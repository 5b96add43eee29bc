"""Two networks in a row: the first answers what it is sure of, the second reads on for the rest.

The first is the lower layers of an encoder with heads of their own, the second its other layers. A
leak and a twist of irony are never left to the first: whatever smells of them is read to the end.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.encoder.heads import PLACES, WIDTH
from streams.errors import ModelError

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]

SLOW: Final = ("SkipLayerNormFusion",)
"""Rewritings of a network that ONNX Runtime is kept from: what they make is slower (measured)."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns scores into log-odds (or logits) that can be taken at their word."""

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def whole(self) -> bool:
        """Whether there is a number for each score."""
        return len(self.scale) == len(self.offset) == WIDTH

    def apply(self, scores: Floats) -> Floats:
        """Calibrate scores; the last axis has the scores of a text."""
        scale, offset = _arrays(self)
        return np.asarray(scores * scale + offset)


@lru_cache(maxsize=8)
def _arrays(one: Calibration) -> tuple[Floats, Floats]:
    return np.array(one.scale, dtype=np.float32), np.array(one.offset, dtype=np.float32)


PLAIN: Final = Calibration((1.0,) * WIDTH, (0.0,) * WIDTH)
"""Not fitted yet."""


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the first network is sure enough; probabilities."""

    sure: float
    """Least probability of its sentiment, and of that towards a marked brand."""
    leak: float = 0.1
    """Most probability of a leak mention."""
    irony: float = 0.6
    """Most probability of irony."""

    def hold(self, scores: Sequence[float], *, marked: bool) -> bool:
        """Whether calibrated scores of a text need no second look."""
        return (
            scores[_LEAK] <= _odds(self.leak)
            and scores[_IRONY] <= _odds(self.irony)
            and _top(scores[_FEEL]) >= self.sure
            and (not marked or _top(scores[_TARGET]) >= self.sure)
        )


_LEAK: Final = PLACES["leak"].start
_IRONY: Final = PLACES["irony"].start
_FEEL: Final = PLACES["sentiment"]
_TARGET: Final = PLACES["target"]
_ALWAYS: Final = 1e9


def _odds(share: float) -> float:
    if not 0.0 < share < 1.0:
        return math.copysign(_ALWAYS, share - 0.5)
    return math.log(share / (1.0 - share))


def _top(scores: Sequence[float]) -> float:
    most = max(scores)
    return 1.0 / sum(math.exp(one - most) for one in scores)


NEVER: Final = Bounds(1.0)
"""No text is left to the first network."""


class Answer(NamedTuple):
    """What a text got.

    Attributes:
        scores: calibrated, of the last network that read it.
        embedding: a vector of length one.
        deep: whether it was read to the end.
    """

    scores: Floats
    embedding: Floats
    deep: bool


class Whole(NamedTuple):
    """What each network says about a text.

    Attributes:
        scores: plain, of the last network.
        embedding: a vector of length one.
        early: plain scores of the first of two networks.
    """

    scores: Floats
    embedding: Floats
    early: Floats | None


@dataclass(frozen=True)
class Cascade:
    """Reads one text at a time.

    Attributes:
        first: from word pieces to scores and an embedding; or, of two networks, to early scores,
            an embedding and the states of its last layer.
        opener: number of the piece that opens a marked brand.
        last: calibration of the last network.
        second: from those states to scores, in which the early ones count a little.
        early: calibration of the first of two.
        bounds: when the second is spared.
    """

    first: onnxruntime.InferenceSession
    opener: int | None
    last: Calibration
    second: onnxruntime.InferenceSession | None = None
    early: Calibration = PLAIN
    bounds: Bounds = NEVER

    def read(self, pieces: Sequence[int]) -> Answer:
        """Read a text as far as it needs."""
        ids = np.array([pieces], dtype=np.int64)
        if self.second is None:
            scores, embedding = self._only(ids)
            return Answer(self.last.apply(scores), embedding, deep=True)
        early, embedding, states = self._first(ids)
        scores = self.early.apply(early)
        if self.bounds.hold(scores.tolist(), marked=self.opener in pieces):
            return Answer(scores, embedding, deep=False)
        return Answer(self.last.apply(self._second(ids, states, early)), embedding, deep=True)

    def embed(self, pieces: Sequence[int]) -> Floats:
        """The embedding of a text; a second network adds nothing to it."""
        (embedding,) = self.first.run(["embedding"], {"ids": np.array([pieces], dtype=np.int64)})
        return np.asarray(embedding[0])

    def whole(self, pieces: Sequence[int]) -> Whole:
        """Read a text to the end."""
        ids = np.array([pieces], dtype=np.int64)
        if self.second is None:
            return Whole(*self._only(ids), early=None)
        early, embedding, states = self._first(ids)
        return Whole(self._second(ids, states, early), embedding, early)

    def _only(self, ids: Numbers) -> tuple[Floats, Floats]:
        scores, embedding = self.first.run(["scores", "embedding"], {"ids": ids})
        return scores[0], embedding[0]

    def _first(self, ids: Numbers) -> tuple[Floats, Floats, Floats]:
        early, embedding, states = self.first.run(["early", "embedding", "states"], {"ids": ids})
        return early[0], embedding[0], states

    def _second(self, ids: Numbers, states: Floats, early: Floats) -> Floats:
        assert self.second is not None  # noqa: S101 # only asked where there are two
        given = {"ids": ids, "states": states, "early": early[np.newaxis]}
        (scores,) = self.second.run(["scores"], given)
        return np.asarray(scores[0])


def session(content: bytes, name: str, *, gives: str) -> onnxruntime.InferenceSession:
    """Open a network that runs on one thread.

    Args:
        content: of the file.
        name: of the file, for the error.
        gives: the output that has a score for each place.

    Raises:
        ModelError: it cannot be run, or answers other questions.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        made = onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(SLOW),
        )
    except Exception as error:  # onnxruntime has no error class of its own
        raise ModelError(f"{name} cannot be run ({error}): export the model again") from error
    widths = [one.shape[-1] for one in made.get_outputs() if one.name == gives]
    if widths != [WIDTH]:
        raise ModelError(f"{name} gives no {WIDTH} {gives}: export the model again")
    return made
