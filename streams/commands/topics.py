"""`trustwatch topics`: shows, creates and verifies the topics."""

import json
from typing import Annotated

import typer

from streams.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Show, create and verify the topics. No topic is ever deleted.",
)


@app.command()
def plan(ctx: typer.Context) -> None:
    """Show what `apply` would do.

    Try:

        trustwatch topics plan
    """
    from streams import clients, topics  # noqa: PLC0415 -- `--help` does without Kafka's client

    settings = load_settings(ctx.obj)
    with clients.admin(settings.kafka) as admin:
        changes = topics.plan(admin, topics.Topics(settings).all)
    for change in changes:
        typer.echo(change)
    if not changes:
        typer.echo("Nothing to do.")


@app.command()
def apply(ctx: typer.Context) -> None:
    """Create missing topics and alter settings that differ; a second run does nothing.

    Another number of partitions is refused, before anything is done: keys would move away from
    their state. Exits with 1 when a step is refused.

    Try:

        trustwatch topics apply
        TRUSTWATCH_KAFKA_PARTITIONS=12 TRUSTWATCH_KAFKA_REPLICATION=3 trustwatch topics apply
    """
    from streams import clients, topics  # noqa: PLC0415 -- `--help` does without Kafka's client

    settings = load_settings(ctx.obj)
    with clients.admin(settings.kafka) as admin:
        changes = topics.apply(admin, topics.Topics(settings).all)
    for change in changes:
        typer.echo(f"done: {change}")
    if not changes:
        typer.echo("Nothing to do.")


@app.command()
def check(ctx: typer.Context) -> None:
    """Compare the topics with what they must be.

    Exits with 3 when something differs, with 1 when the broker cannot be reached.

    Try:

        trustwatch topics check || trustwatch topics plan
    """
    from streams.errors import TopicsError  # noqa: PLC0415 -- beside its neighbour
    from streams.topics import check_topics  # noqa: PLC0415 -- `--help` does without Kafka's client

    try:
        check_topics(load_settings(ctx.obj))
    except TopicsError as error:
        typer.echo(f"trustwatch: {error}", err=True)
        raise typer.Exit(3) from error
    typer.echo("The topics are as they must be.")


@app.command()
def schema(
    ctx: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(help="posts, mentions or trust; all without it.")
    ] = None,
) -> None:
    """Print the JSON Schemas of the records.

    Try:

        trustwatch topics schema posts
    """
    from streams.topics import schemas  # noqa: PLC0415 -- `--help` does without Kafka's client

    typer.echo(json.dumps(schemas(load_settings(ctx.obj), topic), indent=2))
