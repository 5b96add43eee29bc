"""Surges: is a brand complained about more often, or in more of its posts, than is usual for it?

Two CUSUM tests (Page 1954; Hawkins and Olwell 1998) of log likelihood ratios, against a usual level
that is learnt meanwhile. Complaints y of an hour, with the usual m and the brand's burstiness
1/k, are negative binomial, so that with d the rise that is looked for

    score = max(0, score before the hour + y ln d - (y + k) ln((k + d m) / (k + m)))

and negative posts n of N, with the usual share p, the odds ratio o, and f the variance of the
share over that of a coin,

    score = max(0, score before the hour + (n ln o - N ln(1 + p (o - 1))) / f)

Within an hour y, m, n and N grow tick by tick: a tick is scored at once, yet what people answer
each other within the hour counts as one burst, not as six.

The state is a matrix of float64: a row for each `Column`, a column for each brand. All is
computed element by element, so no brand's bits depend on its neighbours; zeros are a blank brand,
priors being added when they are used.
"""

from enum import IntEnum, auto

import numpy as np
from numpy.typing import NDArray

from streams.domain.tuning import Tuning

Floats = NDArray[np.float64]

TICKS = 6
"""Ticks in an hour."""

GUARD = 3
"""Hours before an hour is learnt from, so that a surge does not teach while it is being seen."""

_KINDS = 2  # working days and weekend
_BINS = 24 * _KINDS
_NEAR = ((-2, 1 / 9), (-1, 2 / 9), (0, 3 / 9), (1, 2 / 9), (2, 1 / 9))
_KERNEL = 3.0  # hours' worth of evidence in a smoothed one: 1 / its largest weight


class Column(IntEnum):
    """Where a brand's single numbers stand in its state."""

    TICK = 0
    BORN = auto()
    HEARD = auto()
    # Complaints: what is learnt, the hour's constants, the hour so far, the score, its window.
    AUTHORS = auto()
    HOURS = auto()
    EXCESS = auto()
    SQUARE = auto()
    USUAL = auto()
    FEARED = auto()
    K = auto()
    Y = auto()
    M = auto()
    BEFORE = auto()
    SCORE = auto()
    SEEN = auto()
    EXPECTED = auto()
    SPAN = auto()
    # The share of negative posts, likewise.
    NEGATIVE = auto()
    POSTS = auto()
    RESIDUE = auto()
    VARIANCE = auto()
    SHARE = auto()
    FEARED_SHARE = auto()
    SPREAD = auto()
    HOUR_NEGATIVE = auto()
    HOUR_POSTS = auto()
    SHARE_BEFORE = auto()
    SHARE_SCORE = auto()
    SHARE_SEEN = auto()
    SHARE_OF = auto()
    SHARE_SPAN = auto()
    # The index, and leaks.
    INDEX = auto()
    DROP = auto()
    HEAT = auto()
    TALK = auto()
    JOINED = auto()
    WATCHED = auto()
    GROUPS = auto()
    SEVERITY = auto()


_C = Column
_START = len(Column)
DAYS = slice(_START, _START + _KINDS)
"""Days seen of each kind."""
_SEEN = DAYS.stop
_DUE = _SEEN + _BINS
_GUARDED = _DUE + _BINS
_KEPT = 4  # complaints, the usual, negative posts, posts
END = _GUARDED + GUARD * _KEPT
"""Where the state of the surges ends."""


