"""The report: one page that is whole, safe whatever a post holds, and small."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.row import DAY, HOUR
from streams.history import BrandHistory
from streams.records import Telling
from streams.report import Subject, charts, page, words
from streams.report.figures import course, draw
from streams.report.scales import Scale
from streams.report.tradeoff import tradeoff
from streams.report.view import LISTED, safe
from streams.sweep import Crisis, Point, Rate, Watched, measure, sweep
from tests.support.history import EMPTY, START, brand, incident, millis, signal

BEGAN = millis(START)
VOID = {"meta", "link", "br", "use", "path", "input", "img"}


class Reader(HTMLParser):
    """Reads a page strictly: what is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is opened."""
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is opened and closed at once."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Sort text by where it stands."""
        where = self._open[-1] if self._open else ""
        if where == "script":
            self.scripts.append(data)
        elif where != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self) -> str:
        """What can be read."""
        return " ".join(" ".join(self.words).split())


def subject(*brands: BrandHistory, **given: Any) -> Subject:
    shown = brands or (brand(),)
    watched = [Watched(one.brand, int(one.at[0]), int(one.at[-1])) for one in shown if len(one.at)]
    signals, crises = given.get("signals", [signal(50)]), given.get("crises", [])
    known: dict[str, Any] = {
        "brands": shown,
        "signals": signals,
        "incidents": [incident()],
        "points": measure(signals, watched, crises),
        "wish": Rate(1, 90),
        "posts": 1_234,
        "model": "linear-1 sha256:ab12",
        "version": "T1-x",
    }
    return Subject(**(known | given))


def read(*brands: BrandHistory, **given: Any) -> Reader:
    return Reader(page(subject(*brands, **given)))


def swept(alarms: Any, *crises: Crisis) -> list[Point]:
    return sweep(alarms, [Watched("velmora", BEGAN, BEGAN + 3 * DAY)], crises, on_step=print)


def test_the_page_is_whole_and_says_what_matters() -> None:
    shown = read()
    assert "One page in three days, for Velmora." in shown.text
    assert "1,234 posts" in shown.text
    assert "31 people complained between 15:00 and 16:00 where 4.2 are usual" in shown.text
    assert "4 Mar 2026, 02:00 UTC to 4 Mar 2026, 07:00 UTC (5 h)" in shown.text
    assert "Severity high, credibility 82%; 42 posts by 39 authors." in shown.text
    assert "Allowed: 1 false page for each brand in 90 days" in shown.text


def test_headings_skip_no_level() -> None:
    levels = [int(tag[1]) for tag, _ in read().tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_picture_is_told_in_words_and_as_a_table() -> None:
    shown = read()
    pictures = [attrs for attrs in shown.all("div") if attrs.get("role") == "img"]
    assert len(pictures) == 3
    assert all(attrs["aria-label"] for attrs in pictures)
    assert all("aria-hidden" in attrs for attrs in shown.all("svg"))
    assert "Each day (UTC)" in shown.text


def test_every_anchor_that_is_linked_is_there() -> None:
    shown = read(brand(), brand("Ostrane", seed=2), signals=[signal(9), signal(50)])
    ids = {attrs["id"] for _, attrs in shown.tags if "id" in attrs}
    asked = {(attrs["href"] or "") for attrs in shown.all("a")} | {
        attrs["href"] or "" for attrs in shown.all("use")
    }
    inside = {href[1:] for href in asked if href.startswith("#")}
    assert len(inside) > 3
    assert inside <= ids


def test_the_page_asks_nobody_for_anything() -> None:
    shown = read()
    assert {tag for tag, _ in shown.tags} & {"link", "img", "iframe", "object", "form"} == set()
    assert all("src" not in attrs for _, attrs in shown.tags)
    (policy,) = [
        attrs["content"] or ""
        for attrs in shown.all("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'")
    (script,) = shown.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt; \u202e\u0000\ud800",
)


@pytest.mark.parametrize("bad", HOSTILE)
def test_no_string_of_a_post_becomes_markup(bad: str) -> None:
    raised = signal(
        50,
        id=bad,
        why=bad,
        numbers={bad: 1.0},
        posts=(Telling(bad, START, bad, f"https://x.example/{bad}", -1.0),),
        muted=bad,
    )
    story = incident(incident=bad, status=bad, kinds=(bad,), evidence=(bad,), posts=(bad,))
    given: dict[str, Any] = {
        "signals": [raised],
        "incidents": [story],
        "model": bad,
        "version": bad,
    }
    plain = read()
    shown = read(replace(brand(), name=bad), **given)
    assert len(shown.scripts) == 1
    assert {tag for tag, _ in shown.tags} <= {tag for tag, _ in plain.tags}
    assert not [name for _, attrs in shown.tags for name in attrs if name.startswith("on")]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "https:",
        "https://",
        "https://[",
        "http://a.example/\njavascript:alert(1)",
        "x" * 10_000,
        "",
        None,
    ],
)
def test_only_addresses_of_the_web_are_linked(url: str | None) -> None:
    assert safe(url) is None
    shown = read(signals=[signal(50, posts=(Telling("p:1", START, "forum", url, 0.0),))])
    assert all((attrs["href"] or "").startswith("#") for attrs in shown.all("a"))
    assert "p:1" in shown.text


