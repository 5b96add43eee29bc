"""Explanations: what a group moved is the index less what it were without the group."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.domain.evidence import Caps
from streams.domain.explain import GROUPS, LEAST, POSTS
from streams.domain.row import Row
from streams.domain.trust import Rule
from streams.records import Group
from tests.support.rows import T0, ledger, row, rows, seen, shuffled

FREE = Rule(caps=Caps(author=1e12, copies=1e12, praise=1e12))
AT = 40


def mixed(*, leaks: bool = False) -> list[Row]:
    chance = np.random.default_rng(5)
    return [
        row(
            float(hour),
            gain=float(chance.random() * 0.6),
            loss=float(chance.random() * 0.9),
            source=("forum", "press", "video")[n % 3],
            copy=n % 11 + 1,
            author=n + 1,
            leak=leaks and n % 13 == 0,
            kind=1,
            url=f"https://forum.example/{n}",
        )
        for n, hour in enumerate(np.sort(chance.random(90) * AT))
    ]


def explained(given_: list[Row], since: int = T0) -> tuple[list[Group], list]:
    groups, posts = seen(ledger(given_, FREE), AT, FREE, since=since).explain()
    return list(groups), list(posts)


def index(given_: list[Row]) -> float:
    return float(seen(ledger(given_, FREE), AT, FREE).reading.index)


def without(given_: list[Row], group: Group) -> list[Row]:
    keep: dict[str, Callable[[Row], bool]] = {
        "source": lambda one: one.source != group.name,
        "copy": lambda one: f"{one.copy:016x}" != group.name,
        "hour": lambda one: str(np.datetime64(one.at // 3_600_000, "h")) != group.name[:13],
        "incident": lambda one: not one.leak,
    }
    return [one for one in given_ if keep[group.kind](one)]


@pytest.mark.parametrize("leaks", [False, True])
def test_without_a_group_the_index_is_what_the_group_moved_away(leaks: bool) -> None:  # noqa: FBT001
    posts = mixed(leaks=leaks)
    groups, _ = explained(posts)
    assert len(groups) == GROUPS
    # What a source took off by its part of a leak story's credibility counts for the incident.
    told = [group for group in groups if group.kind == "incident" or not leaks]
    for group in told:
        assert group.moved == pytest.approx(index(posts) - index(without(posts, group)), abs=1e-6)


@pytest.mark.parametrize("kind", ["incident", "source", "copy", "hour"])
def test_each_kind_of_group_says_what_it_moved(kind: str) -> None:
    posts = {
        "incident": [row(n, leak=True, kind=2, author=n + 1, copy=n + 1) for n in range(9)],
        "source": [row(n * 3, loss=0.9, source="press") for n in range(12)],
        "copy": [row(n * 3, loss=0.9, copy=77, source=f"s{n}") for n in range(12)],
        "hour": [row(9 + n / 20, loss=0.9, source=f"s{n}") for n in range(12)],
    }[kind] + [row(n, gain=0.3) for n in range(30)]
    groups, _ = explained(posts)
    mine = [group for group in groups if group.kind == kind and group.moved < -1]
    assert mine, groups
    assert mine[0].moved == pytest.approx(index(posts) - index(without(posts, mine[0])), abs=1e-6)
    assert mine[0].posts == len(posts) - len(without(posts, mine[0]))


def test_the_most_telling_posts_are_those_that_moved_most() -> None:
    calm = mixed()
    _, telling = explained(calm)
    moved = {str(n): index(calm) - index(calm[:n] + calm[n + 1 :]) for n in range(len(calm))}
    strongest = sorted(moved, key=lambda post: -abs(moved[post]))[:POSTS]
    assert [one.post for one in telling] == strongest
    for one in telling:
        assert one.moved == pytest.approx(moved[one.post], abs=1e-6)
        assert one.url == f"https://forum.example/{one.post}"


def test_what_was_said_before_is_not_named() -> None:
    old, new = row(2, loss=0.9, source="press"), row(30, loss=0.9, source="forum")
    groups, posts = explained([old, new], since=T0 + 24 * 3_600_000)
    assert {group.name for group in groups if group.kind == "source"} == {"forum"}
    assert [one.post for one in posts] == ["1"]


def test_what_comes_later_is_not_named() -> None:
    shot = seen(ledger([row(2, loss=0.9), row(39, loss=0.9, leak=True)]), 38, since=T0)
    groups, posts = shot.explain()
    assert [one.post for one in posts] == ["0"]
    assert "incident" not in {group.kind for group in groups}


def test_an_incident_counts_its_mentions_up_to_the_instant() -> None:
    leaks = [row(n, leak=True, kind=1, author=n + 1, copy=n + 1) for n in range(30)]
    for hours, mentions in ((10, 10), (26, 26)):
        groups, _ = seen(ledger(leaks), hours, since=T0).explain()
        assert [one.posts for one in groups if one.kind == "incident"] == [mentions]


def test_nothing_moved_nothing_is_named() -> None:
    assert explained([]) == ([], [])
    assert explained([row(1, weighty=False)] * 30) == ([], [])


@settings(max_examples=40)
@given(st.lists(rows, max_size=25), st.integers(0, 9))
def test_the_order_of_posts_changes_no_explanation(given_: list, seed: int) -> None:
    numbered = list(enumerate(given_))
    one, other = ledger([]), ledger([])
    for made, order in ((one, numbered), (other, shuffled(numbered, seed))):
        for n, post in order:
            made.put(str(n), post)
    assert seen(one, 71, since=T0).explain() == seen(other, 71, since=T0).explain()


@settings(max_examples=40)
@given(st.lists(rows, max_size=25))
def test_the_strongest_come_first_and_none_is_negligible(given_: list) -> None:
    groups, posts = seen(ledger(given_), 71, since=T0).explain()
    for some in (groups, posts):
        moved = [abs(one.moved) for one in some]
        assert moved == sorted(moved, reverse=True)
        assert all(points >= LEAST for points in moved)
    assert len(groups) <= GROUPS
    assert len(posts) <= POSTS
