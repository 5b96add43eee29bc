"""What the topics say: the readings of each brand, and every mention that they must hold."""

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec

from streams.records import Mention, TrustReading

_decode_mention = msgspec.json.Decoder(Mention).decode
_decode_reading = msgspec.json.Decoder(TrustReading).decode


class Point(NamedTuple):
    """An index at an instant of event time; None where there was not enough evidence."""

    at: datetime
    value: float | None


class Ends(NamedTuple):
    """How many records lie in the topics of the demo, and how many wait for the worker."""

    posts: int = 0
    rejected: int = 0
    unread: int = -1
    """Records that the worker has not committed; -1: not known yet."""
    unheard: int = 0
    """Mentions and readings that the board has not heard."""


@dataclass
class Board:
    """The newest reading of each brand, what led to it, and what it must add up to."""

    readings: dict[str, TrustReading] = field(default_factory=dict)
    ends: Ends = field(default_factory=Ends)
    _courses: dict[str, list[Point]] = field(default_factory=lambda: defaultdict(list))
    _rows: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _deleted: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, value: bytes) -> None:
        """Take a record of the topic `trust`; the newest by event time is shown."""
        reading = _decode_reading(value)
        with self._lock:
            known = self.readings.get(reading.brand)
            if known is not None and reading.at < known.at:
                return
            self.readings[reading.brand] = reading
            point = Point(reading.at, reading.index if reading.enough else None)
            self._courses[reading.brand].append(point)

    def mention(self, value: bytes) -> None:
        """Take a record of the topic `mentions`."""
        mention = _decode_mention(value)
        with self._lock:
            if mention.deleted:
                self._deleted.add(mention.post)
            else:
                self._rows[mention.brand].add(mention.post)

    def course(self, brand: str) -> Sequence[Point]:
        """Return the index of a brand over the run."""
        with self._lock:
            return tuple(self._courses[brand])

    @property
    def mentions(self) -> int:
        """Number of posts about brands, counted once for each brand."""
        with self._lock:
            return sum(map(len, self._rows.values()))

    def missing(self) -> dict[str, int]:
        """Return by how many posts the readings are off: too few above zero, too many below.

        A reading counts each post about its brand once, however often it was published, and
        deleted posts not at all.
        """
        with self._lock:
            wanted = {brand: len(posts - self._deleted) for brand, posts in self._rows.items()}
            off = {b: count - counted(self.readings.get(b)) for b, count in wanted.items()}
            return {brand: count for brand, count in off.items() if count}


def counted(reading: TrustReading | None) -> int:
    """Return the number of posts in a reading."""
    return reading.negative + reading.neutral + reading.positive if reading else 0
