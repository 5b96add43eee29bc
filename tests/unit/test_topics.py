"""The table of topics and the plan that leads to it, against an admin client of ours."""

import json
from typing import Any

import msgspec
import pytest

from streams import records
from streams.clients import LARGEST_LETTER
from streams.errors import BrokerError, InputError, TopicsError
from streams.records import LARGEST_POST
from streams.settings import Settings, load_settings
from streams.topics import TABLE, Change, Topic, Topics, apply, describe, plan, require, schemas

UNKNOWN, EXISTS, FORBIDDEN = 3, 36, 29


class Admin:
    """A broker that remembers: the part of kafka-python's admin client that we use."""

    def __init__(self) -> None:
        self.topics: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.codes: dict[str, int] = {}
        self.alter_result = "OK"

    def share(self) -> "Admin":
        """Return another client of the same broker."""
        other = Admin()
        other.topics = self.topics
        return other

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        """Show what there is."""
        return [
            {
                "name": name,
                "error_code": self.codes.get(name, 0 if name in self.topics else UNKNOWN),
                "partitions": [{}] * self.topics.get(name, {}).get("num_partitions", 0),
            }
            for name in names
        ]

    def describe_configs(self, resources: list[Any], config_filter: str) -> dict[str, Any]:
        """Show all settings."""
        assert config_filter == "all"
        own = {resource.name: self.topics[resource.name]["configs"] for resource in resources}
        return {
            "topic": {
                name: {key: {"value": value} for key, value in configs.items()}
                for name, configs in own.items()
            }
        }

    def create_topics(self, wanted: dict[str, Any], raise_errors: bool) -> dict[str, Any]:  # noqa: FBT001
        """Make what is not there."""
        assert not raise_errors
        self.calls.append("create")
        codes = {name: EXISTS for name in wanted if name in self.topics} | self.codes
        self.topics.update({name: topic for name, topic in wanted.items() if name not in codes})
        return {
            "topics": [
                {"name": name, "error_code": codes.get(name, 0), "error_message": "told so"}
                for name in wanted
            ]
        }

    def wait_for_topics(self, names: list[str]) -> None:
        """Be there at once."""
        self.calls.append("wait")
        assert names

    def alter_configs(self, resources: list[Any]) -> dict[str, Any]:
        """Set what is asked."""
        self.calls.append("alter")
        if self.alter_result == "OK":
            for resource in resources:
                self.topics[resource.name]["configs"] |= resource.configs
        return {"topic": {resource.name: self.alter_result for resource in resources}}


@pytest.fixture
def admin() -> Admin:
    return Admin()


def table(**env: str) -> tuple[Topic, ...]:
    named = {f"TRUSTWATCH_KAFKA_{key.upper()}": value for key, value in env.items()}
    return Topics(load_settings(env=named)).all


def named(topics: tuple[Topic, ...], end: str) -> Topic:
    [topic] = [topic for topic in topics if topic.name.endswith(end)]
    return topic


def test_names_carry_the_prefix_and_the_changelog_the_group() -> None:
    settings = load_settings(env={"TRUSTWATCH_KAFKA_PREFIX": "eu-", "TRUSTWATCH_KAFKA_GROUP": "tw"})
    topics = Topics(settings)
    assert [topic.name for topic in topics.all] == [
        "eu-posts",
        "eu-posts.rejected",
        "eu-mentions",
        "eu-trust",
        "eu-signals",
        "tw-rows-2-changelog",
    ]
    assert topics.all[0].name == topics.posts
    assert topics.all[-1].name == topics.changelog


def test_the_changelog_is_called_what_faust_calls_it() -> None:
    faust = pytest.importorskip("faust")
    settings = load_settings(env={"TRUSTWATCH_KAFKA_GROUP": "tw"})
    app = faust.App(settings.kafka.group, broker="kafka://127.0.0.1:1")
    assert app.Table(TABLE, partitions=1).changelog_topic_name == Topics(settings).changelog


def test_the_changelog_has_as_many_partitions_as_the_mentions() -> None:
    topics = table(partitions="7")
    assert named(topics, "changelog").partitions == named(topics, "mentions").partitions == 7


def test_raw_text_is_gone_after_a_day_and_an_hour() -> None:
    configs = named(table(), "posts").configs
    assert configs["cleanup.policy"] == "delete"
    assert int(configs["retention.ms"]) + int(configs["segment.ms"]) <= 25 * 3_600_000


def test_a_letter_holds_the_largest_post_and_its_headers() -> None:
    topics = table()
    assert named(topics, "posts").configs["max.message.bytes"] == str(LARGEST_POST)
    assert named(topics, "rejected").configs["max.message.bytes"] == str(LARGEST_LETTER)
    assert LARGEST_LETTER > LARGEST_POST


@pytest.mark.parametrize("end", ["trust", "changelog"])
def test_state_is_compacted_and_never_expires(end: str) -> None:
    configs = named(table(), end).configs
    assert configs["cleanup.policy"] == "compact"
    assert "retention.ms" not in configs


