"""Training gives a model that loads, repeats itself, and is tested on nothing it has seen."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from models import evaluate, examples, load_classifier
from models.examples import Example
from models.features import BUCKETS
from models.labels import LEAK_KINDS, judge
from models.linear import Linear, LinearClassifier
from streams.errors import InputError
from streams.records import Verdict

pytest.importorskip("sklearn")

from models import train
from models.calibrate import platt, temper, threshold
from models.counts import count, scales, unit

GOOD = ("love", "great", "super", "wonderful", "merci")
BAD = ("hate", "awful", "broken", "terrible", "nul")
THINGS = ("phone", "network", "shop", "train", "app", "coffee", "bill", "box")


def moods() -> list[Example]:
    made = []
    for thing in THINGS:
        made += [Example(f"{word} {thing}", "positive", "en") for word in GOOD]
        made += [Example(f"{word} {thing}", "negative", "en") for word in BAD]
        made += [Example(f"the {thing} of day {n}", "neutral", "fr") for n in THINGS]
    return made


def rumours() -> list[Example]:
    named = [
        f"{thing} {number}{letter}" for thing in THINGS for number in "12" for letter in "abcd"
    ]
    leaks = [Example(f"customer database of the {name} leaked", "leak") for name in named]
    return leaks + [Example(f"the {name} leaks water", "no_leak") for name in named]


def lines(path: Path, found: list[Example]) -> Path:
    rows = [{"text": one.text, "label": one.label, "lang": one.lang} for one in found]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    sentiment = lines(folder / "sentiment.jsonl", moods())
    leak = lines(folder / "leak.jsonl", rumours())
    for out in ("one", "two"):
        given = ["--sentiment", str(sentiment), "--leak", str(leak), "--out", str(folder / out)]
        assert train.main(given) == 0
    return folder


def test_a_trained_model_has_learnt_its_examples(trained: Path) -> None:
    model = load_classifier(str(trained / "one"))
    good, bad = model.classify(["I love the network", "I hate the awful network"])
    assert isinstance(good, Verdict)
    assert isinstance(bad, Verdict)
    assert good.sentiment.positive > bad.sentiment.positive
    assert bad.sentiment.negative > good.sentiment.negative


def test_the_same_files_and_seed_give_the_same_model(trained: Path) -> None:
    one, two = (load_classifier(str(trained / name)).name for name in ("one", "two"))
    assert one == two


def test_the_card_is_written_from_what_was_measured(
    trained: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    files = [str(trained / f"{name}.jsonl") for name in ("sentiment", "leak")]
    given = [str(trained / "one"), "--sentiment", files[0], "--leak", files[1], "--card", "--json"]
    assert evaluate.main(given) == 0
    report = json.loads(capsysbinary.readouterr().out)
    card = (trained / "one" / "MODEL_CARD.md").read_text()
    recall = report["sentiment"]["all"]["macro_recall"]
    assert f"| all | {len(moods())} | {100 * recall:.1f} |" in card
    assert report["model"] in card


def test_a_bad_line_is_told_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "x", "label": "neutral"}\n{"text": "x", "label": "meh"}\n')
    with pytest.raises(InputError, match="line 2: label 'meh'"):
        examples.sentiments([path])
    assert train.main(["--sentiment", str(path), "--leak", str(path), "--out", str(tmp_path)]) == 2
    assert evaluate.main(["fast", "--sentiment", str(path), "--leak", str(path)]) == 2


def test_no_text_of_validation_is_trained_on() -> None:
    apart = [Example("@you It LEAKED! https://t.example/1", "leak"), Example("dry", "no_leak")]
    material = train.gather(
        sentiment=moods(),
        leak=[Example("it leaked", "leak"), Example("no", "no_leak")],
        moods=moods()[:6] + moods()[-1:],
        rumours=apart,
    )
    keys = {examples.same(one.text) for one in (*material.sentiment, *material.leak)}
    assert not keys & {examples.same(one.text) for one in (*apart, *moods()[:6])}
    assert len(keys) == len(material.sentiment) + len(material.leak)


def test_validation_without_one_of_the_labels_is_refused() -> None:
    with pytest.raises(InputError, match=r"no example of 'leak' .* --validate-leak"):
        train.gather(sentiment=moods(), leak=rumours(), moods=moods(), rumours=rumours()[-1:])


def test_what_is_held_back_of_our_own_posts_is_not_trained_on() -> None:
    material = train.gather(sentiment=moods(), leak=rumours(), moods=[], rumours=[])
    ours = [one for one in material.leak if one.synthetic]
    assert {one.lang for one in ours} == {"de", "en", "es", "fr", "it", "pt"}
    assert {one.split for one in ours} == {"", "train"}
    assert not any(examples.held_back(one) for one in ours)


def test_rows_marked_as_held_back_are_validated_on_and_never_trained_on() -> None:
    known = [Example(one.text, one.label, split="train") for one in rumours()]
    unseen = [
        Example("the diary of Nortal leaked", "leak", split="held-back"),
        Example("the diary leaks ink", "no_leak", split="held-back"),
    ]
    material = train.gather(sentiment=moods(), leak=[*known, *unseen], moods=[], rumours=[])
    assert material.validate_leak == unseen
    asked = train.gather(sentiment=moods(), leak=[*known, *unseen], moods=[], rumours=known[::9])
    for one in (material, asked):
        assert not {"held-back"} & {example.split for example in one.leak}


def test_our_own_posts_cover_languages_kinds_and_look_alikes() -> None:
    rows = [json.loads(line) for line in (examples.OURS / "leaks.jsonl").read_text().splitlines()]
    found = Counter((row["lang"], row["label"]) for row in rows)
    for lang, least in {"fr": 60, "en": 60, "de": 25, "es": 25, "it": 25, "pt": 25}.items():
        assert found[lang, "leak"] >= least
        assert found[lang, "no_leak"] >= least
        kinds = {row["leak_type"] for row in rows if row["lang"] == lang and row["label"] == "leak"}
        assert kinds == set(LEAK_KINDS)
    assert all(row["synthetic"] for row in rows)
    assert len({examples.same(row["text"]) for row in rows}) == len(rows)


def test_training_and_judging_agree_on_every_score() -> None:
    texts = ["Not good at all, @you!", "the phone: I don't LOVE it. great!!", "#merci l'équipe 👍"]
    random = np.random.default_rng(5)
    counts = count(texts)
    scale = np.full(BUCKETS, 7, dtype=np.uint8)
    bias = np.array([0.25, -0.5])
    head = train.quantise(random.normal(size=(2, BUCKETS)), scale, bias)
    linear = Linear(
        sentiment_scale=head.step,
        sentiment_bias=(0.25, -0.5),
        leak_scale=0.0,
        leak_bias=0.0,
    )
    weights = np.column_stack([head.weights, np.zeros(BUCKETS, np.int8)])
    model = LinearClassifier(weights, norms=scale, linear=linear, leak_threshold=0.5)
    expected = [judge(low, high, 0.0) for low, high in train.scores(head, counts, scale)]
    for said, wanted in zip(model.classify(texts), expected, strict=True):
        assert isinstance(said, Verdict)
        assert said.sentiment.negative == pytest.approx(wanted.sentiment.negative, abs=2e-4)
        assert said.sentiment.positive == pytest.approx(wanted.sentiment.positive, abs=2e-4)


def test_texts_have_length_one_and_rare_features_none() -> None:
    counts = count(["good phone", "good app", "zzz"])
    rows = unit(counts, scales(counts, least=2, words=2.0))
    assert np.asarray(rows.multiply(rows).sum(axis=1)).ravel() == pytest.approx([1, 1, 0], abs=1e-4)


def test_temperature_is_found_again() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(20_000, 3)) * 2
    shares = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    labels = np.array([random.choice(3, p=share) for share in shares])
    assert temper(logits, labels) == pytest.approx(0.5, abs=0.05)


def test_platt_turns_scores_into_odds() -> None:
    random = np.random.default_rng(4)
    scores = random.normal(size=20_000)
    labels = (random.random(20_000) < 1 / (1 + np.exp(-(3 * scores - 1)))).astype(np.int64)
    slope, offset = platt(scores, labels)
    assert (slope, offset) == pytest.approx((3, -1), abs=0.2)


def test_the_threshold_parts_what_can_be_parted() -> None:
    odds = np.array([-3.0, -2.0, 1.0, 2.0])
    least = threshold(odds, np.array([0, 0, 1, 1]))
    assert 1 / (1 + np.exp(2.0)) < least <= 1 / (1 + np.exp(-1.0))


def test_calibration_error_is_nought_for_a_forecaster_who_is_right() -> None:
    sure = np.repeat([0.25, 0.75], 400)
    right = np.concatenate([np.arange(400) % 4 == 0, np.arange(400) % 4 != 0]).astype(float)
    assert evaluate.calibration_error(sure, right) == pytest.approx(0)
    assert evaluate.calibration_error(sure, 1 - right) == pytest.approx(0.5)
