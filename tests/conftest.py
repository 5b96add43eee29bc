"""Fixtures that every test folder shares: two brokers and a name of its own for each test."""

import os
import uuid
from collections.abc import Iterator

import pytest

from tests.support.broker import Embedded, Kafka, Server, UnavailableError


def running(server: Server) -> Iterator[Server]:
    """Yields a started broker; skips where there is none, or fails if nothing may be missing."""
    try:
        server.start()
    except UnavailableError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(str(error))
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Apache Kafka for the whole run: use topic names of your own, and leave it running."""
    yield from running(Kafka(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One embedded broker for the whole run: use topic names of your own, and leave it running."""
    yield from running(Embedded(tmp_path_factory.mktemp("embedded")))


@pytest.fixture
def topic_prefix() -> str:
    """A prefix for topic and group names that no other test has."""
    return f"test-{uuid.uuid4().hex[:12]}."
