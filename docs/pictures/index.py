"""Draws the pictures of docs/trust-index.md, and writes its tables of constants.

python docs/pictures/index.py
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from inspect import getsource
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from streams.domain.evidence import Caps, Weights
from streams.domain.stories import Shocks
from streams.domain.trust import Rule
from streams.domain.tuning import Tuning

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "trust-index.md"
BEGIN, END = "<!-- constants: written by docs/pictures/index.py -->", "<!-- end of constants -->"
TABLES = {
    "The index": Rule,
    "What lets a post weigh less": Weights,
    "Caps": Caps,
    "Leak stories": Shocks,
    "Detectors": Tuning,
}
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 260, 44, 36, 30
COLOURS = ("#3b7dd8", "#d9822b", "#4c9a5b", "#b0589b")
# Pictures are shown on light and on dark pages: lines have colours that both bear.
STYLE = """\
text { font: 12px system-ui, sans-serif; fill: #444; }
.axis { stroke: #999; stroke-width: 1; fill: none; }
.grid { stroke: #999; stroke-width: 0.5; opacity: 0.4; }
.line { fill: none; stroke-width: 2; }
.band { opacity: 0.18; stroke: none; }
@media (prefers-color-scheme: dark) { text { fill: #ccc; } }
"""


# ------------------------------------------------------------------------------------ constants


def tables() -> str:
    """Return every constant with its default and its reason, as the dataclasses tell them."""
    return "\n\n".join(f"### {head}\n\n{_table(kind)}" for head, kind in TABLES.items())


def _table(kind: type) -> str:
    told = dict(_docs(kind))
    rows = [
        f"| `{field.name}` | {_default(field.default)} | {told[field.name]} |"
        for field in fields(kind)
        if field.default is not MISSING
    ]
    return "\n".join(
        [
            "| constant | value | what it is, and what changes when it moves |",
            "|---|---|---|",
            *rows,
        ]
    )


def _default(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(f"{one:g}" for one in value) or "none"
    return f"{value:g}"


def _docs(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the names of a dataclass' fields and the strings below them."""
    (tree,) = ast.parse(getsource(kind)).body
    body = getattr(tree, "body", [])
    for field, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = below.value.value if isinstance(below, ast.Expr) else ""  # type: ignore[attr-defined]
            yield field.target.id, " ".join(text.split()).replace("|", "/")


def written(page: str) -> str:
    """Return the page with its constants as they are now."""
    head, _, rest = page.partition(BEGIN)
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"


# ------------------------------------------------------------------------------------- pictures


class Line(NamedTuple):
    """A line of a chart, and the band around it if there is one."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


class Chart(NamedTuple):
    """A chart: what its axes are called and reach, and its lines."""

    title: str
    unit: str
    x: tuple[float, float]
    y: tuple[float, float]
    lines: Sequence[Line]
    step: float = 20.0

    def svg(self) -> str:
        """Return it as a picture that needs nothing else."""
        parts = [*self._axes(), *self._drawn()]
        head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg">'
        title = f"<title>{self.title}</title>"
        return "\n".join([head, title, f"<style>\n{STYLE}</style>", *parts, "</svg>\n"])

    def _at(self, x: float, y: float) -> tuple[float, float]:
        right = (x - self.x[0]) / (self.x[1] - self.x[0]) * (WIDTH - LEFT - 12)
        up = (y - self.y[0]) / (self.y[1] - self.y[0]) * (HEIGHT - BOTTOM - TOP)
        return round(LEFT + right, 1), round(HEIGHT - BOTTOM - up, 1)

    def _axes(self) -> Iterator[str]:
        left, bottom = self._at(self.x[0], self.y[0])
        right, top = self._at(self.x[1], self.y[1])
        value = self.y[0]
        while value <= self.y[1]:
            y = self._at(0, value)[1]
            yield f'<path class="grid" d="M{left} {y}H{right}"/>'
            yield f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>'
            value += self.step
        yield f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>'
        for part, anchor in enumerate(["middle"] * 4 + ["end"]):
            at = self.x[0] + part / 4 * (self.x[1] - self.x[0])
            x = self._at(at, 0)[0]
            yield f'<text x="{x}" y="{bottom + 16}" text-anchor="{anchor}">{at:g}</text>'
        yield f'<text x="{right}" y="{bottom + 31}" text-anchor="end">{self.unit}</text>'

    def _drawn(self) -> Iterator[str]:
        x = float(LEFT)
        for line, colour in zip(self.lines, COLOURS, strict=False):
            if line.low:
                edge = [*zip(line.x, line.high, strict=True)]
                edge += [*zip(line.x, line.low, strict=True)][::-1]
                yield f'<polygon class="band" fill="{colour}" points="{self._points(edge)}"/>'
            points = self._points([*zip(line.x, line.y, strict=True)])
            yield f'<polyline class="line" stroke="{colour}" points="{points}"/>'
            yield f'<path class="line" stroke="{colour}" d="M{x} 15h16"/>'
            yield f'<text x="{x + 21}" y="19">{line.name}</text>'
            x += 40 + 6.3 * len(line.name)

    def _points(self, points: Sequence[tuple[float, float]]) -> str:
        return " ".join("{},{}".format(*self._at(*point)) for point in points)


def pictures() -> Iterator[tuple[str, Chart]]:
    """Yield the pictures, by the name of their file."""
    from benchmarks import index as bench  # noqa: PLC0415 -- the tables do without

    posts, calm, _ = bench.attacked(bench.SEED)
    days = [n / 4 for n in range(-8, 57)]
    moods = (("two days of blame", (0.0, 1.0)), ("two days of praise", (1.0, 0.0)))
    crowds = [
        _course(bench, name, days, [*calm, *posts.steady(bench.Kind("", *kind), 120, 122, 500)])
        for name, kind in moods
    ]
    yield "crowd", Chart("Five times the volume", "days", (-2, 14), (0, 100), crowds)
    farms = [
        _course(bench, name, days, [*calm, *posts.bots(count, 120, 2, mood=1)])
        for name, count in (
            ("no bots", 0),
            ("11 of 224 accounts", 11),
            ("174 of 387 accounts", 174),
        )
    ]
    yield "bots", Chart("Bots over two days", "days", (-2, 14), (0, 100), farms)
    yield "silence", _silence(bench)
    yield "labels", _labels(bench)


def _course(bench: Any, name: str, days: Sequence[float], rows: Sequence[Any]) -> Line:
    made = bench.ledger(rows)
    seen = [
        bench.view(
            "acme",
            made,
            at=bench.START + int((bench.CALM + day) * bench.DAY),
            rule=bench.RULE,
            balance=bench.BALANCE,
        ).reading
        for day in days
    ]
    index, low, high = (
        [float(getattr(one, what)) for one in seen] for what in ("index", "low", "high")
    )
    return Line(name, days, index, low, high)


def _silence(bench: Any) -> Chart:
    days, lines = list(range(0, 201, 4)), []
    for each in (2, 20):
        rng = bench.np.random.default_rng(bench.SEED)
        made = bench.ledger(bench.Posts(rng).steady(bench.KINDS[0], 0, 600, each))
        index = [bench.index(made, 600 + day) for day in days]
        lines.append(Line(f"{each} posts a day until then", days, index))
    return Chart("Silence", "days of silence", (0, 200), (40, 90), lines, 10)


def _labels(bench: Any) -> Chart:
    shares, lines = (0, 5, 10, 20, 25, 30, 40), []
    for kind in bench.KINDS:
        index = []
        for share in shares:
            posts = bench.Posts(bench.np.random.default_rng(bench.SEED))
            made = bench.ledger(posts.steady(kind, 0, bench.CALM, 100, share / 100))
            index.append(bench.index(made, bench.CALM))
        lines.append(Line(f"a {kind.name} brand", shares, index))
    return Chart("Wrong labels", "% of labels flipped", (0, 40), (0, 100), lines)


def main() -> int:
    """Write pictures and constants."""
    for name, chart in pictures():
        path = FOLDER / f"index-{name}.svg"
        path.write_text(chart.svg(), "utf-8")
        print(path)
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
