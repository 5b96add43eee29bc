"""Dead letters on real brokers: listed, shown, replayed once, even when killed half-way."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest

from streams import clients
from streams.errors import BrokerError
from streams.rejected import Id, catalogue, matcher, scan
from streams.replay import Outcome, replaying
from streams.settings import Settings, load_settings
from streams.topics import Topics, apply
from tests.conftest import running
from tests.support.broker import ROOT, Kafka, Server
from tests.support.refusals import refused

pytestmark = pytest.mark.timeout(240)
LEASE = 4.0
RAW = [b"\x00\xff not json", b"", b"[]", b'{"id": "\\ud800"}', b"x" * 100_000]


@pytest.fixture(
    params=[
        pytest.param("kafka", marks=pytest.mark.broker),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ]
)
def broker(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


OFFSETS = count()
"""Where the originals stood: no two letters are of one record."""


def settings_of(server: Server, prefix: str) -> Settings:
    ours = {"broker": server.bootstrap, "prefix": prefix, "group": prefix.rstrip(".")}
    settings = load_settings(env={}, overrides={f"kafka.{key}": ours[key] for key in ours})
    with clients.admin(settings.kafka) as admin:
        apply(admin, Topics(settings).all)
    return settings


@pytest.fixture
def settings(broker: Server, topic_prefix: str) -> Settings:
    return settings_of(broker, topic_prefix)


def reject(settings: Settings, values: Sequence[bytes | None], *, reason: str = "not_json") -> None:
    """Write dead letters as a worker does."""
    topics = Topics(settings)
    with clients.producer(settings.kafka) as producer:
        for number, value in enumerate(values):
            offset = next(OFFSETS)
            own = {
                "reason": reason,
                "stage": "judge",
                "detail": "it is not",
                "source_topic": topics.posts,
                "source_partition": str(number % 4),
                "source_offset": str(offset),
                "time": f"2026-11-23T09:30:{number % 60:02}.000+00:00",
            }
            headers = [("reason", b"the sender's"), ("trace", b"\x01\x02")]
            headers += [(name, text.encode()) for name, text in own.items()]
            home = {"partition": number % 4, "key": b"key %d" % number}
            producer.send(topics.rejected, value, headers=headers, **home).get(timeout=20)


def copies(settings: Settings) -> list[Any]:
    with clients.consumer(settings.kafka) as consumer:
        return list(scan(consumer, Topics(settings).posts, patience=20))


def replay(settings: Settings, **choice: Any) -> Outcome:
    with replaying(settings, lease=LEASE) as run:
        run.send(run.select(matcher(**choice)))
        return run.outcome


def trustwatch(settings: Settings, *words: str) -> subprocess.CompletedProcess[bytes]:
    kafka = settings.kafka
    env = os.environ | {
        "TRUSTWATCH_KAFKA_BROKER": kafka.broker,
        "TRUSTWATCH_KAFKA_PREFIX": kafka.prefix,
        "TRUSTWATCH_KAFKA_GROUP": kafka.group,
    }
    command = [sys.executable, "-m", "streams", "rejected", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=False, timeout=90)


def test_letters_come_back_as_they_were_once(settings: Settings) -> None:
    reject(settings, [*RAW, None])
    assert len(replay(settings).sent) == 6
    again = replay(settings)
    assert (again.sent, len(again.before)) == ([], 6)
    found = {record.key: record for record in copies(settings)}
    assert len(copies(settings)) == len(found) == 6
    for number, value in enumerate([*RAW, None]):
        record = found[b"key %d" % number]
        assert record.value == value
        assert record.partition == number % 4
        headers = dict(record.headers)
        assert headers["reason"] == b"the sender's"
        assert headers["trace"] == b"\x01\x02"
        assert headers["received"] == f"2026-11-23T09:30:{number:02}.000+00:00".encode()
        assert Id.parse(headers["replayed"].decode()).partition == number % 4
        assert "source_topic" not in headers


def test_only_those_with_the_reason_come_back(settings: Settings) -> None:
    reject(settings, [b"a", b"b"])
    reject(settings, [b"c"], reason="classifier_failed")
    assert len(replay(settings, reason="classifier_failed").sent) == 1
    assert [record.value for record in copies(settings)] == [b"c"]
    found = catalogue(settings, matcher())
    states = sorted(found.state(letter) for letter in found.letters)
    assert states == ["new", "new", "replayed"]


def test_the_commands_list_show_and_replay(settings: Settings) -> None:
    reject(settings, RAW)
    listed = trustwatch(settings, "list", "--json", "--limit", "2")
    rows = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [(row["id"], row["bytes"], row["state"]) for row in rows] == [
        ("3:0", 16, "new"),
        ("0:1", 100_000, "new"),
    ]
    assert b"3 more" not in listed.stderr
    table = trustwatch(settings, "list").stdout
    assert table.count(b"not_json") == 5
    assert b"xxx" not in table
    shown = trustwatch(settings, "show", "3:0")
    assert b"source_partition  3" in shown.stdout
    assert b"bytes             16" in shown.stdout
    assert trustwatch(settings, "show", "0:0", "--raw").stdout == RAW[0]
    assert trustwatch(settings, "show", "0:9").returncode == 2
    assert trustwatch(settings, "replay", "0:9").returncode == 2
    dry = trustwatch(settings, "replay", "--all", "--dry-run")
    assert dry.stdout.count(b"not_json") == 5
    assert copies(settings) == []
    assert trustwatch(settings, "replay", "0:0", "3:0").stdout == b"Sent 2 letters.\n"
    done = trustwatch(settings, "replay", "--all").stdout.decode()
    assert done == "Sent 3 letters.\n2 had been sent before: 0:0, 3:0\n"
    assert len(copies(settings)) == 5


SCRIPT = """
import sys
from streams import replay as module
from streams.rejected import matcher
from streams.settings import load_settings
module._BATCH = int(sys.argv[1])
with module.replaying(load_settings(), lease={lease}) as run:
    chosen = run.select(matcher())
    print("begun", flush=True)
    run.send(chosen)
