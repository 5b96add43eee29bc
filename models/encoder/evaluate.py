"""Measures models: `python -m models.encoder.evaluate MODEL --rows TASK FILE [--against MODEL]`.

A model is
`bundle`, `fast`, a folder, or `hub:NAME` for one of transformers. Two models are compared on the
rows that both judged, with the 95 % interval of the difference. Rows are JSON Lines; TASK is
sentiment, target, leak, irony, emotion or brands.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from models import Classifier, load_classifier
from models.encoder import measure, mix
from models.encoder.heads import EMOTIONS
from models.encoder.mix import Row
from models.examples import HELD_BACK
from models.labels import LEAKS, SENTIMENTS
from streams.errors import InputError, RejectedError
from streams.records import Verdict

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

LABELS: Final = {
    "sentiment": SENTIMENTS,
    "target": SENTIMENTS,
    "leak": LEAKS,
    "irony": ("non_irony", "irony"),
    "emotion": EMOTIONS,
    "brands": ("wrong", "right"),
}
COLUMNS: Final = (
    "task, language",
    "rows",
    "F1",
    "interval",
    "macro recall",
    "by label",
    "calibration error",
    "gain",
)
MANY: Final = 200
"""Rows from which on a source is told by itself."""

_HALF: Final = 0.5


class Score(msgspec.Struct, frozen=True):
    """How well one task is done on some rows; shares of one."""

    task: str
    rows: int
    score: float
    """F1 of leak mentions and irony, else macro F1; of two brands, the share with both right."""
    macro_recall: float
    each: dict[str, float]
    """F1 by label."""
    calibration_error: float
    reliability: tuple[measure.Bin, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Rows by the right label, then by the label said."""
    interval: tuple[float, float]
    """The 95 % interval of the score."""
    against: float | None = None
    """The score of the other model on the rows that both judged."""
    gain: tuple[float, float, float] | None = None
    """Score less that of the other, and the 95 % interval of the difference."""


