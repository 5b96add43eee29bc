"""The report of a backtest: one page that needs nothing beside it, neither network nor script."""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from streams.domain.row import DAY
from streams.domain.tuning import Tuning
from streams.history import BrandHistory
from streams.records import Incident, Signal
from streams.report import words
from streams.report.scales import Scale, clock, day, stamp
from streams.report.tradeoff import tradeoff
from streams.report.view import BrandView, brand_view, scale_of
from streams.sweep import Crisis, Point, Rate

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
"""Whatever a post could smuggle in, the page runs our script alone and asks nobody for anything."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a report is about."""

    brands: Sequence[BrandHistory]
    signals: Sequence[Signal]
    incidents: Sequence[Incident]
    points: Sequence[Point]
    """What the settings in use came to: all brands first."""
    wish: Rate
    crises: Sequence[Crisis] = ()
    swept: Sequence[Point] = ()
    """What other thresholds would have come to."""
    threshold: float = Tuning().page
    """The page threshold in use."""
    posts: int = 0
    bad: int = 0
    """Lines that are no posts."""
    model: str = ""
    version: str = ""
    """Of the index."""


def page(subject: Subject) -> str:
    """Return the report as HTML."""
    scale = scale_of(subject.brands)
    views = list(_views(subject, scale))
    names = {one.brand: one.name for one in subject.brands}
    whole = next(point for point in subject.points if point.brand is None)
    script = _asset("hover.js")
    html: str = _template().render(
        subject=subject,
        brands=views,
        ticks=scale.ticks(),
        since=(clock(scale.start), stamp(scale.start)),
        until=(clock(scale.end), stamp(scale.end)),
        days=f"{day(scale.start)} to {day(scale.end)}",
        headline=words.headline(subject.signals, names, scale.length / DAY),
        budget=words.budget(whole, subject.wish),
        tradeoff=tradeoff(subject.swept, subject.wish, used=subject.threshold)
        if subject.swept
        else None,
        style=_asset("style.css"),
        script=script,
        policy=f"{_POLICY}; script-src 'sha256-{_digest(script)}'",
    )
    return html


def _views(subject: Subject, scale: Scale) -> Iterator[BrandView]:
    signals, incidents, crises = (
        _by_brand(records) for records in (subject.signals, subject.incidents, subject.crises)
    )
    for number, one in enumerate(subject.brands):
        yield brand_view(
            number,
            one,
            scale,
            signals=signals[one.brand],
            incidents=incidents[one.brand],
            crises=crises[one.brand],
        )


def _by_brand(records: Sequence[Any]) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = defaultdict(list)
    for one in records:
        groups[one.brand].append(one)
    return groups


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader(__name__, "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"compact": _compact, "many": words.count}
    return environment.get_template("page.html")


def _compact(value: Any) -> str:
    """Return JSON without blanks; the template escapes it like any other string."""
    return _encode(value).decode()


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text("utf-8").strip()


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
