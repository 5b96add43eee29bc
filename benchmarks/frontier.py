"""What it costs and what it saves to let the first layers answer what they are sure of.

    python benchmarks/frontier.py bundle --data DIR
    python benchmarks/frontier.py bundle --data DIR --picture docs/pictures/frontier.svg

For each degree of sureness: how well every task is done, the share of posts that are read to the
end, and posts per second on two threads, all in the same run. DIR holds the validation files
(`sentiment_val.jsonl`, `leak_val.jsonl`, `irony_val.jsonl`, `emotion_val.jsonl`; those that are
missing are left out). The posts held back of this project are measured too; they are synthetic.
"""

import argparse
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from quality import FILES
from speed import rate

from models import SHIPPED, load_classifier
from models.encoder import chart, drafts, fit, measure, mix
from models.encoder.cascade import Bounds, Cascade
from models.encoder.fit import Known
from models.encoder.heads import PLACES
from models.encoder.mix import Row
from models.encoder.onnx import OnnxClassifier, open_encoder
from models.encoder.text import OPEN, write
from models.examples import OURS

SURE = (0.0, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
"""0: the first layers answer all; 1: none."""
BATCH = 256


@dataclass(frozen=True)
class Part:
    """Rows of one task, with what both networks say about each: calibrated scores."""

    name: str
    known: Known
    early: NDArray[np.float32]
    last: NDArray[np.float32]
    marked: NDArray[np.bool_]

    def deep(self, bounds: Bounds) -> NDArray[np.bool_]:
        """Which rows are read to the end."""
        both = zip(self.early.tolist(), self.marked.tolist(), strict=True)
        return np.array([not bounds.hold(scores, marked=marked) for scores, marked in both])

    def score(self, deep: NDArray[np.bool_], threshold: float) -> float:
        """F1 of leaks and irony, else macro F1; in percent."""
        place = PLACES[self.known.task]
        said = np.where(deep[:, None], self.last, self.early)[:, place]
        right = self.known.answers[:, place]
        if said.shape[1] > 1:
            return 100 * measure.macro_f1(said.argmax(axis=1), right.argmax(axis=1))
        least = threshold if self.known.task == "leak" else 0.5
        return 100 * measure.f1(said[:, 0] >= np.log(least / (1 - least)), right[:, 0] > 0)


def parts(model: OnnxClassifier, data: Path | None) -> list[Part]:
    """What can be measured."""
    found: list[tuple[str, str, list[Row]]] = []
    for task, name in FILES.items():
        if data and (data / name).exists():
            found.append((task, task, list(mix.read(data / name))))
    ours = [row for path in sorted(OURS.glob("leaks*.jsonl")) for row in mix.read(path)]
    found.append(("leak", "leak, synthetic", [row for row in ours if drafts.held_back(row)]))
    two = mix.read(OURS / "two-brands.jsonl")
    each = [
        Row(row.text, label, row.lang, brand=brand)
        for row in two
        for brand, label in row.brands.items()
    ]
    found.append(("target", "towards two brands, synthetic", each))
    return [part(model, task, name, rows) for task, name, rows in found]


def part(model: OnnxClassifier, task: str, name: str, rows: Sequence[Row]) -> Part:
    """Ask both networks about rows of a task."""
    cascade, known = model.cascade, fit.ask(model, task, rows)
    assert known.early is not None, "the model is in one file: there is nothing to compare"
    return Part(
        name=name,
        known=known,
        early=cascade.early.apply(known.early),
        last=cascade.last.apply(known.scores),
        marked=np.array([OPEN in write(row.text, row.brand) for row in rows])
        if task == "target"
        else np.zeros(len(rows), dtype=bool),
    )


@dataclass(frozen=True)
class Point:
    """One degree of sureness."""

    sure: float
    deep: float
    """Share of the timed posts that are read to the end."""
    rate: float
    scores: tuple[float, ...]


def points(model: OnnxClassifier, found: Sequence[Part], texts: list[str]) -> list[Point]:
    """Measure each degree of sureness."""
    kept = model.cascade
    return [point(model, kept, sure, found, texts) for sure in SURE]


def point(
    model: OnnxClassifier, kept: Cascade, sure: float, found: Sequence[Part], texts: list[str]
) -> Point:
    """Measure one."""
    bounds = replace_sure(kept.bounds, sure)
    model.cascade = replace(kept, bounds=bounds)
    scores = tuple(one.score(one.deep(bounds), model.leak_threshold) for one in found)
    deep = float(np.mean(model.answer([write(text) for text in texts]).deep))
    return Point(sure, deep, rate(model.classify, texts, batch=BATCH), scores)


def replace_sure(bounds: Bounds, sure: float) -> Bounds:
    """The same bounds at another sureness; at 0 there are none."""
    return Bounds(sure, bounds.leak, bounds.irony) if sure else Bounds(0.0, 1.0, 1.0)


def table(found: Sequence[Part], measured: Sequence[Point]) -> list[str]:
    """The points as Markdown."""
    names = [f"{one.name} ({len(one.known.rows):,})" for one in found]
    lines = [
        "| sure | to the end | posts/s | " + " | ".join(names) + " |",
        "|--:" * (3 + len(names)) + "|",
    ]
    for one in measured:
        cells = [f"{one.sure:g}", f"{100 * one.deep:.0f} %", f"{one.rate:,.0f}"]
        lines.append("| " + " | ".join(cells + [f"{score:.1f}" for score in one.scores]) + " |")
    return lines


def picture(found: Sequence[Part], measured: Sequence[Point], chosen: float) -> str:
    """The points as lines: right is faster, up is better."""
    shipped = next((at for at, one in enumerate(measured) if one.sure == chosen), None)
    return chart.draw(
        [
            chart.Series(part.name, [(one.rate, one.scores[at]) for one in measured], shipped)
            for at, part in enumerate(found)
        ],
        title="Quality and speed, by how sure the first layers must be; ring: as shipped",
        across="posts/s on two threads",
        up="F1 or macro F1, %",
    )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="bundle", help="bundle, or the path of a model")
    parser.add_argument("--data", type=Path, help="folder of the validation files")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write the picture as SVG")
    parser.add_argument("--quick", action="store_true", help="fewer posts, a minute")
    asked = parser.parse_args()
    model = open_encoder(SHIPPED.get(asked.model) or Path(asked.model))
    found = parts(model, asked.data)
    rows = [row.text for one in found if one.known.task != "target" for row in one.known.rows]
    texts = rows[:: max(1, len(rows) // (200 if asked.quick else 1_500))]
    chosen = model.cascade.bounds.sure
    print(f"{model.name}, {len(texts)} posts timed, {os.cpu_count()} CPUs, load {load():.1f}")
    print(f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}")
    measured = points(model, found, texts)
    print("\n".join(["", *table(found, measured), ""]))
    linear = load_classifier("fast")
    alone = rate(linear.classify, texts, batch=BATCH)
    print(f"{linear.name}, which tells sentiment and leak alone: {alone:,.0f} posts/s")
    if asked.picture:
        asked.picture.write_text(picture(found, measured, chosen), encoding="utf-8")
        print(f"picture: {asked.picture}")


def load() -> float:
    """The load of the machine over the last minute."""
    return os.getloadavg()[0]


if __name__ == "__main__":
    main()
