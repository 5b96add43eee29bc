"""Two networks in a row, on a tiny one that was cut after its first layer.

`tests/unit/test_encoder_train.py` holds its words, the settings and the steps.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.bundle import MANIFEST
from models.encoder.cascade import NEVER, PLAIN, Bounds, Calibration, session
from models.encoder.heads import PLACES, WIDTH
from models.encoder.manifest import DEEPER, NETWORK, Early, Manifest
from models.encoder.onnx import OnnxClassifier, open_encoder
from streams.errors import ModelError
from streams.records import Verdict

EARLY = Path(__file__).parent / "encoder-early"
ONLY_FIRST = Bounds(0.0, leak=1.0, irony=1.0)

CLEAR = "late app today"
LEAK = "rude data of app leaked"
TEXTS = [CLEAR, LEAK, "the staff is lovely", "the app", "lovely " * 60, "something else entirely"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLY, tmp_path / "model"))


def changed(folder: Path, **fields: object) -> Path:
    path = folder / MANIFEST
    made = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, **fields)))
    return folder


def bounded(folder: Path, bounds: Bounds) -> OnnxClassifier:
    made = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    assert made.early is not None
    changed(folder, early=Early(made.early.calibration, bounds))
    return open_encoder(folder)


def scores(**by_head: Sequence[float]) -> list[float]:
    made = [0.0] * WIDTH
    for head, values in ({"leak": [-9.0], "irony": [-9.0]} | by_head).items():
        made[PLACES[head]] = values
    return made


SURE, UNSURE = [5.0, 0.0, 0.0], [0.3, 0.0, 0.0]


@pytest.mark.parametrize(
    ("given", "marked", "holds"),
    [
        ({"sentiment": SURE}, False, True),
        ({"sentiment": UNSURE}, False, False),
        ({"sentiment": SURE, "target": UNSURE}, False, True),
        ({"sentiment": SURE, "target": UNSURE}, True, False),
        ({"sentiment": SURE, "target": SURE}, True, True),
        ({"sentiment": UNSURE, "target": SURE}, True, False),
        ({"sentiment": SURE, "leak": [-2.0]}, False, False),
        ({"sentiment": SURE, "irony": [0.5]}, False, False),
        ({"sentiment": SURE, "irony": [0.3]}, False, True),
    ],
)
def test_a_text_is_left_to_the_first_network_only_if_all_that_counts_is_clear(
    *, given: dict[str, Sequence[float]], marked: bool, holds: bool
) -> None:
    assert Bounds(0.9).hold(scores(**given), marked=marked) is holds


def test_scores_of_any_size_are_weighed() -> None:
    huge = scores(sentiment=[1e4, -1e4, 0.0], leak=[-1e4], irony=[-1e4])
    assert Bounds(0.99).hold(huge, marked=False)
    assert ONLY_FIRST.hold(scores(leak=[1e4], irony=[1e4]), marked=True)
    assert not NEVER.hold(scores(sentiment=SURE), marked=False)


def test_what_is_clear_is_not_read_to_the_end_and_a_leak_always_is() -> None:
    assert open_encoder(EARLY).answer([CLEAR, LEAK]).deep == (False, True)


def test_a_verdict_depends_on_its_text_alone() -> None:
    model = open_encoder(EARLY)
    alone = [model.classify([text])[0] for text in TEXTS]
    assert model.classify(TEXTS[::-1])[::-1] == alone
    assert open_encoder(EARLY, threads=1).classify(TEXTS) == alone


def test_the_answers_are_those_of_the_network_that_the_bounds_ask_for(folder: Path) -> None:
    whole = open_encoder(EARLY).run(TEXTS)
    first = [one.early for one in whole if one.early is not None]
    manifest = msgspec.json.decode((EARLY / MANIFEST).read_bytes(), type=Manifest)
    assert manifest.early is not None
    for bounds, deep, said in (
        (NEVER, True, [manifest.calibration.apply(one.scores) for one in whole]),
        (ONLY_FIRST, False, [manifest.early.calibration.apply(one) for one in first]),
    ):
        answers = bounded(folder, bounds).answer(TEXTS)
        assert answers.deep == (deep,) * len(TEXTS)
        tops = [one[PLACES["sentiment"]].argmax() for one in said]
        assert (answers.shares[:, PLACES["sentiment"]].argmax(axis=1) == tops).all()


def test_an_embedding_is_the_same_however_far_a_text_is_read(folder: Path) -> None:
    model = open_encoder(EARLY)
    left, right = model.embed(TEXTS), bounded(folder, NEVER).embed(TEXTS)
    assert np.array_equal(left, right)
    assert np.array_equal(left, np.stack([one.embedding for one in model.run(TEXTS)]))


def test_a_brand_that_is_asked_about_is_answered_by_either_network(folder: Path) -> None:
    for bounds in (NEVER, ONLY_FIRST):
        model = bounded(folder, bounds)
        (verdict,) = model.classify(["lovely staff, awful app"], brands=[["staff", "app"]])
        assert isinstance(verdict, Verdict)
        assert list(verdict.brands or ()) == ["staff", "app"]


def test_other_bounds_are_another_name(folder: Path) -> None:
    assert bounded(folder, NEVER).name != open_encoder(EARLY).name


def test_a_second_file_that_is_missing_or_damaged_is_refused_by_name(folder: Path) -> None:
    content = bytearray((folder / DEEPER).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / DEEPER).write_bytes(content)
    with pytest.raises(ModelError, match=r"deeper\.onnx is damaged"):
        open_encoder(folder)
    (folder / DEEPER).unlink()
    with pytest.raises(ModelError, match=r"cannot read .*deeper\.onnx"):
        open_encoder(folder)


def test_a_manifest_that_names_no_second_file_is_refused(folder: Path) -> None:
    made = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    files = {name: one for name, one in made.files.items() if name != DEEPER}
    with pytest.raises(ModelError, match=r"names no deeper\.onnx"):
        open_encoder(changed(folder, files=files))


def test_a_calibration_of_too_few_scores_is_refused(folder: Path) -> None:
    early = Early(Calibration((1.0,), (0.0,)), NEVER)
    with pytest.raises(ModelError, match="another number of scores"):
        open_encoder(changed(folder, early=early))


def test_a_network_that_answers_something_else_is_refused() -> None:
    content = (EARLY / NETWORK).read_bytes()
    with pytest.raises(ModelError, match=r"network\.onnx gives no 18 scores"):
        session(content, NETWORK, gives="scores")


def test_scores_that_are_not_calibrated_stay_what_they_are() -> None:
    plain = np.arange(WIDTH, dtype=np.float32)
    assert np.array_equal(PLAIN.apply(plain), plain)
    assert not Calibration((1.0,), ()).whole()
