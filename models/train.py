"""Trains the linear model: `python -m models.train --sentiment FILE --leak FILE --out DIR`."""

import argparse
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from models import examples
from models.bundle import FORMAT, Linear, Manifest, entry, save
from models.examples import Example
from models.features import BUCKETS, features, units
from models.labels import LEAKS, SENTIMENTS
from models.linear import KIND, WEIGHTS
from streams.errors import InputError

Floats = NDArray[np.float64]
Matrix = Any
"""A sparse matrix; scipy has no types."""

NORM_STEPS: Final = 20
"""Steps of a feature's scale per unit, so that the scale of the rarest still fits a byte."""

TRUST: Final = {"read": 3.0, "silver": 1.5, "silver_llm_text": 1.5, "assumed": 0.7}
"""Weight of a leak example by the way its label came about."""

_SYNTHETIC_TRUST: Final = 3.0
_BALANCE: Final = 0.75
_SMALL_LANGUAGE: Final = 2.0
_LEAK_WEIGHT: Final = 3.0
_CLIP: Final = 99.99
_THRESHOLDS: Final = np.linspace(0.05, 0.95, 181)


@dataclass(frozen=True)
class Settings:
    """What can be tuned."""

    sentiment_c: float = 1.0
    leak_c: float = 3.0
    idf_power: float = 1.0
    word_scale: float = 1.0
    iterations: int = 80
    seed: int = 0


@dataclass(frozen=True)
class Material:
    """The four sets of examples, free of copies between training and validation."""

    sentiment: list[Example]
    leak: list[Example]
    validate_sentiment: list[Example]
    validate_leak: list[Example]


@dataclass(frozen=True)
class Head:
    """Quantised weights of one head, and the factor and offsets that undo the quantisation."""

    weights: NDArray[np.int8]
    step: float
    bias: Floats


def gather(
    sentiment: Sequence[Path],
    leak: Sequence[Path],
    *,
    validate_sentiment: Sequence[Path],
    validate_leak: Sequence[Path],
) -> Material:
    """Read the files; add the synthetic leak posts; drop copies of validation texts."""
    moods = examples.sentiments(validate_sentiment)
    rumours = examples.leaks(validate_leak)
    own = [one for one in examples.leaks([examples.SYNTHETIC]) if not examples.held_back(one)]
    apart = [*moods, *rumours]
    return Material(
        sentiment=examples.distinct(examples.sentiments(sentiment), unlike=apart),
        leak=examples.distinct([*own, *examples.leaks(leak)], unlike=apart),
        validate_sentiment=moods,
        validate_leak=rumours,
    )


def count(texts: Sequence[str]) -> Matrix:
    """Count the features of each text: a sparse matrix, a row per text."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - of the extra `train`

    known: dict[Any, array[int]] = {}
    columns, ends = array("i"), array("q", [0])
    for text in track(texts, "Counting features", console=Console(stderr=True)):
        for unit in units(text):
            found = known.get(unit)
            if found is None:
                found = known[unit] = array("i", features(unit))
            columns.extend(found)
        ends.append(len(columns))
    data = np.ones(len(columns), dtype=np.float32)
    counted = csr_matrix((data, columns, ends), shape=(len(texts), BUCKETS))
    counted.sum_duplicates()
    return counted


def norms(counts: Matrix, settings: Settings) -> NDArray[np.uint8]:
    """The scale of each feature: its inverse document frequency, in steps, 0 where it is unseen."""
    frequency = np.bincount(counts.indices, minlength=BUCKETS)
    rarity = 1.0 + np.log((counts.shape[0] + 1) / (frequency + 1))
    scale = rarity**settings.idf_power
    scale[: BUCKETS // 2] *= settings.word_scale
    steps = np.clip(np.rint(scale * NORM_STEPS), 1, 255)
    return np.where(frequency == 0, 0, steps).astype(np.uint8)


def scaled(counts: Matrix, scale: NDArray[np.uint8]) -> Matrix:
    """Scale the features and bring each text to unit length, as the classifier does."""
    from scipy.sparse import diags  # noqa: PLC0415 - of the extra `train`

    wide = scale.astype(np.float32)
    squares = np.asarray(counts @ wide**2).ravel()
    lengths = np.sqrt(np.where(squares == 0, 1.0, squares)).astype(np.float32)
    return diags(1.0 / lengths) @ counts @ diags(wide)


def balance(found: Sequence[Example]) -> Floats:
    """Weights under which a language's labels count nearly alike, and small languages double."""
    pairs = Counter((one.lang, one.label) for one in found)
    langs = Counter(one.lang for one in found)
    most = max(langs, key=lambda lang: langs[lang])
    weights = []
    for one in found:
        even = langs[one.lang] / (len(SENTIMENTS) * pairs[one.lang, one.label])
        weights.append(even**_BALANCE * (1.0 if one.lang == most else _SMALL_LANGUAGE))
    return np.array(weights)