def season_of(hour: int) -> int:
    """Return the bin of an hour since 1970 (UTC): its hour of the day, and 24 more at weekends.

    >>> season_of(0), season_of(2 * 24 + 5)  # a Thursday, and Saturday at five
    (0, 29)
    """
    weekend = (hour // 24 + 3) % 7 >= 5  # noqa: PLR2004 - Monday is 0
    return hour % 24 + 24 * weekend


def begin(state: Floats, hour: int, alarmed: Floats, tuning: Tuning) -> None:
    """Begin an hour: what is usual in it, by what was learnt.

    Args:
        state: of the brands; changed.
        hour: since 1970.
        alarmed: shape (2, brands), 1 where complaints, or the share, have an alarm raised.
        tuning: the constants.
    """
    place = season_of(hour)
    days = state[DAYS]
    state[_C.USUAL] = np.maximum(
        _level(state, tuning) * _season(state, place, tuning), tuning.least
    )
    state[_C.FEARED] = state[_C.USUAL] * (1 + tuning.youth / (1 + days[place // 24]))
    state[_C.K] = 1 / _burstiness(state, tuning)
    _begin_share(state, 1 + tuning.youth / (1 + days[0] + days[1]), tuning)
    fading = 2.0 ** (-1 / tuning.fade)
    for each, (score, before) in enumerate(
        ((_C.SCORE, _C.BEFORE), (_C.SHARE_SCORE, _C.SHARE_BEFORE))
    ):
        state[before] = state[score] * np.where(alarmed[each] > 0, fading, 1.0)
    for column in (_C.Y, _C.M, _C.HOUR_NEGATIVE, _C.HOUR_POSTS):
        state[column] = 0.0


def _level(state: Floats, tuning: Tuning) -> Floats:
    """Return the usual complaints an hour, over all seasons."""
    level: Floats = state[_C.AUTHORS] + tuning.level_authors
    level /= state[_C.HOURS] + tuning.level_hours
    return level


def _season(state: Floats, place: int, tuning: Tuning) -> Floats:
    """Return how many times the level is usual in an hour.

    Smoothed over the hours around; an hour of a weekend leans on that hour of any day.
    """
    kind = place // 24 * 24
    own_seen = own_due = all_seen = all_due = np.zeros(state.shape[1])
    for offset, weight in _NEAR:
        one = (place + offset) % 24
        own_seen = own_seen + weight * state[_SEEN + kind + one]
        own_due = own_due + weight * state[_DUE + kind + one]
        all_seen = all_seen + weight * (state[_SEEN + one] + state[_SEEN + 24 + one])
        all_due = all_due + weight * (state[_DUE + one] + state[_DUE + 24 + one])
    prior = tuning.season_prior
    day = (_KERNEL * all_seen + prior) / (_KERNEL * all_due + prior)
    season: Floats = (_KERNEL * own_seen + prior * day) / (_KERNEL * own_due + prior)
    return season


def _burstiness(state: Floats, tuning: Tuning) -> Floats:
    """Return 1/k by moments: the variance beyond a Poisson process, over the squared mean."""
    found: Floats = tuning.spread_prior * tuning.spread + state[_C.EXCESS]
    found /= tuning.spread_prior + state[_C.SQUARE]
    return np.clip(found, tuning.spread_least, tuning.spread_most)


def _begin_share(state: Floats, caution: Floats, tuning: Tuning) -> None:
    share = (state[_C.NEGATIVE] + tuning.share_negative) / (state[_C.POSTS] + tuning.share_posts)
    state[_C.SHARE] = share
    state[_C.FEARED_SHARE] = share * caution / (1 + share * (caution - 1))
    found = (tuning.share_prior * tuning.share_spread + state[_C.RESIDUE]) / (
        tuning.share_prior + state[_C.VARIANCE]
    )
    state[_C.SPREAD] = np.maximum(found, 1.0)


def count(
    state: Floats, tick: int, authors: Floats, negatives: Floats, posts: Floats, tuning: Tuning
) -> None:
    """Score a tick; the state changes."""
    ready = tick - state[_C.BORN] >= tuning.warm_up * TICKS
    _count_authors(state, authors, ready, tuning)
    _count_share(state, negatives, posts, ready, tuning)
    part = float(tick % TICKS + 1)
    usual = state[_C.USUAL] / TICKS
    hour = (state[_C.Y], usual * part, part)
    _widen(state, _C.SCORE, _C.SEEN, (authors, usual, 1.0), hour)
    hour = (state[_C.HOUR_NEGATIVE], state[_C.HOUR_POSTS], part)
    _widen(state, _C.SHARE_SCORE, _C.SHARE_SEEN, (negatives, posts, 1.0), hour)


def _count_authors(
    state: Floats, authors: Floats, ready: NDArray[np.bool_], tuning: Tuning
) -> None:
    state[_C.Y] += authors
    state[_C.M] += state[_C.FEARED] / TICKS
    y, m = state[_C.Y], state[_C.M]
    k = np.maximum(state[_C.K], 1 / tuning.spread_most)  # a brand born within the hour has none yet
    gain = y * np.log(tuning.surge) - (y + k) * np.log((k + tuning.surge * m) / (k + m))
    score = np.clip(state[_C.BEFORE] + gain, 0.0, tuning.page + tuning.headroom)
    state[_C.SCORE] = np.where(ready, score, 0.0)


def _count_share(
    state: Floats, negatives: Floats, posts: Floats, ready: NDArray[np.bool_], tuning: Tuning
) -> None:
    state[_C.HOUR_NEGATIVE] += negatives
    state[_C.HOUR_POSTS] += posts
    against = np.log(1 + state[_C.FEARED_SHARE] * (tuning.odds - 1))
    gain = state[_C.HOUR_NEGATIVE] * np.log(tuning.odds) - state[_C.HOUR_POSTS] * against
    score = state[_C.SHARE_BEFORE] + gain / np.maximum(state[_C.SPREAD], 1.0)
    score = np.clip(score, 0.0, tuning.share_page + tuning.headroom)
    state[_C.SHARE_SCORE] = np.where(ready, score, 0.0)


def _widen(
    state: Floats,
    score: Column,
    first: Column,
    tick: tuple[Floats | float, ...],
    hour: tuple[Floats | float, ...],
) -> None:
    """Extend the three sums, from column `first` on, since the score was last zero.

    They begin with the hour so far, since that is what the score begins with.
    """
    window = state[first : first + 3]
    running, begun = state[score] > 0, window[2] > 0
    if not running.any():
        window[:] = 0.0
        return
    for sums, more, start in zip(window, tick, hour, strict=True):
        sums[:] = np.where(running, np.where(begun, sums + more, start), 0.0)


def finish(state: Floats, hour: int, alarmed: Floats, tuning: Tuning) -> None:
    """Finish an hour: learn from the one that has now passed the guard."""
    slot = _GUARDED + hour % GUARD * _KEPT
    kept = state[slot : slot + _KEPT].copy()
    lived = hour - GUARD > state[_C.BORN] // TICKS
    pace = np.where(alarmed > 0, tuning.alarmed, 1.0) * lived
    _learn_level(state, kept, hour - GUARD, pace[0], tuning)
    _learn_share(state, kept, pace[1], tuning)
    now = (state[_C.Y], state[_C.USUAL], state[_C.HOUR_NEGATIVE], state[_C.HOUR_POSTS])
    for offset, value in enumerate(now):
        state[slot + offset] = value


def _learn_level(state: Floats, kept: Floats, hour: int, pace: Floats, tuning: Tuning) -> None:
    y, usual = kept[0], kept[1]
    level, spread = _level(state, tuning), _burstiness(state, tuning)
    reach = tuning.wild * np.sqrt(usual + usual * usual * spread) + 2  # a pair is never wild
    tamed = np.minimum(y, usual + reach)
    over = np.minimum(y - usual, 2 * reach)
    _blend(state, (_C.AUTHORS, _C.HOURS), (tamed, usual / level), pace, tuning.level_life)
    moments = (over * over - usual, usual * usual)
    _blend(state, (_C.EXCESS, _C.SQUARE), moments, pace, tuning.spread_life)
    place = season_of(hour)
    state[DAYS.start : _GUARDED] *= _decay(pace, tuning.season_life)
    state[_SEEN + place] += pace * tamed
    state[_DUE + place] += pace * level
    state[DAYS.start + place // 24] += pace / 24


def _learn_share(state: Floats, kept: Floats, pace: Floats, tuning: Tuning) -> None:
    negatives, posts, share = kept[2], kept[3], state[_C.SHARE]
    mean, variance = posts * share, posts * share * (1 - share)
    reach = tuning.wild * np.sqrt(variance * np.maximum(state[_C.SPREAD], 1.0)) + 2
    tamed = np.minimum(negatives, mean + reach)
    off = np.clip(negatives - mean, -2 * reach, 2 * reach)
    _blend(state, (_C.NEGATIVE, _C.POSTS), (tamed, posts), pace, tuning.share_life)
    _blend(state, (_C.RESIDUE, _C.VARIANCE), (off * off, variance), pace, tuning.spread_life)


def _blend(
    state: Floats,
    sums: tuple[Column, Column],
    more: tuple[Floats, Floats],
    pace: Floats,
    life: float,
) -> None:
    """Let two sums fade for an hour at a pace, then add to them at that pace."""
    kept = _decay(pace, life)
    for column, value in zip(sums, more, strict=True):
        state[column] = state[column] * kept + pace * value


def _decay(pace: Floats, life: float) -> Floats:
    return np.exp2(-pace / life)
