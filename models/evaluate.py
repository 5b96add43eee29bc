"""Measures a model: `python -m models.evaluate MODEL --sentiment FILE --leak FILE [--card]`."""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from models import SHIPPED, Classifier, card, examples, load_classifier
from models.card import Mood, Report, Talk
from models.examples import Example
from models.labels import LEAKS, SENTIMENTS
from streams.errors import InputError, RejectedError
from streams.records import Verdict

Floats = NDArray[np.float64]
Counts = dict[str, int]

_BINS: Final = 15


class Judged(msgspec.Struct, frozen=True):
    """An example and what the model said about it."""

    example: Example
    verdict: Verdict


def judge(model: Classifier, found: Sequence[Example]) -> tuple[list[Judged], Counts]:
    """Classify the examples; refusals are counted by reason and left out."""
    judged, refused = [], dict[str, int]()
    said = model.classify([one.text for one in found])
    for example, verdict in zip(found, said, strict=True):
        if isinstance(verdict, RejectedError):
            refused[verdict.reason] = refused.get(verdict.reason, 0) + 1
        else:
            judged.append(Judged(example, verdict))
    return judged, refused


def calibration_error(sure: Floats, right: Floats) -> float:
    """Expected calibration error with equal bins (Naeini et al., 2015).

    Args:
        sure: the probability given to each answer.
        right: 1 where the answer was right, else 0.
    """
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(sure[bins == one].mean() - right[bins == one].mean()) * (bins == one).mean()
        for one in np.unique(bins)
    ]
    return float(sum(gaps))


def mood(judged: Sequence[Judged]) -> Mood:
    """Measure sentiment. Labels that no text has are left out of the means."""
    shares = np.array([_shares(one.verdict) for one in judged])
    labels = np.array([SENTIMENTS.index(one.example.label) for one in judged])
    said = shares.argmax(axis=1)
    recalls, f1s = [], []
    for code in np.unique(labels):
        hits = int(((said == code) & (labels == code)).sum())
        recalls.append(hits / int((labels == code).sum()))
        f1s.append(2 * hits / (int((labels == code).sum()) + int((said == code).sum())))
    error = calibration_error(shares.max(axis=1), (said == labels).astype(float))
    return Mood(len(judged), float(np.mean(recalls)), float(np.mean(f1s)), error)


def _shares(verdict: Verdict) -> tuple[float, float, float]:
    mood_ = verdict.sentiment
    return mood_.negative, mood_.neutral, mood_.positive


def talk(judged: Sequence[Judged], threshold: float) -> Talk:
    """Measure leak mentions at the threshold of the model."""
    shares = np.array([one.verdict.leak for one in judged])
    labels = np.array([LEAKS.index(one.example.label) for one in judged])
    said = shares >= threshold
    hits, told, real = int((said & (labels == 1)).sum()), int(said.sum()), int(labels.sum())
    return Talk(
        texts=len(judged),
        leaks=real,
        precision=hits / told if told else 0.0,
        recall=hits / real if real else 0.0,
        f1=2 * hits / (told + real) if told + real else 0.0,
        calibration_error=calibration_error(shares, labels.astype(float)),
    )


def slices(
    judged: Iterable[Judged], key: Callable[[Example], str | None]
) -> dict[str, list[Judged]]:
    """Group by a key; `None` is in no group."""
    groups: dict[str, list[Judged]] = {}
    for one in judged:
        name = key(one.example)
        if name is not None:
            groups.setdefault(name, []).append(one)
    return dict(sorted(groups.items()))


def _all(_: Example) -> str:
    return "all"


def _lang(example: Example) -> str:
    return f"language {example.lang}"


def _source(example: Example) -> str:
    return f"source {example.source}"


def _read_only(example: Example) -> str | None:
    return "labelled by a reader" if example.quality == "read" else None


def _synthetic(_: Example) -> str:
    return "synthetic"


def _synthetic_lang(example: Example) -> str:
    return f"synthetic {example.lang}"


def moods(model: Classifier, found: Sequence[Example]) -> tuple[dict[str, Mood], Counts]:
    """Measure sentiment on all texts, by language and by source."""
    judged, refused = judge(model, found)
    groups = [slices(judged, key) for key in (_all, _lang, _source)]
    return {name: mood(part) for group in groups for name, part in group.items()}, refused


def talks(model: Classifier, found: Sequence[Example]) -> tuple[dict[str, Talk], Counts]:
    """Measure leak mentions on real texts, and on synthetic ones that were not trained on."""
    judged, refused = judge(model, found)
    ours = [one for one in examples.ours() if examples.held_back(one)]
    own, more = judge(model, ours)
    groups = [slices(judged, key) for key in (_all, _read_only, _lang)]
    groups += [slices(own, key) for key in (_synthetic, _synthetic_lang)]
    least = model.leak_threshold
    told = {name: talk(part, least) for group in groups for name, part in group.items()}
    return told, _sum(refused, more)


def speed(model: Classifier, texts: Sequence[str]) -> float:
    """Posts per second of processor time, in batches of 64, the words known from before."""
    batches = [texts[start : start + 64] for start in range(0, len(texts), 64)]
    began = time.process_time()
    for batch in batches:
        model.classify(batch)
    return len(texts) / (time.process_time() - began)


def evaluate(model: Classifier, sentiment: Path, leak: Path) -> Report:
    """Measure everything.

    Raises:
        InputError: a file cannot be read.
    """
    feelings = examples.sentiments([sentiment])
    told_moods, refused = moods(model, feelings)
    told_leaks, more = talks(model, examples.leaks([leak]))
    return Report(
        model=model.name,
        leak_threshold=model.leak_threshold,
        refused=_sum(refused, more),
        sentiment=told_moods,
        leak=told_leaks,
        posts_per_second=speed(model, [one.text for one in feelings]),
        machine=f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
    )


def _sum(left: Counts, right: Counts) -> Counts:
    return {key: left.get(key, 0) + right.get(key, 0) for key in sorted({*left, *right})}


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("model", help="`fast`, or the folder of a linear model")
    parser.add_argument("--sentiment", type=Path, required=True, metavar="FILE")
    parser.add_argument("--leak", type=Path, required=True, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--card", action="store_true", help="write MODEL_CARD.md into the model")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Evaluate from the command line; 2 when a file or the model is wrong."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    try:
        report = evaluate(load_classifier(asked.model), asked.sentiment, asked.leak)
        if asked.card:
            card.write(SHIPPED.get(asked.model) or Path(asked.model), report)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    if asked.json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        sys.stdout.write("\n".join(card.figures(report)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
