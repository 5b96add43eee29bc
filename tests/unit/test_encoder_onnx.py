"""The encoder at run time, on a tiny network that was trained on a dozen words.

`tests/unit/test_encoder_train.py` holds those words, the settings and the steps.
"""

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models import Classifier
from models.bundle import MANIFEST
from models.encoder.cascade import Answer, Cascade
from models.encoder.heads import HEADS, PLACES, WIDTH
from models.encoder.languages import ENOUGH, Languages
from models.encoder.manifest import LANGUAGES, NETWORK, TOKENIZER, Manifest, save
from models.encoder.onnx import LONGEST, OnnxClassifier, open_encoder, probabilities
from models.labels import LEAK_KINDS
from streams.errors import ModelError, RejectedError
from streams.records import Verdict

TINY = Path(__file__).parent / "encoder-tiny"

TEXTS = [
    "the staff is lovely",
    "the staff is awful, the app is great today",
    "rude data of app leaked",
    "late app today",
    "lovely " * 300,
    "something else entirely",
]


@pytest.fixture(scope="module")
def model() -> OnnxClassifier:
    return open_encoder(TINY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "model"))


def one(said: Sequence[Verdict | RejectedError]) -> Verdict:
    (verdict,) = said
    assert isinstance(verdict, Verdict)
    return verdict


def test_it_is_a_classifier(model: OnnxClassifier) -> None:
    judge: Classifier = model
    assert judge.name.startswith("encoder-1 sha256:")
    assert 0.0 < judge.leak_threshold < 1.0


def test_it_has_learnt_its_dozen_words(model: OnnxClassifier) -> None:
    good, bad = one(model.classify(["the staff is lovely"])), one(model.classify(["app was awful"]))
    assert good.sentiment.positive > 0.9
    assert bad.sentiment.negative > 0.9
    leak, calm = (
        one(model.classify(["rude data of app leaked"])),
        one(model.classify(["late app today"])),
    )
    assert leak.leak > model.leak_threshold > calm.leak


def test_probabilities_are_of_their_head(model: OnnxClassifier) -> None:
    verdict = one(model.classify(["the staff is lovely"]))
    mood = msgspec.structs.astuple(verdict.sentiment)
    assert sum(mood) == pytest.approx(1.0, abs=2e-4)
    assert verdict.emotion is not None
    assert sum(verdict.emotion.values()) == pytest.approx(1.0, abs=3e-4)
    assert verdict.leak_kind is not None
    assert tuple(verdict.leak_kind) == LEAK_KINDS
    assert verdict.irony is not None
    assert 0.0 <= verdict.irony <= 1.0
    assert verdict.brands is None


def test_a_verdict_depends_on_its_text_alone(model: OnnxClassifier) -> None:
    alone = [model.classify([text])[0] for text in TEXTS]
    assert model.classify(TEXTS) == alone
    assert model.classify(TEXTS[::-1])[::-1] == alone


def test_the_number_of_threads_changes_nothing() -> None:
    said = [open_encoder(TINY, threads=threads).classify(TEXTS * 5) for threads in (1, 4)]
    assert said[0] == said[1]


def test_sentiment_is_told_towards_each_brand_asked_about(model: OnnxClassifier) -> None:
    verdict = one(model.classify(["lovely staff, awful app"], brands=[["staff", "app"]]))
    assert verdict.brands is not None
    assert list(verdict.brands) == ["staff", "app"]
    for towards in verdict.brands.values():
        assert sum(msgspec.structs.astuple(towards.sentiment)) == pytest.approx(1.0, abs=2e-4)
    assert verdict.towards("staff") == verdict.brands["staff"].sentiment
    assert verdict.towards("Zorb") == verdict.sentiment


@pytest.mark.parametrize(
    ("brands", "passes"), [([], 1), (["app"], 1), (["app", "staff"], 2), (["app", "app"], 1)]
)
def test_only_a_second_brand_takes_a_second_pass(
    monkeypatch: pytest.MonkeyPatch, brands: list[str], passes: int
) -> None:
    read, done = Cascade.read, []

    def counted(cascade: Cascade, pieces: Sequence[int], **how: bool) -> Answer:
        done.append(pieces)
        return read(cascade, pieces, **how)

    monkeypatch.setattr(Cascade, "read", counted)
    open_encoder(TINY).classify(["the app and the staff"], brands=[brands])
    assert len(done) == passes


def test_what_stands_after_much_space_is_read(model: OnnxClassifier) -> None:
    far, near = model.classify([" \n" * 2_000 + "the staff is lovely", "the staff is lovely"])
    assert far == near


