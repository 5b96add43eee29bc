"""The demo's worker: its settings, its process, and what its metrics say."""

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from streams import sample
from streams.demo.guard import Child, Guard
from streams.errors import TrustwatchError
from streams.settings import PREFIX, Kafka, Secret, Settings

METRICS_PORT: Final = 9464
_TIMEOUT: Final = 1.0
_OK: Final = 200


class Counters(NamedTuple):
    """What a worker has counted since it started."""

    judged: int = 0
    rejected: int = 0


def environment(
    env: Mapping[str, str], *, folder: Path, kafka: Mapping[str, str], port: int, tick: float
) -> dict[str, str]:
    """Return the environment of the worker: of the settings, the demo's and no others.

    Args:
        env: that of the process; settings in it are left out.
        folder: the demo's; it gets an empty settings file, so that none is found elsewhere.
        kafka: settings of the section `kafka` by key.
        port: where the metrics are.
        tick: seconds between two readings.
    """
    config = folder / "trustwatch.toml"
    config.touch()
    settings = {f"kafka.{key}": value for key, value in kafka.items()} | {
        # The embedded broker never forgets a member; one with a name may come back.
        "worker.instance": "demo",
        "worker.commit_interval": "0.2",
        "worker.data_dir": str(folder / "worker"),
        "brands.file": str(sample.brands()),
        "trust.tick": str(tick),
        "metrics.port": str(port),
        "privacy.key": token_hex(16),
    }
    ours = {PREFIX + name.replace(".", "_").upper(): value for name, value in settings.items()}
    others = {name: value for name, value in env.items() if not name.startswith(PREFIX)}
    return {**others, **ours, f"{PREFIX}CONFIG": str(config), "PYTHONUNBUFFERED": "1"}


def reaching(settings: Settings) -> dict[str, str]:
    """Return what the caller has set of the section `kafka`: how to reach a broker of theirs."""
    given = {}
    for name, value in settings.items():
        section, key = name.split(".")
        # What a password file holds is the password by now.
        if section == "kafka" and key != "password_file" and value != getattr(Kafka(), key):
            given[key] = _text(key, value)
    return given


def _text(key: str, value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, bool):
        return str(value).lower()
    return str(Path(value).absolute()) if key.endswith("_file") else str(value)


class Worker:
    """A worker as a process of the guard's.

    Attributes:
        url: where its metrics are.
    """

    def __init__(self, guard: Guard, *, env: Mapping[str, str], port: int) -> None:
        self._port = port
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.child: Child = guard.start(
            "worker", [sys.executable, "-m", "streams", "worker"], env=env
        )

    def check(self) -> None:
        """Return if it runs.

        Raises:
            TrustwatchError: it ended by itself.
        """
        code = self.child.code
        if code is not None:
            how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
            raise TrustwatchError(f"the worker ended early, {how}; it said:\n{self.child.said()}")

    def ready(self) -> bool:
        """Tell whether it is counting.

        Raises:
            TrustwatchError: it ended by itself.
        """
        self.check()
        status, _ = self._get("/readyz")
        return status == _OK

    def counters(self) -> Counters | None:
        """Return what its metrics say, None when it does not answer."""
        status, text = self._get("/metrics")
        if status != _OK:
            return None
        sums = {"trustwatch_posts_judged_total": 0.0, "trustwatch_posts_rejected_total": 0.0}
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                if one.name in sums:
                    sums[one.name] += one.value
        return Counters(*map(int, sums.values()))

    def _get(self, path: str) -> tuple[int, str]:
        # Not urllib: a proxy of the environment has no say about loopback.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()
