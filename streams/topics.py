"""The topics: one table of what they must be, and what brings a broker there. None is deleted."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import UnknownTopicOrPartitionError, for_code

from streams import clients, records
from streams.clients import LARGEST_LETTER
from streams.errors import BrokerError, InputError, TopicsError
from streams.records import LARGEST_POST
from streams.settings import Settings

TABLE = "rows-2"
"""Name of the state table; Faust calls its changelog `{group}-{table}-changelog`."""
APPLY = "trustwatch topics apply"

_HOUR = 3_600_000
_DAY = 24 * _HOUR
_EXISTS = 36
_CODE_UNKNOWN = UnknownTopicOrPartitionError.errno

# Only closed segments expire or are compacted: an hour each keeps raw text from outliving its day.
_RAW = {
    "cleanup.policy": "delete",
    "retention.ms": str(_DAY),
    "segment.ms": str(_HOUR),
    # The broker's clock: a sender with a wrong one could have posts expire at once, or never.
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(LARGEST_POST),
}
_LETTERS = {
    "cleanup.policy": "delete",
    "retention.ms": str(7 * _DAY),
    "segment.ms": str(_DAY),
    "max.message.bytes": str(LARGEST_LETTER),
}
_WEEK = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY), "segment.ms": str(_DAY)}
_MONTH = {"cleanup.policy": "delete", "retention.ms": str(30 * _DAY), "segment.ms": str(_DAY)}
# Recovery reads the whole changelog: small segments that are compacted early keep it near the
# size of the state. Tombstones stay for a day, longer than any recovery takes.
_COMPACT = {
    "cleanup.policy": "compact",
    "segment.ms": str(_HOUR),
    "segment.bytes": str(64 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.2",
    "max.compaction.lag.ms": str(6 * _HOUR),
    "delete.retention.ms": str(_DAY),
}

_RECORDS: Mapping[str, type[msgspec.Struct]] = {
    "posts": records.Post,
    "mentions": records.Mention,
    "trust": records.TrustReading,
    "signals": records.Signal,
}


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic as it must be."""

    name: str
    key: str
    """What its records are keyed by, in words."""
    partitions: int
    replication: int
    """Copies when it is created; a change is the cluster's business."""
    configs: Mapping[str, str]


class Topics:
    """The full names of our topics, and what each must be.

    >>> from streams.settings import Settings
    >>> topics = Topics(Settings())
    >>> topics.posts, topics.changelog
    ('trustwatch.posts', 'trustwatch-rows-2-changelog')
    """

    def __init__(self, settings: Settings) -> None:
        kafka = settings.kafka
        self.posts = f"{kafka.prefix}posts"
        self.rejected = f"{kafka.prefix}posts.rejected"
        self.mentions = f"{kafka.prefix}mentions"
        self.trust = f"{kafka.prefix}trust"
        self.signals = f"{kafka.prefix}signals"
        self.changelog = f"{kafka.group}-{TABLE}-changelog"
        table = (
            (self.posts, "post id", _RAW),
            (self.rejected, "as received", _LETTERS),
            (self.mentions, "brand id", _WEEK),
            (self.trust, "brand id", _COMPACT),
            (self.signals, "brand id", _MONTH),
            (self.changelog, "brand and post id", _COMPACT),
        )
        # One copy may be away without stopping the writers, who wait for all that are in sync.
        in_sync = {"min.insync.replicas": str(max(1, kafka.replication - 1))}
        self.all: tuple[Topic, ...] = tuple(
            Topic(
                name=name,
                key=key,
                partitions=kafka.partitions,
                replication=kafka.replication,
                configs=MappingProxyType(configs | in_sync),
            )
            for name, key, configs in table
        )


