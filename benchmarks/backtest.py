"""How fast `trustwatch backtest` is when the verdicts are known: reading, finding brands, folding.

    python benchmarks/backtest.py           500,000 posts; exits 1 when the held figure is missed
    python benchmarks/backtest.py --quick   50,000 posts; shows the figures and holds none

The command itself is run on a file of posts about 20 brands over 30 days, and on one about 1,000
brands over a week. The first run has a classifier that costs nothing and fills the cache; the runs
that count find every verdict there, as the second run of anybody does. Posts a second are those
that the command prints: reading, folding and writing the report count, starting Python does not.
Runs with and without processes beside it take turns, and their results are compared byte by byte.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.crowd import brands, posts
from benchmarks.lab import Hold, Report, parser
from streams.backtest import FILES

START: Final = datetime(2026, 3, 2, tzinfo=UTC)
_RUN: Final = """
import sys
import models
from streams import finding
from tests.support.free import Free
models.load_classifier = lambda _: Free()
if __name__ == "__main__":
    if sys.argv[1] == "alone":
        finding.WORTH = sys.maxsize
    from streams.cli import main
    main(sys.argv[2:])
"""
_SAID: Final = re.compile(r"([\d,]+) posts;.*?([\d,]+) mentions.*?([\d,]+) known; ([\d.]+) s")


@dataclass(frozen=True)
class History:
    """Posts in a file, and whom they are about."""

    brands: int
    days: int
    posts: int
    folder: Path

    def write(self) -> None:
        """Make the two files."""
        known = brands(self.brands)
        tables = (f'[[brand]]\nid = "{one.id}"\nname = "{one.name}"\n' for one in known)
        (self.folder / "brands.toml").write_text("".join(tables))
        with (self.folder / "posts.jsonl").open("wb") as file:
            span = timedelta(days=self.days)
            for draft in posts(self.posts, about=known, start=START, span=span):
                file.write(draft.value + b"\n")

    def replay(self, how: str) -> tuple[float, int]:
        """Run the command; return posts a second and the number of mentions.

        Args:
            how: `beside` or `alone`.

        Raises:
            RuntimeError: it failed.
        """
        (self.folder / "run.py").write_text(_RUN)
        command = [sys.executable, "run.py", how, "backtest", "posts.jsonl"]
        command += ["--brands", "brands.toml", "--out", how, "--cache", "verdicts.sqlite"]
        root = str(Path(__file__).parents[1])
        env = os.environ | {"PYTHONPATH": root, "TRUSTWATCH_PRIVACY_KEY": "of a benchmark only"}
        done = subprocess.run(
            command, cwd=self.folder, env=env, capture_output=True, text=True, check=False
        )
        said = _SAID.search(done.stdout)
        if done.returncode or not said:
            raise RuntimeError(f"trustwatch backtest ended with {done.returncode}: {done.stderr}")
        read, mentions = (int(said[n].replace(",", "")) for n in (1, 2))
        return read / float(said[4]), mentions

    def same(self) -> bool:
        """Tell whether both ways wrote the same."""
        pairs = ([self.folder / how / name for how in ("beside", "alone")] for name in FILES)
        return all(one.read_bytes() == other.read_bytes() for one, other in pairs)


@contextmanager
def history(number: int, days: int, count: int) -> Iterator[History]:
    """Make a history in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="trustwatch-bench-") as name:
        made = History(number, days, count, Path(name))
        made.write()
        yield made


def measure(made: History, rounds: int) -> dict[str, float | int | str]:
    """Return a row of the table: the best of some rounds each way."""
    _, mentions = made.replay("beside")
    best = {"beside": 0.0, "alone": 0.0}
    for _ in range(rounds):
        for how, before in best.items():
            best[how] = max(before, made.replay(how)[0])
    return {
        "brands": made.brands,
        "days": made.days,
        "mentions": mentions,
        "posts/s": best["beside"],
        "posts/s, one process": best["alone"],
        "ratio": best["beside"] / best["alone"],
        "files": "same" if made.same() else "DIFFER",
    }


def main() -> int:
    """Run it; return the exit code."""
    options = parser(__doc__)
    options.add_argument("--quick", action="store_true", help="a tenth of the posts, one round")
    chosen = options.parse_args()
    count, rounds = (50_000, 1) if chosen.quick else (500_000, 2)
    report = Report("Backtest with known verdicts", f"{count:,} invented posts", chosen.quick)
    report.head()
    rows = []
    for number, days in ((20, 30), (1_000, 7)):
        with history(number, days, count) as made:
            rows.append(measure(made, rounds))
    report.table(rows)
    report.figures["runs"] = rows
    report.holds.append(Hold("posts/s, 20 brands", float(rows[0]["posts/s"]), ">=", 20_000))
    differ = sum(row["files"] != "same" for row in rows)
    report.holds.append(Hold("runs whose files differ", differ, "<=", 0))
    return report.close(chosen.json)


if __name__ == "__main__":
    sys.exit(main())
