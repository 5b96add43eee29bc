"""A backtest: posts from files through the judge and the fold, offline, into files and a report."""

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from models import Brands, Classifier
from streams.domain.brands import Brand
from streams.domain.row import HOUR, day_of
from streams.errors import InputError, RejectedError
from streams.finding import Batch, Found
from streams.history import History, replay
from streams.pipeline import Judge, Judged, millis
from streams.reader import Bad
from streams.records import Incident, Mention, Reading, Signal, Verdict
from streams.settings import Settings
from streams.sweep import Point, Watched
from streams.terms import rule_of, tuned

FILES: Final = ("readings.jsonl", "signals.jsonl", "incidents.jsonl", "report.html")
"""What a backtest writes."""

EPOCH: Final = date(1970, 1, 1)

_READING: Final = (
    *("brand", "at", "index", "low", "high", "enough", "capital", "mood_loss", "shocks"),
)
_SIGNAL: Final = ("brand", "at", "detector", "channel", "why", "posts")

_encode = msgspec.json.Encoder().encode


@dataclass
class Tally:
    """What has been read so far."""

    posts: int = 0
    """Posts, those with one id being one."""
    again: int = 0
    """Lines that have the id of a line before them: deletions, repeats, newer versions."""
    bad: int = 0
    mentions: int = 0
    first: int | None = None
    last: int | None = None
    """Event time of the earliest and of the latest post about a brand, in milliseconds."""
    seen: set[int] = field(default_factory=set, repr=False)

    def note(self, ids: Sequence[str]) -> None:
        """Count the lines that hold posts with these ids."""
        before = len(self.seen)
        self.seen.update(map(hash, ids))
        fresh = len(self.seen) - before
        self.posts += fresh
        self.again += len(ids) - fresh

    def span(self, mentions: Sequence[Mention]) -> None:
        """Take note of when mentions count."""
        self.mentions += len(mentions)
        if mentions:
            first, last = min(one.at for one in mentions), max(one.at for one in mentions)
            self.first = min(millis(first), self.first or millis(first))
            self.last = max(millis(last), self.last or millis(last))

    @property
    def days(self) -> int:
        """Days from the earliest post about a brand to the latest, both included."""
        if self.first is None or self.last is None:
            return 0
        return day_of(self.last) - day_of(self.first) + 1

    def day(self, day: date) -> int:
        """Return the place of a day among them, from 1."""
        return (day - EPOCH).days - day_of(self.first or 0) + 1


class Folded(NamedTuple):
    """What a history comes to, and how to raise its alarms again."""

    history: History
    alarms: Callable[[float], Sequence[Signal]]
    """Takes the page threshold."""

    @property
    def version(self) -> str:
        """Of the index."""
        return next((one.version for one in self.history.readings), "")

    def watched(self) -> list[Watched]:
        """Return from when to when each brand was watched."""
        return [
            Watched(one.brand, int(one.hours[0]), int(max(one.hours[-1] + HOUR, *one.at[-1:])))
            for one in self.history.brands
            if len(one.hours)
        ]

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield for each brand its id, posts, index at the end, pages, tickets and digests."""
        signals = Counter((one.brand, one.channel) for one in self.history.signals)
        for one in self.history.brands:
            posts = int(one.negative.sum() + one.neutral.sum() + one.positive.sum())
            known = len(one.at) and one.enough[-1]
            index = f"{one.index[-1]:.0f}" if known else "unknown"
            counts = (f"{signals[one.brand, name]:,}" for name in ("page", "ticket", "digest"))
            yield (one.brand, f"{posts:,}", index, *counts)


def fold(
    mentions: Iterable[Mention],
    *,
    brands: Sequence[Brand],
    settings: Settings,
    on_day: Callable[[date], None],
) -> Folded:
    """Fold mentions into a history: the one place that knows how that is called."""
    history = replay(
        mentions,
        brands=brands,
        rule=rule_of(settings.trust),
        tuning=tuned(settings.alarms.page),
        on_day=on_day,
    )
    return Folded(history, lambda page: history.alarms(tuned(page)))


def judged(
    found: Iterable[tuple[Batch, Found]],
    judge: Judge,
    *,
    tally: Tally,
    report: Callable[[Tally], None],
    complain: Callable[[Bad], None],
) -> Iterator[Mention]:
    """Yield what posts say about the brands that were found in them.

    Args:
        found: batches of lines, and what is in them.
        judge: judges the posts.
        tally: kept up to date.
        report: called after each batch.
        complain: called with each line that is no post or cannot be judged.

    Raises:
        InputError: a file is damaged.
    """
    for batch, one in found:
        out = Judged(mentions=one.deleted)
        _run(judge.judge([(batch.places[number], named) for number, named in one.named], out))
        bad = [*batch.bad, *(Bad(batch.places[number], why) for number, why in one.refused)]
        bad += [Bad(letter.record, f"{letter.reason}: {letter.detail}") for letter in out.letters]
        for line in bad:
            complain(line)
        tally.bad += len(bad)
        tally.note(one.ids)
        tally.span(out.mentions)
        yield from out.mentions
        report(tally)


def _run(judging: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that has nothing to wait for; an event loop would only cost time."""
    try:
        judging.send(None)
    except StopIteration:
        return
    raise RuntimeError("offline, nothing can be waited for")


def at_once(classifier: Classifier) -> Callable[..., Awaitable[Any]]:
    """Return a classifier as the judge takes it: it answers without waiting."""

    async def classify(
        texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        return classifier.classify(texts, brands=brands)

    return classify


def prepared(out: Path) -> Path:
    """Make the folder for the results, and make sure that it can be written to.

    Raises:
        InputError: it cannot.
    """
    probe = out / ".trustwatch-probe"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"--out {out}: {reason}: name a folder that can be written to") from error
    return out


def write(out: Path, name: str, content: Iterable[bytes]) -> None:
    """Write a file in one go: whoever reads it sees the old one or the new one.

    Raises:
        InputError: it cannot be written.
    """
    part = out / f"{name}.part"
    try:
        with part.open("wb") as file:
            file.writelines(content)
        part.replace(out / name)
    except OSError as error:
        raise InputError(f"{out / name}: {error.strerror or type(error).__name__}") from error


def readings(records: Iterable[Reading]) -> Iterator[bytes]:
    """Yield readings as lines, by time and brand."""
    for one in sorted(records, key=lambda one: (one.at, one.brand)):
        yield _line(one, _READING)


def signals(records: Iterable[Signal]) -> Iterator[bytes]:
    """Yield signals as lines, by time and brand."""
    for one in sorted(records, key=lambda one: (one.at, one.brand, one.id)):
        yield _line(one, _SIGNAL)


def incidents(records: Iterable[Incident]) -> Iterator[bytes]:
    """Yield incidents as lines, by the time of their first post and brand."""
    for one in sorted(records, key=lambda one: (one.first_seen, one.brand, one.incident)):
        yield _line(one, ())


def points(records: Iterable[Point]) -> Iterator[bytes]:
    """Yield what thresholds come to, as lines."""
    for one in records:
        named = one._asdict() | {"per_90_days": round(90 * one.daily, 6)}
        yield _encode(named) + b"\n"


def _line(record: msgspec.Struct, first: Sequence[str]) -> bytes:
    """Return a record as a line, with some of its fields first."""
    names = dict.fromkeys((*first, *record.__struct_fields__))
    return _encode({name: getattr(record, name) for name in names}) + b"\n"
