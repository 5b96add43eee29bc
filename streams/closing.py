"""Which days may close: none that a post which waits on the broker may belong to."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from streams.domain.book import Book
from streams.domain.row import DAY


class Offsets(Protocol):
    """What must be asked of the broker."""

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the offsets after the last records."""

    async def done(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return the offsets up to which the group has worked off what there is."""


@dataclass
class Question:
    """Whether all is entered that was on the broker when a day was found ripe."""

    book: Book
    day: int
    sources: frozenset[int]
    """The partitions of `posts` that have not passed the day themselves."""
    ends: Mapping[int, int] | None = None
    """Where those ended."""
    until: int | None = None
    """Where the mentions ended when the group was past these ends: None as long as it is not."""


class Closing:
    """Lets a day close when each source has passed it or has nothing left that waits.

    A source that is silent may be idle, or whoever judges it is away. To tell, it is asked where
    the source ends, then whether the group has committed so far. A commit follows the mentions, so
    they then lie in their topic: the day closes once that is entered up to its end of this moment.

    Args:
        posts: the topic of the sources.
        mentions: the topic that the books are made of.
        partitions: how many each of them has.
        close_after: milliseconds for which a day stays open after its end.
    """

    def __init__(self, *, posts: str, mentions: str, partitions: int, close_after: int) -> None:
        self._posts = posts
        self._mentions = mentions
        self._partitions = partitions
        self._close_after = close_after
        self._questions: dict[int, Question] = {}

    def day(self, partition: int, book: Book, *, idle_after: float, entered: int) -> int | None:
        """Return the last day of a partition that may close now, None when there is none.

        Args:
            partition: of the mentions.
            book: its book.
            idle_after: seconds after which a silent source is to be asked about.
            entered: the offset up to which mentions are entered in the book.
        """
        ripe = book.ripe(close_after=self._close_after, idle_after=idle_after)
        if ripe is None or not (behind := self._behind(book, ripe)):
            self._questions.pop(partition, None)
            return ripe
        asked = self._questions.get(partition)
        if asked is None or asked.book is not book:
            self._questions[partition] = Question(book, ripe, behind)
            return None
        if asked.until is None or entered < asked.until:
            return None
        del self._questions[partition]
        # What came to the broker since then may belong to the days that have become ripe since.
        return min(ripe, asked.day)

    def _behind(self, book: Book, day: int) -> frozenset[int]:
        passed = (day + 1) * DAY + self._close_after
        latest = book.progress.latest
        return frozenset(p for p in range(self._partitions) if latest.get(p, -1) < passed)

    async def ask(self, broker: Offsets, books: Mapping[int, Book]) -> None:
        """Ask what is not answered yet, about these books alone; without a question, nothing."""
        questions = self._questions.items()
        self._questions = {p: asked for p, asked in questions if books.get(p) is asked.book}
        for partition, asked in list(self._questions.items()):
            if asked.until is None:
                await self._ask(broker, partition, asked)

    async def _ask(self, broker: Offsets, partition: int, asked: Question) -> None:
        if asked.ends is None:
            asked.ends = await broker.ends(self._posts, asked.sources)
        done = await broker.done(self._posts, asked.sources)
        if all(done[source] >= end for source, end in asked.ends.items()):
            asked.until = (await broker.ends(self._mentions, [partition]))[partition]
