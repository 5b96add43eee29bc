"""`trustwatch classify`: posts in, verdicts out, in the same order, without Kafka."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Annotated, Any, Final, Self, cast

import msgspec
import typer
import zstandard

from models import Classifier, load_classifier
from streams.errors import InputError, RejectedError
from streams.records import Verdict

READ: Final = 1 << 16
"""Bytes read at a time: the lines that they complete are judged together and written."""

LONGEST: Final = 8 << 20
"""Bytes of the longest line that is kept; a longer one gives an error in its place."""

_PACKED: Final = 1 << 10
"""Bytes of Zstandard unpacked at a time: few, as each may stand for very many."""

_OVERLONG: Final = b""


class _Post(msgspec.Struct):
    """What `classify` needs of a post; when and where it was written does not matter here."""

    id: str
    text: str | None = None
    deleted: bool = False
    brands: tuple[str, ...] = ()


class _Named(msgspec.Struct):
    """A line that is no post may still say which one it was to be."""

    id: Any = None


class _Failed(msgspec.Struct):
    """What stands in the place of a line that cannot be judged."""

    id: str | None
    error: str


_decode = msgspec.json.Decoder(_Post).decode
_decode_name = msgspec.json.Decoder(_Named).decode
_encode = msgspec.json.Encoder().encode


def classify(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON Lines; `-` is standard input.")
    ] = "-",
    model: Annotated[
        str, typer.Option(metavar="NAME_OR_PATH", help="`bundle`, `fast`, a folder, or hub:NAME.")
    ] = "bundle",
) -> None:
    """Judge posts: JSON Lines in, one verdict a line out, in the same order.

    A line needs `id` and `text`. `brands` may name brands, to be told the sentiment towards each by
    a model that knows it. A line that cannot be judged gives `{"id": …, "error": "why"}` in its
    place. Compressed input (gzip, Zstandard) is recognised.

    Exits with 2 when FILE cannot be read or the model cannot be loaded.

    Try:

        trustwatch classify posts.jsonl
        trustwatch classify posts.jsonl.zst > verdicts.jsonl
        tail -f posts.jsonl | trustwatch classify
    """
    judge = load_classifier(model)
    with opened(file) as source:
        try:
            write(source, judge=judge, to=sys.stdout.buffer)
        except BrokenPipeError:
            # Whoever read us has seen enough; the interpreter must not flush into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write(source: IO[bytes], *, judge: Classifier, to: IO[bytes]) -> None:
    """Judge the lines of a stream as they arrive; each gives a line."""
    for lines in batches(source):
        to.writelines(verdicts(lines, judge=judge))
        to.flush()


def batches(source: IO[bytes]) -> Iterator[list[bytes]]:
    """Split a stream into the whole lines that each read completes.

    An overlong line comes out empty. Memory stays bounded whatever the stream.
    """
    rest, skipping = b"", False
    while chunk := _read(source):
        *lines, rest = (rest + chunk).split(b"\n")
        if skipping and lines:
            lines[0], skipping = _OVERLONG, False
        if len(rest) > LONGEST or skipping:
            rest, skipping = b"", True
        if lines:
            yield lines
    if skipping or rest:
        yield [rest]


def _read(source: IO[bytes]) -> bytes:
    try:
        chunk: bytes = source.read1(READ)  # type: ignore[attr-defined] # all of ours have it
    except OSError as error:
        raise InputError(f"cannot read on: {error.strerror or error}") from error
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise InputError(f"the compressed input is damaged: {error}") from error
    return chunk


def verdicts(lines: Iterable[bytes], *, judge: Classifier) -> Iterator[bytes]:
    """Judge some lines; each gives a line, in the same order."""
    posts = [_parse(line) for line in lines]
    whole = [post for post in posts if isinstance(post, _Post)]
    texts = [post.text or "" for post in whole]
    said = iter(judge.classify(texts, brands=[post.brands for post in whole]))
    for post in posts:
        if isinstance(post, _Post):
            yield _line(post.id, next(said), model=judge.name)
        else:
            yield _encode(post) + b"\n"


def _parse(line: bytes) -> _Post | _Failed:
    if line == _OVERLONG:
        return _Failed(None, f"the line is empty, or longer than {LONGEST} bytes")
    try:
        post = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return _Failed(_name(line), f"not a post: {error}")
    if post.deleted or post.text is None:
        return _Failed(post.id, "deleted" if post.deleted else "no text")
    return post


def _name(line: bytes) -> str | None:
    try:
        name = _decode_name(line).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return name if isinstance(name, str) else None


def _line(name: str, said: Verdict | RejectedError, *, model: str) -> bytes:
    if isinstance(said, RejectedError):
        return _encode(_Failed(name, f"{said.reason}: {said}")) + b"\n"
    heads = msgspec.to_builtins(said)
    return _encode({"id": name, **heads, "model": model}) + b"\n"


def opened(file: str) -> IO[bytes]:
    """Open a file or standard input (`-`), decompressed.

    Raises:
        InputError: it cannot be opened.
    """
    try:
        if file == "-":
            return _plain(open(sys.stdin.fileno(), "rb", closefd=False))
        return _plain(Path(file).open("rb"))
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def _plain(raw: io.BufferedReader) -> IO[bytes]:
    start = raw.peek(4)[:4]
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if start == b"\x28\xb5\x2f\xfd":
        return cast("IO[bytes]", _Zstandard(raw))
    return raw


class _Zstandard:
    """Frames of Zstandard as one stream; unlike the library's own reader it misses a lost end."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._waiting = b""
        self._inside = False

    def __enter__(self) -> Self:
        """Nothing to open: it is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is read."""
        self._raw.close()

    def read1(self, _: int) -> bytes:
        """Decompress a little more; nothing at the end.

        Raises:
            EOFError: the last frame is not whole.
        """
        while packed := self._waiting or self._raw.read1(_PACKED):
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            plain = self._frame.decompress(packed)
            self._waiting = self._frame.unused_data
            self._inside = not self._frame.eof
            if plain:
                return plain
        if self._inside:
            raise EOFError("it ends in the middle of a frame")
        return b""
