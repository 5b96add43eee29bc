"""Labelled texts: reading them, telling copies apart, holding some back."""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from models.labels import LEAKS, SENTIMENTS
from streams.errors import InputError

_NAMED: Final = re.compile(r"https?://\S+|@\w+")
_BETWEEN: Final = re.compile(r"\W+")

OURS: Final = Path(__file__).parent / "data"
"""Posts written for this project."""

HELD_BACK: Final = "held-back"


class Example(msgspec.Struct, frozen=True):
    """A text with the label that somebody or something gave it."""

    text: str
    label: str
    lang: str = "und"
    source: str = "unknown"
    quality: str = "read"
    """How the label came about: `read` by a person, or a weaker way."""
    synthetic: bool = False
    split: str = ""
    """`held-back`: only tested on; anything else: never held back."""


def read(paths: Iterable[Path], *, labels: tuple[str, ...]) -> list[Example]:
    """Read JSON Lines of examples.

    Raises:
        InputError: a file cannot be read, or a line is no example with one of the labels.
    """
    return [example for path in paths for example in _read(path, labels)]


def _read(path: Path, labels: tuple[str, ...]) -> Iterator[Example]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    decode = msgspec.json.Decoder(Example).decode
    for number, line in enumerate(lines, start=1):
        try:
            example = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error
        if example.label not in labels:
            allowed = ", ".join(labels)
            raise InputError(f"{path}, line {number}: label {example.label!r}, not of {allowed}")
        yield example


def sentiments(paths: Iterable[Path]) -> list[Example]:
    """Read examples of sentiment."""
    return read(paths, labels=SENTIMENTS)


def leaks(paths: Iterable[Path]) -> list[Example]:
    """Read examples of leak mentions."""
    return read(paths, labels=LEAKS)


def ours() -> list[Example]:
    """Read the leak posts and look-alikes written for this project."""
    return leaks(sorted(OURS.glob("leaks*.jsonl")))


def same(text: str) -> str:
    """What copies of a text have in common: its words, without case, links and handles.

    >>> same("RT @you: It LEAKED! https://t.example/1") == same("rt it leaked")
    True
    """
    return _BETWEEN.sub(" ", _NAMED.sub("", text)).casefold().strip()


def distinct(examples: Iterable[Example], *, unlike: Iterable[Example] = ()) -> list[Example]:
    """Keep the first of each text, and none that also occurs in `unlike`."""
    seen = {same(example.text) for example in unlike}
    kept = []
    for example in examples:
        key = same(example.text)
        if key not in seen:
            seen.add(key)
            kept.append(example)
    return kept


def held_back(example: Example, *, one_in: int = 4, seed: int = 0) -> bool:
    """Whether an example is held back from training.

    As its `split` says; without one it is one in so many, by a hash of the text.
    """
    if example.split:
        return example.split == HELD_BACK
    digest = sha256(f"{seed} {example.text}".encode("utf-8", "surrogatepass")).digest()
    return digest[0] % one_in == 0
