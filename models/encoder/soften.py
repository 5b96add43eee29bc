"""Draws a training back to its start: `python -m models.encoder.soften RUN --base BASE --out DIR`.

A network that was trained for long knows the texts of its training best. The mean of its weights
and of those that it started from is meant for other texts: `--keep` is the weight of the trained
ones (WiSE-FT; Wortsman et al., 2022). Heads stay as they are. Needs the extra `encoder`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from transformers import BertModel

from models.encoder import network
from models.encoder.vocabulary import TOKENIZER
from streams.errors import InputError

KEEP: Final = 0.8

_BODY: Final = "bert."
_WITH: Final = (TOKENIZER, "log.jsonl")
_SETTINGS: Final = "settings.json"


def soften(run: Path, base: Path, out: Path, *, keep: float = KEEP) -> None:
    """Write the mean of a training and its start.

    Args:
        run: the folder of a finished training.
        base: the folder written by `models.encoder.base` that it started from.
        out: takes the network and what belongs to it.
        keep: weight of the trained numbers, from 0 to 1.

    Raises:
        InputError: a folder is not what it should be, or the two do not fit.
    """
    if not 0.0 <= keep <= 1.0:
        raise InputError(f"--keep {keep} is not from 0 to 1")
    for folder, name in ((run, network.CONFIG), (run, _SETTINGS), (base, TOKENIZER)):
        if not (folder / name).exists():
            raise InputError(f"no {name} in {folder}: give the folder of a finished training")
    net = network.load(run)
    start = BertModel.from_pretrained(base, add_pooling_layer=False).state_dict()
    mixed = {name: _mean(name, one, start, keep) for name, one in net.state_dict().items()}
    net.load_state_dict(mixed)
    network.save(net, out)
    for name in _WITH:
        if (run / name).exists() and run != out:
            shutil.copyfile(run / name, out / name)
    settings = json.loads((run / _SETTINGS).read_text(encoding="utf-8")) | {"keep": keep}
    (out / _SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def _mean(name: str, trained: Any, start: dict[str, Any], keep: float) -> Any:
    if not name.startswith(_BODY) or not trained.is_floating_point():
        return trained
    other = start.get(name.removeprefix(_BODY))
    if other is None or other.shape != trained.shape:
        raise InputError(f"{name} is not in the base, or of another size: keep all layers of it")
    return keep * trained + (1.0 - keep) * other


def main(given: Sequence[str] | None = None) -> int:
    """Soften from the command line; 2 when a folder is wrong."""
    parser = argparse.ArgumentParser(prog="python -m models.encoder.soften", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a finished training of all layers")
    parser.add_argument("--base", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--keep", type=float, default=KEEP, help=f"weight of the trained; {KEEP}")
    asked = parser.parse_args(sys.argv[1:] if given is None else given)
    try:
        soften(asked.run, asked.base, asked.out, keep=asked.keep)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
