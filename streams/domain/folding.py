"""Folds a text to what a reader hears: case, accents, ligatures and look-alikes, offsets kept."""

import re
import unicodedata
from bisect import bisect_right
from codecs import charmap_encode
from collections.abc import Callable
from encodings.cp1252 import encoding_table
from itertools import accumulate

OTHER = "\x1f"
"""Stands for every symbol outside ASCII, so that folded Latin text is pure ASCII and stays fast.

To Python it is a blank too: an address ends at an emoji or a typographic quote.
"""
_NOTHING = "\x1e"
"""Stands for a character that is dropped, until the text is known to have none."""

_LETTERS = {
    # Letters that Unicode does not take apart, written as their readers type them on a keyboard.
    "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ŧ": "t", "þ": "th",
    "\u0131": "i", "ŋ": "n", "ĸ": "k", "ƒ": "f",
}  # fmt: skip
_APOSTROPHES = "'\u2019\u2018\u201b\u02bc\u02bb\u02b9\u2032\u00b4`\uff07"
_HYPHENS = "-\u2010\u2011\ufe63\uff0d"
_MARKS_OF_TRADE = "\u2122\u2120\u00ae\u00a9"
_FILLERS = "\u115f\u1160\u3164\uffa0"
_FIXED = {
    **dict.fromkeys(_APOSTROPHES, "'"),
    **dict.fromkeys(_HYPHENS, "-"),
    **dict.fromkeys(_MARKS_OF_TRADE + _FILLERS, _NOTHING),
    **dict.fromkeys("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u20e3", " "),  # the last one draws a keycap
    **dict.fromkeys("ŉ", "n"),
    **dict.fromkeys("Ŀŀ", "l"),
}

# Scripts written without spaces: each character is a word of its own, so that a Latin name inside
# such a text has boundaries, and a name in such a script is found anywhere.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x312F),
    (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xAC00, 0xD7AF), (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F), (0x20000, 0x3FFFF),
)  # fmt: skip

_CACHED = 0x20000
"""Code points from here on are folded anew each time: a hostile text must not fill the memory."""


def _plain(char: str) -> str:
    """Folds one character to lower-case letters and digits without marks."""
    taken_apart = unicodedata.normalize("NFKD", char).casefold()
    plain = (c for c in unicodedata.normalize("NFKD", taken_apart) if not unicodedata.combining(c))
    return "".join(_LETTERS.get(c, c) for c in plain)


def _is_bullet(char: str) -> bool:
    """Tells whether a character numbers an item of a list, as a digit in a circle does."""
    return char.isnumeric() and unicodedata.decomposition(char).startswith("<circle>")


def _fold(code: int) -> str:
    char = chr(code)
    if char in _FIXED:
        return _FIXED[char]
    category = unicodedata.category(char)
    if category in {"Mn", "Me", "Cf"}:
        return _NOTHING
    if category[0] == "Z":
        return " "
    if any(low <= code <= high for low, high in _UNSPACED) and category[0] in "LMN":
        return f" {char} "
    return char if category == "Mc" else _spelled(char)


def _spelled(char: str) -> str:
    """Folds a character that is neither space nor ignorable: letters, or exactly one symbol."""
    folded = OTHER if _is_bullet(char) else _plain(char)
    if folded.isalnum() or (len(folded) == 1 and folded.isascii() and folded.isprintable()):
        return folded
    return OTHER


