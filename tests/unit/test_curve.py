"""Pictures of lines, and of a training."""

import json
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from models.encoder import chart
from models.encoder.curve import main, read, series

LOG = [
    {"posts": 100, "seconds": 1, "sentiment en": 50.0, "sentiment de": 40.0, "leak it": 0.0},
    {"posts": 200, "seconds": 2, "sentiment en": 60.0, "sentiment de": 44.0, "leak it": 0.0},
]


def run(folder: Path, rows: list[dict[str, float]]) -> Path:
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def words(svg: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_a_training_is_a_line_for_each_task_over_its_posts(tmp_path: Path) -> None:
    more = {"sentiment es": 50.0, "leak ours en": 80.0, "leak ours fr": 90.0}
    found = series(read(run(tmp_path, [one | more for one in LOG])))
    assert {one.name: list(one.points) for one in found} == {
        "sentiment, en": [(100, 50.0), (200, 60.0)],
        "sentiment, mean of the others": [(100, 45.0), (200, 47.0)],
        "leak, synthetic, all languages": [(100, 85.0), (200, 85.0)],
    }, "a figure that is always 0 says only that a language has no leaks"


def test_the_picture_names_every_line(tmp_path: Path) -> None:
    out = tmp_path / "curve.svg"
    assert main([str(run(tmp_path, LOG)), "--out", str(out)]) == 0
    assert {"sentiment, en", "posts learnt from"} <= set(words(out.read_text()))


@pytest.mark.parametrize(("log", "said"), [("", "is empty"), ("no json\n", "not the log")])
def test_what_is_no_log_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], log: str, said: str
) -> None:
    (tmp_path / "log.jsonl").write_text(log)
    assert main([str(tmp_path), "--out", str(tmp_path / "x.svg")]) == 2
    assert said in capsys.readouterr().err
    assert main([str(tmp_path / "none"), "--out", str(tmp_path / "x.svg")]) == 2
    assert "give its folder" in capsys.readouterr().err


def test_points_lie_inside_and_names_do_not_lie_on_each_other() -> None:
    near = [chart.Series(f"line {at}", [(0, 50), (9, 50 + at / 100)], ring=1) for at in range(9)]
    root = ET.fromstring(chart.draw(near, title="t", across="x", up="y"))
    space = "{http://www.w3.org/2000/svg}"
    for dot in root.iter(f"{space}circle"):
        assert 0 < float(dot.attrib["cx"]) < float(root.attrib["width"])
        assert 0 < float(dot.attrib["cy"]) < float(root.attrib["height"])
    places = sorted(
        float(one.attrib["y"])
        for one in root.iter(f"{space}text")
        if (one.text or "").startswith("line")
    )
    assert all(after - before > 12 for before, after in pairwise(places))


def test_a_single_value_is_drawn_too() -> None:
    assert "<circle" in chart.draw([chart.Series("a", [(1, 1)])], title="", across="", up="")


@pytest.mark.parametrize(("low", "high"), [(0.001, 0.002), (-5, 5), (0, 470_000), (61.2, 93.8)])
def test_ticks_are_few_and_within(low: float, high: float) -> None:
    found = chart.ticks(low, high)
    assert 3 <= len(found) <= 8
    assert all(low <= one <= high for one in found)
