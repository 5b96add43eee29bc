"""The trust index: a Beta reputation whose evidence decays with event time.

Jøsang and Ismail, "The Beta Reputation System" (2002), with exponential forward decay (Cormode,
Shkapenyuk, Srivastava and Xu, 2009): mergeable by adding sums, so the order of arrival cannot
matter. With R and N the decayed evidence for and against a brand,

    capital  C = (b R + a W) / (b R + k N + W)          over the long half-life
    mood     M = (b R' + V C) / (b R' + k N' + V)       over the short one
    index    T = 100 (C - s max(0, C - M))

Good mood adds nothing, bad mood costs at once, only lasting evidence raises the capital.
"""

from dataclasses import dataclass
from math import sqrt

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.domain.ledger import Ledger, Table
from streams.domain.row import HOUR, UNIT

VERSION = "beta-1"
"""Changes whenever the same posts would give another index."""

MEMORY_HOURS = 366 * 24
"""Evidence older than this weighs nothing (under 1/4000 at the default half-life)."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The constants of the index."""

    half_life: float = 30 * 24.0
    """Hours in which the weight of evidence halves."""
    mood_half_life: float = 12.0
    """The same for the mood."""
    prior: float = 20.0
    """W: evidence that a brand is given before it has any; more means slower and steadier."""
    base: float = 0.5
    """a: the trust of a brand nobody has spoken about."""
    balance: float = 2.0
    """b: how much praise it takes to balance a complaint in the brand's sector."""
    cost: float = 2.0
    """k: weight of evidence against; trust is lost faster than it is earned."""
    mood_prior: float = 30.0
    """V: evidence that ties the mood to the capital."""
    mood_share: float = 0.6
    """s: the share of a bad mood that the index shows at once."""
    doubt: float = 0.5
    """With a share of prior above this, there is not enough evidence for a verdict."""


class Reading(msgspec.Struct, frozen=True):
    """The index of a brand at an instant, 0 to 100, and what it is made of.

    `index = capital - mood_loss`; `low` and `high` bound it at 95 %; without `enough` evidence
    it should be shown as unknown.
    """

    index: float
    low: float
    high: float
    enough: bool
    capital: float
    mood: float
    mood_loss: float


def read(ledger: Ledger, *, now: int, rule: Rule) -> Reading:
    """Return the reading of a ledger at `now` (milliseconds since 1970).

    A pure function: nothing is kept between two readings.
    """
    age, gain, loss, square = _columns(ledger.table(), now)
    weight = np.exp2(-age / rule.half_life)
    gained, lost = float(gain @ weight), float(loss @ weight)
    support = rule.balance * gained + rule.cost * lost + rule.prior
    capital = (rule.balance * gained + rule.base * rule.prior) / support
    mood = _mood(age, gain, loss, capital=capital, rule=rule)
    lost_mood = rule.mood_share * max(0.0, capital - mood)
    half = _half_width(capital, gained + lost, float(square @ weight**2), rule=rule)
    index = 100 * max(0.0, capital - lost_mood)
    return Reading(
        index=index,
        low=max(0.0, index - half),
        high=min(100.0, index + half),
        enough=rule.prior / support <= rule.doubt,
        capital=100 * capital,
        mood=100 * mood,
        mood_loss=100 * lost_mood,
    )


def _columns(table: Table, now: int) -> tuple[NDArray[np.float64], ...]:
    """Return age in hours, gain, loss and squared evidence, one entry an hour."""
    age = now // HOUR - table[:, 0]
    recent = table[age < MEMORY_HOURS]
    gain, loss, square = recent[:, 1] / UNIT, recent[:, 2] / UNIT, recent[:, 3] / UNIT**2
    return np.maximum(age[age < MEMORY_HOURS], 0.0), gain, loss, square


def _mood(
    age: NDArray[np.float64],
    gain: NDArray[np.float64],
    loss: NDArray[np.float64],
    *,
    capital: float,
    rule: Rule,
) -> float:
    weight = np.exp2(-age / rule.mood_half_life)
    gained = rule.balance * float(gain @ weight)
    lost = rule.cost * float(loss @ weight)
    return (gained + rule.mood_prior * capital) / (gained + lost + rule.mood_prior)


def _half_width(capital: float, total: float, square: float, *, rule: Rule) -> float:
    """Return half the 95 % interval in points, by the effective number of posts (Kish 1965)."""
    effective = total**2 / square if square else 0.0
    return 196 * sqrt(capital * (1 - capital) / (effective + rule.prior + 1))
