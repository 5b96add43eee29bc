"""How fast an encoder judges posts, beside a transformers pipeline with an encoder of its size.

    python benchmarks/speed.py MODEL [--posts FILE] [--quick]

Whole verdicts: reading, cleaning, word pieces, network, calibration. MODEL is a folder written by
`python -m models.encoder.export`. Posts are JSON Lines with `text`; without a file they are
generated. The pipeline, which needs PyTorch, has random weights of the same sizes (they do not
change its speed), one head, full precision, and takes posts one by one.
"""

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import onnxruntime
from classifier import posts

from models.encoder.manifest import TOKENIZER, Manifest, load
from models.encoder.onnx import OnnxClassifier, open_encoder

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
    """The usual way: `transformers.pipeline` on two threads."""
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


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--posts", type=Path)
    parser.add_argument("--quick", action="store_true", help="fewer posts, a minute")
    asked = parser.parse_args()
    found = texts(asked.posts, 200 if asked.quick else 1_000)
    manifest, _, _ = load(asked.model)
    model = open_encoder(asked.model)
    print(f"{model.name}, {len(found)} posts, {os.cpu_count()} CPUs, {platform.processor()}")
    print(f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}")
    model.classify(found[:20])
    print("\nposts given at once  1 thread  2 threads (posts/s)")
    single = open_encoder(asked.model, threads=1)
    for batch in BATCHES:
        one, two = (rate(judge.classify, found, batch=batch) for judge in (single, model))
        print(f"{batch:19}  {one:8,.0f}  {two:9,.0f}")
    middle, slow = waits(model, found)
    print(f"\none post: median {middle:.1f} ms, 99 % below {slow:.1f} ms")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory of the process: {peak:,.0f} MiB")
    if find_spec("torch") is None:
        print("no pipeline to compare with: PyTorch is not installed")
        return
    few = found[: len(found) // 5]
    theirs = rate(pipeline(asked.model, manifest), few, batch=len(few))
    print(f"transformers pipeline, one by one: {theirs:,.0f} posts/s; ratio {two / theirs:.1f}")


if __name__ == "__main__":
    main()
