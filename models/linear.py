"""The linear model: a text's score is the sum of what its words and pairs of words add.

Weights are integers, so a sum is exact in any order: a verdict depends on the text alone, never on
its neighbours in a batch, on threads, or on what was judged before.
"""

from collections.abc import Sequence
from io import BytesIO
from itertools import chain, repeat
from math import sqrt
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models import Brands, bundle, features
from models.bundle import LINEAR
from models.features import BUCKETS
from models.labels import judge
from streams.errors import ModelError, RejectedError
from streams.records import Verdict

Sums = NDArray[np.int64]

FORMAT: Final = 1
WEIGHTS: Final = "weights.npz"

LONGEST: Final = 100_000
"""Characters of the longest text that is judged; longer ones are refused."""

CHUNK: Final = 64
"""Texts that are summed at a time."""

KEPT: Final = 1 << 18
"""Tokens that are remembered; a full memory starts afresh. No chunk holds more than it."""

_COLUMNS: Final = 5


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns the integer sums into calibrated scores."""

    sentiment_scale: float
    sentiment_bias: tuple[float, float]
    """Of `negative` and `positive`, against `neutral`."""
    leak_scale: float
    leak_bias: float


class Trained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model came about, for its card."""

    settings: dict[str, int | float]
    sentiment: dict[str, int]
    """Texts by source."""
    leak: dict[str, int]
    """Texts by source."""


