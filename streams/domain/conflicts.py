"""What is wrong, or likely not meant, in a set of brands: words that clash or decide nothing."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from streams.domain.brands import Brand, vocabulary
from streams.domain.folding import Folded, fold
from streams.domain.phrases import Kind, Phrase
from streams.domain.places import Places

_EVERYDAY = """
a about after all also am an and any are as at back bad be been best big black blue boss box but
by call can car change city coach come cool could day deal did direct do down easy even every
express fast find first five food for four free fresh from future game gap get go gold good great
green had happy has have he help her here hers him his home hot how i if in indeed into is it its
job just key life light like line live look love make man many may me meta mine mint monday more
most move much must my near net new next nice no none not now of off old on one only open or
orange other our out over own park people plan play plus point post power prime pure quick ready
real red ring rose sage save see she shell shop simple sky smart so some sound space spark sprint
square star start still stop story sun super take target team than that the their them then there
they thing this three time to today together too top total true try two under up us use very visa
vision want was wave way we well were what when where which white who why will wish with word work
world wow yes you young your zoom

ai aux avec banque bien bon bonne ce ces cette chez comme contre dans de des deux donc du elle
elles en encore enfin est et eux faire fait fibre fois gens grand hors il ils je jour la le les
leur leurs libre libres lui ma mais mes mieux moi moins mon monde monsieur ne nos notre nous
nouveau ou oui par pas petit peu pour pourquoi prix qu que qui rien sa sans se ses si sien soi
soir soleil son sous sur ta te temps tes toi ton toujours tous tout toute travail tu un une va
vers vie ville vite voici voir vos votre vous vrai vue

aber alle alles als auch auf aus bald bei beim bin bis bist da dann das dass dein dem den der die
dies dir doch dort ein eine einem einen einer er es etwas euch fest frei ganz gegen geld gern gut
haben hat heim heute hier hin hoch ich ihm ihn ihr im immer ist ja jetzt kann kein klar kraft laut
leben licht luft mehr mein mir mit mut nach nah neu nicht nie noch nun nur ob oder oft recht reich
ruhe schnell sehr sein seit sich sie sind sonne stark tag und uns unter viel vom von vor wann war
weg weil welt wenn wer werk wie wir wo wohl zeit zu zum zur zwei

agora ahora al alguien altro amigo anche ao aos aqui assim avanti azul bem bene bom buena bueno
caldo casa che chi ciao com como con cosa dai dal del della dentro desde di dia donde dos due ela
ele ella ellas ellos em era eres essa esta este estrela eu favor fuego fuori gli gran ha hay hola
hora hoy io isso las lei livre lo los luz mar mas mejor meu mi mia mio mondo muito mundo muy na
nada nao nei nel noi nosso nova novo nueva nuevo o oggi oi os otro para per pero piu poco por
porque pra prima punto quando quien sabor sem sempre ser siempre sin sobre sol sole solo sono su
sua sus tempo ti tiempo todo todos tua tudo tutto una uno vai vamos vento vida vita viva voi voz
ya yo
"""
COMMON = frozenset(_EVERYDAY.split())
"""Everyday words of six languages (folded): too little to tell a brand by."""

_SHORT = 2


class Conflict(msgspec.Struct, frozen=True):
    """Something to mend in the brands; an `error` makes a brand's figures wrong."""

    severity: Literal["error", "warning"]
    brand: str
    other: str | None
    """The other brand that is concerned, when there is one."""
    word: str
    text: str
    """What is wrong and what to do, in a sentence or two."""


def conflicts(brands: Iterable[Brand]) -> list[Conflict]:
    """Finds words that clash between brands or within one, errors first."""
    found = _Review(tuple(brands)).conflicts()
    return sorted(found, key=lambda conflict: conflict.severity)


