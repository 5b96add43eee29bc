"""Feeding on real brokers: what arrives, what Ctrl-C leaves, and what a dead broker does."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams import clients, feed
from streams.errors import BrokerError, TopicsError
from streams.feed import Pace, Progress, publish
from streams.reader import LONGEST_LINE, Bad, Reader
from streams.rejected import scan
from streams.settings import Settings, load_settings
from streams.topics import Topics, apply
from tests.conftest import running
from tests.support.broker import ROOT, Kafka, Server, ports
from tests.support.refusals import refused

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(
    params=[
        pytest.param("kafka", marks=pytest.mark.broker),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ]
)
def broker(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def settings_of(server: Server, prefix: str) -> Settings:
    ours = {"broker": server.bootstrap, "prefix": prefix, "group": prefix.rstrip(".")}
    return load_settings(env={}, overrides={f"kafka.{key}": ours[key] for key in ours})


def with_topics(settings: Settings) -> Settings:
    with clients.admin(settings.kafka) as admin:
        apply(admin, Topics(settings).all)
    return settings


@pytest.fixture
def settings(broker: Server, topic_prefix: str) -> Settings:
    return with_topics(settings_of(broker, topic_prefix))


def posts_of(settings: Settings) -> list[Any]:
    with clients.consumer(settings.kafka) as consumer:
        return list(scan(consumer, Topics(settings).posts, patience=20))


def write(path: Path, count: int, *, at: str = "2026-11-20T10:00:00Z") -> Path:
    lines = (
        json.dumps({"id": f"x:{n}", "created_at": at, "text": f"text {n}"}) for n in range(count)
    )
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_every_post_arrives_once_with_its_key_and_bytes(settings: Settings, tmp_path: Path) -> None:
    path = write(tmp_path / "posts.jsonl", 500)
    path.write_text("nonsense\n" + path.read_text())
    complaints: list[Bad] = []
    progress = publish(Reader([path]), settings, complain=complaints.append)
    assert (progress.sent, progress.delivered, progress.bad) == (500, 500, 1)
    assert progress.last is not None
    assert progress.last.line == 501
    assert [bad.place.line for bad in complaints] == [1]
    found = {record.key: record for record in posts_of(settings)}
    assert len(found) == 500
    lines = path.read_bytes().splitlines()[1:]
    assert {key: record.value for key, record in found.items()} == {
        f"x:{n}".encode(): lines[n] for n in range(500)
    }


def test_a_post_says_when_it_was_received(settings: Settings, tmp_path: Path) -> None:
    old = write(tmp_path / "old.jsonl", 1, at="2020-02-03T04:05:06.789Z")
    future = tmp_path / "future.jsonl"
    future.write_text(old.read_text().replace("2020", "9020").replace("x:0", "x:1"))
    before = datetime.now(UTC)
    publish(Reader([old, future]), settings)
    received = {
        record.key: datetime.fromisoformat(dict(record.headers)["received"].decode())
        for record in posts_of(settings)
    }
    assert received[b"x:0"] == datetime(2020, 2, 3, 4, 5, 6, 789_000, UTC)
    assert before <= received[b"x:1"] <= datetime.now(UTC)


def test_the_record_itself_is_of_now_so_that_it_is_kept(settings: Settings, tmp_path: Path) -> None:
    publish(Reader([write(tmp_path / "old.jsonl", 1, at="2020-01-01T00:00:00Z")]), settings)
    [record] = posts_of(settings)
    assert abs(time.time() - record.timestamp / 1000) < 60


def test_a_rate_is_kept(settings: Settings, tmp_path: Path) -> None:
    began = time.monotonic()
    publish(Reader([write(tmp_path / "p.jsonl", 41)]), settings, pace=Pace(rate=20))
    assert time.monotonic() - began >= 1.9


def test_a_thread_can_be_told_to_stop(settings: Settings, tmp_path: Path) -> None:
    reader = Reader([write(tmp_path / "p.jsonl", 1000)])
    stop, progress = threading.Event(), Progress()

    def report(now: Progress) -> None:
        if now.delivered >= 3:
            stop.set()

    arguments = {"pace": Pace(rate=50), "progress": progress, "report": report, "stop": stop}
    thread = threading.Thread(target=publish, args=(reader, settings), kwargs=arguments)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert 3 <= progress.delivered < 1000
    assert progress.last is not None
    assert progress.last.line == progress.delivered == len(posts_of(settings))


@pytest.mark.broker
def test_the_largest_line_is_delivered(kafka: Server, topic_prefix: str, tmp_path: Path) -> None:
    settings = with_topics(settings_of(kafka, topic_prefix))
    path = tmp_path / "huge.jsonl"
    head = '{"id":"x:1","created_at":"2026-11-20T10:00:00Z","text":"'
    path.write_text(head + "x" * (LONGEST_LINE - len(head) - 2) + '"}\n')
    assert publish(Reader([path]), settings).delivered == 1
    [record] = posts_of(settings)
    assert len(record.value) == LONGEST_LINE


def test_without_the_topic_the_command_to_make_it_is_told(
    broker: Server, topic_prefix: str, tmp_path: Path
) -> None:
    with pytest.raises(TopicsError, match="trustwatch topics apply"):
        publish(Reader([write(tmp_path / "p.jsonl", 1)]), settings_of(broker, topic_prefix))


def test_without_a_broker_the_address_is_told(tmp_path: Path) -> None:
    [port] = ports(1)
    overrides = {"kafka.broker": f"127.0.0.1:{port}", "kafka.timeout": "1"}
    settings = load_settings(env={}, overrides=overrides)
    with refused(), pytest.raises(BrokerError, match=f"127.0.0.1:{port}"):
        publish(Reader([write(tmp_path / "p.jsonl", 1)]), settings)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Server]:
    """An Apache Kafka of the test's own, to kill."""
    yield from running(Kafka(tmp_path / "kafka"))