def test_a_link_gives_nothing_away() -> None:
    (link,) = [one for one in read().all("a") if (one["href"] or "").startswith("http")]
    assert link["href"] == "https://forum.example/1"
    assert {"noopener", "noreferrer"} <= set((link["rel"] or "").split())


def test_ten_brands_over_thirty_days_stay_below_a_megabyte() -> None:
    brands = [brand(f"Brand{number}", days=30, seed=number) for number in range(10)]
    signals = [
        signal(hour, brand=one.brand, id=f"{one.brand}/{hour}", channel="ticket")
        for one in brands
        for hour in range(0, 720, 40)
    ]
    assert len(page(subject(*brands, signals=signals)).encode()) < 1_000_000


def test_very_many_signals_are_counted_but_not_all_told() -> None:
    signals = [signal(hour / 9, channel="digest") for hour in range(600)] + [signal(60)]
    shown = read(signals=signals)
    told = [attrs for attrs in shown.all("li") if (attrs.get("class") or "").startswith("signal")]
    assert len(told) == LISTED
    assert "page" in (told[0]["class"] or "")
    assert f"{601 - LISTED} more are in signals.jsonl" in shown.text
    assert "600" in shown.text


def test_what_is_not_known_is_not_drawn() -> None:
    one = brand()
    never = replace(one, enough=np.zeros(len(one.at), bool))
    scale = Scale(int(one.hours[0]), int(one.at[-1]))
    figures = draw(scale, "Velmora", course(never))
    assert (figures.line, figures.band, figures.capital) == ("", "", "")
    assert sum(span.width for span in figures.hidden) == pytest.approx(100, abs=0.1)
    assert set(figures.hover["i"]) == {None}
    shown = read(never)
    assert "Trust index of Velmora: never enough evidence." in page(subject(never))
    assert "unknown" in shown.text


def test_numbers_that_are_none_are_not_drawn_either() -> None:
    one = brand()
    spoiled = replace(
        one, index=np.where(np.arange(len(one.at)) % 3, one.index, np.nan), high=one.high * np.inf
    )
    assert not re.search(r"\b(nan|inf)\b", page(subject(spoiled)), re.IGNORECASE)


@pytest.mark.parametrize(
    "one",
    [
        EMPTY,
        replace(
            EMPTY,
            hours=np.array([BEGAN]),
            negative=np.array([1]),
            neutral=np.array([0]),
            positive=np.array([0]),
        ),
    ],
    ids=["nothing", "one post"],
)
def test_hardly_anything_can_be_told_too(one: BrandHistory) -> None:
    shown = read(one, signals=[], incidents=[])
    assert "Nobody would have been paged" in shown.text
    assert "unknown" in shown.text


def test_nothing_at_all_can_be_told_too() -> None:
    shown = Reader(page(replace(subject(), brands=[], signals=[], incidents=[])))
    assert "No post was about any of the brands." in shown.text


def test_thirty_years_are_drawn_in_few_points() -> None:
    one = brand(days=3)
    at = BEGAN + np.arange(1, 30 * 366 * 4) * 6 * HOUR
    names = ("index", "low", "high", "capital", "mood", "mood_loss", "shock_loss")
    flat: dict[str, Any] = {name: np.full(len(at), 50.0) for name in names}
    long = replace(one, at=at, **flat, enough=np.ones(len(at), bool))
    assert len(page(subject(long)).encode()) < 200_000


values = st.lists(st.floats(0, 100), min_size=1, max_size=3_000).map(np.array)


@given(values)
def test_the_extremes_of_a_line_are_kept(given: Any) -> None:
    kept = given[charts.extremes(given)]
    assert (kept.min(), kept.max()) == (given.min(), given.max())
    assert len(kept) <= 2 * charts.BUCKETS + 2


def test_a_spike_of_one_step_in_ten_thousand_is_seen() -> None:
    line = np.full(10_000, 60.0)
    line[7_777] = 3.0
    kept = charts.extremes(line)
    assert 7_777 in kept
    assert len(kept) <= 1_002


