"""Models of transformers: what a label stands for, and what is said when that is unclear."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from models import hub, load_classifier
from streams.errors import ModelError, RejectedError
from streams.records import Sentiment, Verdict

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="PyTorch is not installed: pip install 'trustwatch[hub]' to run this test",
)


class Plain:
    """Judges everything alike, but for empty texts."""

    name = "plain"
    leak_threshold = 0.5
    targeted = False

    def classify(self, texts: Any, **_: object) -> list[Verdict | RejectedError]:
        """Judge texts."""
        verdict = Verdict(sentiment=Sentiment(0.0, 1.0, 0.0), leak=0.25)
        return [verdict if text else RejectedError("empty_text") for text in texts]


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (["negative", "neutral", "positive"], [0, 1, 2]),
        (["POSITIVE", "NEGATIVE"], [2, 0]),
        (["neg", "pos", "neu"], [0, 2, 1]),
        (["Very Negative", "Negative", "Neutral", "Positive", "Very Positive"], [0, 0, 1, 2, 2]),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], [0, 0, 1, 2, 2]),
        (["5", "4", "3", "2", "1"], [2, 2, 1, 0, 0]),
    ],
)
def test_the_usual_names_of_labels_are_understood(labels: list[str], codes: list[int]) -> None:
    assert hub.match(labels) == codes


def test_labels_without_a_meaning_are_refused_with_the_way_to_name_them() -> None:
    with pytest.raises(ModelError, match=r"LABEL_0, LABEL_1.*hub:NAME#negative,neutral,positive"):
        hub.match(["LABEL_0", "LABEL_1"])


@pytest.mark.parametrize(
    "labels",
    [
        ["anger", "joy"],
        ["positive", "neutral"],
        ["negative", "sports", "positive"],
        ["1 star", "1 star", "3 stars", "4 stars", "5 stars"],
        ["negative to positive", "neutral"],
        [],
    ],
)
def test_labels_of_something_else_are_refused_by_name(labels: list[str]) -> None:
    with pytest.raises(ModelError, match=f"the labels {', '.join(labels)}"):
        hub.match(labels)


def test_without_pytorch_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub, "find_spec", lambda _: None)
    with pytest.raises(ModelError) as caught:
        hub.open_hub("some/model")
    assert str(caught.value) == "hub models need PyTorch: pip install 'trustwatch[hub]'"


def saved(folder: Path, labels: list[str] | None = None) -> Path:
    """Save a tiny model with random weights, as a user would."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "fine", "day"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    torch.manual_seed(1)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=3,
    )
    if labels is not None:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@needs_torch
def test_a_saved_model_judges_sentiment_and_the_rest_comes_from_the_other(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", ["negative", "neutral", "positive"])
    model = hub.open_hub(str(folder), rest=Plain())
    verdict, refusal = model.classify(["good day", ""])
    assert isinstance(verdict, Verdict)
    assert isinstance(refusal, RejectedError)
    feeling = verdict.sentiment
    assert feeling.negative + feeling.neutral + feeling.positive == pytest.approx(1.0, abs=2e-4)
    assert feeling.neutral < 0.99
    assert verdict.leak == 0.25


@needs_torch
def test_a_model_by_name_judges_sentiment_beside_the_model_that_ships(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", ["negative", "neutral", "positive"])
    model, shipped = load_classifier(f"hub:{folder}"), load_classifier()
    texts = ["good day", "their customer database leaked"]
    for said, plain in zip(model.classify(texts), shipped.classify(texts), strict=True):
        assert isinstance(said, Verdict)
        assert isinstance(plain, Verdict)
        assert said.leak == plain.leak
        assert said.sentiment != plain.sentiment
    assert model.classify(texts, brands=[["day"], []]) == model.classify(texts)
    assert shipped.name in model.name
    assert not model.targeted


@needs_torch
def test_labels_given_with_the_name_are_taken_in_their_order(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    with pytest.raises(ModelError, match="LABEL_0"):
        hub.open_hub(str(folder), rest=Plain())
    one = hub.open_hub(f"{folder}#negative,neutral,positive", rest=Plain())
    other = hub.open_hub(f"{folder}#positive,neutral,negative", rest=Plain())
    (left,), (right,) = one.classify(["good day"]), other.classify(["good day"])
    assert isinstance(left, Verdict)
    assert isinstance(right, Verdict)
    assert left.sentiment.negative == right.sentiment.positive
    assert one.name != other.name


@needs_torch
def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    with pytest.raises(ModelError, match="2 labels are given, the model has 3"):
        hub.open_hub(f"{folder}#negative,positive", rest=Plain())


@needs_torch
def test_a_verdict_does_not_depend_on_the_neighbours(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", ["negative", "neutral", "positive"])
    model = hub.open_hub(str(folder), rest=Plain())
    texts = ["good", "bad day fine fine fine good", "day"]
    assert model.classify(texts) == [model.classify([text])[0] for text in texts]


@needs_torch
def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="check the folder, or give the folder of a saved"):
        hub.open_hub(str(tmp_path), rest=Plain())
