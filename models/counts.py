"""Sparse counts of the features of many texts, for training."""

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.sparse import csr_matrix, diags

from models import features
from models.features import BUCKETS

Matrix = Any
"""A sparse matrix, a row per text; scipy has no types."""

Places = NDArray[np.int64]
Scale = NDArray[np.uint8]

NORM_STEPS = 10
"""Steps of a feature's scale per unit: the scale of the rarest feature still fits a byte."""


def count(texts: Sequence[str]) -> Matrix:
    """Count the features of each text: a sparse matrix, a row per text."""
    rows: dict[str, int] = {}
    flat, lengths = array("i"), array("q")
    for text in track(texts, "Reading texts", console=Console(stderr=True)):
        found = features.tokens(text)
        lengths.append(len(found))
        flat.extend(rows.setdefault(token, len(rows)) for token in found)
    where = np.frombuffer(flat, dtype=np.int32).astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))])
    parts = features.parts(list(rows))
    counted = _sparse(where, ends, len(rows)) @ _alone(parts)
    for buckets in _around(parts, where, ends):
        counted = counted + _sparse(buckets, ends, BUCKETS + 1)
    return counted[:, :BUCKETS].tocsr()


def _sparse(columns: Places, ends: Places, width: int) -> Matrix:
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, ends), shape=(len(ends) - 1, width))


def _alone(parts: features.Parts) -> Matrix:
    ones = np.ones(len(parts.buckets), dtype=np.float32)
    shape = (len(parts.marks), BUCKETS + 1)
    return csr_matrix((ones, (parts.owners, parts.buckets)), shape=shape)


def _around(parts: features.Parts, where: Places, ends: Places) -> list[features.Buckets]:
    starts = np.zeros(len(where), dtype=np.bool_)
    starts[ends[:-1][np.diff(ends) > 0]] = True
    return features.contexts(
        parts.marks[where], starts, turns=parts.turns[where], stops=parts.stops[where]
    )


def scales(counts: Matrix, *, least: int, words: float) -> Scale:
    """The scale of each feature: its inverse document frequency, in steps.

    Args:
        counts: of all texts that are trained on.
        least: features that occur in fewer texts get 0: the model does not know them.
        words: how much more words and pairs weigh than character n-grams.
    """
    frequency = np.bincount(counts.indices, minlength=BUCKETS)
    rarity = 1.0 + np.log((counts.shape[0] + 1) / (frequency + 1))
    rarity[: features.WORDS] *= words
    steps = np.clip(np.rint(rarity * NORM_STEPS), 1, 255)
    return np.where(frequency < least, 0, steps).astype(np.uint8)


def lengths(counts: Matrix, scale: Scale) -> NDArray[np.float32]:
    """The length of each text as a vector, as the classifier reckons it."""
    squares = np.asarray(counts @ scale.astype(np.float32) ** 2).ravel()
    return np.sqrt(np.where(squares == 0, 1.0, squares)).astype(np.float32)


def unit(counts: Matrix, scale: Scale) -> Matrix:
    """Scale the features and bring each text to length one."""
    scaled = diags(1.0 / lengths(counts, scale)) @ counts @ diags(scale.astype(np.float32))
    scaled.eliminate_zeros()
    return scaled
