"""The command `trustwatch`: finds the command asked for, loads it alone, and words its errors."""

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from streams.errors import InputError, TrustwatchError


class _Entry(NamedTuple):
    """Where a command is, and what the overview says about it."""

    module: str
    name: str
    help: str


# In the order of a first day with Trustwatch. One that is not installed is left out.
_COMMANDS = {
    entry.module: entry
    for entry in (
        _Entry("demo", "demo", "Play a sample crisis: broker, worker, posts and a live view."),
        _Entry("worker", "worker", "Run one worker: judge posts, keep the trust index."),
        _Entry("feed", "feed", "Publish posts from JSON Lines files."),
        _Entry("backtest", "backtest", "Replay a history, and see what would have paged."),
        _Entry("classify", "classify", "Judge posts from a JSON Lines file, without Kafka."),
        _Entry("topics", "app", "Show, create and verify the topics."),
        _Entry("rejected", "app", "List, show and replay posts that could not be judged."),
        _Entry("brands", "app", "Check the brands file and what it finds."),
        _Entry("config", "config", "Show the settings and where each came from."),
    )
}


def _present(entry: _Entry) -> bool:
    return find_spec(f"streams.commands.{entry.module}") is not None


def _load(entry: _Entry) -> Any:
    """Import a command; it may be a function or a `Typer` with commands of its own."""
    found = getattr(import_module(f"streams.commands.{entry.module}"), entry.name)
    if isinstance(found, typer.Typer):
        return typer.main.get_command(found)
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
    app.command(entry.module)(found)
    return typer.main.get_command(app)


class _Lazy(TyperGroup):
    """A group that shows its commands without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 -- the signature is Typer's
        return [name for name, entry in _COMMANDS.items() if _present(entry)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.list_commands(ctx):
            return None
        return TyperCommand(cmd_name, help=_COMMANDS[cmd_name].help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return (name, _load(_COMMANDS[name]), rest) if name in _COMMANDS else (name, command, rest)


cli = typer.Typer(
    cls=_Lazy,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _show_version(wanted: bool | None) -> None:  # noqa: FBT001 -- Typer calls it
    if wanted:
        try:
            typer.echo(f"trustwatch {version('trustwatch')}")
        except PackageNotFoundError:
            typer.echo("trustwatch, from a folder where it is not installed")
        raise typer.Exit


@cli.callback()
def _options(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The settings file; without it TRUSTWATCH_CONFIG, else trustwatch.toml if there.",
            show_default=False,
        ),
    ] = None,
    _version: Annotated[
        bool | None,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = None,
) -> None:
    """Hear a leak before the press does, and keep one trust index per brand.

    Settings come from trustwatch.toml, then from TRUSTWATCH_SECTION_KEY variables: see
    `trustwatch config`. Exit codes: 0 done, 1 a fault, 2 wrong input or settings.

    Try:

        trustwatch demo
        trustwatch topics apply && trustwatch worker
        trustwatch feed posts.jsonl --shift-to-now --rate 100
    """
    ctx.obj = config


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its exit code.

    Args:
        args: the command line after `trustwatch`; None: that of the process.
    """
    # Without a handler of ours, kafka-python's reports of each attempt go to standard error.
    logging.getLogger("kafka").addHandler(logging.NullHandler())
    try:
        cli(list(args) if args is not None else None, prog_name="trustwatch")
    except TrustwatchError as error:
        typer.echo(f"trustwatch: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
