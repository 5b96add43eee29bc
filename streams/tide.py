"""How far the clock on the wall may run: no further than all that was on the broker is entered."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from streams.closing import Offsets

PAUSE = 5.0
"""Seconds between two questions: each asks for every partition."""


@dataclass
class Round:
    """Whether all is entered that was on the broker at an instant."""

    at: float
    """The instant, in seconds of the clock."""
    owned: frozenset[int]
    """The partitions of the mentions that it is asked for."""
    ends: Mapping[int, int]
    """Where the posts ended then."""
    until: Mapping[int, int] | None = None
    """Where the mentions ended when the group was past these ends: None as long as it is not."""


class Tide:
    """Follows the instant up to which no post waits, whoever of the group it waits for.

    What this worker has not been handed yet is not all: a post may lie in a queue, or wait for
    another one that judges. So the posts that are on the broker at an instant are followed by their
    offsets: first until the group has committed them, their mentions being written then, and on
    until those are committed too.

    Args:
        posts: the topic of the sources.
        mentions: the topic that the books are made of.
        partitions: how many each of them has.

    Attributes:
        reached: by partition of the mentions, the latest instant up to which no post waits.
    """

    def __init__(self, *, posts: str, mentions: str, partitions: int) -> None:
        self.reached: dict[int, float] = {}
        self._posts = posts
        self._mentions = mentions
        self._partitions = range(partitions)
        self._round: Round | None = None
        self._asked: float | None = None

    async def ask(self, broker: Offsets, owned: Collection[int], *, now: float) -> None:
        """Ask as far as there are answers, now and then.

        Args:
            broker: knows the offsets.
            owned: the partitions of the mentions that are ours; of others nothing is known.
            now: seconds of the clock.
        """
        mine = frozenset(owned)
        self.reached = {p: at for p, at in self.reached.items() if p in mine}
        if self._round and self._round.owned != mine:
            self._round = None
        elif self._asked is not None and now - self._asked < PAUSE:
            return
        if not mine:
            return
        self._asked = now
        if self._round is None:
            ends = await broker.ends(self._posts, self._partitions)
            self._round = Round(now, mine, ends)
        if await self._passed(broker, self._round):
            self.reached = dict.fromkeys(mine, self._round.at)
            self._round = None

    async def _passed(self, broker: Offsets, asked: Round) -> bool:
        if asked.until is None:
            done = await broker.done(self._posts, self._partitions)
            if any(done[source] < end for source, end in asked.ends.items()):
                return False
            asked.until = await broker.ends(self._mentions, asked.owned)
        done = await broker.done(self._mentions, asked.owned)
        return all(done[partition] >= end for partition, end in asked.until.items())
