"""A worker whose classifier costs nothing: `python -m tests.support.free [--faust]`.

Its verdicts are a function of the text alone, so that a run can be computed again offline.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from faust.transport.drivers import aiokafka as driver

from streams.commands.worker import stop_quietly
from streams.errors import RejectedError
from streams.offsets import Offsets
from streams.records import Sentiment, Verdict
from streams.run import run
from streams.settings import load_settings
from streams.transport import Gate, Transport


class Free:
    """Verdicts from a checksum; `pause` seconds a batch stand for a model's work."""

    name = "free"
    leak_threshold = 0.9
    targeted = False

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause

    def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
        """Return a verdict for each text."""
        if self._pause:
            time.sleep(self._pause)
        return [verdict(text) for text in texts]


def verdict(text: str) -> Verdict:
    """Return the verdict that belongs to a text.

    >>> verdict("a") == verdict("a") != verdict("b")
    True
    """
    number = crc32(text.encode())
    negative, rest = number % 5_000, (number >> 8) % 5_000
    felt = Sentiment(negative / 10_000, (10_000 - negative - rest) / 10_000, rest / 10_000)
    return Verdict(sentiment=felt, leak=(number >> 4) % 1_000 / 1_000)


class Plain(NamedTuple):
    """One record, as Faust's own consumer delivers it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class FaustConsumer(Offsets, driver.Consumer):  # type: ignore[misc]
    """Faust's own consumer, with what the worker asks a consumer for."""

    gate = Gate()

    def lag(self) -> Mapping[Any, int]:
        """Return nothing: Faust does not say."""
        return {}


class FaustTransport(Transport):
    """Faust's own consumer under our stages: what it loses shows why we have another."""

    Consumer = FaustConsumer

    def records(self, message: Any) -> Sequence[Any]:
        """Return the one record of a message."""
        at = int(message.timestamp * 1000)
        where = (message.topic, message.partition, message.offset, at)
        return [Plain(*where, message.key, message.value, message.headers or ())]


def end_with(parent: int) -> None:
    """End this process once its parent is gone, even by SIGKILL.

    PR_SET_PDEATHSIG follows the thread that started us, and a supervisor's may end before.
    """
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main() -> None:
    """Run a worker with the settings of the environment."""
    threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    stop_quietly()
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the worker listens to it
    pause = next((float(arg[8:]) for arg in sys.argv if arg.startswith("--pause=")), 0.0)
    transport = FaustTransport if "--faust" in sys.argv else Transport
    run(load_settings(), classifier=Free(pause), transport=transport)


if __name__ == "__main__":
    main()