@dataclass(frozen=True)
class Change:
    """One step between the topics on the broker and what they must be."""

    topic: Topic
    kind: Literal["create", "alter", "refuse"]
    configs: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Of `alter`: the old and the new value by key."""
    reason: str = ""
    """Of `refuse`: why this is not done."""

    def __str__(self) -> str:
        """Tell the step in a line."""
        if self.kind == "create":
            return f"create {self.topic.name} with {self.topic.partitions} partitions"
        if self.kind == "alter":
            steps = (f"{key} from {old} to {new}" for key, (old, new) in self.configs.items())
            return f"alter  {self.topic.name}: {', '.join(steps)}"
        return f"refuse {self.topic.name}: {self.reason}"


def plan(admin: KafkaAdminClient, topics: Sequence[Topic]) -> list[Change]:
    """Return what separates the broker from the table, in the order of the table.

    Raises:
        BrokerError: the broker does not let us look.
    """
    partitions = _partitions(admin, [topic.name for topic in topics])
    found = admin.describe_configs(
        [ConfigResource("topic", name) for name in partitions], config_filter="all"
    )
    changes: list[Change] = []
    for topic in topics:
        if topic.name not in partitions:
            changes.append(Change(topic, "create"))
            continue
        if partitions[topic.name] != topic.partitions:
            changes.append(Change(topic, "refuse", reason=_moved(topic, partitions[topic.name])))
        if configs := _differences(topic, found["topic"][topic.name]):
            changes.append(Change(topic, "alter", configs=configs))
    return changes


def _partitions(admin: KafkaAdminClient, names: Sequence[str]) -> dict[str, int]:
    """Return the number of partitions of those topics that exist."""
    found = {}
    for topic in admin.describe_topics(list(names)):
        code = topic["error_code"]
        if code == _CODE_UNKNOWN:
            continue
        if code:
            raise BrokerError(f"Kafka does not show the topic {topic['name']}: {for_code(code)()}")
        found[topic["name"]] = len(topic["partitions"])
    return found


def _moved(topic: Topic, found: int) -> str:
    return (
        f"it has {found} partitions, kafka.partitions is {topic.partitions}. Another number would "
        "move keys away from their state; set "
        f"kafka.partitions = {found}, or start anew with another kafka.prefix and kafka.group"
    )


def _differences(topic: Topic, found: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    now = {key: str(entry["value"]) for key, entry in found.items()}
    return {
        key: (now.get(key, "nothing"), value)
        for key, value in topic.configs.items()
        if now.get(key) != value
    }


def apply(
    admin: KafkaAdminClient, topics: Sequence[Topic], *, patience: float = 10.0
) -> list[Change]:
    """Bring the broker to what the table says, and return what was done.

    Args:
        admin: the broker.
        topics: the table.
        patience: seconds to wait until the broker shows what it has done.

    Raises:
        TopicsError: a step is refused, by us (then nothing is done) or by the broker.
        BrokerError: the broker went away.
    """
    changes = plan(admin, topics)
    if refused := [change for change in changes if change.kind == "refuse"]:
        raise TopicsError("\n".join(map(str, refused)))
    _create(admin, [change.topic for change in changes if change.kind == "create"])
    _alter(admin, [change for change in changes if change.kind == "alter"])
    _wait(admin, topics if changes else (), patience)
    return changes


def _wait(admin: KafkaAdminClient, topics: Sequence[Topic], patience: float) -> None:
    """Wait until a change shows: brokers hear of it from their controller, a moment later."""
    end = time.monotonic() + patience
    while topics and (left := plan(admin, topics)):
        if time.monotonic() > end:
            raise TopicsError(f"Kafka has taken, but does not show:\n{describe(left)}")
        time.sleep(0.1)


def _create(admin: KafkaAdminClient, topics: Sequence[Topic]) -> None:
    if not topics:
        return
    wanted = {
        topic.name: {
            "num_partitions": topic.partitions,
            "replication_factor": topic.replication,
            "configs": dict(topic.configs),
        }
        for topic in topics
    }
    done = admin.create_topics(wanted, raise_errors=False)
    for topic in done["topics"]:
        # Somebody else may have been faster.
        if topic["error_code"] not in (0, _EXISTS):
            why = topic.get("error_message") or for_code(topic["error_code"])()
            raise TopicsError(f"Kafka does not create {topic['name']}: {why}")
    admin.wait_for_topics(list(wanted))


def _alter(admin: KafkaAdminClient, changes: Sequence[Change]) -> None:
    if not changes:
        return
    wanted = [
        ConfigResource(
            "topic", change.topic.name, {key: new for key, (_, new) in change.configs.items()}
        )
        for change in changes
    ]
    for name, result in admin.alter_configs(wanted)["topic"].items():
        if result != "OK":
            raise TopicsError(f"Kafka does not alter {name}: {result}")


def check_topics(settings: Settings) -> None:
    """Return if the topics are as they must be.

    Raises:
        TopicsError: they are not; the text names the differences and the command to run.
        BrokerError: the broker cannot be reached.
    """
    with clients.admin(settings.kafka) as admin:
        changes = plan(admin, Topics(settings).all)
    if changes:
        raise TopicsError(describe(changes))


def describe(changes: Sequence[Change]) -> str:
    """Tell what is missing, and what to do about it."""
    lines = [f"  {change}" for change in changes]
    todo = "see above" if any(change.kind == "refuse" for change in changes) else f"run: {APPLY}"
    return "\n".join(["the topics are not what they must be:", *lines, todo])


def require(kafka_admin: KafkaAdminClient, name: str) -> int:
    """Return the number of partitions of a topic.

    Raises:
        TopicsError: it does not exist.
    """
    found = _partitions(kafka_admin, [name])
    if name not in found:
        raise TopicsError(f"there is no topic {name}; run: {APPLY}")
    return found[name]


def schemas(settings: Settings, topic: str | None = None) -> dict[str, Any]:
    """Return the JSON Schemas of the records: by topic, or of one topic alone.

    Raises:
        InputError: no such topic has a schema.
    """
    if topic is not None and topic not in _RECORDS:
        raise InputError(f"there is no schema for {topic!r}; there is for {', '.join(_RECORDS)}")
    wanted = _RECORDS if topic is None else {topic: _RECORDS[topic]}
    references, definitions = msgspec.json.schema_components(
        list(wanted.values()), ref_template="#/$defs/{name}"
    )
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    if topic is not None:
        return dialect | references[0] | {"$defs": definitions}
    names = [getattr(Topics(settings), short) for short in wanted]
    topics = dict(zip(names, references, strict=True))
    return dialect | {"topics": topics, "$defs": definitions}
