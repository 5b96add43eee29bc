"""Brands found in lines, by this process or by others beside it: that is most of a backtest's work.

It takes neither model nor memory of other lines, so other processes can do it ahead while this one
judges and folds. Batches come back in the order in which they went.
"""

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from itertools import cycle, islice, starmap
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final, NamedTuple

import msgspec

from streams.domain.brands import Brand, Matcher
from streams.domain.row import instant
from streams.errors import RejectedError
from streams.pipeline import Finder, Named, deletion, millis, parse
from streams.reader import Bad, Line, Place, Reader
from streams.records import Mention, Post

SINCE: Final = datetime(1990, 1, 1, tzinfo=UTC)
UNTIL: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""A post that is dated outside of these is a slip, and would stretch a history over ages."""

BATCH: Final = 1_024
"""Lines that are read together."""
BESIDE: Final = 2
"""Processes beside this one: with one it would wait, and more would wait for it."""
WORTH: Final = 8 * 1024 * 1024
"""Bytes of files from which on it is worth starting any: that takes half a second of a core."""


class Batch(NamedTuple):
    """Lines that are read together, and those among them that are too long."""

    values: list[bytes]
    places: list[Place]
    bad: list[Bad]


class Found(msgspec.Struct, array_like=True):
    """What is in a batch; numbers count its lines.

    Attributes:
        ids: of all posts.
        named: the posts that name brands, by number.
        deleted: what deletes posts.
        refused: by number, why a line is no post.
    """

    ids: list[str] = []
    named: list[tuple[int, Named]] = []
    deleted: list[Mention] = []
    refused: list[tuple[int, str]] = []


_FIRST, _END = millis(SINCE), millis(UNTIL)
Finding = Callable[[Iterable[Batch]], Iterator[tuple[Batch, Found]]]

_encode = msgspec.msgpack.Encoder().encode
_decode_lines = msgspec.msgpack.Decoder(list[bytes]).decode
_decode_found = msgspec.msgpack.Decoder(Found).decode


class Known:
    """The matcher of brands that stay as they are, made where it is first needed."""

    def __init__(self, brands: Iterable[Brand]) -> None:
        self._brands = tuple(brands)
        self._made: Matcher | None = None

    def __call__(self) -> Matcher:
        """Return it."""
        self._made = self._made or Matcher(self._brands)
        return self._made

    def __reduce__(self) -> tuple[type["Known"], tuple[tuple[Brand, ...]]]:
        """Take the brands alone to another process."""
        return Known, (self._brands,)


class _Value(NamedTuple):
    value: bytes


def batches(reader: Reader) -> Iterator[Batch]:
    """Yield the lines of files in batches.

    Raises:
        InputError: a file is damaged.
    """
    lines = reader.lines()
    while some := list(islice(lines, BATCH)):
        whole = [one for one in some if isinstance(one, Line)]
        bad = [one for one in some if isinstance(one, Bad)]
        yield Batch([one.value for one in whole], [one.place for one in whole], bad)


def find(values: Iterable[bytes], finder: Finder) -> Found:
    """Return what is in lines; a post counts when it was created."""
    found = Found()
    for number, value in enumerate(values):
        try:
            post = parse(_Value(value), max_text=finder.max_text)
            at = _at(post)
        except RejectedError as error:
            found.refused.append((number, f"{error.reason.replace('_', ' ')}: {error}"))
            continue
        found.ids.append(post.id)
        if post.deleted:
            found.deleted.append(deletion(post, at))
        elif named := finder.find(post, at):
            found.named.append((number, named))
    return found


def _at(post: Post) -> datetime:
    """Return when a post counts, in whole milliseconds as online."""
    at = millis(post.created_at)
    if not _FIRST <= at < _END:
        years = f"{SINCE.year} to {UNTIL.year - 1}"
        raise RejectedError("bad_date", f"dated {post.created_at.year:04}; posts are of {years}")
    return instant(at)


@contextmanager
def unswept() -> Iterator[None]:
    """Have Python look for circles of garbage rarely: these millions of objects form none."""
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def here(finder: Finder) -> Finding:
    """Return what finds brands in this process."""
    return lambda some: ((batch, find(batch.values, finder)) for batch in some)


@contextmanager
def beside(finder: Finder, *, total: int | None) -> Iterator[Finding]:
    """Start other processes that find brands, if that is worth it; they end with the context.

    Whatever ends one of them before, this process does its work.

    Args:
        finder: its matcher must be one to take along, such as `Known`.
        total: bytes to read; None: unknown.
    """
    if os.cpu_count() == 1 or (total is not None and total < WORTH):
        yield here(finder)
        return
    with ExitStack() as stack:
        helpers = [stack.enter_context(closing(_Helper(finder))) for _ in range(BESIDE)]
        yield lambda some: _in_turn(some, helpers, finder)


def _in_turn(
    some: Iterable[Batch], helpers: "list[_Helper]", finder: Finder
) -> Iterator[tuple[Batch, Found]]:
    """Yield what each of the helpers found, and have it find on meanwhile."""
    waiting: deque[tuple[Batch, _Helper]] = deque()
    some = iter(some)
    for batch in some:
        yield batch, find(batch.values, finder)
        if all(helper.ready for helper in helpers):
            break

    def take() -> tuple[Batch, bytes]:
        batch, helper = waiting.popleft()
        return batch, helper.receive()

    def told(batch: Batch, answer: bytes) -> tuple[Batch, Found]:
        return batch, _decode_found(answer) if answer else find(batch.values, finder)

    for batch, helper in zip(some, cycle(helpers), strict=False):
        # A helper gets lines only when it waits for them: else both could wait to be heard.
        done = [take()] if len(waiting) == len(helpers) else []
        helper.send(batch.values)
        waiting.append((batch, helper))
        yield from starmap(told, done)
    while waiting:
        yield told(*take())


class _Helper:
    """A process that finds brands in one batch after the other."""

    def __init__(self, finder: Finder) -> None:
        context = get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, finder), daemon=True)
        # It keeps this mask: Ctrl-C in a terminal is sent to both, and is for this one to heed.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        other.close()
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether it has started; if it has ended instead, it will not answer."""
        self._ready = self._ready or (self._pipe.poll() and self.receive() == b"")
        return self._ready

    def send(self, values: list[bytes]) -> None:
        """Hand it lines."""
        with suppress(OSError):  # it has ended: there will be no answer
            self._pipe.send_bytes(_encode(values))

    def receive(self) -> bytes:
        """Wait for its answer; empty if it has ended."""
        try:
            return self._pipe.recv_bytes()
        except (EOFError, OSError):
            return b""

    def close(self) -> None:
        """End it, whatever it does."""
        self._pipe.close()
        self._process.kill()
        self._process.join()


def _serve(pipe: Connection, finder: Finder) -> None:
    """Answer until the other end is closed, as it is when its process ends in any way."""
    finder.matcher()
    with suppress(EOFError, OSError), unswept():
        pipe.send_bytes(b"")
        while True:
            pipe.send_bytes(_encode(find(_decode_lines(pipe.recv_bytes()), finder)))
