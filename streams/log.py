"""Log lines of a worker: one format, on standard error, and none a thousand times over."""

import logging
import sys
import time
from collections.abc import Callable

QUIET = {
    "aiokafka": logging.WARNING,
    "asyncio": logging.WARNING,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "streams": logging.WARNING,
}
"""Loggers that say at INFO what only their authors need."""

REPEAT = 30.0
"""Seconds in which a line is shown once."""


class Repeats(logging.Filter):
    """Drops a line that was shown a moment ago, and says so with the next one.

    A broker that is away makes its clients say so ten times a second.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._shown: dict[tuple[str, object], float] = {}
        self._dropped: dict[tuple[str, object], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to show a record."""
        key = (record.name, record.msg)
        now = self._clock()
        if now - self._shown.get(key, float("-inf")) < REPEAT:
            self._dropped[key] = self._dropped.get(key, 0) + 1
            return False
        self._shown[key] = now
        if dropped := self._dropped.pop(key, 0):
            record.msg = f"{record.msg} (and {dropped} more like it)"
        return True


def set_up(level: str) -> None:
    """Send every log line to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s", "%H:%M:%S")
    )
    handler.addFilter(Repeats())
    # What kafka-python has to say, `clients` says in our words.
    handler.addFilter(lambda record: not record.name.startswith("kafka."))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name, least in QUIET.items():
            logging.getLogger(name).setLevel(least)
