"""TLS and logins on a real broker, for kafka-python and for Faust's client alike."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types.auth import to_credentials

from streams import clients
from streams.errors import BrokerError, SettingsError
from streams.security import client_options, faust_credentials, ssl_context
from streams.settings import Kafka as Settings
from streams.settings import load_settings
from streams.topics import Topics, apply
from tests.conftest import running
from tests.support.broker import USERS, Kafka, Server
from tests.support.refusals import refused

MECHANISMS = list(USERS)


@pytest.fixture(scope="module")
def with_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that asks for a login, in plain text."""
    yield from running(Kafka(tmp_path_factory.mktemp("sasl"), sasl=True))


@pytest.fixture(scope="module")
def with_both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that speaks TLS alone and asks for a login."""
    yield from running(Kafka(tmp_path_factory.mktemp("both"), sasl=True, tls=True))


@pytest.fixture(params=["with_login", "with_both"])
def secured(request: pytest.FixtureRequest) -> Kafka:
    broker: Kafka = request.getfixturevalue(request.param)
    return broker


def kafka_of(broker: Kafka, mechanism: str, **changes: str) -> Settings:
    name, password = USERS[mechanism]
    ca_file = broker.security["ca_file"]
    ours = {
        "broker": broker.bootstrap,
        "security": "sasl_tls" if ca_file else "sasl_plaintext",
        "ca_file": str(ca_file or ""),
        "mechanism": mechanism,
        "username": name,
        "password": password,
        "timeout": "3",
    } | changes
    return load_settings(env={}, overrides={f"kafka.{key}": ours[key] for key in ours}).kafka


def refusal(kafka: Settings) -> str:
    with refused(), pytest.raises(BrokerError) as caught, clients.admin(kafka):
        pass
    return str(caught.value)


async def aiokafka_topics(kafka: Settings) -> set[str]:
    """Ask with the options that Faust's driver makes of our credentials."""
    credentials = to_credentials(faust_credentials(kafka))
    options: dict[str, Any] = dict(credentials_to_aiokafka_auth(credentials, None))
    client = aiokafka.AIOKafkaConsumer(bootstrap_servers=kafka.broker, **options)
    await client.start()
    try:
        return set(await client.topics())
    finally:
        await client.stop()


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_both_clients_log_in_with_the_same_settings(secured: Kafka, mechanism: str) -> None:
    kafka = kafka_of(secured, mechanism, prefix="login.", group=f"login-{mechanism}")
    topics = Topics(load_settings(env={}, overrides={"kafka.prefix": "login."}))
    with clients.admin(kafka) as admin:
        apply(admin, topics.all)
    with clients.producer(kafka) as producer:
        producer.send(topics.posts, b"value", partition=0).get(timeout=10)
    with clients.consumer(kafka) as consumer:
        assert topics.posts in consumer.topics()
    assert topics.posts in await aiokafka_topics(kafka)


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_is_told_in_time(secured: Kafka, mechanism: str) -> None:
    told = refusal(kafka_of(secured, mechanism, password="wrong"))
    assert "it closed the connection while" in told
    assert USERS[mechanism][0] in told
    assert "kafka.password" in told
    assert "wrong" not in told


@pytest.mark.broker
@pytest.mark.slow
def test_a_login_that_was_forgotten_is_told(with_login: Kafka) -> None:
    told = refusal(kafka_of(with_login, "PLAIN", security="plaintext"))
    assert "kafka.security" in told


@pytest.mark.broker
@pytest.mark.slow
def test_tls_that_was_forgotten_is_told(with_both: Kafka) -> None:
    told = refusal(kafka_of(with_both, "PLAIN", security="sasl_plaintext"))
    assert "TLS" in told
    assert "kafka.security" in told


@pytest.mark.broker
@pytest.mark.slow
def test_tls_to_a_broker_without_it_is_told(with_login: Kafka) -> None:
    told = refusal(kafka_of(with_login, "PLAIN", security="sasl_tls"))
    assert "it does not speak TLS" in told


@pytest.mark.broker
@pytest.mark.slow
def test_a_certificate_of_a_stranger_is_not_trusted(with_both: Kafka) -> None:
    told = refusal(kafka_of(with_both, "PLAIN", ca_file=""))
    assert "its certificate is not trusted" in told
    assert "kafka.ca_file" in told


@pytest.mark.broker
@pytest.mark.slow
def test_a_certificate_must_name_the_host_unless_told_otherwise(with_both: Kafka) -> None:
    lax = ssl_context(kafka_of(with_both, "PLAIN", verify_host="false"))
    strict = ssl_context(kafka_of(with_both, "PLAIN"))
    assert lax is not None
    assert strict is not None
    assert (lax.check_hostname, strict.check_hostname) == (False, True)
    assert lax.verify_mode == strict.verify_mode


@pytest.mark.broker
@pytest.mark.slow
def test_a_certificate_of_our_own_is_shown_to_a_broker_that_asks(tmp_path: Path) -> None:
    tls = tmp_path / "kafka" / "tls"
    asking = {
        "listener.name.client.ssl.client.auth": "required",
        "listener.name.client.ssl.truststore.type": "PEM",
        "listener.name.client.ssl.truststore.location": str(tls / "ca.crt"),
    }
    broker = Kafka(tmp_path / "kafka", tls=True, settings=asking)
    for _ in running(broker):
        ours = {"cert_file": str(tls / "server.crt"), "key_file": str(tls / "server.key")}
        common = {
            "broker": broker.bootstrap,
            "security": "tls",
            "ca_file": str(tls / "ca.crt"),
            "timeout": "3",
        }
        with clients.admin(plain(**common, **ours)) as admin:
            assert admin.list_topics() == []
        assert "cannot be reached" in refusal(plain(**common))


def plain(**changes: str) -> Settings:
    return load_settings(env={}, overrides={f"kafka.{key}": changes[key] for key in changes}).kafka


def test_in_plain_text_nothing_is_handed_over() -> None:
    assert faust_credentials(plain()) is None
    assert ssl_context(plain()) is None
    options = client_options(plain(broker="a:1,b:2"))
    assert options["security_protocol"] == "PLAINTEXT"
    assert options["bootstrap_servers"] == ["a:1", "b:2"]
    assert not any(name.startswith("sasl") for name in options)


def test_tls_alone_needs_no_login() -> None:
    kafka = plain(security="tls")
    assert client_options(kafka)["security_protocol"] == "SSL"
    credentials = to_credentials(faust_credentials(kafka))
    options = credentials_to_aiokafka_auth(credentials, None)
    assert options["security_protocol"] == "SSL"
    assert options["ssl_context"].check_hostname


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_an_authority_that_cannot_be_used_is_refused(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(SettingsError, match=r"kafka\.ca_file") as caught:
        ssl_context(plain(security="tls", ca_file=str(file)))
    assert str(file) in str(caught.value)


def test_a_key_with_a_passphrase_is_refused_instead_of_asked_for(tmp_path: Path) -> None:
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=x",
        "-passout",
        "pass:y",
    ]
    done = subprocess.run(
        [*make, "-keyout", str(key), "-out", str(cert)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("openssl is not installed")
    with pytest.raises(SettingsError, match=r"kafka\.cert_file and kafka\.key_file"):
        ssl_context(plain(security="tls", cert_file=str(cert), key_file=str(key)))
