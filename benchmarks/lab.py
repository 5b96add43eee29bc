"""What the benchmarks share: topics on a broker, workers, what a process used, and the report."""

import argparse
import asyncio
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaConsumer
from kafka import TopicPartition as Part

from benchmarks.crowd import Draft
from streams import clients
from streams.domain.book import Book
from streams.domain.brands import Brand
from streams.settings import Settings, load_settings
from streams.topics import Topics, apply
from tests.support.broker import ROOT, VERSION, Kafka, ports

FREE = ("-m", "tests.support.free")
"""Our worker with a classifier that costs nothing."""
BARE = ("-m", "tests.support.bare")
"""The plain loop to compare it with."""
MODEL = ("-m", "streams", "worker")
"""Our worker with the model of the settings."""

_TICKS = os.sysconf("SC_CLK_TCK")
_BATCH = 512 * 1024
_started: list["Subject"] = []
# It tells of every retry right after a topic was created; what fails for good is raised.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@contextmanager
def broker(heap: str = "1G") -> Iterator[tuple[Kafka, Path]]:
    """Run Apache Kafka in a folder that is gone afterwards, whatever ends the benchmark."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="trustwatch-bench-") as name:
        folder = Path(name)
        with Kafka(folder / "kafka", heap=heap) as kafka:
            try:
                yield kafka, folder
            finally:
                for subject in _started:
                    subject.kill()
                _started.clear()


class Stand:
    """Topics of its own on a broker, and workers that use them.

    Args:
        kafka: the broker.
        folder: for the workers' files and logs.
        name: prefix and group.
        brands: whom the workers watch.
        env: further settings of the workers.
    """

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        name: str,
        *,
        brands: Sequence[Brand],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        path = self.folder / "brands.toml"
        path.write_text("".join(f'[[brand]]\nid = "{b.id}"\nname = "{b.name}"\n' for b in brands))
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("TRUSTWATCH_")}
        self._env |= {
            "TRUSTWATCH_KAFKA_BROKER": kafka.bootstrap,
            "TRUSTWATCH_KAFKA_PREFIX": f"{name}.",
            "TRUSTWATCH_KAFKA_GROUP": name,
            "TRUSTWATCH_BRANDS_FILE": str(path),
            "TRUSTWATCH_WORKER_DATA_DIR": str(self.folder),
            "TRUSTWATCH_WORKER_INSTANCE": f"{name}-0",
            "TRUSTWATCH_METRICS_PORT": str(ports(1)[0]),
            **(env or {}),
        }
        self.settings: Settings = load_settings(env=self._env)
        self.topics = Topics(self.settings)
        with clients.admin(self.settings.kafka) as admin:
            apply(admin, self.topics.all)

    def start(self, command: Sequence[str], **env: str) -> "Subject":
        """Start a process of Python with the settings of this stand."""
        log = self.folder / f"worker-{len(_started)}.log"
        subject = Subject([sys.executable, *command], env={**self._env, **env}, log=log)
        _started.append(subject)
        return subject

    def feed(self, drafts: Iterable[Draft]) -> int:
        """Publish posts as fast as can be; return how many mentions they make."""
        return asyncio.run(self._feed(drafts))

    async def _feed(self, drafts: Iterable[Draft]) -> int:
        names = 0

        def records() -> Iterator[Record]:
            nonlocal names
            for draft in drafts:
                names += draft.names
                yield (
                    crc32(draft.key) % self.settings.kafka.partitions,
                    draft.key,
                    draft.value,
                    [("received", draft.received)] if draft.received else [],
                )

        await publish(self.settings.kafka.broker, self.topics.posts, records())
        return names

    @contextmanager
    def watch(self) -> Iterator["Watch"]:
        """Look at the topics from outside."""
        kafka = self.settings.kafka
        reader = KafkaConsumer(
            bootstrap_servers=kafka.broker, group_id=kafka.group, enable_auto_commit=False
        )
        try:
            yield Watch(reader, self)
        finally:
            reader.close()

    def books(self) -> dict[int, Book]:
        """Return the state as the changelog tells it, by partition."""
        return asyncio.run(self._books())

    async def _books(self) -> dict[int, Book]:
        kafka = self.settings.kafka
        books: dict[int, Book] = {}
        async for record in read(kafka.broker, self.topics.changelog, kafka.partitions):
            books.setdefault(record.partition, Book()).apply(record.key, record.value)
        return books


Record = tuple[int, bytes, bytes, Sequence[tuple[str, bytes]]]
"""Partition, key, value and headers."""


async def publish(bootstrap: str, topic: str, records: Iterable[Record]) -> None:
    """Send records in large batches; return when the broker has them all."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=_BATCH) as producer:
        now, pending = int(time.time() * 1000), []
        open_batches: dict[int, Any] = {}
        for partition, key, value, headers in records:
            fields = {"key": key, "value": value, "headers": headers, "timestamp": now}
            batch = open_batches.get(partition)
            if batch is None or batch.append(**fields) is None:
                if batch is not None:
                    pending.append(await producer.send_batch(batch, topic, partition=partition))
                batch = open_batches[partition] = producer.create_batch()
                batch.append(**fields)
        for partition, batch in open_batches.items():
            pending.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*pending)


