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

from models import BUNDLE, Classifier, examples, load_classifier
from models.examples import Example
from models.labels import LEAKS, SENTIMENTS
from streams.errors import InputError, RejectedError
from streams.records import Verdict

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

_BINS: Final = 15
_FEW: Final = 30


class Mood(msgspec.Struct, frozen=True):
    """How well sentiment is told on some texts; shares of one."""

    texts: int
    macro_recall: float
    macro_f1: float
    calibration_error: float


class Talk(msgspec.Struct, frozen=True):
    """How well leak mentions are told on some texts; shares of one."""

    texts: int
    leaks: int
    precision: float
    recall: float
    f1: float
    calibration_error: float


class Report(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    model: str
    leak_threshold: float
    refused: dict[str, int]
    sentiment: dict[str, Mood]
    leak: dict[str, Talk]
    posts_per_second: float
    machine: str
    command: str


class Judged(msgspec.Struct, frozen=True):
    """An example and what the model said about it."""

    example: Example
    verdict: Verdict


def judge(model: Classifier, found: Sequence[Example]) -> tuple[list[Judged], dict[str, int]]:
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


def _synthetic(example: Example) -> str:
    return f"synthetic {example.lang}"


def moods(model: Classifier, found: Sequence[Example]) -> tuple[dict[str, Mood], dict[str, int]]:
    """Measure sentiment on all texts, by language and by source."""
    judged, refused = judge(model, found)
    groups = [slices(judged, key) for key in (_all, _lang, _source)]
    return {name: mood(part) for group in groups for name, part in group.items()}, refused


def talks(model: Classifier, found: Sequence[Example]) -> tuple[dict[str, Talk], dict[str, int]]:
    """Measure leak mentions on real texts, and on synthetic ones that were not trained on."""
    judged, refused = judge(model, found)
    own, more = judge(model, [one for one in examples.leaks([examples.SYNTHETIC]) if examples.held_back(one)])
    refused = {key: refused.get(key, 0) + more.get(key, 0) for key in {*refused, *more}}
    groups = [slices(judged, key) for key in (_all, _read_only, _lang)]
    groups += [slices(own, key) for key in (lambda _: "synthetic, all", _synthetic)]
    least = model.leak_threshold
    return {name: talk(part, least) for group in groups for name, part in group.items()}, refused


def speed(model: Classifier, texts: Sequence[str]) -> float:
    """Posts per second in batches of 64, the memory of words warm."""
    batches = [texts[start : start + 64] for start in range(0, len(texts), 64)]
    began = time.perf_counter()
    for batch in batches:
        model.classify(batch)
    return len(texts) / (time.perf_counter() - began)


def evaluate(model: Classifier, sentiment: Path, leak: Path, *, command: str) -> Report:
    """Measure everything.

    Raises:
        InputError: a file cannot be read.
    """
    feelings, rumours = examples.sentiments([sentiment]), examples.leaks([leak])
    moods_, refused = moods(model, feelings)
    talks_, more = talks(model, rumours)
    return Report(
        model=model.name,
        leak_threshold=model.leak_threshold,
        refused={key: refused.get(key, 0) + more.get(key, 0) for key in sorted({*refused, *more})},
        sentiment=moods_,
        leak=talks_,
        posts_per_second=speed(model, [one.text for one in feelings]),
        machine=f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}",
        command=command,
    )


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.evaluate", description=__doc__)
    parser.add_argument("model", nargs="?", default="bundle")
    parser.add_argument("--sentiment", type=Path, required=True)
    parser.add_argument("--leak", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--card", action="store_true")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Evaluate from the command line."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    model = load_classifier(asked.model)
    report = evaluate(model, asked.sentiment, asked.leak, command="")
    if asked.json:
        print(msgspec.json.encode(report).decode())
    else:
        for k, v in {**report.sentiment, **report.leak}.items():
            print(f"{k:28}", *(f"{n}={100*x:.1f}" if isinstance(x, float) else f"{n}={x}" for n, x in msgspec.structs.asdict(v).items()))
        print(report.refused, report.posts_per_second, report.leak_threshold)
    return 0


if __name__ == "__main__":
    sys.exit(main())
