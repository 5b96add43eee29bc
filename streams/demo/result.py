"""What a run of the demo came to, and whether it is what it must be."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from streams.demo.board import Board, Ends
from streams.demo.story import VICTIM, Story
from streams.demo.worker import Counters
from streams.records import TrustReading

LEAST_FALL: Final = 5.0
"""Points by which the index of the brand whose data leak must fall."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The end of a run."""

    fed: int
    counters: Counters
    ends: Ends
    mentions: int
    missing: dict[str, int]
    readings: dict[str, TrustReading]
    before: float | None
    """Index of the brand whose data leak, before anybody speaks of it; None: unknown."""

    @classmethod
    def of(cls, board: Board, story: Story, *, fed: int, counters: Counters) -> "Result":
        """Return the result of a run."""
        calm = [p.value for p in board.course(VICTIM) if p.at < story.began]
        return cls(
            fed=fed,
            counters=counters,
            ends=board.ends,
            mentions=board.mentions,
            missing=board.missing(),
            readings=dict(sorted(board.readings.items())),
            before=calm[-1] if calm else None,
        )

    @property
    def after(self) -> float | None:
        """The same index at the end."""
        reading = self.readings.get(VICTIM)
        return reading.index if reading and reading.enough else None

    @property
    def leaks(self) -> int:
        """Number of mentions that speak of a leak."""
        return sum(reading.leaks for reading in self.readings.values())

    def problems(self) -> Iterator[str]:
        """Yield what is not as it must be."""
        judged, rejected = self.counters
        if self.ends.posts != self.fed:
            yield f"{self.fed} posts were fed and {self.ends.posts} lie in the topic"
        if judged + rejected != self.fed:
            yield f"{self.fed} posts were fed, {judged} judged and {rejected} rejected"
        if self.ends.rejected != rejected:
            yield f"{rejected} posts were rejected and {self.ends.rejected} lie in their topic"
        for brand, count in self.missing.items():
            yield f"the reading of {brand} is off by {count} posts"
        yield from self._fall()

    def _fall(self) -> Iterator[str]:
        if self.before is None or self.after is None:
            yield f"the index of {VICTIM} is not known before the leak and at the end"
        elif self.before - self.after < LEAST_FALL:
            yield f"the index of {VICTIM} did not fall: {self.before:.1f}, then {self.after:.1f}"

    def lines(self) -> Iterator[str]:
        """Yield the summary, a `key: value` each; the last line holds the numbers for scripts."""
        judged, rejected = self.counters
        yield f"posts fed: {self.fed}"
        yield f"posts judged: {judged}"
        yield f"posts rejected: {rejected}"
        yield f"mentions: {self.mentions}"
        yield f"leak mentions: {self.leaks}"
        for brand, reading in self.readings.items():
            yield f"{brand}: {_told(reading)}"
        yield (
            f"demo: {'failed' if any(self.problems()) else 'ok'} posts={self.fed} judged={judged}"
            f" rejected={rejected} mentions={self.mentions} leaks={self.leaks}"
            f" fell={VICTIM} from={_number(self.before)} to={_number(self.after)}"
        )


def _told(reading: TrustReading) -> str:
    facts = {
        "index": _number(reading.index if reading.enough else None),
        "low": _number(reading.low if reading.enough else None),
        "high": _number(reading.high if reading.enough else None),
        "mood": _number(reading.mood),
        "negative": reading.negative,
        "neutral": reading.neutral,
        "positive": reading.positive,
        "leaks": reading.leaks,
    }
    if leak := reading.latest_leak:
        at = leak.at.astimezone(UTC)
        facts |= {"latest_leak": f"{at:%Y-%m-%dT%H:%M:%SZ}", "source": leak.source}
    return " ".join(f"{name}={fact}" for name, fact in facts.items())


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
