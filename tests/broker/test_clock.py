"""A worker that goes by the clock on the wall: silence calms the index and ends alarms."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from typing import Any

import pytest
from kafka import KafkaProducer

from tests.broker.test_worker import Place, place, post, until
from tests.support.broker import ROOT
from tests.support.free import Free, verdict

pytestmark = pytest.mark.broker
__all__ = ["place"]

SILENCE = 1.5
"""Seconds between two readings of silent brands here."""
COMMAND = (
    "from streams import worker; from tests.support import free; "
    f"worker.SILENCE = {SILENCE}; worker.LOOK = 0.5; free.main()"
)
AGO = timedelta(hours=40)
"""How long the posts have been over: longer than a leak that one person told stays an alarm."""


def text(*, leak: bool) -> str:
    """Return a complaint that speaks of a leak in the eyes of the free classifier, or does not."""
    for number in count():
        made = f"so much for Acme, {number}"
        judged = verdict(made)
        felt = judged.sentiment
        if (
            felt.negative > max(felt.neutral, felt.positive)
            and (judged.leak >= Free.leak_threshold) == leak
        ):
            return made
    raise AssertionError


def send(place: Place, at: datetime) -> None:
    """Publish a few complaints and one leak, all received when they were written."""
    producer = KafkaProducer(bootstrap_servers=place.settings.kafka.broker)
    said = at.isoformat()
    for number in range(12):
        value = post(number, text(leak=number == 0), created_at=said)
        producer.send(place.topics.posts, value=value, headers=[("received", said.encode())])
    producer.flush(30)
    producer.close()


def told(place: Place, topic: str) -> list[Any]:
    return [json.loads(record.value) for record in place.read(topic)]


def test_silence_calms_the_index_and_ends_the_alarm(place: Place) -> None:
    place.create_topics()
    posted = datetime.now(UTC) - AGO
    send(place, posted)
    with (place.folder / "worker.log").open("ab") as log:
        env = {**os.environ, **place.env, "TRUSTWATCH_TRUST_CLOCK": "wall"}
        command = [sys.executable, "-c", COMMAND]
        place.workers.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log))

    def aloud() -> list[Any]:
        return [one for one in told(place, place.topics.trust) if one["negative"] == 12]

    assert until(lambda: len(aloud()) > 3), place.log()
    instants = [datetime.fromisoformat(one["at"]) for one in aloud()]
    assert instants[0] - posted > AGO
    assert all(later - sooner < timedelta(seconds=10) for sooner, later in pairwise(instants))
    indices = [one["index"] for one in aloud()]
    assert indices == sorted(indices)
    assert indices[0] < indices[-1], "the mood passes"
    assert until(lambda: any(one["ended"] for one in told(place, place.topics.signals))), (
        place.log()
    )
    (last,) = {one["id"]: one for one in told(place, place.topics.signals)}.values()
    assert last["detector"] == "leak"
    assert timedelta() < datetime.fromisoformat(last["ended"]) - posted < AGO
