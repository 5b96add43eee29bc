"""Topics on real brokers: made, left alone, mended, refused, never deleted."""

import time
from collections.abc import Callable

import pytest
from kafka.admin import ConfigResource

from streams import clients
from streams.errors import BrokerError, TopicsError
from streams.settings import Settings, load_settings
from streams.topics import Change, Topics, apply, check_topics, plan
from tests.support.broker import Server, ports
from tests.support.refusals import refused


def eventually(look: Callable[[], list[Change]]) -> list[Change]:
    """Return what is found as soon as there is something: brokers take a moment to show it."""
    end = time.monotonic() + 10
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.05)
    return found


@pytest.fixture(
    params=[
        pytest.param("kafka", marks=pytest.mark.broker),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ]
)
def broker(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture
def settings_for(broker: Server, topic_prefix: str) -> Callable[..., Settings]:
    def make(**changes: str) -> Settings:
        ours = {
            "broker": broker.bootstrap,
            "prefix": topic_prefix,
            "group": topic_prefix.rstrip("."),
        }
        return load_settings(
            env={}, overrides={f"kafka.{key}": value for key, value in (ours | changes).items()}
        )

    return make


def test_topics_are_made_once_and_checked(settings_for: Callable[..., Settings]) -> None:
    settings = settings_for()
    topics = Topics(settings).all
    with pytest.raises(TopicsError, match="trustwatch topics apply"):
        check_topics(settings)
    with clients.admin(settings.kafka) as admin:
        assert len(apply(admin, topics)) == len(topics)
        assert apply(admin, topics) == []
    check_topics(settings)


@pytest.mark.broker
def test_a_changed_setting_is_found_and_mended(
    kafka: Server, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(broker=kafka.bootstrap)
    topics = Topics(settings)
    with clients.admin(settings.kafka) as admin:
        apply(admin, topics.all)
        other = {"retention.ms": "60000", "segment.jitter.ms": "5"}
        admin.alter_configs([ConfigResource("topic", topics.posts, other)])
        [change] = eventually(lambda: plan(admin, topics.all))
        assert change.configs == {"retention.ms": ("60000", "86400000")}
        with pytest.raises(TopicsError, match=r"retention.ms from 60000 to 86400000"):
            check_topics(settings)
        apply(admin, topics.all)
        found = admin.describe_configs([ConfigResource("topic", topics.posts)])
    assert found["topic"][topics.posts]["segment.jitter.ms"]["value"] == "5"
    check_topics(settings)


def test_another_number_of_partitions_is_refused(settings_for: Callable[..., Settings]) -> None:
    before, after = settings_for(partitions="2"), settings_for(partitions="3")
    with clients.admin(before.kafka) as admin:
        apply(admin, Topics(before).all)
        with pytest.raises(TopicsError, match="it has 2 partitions"):
            apply(admin, Topics(after).all)
    check_topics(before)
    with pytest.raises(TopicsError, match=r"kafka\.partitions = 2"):
        check_topics(after)


@pytest.mark.broker
def test_more_copies_than_brokers_is_told_in_the_brokers_words(
    kafka: Server, settings_for: Callable[..., Settings]
) -> None:
    settings = settings_for(broker=kafka.bootstrap, replication="3")
    with (
        clients.admin(settings.kafka) as admin,
        pytest.raises(TopicsError, match="replication factor of 3"),
    ):
        apply(admin, Topics(settings).all)


def test_a_broker_that_is_away_is_told_in_time() -> None:
    [port] = ports(1)
    overrides = {"kafka.broker": f"127.0.0.1:{port}", "kafka.timeout": "1"}
    with refused(), pytest.raises(BrokerError, match="nothing listens there"):
        check_topics(load_settings(env={}, overrides=overrides))
