"""Posts a second through both stages, against a plain aiokafka loop that does the same work.

    python benchmarks/throughput.py                  bare and ours in turns; exits 1 on a miss
    python benchmarks/throughput.py --faust --apart  Faust's own consumer too; each stage alone too
    python benchmarks/throughput.py --model          with the model, against that model alone
    python benchmarks/throughput.py --profile        where a worker's time goes
    python benchmarks/throughput.py --quick          a short form that only shows the figures

All posts are on the topic before one process starts to work. The time runs from its first mention
to its last row on the broker; afterwards all offsets must be committed and the sums be the same.
"""

import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import msgspec

from benchmarks import layers
from benchmarks.crowd import SEED, Draft, brands, posts
from benchmarks.lab import BARE, FREE, MODEL, Hold, Report, Stand, Subject, Watch, broker, parser
from models import load_classifier

BRANDS = brands(50)
FAUST = (*FREE, "--faust")
# A static member that comes back is given the partitions of before: here it reads another topic.
UNNAMED = {"TRUSTWATCH_WORKER_INSTANCE": "", "TRUSTWATCH_METRICS_PORT": "0"}
# One record is one message there: as many of them in a batch as ours has records.
WIDE = {"TRUSTWATCH_WORKER_TAKE": "1000", "TRUSTWATCH_WORKER_WITHIN": "0.05"}


@dataclass(frozen=True)
class Pace:
    """How one process went through all posts."""

    name: str
    posts: int
    seconds: float
    cpu: float
    peak: float

    @property
    def rate(self) -> float:
        """Posts a second."""
        return self.posts / self.seconds

    @property
    def price(self) -> float:
        """Seconds of processor for 100,000 posts."""
        return self.cpu / self.posts * 100_000

    def row(self, base: "Pace | None" = None) -> dict[str, Any]:
        """Return a line of the table; ratios are to `base`."""
        line = {
            "": self.name,
            "posts/s": self.rate,
            "CPU s per 100,000": self.price,
            "peak MiB": self.peak,
        }
        if base:
            line["rate to bare"] = self.rate / base.rate
            line["CPU to bare"] = self.price / base.price
        return line


class Course:
    """The posts, and a broker to run them on."""

    def __init__(self, kafka: Any, folder: Path, count: int) -> None:
        now = datetime.now(UTC)
        hours = timedelta(hours=6)
        self.drafts: list[Draft] = list(posts(count, about=BRANDS, start=now - hours, span=hours))
        self.mentions = sum(draft.names for draft in self.drafts)
        self._kafka, self._folder = kafka, folder
        self._runs = 0
        self.sums: Any = None

    def stand(self) -> Stand:
        """Return topics with all posts on them."""
        self._runs += 1
        stand = Stand(self._kafka, self._folder, f"run{self._runs}", brands=BRANDS)
        stand.feed(self.drafts)
        return stand

    def both(self, name: str, command: Sequence[str], **env: str) -> Pace:
        """Run both stages in one process; the state must come out as in every other run."""
        stand = self.stand()
        topics = stand.topics
        subject = stand.start(command, **env)
        with stand.watch() as watch:
            pace = self.time(name, subject, watch, topics.mentions, topics.changelog)
            subject.until(lambda: watch.lag(topics.posts, topics.mentions) == 0, every=0.3)
        subject.stop()
        self._compare(stand)
        return pace

    def apart(self, name: str, command: Sequence[str]) -> list[Pace]:
        """Run each stage in a process of its own, one after the other."""
        stand = self.stand()
        topics = stand.topics
        paces = []
        with stand.watch() as watch:
            for stage, source, target in (
                ("judge", topics.posts, topics.mentions),
                ("follow", topics.mentions, topics.changelog),
            ):
                subject = stand.start(command, TRUSTWATCH_WORKER_STAGES=stage, **UNNAMED)
                paces.append(self.time(f"{name}, {stage} alone", subject, watch, target, target))
                subject.until(lambda source=source: watch.lag(source) == 0, every=0.3)
                subject.stop()
        return paces

    def time(self, name: str, subject: Subject, watch: Watch, first: str, last: str) -> Pace:
        """Time from the first record on one topic to all of them on another."""
        subject.until(lambda: watch.end(first) > 0)
        began, used = time.monotonic(), subject.cpu()
        subject.until(lambda: watch.end(last) >= self.mentions)
        seconds, cpu = time.monotonic() - began, subject.cpu() - used
        return Pace(name, len(self.drafts), seconds, cpu, subject.memory("VmHWM"))

    def _compare(self, stand: Stand) -> None:
        totals = [book.totals() for _, book in sorted(stand.books().items())]
        self.sums = self.sums or totals
        if totals != self.sums:
            raise SystemExit("the runs do not agree in their sums: no comparison is possible")


