"""The network: a transformer encoder, the mean of its states, a small head for each question."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from models.encoder.heads import HEADS
from streams.errors import InputError

WEIGHTS: Final = "network.pt"
CONFIG: Final = "network.json"
PIECE: Final = "embeddings.word_embeddings.weight"


JOINT: Final = 0.25
"""How much early scores count in those of a whole network with early heads.

They are other eyes on the same post. Of 0 to 1.5 this did best on the validation rows as a whole.
"""


class Encoder(nn.Module):  # type: ignore[misc] # torch has no types here
    """Scores of all heads, and the embedding of the post.

    Args:
        config: sizes of the transformer.
        opener: number of the piece that opens a marked brand.
        early: layers after which a second set of heads answers, too; 0: there is none.
        attention: `sdpa` to train, `eager` to export.
    """

    def __init__(
        self, config: BertConfig, *, opener: int, early: int = 0, attention: str = "sdpa"
    ) -> None:
        super().__init__()
        self.opener, self.early = opener, early
        self.bert = BertModel._from_config(  # noqa: SLF001 # the public way needs a hub
            config, attn_implementation=attention, add_pooling_layer=False
        )
        self.heads = _heads(config.hidden_size)
        if early:
            self.early_heads = _heads(config.hidden_size)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Judge a batch.

        Args:
            ids: numbers of the pieces, a row per post.
            mask: 1 where there is a piece, 0 where the row is filled up.

        Returns:
            The scores in the order of `HEADS`, and a vector of length one per post.
        """
        if self.early:
            last, embedding, early, _ = self.all(ids, mask)
            return last + JOINT * early, embedding
        states = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        return self.tell(self.heads, states, ids, mask)

    def all(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Judge a batch with either set of heads.

        Returns:
            The scores of the last heads, the early embedding, which every post has, the early
            scores, and the states that they were read from.
        """
        said = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        states = said.hidden_states[self.early]
        early, embedding = self.tell(self.early_heads, states, ids, mask)
        last, _ = self.tell(self.heads, said.last_hidden_state, ids, mask)
        return last, embedding, early, states

    def tell(
        self, heads: nn.ModuleDict, states: Tensor, ids: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The scores that heads give to the states of a layer, and the embedding."""
        pooled = _mean(states, mask)
        marked = torch.cat([pooled, _mean(states, (ids == self.opener).to(mask.dtype))], dim=-1)
        scores = [heads[head.name](marked if head.name == "target" else pooled) for head in HEADS]
        return torch.cat(scores, dim=-1), nn.functional.normalize(pooled.float(), dim=-1)


def _heads(size: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            head.name: nn.Sequential(
                nn.Dropout(0.1),
                nn.Linear(2 * size if head.name == "target" else size, size),
                nn.GELU(),
                nn.Dropout(0.1),
                nn.Linear(size, len(head.labels)),
            )
            for head in HEADS
        }
    )


def _mean(states: Tensor, mask: Tensor) -> Tensor:
    weights = mask.unsqueeze(-1).to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def start(base: Path, *, layers: Sequence[int], opener: int, early: int = 0) -> Encoder:
    """A network with some layers of a folder written by `models.encoder.base`, or by `save`.

    A network that `save` wrote keeps its heads too, the early ones if they stay where they are.

    Raises:
        InputError: the folder has fewer layers, or the early heads come after the last one.
    """
    if early >= len(layers):
        raise InputError(f"--early {early} is not before the last of {len(layers)} layers")
    trained = load(base) if (base / CONFIG).exists() else None
    bert = trained.bert if trained else BertModel.from_pretrained(base, add_pooling_layer=False)
    most = bert.config.num_hidden_layers
    if max(layers) >= most:
        raise InputError(f"{base} has layers 0 to {most - 1}: give --layers among them")
    config = BertConfig(**{**bert.config.to_dict(), "num_hidden_layers": len(layers)})
    network = Encoder(config, opener=opener, early=early)
    network.bert.load_state_dict(pick(bert.state_dict(), layers))
    if trained:
        network.heads.load_state_dict(trained.heads.state_dict())
    if trained and early and trained.early == early:
        network.early_heads.load_state_dict(trained.early_heads.state_dict())
    return network


def pick(named: dict[str, Tensor], layers: Sequence[int]) -> dict[str, Tensor]:
    """The tensors of some layers, which are numbered anew."""
    picked = {}
    for name, tensor in named.items():
        words = name.split(".")
        if "layer" in words:
            place = words.index("layer") + 1
            if int(words[place]) not in layers:
                continue
            words[place] = str(layers.index(int(words[place])))
        picked[".".join(words)] = tensor
    return picked


def save(network: Encoder, folder: Path) -> None:
    """Write a network into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {
        "config": network.bert.config.to_dict(),
        "opener": network.opener,
        "early": network.early,
    }
    (folder / CONFIG).write_text(json.dumps(kept, indent=1, default=str), encoding="utf-8")
    named = {name: one.cpu() for name, one in network.state_dict().items()}
    torch.save(named, folder / WEIGHTS)


def load(folder: Path, *, attention: str = "sdpa") -> Encoder:
    """Read a network that `save` wrote."""
    kept = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config = BertConfig(**kept["config"])
    network = Encoder(
        config, opener=kept["opener"], early=kept.get("early", 0), attention=attention
    )
    network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    network.eval()
    return network
