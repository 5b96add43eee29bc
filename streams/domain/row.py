"""A row: what one post adds to one brand, packed in a few bytes."""

from struct import Struct
from typing import NamedTuple, Self

UNIT = 10_000
"""Evidence is kept in ten-thousandths, as whole numbers: sums of them are exact in any order."""

HOUR = 3_600_000
"""Milliseconds in an hour."""

DAY = 24 * HOUR
"""Milliseconds in a day."""

LABELS = ("negative", "neutral", "positive")

_HEAD = Struct("<qHHB")
_LEAK = 0b100


class Row(NamedTuple):
    """The evidence of one post about one brand.

    Attributes:
        at: event time, milliseconds since 1970, UTC.
        gain: evidence for trust, 0 to `UNIT`.
        loss: evidence against it, 0 to `UNIT`.
        label: the likeliest sentiment, an index into `LABELS`.
        leak: whether the post speaks of a leak.
        source: where the post came from.
    """

    at: int
    gain: int
    loss: int
    label: int
    leak: bool
    source: str

    def pack(self) -> bytes:
        """Return the row as it stands in memory and in the changelog."""
        flags = self.label | (_LEAK if self.leak else 0)
        return _HEAD.pack(self.at, self.gain, self.loss, flags) + self.source.encode()

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Return the row that `pack` wrote.

        >>> Row.unpack(Row(0, 9000, 500, 2, False, "forum").pack()).source
        'forum'
        """
        at, gain, loss, flags = _HEAD.unpack_from(packed)
        return cls(at, gain, loss, flags & 0b11, bool(flags & _LEAK), packed[_HEAD.size :].decode())

    def outranks(self, other: Self) -> bool:
        """Tell which of two versions of one post counts, whichever came first.

        The earlier dated one; of two with the same date the graver. A total order, so that
        any sequence of versions ends in the same row.
        """
        return self._rank() > other._rank()

    def _rank(self) -> tuple[int, int, int, bool, int, str]:
        return (-self.at, self.loss, -self.gain, self.leak, -self.label, self.source)


def day_of(at: int) -> int:
    """Return the UTC day of an instant in milliseconds, as days since 1970."""
    return at // DAY
