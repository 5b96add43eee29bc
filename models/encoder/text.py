"""How a post is written down for the encoder: links and handles folded, a brand marked."""

import html
import re
from typing import Final

OPEN: Final = "<brand>"
CLOSE: Final = "</brand>"
READ: Final = 1_000
"""Characters of a post that are read; the encoder sees fewer still."""

BEFORE: Final = 120
"""Characters kept before a marked brand that comes late in a post."""

_LINK: Final = re.compile(r"https?://\S+|www\.\S+")
_HANDLE: Final = re.compile(r"(?<![\w@])@\w+")
_MARK: Final = re.compile(r"</?brand>")
_PILED: Final = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff])[\u0300-\u036f"
    "\u0483-\u0489\u1ab0-\u1aff\u20d0-\u20ff]{2,}"
)
_DRAWN: Final = re.compile(r"(\S)\1{5,}")
_SPACE: Final = re.compile(r"\s+")


def clean(text: str) -> str:
    """Resolve HTML entities, pull piled-up accents and drawn-out letters in, drop our own marks.

    >>> clean("AT&amp;T  is gooooooooood")
    'AT&T is goooood'
    """
    # Half of a surrogate pair, as a cut leaves it, is no text: it becomes a question mark.
    whole = html.unescape(text).encode("utf-8", "replace").decode()
    plain = _MARK.sub(" ", whole)
    plain = _DRAWN.sub(r"\1\1\1\1\1", _PILED.sub(r"\1", plain))
    return _SPACE.sub(" ", plain).strip()


def fold(text: str) -> str:
    """Write every link as `http` and every handle as `@user`.

    >>> fold("@you look: https://t.example/1")
    '@user look: http'
    """
    return _HANDLE.sub("@user", _LINK.sub("http", text))


def find(text: str, name: str) -> tuple[int, int] | None:
    """Where a brand is named: as whole words if possible, else as a part of one.

    A `#` or `@` before it belongs to it, and a hashtag may leave its spaces out.

    >>> find("why, #AcmeMobile, why", "acme mobile")
    (5, 16)
    """
    words = r"\s*".join(re.escape(word) for word in name.lstrip("@#").split())
    if not words:
        return None
    whole = re.search(rf"[@#]?(?<!\w){words}(?!\w)", text, re.IGNORECASE)
    found = whole or re.search(rf"[@#]?{words}", text, re.IGNORECASE)
    return found.span() if found else None


def write(text: str, brand: str | None = None) -> str:
    """Write a post down, the brand between marks; one that is not named is put in front.

    >>> write("I left @acme for Zorb", "acme")
    'I left <brand> @acme </brand> for Zorb'
    >>> write("they did it again", "Acme")
    '<brand> Acme </brand> : they did it again'
    """
    if brand is None:
        return fold(clean(text.lstrip()[:READ]))
    plain = clean(text.lstrip()[: 10 * READ])
    span = find(plain, brand)
    if span is None:
        return f"{OPEN} {clean(brand[:BEFORE])} {CLOSE} : {fold(plain[:READ])}"
    return mark(plain, span)


def mark(plain: str, span: tuple[int, int]) -> str:
    """Put the marks around a span of a clean text; what stands long before it is left out."""
    start, end = span
    first = 0 if start <= BEFORE else plain.rfind(" ", 0, start - BEFORE) + 1
    before, after = fold(plain[first:start]).strip(), fold(plain[end : start + READ]).strip()
    return f"{before} {OPEN} {plain[start:end]} {CLOSE} {after}".strip()
