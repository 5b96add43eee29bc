"""The gate, the fence and the version check, against sequences seen on Kafka."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import InputError
from streams.transport import TESTED, Admitted, Fence, Gate, Rival, Stall, check_faust

TP = ("posts", 0)


@dataclass(frozen=True)
class Rec:
    """A record, as far as the gate looks at it."""

    offset: int


def run(*offsets: int) -> list[Rec]:
    return [Rec(offset) for offset in offsets]


def opened(at: int) -> Gate:
    gate = Gate()
    gate.open({TP: at})
    return gate


def feed(gate: Gate, *offsets: int) -> list[int]:
    """Admit a run and deliver it as one chunk; return what was delivered."""
    admitted = gate.admit(TP, run(*offsets))
    if admitted.records:
        gate.deliver(TP, admitted.records[-1].offset)
    return [record.offset for record in admitted.records]


def test_a_closed_gate_delivers_nothing() -> None:
    gate = opened(5)
    gate.close()
    assert feed(gate, 5, 6) == []
    assert gate.position(TP) is None


def test_records_from_before_the_position_are_dropped() -> None:
    gate = opened(10)
    assert feed(gate, 7, 8, 9, 10, 11) == [10, 11]
    assert feed(gate, 8, 9) == []


# Seen after a rebalance: Faust seeks to 886, then records fetched at the old position arrive.
def test_records_of_an_old_position_ask_to_seek_back_and_are_not_delivered() -> None:
    gate = opened(886)
    assert gate.admit(TP, run(934, 935)).seek == 886
    assert feed(gate, 886, 887) == [886, 887]
    assert gate.position(TP) == 888


def test_a_hole_in_the_log_is_passed_when_it_comes_again() -> None:
    gate = opened(4)
    assert gate.admit(TP, run(6, 7)).seek == 4
    assert feed(gate, 6, 7) == [6, 7]
    assert gate.commit(TP, [7]) == 8


def test_a_stale_run_before_a_hole_costs_one_more_seek() -> None:
    gate = opened(4)
    assert gate.admit(TP, run(90)).seek == 4
    assert gate.admit(TP, run(6)).seek == 4
    assert feed(gate, 6) == [6]


def test_holes_within_a_run_are_delivered() -> None:
    gate = opened(1)
    assert feed(gate, 1, 2, 5, 6) == [1, 2, 5, 6]


def test_only_an_unbroken_run_of_chunks_is_committed() -> None:
    gate = opened(0)
    for offsets in ((0, 1), (2, 3), (4, 5)):
        feed(gate, *offsets)
    acked = [5, 3]
    assert gate.commit(TP, acked) is None
    assert acked == [5, 3]
    acked.append(1)
    assert gate.commit(TP, acked) == 6
    assert acked == []


# Seen in one generation: position 846, then 4,942 acknowledged from before the second seek.
def test_chunks_of_before_a_second_seek_do_not_move_the_commit() -> None:
    gate = opened(4_900)
    feed(gate, *range(4_900, 4_943))
    gate.open({TP: 846})
    acked = [4_942]
    assert gate.commit(TP, acked) is None
    feed(gate, *range(846, 900))
    acked.append(899)
    assert gate.commit(TP, acked) == 900


def test_a_chunk_that_is_finished_while_partitions_are_revoked_is_committed() -> None:
    gate = opened(0)
    feed(gate, 0, 1, 2)
    gate.close()
    assert feed(gate, 3) == []
    assert gate.commit(TP, [2]) == 3
    assert gate.unfinished() == {}


# Seen with two rebalances in a row: 5,254 to 5,763 were committed and never judged.
def test_each_opening_is_an_epoch_of_its_own() -> None:
    gate = opened(5_400)
    feed(gate, *range(5_400, 5_764))
    before = gate.epoch
    gate.open({TP: 5_254})
    feed(gate, *range(5_254, 5_764))
    assert gate.epoch == before + 1
    assert gate.commit(TP, []) is None


fetches = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=60)


@given(fetches, st.integers(0, 40), st.sets(st.integers(0, 71), max_size=10))
def test_whatever_is_fetched_every_record_is_delivered_once_and_in_order(
    fetched: list, start: int, holes: set
) -> None:
    log = [offset for offset in range(start, 72) if offset not in holes]
    gate, delivered = opened(start), list[int]()
    obeyed: int | None = None
    for stale, length in [*fetched, *[(0, 12)] * 40]:
        # A fetch may have been made at any old position, but not the first one after a seek.
        begin = obeyed if obeyed is not None else stale or gate.position(TP) or 0
        piece = [offset for offset in log if offset >= begin][:length]
        admitted = gate.admit(TP, run(*piece)) if piece else Admitted()
        obeyed = admitted.seek
        if admitted.records:
            gate.deliver(TP, admitted.records[-1].offset)
            delivered += [record.offset for record in admitted.records]
    assert delivered == sorted(set(delivered))
    assert delivered == log[: len(delivered)]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.randoms())
def test_the_commit_never_passes_a_chunk_that_is_not_acknowledged(
    sizes: list[int], rng: random.Random
) -> None:
    gate, lasts, offset = opened(0), [], 0
    for size in sizes:
        feed(gate, *range(offset, offset + size))
        offset += size
        lasts.append(offset - 1)
    order = lasts[:]
    rng.shuffle(order)
    acked: list[int] = []
    committed, done = 0, set()
    for last in order:
        acked.append(last)
        done.add(last)
        committed = gate.commit(TP, acked) or committed
        reached = next((end for end in lasts if end not in done), None)
        first_open = 0 if reached is None else reached - sizes[lasts.index(reached)] + 1
        assert committed == (offset if reached is None else first_open)


class Clock:
    """A clock that stands where it is set."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_fence_is_armed_by_its_first_beat() -> None:
    clock, died = Clock(), list[str]()
    fence = Fence(5.0, die=died.append, clock=clock)
    clock.now = 100.0
    fence.check()
    fence.beat()
    clock.now = 104.9
    fence.beat()
    assert died == []
    assert fence.age() == 0.0


