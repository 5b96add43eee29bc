"""What a post means: classifiers that turn texts into verdicts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from streams.errors import ModelError, RejectedError
from streams.records import Verdict

Brands = Sequence[Sequence[str]]
"""For each of some texts, the names of the brands that are asked about."""


class Classifier(Protocol):
    """Judges texts.

    The verdict of a text depends on that text and its brands alone: the same whether it is judged
    by itself or in a batch, today or when its post is read again after a crash.

    Attributes:
        name: the model and its digest, such as `linear-1 sha256:ab12cd34ef56`.
        leak_threshold: from this probability on a post counts as a leak mention.
        targeted: whether it tells the sentiment towards each brand asked about; if not, it is in
            vain to ask.
    """

    name: str
    leak_threshold: float
    targeted: bool

    def classify(
        self, texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        """Judge each text, in order; a text that cannot be judged gives a `RejectedError`."""
        ...


BUNDLE: Final = Path(__file__).parent / "bundle"
"""The model that ships with the project and judges by default: an encoder."""

FAST: Final = Path(__file__).parent / "fast"
"""The other one that ships: linear, many times faster, and it knows less."""

SHIPPED: Final = {"bundle": BUNDLE, "fast": FAST}

HUB: Final = "hub:"
"""Begins the name of a model of transformers."""


def load_classifier(name_or_path: str = "bundle") -> Classifier:
    """Load a classifier.

    Args:
        name_or_path: `bundle` or `fast` for those that ship, a folder with a `manifest.json`, or
            `hub:NAME` for a model of transformers (see `models.hub`).

    Raises:
        ModelError: there is no such model, or its files are damaged; the text says what to do.
    """
    if name_or_path.startswith(HUB):
        # Imported here, as all below: whoever needs one model does not pay for the others.
        from models.hub import open_hub  # noqa: PLC0415

        return open_hub(name_or_path.removeprefix(HUB))
    return _open(SHIPPED.get(name_or_path) or Path(name_or_path))


def _open(folder: Path) -> Classifier:
    from models import bundle  # noqa: PLC0415

    kind = bundle.kind(folder)
    if kind == bundle.LINEAR:
        from models.linear import open_linear  # noqa: PLC0415

        return open_linear(folder)
    if kind == bundle.ENCODER:
        from models.encoder.onnx import open_encoder  # noqa: PLC0415

        return open_encoder(folder)
    raise ModelError(
        f"{folder / bundle.MANIFEST} has kind {kind!r}, this version knows {bundle.LINEAR!r} and "
        f"{bundle.ENCODER!r}: upgrade trustwatch or give another model"
    )
