"""Plays the demo from beginning to end, on one thread that never waits long for anything.

Whatever may take its time (a broker, the feed) has a thread of its own; this one looks at all of
them ten times a second, shows what there is, and ends as soon as it is told to.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Final

from streams import clients, topics
from streams.demo.broker import Broker, free_port, program
from streams.demo.guard import Guard
from streams.demo.listener import listen
from streams.demo.result import Result
from streams.demo.scene import Scene
from streams.demo.screen import Screen
from streams.demo.story import Story
from streams.demo.task import Task
from streams.demo.worker import METRICS_PORT, Counters, Worker, environment, reaching
from streams.errors import BrokerError, TrustwatchError
from streams.feed import Pace, publish
from streams.settings import Kafka, Settings, load_settings

SPEED: Final = 4_000.0
"""How many times faster than in reality the story goes: three days in a little over a minute."""
HURRY: Final = 25_000.0
"""The same when it is to be over soon: there are still enough readings to see the index fall."""
LOOK: Final = 0.1
"""Seconds between two looks at everything."""
PATIENCE: Final = 60.0
"""Seconds that a step may take in which nothing is to be seen."""
LAST_WORDS: Final = 1.0
"""Seconds for clients to close their connections."""
LEAVE: Final = 5.0
"""Seconds to leave a broker that is not the demo's own as it was."""


class ToldToEndError(Exception):
    """Somebody wants the demo to end."""


class Demo:
    """One run.

    Args:
        screen: shows it.
        told: says whether it is to end.
        theirs: settings of the section `kafka` for a broker that runs; empty: the embedded one.
        speed: how many times faster than in reality the story goes.
        tick: seconds between two readings.

    Raises:
        InputError: the embedded broker is not installed, or the speed is none.
    """

    def __init__(
        self,
        *,
        screen: Screen,
        told: Callable[[], bool],
        theirs: Mapping[str, str],
        speed: float = SPEED,
        tick: float = 0.25,
    ) -> None:
        self._pace = Pace(speed=speed)
        if not theirs:
            program()
        self._theirs = theirs
        self._screen = screen
        self._told = told
        self._stop = threading.Event()
        self._tick = tick
        self._story = Story.load()
        self._scene = Scene(self._story)
        self._worker: Worker | None = None
        self._tasks: list[Task] = []
        self._checks: list[Callable[[], object]] = []
        self._counters: Callable[[], Counters | None] = Counters

    def run(self, *, stay: bool) -> Result:
        """Play the story to its end.

        Args:
            stay: keep everything running then, until told to end.

        Raises:
            ToldToEndError: it was told to end before the story was over.
            TrustwatchError: it cannot go on.
        """
        with self._screen, Guard() as guard:
            kafka = self._theirs or {"broker": self._start_broker(guard)}
            port = free_port(first=METRICS_PORT)
            env = environment(
                os.environ, folder=guard.folder, kafka=kafka, port=port, tick=self._tick
            )
            settings = load_settings(env=env)
            self._scene.places["broker"] = settings.kafka.broker
            try:
                self._do(partial(_create, settings), "creating the topics")
                self._worker = Worker(guard, env=env, port=port)
                self._start(self._worker)
                self._play(settings)
                result = self._scene.result()
                if stay:
                    self._remain(settings, self._worker.url)
            finally:
                self._end_tasks()
                self._leave(settings)
        return result

    def _start_broker(self, guard: Guard) -> str:
        broker = Broker(guard, port=free_port())
        if not self._until(broker.ready, "starting the embedded broker"):
            raise BrokerError(f"the embedded broker gave no answer in {PATIENCE:.0f} s")
        self._checks.append(broker.check)
        return broker.address

    def _start(self, worker: Worker) -> None:
        self._checks.append(worker.check)
        if not self._until(worker.ready, "starting a worker"):
            said = worker.child.said()
            raise TrustwatchError(f"the worker was not ready in {PATIENCE:.0f} s; it said:\n{said}")
        self._counters = worker.counters
        self._scene.places["metrics"] = worker.url

    def _play(self, settings: Settings) -> None:
        scene = self._scene
        listener = self._task(partial(listen, settings, scene.board, stop=self._stop))
        self._checks.append(listener.check)
        feed = partial(publish, pace=self._pace, progress=scene.progress, stop=self._stop)
        self._do(partial(feed, self._story.items, settings), "three days, one leak", patience=None)
        self._until(scene.settled, "waiting until every post is counted")
        scene.over = True

    def _remain(self, settings: Settings, url: str) -> None:
        self._scene.hints = hints(settings, url)
        try:
            self._until(lambda: False, "the story is over; Ctrl-C ends the demo", patience=None)
        except ToldToEndError:
            return

    def _do(
        self, work: Callable[[], object], doing: str, *, patience: float | None = PATIENCE
    ) -> None:
        if not self._until(self._task(work).done, doing, patience=patience):
            raise BrokerError(
                f"{doing} was not done in {patience:.0f} s: is the broker overloaded?"
            )

    def _task(self, work: Callable[[], object]) -> Task:
        self._tasks.append(Task(work))
        return self._tasks[-1]

    def _end_tasks(self) -> None:
        """Let the clients leave the broker in good order, while it is there."""
        self._stop.set()
        end = time.monotonic() + LAST_WORDS
        for task in self._tasks:
            task.join(max(0.0, end - time.monotonic()))

    def _leave(self, settings: Settings) -> None:
        """Leave somebody else's broker as it was before; the embedded one ends with the guard."""
        if self._theirs:
            if self._worker:
                self._worker.child.stop(LEAVE)
            Task(partial(_remove, settings)).join(LEAVE)

    def _until(
        self, done: Callable[[], bool], doing: str, *, patience: float | None = PATIENCE
    ) -> bool:
        """Wait until something is done and show how it goes; return whether it was in time.

        Raises:
            ToldToEndError: it is to end.
            TrustwatchError: something went wrong.
        """
        end = time.monotonic() + patience if patience else float("inf")
        while True:
            self._scene.scrape(self._counters)
            self._screen.show(self._scene.frame(doing))
            if self._told():
                raise ToldToEndError
            if self._is_done(done):
                return True
            if time.monotonic() > end:
                return False
            self._check()
            time.sleep(LOOK)

    def _is_done(self, done: Callable[[], bool]) -> bool:
        try:
            return done()
        except BrokerError:
            # A client may notice first; that the broker ended says more than that it is away.
            self._check()
            raise

    def _check(self) -> None:
        for check in self._checks:
            check()


