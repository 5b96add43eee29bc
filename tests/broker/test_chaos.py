"""Nothing is lost or counted twice while workers and the broker are killed and frozen.

What the workers hold and told in the end is what `trustwatch backtest` says of the same posts.
"""

import gc
from pathlib import Path

import pytest

from tests.conftest import running
from tests.support.broker import Kafka
from tests.support.chaos import Run, describe, short


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(300)
# While the broker is away kafka-python leaves sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_every_post_is_counted_once_whatever_is_killed(tmp_path: Path) -> None:
    for server in running(Kafka(tmp_path / "kafka")):
        assert isinstance(server, Kafka)
        run = Run(server, tmp_path / "run", scenario="short", seed=7, count=24_000, rate=400)
        found = run.play(short)
        gc.collect()
        print(describe(found))  # noqa: T201 -- shown with -rP, and when it fails
        assert found.exact, describe(found)
        assert found.mentions > 20_000
        assert found.signals > 100
        assert found.backtest_readings > 500
        assert set(found.exits) == {0}
