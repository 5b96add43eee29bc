"""`trustwatch rejected`: lists, shows and replays posts that could not be judged."""

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.errors import InputError
from streams.settings import load_settings

if TYPE_CHECKING:
    from streams.rejected import Catalogue, Id, Letter
    from streams.replay import Outcome

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="List, show and replay posts that could not be judged.",
)

Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@app.command("list")
def list_(
    ctx: typer.Context,
    reason: Reason = None,
    since: Annotated[
        str | None, typer.Option(help="Only those rejected since: 2h, 3d, or an RFC 3339 instant.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the latest.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per line.")] = False,
) -> None:
    """List dead letters: when, at which stage and why they were rejected, and their size.

    What they say is not shown, as it may hold secrets.

    Try:

        trustwatch rejected list --since 2h
        trustwatch rejected list --reason not_json --json
    """
    from streams.rejected import catalogue, matcher  # noqa: PLC0415 -- imports Kafka's client

    wanted = matcher(reason=reason, since=_instant(since) if since else None)
    found = catalogue(load_settings(ctx.obj), wanted)
    letters = sorted(found.letters, key=lambda letter: letter.fact("time"))
    if as_json:
        for letter in letters[-limit:]:
            typer.echo(json.dumps(_document(letter, found)))
        return
    Console(soft_wrap=True).print(_table(letters[-limit:], found))
    if len(letters) > limit:
        typer.echo(f"{len(letters) - limit:,} more: see --limit", err=True)


def _instant(text: str) -> datetime:
    amount, unit = text[:-1], text[-1:]
    if unit in _UNITS and amount.isdecimal():
        return datetime.now(UTC) - timedelta(**{_UNITS[unit]: int(amount)})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"--since {text}: give an age (90s, 15m, 2h, 3d) or an instant (2026-11-23T09:30:00Z)"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _document(letter: "Letter", found: "Catalogue") -> dict[str, str | int]:
    return {
        "id": str(letter.id),
        "time": letter.fact("time"),
        "stage": letter.fact("stage"),
        "reason": letter.fact("reason"),
        "bytes": letter.size,
        "source": f"{letter.fact('source_topic')}:{letter.fact('source_partition')}"
        f":{letter.fact('source_offset')}",
        "state": found.state(letter),
    }


def _table(letters: list["Letter"], found: "Catalogue") -> Table:
    names = ("id", "time", "stage", "reason", "bytes", "state")
    table = Table(*names, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for letter in letters:
        row = _document(letter, found)
        table.add_row(*(Text(_plain(str(row[name]))) for name in names))
    return table


def _plain(text: str) -> str:
    """Return text that cannot steer a terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


@app.command()
def show(
    ctx: typer.Context,
    letter: Annotated[str, typer.Argument(metavar="ID", help="PARTITION:OFFSET, as listed.")],
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes, as they came, alone.")] = False,
) -> None:
    """Show why a letter was rejected and its headers; with --raw its bytes alone.

    Try:

        trustwatch rejected show 0:17
        trustwatch rejected show 0:17 --raw | jq .
    """
    from streams.rejected import Id, fetch  # noqa: PLC0415 -- imports Kafka's client

    found = fetch(load_settings(ctx.obj), Id.parse(letter))
    if raw:
        sys.stdout.buffer.write(found.value or b"")
        return
    for name, value in found.facts.items():
        typer.echo(f"{name:<17} {_plain(value)}")
    typer.echo(f"{'bytes':<17} {found.size}")
    typer.echo(f"{'key':<17} {_plain((found.key or b'').decode(errors='replace'))}")
    for name, content in found.headers:
        typer.echo(f"header {_plain(name)}: {_plain(content.decode(errors='replace'))}")


@app.command()
def replay(
    ctx: typer.Context,
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="[ID…]", help="PARTITION:OFFSET, as listed.")
    ] = None,
    reason: Reason = None,
    every: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show which, send nothing.")] = False,
) -> None:
    """Send dead letters back to their topic, after what had them rejected is mended.

    Each is sent exactly once, however often this is run. If a replay was killed, run it again:
    it waits for 20 seconds, looks up what had been sent, and goes on with the rest.

    Try:

        trustwatch rejected replay --reason classifier_failed --dry-run
        trustwatch rejected replay 0:17 2:4
    """
    from streams.rejected import Id, matcher  # noqa: PLC0415 -- imports Kafka's client
    from streams.replay import replaying  # noqa: PLC0415 -- likewise

    named = frozenset(Id.parse(text) for text in letters or ())
    if sum((bool(named), reason is not None, every)) != 1:
        raise InputError("say which letters to replay: give IDs, --reason or --all")
    with replaying(load_settings(ctx.obj), wait=_wait) as run:
        chosen = run.select(matcher(ids=named, reason=reason))
        _refuse_unknown(named - run.seen)
        if dry_run:
            for letter in chosen:
                typer.echo(f"{letter.id}  {_plain(letter.fact('reason'))}  {letter.size} bytes")
            typer.echo(f"Would send {len(chosen):,} letters.", err=True)
            return
        run.send(chosen, insist=named)
        _tell(run.outcome)


def _refuse_unknown(ids: "frozenset[Id]") -> None:
    if ids:
        some = ", ".join(map(str, sorted(ids)))
        raise InputError(f"no dead letters: {some}; `trustwatch rejected list` shows them")


def _wait(seconds: float) -> None:
    typer.echo(f"An earlier replay did not end: waiting {seconds:g} s for it.", err=True)
    time.sleep(seconds)


def _tell(outcome: "Outcome") -> None:
    typer.echo(f"Sent {len(outcome.sent):,} letters.")
    for ids, what in (
        (outcome.before, "had been sent before"),
        (outcome.elsewhere, "are being sent by another replay"),
        (outcome.foreign, "come from no topic of ours"),
        (outcome.doubtful, "may have been sent by a replay that died; to send one, name it"),
    ):
        if ids:
            some = ", ".join(map(str, ids[:10])) + (", …" if len(ids) > 10 else "")  # noqa: PLR2004
            typer.echo(f"{len(ids):,} {what}: {some}")
