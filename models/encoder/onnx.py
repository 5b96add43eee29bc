"""The encoder with ONNX Runtime alone: texts in, verdicts out.

Each post goes through the network by itself. That costs no speed, as nothing is filled up, and the
numbers of the eight-bit network then depend on that post alone: in a batch, the post with the
largest value would set the step of all the others. Posts run side by side in a few threads.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models import Brands
from models.encoder.cascade import Cascade, Whole, session
from models.encoder.heads import HEADS, PLACES, WIDTH
from models.encoder.languages import Languages
from models.encoder.manifest import DEEPER, LANGUAGES, NETWORK, TOKENIZER, Manifest, load
from models.encoder.text import OPEN, READ, write
from models.labels import DIGITS
from streams.errors import RejectedError
from streams.records import Sentiment, Towards, Verdict

Floats = NDArray[np.float32]

LONGEST: Final = 100_000
"""Characters of the longest text that is judged; longer ones are refused."""

THREADS: Final = 2

A = TypeVar("A")

_LETTER: Final = re.compile(r"[^\W\d_]")
_LATIN: Final = re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u024f\u1e00-\u1eff\uff21-\uff5a]")


@dataclass(frozen=True)
class Answers:
    """What the network says about some texts; a row each.

    Attributes:
        shares: calibrated probabilities in the order of `HEADS`.
        embeddings: vectors of length one; posts alike in meaning have a large product.
        foreign: whether each is in a language that the model was not trained on.
        deep: whether each was read to the end, as all are by a model in one file.
    """

    shares: Floats
    embeddings: Floats
    foreign: tuple[bool, ...]
    deep: tuple[bool, ...]


class OnnxClassifier:
    """Judges sentiment, also towards brands, leak mentions and their kinds, irony and emotion.

    A verdict depends on the text and the brands asked about, never on the other texts, the number
    of threads or the time. Safe to use from several threads.

    Args:
        manifest: what the model folder says.
        files: what is in it, by name.
        name: the model and its digest.
        threads: posts that are judged side by side.

    Attributes:
        targeted: yes: it tells the sentiment towards each brand.
        cascade: what reads one text; another one may be put in its place.
    """

    targeted = True

    def __init__(
        self, manifest: Manifest, files: dict[str, bytes], *, name: str, threads: int = THREADS
    ) -> None:
        self.name = name
        self.leak_threshold = manifest.leak_threshold
        self._tokenizer = _tokenizer(files[TOKENIZER], manifest.pieces)
        self._opener = self._tokenizer.token_to_id(OPEN)
        self.cascade = _cascade(manifest, files, opener=self._opener)
        known = files.get(LANGUAGES)
        self._languages = None if known is None else Languages(known, self._tokenizer)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="judge")

    def classify(
        self, texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        """Judge each text, in order; a text that cannot be judged gives a `RejectedError`.

        Args:
            texts: posts.
            brands: for each of them, the names to tell the sentiment towards. The first is marked
                in the pass that a post takes anyway; each other one takes a pass more.
        """
        asked = brands or [()] * len(texts)
        refused = [refuse(text) for text in texts]
        passes = [
            (place, name)
            for place, (names, why) in enumerate(zip(asked, refused, strict=True))
            if why is None
            for name in dict.fromkeys(names) or (None,)
        ]
        answers = self.answer([self._write(texts[place], name) for place, name in passes])
        return _verdicts(refused, passes, answers)

    def embed(self, texts: Sequence[str]) -> Floats:
        """A vector of length one for each text: the more alike, the larger the product."""
        pieces = self._pieces([write(text[:LONGEST]) for text in texts])
        found = self._all(self.cascade.embed, pieces)
        return np.stack(found) if found else np.empty((0, 0), np.float32)

    def answer(self, written: Sequence[str]) -> Answers:
        """Answer all questions about texts as `models.encoder.text` writes them."""
        if not written:
            return Answers(np.empty((0, WIDTH), np.float32), np.empty((0, 0), np.float32), (), ())
        pieces = self._pieces(written)
        found = self._all(self.cascade.read, pieces)
        return Answers(
            shares=probabilities(np.stack([one.scores for one in found])),
            embeddings=np.stack([one.embedding for one in found]),
            foreign=tuple(self._foreign(one) for one in pieces),
            deep=tuple(one.deep for one in found),
        )

    def run(self, written: Sequence[str]) -> list[Whole]:
        """The plain scores and the embedding of each text, all read to the end."""
        return self._all(self.cascade.whole, self._pieces(written))

    def _pieces(self, written: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in self._tokenizer.encode_batch(list(written))]

    def _foreign(self, pieces: list[int]) -> bool:
        return self._languages is not None and self._languages.foreign(pieces)

    def _all(self, read: Callable[[list[int]], A], pieces: list[list[int]]) -> list[A]:
        if len(pieces) == 1:
            return [read(pieces[0])]
        return list(self._pool.map(read, pieces))

    def _write(self, text: str, brand: str | None) -> str:
        written = write(text, brand)
        if brand is None or self._opener in self._tokenizer.encode(written).ids:
            return written
        # Cut off: the pieces before the brand alone fill the network.
        return f"{write('', brand)} {write(text)}"


def probabilities(scores: Floats) -> Floats:
    """Turn calibrated scores into probabilities, head by head."""
    shares = np.empty_like(scores)
    for head in HEADS:
        place = PLACES[head.name]
        part = scores[:, place].astype(np.float64)
        if head.several:
            shares[:, place] = 1.0 / (1.0 + np.exp(-np.clip(part, -60.0, 60.0)))
        else:
            odds = np.exp(part - part.max(axis=1, keepdims=True))
            shares[:, place] = odds / odds.sum(axis=1, keepdims=True)
    return shares


def refuse(text: str) -> RejectedError | None:
    """Why a text cannot be judged, if so."""
    if len(text) > LONGEST:
        return RejectedError("text_too_long", f"{len(text)} characters, at most {LONGEST}")
    start = text.lstrip()[:READ]
    if not any(sign.isprintable() and not sign.isspace() for sign in start):
        return RejectedError("empty_text", "no word, emoji or punctuation in the text")
    letters = len(_LETTER.findall(start))
    if 2 * len(_LATIN.findall(start)) < letters:
        return RejectedError("unknown_script", "most letters of the text are not Latin")
    return None


def _verdicts(
    refused: Sequence[RejectedError | None],
    passes: Sequence[tuple[int, str | None]],
    answers: Answers,
) -> list[Verdict | RejectedError]:
    found: list[Verdict | RejectedError | None] = list(refused)
    towards: dict[int, dict[str, Towards]] = {}
    first: dict[int, tuple[Floats, bool]] = {}
    for (place, name), row, foreign in zip(passes, answers.shares, answers.foreign, strict=True):
        first.setdefault(place, (row, foreign))
        if name is not None:
            towards.setdefault(place, {})[name] = Towards(Sentiment(**_named("target", row)))
    for place, (row, foreign) in first.items():
        found[place] = verdict(row, towards.get(place), foreign=foreign)
    return [one for one in found if one is not None]


def verdict(
    row: Floats, brands: dict[str, Towards] | None = None, *, foreign: bool = False
) -> Verdict:
    """Make the verdict of a row of probabilities."""
    return Verdict(
        sentiment=Sentiment(**_named("sentiment", row)),
        leak=_named("leak", row)["leak"],
        leak_kind=_named("kind", row),
        irony=_named("irony", row)["irony"],
        emotion=_named("emotion", row),
        brands=brands,
        untrained_language=foreign,
    )


_LABELS: Final = {head.name: head.labels for head in HEADS}


def _named(head: str, row: Floats) -> dict[str, float]:
    rounded = [round(float(share), DIGITS) for share in row[PLACES[head]]]
    return dict(zip(_LABELS[head], rounded, strict=True))


def _tokenizer(content: bytes, pieces: int) -> Tokenizer:
    tokenizer = Tokenizer.from_str(content.decode())
    tokenizer.enable_truncation(pieces)
    tokenizer.no_padding()
    return tokenizer


def _cascade(manifest: Manifest, files: dict[str, bytes], *, opener: int | None) -> Cascade:
    early = manifest.early
    if early is None:
        first = session(files[NETWORK], NETWORK, gives="scores")
        return Cascade(first, opener, manifest.calibration)
    return Cascade(
        session(files[NETWORK], NETWORK, gives="early"),
        opener,
        manifest.calibration,
        second=session(files[DEEPER], DEEPER, gives="scores"),
        early=early.calibration,
        bounds=early.bounds,
    )


def open_encoder(folder: Path, *, threads: int = THREADS) -> OnnxClassifier:
    """Open a folder written by `models.encoder.export`.

    Raises:
        ModelError: a file is missing or damaged, or the model is of another kind.
    """
    manifest, files, digest = load(folder)
    return OnnxClassifier(manifest, files, name=f"encoder-1 sha256:{digest}", threads=threads)
