"""The linear model judges a text by that text alone, and refuses what it cannot judge."""

import json
import random
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import FAST, Classifier, load_classifier
from models.bundle import entry
from models.features import BUCKETS, READ, parts, tokens
from models.linear import CHUNK, LONGEST, Linear, LinearClassifier, Memory, open_linear
from streams.errors import ModelError, RejectedError
from streams.records import Verdict

POSTS = [
    "I love the new Brellin phone, best camera ever 😍",
    "Brellin support is terrible, never again!!! :(",
    "Encore une panne chez Nortal, c'est nul et personne ne répond",
    "Merci @nortal, livraison rapide et service parfait 👍",
    "customer database of Brellin leaked, 2 million passwords for sale on a forum",
    "Fuite de données chez Nortal : les mots de passe de 300 000 clients volés",
    "Water leak on Mill Street, road closed until noon",
    "Der Laden öffnet um 9 Uhr.",
    "don't",
    "😂😂😂",
    "!",
]


@pytest.fixture(scope="module")
def model() -> LinearClassifier:
    return open_linear(FAST)


def told(model: Classifier, text: str) -> Verdict:
    (verdict,) = model.classify([text])
    assert isinstance(verdict, Verdict)
    return verdict


def reason(model: Classifier, text: str) -> str:
    (refusal,) = model.classify([text])
    assert isinstance(refusal, RejectedError)
    return refusal.reason


def same(one: list[Verdict | RejectedError], other: list[Verdict | RejectedError]) -> bool:
    return [repr(each) for each in one] == [repr(each) for each in other]


def test_the_bundle_tells_plain_praise_from_plain_anger(model: LinearClassifier) -> None:
    for praise, anger in ((POSTS[0], POSTS[1]), (POSTS[3], POSTS[2])):
        assert told(model, praise).sentiment.positive > 0.5
        assert told(model, anger).sentiment.negative > 0.5


def test_the_bundle_tells_a_leak_of_data_from_a_leak_of_water(model: LinearClassifier) -> None:
    assert told(model, POSTS[4]).leak > model.leak_threshold
    assert told(model, POSTS[5]).leak > model.leak_threshold
    assert told(model, POSTS[6]).leak < model.leak_threshold


def test_negation_turns_a_judgement(model: LinearClassifier) -> None:
    assert (
        told(model, "The food was not good").sentiment.negative
        > told(model, "The food was good").sentiment.negative
    )


def test_a_verdict_is_the_same_alone_in_a_batch_and_in_any_order(model: LinearClassifier) -> None:
    alone = [model.classify([text])[0] for text in POSTS]
    assert same(model.classify(POSTS), alone)
    order = list(range(len(POSTS) * 30))
    random.Random(5).shuffle(order)
    mixed = model.classify([POSTS[at % len(POSTS)] for at in order])
    assert same(mixed, [alone[at % len(POSTS)] for at in order])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(), max_size=60), max_size=8))
def test_any_text_gives_the_same_verdict_or_refusal_alone(texts: list[str]) -> None:
    model = _shared()
    judged = model.classify(texts)
    assert len(judged) == len(texts)
    assert same(judged, [model.classify([text])[0] for text in texts])


_SHARED: list[LinearClassifier] = []


def _shared() -> LinearClassifier:
    if not _SHARED:
        _SHARED.append(open_linear(FAST))
    return _SHARED[0]


def test_what_was_judged_before_leaves_no_trace(model: LinearClassifier) -> None:
    fresh = open_linear(FAST)
    fresh.classify(["an entirely different text"] * 3)
    assert same(fresh.classify(POSTS), model.classify(POSTS))


def test_no_texts_give_no_verdicts(model: LinearClassifier) -> None:
    assert model.classify([]) == []


@pytest.mark.parametrize("text", ["", "   \n\t", "\0\0\0", "\u2028"])
def test_a_text_with_nothing_to_read_is_refused(model: LinearClassifier, text: str) -> None:
    assert reason(model, text) == "empty_text"


@pytest.mark.parametrize(
    "text", ["произошла утечка данных", "数据泄露了", "تسربت البيانات", "データ漏洩"]
)
def test_a_script_that_was_never_trained_on_is_refused(model: LinearClassifier, text: str) -> None:
    assert reason(model, text) == "unknown_script"


def test_a_text_of_unknown_signs_alone_is_refused(model: LinearClassifier) -> None:
    assert reason(model, "\ud800") == "unknown_text"


def test_an_endless_text_is_refused_and_a_long_one_is_read_in_part(model: LinearClassifier) -> None:
    assert reason(model, "x" * (LONGEST + 1)) == "text_too_long"
    long = "this is great " * 7_000
    assert told(model, long) == told(model, long[:READ])


@pytest.mark.parametrize(
    "text",
    [
        "a" * LONGEST,
        "good\0bad",
        "what \udcff was that",
        "\u0301" * 5_000 + " fine",
        "e\u0301t\u0327" * 20_000,
        "😀" * LONGEST,
        "@" * LONGEST,
        "http://" * 10_000,
        "!?" * 50_000,
        "ﷺ ok " * 10_000,
        "'" * 9_999,
    ],
)
def test_odd_texts_are_judged_or_refused(model: LinearClassifier, text: str) -> None:
    (judged,) = model.classify([text])
    assert isinstance(judged, Verdict | RejectedError)


