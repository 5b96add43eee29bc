"""Workers and brokers killed, frozen and scaled while posts flow: nothing lost, nothing doubled.

    python benchmarks/chaos.py                            all scenarios, three seeds, 50,000 posts
    python benchmarks/chaos.py --scenario kills --seeds 7
    python benchmarks/chaos.py --transport faust          what Faust's own transport loses
    python benchmarks/chaos.py --quick                    one short run of `kills`

After each run the state rebuilt from the changelog, the workers' own state and an offline fold of
the posts must agree in every count and every sum, and nothing may be left to read ("behind"). The
command `trustwatch backtest` must say the same of the posts: readings to 1e-9, every signal.
Exits 1 unless all do; with Faust's own transport, which is there to show the losses, 0.
"""

import shutil
import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.lab import Report, broker, parser
from tests.support.broker import Kafka
from tests.support.chaos import SCENARIOS, Found, Run, describe


def play(kafka: Kafka, folder: Path, options: Namespace, name: str, seed: int) -> Found | None:
    """Play a scenario; return what it found, None when it could not be brought to its end."""
    print(f"\n{name}, seed {seed}: {SCENARIOS[name].__doc__}", flush=True)
    target = folder / f"{name}-{seed}"
    run = Run(
        kafka,
        target,
        scenario=name,
        seed=seed,
        count=options.posts,
        rate=options.rate,
        faust=options.transport == "faust",
        say=lambda what: print(f"  {what}", flush=True),
    )
    try:
        found = run.play(SCENARIOS[name])
    except (AssertionError, OSError) as error:
        print(f"  could not be compared: {error}", flush=True)
        return None
    print(f"  {describe(found)}", flush=True)
    if not found.exact:
        kept = mkdtemp(prefix="trustwatch-chaos-")
        shutil.copytree(target, kept, dirs_exist_ok=True)
        print(f"  what the workers logged is in {kept}", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    return found


def line(name: str, seed: int, found: Found | None) -> dict[str, Any]:
    """Return a line of the table."""
    if found is None:
        blank = dict.fromkeys(line(name, seed, Found(name, seed, "")), "-")
        return {**blank, "scenario": name, "seed": seed, "exact": "no end"}
    return {
        "scenario": name,
        "seed": seed,
        "exact": "yes" if found.exact else "NO",
        "posts": found.posts,
        "mentions": found.mentions,
        "lost": found.lost,
        "doubled": found.doubled,
        "behind": found.behind,
        "differ": found.sums_differ + found.workers_differ,
        "backtest": "DIFFERS" if found.backtest_differs else "same",
        "late": found.late,
        "starts": found.starts,
        "seconds": found.seconds,
    }


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="one seed of kills, 15,000 posts")
    given.add_argument("--scenario", choices=SCENARIOS, nargs="+", help="some of them")
    given.add_argument("--seeds", type=int, nargs="+", metavar="N", help="default 1 2 3")
    given.add_argument("--posts", type=int, metavar="N", help="posts of a run (50,000)")
    given.add_argument("--rate", type=float, metavar="N", help="posts/s (1,000)")
    given.add_argument("--transport", choices=("ours", "faust"), default="ours")
    options = given.parse_args()
    names = options.scenario or (["kills"] if options.quick else list(SCENARIOS))
    seeds = options.seeds or ([1] if options.quick else [1, 2, 3])
    options.posts = options.posts or (15_000 if options.quick else 50_000)
    options.rate = options.rate or 1_000
    data = f"{options.posts:,} generated posts a run at {options.rate:,.0f}/s, 50 brands, crises, "
    data += f"repeats, deletions and rubbish among them; seeds {', '.join(map(str, seeds))}"
    report = Report(f"Chaos, transport: {options.transport}", data, options.quick)
    report.head()
    results = []
    for name in names:
        for seed in seeds:
            # A broker of its own: one that a scenario killed or froze must not mark the next.
            with broker() as (kafka, folder):
                results.append((name, seed, play(kafka, folder, options, name, seed)))
    print()
    report.table([line(*result) for result in results])
    report.figures["runs"] = [found and asdict(found) for *_, found in results]
    report.close(options.json)
    exact = sum(found is not None and found.exact for *_, found in results)
    print(f"{exact} of {len(results)} runs are exact")
    return int(exact < len(results) and options.transport == "ours")


if __name__ == "__main__":
    sys.exit(main())
