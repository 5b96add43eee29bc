"""Leak stories of a brand, provisional: mentions of one kind with no gap of two days.

How grave a story is goes by its kind, how credible it is by how many independent people, with
words of their own, speak of it, and on how many sources.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.domain.row import DAY, HOUR, KINDS, Columns

Floats = NDArray[np.float64]
Instants = NDArray[np.int64]

FIRST_POSTS = 5
"""Posts that a story names."""
MOST_SOURCES = 16
"""Sources that a story tells apart."""
FORGOTTEN = 8
"""Half-lives after which a story that is over weighs nothing."""


@dataclass(frozen=True, kw_only=True)
class Shocks:
    """What a leak takes off the index, and when it is believed."""

    gap: float = 48.0
    """Hours without a mention after which the next one begins another story. Not below 24: the
    mentions of one kind within a UTC day are one story. Longer: old rumours revive old stories."""
    losses: tuple[float, ...] = (0.05, 0.12, 0.25, 0.40)
    """Share of the index that a credible story of severity 1 to 4 takes off. Survey points after
    known breaches: -10 of 100 (Home Depot 2014) to -24.5 (Target 2013)."""
    half_lives: tuple[float, ...] = (7.0, 14.0, 30.0, 90.0)
    """Days in which that loss halves, by severity; the same breaches: 7.5 and 91 days."""
    severities: tuple[int, ...] = (2, 3, 2, 3, 1, 2, 2)
    """Severity by kind, in the order of `row.KINDS`."""
    witness: float = 0.05
    """Credibility that one independent witness gives: a bare mention proves little."""
    platform: float = 0.15
    """Credibility that each further source gives."""


class Story(msgspec.Struct, frozen=True):
    """A leak story as far as it is known.

    Attributes:
        kind: index into `row.KINDS`.
        first: event time of its first mention, milliseconds.
        last: event time of its latest mention.
        mentions: number of posts.
        authors: distinct authors, those of two days counted twice.
        copies: distinct texts, likewise.
        sources: where they came from.
        posts: the first few of them.
    """

    kind: int
    first: int
    last: int
    mentions: int
    authors: int
    copies: int
    sources: tuple[str, ...]
    posts: tuple[str, ...]

    @property
    def name(self) -> str:
        """What tells it apart from the brand's other stories: its kind and its first day.

        >>> Story(1, 0, 0, 1, 1, 1, ("forum",), ("p",)).name
        'data_breach/1970-01-01'
        """
        return f"{KINDS[self.kind]}/{np.datetime64(self.first // DAY, 'D')}"

    @property
    def witnesses(self) -> int:
        """Independent witnesses: different people with words of their own."""
        return min(self.authors, self.copies)

    def severity(self, shocks: Shocks) -> int:
        """Return how grave it is, 1 to 4."""
        return shocks.severities[self.kind]

    def credibility(self, shocks: Shocks) -> float:
        """Return how credible it is, 0 to 1."""
        return float(_credibility(self.witnesses, len(self.sources), shocks))


class Chapter(NamedTuple):
    """A story on one day, instant by instant.

    Attributes:
        story: the story at the end of the day.
        at: event times of the day's mentions, milliseconds, shape (n,).
        witnesses: independent witnesses before any of them and up to each, shape (n + 1,).
        sources: sources likewise, shape (n + 1,).
        lasts: the latest mention likewise, milliseconds.
    """

    story: Story
    at: Instants
    witnesses: NDArray[np.int64]
    sources: NDArray[np.int64]
    lasts: Instants

    def witnessed(self, at: Instants, shocks: Shocks) -> NDArray[np.int64]:
        """Return the witnesses heard before each instant, 0 once the story is over."""
        known = np.searchsorted(self.at, at)
        going_on = at - self.lasts[known] <= shocks.gap * HOUR
        return np.where(going_on, self.witnesses[known], 0)

    def mentions(self, at: int) -> int:
        """Return the mentions before an instant."""
        later = len(self.at) - int(np.searchsorted(self.at, at))
        return self.story.mentions - later

    def loss(self, at: Instants, shocks: Shocks) -> Floats:
        """Return the share of the index that the story takes off at each instant."""
        known = np.searchsorted(self.at, at)
        believed = _credibility(self.witnesses[known], self.sources[known], shocks)
        severity = self.story.severity(shocks)
        age = np.maximum(at - self.story.first, 0) / (shocks.half_lives[severity - 1] * DAY)
        loss: Floats = shocks.losses[severity - 1] * believed * np.exp2(-age)
        return loss


def tell(before: Sequence[Story], rows: Columns, shocks: Shocks) -> list[Chapter]:
    """Return the stories of a brand with what the rows of a day add to them.

    Args:
        before: the stories when the day began.
        rows: the rows of the day that count.
        shocks: the constants.
    """
    speaking = np.flatnonzero(rows.leak & rows.weighty)
    if not len(speaking):
        return [quiet(story) for story in before]
    continued, chapters = [], []
    for kind in np.unique(rows.kind[speaking]).tolist():
        chosen = speaking[rows.kind[speaking] == kind]
        first = int(rows.at[chosen[0]])
        story = _open(before, kind, first, shocks)
        continued.append(story)
        blank = Story(kind, first, first, 0, 0, 0, (), ())
        chapters.append(_chapter(story or blank, rows, chosen))
    return [quiet(story) for story in before if story not in continued] + chapters


def kept(chapters: Iterable[Chapter], at: Instants, shocks: Shocks) -> Floats:
    """Return the share of the index that the stories leave at each instant."""
    left = np.ones(len(at))
    for chapter in chapters:
        left *= 1 - chapter.loss(at, shocks)
    return left


def shares(chapters: Iterable[Chapter], at: int, shocks: Shocks) -> dict[str, float]:
    """Return by story its part of what all stories take off; the parts sum to 1."""
    return next(shared(chapters, np.array([at]), shocks))


def shared(chapters: Iterable[Chapter], at: Instants, shocks: Shocks) -> Iterator[dict[str, float]]:
    """Yield the same at each instant."""
    told = [(one.story.name, np.log1p(-one.loss(at, shocks)).tolist()) for one in chapters]
    for i in range(len(at)):
        logs = {name: log[i] for name, log in told if log[i]}
        yield {name: log / sum(logs.values()) for name, log in logs.items()}


def lasting(stories: Sequence[Story], at: int, shocks: Shocks) -> list[Story]:
    """Return the stories that go on or still weigh at an instant."""
    return [story for story in stories if _weighs(story, at, shocks)]


def _weighs(story: Story, at: int, shocks: Shocks) -> bool:
    half_life = shocks.half_lives[story.severity(shocks) - 1] * DAY
    return at - story.last <= shocks.gap * HOUR or at - story.first < FORGOTTEN * half_life


def _open(stories: Sequence[Story], kind: int, at: int, shocks: Shocks) -> Story | None:
    """Return the story of a kind that a mention continues."""
    gap = shocks.gap * HOUR
    return next((s for s in stories if s.kind == kind and at - s.last <= gap), None)


def quiet(story: Story) -> Chapter:
    """Return a story on a day that adds nothing to it."""
    witnesses, sources = np.array([story.witnesses]), np.array([len(story.sources)])
    return Chapter(story, np.empty(0, dtype=np.int64), witnesses, sources, np.array([story.last]))


def _chapter(story: Story, rows: Columns, chosen: NDArray[np.intp]) -> Chapter:
    """Return a story with the chosen rows added."""
    at = rows.at[chosen]
    authors = story.authors + _distinct(rows.author[chosen])
    copies = story.copies + _distinct(rows.copy[chosen])
    heard = [rows.source(i) for i in chosen]
    new = [source not in story.sources for source in heard]
    sources = len(story.sources) + _distinct(np.array(heard), np.array(new))
    told = Story(
        kind=story.kind,
        first=story.first,
        last=int(at[-1]),
        mentions=story.mentions + len(chosen),
        authors=int(authors[-1]),
        copies=int(copies[-1]),
        sources=_joined(story.sources, heard)[:MOST_SOURCES],
        posts=_joined(story.posts, [rows.post(i) for i in chosen[:FIRST_POSTS]])[:FIRST_POSTS],
    )
    return Chapter(
        story=told,
        at=at,
        witnesses=np.minimum(authors, copies),
        sources=np.minimum(sources, MOST_SOURCES),
        lasts=np.append(story.last, at),
    )


def _distinct(keys: NDArray[Any], counts: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """Return how many different keys there were before any and up to each, shape (n + 1,)."""
    first = np.zeros(len(keys) + 1, dtype=np.int64)
    _, where = np.unique(keys, return_index=True)
    first[where + 1] = True if counts is None else counts[where]
    return np.cumsum(first)


def _joined(old: tuple[str, ...], new: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _credibility(
    witnesses: NDArray[np.int64] | int, sources: NDArray[np.int64] | int, shocks: Shocks
) -> Floats:
    """Return one less the chance that every witness and every further source is wrong."""
    further = np.maximum(np.asarray(sources) - 1, 0)
    doubt = (1 - shocks.witness) ** np.asarray(witnesses) * (1 - shocks.platform) ** further
    return 1.0 - np.asarray(doubt, dtype=np.float64)
