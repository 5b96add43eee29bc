"""All that is known of a run while it goes on: what a frame shows, and whether all is counted."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from streams.demo.board import Board
from streams.demo.frame import Frame, Row
from streams.demo.result import Result
from streams.demo.story import AFTERWARDS, Story
from streams.demo.worker import Counters
from streams.feed import Progress

SCRAPE: Final = 0.5
"""Seconds between two looks at the worker's metrics."""
CALM: Final = 0.5
"""Seconds for which nothing may be missing before everything counts as counted."""
_SCRAPES: Final = 7


class Scene:
    """What feed, topics and worker have told so far.

    Args:
        story: what is played.
        clock: seconds of a steady clock.

    Attributes:
        board: filled by the listener.
        progress: kept by the feed.
        over: whether the story is.
        places: where to look from outside, by what is there.
        hints: commands to try.
    """

    def __init__(self, story: Story, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.board = Board()
        self.progress = Progress()
        self.over = False
        self.places: dict[str, str] = {}
        self.hints: Sequence[str] = ()
        self._story = story
        self._clock = clock
        self._counters = Counters()
        self._recent: deque[tuple[float, int]] = deque(maxlen=_SCRAPES)
        self._uneasy = clock()

    def scrape(self, read: Callable[[], Counters | None]) -> None:
        """Read the worker's counters, if it is time and it answers."""
        now = self._clock()
        if self._recent and now - self._recent[-1][0] < SCRAPE:
            return
        self._counters = read() or self._counters
        self._recent.append((now, self._counters.judged))

    def settled(self) -> bool:
        """Tell whether all that was fed has been judged, counted and read for a while."""
        fed, ends, now = self.progress.delivered, self.board.ends, self._clock()
        waiting = ends.posts != fed or ends.unread or ends.unheard or self.board.missing()
        if waiting or sum(self._counters) != fed:
            self._uneasy = now
        return now - self._uneasy >= CALM

    def result(self) -> Result:
        """Return what the run came to."""
        return Result.of(
            self.board, self._story, fed=self.progress.delivered, counters=self._counters
        )

    def frame(self, doing: str) -> Frame:
        """Return what is to be seen now."""
        # Each of them is known at another moment; a post that was judged has been fed.
        fed = max(self.progress.delivered, self.board.ends.posts, sum(self._counters))
        return Frame(
            doing=doing,
            span=self._story.span,
            clock=self.progress.at,
            total=max(len(self._story.items), fed),
            fed=fed,
            judged=self._counters.judged,
            rejected=self._counters.rejected,
            rate=self._rate(),
            happening=self._happening(),
            rows=[
                Row(name=name, reading=self.board.readings.get(id_), course=self.board.course(id_))
                for id_, name in self._story.brands.items()
            ],
            places=self.places,
            hints=self.hints,
        )

    def _rate(self) -> float:
        if len(self._recent) < 2:  # noqa: PLR2004 -- a rate lies between two looks
            return 0.0
        (began, before), (ended, after) = self._recent[0], self._recent[-1]
        return (after - before) / max(ended - began, SCRAPE)

    def _happening(self) -> str:
        if self.over:
            return AFTERWARDS
        return self._story.now(self.progress.at) if self.progress.at else ""
