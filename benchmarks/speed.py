"""How fast an encoder judges posts, beside a transformers pipeline with an encoder of its size.

    python benchmarks/speed.py [MODEL] [--posts FILE] [--quick]

Whole verdicts: reading, cleaning, word pieces, network, calibration. MODEL is `bundle`, which is
what is measured by default, or a folder written by `python -m models.encoder.export`. Posts are
JSON Lines with `text`; without a file they are generated. The pipeline, which needs PyTorch, has
random weights of the same sizes (they do not change its speed), one head, full precision, and takes
posts one by one.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
from classifier import posts

from models import SHIPPED
from models.encoder.manifest import TOKENIZER, Manifest, load
from models.encoder.onnx import OnnxClassifier, open_encoder
from models.encoder.text import write

RATE, RATIO, MEMORY = (500, 1_000), (10, 20), 600
"""Held and goal: posts/s on two threads, times the pipeline; MiB."""

ROUNDS = 3
BATCHES = (1, 8, 32, 256)


def texts(path: Path | None, number: int) -> list[str]:
    """Posts of a file, or generated ones."""
    if path is None:
        return posts(number, seed=1)
    lines = path.read_text(encoding="utf-8").splitlines()
    return [str(json.loads(line)["text"]) for line in lines[:: max(1, len(lines) // number)]]


def rate(judge: Callable[[list[str]], Any], found: list[str], *, batch: int) -> float:
    """Posts per second by the clock: the median of a few rounds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for start in range(0, len(found), batch):
            judge(found[start : start + batch])
        taken.append(time.perf_counter() - began)
    return len(found) / median(taken)


def waits(model: OnnxClassifier, found: Sequence[str]) -> tuple[float, float]:
    """Milliseconds that one post takes: the median, and what 99 of 100 stay below."""
    taken = []
    for text in found:
        began = time.perf_counter()
        model.classify([text])
        taken.append(1e3 * (time.perf_counter() - began))
    taken.sort()
    return median(taken), taken[int(0.99 * len(taken))]


def pipeline(folder: Path, manifest: Manifest) -> Callable[[list[str]], Any]:
    """The usual way: `transformers.pipeline` on two threads, an encoder of all layers of ours."""
    import torch  # noqa: PLC0415
    import transformers  # noqa: PLC0415

    torch.set_num_threads(2)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / TOKENIZER), pad_token="<pad>", model_max_length=manifest.pieces
    )
    config = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        num_hidden_layers=len(manifest.trained["settings"]["layers"]),
        num_attention_heads=12,
        intermediate_size=1536,
        num_labels=3,
    )
    made = transformers.pipeline(
        "text-classification",
        model=transformers.BertForSequenceClassification(config).eval(),
        tokenizer=tokenizer,
        device="cpu",
    )
    return lambda found: [made(text, truncation=True) for text in found]


def own(model: OnnxClassifier, folder: Path, found: list[str]) -> float:
    """Print the rates of a model; returns the best on two threads."""
    single = open_encoder(folder, threads=1)
    print("\nposts given at once  1 thread  2 threads (posts/s)")
    best = 0.0
    for batch in BATCHES:
        one, two = (rate(judge.classify, found, batch=batch) for judge in (single, model))
        print(f"{batch:19}  {one:8,.0f}  {two:9,.0f}")
        best = max(best, two)
    return best


def told(model: OnnxClassifier, found: list[str]) -> float:
    """Print how far posts are read and how long one takes; returns the memory in MiB."""
    deep = model.answer([write(text) for text in found]).deep
    print(f"read to the end: {100 * sum(deep) / len(deep):.0f} % of the posts")
    middle, slow = waits(model, found)
    print(f"one post: median {middle:.1f} ms, 99 % below {slow:.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory of the process: {peak:,.0f} MiB")
    return peak


def judge(best: float, ratio: float | None, peak: float) -> bool:
    """Print what is held and whether it was; a goal is told, not held."""
    figures = [
        ("posts/s on two threads", best, best >= RATE[0], best >= RATE[1], RATE),
        ("MiB of memory", peak, peak <= MEMORY, None, (MEMORY, None)),
    ]
    if ratio is not None:
        figures.append(("times the pipeline", ratio, ratio >= RATIO[0], ratio >= RATIO[1], RATIO))
    print()
    for name, figure, held, met, (hold, goal) in figures:
        aim = "" if met is None else f"; goal {goal:,}: {'met' if met else 'missed'}"
        print(f"{name}: {figure:,.1f}, held to {hold:,}: {'yes' if held else 'NO'}{aim}")
    return all(held for _, _, held, _, _ in figures)


def main() -> int:
    """Run from the command line; 1 when the full form misses what is held."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="bundle", help="bundle, or the path of a model")
    parser.add_argument("--posts", type=Path, metavar="FILE", help="JSON Lines with `text`")
    parser.add_argument("--quick", action="store_true", help="fewer posts, a minute")
    asked = parser.parse_args()
    found = texts(asked.posts, 200 if asked.quick else 1_000)
    folder = SHIPPED.get(asked.model) or Path(asked.model)
    manifest, _, _ = load(folder)
    model = open_encoder(folder)
    print(f"{model.name}, {len(found)} posts, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}")
    model.classify(found[:20])
    # First, so that the memory is that of one model.
    peak = told(model, found)
    best = own(model, folder, found)
    ratio = None
    if find_spec("torch") is None:
        print("no pipeline to compare with: pip install 'trustwatch[hub]'")
    else:
        few = found[: max(40, len(found) // 5)]
        theirs = rate(pipeline(folder, manifest), few, batch=len(few))
        ratio = best / theirs
        print(f"transformers pipeline, one by one: {theirs:,.0f} posts/s; ratio {ratio:.1f}")
    held = judge(best, ratio, peak)
    return int(not held and not asked.quick)


if __name__ == "__main__":
    sys.exit(main())
