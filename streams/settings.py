"""The only reader of the environment and of `trustwatch.toml`: one frozen, typed object.

Sources, each over the one before: defaults, the settings file, `TRUSTWATCH_SECTION_KEY` variables,
options of the command line. Durations are numbers, in the unit that the key or its text names.
"""

import dataclasses
import difflib
import logging
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, inspect

from streams.errors import SettingsError

log = logging.getLogger(__name__)

DEFAULT_FILE = "trustwatch.toml"
PREFIX = "TRUSTWATCH_"
CONFIG = "TRUSTWATCH_CONFIG"
COMMAND_LINE = "command line"


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A string that shows itself only when asked.

    >>> Secret("hunter2")
    ***
    >>> Secret("hunter2").reveal()
    'hunter2'
    >>> bool(Secret(""))
    False
    """

    _value: str = ""

    def reveal(self) -> str:
        """Return the string itself."""
        return self._value

    def __repr__(self) -> str:
        """Hide the string, but not that it is empty."""
        return "***" if self._value else "''"

    def __bool__(self) -> bool:
        """Tell whether there is a string."""
        return bool(self._value)


# What a setting may be. A description replaces the text made from the type in error messages.
FilePath = Annotated[str, Meta(extra={"path": True}, description="the path of a file or folder")]
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]
Days = Annotated[float, Meta(gt=0, le=3_650)]
Hours = Annotated[float, Meta(gt=0, le=87_600)]
Weight = Annotated[float, Meta(gt=0, le=1_000_000)]
Stage = Literal["judge", "follow"]
_ADDRESS = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d{1,5}"
Addresses = Annotated[
    str,
    Meta(
        pattern=rf"^{_ADDRESS}(,{_ADDRESS})*$",
        description="host:port, several joined by commas without spaces",
    ),
]
TopicPrefix = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="at most 100 letters, digits, dots, underscores and hyphens",
    ),
]
GroupName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
        description="1 to 100 letters, digits, dots, underscores and hyphens",
    ),
]
InstanceName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._-]{0,200}$",
        description="at most 200 letters, digits, dots, underscores and hyphens",
    ),
]
Reliabilities = Annotated[
    str,
    Meta(
        pattern=r"^$|^[^=,]{1,60}=(0|1|0?\.\d+|1\.0*)(,[^=,]{1,60}=(0|1|0?\.\d+|1\.0*))*$",
        description="source=number, several joined by commas, each number from 0 to 1",
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kafka:
    """How to reach the brokers, and what our topics are called."""

    broker: Addresses = "127.0.0.1:9092"
    """Brokers to start from: `host:port`, several joined by commas."""
    prefix: TopicPrefix = "trustwatch."
    """What the name of each of our topics begins with."""
    group: GroupName = "trustwatch"
    """Consumer group of the workers, and the beginning of their changelog's name."""
    session_timeout: Annotated[float, Meta(ge=1, le=1_800)] = 45.0
    """Seconds without a heartbeat after which the broker takes a worker's partitions away."""
    heartbeat: Annotated[float, Meta(ge=0.1, le=600)] = 3.0
    """Seconds between heartbeats; at most a third of `session_timeout`."""
    security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    """Encryption (`tls`) and login (`sasl`) of the connection."""
    ca_file: FilePath = ""
    """Certificate authorities to trust (PEM); empty: those of the system."""
    cert_file: FilePath = ""
    """Our own certificate (PEM), when the broker asks for one."""
    key_file: FilePath = ""
    """The private key of `cert_file` (PEM, without a passphrase)."""
    verify_host: bool = True
    """Whether the broker's certificate must name the host that we connect to."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How we log in, with `sasl_plaintext` and `sasl_tls`."""
    username: str = ""
    """Who logs in."""
    password: Secret = dataclasses.field(default_factory=Secret)
    """The password of `username`."""
    password_file: FilePath = ""
    """A file that holds the password; read once, a final line break is dropped."""
    timeout: Annotated[float, Meta(ge=1, le=600)] = 10.0
    """Seconds that a command waits for the broker before it gives up."""
    partitions: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """Partitions of each topic when it is created."""
    replication: Annotated[int, Meta(ge=1, le=100)] = 1
    """Copies of each topic when it is created."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """How one worker takes and judges posts."""

    instance: InstanceName = ""
    """Name of this worker in its group; the same name after a restart means back at work at once.
    Empty: made of the host name and the metrics port."""
    chunk: Annotated[int, Meta(ge=1, le=10_000)] = 256
    """Most records of one partition that are handed over together."""
    take: Annotated[int, Meta(ge=1, le=1_000)] = 4
    """Most chunks in one batch."""
    within: Annotated[float, Meta(ge=0, le=60)] = 0.01
    """Longest wait, in seconds, to fill a batch."""
    commit_interval: Annotated[float, Meta(ge=0.05, le=300)] = 1.0
    """Seconds between two commits of the offsets that are done."""
    stages: Annotated[tuple[Stage, ...], Meta(min_length=1)] = ("judge", "follow")
    """What this worker does; several are joined by commas."""
    data_dir: FilePath = ""
    """Folder for the worker's local files; empty: a folder of its own among the temporary ones."""
    max_text: Annotated[int, Meta(ge=1, le=8_000_000)] = 100_000
    """Longest text that is judged, in characters; a longer one is rejected."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Brands:
    """Whom we watch."""

    file: FilePath = "brands.toml"
    """The brands file."""
    reload: Annotated[float, Meta(ge=0, le=86_400)] = 5.0
    """Seconds between two looks at the brands file; 0: it is read once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Who judges."""

    name: Annotated[str, Meta(min_length=1, max_length=1_000)] = "bundle"
    """`bundle`, `fast` (less precise, many times faster), `hub:NAME`, or the path of a folder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How the trust index remembers."""

    half_life_days: Days = 30.0
    """Days after which evidence counts half."""
    mood_half_life_hours: Annotated[float, Meta(ge=1, le=8_760)] = 12.0
    """Hours after which the mood counts half."""
    upkeep_half_life_days: Days = 180.0
    """Days after which counts half what a brand is used to hear: how fast silence costs trust."""
    sources: Reliabilities = ""
    """Reliability of sources, 0 to 1, as in `forum=0.5,rss=0.8`; one that is not named has 1."""
    prior_weight: Weight = 20.0
    """How much evidence the starting point is worth."""
    base: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """The starting point, from 0 to 1."""
    cost: Weight = 2.0
    """How many positive mentions one negative mention undoes."""
    close_after_hours: Hours = 48.0
    """Hours after the end of a day at which it closes into the ledger."""
    idle_after: Seconds = 600.0
    """Seconds after which a silent partition without waiting posts holds no day open."""
    clock: Literal["event", "wall"] = "event"
    """Which time decays the index: that of the newest post, or that of the machine."""
    tick: Annotated[float, Meta(ge=0.05, le=3_600)] = 0.25
    """Seconds between two readings of a brand that has news."""
    max_future: Annotated[float, Meta(ge=0, le=86_400)] = 300.0
    """Seconds by which a post may be dated after its arrival; one further ahead counts then."""
    max_age_hours: Hours = 24.0
    """Hours by which a post may be dated before its arrival; an older one counts at its arrival."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """When somebody is called."""

    page: Annotated[float, Meta(ge=1, le=1_000)] = 10.0
    """Score of a surge of complaints that pages; tickets, and the share of complaints, go with it.
    `trustwatch backtest --sweep` shows on your own history what another one would do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Where Prometheus reads."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Meta(ge=0, le=65_535)] = 9464
    """Port to listen on; 0: any free one."""
    max_brands: Annotated[int, Meta(ge=1, le=100_000)] = 2_000
    """Most brands whose series one worker shows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """How authors become pseudonyms."""

    key: Secret = dataclasses.field(default_factory=Secret)
    """Key of the HMAC that stands for an author: 16 characters or more, one for all workers."""
    key_file: FilePath = ""
    """A file that holds the key; read once, a final line break is dropped."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious lines that are shown."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, and where each value came from."""

    kafka: Kafka = Kafka()
    worker: Worker = Worker()
    brands: Brands = Brands()
    model: Model = Model()
    trust: Trust = Trust()
    alarms: Alarms = Alarms()
    metrics: Metrics = Metrics()
    privacy: Privacy = Privacy()
    log: Log = Log()
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    """Where the values that are not defaults came from, by `section.key`."""

    def origin(self, name: str) -> str:
        """Say where `section.key` came from: `default`, `FILE:LINE`, a variable's name."""
        return self.origins.get(name, "default")

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield each `section.key` with its value, in the order of declaration."""
        for section, cls in SECTIONS.items():
            for field in fields(cls):
                yield f"{section}.{field.name}", getattr(getattr(self, section), field.name)


SECTIONS: dict[str, type[Any]] = {
    "kafka": Kafka,
    "worker": Worker,
    "brands": Brands,
    "model": Model,
    "trust": Trust,
    "alarms": Alarms,
    "metrics": Metrics,
    "privacy": Privacy,
    "log": Log,
}
_TYPES: dict[str, Any] = {
    f"{section}.{key}": kind
    for section, cls in SECTIONS.items()
    for key, kind in get_type_hints(cls, include_extras=True).items()
}
_SECRET_FILES = {"kafka.password_file": "kafka.password", "privacy.key_file": "privacy.key"}
_SHORTEST_KEY = 16
_LAST_PORT = 65_535
_OTHERS_MAY_READ = 0o004


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody gave it."""

    value: Any
    origin: str
    rank: int
    """0 a file, 1 the environment, 2 the command line: the higher one wins."""
    folder: Path | None = None
    """What a relative path is relative to."""


