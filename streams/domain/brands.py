"""Which brands a text is about, where, and why: one automaton for all names of all brands."""

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Literal, NamedTuple

import msgspec

from streams.domain.folding import Folded
from streams.domain.lexicon import Hit, Index, Lexicon, Spot, spot
from streams.domain.phrases import Phrase
from streams.domain.places import Places, humps


class Expected(msgspec.Struct, frozen=True):
    """A planned event, during which alarms about a brand call nobody."""

    since: datetime
    until: datetime
    why: str


class Brand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An organisation and how people write its name (one `[[brand]]` of the brands file)."""

    id: str
    name: str
    aliases: tuple[str, ...] = ()
    handles: tuple[str, ...] = ()
    """`@account`, `#tag`, `$TICKER` or a domain: these are never ambiguous."""
    require_any: tuple[str, ...] = ()
    """At least one of these must be in the text too, unless a handle is."""
    exclude: tuple[str, ...] = ()
    """A text with one of these is never about the brand."""
    balance: float = 2.0
    """Weight of praise in the index: higher in sectors where people only write to complain."""
    expected: tuple[Expected, ...] = ()
    """Planned events."""

    def planned(self, at: datetime) -> str | None:
        """Return why nobody is to be called at an instant, None when there is no reason."""
        return next((one.why for one in self.expected if one.since <= at < one.until), None)


class Match(msgspec.Struct, frozen=True):
    """One occurrence of a brand: offsets count code points of the text as it was given."""

    brand: str
    start: int
    end: int
    text: str


class Finding(msgspec.Struct, frozen=True):
    """One occurrence of a name, whether it counts, and why."""

    brand: str
    start: int
    end: int
    text: str
    word: str
    """The name, alias or handle as the brand's entry has it."""
    verdict: Literal["counts", "excluded", "unmet", "overlapped"]
    because: str = ""
    """The exclude word, the required word or words, or the longer name in its place."""


class _Claim(NamedTuple):
    """A brand (by number) that a spot names."""

    start: int
    end: int
    number: int
    word: str


class _Ruling(NamedTuple):
    verdict: Literal["counts", "excluded", "unmet"]
    because: str = ""


_COUNTS = _Ruling("counts")


class _Reading:
    """One text on its way through: its folded form and the phrases that may stand in it."""

    __slots__ = ("_hits", "_index", "_keys", "_named", "_places", "_tags", "_where", "folded")

    def __init__(
        self, folded: Folded, hits: list[Hit], named: list[Hit], tags: list[Spot], index: Index
    ) -> None:
        self.folded = folded
        self._hits = hits
        self._named = named
        self._tags = tags
        self._index = index
        self._places = Places(folded)
        self._keys: dict[str, list[Hit]] | None = None
        self._where: dict[Phrase, Spot | None] = {tag.phrase: tag for tag in reversed(tags)}

    def names(self) -> list[Spot]:
        """Gives the phrases that name a brand and stand where they count."""
        allow = self._places.allow
        counted = [spot for spot in self._index.spots(self._named) if allow(*spot)]
        return [spot for spot in self._tags + counted if spot.phrase.names]

    def first(self, phrases: frozenset[Phrase]) -> str:
        """Gives the first occurrence of any of the phrases as it is written, or nothing."""
        keys = self._keyed()
        there = [phrase for phrase in phrases if phrase.key in keys or phrase in self._where]
        found = [place for phrase in there if (place := self._place(phrase))]
        return self.written(min(found, key=_start)) if found else ""

    def _place(self, phrase: Phrase) -> Spot | None:
        """Gives the first place where a phrase counts."""
        if phrase not in self._where:
            spots = (spot(phrase, hit) for hit in self._keyed()[phrase.key])
            self._where[phrase] = next((s for s in spots if self._places.allow(*s)), None)
        return self._where[phrase]

    def _keyed(self) -> dict[str, list[Hit]]:
        """Groups the hits by key: only brands with conditions need those of context words."""
        if self._keys is None:
            self._keys = {}
            for hit in self._hits:
                self._keys.setdefault(self._index.phrases(hit)[0].key, []).append(hit)
        return self._keys

    def quote(self, place: Spot | _Claim) -> tuple[int, int, str]:
        """Gives the offsets of a place in the text, and what is written there."""
        start, end = self.folded.span(place.start, place.end)
        return start, end, self.folded.text[start:end]

    def written(self, place: Spot | _Claim) -> str:
        """Gives what is written at a place."""
        return self.quote(place)[2]


def _read(text: str, index: Index) -> _Reading | None:
    """Reads a text; gives nothing, soon, for the many texts in which no name stands."""
    folded = Folded(text)
    hits = index.hits(folded.plain)
    named = index.naming(hits)
    tags = _spelled(folded, index) if "#" in folded.exact else []
    return _Reading(folded, hits, named, tags, index) if named or tags else None


def _spelled(folded: Folded, index: Index) -> list[Spot]:
    """Finds the phrases that the capitals of a hashtag spell."""
    return [
        Spot(phrase, folded.position(start), folded.position(end))
        for start, end, glue in humps(folded.text, longest=index.longest)
        for phrase in index.glued.get(glue, ())
    ]


