"""Training, export and calibration of an encoder, on a network so small that it takes seconds."""

import importlib.util
import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.encoder import manifest, mix
from models.encoder.heads import WIDTH
from models.encoder.onnx import open_encoder
from models.encoder.text import CLOSE, OPEN
from streams.errors import InputError, ModelError
from streams.records import Verdict

MISSING = [
    name
    for name in ("torch", "onnx", "sklearn", "wordfreq")
    if importlib.util.find_spec(name) is None
]
pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"not installed: {', '.join(MISSING)}; pip install 'trustwatch[encoder]' to run them",
)

GOOD = ("lovely", "great", "kind", "quick")
BAD = ("awful", "broken", "rude", "late")
WORDS = (*GOOD, *BAD, "the", "staff", "is", "was", "app", "today", "leaked", "data", "files", "of")
MIX = """
pairs = 8

[[part]]
task = "sentiment"
files = "feel.jsonl"

[[part]]
task = "leak"
files = "leak.jsonl"

[[validate]]
task = "sentiment"
files = "feel.jsonl"

[[validate]]
task = "leak"
files = "leak.jsonl"
"""


LEAKS_ALONE = """
[[part]]
task = "leak"
files = "leak.jsonl"

[[validate]]
task = "leak"
files = "leak.jsonl"
"""


