"""`trustwatch config`: the effective settings."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.settings import Secret, Settings, load_settings


def config(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Show the effective settings and where each came from; secrets are hidden.

    Exits with 2, and says what is wrong, when a setting is unknown, malformed or out of range.

    Try:

        trustwatch config
        TRUSTWATCH_KAFKA_BROKER=kafka:9092 trustwatch config --json
    """
    settings = load_settings(ctx.obj)
    if as_json:
        typer.echo(json.dumps(_document(settings), indent=2))
    else:
        Console(soft_wrap=True).print(_table(settings))


def _document(settings: Settings) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "value": str(value) if isinstance(value, Secret) else value,
            "origin": settings.origin(name),
        }
        for name, value in settings.items()
    }


def _table(settings: Settings) -> Table:
    table = Table("setting", "value", "from", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, value in settings.items():
        origin = settings.origin(name)
        style = "dim" if origin == "default" else ""
        table.add_row(*(Text(text, style) for text in (name, _shown(value), origin)))
    return table


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value != "" else "''"
