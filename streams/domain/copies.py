"""The copy key of a text: near-duplicates mostly share it, whatever else was posted.

The smallest hash of a text's word trigrams (Broder, "On the resemblance and containment of
documents", 1997): two texts share it with the probability of their Jaccard similarity. A function
of the text alone, so no order of arrival can change how posts are grouped.
"""

import re
import unicodedata
from hashlib import blake2b
from string import ascii_lowercase
from zlib import crc32

SHINGLE = 3
"""Words in a shingle: fewer join unrelated texts, more part edited copies."""
LONGEST = 2_000
"""Characters that are looked at."""

_NOISE = re.compile(r"https?://\S+|[@#]\w+")
_ACCENT = re.compile("[\u0300-\u036f]")
_LETTERS = bytes(code if chr(code) in ascii_lowercase else ord(" ") for code in range(256))
"""Makes all bytes but small letters a blank: faster than a pattern."""
_WORD = re.compile(r"[^\W\d_]+")


def copy_key(text: str) -> int:
    """Return the copy key of a text, 1 to 2**64 - 1.

    Links, handles, hashtags, digits, punctuation, case and accents do not matter.

    >>> copy_key("Très déçu par Acme, à fuir !") == copy_key("TRES DECU par @x Acme... a fuir")
    True
    """
    words = _words(text[:LONGEST])
    if not words:
        return _digest(text[:LONGEST].strip().encode(errors="replace"))
    runs = zip(*(words[i:] for i in range(SHINGLE)), strict=False)
    shingles = list(map(b" ".join, runs)) or [b" ".join(words)]
    hashes = list(map(crc32, shingles))
    return _digest(shingles[hashes.index(min(hashes))])


def _words(text: str) -> list[bytes]:
    folded = text.casefold()
    if "@" in folded or "#" in folded or "://" in folded:
        folded = _NOISE.sub(" ", folded)
    if not folded.isascii():
        folded = _ACCENT.sub("", unicodedata.normalize("NFKD", folded))
    if folded.isascii():
        return folded.encode().translate(_LETTERS).split()
    return [word.encode() for word in _WORD.findall(folded)]


def _digest(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest()) or 1
