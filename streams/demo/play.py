"""Plays the demo from beginning to end, on one thread that never waits long for anything.

Whatever may take its time (a broker, the feed) has a thread of its own; this one looks at all of
them ten times a second, shows what there is, and ends as soon as it is told to.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
from streams.settings import Settings, load_settings

SPEED: Final = 4_000.0
"""How many times faster than in reality the story goes: three days in a little over a minute."""
HURRY: Final = 25_000.0
"""The same when it is to be over soon: there are still enough readings to see the index fall."""
LOOK: Final = 0.1
"""Seconds between two looks at everything."""
PATIENCE: Final = 60.0
"""Seconds that a step may take in which nothing is to be seen."""
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
            self._do(partial(_create, settings), "creating the topics")
            worker = Worker(guard, env=env, port=port)
            try:
                self._start(worker)
                self._play(settings)
                result = self._scene.result()
                if stay:
                    self._remain(settings, worker.url)
            finally:
                self._stop.set()
                if self._theirs:
                    _leave(settings, worker)
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
        listener = Task(partial(listen, settings, scene.board, stop=self._stop), name="listener")
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
        if not self._until(Task(work, name="work").done, doing, patience=patience):
            raise BrokerError(
                f"{doing} was not done in {patience:.0f} s: is the broker overloaded?"
            )

    def _until(
        self, done: Callable[[], bool], doing: str, *, patience: float | None = PATIENCE
    ) -> bool:
        """Wait until something is done and show how it goes; return whether it was in time.

        Raises:
            ToldToEndError: it is to end.
            TrustwatchError: something went wrong.
        """
        end = time.monotonic() + patience if patience else float("inf")
        while not done():
            if time.monotonic() > end:
                return False
            for check in self._checks:
                check()
            self._scene.scrape(self._counters)
            self._screen.show(self._scene.frame(doing))
            time.sleep(LOOK)
            if self._told():
                raise ToldToEndError
        return True


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
    kafka = settings.kafka
    return (
        f"curl -s {url} | grep trust_index",
        f"export TRUSTWATCH_KAFKA_BROKER={kafka.broker}",
    )


def _create(settings: Settings) -> None:
    with clients.admin(settings.kafka) as admin:
        topics.apply(admin, topics.Topics(settings).all)


def _leave(settings: Settings, worker: Worker) -> None:
    """Leave somebody else's broker as it was before; the embedded one ends with the guard."""
    worker.child.stop(LEAVE)
    Task(partial(_remove, settings), name="topics").join(LEAVE)


def _remove(settings: Settings) -> None:
    with clients.admin(settings.kafka) as admin:
        admin.delete_topics([topic.name for topic in topics.Topics(settings).all])
        admin.delete_groups([settings.kafka.group])
