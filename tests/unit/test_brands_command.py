"""`trustwatch brands check`: what it prints for people and for scripts, and its exit codes."""

import io
import json
from pathlib import Path

import pytest

from streams.cli import main

FILE = """
[[brand]]
id = "velmora"
name = "Velmora Télécom"
aliases = ["Velmora"]
handles = ["@veltel"]

[[brand]]
id = "velmora-bank"
name = "Velmora Bank"
exclude = ["Velmora Bank Stadium"]

[[brand]]
id = "brisk"
name = "Brisk"
require_any = ["mobile", "fibre"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRUSTWATCH_CONFIG", raising=False)
    Path("brands.toml").write_text(FILE, encoding="utf-8")


def check(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["brands", "check", *args])
    return int(ended.value.code or 0)


def piped(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))


def test_a_good_file_is_summed_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    out, err = capsys.readouterr()
    assert out == (
        "brands.toml: 3 brands, 4 names, 1 handle, 3 conditions\n"
        'warning: velmora-bank and velmora: "Velmora Bank Stadium": '
        'it has their name "velmora" in it, and counts for them.\n'
    )
    assert err == ""


def test_errors_in_the_file_are_shown_and_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    same = '[[brand]]\nid = "a"\nname = "Velmora"\n[[brand]]\nid = "b"\nname = "VELMORA"\n'
    Path("same.toml").write_text(same, encoding="utf-8")
    assert check("--brands", "same.toml") == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith('error: a and b: "Velmora": a text with it counts for')
    assert err == "trustwatch: same.toml: 1 error to mend, shown above\n"


def test_a_review_for_scripts_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json") == 0
    review = json.loads(capsys.readouterr().out)
    assert (review["file"], review["brands"]) == ("brands.toml", 3)
    assert [(c["severity"], c["brand"], c["other"], c["word"]) for c in review["conflicts"]] == [
        ("warning", "velmora-bank", "velmora", "Velmora Bank Stadium")
    ]


def test_texts_for_scripts_have_the_first_place_of_each_brand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check("--json", "Brisk fibre, Velmora Bank: d'Velmora à VELMORA", "rien") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {
            "text": "Brisk fibre, Velmora Bank: d'Velmora à VELMORA",
            "brands": [
                {"id": "brisk", "start": 0, "end": 5, "match": "Brisk"},
                {"id": "velmora-bank", "start": 13, "end": 25, "match": "Velmora Bank"},
                {"id": "velmora", "start": 29, "end": 36, "match": "Velmora"},
            ],
        },
        {"text": "rien", "brands": []},
    ]


def test_offsets_count_code_points(capsys: pytest.CaptureFixture[str]) -> None:
    text = "🎉👩‍💻 e\u0301 Straße l\u2019Ve\u0301lmora\u0301!"
    assert check("--json", text) == 0
    (found,) = json.loads(capsys.readouterr().out)["brands"]
    assert text[found["start"] : found["end"]] == found["match"] == "Ve\u0301lmora\u0301"


def test_people_are_told_what_counts_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [
        "Velmora Télécom, @veltel",
        "Brisk, la fibre",
        "brisk",
        "at Velmora Bank Stadium",
        "Velmora Bank",
        "rien",
    ]
    assert check(*texts) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Velmora Télécom, @veltel",
        '  velmora  0-15   "Velmora Télécom"  counts, as "Velmora Télécom"',
        '  velmora  17-24  "@veltel"          counts, as "@veltel"',
        "Brisk, la fibre",
        '  brisk  0-5  "Brisk"  counts, as "Brisk", with "fibre"',
        "brisk",
        '  brisk  0-5  "brisk"  does not count: none of mobile, fibre is in the text',
        "at Velmora Bank Stadium",
        (
            '  velmora-bank  3-15  "Velmora Bank"  does not count: '
            'the excluded "Velmora Bank Stadium" is in the text'
        ),
        '  velmora       3-10  "Velmora"       counts, as "Velmora"',
        "Velmora Bank",
        '  velmora-bank  0-12  "Velmora Bank"  counts, as "Velmora Bank"',
        '  velmora       0-7   "Velmora"       does not count: part of "Velmora Bank"',
        "rien",
        "  no brand",
    ]


def test_a_dash_reads_lines_whatever_their_bytes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, b"Velmora\r\n\xff Velmora\n\nlast")
    assert check("--json", "-") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["text"], len(line["brands"])) for line in lines] == [
        ("Velmora", 1),
        ("\ufffd Velmora", 1),
        ("", 0),
        ("last", 0),
    ]


def test_control_characters_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("\x1b[31mred \udcff Velmora\x07") == 0
    out = capsys.readouterr().out
    assert out.startswith("\\x1b[31mred \\udcff Velmora\\x07\n")
    assert '"Velmora"' in out


def test_the_file_comes_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    Path("brands.toml").rename(elsewhere)
    monkeypatch.setenv("TRUSTWATCH_BRANDS_FILE", str(elsewhere))
    assert check() == 0
    assert capsys.readouterr().out.startswith(f"{elsewhere}: 3 brands")


@pytest.mark.parametrize("args", [(), ("Velmora",), ("--json", "-")])
def test_a_file_that_cannot_be_used_ends_with_2_and_one_line(
    args: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("brands.toml").write_text("[[brands]]", encoding="utf-8")
    assert check(*args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == 'trustwatch: brands.toml: unknown key "brands"; did you mean "brand"?\n'


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--help") == 0
    assert 'trustwatch brands check "' in capsys.readouterr().out
