"""The clients of kafka-python, and what they raise in our words."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient

from streams.errors import BrokerError
from streams.records import LARGEST_POST
from streams.security import client_options
from streams.settings import Kafka

LARGEST_LETTER = LARGEST_POST + 256 * 1024
"""Bytes of the largest dead letter: a post and the headers that say why."""

_CLOSING = 2.0
"""Seconds for a producer to end its thread."""
_CAUSES = (
    ("ECONNREFUSED", "nothing listens there", "start a broker, or set kafka.broker"),
    ("DNS Resolution", "no such host name is known", "correct kafka.broker"),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is not trusted",
        "set kafka.ca_file, or have the certificate name this host (kafka.verify_host)",
    ),
    ("Handshake failed", "it does not speak TLS", "correct kafka.security or kafka.broker"),
    (
        "Invalid frame length",
        "it answers with something else",
        "does it want TLS (kafka.security)?",
    ),
)
_LOGIN_REFUSED = (
    "it closed the connection while {username} logged in",
    "correct kafka.username, kafka.password or kafka.mechanism",
)
_OR_TLS = ", or kafka.security if it wants TLS"
_CLOSED = ("it closed the connection", "does it want TLS or a login (kafka.security)?")
_SILENT = ("it did not answer in {timeout:g} s", "is it overloaded, or kafka.timeout too short?")


class _Reasons(logging.Handler):
    """Collects what kafka-python logs about its connections: its errors do not say why."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("kafka.net"):
            self.text = (self.text + "\n" + record.getMessage())[-10_000:]


@contextmanager
def reaching(kafka: Kafka) -> Iterator[None]:
    """Turn the errors of kafka-python into `BrokerError`s that say why and what to do."""
    reasons = _Reasons()
    logger = logging.getLogger("kafka")
    logger.addHandler(reasons)
    try:
        yield
    except KafkaError as error:
        raise BrokerError(_explain(kafka, error, reasons.text)) from error
    finally:
        logger.removeHandler(reasons)


def _explain(kafka: Kafka, error: KafkaError, reasons: str) -> str:
    if not error.retriable:
        return f"Kafka at {kafka.broker} refused: {error}"
    cause, fix = next(
        ((cause, fix) for sign, cause, fix in _CAUSES if sign in reasons),
        _otherwise(kafka, reasons),
    )
    return f"Kafka at {kafka.broker} cannot be reached: {cause}.\n{fix[0].upper()}{fix[1:]}"


def _otherwise(kafka: Kafka, reasons: str) -> tuple[str, str]:
    if "socket disconnected" not in reasons:
        return _SILENT[0].format(timeout=kafka.timeout), _SILENT[1]
    if kafka.security.startswith("sasl"):
        fix = _LOGIN_REFUSED[1] + ("" if kafka.security.endswith("tls") else _OR_TLS)
        return _LOGIN_REFUSED[0].format(username=kafka.username), fix
    return _CLOSED


def _connect(make: Callable[..., Any], kafka: Kafka, **options: Any) -> Any:
    """Make a client; one that reaches no broker leaves its sockets open, so close them."""
    opened: list[KafkaNetClient] = []

    def connections(**config: Any) -> KafkaNetClient:
        opened.append(KafkaNetClient(**config))
        return opened[-1]

    try:
        return make(**client_options(kafka), kafka_client=connections, **options)
    except KafkaError:
        for client in opened:
            client.close()
        raise


@contextmanager
def admin(kafka: Kafka) -> Iterator[KafkaAdminClient]:
    """Open an admin client.

    Raises:
        BrokerError: the broker is away, or refused what was asked.
    """
    with reaching(kafka):
        client = _connect(KafkaAdminClient, kafka, request_timeout_ms=int(kafka.timeout * 1000))
        try:
            yield client
        finally:
            client.close()


@contextmanager
def consumer(kafka: Kafka) -> Iterator[KafkaConsumer]:
    """Open a consumer without a group, for whole records of any size that we write.

    Raises:
        BrokerError: the broker is away, or refused what was asked.
    """
    with reaching(kafka):
        client = _connect(
            KafkaConsumer,
            kafka,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(kafka.timeout * 1000),
            fetch_max_wait_ms=100,
            allow_auto_create_topics=False,
            max_partition_fetch_bytes=LARGEST_LETTER,
        )
        try:
            yield client
        finally:
            client.close(autocommit=False)


@contextmanager
def producer(kafka: Kafka, **options: Any) -> Iterator[KafkaProducer]:
    """Open an idempotent producer that waits for all copies.

    Raises:
        BrokerError: the broker is away, or refused what was asked.
    """
    with reaching(kafka):
        client = _connect(
            KafkaProducer,
            kafka,
            acks="all",
            enable_idempotence=True,
            max_request_size=LARGEST_LETTER,
            max_block_ms=int(kafka.timeout * 1000),
            allow_auto_create_topics=False,
            **options,
        )
        try:
            yield client
        finally:
            # Whoever wants to know has asked their futures. Records that are left are given up:
            # else a thread goes on trying, and `close` waits for it.
            client._sender.force_close()  # noqa: SLF001 -- there is no public way
            with suppress(KafkaError):
                client.close(timeout=_CLOSING)
