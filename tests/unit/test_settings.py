"""Settings: where they come from, what is refused and with which words."""

import ast
import dataclasses
import inspect
import itertools
import json
import logging
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import settings as module
from streams.errors import SettingsError
from streams.settings import SECTIONS, Secret, Settings, allowed, load_settings

ROOT = Path(__file__).parents[2]
NAMES = [name for name, _ in Settings().items()]


def load(text: str, folder: Path, **env: str) -> Settings:
    path = folder / "trustwatch.toml"
    path.write_text(text)
    return load_settings(path, env)


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(*args, **kwargs)
    return str(caught.value)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings(env={})
    assert settings == Settings()
    assert settings.kafka.broker == "127.0.0.1:9092"
    assert {settings.origin(name) for name in NAMES} == {"default"}


def test_the_environment_of_the_process_is_read_when_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRUSTWATCH_KAFKA_GROUP", "mine")
    assert load_settings().kafka.group == "mine"


def test_each_source_stands_over_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "some.toml"
    path.write_text("[trust]\ncost = 3.0\nbase = 0.4\ntick = 2\n")
    env = {"TRUSTWATCH_TRUST_COST": "4", "TRUSTWATCH_TRUST_BASE": "0.3"}
    settings = load_settings(path, env, {"trust.cost": "5"})
    assert (settings.trust.cost, settings.trust.base, settings.trust.tick) == (5.0, 0.3, 2.0)
    assert settings.origin("trust.cost") == "command line"
    assert settings.origin("trust.base") == "TRUSTWATCH_TRUST_BASE"
    assert settings.origin("trust.tick") == f"{path}:4"
    assert settings.origin("trust.clock") == "default"


def test_the_file_in_the_folder_is_read_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "trustwatch.toml").write_text('log.level = "debug"\n')
    (tmp_path / "other.toml").write_text("[log]\nlevel='error'\n")
    assert load_settings(env={}).log.level == "debug"
    assert load_settings(env={"TRUSTWATCH_CONFIG": "other.toml"}).log.level == "error"
    named = load_settings(Path("trustwatch.toml"), {"TRUSTWATCH_CONFIG": "other.toml"})
    assert named.log.level == "debug"
    assert named.origin("log.level") == "trustwatch.toml:1"


@pytest.mark.parametrize("how", ["argument", "variable"])
def test_a_named_file_that_is_missing_is_refused(how: str) -> None:
    if how == "argument":
        text = refusal(Path("absent.toml"), {})
    else:
        text = refusal(env={"TRUSTWATCH_CONFIG": "absent.toml"})
    assert "absent.toml" in text
    assert "--config" in text


@pytest.mark.parametrize("content", [b"[kafka\n", b"\xff\xfe", b"a = 1\n", b"kafka = 3\n"])
def test_a_file_that_makes_no_sense_is_refused_by_its_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "trustwatch.toml").write_bytes(content)
    assert "trustwatch.toml" in refusal(env={})


def test_a_folder_instead_of_a_file_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[kafka]\n\nbrokr = 'x:1'\n",
            ["kafka.brokr", "trustwatch.toml:3", "did you mean: kafka.broker"],
        ),
        ("[kafka]\nqq = 1\n", ["kafka.qq", "trustwatch.toml:2", "there are: kafka.broker"]),
        (
            "# note\n[kafak]\nbroker = 'x:1'\n",
            ["kafak", "trustwatch.toml:2", "did you mean: kafka"],
        ),
        ("[kafka]\npartitions = 'four'\n", ["'four'", "trustwatch.toml:2", "from 1 to 1,000"]),
        ("[kafka]\npartitions = '4'\n", ["'4'", "a whole number"]),
        ("[kafka]\npartitions = 1001\n", ["1001", "from 1 to 1,000"]),
        ("[log]\nlevel = 'loud'\n", ["'loud'", "debug, info, warning or error"]),
        ("[worker]\nstages = ['judge', 'guess']\n", ["guess", "one or more of judge, follow"]),
        ("[worker]\nstages = []\n", ["worker.stages", "one or more of"]),
        ("[trust]\nbase = nan\n", ["trust.base", "above 0 and below 1"]),
        ("[trust]\ncost = inf\n", ["trust.cost", "above 0 to 1,000,000"]),
        ("[kafka]\nverify_host = 1\n", ["kafka.verify_host", "true or false"]),
        ("[kafka]\nprefix = 'a b'\n", ["'a b'", "letters, digits, dots"]),
        ("[kafka]\nbroker = 'nowhere'\n", ["'nowhere'", "host:port"]),
        ("[kafka]\nbroker = 'a:1,b'\n", ["'a:1,b'", "host:port"]),
    ],
)
def test_what_is_wrong_in_a_file_is_told(text: str, told: list[str], tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text, tmp_path)
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("TRUSTWATCH_KAFKA_BROKR", "x:1", "did you mean: TRUSTWATCH_KAFKA_BROKER"),
        ("TRUSTWATCH_KAFKA", "x", "TRUSTWATCH_KAFKA_BROKER"),
        ("TRUSTWATCH_X", "1", "there are: TRUSTWATCH_KAFKA, "),
        ("TRUSTWATCH_METRICS_PORT", "65536", "from 0 to 65,535"),
        ("TRUSTWATCH_METRICS_PORT", "", "from 0 to 65,535"),
        ("TRUSTWATCH_TRUST_TICK", "1e999", "from 0.05 to 3,600"),
        ("TRUSTWATCH_KAFKA_BROKER", "a:0", "a port is a number from 1 to 65535"),
        ("TRUSTWATCH_KAFKA_BROKER", "a:70000", "a port is a number from 1 to 65535"),
        ("TRUSTWATCH_KAFKA_HEARTBEAT", "30", "three times in a session"),
        ("TRUSTWATCH_KAFKA_SECURITY", "sasl_tls", "a login needs both"),
        ("TRUSTWATCH_KAFKA_CERT_FILE", "a.pem", "go together"),
        ("TRUSTWATCH_WORKER_STAGES", "judge,judge", "each stage is named once"),
    ],
)
def test_what_is_wrong_in_the_environment_is_told(variable: str, value: str, told: str) -> None:
    text = refusal(env={variable: value})
    assert variable in text
    assert told in text


