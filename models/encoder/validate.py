"""How good a network is while it is trained, on some of the validation rows."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.encoder import measure, mix
from models.encoder.batches import encode, fill
from models.encoder.drafts import answer, ours
from models.encoder.heads import PLACES
from models.encoder.mix import Mix, Row
from models.encoder.network import Encoder
from models.encoder.text import write

Floats = NDArray[np.float32]

MOST: Final = 600
"""Rows of a task and language that are looked at while training, chosen by hash."""

_BATCH: Final = 64


def figures(network: Encoder, tokenizer: Tokenizer, plan: Mix, data: Path) -> dict[str, float]:
    """Macro F1 or F1 by task and language, in percent."""
    network.eval()
    found: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    for part in plan.validate:
        for row in ours(part, mix.rows(part, data)):
            name = f"{part.task} {'ours ' if part.ours else ''}{row.lang}"
            found[name].append((part.task, row))
    told = {name: _figure(network, tokenizer, _few(rows)) for name, rows in sorted(found.items())}
    network.train()
    return told


def _few(found: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    return sorted(found, key=lambda one: mix.phase(one[1].text))[:MOST]


def _figure(network: Encoder, tokenizer: Tokenizer, found: Sequence[tuple[str, Row]]) -> float:
    task = found[0][0]
    written = [write(row.text, row.brand if task == "target" else None) for _, row in found]
    said = scores(network, tokenizer, written)[:, PLACES[task]]
    known = np.stack([answer(task, row)[PLACES[task]] for _, row in found])
    if known.shape[1] > 1:
        share = measure.macro_f1(said.argmax(axis=1), known.argmax(axis=1))
    else:
        share = measure.f1(said[:, 0] >= 0, known[:, 0] > 0)
    return round(100 * share, 1)


def scores(
    network: Encoder, tokenizer: Tokenizer, written: Sequence[str], *, plain: bool = False
) -> Floats:
    """The scores of texts, a row each.

    Args:
        network: in the mode of evaluation.
        tokenizer: cuts texts at the length that was trained.
        written: texts as `models.encoder.text` writes them.
        plain: reckon in full precision, not with sixteen bits.
    """
    pieces = encode(tokenizer, written)
    places = sorted(range(len(pieces)), key=lambda place: len(pieces[place]))
    found: list[Floats] = [np.empty(0, dtype=np.float32)] * len(pieces)
    device = next(network.parameters()).device
    kind = torch.autocast(device.type, dtype=torch.bfloat16, enabled=not plain)
    for first in range(0, len(places), _BATCH):
        chosen = places[first : first + _BATCH]
        ids, mask = fill([pieces[place] for place in chosen])
        with torch.no_grad(), kind:
            said, _ = network(ids.to(device), mask.to(device))
        for place, one in zip(chosen, said.float().cpu().numpy(), strict=True):
            found[place] = one
    return np.stack(found)
