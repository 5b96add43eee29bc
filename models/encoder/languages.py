"""Tells whether a text is in a language that the model was trained on.

Each word piece speaks for the six languages or for other ones with Latin letters, by how often it
occurs in the frequent words of both; a text is judged by the mean of its pieces.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.encoder.text import CLOSE, OPEN

Bytes = NDArray[np.int8]
Floats = NDArray[np.float64]

TRAINED: Final = ("en", "fr", "de", "es", "it", "pt")
OTHERS: Final = (
    *("ca", "cs", "da", "fi", "fil", "hu", "id", "is", "lt", "lv", "ms"),
    *("nb", "nl", "pl", "ro", "sh", "sk", "sl", "sv", "tr", "vi"),
)

LEAST: Final = -0.7
"""Mean log-odds below which a text is in another language: six in a thousand of ours at most."""

ENOUGH: Final = 8
"""Pieces of the shortest text that is told of."""

STEPS: Final = 16
"""Steps of a byte per unit of log-odds."""

_WORDS: Final = 20_000
_FLOOR: Final = 1e-6
_WIDEST: Final = 4.0
_NAMES: Final = ("<s>", "<pad>", "</s>", "<unk>", OPEN, CLOSE)


def table(tokenizer: Tokenizer) -> Bytes:
    """The log-odds of each piece, in steps; those of our own signs count for nothing."""
    ours, theirs = (_mean(tokenizer, langs) for langs in (TRAINED, OTHERS))
    odds = np.log((ours + _FLOOR) / (theirs + _FLOOR)).clip(-_WIDEST, _WIDEST)
    return np.asarray(np.rint(odds * STEPS), dtype=np.int8)


def _mean(tokenizer: Tokenizer, langs: Iterable[str]) -> Floats:
    return np.asarray(np.mean([_shares(tokenizer, lang) for lang in langs], axis=0))


def _shares(tokenizer: Tokenizer, lang: str) -> Floats:
    # Imported here: only those who make a model need the words.
    from wordfreq import top_n_list, word_frequency  # noqa: PLC0415

    words = top_n_list(lang, _WORDS)
    counts = np.zeros(tokenizer.get_vocab_size())
    pieces = tokenizer.encode_batch(words, add_special_tokens=False)
    for word, one in zip(words, pieces, strict=True):
        for number in one.ids:
            counts[number] += word_frequency(word, lang)
    return np.asarray(counts / counts.sum())


class Numbering(Protocol):
    """What is needed of a tokenizer."""

    def token_to_id(self, token: str) -> int | None:
        """The number of a piece."""
        ...


class Languages:
    """Judges the pieces of texts by a table."""

    def __init__(self, content: bytes, tokenizer: Numbering) -> None:
        self._odds = np.frombuffer(content, dtype=np.int8)
        signs = (tokenizer.token_to_id(name) for name in _NAMES)
        self._signs = frozenset(number for number in signs if number is not None)

    def foreign(self, pieces: Sequence[int]) -> bool:
        """Whether a text is in none of the languages; of a short one nothing is said."""
        told = [number for number in pieces if number not in self._signs]
        return len(told) >= ENOUGH and float(self._odds[told].mean()) < LEAST * STEPS
