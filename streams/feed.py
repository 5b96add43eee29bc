"""Publishing posts: move in time, pace, send, know what arrived."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from kafka import KafkaProducer

from streams import clients
from streams.errors import InputError
from streams.reader import Bad, Item, Place
from streams.settings import Settings
from streams.topics import Topics, require

PENDING = 10_000
"""Most posts on their way to the broker."""
_DELIVERY = 60.0
"""Seconds after which a post that the broker has not confirmed is an error."""
_STOPPING = 5.0
"""Seconds to wait for what is on its way when told to stop."""


def shift(items: Iterable[Item | Bad], *, now: datetime, speed: float | None = None) -> timedelta:
    """Return by how much to move posts so that the last one is now.

    Replayed at a speed, the last one is now when its turn comes; at a speed below 1 the first
    one is, as the others would be in the future else. Posts of the future do not count, unless
    all are: one wrong date must not move all others into the past.

    Raises:
        InputError: there is no post.
    """
    every, past = _Span(), _Span()
    for item in items:
        if isinstance(item, Item):
            every.add(item.created_at)
            if item.created_at <= now:
                past.add(item.created_at)
    span = past if past.first else every
    if span.first is None or span.last is None:
        raise InputError("there is no post to move to now")
    if speed is None:
        return now - span.last
    length = span.last - span.first
    return now - span.first - max(length - length / speed, timedelta(0))


class _Span:
    """The first and the last of some instants."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, moment: datetime) -> None:
        self.first = min(self.first or moment, moment)
        self.last = max(self.last or moment, moment)


def moved(items: Iterable[Item | Bad], by: timedelta) -> Iterator[Item | Bad]:
    """Yield the posts with `created_at` moved; times in their text stay."""
    for item in items:
        if isinstance(item, Bad):
            yield item
            continue
        try:
            created_at = item.created_at + by
        except OverflowError:
            yield Bad(item.place, "its date cannot be moved that far")
            continue
        fields = msgspec.json.decode(item.value) | {"created_at": created_at}
        yield item._replace(created_at=created_at, value=msgspec.json.encode(fields))


class Pace:
    """When each post is due: at once, at a rate, or as event time passes.

    Args:
        rate: posts per second.
        speed: how many times faster than in reality event time passes.

    Raises:
        InputError: both are given, or one is not above zero.
    """

    def __init__(self, *, rate: float | None = None, speed: float | None = None) -> None:
        if rate is not None and speed is not None:
            raise InputError("--rate and --speed exclude each other: give one of them")
        for name, value in (("rate", rate), ("speed", speed)):
            if value is not None and not value > 0:
                raise InputError(f"--{name} must be above 0, not {value:g}")
        self.rate = rate
        self.speed = speed
        self._count = 0
        self._first: datetime | None = None

    def due(self, created_at: datetime) -> float:
        """Return when the next post is due, in seconds from the beginning."""
        self._first = self._first or created_at
        self._count += 1
        if self.rate:
            return (self._count - 1) / self.rate
        if self.speed:
            return (created_at - self._first).total_seconds() / self.speed
        return 0.0


@dataclass
class Progress:
    """How far a feed is."""

    sent: int = 0
    delivered: int = 0
    """Posts that the broker has confirmed, with all before them."""
    bad: int = 0
    last: Place | None = None
    """Where the last of the delivered stood."""
    at: datetime | None = None
    """When the last of the sent was created."""


def _ignore(_: Any) -> None:
    """Take what nobody asked for."""


def publish(
    items: Iterable[Item | Bad],
    settings: Settings,
    *,
    pace: Pace | None = None,
    progress: Progress | None = None,
    report: Callable[[Progress], None] = _ignore,
    complain: Callable[[Bad], None] = _ignore,
    stop: threading.Event | None = None,
) -> Progress:
    """Publish posts to the topic `posts` and return when the broker has confirmed them.

    Each record carries when it was received in the header `received`: when it was created, or now
    if that is in the future. So a replay of old posts is judged as on their day.

    Args:
        items: posts, such as those of a `Reader`.
        settings: where to.
        pace: when each is due; None: at once.
        progress: kept up to date, so that it is at hand after an error; made if not given.
        report: called with the progress after each post, and while waiting.
        complain: called with each line that is no post.
        stop: set it, from any thread, to have the feed end early.

    Raises:
        BrokerError: the broker cannot be reached, or did not confirm a post.
        TopicsError: there is no topic `posts`.
    """
    stop = stop or threading.Event()
    topic = Topics(settings).posts
    with clients.admin(settings.kafka) as admin:
        require(admin, topic)
    progress = progress or Progress()
    with _producer(settings) as producer:
        sending = _Sending(producer, topic, progress, report=report, stop=stop)
        try:
            for item in _paced(items, pace or Pace(), sending, complain):
                sending.send(item)
        except KeyboardInterrupt:
            stop.set()
        sending.finish()
    return progress


def _producer(settings: Settings) -> AbstractContextManager[KafkaProducer]:
    return clients.producer(
        settings.kafka,
        linger_ms=20,
        batch_size=256 * 1024,
        delivery_timeout_ms=int(_DELIVERY * 1000),
        request_timeout_ms=int(_DELIVERY * 500),
    )


def _paced(
    items: Iterable[Item | Bad], pace: Pace, sending: "_Sending", complain: Callable[[Bad], None]
) -> Iterator[Item]:
    """Yield each post when it is due; end when told to stop."""
    began = time.monotonic()
    for item in items:
        if isinstance(item, Bad):
            sending.progress.bad += 1
            complain(item)
        elif sending.wait(began + pace.due(item.created_at)):
            yield item
        if sending.stop.is_set():
            return


class _Sending:
    """Posts on their way, in order."""

    def __init__(
        self,
        producer: KafkaProducer,
        topic: str,
        progress: Progress,
        *,
        report: Callable[[Progress], None],
        stop: threading.Event,
    ) -> None:
        self.progress = progress
        self.stop = stop
        self._producer = producer
        self._topic = topic
        self._report = report
        self._pending: deque[tuple[Any, Place]] = deque()

    def wait(self, until: float) -> bool:
        """Wait for an instant of the steady clock; False when told to stop before."""
        while (left := until - time.monotonic()) > 0:
            if self.stop.wait(min(left, 0.1)):
                return False
            self.harvest()
        return True

    def send(self, item: Item) -> None:
        """Hand a post to the producer; wait when too many are on their way."""
        received = min(item.created_at, datetime.now(UTC)).isoformat()
        future = self._producer.send(
            self._topic,
            key=item.id.encode(),
            value=item.value,
            headers=[("received", received.encode())],
        )
        self._pending.append((future, item.place))
        self.progress.sent += 1
        self.progress.at = item.created_at
        if self.progress.sent % 100 == 0:
            self.harvest()
        while len(self._pending) >= PENDING and not self.stop.wait(0.01):
            self.harvest()

    def harvest(self) -> None:
        """Take note of what the broker has confirmed, up to the first post that it has not."""
        while self._pending and self._pending[0][0].is_done:
            future, place = self._pending.popleft()
            future.get(timeout=0)
            self.progress.delivered += 1
            self.progress.last = place
        self._report(self.progress)

    def finish(self) -> None:
        """Wait for what is on its way, but not for long when told to stop."""
        asked: float | None = None
        while self._pending:
            self.harvest()
            if self.stop.is_set():
                asked = asked or time.monotonic()
                if time.monotonic() - asked > _STOPPING:
                    return
            time.sleep(0.005)
        self._report(self.progress)
