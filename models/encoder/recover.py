"""Takes the network out of a model folder again, so that it can be trained on with other posts."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from transformers import BertConfig

from models.encoder import blocks, manifest, rows
from models.encoder.network import PIECE, Encoder
from streams.errors import ModelError

Floats = NDArray[np.float32]

_OUTER: Final = "inner."
_BYTES: Final = "_quantized"
_TURNED: Final = "_Transposed"
_PARTS: Final = ("query", "key", "value")
_DENSE: Final = ("attention.output.dense", "intermediate.dense", "output.dense")
"""The matrices of a layer that lost their names, in the order of their use."""


def recover(folder: Path, *, opener: int) -> Encoder:
    """A network with the weights of a model folder, as exact as their bytes.

    Raises:
        ModelError: the folder is damaged, or its network is not of our making.
    """
    _, files, _ = manifest.load(folder)
    parts = [files[name] for name in (manifest.NETWORK, manifest.DEEPER) if name in files]
    graphs = [onnx.load_from_string(one).graph for one in parts]
    try:
        tables = {name: one for graph in graphs for name, one in _tables(graph)}
        nodes = [node for graph in graphs for node in graph.node]
        named = dict(_named(nodes, tables))
        early = len(_attentions(graphs[0].node)) if len(graphs) > 1 else 0
        network = Encoder(_config(nodes, named), opener=opener, early=early)
        network.load_state_dict({name: torch.from_numpy(one) for name, one in named.items()})
    except (KeyError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"{folder / manifest.NETWORK} was not made by `python -m models.encoder.export` of "
            f"this version ({error}): train from `models.encoder.base` instead"
        ) from error
    return network


def _tables(graph: Any) -> Iterator[tuple[str, Floats]]:
    """All weights; bytes become what they stand for."""
    tables = {one.name: one for one in graph.initializer}
    if rows.TABLE in tables:
        yield f"{_OUTER}bert.{PIECE}", rows.full(tables)
    plain = {
        name: numpy_helper.to_array(one)
        for name, one in tables.items()
        if one.data_type != onnx.TensorProto.UINT4
    }
    for name, one in plain.items():
        if name.endswith(_BYTES):
            stem = name.removesuffix(_BYTES)
            steps = one.astype(np.float32) - plain[f"{stem}_zero_point"].astype(np.float32)
            yield stem, steps * plain[f"{stem}_scale"]
        elif name.endswith(blocks.STEPS):
            stem = name.removesuffix(blocks.STEPS)
            yield stem, blocks.unpack(one, plain[stem + blocks.SCALE])
        elif one.dtype == np.float32 and not name.endswith(blocks.SCALE):
            yield name, one.copy()


def _named(nodes: Sequence[Any], tables: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    for name, one in tables.items():
        if name.startswith(_OUTER) and not name.endswith(("_scale", "_zero_point")):
            whole = one.T if name.endswith(_TURNED) else one
            yield name.removeprefix(_OUTER).removesuffix(_TURNED), np.ascontiguousarray(whole)
    for layer in range(len(_attentions(nodes))):
        yield from _attention(layer, tables)
    for number, name in enumerate(_nameless(nodes)):
        layer, place = divmod(number, len(_DENSE))
        weight = np.ascontiguousarray(tables[name].T)
        yield f"bert.encoder.layer.{layer}.{_DENSE[place]}.weight", weight


def _attention(layer: int, tables: dict[str, Floats]) -> Iterator[tuple[str, Floats]]:
    weights = np.split(tables[f"Attention_{layer}_qkv_weight"], len(_PARTS), axis=1)
    biases = np.split(tables[f"Attention_{layer}_qkv_bias"], len(_PARTS))
    for part, weight, bias in zip(_PARTS, weights, biases, strict=True):
        long = f"bert.encoder.layer.{layer}.attention.self.{part}"
        yield f"{long}.weight", np.ascontiguousarray(weight.T)
        yield f"{long}.bias", np.ascontiguousarray(bias)


def _attentions(nodes: Iterable[Any]) -> list[Any]:
    return [node for node in nodes if node.op_type == "QAttention"]


def _nameless(nodes: Sequence[Any]) -> list[str]:
    used = (name for node in nodes for name in node.input)
    return [
        name.removesuffix(_BYTES).removesuffix(blocks.STEPS)
        for name in used
        if name.startswith("onnx::MatMul_") and name.endswith((_BYTES, blocks.STEPS))
    ]


def _config(nodes: Sequence[Any], named: dict[str, Floats]) -> BertConfig:
    pieces, hidden = named[f"bert.{PIECE}"].shape
    attentions = _attentions(nodes)
    heads = next(one.i for one in attentions[0].attribute if one.name == "num_heads")
    return BertConfig(
        vocab_size=pieces,
        hidden_size=hidden,
        num_hidden_layers=len(attentions),
        num_attention_heads=heads,
        intermediate_size=len(named["bert.encoder.layer.0.intermediate.dense.bias"]),
        max_position_embeddings=len(named["bert.embeddings.position_embeddings.weight"]),
        type_vocab_size=len(named["bert.embeddings.token_type_embeddings.weight"]),
        layer_norm_eps=1e-12,
        pad_token_id=1,
    )
