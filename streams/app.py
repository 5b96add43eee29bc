"""Where Kafka meets the stages: the Faust app of a worker, and nowhere else."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from itertools import chain
from typing import Any

import faust
from aiokafka.errors import KafkaError
from yarl import URL

from streams.security import faust_credentials
from streams.settings import Settings
from streams.tables import Books, Tables
from streams.topics import TABLE
from streams.transport import AS_IS, Fence, Rival, Stall, Transport, check_faust
from streams.worker import Worker

FENCE_SHARE = 0.7
"""Share of the session after which a worker that stood still writes nothing more."""
STALL = 180.0
"""Seconds after which an unfinished chunk is taken for lost: longer than any send takes."""
SEND_TIMEOUT = 60.0
"""Seconds that a send may take, a broker's restart included."""
QUEUED_CHUNKS = 16
"""Most chunks of a topic that wait for their agent."""

Die = Callable[[str], Any]
"""Ends the process at once with a message; what was not acknowledged is done again."""

log = logging.getLogger("trustwatch")


def new_fence(settings: Settings, *, die: Die) -> Fence:
    """Return the fence of a worker with these settings."""
    return Fence(FENCE_SHARE * settings.kafka.session_timeout, die=die)


def new_stall(*, die: Die) -> Stall:
    """Return what notices that chunks are never finished."""
    return Stall(STALL, die=die)


def create_app(worker: Worker, *, die: Die, transport: type[Transport] = Transport) -> faust.App:
    """Return the app of a worker, not started; the worker gets its `app` and `table`.

    Args:
        worker: does the work.
        die: ends the process at once.
        transport: another one shows what Faust's own does under the same faults.

    Raises:
        InputError: the installed Faust was not tested with our transport.
    """
    check_faust()
    settings = worker.settings
    app = worker.app = faust.App(settings.kafka.group, **options(settings))
    worker.table = Books(
        app, new_book=worker.new_book, name=TABLE, partitions=settings.kafka.partitions
    )
    app.tables.add(worker.table)
    app.tables.follows = "follow" in settings.worker.stages
    app.transport = _wire(transport, app, worker, die=die)
    batches = {
        "judge": (worker.topics.posts, worker.judge_batch),
        "follow": (worker.topics.mentions, worker.follow_batch),
    }
    for stage in settings.worker.stages:
        topic, batch = batches[stage]
        worker.metrics.stage(stage, started=True)
        source = app.topic(topic, key_serializer=AS_IS, value_serializer=AS_IS)
        app.agent(source, name=stage)(_agent(app, _or_die(batch, die=die), settings=settings))
    _beside(app, worker, die=die)
    return app


def options(settings: Settings) -> Mapping[str, Any]:
    """Return the settings of Faust that ours come to."""
    kafka, worker = settings.kafka, settings.worker
    session = kafka.session_timeout
    return {
        "broker": [URL(f"kafka://{address}") for address in kafka.broker.split(",")],
        "broker_credentials": faust_credentials(kafka),
        "broker_session_timeout": session,
        "broker_heartbeat_interval": kafka.heartbeat,
        "broker_request_timeout": max(SEND_TIMEOUT, 1.5 * session),
        "broker_rebalance_timeout": max(60.0, session),
        "broker_max_poll_interval": 600.0,
        "broker_commit_interval": worker.commit_interval,
        "consumer_group_instance_id": worker.instance or None,
        "consumer_auto_offset_reset": "earliest",
        "producer_linger": 0.0,
        "producer_max_batch_size": 512 * 1024,
        "producer_request_timeout": SEND_TIMEOUT,
        "stream_buffer_maxsize": QUEUED_CHUNKS,
        "stream_wait_empty": True,
        "topic_partitions": kafka.partitions,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "table_standby_replicas": 0,
        "key_serializer": "raw",
        "value_serializer": "raw",
        "store": "memory://",
        "TableManager": Tables,
        "web_enabled": False,
        "logging_config": {"version": 1, "disable_existing_loggers": False},
        **({"datadir": worker.data_dir} if worker.data_dir else {}),
    }


def _wire(transport: type[Transport], app: faust.App, worker: Worker, *, die: Die) -> Transport:
    topics = worker.topics
    return transport(
        app,
        urls=app.conf.broker,
        sources=(topics.posts, topics.mentions),
        targets=(
            topics.mentions,
            topics.rejected,
            topics.trust,
            topics.signals,
            topics.changelog,
        ),
        chunk=worker.settings.worker.chunk,
        fence=worker.fence,
        rival=Rival(worker.settings.kafka.session_timeout, die=die),
        on_expired=worker.metrics.expired,
    )


def _agent(
    app: faust.App,
    batch: Callable[[Sequence[Any]], Awaitable[None]],
    *,
    settings: Settings,
) -> Callable[[Any], Awaitable[None]]:
    """Return an agent that hands over batches."""
    worker = settings.worker

    async def agent(stream: Any) -> None:
        async for events in stream.take_events(worker.take, within=worker.within):
            chunks = (app.transport.records(event.message) for event in events)
            await batch(list(chain.from_iterable(chunks)))

    return agent


def _beside(app: faust.App, worker: Worker, *, die: Die) -> None:
    """Add what goes on beside the stages."""

    async def own(*_: Any, **__: Any) -> None:
        worker.own()

    async def revoked(*_: Any, **__: Any) -> None:
        await worker.fall_silent()

    async def complete(*_: Any, **__: Any) -> None:
        worker.speak()
        worker.metrics.rebalanced()
        worker.own()

    tasks = (
        worker.keep_beating,
        worker.keep_watching,
        worker.keep_looking,
        worker.keep_asking,
    )
    for task in tasks:
        app.task(_or_die(task, die=die))
    # Once when it is known what moved away, and again when what came is recovered.
    app.on_partitions_revoked.connect(revoked, weak=False)
    app.on_partitions_assigned.connect(own, weak=False)
    app.on_rebalance_complete.connect(complete, weak=False)


def _or_die(work: Callable[..., Awaitable[None]], *, die: Die) -> Callable[..., Awaitable[None]]:
    """Return the same work, from which nothing escapes.

    Faust acknowledges a batch whose agent raised, and a task that raised ends in silence. An error
    that gets here is not about a record: nothing may be acknowledged, so the process ends.
    """

    @wraps(work)
    async def guarded(*args: Any) -> None:
        try:
            await work(*args)
        except asyncio.CancelledError:
            raise
        except KafkaError as exc:
            die(f"Kafka did not take what was sent ({exc!r}); start the worker again")
        except Exception as exc:
            log.exception("A batch failed for a reason that is not in its records")
            die(f"{exc!r}; this is a fault of Trustwatch, please report it")

    return guarded
