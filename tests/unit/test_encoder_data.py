"""What an encoder learns from: posts written down, shares of rows, pairs, and what stays apart."""

import json
import random
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import examples
from models.encoder import drafts, measure, mix
from models.encoder.drafts import Half
from models.encoder.evaluate import LABELS
from models.encoder.heads import HEADS, PLACES, WIDTH
from models.encoder.mix import Mix, Part, Row
from models.encoder.text import BEFORE, CLOSE, OPEN, READ, clean, find, write
from models.examples import HELD_BACK, OURS
from models.labels import LEAK_KINDS, SENTIMENTS
from streams.errors import InputError


def lines(path: Path, *rows: dict[str, Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_places_of_the_heads_cover_all_scores_once() -> None:
    covered = [at for head in HEADS for at in range(WIDTH)[PLACES[head.name]]]
    assert covered == list(range(WIDTH))


@pytest.mark.parametrize(
    ("text", "brand", "written"),
    [
        ("Acme is bad", "Acme", "<brand> Acme </brand> is bad"),
        ("I like #acmephone!", "Acme Phone", "I like <brand> #acmephone </brand> !"),
        ("cc @acme @zorb", "acme", "cc <brand> @acme </brand> @user"),
        ("Macmelon and acme", "acme", "Macmelon and <brand> acme </brand>"),
        ("nothing here", "Acme", "<brand> Acme </brand> : nothing here"),
        ("</brand> Acme <brand>", "Acme", "<brand> Acme </brand>"),
        ("C++ or C+", "C++", "<brand> C++ </brand> or C+"),
        ("anything", "@#", "<brand> @# </brand> : anything"),
    ],
)
def test_a_brand_is_marked_where_it_is_named(text: str, brand: str, written: str) -> None:
    assert write(text, brand) == written


def test_a_text_is_read_no_further_than_it_must() -> None:
    assert len(write("ab " * 10_000)) <= READ
    late = write("word " * 1_000 + "Acme is bad", "Acme")
    assert len(late) < 2 * BEFORE
    assert late.endswith(f"{OPEN} Acme {CLOSE} is bad")


def test_cleaning_twice_changes_nothing_more() -> None:
    for text in ("a&amp;b", "sooooooooo", "e\u0301\u0301\u0301\u0301", " a \n b ", "<brand>x"):
        assert clean(clean(text)) == clean(text)


def test_a_name_without_letters_is_nowhere() -> None:
    assert find("anything", "@") is None


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0, 1.7, 3.0])
def test_a_row_comes_up_as_often_as_its_share_says(share: float) -> None:
    epochs, slices = 20, 4
    for phase in (0.0, 0.3, 0.99):
        times = [
            mix.turns(share, phase=phase, slice_=one, slices=slices)
            for one in range(epochs * slices)
        ]
        assert abs(sum(times) - share * epochs) <= 1
        assert max(times) - min(times) <= 1


def test_shares_follow_the_field_and_the_label() -> None:
    part = Part("leak", "*.jsonl", share=0.5, by="quality", shares={"read": 3}, labels={"leak": 2})
    assert part.times(Row("x", "no_leak", quality="silver")) == 0.5
    assert part.times(Row("x", "no_leak")) == 3.0
    assert part.times(Row("x", "leak")) == 6.0


