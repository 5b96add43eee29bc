"""Measuring encoders: tables, comparisons, cards and pictures."""

import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import numpy as np
import pytest

from models import load_classifier
from models.encoder import evaluate
from models.encoder.evaluate import MANY, Judged, Told, groups, main, score
from models.encoder.mix import Row

TINY = Path(__file__).parent / "encoder-tiny"

FEEL = [
    {"text": f"the {noun} is {word}", "label": label, "lang": lang, "brand": noun}
    for lang in ("en", "fr")
    for noun in ("staff", "app")
    for word, label in (("lovely", "positive"), ("awful", "negative"), ("today", "neutral"))
]
LEAK: list[dict[str, Any]] = [
    {"text": "rude data of app leaked", "label": "leak"},
    {"text": "late app today", "label": "no_leak"},
    {"text": "awful data of staff leaked", "label": "leak", "synthetic": True},
    {"text": "rude app today", "label": "no_leak", "synthetic": True},
]
BRANDS = [
    {"text": "staff is lovely, app is awful", "brands": {"staff": "positive", "app": "negative"}}
]


def lines(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def judged(labels: list[int], said: list[int]) -> Judged:
    return Judged(np.array(labels), np.array(said), np.full(len(labels), 0.9))


def test_the_tiny_model_is_right_about_its_words(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    given = [str(TINY), "--json"]
    given += ["--rows", "sentiment", lines(tmp_path / "feel.jsonl", FEEL)]
    given += ["--rows", "leak", lines(tmp_path / "leak.jsonl", LEAK)]
    assert main(given) == 0
    report = msgspec.json.decode(capsysbinary.readouterr().out, type=evaluate.Report)
    assert report.scores["sentiment, all"].rows == 12
    assert report.scores["sentiment, fr"].rows == 6
    assert report.scores["sentiment, all"].score > 0.9
    assert report.scores["leak, all"].rows == report.scores["leak, synthetic, all"].rows == 2
    assert report.posts_per_second > 0
    assert report.refused == 0


def test_two_models_are_compared_on_the_same_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines(tmp_path / "feel.jsonl", FEEL)
    assert main([str(TINY), "--against", str(TINY), "--rows", "sentiment", rows]) == 0
    told = capsys.readouterr().out
    assert " against encoder-1" in told
    assert "| sentiment, all | 12 |" in told
    assert "+0.0 (+0.0 to +0.0)" in told


def test_the_linear_model_can_be_the_other_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    irony = [{"text": "great, late again", "label": "irony"}]
    irony += [{"text": "the app today", "label": "non_irony"}]
    given = [str(TINY), "--against", "fast"]
    given += ["--rows", "irony", lines(tmp_path / "irony.jsonl", irony)]
    given += ["--rows", "brands", lines(tmp_path / "brands.jsonl", BRANDS)]
    assert main(given) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| irony")]
    assert all(line.endswith("| - |") for line in told), "the linear model has no head for irony"


def test_a_gain_has_the_sign_of_the_better_and_an_interval_around_it() -> None:
    labels = [0, 1, 2] * 50
    wrong = [0, 1, 1] * 50
    made = score("sentiment", judged(labels, labels), judged(labels, wrong))
    assert made.score == 1.0
    assert made.gain is not None
    gain, low, high = made.gain
    assert 0 < low < gain < high
    other = score("sentiment", judged(labels, wrong), judged(labels, labels))
    assert other.gain is not None
    assert other.gain[0] == pytest.approx(-gain)


def test_confusion_counts_every_row_once() -> None:
    made = score("sentiment", judged([0, 0, 1, 2], [0, 1, 1, 0]))
    assert made.confusion == ((1, 1, 0), (0, 1, 0), (1, 0, 0))
    assert sum(bin_.rows for bin_ in made.reliability) == 4


def test_of_two_brands_both_must_be_right(tmp_path: Path) -> None:
    row = {"text": "staff, app", "brands": {"staff": "positive", "app": "negative"}}
    path = Path(lines(tmp_path / "b.jsonl", [row]))
    report = evaluate.evaluate([load_classifier("fast")], [("brands", path)])
    # The linear model feels alike towards both, so one of the two is wrong.
    assert report.scores["brands, all"].score == 0.0


def test_rows_held_back_are_measured_alone(tmp_path: Path) -> None:
    rows = [{**row, "split": split} for split in ("train", "held-back") for row in LEAK[:2]]
    path = Path(lines(tmp_path / "leak.jsonl", rows))
    report = evaluate.evaluate([load_classifier(str(TINY))], [("leak", path)])
    assert report.scores["leak, all"].rows == 2


def test_sources_of_a_language_with_many_rows_are_told_apart() -> None:
    def row(lang: str, source: str) -> Told:
        return Told(Row("x", "neutral", lang, source), ((1, 1, 0.9),))

    told = [row("en", "big")] * MANY + [row("en", "small")] + [row("fr", "big")] * MANY
    assert {name: len(rows) for name, rows in groups("sentiment", told).items()} == {
        "sentiment, all": 2 * MANY + 1,
        "sentiment, en": MANY + 1,
        "sentiment, en, big": MANY,
        "sentiment, fr": MANY,
    }


def test_a_score_has_an_interval_that_is_narrower_with_more_rows() -> None:
    few, many = (
        score("sentiment", judged([0, 1, 2] * times, [0, 1, 1] * times)) for times in (10, 1_000)
    )
    assert few.interval[0] < few.score < few.interval[1]
    assert few.interval[0] < many.interval[0] < many.interval[1] < few.interval[1]


def test_refused_rows_are_counted_and_left_out(tmp_path: Path) -> None:
    rows = [*FEEL, {"text": " ", "label": "neutral"}]
    path = Path(lines(tmp_path / "feel.jsonl", rows))
    report = evaluate.evaluate([load_classifier(str(TINY))], [("sentiment", path)])
    assert report.refused == 1
    assert report.scores["sentiment, all"].rows == 12


def test_card_and_pictures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(TINY, tmp_path / "model")
    given = [str(folder), "--card", "--plots", str(tmp_path / "plots")]
    given += ["--rows", "sentiment", lines(tmp_path / "feel.jsonl", FEEL)]
    given += ["--rows", "leak", lines(tmp_path / "leak.jsonl", LEAK)]
    assert main(given) == 0
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert load_classifier(str(folder)).name in card
    assert "| sentiment, all | 12 |" in card
    pictures = sorted((tmp_path / "plots").iterdir())
    assert [path.name for path in pictures] == [
        "leak-confusion.svg",
        "leak-reliability.svg",
        "leak-synthetic-confusion.svg",
        "leak-synthetic-reliability.svg",
        "sentiment-confusion.svg",
        "sentiment-reliability.svg",
    ]
    for path in pictures:
        assert ET.parse(path).getroot().tag.endswith("svg")
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "rows", "said"),
    [
        ("taste", FEEL, "there is no task 'taste'"),
        ("leak", FEEL, "label 'positive' is not of no_leak, leak"),
        ("brands", FEEL, "holds no rows of the task brands"),
        ("sentiment", [], "holds no rows of the task sentiment"),
    ],
)
def test_rows_of_something_else_are_refused_in_a_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    task: str,
    rows: list[dict[str, Any]],
    said: str,
) -> None:
    assert main([str(TINY), "--rows", task, lines(tmp_path / "rows.jsonl", rows)]) == 2
    assert said in capsys.readouterr().err.replace("\n", " ")


def test_a_model_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines(tmp_path / "rows.jsonl", FEEL)
    assert main([str(tmp_path / "none"), "--rows", "sentiment", rows]) == 2
    assert "cannot read" in capsys.readouterr().err
