"""How well an encoder judges, beside the linear model, on rows that neither was trained on.

    python benchmarks/quality.py [MODEL] --data DIR [--against MODEL]

DIR holds the validation files (`sentiment_val.jsonl`, `leak_val.jsonl`, `irony_val.jsonl`,
`emotion_val.jsonl`; those that are missing are left out). The posts written for this project are
measured too, those held back from training: they are synthetic, and no measure of real accuracy.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import msgspec

from models import load_classifier
from models.encoder import drafts, evaluate, mix
from models.examples import HELD_BACK, OURS

FILES = {
    "sentiment": "sentiment_val.jsonl",
    "leak": "leak_val.jsonl",
    "irony": "irony_val.jsonl",
    "emotion": "emotion_val.jsonl",
}


def ours(folder: Path) -> list[tuple[str, Path]]:
    """The posts of this project that are held back, as files of their task."""
    found: dict[str, list[mix.Row]] = defaultdict(list)
    for path in sorted(OURS.glob("*.jsonl")):
        for row in mix.read(path):
            # Two-brand posts without a split were written to measure with.
            if drafts.held_back(row) or (row.brands and not row.split):
                found[task(path)].append(msgspec.structs.replace(row, split=HELD_BACK))
    made = []
    for name, rows in found.items():
        path = folder / f"{name}.jsonl"
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        made.append((name, path))
    return made


def task(path: Path) -> str:
    """What the posts of a file of this project are about."""
    return {"leaks": "leak", "two": "brands"}.get(path.stem.split("-")[0], path.stem)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="bundle", help="bundle, or the path of a model")
    parser.add_argument("--data", type=Path, help="folder of the validation files")
    parser.add_argument("--against", default="fast", help="the other model; fast")
    asked = parser.parse_args()
    models = [load_classifier(name) for name in (asked.model, asked.against)]
    with tempfile.TemporaryDirectory() as folder:
        files = ours(Path(folder))
        if asked.data:
            files += [(task, asked.data / name) for task, name in FILES.items()]
        report = evaluate.evaluate(models, [one for one in files if one[1].exists()])
    print("\n".join(evaluate.table(report)))


if __name__ == "__main__":
    main()