def test_a_line_breaks_where_it_is_not_shown() -> None:
    at = np.arange(1, 7)
    shown = np.array([True, True, False, True, True, False])
    path = charts.line(Scale(0, HOUR), at, np.full(6, 50.0), top=100, shown=shown)
    assert path.count("M") == 2


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=80, unique=True).map(sorted),
    st.integers(1, 20_000),
)
def test_bars_hold_every_post(hours: list[int], length: int) -> None:
    at = np.array(hours) * HOUR
    counts = np.arange(1, len(hours) + 1)
    _, starts, (sums,) = charts.binned(Scale(0, length * HOUR), at, counts)
    assert sums.sum() == counts.sum()
    assert len(starts) == len(sums)


@given(st.floats(0, 1e9))
def test_an_axis_ends_above_its_highest_point(highest: float) -> None:
    assert charts.ceiling(highest) >= highest * (1 - 1e-9)


@given(st.integers(0, 4_000_000_000_000), st.integers(1, 3_000_000_000_000))
def test_few_instants_are_labelled_and_all_lie_on_the_axis(start: int, length: int) -> None:
    ticks = Scale(start, start + length).ticks()
    assert len(ticks) <= 10
    assert all(0 <= tick.left <= 100 for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks) or length <= 4 * DAY


def test_what_the_pointer_shows_can_be_read_by_the_script() -> None:
    boxes = [attrs["data-hover"] for attrs in read().all("div") if "data-hover" in attrs]
    (found,) = [json.loads(box or "") for box in boxes]
    assert len(found["t"]) == len(found["i"]) == len(found["a"]) <= 320
    assert len(found["b"]) == len(found["v"][0])


def test_a_crisis_that_was_named_is_shown_and_pages_are_judged_by_it() -> None:
    shown = read(
        signals=[signal(10), signal(50)],
        crises=[Crisis("velmora", BEGAN + 48 * HOUR, BEGAN + 60 * HOUR)],
    )
    assert "in a crisis that you named" in shown.text
    assert "outside of every crisis" in shown.text
    assert "A page saw the crisis, 2.0 h after the beginning." in shown.text
    assert "Outside of it there was one" in shown.text


def point(**given: Any) -> Point:
    known: dict[str, Any] = {
        "threshold": 10.0,
        "brand": None,
        "pages": 0,
        "false": 0,
        "other": 0,
        "days": 9.0,
        "crises": 0,
        "seen": 0,
        "delay": None,
    }
    return Point(**(known | given))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (point(), "too short to prove"),
        (point(days=9_000.0), "shows, at 95 %, that the wish is met"),
        (point(pages=30, false=30), "would be more than allowed"),
        (point(pages=30, false=30, crises=1), "is more than allowed"),
    ],
)
def test_a_verdict_says_no_more_than_the_history_shows(found: Point, said: str) -> None:
    assert said in words.verdict(found, Rate(1, 90))


def test_without_time_outside_of_a_crisis_nothing_is_said_of_false_pages() -> None:
    assert len(words.budget(point(days=0.0), Rate(1, 90))) == 1


def test_a_sweep_says_which_threshold_to_take() -> None:
    def alarms(threshold: float) -> list[Any]:
        return [signal(10)] * (threshold < 9) + [signal(50)] * (threshold < 15)

    crisis = Crisis("velmora", BEGAN + 48 * HOUR, BEGAN + 60 * HOUR)
    points = swept(alarms, crisis)
    shown = read(swept=points, crises=[crisis])
    assert "Page thresholds from 9 on keep to 1 false page" in shown.text
    assert "With 9: a page saw the crisis, 2.0 h after the beginning." in shown.text
    assert "10 is in use." in shown.text
    assert "Delay against false pages" in shown.text
    assert "missed" in shown.text
    rows = tradeoff(points, Rate(1, 90), used=10.0).lines
    assert [row.threshold for row in rows if row.used] == ["10"]
    assert [row.threshold for row in rows if row.chosen] == ["9"]


def test_a_sweep_without_a_crisis_has_one_axis() -> None:
    shown = read(swept=swept(lambda _: [signal(10, detector="leak")]))
    assert "No page threshold that was tried keeps to" in shown.text
    assert "one came from other detectors" in shown.text
    assert "Median delay" not in shown.text


def test_thresholds_that_come_to_nearly_the_same_share_a_dot() -> None:
    found = tradeoff(swept(lambda _: [signal(10)]), Rate(1, 90), used=10.0)
    assert [dot.label for dot in found.dots] == ["4\N{EN DASH}25"]


def test_the_headline_names_few_brands() -> None:
    names = {f"b{number}": f"B{number}" for number in range(6)}
    signals = [signal(hour, brand=f"b{hour % 6}") for hour in range(9)]
    said = words.headline(signals, names, 3.2)
    assert said.startswith("Nine pages in three days: two for B0, two for B1, two for B2 and ")
    assert said.endswith(" and the rest for three others.")