def middle(paces: Sequence[Pace]) -> Pace:
    """Return the run with the median rate, of an even number the lower one."""
    return sorted(paces, key=lambda pace: pace.rate)[(len(paces) - 1) // 2]


def compare(course: Course, options: Namespace, report: Report) -> None:
    """Run the contenders in turns, and hold ours against the bare loop."""
    contenders: dict[str, tuple[Sequence[str], dict[str, str]]] = {
        "bare aiokafka": (BARE, {}),
        "ours": (FREE, {}),
    }
    if options.faust:
        contenders["Faust's own consumer"] = (FAUST, WIDE)
    runs: dict[str, list[Pace]] = {name: [] for name in contenders}
    for _ in range(options.rounds):
        for name, (command, env) in contenders.items():
            runs[name].append(course.both(name, command, **env))
            print(f"  {name}: {runs[name][-1].rate:,.0f} posts/s", flush=True)
    middles = {name: middle(paces) for name, paces in runs.items()}
    bare, ours = middles["bare aiokafka"], middles["ours"]
    rows = [pace.row(bare) for pace in middles.values()]
    if options.apart:
        for plain, mine in zip(course.apart("bare", BARE), course.apart("ours", FREE), strict=True):
            rows += [plain.row(plain), mine.row(plain)]
    print()
    report.table(rows)
    report.figures["runs"] = rows
    report.holds.append(Hold("rate, ours to bare", ours.rate / bare.rate, ">=", 0.35, 0.6))
    report.holds.append(Hold("CPU s per 100,000 posts", ours.price, "<=", 12, 5))


def with_model(course: Course, report: Report) -> None:
    """Run a worker with the model, and the model alone on the same texts."""
    texts = [msgspec.json.decode(draft.value)["text"] for draft in course.drafts]
    classifier = load_classifier()
    began, used = time.monotonic(), time.process_time()
    for at in range(0, len(texts), 1_024):
        classifier.classify(texts[at : at + 1_024])
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    alone = Pace("the model alone", len(texts), seconds, cpu, 0.0)
    course.sums = None
    whole = course.both("worker with the model", MODEL)
    rows = [pace.row() | {"rate to it": pace.rate / alone.rate} for pace in (alone, whole)]
    print()
    report.table(rows)
    report.figures["model"] = {"name": classifier.name, "runs": rows}
    print(f"rate, with the model to the model alone: {whole.rate / alone.rate:.2f} (goal 0.9)")


def profile(course: Course, report: Report) -> None:
    """Run ours under a sampling profiler and print its processor time by layer."""
    stand = course.stand()
    topics = stand.topics
    target = stand.folder / "samples.json"
    subject = stand.start(["-m", "benchmarks.layers", str(target), FREE[1]])
    with stand.watch() as watch:
        pace = course.time("ours, profiled", subject, watch, topics.mentions, topics.changelog)
        subject.until(lambda: watch.lag(topics.posts, topics.mentions) == 0, every=0.3)
    cpu = subject.cpu()
    subject.stop()
    rows = layers.by_layer(target, cpu=cpu, posts=len(course.drafts))
    report.table([pace.row()])
    report.table(rows)
    report.figures["profile"] = rows


def main() -> int:
    """Run the benchmark; return the exit code."""
    given = parser(__doc__)
    given.add_argument("--quick", action="store_true", help="20,000 posts, one round, nothing held")
    given.add_argument("--posts", type=int, metavar="N", help="posts of a run (default 200,000)")
    given.add_argument("--rounds", type=int, metavar="N", help="runs of each (default 3)")
    given.add_argument("--faust", action="store_true", help="also Faust's own consumer")
    given.add_argument("--apart", action="store_true", help="also each stage alone")
    given.add_argument("--model", action="store_true", help="the worker with the model instead")
    given.add_argument("--profile", action="store_true", help="where a worker's time goes instead")
    options = given.parse_args()
    options.posts = options.posts or (20_000 if options.quick else 200_000)
    options.rounds = options.rounds or (1 if options.quick else 3)
    with broker() as (kafka, folder):
        course = Course(kafka, folder, options.posts)
        data = f"{options.posts:,} invented posts of about 130 characters, {course.mentions:,} "
        data += f"mentions of {len(BRANDS)} brands, 4 partitions, seed {SEED}"
        report = Report("Throughput of one worker process", data, options.quick)
        report.head()
        if options.profile:
            profile(course, report)
        elif options.model:
            with_model(course, report)
        else:
            compare(course, options, report)
    return report.close(options.json)


if __name__ == "__main__":
    sys.exit(main())
