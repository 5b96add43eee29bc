"""What a report says in words: the headline, the budget of false alarms, the advice of a sweep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import ceil, inf
from typing import Final

from streams.records import Signal
from streams.sweep import Point, Rate, bounds

_FEW: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAMED: Final = 3
"""Most brands that a headline names."""
_WEEKLY: Final = 10.0
"""From so many days on, a length of time is told without a fraction."""

DASH: Final = "\N{EN DASH}"

DETECTORS: Final[Mapping[str, str]] = {
    "negative_authors": "More people complain than is usual",
    "negative_share": "A larger share of the posts complains",
    "index_drop": "The index fell",
    "leak": "Posts speak of a leak",
}
CHANNELS: Final[Mapping[str, str]] = {"page": "Page", "ticket": "Ticket", "digest": "Digest"}
SEVERITIES: Final = ("", "low", "medium", "high", "very high")


def count(number: int, what: str) -> str:
    """Write a number of things.

    >>> count(1, "page"), count(12, "page"), count(0, "page")
    ('one page', '12 pages', 'no pages')
    """
    return f"{_number(number)} {what if number == 1 else what + 's'}"


def _number(number: int) -> str:
    return _FEW[number] if 0 <= number < len(_FEW) else f"{number:,}"


def headline(signals: Sequence[Signal], names: Mapping[str, str], days: float) -> str:
    """Say what would have paged, in a sentence."""
    pages = Counter(names[one.brand] for one in signals if one.channel == "page")
    span = count(round(days), "day") if days >= 1.5 else count(ceil(24 * days), "hour")  # noqa: PLR2004
    if not pages:
        return f"Nobody would have been paged in {span}."
    total = count(pages.total(), "page").capitalize()
    if len(pages) == 1:
        return f"{total} in {span}, {'' if pages.total() == 1 else 'all '}for {next(iter(pages))}."
    first = [f"{_number(many)} for {name}" for name, many in pages.most_common(_NAMED)]
    rest = len(pages) - len(first)
    parts = [*first, f"the rest for {count(rest, 'other')}"] if rest else first
    return f"{total} in {span}: {', '.join(parts[:-1])} and {parts[-1]}."


def budget(point: Point, wish: Rate) -> list[str]:
    """Say in sentences how the pages compare with the false alarms that are allowed."""
    if not point.days:
        return ["There is no time outside of the crises to count false pages in."]
    allowed = wish.daily * point.days
    said = [f"Allowed: {_per(wish)}, so {allowed:.2g} in all over these {_brand_days(point)}."]
    if point.crises:
        said.append(_seen(point))
        outside = "it" if point.crises == 1 else "them"
        said.append(f"Outside of {outside} there {_were(point.false)}{_every(point)}.")
    elif point.pages:
        said.append(
            f"If none of the pages was right, there {_were(point.pages)}{_every(point)}. Name "
            "the real crises with --crisis, and only the others count."
        )
    else:
        said.append("There was none.")
    return [*said, verdict(point, wish)]


def verdict(point: Point, wish: Rate) -> str:
    """Say whether a history shows that a wish is met; a short one can show little."""
    low, high = bounds(point.false, point.days)
    if high <= wish.daily:
        return "This history shows, at 95 %, that the wish is met."
    if low > wish.daily:
        would = "is" if point.crises else "would be"
        return f"That {would} more than allowed, and too much for chance (95 %)."
    rest = (
        ""
        if high == inf
        else f" With these figures the true rate may be up to {_rate(high)} (95 %)."
    )
    return f"The history is too short to prove that the wish is met.{rest}"


def advice(best: Point | None, wish: Rate, *, highest: Point, used: float) -> str:
    """Say which thresholds meet a wish, or what is left with the highest that was tried."""
    if best is None:
        left = (
            f"Of the {count(highest.false, 'page')} that are left with the highest, "
            f"{_number(highest.other)} came from other detectors, which it does not touch."
        )
        return f"No page threshold that was tried keeps to {_per(wish)} in this history. {left}"
    cost = (
        f" With {best.threshold:g}: {_seen(best)[0].lower()}{_seen(best)[1:]}"
        if best.crises
        else ""
    )
    short = bounds(best.false, best.days)[1] > wish.daily
    return (
        f"Page thresholds from {best.threshold:g} on keep to {_per(wish)} in this history; "
        f"{used:g} is in use.{cost}"
        f"{' The history is too short to prove it.' if short else ''}"
    )


def _seen(point: Point) -> str:
    seen = "the crisis" if point.crises == 1 else f"{point.seen} of {point.crises} crises"
    if not point.seen:
        return "No page saw the crisis." if point.crises == 1 else "No page saw any of the crises."
    late = "" if point.delay is None else f", {_hours(point.delay)} after the beginning"
    middle = " (median)" if late and point.crises > 1 else ""
    return f"A page saw {seen}{late}{middle}."


def _hours(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"  # noqa: PLR2004


def _were(number: int) -> str:
    return f"{'was' if number == 1 else 'were'} {_number(number) if number else 'none'}"


def _every(point: Point) -> str:
    return f", one in {_brand_days(point, share=point.false)}" if point.false else ""


def _per(wish: Rate) -> str:
    pages = f"{wish.pages:g} false page{'' if wish.pages == 1 else 's'}"
    return f"{pages} for each brand in {wish.days:g} days"


def _rate(daily: float) -> str:
    return f"one page in {_days(1 / daily, what='brand-day')}"


def _brand_days(point: Point, *, share: int = 1) -> str:
    return _days(point.days / share, what="brand-day")


def _days(days: float, *, what: str = "day") -> str:
    shown = f"{days:,.0f}" if days >= _WEEKLY else f"{days:.1f}".removesuffix(".0")
    return f"{shown} {what}{'' if shown == '1' else 's'}"
