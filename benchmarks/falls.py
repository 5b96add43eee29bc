"""How often the index falls far enough for an alarm though nothing has happened."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.index import BALANCE, Posts
from benchmarks.surges import DAY, MONDAY, Counts
from streams.domain.alarms import TICK, Observed, Panel
from streams.domain.events import Event
from streams.domain.ledger import Closed, Ledger
from streams.domain.row import DAY as MILLIS
from streams.domain.row import Columns
from streams.domain.track import Track, track
from streams.domain.trust import Reading, Rule, read

SETTLED = 3
"""Days in which no fall is told: the warm-up of the detectors."""
COUNTED = 90
"""Days that count."""


class Crowd(Ledger):
    """A ledger that is given its days as columns: to pack so many posts would take minutes."""

    __slots__ = ("_given",)

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule)
        self._given: dict[int, Columns] = {}

    def hear(self, day: int, posts: Columns) -> None:
        """Take the posts of a day."""
        if len(posts.at):
            self._given[day], self.days[day] = posts, {"": b""}

    def rows(self, day: int) -> Columns:
        """Return the posts of a day."""
        return self._given[day]

    def settle(self, day: int) -> None:
        """Close a day."""
        self.close(Closed(self.carry((day + 1) * MILLIS)))
        self._given.clear()


def said(
    rng: np.random.Generator, day: int, blame: Counts, others: Counts, praise: float
) -> Columns:
    """Make the posts of a day from how many are blame, and are not, in each tick.

    Args:
        rng: where chance comes from.
        day: days since 1970.
        blame: so many posts in each tick.
        others: the same of the rest.
        praise: share of praise in the rest.
    """
    tick = np.concatenate([np.repeat(np.arange(DAY), each) for each in (blame, others)])
    size = len(tick)
    at = (day * DAY + tick) * TICK + rng.integers(0, TICK, size)
    mood = np.where(rng.random(size) < praise, 0, 2)
    mood[: blame.sum()] = 1
    gain, loss = Posts(rng).judged(mood)
    order = np.argsort(at, kind="stable")
    own, nobody = np.arange(1, size + 1, dtype=np.uint64), np.zeros(size, dtype=np.bool_)
    return Columns(
        at=at[order],
        gain=gain[order],
        loss=loss[order],
        author=own,
        copy=own,
        label=np.array([2, 0, 1], dtype=np.uint8)[mood][order],
        leak=nobody,
        kind=nobody.astype(np.uint8),
        weighty=~nobody,
        young=nobody,
        order=order,
        names=[],
        packed=[],
    )


def falls(rng: np.random.Generator, blame: Counts, others: Counts) -> Iterator[Event]:
    """Yield what the detector of falls tells of brands over `COUNTED` days after the warm-up.

    Args:
        rng: where chance comes from.
        blame: posts by tick, shape (brands, ticks).
        others: the same of those that are praise, 20 to 80 % of them by brand, or neither.
    """
    brands, rule = len(blame), Rule()
    praise = rng.uniform(0.2, 0.8, brands)
    crowds, panel = [Crowd(rule) for _ in range(brands)], Panel(brands)
    for number in range(SETTLED + COUNTED):
        day, span = MONDAY + number, slice(number * DAY, (number + 1) * DAY)
        for i, crowd in enumerate(crowds):
            crowd.hear(day, said(rng, day, blame[i, span], others[i, span], praise[i]))
        laid = track(crowds, day * DAY, (day + 1) * DAY, rule=rule)
        reading = read(laid.sums, rule=rule, balance=BALANCE, kept=laid.kept)
        events = panel.step(day * DAY, _observed(laid, reading))
        yield from (event for event in events if event.detector == "index_drop")
        for crowd in crowds:
            crowd.settle(day)


def _observed(laid: Track, reading: Reading) -> Observed:
    return Observed(
        authors=laid.authors,
        negatives=laid.negatives,
        posts=laid.posts,
        index=reading.index,
        low=reading.low,
        high=reading.high,
        enough=reading.enough,
        severity=laid.severity,
        groups=laid.witnesses,
        leaks=laid.leaks,
    )


def raised(rng: np.random.Generator, blame: Counts, others: Counts) -> dict[str, float]:
    """Return pages and tickets of a brand in `COUNTED` days, and the deepest fall in points."""
    told = [event for event in falls(rng, blame, others) if event.what != "ended"]
    kinds = Counter(event.channel for event in told)
    return {
        "pages_index": kinds["page"] / len(blame),
        "tickets_index": kinds["ticket"] / len(blame),
        "deepest": max((event.numbers["score"] for event in told), default=0.0),
    }
