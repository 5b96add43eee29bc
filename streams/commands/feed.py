"""`trustwatch feed`: publishes posts from JSON Lines files."""

import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from streams.errors import BrokerError, InputError
from streams.settings import load_settings

if TYPE_CHECKING:
    from streams.feed import Progress
    from streams.reader import Bad, Place, Reader

_EVERY = 3.0
"""Seconds between two lines of progress when standard error is no terminal."""
_REDRAW = 0.1
"""Seconds between two updates of the bar."""


def feed(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="JSON Lines, .gz or .zst; - is stdin.")
    ],
    rate: Annotated[float | None, typer.Option(help="Posts per second.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="Replay event time this many times faster.")
    ] = None,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move created_at so that the last post is now.")
    ] = False,
    start_at: Annotated[int, typer.Option(min=1, help="Line of the first FILE to begin with.")] = 1,
) -> None:
    """Publish posts from JSON Lines files to the topic `posts`.

    A line that is no post is reported with its number and passed over; then the exit code is 2.
    Ctrl-C stops, says where, and how to go on from there. A post that is sent twice counts once.

    With --speed X the posts come as they were created, X times faster; with --shift-to-now too,
    the last one is dated now when its turn comes. Without --shift-to-now they count on the day
    that they were created.

    Try:

        trustwatch feed posts.jsonl --shift-to-now --rate 100
        zcat archive.jsonl.gz | trustwatch feed -
        trustwatch feed monday.jsonl.zst tuesday.jsonl.zst --speed 60
    """
    from streams import feed as core  # noqa: PLC0415 -- `--help` does without Kafka's client
    from streams.reader import Reader  # noqa: PLC0415 -- beside its neighbour

    settings = load_settings(ctx.obj)
    pace, reader = core.Pace(rate=rate, speed=speed), Reader(files, start_at=start_at)
    options = _given(ctx, rate=rate, speed=speed, shift_to_now=shift_to_now)
    items = core.moved(reader, _shift(reader, speed)) if shift_to_now else iter(reader)
    progress, began = core.Progress(), time.monotonic()
    with _stopping(raising=reader.total is None) as stop, _display(reader) as shown:
        try:
            core.publish(
                items,
                settings,
                pace=pace,
                progress=progress,
                report=shown.report,
                complain=shown.complain,
                stop=stop,
            )
        except BrokerError as error:
            raise BrokerError(f"{error}\n{_where(progress, reader, options)}") from error
    typer.echo(_summary(progress, time.monotonic() - began), err=True)
    if stop.is_set():
        typer.echo(_where(progress, reader, options), err=True)
        raise typer.Exit(128 + signal.SIGINT)
    raise typer.Exit(2 if progress.bad else 0)


def _shift(reader: "Reader", speed: float | None) -> timedelta:
    from streams.feed import shift  # noqa: PLC0415 -- beside its neighbour

    if reader.total is None:
        raise InputError("--shift-to-now reads its input twice: give files instead of -")
    return shift(reader, now=datetime.now(UTC), speed=speed)


def _given(
    ctx: typer.Context, *, rate: float | None, speed: float | None, shift_to_now: bool
) -> list[str]:
    """Return the options to repeat on the command line that goes on from where this one stopped."""
    given = [f"--rate {rate:g}" if rate else "", f"--speed {speed:g}" if speed else ""]
    given.append("--shift-to-now" if shift_to_now else "")
    before = ["--config", shlex.quote(str(ctx.obj))] if ctx.obj else []
    return [*before, "feed", *filter(None, given)]


def _where(progress: "Progress", reader: "Reader", options: list[str]) -> str:
    """Say which line was the last to arrive, and how to go on."""
    last: Place | None = progress.last
    if reader.total is None:
        return f"The last post that arrived: {last}." if last else "No post arrived."
    files, line = reader.files, reader.start_at
    if last:
        files, line = files[files.index(last.file) :], last.line + 1
    names = " ".join(shlex.quote(str(file)) for file in files)
    arrived = f"The last post that arrived: {last}." if last else "No post arrived."
    return f"{arrived} To go on:\n  trustwatch {' '.join(options)} {names} --start-at {line}"


def _summary(progress: "Progress", seconds: float) -> str:
    rate = progress.delivered / seconds if seconds else 0.0
    bad = f", {progress.bad:,} lines were no posts" if progress.bad else ""
    return f"Published {progress.delivered:,} posts in {seconds:.1f} s ({rate:,.0f}/s){bad}."


@contextmanager
def _stopping(*, raising: bool) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event, a second one into the end.

    Args:
        raising: interrupt at once, as a read of standard input would go on for ever.
    """
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        again = stop.is_set()
        stop.set()
        if raising or again:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Lines:
    """Progress for a log: a line every few seconds."""

    def __init__(self, reader: "Reader", console: Console) -> None:
        self._reader = reader
        self._console = console
        self._began = self._shown = time.monotonic()

    def report(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY:
            return
        self._shown = now
        rate = progress.delivered / (now - self._began)
        self._say(f"{progress.delivered:,} posts, {rate:,.0f}/s{self._left(now)}")

    def _left(self, now: float) -> str:
        total, done = self._reader.total, self._reader.done
        if not total or not done:
            return ""
        left = (now - self._began) * (total - done) / done
        return f", {done / total:.0%}, about {timedelta(seconds=round(left))} left"

    def complain(self, bad: "Bad") -> None:
        self._say(f"{bad.place}: {bad.why}")

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


class _Bar(_Lines):
    """Progress for a terminal."""

    def __init__(self, reader: "Reader", bar: Bar) -> None:
        super().__init__(reader, bar.console)
        self._bar = bar
        self._task = bar.add_task("", total=reader.total, posts=0, rate=0.0)

    def report(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self._shown < _REDRAW:
            return
        self._shown = now
        self._bar.update(
            self._task,
            completed=self._reader.done,
            posts=progress.delivered,
            rate=progress.delivered / (now - self._began),
        )


@contextmanager
def _display(reader: "Reader") -> Iterator[_Lines]:
    console = Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(reader, console)
        return
    columns = (
        TextColumn("{task.fields[posts]:,} posts, {task.fields[rate]:,.0f}/s"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        yield _Bar(reader, bar)
