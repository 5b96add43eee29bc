"""Makes a model folder of a training: `python -m models.encoder.export RUN --data DIR --out DIR`.

The network becomes ONNX, its matrices become bytes, its embedding rows become bytes with a scale
each; one with early heads is cut in two after them. The answers of the small network are then
calibrated on the validation rows of the mix, and compared with those of the network that was
trained. Needs the extra `encoder`.
"""

import argparse
import json
import logging
import re
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from rich.console import Console
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.bundle import ENCODER
from models.encoder import blocks, drafts, fit, languages, manifest, mix, network, rows, validate
from models.encoder.cascade import NEVER, PLAIN, Bounds
from models.encoder.heads import PLACES, WIDTH
from models.encoder.onnx import open_encoder, probabilities
from models.encoder.text import write
from streams.errors import InputError

Floats = NDArray[np.float32]

OPSET: Final = 17
_HALF: Final = 0.5
_JOINT: Final = "SkipLayerNormalization"
_LAST: Final = re.compile(r"\.4(_1)?/Gemm$")
"""How the names of the nodes that give the scores end; those of the second set of heads in `_1`."""

_LOOKED_AT: Final = 100
"""Texts on which outliers are looked for."""


class _Alone(nn.Module):  # type: ignore[misc] # torch has no types here
    """A network that reads posts of one length: nothing is filled up, so there is no mask."""

    def __init__(self, inner: network.Encoder) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, ids: Tensor) -> tuple[Tensor, ...]:
        full = torch.ones_like(ids)
        if not self.inner.early:
            scores, embedding = self.inner(ids, full)
            return scores, embedding
        last, embedding, early, states = self.inner.all(ids, full)
        return last + network.JOINT * early, embedding, early, states


AXES: Final = {
    "scores": {0: "posts"},
    "embedding": {0: "posts"},
    "early": {0: "posts"},
    "states": {0: "posts", 1: "pieces"},
}
"""What a network gives; the last two only if it has early heads."""


def trace(net: network.Encoder, to: Path) -> None:
    """Write a network as ONNX."""
    ids = torch.arange(32).reshape(2, 16) % net.bert.config.vocab_size
    gives = list(AXES)[: 4 if net.early else 2]
    with warnings.catch_warnings():
        # The tracer warns of every shape that it takes for a constant; the parity check decides.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Alone(net).eval(),
            (ids,),
            str(to),
            input_names=["ids"],
            output_names=gives,
            dynamic_axes={"ids": {0: "posts", 1: "pieces"}, **AXES},
            opset_version=OPSET,
            dynamo=False,
        )


def fuse(source: Path, to: Path, *, heads: int, hidden: int) -> None:
    """Join the operators that ONNX Runtime has in one piece."""
    options = FusionOptions("bert")
    options.enable_embed_layer_norm = False
    fused = optimizer.optimize_model(
        str(source),
        model_type="bert",
        num_heads=heads,
        hidden_size=hidden,
        optimization_options=options,
        opt_level=0,
    )
    loosen(fused.model)
    fused.save_model_to_file(str(to))


def loosen(model: onnx.ModelProto) -> None:
    """Add and normalise in two steps again: in one, ONNX Runtime takes three times as long."""
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        model.graph.node.extend(_apart(node) if node.op_type == _JOINT else [node])


def _apart(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    (left, right, weight, bias, *rest), out = node.input, node.output[0]
    (epsilon,) = (one.f for one in node.attribute if one.name == "epsilon")
    made = []
    if rest:
        made.append(helper.make_node("Add", [left, rest[0]], [f"{out}_biased"]))
        left = f"{out}_biased"
    made.append(helper.make_node("Add", [left, right], [f"{out}_sum"]))
    made.append(
        helper.make_node(
            "LayerNormalization", [f"{out}_sum", weight, bias], [out], axis=-1, epsilon=epsilon
        )
    )
    return made


def cut(source: Path, first: Path, second: Path) -> None:
    """Cut a network in two after its early heads."""
    extractor = onnx.utils.Extractor(onnx.load(source))
    onnx.save(extractor.extract_model(["ids"], ["early", "embedding", "states"]), first)
    onnx.save(extractor.extract_model(["ids", "states", "early"], ["scores"]), second)


def shrink(source: Path, to: Path) -> None:
    """Turn the matrices into bytes, a scale for each column; the few last ones stay exact."""
    named = [one.name for one in onnx.load(source).graph.node if _LAST.search(one.name)]
    # The quantiser first turns a Gemm into a MatMul of a longer name.
    last = [f"{name}_MatMul" for name in named]
    quantize_dynamic(
        source,
        to,
        op_types_to_quantize=["MatMul", "Attention"],
        nodes_to_exclude=last,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # After fusion the types of some tensors cannot be inferred: they are floats.
        extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},
    )


