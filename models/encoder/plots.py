"""Draws what was measured, as SVG: who is taken for whom, and whether probabilities hold."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from models.encoder.evaluate import LABELS, Report, Score

_SIDE: Final = 320
_EDGE: Final = 70
_DARK: Final = 0.5


def write(report: Report, folder: Path) -> list[Path]:
    """Draw the reliability and the confusion of each task over all languages."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, score in report.scores.items():
        if not name.endswith(", all"):
            continue
        stem = name.removesuffix(", all").replace(", ", "-")
        pictures = {"reliability": reliability(score, name), "confusion": confusion(score, name)}
        for kind, picture in pictures.items():
            path = folder / f"{stem}-{kind}.svg"
            path.write_text(picture, encoding="utf-8")
            paths.append(path)
    return paths


def reliability(score: Score, title: str) -> str:
    """The share that was right by the probability that was given; on the diagonal both agree."""
    most = max((bin_.rows for bin_ in score.reliability), default=1)
    dots = (
        _dot(bin_.sure, bin_.right, 3 + 9 * (bin_.rows / most) ** 0.5) for bin_ in score.reliability
    )
    diagonal = _line(0, 0, 1, 1)
    axes = [
        _text(_EDGE + _SIDE / 2, _EDGE + _SIDE + 40, "probability given"),
        _text(20, _EDGE - 15, "share that was right", anchor="start"),
        *_ticks(),
    ]
    error = f"{title}: calibration error {100 * score.calibration_error:.1f} %, {score.rows} rows"
    return _svg(error, [_frame(), diagonal, *dots, *axes])


def confusion(score: Score, title: str) -> str:
    """Rows by the right label (down) and the label said (across), shaded by share of the right."""
    labels = LABELS[score.task]
    cell = _SIDE / len(labels)
    parts = []
    for row, counts in enumerate(score.confusion):
        parts.append(_text(_EDGE - 8, _EDGE + cell * (row + 0.5), labels[row], anchor="end"))
        parts.append(_text(_EDGE + cell * (row + 0.5), _EDGE - 8, labels[row]))
        parts += _cells(counts, row, cell)
    return _svg(f"{title}: right label down, said across", parts)


def _cells(counts: Sequence[int], row: int, cell: float) -> Iterator[str]:
    total = max(1, sum(counts))
    for column, count in enumerate(counts):
        share = count / total
        x, y = _EDGE + cell * column, _EDGE + cell * row
        yield (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{cell:.1f}" height="{cell:.1f}" '
            f'fill="#1f4e79" fill-opacity="{share:.2f}" stroke="#888"/>'
        )
        colour = "#fff" if share > _DARK else "#222"
        label = f"{count} ({100 * share:.0f} %)"
        yield _text(x + cell / 2, y + cell / 2, label, colour=colour)


def _ticks() -> Iterator[str]:
    for step in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield _text(_EDGE + step * _SIDE, _EDGE + _SIDE + 18, f"{step:g}")
        yield _text(_EDGE - 8, _EDGE + (1 - step) * _SIDE + 4, f"{step:g}", anchor="end")


def _dot(x: float, y: float, radius: float) -> str:
    return (
        f'<circle cx="{_EDGE + x * _SIDE:.1f}" cy="{_EDGE + (1 - y) * _SIDE:.1f}" '
        f'r="{radius:.1f}" fill="#1f4e79" fill-opacity="0.75"/>'
    )


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return (
        f'<line x1="{_EDGE + x * _SIDE:.0f}" y1="{_EDGE + (1 - y) * _SIDE:.0f}" '
        f'x2="{_EDGE + to_x * _SIDE:.0f}" y2="{_EDGE + (1 - to_y) * _SIDE:.0f}" '
        'stroke="#999" stroke-dasharray="4 4"/>'
    )


def _frame() -> str:
    return (
        f'<rect x="{_EDGE}" y="{_EDGE}" width="{_SIDE}" height="{_SIDE}" '
        'fill="none" stroke="#888"/>'
    )


def _text(x: float, y: float, words: str, *, anchor: str = "middle", colour: str = "#222") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(words)}</text>"


def _svg(title: str, parts: Iterable[str]) -> str:
    size = _SIDE + 2 * _EDGE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" '
        f'viewBox="0 0 {size} {size}" font-family="sans-serif" font-size="12" role="img">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{size}" height="{size}" fill="#fff"/>'
        + _text(size / 2, 24, title)
        + "".join(parts)
        + "</svg>\n"
    )
