"""What a post means: classifiers that turn texts into verdicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from streams.errors import RejectedError
from streams.records import Verdict


class Classifier(Protocol):
    """Judges texts.

    The verdict of a text depends on that text alone: the same whether it is judged by itself or in
    a batch, today or when its post is read again after a crash.

    Attributes:
        name: the model and its digest, such as `linear-1 sha256:ab12cd34ef56`.
        leak_threshold: from this probability on a post counts as a leak mention.
    """

    name: str
    leak_threshold: float

    def classify(self, texts: Sequence[str]) -> list[Verdict | RejectedError]:
        """Judge each text, in order; a text that cannot be judged gives a `RejectedError`."""
        ...


BUNDLE = Path(__file__).parent / "bundle"
"""The model that ships with the project."""


def load_classifier(name_or_path: str = "bundle") -> Classifier:
    """Load a classifier: `bundle` for the one that ships, or a folder with a `manifest.json`.

    Raises:
        ModelError: there is no such model, or its files are damaged; the text says what to do.
    """
    # Imported here: whoever needs the protocol alone does not pay for numpy.
    from models.linear import open_linear  # noqa: PLC0415

    return open_linear(BUNDLE if name_or_path == "bundle" else Path(name_or_path))