def convert(
    run: Path, out: Path, *, bits: int = 8, small: bool = True, texts: Sequence[str] = ()
) -> None:
    """Write the network of a training into a model folder, not calibrated yet.

    Args:
        run: the folder of a training, with `network.pt` and the tokenizer.
        out: the model folder.
        bits: of a number in the rows of the pieces, 8 or 4.
        small: with bytes for matrices; else all in full precision.
        texts: on which outliers are looked for, as `models.encoder.text` writes them.
    """
    net = network.load(run, attention="eager")
    config = net.bert.config
    out.mkdir(parents=True, exist_ok=True)
    (out / manifest.DEEPER).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        traced, fused, shrunk = (Path(folder) / f"{name}.onnx" for name in ("t", "f", "s"))
        trace(net, traced)
        fuse(traced, fused, heads=config.num_attention_heads, hidden=config.hidden_size)
        if small:
            if texts:
                _split(net, run, fused, texts)
            shrink(fused, shrunk)
            model = onnx.load(shrunk)
            rows.squeeze(model, bits=bits)
            onnx.save(model, shrunk)
        whole = shrunk if small else fused
        if net.early:
            cut(whole, out / manifest.NETWORK, out / manifest.DEEPER)
        else:
            (out / manifest.NETWORK).write_bytes(whole.read_bytes())
    (out / manifest.TOKENIZER).write_bytes(_tokenizer(run).read_bytes())
    known = languages.table(Tokenizer.from_file(str(out / manifest.TOKENIZER)))
    (out / manifest.LANGUAGES).write_bytes(known.tobytes())


def _split(net: network.Encoder, run: Path, fused: Path, texts: Sequence[str]) -> None:
    tokenizer = Tokenizer.from_file(str(_tokenizer(run)))
    tokenizer.enable_truncation(net.bert.config.max_position_embeddings)
    found = blocks.widths(net, tokenizer, texts)
    model = onnx.load(fused)
    blocks.split(model, [at for at, width in enumerate(found) if width >= blocks.WIDE])
    onnx.save(model, fused)


def _tokenizer(run: Path) -> Path:
    # The best network of a training lies in a folder below that of its tokenizer.
    inside = run / manifest.TOKENIZER
    return inside if inside.exists() else run.parent / manifest.TOKENIZER


def plain(
    pieces: int, trained: dict[str, Any], *, bounds: Bounds | None = None
) -> manifest.Manifest:
    """A manifest without calibration; with bounds, of a network that was cut in two."""
    return manifest.Manifest(
        format=manifest.FORMAT,
        kind=ENCODER,
        leak_threshold=0.5,
        pieces=pieces,
        scale=(1.0,) * WIDTH,
        offset=(0.0,) * WIDTH,
        trained=trained,
        files={},
        early=None if bounds is None else manifest.Early(PLAIN, bounds),
    )


@dataclass(frozen=True)
class Parity:
    """How alike two models answer: shares of texts with the same label."""

    texts: int
    sentiment: float
    leak: float
    widest: float
    """The largest difference of a probability of sentiment."""


def parity(left: Floats, right: Floats) -> Parity:
    """Compare the probabilities that two models give to the same texts."""
    feel, leak = PLACES["sentiment"], PLACES["leak"]
    return Parity(
        texts=len(left),
        sentiment=float((left[:, feel].argmax(1) == right[:, feel].argmax(1)).mean()),
        leak=float(((left[:, leak] >= _HALF) == (right[:, leak] >= _HALF)).mean()),
        widest=float(np.abs(left[:, feel] - right[:, feel]).max()),
    )


def compare(run: Path, out: Path, texts: Sequence[str], *, pieces: int) -> Parity:
    """Compare a model folder with the network that it was made of, before calibration."""
    written = [write(text) for text in texts]
    tokenizer = Tokenizer.from_file(str(_tokenizer(run)))
    tokenizer.enable_truncation(pieces)
    net = network.load(run)
    parent = probabilities(validate.scores(net, tokenizer, written, plain=True))
    model = open_encoder(out)
    child = probabilities(np.stack([one.scores for one in model.run(written)]))
    return parity(parent, child)