def _start(place: Spot) -> int:
    return place.start


def _overlaps(claims: list[_Claim]) -> dict[_Claim, _Claim]:
    """Gives for each claim that must yield the one in its place: the longest, then leftmost.

    Claims are given in text order.
    """
    if all(one.end <= other.start for one, other in pairwise(claims)):
        return {}
    held: dict[int, _Claim] = {}
    longer: dict[_Claim, _Claim] = {}
    for claim in sorted(claims, key=lambda each: (each.start - each.end, each.start)):
        places = range(claim.start, claim.end)
        holder = next((held[at] for at in places if at in held), None)
        if holder is None:
            held.update(dict.fromkeys(places, claim))
        elif (holder.start, holder.end) != (claim.start, claim.end):
            longer[claim] = holder
    return longer


class Vocabulary(NamedTuple):
    """Everything to look for, and by brand number the phrases that decide."""

    words: Index
    requires: list[frozenset[Phrase]]
    excludes: list[frozenset[Phrase]]


def vocabulary(brands: tuple[Brand, ...]) -> Vocabulary:
    """Collects the words of brands."""
    lexicon = Lexicon()
    for number, brand in enumerate(brands):
        for word in brand.handles:
            lexicon.name(word, brand=number, handle=True)
        for word in (brand.name, *brand.aliases):
            lexicon.name(word, brand=number)
    requires = [lexicon.words(brand.require_any) for brand in brands]
    excludes = [lexicon.words(brand.exclude) for brand in brands]
    return Vocabulary(lexicon.index(), requires, excludes)


class Matcher:
    """Finds brands in texts; building it takes time with the brands, matching does not.

    Args:
        brands: with ids that differ.

    >>> matcher = Matcher([Brand(id="acme", name="Acme Télécom", aliases=("Acme",))])
    >>> [match.text for match in matcher.match("Panne d'ACME : Acme Telecom s'excuse")]
    ['ACME', 'Acme Telecom']
    """

    def __init__(self, brands: Iterable[Brand]) -> None:
        self.brands = tuple(brands)
        self._ids = {brand.id: brand for brand in self.brands}
        self._words, self._requires, self._excludes = vocabulary(self.brands)

    def __getitem__(self, brand: str) -> Brand:
        """Gives a brand by its id; raises KeyError for an unknown one."""
        return self._ids[brand]

    def match(self, text: str) -> list[Match]:
        """Finds every occurrence of a brand that counts, in text order.

        Where names overlap, the longest counts. Brands with exactly the same name all count.
        """
        reading = _read(text, self._words)
        if reading is None:
            return []
        return [
            Match(self.brands[claim.number].id, *reading.quote(claim))
            for claim, ruling, holder in self._decisions(reading)
            if ruling.verdict == "counts" and holder is None
        ]

    def explain(self, text: str) -> list[Finding]:
        """Finds every name of a brand, in text order, and says why it counts or does not."""
        reading = _read(text, self._words)
        if reading is None:
            return []
        return [
            Finding(
                self.brands[claim.number].id,
                *reading.quote(claim),
                claim.word,
                "overlapped" if holder else ruling.verdict,
                reading.written(holder) if holder else ruling.because,
            )
            for claim, ruling, holder in self._decisions(reading)
        ]

    def _decisions(self, reading: _Reading) -> list[tuple[_Claim, _Ruling, _Claim | None]]:
        """Gives for each claim whether its brand counts, and a longer claim in its place."""
        spots = reading.names()
        claims = self._claims(spots)
        rulings = {n: self._ruling(n, reading, spots) for n in {each.number for each in claims}}
        counted = [each for each in claims if rulings[each.number].verdict == "counts"]
        longer = _overlaps(counted)
        return [(claim, rulings[claim.number], longer.get(claim)) for claim in claims]

    def _claims(self, spots: list[Spot]) -> list[_Claim]:
        """Gives each brand its names, in text order, the longer first."""
        claims = {
            (start, -end, self.brands[number].id): _Claim(start, end, number, word)
            for phrase, start, end in spots
            for number, word in phrase.names.items()
        }
        return [claims[place] for place in sorted(claims)]

    def _ruling(self, number: int, reading: _Reading, spots: list[Spot]) -> _Ruling:
        """Decides whether a text is about a brand that it names."""
        excludes, requires = self._excludes[number], self._requires[number]
        if excludes and (barred := reading.first(excludes)):
            return _Ruling("excluded", barred)
        if not requires or any(
            each.phrase.certain and number in each.phrase.names for each in spots
        ):
            return _COUNTS
        if met := reading.first(requires):
            return _Ruling("counts", met)
        return _Ruling("unmet", _some(self.brands[number].require_any))


def _some(words: tuple[str, ...], *, most: int = 5) -> str:
    """Names words, but not more than a line can hold."""
    rest = f" and {len(words) - most} others" if len(words) > most else ""
    return ", ".join(words[:most]) + rest
