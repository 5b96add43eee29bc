"""What the page shows, ready to be written down: every string still as it came, to be escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from streams.domain.row import HOUR
from streams.history import BrandHistory
from streams.pipeline import millis
from streams.records import Group, Incident, Signal, Telling
from streams.report.figures import Course, Figures, course, draw
from streams.report.scales import Scale, Span, clock, lasting, stamp
from streams.report.words import CHANNELS, DASH, DETECTORS, SEVERITIES
from streams.sweep import Crisis, is_within

LISTED: Final = 30
"""Most signals of a brand that are told in full; all are in the file beside the report."""
MARKED: Final = 120
"""Most marks in a lane."""
_POSTS: Final = 5
_INCIDENTS: Final = 30
_LONGEST: Final = 300
"""Characters of somebody else's string."""


class Link(NamedTuple):
    """A post: its id, and its address if that is one to follow."""

    text: str
    url: str | None
    note: str


class Moved(NamedTuple):
    """A group of posts that moved the index."""

    kind: str
    name: str
    posts: int
    points: str


class Time(NamedTuple):
    """An instant for people and for machines."""

    text: str
    stamp: str


@dataclass(frozen=True, kw_only=True)
class SignalView:
    """A signal as it is told."""

    anchor: str
    channel: str
    label: str
    detector: str
    why: str
    began: Time
    ended: Time | None
    lasted: str
    judged: str
    withdrawn: bool
    muted: str | None
    numbers: list[tuple[str, str]]
    posts: list[Link]
    moved: list[Moved]


class Mark(NamedTuple):
    """A signal, an incident or a crisis in its lane."""

    span: Span
    label: str
    anchor: str | None


class Lane(NamedTuple):
    """Marks of one kind, side by side."""

    kind: str
    name: str
    marks: list[Mark]
    total: int


@dataclass(frozen=True, kw_only=True)
class IncidentView:
    """An incident as it is told."""

    anchor: str
    title: str
    status: str
    severity: str
    level: int
    credibility: str
    first: Time
    last: Time
    mentions: int
    authors: int
    evidence: list[str]
    posts: list[Link]


@dataclass(frozen=True, kw_only=True)
class BrandView:
    """A brand as it is told."""

    anchor: str
    id: str
    name: str
    figures: Figures
    lanes: list[Lane]
    rules: list[float]
    crises: list[Span]
    index: str
    interval: str
    lowest: str
    lowest_at: str
    posts: int
    negative: int
    counts: dict[str, int]
    signals: list[SignalView]
    unlisted: int
    incidents: list[IncidentView]
    incidents_unlisted: int


def brand_view(
    number: int,
    brand: BrandHistory,
    scale: Scale,
    *,
    signals: Sequence[Signal],
    incidents: Sequence[Incident],
    crises: Sequence[Crisis],
) -> BrandView:
    """Return what the page shows of one brand; the records are of this brand alone."""
    told, one = _told(signals), course(brand)
    anchors = {signal.id: f"s{number}-{place}" for place, signal in enumerate(told)}
    shown = sorted(incidents, key=lambda each: (each.first_seen, each.incident))[:_INCIDENTS]
    counts = {channel: sum(each.channel == channel for each in signals) for channel in CHANNELS}
    return BrandView(
        anchor=f"b{number}",
        id=brand.brand,
        name=brand.name,
        figures=draw(scale, brand.name, one),
        lanes=_lanes(scale, signals, shown, crises, anchors=anchors, number=number),
        rules=[scale.left(millis(each.at)) for each in signals if each.channel == "page"][:MARKED],
        crises=[scale.span(each.since, each.until) for each in crises],
        **_facts(one),
        posts=int(sum(each.sum() for each in one.counts)),
        negative=int(one.counts[0].sum()),
        counts=counts,
        signals=[_signal(each, anchors[each.id], crises) for each in told],
        unlisted=len(signals) - len(told),
        incidents=[_incident(each, f"i{number}-{place}") for place, each in enumerate(shown)],
        incidents_unlisted=len(incidents) - len(shown),
    )


def _facts(one: Course) -> dict[str, str]:
    """Return the index at the end and at its lowest; unknown where there is too little."""
    facts = dict.fromkeys(("interval", "lowest_at"), "") | {
        "index": "unknown",
        "lowest": DASH,
    }
    if len(one.at) and one.known[-1]:
        facts["index"] = f"{one.index[-1]:.0f}"
        facts["interval"] = f"{one.low[-1]:.0f}{DASH}{one.high[-1]:.0f}"
    if one.known.any():
        least = np.flatnonzero(one.known)[one.known_index.argmin()]
        facts |= {"lowest": f"{one.index[least]:.0f}", "lowest_at": clock(one.at[least])}
    return facts


def _told(signals: Sequence[Signal]) -> list[Signal]:
    """Return the signals to tell in full: the gravest first, each kind in its order."""
    rank = list(CHANNELS)
    return sorted(signals, key=lambda one: (rank.index(one.channel), one.at, one.id))[:LISTED]


