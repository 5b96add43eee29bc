"""Why an index moved: by groups of posts, and by the most telling posts.

What a group moved is the index less what it were without the group: without what its posts weigh
and, for an incident, without its shock.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.domain.evidence import Floats
from streams.domain.ledger import Page
from streams.domain.row import HOUR, Columns, instant
from streams.domain.stories import Chapter
from streams.domain.trust import GAIN, LOSS, Rule, decay, indices
from streams.records import Group, Telling

GROUPS = 5
POSTS = 3
LEAST = 0.01
"""Points below which a group or a post is not worth naming."""
_Kind = Literal["source", "copy", "hour"]
_CANDIDATES = 32
_DIGITS = 9
"""Rounded to, so that sums in another order rank alike."""


class Explanation(NamedTuple):
    """Groups and posts, the strongest first."""

    groups: tuple[Group, ...]
    posts: tuple[Telling, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A brand at an instant, as far as explaining it takes.

    Attributes:
        brand: its id.
        pages: pages of the days to look at.
        chapters: the leak stories.
        since: posts from before this instant are not named, milliseconds.
        at: the instant; posts from then on do not count.
        sums: the sums at that instant, shape (WIDTH,).
        kept: share of the index that the shocks leave.
        rule: the constants.
        balance: the brand's.
    """

    brand: str
    pages: Sequence[Page]
    chapters: Sequence[Chapter]
    since: int
    at: int
    sums: Floats
    kept: float
    rule: Rule
    balance: float

    def index(self, without: Floats | float, kept: Floats | float) -> Floats:
        """Return the indices without so much of the sums, shape (n, WIDTH)."""
        sums = np.maximum(self.sums - without, 0.0)
        return indices(sums, rule=self.rule, balance=self.balance, kept=kept)


class _Part(NamedTuple):
    """Rows of a page that may be named, and what they weigh at the instant."""

    rows: Columns
    chosen: NDArray[np.intp]
    weight: Floats


def explain(scene: Scene) -> Explanation:
    """Return what moved an index most."""
    now = float(scene.index(0.0, scene.kept))
    parts = [part for page in scene.pages if len((part := _part(page, scene)).chosen)]
    groups = [group for group in _groups(parts, scene, now) if abs(group.moved) >= LEAST]
    groups.sort(key=lambda group: (-abs(group.moved), group.kind, group.name))
    return Explanation(tuple(groups[:GROUPS]), tuple(_telling(parts, scene, now)))


def _part(page: Page, scene: Scene) -> _Part:
    rows = page.rows
    chosen = np.flatnonzero((rows.at >= scene.since) & (rows.at < scene.at))
    weight = page.parts[chosen] * decay(scene.at - rows.at[chosen], scene.rule)
    return _Part(rows, chosen, weight)


def _groups(parts: list[_Part], scene: Scene, now: float) -> Iterator[Group]:
    yield from _incidents(parts, scene, now)
    if not parts:
        return
    weight = np.concatenate([part.weight for part in parts])
    for kind, names, code, least in _keyed(parts):
        counts = np.bincount(code, minlength=len(names))
        large = counts >= least
        rows, place = large[code], np.cumsum(large) - 1
        summed = _summed(weight[rows], place[code[rows]], int(large.sum()))
        moved = now - scene.index(summed, scene.kept)
        for name, posts, points in zip(names[large], counts[large], moved, strict=True):
            yield Group(kind, _name(kind, name), int(posts), _round(points))


def _keyed(parts: list[_Part]) -> Iterator[tuple[_Kind, NDArray[Any], NDArray[np.intp], int]]:
    """Yield each kind of group: names, which of them each row has, and how many make a group."""
    known: dict[bytes, int] = {}
    heard = [raw for part in parts for raw in part.rows.sources(part.chosen)]
    code = np.array([known.setdefault(raw, len(known)) for raw in heard], dtype=np.intp)
    yield "source", np.array([raw.decode() for raw in known]), code, 1
    copies = np.concatenate([part.rows.copy[part.chosen] for part in parts])
    yield "copy", *np.unique(copies, return_inverse=True), 2
    hours = np.concatenate([part.rows.at[part.chosen] for part in parts]) // HOUR
    yield "hour", *np.unique(hours, return_inverse=True), 1


def _summed(weight: Floats, code: NDArray[np.intp], groups: int) -> Floats:
    columns = [np.bincount(code, column, minlength=groups) for column in weight.T]
    return np.stack(columns, axis=-1)


def _name(kind: str, key: object) -> str:
    if kind == "copy":
        return f"{key:016x}"
    if kind == "hour":
        return f"{np.datetime64(int(key), 'h')}:00Z"  # type: ignore[call-overload]
    return str(key)


def _incidents(parts: list[_Part], scene: Scene, now: float) -> Iterator[Group]:
    at = np.array([scene.at])
    for chapter in scene.chapters:
        if not chapter.mentions(scene.at):
            continue
        loss = float(chapter.loss(at, scene.rule.shocks)[0])
        without = sum((_told(part, chapter) for part in parts), np.zeros(scene.sums.shape))
        moved = now - float(scene.index(without, scene.kept / (1 - loss)))
        name = f"{scene.brand}/{chapter.story.name}"
        yield Group("incident", name, chapter.mentions(scene.at), _round(moved))


def _told(part: _Part, chapter: Chapter) -> Floats:
    rows, chosen = part.rows, part.chosen
    speaking = rows.leak[chosen] & (rows.kind[chosen] == chapter.story.kind)
    weight: Floats = part.weight[speaking].sum(axis=0)
    return weight


def _telling(parts: list[_Part], scene: Scene, now: float) -> list[Telling]:
    found = [telling for part in parts for telling in _candidates(part, scene, now)]
    found.sort(key=lambda telling: (-abs(telling.moved), telling.at, telling.post))
    return [telling for telling in found if abs(telling.moved) >= LEAST][:POSTS]


def _candidates(part: _Part, scene: Scene, now: float) -> Iterator[Telling]:
    size = scene.balance * part.weight[:, GAIN] + scene.rule.cost * part.weight[:, LOSS]
    heaviest = np.argsort(-np.round(size, _DIGITS), kind="stable")[:_CANDIDATES]
    moved = now - scene.index(part.weight[heaviest], scene.kept)
    for i, points in zip(part.chosen[heaviest].tolist(), moved.tolist(), strict=True):
        row = part.rows.row(i)
        at = instant(row.at)
        yield Telling(part.rows.post(i), at, row.source, row.url or None, _round(points))


def _round(points: float) -> float:
    return round(float(points), _DIGITS)
