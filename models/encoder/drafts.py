"""Labelled posts become drafts: a text as the encoder reads it, with the answers that are known."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models import examples
from models.encoder.heads import EMOTIONS, HEADS, PLACES, WIDTH
from models.encoder.mix import Mix, Part, Row, phase, rows, turns
from models.encoder.text import clean, find, mark, write
from models.labels import LEAK_KINDS, LEAKS, SENTIMENTS
from streams.errors import InputError

Floats = NDArray[np.float32]

TRUST: Final = {"read": 1.0, "silver": 0.7, "silver_llm_text": 0.7, "assumed": 0.5}
"""Weight of a row by the way its label came about."""

KINDS: Final = {"documents_or_internal": "documents"}
"""Other names of leak kinds."""

BALANCE: Final = 0.75
"""From 0, labels count as often as they occur, to 1, all labels of a language count alike."""

YES_NO: Final = {"leak": LEAKS, "irony": ("non_irony", "irony")}

MARKED: Final = 0.25
"""Share of posts about a known brand that are read with it marked, for sentiment."""

RENAMED: Final = 0.3
"""Share of marked brands that get an invented name: what counts is what is said about them."""

_NAMED: Final = re.compile(r"[@#](?!user\b)\w{3,}|(?<=\w )[A-Z]\w{3,}")
_HALF: Final = 0.5
_SHORT: Final = 130
"""Characters of the longest post that is joined with another."""

_BUT: Final = {"en": "but", "fr": "mais", "de": "aber", "es": "pero", "it": "ma", "pt": "mas"}
_JOINTS: Final = (". ", " ", "; ", " / ", " - ", "... ", ", ")
_SOUNDS: Final = "ba cor del fin gra hel ju kas lor mun nex or pri qua ros sel tor ux ver wen zy"


@dataclass(frozen=True)
class Draft:
    """A text to learn from.

    Attributes:
        text: as `models.encoder.text` writes it.
        answers: a probability for each score; not a number where the answer is unknown.
        lang: labels are balanced within a language.
        weight: how much it counts.
    """

    text: str
    answers: Floats
    lang: str
    weight: float = 1.0


def unknown() -> Floats:
    """No answer known."""
    return np.full(WIDTH, np.nan, dtype=np.float32)


def tell(answers: Floats, head: str, label: str, labels: Sequence[str]) -> Floats:
    """Add the answer of a head with one answer.

    Raises:
        InputError: the head has no such label.
    """
    if label not in labels:
        raise InputError(f"label {label!r} is not of {', '.join(labels)}")
    answers[PLACES[head]] = [float(label == one) for one in labels]
    return answers


def kinds(row: Row) -> Floats | None:
    """The leak kinds of a row, if they are known."""
    if row.label == "no_leak":
        return np.zeros(len(LEAK_KINDS), dtype=np.float32)
    named = (row.leak_type,) if isinstance(row.leak_type, str) else row.leak_type or ()
    known = {KINDS.get(one, one) for one in named}
    if not known & set(LEAK_KINDS):
        return None
    return np.array([float(one in known) for one in LEAK_KINDS], dtype=np.float32)


def answer(task: str, row: Row) -> Floats:
    """What the label of a row says.

    Raises:
        InputError: the task has no such label.
    """
    answers = unknown()
    if task in {"sentiment", "target"}:
        return tell(answers, task, row.label, SENTIMENTS)
    if task == "emotion":
        return tell(answers, task, row.label, EMOTIONS)
    no, yes = YES_NO[task]
    if row.label not in {no, yes}:
        raise InputError(f"label {row.label!r} is not of {no}, {yes}")
    answers[PLACES[task]] = float(row.label == yes)
    if task == "leak" and (known := kinds(row)) is not None:
        answers[PLACES["kind"]] = known
    return answers


def draft(task: str, row: Row, draw: random.Random) -> Iterator[Draft]:
    """Write a row down, some of them with a brand marked."""
    if task == "brands":
        yield from _towards(row, draw)
        return
    answers = answer(task, row)
    weight = TRUST.get(row.quality, 1.0)
    if task == "target":
        yield Draft(_marked(row.text, row.brand or "", draw), answers, row.lang, weight)
    elif task == "sentiment" and row.brand and draw.random() < MARKED:
        answers[PLACES["target"]] = answers[PLACES["sentiment"]]
        yield Draft(_marked(row.text, row.brand, draw), answers, row.lang, weight)
    else:
        yield Draft(write(row.text), answers, row.lang, weight)


def _towards(row: Row, draw: random.Random) -> Iterator[Draft]:
    text, brands = row.text, row.brands
    if draw.random() < _HALF:
        # The same few names come up with either feeling; new ones leave only what is said of them.
        names = {brand: invent(draw) for brand in brands}
        for brand, name in names.items():
            text = text.replace(brand, name)
        brands = {names[brand]: label for brand, label in brands.items()}
    for brand, label in brands.items():
        answers = tell(unknown(), "target", label, SENTIMENTS)
        yield Draft(write(text, brand), answers, row.lang)


def _marked(text: str, brand: str, draw: random.Random) -> str:
    if draw.random() < RENAMED:
        plain = clean(text)
        if span := find(plain, brand):
            name = invent(draw)
            return write(plain[: span[0]] + name + plain[span[1] :], name)
        brand = invent(draw)
    return write(text, brand)


def invent(draw: random.Random) -> str:
    """An invented brand.

    >>> invent(random.Random(3))
    'Verux'
    """
    sounds = _SOUNDS.split()
    name = "".join(draw.choice(sounds) for _ in range(draw.choice((2, 2, 3)))).capitalize()
    return draw.choice((name, name, name, name.upper(), f"@{name.lower()}", name.lower()))


@dataclass(frozen=True)
class Half:
    """A short post about something, to be joined with another."""

    text: str
    start: int
    end: int
    label: str


def half(row: Row) -> Half | None:
    """A row as half of a pair: short, and about a brand, a handle, a hashtag or a name."""
    plain = clean(row.text)
    if len(plain) > _SHORT or row.label not in SENTIMENTS:
        return None
    span = find(plain, row.brand) if row.brand else None
    if span is None and (named := _NAMED.search(plain)):
        span = named.span()
    return Half(plain, *span, row.label) if span else None


def pair(one: Half, other: Half, lang: str, draw: random.Random) -> Draft:
    """Two posts in one, the brand of the first marked; its place is drawn."""
    names = [
        invent(draw) if draw.random() < RENAMED else h.text[h.start : h.end] for h in (one, other)
    ]
    told = [
        h.text[: h.start] + n + h.text[h.end :] for h, n in zip((one, other), names, strict=True)
    ]
    joint = draw.choice((*_JOINTS, f", {_BUT.get(lang, '/')} ", f" {_BUT.get(lang, '/')} "))
    if draw.random() < _HALF:
        text, start = told[0].rstrip(" .") + joint + told[1], one.start
    else:
        text = told[1].rstrip(" .") + joint + told[0]
        start = len(text) - len(told[0]) + one.start
    answers = tell(unknown(), "target", one.label, SENTIMENTS)
    return Draft(mark(text, (start, start + len(names[0]))), answers, lang)


def pairs(found: Iterable[Row], number: int, draw: random.Random) -> Iterator[Draft]:
    """Make pairs of posts of a language; most of them disagree."""
    halves: dict[str, dict[str, list[Half]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        if one := half(row):
            halves[row.lang][one.label].append(one)
    langs = {lang: by for lang, by in halves.items() if len(by) == len(SENTIMENTS)}
    if not langs:
        return
    # The root keeps small languages in sight.
    sizes = [sum(map(len, by.values())) ** 0.5 for by in langs.values()]
    for lang in draw.choices(list(langs), weights=sizes, k=number):
        label, against = draw.sample(SENTIMENTS, 2)
        by = langs[lang]
        yield pair(draw.choice(by[label]), draw.choice(by[against]), lang, draw)


def held_back(row: Row) -> bool:
    """Whether a row of ours is kept for measuring."""
    example = examples.Example(row.text, row.label, split=row.split)
    return (bool(row.split) or row.synthetic) and examples.held_back(example)


def gather(
    mix: Mix, data: Path, *, slice_: int, slices: int, seed: int, apart: frozenset[str]
) -> list[Draft]:
    """Everything that is learnt from in one slice of an epoch, balanced, in no order.

    Args:
        mix: what to read.
        data: the folder that the mix speaks of.
        slice_: counted from 0 over all epochs.
        slices: number of slices in an epoch.
        seed: another seed draws other rows first.
        apart: what texts of validation have in common with their copies; none is trained on.
    """
    draw = random.Random(f"{seed} {slice_}")  # noqa: S311 # a lottery of examples
    made, feelings = [], []
    for part in mix.part:
        for row in rows(part, data):
            if held_back(row) or examples.same(row.text) in apart:
                continue
            times = turns(
                part.times(row), phase=phase(row.text, seed), slice_=slice_, slices=slices
            )
            made += [one for _ in range(times) for one in draft(part.task, row, draw)]
            if times and part.task in {"sentiment", "target"}:
                feelings.append(row)
    made += pairs(feelings, mix.pairs // slices, draw)
    return balance(made)


def balance(made: Sequence[Draft]) -> list[Draft]:
    """Weigh drafts so that the labels of a head with one answer count nearly alike."""
    for head in HEADS:
        if not head.several and head.name != "emotion":
            made = _even(made, PLACES[head.name])
    return list(made)


def _even(made: Sequence[Draft], place: slice) -> list[Draft]:
    codes = [_code(one.answers[place]) for one in made]
    pairs_ = Counter((one.lang, code) for one, code in zip(made, codes, strict=True))
    langs = Counter(one.lang for one, code in zip(made, codes, strict=True) if code >= 0)
    width = place.stop - place.start
    return [
        one
        if code < 0
        else replace(
            one,
            weight=one.weight * (langs[one.lang] / (width * pairs_[one.lang, code])) ** BALANCE,
        )
        for one, code in zip(made, codes, strict=True)
    ]


def _code(answers: Floats) -> int:
    return -1 if np.isnan(answers[0]) else int(answers.argmax())


def apart(mix: Mix, data: Path) -> frozenset[str]:
    """What the texts of validation and calibration have in common with their copies."""
    return frozenset(
        examples.same(row.text) for part in mix.apart() if not part.ours for row in rows(part, data)
    )


def ours(part: Part, found: Iterable[Row]) -> list[Row]:
    """The rows of a part that are measured on: of our own posts those held back."""
    return [row for row in found if not part.ours or held_back(row)]
