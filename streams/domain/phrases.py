"""What is looked for: a folded spelling, its kind, and the brands that it names."""

import re
import unicodedata
from enum import Enum

from streams.domain.folding import OTHER, Folded, fold, words


class Kind(Enum):
    """How a phrase is written, which decides where it may stand (`places.Places`)."""

    NAME = "name"
    """Words: anywhere but inside an address, an e-mail or a part of somebody's handle."""
    GLUED = "glued"
    """Words without their spaces: a whole hashtag or a whole handle."""
    HANDLE = "handle"
    """`@acmetel`: that handle and nothing but it."""
    TAG = "tag"
    """`#acmetel` or `$ACME`: the whole tag."""
    DOMAIN = "domain"
    """`acme.example`: the host of an address or of an e-mail, or that domain by itself."""

    __hash__ = object.__hash__  # members are unique; that of Enum is slow, and rules are looked up


_SIGIL = re.compile(r"(@\w[\w.-]*(?:@[\w.-]+)?|[#$]\w+)")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]*[^\W_])?\.)+[a-z]{2,}")
_JOINS = str.maketrans("-_", "  ")
_UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue"}


def kind(word: str) -> Kind:
    """Tells from its writing what a word is.

    >>> kind("@acmetel"), kind("acme.example"), kind("Acme Télécom")
    (<Kind.HANDLE: 'handle'>, <Kind.DOMAIN: 'domain'>, <Kind.NAME: 'name'>)
    """
    folded = fold(word)
    if _SIGIL.fullmatch(folded):
        return Kind.HANDLE if folded[0] == "@" else Kind.TAG
    return Kind.DOMAIN if _DOMAIN.fullmatch(folded) else Kind.NAME


def spellings(word: str) -> tuple[str, ...]:
    """Folds a word to the ways in which it is typed: a German umlaut also as two letters.

    >>> spellings("Müller")
    ('muller', 'mueller')
    """
    small = unicodedata.normalize("NFC", word).lower()
    typed = "".join(_UMLAUTS.get(char, char) for char in small)
    return tuple(dict.fromkeys(fold(each).strip(OTHER + " ") for each in (word, typed)))


class Phrase:
    """One folded spelling of one kind; brands that share the word share the phrase.

    Attributes:
        kind: where it may stand.
        exact: the folded spelling, symbols included; in a name, hyphens are spaces.
        key: its words between two spaces, as the automaton knows them.
        glue: a name without blanks and symbols, as in a hashtag; none for "C++", which is no "#c".
        certain: whether it is a handle, a tag or a domain, and so not ambiguous.
        lead: how many symbols stand before the first word, as the `@` of a handle.
        tail: how many stand after the last.
        names: number of each brand that it names, and the word in the brand's entry.
    """

    __slots__ = ("certain", "exact", "glue", "key", "kind", "lead", "names", "simple", "tail")

    def __init__(self, exact: str, *, kind: Kind) -> None:
        plain = words(exact)
        self.kind = kind
        self.exact = exact.translate(_JOINS) if kind is Kind.NAME else exact
        self.key = f" {plain.strip()} "
        self.lead = len(plain) - len(plain.lstrip())
        self.tail = len(plain) - len(plain.rstrip())
        inner = kind is Kind.NAME and not self.lead and not self.tail
        self.glue = plain.replace(" ", "") if inner else ""
        self.certain = kind not in {Kind.NAME, Kind.GLUED}
        self.simple = kind is Kind.NAME and exact.isalnum()
        self.names: dict[int, str] = {}

    def reads(self, folded: Folded, start: int, end: int) -> bool:
        """Tells whether the symbols at these folded positions are those of the phrase too."""
        if self.simple:
            return True
        found = folded.exact[start:end]
        return self.exact == (found.translate(_JOINS) if self.kind is Kind.NAME else found)
