"""A worker on a real broker: bad input, deletions, restarts, refusals."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from streams.clients import admin
from streams.settings import Settings, load_settings
from streams.topics import Topics, apply
from tests.support.broker import ROOT, Server, ports

pytestmark = pytest.mark.broker
BRANDS = '[[brand]]\nid = "acme"\nname = "Acme"\n'


@dataclass
class Place:
    """Topics, settings and workers of one test."""

    env: dict[str, str]
    folder: Path
    settings: Settings = field(init=False)
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Load the settings."""
        self.settings = load_settings(env=self.env)
        self.topics = Topics(self.settings)

    def create_topics(self) -> None:
        """Create the topics."""
        with admin(self.settings.kafka) as client:
            apply(client, self.topics.all)

    def start(self, **env: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.support.free"],
                cwd=ROOT,
                env={**os.environ, **self.env, **env},
                stdout=log,
                stderr=log,
            )
        self.workers.append(worker)
        return worker

    def log(self) -> str:
        """Return what the workers logged."""
        return (self.folder / "worker.log").read_text()

    def send(self, *values: bytes, key: bytes | None = None) -> None:
        """Publish values on `posts`."""
        producer = KafkaProducer(
            bootstrap_servers=self.settings.kafka.broker, max_request_size=9_000_000
        )
        for value in values:
            producer.send(self.topics.posts, value=value, key=key)
        producer.flush(30)
        producer.close()

    def read(self, topic: str) -> list[Any]:
        """Return all records of a topic."""
        reader = KafkaConsumer(
            bootstrap_servers=self.settings.kafka.broker, max_partition_fetch_bytes=9_000_000
        )
        parts = [TopicPartition(topic, p) for p in range(self.settings.kafka.partitions)]
        reader.assign(parts)
        reader.seek_to_beginning(*parts)
        ends = reader.end_offsets(parts)
        records: list[Any] = []
        while any(reader.position(part) < end for part, end in ends.items()):
            for some in reader.poll(500).values():
                records += some
        reader.close()
        return records

    def readings(self) -> dict[str, Any]:
        """Return the latest reading of each brand."""
        found = [json.loads(record.value) for record in self.read(self.topics.trust)]
        return {reading["brand"]: reading for reading in found}

    def get(self, path: str) -> tuple[int, str]:
        """Ask the worker's own server."""
        url = f"http://127.0.0.1:{self.env['TRUSTWATCH_METRICS_PORT']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)