def trust(found: Sequence[Example]) -> Floats:
    """Weights of leak examples: by the quality of the label, and leaks more as they are rare."""
    weights = []
    for one in found:
        weight = _SYNTHETIC_TRUST if one.synthetic else TRUST.get(one.quality, 1.0)
        weights.append(weight * (_LEAK_WEIGHT if one.label == "leak" else 1.0))
    return np.array(weights)


def fit(rows: Matrix, labels: Sequence[int], weights: Floats, *, c: float, settings: Settings) -> Any:
    """Fit a logistic regression."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - of the extra `train`

    model = LogisticRegression(
        C=c, max_iter=settings.iterations, tol=1e-5, random_state=settings.seed
    )
    return model.fit(rows, np.array(labels), sample_weight=weights)


def quantise(weights: Floats, scale: NDArray[np.uint8], bias: Floats) -> Head:
    """Fold the scales into the weights and round them to signed bytes.

    Args:
        weights: a row per output, a column per feature.
        scale: of each feature.
        bias: of each output.
    """
    folded = (weights * scale).T
    step = float(np.percentile(np.abs(folded[folded != 0]), _CLIP)) / 127
    rounded = np.clip(np.rint(folded / step), -127, 127).astype(np.int8)
    return Head(weights=rounded, step=step, bias=bias)


def temper(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The factor on the logits under which the labels are most likely."""

    def loss(factor: float) -> float:
        shifted = logits * factor
        top = shifted.max(axis=1)
        total = np.log(np.exp(shifted - top[:, None]).sum(axis=1)) + top
        return float((total - shifted[np.arange(len(labels)), labels]).mean())

    return float(min(np.geomspace(0.2, 5.0, 400), key=loss))


