"""The report in a real browser: it renders, is silent, asks nobody, and fits a phone."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streams.domain.row import DAY, HOUR
from streams.report import Subject, page
from streams.sweep import Crisis, Rate, Watched, measure, sweep
from tests.support.browser import Browser, MissingError, Page
from tests.support.history import START, brand, incident, millis, signal

pytestmark = pytest.mark.browser

BEGAN = millis(START)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        found = Browser(tmp_path_factory.mktemp("browser"))
    except MissingError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with all that it can have, and names that want to break out of it."""
    brands = [
        brand(),
        replace(brand("Ostrane", seed=2), name="<b>Ostrane</b> & " + "very-long-name" * 9),
    ]
    crisis = Crisis("velmora", BEGAN + 48 * HOUR, BEGAN + 60 * HOUR)
    watched = [Watched(one.brand, BEGAN, BEGAN + 3 * DAY) for one in brands]
    signals = [
        signal(2, channel="digest", why="x" * 500),
        signal(20, channel="ticket", id="i" * 400, brand="ostrane"),
        signal(50, ended=None, numbers={"a_number_with_a_very_long_name" * 3: 1e9}),
    ]
    subject = Subject(
        brands=brands,
        signals=signals,
        incidents=[incident(evidence=("e" * 300,), posts=("p" * 300,))],
        points=measure(signals, watched, [crisis]),
        wish=Rate(1, 90),
        crises=[crisis],
        swept=sweep(lambda limit: signals[int(limit) // 9 :], watched, [crisis], on_step=print),
        posts=12_345,
        bad=3,
        model="linear-1 sha256:ab12cd34ef56",
        version="T1-x",
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page(subject), "utf-8")
    return path


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_renders_in_silence_and_asks_nobody(
    browser: Browser, report: Path, width: int, *, dark: bool
) -> None:
    shown = browser.open(report, width=width, dark=dark)
    assert shown.value("document.querySelectorAll('.plot').length") == 7
    assert shown.console == []
    assert shown.requests == [report.resolve().as_uri()]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_sticks_out_at_the_side(browser: Browser, report: Path, width: int) -> None:
    shown = browser.open(report, width=width)
    shown.value("for (const one of document.querySelectorAll('details')) one.open = true")
    assert shown.value("document.documentElement.scrollWidth") <= width


def test_every_chart_has_a_line_with_height_and_width(browser: Browser, report: Path) -> None:
    shown = browser.open(report, width=390)
    boxes = shown.value(
        "[...document.querySelectorAll('path.line')].map(one => one.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    assert len(boxes) == 2
    assert all(width > 200 and height > 20 for width, height in boxes)


def readout(shown: Page) -> str:
    return str(shown.value("document.querySelector('.readout').textContent"))


def test_the_pointer_reads_figures(browser: Browser, report: Path) -> None:
    shown = browser.open(report, width=1280)
    idle = readout(shown)
    x, y = shown.value(
        "(() => { const plot = document.querySelector('.plot.index');"
        "plot.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const box = plot.getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2] })()"
    )
    shown.move(x, y)
    assert "3 Mar, 12:0" in readout(shown)
    assert "index 6" in readout(shown)
    assert "posts:" in readout(shown)
    shown.move(2, 2)
    assert readout(shown) == idle
    assert shown.console == []


CONTRAST = """
(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(node).backgroundColor);
      if (a === 1) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((one) => one.nodeType === 3 && one.data.trim());
    if (!own || ["SCRIPT", "STYLE"].includes(node.tagName)) continue;
    const pair = [light(parse(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) low.push(`${node.className || node.tagName} ${ratio.toFixed(2)}`);
  }
  return [...new Set(low)];
})()
"""


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_stands_out_from_what_is_behind_it(
    browser: Browser, report: Path, *, dark: bool
) -> None:
    assert browser.open(report, width=1280, dark=dark).value(CONTRAST) == []


def test_it_can_be_printed(browser: Browser, report: Path) -> None:
    assert browser.open(report, width=1280, dark=True).paper().startswith(b"%PDF")


def test_without_its_script_all_is_there(browser: Browser, report: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.html"
    bare.write_text(report.read_text("utf-8").split("<script>")[0], "utf-8")
    shown = browser.open(bare, width=390)
    assert shown.value("document.querySelectorAll('path.line').length") == 2
    assert shown.value("document.querySelector('.readout').hidden") is True
