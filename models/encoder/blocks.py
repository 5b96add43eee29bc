"""Matrices in blocks: where the input of a matrix has outliers, bytes need a scale for each block.

Elsewhere a post has one scale for all its numbers at a place of the network. A few numbers that are
a hundred times larger than the others then leave hardly any steps for those. `MatMulNBits` of ONNX
Runtime reckons with bytes too, yet each block of the input has a scale; it takes longer, so only
the worst places get it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from models.encoder.batches import encode, fill
from models.encoder.network import Encoder

Floats = NDArray[np.float32]

BLOCK: Final = 128
"""Numbers of the input that share a scale."""

WIDE: Final = 120.0
"""Largest number over the root of the mean square, from which on an input is in blocks.

In twelve trained layers it was 31 to 203. Putting that of 203 alone in blocks took a quarter off
the difference of probabilities between bytes and full precision, and 3 % more time.
"""

STEPS: Final = "_blocks"
SCALE: Final = "_block_scale"
"""How the names of a matrix in blocks end."""

_MIDDLE: Final = 128
_MICROSOFT: Final = "com.microsoft"
_PLACE: Final = "layer.{}/output/dense/MatMul"
"""How the node that follows the activation of a layer is named."""


def widths(net: Encoder, tokenizer: Any, written: Sequence[str]) -> list[float]:
    """How far outliers stand out in what follows the activation of each layer, on some texts."""
    found: list[float] = [0.0] * net.bert.config.num_hidden_layers
    hooks = [
        layer.output.dense.register_forward_pre_hook(_watch(found, at))
        for at, layer in enumerate(net.bert.encoder.layer)
    ]
    try:
        with torch.no_grad():
            for pieces in encode(tokenizer, written):
                net(*fill([pieces]))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _watch(found: list[float], at: int) -> Any:
    def look(_: Any, given: tuple[Tensor, ...]) -> None:
        (states,) = given
        width = states.abs().max() / states.square().mean().sqrt().clamp(min=1e-9)
        found[at] = max(found[at], float(width))

    return look


def split(model: onnx.ModelProto, layers: Sequence[int]) -> None:
    """Put the matrices that follow the activation of some layers in blocks."""
    ends = tuple(_PLACE.format(layer) for layer in layers)
    tables = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.name.endswith(ends):
            table = tables[node.input[1]]
            model.graph.initializer.remove(table)
            model.graph.initializer.extend(_turn(node, numpy_helper.to_array(table)))
    if layers and not any(one.domain == _MICROSOFT for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))


def _turn(node: onnx.NodeProto, full: Floats) -> Iterator[onnx.TensorProto]:
    """Make a node reckon in blocks; gives its new tables."""
    stem, (inner, outer) = node.input[1], full.shape
    steps, scale = pack(full)
    node.op_type, node.domain = "MatMulNBits", _MICROSOFT
    node.input[1] = stem + STEPS
    node.input.append(stem + SCALE)
    sizes = {"K": inner, "N": outer, "bits": 8, "block_size": BLOCK, "accuracy_level": 4}
    node.attribute.extend(helper.make_attribute(name, size) for name, size in sizes.items())
    yield numpy_helper.from_array(steps, stem + STEPS)
    yield numpy_helper.from_array(scale, stem + SCALE)


def pack(full: Floats) -> tuple[NDArray[np.uint8], Floats]:
    """A matrix as bytes around 128, by column and block, and what a step of each block stands for.

    Args:
        full: a row for each number of the input; their count is a multiple of `BLOCK`.
    """
    inner, outer = full.shape
    blocks = full.T.reshape(outer, inner // BLOCK, BLOCK).astype(np.float32)
    scale = np.maximum(np.abs(blocks).max(axis=2), 1e-8) / (_MIDDLE - 1)
    steps = np.rint(blocks / scale[:, :, None]) + _MIDDLE
    return steps.astype(np.uint8), scale.astype(np.float32)


def unpack(steps: NDArray[np.uint8], scale: Floats) -> Floats:
    """The matrix again."""
    blocks = (steps.astype(np.float32) - _MIDDLE) * scale.reshape(*steps.shape[:2], 1)
    return np.ascontiguousarray(blocks.reshape(len(steps), -1).T)
