"""Drafts become batches of like length."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.encoder.drafts import Draft
from models.encoder.vocabulary import PAD

_POOL: Final = 60
"""Batches that are sorted by length together: posts of like length, yet in another order."""


@dataclass(frozen=True)
class Batch:
    """Posts that are learnt from at once; the tensors have a row per post."""

    ids: Tensor
    mask: Tensor
    answers: Tensor
    weights: Tensor

    def to(self, device: str) -> "Batch":
        """The same batch on a device."""
        moved = (one.to(device) for one in (self.ids, self.mask, self.answers, self.weights))
        return Batch(*moved)


def encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The numbers of the pieces of each text."""
    return [one.ids for one in tokenizer.encode_batch(list(texts))]


def fill(pieces: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Rows of one length, and a mask of what is filled in."""
    width = max(map(len, pieces))
    ids = torch.full((len(pieces), width), PAD)
    mask = torch.zeros((len(pieces), width), dtype=torch.long)
    for row, one in enumerate(pieces):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return ids, mask


def order(lengths: Sequence[int], size: int, draw: random.Random) -> list[list[int]]:
    """Draw batches of like length."""
    places = list(range(len(lengths)))
    draw.shuffle(places)
    drawn = []
    for first in range(0, len(places), size * _POOL):
        pool = sorted(places[first : first + size * _POOL], key=lengths.__getitem__)
        drawn += [pool[at : at + size] for at in range(0, len(pool), size)]
    draw.shuffle(drawn)
    return drawn


def batches(
    made: Sequence[Draft], tokenizer: Tokenizer, *, size: int, draw: random.Random
) -> Iterator[Batch]:
    """All drafts once, in batches."""
    pieces = encode(tokenizer, [one.text for one in made])
    for places in order([len(one) for one in pieces], size, draw):
        ids, mask = fill([pieces[place] for place in places])
        chosen = [made[place] for place in places]
        answers = torch.from_numpy(np.stack([one.answers for one in chosen]))
        weights = torch.tensor([one.weight for one in chosen])
        yield Batch(ids, mask, answers, weights)
