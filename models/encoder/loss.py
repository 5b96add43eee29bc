"""What a network is told to have got wrong: by labels, and by a larger network."""

from typing import Final

import torch
from torch import Tensor, nn

from models.encoder.batches import Batch
from models.encoder.heads import HEADS, PLACES

HEAT: Final = 2.0
"""Divides the scores of both networks, so that unlikely answers count too (Hinton et al., 2015)."""


def labelled(scores: Tensor, batch: Batch, *, smoothing: float) -> Tensor:
    """The mean loss of a batch over the answers that are known."""
    total = scores.new_zeros(())
    for head in HEADS:
        said, known = scores[:, PLACES[head.name]], batch.answers[:, PLACES[head.name]]
        rows = ~torch.isnan(known[:, 0])
        if not rows.any():
            continue
        if head.several:
            one = _several(said[rows], known[rows])
        else:
            one = nn.functional.cross_entropy(
                said[rows], known[rows], reduction="none", label_smoothing=smoothing
            )
        total = total + head.weight * (one * batch.weights[rows]).sum() / len(batch.weights)
    return total


def _several(said: Tensor, known: Tensor) -> Tensor:
    wrong = nn.functional.binary_cross_entropy_with_logits(said, known, reduction="none")
    return wrong.mean(dim=1)


def taught(scores: Tensor, teacher: Tensor) -> Tensor:
    """How far the answers of a network are from those of its teacher; every head counts alike."""
    total = scores.new_zeros(())
    for head in HEADS:
        said, known = scores[:, PLACES[head.name]] / HEAT, teacher[:, PLACES[head.name]] / HEAT
        if head.several:
            one = _several(said, known.sigmoid()).mean() - _several(known, known.sigmoid()).mean()
        else:
            one = nn.functional.kl_div(
                said.log_softmax(-1), known.softmax(-1), reduction="batchmean"
            )
        total = total + head.weight * HEAT**2 * one
    return total / len(HEADS)
