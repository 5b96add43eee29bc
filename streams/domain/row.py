"""A row: what one post adds to one brand, packed in a few bytes."""

from collections.abc import Mapping
from datetime import UTC, datetime
from struct import Struct
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

UNIT = 10_000
"""Evidence is kept in ten-thousandths, as whole numbers: sums of them are exact in any order."""

HOUR = 3_600_000
"""Milliseconds in an hour."""

DAY = 24 * HOUR
"""Milliseconds in a day."""

LABELS = ("negative", "neutral", "positive")

KINDS = (
    "unspecified",
    "data_breach",
    "documents",
    "credentials",
    "product",
    "whistleblower",
    "source_code",
)
"""What a leak is said to be about; `unspecified` where the model does not tell."""

_HEAD = Struct("<qHHQQBB")
_COLUMNS = np.dtype(
    [
        ("at", "<i8"),
        ("gain", "<u2"),
        ("loss", "<u2"),
        ("author", "<u8"),
        ("copy", "<u8"),
        ("flags", "u1"),
        ("source", "u1"),
    ]
)
_LABEL = 0b11
_LEAK = 0b100
_WEIGHTY = 0b1000
_KIND = 4
_KIND_BITS = 0b111
_YOUNG = 0b1000_0000


class Row(NamedTuple):
    """The evidence of one post about one brand.

    Attributes:
        at: event time, milliseconds since 1970, UTC.
        gain: evidence for trust before caps and the author's standing, 0 to `UNIT`.
        loss: evidence against it before them, 0 to 1.5 `UNIT`.
        label: the likeliest sentiment, an index into `LABELS`.
        leak: whether the post speaks of a leak.
        source: where the post came from.
        kind: what the leak is about, an index into `KINDS`.
        author: pseudonym of the author, 64 bits; 0: the post is its own author.
        copy: copy key of the text, 64 bits; 0: the post is like no other.
        weighty: whether the post may count as evidence; a repost or a declared bot may not.
        url: link to the post.
        young: whether the author's account is a young one.
    """

    at: int
    gain: int
    loss: int
    label: int
    leak: bool
    source: str
    kind: int = 0
    author: int = 0
    copy: int = 0
    weighty: bool = True
    url: str = ""
    young: bool = False

    def pack(self) -> bytes:
        """Return the row as it stands in memory and in the changelog.

        Raises:
            struct.error: a number is out of range, or the source is longer than 255 bytes.
        """
        flags = self.label | _LEAK * self.leak | _WEIGHTY * self.weighty | self.kind << _KIND
        flags |= _YOUNG * self.young
        source = self.source.encode()
        numbers = (self.at, self.gain, self.loss, self.author, self.copy, flags, len(source))
        return _HEAD.pack(*numbers) + source + self.url.encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the row that `pack` wrote.

        >>> Row.unpack(Row(0, 9000, 500, 2, False, "forum").pack()).source
        'forum'
        """
        at, gain, loss, author, copy, flags, length = _HEAD.unpack_from(packed)
        return cls(
            at,
            gain,
            loss,
            flags & _LABEL,
            bool(flags & _LEAK),
            packed[_HEAD.size : _HEAD.size + length].decode(),
            flags >> _KIND & _KIND_BITS,
            author,
            copy,
            bool(flags & _WEIGHTY),
            packed[_HEAD.size + length :].decode(),
            bool(flags & _YOUNG),
        )

    def outranks(self, other: Self) -> bool:
        """Tell which of two versions of one post counts, whichever came first.

        The earlier dated one; of two with the same date the graver. A total order, so that
        any sequence of versions ends in the same row.
        """
        return self._rank() > other._rank()

    def _rank(self) -> tuple[int | bool | str, ...]:
        return (-self.at, self.loss, -self.gain, self.leak, -self.label, *self[5:])


class Columns(NamedTuple):
    """Rows as arrays, one entry a row, in the order of event time and then of post id.

    Attributes:
        at: event time, milliseconds.
        gain: evidence for trust before caps, in posts.
        loss: evidence against it before caps, in posts.
        author: pseudonyms; where there is none, a number of its own.
        copy: copy keys; where there is none, a number of its own.
        label: index into `LABELS`.
        leak: whether it speaks of a leak.
        kind: index into `KINDS`.
        weighty: whether it may count as evidence.
        young: whether the author's account is a young one.
        order: where each row stands in the two lists that follow.
        names: ids of the posts, in any order.
        packed: the rows themselves, in that order.
    """

    at: NDArray[np.int64]
    gain: NDArray[np.float64]
    loss: NDArray[np.float64]
    author: NDArray[np.uint64]
    copy: NDArray[np.uint64]
    label: NDArray[np.uint8]
    leak: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    weighty: NDArray[np.bool_]
    young: NDArray[np.bool_]
    order: NDArray[np.intp]
    names: list[str]
    packed: list[bytes]

    def post(self, i: int) -> str:
        """Return the id of the post of entry `i`."""
        return self.names[int(self.order[i])]

    def source(self, i: int) -> str:
        """Return the source of entry `i`."""
        packed = self.packed[int(self.order[i])]
        return packed[_HEAD.size : _HEAD.size + packed[_HEAD.size - 1]].decode()

    def sources(self, chosen: NDArray[np.intp]) -> list[bytes]:
        """Return the sources of entries, undecoded: many are the same."""
        rows = [self.packed[i] for i in self.order[chosen].tolist()]
        return [packed[_HEAD.size : _HEAD.size + packed[_HEAD.size - 1]] for packed in rows]

    def row(self, i: int) -> Row:
        """Return the row of entry `i`."""
        return Row.unpack(self.packed[int(self.order[i])])


def columns(rows: Mapping[str, bytes]) -> Columns:
    """Return packed rows, by post, as arrays."""
    names, packed = list(rows), list(rows.values())
    heads = b"".join([row[: _HEAD.size] for row in packed])
    table = np.frombuffer(heads, dtype=_COLUMNS)
    order = _order(table["at"], names)
    table = table[order]
    flags = table["flags"]
    return Columns(
        at=table["at"].astype(np.int64),
        gain=table["gain"] / UNIT,
        loss=table["loss"] / UNIT,
        author=_own(table["author"]),
        copy=_own(table["copy"]),
        label=flags & np.uint8(_LABEL),
        leak=(flags & np.uint8(_LEAK)) > 0,
        kind=flags >> np.uint8(_KIND) & np.uint8(_KIND_BITS),
        weighty=(flags & np.uint8(_WEIGHTY)) > 0,
        young=(flags & np.uint8(_YOUNG)) > 0,
        order=order,
        names=names,
        packed=packed,
    )


def _order(at: NDArray[np.int64], names: list[str]) -> NDArray[np.intp]:
    """Return the order of event time; posts of the same millisecond are ordered by id."""
    order = np.argsort(at, kind="stable")
    ordered = at[order]
    same = ordered[1:] == ordered[:-1]
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
        order[tied] = sorted(order[tied].tolist(), key=lambda i: (at[i], names[i]))
    return order


def _own(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the keys with a number of its own for each 0."""
    if keys.all():
        return keys.copy()
    return np.where(keys == 0, np.arange(1, len(keys) + 1, dtype=np.uint64), keys)


def instant(at: int) -> datetime:
    """Return milliseconds since 1970 as an instant in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC)


def day_of(at: int) -> int:
    """Return the UTC day of an instant in milliseconds, as days since 1970."""
    return at // DAY
