"""Turns a text into units, and a unit into the hashed features that it stands for.

A unit is a token (`str`) or an ordered pair of tokens (`tuple`). What a unit adds to a score depends
on that unit alone, so it can be computed once and remembered; everything costly (case folding,
n-grams, hashing) happens per distinct unit and not per text.
"""

import re
import unicodedata
from collections.abc import Iterator
from zlib import crc32


Unit = str | tuple[str, str]

READ = 4_000
"""Characters of a text that are read; what follows in a longer text is left aside."""

WORDS = 1 << 19
"""Buckets for words and pairs; the character n-grams have as many, after them."""

BUCKETS = 2 * WORDS

_TOKEN_READ = 32
_GRAMS = range(2, 6)
_SCOPE = 3
_NEGATED = "\0"
_WORD, _PAIR, _GRAM, _SHOUT = range(1, 5)

_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<!\w)@\w+")
_TOKEN = re.compile(
    r"[:;=][-'^]?[)(DPp/\\|*\]\[oO3]+|<3"  # emoticons
    r"|(?:[cdjlmnstCDJLMNST]|[Qq]u)'(?=\w)"  # French and Italian elision
    r"|#?\w+(?:'\w+)?"
    r"|[!?]+|\.{2,}|[^\w\s\x00-\x1f\x7f]",
)
_DIGIT = re.compile(r"\d")
_STRETCHED = re.compile(r"(.)\1{3,}")
_STOPS = frozenset(".,;:!?…")

_PLAIN_NEGATIONS = """
    not no never none nobody nothing without cannot cant can't dont don't doesnt doesn't didnt
    didn't isnt isn't wasnt wasn't arent aren't wont won't wouldnt wouldn't shouldnt shouldn't
    couldnt couldn't havent haven't hasnt hasn't hadnt hadn't aint ain't
    pas jamais rien aucun aucune sans ni
    nicht kein keine keinen keiner nie niemals ohne nichts
    nunca jamás sin nada ningún ninguna
    non mai senza nessun nessuna niente
    não nao nem sem nenhum nenhuma
""".split()
NEGATIONS = frozenset(
    form for word in _PLAIN_NEGATIONS for form in (word, word.capitalize(), word.upper())
)
"""Words after which a judgement may turn round, in every case they are written in."""


def units(text: str) -> list[Unit]:
    """Split a text into its tokens, the pairs of neighbours, and the tokens after a negation.

    Args:
        text: any string; lone surrogates and control characters included.

    >>> units("Not good!")
    ['Not', 'good', '!', ('Not', 'good'), ('good', '!'), ('\\x00', 'good')]
    """
    tokens: list[str] = _TOKEN.findall(_clean(text))
    found: list[Unit] = [*tokens, *zip(tokens, tokens[1:], strict=False)]
    if not NEGATIONS.isdisjoint(tokens):
        found.extend(_negated(tokens))
    return found


def _clean(text: str) -> str:
    text = text[:READ]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).replace("’", "'")
    if "@" in text:
        text = _HANDLE.sub("@", text)
    if "://" in text or "www." in text:
        text = _LINK.sub(" http ", text)
    return text


def _negated(tokens: list[str]) -> Iterator[tuple[str, str]]:
    left = 0
    for token in tokens:
        if token in NEGATIONS:
            left = _SCOPE
        elif token[0] in _STOPS:
            left = 0
        elif left:
            left -= 1
            yield _NEGATED, token


def features(unit: Unit) -> list[int]:
    """The buckets (0 to `BUCKETS` - 1) of a unit, one for each feature that it carries.

    A pair carries itself. A token carries its folded form and its character n-grams, of two to
    five characters, with the ends of the word marked.
    """
    if isinstance(unit, tuple):
        return [_bucket(_PAIR, f"{_fold(unit[0])} {_fold(unit[1])}")]
    word = _fold(unit)
    found = [_bucket(_WORD, word)]
    if len(word) > 2 and unit.isupper():  # noqa: PLR2004 - shorter ones are abbreviations
        found.append(_bucket(_SHOUT, ""))
    if word[0] == "#" and len(word) > 1:
        word = word[1:]
        found.append(_bucket(_WORD, word))
    if word[0].isalnum():
        found.extend(WORDS + _bucket(_GRAM, gram) for gram in _grams(f"<{word}>"))
    return found


def _fold(token: str) -> str:
    folded = _DIGIT.sub("0", token[:_TOKEN_READ].casefold())
    return _STRETCHED.sub(r"\1\1\1", folded)


def _grams(word: str) -> Iterator[str]:
    for size in _GRAMS:
        for start in range(len(word) - size + 1):
            yield word[start : start + size]


def _bucket(kind: int, text: str) -> int:
    return crc32(text.encode("utf-8", "surrogatepass"), kind) % WORDS


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
