"""What is trained on, and how often: a mix names files and gives each of their rows a share."""

import tomllib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from math import floor
from pathlib import Path
from typing import Literal

import msgspec

from models.examples import OURS
from streams.errors import InputError

Task = Literal["sentiment", "target", "leak", "irony", "emotion", "brands"]


class Row(msgspec.Struct, frozen=True):
    """A labelled post; which fields are needed depends on the task."""

    text: str
    label: str = ""
    lang: str = "und"
    source: str = "unknown"
    quality: str = "read"
    """How the label came about."""
    split: str = ""
    """Rows marked `held-back` are never trained on."""
    brand: str | None = None
    leak_type: str | tuple[str, ...] | None = None
    brands: dict[str, str] = {}
    """The sentiment towards each brand named (task `brands`)."""
    synthetic: bool = False


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some files of one task."""

    task: Task
    files: str
    """A pattern such as `sentiment_*.jsonl`, below the folder of the data."""
    ours: bool = False
    """Look among the posts written for this project instead."""
    share: float = 1.0
    """How many times a row is seen per epoch; 0.5 is every other epoch."""
    by: Literal["source", "quality", "split"] = "source"
    shares: dict[str, float] = {}
    """The share of rows by that field, in place of `share`."""
    labels: dict[str, float] = {}
    """A factor on the share, by label."""
    most: int = 0
    """Read no more than about so many rows, chosen by hash; 0: all."""

    def times(self, row: Row) -> float:
        """How many times a row is seen per epoch."""
        share = self.shares.get(getattr(row, self.by), self.share)
        return share * self.labels.get(row.label, 1.0)


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a training reads."""

    part: tuple[Part, ...]
    validate: tuple[Part, ...] = ()
    """What is measured on while training."""
    calibrate: tuple[Part, ...] = ()
    """What a model is calibrated on, besides."""
    pairs: int = 0
    """Posts per epoch that are made of two, each with a feeling of its own about its brand."""

    def apart(self) -> tuple[Part, ...]:
        """What is never trained on."""
        return self.validate + self.calibrate


def load(path: Path) -> Mix:
    """Read a mix from a TOML file.

    Raises:
        InputError: the file cannot be read, or says something else than a mix.
    """
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Mix)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputError(f"{path}: {error}") from error


def rows(part: Part, data: Path) -> list[Row]:
    """The rows of a part, in the order of its files.

    Raises:
        InputError: no file fits, or one cannot be read.
    """
    folder = OURS if part.ours else data
    paths = sorted(folder.glob(part.files))
    if not paths and not part.ours:
        raise InputError(f"no file {part.files!r} in {folder}: give --data DIR")
    found = [row for path in paths for row in read(path) if part.times(row) > 0]
    if part.most and len(found) > part.most:
        found = [row for row in found if phase(row.text) < part.most / len(found)]
    return found


def read(path: Path) -> Iterator[Row]:
    """Read JSON Lines.

    Raises:
        InputError: the file cannot be read, or a line is not a labelled post.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    decode = msgspec.json.Decoder(Row).decode
    for number, line in enumerate(lines, start=1):
        try:
            yield decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InputError(f"{path}, line {number}: {error}") from error


def texts(paths: Iterable[Path]) -> Iterator[str]:
    """The texts of some files."""
    for path in paths:
        for row in read(path):
            yield row.text


def phase(text: str, seed: int = 0) -> float:
    """A number from 0 up to 1 that a text always has."""
    key = f"{seed} {text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(key, digest_size=6).digest(), "big") / 2.0**48


def turns(share: float, *, phase: float, slice_: int, slices: int) -> int:
    """How many times a row comes up in one slice of an epoch.

    Over any span of slices a row comes up as often as its share says, but for less than one.

    >>> [turns(0.5, phase=0.0, slice_=one, slices=4) for one in range(8)]
    [0, 0, 0, 0, 0, 0, 0, 1]
    """
    step = share / slices
    return floor(phase + step * (slice_ + 1)) - floor(phase + step * slice_)
