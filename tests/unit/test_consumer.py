"""Our consumer, without Kafka: which acknowledgements count, and what is handed over."""

from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP
from mode import Service
from yarl import URL

from streams import transport
from streams.transport import Fence, Transport
from tests.unit.test_transport import run

SOURCE, OTHER = TP("posts", 0), TP("changelog", 0)


class Consumer(transport.Consumer):
    """A consumer whose broker is a few numbers."""

    committed: int | None = 0
    sought: tuple[TP, int] | None = None

    def _new_consumer_thread(self) -> Service:
        return Service()

    async def seek_to_committed(self) -> dict[TP, int | None]:
        """Return what is committed."""
        return {SOURCE: self.committed}

    def assignment(self) -> set[TP]:
        """Return what is assigned."""
        return {SOURCE, OTHER}

    async def _seek(self, partition: TP, offset: int) -> None:
        self.sought = (partition, offset)


@pytest.fixture
def consumer() -> Consumer:
    app = faust.App("test", broker="kafka://127.0.0.1:1", store="memory://")
    app.transport = Transport(
        app,
        urls=[URL("kafka://127.0.0.1:1")],
        sources=["posts"],
        targets=[],
        chunk=3,
        fence=Fence(1.0, die=lambda _: None),
    )
    app.topics.acks_enabled_for = lambda _: True
    made = Consumer(app.transport, callback=id, on_partitions_revoked=id, on_partitions_assigned=id)
    made.app = app
    return made


def records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=o, timestamp=1_000, timestamp_type=0) for o in offsets]


def deliver(consumer: Consumer, *offsets: int) -> Any:
    return consumer._deliver(SOURCE, records(*offsets))


async def test_acknowledged_chunks_are_committed(consumer: Consumer) -> None:
    await consumer.perform_seek()
    chunk = deliver(consumer, 0, 1, 2)
    assert consumer.ack(chunk)
    assert consumer._new_offset(SOURCE) == 3


async def test_a_chunk_from_before_a_seek_does_not_count_for_one_that_ends_there(
    consumer: Consumer,
) -> None:
    consumer.committed = 2
    await consumer.perform_seek()
    old = deliver(consumer, 2, 3, 4)
    consumer.committed = 0
    consumer._committed_offset.clear()
    await consumer.perform_seek()
    deliver(consumer, 0, 1, 2, 3, 4)
    assert not consumer.ack(old)
    assert old.acked
    assert consumer._new_offset(SOURCE) is None


async def test_an_acknowledgement_from_before_a_seek_is_forgotten(consumer: Consumer) -> None:
    await consumer.perform_seek()
    consumer.ack(deliver(consumer, 0, 1))
    await consumer.perform_seek()
    deliver(consumer, 0, 1)
    assert consumer._new_offset(SOURCE) is None


async def test_a_jump_seeks_back_and_delivers_nothing(consumer: Consumer) -> None:
    await consumer.perform_seek()
    assert await consumer._admit(SOURCE, run(7, 8)) == ()
    assert consumer.sought == (SOURCE, 0)


async def test_records_of_other_topics_pass_as_they_are(consumer: Consumer) -> None:
    await consumer.perform_seek()
    assert await consumer._admit(OTHER, run(7, 9)) == run(7, 9)


async def test_what_retention_removed_is_told_and_passed(consumer: Consumer) -> None:
    told: list[int] = []
    consumer.transport.on_expired = told.append
    consumer.committed = 5
    await consumer.perform_seek()
    assert await consumer._admit(SOURCE, run(12, 13)) == ()
    assert consumer.sought == (SOURCE, 5)
    assert await consumer._admit(SOURCE, run(12, 13)) == run(12, 13)
    assert told == [7]


async def test_a_group_that_begins_late_has_lost_nothing(consumer: Consumer) -> None:
    told: list[int] = []
    consumer.transport.on_expired = told.append
    await consumer.perform_seek()
    await consumer._admit(SOURCE, run(12, 13))
    assert await consumer._admit(SOURCE, run(12, 13)) == run(12, 13)
    assert told == []


async def test_the_gate_opens_with_a_seek_to_where_it_opens(consumer: Consumer) -> None:
    consumer.committed = 5
    await consumer.perform_seek()
    assert consumer.sought == (SOURCE, 5), "what was fetched meanwhile was dropped"