_Section = TypeVar("_Section")


def load_settings(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Read, check and freeze the settings.

    Args:
        path: the settings file; None: that of `TRUSTWATCH_CONFIG`, else `trustwatch.toml` if there.
        env: the environment; None: that of the process.
        overrides: values by `section.key` that stand over all others (the command line).

    Raises:
        SettingsError: something is unknown, malformed or out of range; the text says what, where.
    """
    env = os.environ if env is None else env
    given = _read_file(path, env) | _read_env(env) | _read_overrides(overrides or {})
    given |= _read_secrets(given)
    values = {name: _convert(name, item) for name, item in given.items()}
    sections = {section: _section(cls, section, values) for section, cls in SECTIONS.items()}
    origins = {name: item.origin for name, item in given.items()}
    settings = Settings(**sections, origins=origins)
    _check_together(settings)
    return settings


def _section(cls: type[_Section], section: str, values: Mapping[str, Any]) -> _Section:
    dot = f"{section}."
    own = {name: value for name, value in values.items() if name.startswith(dot)}
    return cls(**{name.removeprefix(dot): value for name, value in own.items()})


def _read_file(path: Path | None, env: Mapping[str, str]) -> dict[str, _Given]:
    named = path or (Path(env[CONFIG]) if env.get(CONFIG) else None)
    file = named or Path(DEFAULT_FILE)
    if named is None and not file.exists():
        return {}
    text = _read_text(file, "the settings file", "name another with --config or TRUSTWATCH_CONFIG")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file}: this is not TOML: {error}") from error
    return dict(_flatten(document, file, text))


def _read_text(file: Path, what: str, fix: str) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise SettingsError(f"{what} {file} cannot be read ({error.strerror}): {fix}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{what} {file} is not UTF-8 text: {fix}") from error


def _flatten(document: Mapping[str, Any], file: Path, text: str) -> Iterator[tuple[str, _Given]]:
    for section, table in document.items():
        where = _place(file, text, section, "")
        if section not in SECTIONS:
            raise _unknown(section, where)
        if not isinstance(table, dict):
            raise SettingsError(f"{section} must be a table ({where}): write [{section}] above it")
        for key, value in table.items():
            name = f"{section}.{key}"
            where = _place(file, text, section, key)
            if name not in _TYPES:
                raise _unknown(name, where)
            yield name, _Given(value, where, 0, file.parent)


def _place(file: Path, text: str, section: str, key: str) -> str:
    """Return `FILE:LINE` of a key; `FILE` when it is written in an uncommon way."""
    current = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if head := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            current = head[1]
            if not key and current == section:
                return f"{file}:{number}"
        full = f"{current}.{line.strip()}" if current else line.strip()
        if re.match(rf"{re.escape(f'{section}.{key}' if key else section)}\s*[.=]", full):
            return f"{file}:{number}"
    return str(file)


def _read_env(env: Mapping[str, str]) -> dict[str, _Given]:
    variables = {_variable(name): name for name in _TYPES}
    given = {}
    for variable, value in sorted(env.items()):
        if not variable.startswith(PREFIX) or variable == CONFIG:
            continue
        if variable not in variables:
            name = variable.removeprefix(PREFIX).lower().replace("_", ".", 1)
            raise _unknown(name, "the environment", variable=True)
        given[variables[variable]] = _Given(value, variable, 1)
    return given


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "_").upper()


def _read_overrides(overrides: Mapping[str, str]) -> dict[str, _Given]:
    for name in overrides:
        if name not in _TYPES:
            raise _unknown(name, COMMAND_LINE)
    return {name: _Given(value, COMMAND_LINE, 2) for name, value in overrides.items()}


def _unknown(name: str, where: str, *, variable: bool = False) -> SettingsError:
    """Refuse a name, with the one that was meant or those that there are.

    Args:
        name: `section.key`, or a section alone.
        where: who gave it.
        variable: word names as variables.
    """
    section, _, key = name.partition(".")
    if known := SECTIONS.get(section):
        word, choice = key, {field.name: f"{section}.{field.name}" for field in fields(known)}
    else:
        word = section
        choice = {other: f"{other}.{key}" for other in SECTIONS if f"{other}.{key}" in _TYPES}
        choice = choice or {other: other for other in SECTIONS}
    close = difflib.get_close_matches(word, choice, n=1)
    hint = "did you mean" if close else "there are"
    meant = [choice[close[0]]] if close else choice.values()
    names = ", ".join(_variable(item) if variable else item for item in meant)
    shown = _variable(name) if variable else name
    return SettingsError(f"unknown setting {shown} ({where}); {hint}: {names}")


def _read_secrets(given: Mapping[str, _Given]) -> dict[str, _Given]:
    """Replace the name of a secret's file by what the file holds."""
    found = {}
    for file_name, name in _SECRET_FILES.items():
        named, direct = given.get(file_name), given.get(name)
        if named is None or not named.value:
            continue
        if direct is None or not direct.value or named.rank > direct.rank:
            found[name] = _read_secret(file_name, named)
        elif named.rank == direct.rank:
            raise SettingsError(
                f"{name} ({direct.origin}) and {file_name} ({named.origin}) exclude each other: "
                "keep one of them"
            )
    return found


def _read_secret(name: str, given: _Given) -> _Given:
    file = Path(_convert(name, given))
    text = _read_text(file, f"{name} ({given.origin}):", "give the path of a readable file")
    if file.stat().st_mode & _OTHERS_MAY_READ:
        log.warning("%s: everybody may read %s; try: chmod 600 %s", name, file, file)
    text = text.removesuffix("\n").removesuffix("\r")
    return _Given(text, f"{file} ({given.origin})", given.rank)


def _convert(name: str, given: _Given) -> Any:
    """Turn what was given into the setting's type, or refuse it."""
    kind = _TYPES[name]
    if kind is Secret:
        return _secret(name, given)
    value = given.value
    if isinstance(value, str) and _is_list(kind):
        value = [item.strip() for item in value.split(",")]
    try:
        result = msgspec.convert(value, kind, strict=given.rank == 0)
    except msgspec.ValidationError:
        raise _refusal(name, given) from None
    if isinstance(result, float) and not math.isfinite(result):
        raise _refusal(name, given)
    if _is_path(kind) and result and given.folder is not None:
        return str(given.folder / result)
    return result


def _secret(name: str, given: _Given) -> Secret:
    if not isinstance(given.value, str):
        raise SettingsError(f"{name} ({given.origin}) must be a string; its value is not shown")
    return Secret(given.value)


def _refusal(name: str, given: _Given) -> SettingsError:
    value = repr(given.value)
    shown = value if len(value) <= 80 else f"{value[:77]}..."  # noqa: PLR2004
    return SettingsError(f"{name} = {shown} ({given.origin}) is refused; allowed: {allowed(name)}")


def allowed(name: str) -> str:
    """Say in words what `section.key` may be.

    >>> allowed("kafka.partitions")
    'a whole number from 1 to 1,000'
    >>> allowed("log.level")
    'debug, info, warning or error'
    """
    return _words(_TYPES[name])


def _words(kind: Any) -> str:
    info = inspect.type_info(kind)
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {})["description"])
    if isinstance(info, inspect.IntType | inspect.FloatType):
        whole = "whole " if isinstance(info, inspect.IntType) else ""
        return f"a {whole}number{_range(info)}"
    if isinstance(info, inspect.BoolType):
        return "true or false"
    if isinstance(info, inspect.StrType) or kind is Secret:
        return "a string that is not empty" if getattr(info, "min_length", None) else "a string"
    return _choice(kind)


