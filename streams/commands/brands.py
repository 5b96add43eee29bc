"""`trustwatch brands`: checks the brands file and shows what it finds in texts."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from streams.brands import printable, read_brands
from streams.domain.brands import Brand, Finding, Matcher
from streams.domain.conflicts import Conflict, conflicts
from streams.errors import BrandsError
from streams.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Check the brands file and what it finds.",
)


@app.callback()
def brands() -> None:
    """Check the brands file and what it finds."""


@app.command()
def check(
    ctx: typer.Context,
    texts: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TEXT]", help="Texts to look at; `-` is each line of standard input."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--brands", help="The brands file; without it that of the settings."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Check the brands file; with texts, show which brands each is about, where and why.

    Without a text, words that clash are reported: an error makes a brand's figures wrong, a
    warning may be meant. Offsets count characters from 0, the end is not included.

    Exits with 2 when the file cannot be used or has errors.

    Try:

        trustwatch brands check
        trustwatch brands check "L'Acme est en panne, Acme Bank aussi"
        trustwatch brands check --brands brands.toml --json - < texts.txt
    """
    path = file or Path(load_settings(ctx.obj).brands.file)
    known = read_brands(path)
    if texts is None:
        _review(path, known, as_json=as_json)
        return
    matcher = Matcher(known)
    show = _line if as_json else _story
    for text in _given(texts):
        typer.echo(show(text, matcher))


def _given(texts: list[str]) -> Iterator[str]:
    for text in texts:
        if text == "-":
            yield from (line.decode(errors="replace").rstrip("\r\n") for line in sys.stdin.buffer)
        else:
            yield text


def _line(text: str, matcher: Matcher) -> str:
    """Makes the JSON line of a text: the first place of each brand that it is about."""
    first = {match.brand: match for match in reversed(matcher.match(text))}
    places = sorted(first.values(), key=lambda match: (match.start, match.end))
    found = [{"id": m.brand, "start": m.start, "end": m.end, "match": m.text} for m in places]
    return json.dumps({"text": text, "brands": found})


def _story(text: str, matcher: Matcher) -> str:
    """Tells in lines what was found in a text, what counts, and why the rest does not."""
    rows: list[tuple[str, ...]] = [
        (found.brand, f"{found.start}-{found.end}", f'"{printable(found.text)}"', _why(found))
        for found in _telling(matcher.explain(text))
    ]
    return "\n  ".join((printable(text), *_columns(rows or [("no brand",)])))


def _columns(rows: list[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.ljust(width) for cell, width in cells).rstrip()


def _telling(findings: list[Finding]) -> Iterator[Finding]:
    """Leaves out what lies in a longer name of the same brand."""
    counted = [found for found in findings if found.verdict == "counts"]
    for found in findings:
        if found.verdict != "overlapped" or not any(
            each.brand == found.brand and each.start < found.end and found.start < each.end
            for each in counted
        ):
            yield found


def _why(found: Finding) -> str:
    because = printable(found.because)
    match found.verdict:
        case "counts":
            beside = f', with "{because}"' if because else ""
            return f'counts, as "{printable(found.word)}"{beside}'
        case "excluded":
            return f'does not count: the excluded "{because}" is in the text'
        case "unmet":
            return f"does not count: none of {because} is in the text"
        case "overlapped":
            return f'does not count: part of "{because}"'


def _review(path: Path, known: tuple[Brand, ...], *, as_json: bool) -> None:
    """Reports what the file holds and what is wrong in it."""
    found = conflicts(known)
    if as_json:
        report = [{key: getattr(each, key) for key in each.__struct_fields__} for each in found]
        typer.echo(json.dumps({"file": str(path), "brands": len(known), "conflicts": report}))
    else:
        for line in (_summary(path, known), *map(_told, found)):
            typer.echo(line)
    errors = sum(each.severity == "error" for each in found)
    if errors:
        raise BrandsError(f"{path}: {_count(errors, 'error')} to mend, shown above")


def _summary(path: Path, known: tuple[Brand, ...]) -> str:
    names = sum(1 + len(brand.aliases) for brand in known)
    handles = sum(len(brand.handles) for brand in known)
    conditions = sum(len(brand.require_any) + len(brand.exclude) for brand in known)
    counts = (
        (len(known), "brand"),
        (names, "name"),
        (handles, "handle"),
        (conditions, "condition"),
    )
    return f"{path}: {', '.join(_count(number, what) for number, what in counts)}"


def _told(conflict: Conflict) -> str:
    other = f" and {conflict.other}" if conflict.other else ""
    return f'{conflict.severity}: {conflict.brand}{other}: "{conflict.word}": {conflict.text}'


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