def test_a_long_value_is_cut_in_the_refusal() -> None:
    assert len(refusal(env={"TRUSTWATCH_LOG_LEVEL": "x" * 10_000})) < 300


def test_other_variables_are_none_of_our_business() -> None:
    assert load_settings(env={"KAFKA_BROKER": "x", "TRUSTWATCHER": "y"}) == Settings()


def test_unknown_overrides_are_refused() -> None:
    assert "did you mean: kafka.broker" in refusal(env={}, overrides={"kafka.brocker": "x:1"})


def test_lists_are_joined_by_commas_in_the_environment() -> None:
    assert load_settings(env={"TRUSTWATCH_WORKER_STAGES": "follow, judge"}).worker.stages == (
        "follow",
        "judge",
    )


def test_paths_in_a_file_are_relative_to_it_and_others_to_where_we_are(tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "t.toml").write_text("[brands]\nfile = 'b.toml'\n[worker]\ndata_dir = '/var/x'\n")
    settings = load_settings(folder / "t.toml", {"TRUSTWATCH_KAFKA_CA_FILE": "ca.pem"})
    assert settings.brands.file == str(folder / "b.toml")
    assert settings.worker.data_dir == "/var/x"
    assert settings.kafka.ca_file == "ca.pem"
    assert settings.kafka.key_file == ""


def test_a_secret_never_shows_itself(tmp_path: Path) -> None:
    settings = load("[kafka]\npassword = 'hunter2'\n", tmp_path)
    shown = f"{settings} {settings!r} {settings.kafka} {dict(settings.items())}"
    assert "hunter2" not in shown
    assert settings.kafka.password.reveal() == "hunter2"


def test_the_refusal_of_a_secret_does_not_show_it(tmp_path: Path) -> None:
    assert "abc" not in refusal(env={"TRUSTWATCH_PRIVACY_KEY": "abc"}).replace("trustwatch", "")
    with pytest.raises(SettingsError) as caught:
        load("[kafka]\npassword = 123456\n", tmp_path)
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_secret_may_be_a_file(ending: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"0123456789abcdef " + ending.encode())
    file.chmod(0o600)
    settings = load_settings(env={"TRUSTWATCH_PRIVACY_KEY_FILE": str(file)})
    assert settings.privacy.key.reveal() == "0123456789abcdef "
    assert settings.origin("privacy.key") == f"{file} (TRUSTWATCH_PRIVACY_KEY_FILE)"


