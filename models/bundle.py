"""A model folder: weights and a manifest that says what they are and what they hash to."""

from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from streams.errors import ModelError

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    sha256: str
    size: int
    """Bytes."""


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What turns the integer sums of the linear model into calibrated scores."""

    sentiment_scale: float
    sentiment_bias: tuple[float, float]
    """Of `negative` and `positive`, against `neutral`."""
    leak_scale: float
    leak_bias: float


class Trained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a model came about, for its card."""

    settings: dict[str, int | float]
    sentiment: dict[str, int]
    """Texts by source."""
    leak: dict[str, int]
    """Texts by source."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model folder says about itself."""

    format: int
    kind: str
    leak_threshold: float
    linear: Linear
    trained: Trained
    files: dict[str, Entry]


def entry(path: Path) -> Entry:
    """Describe a file for a manifest."""
    content = path.read_bytes()
    return Entry(sha256=sha256(content).hexdigest(), size=len(content))


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, readable and the same on every run."""
    content = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
    (folder / MANIFEST).write_bytes(content + b"\n")


def load(folder: Path) -> tuple[Manifest, str]:
    """Read a manifest and check every file that it names.

    Returns:
        The manifest, and the digest of the whole bundle: twelve hexadecimal digits.

    Raises:
        ModelError: the manifest or a file is missing, damaged, or of a later format.
    """
    path = folder / MANIFEST
    content = _read(path)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a manifest ({error}): fetch the model again") from error
    if manifest.format != FORMAT:
        raise ModelError(
            f"{path} has format {manifest.format}, this version reads {FORMAT}: "
            "upgrade trustwatch or train the model again",
        )
    for name, expected in manifest.files.items():
        _verify(folder / name, expected)
    return manifest, sha256(content).hexdigest()[:12]


def _verify(path: Path, expected: Entry) -> None:
    if sha256(_read(path)).hexdigest() != expected.sha256:
        raise ModelError(f"{path} is damaged (its SHA-256 differs): fetch the model again")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {path} ({error.strerror}): give a folder written by "
            "`python -m models.train`, or `bundle` for the model that ships with trustwatch",
        ) from error
