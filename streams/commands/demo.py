"""`trustwatch demo`: a broker, a worker, a sample crisis and a live view."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Annotated

import typer

INTERRUPTED = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def demo(
    ctx: typer.Context,
    once: Annotated[
        bool, typer.Option("--once", help="Play it soon, check it, print a summary and end.")
    ] = False,
    broker: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Use this broker, host:port, in place of the embedded one."
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="How many times faster than in reality the story goes: 4000, with --once 25000.",
        ),
    ] = None,
) -> None:
    """Play a sample crisis and watch the trust index of a brand fall.

    Starts a broker on this machine, a worker and a feed of posts, all invented: three days in a
    little over a minute. Nothing outside this machine is reached, and nothing stays behind: the
    data lie in a temporary folder. With --broker, topics of a name of their own are made there,
    and removed at the end.

    In a terminal everything goes on when the story is over, until Ctrl-C; elsewhere the demo ends.

    Exits with 0 when every post was counted and the index fell, with 1 when not, with 130 when it
    was interrupted before.

    Try:

        trustwatch demo
        trustwatch demo --once
        trustwatch demo --broker 127.0.0.1:9092 --speed 10000
    """
    with _told() as told:
        from streams.demo.start import start  # noqa: PLC0415 -- `--help` does without it

        ended = start(once=once, address=broker, speed=speed, config=ctx.obj, told=told)
    if not ended:
        typer.echo("trustwatch: the demo was interrupted; nothing of it is left", err=True)
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _told() -> Iterator[Callable[[], bool]]:
    """Turn the signals that end a process into an answer: no step is left half done.

    A flag and no `threading.Event`: its lock may be held by the very thread that is interrupted.
    """
    received: list[int] = []

    def take(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, take) for number in _SIGNALS}
    try:
        yield lambda: bool(received)
    finally:
        for number, handler in before.items():
            # The process is about to end: an impatient second signal changes nothing about it.
            signal.signal(number, signal.SIG_IGN if received else handler)