class _Review:
    """The brands and, for each phrase, who excludes by it."""

    def __init__(self, brands: tuple[Brand, ...]) -> None:
        self._brands = brands
        self._vocabulary = vocabulary(brands)
        self._excluders: dict[Phrase, list[int]] = {}
        for number, phrases in enumerate(self._vocabulary.excludes):
            for phrase in phrases:
                self._excluders.setdefault(phrase, []).append(number)

    def conflicts(self) -> Iterator[Conflict]:
        """Yields the words that brands share, then brand by brand what it has against itself."""
        yield from self._shared()
        yield from self._shared_tags()
        yield from self._signed()
        for number, brand in enumerate(self._brands):
            for word in dict.fromkeys((brand.name, *brand.aliases)):
                yield from self._excluded(number, word)
                yield from self._everyday(brand, word)
            for word in dict.fromkeys(brand.exclude):
                yield from self._excluding(number, word)
            yield from self._idle(number)

    def _shared(self) -> Iterator[Conflict]:
        for phrase in self._vocabulary.words.names():
            first, *others = phrase.names
            if not others or phrase.kind is Kind.GLUED:
                continue
            sure = not phrase.certain and all(self._brands[n].require_any for n in phrase.names)
            mend = "" if phrase.certain or sure else ", or give each a require_any"
            text = f"a text with it counts for each of them. Keep it in one entry{mend}."
            severity: Literal["error", "warning"] = "warning" if sure else "error"
            yield self._conflict(severity, first, phrase.names[first], others, text)

    def _shared_tags(self) -> Iterator[Conflict]:
        for phrases in self._vocabulary.words.glued.values():
            owners = {n: word for phrase in phrases for n, word in phrase.names.items()}
            first, *others = owners or [0]
            if others and len({phrase.exact for phrase in phrases if phrase.names}) > 1:
                text = "as a hashtag it is their word too, and counts for each of them."
                yield self._conflict("warning", first, owners[first], others, text)

    def _signed(self) -> Iterator[Conflict]:
        """Reports handles and tags that are the name of another brand without their sign."""
        for phrase in self._vocabulary.words.names():
            if phrase.kind in {Kind.HANDLE, Kind.TAG}:
                alike = self._vocabulary.words.glued.get(phrase.exact[1:], [])
                others = [n for each in alike for n in each.names if n not in phrase.names]
                if others:
                    first, word = next(iter(phrase.names.items()))
                    text = "without its sign it is their name. Give both to one brand."
                    yield self._conflict("warning", first, word, others, text)

    def _excluded(self, number: int, word: str) -> Iterator[Conflict]:
        """Reports excludes that stand in a name, and so bar every text with it."""
        for phrase in self._standing(word):
            others = self._excluders.get(phrase, [])
            if number in others:
                text = (
                    f'its own exclude "{phrase.exact}" is in it: it can never count. Mend either.'
                )
                yield self._conflict("error", number, word, [], text)
            elif others:
                text = (
                    f'their exclude "{phrase.exact}" is in it: a text with it is never about them. '
                    "To tell the names apart no exclude is needed, the longest counts."
                )
                yield self._conflict("warning", number, word, others, text)

    def _excluding(self, number: int, word: str) -> Iterator[Conflict]:
        """Reports names of others that stand in an exclude: the text counts for them alone."""
        for phrase in self._standing(word):
            others = [n for n in phrase.names if n != number]
            if others and phrase not in self._vocabulary.excludes[number]:
                text = f'it has their name "{phrase.exact}" in it, and counts for them.'
                yield self._conflict("warning", number, word, others, text)

    def _everyday(self, brand: Brand, word: str) -> Iterator[Conflict]:
        folded = fold(word)
        if folded.isalnum() and not brand.require_any and _is_everyday(folded):
            text = "a short or everyday word. Add require_any, or use a longer name."
            yield Conflict("warning", brand.id, None, word, text)

    def _idle(self, number: int) -> Iterator[Conflict]:
        """Reports a required word that is the name itself, and so is always there."""
        for phrase in self._vocabulary.requires[number]:
            if number in phrase.names and not phrase.certain:
                word = phrase.names[number]
                text = "require_any has this name itself, so it decides nothing. Take it out."
                yield self._conflict("warning", number, word, [], text)

    def _standing(self, word: str) -> list[Phrase]:
        """Gives the phrases that stand in a word."""
        folded = Folded(word)
        places, words = Places(folded), self._vocabulary.words
        spots = words.spots(words.hits(folded.plain))
        return list(dict.fromkeys(spot.phrase for spot in spots if places.allow(*spot)))

    def _conflict(
        self,
        severity: Literal["error", "warning"],
        number: int,
        word: str,
        others: list[int],
        text: str,
    ) -> Conflict:
        other = self._brands[others[0]].id if others else None
        more = f" (and {len(others) - 1} more brands)" if len(others) > 1 else ""
        return Conflict(severity, self._brands[number].id, other, word, text + more)


def _is_everyday(folded: str) -> bool:
    return len(folded) <= _SHORT or folded.isdigit() or folded in COMMON
