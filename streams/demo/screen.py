"""Where the demo is shown: a live table in a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live

from streams.demo.frame import Frame, Row
from streams.demo.view import TOO_LITTLE, picture

EVERY: Final = 3.0
"""Seconds between two lines where there is no terminal."""


class Screen(Protocol):
    """Shows frames within its context."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, frame: Frame) -> None:
        """Show a frame in place of the one before."""
        ...


class Terminal:
    """A live table; the last one stays when the demo has ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        """Begin; the cursor hides."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the cursor again."""
        self._live.stop()

    def show(self, frame: Frame) -> None:
        """Show a frame in place of the one before."""
        self._live.update(picture(frame, width=self._console.width), refresh=True)


class Lines:
    """A line when the demo turns to something else, and every few seconds."""

    def __init__(self, out: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._doing = ""
        self._last = clock()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def show(self, frame: Frame) -> None:
        """Write a line if it is time."""
        now = self._clock()
        if frame.doing == self._doing and now - self._last < EVERY:
            return
        self._doing, self._last = frame.doing, now
        print(line(frame), file=self._out, flush=True)


def line(frame: Frame) -> str:
    """Return a frame as one line."""
    if frame.clock is None:
        return frame.doing
    brands = ", ".join(_brand(row) for row in frame.rows if row.reading)
    numbers = f"{frame.fed}/{frame.total} fed, {frame.judged} judged"
    return f"{frame.doing}: {frame.clock:%a %H:%M}, {numbers}; {brands}"


def _brand(row: Row) -> str:
    reading = row.reading
    if reading is None or not reading.enough:
        return f"{row.name} {TOO_LITTLE}"
    return f"{row.name} {reading.index:.0f}"