def theirs(address: str, *, config: Path | None) -> dict[str, str]:
    """Return the settings of the section `kafka` for a broker that is not the demo's own.

    How to log in comes from the settings; topics and group have names that nobody else uses.

    Raises:
        SettingsError: the address or another setting is wrong.
    """
    name = f"trustwatch-demo-{token_hex(4)}"
    own = {"kafka.broker": address, "kafka.prefix": f"{name}.", "kafka.group": name}
    return reaching(load_settings(config, overrides=own))


def hints(settings: Settings, url: str) -> Sequence[str]:
    """Return commands that work while the demo runs."""
    kafka, usual = settings.kafka, Kafka()
    own = ("broker", "prefix", "group")
    given = {key: getattr(kafka, key) for key in own if getattr(kafka, key) != getattr(usual, key)}
    now = datetime.now(UTC)
    return (
        f"curl -s {url} | grep trust_index",
        *(f"export TRUSTWATCH_KAFKA_{key.upper()}={value}" for key, value in given.items()),
        "trustwatch topics check",
        "trustwatch rejected list",
        f"""echo '{{"id":"me:1","created_at":"{now:%Y-%m-%dT%H:%M:%SZ}",' \\""",
        """  '"text":"Ondrelle leaked my bill"}' | trustwatch feed -""",
    )


def _create(settings: Settings) -> None:
    with clients.admin(settings.kafka) as admin:
        topics.apply(admin, topics.Topics(settings).all)


def _remove(settings: Settings) -> None:
    with clients.admin(settings.kafka) as admin:
        admin.delete_topics([topic.name for topic in topics.Topics(settings).all])
        admin.delete_groups([settings.kafka.group])
