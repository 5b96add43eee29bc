"""Log lines: none a thousand times over, and none of kafka-python's own."""

import logging
from collections.abc import Iterator

import pytest

from streams.log import REPEAT, Repeats, set_up


def line(text: str, name: str = "trustwatch") -> logging.LogRecord:
    return logging.LogRecord(name, logging.WARNING, "", 0, text, (), None)


def test_a_line_that_repeats_is_shown_once_and_then_counted() -> None:
    now = [0.0]
    repeats = Repeats(clock=lambda: now[0])
    assert repeats.filter(line("the broker is away"))
    assert [repeats.filter(line("the broker is away")) for _ in range(3)] == [False] * 3
    assert repeats.filter(line("something else"))
    now[0] = REPEAT
    again = line("the broker is away")
    assert repeats.filter(again)
    assert again.getMessage() == "the broker is away (and 3 more like it)"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    kept, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers, logger.level = kept, level
    for name in ("aiokafka", "asyncio", "faust", "mode", "streams"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.mark.usefixtures("root")
def test_lines_go_to_standard_error_without_those_that_we_word_ourselves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up("info")
    logging.getLogger("kafka.net.manager").error("Bootstrap failed")
    logging.getLogger("trustwatch").info("it works")
    logging.getLogger("faust.app").info("Starting...")
    shown = capsys.readouterr().err
    assert "it works" in shown
    assert "Bootstrap" not in shown
    assert "Starting" not in shown