@pytest.mark.broker
@pytest.mark.slow
def test_a_broker_that_dies_and_comes_back_gets_every_post_once(
    mortal: Server, tmp_path: Path
) -> None:
    settings = with_topics(settings_of(mortal, "test."))
    reader, progress = Reader([write(tmp_path / "p.jsonl", 1000)]), Progress()
    arguments = {"pace": Pace(rate=200), "progress": progress}
    thread = threading.Thread(target=publish, args=(reader, settings), kwargs=arguments)
    with refused():
        thread.start()
        while progress.delivered < 200:
            time.sleep(0.05)
        mortal.kill()
        time.sleep(1)
        mortal.restart()
        thread.join(60)
    assert progress.delivered == 1000
    keys = [record.key for record in posts_of(settings)]
    assert sorted(keys) == sorted(f"x:{n}".encode() for n in range(1000))


@pytest.mark.broker
@pytest.mark.slow
def test_a_broker_that_does_not_come_back_ends_the_feed(
    mortal: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_DELIVERY", 4.0)
    settings = with_topics(settings_of(mortal, "test."))
    reader, progress = Reader([write(tmp_path / "p.jsonl", 1000)]), Progress()

    def report(now: Progress) -> None:
        if now.delivered >= 100 and mortal.running:
            mortal.kill()

    with refused(), pytest.raises(BrokerError, match="cannot be reached"):
        publish(reader, settings, pace=Pace(rate=100), progress=progress, report=report)
    assert 100 <= progress.delivered < 1000
    assert progress.last is not None


class Command:
    """`trustwatch` as a process."""

    def __init__(self, settings: Settings, words: list[str]) -> None:
        kafka = settings.kafka
        env = os.environ | {
            "TRUSTWATCH_KAFKA_BROKER": kafka.broker,
            "TRUSTWATCH_KAFKA_PREFIX": kafka.prefix,
            "TRUSTWATCH_KAFKA_GROUP": kafka.group,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams", *words],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, text: str | None = None) -> tuple[int, str]:
        """Wait; return the exit code and standard error."""
        _, told = self.process.communicate(text, timeout=60)
        return self.process.returncode, told


@pytest.fixture
def commands(settings: Settings) -> Iterator[Any]:
    started: list[Command] = []

    def start(*words: str) -> Command:
        started.append(Command(settings, list(words)))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.communicate()


def wait_for(settings: Settings, count: int) -> None:
    end = time.monotonic() + 60
    while len(posts_of(settings)) < count:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_says_where_and_the_command_it_names_does_the_rest(
    settings: Settings, commands: Any, tmp_path: Path, number: signal.Signals
) -> None:
    path = write(tmp_path / "my posts.jsonl", 300)
    first = commands("feed", str(path), "--rate", "100")
    wait_for(settings, 20)
    first.process.send_signal(number)
    code, told = first.end()
    assert code == 130
    assert "Traceback" not in told
    *_, command = told.splitlines()
    words = shlex.split(command)
    assert words[:4] == ["trustwatch", "feed", "--rate", "100"]
    stopped = int(words[-1]) - 1
    assert f"The last post that arrived: {path}:{stopped}." in told
    # What was on its way when it stopped has arrived too, so nothing is sent twice.
    assert len(posts_of(settings)) == stopped
    code, told = commands(*words[1:]).end()
    assert (code, told.splitlines()[-1][:13]) == (0, "Published " + str(300 - stopped)[:3])
    keys = [record.key for record in posts_of(settings)]
    assert sorted(keys) == sorted(f"x:{n}".encode() for n in range(300))


def test_standard_input_is_fed_and_bad_lines_are_exit_2(settings: Settings, commands: Any) -> None:
    text = '{"id":"a","created_at":"2026-11-20T10:00:00Z","text":"t"}\n{"id":1}\n'
    code, told = commands("feed", "-").end(text)
    assert code == 2
    assert "standard input:2: not a post" in told
    assert [record.key for record in posts_of(settings)] == [b"a"]


def test_waiting_for_standard_input_ends_with_ctrl_c(commands: Any) -> None:
    command = commands("feed", "-")
    command.process.stdin.write('{"id":"a","created_at":"2026-11-20T10:00:00Z","text":"t"}\n')
    command.process.stdin.flush()
    time.sleep(3)
    command.process.send_signal(signal.SIGINT)
    code, told = command.end()
    assert code == 130
    assert "Traceback" not in told


def test_shifted_the_last_post_is_now(settings: Settings, commands: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", 2, at="2020-01-01T00:00:00Z")
    path.write_text(path.read_text().replace("2020-01-01", "2019-12-30", 1))
    began = datetime.now(UTC)
    assert commands("feed", str(path), "--shift-to-now").end()[0] == 0
    found = {record.key: json.loads(record.value)["created_at"] for record in posts_of(settings)}
    first, last = (datetime.fromisoformat(found[key]) for key in (b"x:0", b"x:1"))
    assert began <= last <= datetime.now(UTC)
    assert last - first == timedelta(days=2)
