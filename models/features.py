"""Turns texts into tokens, and tokens into the hashed features that carry the weights.

What a token adds by itself (its word and its character n-grams) depends on the token alone, so it
can be computed once and remembered. Pairs of tokens are hashed from the marks of their two tokens.
Both happen for many tokens at a time.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Marks = NDArray[np.uint64]
Buckets = NDArray[np.int64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

READ: Final = 4_000
"""Characters of a text that are read; what follows in a longer text is left aside."""

WORDS: Final = 1 << 20  # as many as _SHIFT leaves bits
"""Buckets for words and pairs; as many follow for the character n-grams, and one that is empty."""

BUCKETS: Final = 2 * WORDS
EMPTY: Final = BUCKETS
"""Stands where there is no pair; no weight is ever put there."""

_GRAMS: Final = range(2, 6)
_SCOPE: Final = 3
_SHORT: Final = 2
_SHOUT: Final = 0
_WORD, _NEIGHBOUR, _NEGATED = (np.uint64(odd) for odd in (0x9E3779B1, 0xC2B2AE3D, 0x27D4EB2F))
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_SHIFT: Final = np.uint64(64 - 20)

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w+")
# No alternative is unbounded: a token is short whatever the text, so remembering it is cheap.
_TOKEN = re.compile(
    r"#?\w{1,40}(?:'\w{1,40})?"
    r"|[:;=][-'^]?[)(DPp/\\|*\]\[oO3]{1,4}|<3"  # emoticons
    r"|[!?]{1,4}|\.{2,4}|[^\w\s\x00-\x1f\x7f]",
)
_ELISION = re.compile(r"\b([cdjlmnst]|qu)'(?=[\w@#])", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_STRETCHED = re.compile(r"(.)\1{3,}")

STOPS: Final = frozenset(".,;:!?…")
NEGATIONS: Final = frozenset(
    """
    not no never none nobody nothing without cannot cant can't dont don't doesnt doesn't didnt
    didn't isnt isn't wasnt wasn't arent aren't wont won't wouldnt wouldn't shouldnt shouldn't
    couldnt couldn't havent haven't hasnt hasn't hadnt hadn't aint ain't
    pas jamais rien aucun aucune sans ni
    nicht kein keine keinen keiner nie niemals ohne nichts
    nunca jamás sin nada ningún ninguna
    non mai senza nessun nessuna niente
    não nao nem sem nenhum nenhuma
    """.split(),  # noqa: SIM905 - twelve lines of quoted words are harder to read
)
"""Words after which a judgement may turn round, in the six languages of the training data."""


def tokens(text: str) -> list[str]:
    """Split a text; links and handles become `http` and `@`.

    Args:
        text: any string; lone surrogates and control characters included.

    >>> tokens("L'app de @acme... :( not good!!")
    ['L', 'app', 'de', '@', '...', ':(', 'not', 'good', '!!']
    """
    text = text[:READ]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    if "'" in text:
        text = _ELISION.sub(r"\1 ", text)
    if "@" in text:
        text = _HANDLE.sub("@", text)
    if "://" in text or "www." in text:
        text = _LINK.sub(" http ", text)
    return _TOKEN.findall(text)


def fold(token: str) -> str:
    """What spellings of a token have in common: without case, digits as 0, letters thrice at most.

    >>> fold("SOOOOO"), fold("2024")
    ('sooo', '000')
    """
    return _STRETCHED.sub(r"\1\1\1", _DIGIT.sub("0", token.casefold()))


@dataclass(frozen=True)
class Parts:
    """What some tokens stand for.

    Attributes:
        buckets: of the features of all tokens.
        owners: which token each of the buckets belongs to.
        marks: a number for each folded token, from which its pairs are hashed.
        turns: whether a token is a negation.
        stops: whether a token ends a clause.
        latin: Latin letters of a token, less its letters of other scripts.
    """

    buckets: Buckets
    owners: Places
    marks: Marks
    turns: Flags
    stops: Flags
    latin: Places


def parts(found: Sequence[str]) -> Parts:
    """Describe tokens: each stands for its folded form and its n-grams of two to five bytes."""
    words = [fold(token) for token in found]
    tags = [at for at, word in enumerate(words) if word[0] == "#" and len(word) > 1]
    shouts = [at for at, token in enumerate(found) if len(token) > _SHORT and token.isupper()]
    marks = _marks(words)
    ends, owners = _grams([_inside(word) for word in words])
    return Parts(
        buckets=np.concatenate(
            [
                _mix(marks * _WORD),
                _mix(_marks([words[at][1:] for at in tags]) * _WORD),
                np.full(len(shouts), _SHOUT, dtype=np.int64),
                ends,
            ],
        ),
        owners=np.concatenate([np.arange(len(words)), tags, shouts, owners]).astype(np.int64),
        marks=marks,
        turns=np.array([word in NEGATIONS for word in words], dtype=np.bool_),
        stops=np.array([token[0] in STOPS for token in found], dtype=np.bool_),
        latin=np.array([latin(token) for token in found], dtype=np.int64),
    )


def _marks(words: list[str]) -> Marks:
    return np.array([crc32(_encoded(word)) for word in words], dtype=np.uint64)


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


def _inside(word: str) -> bytes:
    return b"<%b>" % _encoded(word.removeprefix("#")) if word[-1].isalnum() else b""


def _grams(words: list[bytes]) -> tuple[Buckets, Places]:
    """The buckets of the n-grams of all words, and the word that each belongs to."""
    letters = np.frombuffer(b"".join(words), dtype=np.uint8).astype(np.uint64)
    owners = np.repeat(np.arange(len(words)), [len(word) for word in words])
    gram, found, whose = letters, [], []
    for size in _GRAMS:
        # No byte is zero, so n-grams of different sizes are different numbers.
        gram = (gram[:-1] << np.uint64(8)) | letters[size - 1 :]
        whole = owners[: len(gram)] == owners[size - 1 :]
        found.append(WORDS + _mix(gram[whole]))
        whose.append(owners[: len(gram)][whole])
    return np.concatenate(found), np.concatenate(whose)


def pairs(marks: Marks, starts: Flags) -> Buckets:
    """The bucket of each token with the one before it; `EMPTY` where a text starts."""
    found = np.full(len(marks), EMPTY, dtype=np.int64)
    found[1:] = _mix((marks[:-1] * _NEIGHBOUR) ^ marks[1:])
    found[starts] = EMPTY
    return found


def negated(marks: Marks, starts: Flags, *, turns: Flags, stops: Flags) -> Buckets:
    """The bucket of each token that follows a negation within three tokens and no stop.

    Args:
        marks: of the tokens of all texts, one text after the other.
        starts: whether the token is the first of its text.
        turns: whether the token is a negation.
        stops: whether the token ends a clause.
    """
    reach = np.zeros(len(marks), dtype=np.int64)
    reach[turns] = _SCOPE + 1
    found = np.full(len(marks), EMPTY, dtype=np.int64)
    open_ = ~(starts | stops)
    for _ in range(_SCOPE):
        passed = np.where(open_[1:], reach[:-1] - 1, 0)
        reach[1:] = np.maximum(reach[1:], passed)
    under = (reach > 0) & ~turns
    found[under] = _mix(marks[under] * _NEGATED)
    return found


def contexts(marks: Marks, starts: Flags, *, turns: Flags, stops: Flags) -> list[Buckets]:
    """Every bucket that a token has by its surroundings: an array of buckets for each kind."""
    return [pairs(marks, starts), negated(marks, starts, turns=turns, stops=stops)]


def _mix(numbers: Marks) -> Buckets:
    """Spread numbers over `WORDS` buckets, by Fibonacci hashing (Knuth, TAOCP 3, 6.4)."""
    folded = numbers ^ (numbers >> np.uint64(32))
    return ((folded * _SPREAD) >> _SHIFT).astype(np.int64)


def latin(token: str) -> int:
    """Count the letters of a token: Latin ones as +1 each, those of other scripts as -1 each.

    >>> latin("fuite"), latin("утечка"), latin("!")
    (5, -6, 0)
    """
    if token.isascii():
        return sum(map(str.isalpha, token))
    return sum((1 if _is_latin(letter) else -1) for letter in token if letter.isalpha())


def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or "\u1e00" <= letter <= "\u1eff"
