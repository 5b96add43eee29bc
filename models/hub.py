"""Any sequence-classification model of transformers judges sentiment; needs the extra `hub`.

`hub:NAME` is a model of the Hugging Face hub or the folder of a saved one. What it has no head for,
such as leak mentions, is judged by the model that ships.
"""

import logging
import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import msgspec

from models import Brands, Classifier, load_classifier
from models.labels import DIGITS, SENTIMENTS
from streams.errors import ModelError, RejectedError
from streams.records import Sentiment, Verdict

GIVEN: Final = "#"
"""Separates the name of a model from its labels, where its configuration does not tell them."""

PIECES: Final = 512
"""Word pieces of a text that are read at most; fewer where the model takes fewer."""

_PLAIN: Final = re.compile(r"label_?\d+", re.IGNORECASE)
_STARS: Final = re.compile(r"([1-5])(?:\s*(?:stars?|\u2b50|\u2605))?", re.IGNORECASE)
_BEGIN: Final = {"neg": 0, "neu": 1, "pos": 2}
_BY_STARS: Final = {"1": 0, "2": 0, "3": 1, "4": 2, "5": 2}


def match(labels: Sequence[str]) -> list[int]:
    """Which sentiment each label of a model stands for, by number.

    Raises:
        ModelError: the labels do not say it.

    >>> match(["NEG", "NEU", "POS"]), match(["very positive", "very negative"])
    ([0, 1, 2], [2, 0])
    >>> match(["1 star", "2 stars", "3 stars", "4 stars", "5 stars"])
    [0, 0, 1, 2, 2]
    """
    stars = [_STARS.fullmatch(label.strip()) for label in labels]
    if len(labels) == len(_BY_STARS) and len({star and star[1] for star in stars}) == len(labels):
        return [_BY_STARS[star[1]] for star in stars if star]
    found = [_begin(label) for label in labels]
    known = [one for one in found if one is not None]
    if len(known) < len(labels) or not {0, 2} <= set(known):
        raise ModelError(_unclear(labels))
    return known


def _begin(label: str) -> int | None:
    words = re.findall(r"[a-z]+", label.casefold())
    found = {code for word in words for start, code in _BEGIN.items() if word.startswith(start)}
    return found.pop() if len(found) == 1 else None


def _unclear(labels: Sequence[str]) -> str:
    told = ", ".join(labels)
    if all(_PLAIN.fullmatch(label) for label in labels):
        return (
            f"the labels {told} do not say what they stand for: name them in their order, such as "
            f"hub:NAME{GIVEN}negative,neutral,positive"
        )
    return (
        f"the labels {told} are no sentiments: give a model that tells negative, (neutral and) "
        "positive, or 1 to 5 stars"
    )


class HubClassifier:
    """Judges sentiment with a model of transformers, all else with another classifier.

    Posts go through the model one by one, so that a verdict depends on its text alone.

    Args:
        model: tells logits of an encoded text.
        tokenizer: of the model.
        codes: the number of the sentiment that each label stands for.
        name: of the model and what it was read from.
        rest: judges what the model has no head for.

    Attributes:
        targeted: no: it judges whole posts.
    """

    targeted = False

    def __init__(
        self, model: Any, tokenizer: Any, *, codes: Sequence[int], name: str, rest: Classifier
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._codes, self._rest = codes, rest
        self._pieces = min(PIECES, getattr(tokenizer, "model_max_length", PIECES))
        self.name = f"{name} and {rest.name}"
        self.leak_threshold = rest.leak_threshold

    def classify(
        self,
        texts: Sequence[str],
        *,
        brands: Brands | None = None,  # noqa: ARG002 -- it judges whole posts
    ) -> list[Verdict | RejectedError]:
        """Judge each text, in order; a text that cannot be judged gives a `RejectedError`."""
        return [
            said
            if isinstance(said, RejectedError)
            else msgspec.structs.replace(said, sentiment=self._feel(text))
            for text, said in zip(texts, self._rest.classify(texts), strict=True)
        ]

    def _feel(self, text: str) -> Sentiment:
        # Imported here: this module tells whoever lacks torch what to do.
        import torch  # noqa: PLC0415

        encoded = self._tokenizer(
            text, truncation=True, max_length=self._pieces, return_tensors="pt"
        )
        with torch.inference_mode():
            shares = self._model(**encoded).logits[0].double().softmax(-1).tolist()
        sums = [0.0] * len(SENTIMENTS)
        for code, share in zip(self._codes, shares, strict=True):
            sums[code] += share
        return Sentiment(*(round(one, DIGITS) for one in sums))


def open_hub(name: str, *, rest: Classifier | None = None) -> HubClassifier:
    """Open a model of transformers.

    Args:
        name: of a model on the hub or the path of a folder; after `#`, if needed, its labels.
        rest: judges what the model has no head for; by default the model that ships.

    Raises:
        ModelError: PyTorch is missing, the model cannot be had, or its labels are unclear.
    """
    place, _, given = name.partition(GIVEN)
    _require("torch")
    model, tokenizer = _fetch(place)
    config = model.config
    labels = [config.id2label[number] for number in range(config.num_labels)]
    if given:
        labels = _renamed(labels, [label.strip() for label in given.split(",")])
    return HubClassifier(
        model.eval(),
        tokenizer,
        codes=match(labels),
        name=f"hub:{place} {_digest(model, labels)}",
        rest=rest or load_classifier(),
    )


def _renamed(labels: list[str], given: list[str]) -> list[str]:
    if len(given) != len(labels):
        raise ModelError(
            f"{len(given)} labels are given, the model has {len(labels)}: {', '.join(labels)}"
        )
    return given


def _require(package: str) -> None:
    if find_spec(package) is None:
        raise ModelError("hub models need PyTorch: pip install 'trustwatch[hub]'")


def _fetch(place: str) -> tuple[Any, Any]:
    # Imported here: it takes seconds, and names of models fail without torch.
    from transformers import (  # noqa: PLC0415
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    # Each try to reach a hub that is away would be a line; the error says it in one.
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(place)
        return model, AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError) as error:
        there = "the folder" if Path(place).exists() else "the name and the network"
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"cannot load {place} ({first}): check {there}, or give the folder of a saved "
            "sequence-classification model"
        ) from error


def _digest(model: Any, labels: Sequence[str]) -> str:
    """Twelve digits that change with the weights and the labels."""
    made = sha256(",".join(labels).encode())
    for name, tensor in sorted(model.state_dict().items()):
        made.update(name.encode())
        made.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return f"sha256:{made.hexdigest()[:12]}"