def with_parity(made: manifest.Manifest, found: dict[str, Parity]) -> manifest.Manifest:
    """The same manifest, with what was compared for its card."""
    parity = {name: asdict(one) for name, one in found.items()}
    return msgspec.structs.replace(made, trained={**made.trained, "parity": parity})


def compare_exact(run: Path, texts: Sequence[str], *, pieces: int) -> Parity:
    """Compare the network in full precision with ONNX Runtime and with PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        convert(run, out, small=False)
        bounds = NEVER if (out / manifest.DEEPER).exists() else None
        manifest.save(out, plain(pieces, {}, bounds=bounds))
        return compare(run, out, texts, pieces=pieces)


def export(
    run: Path,
    out: Path,
    plan: mix.Mix,
    data: Path,
    *,
    pieces: int,
    bits: int = 8,
    sure: float = 1.0,
) -> manifest.Manifest:
    """Write a model folder and calibrate it.

    Args:
        run: the folder of a training.
        out: the model folder.
        plan: whose validation rows it is calibrated on.
        data: the folder that the mix speaks of.
        pieces: word pieces of a post that are read.
        bits: of a number in the rows of the pieces, 8 or 4.
        sure: least probability with which early heads, if there are any, spare a post the rest.
    """
    convert(run, out, bits=bits, texts=_some(plan, data))
    bounds = Bounds(sure) if (out / manifest.DEEPER).exists() else None
    made = plain(pieces, told(run, plan, data), bounds=bounds)
    manifest.save(out, made)
    made = fit.calibrate(made, fit.gather(open_encoder(out), plan, data))
    manifest.save(out, made)
    return made


def _some(plan: mix.Mix, data: Path) -> list[str]:
    found = [write(row.text) for part in plan.validate for row in mix.rows(part, data)]
    return found[:: max(1, len(found) // _LOOKED_AT)]


def told(run: Path, plan: mix.Mix, data: Path) -> dict[str, Any]:
    """What the card says of the data and the settings."""
    counts: Counter[str] = Counter()
    for part in plan.part:
        counts.update(
            f"{part.task}: {'written for this project' if part.ours else row.source}"
            for row in mix.rows(part, data)
            if not drafts.held_back(row)
        )
    settings = _tokenizer(run).with_name("settings.json")
    kept = json.loads(settings.read_text(encoding="utf-8")) if settings.exists() else {}
    return {"settings": kept, "rows": dict(counts)}


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m models.encoder.export", description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a training")
    parser.add_argument("--mix", type=Path, default=Path(__file__).with_name("mix.toml"))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--pieces", type=int, default=64, help="word pieces of a post that are read"
    )
    parser.add_argument("--bits", type=int, choices=(8, 4), default=8, help="of a piece's numbers")
    parser.add_argument(
        "--sure", type=float, default=0.6, help="of early heads: how sure spares the other layers"
    )
    parser.add_argument("--parity", type=int, default=1_000, help="texts to compare on; 0: none")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Export from the command line; 2 when a file is wrong."""
    asked = _arguments(sys.argv[1:] if given is None else given)
    # The quantiser advises steps that change nothing here.
    logging.disable(logging.WARNING)
    console = Console(stderr=True, soft_wrap=True)
    try:
        plan = mix.load(asked.mix)
        how = {"pieces": asked.pieces, "bits": asked.bits, "sure": asked.sure}
        made = export(asked.run, asked.out, plan, asked.data, **how)
        console.print(f"{asked.out}: leak threshold {made.leak_threshold}")
        if asked.parity:
            texts = [row.text for part in plan.validate for row in mix.rows(part, asked.data)]
            few = texts[:: max(1, len(texts) // asked.parity)]
            found = {
                "in full precision": compare_exact(asked.run, few, pieces=asked.pieces),
                "as bytes": compare(asked.run, asked.out, few, pieces=asked.pieces),
            }
            for name, alike in found.items():
                console.print(f"against PyTorch, {name}: {alike}")
            manifest.save(asked.out, with_parity(made, found))
    except InputError as error:
        console.print(str(error), markup=False)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
