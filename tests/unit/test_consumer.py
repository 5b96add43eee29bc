"""Our consumer, without Kafka: which acknowledgements count, and what is handed over."""

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import faust
import pytest
from faust.types import TP
from mode import Service
from yarl import URL

from streams import transport
from streams.transport import Fence, Member, Rival, Transport
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
        rival=Rival(1.0, die=lambda _: None),
    )
    app.topics.acks_enabled_for = lambda _: True
    made = Consumer(app.transport, callback=id, on_partitions_revoked=id, on_partitions_assigned=id)
    made.app = app
    return made


def records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=o, timestamp=1_000, timestamp_type=0) for o in offsets]


async def opened(consumer: Consumer) -> None:
    """Seek and go on, as at the end of a recovery."""
    await consumer.perform_seek()
    consumer.resume_flow()


def deliver(consumer: Consumer, *offsets: int) -> Any:
    return consumer._deliver(SOURCE, records(*offsets))


async def test_acknowledged_chunks_are_committed(consumer: Consumer) -> None:
    await opened(consumer)
    chunk = deliver(consumer, 0, 1, 2)
    assert consumer.ack(chunk)
    assert consumer._new_offset(SOURCE) == 3


async def test_a_chunk_from_before_a_seek_does_not_count_for_one_that_ends_there(
    consumer: Consumer,
) -> None:
    consumer.committed = 2
    await opened(consumer)
    old = deliver(consumer, 2, 3, 4)
    consumer.committed = 0
    consumer._committed_offset.clear()
    await opened(consumer)
    deliver(consumer, 0, 1, 2, 3, 4)
    assert not consumer.ack(old)
    assert old.acked
    assert consumer._new_offset(SOURCE) is None


async def test_an_acknowledgement_from_before_a_seek_is_forgotten(consumer: Consumer) -> None:
    await opened(consumer)
    consumer.ack(deliver(consumer, 0, 1))
    await opened(consumer)
    deliver(consumer, 0, 1)
    assert consumer._new_offset(SOURCE) is None


async def test_a_jump_seeks_back_and_delivers_nothing(consumer: Consumer) -> None:
    await opened(consumer)
    assert await consumer._admit(SOURCE, run(7, 8)) == ()
    assert consumer.sought == (SOURCE, 0)


async def test_records_of_other_topics_pass_as_they_are(consumer: Consumer) -> None:
    await opened(consumer)
    assert await consumer._admit(OTHER, run(7, 9)) == run(7, 9)


async def test_what_retention_removed_is_told_and_passed(consumer: Consumer) -> None:
    told: list[int] = []
    consumer.transport.on_expired = told.append
    consumer.committed = 5
    await opened(consumer)
    assert await consumer._admit(SOURCE, run(12, 13)) == ()
    assert consumer.sought == (SOURCE, 5)
    assert await consumer._admit(SOURCE, run(12, 13)) == run(12, 13)
    assert told == [7]


async def test_a_group_that_begins_late_has_lost_nothing(consumer: Consumer) -> None:
    told: list[int] = []
    consumer.transport.on_expired = told.append
    await opened(consumer)
    await consumer._admit(SOURCE, run(12, 13))
    assert await consumer._admit(SOURCE, run(12, 13)) == run(12, 13)
    assert told == []


async def test_the_gate_opens_with_a_seek_to_where_it_opens(consumer: Consumer) -> None:
    consumer.committed = 5
    await opened(consumer)
    await consumer._return()
    assert consumer.sought == (SOURCE, 5), "what was fetched meanwhile was dropped"


async def test_the_gate_is_closed_until_the_flow_goes_on(consumer: Consumer) -> None:
    await consumer.perform_seek()
    assert await consumer._admit(SOURCE, run(0, 1)) == ()
    consumer.resume_flow()
    assert await consumer._admit(SOURCE, run(0, 1)) == run(0, 1)


async def test_a_seek_that_comes_after_the_flow_went_on_forgets_nothing(
    consumer: Consumer,
) -> None:
    await opened(consumer)
    chunk = deliver(consumer, 0, 1, 2)
    await consumer.perform_seek()
    assert consumer.ack(chunk)
    assert consumer._new_offset(SOURCE) == 3


async def test_what_was_fetched_before_the_gate_opened_anew_is_not_delivered(
    consumer: Consumer,
) -> None:
    await opened(consumer)
    consumer._wait_next_records = AsyncMock(return_value=({SOURCE: records(*range(6))}, {SOURCE}))
    got = []
    async for _, message in consumer.getmany(1.0):
        got.append(message.offset)
        await opened(consumer)
    assert got == [2], "chunks of three: the rest belongs to the gate as it was"
    assert consumer.gate.position(SOURCE) == 0


class Coordinator:
    """The group's coordinator, which answers every request with a code."""

    def __init__(self, code: int, member: str) -> None:
        self.code, self.member_id = code, member
        self.pushed: list[Exception] = []

    async def _send_req(self, _: object) -> Any:
        """Answer."""
        return SimpleNamespace(error_code=self.code)

    def _push_error_to_user(self, exc: Exception) -> None:
        """Keep an error for who asks."""
        self.pushed.append(exc)


async def test_a_fetch_waits_no_longer_at_the_broker_than_here(consumer: Consumer) -> None:
    member = Member(consumer, thread_loop=asyncio.get_running_loop())
    client = member._create_consumer(loop=member.thread_loop)
    assert client._fetch_max_wait_ms == 200
    await client.stop()


@pytest.fixture
def rival(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a worker says when it ends, a line for each reason."""
    died: list[str] = []
    monkeypatch.setattr(consumer.transport, "rival", Rival(45.0, die=died.append))
    return died


async def watched(consumer: Consumer, coordinator: Coordinator) -> Coordinator:
    """Return a coordinator, watched by a member of its group."""
    member = Member(consumer, thread_loop=asyncio.get_running_loop())
    client = SimpleNamespace(_coordinator=coordinator, start=AsyncMock())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member, "_create_consumer", lambda **_: client)
        await member.on_start()
    return coordinator


async def test_a_member_whose_place_is_taken_twice_has_a_rival(
    consumer: Consumer, rival: list[str]
) -> None:
    coordinator = await watched(consumer, Coordinator(25, "me-1"))
    await coordinator._send_req("heartbeat")
    coordinator.member_id = ""
    await coordinator._send_req("join")
    assert rival == []
    coordinator.member_id = "me-2"
    await coordinator._send_req("heartbeat")
    assert "worker.instance" in rival[0]


async def test_a_member_that_is_fenced_has_a_rival(consumer: Consumer, rival: list[str]) -> None:
    coordinator = await watched(consumer, Coordinator(82, ""))
    await coordinator._send_req("join")
    assert "worker.instance" in rival[0]


async def test_an_error_that_faust_would_never_show_ends_the_worker(
    consumer: Consumer, rival: list[str]
) -> None:
    coordinator = await watched(consumer, Coordinator(0, "me-1"))
    await coordinator._send_req("heartbeat")
    coordinator._push_error_to_user(PermissionError("not for you"))
    assert "not for you" in rival[0]
    assert len(coordinator.pushed) == 1
