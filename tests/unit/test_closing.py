"""Which days may close: a silent source holds them open for as long as posts wait in it."""

import asyncio
from collections.abc import Collection, Mapping
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from streams import offsets
from streams.closing import Closing
from streams.domain.book import Book
from streams.domain.row import DAY

POSTS, MENTIONS = "posts", "mentions"
CLOSE_AFTER = 2 * DAY
IDLE = 60.0


class Broker:
    """Three partitions of posts and one of mentions, as numbers."""

    def __init__(self) -> None:
        self.end = {POSTS: [10, 10, 10], MENTIONS: [20]}
        self.committed = [10, 10, 10]
        self.asked = 0

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return where partitions end."""
        self.asked += 1
        return {p: self.end[topic][p] for p in partitions}

    async def done(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return what is committed."""
        assert topic == POSTS
        return {p: self.committed[p] for p in partitions}


class Away(Broker):
    """A broker that does not answer."""

    async def done(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Fail."""
        raise TimeoutError(topic, partitions)


def closing() -> Closing:
    return Closing(posts=POSTS, mentions=MENTIONS, partitions=3, close_after=CLOSE_AFTER)


def heard(book: Book, until: int, *, day: float, sources: Collection[int] = (0, 1)) -> None:
    """Let sources be heard, second by second, the last time at `until`."""
    for second in range(until - int(IDLE) - 1, until + 1):
        for source in sources:
            book.progress.note(source, int(day * DAY), float(second))


def silent(day: float = 5.0) -> Book:
    """Return a book that heard of sources 0 and 1, and never of source 2."""
    book = Book()
    heard(book, 100, day=day)
    return book


async def test_without_a_question_nobody_is_asked_and_each_source_that_passed_is_trusted() -> None:
    ours, book, broker = closing(), Book(), Broker()
    heard(book, 100, day=5, sources=(0, 1, 2))
    assert ours.day(0, book, idle_after=IDLE, entered=1) == 2
    await ours.ask(broker, {0: book})
    assert broker.asked == 0


async def test_a_silent_source_without_waiting_posts_holds_no_day_open() -> None:
    ours, book, broker = closing(), silent(), Broker()
    assert ours.day(0, book, idle_after=IDLE, entered=20) is None
    await ours.ask(broker, {0: book})
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 2


async def test_a_silent_source_in_which_posts_wait_holds_its_day_open() -> None:
    ours, book, broker = closing(), silent(), Broker()
    broker.committed[2] = 9
    for _ in range(3):
        assert ours.day(0, book, idle_after=IDLE, entered=20) is None
        await ours.ask(broker, {0: book})
    broker.committed[2] = 10
    await ours.ask(broker, {0: book})
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 2


async def test_a_source_that_was_heard_and_fell_behind_is_asked_about_too() -> None:
    ours, book, broker = closing(), Book(), Broker()
    heard(book, 100, day=1, sources=(0, 1, 2))
    heard(book, 200, day=5, sources=(0, 1))
    broker.committed[2] = 9
    assert ours.day(0, book, idle_after=IDLE, entered=20) is None
    await ours.ask(broker, {0: book})
    assert ours.day(0, book, idle_after=IDLE, entered=20) is None


async def test_posts_that_come_after_the_question_are_not_waited_for() -> None:
    ours, book, broker = closing(), silent(), Broker()
    broker.committed[2] = 9
    ours.day(0, book, idle_after=IDLE, entered=20)
    await ours.ask(broker, {0: book})
    broker.end[POSTS][2], broker.committed[2] = 30, 10
    await ours.ask(broker, {0: book})
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 2


async def test_the_mentions_of_what_was_committed_are_entered_first() -> None:
    ours, book, broker = closing(), silent(), Broker()
    assert ours.day(0, book, idle_after=IDLE, entered=5) is None
    await ours.ask(broker, {0: book})
    broker.end[MENTIONS][0] = 90
    assert ours.day(0, book, idle_after=IDLE, entered=19) is None
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 2


async def test_mentions_of_the_silent_source_may_keep_the_day_open_after_all() -> None:
    ours, book, broker = closing(), silent(), Broker()
    ours.day(0, book, idle_after=IDLE, entered=5)
    await ours.ask(broker, {0: book})
    book.progress.note(2, int(4.5 * DAY), 100.5)
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 1


async def test_only_the_day_that_was_asked_about_closes() -> None:
    ours, book, broker = closing(), silent(), Broker()
    ours.day(0, book, idle_after=IDLE, entered=20)
    await ours.ask(broker, {0: book})
    heard(book, 200, day=9)
    assert ours.day(0, book, idle_after=IDLE, entered=20) == 2
    assert ours.day(0, book, idle_after=IDLE, entered=20) is None, "asked anew"


async def test_the_answer_about_one_book_does_not_count_for_its_successor() -> None:
    ours, broker = closing(), Broker()
    first, second = silent(), silent()
    ours.day(0, first, idle_after=IDLE, entered=20)
    await ours.ask(broker, {0: first})
    assert ours.day(0, second, idle_after=IDLE, entered=20) is None
    await ours.ask(broker, {})
    assert ours.day(0, second, idle_after=IDLE, entered=20) is None


async def test_without_an_answer_the_day_stays_open() -> None:
    ours, book = closing(), silent()
    ours.day(0, book, idle_after=IDLE, entered=20)
    with pytest.raises(TimeoutError):
        await ours.ask(Away(), {0: book})
    assert ours.day(0, book, idle_after=IDLE, entered=20) is None


class Client:
    """A client of aiokafka's, as far as it is asked."""

    def __init__(self, begins: list[int], committed: list[int | None]) -> None:
        self._begins, self._committed = begins, committed

    async def beginning_offsets(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where the log begins."""
        return {tp: self._begins[tp.partition] for tp in tps}

    async def committed(self, tp: TopicPartition) -> int | None:
        """Return what is committed."""
        return self._committed[int(tp.partition)]

    async def end_offsets(self, _: list[TopicPartition]) -> None:
        """Never answer."""
        await asyncio.Event().wait()


async def test_what_was_removed_unread_does_not_wait_and_what_was_never_read_does() -> None:
    consumer = offsets.Offsets()
    client = Client([0, 7, 0], [5, None, None])
    consumer._thread = SimpleNamespace(
        thread_loop=asyncio.get_running_loop(), _ensure_consumer=lambda: client
    )
    assert await consumer.done(POSTS, [0, 1, 2]) == {0: 5, 1: 7, 2: 0}


async def test_a_broker_that_never_answers_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(offsets, "PATIENCE", 0.01)
    consumer = offsets.Offsets()
    consumer._thread = SimpleNamespace(
        thread_loop=asyncio.get_running_loop(), _ensure_consumer=lambda: Client([], [])
    )
    with pytest.raises(TimeoutError):
        await consumer.ends(POSTS, [0])
