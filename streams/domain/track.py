"""Brands tick by tick: what the detectors look at."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.evidence import Floats
from streams.domain.ledger import Instants, Ledger, Page, Tail
from streams.domain.row import DAY, LABELS, Columns
from streams.domain.stories import Chapter, Shocks, kept
from streams.domain.trust import WIDTH, Rule, decay

TICK = 600_000
"""Milliseconds in a tick."""
TICKS_A_DAY = DAY // TICK

Counts = NDArray[np.int64]
_NEGATIVE = LABELS.index("negative")
_NONE = np.zeros(WIDTH)


class Track(NamedTuple):
    """Brands over consecutive ticks, shape (brands, k); of one brand (k,).

    Attributes:
        authors: distinct authors of negative posts.
        negatives: negative posts.
        posts: posts that may count as evidence.
        leaks: posts that speak of a leak.
        severity: of the gravest leak story that goes on at the end of the tick; 0: none.
        witnesses: how many independent witnesses that story has.
        kept: share of the index that all shocks leave at the end of the tick.
        sums: the decayed sums at the end of the tick, shape (brands, k, trust.WIDTH).
    """

    authors: Counts
    negatives: Counts
    posts: Counts
    leaks: Counts
    severity: Counts
    witnesses: Counts
    kept: Floats
    sums: Floats


def track(ledgers: Sequence[Ledger], first: int, last: int, *, rule: Rule) -> Track:
    """Return brands side by side over ticks of one day, from `first` to before `last`."""
    day = first // TICKS_A_DAY
    ends = (np.arange(first, last) + 1) * TICK
    known = [ledger.settled(day, first * TICK) for ledger in ledgers]
    laid = _quiet([one.grown if isinstance(one, Tail) else _NONE for one in known], ends, rule)
    for i, one in enumerate(known):
        if isinstance(one, Page):
            _hear(laid, i, one, first, rule)
        if one.chapters:
            _tell(laid, i, one.chapters, ends, rule.shocks)
    return laid


def spans(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the ticks of each day, from one to before another."""
    while first < last:
        end = min(last, (first // TICKS_A_DAY + 1) * TICKS_A_DAY)
        yield first, end
        first = end


def _quiet(grown: Sequence[Floats], ends: Instants, rule: Rule) -> Track:
    """Return brands without posts and stories: what most are, tick by tick."""
    shape = (len(grown), len(ends))
    sums = np.array(grown)[:, None, :] * decay(ends - (ends[0] - 1) // DAY * DAY, rule)
    counts = np.zeros((6, *shape), dtype=np.int64)
    return Track._make([*counts, np.ones(shape), sums])


def _hear(laid: Track, i: int, page: Page, first: int, rule: Rule) -> None:
    """Enter a brand with posts."""
    last = first + laid.posts.shape[1]
    ends = (np.arange(first, last) + 1) * TICK
    for column, counts in zip(laid, _counts(page.rows, first, last), strict=False):
        column[i] = counts
    laid.sums[i] = page.sums(ends, rule)


def _tell(laid: Track, i: int, chapters: Sequence[Chapter], ends: Instants, shocks: Shocks) -> None:
    """Enter the stories of a brand."""
    laid.severity[i], laid.witnesses[i] = _gravest(chapters, ends, shocks)
    laid.kept[i] = kept(chapters, ends, shocks)


def _counts(rows: Columns, first: int, last: int) -> list[Counts]:
    """Return distinct negative authors, negative posts, posts and leak mentions by tick."""
    tick = rows.at // TICK - first
    shown = rows.weighty & (tick >= 0) & (tick < last - first)
    negative = shown & (rows.label == _NEGATIVE)
    authors = _distinct(tick[negative], rows.author[negative])
    chosen = (authors, tick[negative], tick[shown], tick[shown & rows.leak])
    return [np.bincount(ticks, minlength=last - first) for ticks in chosen]


def _distinct(tick: Counts, who: NDArray[np.uint64]) -> Counts:
    """Return each tick as often as different people are in it."""
    order = np.lexsort((who, tick))
    tick, who = tick[order], who[order]
    new = np.ones(len(tick), dtype=np.bool_)
    new[1:] = (tick[1:] != tick[:-1]) | (who[1:] != who[:-1])
    return tick[new]


def _gravest(chapters: Sequence[Chapter], ends: Instants, shocks: Shocks) -> tuple[Counts, Counts]:
    severity, witnesses = np.zeros((2, len(ends)), dtype=np.int64)
    for chapter in chapters:
        heard = chapter.witnessed(ends, shocks)
        grave = np.where(heard > 0, chapter.story.severity(shocks), 0)
        graver = (grave > severity) | ((grave == severity) & (heard > witnesses))
        severity, witnesses = np.where(graver, grave, severity), np.where(graver, heard, witnesses)
    return severity, witnesses
