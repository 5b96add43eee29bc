"""`trustwatch backtest` with the classifier that costs nothing: `python -m tests.support.backtest`.

The command as it is, started as the workers of `free` are. Beside its own files it writes
`exact.json`: the readings at the end of each hour before they are rounded.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.json import Decoder, encode

import models
from streams import backtest as core
from streams.cli import main
from streams.records import Reading, Signal
from tests.support.broker import ROOT
from tests.support.free import Free

PATIENCE = 300.0
"""Seconds that the command may take."""

_read = Decoder(Reading).decode
_signal = Decoder(Signal).decode

Exact = dict[str, dict[int, list[float]]]
"""By brand and instant in milliseconds, the index and its bounds."""


class Told(NamedTuple):
    """What the command says.

    Attributes:
        exact: readings at the end of each hour, unrounded.
        readings: those of hours with posts, as in its file.
        signals: by id.
        bad: lines that it passed over.
    """

    exact: Exact
    readings: list[Reading]
    signals: dict[str, Signal]
    bad: int


def backtest(folder: Path, posts: Iterable[bytes], *, env: Mapping[str, str]) -> Told:
    """Run the command over posts; return what it says.

    Args:
        folder: for the posts and what comes of them.
        posts: a line each.
        env: the environment of the workers, settings and brands file included.
    """
    file, out = folder / "posts.jsonl", folder / "backtest"
    file.write_bytes(b"".join(post + b"\n" for post in posts))
    brands = env["TRUSTWATCH_BRANDS_FILE"]
    given = ("backtest", str(file), "--brands", brands, "--out", str(out))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.backtest", *given],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    bad = sum(f"{file}:" in line for line in done.stderr.splitlines())
    assert done.returncode == (2 if bad else 0), done.stderr[-2_000:]
    signals = map(_signal, (out / "signals.jsonl").read_bytes().splitlines())
    exact = json.loads((out / "exact.json").read_bytes())
    return Told(
        exact={b: {int(at): numbers for at, numbers in of.items()} for b, of in exact.items()},
        readings=[_read(line) for line in (out / "readings.jsonl").read_bytes().splitlines()],
        signals={one.id: one for one in signals},
        bad=bad,
    )


def unrounded(fold: Callable[..., core.Folded], file: Path) -> Callable[..., core.Folded]:
    """Return the fold, which then also writes what it read to a file."""

    @wraps(fold)
    def folded(*args: Any, **given: Any) -> core.Folded:
        made = fold(*args, **given)
        file.write_bytes(
            encode(
                {
                    one.brand: {
                        str(at): [float(number) for number in numbers]
                        for at, *numbers in zip(
                            one.at.tolist(), one.index, one.low, one.high, strict=True
                        )
                    }
                    for one in made.history.brands
                }
            )
        )
        return made

    return folded


if __name__ == "__main__":
    models.load_classifier = lambda *_: Free()
    core.fold = unrounded(core.fold, Path(sys.argv[sys.argv.index("--out") + 1]) / "exact.json")
    main()
