"""Dead letters: what is read from a record, and replays that end or meet at any moment."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition

from streams import replay as module
from streams.commands.rejected import _instant, _plain
from streams.errors import BrokerError, InputError
from streams.rejected import FACTS, Id, Letter, Mark, matcher, read_letter, read_mark, split
from streams.replay import Outcome, Replay, _batches, _headers
from streams.settings import Settings

POSTS, LETTERS = "trustwatch.posts", "trustwatch.posts.rejected"


def facts(**changes: str) -> list[tuple[str, bytes]]:
    known = {
        "reason": "not_json",
        "stage": "judge",
        "detail": "it is not",
        "source_topic": POSTS,
        "source_partition": "0",
        "source_offset": "7",
        "time": "2026-11-23T09:30:00.000+00:00",
    }
    return [(name, value.encode()) for name, value in (known | changes).items()]


def record(headers: list[tuple[str, bytes]], *, value: bytes | None = b"{", offset: int = 3) -> Any:
    return SimpleNamespace(
        partition=1, offset=offset, key=b"k", value=value, headers=headers, timestamp=1000.0
    )


def letter(*, size: int = 1, original: Iterable[tuple[str, bytes]] = (), **changes: str) -> Letter:
    own, _ = split(facts(**changes))
    return Letter(id=Id(0, 1), key=b"k", value=b"v", size=size, facts=own, headers=list(original))


def test_the_workers_facts_are_parted_from_the_headers_of_the_original() -> None:
    original = [("received", b"then"), ("reason", b"mine"), ("time", b"\xff"), ("reason", b"two")]
    own, others = split([*original, *facts()])
    assert others == original
    assert tuple(own) == FACTS
    assert own["reason"] == "not_json"


def test_the_workers_own_envelope_is_understood() -> None:
    worker = pytest.importorskip("streams.worker")
    pipeline = pytest.importorskip("streams.pipeline")
    source = SimpleNamespace(topic=POSTS, partition=2, offset=9, headers=[("received", b"x")])
    made = worker.envelope(pipeline.Letter(source, "judge", "too_long", "why"))
    own, others = split(made)
    assert set(own) == set(FACTS)
    assert (own["reason"], own["source_partition"], own["source_offset"]) == ("too_long", "2", "9")
    assert others == [("received", b"x")]


def test_a_letter_keeps_its_bytes_only_when_asked_to() -> None:
    whole = read_letter(record(facts(), value=b"\x00\xff"))
    assert (whole.id, whole.value, whole.size) == (Id(1, 3), b"\x00\xff", 2)
    brief = read_letter(record(facts(), value=b"\x00\xff"), whole=False)
    assert (brief.value, brief.size) == (None, 2)
    assert read_letter(record([], value=None)).size == 0
    assert read_letter(record([])).fact("reason") == "?"


def test_a_mark_is_no_letter() -> None:
    headers = [("replay_of", b"1:3"), ("state", b"claimed"), ("run", b"r"), ("from", b"17")]
    assert read_mark(record(headers)) == Mark(Id(1, 3), "claimed", "r", 17, 1.0)
    assert read_mark(record(facts())) is None


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "1:-1", "1:1:1"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="PARTITION:OFFSET"):
        Id.parse(text)


def test_letters_are_chosen_by_id_reason_and_age() -> None:
    one = letter(reason="a", time="2026-11-23T09:30:00+00:00")
    moment = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    assert matcher()(one)
    assert matcher(ids=[Id(0, 1)], reason="a", since=moment)(one)
    assert not matcher(ids=[Id(0, 2)])(one)
    assert not matcher(reason="b")(one)
    assert not matcher(since=moment + timedelta(seconds=1))(one)
    # One without a time that we can read is never left out for its age.
    assert matcher(since=moment)(letter(time="soon"))


def test_ages_and_instants_are_understood() -> None:
    assert abs(datetime.now(UTC) - _instant("2h") - timedelta(hours=2)) < timedelta(seconds=5)
    assert _instant("2026-11-23T09:30:00") == datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    with pytest.raises(InputError, match="--since"):
        _instant("2w")


def test_nothing_that_is_shown_can_steer_a_terminal() -> None:
    assert "\x1b" not in _plain("a\x1b[31mb\n")


def test_a_copy_has_the_headers_of_the_original_and_says_what_it_is_of() -> None:
    original = [("received", b"then"), ("replayed", b"9:9"), ("x", b"1")]
    assert _headers(letter(original=original), dated=True) == [
        ("received", b"then"),
        ("x", b"1"),
        ("replayed", b"0:1"),
    ]


def test_a_copy_of_a_post_was_received_when_it_was_rejected_at_the_latest() -> None:
    assert ("received", b"2026-11-23T09:30:00.000+00:00") in _headers(letter(), dated=True)
    assert dict(_headers(letter(), dated=False)).keys() == {"replayed"}


def test_batches_are_small_enough_for_a_lease() -> None:
    many = [letter()] * (2 * module._BATCH + 1)
    assert [len(batch) for batch in _batches(many)] == [module._BATCH, module._BATCH, 1]
    big = [letter(size=module._BATCH_BYTES)] * 2 + [letter()]
    assert [len(batch) for batch in _batches(big)] == [1, 1, 1]
    assert list(_batches([])) == []


class Killed(Exception):  # noqa: N818 -- it is no error
    """The process of a run ended here."""


class Log:
    """The topics of a broker in memory, and what happens at its events."""

    def __init__(self, letters: int, *, partitions: int = 2) -> None:
        self.topics: dict[TopicPartition, list[Any]] = defaultdict(list)
        self.first: dict[TopicPartition, int] = defaultdict(int)
        self.partitions = range(partitions)
        self.now = 0.0
        self.events = 0
        self.at: dict[int, Callable[[], None]] = {}
        for number in range(letters):
            home = str(number * 7 % partitions)
            part = TopicPartition(LETTERS, number % partitions)
            source = facts(source_partition=home, source_offset=str(number))
            self.append(part, b"k", b"%d" % number, source)

    def append(self, part: TopicPartition, key: Any, value: Any, headers: Any) -> int:
        """Write a record."""
        log = self.topics[part]
        log.append(
            SimpleNamespace(
                topic=part.topic, partition=part.partition, offset=len(log), key=key, value=value,
                headers=headers, timestamp=time.time() * 1000,
            )
        )  # fmt: skip
        return len(log) - 1

    def event(self) -> None:
        """Count an event, and do what is to happen at it."""
        self.events += 1
        if act := self.at.pop(self.events, None):
            act()

    def sent(self) -> list[bytes]:
        """Return the values of all copies."""
        return [
            record.value
            for part, records in self.topics.items()
            if part.topic == POSTS
            for record in records
            if any(name == "replayed" for name, _ in record.headers)
        ]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Consumer:
    """The part of kafka-python's consumer that we use."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.positions: dict[TopicPartition, int] = {}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """Name the partitions of a topic that is there."""
        return set(self.log.partitions) if topic in (POSTS, LETTERS) else None

    def assign(self, parts: list[TopicPartition]) -> None:
        """Read these."""
        self.positions = dict.fromkeys(parts, 0)

    def resume(self, *parts: TopicPartition) -> None:
        """Take note."""
        assert set(parts) <= set(self.positions)

    pause = resume

    def beginning_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return where retention has left off."""
        return {part: self.log.first[part] for part in parts}

    def end_offsets(self, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the ends of the logs."""
        self.log.event()
        return {part: len(self.log.topics[part]) for part in parts}

    def seek(self, part: TopicPartition, offset: int) -> None:
        """Go on there."""
        self.positions[part] = offset

    def position(self, part: TopicPartition) -> int:
        """Return the next offset."""
        return self.positions[part]

    def poll(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """Return a few records of each partition."""
        assert timeout_ms
        self.log.event()
        found = {}
        for part, position in self.positions.items():
            # A few at a time, so that a scan takes several polls.
            found[part] = self.log.topics[part][position : position + 3]
            self.positions[part] += len(found[part])
        return {part: records for part, records in found.items() if records}


class Producer:
    """The part of kafka-python's producer that we use."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def send(self, topic: str, **kept: Any) -> Any:
        """Write a record at once."""
        part = TopicPartition(topic, kept["partition"])
        offset = self.log.append(part, kept["key"], kept.get("value"), kept["headers"])
        self.log.event()
        return SimpleNamespace(get=lambda timeout: offset + 0 * timeout)


def run(log: Log, *, insist: frozenset[Id] = frozenset(), **choice: Any) -> Outcome:
    """Replay once, as one process would."""
    one = Replay(
        Settings(),
        Consumer(log),
        Producer(log),
        wait=log.wait,
        clock=lambda: log.now,
    )
    chosen = one.select(matcher(ids=insist, **choice))
    one.send(chosen, insist=insist)
    return one.outcome


def values(count: int) -> list[bytes]:
    return sorted(b"%d" % number for number in range(count))


def test_each_letter_is_sent_once_however_often_it_is_run() -> None:
    log = Log(7)
    first = run(log)
    assert (len(first.sent), first.before) == (7, [])
    again = run(log)
    assert (again.sent, len(again.before)) == ([], 7)
    assert sorted(log.sent()) == values(7)


def test_a_letter_that_a_batch_done_again_wrote_again_is_one_letter() -> None:
    log = Log(3)
    for records in list(log.topics.values()):
        for found in list(records):
            part = TopicPartition(found.topic, found.partition)
            log.append(part, found.key, found.value, found.headers)
    assert len(run(log).sent) == 3
    assert sorted(log.sent()) == values(3)


def test_a_copy_goes_where_the_original_stood_with_its_key() -> None:
    log = Log(3)
    run(log)
    for part, records in log.topics.items():
        for found in records if part.topic == POSTS else ():
            [letter_] = [
                one
                for lane in log.topics.values()
                for one in lane
                if one.topic == LETTERS and one.value == found.value
            ]
            assert dict(letter_.headers)["source_partition"] == b"%d" % part.partition
            assert found.key == b"k"


def test_only_what_is_asked_for_is_sent() -> None:
    log = Log(4)
    assert run(log, insist=frozenset([Id(0, 1)])).sent == [Id(0, 1)]
    assert run(log, reason="another").sent == []
    assert len(log.sent()) == 1


def test_letters_from_topics_that_are_not_ours_are_never_sent() -> None:
    log = Log(0)
    for changes in ({"source_topic": "payments"}, {"source_partition": "x"},
                    {"source_partition": "99"}):  # fmt: skip
        log.append(TopicPartition(LETTERS, 0), b"k", b"v", facts(**changes))
    log.append(TopicPartition(LETTERS, 0), b"k", b"v", [])
    outcome = run(log)
    assert (outcome.sent, len(outcome.foreign)) == ([], 4)
    assert log.sent() == []


def test_a_letter_without_key_and_value_is_sent_as_empty_bytes() -> None:
    log = Log(0)
    log.append(TopicPartition(LETTERS, 0), None, None, facts())
    run(log)
    assert log.sent() == [b""]


def test_a_run_that_finds_claims_waits_for_their_lease() -> None:
    log = Log(1)
    log.at[4] = _kill
    with pytest.raises(Killed):
        run(log)
    run(log)
    assert log.now == module.LEASE
    assert log.sent() == [b"0"]


def test_what_cannot_be_told_any_more_is_not_sent_unless_it_is_named() -> None:
    log = Log(1)
    claim = [("replay_of", b"0:0"), ("state", b"claimed"), ("run", b"dead"), ("from", b"0")]
    log.append(TopicPartition(LETTERS, 0), b"k", None, claim)
    # Retention has deleted the place where the copy would be.
    log.append(TopicPartition(POSTS, 0), b"k", b"other", [])
    log.first[TopicPartition(POSTS, 0)] = 1
    assert run(log).doubtful == [Id(0, 0)]
    assert log.sent() == []
    assert run(log, insist=frozenset([Id(0, 0)])).sent == [Id(0, 0)]
    assert run(log, insist=frozenset([Id(0, 0)])).sent == []


def test_a_frozen_run_sends_nothing_after_its_lease() -> None:
    log = Log(3)

    def freeze() -> None:
        log.now += module.LEASE

    log.at[10] = freeze
    with pytest.raises(BrokerError, match="run it again"):
        run(log)
    run(log)
    assert sorted(log.sent()) == values(3)


def _kill() -> None:
    raise Killed


@settings(max_examples=200)
@given(
    letters=st.integers(1, 6),
    kills=st.lists(st.integers(1, 60), max_size=4),
    batch=st.integers(1, 4),
)
def test_killed_at_any_event_each_letter_is_sent_once(
    letters: int, kills: list[int], batch: int
) -> None:
    log = Log(letters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BATCH", batch)
        for event in kills:
            log.events = 0
            log.at = {event: _kill}
            try:
                run(log)
            except Killed:
                continue
        log.at = {}
        run(log)
    assert sorted(log.sent()) == values(letters)


@pytest.mark.parametrize(("letters", "batch"), [(1, 1), (2, 1), (3, 2)])
def test_two_runs_that_meet_at_any_event_send_each_letter_once(
    letters: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run stands still at an event while another one, maybe killed, is under way."""
    monkeypatch.setattr(module, "_BATCH", batch)
    quiet = Log(letters)
    run(quiet)
    for begin in range(1, quiet.events + 1):
        for end in range(quiet.events + 10):
            log = Log(letters)
            log.at[begin] = partial(_another, log, end)
            with suppress(BrokerError):  # its lease was over
                run(log)
            run(log)
            assert sorted(log.sent()) == values(letters), (begin, end)


def _another(log: Log, end: int) -> None:
    """Replay, killed after so many events; 0: not at all."""
    if end:
        log.at[log.events + end] = _kill
    with suppress(Killed):
        run(log)
    log.at.clear()


@pytest.mark.parametrize("killed", [False, True], ids=["done", "killed before it was done"])
def test_what_was_sent_stays_known_when_the_copies_are_gone(killed: bool) -> None:  # noqa: FBT001
    log = Log(1)
    if killed:
        log.at = dict.fromkeys(range(100), lambda: _kill() if log.sent() else None)
        with pytest.raises(Killed):
            run(log)
        log.at = {}
    run(log)
    assert log.sent() == [b"0"]
    for part, records in log.topics.items():
        if part.topic == POSTS:
            log.first[part] = len(records)
    outcome = run(log)
    assert (outcome.before, outcome.doubtful) == ([Id(0, 0)], [])
    assert log.sent() == [b"0"]
