"""Work on a thread of its own, for a thread that must never wait long."""

import threading
from collections.abc import Callable


class Task(threading.Thread):
    """Work that starts at once and that nobody waits for when the process ends."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Work, and keep what goes wrong for who asks."""
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 -- it is raised where it can be handled
            self._error = error

    def check(self) -> None:
        """Return if nothing went wrong so far; else raise that."""
        if self._error is not None:
            raise self._error

    def done(self) -> bool:
        """Tell whether it has come to its end; raise what went wrong."""
        alive = self.is_alive()
        self.check()
        return not alive
