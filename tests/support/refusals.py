"""Brokers that are not there."""

import socket
import ssl
from collections.abc import Callable, Iterator
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

    def remembering(make: Callable[..., socket.socket]) -> Callable[..., socket.socket]:
        def remember(*args: Any, **kwargs: Any) -> socket.socket:
            opened.append(make(*args, **kwargs))
            return opened[-1]

        return remember

    with (
        patch.object(KafkaNetSocket, "socket", remembering(KafkaNetSocket.socket)),
        patch.object(ssl.SSLContext, "wrap_socket", remembering(ssl.SSLContext.wrap_socket)),
    ):
        try:
            yield
        finally:
            for one in opened:
                one.close()
