"""Calibration on validation rows: scores become probabilities that can be taken at their word."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.calibrate import platt, temper
from models.encoder import measure, mix
from models.encoder.cascade import PLAIN, Calibration
from models.encoder.drafts import answer, ours
from models.encoder.heads import HEADS, PLACES
from models.encoder.manifest import Manifest
from models.encoder.mix import Mix, Row
from models.encoder.onnx import OnnxClassifier, probabilities
from models.encoder.text import write

Floats = NDArray[np.float32]

LEAST: Final = 8
"""Rows of each answer without which a head is left as it is."""

_STEPS: Final = np.arange(0.1, 0.91, 0.01)


@dataclass(frozen=True)
class Known:
    """Some rows, what is known of them, and what the network says.

    Attributes:
        name: the part of the validation that they come from.
        task: what was asked.
        rows: as read.
        scores: plain scores, a row each.
        answers: known answers, a row each; not a number where unknown.
        early: plain scores of the first of two networks.
    """

    name: str
    task: str
    rows: list[Row]
    scores: Floats
    answers: Floats
    early: Floats | None = None


def gather(model: OnnxClassifier, plan: Mix, data: Path) -> list[Known]:
    """Ask a model about the rows of a mix that are not trained on."""
    return [
        ask(model, part.task, ours(part, mix.rows(part, data)), name="ours" if part.ours else "")
        for part in plan.apart()
    ]


def ask(model: OnnxClassifier, task: str, found: Sequence[Row], *, name: str = "") -> Known:
    """Ask a model about rows of a task."""
    written = [write(row.text, row.brand if task == "target" else None) for row in found]
    said = model.run(written)
    early = [one.early for one in said if one.early is not None]
    return Known(
        name=f"{task} {name}".strip(),
        task=task,
        rows=list(found),
        scores=np.stack([one.scores for one in said]),
        answers=np.stack([answer(task, row) for row in found]),
        early=np.stack(early) if early else None,
    )


def calibrate(made: Manifest, asked: Sequence[Known]) -> Manifest:
    """Fit scale and offset of each score, and the leak threshold."""
    answers = np.concatenate([one.answers for one in asked])
    last = scales(np.concatenate([one.scores for one in asked]), answers)
    early = [one.early for one in asked if one.early is not None]
    if made.early is not None and early:
        fitted = scales(np.concatenate(early), answers)
        made = msgspec.structs.replace(
            made, early=msgspec.structs.replace(made.early, calibration=fitted)
        )
    return msgspec.structs.replace(
        made,
        scale=last.scale,
        offset=last.offset,
        leak_threshold=_threshold(asked, last),
    )


def scales(scores: Floats, answers: Floats) -> Calibration:
    """Fit scale and offset of each score.

    Args:
        scores: plain, a row per text.
        answers: known, a row per text; not a number where unknown.
    """
    exact = scores.astype(np.float64)
    scale, offset = np.array(PLAIN.scale), np.array(PLAIN.offset)
    for head in HEADS:
        place = PLACES[head.name]
        if head.several:
            for column in range(place.start, place.stop):
                scale[column], offset[column] = _odds(exact[:, column], answers[:, column])
        else:
            scale[place] = _factor(exact[:, place], answers[:, place])
    return Calibration(_rounded(scale), _rounded(offset))


def _rounded(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(one), 5) for one in numbers)


def _odds(scores: NDArray[np.float64], answers: Floats) -> tuple[float, float]:
    known = ~np.isnan(answers)
    labels = (answers[known] > 0).astype(np.int64)
    if min(labels.sum(), len(labels) - labels.sum()) < LEAST:
        return 1.0, 0.0
    return platt(scores[known], labels)


def _factor(scores: NDArray[np.float64], answers: Floats) -> float:
    known = ~np.isnan(answers[:, 0])
    if known.sum() < LEAST:
        return 1.0
    return temper(scores[known], answers[known].argmax(axis=1))


def _threshold(asked: Sequence[Known], last: Calibration) -> float:
    """The probability from which on the mean F1 over the parts is highest."""
    place = PLACES["leak"].start
    parts = [
        (probabilities(last.apply(one.scores))[:, place], one.answers[:, place] > 0)
        for one in asked
        if one.task == "leak"
    ]
    if not parts:
        return 0.5
    means = np.array(
        [np.mean([measure.f1(said >= step, right) for said, right in parts]) for step in _STEPS]
    )
    best = _STEPS[means == means.max()]
    return round(float(best[len(best) // 2]), 3)
