"""Arrays as paths of an SVG: few points, every extreme kept, whole numbers for a small file."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.report.scales import WIDTH, Scale, Span

HEIGHT: Final = 1000
"""Units of a drawing from bottom to top."""
BUCKETS: Final = 500
"""Parts into which a long line is cut; each keeps its lowest and its highest point."""
BARS: Final = 160
"""Most bars side by side."""
BINS: Final = (1, 2, 3, 6, 12, 24, 48, 168, 336, 720, 2160, 8760)
"""Hours that a bar may stand for."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def edges(count: int) -> Ints:
    """Return where the parts of a line of `count` points begin.

    >>> edges(3).tolist(), len(edges(100_000))
    ([0, 1, 2], 500)
    """
    parts = min(count, BUCKETS)
    return (np.arange(parts) * count // max(parts, 1)).astype(np.int64)


def extremes(values: Floats) -> Ints:
    """Return which points of a line to keep, in order: the lowest and the highest of each part.

    >>> extremes(np.array([1.0, 5.0, 2.0])).tolist()
    [0, 1, 2]
    """
    if len(values) <= 2 * BUCKETS:
        return np.arange(len(values))
    bounds = [*edges(len(values)).tolist(), len(values)]
    kept = {0, len(values) - 1}
    for low, high in pairwise(bounds):
        part = values[low:high]
        kept |= {low + int(part.argmin()), low + int(part.argmax())}
    return np.array(sorted(kept), dtype=np.int64)


def line(scale: Scale, at: Ints, values: Floats, *, top: float, shown: Bools) -> str:
    """Return a line that is broken where it is not shown."""
    kept = extremes(values)
    xs, ys = _across(scale, at[kept]), _up(values[kept], top)
    return "".join(_open(xs[run], ys[run]) for run in runs(shown[kept]))


def band(scale: Scale, at: Ints, low: Floats, high: Floats, *, top: float, shown: Bools) -> str:
    """Return the area between two lines, where it is shown."""
    parts = edges(len(at))
    if not len(parts):
        return ""
    xs = _across(scale, at[parts])
    lows = _up(np.minimum.reduceat(low, parts), top)
    highs = _up(np.maximum.reduceat(high, parts), top)
    seen = np.logical_and.reduceat(shown, parts)
    return "".join(_closed(xs[run], lows[run], highs[run]) for run in runs(seen))


def layers(scale: Scale, at: Ints, *series: Floats, top: float) -> list[str]:
    """Return areas stacked on one another; of each part the step with the highest stack."""
    parts = edges(len(at))
    if not len(parts):
        return ["" for _ in series]
    total = np.sum(series, axis=0)
    bounds = [*parts.tolist(), len(at)]
    kept = [a + int(total[a:b].argmax()) for a, b in pairwise(bounds)]
    xs = _across(scale, at[parts])
    stack = [np.zeros(len(kept)), *np.cumsum([one[kept] for one in series], axis=0)]
    ys = [_up(one, top) for one in stack]
    return [_closed(xs, under, over) for under, over in pairwise(ys)]


def binned(scale: Scale, hours: Ints, *series: Ints) -> tuple[int, Ints, list[Ints]]:
    """Return how many hours a bar stands for, when the bars begin, and the sums in them."""
    from_hours = [size for size in BINS if scale.length / 3_600_000 / size <= BARS]
    size = from_hours[0] if from_hours else BINS[-1]
    starts, where = np.unique(hours // (size * 3_600_000), return_inverse=True)
    sums = [np.bincount(where, one, len(starts)).astype(np.int64) for one in series]
    return size, starts * size * 3_600_000, sums


def bars(scale: Scale, starts: Ints, size: int, series: list[Ints], *, top: float) -> list[str]:
    """Return stacked bars, a path for each series."""
    left = _across(scale, starts)
    right = _across(scale, starts + size * 3_600_000)
    # A gap where there is room for one; a bar is seen even where there is none.
    width = np.maximum(right - left - np.where(right - left > 8, 2, 0), 2)  # noqa: PLR2004
    stack = [np.zeros(len(starts)), *np.cumsum(series, axis=0)]
    ys = [_up(one.astype(np.float64), top) for one in stack]
    return [
        "".join(
            f"M{x} {low}v{high - low}h{wide}v{low - high}z"
            for x, wide, low, high in zip(
                *(a.tolist() for a in (left, width, under, over)), strict=True
            )
            if low != high
        )
        for under, over in pairwise(ys)
    ]


def hidden(scale: Scale, at: Ints, shown: Bools) -> list[Span]:
    """Return the parts of the axis where nothing is shown: from the last point to the next."""
    parts = edges(len(at))
    if not len(parts):
        return [Span(0.0, 100.0)]
    seen = np.logical_and.reduceat(shown, parts)
    spans = [scale.span(scale.start, int(at[0]))]
    ends = [*at[parts].tolist(), int(at[-1])]
    spans += [scale.span(ends[max(run.start - 1, 0)], ends[run.stop]) for run in runs(~seen)]
    return [span for span in _joined(spans) if span.width > 0]


def _joined(spans: list[Span]) -> Iterator[Span]:
    """Yield spans with those made one that touch."""
    held = spans[0]
    for span in spans[1:]:
        if span.left <= held.left + held.width + 0.01:
            held = Span(held.left, max(held.width, round(span.left + span.width - held.left, 2)))
        else:
            yield held
            held = span
    yield held


def runs(flags: Bools) -> list[slice]:
    """Return where flags are set without a break.

    >>> runs(np.array([True, True, False, True]))
    [slice(0, 2, None), slice(3, 4, None)]
    """
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    starts, ends = np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1)
    return [slice(int(a), int(b)) for a, b in zip(starts, ends, strict=True)]


def ceiling(highest: float, *, least: float = 1.0) -> float:
    """Return a round number to end an axis with.

    >>> ceiling(37), ceiling(8), ceiling(0), ceiling(1_010)
    (40.0, 8.0, 1.0, 1500.0)
    """
    highest = max(highest, least)
    power = 10.0 ** np.floor(np.log10(highest))
    steps = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
    return float(next(step * power for step in steps if step * power >= highest - 1e-9))


def _across(scale: Scale, at: Ints) -> Ints:
    share = np.clip((at - scale.start) / scale.length, 0, 1)
    return np.rint(share * WIDTH).astype(np.int64)


def _up(values: Floats, top: float) -> Ints:
    return np.rint(HEIGHT * (1 - np.clip(values / top, 0, 1))).astype(np.int64)


def _open(xs: Ints, ys: Ints) -> str:
    if len(xs) == 1:
        return f"M{xs[0]} {ys[0]}h1"
    return f"M{xs[0]} {ys[0]}l{_moves(xs, ys)}"


def _closed(xs: Ints, lows: Ints, highs: Ints) -> str:
    if len(xs) == 1:
        return f"M{xs[0]} {lows[0]}V{highs[0]}h2V{lows[0]}z"
    return f"M{xs[0]} {highs[0]}l{_moves(xs, highs)}V{lows[-1]}l{_moves(xs[::-1], lows[::-1])}z"


def _moves(xs: Ints, ys: Ints) -> str:
    """Return steps from each point to the next, signs standing for blanks where they can."""
    steps = np.column_stack([np.diff(xs), np.diff(ys)]).ravel().tolist()
    return " ".join(map(str, steps)).replace(" -", "-")
