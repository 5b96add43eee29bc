"""What was measured, and the card that tells it: every figure in a card comes from here."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from models import linear

CARD: Final = "MODEL_CARD.md"


class Mood(msgspec.Struct, frozen=True):
    """How well sentiment is told on some texts; shares of one."""

    texts: int
    macro_recall: float
    macro_f1: float
    calibration_error: float


class Talk(msgspec.Struct, frozen=True):
    """How well leak mentions are told on some texts; shares of one."""

    texts: int
    leaks: int
    precision: float
    recall: float
    f1: float
    calibration_error: float


class Report(msgspec.Struct, frozen=True):
    """Everything that was measured."""

    model: str
    leak_threshold: float
    refused: dict[str, int]
    sentiment: dict[str, Mood]
    leak: dict[str, Talk]
    posts_per_second: float
    machine: str


def figures(report: Report) -> list[str]:
    """The tables of a report, as lines of Markdown."""
    return [
        "| sentiment on | texts | macro recall | macro F1 | calibration error |",
        "|---|--:|--:|--:|--:|",
        *(_mood_row(name, one) for name, one in report.sentiment.items()),
        "",
        "| leak mentions on | texts | leaks | precision | recall | F1 | calibration error |",
        "|---|--:|--:|--:|--:|--:|--:|",
        *(_talk_row(name, one) for name, one in report.leak.items()),
        "",
        _footnote(report),
    ]


def _footnote(report: Report) -> str:
    return (
        f"Leak threshold {report.leak_threshold}. "
        f"Texts refused: {_told(report.refused) or 'none'}. "
        f"{report.posts_per_second:,.0f} posts per second of processor time on one thread, "
        f"words known ({report.machine})."
    )


def _mood_row(name: str, one: Mood) -> str:
    shares = (one.macro_recall, one.macro_f1, one.calibration_error)
    return f"| {name} | {one.texts} | {_percent(shares)} |"


def _talk_row(name: str, one: Talk) -> str:
    told: tuple[float | None, ...] = (one.precision, one.recall, one.f1)
    if not one.leaks:
        told = (None, None, None)
    return f"| {name} | {one.texts} | {one.leaks} | {_percent((*told, one.calibration_error))} |"


def _percent(shares: Iterable[float | None]) -> str:
    return " | ".join("-" if share is None else f"{100 * share:.1f}" for share in shares)


def _told(counts: dict[str, int]) -> str:
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {number:,}" for name, number in ranked)


def write(folder: Path, report: Report) -> None:
    """Write the card of a model beside its weights."""
    manifest, _, _ = linear.load(folder)
    (folder / CARD).write_text("\n".join(_card(manifest, report)) + "\n", encoding="utf-8")


def _card(manifest: linear.Manifest, report: Report) -> Iterator[str]:
    trained = manifest.trained
    yield f"# {report.model}\n"
    yield _WHAT
    yield "## Training data\n"
    yield f"Sentiment, texts by source: {_told(trained.sentiment)}.\n"
    yield f"Leak mentions, texts by source: {_told(trained.leak)}.\n"
    yield _DATA
    settings = ", ".join(f"{name} {value}" for name, value in trained.settings.items())
    yield f"Settings: {settings}.\n"
    yield "## Figures\n"
    yield _MEASURED
    yield from figures(report)
    yield _LIMITS


_WHAT: Final = """\
A linear model over hashed words, pairs of words, negated words and character n-grams. It tells the
sentiment of a post (`negative`, `neutral`, `positive`) and whether the post is a leak mention:
whether it claims, reports or asks about, as something real, that an organisation's data,
documents, credentials, source code or unreleased product got out without authorisation.

Intended use: a fast first judgement of social posts in English, French, German, Spanish, Italian
and Portuguese, as one piece of evidence among many. Not intended for decisions about single
people, nor for texts longer than a few paragraphs.
"""

_DATA: Final = """\
The texts themselves are not part of this project, but for `synthetic`: posts written for it, with
invented brands (`models/data/leaks*.jsonl`). Those that are held back, by their `split` or by hash,
were never trained on; nor were copies of texts in the validation files, compared without case,
links and handles.
"""

_MEASURED: Final = """\
Shares in percent; written by this command, with the validation files, and changed by no hand:

    python -m models.evaluate MODEL --sentiment FILE --leak FILE --card

Calibration error is the expected calibration error with 15 bins. Settings, calibration and the
leak threshold were chosen on the same validation files, so that fresh texts will give somewhat
lower figures. `labelled by a reader` leaves out labels that come from rules. The synthetic rows
are posts written by the same hand as those trained on: they are no measure of real accuracy.
"""

_LIMITS: Final = """
## Limits

- Real leak posts in French are few in the training data, and those in German, Spanish, Italian and
  Portuguese are synthetic. English ones come mostly from news and security texts: casual posts are
  found less often than the first row says.
- Irony is read literally. Sentiment is that of the whole post, not towards one of its brands.
- At most 4,000 characters of a text are read. Texts over 100,000 characters are refused, and so
  are texts without anything to read or mostly in another script than Latin.
- Words for groups of people carry the bias of the texts that they came from.
"""