def platt(scores: Floats, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Slope and offset of the log-odds under which the labels are most likely."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - of the extra `train`

    model = LogisticRegression(C=1e6).fit(scores.reshape(-1, 1), labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def threshold(odds: Floats, labels: NDArray[np.int64]) -> float:
    """The probability of a leak from which on F1 is highest."""
    shares = 1.0 / (1.0 + np.exp(-odds))

    def f1(least: float) -> float:
        said = shares >= least
        right = int((said & (labels == 1)).sum())
        return 2 * right / max(1, int(said.sum()) + int(labels.sum()))

    return float(round(max(_THRESHOLDS, key=f1), 3))


def codes(found: Sequence[Example], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """The labels as numbers."""
    return np.array([labels.index(one.label) for one in found], dtype=np.int64)


def mood(counts: Matrix, found: Sequence[Example], scale: Any, settings: Settings) -> Head:
    """Fit the sentiment head: `negative` and `positive`, each against `neutral`."""
    model = fit(
        scaled(counts, scale),
        [SENTIMENTS.index(one.label) for one in found],
        balance(found),
        c=settings.sentiment_c,
        settings=settings,
    )
    against = model.coef_[[0, 2]] - model.coef_[1]
    return quantise(against, scale, model.intercept_[[0, 2]] - model.intercept_[1])


def rumour(counts: Matrix, found: Sequence[Example], scale: Any, settings: Settings) -> Head:
    """Fit the leak head."""
    model = fit(
        scaled(counts, scale),
        [LEAKS.index(one.label) for one in found],
        trust(found),
        c=settings.leak_c,
        settings=settings,
    )
    return quantise(model.coef_, scale, model.intercept_)


def scores(head: Head, counts: Matrix, scale: NDArray[np.uint8]) -> Floats:
    """What the quantised head says about each text, before calibration."""
    squares = np.asarray(counts @ (scale.astype(np.float64) ** 2)).ravel()
    lengths = np.sqrt(np.where(squares == 0, 1.0, squares))
    return np.asarray(counts @ head.weights.astype(np.float64)) * head.step / lengths[:, None]


def calibrate(mood_: Head, moods: Floats, labels: NDArray[np.int64]) -> tuple[float, Floats]:
    """Find the scale and the offsets of the sentiment head on validation scores."""
    against = moods + mood_.bias
    logits = np.column_stack([against[:, 0], np.zeros(len(against)), against[:, 1]])
    factor = temper(logits, labels)
    return mood_.step * factor, mood_.bias * factor


def build(material: Material, settings: Settings, out: Path) -> Manifest:
    """Train both heads, calibrate them on validation, and write the model folder."""
    console = Console(stderr=True)
    counts = [count([one.text for one in part]) for part in (material.sentiment, material.leak)]
    from scipy.sparse import vstack  # noqa: PLC0415 - of the extra `train`

    scale = norms(vstack(counts), settings)
    with console.status("Fitting sentiment"):
        feeling = mood(counts[0], material.sentiment, scale, settings)
    with console.status("Fitting leak mentions"):
        talk = rumour(counts[1], material.leak, scale, settings)
    linear, least = _settle(material, feeling, talk, scale)
    return _write(out, material, settings, (feeling, talk, scale), linear, least)


def _settle(
    material: Material, feeling: Head, talk: Head, scale: NDArray[np.uint8]
) -> tuple[Linear, float]:
    moods = count([one.text for one in material.validate_sentiment])
    talks = count([one.text for one in material.validate_leak])
    factor, bias = calibrate(
        feeling,
        scores(feeling, moods, scale),
        codes(material.validate_sentiment, SENTIMENTS),
    )
    odds = scores(talk, talks, scale)[:, 0] + talk.bias[0]
    labels = codes(material.validate_leak, LEAKS)
    slope, offset = platt(odds, labels)
    linear = Linear(
        sentiment_scale=factor,
        sentiment_bias=(float(bias[0]), float(bias[1])),
        leak_scale=talk.step * slope,
        leak_bias=float(talk.bias[0] * slope + offset),
    )
    return linear, threshold(odds * slope + offset, labels)


def _write(out, material, settings, arrays, linear, least) -> Manifest:
    feeling, talk, scale = arrays
    out.mkdir(parents=True, exist_ok=True)
    path = out / WEIGHTS
    np.savez_compressed(path, weights=np.hstack([feeling.weights, talk.weights]), norms=scale)
    manifest = Manifest(
        format=FORMAT,
        kind=KIND,
        leak_threshold=least,
        linear=linear,
        trained={
            "seed": settings.seed,
            "sentiment_c": settings.sentiment_c,
            "leak_c": settings.leak_c,
            "sentiment": dict(Counter(one.source for one in material.sentiment)),
            "leak": dict(Counter("synthetic" if one.synthetic else one.source for one in material.leak)),
        },
        files={WEIGHTS: entry(path)},
    )
    save(out, manifest)
    return manifest


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.train", description=__doc__)
    parser.add_argument("--sentiment", type=Path, nargs="+", required=True)
    parser.add_argument("--leak", type=Path, nargs="+", required=True)
    parser.add_argument("--validate-sentiment", type=Path, nargs="+", required=True)
    parser.add_argument("--validate-leak", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Train from the command line."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    try:
        material = gather(
            asked.sentiment,
            asked.leak,
            validate_sentiment=asked.validate_sentiment,
            validate_leak=asked.validate_leak,
        )
    except InputError as error:
        Console(stderr=True).print(str(error), markup=False)
        return 2
    build(material, Settings(seed=asked.seed), asked.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
