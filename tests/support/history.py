"""A made-up history of brands, shaped like that of a backtest, to draw from."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from streams.backtest import Folded
from streams.domain.brands import Brand as Known
from streams.domain.row import instant
from streams.history import BrandHistory, History
from streams.records import Group, Incident, Mention, Reading, Shock, Signal, Telling
from streams.settings import Settings
from streams.terms import tuned

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = 600_000
HOUR = 3_600_000


def millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


EMPTY = BrandHistory(
    brand="velmora",
    name="Velmora",
    at=np.zeros(0, np.int64),
    index=np.zeros(0),
    low=np.zeros(0),
    high=np.zeros(0),
    capital=np.zeros(0),
    mood=np.zeros(0),
    mood_loss=np.zeros(0),
    shock_loss=np.zeros(0),
    enough=np.zeros(0, bool),
    hours=np.zeros(0, np.int64),
    negative=np.zeros(0, np.int64),
    neutral=np.zeros(0, np.int64),
    positive=np.zeros(0, np.int64),
)
"""A brand that nobody speaks of."""


def brand(name: str = "Velmora", *, days: float = 3, seed: int = 1) -> BrandHistory:
    """Makes a brand whose index falls two thirds into the period."""
    chance = np.random.default_rng(seed)
    steps = int(days * 144)
    at = millis(START) + STEP * np.arange(1, steps + 1)
    share = np.arange(steps) / steps
    crisis = np.clip((share - 0.66) * 12, 0, 1) * np.exp(-np.clip(share - 0.72, 0, None) * 5)
    capital = 64 + np.cumsum(chance.normal(0, 0.08, steps)) - 9 * crisis
    mood = np.clip(22 * crisis + chance.normal(0, 0.6, steps), 0, None)
    shock = 8 * crisis * (share > 0.7)
    index = np.clip(capital - mood - shock, 0, 100)
    half = 4 + 14 * np.exp(-share * 12)
    hours = millis(START) + HOUR * np.arange(int(days * 24))
    wave = 6 + 5 * np.sin(np.arange(len(hours)) / 24 * 2 * np.pi)
    surge = crisis[:: max(1, steps // max(1, len(hours)))][: len(hours)]
    return BrandHistory(
        brand=name.lower(),
        name=name,
        at=at,
        index=index,
        low=np.clip(index - half, 0, 100),
        high=np.clip(index + half, 0, 100),
        capital=capital,
        mood=capital - mood / 0.6,
        mood_loss=mood,
        shock_loss=shock,
        enough=half < 12,
        hours=hours,
        negative=chance.poisson(wave * 0.4 + 40 * surge),
        neutral=chance.poisson(wave * 0.8),
        positive=chance.poisson(wave * 0.5),
    )


def signal(hour: float, **given: Any) -> Signal:
    """Makes a signal raised some hours after the start."""
    at = START + timedelta(hours=hour)
    known: dict[str, Any] = {
        "id": f"velmora/negative_authors/{hour}",
        "brand": "velmora",
        "at": at,
        "detector": "negative_authors",
        "channel": "page",
        "why": "31 people complained between 15:00 and 16:00 where 4.2 are usual",
        "numbers": {"authors": 31.0, "expected": 4.2, "score": 11.31},
        "posts": (
            Telling("forum:1", at, "forum", "https://forum.example/1", -1.2),
            Telling("forum:2", at, "forum", None, -0.4),
        ),
        "moved": (
            Group("source", "forum", 24, -8.1),
            Group("hour", "2026-03-04T15:00:00Z", 9, 1.0),
        ),
        "ended": at + timedelta(hours=5),
    }
    return Signal(**(known | given))


def incident(hour: float = 49, **given: Any) -> Incident:
    """Makes an incident first seen some hours after the start."""
    at = START + timedelta(hours=hour)
    known: dict[str, Any] = {
        "incident": "velmora/data_breach/2026-03-04",
        "brand": "velmora",
        "status": "open",
        "severity": 3,
        "credibility": 0.82,
        "kinds": ("data_breach",),
        "first_seen": at,
        "last_seen": at + timedelta(hours=11),
        "mentions": 42,
        "authors": 39,
        "evidence": ("figure_and_unit",),
        "posts": ("forum:7", "forum:9"),
    }
    return Incident(**(known | given))


def fold(
    mentions: Iterable[Mention],
    *,
    brands: Sequence[Known],
    settings: Settings,  # noqa: ARG001 -- a real fold goes by them
    on_day: Callable[[date], None],
) -> Folded:
    """Folds as a real one does, in any order, but by a rule of thumb: a page for each leak."""
    told: list[BrandHistory] = []
    readings: list[Reading] = []
    rows = {(one.brand, one.post): one for one in mentions if not one.deleted}
    for known in brands:
        mine = sorted(
            (millis(one.at), name) for (id_, name), one in rows.items() if id_ == known.id
        )
        if mine:
            told.append(_course(known, [at for at, _ in mine], on_day))
            readings.append(_reading(known.id, mine[-1][0]))
    leaks = [one for one in rows.values() if one.is_leak]
    pages = [
        signal(0, id=f"{one.brand}/leak/{one.post}", brand=one.brand, at=one.at, detector="leak")
        for one in leaks
    ]
    history = History(
        told, readings, pages, [], lambda tuning: pages[: max(0, 10 - int(tuning.page))]
    )
    return Folded(history, lambda page: history.alarms(tuned(page)))


def _course(known: Known, times: list[int], on_day: Callable[[date], None]) -> BrandHistory:
    hours, counts = np.unique(np.array(times) // HOUR * HOUR, return_counts=True)
    at = np.arange(times[0] // STEP + 1, times[-1] // STEP + 2) * STEP
    for number in range(times[0] // (24 * HOUR), times[-1] // (24 * HOUR) + 1):
        on_day(instant(number * 24 * HOUR).date())
    flat, none = np.full(len(at), 60.0), np.zeros(len(at))
    return BrandHistory(
        brand=known.id,
        name=known.name,
        at=at,
        index=flat,
        low=flat - 5,
        high=flat + 5,
        capital=flat,
        mood=flat,
        mood_loss=none,
        shock_loss=none,
        enough=flat > 0,
        hours=hours,
        negative=counts,
        neutral=0 * counts,
        positive=0 * counts,
    )


def _reading(name: str, at: int) -> Reading:
    return Reading(
        brand=name,
        at=instant(at),
        index=60.0,
        low=55.0,
        high=65.0,
        enough=True,
        capital=60.0,
        mood=60.0,
        mood_loss=0.0,
        shocks=(Shock("x", 0.0),),
        version="test-1",
    )
