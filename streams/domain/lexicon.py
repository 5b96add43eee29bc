"""All that is looked for, in one automaton: names, handles and the words that decide."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import ahocorasick

from streams.domain.phrases import Kind, Phrase, kind, spellings

Hit = tuple[int, int]
"""Where a key ends in the words of a text with a blank before them, and the key's number."""


class Spot(NamedTuple):
    """A phrase and the folded positions where its words stand."""

    phrase: Phrase
    start: int
    end: int


class Lexicon:
    """Collects phrases, each held once whoever uses it; then finds their words in a text."""

    def __init__(self) -> None:
        self._phrases: dict[tuple[Kind, str], Phrase] = {}

    def name(self, word: str, *, brand: int, handle: bool = False) -> None:
        """Adds a word that names a brand."""
        written = kind(word)
        if written is Kind.DOMAIN and not handle:
            # "Acme.com" as a name is words; whoever means the addresses too lists it as a handle.
            written = Kind.NAME
        for phrase in self._of(word, written):
            phrase.names.setdefault(brand, word)

    def words(self, words: Iterable[str]) -> frozenset[Phrase]:
        """Adds words that name nothing and gives their phrases, to be recognised in a text."""
        return frozenset(phrase for word in words for phrase in self._of(word, kind(word)))

    def _of(self, word: str, written: Kind) -> Iterator[Phrase]:
        for exact in spellings(word):
            phrase = self._phrase(exact, written)
            yield phrase
            if phrase.glue and not phrase.simple:
                yield self._phrase(phrase.glue, Kind.GLUED)

    def _phrase(self, exact: str, written: Kind) -> Phrase:
        found = self._phrases.get((written, exact))
        if found is None:
            found = self._phrases[written, exact] = Phrase(exact, kind=written)
        return found

    def index(self) -> "Index":
        """Builds the automaton for what was added."""
        return Index(self._phrases.values())


class Index:
    """Finds the words of phrases in one pass over a text, whatever their number.

    Attributes:
        glued: the names as a hashtag has them, without blanks and symbols.
        longest: the length of the longest of these.
    """

    def __init__(self, phrases: Iterable[Phrase]) -> None:
        keys = _grouped((phrase.key, phrase) for phrase in phrases)
        # Keys that name come first: a number tells them apart without a look at the phrases,
        # which lie all over the memory.
        named = [group for group in keys.values() if any(each.names for each in group)]
        others = [group for group in keys.values() if not any(each.names for each in group)]
        self._groups = named + others
        self._named = len(named)
        self._automaton = _automaton(self._groups) if self._groups else None
        self.glued = _grouped((each.glue, each) for each in phrases if each.glue)
        self.longest = max(map(len, self.glued), default=0)

    def hits(self, plain: str) -> list[Hit]:
        """Finds all keys in the words of a text (`Folded.plain`)."""
        return list(self._automaton.iter(f" {plain} ")) if self._automaton else []

    def naming(self, hits: list[Hit]) -> list[Hit]:
        """Keeps the hits of keys that name a brand."""
        named = self._named
        return [hit for hit in hits if hit[1] < named]

    def names(self) -> Iterator[Phrase]:
        """Yields the phrases that name a brand."""
        return (each for group in self._groups[: self._named] for each in group if each.names)

    def phrases(self, hit: Hit) -> list[Phrase]:
        """Gives the phrases whose words were hit."""
        return self._groups[hit[1]]

    def spots(self, hits: list[Hit]) -> list[Spot]:
        """Gives the place of each phrase whose words were hit, its symbols included."""
        return [spot(phrase, hit) for hit in hits for phrase in self._groups[hit[1]]]


def spot(phrase: Phrase, hit: Hit) -> Spot:
    """Places a phrase whose words were hit: they end before the blank that ends the hit."""
    end = hit[0]
    first = end - len(phrase.key) + 1
    return Spot(phrase, first - phrase.lead, end - 1 + phrase.tail)


def _grouped(pairs: Iterable[tuple[str, Phrase]]) -> dict[str, list[Phrase]]:
    groups: dict[str, list[Phrase]] = {}
    for key, phrase in pairs:
        groups.setdefault(key, []).append(phrase)
    return groups


def _automaton(groups: list[list[Phrase]]) -> ahocorasick.Automaton:
    # ahocorasick-rs and daachorse search faster (3.7 and 3.1 us a post against 6.0 with 90,000 keys
    # on a busy machine), but let go of the interpreter's lock in each search: beside a thread that
    # computes they made 3,000 searches a second, pyahocorasick 357,000. A worker has such threads.
    automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
    for number, group in enumerate(groups):
        automaton.add_word(group[0].key, number)
    automaton.make_automaton()
    return automaton
