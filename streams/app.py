"""Where Kafka meets the stages: the Faust app of a worker, and nowhere else."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import faust
from aiokafka.errors import KafkaError
from mode.utils.logging import get_logger
from yarl import URL

from streams.security import faust_credentials
from streams.settings import Settings
from streams.tables import Books
from streams.transport import AS_IS, Fence, Transport, check_faust
from streams.worker import Worker

BEAT = 0.25
"""Seconds between two beats of the event loop."""
FENCE_SHARE = 0.7
"""Share of the session after which a worker that stood still writes nothing more."""
SILENCE = 60.0
"""Seconds between two readings of silent brands, when the wall clock decays the index."""
SEND_TIMEOUT = 60.0
"""Seconds that a send may take, a broker's restart included."""
QUEUED_CHUNKS = 16
"""Most chunks of a topic that wait for their agent."""
TABLE = "rows"

Die = Callable[[str], Any]
"""Ends the process at once with a message; what was not acknowledged is done again."""

log = get_logger(__name__)


def new_fence(settings: Settings, *, die: Die) -> Fence:
    """Return the fence of a worker with these settings."""
    return Fence(FENCE_SHARE * settings.kafka.session_timeout, die=die)


def create_app(
    worker: Worker, *, die: Die, transport: type[Transport] = Transport
) -> faust.App:
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
        app, clock=time.monotonic, name=TABLE, partitions=settings.kafka.partitions
    )
    app.tables.add(worker.table)
    app.transport = _wire(transport, app, worker)
    batches = {
        "judge": (worker.topics.posts, worker.judge_batch),
        "follow": (worker.topics.mentions, worker.follow_batch),
    }
    for stage in settings.worker.stages:
        topic, batch = batches[stage]
        source = app.topic(topic, key_serializer=AS_IS, value_serializer=AS_IS)
        app.agent(source, name=stage)(_agent(app, batch, settings=settings, die=die))
    _watch(app, worker, die=die)
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
        "web_enabled": False,
        "logging_config": {"version": 1, "disable_existing_loggers": False},
        **({"datadir": worker.data_dir} if worker.data_dir else {}),
    }


def _wire(transport: type[Transport], app: faust.App, worker: Worker) -> Transport:
    topics = worker.topics
    return transport(
        app,
        urls=app.conf.broker,
        sources=(topics.posts, topics.mentions),
        targets=(topics.mentions, topics.rejected, topics.trust, topics.changelog),
        chunk=worker.settings.worker.chunk,
        fence=worker.fence,
        on_expired=worker.metrics.expired,
    )


def _agent(
    app: faust.App,
    batch: Callable[[Sequence[Any]], Awaitable[None]],
    *,
    settings: Settings,
    die: Die,
) -> Callable[[Any], Awaitable[None]]:
    """Return an agent that hands over batches and lets nothing escape.

    Faust acknowledges a batch whose agent raised, so an error that is not about the data ends the
    process instead: nothing of the batch is acknowledged, and it is done again after a restart.
    """
    worker = settings.worker

    async def agent(stream: Any) -> None:
        async for events in stream.take_events(worker.take, within=worker.within):
            try:
                chunks = (app.transport.records(event.message) for event in events)
                await batch(list(chain.from_iterable(chunks)))
            except asyncio.CancelledError:
                raise
            except KafkaError as exc:
                die(f"Kafka did not take what was sent ({exc!r}); start the worker again")
            except Exception as exc:  # noqa: BLE001 -- see above: nothing may be acknowledged
                log.exception("A batch failed for a reason that is not in its records")
                die(f"a batch failed: {exc!r}; this is a fault of Trustwatch, please report it")

    return agent


def _watch(app: faust.App, worker: Worker, *, die: Die) -> None:
    """Add what goes on beside the stages: beats, readings, brands, lag."""

    async def beat() -> None:
        while True:
            worker.fence.beat()
            await asyncio.sleep(BEAT)

    async def watch() -> None:
        pause = worker.settings.trust.tick
        while not app.should_stop:
            await asyncio.sleep(pause)
            if app.tables.actives_ready:
                try:
                    pause = await worker.watch()
                except KafkaError as exc:
                    die(f"Kafka did not take the readings ({exc!r}); start the worker again")

    async def look() -> None:
        while not app.should_stop:
            await asyncio.sleep(worker.settings.brands.reload or SILENCE)
            await worker.look()

    for task in (beat, watch, look):
        app.task(task)
    app.on_rebalance_complete.connect(_owner(worker), weak=False)


def _owner(worker: Worker) -> Callable[..., Awaitable[None]]:
    async def own(*_: Any, **__: Any) -> None:
        worker.metrics.rebalanced()
        worker.own()

    return own
