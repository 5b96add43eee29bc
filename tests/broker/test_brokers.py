"""The brokers of the tests themselves: what they keep, how they freeze, that they never stay."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from tests.conftest import running
from tests.support.broker import (
    ROOT,
    USERS,
    BrokenError,
    Embedded,
    Kafka,
    Server,
    UnavailableError,
    answers,
    ports,
)

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def killable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An Apache Kafka of this file's own, to do bad things to."""
    yield from running(Kafka(tmp_path_factory.mktemp("killable")))


def publish(broker: Server, topic: str, *values: bytes) -> None:
    admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    for value in values:
        producer.send(topic, value).get(timeout=20)
    producer.close()


def read(broker: Server, topic: str, count: int) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    values: list[bytes] = []
    end = time.monotonic() + 20
    while len(values) < count and time.monotonic() < end:
        for records in consumer.poll(timeout_ms=500).values():
            values += [record.value for record in records]
    consumer.close()
    return values


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def eventually(fact: Callable[[], bool], timeout: float = 10.0) -> bool:
    end = time.monotonic() + timeout
    while not fact():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.broker
def test_kafka_returns_what_was_published(kafka: Server, topic_prefix: str) -> None:
    publish(kafka, topic_prefix + "a", b"one", b"two")
    assert read(kafka, topic_prefix + "a", 2) == [b"one", b"two"]


@pytest.mark.embedded
def test_embedded_returns_what_was_published(embedded: Server, topic_prefix: str) -> None:
    publish(embedded, topic_prefix + "a", b"one", b"two")
    assert read(embedded, topic_prefix + "a", 2) == [b"one", b"two"]


@pytest.mark.broker
def test_kafka_never_makes_a_topic_by_itself(kafka: Server, topic_prefix: str) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, max_block_ms=1_000)
    with pytest.raises(KafkaError):
        producer.send(topic_prefix + "misspelt", b"x").get(timeout=5)
    producer.close()


@pytest.mark.broker
@pytest.mark.slow
def test_kafka_keeps_its_data_over_a_sigkill(killable: Server) -> None:
    publish(killable, "kept", b"one", b"two")
    before = killable.pid
    killable.kill()
    assert not killable.running
    assert not answers(killable.port)
    killable.restart()
    assert killable.pid != before
    assert read(killable, "kept", 2) == [b"one", b"two"]


@pytest.mark.broker
@pytest.mark.slow
def test_a_paused_kafka_is_silent_until_resumed(killable: Server) -> None:
    killable.pause()
    assert not answers(killable.port, timeout=0.5)
    assert killable.running
    killable.resume()
    killable.wait()
    assert answers(killable.port)


@pytest.mark.embedded
def test_embedded_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    for broker in running(Embedded(tmp_path / "embedded")):
        publish(broker, "kept", b"one")
        broker.restart()
        assert read(broker, "kept", 1) == [b"one"]


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["sasl", "sasl and tls"])
def test_a_secured_kafka_lets_known_users_in_alone(tmp_path: Path, tls: bool) -> None:  # noqa: FBT001
    broker = Kafka(tmp_path / "kafka", sasl=True, tls=tls)
    for _ in running(broker):
        security = broker.security
        common = {
            "bootstrap_servers": broker.bootstrap,
            "security_protocol": security["protocol"],
            "ssl_cafile": str(security["ca_file"]) if tls else None,
        }
        assert security["users"] == USERS
        for mechanism, (name, password) in USERS.items():
            user = {"sasl_mechanism": mechanism, "sasl_plain_username": name}
            admin = KafkaAdminClient(**common, **user, sasl_plain_password=password)
            assert admin.list_topics() == []
            admin.close()
        with pytest.raises(KafkaError):
            # The client takes a refused login for a passing fault and retries until this.
            KafkaAdminClient(
                **common, **user, sasl_plain_password="wrong", bootstrap_timeout_ms=1_000
            )


@pytest.mark.embedded
def test_a_broker_dies_with_a_killed_parent(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from tests.support.broker import Embedded
        broker = Embedded(Path(sys.argv[1])).start().wait()
        print(broker.pid, flush=True)
        time.sleep(60)
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(signal.SIGKILL)
    assert eventually(lambda: gone(pid))


def test_a_command_that_ends_at_once_is_told_with_its_log(tmp_path: Path) -> None:
    class Broken(Embedded):
        def _prepare(self) -> None:
            pass

        def _command(self) -> list[str]:
            return ["sh", "-c", "echo no such luck; exit 3"]

    broken = Broken(tmp_path)
    with pytest.raises(BrokenError, match="no such luck"):
        broken.start().wait(5)
    broken.kill()


def test_a_missing_java_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="default-jre-headless"):
        Kafka.install()


def test_a_missing_broker_skips_here_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="java"):
        next(running(Kafka(tmp_path)))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="java"):
        next(running(Kafka(tmp_path)))


def test_ports_are_free_different_and_never_those_of_outgoing_connections() -> None:
    found = ports(20)
    assert len(set(found)) == 20
    assert max(found) < 32_768
