"""What the posts of a brand's day weigh once caps apply: per author, per copy key, and for praise.

A cap is a concave function F of the evidence of a group within a UTC day: the group weighs
F(e) where it brought e. A post weighs what it adds, F(e) - F(e before it), in the order of event
time. So the day's total depends on the set of posts alone, and what a post weighs does not change
when later ones follow: a reading of an earlier instant needs no other sums.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.row import Columns

_EXACT = 2.0**32
"""Evidence within a day is counted in this part of a post: the sums of all groups are then exact,
and what a post weighs depends, to the last bit, on those of its own group alone."""
_FEW = 256
"""Of so many posts it is worth asking first whether each is alone in its group, as is usual."""

Floats = NDArray[np.float64]
Cap = Callable[[Floats], Floats]


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The constants of the caps."""

    author: float = 2.0
    """Most posts' worth that one author weighs in a day; more lets a few loud people decide."""
    copies: float = 10.0
    """Evidence of near-copies from which on only its logarithm counts; more helps a campaign."""
    praise: float = 1.5
    """Multiple of a usual day's praise from which on more counts less and less; twice that is the
    most that a day can weigh, whoever pays for more. Praise can be bought in a day, trust cannot;
    blame is not capped, since a real outcry comes in a day. More: a good day lifts more."""
    least_praise: float = 2.0
    """Praise of a day that is always usual, so that a small brand can grow."""
    praise_days: int = 28
    """Days before, whose median is the usual praise: four weeks, so each weekday counts alike."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What lets a post weigh more or less: source, the author's standing, and what it is about."""

    young: float = 0.25
    """Weight of an author whose account is younger than `young_days`: accounts made for a
    campaign are new. It bounds all that such an author says in a day. Measured: at 0.35 a campaign
    of 5 % of the accounts cost 3.9 points, at 0.25 under 3. Lower: newcomers are heard less."""
    young_days: float = 7.0
    """Days that an account counts as young."""
    leak: float = 1.5
    """Factor of blame in a post that speaks of a leak: betrayal weighs more than annoyance."""
    sources: tuple[tuple[str, float], ...] = ()
    """Reliability by source, 0 to 1; a source that is not named has 1."""


class Evidence(NamedTuple):
    """What posts weigh after caps, one entry a row, and the day's praise before its own cap."""

    gain: Floats
    loss: Floats
    praise: float


def weigh(rows: Columns, *, usual: float, caps: Caps, young: float) -> Evidence:
    """Return what the rows of one brand and day weigh.

    Args:
        rows: the rows that count, in the order of event time.
        usual: the usual praise of a day, as `usual_praise` gives it.
        caps: the constants.
        young: weight of a young account, which bounds what all its posts together can weigh.
    """
    raw = rows.gain + rows.loss
    by_author = marginal(raw, rows.author, lambda e: _saturated(e, caps.author))
    by_author = np.where(rows.young, young * by_author, by_author)
    by_copy = marginal(by_author, rows.copy, lambda e: _logarithmic(e, caps.copies))
    factor = np.divide(by_copy, raw, out=np.zeros_like(raw), where=raw > 0)
    praise = rows.gain * factor
    gain = _added(praise, np.cumsum(praise), lambda e: _bounded(e, caps.praise * usual))
    return Evidence(gain, rows.loss * factor, float(praise.sum()))


def usual_praise(days: Sequence[float], caps: Caps) -> float:
    """Return the usual praise of a day, from that of the days before it."""
    recent = days[-caps.praise_days :]
    return max(caps.least_praise, median(recent) if recent else 0.0)


def marginal(evidence: Floats, group: NDArray[np.uint64], cap: Cap) -> Floats:
    """Return what each entry adds to its group under a cap of which F(0) = 0, in the order given.

    >>> group = np.array([7, 7, 8], dtype=np.uint64)
    >>> marginal(np.array([8.0, 8.0, 8.0]), group, lambda e: np.minimum(e, 10.0))
    array([8., 2., 8.])
    """
    if len(group) <= _FEW and len(set(group.tolist())) == len(group):
        return cap(np.rint(evidence * _EXACT) / _EXACT)
    order = np.argsort(group, kind="stable")
    ordered, groups = np.rint(evidence[order] * _EXACT) / _EXACT, group[order]
    total = np.cumsum(ordered)
    begins = np.ones(len(groups), dtype=np.bool_)
    begins[1:] = groups[1:] != groups[:-1]
    start = (total - ordered)[begins][np.cumsum(begins) - 1]
    added = np.empty_like(evidence)
    added[order] = _added(ordered, total - start, cap)
    return added


def _added(evidence: Floats, total: Floats, cap: Cap) -> Floats:
    return cap(total) - cap(total - evidence)


def _saturated(evidence: Floats, most: float) -> Floats:
    """Return 1 for the first post's worth or so, and never more than `most`."""
    return most * -np.expm1(-evidence / most)


def _logarithmic(evidence: Floats, free: float) -> Floats:
    """Return the evidence up to `free`, and from there on its logarithm."""
    beyond = np.maximum(evidence / free, 1.0)
    return np.where(evidence <= free, evidence, free * (1 + np.log(beyond)))


def _bounded(evidence: Floats, free: float) -> Floats:
    """Return the evidence up to `free`, and from there on ever less, never twice as much."""
    within = np.minimum(free / np.maximum(evidence, free), 1.0)
    return np.where(evidence <= free, evidence, free * (2 - within))
