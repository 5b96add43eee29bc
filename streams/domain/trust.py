"""The trust index T1: a Beta reputation whose evidence decays with event time, and its losses.

Jøsang and Ismail, "The Beta Reputation System" (2002), with exponential forward decay (Cormode,
Shkapenyuk, Srivastava and Xu, 2009). With R and N the decayed evidence for and against a brand,
`docs/trust-index.md` gives the reasons for

    capital  C0 = (b R + a W) / (b R + k N + W)          half-life 30 days
             C  = a + (C0 - a) sqrt(min(1, u E / E'))    if C0 > a, else C0: silence wears it down
    mood     M  = (b R" + V C) / (b R" + k N" + V)       half-life 12 hours
    index    T  = 100 (C - s max(0, C - M)) x shocks

Good mood adds nothing, bad mood costs at once, only lasting evidence raises the capital.
"""

import hashlib
from dataclasses import astuple, dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.evidence import Caps, Evidence, Weights
from streams.domain.row import HOUR
from streams.domain.stories import Shocks

FORMULA = "T1"
"""Changes whenever the same posts and constants would give another index."""

Z = 1.96
"""Standard deviations either side that hold 95 % of a normal distribution."""
UNSEEN = Z * Z / 4
"""Posts of praise, and of blame, that may be due though none was seen: the score interval of a
Poisson count n has the width of one with the variance n + Z^2 / 4 (Wilson, 1927, for shares)."""

Floats = NDArray[np.float64]

