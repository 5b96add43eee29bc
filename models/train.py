"""Trains the linear model: `python -m models.train --sentiment FILE --leak FILE --out DIR`.

Needs the extra `train`. The same files, settings and seed give the same model.
"""

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from scipy.sparse import vstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from models import examples
from models.bundle import LINEAR, entry, save
from models.calibrate import Codes, Floats, platt, temper, threshold
from models.counts import Matrix, Scale, count, lengths, scales, unit
from models.examples import Example
from models.labels import LEAKS, SENTIMENTS
from models.linear import FORMAT, WEIGHTS, Linear, Manifest, Trained
from streams.errors import InputError

TRUST: Final = {"read": 3.0, "silver": 1.5, "silver_llm_text": 1.5, "assumed": 0.7}
"""Weight of a leak example by the way its label came about."""

_CLIP: Final = 99.999
_NEGATIVE, _NEUTRAL, _POSITIVE = range(3)


@dataclass(frozen=True)
class Settings:
    """What can be tuned."""

    sentiment_c: float = 1.0
    """Inverse strength of regularisation."""
    leak_c: float = 30.0
    words: float = 2.0
    """How much more words and pairs weigh than character n-grams."""
    least: int = 2
    """Features that occur in fewer texts are left out."""
    balance: float = 0.75
    """From 0, labels count as often as they occur, to 1, all labels of a language count alike."""
    small: float = 2.0
    """Weight of a language other than the one with the most texts."""
    leaks: float = 3.0
    """Weight of a real leak among the leak examples, as they are rare."""
    synthetic: float = 0.5
    """Weight of an example written for this project; more costs leaks in real posts."""
    iterations: int = 80
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """The four sets of examples; no text of training is in validation."""

    sentiment: list[Example]
    leak: list[Example]
    validate_sentiment: list[Example]
    validate_leak: list[Example]


@dataclass(frozen=True)
class Head:
    """One head with its weights rounded to bytes.

    Attributes:
        weights: a row per feature, a column per output.
        step: what one unit of a weight stands for.
        bias: of each output.
    """

    weights: np.ndarray[Any, np.dtype[np.int8]]
    step: float
    bias: Floats


def gather(
    *,
    sentiment: list[Example],
    leak: list[Example],
    moods: list[Example],
    rumours: list[Example],
    seed: int = 0,
) -> Material:
    """Add the leak posts written for this project, hold back for validation, drop what is in both.

    An example whose `split` is `held-back` is never trained on.

    Args:
        sentiment: examples to train on.
        leak: examples to train on.
        moods: sentiment to validate on; empty: a tenth of the examples is held back.
        rumours: leak mentions to validate on; empty: likewise.
        seed: chooses which examples are held back.

    Raises:
        InputError: a label is missing from what is validated on.
    """
    ours = examples.ours()
    moods = moods or [one for one in sentiment if examples.held_back(one, one_in=10, seed=seed)]
    rumours = rumours or [one for one in leak if examples.held_back(one, one_in=10, seed=seed)]
    kept = [one for one in (*sentiment, *leak) if one.split == examples.HELD_BACK]
    apart = [*moods, *rumours, *kept, *(one for one in ours if examples.held_back(one))]
    _complete(moods, SENTIMENTS, option="--validate-sentiment")
    _complete(rumours, LEAKS, option="--validate-leak")
    return Material(
        sentiment=examples.distinct(sentiment, unlike=apart),
        leak=examples.distinct([*ours, *leak], unlike=apart),
        validate_sentiment=moods,
        validate_leak=rumours,
    )


def _complete(found: Sequence[Example], labels: tuple[str, ...], *, option: str) -> None:
    for label in labels:
        if not any(one.label == label for one in found):
            raise InputError(f"no example of {label!r} to validate on: give {option} FILE")


def balanced(found: Sequence[Example], settings: Settings) -> Floats:
    """Weights under which the labels of a language count nearly alike."""
    pairs = Counter((one.lang, one.label) for one in found)
    langs = Counter(one.lang for one in found)
    most = max(langs, key=lambda lang: langs[lang])
    weights = []
    for one in found:
        even = langs[one.lang] / (len(SENTIMENTS) * pairs[one.lang, one.label])
        weights.append(even**settings.balance * (1.0 if one.lang == most else settings.small))
    return np.array(weights)


def trusted(found: Sequence[Example], settings: Settings) -> Floats:
    """Weights of leak examples, by the quality of the label."""
    weights = []
    for one in found:
        if one.synthetic:
            weights.append(settings.synthetic)
        else:
            rarity = settings.leaks if one.label == "leak" else 1.0
            weights.append(TRUST.get(one.quality, 1.0) * rarity)
    return np.array(weights)


def codes(found: Sequence[Example], labels: tuple[str, ...]) -> Codes:
    """The labels as numbers."""
    return np.array([labels.index(one.label) for one in found], dtype=np.int64)


def quantise(weights: Floats, scale: Scale, bias: Floats) -> Head:
    """Fold the scales into the weights and round them to signed bytes.

    Args:
        weights: a row per output, a column per feature.
        scale: of each feature.
        bias: of each output.
    """
    folded = (weights * scale).T
    used = np.abs(folded[folded != 0])
    # The few largest are cut, or the many small ones would round to nothing.
    step = float(np.percentile(used, _CLIP)) / 127 if used.size else 1.0
    rounded = np.clip(np.rint(folded / step), -127, 127).astype(np.int8)
    return Head(weights=rounded, step=step, bias=bias)


