"""A brand at an instant: its reading, what was taken off, and why."""

from typing import NamedTuple

import numpy as np

from streams.domain.explain import Explanation, Scene, explain
from streams.domain.ledger import Carry, Ledger
from streams.domain.row import DAY, HOUR, day_of
from streams.domain.stories import kept, quiet, shares
from streams.domain.trust import Reading, Rule, decay, read
from streams.records import Shock

BACK = 24 * HOUR
"""Milliseconds before an instant in which a reading names groups and posts."""
_DIGITS = 6


class View(NamedTuple):
    """A brand at an instant.

    Attributes:
        scene: all that follows is made of.
        reading: the reading, as numbers.
        known: what was counted before the instant, days that are still open included.
    """

    scene: Scene
    reading: Reading
    known: Carry

    def shocks(self) -> tuple[Shock, ...]:
        """Return what each incident takes off; together that is the reading's shock loss."""
        scene, points = self.scene, float(self.reading.shock_loss)
        parts = shares(scene.chapters, scene.at, scene.rule.shocks)
        return tuple(shock(scene.brand, name, points * part) for name, part in parts.items())

    def explain(self) -> Explanation:
        """Return what moved the index most since `scene.since`."""
        return explain(self.scene)


def shock(brand: str, story: str, points: float) -> Shock:
    """Return what a story takes off."""
    return Shock(f"{brand}/{story}", round(points, _DIGITS))


def view(
    brand: str, ledger: Ledger, *, at: int, rule: Rule, balance: float, since: int | None = None
) -> View:
    """Return a brand at an instant; posts from then on do not count.

    Args:
        brand: its id.
        ledger: what is known about it.
        at: the instant, milliseconds since 1970.
        rule: the constants.
        balance: the brand's weight of praise.
        since: from when on groups and posts are named; a day before, if left out.
    """
    since = at - BACK if since is None else since
    day, instants = day_of(at - 1), np.array([at])
    days = [one for one in sorted(ledger.days) if day_of(since) <= one <= day]
    pages = [page for one in days if (page := ledger.page(one))]
    if pages and pages[-1].day == day:
        sums, chapters = pages[-1].sums(instants, rule)[0], pages[-1].chapters
        known = pages[-1].known(at)
    else:
        known = ledger.carry(day * DAY)
        sums = np.array(known.sums) * decay(at - known.at, rule)
        chapters = [quiet(story) for story in known.stories]
    left = float(kept(chapters, instants, rule.shocks)[0])
    scene = Scene(
        brand=brand,
        pages=pages,
        chapters=chapters,
        since=since,
        at=at,
        sums=sums,
        kept=left,
        rule=rule,
        balance=balance,
    )
    return View(scene, read(sums, rule=rule, balance=balance, kept=left), known)
