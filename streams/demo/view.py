"""The live view: the trust index of each brand as the story goes on, in 80 columns and 24 lines.

Colours are those of the terminal's own palette that stay readable on dark and on light: red for
what is bad, green for what is good; and none stands alone for what it means.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from streams.demo.board import Point
from streams.demo.frame import Frame, Row
from streams.records import TrustReading

BARS: Final = "▁▂▃▄▅▆▇█"
UNKNOWN: Final = "·"
ARROWS: Final = {-1: "▼", 0: " ", 1: "▲"}
COLOURS: Final = {-1: "red", 0: "default", 1: "green"}
STEP: Final = 10.0
"""The ends of the spark lines' scale are multiples of this; it is the same for all brands."""
TREND: Final = timedelta(hours=24)
"""Event time over which an index rises or falls."""
TOO_LITTLE: Final = "not enough evidence"

_NARROWEST, _WIDEST = 8, 48
_FULL: Final = 76
"""Columns from which on there is room for all of the table."""
# What the other columns take, with the spaces between them.
_OTHERS: Final = 65
_FEW: Final = 31
_CLOCK: Final = "%a %d %b %H:%M"
_WHEN: Final = "%a %H:%M"


def picture(frame: Frame, *, width: int) -> RenderableType:
    """Return the view of a frame for a terminal of `width` columns."""
    return Padding(
        Group(
            _head(frame, width - 2),
            _feed(frame, width - 2),
            Text(),
            _table(frame, width - 2),
            Text(),
            *_story(frame),
            *_foot(frame),
        ),
        (0, 1),
    )


def _head(frame: Frame, width: int) -> RenderableType:
    head = Table.grid(expand=False, padding=0)
    head.add_column(width=width - 16)
    head.add_column(width=16, justify="right", no_wrap=True)
    clock = frame.clock.strftime(_CLOCK) if frame.clock else ""
    head.add_row(Text.assemble(("Trustwatch", "bold"), "  ", frame.doing), Text(clock, "bold"))
    return head


def _feed(frame: Frame, width: int) -> Text:
    """Return how far the feed is, as a bar and in numbers."""
    numbers = f" {frame.fed}/{frame.total} fed, {frame.judged} judged, {frame.rate:.0f}/s"
    if frame.rejected:
        numbers += f", {frame.rejected} rejected"
    room = max(8, width - len(numbers))
    done = round(room * frame.fed / frame.total) if frame.total else 0
    line = Text("━" * done, "green")
    line.append("━" * (room - done), "dim")
    return line.append(numbers, "default")


def _table(frame: Frame, width: int) -> Table:
    full = width >= _FULL
    wide = min(_WIDEST, max(_NARROWEST, width - (_OTHERS if full else _FEW)))
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("brand", no_wrap=True)
    table.add_column("trust index", width=11)
    table.add_column("three days", width=wide, no_wrap=True)
    table.add_column("leak", justify="right", no_wrap=True)
    if full:
        table.add_column("latest leak", width=11, overflow="fold")
        table.add_column("mood", justify="right", no_wrap=True)
        for sign in ("-", "=", "+"):
            table.add_column(sign, justify="right", min_width=3, no_wrap=True)
    ends = scale([row.course for row in frame.rows])
    for row in frame.rows:
        bars = spark(row.course, frame.span, width=wide, ends=ends)
        table.add_row(*_cells(row, bars)[: len(table.columns)])
    return table


def _cells(row: Row, bars: str) -> list[RenderableType]:
    reading, name = row.reading, Text(row.name, "bold")
    if reading is None:
        return [name, Text("no post yet", "dim")]
    moved = direction(reading, row.course)
    return [
        name,
        _index(reading, moved),
        Text(bars, COLOURS[moved]),
        Text(str(reading.leaks), "bold red" if reading.leaks else "dim"),
        _leak(reading),
        Text(f"{reading.mood:.0f}"),
        Text(str(reading.negative), "red"),
        Text(str(reading.neutral)),
        Text(str(reading.positive), "green"),
    ]


def _index(reading: TrustReading, moved: int) -> Text:
    if not reading.enough:
        return Text(TOO_LITTLE, "dim")
    return Text.assemble(
        (f"{reading.index:.0f}", f"bold {COLOURS[moved]}"),
        (f" {ARROWS[moved]} ", COLOURS[moved]),
        f"{reading.low:.0f}-{reading.high:.0f}",
    )


def _leak(reading: TrustReading) -> Text:
    leak = reading.latest_leak
    if leak is None:
        return Text("none", "dim")
    return Text(f"{leak.at.strftime(_WHEN)}\n{leak.source}")


def _story(frame: Frame) -> list[Text]:
    return [Text.assemble(("now  ", "dim"), (frame.happening, "bold"))] if frame.happening else []


def _foot(frame: Frame) -> list[Text]:
    lines = [Text.assemble((f"{what}  ", "dim"), where) for what, where in frame.places.items()]
    if frame.hints:
        lines += [Text(), Text("try next, in another terminal:")]
        lines += [Text(f"  {hint}", overflow="fold") for hint in frame.hints]
    return lines


def scale(courses: Sequence[Sequence[Point]]) -> tuple[float, float]:
    """Return the indices that the lowest and the highest bar stand for.

    >>> from datetime import UTC, datetime
    >>> now = datetime.now(UTC)
    >>> scale([[Point(now, 41.5), Point(now, None)], [Point(now, 62.0)]])
    (40.0, 70.0)
    """
    values = [p.value for course in courses for p in course if p.value is not None] or [0.0]
    return min(values) // STEP * STEP, (max(values) // STEP + 1) * STEP


def spark(
    course: Sequence[Point],
    span: tuple[datetime, datetime],
    *,
    width: int,
    ends: tuple[float, float],
) -> str:
    """Return the course of an index as bars, one for each part of the span that has come.

    A part without a reading of its own shows the one before; a dot stands for too little evidence.
    """
    bars: list[str] = []
    for point in course:
        place = int((point.at - span[0]) / (span[1] - span[0]) * width)
        place = min(max(place, 0), width - 1)
        bars += (bars[-1:] or [UNKNOWN]) * (place + 1 - len(bars))
        bars[-1] = _bar(point.value, ends)
    return "".join(bars)


def _bar(value: float | None, ends: tuple[float, float]) -> str:
    if value is None:
        return UNKNOWN
    share = (value - ends[0]) / (ends[1] - ends[0])
    return BARS[min(max(int(share * len(BARS)), 0), len(BARS) - 1)]


def direction(reading: TrustReading, course: Sequence[Point]) -> int:
    """Return whether an index has risen (1), fallen (-1) or neither (0) within `TREND`.

    A movement counts when it leads further than the index is uncertain now.
    """
    since = reading.at - TREND
    known = [(point.at, point.value) for point in course if point.value is not None]
    before = [value for at, value in known if at <= since] or [value for _, value in known[:1]]
    if not before or not reading.enough:
        return 0
    return (before[-1] < reading.low) - (before[-1] > reading.high)
