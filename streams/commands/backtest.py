"""`trustwatch backtest`: what would have paged, had it been switched on then."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from streams.brands import read_brands
from streams.errors import InputError
from streams.settings import Settings, load_settings

if TYPE_CHECKING:
    from streams.backtest import Folded, Tally
    from streams.domain.brands import Brand
    from streams.pipeline import Finder, Judge
    from streams.reader import Bad, Reader
    from streams.sweep import Crisis, Point, Rate
    from streams.verdicts import Kept

_EVERY = 3.0
"""Seconds between two lines of progress when standard error is no terminal."""
_REDRAW = 0.1
"""Seconds between two updates of a bar."""
_STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""
_UNTOLD = (
    "privacy.key is not set: as with a worker, authors are not told apart, and nothing caps what "
    "one of them weighs. Set TRUSTWATCH_PRIVACY_KEY to what the workers have."
)


@dataclass(frozen=True, kw_only=True)
class _Task:
    """What was asked for, checked."""

    settings: Settings
    brands: "Sequence[Brand]"
    out: Path
    wish: "Rate"
    crises: "Sequence[Crisis]"
    sweep: bool


def backtest(  # noqa: PLR0917 -- typer passes them by name
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE…", help="JSON Lines, .gz or .zst; - is stdin.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the results; made if it is not there.")
    ],
    brands: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The brands file; without it that of the settings."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME_OR_PATH", help="Who judges; without it that of the settings."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Where verdicts are kept for the next run.",
            show_default="DIR/verdicts.sqlite",
        ),
    ] = None,
    sweep: Annotated[bool, typer.Option("--sweep", help="Also try other page thresholds.")] = False,
    crisis: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BRAND:FROM..TO",
            help="A time in which a page is right; days or instants, UTC. Repeatable.",
        ),
    ] = None,
    false_alarms: Annotated[
        str, typer.Option(metavar="PAGES/DAYSd", help="False pages that you allow for each brand.")
    ] = "1/90d",
) -> None:
    """Replay posts of the past, offline, and see what would have paged.

    Writes readings.jsonl, signals.jsonl, incidents.jsonl and report.html to DIR. The same posts
    give the same files, in whatever order they come. A post counts when it was created.

    A line that is no post is reported with its number and passed over; then the exit code is 2.
    With --crisis every page outside of the times that you name is a false alarm.

    Try:

        trustwatch backtest posts.jsonl --brands brands.toml --out results
        zcat 2025-*.jsonl.gz | trustwatch backtest - --out results --sweep
        trustwatch backtest may.jsonl --out may --crisis acme:2026-05-04..2026-05-06 --sweep
    """
    from streams import sweep as core  # noqa: PLC0415 -- `--help` does without numpy
    from streams.backtest import prepared  # noqa: PLC0415
    from streams.reader import Reader  # noqa: PLC0415

    settings = load_settings(ctx.obj)
    known = read_brands(brands or Path(settings.brands.file))
    ids = [brand.id for brand in known]
    crises = [core.crisis(text, brands=ids) for text in crisis or ()]
    wish, reader = core.rate(false_alarms), Reader(files)
    task = _Task(
        settings=settings,
        brands=known,
        out=prepared(out),
        wish=wish,
        crises=crises,
        sweep=sweep,
    )
    place = _cache(cache or out / "verdicts.sqlite", files)
    with _display() as shown, _kept(model or settings.model.name, place, shown) as kept:
        if not settings.privacy.key.reveal():
            shown.say(_UNTOLD)
        try:
            tally, lines = _run(task, reader, kept, shown)
        except KeyboardInterrupt:
            shown.say(
                f"Stopped. Verdicts so far are kept in {place}: the next run starts with them."
            )
            raise typer.Exit(_STOPPED) from None
    for line in lines:
        typer.echo(line)
    raise typer.Exit(2 if tally.bad else 0)


def _cache(place: Path, files: Sequence[Path]) -> Path:
    if place in files:
        raise InputError(f"--cache {place} is one of the files to read: name another")
    return place


@contextmanager
def _kept(model: str, place: Path, shown: "_Lines") -> "Iterator[Kept]":
    from models import load_classifier  # noqa: PLC0415 -- `--help` does without numpy
    from streams.verdicts import Kept  # noqa: PLC0415

    with closing(Kept(load_classifier(model), place, tell=shown.say)) as kept:
        yield kept


def _run(task: _Task, reader: "Reader", kept: "Kept", shown: "_Lines") -> "tuple[Tally, list[str]]":
    """Read, judge, fold, write; return what to say at the end."""
    from streams import backtest as core  # noqa: PLC0415 -- beside its neighbours
    from streams import finding  # noqa: PLC0415

    began, tally, finder = time.monotonic(), core.Tally(), _finder(task)
    with finding.unswept(), finding.beside(finder, total=reader.total) as find:
        mentions = core.judged(
            find(finding.batches(reader)),
            _judge(finder, kept),
            tally=tally,
            report=lambda one: shown.show(
                "judging", reader.done, reader.total, f"{one.posts:,} posts"
            ),
            complain=shown.complain,
        )
        folded = core.fold(
            mentions,
            brands=task.brands,
            settings=task.settings,
            on_day=lambda day: shown.show("folding", tally.day(day), tally.days, str(day)),
        )
    points = _points(task, folded, shown)
    _write(task, folded, points, tally=tally, model=kept.name)
    took = time.monotonic() - began
    return tally, list(_summary(task, folded, points, tally=tally, kept=kept, took=took))


def _finder(task: _Task) -> "Finder":
    from streams.finding import Known  # noqa: PLC0415 -- beside its neighbours
    from streams.pipeline import Finder  # noqa: PLC0415

    return Finder(
        matcher=Known(task.brands),
        key=task.settings.privacy.key.reveal().encode(),
        max_text=task.settings.worker.max_text,
    )


def _judge(finder: "Finder", kept: "Kept") -> "Judge":
    from streams.backtest import at_once  # noqa: PLC0415 -- beside its neighbours
    from streams.pipeline import Judge  # noqa: PLC0415

    return Judge(
        matcher=finder.matcher,
        classify=at_once(kept),
        model=kept.name,
        threshold=kept.leak_threshold,
        targeted=kept.targeted,
    )


def _points(task: _Task, folded: "Folded", shown: "_Lines") -> "tuple[list[Point], list[Point]]":
    """Return what the settings in use come to, and what other thresholds would have."""
    from streams import sweep as core  # noqa: PLC0415 -- beside its neighbours

    watched, history = folded.watched(), folded.history
    points = core.measure(history.signals, watched, task.crises)
    if not task.sweep:
        return points, []
    tried = core.THRESHOLDS
    swept = core.sweep(
        folded.alarms,
        watched,
        task.crises,
        on_step=lambda one: shown.show(
            "sweeping", tried.index(one) + 1, len(tried), f"threshold {one:g}"
        ),
    )
    return points, swept


def _write(
    task: _Task,
    folded: "Folded",
    points: "tuple[list[Point], list[Point]]",
    *,
    tally: "Tally",
    model: str,
) -> None:
    from streams import backtest as core  # noqa: PLC0415 -- beside its neighbours
    from streams.report import Subject, page  # noqa: PLC0415

    history = folded.history
    core.write(task.out, "readings.jsonl", core.readings(history.readings))
    core.write(task.out, "signals.jsonl", core.signals(history.signals))
    core.write(task.out, "incidents.jsonl", core.incidents(history.incidents))
    (task.out / "sweep.jsonl").unlink(missing_ok=True)
    if task.sweep:
        core.write(task.out, "sweep.jsonl", core.points(points[1]))
    subject = Subject(
        brands=history.brands,
        signals=history.signals,
        incidents=history.incidents,
        points=points[0],
        wish=task.wish,
        crises=task.crises,
        threshold=task.settings.alarms.page,
        swept=points[1],
        posts=tally.posts,
        bad=tally.bad,
        model=model,
        version=folded.version,
    )
    core.write(task.out, "report.html", [page(subject).encode("utf-8", "replace")])


def _summary(
    task: _Task,
    folded: "Folded",
    points: "tuple[list[Point], list[Point]]",
    *,
    tally: "Tally",
    kept: "Kept",
    took: float,
) -> Iterator[str]:
    """Yield the lines to print at the end."""
    from streams.report.tradeoff import tradeoff  # noqa: PLC0415 -- beside its neighbours

    again = f", {_count(tally.again, 'repeated id')}" if tally.again else ""
    bad = f", {_count(tally.bad, 'line')} passed over" if tally.bad else ""
    yield (
        f"{_count(tally.posts, 'post')}{again}{bad}; {_count(tally.mentions, 'mention')}; "
        f"{_count(kept.judged, 'text')} judged, {kept.found:,} known; {took:.1f} s"
    )
    yield from _columns(
        [("brand", "posts", "index", "pages", "tickets", "digests"), *folded.rows()]
    )
    if task.sweep:
        yield tradeoff(points[1], task.wish, used=task.settings.alarms.page).advice
    yield f"Report: {task.out / 'report.html'}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what if number == 1 else f'{what}s'}"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        cells = zip(rest, widths[1:], strict=True)
        yield "  ".join([first.ljust(widths[0]), *(cell.rjust(width) for cell, width in cells)])


class _Lines:
    """Progress for a log: a line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = time.monotonic()

    def show(self, what: str, done: float, total: float | None, detail: str) -> None:
        """Show how far a step is."""
        now = time.monotonic()
        if now - self._shown >= _EVERY:
            self._shown = now
            share = f", {done / total:.0%}" if total else ""
            self.say(f"{what}: {detail}{share}")

    def complain(self, bad: "Bad") -> None:
        """Show a line that cannot be used."""
        self.say(f"{bad.place}: {bad.why}")

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text, markup=False, highlight=False)


class _Bars(_Lines):
    """Progress for a terminal: a bar for each step."""

    def __init__(self, bar: Bar) -> None:
        super().__init__(bar.console)
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: float, total: float | None, detail: str) -> None:
        now = time.monotonic()
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total, detail="")
        elif now - self._shown < _REDRAW and done != total:
            return
        self._shown = now
        self._bar.update(self._tasks[what], completed=done, total=total, detail=detail)


@contextmanager
def _display() -> Iterator[_Lines]:
    console = Console(stderr=True, soft_wrap=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()]
    with Bar(*columns, TextColumn("{task.fields[detail]}"), console=console) as bar:
        yield _Bars(bar)
