"""`trustwatch classify`: a line out for each line in, whatever the line."""

import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from models import BUNDLE
from models.labels import judge
from streams.commands.classify import LONGEST, READ, batches, verdicts, write
from streams.errors import InputError, RejectedError
from streams.records import Verdict

ROOT = Path(__file__).parents[2]


class Parrot:
    """Judges by the length of a text and refuses the empty one."""

    name = "parrot-1"
    leak_threshold = 0.5
    targeted = False

    def __init__(self) -> None:
        self.batches: list[int] = []

    def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
        """Judge."""
        self.batches.append(len(texts))
        return [
            judge(len(text), 0.0, -1.0) if text else RejectedError("empty_text", "nothing there")
            for text in texts
        ]


def post(name: str, text: str, **more: Any) -> bytes:
    return json.dumps(
        {"id": name, "text": text, "created_at": "2026-11-23T09:30:00Z", **more}
    ).encode()


def told(*lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in verdicts(lines, judge=Parrot())]


def run(*given: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "streams", "classify", *given]
    return subprocess.run(command, cwd=ROOT, input=data, capture_output=True, check=False)


def test_a_verdict_has_the_heads_of_the_model_and_its_name() -> None:
    (verdict,) = told(post("a:1", "x", brands=["Acme"], unheard_of=1))
    assert list(verdict) == ["id", "sentiment", "leak", "model"]
    assert list(verdict["sentiment"]) == ["negative", "neutral", "positive"]
    assert (verdict["id"], verdict["leak"], verdict["model"]) == ("a:1", 0.2689, "parrot-1")


def test_brands_of_a_post_are_asked_about_where_the_model_tells_them_apart() -> None:
    line = post("1", "the staff is lovely, the app is awful", brands=["app", "staff"])
    plain = post("2", "the staff is lovely")
    tiny = str(ROOT / "tests" / "unit" / "encoder-tiny")
    done = run("--model", tiny, data=line + b"\n" + plain)
    first, second = map(json.loads, done.stdout.splitlines())
    assert list(first["brands"]) == ["app", "staff"]
    assert list(first["brands"]["app"]["sentiment"]) == ["negative", "neutral", "positive"]
    assert not {"brands", "untrained_language"} & set(second)


def test_lines_that_cannot_be_judged_keep_their_place() -> None:
    said = told(
        post("1", "fine"),
        b"{not json",
        post("2", ""),
        b'{"id": "3", "created_at": "2026-11-23T09:30:00Z", "deleted": true}',
        b'{"id": "4"}',
        b'{"id": "5", "text": 7}',
        b'{"id": 6, "text": "seven"}',
        b"",
        b'"a string"',
        b"\xff\xfe",
        b'{"id": "7", "text": "\\ud800"}',
        post("8", "fine"),
    )
    assert [line["id"] for line in said[:6]] == ["1", None, "2", "3", "4", "5"]
    assert [line["id"] for line in said[6:10]] == [None] * 4
    assert said[-1]["id"] == "8"
    assert ["error" in line for line in said] == [False, *[True] * 10, False]
    assert said[2]["error"] == "empty_text: nothing there"
    assert (said[3]["error"], said[4]["error"]) == ("deleted", "no text")


def test_deeply_nested_lines_are_an_error_in_their_place() -> None:
    deep = b'{"id": "deep", "text": "x", "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert [line["id"] for line in told(deep, post("1", "x"))][1] == "1"


def test_lines_come_out_as_they_come_in() -> None:
    lines = [post(str(number), "x" * number) for number in range(1, 500)]
    source = io.BufferedReader(io.BytesIO(b"\n".join(lines)))
    to = io.BytesIO()
    write(source, judge=Parrot(), to=to)
    assert [json.loads(line)["id"] for line in to.getvalue().splitlines()] == [
        str(number) for number in range(1, 500)
    ]


def test_a_stream_is_judged_in_pieces() -> None:
    parrot = Parrot()
    line = post("1", "x" * 1_000) + b"\n"
    write(io.BufferedReader(io.BytesIO(line * 1_000)), judge=parrot, to=io.BytesIO())
    assert sum(parrot.batches) == 1_000
    assert max(parrot.batches) <= READ // len(line) + 1


def test_a_line_without_end_is_dropped_and_what_follows_is_kept() -> None:
    source = io.BufferedReader(io.BytesIO(b"a\n" + b"x" * (LONGEST + 3 * READ) + b"\nb\nc"))
    assert [line for lines in batches(source) for line in lines] == [b"a", b"", b"b", b"c"]


def test_a_last_line_without_end_is_told_too() -> None:
    source = io.BufferedReader(io.BytesIO(b"a\n" + b"x" * (LONGEST + READ)))
    assert [line for lines in batches(source) for line in lines] == [b"a", b""]


@pytest.mark.parametrize(
    "pack", [gzip.compress, zstandard.compress, bytes], ids=["gz", "zst", "plain"]
)
def test_files_may_be_compressed(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "posts"
    path.write_bytes(pack(post("1", "I love this so much") + b"\n" + post("2", "awful, so sad")))
    done = run(str(path))
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["sentiment"]["positive"] > second["sentiment"]["positive"]
    assert first["model"].startswith("encoder-1 sha256:")


def test_standard_input_may_be_compressed_too() -> None:
    done = run("-", data=gzip.compress(post("1", "hello")))
    assert json.loads(done.stdout)["id"] == "1"


def test_nothing_in_is_nothing_out() -> None:
    done = run()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["nowhere.jsonl"], b"nowhere.jsonl"),
        ([str(ROOT / "tests")], b"directory"),
        (["--model", "nowhere"], b"nowhere"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(given: list[str], told: bytes) -> None:
    done = run(*given)
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gz", "zst"])
def test_a_truncated_file_is_told_in_a_line(tmp_path: Path, pack: Any) -> None:
    path = tmp_path / "posts"
    path.write_bytes(pack(os.urandom(500_000).hex().encode())[:-4_000])
    done = run(str(path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) <= 2


def test_a_source_that_breaks_off_is_wrong_input() -> None:
    class Broken(io.BytesIO):
        def read1(self, _: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match="Input/output error"):
        next(batches(Broken()))


def test_a_reader_that_leaves_early_causes_no_noise(tmp_path: Path) -> None:
    path = tmp_path / "posts.jsonl"
    path.write_bytes((post("1", "hello") + b"\n") * 20_000)
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -m streams classify '{path}' | head -n 1"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["id"] == "1"


def test_verdicts_appear_while_the_input_goes_on() -> None:
    command = [sys.executable, "-m", "streams", "classify", "--model", str(BUNDLE)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(post("1", "hello") + b"\n")
        assert json.loads(process.stdout.readline())["id"] == "1"
        process.stdin.close()
        assert process.wait(timeout=60) == 0
