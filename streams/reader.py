"""Reading posts from JSON Lines: where each line stands, and why it is no post if it is none."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
import zstandard

from streams.errors import InputError
from streams.records import LARGEST_POST, Post

LONGEST_LINE = LARGEST_POST - 64 * 1024
"""Bytes of the longest line: the record adds its key, its headers and a frame."""
_LONG = f"longer than {LONGEST_LINE} bytes"
_BUFFER = 1 << 20
"""Bytes read at once: each read lets the sending thread in, which costs more than the read."""
STDIN = Path("-")

_decode = msgspec.json.Decoder(Post).decode


class Place(NamedTuple):
    """Where a line stands."""

    file: Path
    line: int

    def __str__(self) -> str:
        """Write it as editors do."""
        return f"{'standard input' if self.file == STDIN else self.file}:{self.line}"


class Line(NamedTuple):
    """A line that is not empty, without blanks around it."""

    value: bytes
    place: Place


class Item(NamedTuple):
    """A post to publish."""

    id: str
    created_at: datetime
    value: bytes
    place: Place


class Bad(NamedTuple):
    """A line that is no post, and why. Never what it says: it may hold a secret."""

    place: Place
    why: str


class Reader:
    """The posts of files, in their order, and how far we are.

    Args:
        files: JSON Lines, `.gz` and `.zst` too; `-` is standard input.
        start_at: the line of the first file to begin with, from 1.

    Raises:
        InputError: a file is missing, or damaged (while reading).
    """

    def __init__(self, files: Sequence[Path], *, start_at: int = 1) -> None:
        for file in files:
            if file != STDIN and not file.is_file():
                raise InputError(f"{file}: there is no such file")
        self.files = tuple(files)
        self.start_at = start_at
        self._passed = 0
        self._current: BinaryIO | None = None

    @property
    def total(self) -> int | None:
        """Bytes of all files as they lie on disk; None with standard input."""
        if STDIN in self.files:
            return None
        return sum(file.stat().st_size for file in self.files)

    @property
    def done(self) -> int:
        """Bytes of them that have been read."""
        return self._passed + (self._current.tell() if self._current else 0)

    def __iter__(self) -> Iterator[Item | Bad]:
        """Yield each line as a post, or why it is none; empty lines are passed over."""
        for line in self.lines():
            yield line if isinstance(line, Bad) else _item(line)

    def lines(self) -> Iterator[Line | Bad]:
        """Yield each line that is not empty as it is, or why it is too long to be a post."""
        self._passed, first = 0, self.start_at
        for file in self.files:
            with _open(file) as (raw, lines):
                self._current = raw if file != STDIN else None
                yield from _cut(file, lines, first)
                self._current = None
            self._passed += file.stat().st_size if file != STDIN else 0
            first = 1


@contextmanager
def _open(file: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file as it lies on disk, and as lines."""
    if file == STDIN:
        yield sys.stdin.buffer, sys.stdin.buffer
        return
    with file.open("rb", buffering=_BUFFER) as raw:
        yield raw, _lines(file, raw)


def _lines(file: Path, raw: BinaryIO) -> Any:
    if file.suffix == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), _BUFFER)
    if file.suffix == ".zst":
        stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(stream, _BUFFER)
    return raw


def _cut(file: Path, lines: BinaryIO, first: int) -> Iterator[Line | Bad]:
    number = 0
    try:
        while line := lines.readline(LONGEST_LINE + 2):
            number += 1
            whole = line.endswith(b"\n") or len(line) <= LONGEST_LINE
            while not line.endswith(b"\n") and (rest := lines.readline(LONGEST_LINE)):
                line = rest
            value = line.strip()
            if number >= first and value:
                place = Place(file, number)
                yield Line(value, place) if whole else Bad(place, _LONG)
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"{file}: cannot be read after line {number}: {error}") from error


def _item(line: Line) -> Item | Bad:
    value, place = line
    try:
        post = _decode(value)
    except msgspec.ValidationError as error:
        return Bad(place, f"not a post: {error}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Bad(place, f"not JSON: {error}")
    if not post.id:
        return Bad(place, "not a post: its id is empty")
    if post.text is None and not post.deleted:
        return Bad(place, "not a post: it has no text and is not deleted")
    return Item(post.id, _aware(post.created_at), value, place)


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
