"""Draws how a training went: `python -m models.encoder.curve RUN --out FILE`.

RUN is the folder of a training. The picture (SVG) shows the figures on the validation rows over the
posts learnt from; languages other than English and French are drawn as their mean.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from models.encoder import chart
from streams.errors import InputError

LOG: Final = "log.jsonl"
APART: Final = ("en", "fr")
LEAST: Final = 10.0
"""Percent; what was never above, as leaks in a language that has none, is not drawn."""


def read(run: Path) -> list[dict[str, float]]:
    """The validations of a training, in order.

    Raises:
        InputError: there are none.
    """
    path = run / LOG
    try:
        lines = path.read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=dict[str, float]) for line in lines]
    except (OSError, msgspec.MsgspecError) as error:
        raise InputError(
            f"{path} is not the log of a training ({error}): give its folder"
        ) from error
    if not found:
        raise InputError(f"{path} is empty: the training has not validated yet")
    return found


def series(found: Sequence[dict[str, float]]) -> list[chart.Series]:
    """A line for each task, and languages where they are told apart."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in found:
        values: dict[str, list[float]] = defaultdict(list)
        for name, value in one.items():
            if name not in {"posts", "seconds"}:
                values[_name(name)].append(value)
        for name, each in values.items():
            points[name].append((one["posts"], sum(each) / len(each)))
    drawn = {name: each for name, each in points.items() if max(y for _, y in each) > LEAST}
    return [chart.Series(name, each) for name, each in sorted(drawn.items())]


def _name(figure: str) -> str:
    task, _, lang = figure.rpartition(" ")
    if "ours" in task:
        return f"{task.removesuffix(' ours')}, synthetic, all languages"
    return f"{task}, {lang if lang in APART else 'mean of the others'}"


def draw(run: Path) -> str:
    """The picture of a training.

    Raises:
        InputError: its folder has no log.
    """
    return chart.draw(
        series(read(run)),
        title="Validation while training",
        across="posts learnt from",
        up="F1 or macro F1, %",
    )


def main(given: Sequence[str] | None = None) -> int:
    """Draw from the command line; 2 when there is no log."""
    parser = argparse.ArgumentParser(prog="python -m models.encoder.curve", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a training")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    asked = parser.parse_args(sys.argv[1:] if given is None else given)
    try:
        asked.out.write_text(draw(asked.run), encoding="utf-8")
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