def feel(counts: Matrix, found: Sequence[Example], scale: Scale, settings: Settings) -> Head:
    """Fit the sentiment head: `negative` and `positive`, each against `neutral`."""
    weights, bias = _fit(
        unit(counts, scale),
        codes(found, SENTIMENTS),
        balanced(found, settings),
        c=settings.sentiment_c,
        iterations=settings.iterations,
    )
    outer = [_NEGATIVE, _POSITIVE]
    return quantise(weights[outer] - weights[_NEUTRAL], scale, bias[outer] - bias[_NEUTRAL])


def suspect(counts: Matrix, found: Sequence[Example], scale: Scale, settings: Settings) -> Head:
    """Fit the leak head."""
    weights, bias = _fit(
        unit(counts, scale),
        codes(found, LEAKS),
        trusted(found, settings),
        c=settings.leak_c,
        iterations=settings.iterations,
    )
    return quantise(weights, scale, bias)


def _fit(
    rows: Matrix, labels: Codes, trust: Floats, *, c: float, iterations: int
) -> tuple[Floats, Floats]:
    # Features that do not occur would only cost time: the solver is dense.
    used = np.unique(rows.indices)
    model = LogisticRegression(C=c, max_iter=iterations, tol=1e-5)
    with warnings.catch_warnings():
        # Stopping early is part of the settings, like the regularisation that it adds to.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows[:, used], labels, sample_weight=trust)
    weights = np.zeros((len(model.coef_), rows.shape[1]))
    weights[:, used] = model.coef_
    return weights, model.intercept_


def scores(head: Head, counts: Matrix, scale: Scale) -> Floats:
    """What a rounded head says about each text, before calibration."""
    sums = np.asarray(counts @ head.weights.astype(np.float64)) * head.step
    return np.asarray(sums / lengths(counts, scale)[:, None] + head.bias)


def settle(mood: Head, leak: Head, material: Material, scale: Scale) -> tuple[Linear, float]:
    """Calibrate both heads on validation and choose the leak threshold."""
    moods = scores(mood, count([one.text for one in material.validate_sentiment]), scale)
    logits = np.insert(moods, _NEUTRAL, 0.0, axis=1)
    factor = temper(logits, codes(material.validate_sentiment, SENTIMENTS))
    odds = scores(leak, count([one.text for one in material.validate_leak]), scale)[:, 0]
    labels = codes(material.validate_leak, LEAKS)
    slope, offset = platt(odds, labels)
    low, high = mood.bias * factor
    linear = Linear(
        sentiment_scale=mood.step * factor,
        sentiment_bias=(float(low), float(high)),
        leak_scale=leak.step * slope,
        leak_bias=float(leak.bias[0] * slope + offset),
    )
    return linear, threshold(odds * slope + offset, labels)


def train(material: Material, *, settings: Settings, out: Path) -> None:
    """Train both heads and write the model folder."""
    moods = count([one.text for one in material.sentiment])
    rumours = count([one.text for one in material.leak])
    scale = scales(vstack([moods, rumours]), least=settings.least, words=settings.words)
    console = Console(stderr=True)
    with console.status("Fitting sentiment (minutes)"):
        mood = feel(moods, material.sentiment, scale, settings)
    with console.status("Fitting leak mentions (a minute)"):
        leak = suspect(rumours, material.leak, scale, settings)
    linear, least = settle(mood, leak, material, scale)
    out.mkdir(parents=True, exist_ok=True)
    weights = np.hstack([mood.weights, leak.weights])
    np.savez_compressed(out / WEIGHTS, weights=weights, norms=scale)
    save(out, describe(material, settings, linear, least, out))


def describe(
    material: Material, settings: Settings, linear: Linear, least: float, out: Path
) -> Manifest:
    """The manifest of a model whose weights are written."""
    leak = Counter("synthetic" if one.synthetic else one.source for one in material.leak)
    return Manifest(
        format=FORMAT,
        kind=LINEAR,
        leak_threshold=least,
        linear=linear,
        trained=Trained(
            settings=asdict(settings),
            sentiment=dict(Counter(one.source for one in material.sentiment)),
            leak=dict(leak),
        ),
        files={WEIGHTS: entry(out / WEIGHTS)},
    )


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    files: dict[str, Any] = {"type": Path, "nargs": "+", "metavar": "FILE"}
    parser.add_argument("--sentiment", required=True, **files)
    parser.add_argument("--leak", required=True, **files)
    parser.add_argument("--validate-sentiment", default=[], **files)
    parser.add_argument("--validate-leak", default=[], **files)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Train from the command line; 2 when a file is wrong."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    try:
        material = gather(
            sentiment=examples.sentiments(asked.sentiment),
            leak=examples.leaks(asked.leak),
            moods=examples.sentiments(asked.validate_sentiment),
            rumours=examples.leaks(asked.validate_leak),
            seed=asked.seed,
        )
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    train(material, settings=Settings(seed=asked.seed), out=asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