class Report(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    model: str
    against: str | None
    posts_per_second: float
    refused: int
    scores: dict[str, Score]
    """By task and language."""


class Judged(msgspec.Struct, frozen=True):
    """What a model says about rows of a task: the right labels, its own, and how sure it is."""

    labels: Codes
    said: Codes
    sure: Floats
    """Probability of its answer; of leaks and irony, that the answer is yes."""


def judge(model: Classifier, task: str, found: Sequence[Row]) -> list[Verdict | RejectedError]:
    """Classify rows; a model that knows of brands is asked about those of the rows."""
    texts = [row.text for row in found]
    brands = [_named(row) for row in found] if task in {"target", "brands"} else None
    return model.classify(texts, brands=brands)


def _named(row: Row) -> tuple[str, ...]:
    return tuple(row.brands) or ((row.brand,) if row.brand else ())


def read(task: str, row: Row, verdict: Verdict, threshold: float) -> tuple[int, int, float] | None:
    """The right label, that of a verdict, and its probability; None: the model has no such head."""
    if task == "brands":
        right = all(_top(_towards(verdict, name))[0] == label for name, label in row.brands.items())
        sure = min(_top(_towards(verdict, name))[1] for name in row.brands)
        return 1, int(right), sure
    label = LABELS[task].index(row.label)
    if task == "leak":
        return label, int(verdict.leak >= threshold), verdict.leak
    if task == "irony":
        return (
            None if verdict.irony is None else (label, int(verdict.irony >= _HALF), verdict.irony)
        )
    shares = _shares(task, row, verdict)
    if shares is None:
        return None
    top, sure = _top(shares)
    return label, LABELS[task].index(top), sure


def _shares(task: str, row: Row, verdict: Verdict) -> dict[str, float] | None:
    if task == "emotion":
        return verdict.emotion
    if task == "target":
        return _towards(verdict, row.brand or "")
    return msgspec.structs.asdict(verdict.sentiment)


def _towards(verdict: Verdict, brand: str) -> dict[str, float]:
    """The sentiment towards a brand; of a model without that head, the sentiment of the post."""
    return msgspec.structs.asdict(verdict.towards(brand))


def _top(shares: dict[str, float]) -> tuple[str, float]:
    return max(shares.items(), key=lambda pair: pair[1])


def point(task: str) -> Callable[[Codes, Codes], float]:
    """The measure of a task, from what was said and what is right."""
    if task == "brands":
        return lambda said, _: float(said.mean())
    if task in {"leak", "irony"}:
        return lambda said, labels: measure.f1(said == 1, labels == 1)
    return measure.macro_f1


def score(task: str, one: Judged, other: Judged | None = None) -> Score:
    """Measure what a model says, and how much more of it is right than of another."""
    measured = point(task)
    own = measured(one.said, one.labels)
    right = one.labels == 1 if task in {"leak", "irony"} else one.said == one.labels
    names = [LABELS[task][code] for code in np.unique(one.labels)]
    made = Score(
        task=task,
        rows=len(one.labels),
        score=own,
        macro_recall=measure.macro_recall(one.said, one.labels),
        each=dict(zip(names, map(float, measure.f1s(one.said, one.labels)), strict=True)),
        calibration_error=measure.calibration_error(one.sure, right),
        reliability=tuple(measure.bins(one.sure, right)),
        confusion=_confusion(one, len(LABELS[task])),
        interval=measure.interval(
            lambda rows: measured(one.said[rows], one.labels[rows]), len(one.labels)
        ),
    )
    if other is None:
        return made

    def gain(rows: Codes) -> float:
        return measured(one.said[rows], one.labels[rows]) - measured(
            other.said[rows], other.labels[rows]
        )

    theirs = measured(other.said, other.labels)
    low, high = measure.interval(gain, len(one.labels))
    return msgspec.structs.replace(made, against=theirs, gain=(own - theirs, low, high))


def _confusion(one: Judged, width: int) -> tuple[tuple[int, ...], ...]:
    counts = np.zeros((width, width), dtype=np.int64)
    np.add.at(counts, (one.labels, one.said), 1)
    return tuple(map(tuple, counts.tolist()))


class Told(msgspec.Struct, frozen=True):
    """A row with what each model says about it."""

    row: Row
    answers: tuple[tuple[int, int, float], ...]


def tell(
    models: Sequence[Classifier], task: str, found: Sequence[Row]
) -> tuple[list[Told], list[float]]:
    """Ask models about rows; those that one of them refuses are left out.

    Returns:
        The rows, and the seconds that each model took.
    """
    verdicts, seconds = [], []
    for model in models:
        began = time.perf_counter()
        verdicts.append(judge(model, task, found))
        seconds.append(time.perf_counter() - began)
    told = []
    for row, said in zip(found, zip(*verdicts, strict=True), strict=True):
        answers = [
            None
            if isinstance(verdict, RejectedError)
            else read(task, row, verdict, model.leak_threshold)
            for model, verdict in zip(models, said, strict=True)
        ]
        if answers[0] is not None:
            told.append(Told(row, tuple(one for one in answers if one is not None)))
    return told, seconds


def _judged(told: Sequence[Told], model: int) -> Judged | None:
    if any(len(one.answers) <= model for one in told):
        return None
    columns = list(zip(*(one.answers[model] for one in told), strict=True))
    labels, said, sure = (np.array(column) for column in columns)
    return Judged(labels.astype(np.int64), said.astype(np.int64), sure.astype(np.float64))


def groups(task: str, told: Sequence[Told]) -> dict[str, list[Told]]:
    """Rows by language, and all of them; synthetic ones apart.

    Where a language has several sources, those with many rows are also told by themselves.
    """
    found: dict[str, list[Told]] = defaultdict(list)
    sources: dict[str, dict[str, list[Told]]] = defaultdict(lambda: defaultdict(list))
    for one in told:
        name = f"{task}, synthetic" if one.row.synthetic else task
        found[f"{name}, {one.row.lang}"].append(one)
        found[f"{name}, all"].append(one)
        sources[f"{name}, {one.row.lang}"][one.row.source].append(one)
        if task == "leak" and not one.row.synthetic and one.row.quality == "read":
            found[f"{name}, labelled by a reader"].append(one)
    for name, by in sources.items():
        many = {source: rows for source, rows in by.items() if len(rows) >= MANY}
        if len(by) > 1:
            found.update({f"{name}, {source}": rows for source, rows in many.items()})
    return dict(sorted(found.items()))


def evaluate(models: Sequence[Classifier], asked: Sequence[tuple[str, Path]]) -> Report:
    """Measure one model, or two on the same rows.

    Raises:
        InputError: a file cannot be read, or holds nothing of its task.
    """
    scores, rows, seconds, kept = dict[str, Score](), 0, 0.0, 0
    for task, path in asked:
        found = select(task, list(mix.read(path)), path)
        told, took = tell(models, task, found)
        rows, seconds, kept = rows + len(found), seconds + took[0], kept + len(told)
        for name, part in groups(task, told).items():
            one = _judged(part, 0)
            other = _judged(part, 1) if len(models) > 1 else None
            if one is not None:
                scores[name] = score(task, one, other)
    return Report(
        model=models[0].name,
        against=models[1].name if len(models) > 1 else None,
        posts_per_second=rows / seconds,
        refused=rows - kept,
        scores=scores,
    )


def select(task: str, found: list[Row], path: Path) -> list[Row]:
    """The rows of a file that are to be measured on: where some are held back, those alone.

    Raises:
        InputError: a label is not of the task, or there is no row.
    """
    held = [row for row in found if row.split == HELD_BACK] or found
    for row in held:
        if task != "brands" and row.label not in LABELS[task]:
            raise InputError(f"{path}: label {row.label!r} is not of {', '.join(LABELS[task])}")
    if not held or (task == "brands" and not all(row.brands for row in held)):
        raise InputError(f"{path} holds no rows of the task {task}")
    return held


def table(report: Report) -> list[str]:
    """A report as lines of Markdown."""
    lines = [
        f"{report.model}"
        + (f" against {report.against}" if report.against else "")
        + f"; {report.posts_per_second:,.0f} posts/s; {report.refused} texts left out",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|---|--:|--:|---|--:|---|--:|---|",
    ]
    return lines + [_line(name, one) for name, one in report.scores.items()]


def _line(name: str, one: Score) -> str:
    each = ", ".join(f"{label} {100 * share:.1f}" for label, share in one.each.items())
    gain = "-"
    if one.gain is not None:
        gain = "{:+.1f} ({:+.1f} to {:+.1f})".format(*(100 * share for share in one.gain))
    low, high = (100 * share for share in one.interval)
    return (
        f"| {name} | {one.rows} | {100 * one.score:.1f} | {low:.1f} to {high:.1f} "
        f"| {100 * one.macro_recall:.1f} | {each} "
        f"| {100 * one.calibration_error:.1f} | {gain} |"
    )


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.encoder.evaluate", description=__doc__)
    parser.add_argument("model", help="`bundle`, `fast`, a folder, or hub:NAME")
    parser.add_argument("--against", help="another model, compared on the same rows")
    parser.add_argument("--rows", nargs=2, action="append", required=True, metavar=("TASK", "FILE"))
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw reliability and confusion")
    parser.add_argument("--card", action="store_true", help="write MODEL_CARD.md into the model")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Evaluate from the command line; 2 when a file or a model is wrong."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    try:
        models = [load_classifier(name) for name in (asked.model, asked.against) if name]
        report = evaluate(models, [(_task(task), Path(file)) for task, file in asked.rows])
        _keep(report, asked)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    if asked.json:
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
    else:
        sys.stdout.write("\n".join(table(report)) + "\n")
    return 0


def _keep(report: Report, asked: argparse.Namespace) -> None:
    # Imported here: both read what this module defines.
    from models.encoder import card, plots  # noqa: PLC0415

    if asked.plots:
        plots.write(report, asked.plots)
    if asked.card:
        card.write(Path(asked.model), report)


def _task(name: str) -> str:
    if name not in get_args(mix.Task):
        raise InputError(f"there is no task {name!r}: give one of {', '.join(get_args(mix.Task))}")
    return name


if __name__ == "__main__":
    sys.exit(main())
