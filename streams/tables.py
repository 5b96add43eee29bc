"""The state of `follow` as a Faust table: one book a partition, rebuilt from the changelog."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import faust
from faust.tables import TableManager
from faust.types import TP

from streams.domain.book import Book, Entry
from streams.transport import AS_IS, Out, Producer


class Tables(TableManager):  # type: ignore[misc]
    """Faust's manager of tables; only a worker that follows reads the changelog.

    The others know of the table too, since any worker may be the one that shares out partitions.
    Would they subscribe to its changelog, they would be given partitions of it, apart from those of
    the mentions that belong to them.
    """

    follows = True

    async def on_start(self) -> None:
        """Start at once: Faust waits for a second, but agents have registered their topics."""
        await self._update_channels()
        await self.recovery.start()

    async def _update_channels(self) -> None:
        if self.follows:
            await super()._update_channels()
            return
        self._tables_finalized.set()
        self._tables_registered.set()


class Books(faust.Table):  # type: ignore[misc]
    """A table whose values live in books, one for each partition of its changelog.

    Faust assigns its partitions and replays its changelog; a chunk of the changelog arrives as one
    event. The key says all there is to know about a record, so replaying some of them twice, or
    writing them from two workers, leaves the same state.
    """

    def __init__(self, app: faust.App, *, new_book: Callable[[], Book], **kwargs: Any) -> None:
        # With a buffer of one Faust would read our own changelog for as long as we write it.
        super().__init__(app, key_type=bytes, value_type=bytes, recovery_buffer_size=2, **kwargs)
        self.key_serializer = self.value_serializer = AS_IS
        self.books: dict[int, Book] = {}
        self._new_book = new_book
        self._known: dict[int, int] = {}

    def book(self, partition: int) -> Book:
        """Return the book of a partition."""
        if partition not in self.books:
            self.books[partition] = self._new_book()
        return self.books[partition]

    def apply_changelog_batch(self, batch: Iterable[Any]) -> None:
        """Apply chunks read from the changelog."""
        for event in batch:
            chunk = self.app.transport.records(event.message)
            book = self.book(event.message.partition)
            for record in chunk:
                book.apply(record.key, record.value)
            self._known[event.message.partition] = chunk[-1].offset

    def persisted_offset(self, tp: TP) -> int | None:
        """Return the offset up to which memory holds the changelog: recovery starts there."""
        return self._known.get(tp.partition)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget the books of partitions that others look after now."""
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)
        mine = self.owned()
        for partition in set(self.books) - mine:
            self.books.pop(partition)
            self._known.pop(partition, None)

    def owned(self) -> set[int]:
        """Return the partitions that this worker looks after."""
        name = self.changelog_topic_name
        return {tp.partition for tp in self.app.assignor.assigned_actives() if tp.topic == name}

    async def save(self, partition: int, entries: Sequence[Entry], producer: Producer) -> None:
        """Write entries to the changelog; return when the broker has them."""
        records = [Out(key, value) for key, value in entries]
        for sent in await producer.publish(self.changelog_topic_name, partition, records):
            # Only an unbroken run is known: others may have written in between.
            if sent.offset == self._known.get(partition, -1) + 1:
                self._known[partition] = sent.offset + sent.count - 1