"""


@pytest.fixture
def run_in_process(settings: Settings) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(batch: int) -> subprocess.Popen[bytes]:
        env = os.environ | {
            "TRUSTWATCH_KAFKA_BROKER": settings.kafka.broker,
            "TRUSTWATCH_KAFKA_PREFIX": settings.kafka.prefix,
        }
        command = [sys.executable, "-c", SCRIPT.format(lease=LEASE), str(batch)]
        started.append(subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_at_random_moments_each_letter_comes_back_once(
    settings: Settings, run_in_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    dice = random.Random(20_261_123)
    values = [b"letter %d" % number for number in range(800)]
    reject(settings, values)
    killed = 0
    for _ in range(4):
        process = run_in_process(3)
        assert process.stdout is not None
        process.stdout.readline()
        # After the wait for the one that was killed before, while letters are being sent.
        known = len(copies(settings))
        end = time.monotonic() + LEASE + 20
        while len(copies(settings)) == known and process.poll() is None:
            assert time.monotonic() < end
        time.sleep(dice.uniform(0, 0.2))
        process.kill()
        killed += process.wait() == -signal.SIGKILL
    assert killed >= 2
    left = replay(settings)
    assert left.doubtful == left.foreign == left.elsewhere == []
    assert sorted(record.value for record in copies(settings)) == sorted(values)


@pytest.mark.slow
def test_two_replays_at_once_send_each_letter_once(
    settings: Settings, run_in_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    values = [b"letter %d" % number for number in range(200)]
    reject(settings, values)
    both = [run_in_process(5), run_in_process(7)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert replay(settings).sent == []
    assert sorted(record.value for record in copies(settings)) == sorted(values)


@pytest.mark.broker
@pytest.mark.slow
def test_a_broker_that_dies_in_a_replay_gets_each_letter_once(tmp_path: Any) -> None:
    for broker in running(Kafka(tmp_path / "kafka")):
        settings = settings_of(broker, "test.")
        values = [b"letter %d" % number for number in range(60)]
        reject(settings, values)
        with refused():
            with replaying(settings, lease=LEASE) as run, pytest.raises(BrokerError):  # noqa: PT012
                chosen = run.select(matcher())
                run.send(chosen[:20])
                broker.kill()
                with clients.reaching(settings.kafka):
                    run.send(chosen[20:])
            broker.restart()
            replay(settings)
        assert sorted(record.value for record in copies(settings)) == sorted(values)
