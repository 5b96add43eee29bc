"""`trustwatch backtest`: what is written, what is said, and whatever the input."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from models.labels import judge
from streams import backtest, finding, sample
from streams.cli import main
from streams.domain.tuning import Tuning
from streams.errors import RejectedError
from streams.records import Verdict
from streams.terms import tuned
from tests.support.history import fold

ROOT = Path(__file__).parents[2]
REAL_FOLD = backtest.fold
BRANDS = """
[[brand]]
id = "velmora"
name = "Velmora"
[[brand]]
id = "ostrane"
name = "Ostrane"
"""


class Model:
    """Hears a leak where the word stands."""

    name = "model-1 sha256:ab"
    leak_threshold = 0.5
    targeted = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
        """Judge."""
        self.asked += texts
        return [judge(0.5, 0.0, 9.0 if "leak" in text else -9.0) for text in texts]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "brands.toml").write_text(BRANDS)
    return tmp_path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    """A model and a fold that take no time."""
    found = Model()
    monkeypatch.setattr("models.load_classifier", lambda _: found)
    monkeypatch.setattr(backtest, "fold", fold)
    return found


def post(name: str, text: str, at: str = "2026-03-02T09:30:00Z", **more: Any) -> str:
    return json.dumps({"id": name, "text": text, "created_at": at, **more})


POSTS = (
    post("1", "Velmora is fine"),
    post("2", "Velmora has a leak", "2026-03-03T10:00:00+01:00"),
    post("3", "nobody's brand", "2026-03-02T11:00:00Z"),
    post("4", "Ostrane leak", "2026-03-04T10:00:00Z", url="https://forum.example/4"),
)


def save(folder: Path, *lines: str | bytes, name: str = "posts.jsonl") -> Path:
    path = folder / name
    packed = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines)
    path.write_bytes(packed + b"\n")
    return path


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["backtest", *map(str, args)])
    return int(ended.value.code or 0)


def results(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in backtest.FILES if name != "report.html"}


def test_it_writes_three_files_and_a_report(
    folder: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(save(folder, *POSTS), "--out", folder / "deep" / "out") == 0
    assert model.asked == ["Velmora is fine", "Velmora has a leak", "Ostrane leak"]
    out = folder / "deep" / "out"
    assert {one.name for one in out.iterdir()} == {*backtest.FILES, "verdicts.sqlite"}
    page = (out / "report.html").read_text("utf-8")
    assert "Two pages in two days" in page
    shown = capsys.readouterr().out
    assert shown.startswith("4 posts; 3 mentions; 3 texts judged, 0 known;")
    assert [line.split() for line in shown.splitlines()[1:4]] == [
        ["brand", "posts", "index", "pages", "tickets", "digests"],
        ["velmora", "2", "60", "1", "0", "0"],
        ["ostrane", "1", "60", "1", "0", "0"],
    ]
    assert shown.splitlines()[-1] == f"Report: {out / 'report.html'}"


@pytest.mark.usefixtures("model")
def test_records_begin_with_what_their_readers_rely_on(folder: Path) -> None:
    run(save(folder, *POSTS), "--out", folder / "out")
    found = {
        name: [json.loads(line) for line in text.splitlines()]
        for name, text in results(folder / "out").items()
    }
    reading, signal = found["readings.jsonl"][0], found["signals.jsonl"][0]
    assert list(reading)[:9] == [
        *("brand", "at", "index", "low", "high", "enough", "capital", "mood_loss", "shocks")
    ]
    assert list(signal)[:6] == ["brand", "at", "detector", "channel", "why", "posts"]
    assert [one["at"] for one in found["signals.jsonl"]] == [
        "2026-03-03T09:00:00Z",
        "2026-03-04T10:00:00Z",
    ]


def test_a_second_run_judges_nothing_and_writes_the_same(
    folder: Path, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(folder, *POSTS)
    run(path, "--out", folder / "one")
    run(path, "--out", folder / "two", "--cache", folder / "one" / "verdicts.sqlite")
    assert len(model.asked) == 3
    assert results(folder / "one") == results(folder / "two")
    assert not (folder / "two" / "verdicts.sqlite").exists()
    assert "0 texts judged, 3 known" in capsys.readouterr().out


@pytest.mark.usefixtures("model")
def test_bad_lines_are_told_by_number_and_passed_over(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(
        folder,
        POSTS[0],
        "{not json",
        '{"id": "5", "created_at": "2026-03-02T09:30:00Z"}',
        post("6", "Velmora", "0001-01-01T00:00:00Z"),
        post("7", "Velmora", "9999-12-31T23:59:59Z"),
        post("8", "Velmora", "0001-01-01T00:00:00+14:00"),
        post("9", "Velmora", "9999-12-31T23:59:59-14:00"),
        b'{"id": "10", "text": "Velmora", "created_at": NaN}',
        post("11", "Velmora", "yesterday"),
        post("x" * 600, "Velmora"),
        post("12", "V" * 200_000),
        b"\xff\xfe",
        b'"a string"',
        "",
        POSTS[1],
    )
    assert run(path, "--out", folder / "out") == 2
    told = [line for line in capsys.readouterr().err.splitlines() if "posts.jsonl:" in line]
    numbers = [int(line.split("posts.jsonl:")[1].split(":")[0]) for line in told]
    assert sorted(numbers) == [*range(2, 14)]
    assert not any("Velmora" in line for line in told)
    assert len(results(folder / "out")["readings.jsonl"].splitlines()) == 1
    assert "12 lines were passed over" in (folder / "out" / "report.html").read_text("utf-8")


def test_what_the_model_cannot_judge_is_told_by_number(
    folder: Path, model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(texts: Sequence[str]) -> list[Verdict | RejectedError]:
        if any("leak" in text for text in texts):
            raise ValueError("no")
        return [judge(float("nan"), 0.0, -1.0) for _ in texts]

    monkeypatch.setattr(model, "classify", broken)
    assert run(save(folder, *POSTS), "--out", folder / "out") == 2
    told = capsys.readouterr().err
    for number in (1, 2, 4):
        assert f"posts.jsonl:{number}: " in told


@pytest.mark.parametrize("lines", [(), ("",), (POSTS[2],)], ids=["none", "empty", "others"])
@pytest.mark.usefixtures("model")
def test_a_history_without_posts_about_a_brand_says_so(folder: Path, lines: Sequence[str]) -> None:
    assert run(save(folder, *lines), "--out", folder / "out") == 0
    assert set(results(folder / "out").values()) == {b""}
    page = (folder / "out" / "report.html").read_text("utf-8")
    assert "No post was about any of the brands." in page


@pytest.mark.usefixtures("model")
def test_several_files_may_be_compressed(folder: Path) -> None:
    whole = save(folder, *POSTS)
    packed = folder / "posts.jsonl.gz"
    packed.write_bytes(gzip.compress(("\n".join(POSTS[:2])).encode()))
    rest = save(folder, *POSTS[2:], name="rest.jsonl")
    run(whole, "--out", folder / "one")
    run(packed, rest, "--out", folder / "two")
    assert results(folder / "one") == results(folder / "two")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["nowhere.jsonl", "--out", "out"], "nowhere.jsonl: there is no such file"),
        (["posts.jsonl", "--out", "out", "--brands", "nowhere.toml"], "nowhere.toml"),
        (["posts.jsonl", "--out", "out", "--model", "nowhere"], "nowhere"),
        (["posts.jsonl", "--out", "brands.toml"], "--out brands.toml"),
        (["posts.jsonl", "--out", "/proc/trustwatch"], "--out /proc/trustwatch"),
        (["posts.jsonl", "--out", "out", "--crisis", "acme:2026-03-02..2026-03-03"], "acme"),
        (["posts.jsonl", "--out", "out", "--crisis", "velmora"], "BRAND:FROM..TO"),
        (["posts.jsonl", "--out", "out", "--false-alarms", "often"], "1/90d"),
        (["posts.jsonl", "--out", "out", "--cache", "posts.jsonl"], "--cache posts.jsonl"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_before_any_work(
    folder: Path, given: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save(folder, *POSTS)
    assert run(*given) == 2
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) <= 2
    assert not (folder / "out" / "report.html").exists()


@pytest.mark.usefixtures("model")
def test_a_damaged_file_is_told_in_a_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "posts.jsonl.gz"
    path.write_bytes(gzip.compress(random.Random(1).randbytes(100_000))[:50_000])
    assert run(path, "--out", folder / "out") == 2
    assert "posts.jsonl.gz: cannot be read after line" in capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_a_damaged_cache_is_told_and_done_without(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "verdicts.sqlite").write_bytes(b"damaged" * 1_000)
    assert run(save(folder, *POSTS), "--out", folder / "out") == 0
    assert "set aside as verdicts.sqlite.bad1" in capsys.readouterr().err


def test_a_stop_keeps_the_verdicts_so_far(
    folder: Path, model: Model, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(mentions: Any, **_: Any) -> None:
        next(mentions)
        raise KeyboardInterrupt

    monkeypatch.setattr(backtest, "fold", stopped)
    path = save(folder, *POSTS)
    assert run(path, "--out", folder / "out") == 130
    assert "Stopped." in capsys.readouterr().err
    monkeypatch.setattr(backtest, "fold", fold)
    assert run(path, "--out", folder / "out") == 0
    assert len(model.asked) == 3


@pytest.mark.usefixtures("model")
def test_no_text_and_no_author_is_in_any_file(folder: Path) -> None:
    secret = post("9", "Velmora leak: hunter2", author={"id": "did:plc:jane", "handle": "jane"})
    run(save(folder, secret), "--out", folder / "out")
    for one in (folder / "out").iterdir():
        written = one.read_bytes()
        assert b"hunter2" not in written, one.name
        assert b"jane" not in written, one.name


@pytest.mark.usefixtures("model")
def test_a_sweep_is_written_and_an_old_one_removed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = save(folder, *POSTS), folder / "out"
    crisis = ["--crisis", "velmora:2026-03-03..2026-03-03"]
    run(path, "--out", out, "--sweep", "--false-alarms", "1/2d", *crisis)
    lines = [json.loads(line) for line in (out / "sweep.jsonl").read_text().splitlines()]
    assert {line["brand"] for line in lines} == {None, "velmora", "ostrane"}
    first = lines[0]
    assert (first["threshold"], first["pages"], first["false"], first["delay"]) == (4, 2, 1, 9)
    assert "Page thresholds from 9 on" in capsys.readouterr().out
    assert "Delay against false pages" in (out / "report.html").read_text("utf-8")
    run(path, "--out", out)
    assert not (out / "sweep.jsonl").exists()


def test_all_scores_of_a_surge_move_with_the_threshold() -> None:
    usual = Tuning()
    assert tuned(usual.page) == usual
    half = tuned(usual.page / 2)
    assert (half.page, half.ticket) == (usual.page / 2, usual.ticket / 2)
    assert (half.share_page, half.share_ticket) == (usual.share_page / 2, usual.share_ticket / 2)


def test_the_help_needs_no_model_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    assert " trustwatch backtest" in capsys.readouterr().out.split("Try:")[1]


def real(*given: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", "backtest", *map(str, given)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_sample_crisis_pages_in_whatever_order_its_posts_come(folder: Path) -> None:
    lines = sample.posts().read_bytes().splitlines()
    random.Random(7).shuffle(lines)
    mixed = save(folder, *lines)
    first = real(sample.posts(), "--brands", sample.brands(), "--out", folder / "one")
    assert first.returncode == 0, first.stderr
    cache = folder / "one" / "verdicts.sqlite"
    second = real(mixed, "--brands", sample.brands(), "--out", folder / "two", "--cache", cache)
    assert " 0 texts judged" in second.stdout
    assert results(folder / "one") == results(folder / "two")
    pages = [
        json.loads(line)["brand"]
        for line in (folder / "one" / "signals.jsonl").read_text().splitlines()
        if '"channel":"page"' in line
    ]
    assert "ondrelle" in pages


@pytest.mark.usefixtures("model")
def test_processes_beside_change_nothing_in_any_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "fold", REAL_FOLD)
    lines = sample.posts().read_bytes().splitlines()
    file = save(folder, *lines, "{", post("x", "Velmora", "1812-01-01T00:00:00Z"))
    assert run(file, "--brands", sample.brands(), "--out", folder / "here") == 2
    monkeypatch.setattr(finding, "BATCH", 8)
    monkeypatch.setattr(finding, "WORTH", 0)
    assert run(file, "--brands", sample.brands(), "--out", folder / "beside") == 2
    for name in backtest.FILES:
        assert (folder / "here" / name).read_bytes() == (folder / "beside" / name).read_bytes()


@pytest.mark.usefixtures("model")
def test_without_a_key_it_says_that_authors_are_not_told_apart(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(save(folder, *POSTS), "--out", folder / "out") == 0
    assert "privacy.key is not set: as with a worker, authors are not told apart" in (
        " ".join(capsys.readouterr().err.split())
    )
    monkeypatch.setenv("TRUSTWATCH_PRIVACY_KEY", "k" * 16)
    assert run(save(folder, *POSTS), "--out", folder / "out") == 0
    assert "privacy.key" not in capsys.readouterr().err


@pytest.mark.usefixtures("model")
def test_authors_count_as_with_a_worker_that_has_the_same_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "fold", REAL_FOLD)
    author = {"id": "one", "followers": 3}
    file = save(
        folder,
        *(post(str(n), f"Velmora is fine {n}", author=author) for n in range(40)),
    )
    indices = []
    for key in ("", "k" * 16, "l" * 16):
        monkeypatch.setenv("TRUSTWATCH_PRIVACY_KEY", key)
        assert run(file, "--out", folder / "out") == 0
        last = (folder / "out" / "readings.jsonl").read_bytes().splitlines()[-1]
        indices.append(json.loads(last)["index"])
    assert indices[1] == indices[2] != indices[0]