class Table(dict[int, str]):
    """Code point to string for `str.translate`, filled as characters are met."""

    def __init__(self, make: Callable[[int], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, code: int) -> str:
        """Makes the string for a code point met for the first time."""
        made = self._make(code)
        if code < _CACHED:
            self[code] = made
        return made


_EXACT = Table(_fold)
_PLAIN = {code: chr(code) if chr(code).isalnum() else " " for code in range(128)}

_IGNORABLE = "\u00ad\u034f\u200b-\u200f\u2060-\u2064\ufeff\ufe00-\ufe0f"
_GAP = re.compile(rf"(?<=\s)[\s{_IGNORABLE}]*\s")


def _blank(gap: re.Match[str]) -> str:
    return "\u200b" * len(gap[0])


def _close(text: str) -> str:
    """Makes each run of blanks one blank and zero-width rest: offsets stay as they are."""
    if "  " in text or not text.isprintable():
        return _GAP.sub(_blank, text)
    return text


_UNEVEN = b"\x1d"
"""Marks, in the table of bytes, a character that is dropped, grows or stays outside ASCII."""


def _byte(code: int) -> bytes:
    folded = _fold(ord(bytes([code]).decode("cp1252", errors="replace")))
    even = len(folded) == 1 and folded.isascii() and folded != _NOTHING
    return folded.encode() if even else _UNEVEN


_EXACT_BYTES = b"".join(map(_byte, range(256)))
_PLAIN_BYTES = bytes(ord(_PLAIN.get(code, " ")) for code in range(256))


def _western(text: str) -> bytes:
    return charmap_encode(text, "strict", encoding_table)[0]


def _short(text: str) -> tuple[str, str] | None:
    """Folds a text by bytes (cp1252: Western Europe), if no character is dropped or grows.

    Half the time of the general way, and most posts are of this kind.
    """
    try:
        western = text.encode() if text.isascii() else _western(text)
    except UnicodeEncodeError:
        return None
    exact = western.translate(_EXACT_BYTES)
    if _UNEVEN in exact:
        return None
    return exact.decode("ascii"), exact.translate(_PLAIN_BYTES).decode("ascii")


class Folded:
    """A text, folded twice at the same positions.

    Attributes:
        text: the text as it was given.
        exact: lower-case letters without accents, symbols kept, blanks as single spaces.
        plain: `exact` with every symbol as a space: the words alone.
    """

    __slots__ = ("_closed", "_even", "_starts", "exact", "plain", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._closed = _close(text)
        self._starts: list[int] | None = None
        short = _short(self._closed)
        if short:
            self._even = True
            self.exact, self.plain = short
        else:
            self._fold()

    def _fold(self) -> None:
        exact = self._closed.translate(_EXACT)
        # Nothing dropped and the same length: nothing grew either, and offsets are the same.
        self._even = _NOTHING not in exact and len(exact) == len(self._closed)
        self.exact = exact.replace(_NOTHING, "")
        self.plain = words(self.exact)

    @property
    def starts(self) -> list[int]:
        """Where each character of the text begins in the folded strings."""
        if self._starts is None:
            pieces = map(_EXACT.__getitem__, map(ord, self._closed))
            widths = (0 if piece == _NOTHING else len(piece) for piece in pieces)
            self._starts = list(accumulate(widths, initial=0))
        return self._starts

    def position(self, offset: int) -> int:
        """Gives the folded position of a character of the text."""
        return offset if self._even else self.starts[offset]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Gives the offsets in the text of folded positions `start` to `end`, not empty.

        Marks that belong to the last character stay with it.
        """
        if self._even:
            return start, end
        first = bisect_right(self.starts, start) - 1
        last = bisect_right(self.starts, end - 1)
        while last < len(self.text) and unicodedata.category(self.text[last])[0] == "M":
            last += 1
        return first, last


def words(exact: str) -> str:
    """Makes every symbol of a folded text a space.

    >>> words("l'acme-boss")
    'l acme boss'
    """
    return exact.translate(_PLAIN)


def letters(text: str) -> str:
    """Folds a piece of a word.

    >>> letters("Télé")
    'tele'
    """
    return text.translate(_EXACT).replace(_NOTHING, "")


def fold(text: str) -> str:
    r"""Folds a text for comparison: two spellings that fold alike are one name.

    >>> fold("L\u2019ACMÉ Straße")
    "l'acme strasse"
    """
    return Folded(text).exact.strip()
