"""A day does not close while posts that may belong to it wait to be judged."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from kafka import KafkaProducer
from msgspec.json import encode

from streams.records import Mention, Sentiment
from tests.broker.test_worker import Place, place, post, until

pytestmark = pytest.mark.broker
__all__ = ["place"]

IDLE = 2.0
"""Seconds after which a silent source no longer counts."""
BEGIN = datetime.now(UTC) - timedelta(days=8)


class Other:
    """What a worker that judges partition 0 would write: mentions, hour by hour."""

    def __init__(self, place: Place) -> None:
        self._topic = place.topics.mentions
        self._producer = KafkaProducer(bootstrap_servers=place.settings.kafka.broker)
        self.sent = 0

    def go_on(self, mentions: int) -> None:
        """Write mentions, twenty a second, three hours of event time apart."""
        for _ in range(mentions):
            mention = Mention(
                post=f"other{self.sent}",
                at=BEGIN + timedelta(hours=3 * min(self.sent, 60)),
                partition=0,
                offset=self.sent,
                brand="acme",
                sentiment=Sentiment(0.1, 0.8, 0.1),
            )
            self._producer.send(self._topic, key=b"acme", value=encode(mention))
            self.sent += 1
            time.sleep(0.05)
        self._producer.flush(30)

    def close(self) -> None:
        """Write no more."""
        self._producer.close()


def closings(place: Place) -> int:
    return sum(record.key == b"h|" for record in place.read(place.topics.changelog))


def wait_unjudged(place: Place, count: int) -> None:
    """Publish posts of the first day on partition 1."""
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka.broker)
    for number in range(count):
        value = post(number, created_at=BEGIN.isoformat())
        producer.send(place.topics.posts, value=value, partition=1)
    producer.flush(30)
    producer.close()


def test_posts_that_wait_for_a_judge_who_is_away_hold_their_day_open(place: Place) -> None:
    place.env["TRUSTWATCH_TRUST_IDLE_AFTER"] = str(IDLE)
    place.env["TRUSTWATCH_TRUST_MAX_AGE_HOURS"] = "480"
    place.create_topics()
    wait_unjudged(place, 7)
    place.start(TRUSTWATCH_WORKER_STAGES="follow")
    assert until(lambda: place.get("/readyz")[0] == 200, timeout=90), place.log()
    other = Other(place)
    other.go_on(160)
    assert closings(place) == 0, "silent, but its posts wait"
    place.start(TRUSTWATCH_WORKER_STAGES="judge", TRUSTWATCH_METRICS_PORT="0")

    def closed() -> bool:
        other.go_on(20)
        return closings(place) > 0

    assert until(closed, timeout=90), place.log()
    other.close()
    until(lambda: _counted(place) == other.sent + 7)
    assert _counted(place) == other.sent + 7, place.log()
    assert place.readings()["acme"]["late"] == 0


def _counted(place: Place) -> int:
    reading = place.readings()["acme"]
    return int(reading["negative"] + reading["neutral"] + reading["positive"])
