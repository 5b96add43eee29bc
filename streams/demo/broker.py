"""The embedded broker of the extra `demo`: one small program that speaks Kafka's protocol."""

import random
import socket
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from streams.demo.guard import Guard
from streams.errors import BrokerError, InputError

# Below the range from which systems take the ports of outgoing connections: a client that retries
# a port where nobody listens could otherwise be given that very port, and be connected to itself.
PORTS: Final = range(15_000, 32_000)
_TAKEN: Final = "already in use"
_CORRELATION: Final = 7
_REPLY: Final = 8


def program() -> Path:
    """Return the path of the broker.

    Raises:
        InputError: it is not installed.
    """
    spec = find_spec("noida_db")
    path = Path(spec.origin).with_name("noida-db") if spec and spec.origin else None
    if path is None or not path.exists():
        raise InputError(
            "the embedded broker is not installed: pip install 'trustwatch[demo]' (in a clone: "
            "make setup)\nor name a broker that runs: trustwatch demo --broker HOST:PORT"
        )
    return path


def free_port(*, first: int | None = None) -> int:
    """Return a port of loopback that is free now: `first` if that is, else any.

    Raises:
        BrokerError: none was found.
    """
    candidates = random.sample(PORTS, 100)
    for port in [first, *candidates] if first else candidates:
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise BrokerError("no free port was found on 127.0.0.1: close what listens there")


def answers(port: int, *, timeout: float = 1.0) -> bool:
    """Tell whether a broker replies to a request, which an open port alone does not mean."""
    request = struct.pack(">hhih", 18, 0, _CORRELATION, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as client:
            client.settimeout(timeout)
            client.sendall(struct.pack(">i", len(request)) + request)
            head = client.recv(_REPLY, socket.MSG_WAITALL)
    except OSError:
        return False
    return len(head) == _REPLY and struct.unpack(">ii", head)[1] == _CORRELATION


class Broker:
    """The embedded broker as a process of the guard's.

    Args:
        guard: runs it, and holds its data.
        port: where it listens on loopback.

    Attributes:
        address: what clients connect to.
    """

    def __init__(self, guard: Guard, *, port: int) -> None:
        self.port = port
        self.address = f"127.0.0.1:{port}"
        place = ["--data-dir", str(guard.folder / "data"), "--kafka-port", str(port)]
        command = [str(program()), "start", "--only", "kafka", *place]
        self.child = guard.start("broker", command)

    def check(self) -> None:
        """Return if it runs.

        Raises:
            BrokerError: it ended by itself.
        """
        if self.child.code is None:
            return
        said = self.child.said()
        if _TAKEN in said:
            raise BrokerError(
                f"port {self.port} was taken by another program while the embedded broker "
                "started: run the demo again"
            )
        raise BrokerError(f"the embedded broker ended by itself; it said:\n{said}")

    def ready(self) -> bool:
        """Tell whether it answers.

        Raises:
            BrokerError: it ended by itself.
        """
        self.check()
        return answers(self.port)