def _lanes(
    scale: Scale,
    signals: Sequence[Signal],
    incidents: Sequence[Incident],
    crises: Sequence[Crisis],
    *,
    anchors: dict[str, str],
    number: int,
) -> list[Lane]:
    named = [Mark(scale.span(one.since, one.until), _crisis(one), None) for one in crises]
    found = [
        Mark(
            scale.span(millis(one.first_seen), millis(one.last_seen)),
            f"Incident {_cut(one.incident)}, {_time(one.first_seen).text}",
            f"i{number}-{place}",
        )
        for place, one in enumerate(incidents)
    ]
    lanes = [Lane("crisis", "Crises you named", named[:MARKED], len(named))]
    for channel, label in CHANNELS.items():
        marks = [
            _mark(scale, one, anchors.get(one.id)) for one in signals if one.channel == channel
        ]
        lanes.append(Lane(channel, f"{label}s", marks[:MARKED], len(marks)))
    lanes.append(Lane("incident", "Incidents", found, len(found)))
    return [lane for lane in lanes if lane.marks]


def _mark(scale: Scale, one: Signal, anchor: str | None) -> Mark:
    at = millis(one.at)
    until = scale.end if one.ended is None else millis(one.ended)
    label = f"{CHANNELS[one.channel]}, {_time(one.at).text}: {_cut(one.why)}"
    return Mark(scale.span(at, max(at, until)), label, anchor)


def _crisis(one: Crisis) -> str:
    return f"Crisis from {clock(one.since)} to {clock(one.until)}"


def _signal(one: Signal, anchor: str, crises: Sequence[Crisis]) -> SignalView:
    ended = None if one.ended is None else _time(one.ended)
    lasted = "" if one.ended is None else lasting(millis(one.ended) - millis(one.at))
    return SignalView(
        anchor=anchor,
        channel=one.channel,
        label=CHANNELS[one.channel],
        detector=DETECTORS.get(one.detector, one.detector),
        why=_cut(one.why),
        began=_time(one.at),
        ended=ended,
        lasted=lasted,
        judged=_judged(one, crises),
        withdrawn=one.withdrawn,
        muted=one.muted and _cut(one.muted),
        numbers=[(_spaced(name), _number(value)) for name, value in one.numbers.items()],
        posts=[_telling(post) for post in one.posts[:_POSTS]],
        moved=[_moved(group) for group in one.moved[:_POSTS]],
    )


def _judged(one: Signal, crises: Sequence[Crisis]) -> str:
    if not crises or one.channel != "page":
        return ""
    return "in a crisis that you named" if is_within(one, crises) else "outside of every crisis"


def _incident(one: Incident, anchor: str) -> IncidentView:
    known = 0 < one.severity < len(SEVERITIES)
    return IncidentView(
        anchor=anchor,
        title=f"Leak story: {', '.join(_spaced(kind) for kind in one.kinds) or 'of no kind'}",
        status=_cut(one.status),
        severity=SEVERITIES[one.severity] if known else str(one.severity),
        level=one.severity,
        credibility=f"{one.credibility:.0%}",
        first=_time(one.first_seen),
        last=_time(one.last_seen),
        mentions=one.mentions,
        authors=one.authors,
        evidence=[_cut(each) for each in one.evidence[:_POSTS]],
        posts=[Link(_cut(post), None, "") for post in one.posts[:_POSTS]],
    )


def _telling(post: Telling) -> Link:
    note = f"{_cut(post.source)}, {_time(post.at).text}, moved the index by {_points(post.moved)}"
    return Link(_cut(post.post), safe(post.url), note)


def _moved(group: Group) -> Moved:
    return Moved(group.kind, _cut(group.name), group.posts, _points(group.moved))


def safe(url: str | None) -> str | None:
    """Return an address that may be followed: http or https, on a host, in one piece.

    >>> safe("javascript:alert(1)"), safe("https://forum.example/1")
    (None, 'https://forum.example/1')
    """
    if not url or len(url) > 8 * _LONGEST or any(char <= " " or char == "\x7f" for char in url):
        return None
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and parts.hostname else None


def scale_of(brands: Sequence[BrandHistory]) -> Scale:
    """Return the period of all brands together."""
    starts = [int(one.hours[0]) for one in brands if len(one.hours)]
    starts += [int(one.at[0]) for one in brands if len(one.at)]
    ends = [int(one.at[-1]) for one in brands if len(one.at)]
    ends += [int(one.hours[-1]) + HOUR for one in brands if len(one.hours)]
    return Scale(min(starts), max(ends)) if starts else Scale(0, HOUR)


def _time(moment: datetime) -> Time:
    at = millis(moment)
    return Time(clock(at), stamp(at))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _spaced(name: str) -> str:
    return _cut(name.replace("_", " "))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.3g}"


def _points(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")  # noqa: RUF001 -- the sign that is as wide as a plus
