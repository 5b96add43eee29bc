"""The table of the word pieces in little space: eight bits a number, or four."""

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]
Nibbles = NDArray[np.uint8]

TABLE: Final = "pieces"
SCALE: Final = "pieces_scale"
BLOCK: Final = 32
"""Numbers of a row that share a scale, with four bits."""

_ZERO: Final = "pieces_zero"
_FLAT: Final = 2
_MIDDLE: Final = 8
_TINY: Final = 1e-8
_MICROSOFT: Final = "com.microsoft"
_NIBBLES_SINCE: Final = 10
"""The version of the format that knows four-bit numbers."""


def squeeze(model: onnx.ModelProto, *, bits: int) -> None:
    """Replace the look-up of the pieces' rows by one in a smaller table.

    Args:
        model: with one look-up by the input `ids`.
        bits: 8 or 4 for each number.
    """
    graph = model.graph
    tables = {one.name: one for one in graph.initializer if len(one.dims) == _FLAT}
    node = next(
        one
        for one in graph.node
        if one.op_type == "Gather" and one.input[0] in tables and one.input[1] == "ids"
    )
    table = tables[node.input[0]]
    full = numpy_helper.to_array(table).astype(np.float32)
    place = list(graph.node).index(node)
    graph.initializer.remove(table)
    graph.node.remove(node)
    small = _bytes if bits == _MIDDLE else _nibbles
    initializers, nodes = small(full, node.output[0])
    graph.initializer.extend(initializers)
    for one in reversed(nodes):
        graph.node.insert(place, one)
    if bits != _MIDDLE:
        _declare(model)


def _bytes(full: Floats, out: str) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    rows, scale = halve(full)
    nodes = [
        helper.make_node("Gather", [TABLE, "ids"], ["piece_rows"]),
        helper.make_node("Gather", [SCALE, "ids"], ["piece_scale"]),
        helper.make_node("Cast", ["piece_rows"], ["piece_steps"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["piece_steps", "piece_scale"], [out]),
    ]
    return [numpy_helper.from_array(rows, TABLE), numpy_helper.from_array(scale, SCALE)], nodes


def halve(full: Floats) -> tuple[Bytes, Floats]:
    """The rows of a table as bytes, and what one step of each row stands for."""
    scale = np.maximum(np.abs(full).max(axis=1, keepdims=True), _TINY) / 127
    return np.rint(full / scale).astype(np.int8), scale.astype(np.float32)


def _nibbles(full: Floats, out: str) -> tuple[list[TensorProto], list[onnx.NodeProto]]:
    steps, scale = quarter(full)
    node = helper.make_node(
        "GatherBlockQuantized",
        [TABLE, "ids", SCALE, _ZERO],
        [out],
        domain=_MICROSOFT,
        block_size=BLOCK,
        gather_axis=0,
        quantize_axis=1,
    )
    middle = np.full(scale.shape, _MIDDLE, dtype=np.uint8)
    tables = [_packed(TABLE, steps), numpy_helper.from_array(scale, SCALE), _packed(_ZERO, middle)]
    return tables, [node]


def quarter(full: Floats) -> tuple[Nibbles, Floats]:
    """The rows of a table in steps from 0 to 15, and what one step of each block stands for.

    The number of a block that is farthest from zero is hit exactly: it gets step 0, the others
    count from 8 in its direction.
    """
    blocks = full.reshape(len(full), -1, BLOCK)
    far = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)
    scale = far / -_MIDDLE
    scale = np.where(scale == 0, _TINY, scale)
    steps = np.clip(np.rint(blocks / scale) + _MIDDLE, 0, 15).astype(np.uint8)
    return steps.reshape(full.shape), scale[:, :, 0].astype(np.float32)


def _packed(name: str, steps: Nibbles) -> TensorProto:
    """Two numbers in a byte, the first in the low half."""
    flat = steps.reshape(-1)
    flat = np.append(flat, np.uint8(0)) if len(flat) % 2 else flat
    made = TensorProto(name=name, data_type=TensorProto.UINT4, dims=steps.shape)
    made.raw_data = (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8).tobytes()
    return made


def _declare(model: onnx.ModelProto) -> None:
    if not any(one.domain == _MICROSOFT for one in model.opset_import):
        model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    model.ir_version = max(model.ir_version, _NIBBLES_SINCE)


def full(initializers: dict[str, Any]) -> Floats:
    """The table in full again.

    Args:
        initializers: the tensors of a graph, by name.
    """
    scale = numpy_helper.to_array(initializers[SCALE])
    table = initializers[TABLE]
    if table.data_type != TensorProto.UINT4:
        return np.asarray(numpy_helper.to_array(table).astype(np.float32) * scale)
    pairs = np.frombuffer(table.raw_data, dtype=np.uint8)
    steps = np.stack([pairs & 15, pairs >> 4], axis=1).reshape(tuple(table.dims))
    return np.asarray((steps.astype(np.float32) - _MIDDLE) * np.repeat(scale, BLOCK, axis=1))