def _choice(kind: Any) -> str:
    """Name the values of a `Literal`, or those that a list may hold."""
    if get_origin(kind) is not Literal:
        return f"one or more of {', '.join(get_args(Stage))}, joined by commas"
    *some, last = get_args(kind)
    return f"{', '.join(some)} or {last}"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f" from {kind.ge:,}" if kind.ge is not None else f" above {kind.gt:,}"
    high = f" to {kind.le:,}" if kind.le is not None else f" and below {kind.lt:,}"
    return low + high


def _is_list(kind: Any) -> bool:
    info = inspect.type_info(kind)
    return isinstance(info, inspect.VarTupleType)


def _is_path(kind: Any) -> bool:
    info = inspect.type_info(kind)
    return isinstance(info, inspect.Metadata) and bool((info.extra or {}).get("path"))


def _check_together(settings: Settings) -> None:
    """Refuse values that are right alone and wrong together."""
    kafka, key = settings.kafka, settings.privacy.key.reveal()
    stages = settings.worker.stages
    ports = [int(address.rpartition(":")[2]) for address in kafka.broker.split(",")]
    if not all(0 < port <= _LAST_PORT for port in ports):
        raise _refused(settings, "a port is a number from 1 to 65535", "kafka.broker")
    if kafka.heartbeat * 3 > kafka.session_timeout:
        why = "a heartbeat is due at least three times in a session"
        raise _refused(settings, why, "kafka.heartbeat", "kafka.session_timeout")
    if kafka.security.startswith("sasl") and not (kafka.username and kafka.password):
        why = "a login needs both, the password here or in kafka.password_file"
        raise _refused(settings, why, "kafka.security", "kafka.username", "kafka.password")
    if bool(kafka.cert_file) != bool(kafka.key_file):
        raise _refused(settings, "they go together", "kafka.cert_file", "kafka.key_file")
    if len(set(stages)) < len(stages):
        raise _refused(settings, "each stage is named once", "worker.stages")
    if 0 < len(key) < _SHORTEST_KEY:
        raise _refused(settings, f"{_SHORTEST_KEY} characters are the least", "privacy.key")


def _refused(settings: Settings, why: str, *names: str) -> SettingsError:
    values = dict(settings.items())
    given = [f"{name} = {values[name]!r} ({settings.origin(name)})" for name in names]
    return SettingsError(f"{', '.join(given)}: {why}")
