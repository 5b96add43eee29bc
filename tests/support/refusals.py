"""Brokers that are not there."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from kafka.net.inet import KafkaNetSocket


@contextmanager
def refused() -> Iterator[None]:
    """Surrounds calls of kafka-python that reach nobody, and closes what they leave open.

    kafka-python 3.0.12 leaves the socket of each refused connection to the garbage collector, whose
    warning would fail whichever test runs then.
    """
    opened: list[socket.socket] = []
    make = KafkaNetSocket.socket

    def remember(self: Any, *args: Any) -> socket.socket:
        opened.append(make(self, *args))
        return opened[-1]

    with patch.object(KafkaNetSocket, "socket", remember):
        try:
            yield
        finally:
            for one in opened:
                one.close()