def until(holds: Callable[[], bool], *, timeout: float = 40.0) -> bool:
    """Return whether something comes to hold in time."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.3)
    return False


@pytest.fixture
def place(kafka: Server, topic_prefix: str, tmp_path: Path) -> Iterator[Place]:
    brands = tmp_path / "brands.toml"
    brands.write_text(BRANDS)
    made = Place(
        {
            "TRUSTWATCH_KAFKA_BROKER": kafka.bootstrap,
            "TRUSTWATCH_KAFKA_PREFIX": topic_prefix,
            "TRUSTWATCH_KAFKA_GROUP": f"{topic_prefix}group",
            "TRUSTWATCH_KAFKA_PARTITIONS": "2",
            "TRUSTWATCH_KAFKA_SESSION_TIMEOUT": "8",
            "TRUSTWATCH_KAFKA_HEARTBEAT": "2",
            "TRUSTWATCH_BRANDS_FILE": str(brands),
            "TRUSTWATCH_BRANDS_RELOAD": "0.3",
            "TRUSTWATCH_TRUST_TICK": "0.2",
            "TRUSTWATCH_METRICS_PORT": str(ports(1)[0]),
            "TRUSTWATCH_WORKER_DATA_DIR": str(tmp_path),
        },
        tmp_path,
    )
    yield made
    for worker in made.workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()


def post(number: int, text: str = "so much for Acme", **fields: Any) -> bytes:
    made = {"id": f"p{number}", "created_at": "2026-11-23T11:00:00Z", "text": text, **fields}
    return json.dumps(made).encode()


BAD = {
    b"not json": "not_json",
    b"\xff\xfe\x00": "not_json",
    b'{"id": 1, "created_at": "2026-11-23T11:00:00Z", "text": "x"}': "not_a_post",
    b'{"created_at": "2026-11-23T11:00:00Z", "text": "x"}': "not_a_post",
    b'{"id": "a", "created_at": "2026-11-23T11:00:00Z"}': "no_text",
    b'{"id": "s", "created_at": "2026-11-23T11:00:00Z", "text": "\\ud800"}': "not_json",
    b'{"deep": ' + b"[" * 50_000 + b"]" * 50_000 + b"}": "not_json",
    post(5, "Acme " * 1_000_000): "text_too_long",
}
ODD = (
    post(1, "Acme \u0000 here"),
    post(2, created_at="9999-12-31T23:59:59Z"),
    post(3, created_at="0001-01-01T00:00:00Z"),
    post(4),
    post(4),
)


def test_bad_input_is_rejected_or_judged_and_the_worker_never_restarts(place: Place) -> None:
    place.create_topics()
    worker = place.start()
    place.send(*BAD, *ODD, key=b"\xff\xfe not utf-8")
    place.send(b"")
    assert until(lambda: len(place.read(place.topics.rejected)) == len(BAD) + 1), place.log()
    assert until(lambda: place.readings().get("acme", {}).get("positive", -1) >= 0), place.log()
    letters = place.read(place.topics.rejected)
    found = {letter.value: dict(letter.headers)["reason"].decode() for letter in letters}
    assert found == {**BAD, b"": "empty"}
    headers = dict(letters[0].headers)
    assert headers["stage"] == b"judge"
    assert headers["source_topic"].decode() == place.topics.posts
    reading = place.readings()["acme"]
    assert reading["negative"] + reading["neutral"] + reading["positive"] == 4
    assert worker.poll() is None
    assert place.get("/healthz")[0] == 200
    assert 'trustwatch_posts_rejected_total{reason="text_too_long",stage="judge"} 1' in " ".join(
        place.get("/metrics")[1].split("\n")
    )


def test_a_deletion_takes_the_post_out_of_the_index(place: Place) -> None:
    place.create_topics()
    place.start()
    place.send(*(post(n) for n in range(10)))
    assert until(lambda: _counted(place) == 10), place.log()
    place.send(post(3, deleted=True), post(99, deleted=True))
    assert until(lambda: _counted(place) == 9), place.log()


def _counted(place: Place) -> int:
    reading = place.readings().get("acme")
    return reading["negative"] + reading["neutral"] + reading["positive"] if reading else 0


def test_sigterm_finishes_what_was_begun_and_a_restart_goes_on_from_there(place: Place) -> None:
    place.create_topics()
    first = place.start()
    place.send(*(post(n) for n in range(500)))
    assert until(lambda: _counted(place) == 500), place.log()
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    place.send(*(post(n) for n in range(400, 600)))
    place.start()
    assert until(lambda: _counted(place) == 600), place.log()
    assert until(lambda: place.get("/readyz")[0] == 200)


def test_of_two_workers_with_one_name_one_ends_and_names_the_setting(place: Place) -> None:
    place.create_topics()
    same = {"TRUSTWATCH_WORKER_INSTANCE": "twin", "TRUSTWATCH_METRICS_PORT": "0"}
    first = place.start(**same)
    place.send(post(1))
    assert until(lambda: _counted(place) == 1), place.log()
    second = place.start(**same)

    def ended() -> list[int | None]:
        return [code for code in (first.poll(), second.poll()) if code is not None]

    assert until(lambda: bool(ended())), place.log()
    assert "give each a worker.instance of its own" in place.log()
    place.send(post(2))
    assert until(lambda: _counted(place) == 2), place.log()
    assert ended() == [1]


def test_workers_of_one_stage_each_share_out_the_work_and_lose_none(place: Place) -> None:
    place.create_topics()
    names = [f"brand{n}" for n in range(8)]
    Path(place.settings.brands.file).write_text(
        "".join(f'[[brand]]\nid = "{name}"\nname = "{name}"\n' for name in names)
    )
    for stage in ("judge", "follow", "follow"):
        place.start(TRUSTWATCH_WORKER_STAGES=stage, TRUSTWATCH_METRICS_PORT="0")

    def counted() -> int:
        readings = place.readings().values()
        return sum(one["negative"] + one["neutral"] + one["positive"] for one in readings)

    for number in (100, 200):
        place.send(*(post(n, f"hi {names[n % 8]}") for n in range(number)))
        until(lambda: counted() == number, timeout=90)  # noqa: B023
        assert counted() == number, place.log()


def test_a_worker_without_its_topics_says_what_to_run(place: Place) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "streams", "worker"],
        cwd=ROOT,
        env={**os.environ, **place.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "trustwatch topics apply" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_worker_whose_broker_is_away_says_so(place: Place) -> None:
    env = {"TRUSTWATCH_KAFKA_BROKER": "127.0.0.1:9", "TRUSTWATCH_KAFKA_TIMEOUT": "2"}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "worker"],
        cwd=ROOT,
        env={**os.environ, **place.env, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "127.0.0.1:9" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_brand_added_to_the_file_is_seen_without_a_restart(place: Place) -> None:
    place.create_topics()
    place.start()
    place.send(post(1))
    assert until(lambda: _counted(place) == 1), place.log()
    path = Path(place.settings.brands.file)
    path.write_text("[[brand]]\nid = 'broken'\n")
    assert until(lambda: "trustwatch_brands_file_valid 0.0" in place.get("/metrics")[1])
    path.write_text(BRANDS + '[[brand]]\nid = "brio"\nname = "Brio"\n')
    assert until(lambda: "trustwatch_brands_file_valid 1.0" in place.get("/metrics")[1])
    place.send(post(2, "I like Brio"))
    assert until(lambda: "brio" in place.readings()), place.log()


def test_only_the_brands_of_its_partitions_are_exported(place: Place) -> None:
    place.create_topics()
    names = [f"brand{n}" for n in range(8)]
    Path(place.settings.brands.file).write_text(
        "".join(f'[[brand]]\nid = "{name}"\nname = "{name}"\n' for name in names)
    )
    other = str(ports(1)[0])
    place.start()
    place.start(TRUSTWATCH_METRICS_PORT=other)
    place.send(*(post(n, f"hello {names[n % 8]}") for n in range(80)))
    assert until(lambda: len(place.readings()) == 8), place.log()

    def shown(port: str) -> set[str]:
        place.env["TRUSTWATCH_METRICS_PORT"] = port
        text = place.get("/metrics")[1]
        return {name for name in names if f'trustwatch_mentions_total{{brand="{name}"' in text}

    mine = place.env["TRUSTWATCH_METRICS_PORT"]
    assert until(lambda: bool(shown(mine)) and bool(shown(other)))
    assert until(lambda: shown(mine) | shown(other) == set(names)), place.log()
    assert until(lambda: shown(mine) & shown(other) == set()), place.log()
