"""Hears what the topics of the demo say, and looks at how far the worker is in them."""

import threading
import time
from collections.abc import Iterable
from typing import Final

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import OffsetSpec

from streams import clients
from streams.demo.board import Board, Ends
from streams.settings import Settings
from streams.topics import Topics

PAUSE: Final = 0.1
LOOK: Final = 0.5
"""Seconds between two looks at the ends of the topics."""


def listen(settings: Settings, board: Board, *, stop: threading.Event) -> None:
    """Fill a board until told to stop.

    Raises:
        BrokerError: the broker is away, or refused what was asked.
    """
    with clients.consumer(settings.kafka) as consumer, clients.admin(settings.kafka) as admin:
        listener = Listener(settings, board, consumer=consumer, admin=admin)
        looked = 0.0
        # The embedded broker answers at once that there is nothing: without a pause, poll spins.
        while not stop.wait(PAUSE):
            listener.hear()
            if time.monotonic() - looked > LOOK:
                board.ends = listener.look()
                looked = time.monotonic()


class Listener:
    """Reads the topics from their beginnings into a board."""

    def __init__(
        self,
        settings: Settings,
        board: Board,
        *,
        consumer: KafkaConsumer,
        admin: KafkaAdminClient,
    ) -> None:
        self._topics = Topics(settings)
        self._group = settings.kafka.group
        self._partitions = settings.kafka.partitions
        self._take = {self._topics.mentions: board.mention, self._topics.trust: board.read}
        self._consumer = consumer
        self._admin = admin
        consumer.assign([part for topic in self._take for part in self._parts(topic)])
        consumer.seek_to_beginning()

    def hear(self) -> None:
        """Take what is new."""
        for part, records in self._consumer.poll(timeout_ms=20).items():
            for record in records:
                self._take[part.topic](record.value)

    def look(self) -> Ends:
        """Return what lies in the topics and what still waits there."""
        posts, rejected = self._parts(self._topics.posts), self._parts(self._topics.rejected)
        sources = [*posts, *self._parts(self._topics.mentions)]
        heard = self._consumer.assignment()
        # What is done is asked before the ends: so nothing that is on its way is overlooked.
        done = self._committed()
        ends = self._ends([*sources, *rejected, *heard])
        return Ends(
            posts=sum(ends[part] for part in posts),
            rejected=sum(ends[part] for part in rejected),
            unread=sum(ends[part] - done.get(part, 0) for part in sources),
            unheard=sum(ends[part] - self._consumer.position(part) for part in heard),
        )

    def _committed(self) -> dict[TopicPartition, int]:
        found = self._admin.list_group_offsets(self._group)[self._group]
        return {part: max(0, done.offset) for part, done in found.items()}

    def _ends(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        # Not the consumer's end_offsets: it fails on topics that the consumer does not read.
        found = self._admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST))
        return {part: end.offset for part, end in found.items()}

    def _parts(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._partitions)]
