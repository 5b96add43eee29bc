"""The command line: what is listed, exit codes, and errors without a traceback."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from streams import cli
from streams.cli import main
from streams.settings import load_settings
from tests.support.refusals import refused

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(args)
    return int(ended.value.code or 0)


def test_every_command_that_is_there_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for name in ("worker", "feed", "topics", "rejected", "config"):
        assert f"│ {name} " in shown


def test_a_command_that_is_not_there_is_not_listed_and_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = cli._Entry("absent", "absent", "Not there.")
    monkeypatch.setitem(cli._COMMANDS, "absent", entry)
    assert run("--help") == 0
    assert "absent" not in capsys.readouterr().out
    assert run("absent") == 2
    assert "No such command" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", [(), ("topics",), ("rejected",), ("topics", "apply"), ("rejected", "replay")]
)
def test_help_is_there_at_every_level(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*command, "--help") == 0
    assert f"trustwatch {' '.join(command)}".strip() in capsys.readouterr().out


@pytest.mark.parametrize("command", ["topics plan", "rejected list", "feed", "config"])
def test_help_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(*command.split(), "--help")
    shown = capsys.readouterr().out
    assert f" trustwatch {command}" in shown.split("Try:")[1]


def test_the_overview_is_quick() -> None:
    # Processor time, as the machine may be busy; the first run may have to write byte code.
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        command = [sys.executable, "-m", "streams", "--help"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    assert min(times) < 0.8


def test_the_overview_imports_neither_kafka_nor_faust() -> None:
    script = (
        "import sys\n"
        "from streams.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'kafka', 'faust', 'msgspec', 'onnxruntime'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout.endswith("[]\n")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out.startswith("trustwatch")


def test_a_wrong_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUSTWATCH_KAFKA_PARTITIONS", "none")
    assert run("config") == 2
    told = capsys.readouterr().err
    assert "TRUSTWATCH_KAFKA_PARTITIONS" in told
    assert told.count("\n") == 1
    assert "Traceback" not in told


def test_a_named_settings_file_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[kafka]\ngroup = 'mine'\npassword = 'hunter2'\n")
    assert run("--config", str(path), "config", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["kafka.group"] == {"value": "mine", "origin": f"{path}:2"}
    assert shown["kafka.password"] == {"value": "***", "origin": f"{path}:3"}
    assert shown["kafka.username"] == {"value": "", "origin": "default"}


def test_the_table_of_settings_shows_every_one_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUSTWATCH_PRIVACY_KEY", "0123456789abcdef")
    assert run("config") == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name, _ in load_settings().items())
    assert "TRUSTWATCH_PRIVACY_KEY" in shown
    assert "0123456789abcdef" not in shown


def test_a_broker_that_is_away_is_two_lines_and_exit_1(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRUSTWATCH_KAFKA_BROKER", "127.0.0.1:9")
    monkeypatch.setenv("TRUSTWATCH_KAFKA_TIMEOUT", "1")
    with refused():
        assert run("topics", "check") == 1
    told = capfd.readouterr().err.splitlines()
    assert told == [
        "trustwatch: Kafka at 127.0.0.1:9 cannot be reached: nothing listens there.",
        "Start a broker, or set kafka.broker",
    ]


def test_schemas_are_printed_without_a_broker(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("topics", "schema", "posts") == 0
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/Post"
    assert run("topics", "schema", "nonsense") == 2


@pytest.mark.parametrize(
    "args",
    [
        ("feed", "absent.jsonl"),
        ("feed", "-", "--shift-to-now"),
        ("feed", "-", "--rate", "1", "--speed", "2"),
        ("feed", "-", "--rate", "0"),
        ("rejected", "replay"),
        ("rejected", "replay", "--all", "--reason", "x"),
        ("rejected", "replay", "17"),
        ("rejected", "show", "a:b"),
        ("rejected", "list", "--since", "yesterday"),
        ("nonsense",),
    ],
)
def test_wrong_arguments_are_exit_2(
    args: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(*args) == 2
    assert "Traceback" not in capfd.readouterr().err