GAIN, LOSS, MOOD_GAIN, MOOD_LOSS, SLOW = range(5)
LONG, MOOD, BOTH = slice(5, 8), slice(8, 11), slice(11, 14)
WIDTH = 14
"""The decayed sums of a brand: evidence for and against over the long half-life and over the
mood's, all of it over that of upkeep; then, for the interval, the squares of gain, the products of
gain and loss, and the squares of loss, by the decay of either squared and by their product."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The constants of the index, each with its source and what changes when it moves."""

    half_life: float = 30 * 24.0
    """Hours in which the weight of evidence halves. Longer: steadier and slower. Companies took
    one to three months to win back half of the trust that a breach had cost them."""
    mood_half_life: float = 12.0
    """The same for the mood: half a day, so that a bad evening still shows the next morning."""
    upkeep_half_life: float = 180 * 24.0
    """The same for what a brand is used to hear; with `half_life` it says what silence costs."""
    upkeep_share: float = 6.0
    """u: the ratio of the two half-lives, so that steady talk keeps the capital whole."""
    prior: float = 20.0
    """W: evidence that a brand is given before it has any. More: small brands move less."""
    base: float = 0.5
    """a: the trust of a brand that nobody has spoken about."""
    balance: float = 2.0
    """b: weight of praise, by sector: where people only ever write to complain it is higher."""
    cost: float = 2.0
    """k: weight of blame. More: the index is lower everywhere, and falls faster."""
    mood_prior: float = 30.0
    """V: evidence that ties the mood to the capital. More: it takes a bigger crowd to show."""
    mood_share: float = 0.6
    """s: the share of a bad mood that the index shows at once."""
    doubt: float = 0.5
    """With a share of prior above this there is not enough evidence for a verdict."""
    weights: Weights = field(default_factory=Weights)
    """What a post weighs before caps."""
    caps: Caps = field(default_factory=Caps)
    """What one author, one text and one day can weigh."""
    shocks: Shocks = field(default_factory=Shocks)
    """What a leak takes off."""

    @cached_property
    def version(self) -> str:
        """The formula and a digest of every constant but the balance, which is the brand's own.

        >>> Rule().version != Rule(cost=3.0).version
        True
        """
        constants = repr(astuple(self)).encode()
        return f"{FORMULA}-{hashlib.sha256(constants).hexdigest()[:6]}"

    @cached_property
    def half_lives(self) -> Floats:
        """Half-lives of the sums in milliseconds, shape (WIDTH,)."""
        long, mood = self.half_life, self.mood_half_life
        squares = np.repeat([long / 2, mood / 2, long * mood / (long + mood)], 3)
        return np.append([long, long, mood, mood, self.upkeep_half_life], squares) * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Readings as arrays of one shape, in points: index = capital - mood_loss - shock_loss.

    `low` and `high` bound the index at 95 %; without `enough` evidence it is unknown.
    """

    index: Floats
    low: Floats
    high: Floats
    enough: NDArray[np.bool_]
    capital: Floats
    mood: Floats
    mood_loss: Floats
    shock_loss: Floats


def parts(evidence: Evidence) -> Floats:
    """Return what each row adds to the sums at its own instant, shape (rows, WIDTH)."""
    gain, loss = evidence.gain[:, None], evidence.loss[:, None]
    made = np.empty((len(gain), WIDTH))
    made[:, 0:4:2], made[:, 1:4:2], made[:, 4:5] = gain, loss, gain + loss
    made[:, 5::3], made[:, 6::3], made[:, 7::3] = gain * gain, gain * loss, loss * loss
    return made


def decay(elapsed: NDArray[np.int64] | int, rule: Rule) -> Floats:
    """Return what is left of the sums after so many milliseconds, shape (..., WIDTH)."""
    return np.exp2(-np.asarray(elapsed, dtype=np.float64)[..., None] / rule.half_lives)


class _Level(NamedTuple):
    """What an index is made of, in shares of one."""

    support: Floats
    earned: Floats
    upkeep: Floats
    felt: Floats
    capital: Floats
    mood: Floats
    calm: Floats


def read(sums: Floats, *, rule: Rule, balance: Floats | float, kept: Floats | float) -> Reading:
    """Return the readings for sums as they stand at the instants of reading.

    Args:
        sums: shape (..., WIDTH).
        rule: the constants.
        balance: weight of praise, shape (...).
        kept: share of the index that the shocks leave, 0 to 1, shape (...).
    """
    level = _level(sums, rule=rule, balance=balance)
    index = 100 * level.calm * kept
    half = 100 * Z * kept * np.sqrt(_variance(sums, level, rule=rule, balance=balance))
    return Reading(
        index=index,
        low=np.maximum(0.0, index - half),
        high=np.minimum(100.0, index + half),
        enough=rule.prior <= rule.doubt * level.support,
        capital=100 * level.capital,
        mood=100 * level.mood,
        mood_loss=100 * (level.capital - level.calm),
        shock_loss=100 * level.calm * (1 - kept),
    )


def indices(sums: Floats, *, rule: Rule, balance: Floats | float, kept: Floats | float) -> Floats:
    """Return the indices alone, as `read` does."""
    return 100 * _level(sums, rule=rule, balance=balance).calm * kept


def _level(sums: Floats, *, rule: Rule, balance: Floats | float) -> _Level:
    gained, lost = balance * sums[..., GAIN], rule.cost * sums[..., LOSS]
    support = gained + lost + rule.prior
    earned = (gained + rule.base * rule.prior) / support
    upkeep = np.where(earned > rule.base, np.sqrt(_upkeep(sums, rule)), 1.0)
    capital = rule.base + (earned - rule.base) * upkeep
    praised, blamed = balance * sums[..., MOOD_GAIN], rule.cost * sums[..., MOOD_LOSS]
    felt = praised + blamed + rule.mood_prior
    mood = (praised + rule.mood_prior * capital) / felt
    calm = capital - rule.mood_share * np.maximum(0.0, capital - mood)
    return _Level(support, earned, upkeep, felt, capital, mood, calm)


def _upkeep(sums: Floats, rule: Rule) -> Floats:
    """Return the share of what a brand is used to hear that it still hears, at most 1."""
    recent = rule.upkeep_share * (sums[..., GAIN] + sums[..., LOSS])
    share = np.divide(recent, sums[..., SLOW], out=np.ones_like(recent), where=sums[..., SLOW] > 0)
    return np.minimum(1.0, share)


def _variance(sums: Floats, level: _Level, *, rule: Rule, balance: Floats | float) -> Floats:
    """Return the variance that the chance of who posts when gives an index, as a share, squared.

    By the delta method: with what one more post's worth of praise, and of blame, moves the index,
    over the long half-life and over the mood's. Posts are taken as independent (a compound Poisson
    process): a decayed sum of theirs has the decayed sum of their squares as its variance.
    """
    support, earned, upkeep, felt, capital, mood, _ = level
    bad = np.where(mood < capital, rule.mood_share, 0.0)
    slope = (1 - bad + bad * rule.mood_prior / felt) / support
    unseen = (slope * balance * (1 - earned), slope * rule.cost * earned)
    lasting = (unseen[0] * upkeep, unseen[1] * upkeep)
    passing = (bad / felt * balance * (1 - mood), bad / felt * rule.cost * mood)
    seen = (
        _products(sums[..., LONG], lasting, lasting)
        + 2 * _products(sums[..., BOTH], lasting, passing)
        + _products(sums[..., MOOD], passing, passing)
    )
    variance: Floats = np.maximum(seen, 0.0) + UNSEEN * (unseen[0] ** 2 + unseen[1] ** 2)
    return variance


def _products(squares: Floats, one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Return the covariance of two sums, gain pulling up and loss down."""
    both = one[0] * other[1] + one[1] * other[0]
    covariance: Floats = (
        one[0] * other[0] * squares[..., 0]
        - both * squares[..., 1]
        + one[1] * other[1] * squares[..., 2]
    )
    return covariance