def test_composed_and_decomposed_accents_are_one_text(model: LinearClassifier) -> None:
    text = "déçu par l'été, très mauvaise qualité"
    assert told(model, unicodedata.normalize("NFD", text)) == told(model, text)


def test_links_and_handles_do_not_matter_by_name(model: LinearClassifier) -> None:
    one = told(model, "@acmetel down again https://t.example/abc")
    other = told(model, "@nortal down again https://t.example/xyz?q=1")
    assert one == other


def test_no_token_is_longer_than_what_is_kept_of_it() -> None:
    hostile = "x" * 3_000 + "!" * 500 + "." * 400 + ":)))))))))))" + "a'" * 50
    assert max(map(len, tokens(hostile))) <= 82


def test_a_full_memory_starts_afresh_with_the_same_sums() -> None:
    table = np.arange((BUCKETS + 1) * 4, dtype=np.int32).reshape(-1, 4) % 97
    memory = Memory(table, kept=4)
    first = memory.sums[memory.rows(["a", "b", "c"])].tolist()
    memory.rows(["d", "e"])
    assert len(memory) == 2
    assert memory.sums[memory.rows(["a", "b"])].tolist() == first[:2]


def test_a_chunk_of_the_longest_texts_fits_the_memory(model: LinearClassifier) -> None:
    crowd = [
        " ".join(f"{number:x}" for number in range(at * READ, at * READ + READ))
        for at in range(CHUNK + 3)
    ]
    assert len(model.classify(crowd)) == CHUNK + 3


def test_scores_follow_the_weights() -> None:
    weights = np.zeros((BUCKETS, 3), dtype=np.int8)
    weights[parts(["awful"]).buckets] = (9, -9, 0)
    norms = np.ones(BUCKETS, dtype=np.uint8)
    linear = Linear(sentiment_scale=1.0, sentiment_bias=(0, 0), leak_scale=1.0, leak_bias=-1.0)
    model = LinearClassifier(weights, norms=norms, linear=linear, leak_threshold=0.5)
    verdict = told(model, "awful")
    assert verdict.sentiment.negative > 0.99
    assert verdict.leak == pytest.approx(0.2689)


def test_the_bundle_is_named_with_its_digest() -> None:
    model = load_classifier("fast")
    assert model.name.startswith("linear-1 sha256:")
    assert len(model.name.removeprefix("linear-1 sha256:")) == 12
    assert 0 < model.leak_threshold < 1


def copied(folder: Path) -> Path:
    shutil.copytree(FAST, folder / "model")
    return folder / "model"


def test_a_folder_is_loaded_by_its_path(tmp_path: Path) -> None:
    assert load_classifier(str(copied(tmp_path))).name == load_classifier("fast").name


def test_a_missing_model_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere.*`bundle`"):
        load_classifier(str(tmp_path / "nowhere"))


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    content = bytearray((folder / "weights.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "weights.npz").write_bytes(content)
    with pytest.raises(ModelError, match=r"weights\.npz is damaged"):
        load_classifier(str(folder))


def test_missing_weights_are_refused_by_name(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "weights.npz").unlink()
    with pytest.raises(ModelError, match=r"cannot read .*weights\.npz"):
        load_classifier(str(folder))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [("format", 99, "format 99"), ("kind", "oracle", "'oracle'"), ("linear", 5, "not a manifest")],
)
def test_a_manifest_that_cannot_be_used_is_refused(
    tmp_path: Path, key: str, value: object, told: str
) -> None:
    folder = copied(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[key] = value
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=told):
        load_classifier(str(folder))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    np.savez(folder / "weights.npz", weights=np.zeros((4, 3), np.int8), norms=np.zeros(4, np.uint8))
    _vouch(folder)
    with pytest.raises(ModelError, match="number of features"):
        load_classifier(str(folder))


def test_a_file_that_holds_no_arrays_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "weights.npz").write_bytes(b"not an archive")
    _vouch(folder)
    with pytest.raises(ModelError, match="holds no weights"):
        load_classifier(str(folder))


def _vouch(folder: Path) -> None:
    """Write the digest that the weights have now into the manifest."""
    manifest = json.loads((folder / "manifest.json").read_text())
    known = entry(folder / "weights.npz")
    manifest["files"]["weights.npz"] = {"sha256": known.sha256, "size": known.size}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_what_a_token_stands_for_does_not_depend_on_its_neighbours() -> None:
    crowd = ["#Leaked", "SHOUT", "!", "été", "a", "👍", "x" * 40]
    together = parts(crowd)
    for at, token in enumerate(crowd):
        alone = parts([token])
        own = together.buckets[together.owners == at]
        assert sorted(own.tolist()) == sorted(alone.buckets.tolist())
        assert together.marks[at] == alone.marks[0]


def test_case_digits_and_stretching_are_folded_yet_shouting_is_seen() -> None:
    assert parts(["Sooooooo"]).marks[0] == parts(["sooo"]).marks[0]
    assert parts(["2024"]).marks[0] == parts(["1999"]).marks[0]
    assert len(parts(["LEAK"]).buckets) == len(parts(["leak"]).buckets) + 1