@pytest.mark.parametrize(("copies", "in_sync"), [("1", "1"), ("2", "1"), ("3", "2")])
def test_one_copy_may_be_away(copies: str, in_sync: str) -> None:
    topics = table(replication=copies)
    assert {topic.configs["min.insync.replicas"] for topic in topics} == {in_sync}
    assert {topic.replication for topic in topics} == {int(copies)}


def test_an_empty_broker_gets_every_topic_once(admin: Admin) -> None:
    topics = table()
    assert [change.kind for change in plan(admin, topics)] == ["create"] * 6
    assert [change.topic for change in apply(admin, topics)] == list(topics)
    assert set(admin.topics) == {topic.name for topic in topics}
    assert plan(admin, topics) == []
    admin.calls.clear()
    assert apply(admin, topics) == []
    assert admin.calls == []


def test_a_setting_that_differs_is_altered_alone(admin: Admin) -> None:
    topics = table()
    apply(admin, topics)
    own = admin.topics[topics[2].name]["configs"]
    own |= {"retention.ms": "1", "compression.type": "zstd"}
    [change] = plan(admin, topics)
    assert change.configs == {"retention.ms": ("1", str(7 * 24 * 3_600_000))}
    assert "retention.ms from 1 to 604800000" in str(change)
    apply(admin, topics)
    assert own["compression.type"] == "zstd"
    assert plan(admin, topics) == []


def test_another_number_of_partitions_is_refused_before_anything_is_done(admin: Admin) -> None:
    apply(admin, table(partitions="4"))
    del admin.topics["trustwatch.posts"]
    admin.calls.clear()
    with pytest.raises(TopicsError, match="keys away from their state") as caught:
        apply(admin, table(partitions="8"))
    assert "kafka.partitions = 4" in str(caught.value)
    assert admin.calls == []


def test_a_topic_of_too_many_partitions_is_refused_too(admin: Admin) -> None:
    apply(admin, table(partitions="8"))
    assert {change.kind for change in plan(admin, table(partitions="4"))} == {"refuse"}


def test_somebody_who_was_faster_is_no_error(admin: Admin) -> None:
    topics = table()
    looks: list[list[Change]] = []
    real = admin.describe_topics

    def look(names: list[str]) -> list[dict[str, Any]]:
        found = real(names)
        if not looks:
            # Another run creates everything between our look and our request.
            looks.append(apply(admin.share(), topics))
        return found

    admin.describe_topics = look  # type: ignore[method-assign]
    assert len(apply(admin, topics)) == 6
    assert len(looks[0]) == 6


def test_the_brokers_reason_for_not_creating_is_told(admin: Admin) -> None:
    [first, *_] = topics = table()
    admin.describe_topics = lambda names: [  # type: ignore[method-assign]
        {"name": name, "error_code": UNKNOWN, "partitions": []} for name in names
    ]
    admin.codes = {first.name: 38}
    with pytest.raises(TopicsError, match="told so"):
        apply(admin, topics)


def test_the_brokers_reason_for_not_altering_is_told(admin: Admin) -> None:
    topics = table()
    apply(admin, topics)
    admin.topics[topics[0].name]["configs"]["segment.ms"] = "1"
    admin.alter_result = "[Error 40] not that"
    with pytest.raises(TopicsError, match="not that"):
        apply(admin, topics)


def test_a_topic_that_we_may_not_see_is_a_fault_of_the_broker(admin: Admin) -> None:
    [first, *_] = topics = table()
    admin.codes = {first.name: FORBIDDEN}
    with pytest.raises(BrokerError, match="TopicAuthorizationFailedError"):
        plan(admin, topics)


def test_a_missing_topic_names_the_command(admin: Admin) -> None:
    with pytest.raises(TopicsError, match="trustwatch topics apply"):
        require(admin, "absent")
    apply(admin, table(partitions="3"))
    assert require(admin, "trustwatch.posts") == 3


def test_a_refusal_does_not_promise_that_apply_helps() -> None:
    [first, *_] = table()
    assert "topics apply" in describe([Change(first, "create")])
    assert "topics apply" not in describe([Change(first, "refuse", reason="no")])


def test_schemas_name_every_field_of_the_records() -> None:
    document = schemas(Settings())
    assert set(document["topics"]) == {
        "trustwatch.posts",
        "trustwatch.mentions",
        "trustwatch.trust",
        "trustwatch.signals",
    }
    post = document["$defs"]["Post"]
    assert set(post["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(records.Post)
    }
    assert post["required"] == ["id", "created_at"]
    json.dumps(document)


def test_one_schema_stands_alone() -> None:
    document = schemas(Settings(), "mentions")
    assert document["$ref"] == "#/$defs/Mention"
    assert "Post" not in document["$defs"]


def test_a_schema_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="posts, mentions, trust, signals"):
        schemas(Settings(), "rumours")