def test_no_text_gives_no_verdict(model: OnnxClassifier) -> None:
    assert model.classify([]) == []
    assert len(model.embed([])) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty_text"),
        (" \n\t\u200b\u00a0 ", "empty_text"),
        ("x" * (LONGEST + 1), "text_too_long"),
        ("Данные утекли в сеть сегодня", "unknown_script"),
        ("データが流出しました", "unknown_script"),
        ("تسربت البيانات", "unknown_script"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_reason(
    model: OnnxClassifier, text: str, reason: str
) -> None:
    before, refusal, after = model.classify(["the app", text, "the staff"])
    assert isinstance(before, Verdict)
    assert isinstance(after, Verdict)
    assert isinstance(refusal, RejectedError)
    assert refusal.reason == reason


@pytest.mark.parametrize(
    "text",
    [
        "😂😂😂",
        "!",
        "https://t.example/1",
        "@you",
        "<brand> </brand>",
        "<p>the app &amp; the <b>staff</b></p>" * 20,
        "t\u0301\u0302\u0303\u0304\u0305\u0306" * 900 + "he app",
        "o" * LONGEST,
        "a " * (LONGEST // 2),
        "&" * LONGEST,
        "<brand" * (LONGEST // 6),
        "\ud83d broken half of an emoji",
        "the app \u0634 is \u65e5 fine \u0434 today",
        "\x00\x01 the app",
    ],
)
def test_odd_input_gives_a_verdict_in_little_time(model: OnnxClassifier, text: str) -> None:
    began = time.process_time()
    for brands in ([], ["app"], ["o" * 50_000]):
        verdict = one(model.classify([text], brands=[brands]))
        assert 0.0 <= verdict.leak <= 1.0
    assert time.process_time() - began < 5.0


def test_a_brand_far_down_a_long_text_is_still_marked(model: OnnxClassifier) -> None:
    text = "the app is great today " * 40 + "the staff is awful"
    verdict = one(model.classify([text], brands=[["staff"]]))
    assert verdict.brands is not None
    near = one(model.classify([text[-140:]], brands=[["staff"]]))
    assert near.brands is not None
    assert verdict.brands["staff"].sentiment.negative == pytest.approx(
        near.brands["staff"].sentiment.negative, abs=0.3
    )


def test_embeddings_have_length_one_and_like_texts_are_near(model: OnnxClassifier) -> None:
    first, again, other = model.embed(["lovely staff", "lovely staff", "data leaked"])
    assert np.linalg.norm(first) == pytest.approx(1.0, abs=1e-5)
    assert first @ again == pytest.approx(1.0, abs=1e-5)
    assert first @ other < 0.99


def test_probabilities_of_huge_scores_are_still_probabilities() -> None:
    for size in (1e4, -1e4):
        shares = probabilities(np.full((2, WIDTH), size, dtype=np.float32))
        assert np.isfinite(shares).all()
        for head in HEADS:
            if not head.several:
                assert shares[:, PLACES[head.name]].sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("name", [NETWORK, TOKENIZER])
def test_a_damaged_file_is_refused_by_name(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} is damaged"):
        open_encoder(folder)


@pytest.mark.parametrize("name", [MANIFEST, NETWORK, TOKENIZER])
def test_a_missing_file_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"cannot read .*{name}"):
        open_encoder(folder)


def changed(folder: Path, **fields: object) -> None:
    path = folder / MANIFEST
    made = msgspec.json.decode(path.read_bytes(), type=Manifest)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(made, **fields)))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "linear"}, "kind 'linear'"),
        ({"format": 9}, "format 9"),
        ({"scale": (1.0,)}, "another number of scores"),
        ({"files": {}}, "names no network.onnx, tokenizer.json"),
    ],
)
def test_a_manifest_of_something_else_is_refused(
    folder: Path, fields: dict[str, object], said: str
) -> None:
    changed(folder, **fields)
    with pytest.raises(ModelError, match=said):
        open_encoder(folder)


def test_a_manifest_that_is_none_is_refused(folder: Path) -> None:
    (folder / MANIFEST).write_text("[]")
    with pytest.raises(ModelError, match="not a manifest"):
        open_encoder(folder)


def test_a_network_that_cannot_be_run_is_refused(folder: Path) -> None:
    from models.bundle import entry  # noqa: PLC0415

    (folder / NETWORK).write_bytes(b"no network")
    files = {name: entry(folder / name) for name in (NETWORK, TOKENIZER)}
    changed(folder, files=files)
    with pytest.raises(ModelError, match=r"network\.onnx cannot be run"):
        open_encoder(folder)


def test_another_calibration_is_another_name(folder: Path, model: OnnxClassifier) -> None:
    changed(folder, leak_threshold=0.77)
    other = open_encoder(folder)
    assert other.name != model.name
    assert other.leak_threshold == 0.77


class Piece:
    """Knows no sign of ours."""

    def token_to_id(self, token: str) -> int | None:
        """The number of a piece."""
        return {"<s>": 0, "</s>": 1}.get(token)


def test_a_text_of_pieces_of_other_languages_is_foreign() -> None:
    languages = Languages(np.array([0, 0, 40, -40], dtype=np.int8).tobytes(), Piece())
    ours, theirs = [0, *[2] * ENOUGH, 1], [0, *[3] * ENOUGH, 1]
    assert not languages.foreign(ours)
    assert languages.foreign(theirs)
    assert not languages.foreign(theirs[:-2]), "too short to tell"
    assert not languages.foreign([*ours, *theirs])


def test_a_foreign_text_is_judged_and_marked(folder: Path) -> None:
    size = 64
    (folder / LANGUAGES).write_bytes(np.full(size, -64, dtype=np.int8).tobytes())
    path = folder / MANIFEST
    save(folder, msgspec.json.decode(path.read_bytes(), type=Manifest))
    short, long = open_encoder(folder).classify(["the staff", "the app was great " * 3])
    assert b"untrained_language" not in msgspec.json.encode(short)
    assert isinstance(long, Verdict)
    assert long.untrained_language
    assert msgspec.json.decode(msgspec.json.encode(long))["untrained_language"] is True
