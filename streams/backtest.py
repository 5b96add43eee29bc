"""A backtest: posts from files through the judge and the fold, offline, into files and a report."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import msgspec

from models import Classifier
from streams.domain.brands import Brand
from streams.domain.row import HOUR, day_of
from streams.errors import InputError, RejectedError
from streams.feed import Bad, Item, Place, Reader
from streams.history import History, replay
from streams.pipeline import Judge, Judged, millis
from streams.records import Incident, Mention, Reading, Signal, Verdict
from streams.settings import Settings
from streams.sweep import Point, Watched
from streams.terms import rule_of, tuned

FILES: Final = ("readings.jsonl", "signals.jsonl", "incidents.jsonl", "report.html")
"""What a backtest writes."""

EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""A post that is dated outside of these is a slip, and would stretch the history over ages."""

EPOCH: Final = date(1970, 1, 1)

_BATCH: Final = 1_024
"""Posts judged together."""
_READING: Final = (
    *("brand", "at", "index", "low", "high", "enough", "capital", "mood_loss", "shocks"),
)
_SIGNAL: Final = ("brand", "at", "detector", "channel", "why", "posts")

_encode = msgspec.json.Encoder().encode


class Line(NamedTuple):
    """A line as the judge takes it: a record that was received when its post was created."""

    place: Place
    value: bytes
    timestamp: int
    offset: int
    topic: str = "posts"
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Tally:
    """What has been read so far."""

    lines: int = 0
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

    def note(self, item: Item) -> None:
        """Count a line that holds a post."""
        name = hash(item.id)
        if name in self.seen:
            self.again += 1
        else:
            self.seen.add(name)
            self.posts += 1

    def span(self, mention: Mention) -> None:
        """Take note of when a mention counts."""
        self.mentions += 1
        at = millis(mention.at)
        self.first = at if self.first is None else min(self.first, at)
        self.last = at if self.last is None else max(self.last, at)

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
        for one in self.history.brands:
            mine = [signal.channel for signal in self.history.signals if signal.brand == one.brand]
            posts = int(one.negative.sum() + one.neutral.sum() + one.positive.sum())
            known = len(one.at) and one.enough[-1]
            index = f"{one.index[-1]:.0f}" if known else "unknown"
            counts = (f"{mine.count(name):,}" for name in ("page", "ticket", "digest"))
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
    reader: Reader,
    judge: Judge,
    *,
    tally: Tally,
    report: Callable[[Tally], None],
    complain: Callable[[Bad], None],
) -> Iterator[Mention]:
    """Yield what the posts of some files say about the brands.

    Args:
        reader: the files.
        judge: judges them.
        tally: kept up to date.
        report: called after each batch.
        complain: called with each line that is no post or cannot be judged.

    Raises:
        InputError: a file is damaged.
    """

    def refuse(bad: Bad) -> None:
        tally.bad += 1
        complain(bad)

    lines = _lines(reader, tally, refuse)
    while batch := list(islice(lines, _BATCH)):
        out = _result(judge(batch))
        for letter in out.letters:
            refuse(Bad(letter.record.place, f"{letter.reason}: {letter.detail}"))
        for mention in out.mentions:
            tally.span(mention)
            yield mention
        report(tally)


def _result(judging: Coroutine[Any, Any, Judged]) -> Judged:
    """Run a coroutine that has nothing to wait for; an event loop would only cost time."""
    try:
        judging.send(None)
    except StopIteration as done:
        return cast("Judged", done.value)
    raise RuntimeError("offline, nothing can be waited for")


def _lines(reader: Reader, tally: Tally, refuse: Callable[[Bad], None]) -> Iterator[Line]:
    for number, item in enumerate(reader):
        tally.lines += 1
        if isinstance(item, Bad):
            refuse(item)
        elif not EARLIEST <= item.created_at < LATEST:
            years = f"{EARLIEST.year} to {LATEST.year - 1}"
            refuse(Bad(item.place, f"dated {item.created_at.year:04}; posts are of {years}"))
        else:
            tally.note(item)
            yield Line(item.place, item.value, millis(item.created_at), number)


def at_once(classifier: Classifier) -> Callable[..., Awaitable[Any]]:
    """Return a classifier as the judge takes it: it answers without waiting."""

    async def classify(texts: Sequence[str]) -> list[Verdict | RejectedError]:
        return classifier.classify(texts)

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