def test_a_missing_secret_file_is_refused_by_its_name() -> None:
    text = refusal(env={"TRUSTWATCH_KAFKA_PASSWORD_FILE": "/run/absent"})
    assert "kafka.password_file" in text
    assert "/run/absent" in text


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False)])
def test_a_secret_file_that_everybody_may_read_is_warned_about(
    mode: int,
    warned: bool,  # noqa: FBT001 -- the expectation of a case
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(mode)
    with caplog.at_level(logging.WARNING):
        load_settings(env={"TRUSTWATCH_KAFKA_PASSWORD_FILE": str(file)})
    assert ("chmod 600" in caplog.text) is warned


def test_a_secret_and_its_file_from_the_same_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("x")
    names = {"TRUSTWATCH_KAFKA_PASSWORD": "y", "TRUSTWATCH_KAFKA_PASSWORD_FILE": "p"}
    assert "exclude each other" in refusal(env=names)


def test_the_environment_wins_between_a_secret_and_its_file(tmp_path: Path) -> None:
    file = tmp_path / "p"
    file.write_text("from a file")
    file.chmod(0o600)
    direct = load("[kafka]\npassword_file = 'p'\n", tmp_path, TRUSTWATCH_KAFKA_PASSWORD="direct")
    assert direct.kafka.password.reveal() == "direct"
    named = load("[kafka]\npassword = 'd'\n", tmp_path, TRUSTWATCH_KAFKA_PASSWORD_FILE=str(file))
    assert named.kafka.password.reveal() == "from a file"


def test_secrets_compare_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert not Secret()


@pytest.mark.parametrize("name", NAMES)
def test_every_default_is_allowed_and_every_rule_has_words(name: str) -> None:
    section, _, key = name.partition(".")
    default = getattr(SECTIONS[section](), key)
    assert allowed(name)
    if isinstance(default, Secret) or default == "":
        return
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    assert dict(load_settings(env={}, overrides={name: text}).items())[name] == default


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_described_in_the_source_and_in_the_guide(section: str) -> None:
    cls = SECTIONS[section]
    tree = ast.parse(inspect.getsource(module))
    [body] = [n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == cls.__name__]
    described = {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    assert set(described) == {field.name for field in dataclasses.fields(cls)}
    guide = (ROOT / "docs" / "settings.md").read_text()
    for key, text in described.items():
        name = f"{section}.{key}"
        words = " ".join(str(text).split())
        row = f"| `{name}` | {written(getattr(cls(), key))} | {allowed(name)} | {words} |\n"
        assert row in guide


def written(default: object) -> str:
    """Return a default as the guide writes it."""
    if isinstance(default, Secret):
        return "none"
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    return f"`{text.lower() if isinstance(default, bool) else text}`" if text else "empty"


def attempt(*args: Any, **kwargs: Any) -> Settings | str:
    """Load settings; return them, or the text of their refusal."""
    try:
        return load_settings(*args, **kwargs)
    except SettingsError as error:
        return str(error)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = scalars | st.lists(scalars, max_size=3)


@given(name=st.sampled_from(NAMES), value=anything)
def test_any_value_in_a_file_is_taken_as_it_is_or_refused_by_name(name: str, value: object) -> None:
    section, _, key = name.partition(".")
    try:
        text = f"[{section}]\n{key} = {json.dumps(value, allow_nan=False)}\n"
    except ValueError:
        text = f"[{section}]\n{key} = {str(value).replace('Infinity', 'inf')}\n"
    path = Path("generated.toml")
    path.write_text(text.replace("\x7f", ""), encoding="utf-8", errors="ignore")
    outcome = attempt(path, {})
    if isinstance(outcome, str):
        assert "generated.toml" in outcome
    else:
        assert outcome.origin(name) == "generated.toml:2"


@given(st.dictionaries(st.text(string.ascii_uppercase + "_", max_size=25), st.text(max_size=20)))
def test_no_environment_breaks_the_loading(env: dict[str, str]) -> None:
    ours = {f"TRUSTWATCH_{name}": value for name, value in env.items() if name != "CONFIG"}
    outcome = attempt(env=ours)
    if isinstance(outcome, str):
        assert any(name in outcome for name in ours)
    else:
        assert set(outcome.origins.values()) <= set(ours)


@given(st.sampled_from(NAMES), st.text(max_size=30))
def test_no_value_in_the_environment_breaks_the_loading(name: str, value: str) -> None:
    variable = "TRUSTWATCH_" + name.replace(".", "_").upper()
    outcome = attempt(env={variable: value})
    if isinstance(outcome, str):
        assert variable in outcome
    else:
        assert outcome.origin(name) == variable


@given(st.floats(0.1, 600), st.floats(1, 1800))
def test_a_heartbeat_is_at_most_a_third_of_the_session(heartbeat: float, session: float) -> None:
    given_ = {"kafka.heartbeat": repr(heartbeat), "kafka.session_timeout": repr(session)}
    if heartbeat * 3 > session:
        assert "kafka.heartbeat" in refusal(env={}, overrides=given_)
    else:
        settings = load_settings(env={}, overrides=given_)
        assert (settings.kafka.heartbeat, settings.kafka.session_timeout) == (heartbeat, session)