class Manifest(bundle.Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model folder says about itself."""

    linear: Linear
    trained: Trained


class Memory:
    """What each token adds and how it pairs, reckoned on first sight; a row per token.

    Attributes:
        sums: what a token adds to `negative`, `positive`, `leak`, the squared length, and the
            count of Latin letters.
        marks: what its pairs are hashed from.
        turns: whether it is a negation.
        stops: whether it ends a clause.
    """

    def __init__(self, table: NDArray[np.int32], *, kept: int = KEPT) -> None:
        self._table = table
        self._known: dict[str, int] = {}
        self.sums = np.zeros((kept, _COLUMNS), dtype=np.int64)
        self.marks = np.zeros(kept, dtype=np.uint64)
        self.turns = np.zeros(kept, dtype=np.bool_)
        self.stops = np.zeros(kept, dtype=np.bool_)

    def __len__(self) -> int:
        """How many tokens are known."""
        return len(self._known)

    def rows(self, tokens: list[str]) -> features.Places:
        """The rows of some tokens; the memory starts afresh if they might not fit."""
        if len(self) + len(tokens) > len(self.sums):
            self._known.clear()
        rows = np.fromiter(map(self._known.get, tokens, repeat(-1)), np.int64, len(tokens))
        missing = np.flatnonzero(rows < 0).tolist()
        if missing:
            self._learn(list(dict.fromkeys(tokens[at] for at in missing)))
            rows[missing] = [self._known[tokens[at]] for at in missing]
        return rows

    def _learn(self, tokens: list[str]) -> None:
        first = len(self)
        new = slice(first, first + len(tokens))
        parts = features.parts(tokens)
        added = self._table[parts.buckets]
        for column in range(_COLUMNS - 1):
            # Sums in floats, yet exact: they are far below 2**53.
            sums = np.bincount(parts.owners, added[:, column], len(tokens))
            self.sums[new, column] = sums
        self.sums[new, _COLUMNS - 1] = parts.latin
        self.marks[new], self.turns[new], self.stops[new] = parts.marks, parts.turns, parts.stops
        self._known.update(zip(tokens, range(first, first + len(tokens)), strict=True))


class LinearClassifier:
    """Judges sentiment and leak mentions; numpy is all that it needs.

    Not for use from several threads at once: each takes its own.

    Attributes:
        name: `linear-1` and the digest of the bundle.
        leak_threshold: from here on a post counts as a leak mention.
        targeted: no: it judges whole posts.
    """

    targeted = False

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
        self._linear = linear
        self._table = np.zeros((BUCKETS + 1, 4), dtype=np.int32)
        self._table[:BUCKETS, :3] = weights
        self._table[:BUCKETS, 3] = norms.astype(np.int32) ** 2
        self._memory = Memory(self._table)

    def classify(
        self,
        texts: Sequence[str],
        *,
        brands: Brands | None = None,  # noqa: ARG002 -- it judges whole posts
    ) -> list[Verdict | RejectedError]:
        """Judge each text; one that cannot be judged gives its reason instead.

        Reasons: `text_too_long`, `empty_text` (nothing to read), `unknown_script` (most letters
        are not Latin), `unknown_text` (nothing in it occurs in the training data).
        """
        judged: list[Verdict | RejectedError] = []
        for start in range(0, len(texts), CHUNK):
            judged += self._chunk(texts[start : start + CHUNK])
        return judged

    def _chunk(self, texts: Sequence[str]) -> list[Verdict | RejectedError]:
        split = [features.tokens(text) if len(text) <= LONGEST else [] for text in texts]
        sums = iter(self._sum([found for found in split if found]))
        return [
            self._judge(*next(sums)) if found else _refuse(text)
            for text, found in zip(texts, split, strict=True)
        ]

    def _sum(self, split: list[list[str]]) -> list[list[int]]:
        if not split:
            return []
        rows = self._memory.rows(list(chain.from_iterable(split)))
        first = np.zeros(len(split), dtype=np.int64)
        np.cumsum([len(found) for found in split[:-1]], out=first[1:])
        sums = self._memory.sums[rows]
        for buckets in self._pairs(rows, first):
            sums[:, :4] += self._table[buckets]
        found: list[list[int]] = np.add.reduceat(sums, first, axis=0, dtype=np.int64).tolist()
        return found

    def _pairs(self, rows: Sums, first: Sums) -> list[features.Buckets]:
        memory = self._memory
        starts = np.zeros(len(rows), dtype=np.bool_)
        starts[first] = True
        return features.contexts(
            memory.marks[rows], starts, turns=memory.turns[rows], stops=memory.stops[rows]
        )

    def _judge(
        self, negative: int, positive: int, leak: int, square: int, script: int
    ) -> Verdict | RejectedError:
        if script < 0:
            return RejectedError("unknown_script", "most letters of the text are not Latin")
        if not square:
            return RejectedError("unknown_text", "nothing in the text is known to the model")
        fit, shrink = self._linear, 1.0 / sqrt(square)
        low, high = fit.sentiment_bias
        return judge(
            negative * shrink * fit.sentiment_scale + low,
            positive * shrink * fit.sentiment_scale + high,
            leak * shrink * fit.leak_scale + fit.leak_bias,
        )


def _refuse(text: str) -> RejectedError:
    if len(text) > LONGEST:
        return RejectedError("text_too_long", f"{len(text)} characters, at most {LONGEST}")
    return RejectedError("empty_text", "no word, emoji or punctuation in the text")


def load(folder: Path) -> tuple[Manifest, dict[str, bytes], str]:
    """Read a manifest and every file that it names, as `bundle.load` does.

    Raises:
        ModelError: the manifest or a file is missing, damaged, or of another kind or format.
    """
    return bundle.load(folder, Manifest, kind=LINEAR, layout=FORMAT)


def open_linear(folder: Path) -> LinearClassifier:
    """Open a folder written by `models.train`.

    Raises:
        ModelError: a file is missing or damaged, or the model is of another kind.
    """
    manifest, files, digest = load(folder)
    weights, norms = _arrays(folder / WEIGHTS, files.get(WEIGHTS, b""))
    return LinearClassifier(
        weights,
        norms=norms,
        linear=manifest.linear,
        leak_threshold=manifest.leak_threshold,
        name=f"linear-1 sha256:{digest}",
    )


def _arrays(path: Path, content: bytes) -> tuple[NDArray[np.int8], NDArray[np.uint8]]:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            weights, norms = arrays["weights"], arrays["norms"]
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{path} holds no weights ({error}): fetch the model again") from error
    if weights.shape != (BUCKETS, 3) or norms.shape != (BUCKETS,):
        raise ModelError(f"{path} has another number of features: train the model again")
    return weights, norms
