"""How far the clock runs: up to where nothing waits, for whomever of the group it waits."""

from collections.abc import Collection, Mapping

import pytest

from streams.tide import PAUSE, Tide

POSTS, MENTIONS = "posts", "mentions"


class Broker:
    """Three partitions of posts and three of mentions, as numbers."""

    def __init__(self) -> None:
        self.end = {POSTS: [10, 10, 10], MENTIONS: [20, 20, 20]}
        self.committed = {POSTS: [10, 10, 10], MENTIONS: [20, 20, 20]}
        self.asked = 0

    async def ends(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return where partitions end."""
        self.asked += 1
        return {p: self.end[topic][p] for p in partitions}

    async def done(self, topic: str, partitions: Collection[int]) -> Mapping[int, int]:
        """Return what is committed."""
        return {p: self.committed[topic][p] for p in partitions}


@pytest.fixture
def tide() -> Tide:
    return Tide(posts=POSTS, mentions=MENTIONS, partitions=3)


async def test_where_nothing_waits_the_clock_runs(tide: Tide) -> None:
    for now in (100.0, 110.0):
        await tide.ask(Broker(), [1], now=now)
        assert tide.reached == {1: now}


@pytest.mark.parametrize("source", [0, 2])
async def test_posts_that_wait_hold_it_whoever_is_to_judge_them(tide: Tide, source: int) -> None:
    broker = Broker()
    broker.committed[POSTS][source] = 9
    for now in (100.0, 110.0, 120.0):
        await tide.ask(broker, [1], now=now)
        assert tide.reached == {}
    broker.committed[POSTS][source] = 10
    await tide.ask(broker, [1], now=130.0)
    assert tide.reached == {1: 100.0}, "as of when they were found"
    await tide.ask(broker, [1], now=140.0)
    assert tide.reached == {1: 140.0}


async def test_their_mentions_are_entered_first(tide: Tide) -> None:
    broker = Broker()
    broker.committed[POSTS][0] = 9
    await tide.ask(broker, [0, 1], now=100.0)
    broker.committed[POSTS][0], broker.end[MENTIONS][1] = 10, 25
    await tide.ask(broker, [0, 1], now=110.0)
    assert tide.reached == {}
    broker.end[MENTIONS][1], broker.committed[MENTIONS][1] = 99, 25
    await tide.ask(broker, [0, 1], now=120.0)
    assert tide.reached == {0: 100.0, 1: 100.0}


async def test_posts_that_come_after_the_question_do_not_hold_it(tide: Tide) -> None:
    broker = Broker()
    broker.committed[POSTS][0] = 9
    await tide.ask(broker, [1], now=100.0)
    broker.end[POSTS][0], broker.committed[POSTS][0] = 99, 10
    await tide.ask(broker, [1], now=110.0)
    assert tide.reached == {1: 100.0}


async def test_mentions_of_others_do_not_hold_it(tide: Tide) -> None:
    broker = Broker()
    broker.committed[MENTIONS][2] = 0
    await tide.ask(broker, [0, 1], now=100.0)
    assert tide.reached == {0: 100.0, 1: 100.0}


async def test_of_a_partition_that_moves_here_nothing_is_known_until_it_is_asked_about(
    tide: Tide,
) -> None:
    broker = Broker()
    await tide.ask(broker, [0, 1], now=100.0)
    broker.committed[POSTS][0] = 9
    await tide.ask(broker, [1], now=110.0)
    await tide.ask(broker, [1, 2], now=111.0)
    assert tide.reached == {1: 100.0}
    broker.committed[POSTS][0] = 10
    await tide.ask(broker, [1, 2], now=120.0)
    assert tide.reached == {1: 111.0, 2: 111.0}


async def test_it_is_asked_now_and_then_and_by_nobody_who_follows_nothing(tide: Tide) -> None:
    broker = Broker()
    await tide.ask(broker, [], now=100.0)
    assert broker.asked == 0
    await tide.ask(broker, [1], now=200.0)
    asked = broker.asked
    await tide.ask(broker, [1], now=199.0 + PAUSE)
    assert broker.asked == asked
    await tide.ask(broker, [1], now=200.0 + PAUSE)
    assert broker.asked > asked
