"""One look at the demo: what both views show, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from streams.demo.board import Point
from streams.records import TrustReading


@dataclass(frozen=True, kw_only=True)
class Row:
    """A brand."""

    name: str
    reading: TrustReading | None = None
    course: Sequence[Point] = ()


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The demo at a moment.

    Attributes:
        doing: what the demo itself is at.
        span: when the first and the last post of the story were written.
        clock: the event time that the feed has come to, None before the first post.
        total: posts of the story.
        fed: posts that the broker has confirmed.
        judged: posts that the worker has judged.
        rejected: posts that it could not judge.
        rate: posts judged per second, lately.
        happening: what the story is at.
        rows: the brands.
        places: where to look from outside, by what is there.
        hints: commands to try next.
    """

    doing: str
    span: tuple[datetime, datetime]
    clock: datetime | None = None
    total: int = 0
    fed: int = 0
    judged: int = 0
    rejected: int = 0
    rate: float = 0.0
    happening: str = ""
    rows: Sequence[Row] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    hints: Sequence[str] = ()