def tokenizer(to: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors  # noqa: PLC0415

    names = ["<s>", "<pad>", "</s>", "<unk>", *WORDS]
    made = Tokenizer(models.WordLevel({name: at for at, name in enumerate(names)}, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.add_special_tokens([AddedToken(one, normalized=False) for one in (OPEN, CLOSE)])
    made.save(str(to / manifest.TOKENIZER))


def base(folder: Path) -> Path:
    """A start with random weights."""
    import torch  # noqa: PLC0415
    from transformers import BertConfig, BertModel  # noqa: PLC0415

    folder.mkdir()
    tokenizer(folder)
    torch.manual_seed(5)
    config = BertConfig(
        vocab_size=len(WORDS) + 6,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=1,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def data(folder: Path) -> Path:
    folder.mkdir()
    kinds = (("positive", GOOD), ("negative", BAD), ("neutral", ("today",)))
    lines(
        folder / "feel.jsonl",
        [
            {"text": f"the {noun} {verb} {word}", "label": label, "lang": "en", "brand": noun}
            for noun in ("staff", "app", "data", "files")
            for verb in ("is", "was", "of")
            for label, words in kinds
            for word in words
        ],
    )
    leaks = [
        {"text": f"{word} data of {noun} leaked", "label": "leak", "leak_type": "data_breach"}
        for word in (*GOOD, *BAD)
        for noun in ("staff", "app")
    ]
    calm = [
        {"text": f"{word} {noun} today", "label": "no_leak"}
        for word in (*GOOD, *BAD)
        for noun in ("staff", "app")
    ]
    lines(folder / "leak.jsonl", leaks + calm)
    return folder


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "mix.toml"
    # What is validated on is kept out of training: here the same few rows serve for both.
    path.write_text(MIX, encoding="utf-8")
    return path


def train(
    tmp_path: Path, plan: Path, out: str, posts: int, *, code: int = 0, more: Sequence[str] = ()
) -> Path:
    from models.encoder.train import main  # noqa: PLC0415

    given = ["--mix", plan, "--data", tmp_path / "data", "--base", tmp_path / "base"]
    given += ["--out", tmp_path / out, "--posts", posts, "--layers", "0,1", "--batch", "8"]
    given += ["--rate", "3e-3", "--slices", "1", "--every", "50", "--threads", "1"]
    assert main([*(str(one) for one in given), *more]) == code
    return tmp_path / out


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rows of validation be trained on."""
    from models.encoder import drafts  # noqa: PLC0415

    monkeypatch.setattr(drafts, "apart", lambda *_: frozenset())


@pytest.mark.usefixtures("together")
def test_a_training_is_exported_calibrated_and_judges(tmp_path: Path, plan: Path) -> None:
    from models.encoder import export  # noqa: PLC0415

    base(tmp_path / "base")
    where = data(tmp_path / "data")
    run = train(tmp_path, plan, "run", 1_600)
    out = tmp_path / "bundle"
    made = export.export(run, out, mix.load(plan), where, pieces=32)
    assert made.scale != (1.0,) * WIDTH
    assert made.trained["rows"] == {"leak: unknown": 32, "sentiment: unknown": 108}
    model = open_encoder(out)
    good, bad, leak, calm = model.classify(
        ["the staff is lovely", "the staff is awful", "rude data of app leaked", "rude app today"]
    )
    assert isinstance(good, Verdict)
    assert isinstance(bad, Verdict)
    assert isinstance(leak, Verdict)
    assert isinstance(calm, Verdict)
    assert good.sentiment.positive > 0.8
    assert bad.sentiment.negative > 0.8
    assert leak.leak > model.leak_threshold > calm.leak
    texts = [row.text for row in mix.read(where / "feel.jsonl")]
    alike = export.compare(run, out, texts, pieces=32)
    assert alike.texts == len(texts)
    assert alike.sentiment >= 0.95


@pytest.mark.usefixtures("together")
def test_full_precision_answers_like_the_network_that_was_trained(
    tmp_path: Path, plan: Path
) -> None:
    from models.encoder import export  # noqa: PLC0415

    base(tmp_path / "base")
    where = data(tmp_path / "data")
    texts = [row.text for row in mix.read(where / "leak.jsonl")]
    for name, more in (("run", ()), ("early", ("--early", "1"))):
        run = train(tmp_path, plan, name, 400, more=more)
        alike = export.compare_exact(run, texts, pieces=32)
        assert alike.sentiment >= 0.99
        assert alike.widest < 1e-4


@pytest.mark.usefixtures("together")
def test_a_training_is_drawn_back_towards_its_start(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch  # noqa: PLC0415
    from transformers import BertModel  # noqa: PLC0415

    from models.encoder import network  # noqa: PLC0415
    from models.encoder.soften import main, soften  # noqa: PLC0415

    start = base(tmp_path / "base")
    data(tmp_path / "data")
    run = train(tmp_path, plan, "run", 160)
    given = [str(run), "--base", str(start), "--out", str(tmp_path / "soft"), "--keep", "0.25"]
    assert main(given) == 0
    soft, hard = network.load(tmp_path / "soft"), network.load(run)
    first = BertModel.from_pretrained(start, add_pooling_layer=False)
    one, other, mean = (
        net.encoder.layer[1].output.dense.weight for net in (first, hard.bert, soft.bert)
    )
    assert torch.allclose(mean, 0.75 * one + 0.25 * other)
    assert not torch.equal(one, other)
    head = "sentiment"
    assert torch.equal(soft.heads[head][1].weight, hard.heads[head][1].weight)
    assert (tmp_path / "soft" / manifest.TOKENIZER).exists()

    assert main([*given[:-1], "2"]) == 2
    assert "--keep 2.0 is not from 0 to 1" in capsys.readouterr().err
    with pytest.raises(InputError, match="give the folder of a finished training"):
        soften(tmp_path / "none", start, tmp_path / "x")
    short = train(tmp_path, plan, "short", 8, more=["--layers", "1"])
    (tmp_path / "base" / "model.safetensors").unlink()
    BertModel(network.load(short).bert.config, add_pooling_layer=False).save_pretrained(start)
    with pytest.raises(InputError, match="keep all layers of it"):
        soften(run, start, tmp_path / "x")


@pytest.mark.usefixtures("together")
def test_a_training_that_was_stopped_goes_on(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base(tmp_path / "base")
    data(tmp_path / "data")
    run = train(tmp_path, plan, "run", 160)
    assert "slice 0:" in capsys.readouterr().err
    train(tmp_path, plan, "run", 320)
    told = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [one["posts"] for one in told] == [164, 320]
    assert "slice 0:" not in capsys.readouterr().err


@pytest.mark.usefixtures("together")
def test_the_same_seed_gives_the_same_network(tmp_path: Path, plan: Path) -> None:
    import torch  # noqa: PLC0415

    base(tmp_path / "base")
    data(tmp_path / "data")
    one, other = (
        torch.load(train(tmp_path, plan, name, 160) / "network.pt", weights_only=True)
        for name in ("one", "other")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("together")
def test_a_model_folder_can_be_trained_on(tmp_path: Path, plan: Path) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    from models.encoder import network  # noqa: PLC0415
    from models.encoder.recover import recover  # noqa: PLC0415
    from models.encoder.text import write  # noqa: PLC0415
    from models.encoder.validate import scores  # noqa: PLC0415

    tiny = Path(__file__).parent / "encoder-tiny"
    where = data(tmp_path / "data")
    texts = [write(row.text) for row in mix.read(where / "feel.jsonl")]
    words = Tokenizer.from_file(str(tiny / manifest.TOKENIZER))
    opener = words.token_to_id(OPEN)
    assert opener is not None
    again = recover(tiny, opener=opener).eval()
    said = scores(again, words, texts, plain=True)[:, :3].argmax(axis=1)
    known = [one.scores[:3].argmax() for one in open_encoder(tiny).run(texts)]
    assert (said == known).mean() >= 0.95

    shutil.copytree(tiny, tmp_path / "base")
    run = train(tmp_path, plan, "more", 160)
    assert network.load(run).bert.config.num_hidden_layers == 2


@pytest.mark.usefixtures("together")
def test_some_layers_and_the_heads_of_a_training_are_trained_on(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch  # noqa: PLC0415

    from models.encoder import network  # noqa: PLC0415

    base(tmp_path / "base")
    data(tmp_path / "data")
    two = network.load(train(tmp_path, plan, "two", 160))
    one = network.start(tmp_path / "two", layers=(1,), opener=two.opener)
    assert one.bert.config.num_hidden_layers == 1
    kept, whole = one.state_dict(), two.state_dict()
    for name in kept:
        assert torch.equal(kept[name], whole[name.replace(".layer.0.", ".layer.1.")]), name

    shutil.move(tmp_path / "two", tmp_path / "base-two")
    shutil.rmtree(tmp_path / "base")
    shutil.move(tmp_path / "base-two", tmp_path / "base")
    short = train(tmp_path, plan, "short", 160, more=["--layers", "1"])
    assert network.load(short).bert.config.num_hidden_layers == 1
    train(tmp_path, plan, "deep", 160, code=2, more=["--layers", "0,2"])
    assert "has layers 0 to 1: give --layers among them" in capsys.readouterr().err


@pytest.mark.usefixtures("together")
def test_a_network_learns_from_a_teacher_what_no_label_says(tmp_path: Path, plan: Path) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    from models.encoder import network  # noqa: PLC0415
    from models.encoder.heads import PLACES  # noqa: PLC0415
    from models.encoder.text import write  # noqa: PLC0415
    from models.encoder.validate import scores  # noqa: PLC0415

    base(tmp_path / "base")
    where = data(tmp_path / "data")
    texts = [write(row.text) for row in mix.read(where / "leak.jsonl")]
    teacher = train(tmp_path, plan, "teacher", 800)
    plan.write_text(plan.read_text().split("[[part]]")[0] + LEAKS_ALONE)
    alone = train(tmp_path, plan, "alone", 800)
    more = ["--teacher", str(teacher), "--taught", "0.9"]
    pupil = train(tmp_path, plan, "pupil", 800, more=more)
    words = Tokenizer.from_file(str(teacher / manifest.TOKENIZER))
    feel = PLACES["sentiment"]
    known, left, said = (
        scores(network.load(run), words, texts)[:, feel].argmax(axis=1)
        for run in (teacher, alone, pupil)
    )
    assert (said == known).mean() > 0.9
    assert (said == known).mean() > (left == known).mean() + 0.1


@pytest.mark.parametrize(("bits", "coarse"), [(8, 0.005), (4, 0.15)])
def test_a_small_table_gives_nearly_the_same_rows(bits: int, coarse: float) -> None:
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    from models.encoder import rows  # noqa: PLC0415

    draw = np.random.default_rng(2)
    table = draw.normal(size=(50, 64)).astype(np.float32)
    table[7] = 0.0
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 64])
    graph = helper.make_graph(
        [helper.make_node("Gather", ["all", "ids"], ["out"])],
        "rows",
        [ids],
        [out],
        [numpy_helper.from_array(table, "all")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    rows.squeeze(model, bits=bits)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"ids": np.arange(50)})
    assert np.abs(found - table).mean() < coarse
    assert not found[7].any()
    again = rows.full({one.name: one for one in model.graph.initializer})
    assert np.allclose(again, found, atol=1e-6)


def test_a_matrix_in_blocks_copes_with_outliers() -> None:
    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    from models.encoder import blocks  # noqa: PLC0415

    draw = np.random.default_rng(3)
    full = draw.normal(size=(2 * blocks.BLOCK, 16)).astype(np.float32)
    given = draw.normal(size=(1, 5, len(full))).astype(np.float32)
    given[0, 2, 7] = 500.0
    one, other = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n", size])
        for name, size in (("in", len(full)), ("out", 16))
    )
    node = helper.make_node("MatMul", ["in", "w"], ["out"], name="/layer.3/output/dense/MatMul")
    graph = helper.make_graph([node], "g", [one], [other], [numpy_helper.from_array(full, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    blocks.split(model, [1])
    assert model.graph.node[0].op_type == "MatMul", "another layer"
    blocks.split(model, [3])
    assert model.graph.node[0].op_type == "MatMulNBits"
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"in": given})
    calm = [0, 1, 3, 4]
    assert np.abs(found - given @ full)[0, calm].max() < 1.0, "of sums of about 16"
    tables = {row.name: numpy_helper.to_array(row) for row in model.graph.initializer}
    again = blocks.unpack(tables[f"w{blocks.STEPS}"], tables[f"w{blocks.SCALE}"])
    assert np.abs(again - full).max() < 0.02


def test_outliers_are_seen_where_they_are(tmp_path: Path) -> None:
    import torch  # noqa: PLC0415
    from tokenizers import Tokenizer  # noqa: PLC0415

    from models.encoder import blocks, network  # noqa: PLC0415

    words = Tokenizer.from_file(str(base(tmp_path / "base") / manifest.TOKENIZER))
    net = network.start(tmp_path / "base", layers=(0, 1), opener=4).eval()
    before = blocks.widths(net, words, ["the staff is lovely"])
    with torch.no_grad():
        net.bert.encoder.layer[1].intermediate.dense.bias[5] = 80.0
    after = blocks.widths(net, words, ["the staff is lovely"])
    assert after[0] == before[0]
    assert after[1] > 2 * before[1]


def test_a_model_of_another_make_is_not_trained_on(tmp_path: Path) -> None:
    import onnx  # noqa: PLC0415

    from models.encoder.recover import recover  # noqa: PLC0415

    tiny = Path(shutil.copytree(Path(__file__).parent / "encoder-tiny", tmp_path / "tiny"))
    kept, _, _ = manifest.load(tiny)
    made = onnx.load(tiny / manifest.NETWORK)
    for node in made.graph.node:
        if node.op_type == "QAttention":
            node.op_type = "Attention"
    onnx.save(made, tiny / manifest.NETWORK)
    manifest.save(tiny, kept)
    with pytest.raises(ModelError, match=r"was not made by `python -m models\.encoder\.export`"):
        recover(tiny, opener=4)


@pytest.mark.usefixtures("together")
def test_a_stop_saves_and_the_rest_is_done_later(
    tmp_path: Path, plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.encoder import train as training  # noqa: PLC0415

    base(tmp_path / "base")
    data(tmp_path / "data")
    real, done = training.step, []

    def step(*given: Any) -> float:
        done.append(1)
        if len(done) == 5:
            signal.raise_signal(signal.SIGTERM)
        return real(*given)

    monkeypatch.setattr(training, "step", step)
    before = signal.getsignal(signal.SIGTERM)
    try:
        train(tmp_path, plan, "run", 160, code=143)
        assert len(done) == 5
        run = train(tmp_path, plan, "run", 160)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert 20 <= len(done) <= 22
    assert [json.loads(line)["posts"] for line in (run / "log.jsonl").read_text().splitlines()] == [
        164
    ]


def test_without_a_start_the_command_says_how_to_make_one(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.encoder.train import main  # noqa: PLC0415

    given = ["--mix", plan, "--data", tmp_path, "--base", tmp_path / "no", "--out", tmp_path / "x"]
    assert main([str(one) for one in given]) == 2
    assert "run `python -m models.encoder.base` first" in capsys.readouterr().err


@pytest.mark.usefixtures("together")
def test_a_network_with_early_heads_is_cut_in_two(tmp_path: Path, plan: Path) -> None:
    from tokenizers import Tokenizer  # noqa: PLC0415

    from models.encoder import export, network  # noqa: PLC0415
    from models.encoder.recover import recover  # noqa: PLC0415
    from models.encoder.text import write  # noqa: PLC0415
    from models.encoder.validate import scores  # noqa: PLC0415

    base(tmp_path / "base")
    where = data(tmp_path / "data")
    run, out = train(tmp_path, plan, "run", 1_600, more=["--early", "1"]), tmp_path / "bundle"
    made = export.export(run, out, mix.load(plan), where, pieces=32, sure=0.7)
    assert made.early is not None
    assert made.early.calibration.scale != (1.0,) * WIDTH
    assert set(made.files) == set() or manifest.DEEPER in manifest.load(out)[1]

    texts = [row.text for row in mix.read(where / "feel.jsonl")]
    said = open_encoder(out).run([write(text) for text in texts])
    feel = slice(0, 3)
    agree = [one.early is not None and one.early[feel].argmax() for one in said]
    assert agree == [one.scores[feel].argmax() for one in said], "so few words are learnt by both"
    assert export.compare(run, out, texts, pieces=32).sentiment >= 0.95

    words = Tokenizer.from_file(str(out / manifest.TOKENIZER))
    opener = words.token_to_id(OPEN)
    assert opener is not None
    again = recover(out, opener=opener).eval()
    assert again.early == network.load(run).early == 1
    plain = scores(again, words, [write(text) for text in texts], plain=True)
    assert (plain[:, feel].argmax(axis=1) == [one.scores[feel].argmax() for one in said]).all()
    kept = network.start(run, layers=(0, 1), opener=opener, early=1)
    assert all(
        bool((one == again_).all())
        for one, again_ in zip(
            kept.state_dict().values(), network.load(run).state_dict().values(), strict=True
        )
    )


def test_early_heads_stand_before_the_last_layer(
    tmp_path: Path, plan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base(tmp_path / "base")
    data(tmp_path / "data")
    train(tmp_path, plan, "run", 16, code=2, more=["--early", "2"])
    assert "--early 2 is not before the last of 2 layers" in capsys.readouterr().err
