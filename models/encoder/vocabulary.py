"""Cuts a multilingual vocabulary down to what six languages need, before training."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Tokenizer
from wordfreq import top_n_list

from models.encoder.text import CLOSE, OPEN, write

TOKENIZER: Final = "tokenizer.json"
PAD: Final = 1
SPECIAL: Final = 4
"""The first pieces: start, padding, end and unknown."""

WORDS: Final = {"en": 60_000, "fr": 60_000, "de": 40_000, "es": 40_000, "it": 40_000, "pt": 40_000}
"""Frequent words whose pieces are kept, by language."""

_SPACE: Final = "\u2581"
_BLOCKS: Final = (range(0x590), range(0x1E00, 0x2E00), range(0x1F000, 0x110000))


def trim(source: Path, texts: Sequence[str]) -> tuple[Tokenizer, list[int], int]:
    """Keep the pieces of the texts, of frequent words, and single characters.

    Returns:
        The new tokenizer with the marks of a brand, the old numbers of its pieces in order, and
        how many pieces it has beyond those.
    """
    full = Tokenizer.from_file(str(source))
    plain = json.loads(source.read_bytes())
    pieces = plain["model"]["vocab"]
    kept = sorted(_used(full, texts) | _frequent(full) | _single(pieces) | set(range(SPECIAL)))
    plain["model"]["vocab"] = [pieces[number] for number in kept]
    plain["added_tokens"] = [one for one in plain["added_tokens"] if one["id"] < SPECIAL]
    trimmed = Tokenizer.from_str(json.dumps(plain, ensure_ascii=False))
    marks = [AddedToken(mark, special=True, normalized=False) for mark in (OPEN, CLOSE)]
    trimmed.add_special_tokens(marks)
    return trimmed, kept, len(marks)


def _used(tokenizer: Tokenizer, texts: Iterable[str]) -> set[int]:
    return _numbers(tokenizer, [write(text) for text in texts])


def _frequent(tokenizer: Tokenizer) -> set[int]:
    kept = set[int]()
    for lang, number in WORDS.items():
        words = top_n_list(lang, number)
        kept |= _numbers(tokenizer, words)
        kept |= _numbers(tokenizer, [word.capitalize() for word in words])
        kept |= _numbers(tokenizer, [word.upper() for word in words[: number // 10]])
    return kept


def _numbers(tokenizer: Tokenizer, texts: list[str]) -> set[int]:
    found = tokenizer.encode_batch(texts, add_special_tokens=False)
    return {number for one in found for number in one.ids}


def _single(pieces: Iterable[Any]) -> set[int]:
    return {number for number, (piece, _) in enumerate(pieces) if _kept(piece.lstrip(_SPACE))}


def _kept(piece: str) -> bool:
    """Latin, Greek and Cyrillic letters, signs and emoji: what rare words are spelt with."""
    if len(piece) > 1:
        return False
    return any(ord(piece or " ") in block for block in _BLOCKS)