def test_a_worker_that_stood_still_too_long_writes_nothing() -> None:
    clock, died = Clock(), list[str]()
    fence = Fence(5.0, die=died.append, clock=clock)
    fence.beat()
    clock.now = 5.1
    fence.check()
    assert "stood still for 5.1 s" in died[0]


def test_a_worker_that_is_forgotten_twice_within_a_session_has_a_rival() -> None:
    clock, died = Clock(), list[str]()
    rival = Rival(45.0, die=died.append, clock=clock)
    rival.unknown("me-1")
    rival.unknown("me-1")
    clock.now = 45.0
    rival.unknown("me-2")
    assert died == [], "a session that expired, twice"
    clock.now = 50.0
    rival.unknown("me-3")
    assert "worker.instance" in died[0]


def test_a_worker_that_the_group_refuses_says_why() -> None:
    died = list[str]()
    Rival(45.0, die=died.append).refused("GroupAuthorizationFailedError")
    assert "GroupAuthorizationFailedError" in died[0]


def test_a_chunk_that_is_never_finished_ends_the_worker() -> None:
    clock, died = Clock(), list[str]()
    stall = Stall(60.0, die=died.append, clock=clock)
    gate = opened(0)
    feed(gate, 0, 1)
    stall.check(gate.unfinished())
    clock.now = 59.0
    gate.commit(TP, [1])
    feed(gate, 2)
    stall.check(gate.unfinished())
    clock.now = 118.0
    stall.check(gate.unfinished())
    assert died == []
    clock.now = 120.0
    stall.check(gate.unfinished())
    assert "has stood at offset 2 for 61 s" in died[0]


@pytest.mark.parametrize("good", ["0.15.2", "0.15.3", "0.15.9.post1"])
def test_a_tested_faust_is_accepted(good: str) -> None:
    assert TESTED[0] <= tuple(map(int, good.split(".")[:3])) < TESTED[1]
    check_faust(good)


@pytest.mark.parametrize("bad", ["0.15.1", "0.16.0", "1.0"])
def test_an_untested_faust_is_refused_with_what_to_do(bad: str) -> None:
    with pytest.raises(InputError, match=r"faust-streaming .* is installed.*Install a tested"):
        check_faust(bad)
