"""What the folder of an encoder says about itself."""

from pathlib import Path
from typing import Any, Final

import msgspec

from models import bundle
from models.bundle import ENCODER, MANIFEST, entry
from models.encoder.cascade import Bounds, Calibration
from streams.errors import ModelError

FORMAT: Final = 1
NETWORK: Final = "network.onnx"
DEEPER: Final = "deeper.onnx"
"""The other layers; a model without it has all of them in one file."""
TOKENIZER: Final = "tokenizer.json"
LANGUAGES: Final = "languages.bin"
"""A byte per piece; a model without it says nothing of languages."""


class Early(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of the first of two networks."""

    calibration: Calibration
    bounds: Bounds


class Manifest(bundle.Manifest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a model folder says about itself."""

    pieces: int
    """Word pieces of a post that are read."""
    scale: tuple[float, ...]
    """What each score is multiplied with to be calibrated log-odds (or a calibrated logit)."""
    offset: tuple[float, ...]
    """What is then added."""
    trained: dict[str, Any]
    """How the model came about, for its card."""
    early: Early | None = None
    """Of a model in two files."""

    @property
    def calibration(self) -> Calibration:
        """Of the last network."""
        return Calibration(self.scale, self.offset)


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the digests of the files as they are now."""
    there = [name for name in (NETWORK, DEEPER, TOKENIZER, LANGUAGES) if (folder / name).exists()]
    files = {name: entry(folder / name) for name in there}
    bundle.save(folder, msgspec.structs.replace(manifest, files=files))


def load(folder: Path) -> tuple[Manifest, dict[str, bytes], str]:
    """Read a manifest and every file that it names.

    Returns:
        The manifest, the content of each file, and the digest of the whole folder: twelve
        hexadecimal digits.

    Raises:
        ModelError: the manifest or a file is missing, damaged, or of another kind or format.
    """
    manifest, files, digest = bundle.load(folder, Manifest, kind=ENCODER, layout=FORMAT)
    path = folder / MANIFEST
    early = manifest.early
    if not (manifest.calibration.whole() and (early is None or early.calibration.whole())):
        raise ModelError(f"{path} calibrates another number of scores: export the model again")
    wanted = {NETWORK, TOKENIZER} if early is None else {NETWORK, DEEPER, TOKENIZER}
    if missing := wanted - set(files):
        raise ModelError(f"{path} names no {', '.join(sorted(missing))}: fetch the model again")
    return manifest, files, digest
