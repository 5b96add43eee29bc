"""How well an encoder judges, beside the linear model, on rows that neither was trained on.

    python benchmarks/quality.py MODEL --data DIR [--against MODEL]

DIR holds the validation files (`sentiment_val.jsonl`, `leak_val.jsonl`, `irony_val.jsonl`,
`emotion_val.jsonl`; those that are missing are left out). The posts written for this project are
measured too, those held back from training: they are synthetic, and no measure of real accuracy.
"""

import argparse
import tempfile
from pathlib import Path

import msgspec

from models import load_classifier
from models.encoder import drafts, evaluate, mix
from models.examples import OURS

FILES = {
    "sentiment": "sentiment_val.jsonl",
    "leak": "leak_val.jsonl",
    "irony": "irony_val.jsonl",
    "emotion": "emotion_val.jsonl",
}


def ours(folder: Path) -> list[tuple[str, Path]]:
    """The posts of this project that are held back, as files of their task."""
    found: dict[str, list[mix.Row]] = {"leak": [], "brands": []}
    for path in sorted(OURS.glob("*.jsonl")):
        for row in mix.read(path):
            task = "brands" if row.brands else "leak"
            # Two-brand posts without a split were written to measure with.
            if drafts.held_back(row) or (row.brands and not row.split):
                found[task].append(row)
    made = []
    for task, rows in found.items():
        path = folder / f"{task}.jsonl"
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
        made.append((task, path))
    return made


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--against", default="fast")
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
