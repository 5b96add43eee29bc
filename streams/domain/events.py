"""What happens to an alarm, and the sentence that tells whoever is called why."""

from collections.abc import Callable
from typing import Literal, NamedTuple

Detector = Literal["negative_authors", "negative_share", "index_drop", "leak"]
Channel = Literal["digest", "ticket", "page"]
What = Literal["raised", "escalated", "ended"]

DETECTORS: tuple[Detector, ...] = ("negative_authors", "negative_share", "index_drop", "leak")
"""In the order in which their events of one tick come."""

CHANNELS: tuple[Channel, ...] = ("digest", "ticket", "page")
"""From the mildest to the gravest."""


class Event(NamedTuple):
    """Something that happened to an alarm.

    Attributes:
        brand: its index in the panel.
        tick: at the end of which it happened.
        detector: whose alarm it is.
        what: `raised`, `escalated` or `ended`.
        channel: the gravest that the alarm reached.
        began: the tick in which it was raised; with brand and detector, its identity.
        numbers: what the detector saw; `why` tells them in a sentence.
    """

    brand: int
    tick: int
    detector: Detector
    what: What
    channel: Channel
    began: int
    numbers: dict[str, float]


def why(event: Event) -> str:
    """Return one sentence for whoever is called.

    >>> numbers = {"seen": 41.0, "expected": 6.0, "ratio": 6.83, "hours": 1.0}
    >>> why(Event(0, 9, "negative_authors", "raised", "page", 9, numbers))
    '41 people complained in the last hour; 6 are usual at this time (6.8 times)'
    """
    tell = _OVER if event.what == "ended" else _WHY
    return tell[event.detector](event.numbers)


def _why_authors(numbers: dict[str, float]) -> str:
    return (
        f"{numbers['seen']:.0f} people complained in the last {_span(numbers['hours'])}; "
        f"{_amount(numbers['expected'])} are usual at this time ({numbers['ratio']:.1f} times)"
    )


def _why_share(numbers: dict[str, float]) -> str:
    return (
        f"{numbers['seen']:.0%} of {numbers['posts']:.0f} posts in the last "
        f"{_span(numbers['hours'])} were negative; {numbers['expected']:.0%} are usual"
    )


def _why_drop(numbers: dict[str, float]) -> str:
    return (
        f"The index fell by {numbers['score']:.1f} points within a day, from "
        f"{numbers['expected']:.1f} to {numbers['seen']:.1f}; the intervals do not overlap"
    )


def _why_leak(numbers: dict[str, float]) -> str:
    if not numbers["groups"]:
        return "A post speaks of a leak, and no story of one is open yet"
    return (
        f"A leak of severity {numbers['severity']:.0f} of 4 has {_groups(numbers['groups'])}; "
        f"{_amount(numbers['seen'])} of late, where {_amount(numbers['expected'])} are usual"
    )


def _over_authors(numbers: dict[str, float]) -> str:
    return f"Over: no more people complain than usual {_score(numbers)}"


def _over_share(numbers: dict[str, float]) -> str:
    usual = f"{numbers['expected']:.0%}"
    return f"Over: no more posts are negative than the usual {usual} {_score(numbers)}"


def _over_drop(numbers: dict[str, float]) -> str:
    return f"Over: the index is {numbers['score']:.1f} points below its last 24 hours"


def _over_leak(numbers: dict[str, float]) -> str:
    if not numbers["severity"]:
        return "Over: no story of a leak is open"
    return f"Over: the leak is not spoken of any more ({_groups(numbers['groups'])} in all)"


def _amount(value: float) -> str:
    """Write a number as one would say it.

    >>> _amount(6.0), _amount(0.31), _amount(41.3)
    ('6', '0.3', '41')
    """
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}".removesuffix(".0")  # noqa: PLR2004


def _span(hours: float) -> str:
    """Write a length of time.

    >>> _span(1 / 6), _span(1), _span(7.2), _span(60)
    ('10 minutes', 'hour', '7 hours', '60 hours')
    """
    if hours == 1:
        return "hour"
    return f"{hours * 60:.0f} minutes" if hours < 2 else f"{hours:.0f} hours"  # noqa: PLR2004


def _score(numbers: dict[str, float]) -> str:
    score, below = numbers["score"], _amount(numbers["threshold"])
    return f"(score {score:.1f}, below {below})"


def _groups(count: float) -> str:
    return f"{count:.0f} independent group{'' if count == 1 else 's'} of witnesses"


_WHY: dict[Detector, Callable[[dict[str, float]], str]] = {
    "negative_authors": _why_authors,
    "negative_share": _why_share,
    "index_drop": _why_drop,
    "leak": _why_leak,
}
_OVER: dict[Detector, Callable[[dict[str, float]], str]] = {
    "negative_authors": _over_authors,
    "negative_share": _over_share,
    "index_drop": _over_drop,
    "leak": _over_leak,
}
