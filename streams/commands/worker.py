"""`trustwatch worker`: one Faust worker."""

import signal
import sys

import typer

from streams.settings import load_settings


def worker(ctx: typer.Context) -> None:
    """Run one worker until SIGTERM: it judges posts and keeps the trust index.

    Start as many as there are partitions; they share the work. Each needs a metrics port of its
    own, which also names it in its group: started again, it is back at work at once.

    Exits with 0 after SIGTERM or Ctrl-C, when its batches are done; with 1 after a fault after
    which starting it again is right; with 2 when a setting, the brands file or the model is wrong.

    Try:

        trustwatch topics apply && trustwatch worker
        TRUSTWATCH_METRICS_PORT=9465 trustwatch worker
    """
    settings = load_settings(ctx.obj)
    stop_quietly()
    from streams.run import run  # noqa: PLC0415 -- slow to import

    run(settings)


def stop_quietly() -> None:
    """End with 0 when told to stop before the worker listens itself: nothing was begun."""
    for stop in (signal.SIGTERM, signal.SIGINT):
        signal.signal(stop, lambda *_: sys.exit(0))