def test_rows_that_are_never_seen_are_not_read(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", {"text": "x", "source": "bad"}, {"text": "y", "source": "good"})
    part = Part("sentiment", "a.jsonl", shares={"bad": 0.0})
    assert [row.text for row in mix.rows(part, tmp_path)] == ["y"]


def test_at_most_about_so_many_rows_are_read_and_always_the_same(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", *({"text": f"post {at}"} for at in range(1_000)))
    part = Part("sentiment", "a.jsonl", most=100)
    found = mix.rows(part, tmp_path)
    assert 60 < len(found) < 140
    assert found == mix.rows(part, tmp_path)


def test_a_mix_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "mix.toml"
    with pytest.raises(InputError, match=r"cannot read .*mix\.toml"):
        mix.load(path)
    for wrong in ("part = 1", "[[part]", '[[part]]\ntask = "taste"\nfiles = "x"\n'):
        path.write_text(wrong)
        with pytest.raises(InputError, match=r"mix\.toml"):
            mix.load(path)


def test_the_shipped_mix_is_a_mix() -> None:
    plan = mix.load(Path(mix.__file__).with_name("mix.toml"))
    assert {part.task for part in plan.part} >= {"sentiment", "target", "leak", "irony", "emotion"}


def test_files_that_are_missing_or_no_posts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give --data DIR"):
        mix.rows(Part("sentiment", "a*.jsonl"), tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "x"}\n{"label": 3}\n')
    with pytest.raises(InputError, match=r"a\.jsonl, line 2"):
        mix.rows(Part("sentiment", "a*.jsonl"), tmp_path)


def test_answers_stand_in_their_places_and_the_rest_is_unknown() -> None:
    answers = drafts.answer("sentiment", Row("x", "positive"))
    assert answers[PLACES["sentiment"]].tolist() == [0.0, 0.0, 1.0]
    assert np.isnan(answers).sum() == WIDTH - len(SENTIMENTS)


def test_a_leak_of_a_known_kind_answers_two_heads() -> None:
    row = Row("x", "leak", leak_type=("documents", "credentials"))
    answers = drafts.answer("leak", row)
    assert answers[PLACES["leak"]] == [1.0]
    told = dict(zip(LEAK_KINDS, answers[PLACES["kind"]], strict=True))
    assert {kind for kind, share in told.items() if share} == {"documents", "credentials"}


@pytest.mark.parametrize("leak_type", [None, "gossip", ()])
def test_a_leak_of_an_unknown_kind_says_nothing_of_kinds(leak_type: Any) -> None:
    answers = drafts.answer("leak", Row("x", "leak", leak_type=leak_type))
    assert np.isnan(answers[PLACES["kind"]]).all()


def test_no_leak_is_of_no_kind() -> None:
    assert not drafts.answer("leak", Row("x", "no_leak"))[PLACES["kind"]].any()


@pytest.mark.parametrize("task", ["sentiment", "target", "leak", "irony", "emotion"])
def test_a_label_of_another_task_is_refused(task: str) -> None:
    with pytest.raises(InputError, match="label 'nonsense' is not of"):
        drafts.answer(task, Row("x", "nonsense"))


def test_a_pair_marks_the_brand_that_its_label_is_about() -> None:
    one = Half("Acme is great", 0, 4, "positive")
    other = Half("I hate Zorb", 7, 11, "negative")
    for seed in range(60):
        made = drafts.pair(one, other, "en", random.Random(seed))
        before, _, rest = made.text.partition(f"{OPEN} ")
        name, _, after = rest.partition(f" {CLOSE}")
        assert after.startswith(" is great")
        assert name
        assert "I hate" in before + after
        assert made.answers[PLACES["target"]].tolist() == [0.0, 0.0, 1.0]


def test_pairs_are_of_one_language_and_disagree() -> None:
    rows = [
        Row(f"{word} Acme {word}", label, lang=lang, brand="Acme")
        for lang, word in (("en", "well"), ("fr", "bien"))
        for label in SENTIMENTS
    ]
    made = list(drafts.pairs(rows, 40, random.Random(1)))
    assert len(made) == 40
    for one in made:
        assert ("well" in one.text) != ("bien" in one.text)


def test_languages_without_all_feelings_make_no_pairs() -> None:
    rows = [Row("Acme is fine", "neutral", brand="Acme")]
    assert list(drafts.pairs(rows, 10, random.Random(1))) == []


def plan(**parts: Any) -> Mix:
    return Mix(part=(Part("leak", "*.jsonl", **parts),))


def gather(made: Mix, data: Path, apart: frozenset[str] = frozenset()) -> list[drafts.Draft]:
    return drafts.gather(made, data, slice_=0, slices=1, seed=0, apart=apart)


def test_held_back_rows_and_copies_of_validation_are_never_trained_on(tmp_path: Path) -> None:
    lines(
        tmp_path / "a.jsonl",
        {"text": "trained on", "label": "leak", "split": "train", "synthetic": True},
        {"text": "held back", "label": "leak", "split": "held-back", "synthetic": True},
        {"text": "@you It is APART! https://t.example/1", "label": "leak"},
    )
    made = gather(plan(), tmp_path, apart=frozenset([examples.same("it is apart")]))
    assert [one.text for one in made] == ["trained on"]


def test_what_the_linear_model_holds_back_the_encoder_holds_back_too() -> None:
    rows = [row for path in OURS.glob("leaks*.jsonl") for row in mix.read(path)]
    known = {one.text for one in examples.ours() if examples.held_back(one)}
    assert {row.text for row in rows if drafts.held_back(row)} == known


def test_the_same_slice_is_the_same_and_slices_differ(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", *({"text": f"post {at}", "label": "leak"} for at in range(50)))
    halves = [
        [
            one.text
            for one in drafts.gather(
                plan(), tmp_path, slice_=slice_, slices=2, seed=3, apart=frozenset()
            )
        ]
        for slice_ in (0, 0, 1)
    ]
    assert halves[0] == halves[1]
    assert sorted(halves[0] + halves[2]) == sorted(f"post {at}" for at in range(50))


def test_rare_labels_of_a_language_weigh_more() -> None:
    made = [
        drafts.Draft("x", drafts.answer("sentiment", Row("x", label)), "en")
        for label in ["neutral"] * 8 + ["negative"] * 2
    ]
    weights = [one.weight for one in drafts.balance(made)]
    assert weights[-1] > 2 * weights[0]


def test_two_brand_posts_give_a_draft_for_each_brand(tmp_path: Path) -> None:
    brands = {"Acme": "positive", "Zorb": "negative"}
    lines(tmp_path / "b.jsonl", {"text": "Acme yes, Zorb no", "brands": brands, "lang": "en"})
    made = gather(Mix(part=(Part("brands", "b.jsonl", share=20.0),)), tmp_path)
    assert len(made) == 40
    assert {one.text for one in made} >= {
        "<brand> Acme </brand> yes, Zorb no",
        "Acme yes, <brand> Zorb </brand> no",
    }
    for one in made:
        praised = one.text.index(OPEN) < one.text.index("yes,") < one.text.index("no")
        assert one.answers[PLACES["target"]].argmax() == (2 if praised else 0)


def test_our_two_brand_posts_name_their_brands_and_hold_a_hundred_back() -> None:
    rows = list(mix.read(OURS / "brands.jsonl"))
    for row in rows:
        assert len(row.brands) == 2, row.text
        assert set(row.brands.values()) <= set(SENTIMENTS), row.text
        for name in row.brands:
            assert find(row.text, name), row.text
    held = [row for row in rows if row.split == HELD_BACK]
    assert len(held) == 100
    assert all(set(row.brands.values()) == {"positive", "negative"} for row in held)
    assert len({examples.same(row.text) for row in rows}) == len(rows)


@pytest.mark.parametrize(("name", "languages"), [("sentiment", 5), ("emotion", 6), ("irony", 6)])
def test_posts_of_ours_are_of_their_task_and_a_sixth_of_each_label_is_held_back(
    name: str, languages: int
) -> None:
    rows = list(mix.read(OURS / f"{name}.jsonl"))
    assert {row.label for row in rows} == set(LABELS[name])
    assert all(row.synthetic and row.split in {"train", HELD_BACK} for row in rows)
    assert len({examples.same(row.text) for row in rows}) == len(rows)
    counts = Counter((row.lang, row.label, row.split) for row in rows)
    assert len({lang for lang, _, _ in counts}) == languages
    for lang, label, split in counts:
        held = counts[lang, label, HELD_BACK]
        assert 0.13 < held / (held + counts[lang, label, "train"]) < 0.18, (lang, label, split)


def test_measures_of_a_known_case() -> None:
    labels, said = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert measure.macro_recall(said, labels) == pytest.approx(0.75)
    assert measure.macro_f1(said, labels) == pytest.approx((2 / 3 + 0.8) / 2)
    assert measure.f1(said == 1, labels == 1) == pytest.approx(0.8)
    assert measure.f1(said == 7, labels == 7) == 0.0


def test_calibration_error_is_the_gap_between_sure_and_right() -> None:
    sure = np.full(100, 0.9)
    assert measure.calibration_error(sure, np.arange(100) < 90) == pytest.approx(0.0, abs=1e-9)
    assert measure.calibration_error(sure, np.arange(100) < 60) == pytest.approx(0.3)


def mean(hits: np.ndarray, rows: np.ndarray) -> float:
    return float(hits[rows].mean())


def test_an_interval_holds_the_truth_and_shrinks_with_the_rows() -> None:
    draw = np.random.default_rng(4)
    widths = []
    for size in (100, 10_000):
        hits = draw.random(size) < 0.7
        low, high = measure.interval(partial(mean, hits), size)
        assert low < 0.7 < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
