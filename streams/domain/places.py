"""Where a phrase counts: words anywhere in a sentence, but not inside addresses and handles."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from streams.domain.folding import Folded, Table, letters
from streams.domain.phrases import Kind, Phrase


class Zone(NamedTuple):
    """A stretch of folded text that is an address, an e-mail or a handle, and its host."""

    kind: str
    start: int
    end: int
    host: tuple[int, int]


# Each alternative starts only at the start of a run of its characters and gives none back: the
# scan is linear in any text. A handle may follow a full stop, as in ".@acme".
_ZONE = re.compile(
    r"""
      (?P<mail> (?<![\w.+-]) [\w+-]++ (?:\.[\w+-]++)*+ @ [\w-]++ (?:\.[\w-]++)++ )
    | (?P<url> (?<!\w) (?: [a-z]\w*+ :// | www\. ) \S*+
             | (?<![\w.+-]) (?:[\w-]++\.)++ [a-z]{2,}+ (?::\d++)? / \S*+ )
    | (?P<handle> (?<!\w) @ \w[\w-]*+ (?:\.[\w-]++)*+ (?: @ [\w-]++ (?:\.[\w-]++)++ )? )
    """,
    re.VERBOSE,
)
# What stands before the last @ of an address is a user, often a decoy.
_HOST = re.compile(r"(?:[a-z]\w*://)?(?:[^\s/?#\\]*@)?([\w.-]*[^\W_])?")


_MARK = re.compile(r"[@/]")
_MARKS = re.compile(r"[@/]|www\.")


def _zones(exact: str) -> list[Zone]:
    """Finds the zones, looking closer only at the stretches between blanks that have a mark."""
    named = "www." in exact
    if not named and "@" not in exact and "/" not in exact:
        return []
    mark = _MARKS if named else _MARK
    zones: list[Zone] = []
    end = 0
    while found := mark.search(exact, end):
        start = max(exact.rfind(" ", end, found.start()) + 1, end)
        last = exact.find(" ", found.end())
        end = last if last >= 0 else len(exact)
        zones += map(_zone, _ZONE.finditer(exact, start, end))
    return zones


def _zone(match: re.Match[str]) -> Zone:
    start, end = match.span()
    kind = match.lastgroup or ""
    if kind == "url":
        host = _HOST.match(match.string, start, end)
        return Zone(kind, start, end, host.span(1) if host else (start, start))
    server = match.string.rindex("@", start, end) + 1
    return Zone(kind, start, end, (server, end))


_CONTRACTED = re.compile(r"'t(?!\w)")
_SERVER = re.compile(r"[.@]")
_LONGER = re.compile(r"\.\w|-[\w-]*+\.\w")


def _word(exact: str, at: int) -> bool:
    """Tells whether a letter, a digit or an underscore stands at a position."""
    return 0 <= at < len(exact) and (exact[at].isalnum() or exact[at] == "_")


def _name(exact: str, zone: Zone | None, start: int, end: int) -> bool:
    """Any words; in a handle only the whole of it. "Can't" is no "Can", "O'Neil" no "Neil"."""
    if zone:
        return start == zone.start + 1 and _handle(exact, zone, zone.start, end)
    if "'" not in exact:
        return True
    irish = exact[max(start - 2, 0) : start] == "o'" and not _word(exact, start - 3)
    return not irish and not _CONTRACTED.match(exact, end)


def _glued(exact: str, zone: Zone | None, start: int, end: int) -> bool:
    if zone:
        return _name(exact, zone, start, end)
    return exact[max(start - 1, 0) : start] == "#" and _tag(exact, zone, start - 1, end)


def _handle(exact: str, zone: Zone | None, start: int, end: int) -> bool:
    """The whole handle; "@acmetel-Kunden" speaks of it too, as few networks allow a hyphen."""
    if not zone or zone.kind != "handle" or zone.start != start:
        return False
    if end >= zone.end:
        return end == zone.end
    return exact[end] == "-" and not _SERVER.search(exact, end, zone.end)


def _tag(exact: str, zone: Zone | None, start: int, end: int) -> bool:
    return not zone and not _word(exact, start - 1) and not _word(exact, end)


def _domain(exact: str, zone: Zone | None, start: int, end: int) -> bool:
    """The domain or one below it; `acme.example.net` and `my-acme.example` are others'."""
    if zone:
        below = start == zone.host[0] or exact[start - 1] == "."
        return below and zone.host[0] <= start and end == zone.host[1]
    other = exact[max(start - 1, 0) : start] == "-" and _word(exact, start - 2)
    return not other and not _LONGER.match(exact, end)


_RULES = {
    Kind.NAME: _name,
    Kind.GLUED: _glued,
    Kind.HANDLE: _handle,
    Kind.TAG: _tag,
    Kind.DOMAIN: _domain,
}


class Places:
    """The addresses, e-mails and handles of one text, and what may stand in and beside them."""

    __slots__ = ("_folded", "_zones")

    def __init__(self, folded: Folded) -> None:
        self._folded = folded
        self._zones = _zones(folded.exact)

    def allow(self, phrase: Phrase, start: int, end: int) -> bool:
        """Tells whether a phrase whose words stand at these folded positions counts there."""
        if start < 0 or not phrase.reads(self._folded, start, end):
            return False
        zone = self._around(start, end) if self._zones else None
        return _RULES[phrase.kind](self._folded.exact, zone, start, end)

    def _around(self, start: int, end: int) -> Zone | None:
        last = bisect_right(self._zones, end - 1, key=_first) - 1
        return self._zones[last] if last >= 0 and self._zones[last].end > start else None


def _first(zone: Zone) -> int:
    return zone.start


_HASHTAG = re.compile(r"(?<![\w/?=&])[#\uff03]([\w\u0300-\u036f]+)")
_PART = re.compile(r"A+(?!a)|A?a+|0+")


def _shape(code: int) -> str:
    char = chr(code)
    if char.isdigit():
        return "0"
    if char == "_":
        return "_"
    return "A" if char.isupper() else "a"


_SHAPES = Table(_shape)


def humps(text: str, *, longest: int) -> Iterator[tuple[int, int, str]]:
    """Yields each run of the words of a hashtag: `#AcmeDown` has Acme, AcmeDown and Down.

    A hashtag has no spaces, so a capital or a digit begins a word. Runs longer than `longest`
    are left out, which keeps the work linear in the text.

    Yields:
        start and end in the text, and the folded words without anything between them.
    """
    for tag in _HASHTAG.finditer(text):
        if tag[1][1:].islower() and tag[1].isalpha():
            continue
        parts = [part.span() for part in _PART.finditer(tag[1].translate(_SHAPES))]
        if len(parts) > 1:
            yield from _runs(tag, parts, longest)


def _runs(
    tag: re.Match[str], parts: list[tuple[int, int]], longest: int
) -> Iterator[tuple[int, int, str]]:
    words = [letters(tag[1][first:last]) for first, last in parts]
    offset = tag.start(1)
    for number, (first, _) in enumerate(parts):
        glue = ""
        for word, (_, last) in zip(words[number:], parts[number:], strict=True):
            glue += word
            if len(glue) > longest:
                break
            yield offset + first, offset + last, glue
