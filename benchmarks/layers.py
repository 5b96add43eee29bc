"""Where a process spends its processor time: samples of its main thread, summed up by layer.

    python -m benchmarks.layers FILE MODULE [ARGUMENT ...]

runs a module and writes its samples to a file. The timer counts processor time alone, and a sample
costs a few microseconds a hundred times a second: what is measured is hardly slowed down.
"""

import json
import runpy
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

EVERY = 0.005
"""Seconds of processor time between two samples; the kernel may make it longer."""

# The first that is in a frame's file and function, from the innermost frame outwards, decides.
LAYERS = (
    ("importlib", "start"),
    ("benchmarks/layers", "start"),
    ("pipeline.py:parse", "parse"),
    ("pipeline.py:_check", "parse"),
    ("pipeline.py:received", "parse"),
    ("pipeline.py:find", "build mentions"),
    ("pipeline.py:_mentions", "build mentions"),
    ("pipeline.py:_at", "build mentions"),
    ("pipeline.py:event_time", "build mentions"),
    ("pipeline.py:instant", "build mentions"),
    ("worker.py:_addressed", "encode mentions"),
    ("worker.py:_home", "encode mentions"),
    ("pipeline.py:follow", "parse mentions"),
    ("pipeline.py:millis", "parse mentions"),
    ("domain/trust", "readings"),
    ("pipeline.py:reading", "readings"),
    ("worker.py:read", "readings"),
    ("worker.py:publish", "readings"),
    ("numpy", "readings"),
    ("domain/book", "fold"),
    ("domain/ledger", "fold"),
    ("domain/row", "fold"),
    ("pipeline.py:_enter", "fold"),
    ("pipeline.py:row_of", "fold"),
    ("streams/domain/", "match"),
    ("streams/tables.py", "changelog"),
    ("transport.py:_batches", "fill batches"),
    ("aiokafka/producer", "send"),
    ("transport.py:publish", "send"),
    ("aiokafka/consumer", "fetch"),
    ("aiokafka/record", "fetch"),
    ("streams/transport.py", "our transport"),
    ("aiokafka", "connections"),
    ("streams/metrics.py", "metrics"),
    ("prometheus_client", "metrics"),
    ("concurrent/futures", "verdicts"),
    ("tests/support/free", "verdicts"),
    ("streams/pipeline.py", "stages"),
    ("streams/worker.py", "stages"),
    ("streams/app.py", "stages"),
    # The frame that started the loop is the innermost one while the loop itself works.
    ("mode/worker.py", "event loop"),
    ("faust/", "Faust"),
    ("mode/", "Faust"),
)


def by_layer(recording: Path, *, cpu: float, posts: int) -> list[dict[str, Any]]:
    """Return the layers of a recording, most expensive first, and each one's busiest function.

    Args:
        recording: what `record` wrote.
        cpu: seconds of processor that the process used in all.
        posts: how many it worked off.
    """
    samples = Counter({tuple(place): n for *place, n in json.loads(recording.read_bytes())})
    totals: Counter[str] = Counter()
    for (layer, _), number in samples.items():
        totals[layer] += number
    return [
        {
            "layer": layer,
            "share %": 100 * number / samples.total(),
            "us a post": cpu * number / samples.total() / posts * 1e6,
            "mostly in": max((n, place) for (one, place), n in samples.items() if one == layer)[1],
        }
        for layer, number in totals.most_common()
    ]


def record(target: Path, module: str) -> None:
    """Run a module as a program and write the samples of its main thread."""
    samples: Counter[tuple[str, str]] = Counter()

    def sample(_: int, frame: FrameType | None) -> None:
        samples[_place(frame)] += 1

    signal.signal(signal.SIGPROF, sample)
    signal.setitimer(signal.ITIMER_PROF, EVERY, EVERY)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        target.write_text(json.dumps([[*place, number] for place, number in samples.items()]))


def _place(frame: FrameType | None) -> tuple[str, str]:
    names = list(_names(frame))
    if any("importlib" in name for name in names):
        return "start", "import"
    for name in names:
        for sign, layer in LAYERS:
            if sign in name:
                return layer, "/".join(name.split("/")[-2:])
    return "event loop", names[0] if names else ""


def _names(frame: FrameType | None) -> Iterator[str]:
    while frame is not None:
        yield f"{frame.f_code.co_filename}:{frame.f_code.co_name}"
        frame = frame.f_back


if __name__ == "__main__":
    place, name = sys.argv[1:3]
    del sys.argv[1:3]
    record(Path(place), name)
