"""What the folder of an encoder says about itself, and whether its files are whole."""

from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from models.bundle import MANIFEST, Entry, entry
from models.encoder.heads import WIDTH
from streams.errors import ModelError

FORMAT: Final = 1
KIND: Final = "encoder"
NETWORK: Final = "network.onnx"
TOKENIZER: Final = "tokenizer.json"
LANGUAGES: Final = "languages.bin"
"""A byte per piece; a model without it says nothing of languages."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model folder says about itself."""

    format: int
    kind: str
    leak_threshold: float
    pieces: int
    """Word pieces of a post that are read."""
    scale: tuple[float, ...]
    """What each score is multiplied with to be calibrated log-odds (or a calibrated logit)."""
    offset: tuple[float, ...]
    """What is then added."""
    trained: dict[str, Any]
    """How the model came about, for its card."""
    files: dict[str, Entry]


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the digests of the files as they are now."""
    there = [name for name in (NETWORK, TOKENIZER, LANGUAGES) if (folder / name).exists()]
    files = {name: entry(folder / name) for name in there}
    kept = msgspec.structs.replace(manifest, files=files)
    content = msgspec.json.format(msgspec.json.encode(kept, order="sorted"), indent=2)
    (folder / MANIFEST).write_bytes(content + b"\n")


def load(folder: Path) -> tuple[Manifest, dict[str, bytes], str]:
    """Read a manifest and every file that it names.

    Returns:
        The manifest, the content of each file, and the digest of the whole folder: twelve
        hexadecimal digits.

    Raises:
        ModelError: the manifest or a file is missing, damaged, or of another kind or format.
    """
    path = folder / MANIFEST
    content = _read(path)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path} is not the manifest of an encoder ({error}): fetch the model again"
        ) from error
    _check(path, manifest)
    files = {name: _whole(folder / name, one) for name, one in manifest.files.items()}
    return manifest, files, sha256(content).hexdigest()[:12]


def _check(path: Path, manifest: Manifest) -> None:
    if manifest.kind != KIND or manifest.format != FORMAT:
        raise ModelError(
            f"{path} has kind {manifest.kind!r}, format {manifest.format}; this version reads "
            f"{KIND!r}, {FORMAT}: upgrade trustwatch or export the model again",
        )
    if not len(manifest.scale) == len(manifest.offset) == WIDTH:
        raise ModelError(f"{path} calibrates another number of scores: export the model again")
    if missing := {NETWORK, TOKENIZER} - set(manifest.files):
        raise ModelError(f"{path} names no {', '.join(sorted(missing))}: fetch the model again")


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
            f"cannot read {path} ({error.strerror}): give a folder written by "
            "`python -m models.encoder.export`",
        ) from error
