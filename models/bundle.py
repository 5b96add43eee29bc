"""A model folder: files, and a manifest that says what they are and what they hash to."""

from hashlib import sha256
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from streams.errors import ModelError

MANIFEST: Final = "manifest.json"
LINEAR: Final = "linear"
ENCODER: Final = "encoder"


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    sha256: str
    size: int
    """Bytes."""


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of any manifest, also of one that a later version wrote."""

    format: int
    kind: str


class Manifest(Head, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every model folder says about itself; each kind of model adds to it."""

    leak_threshold: float
    files: dict[str, Entry]


M = TypeVar("M", bound=Manifest)


def entry(path: Path) -> Entry:
    """Describe a file for a manifest."""
    content = path.read_bytes()
    return Entry(sha256=sha256(content).hexdigest(), size=len(content))


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, readable and the same on every run."""
    content = msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2)
    (folder / MANIFEST).write_bytes(content + b"\n")


def kind(folder: Path) -> str:
    """What kind of model is in a folder.

    Raises:
        ModelError: there is no manifest in it.
    """
    path = folder / MANIFEST
    return _decode(path, _read(path), Head).kind


def load(folder: Path, made: type[M], *, kind: str, layout: int) -> tuple[M, dict[str, bytes], str]:
    """Read a manifest and every file that it names.

    Args:
        folder: of the model.
        made: the manifest of this kind of model.
        kind: what the manifest must say.
        layout: the format that it must have.

    Returns:
        The manifest, the content of each file, and the digest of the whole folder: twelve
        hexadecimal digits.

    Raises:
        ModelError: the manifest or a file is missing, damaged, or of another kind or format.
    """
    path = folder / MANIFEST
    content = _read(path)
    _check(path, _decode(path, content, Head), kind=kind, layout=layout)
    manifest = _decode(path, content, made)
    files = {name: _whole(folder / name, one) for name, one in manifest.files.items()}
    return manifest, files, sha256(content).hexdigest()[:12]


def _check(path: Path, head: Head, *, kind: str, layout: int) -> None:
    if head.kind != kind:
        raise ModelError(f"{path} has kind {head.kind!r}, not {kind!r}: give another model")
    if head.format != layout:
        raise ModelError(
            f"{path} has format {head.format}, this version reads {layout}: "
            "upgrade trustwatch or make the model anew",
        )


H = TypeVar("H", bound=Head)


def _decode(path: Path, content: bytes, made: type[H]) -> H:
    try:
        return msgspec.json.decode(content, type=made)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not a manifest ({error}): fetch the model again") from error


def _whole(path: Path, expected: Entry) -> bytes:
    content = _read(path)
    if sha256(content).hexdigest() != expected.sha256:
        raise ModelError(f"{path} is damaged (its SHA-256 differs): fetch the model again")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"cannot read {path} ({error.strerror}): give the folder of a model, hub:NAME, or "
            "`bundle` for the model that ships with trustwatch",
        ) from error