async def read(bootstrap: str, topic: str, count: int) -> AsyncIterator[Any]:
    """Yield the records that are on the partitions of a topic now."""
    parts = [TopicPartition(topic, number) for number in range(count)]
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    ) as reader:
        reader.assign(parts)
        ends = await reader.end_offsets(parts)
        left = {part for part in parts if ends[part]}
        while left:
            for part, run in (await reader.getmany(timeout_ms=500)).items():
                for record in run:
                    yield record
                if run[-1].offset + 1 >= ends[part]:
                    left.discard(part)


class Watch:
    """What the broker knows of a stand."""

    def __init__(self, reader: KafkaConsumer, stand: Stand) -> None:
        self._reader = reader
        self._count = stand.settings.kafka.partitions
        self.topics = stand.topics

    def end(self, topic: str) -> int:
        """Return how many records were ever written to a topic."""
        return sum(self._reader.end_offsets(self._parts(topic)).values())

    def done(self, topic: str) -> int:
        """Return how many records of a topic the group has committed."""
        return sum(self._reader.committed(part) or 0 for part in self._parts(topic))

    def lag(self, *topics: str) -> int:
        """Return how many records of these topics the group has not committed."""
        return sum(self.end(topic) - self.done(topic) for topic in topics)

    def _parts(self, topic: str) -> list[Part]:
        return [Part(topic, number) for number in range(self._count)]


class Subject:
    """A process under measurement (Linux: what it used stands in /proc)."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.pid = self._process.pid
        self.spawned = time.monotonic()

    def cpu(self) -> float:
        """Return the seconds of processor that all its threads used, in user and kernel."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory(self, what: Literal["VmRSS", "VmHWM"] = "VmRSS") -> float:
        """Return its resident memory in MiB, now or at its peak."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(what))
        return int(line.split()[1]) / 1024

    def until(
        self, holds: Callable[[], bool], *, every: float = 0.02, within: float = 300.0
    ) -> float:
        """Wait until something holds; return the seconds since the process was started.

        Raises:
            RuntimeError: the process ended, or it took too long.
        """
        end = time.monotonic() + within
        while not holds():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it ended, or took too long:\n{self._log.read_text()[-3_000:]}")
            time.sleep(every)
        return time.monotonic() - self.spawned

    def stop(self) -> int:
        """End it in good order; return its exit code."""
        self.signal(signal.SIGTERM)
        return self._process.wait(60)

    def signal(self, sign: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(sign)

    def kill(self) -> None:
        """SIGKILL it, if it runs, and wait for its end."""
        self._process.kill()
        self._process.wait()


@dataclass
class Hold:
    """A figure that is held to a limit."""

    name: str
    value: float
    sign: Literal["<=", ">="]
    limit: float
    goal: float | None = None

    def meets(self, bound: float) -> bool:
        """Tell whether the value is on the right side of a bound."""
        return self.value <= bound if self.sign == "<=" else self.value >= bound

    def __str__(self) -> str:
        """Tell it in a line."""
        verdict = "held" if self.meets(self.limit) else "MISSED"
        line = f"{self.name}: {self.value:.3g}, to be {self.sign} {self.limit:g}: {verdict}"
        if self.goal is None:
            return line
        return f"{line}; goal {self.goal:g}: {'met' if self.meets(self.goal) else 'not met'}"


@dataclass
class Report:
    """What a benchmark says: how it was measured, a table, and what is held."""

    title: str
    data: str
    quick: bool
    figures: dict[str, Any] = field(default_factory=dict)
    holds: list[Hold] = field(default_factory=list)
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def head(self) -> None:
        """Print how it is measured."""
        print(f"{self.title}{' (quick form)' if self.quick else ''}")
        print(f"data     {self.data}")
        for name, value in self._setting().items():
            print(f"{name:8} {value}")
        print(flush=True)

    def _setting(self) -> dict[str, str]:
        packages = ("faust-streaming", "aiokafka", "msgspec")
        found = [f"Python {platform.python_version()}", f"Apache Kafka {VERSION}"]
        found += [f"{package} {version(package)}" for package in packages]
        return {
            "versions": ", ".join(found),
            "machine": f"{len(os.sched_getaffinity(0))} cores, {_processor()}, "
            f"load {self.load:.1f} before the start",
        }

    def table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Print rows under the names of their fields."""
        heads = list(rows[0])
        cells = [heads, *([_cell(row[head]) for head in heads] for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
        for row in cells:
            first, *rest = zip(row, widths, strict=True)
            print("  ".join([first[0].ljust(first[1]), *(c.rjust(w) for c, w in rest)]))
        print(flush=True)

    def close(self, target: Path | None) -> int:
        """Print what is held, write the figures; return the exit code."""
        for hold in self.holds:
            print(hold)
        if target:
            content = {"title": self.title, "data": self.data, "quick": self.quick}
            content |= self._setting() | self.figures
            content["holds"] = {h.name: [h.value, h.sign, h.limit, h.goal] for h in self.holds}
            target.write_text(json.dumps(content, indent=2) + "\n")
        if self.quick and self.holds:
            print("The quick form only shows the figures: nothing is held to them.")
        missed = [hold for hold in self.holds if not hold.meets(hold.limit)]
        return int(bool(missed) and not self.quick)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of arguments with what all benchmarks take."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    return made
