"""Brands found in lines, in this process and in others beside it: the same, in the same order."""

import json
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from unittest.mock import Mock

import msgspec
import pytest

from streams import finding
from streams.domain.brands import Brand
from streams.finding import Batch, Found, Known
from streams.pipeline import Finder
from streams.reader import LONGEST_LINE, Reader

BRANDS = (Brand(id="velmora", name="Velmora"), Brand(id="ostrane", name="Ostrane"))


@pytest.fixture
def finder() -> Finder:
    return Finder(matcher=Known(BRANDS), key=b"k" * 16)


def line(number: int, text: str = "Velmora met Ostrane", **more: object) -> bytes:
    day = 1 + number % 28
    post = {"id": f"p{number}", "text": text, "created_at": f"2026-03-{day:02}T09:30:00Z"}
    return json.dumps(post | more).encode()


def saved(path: Path, lines: Sequence[bytes]) -> Reader:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return Reader([path])


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Forty batches of 25 lines, some of which are no posts."""
    monkeypatch.setattr(finding, "BATCH", 25)
    monkeypatch.setattr(finding, "WORTH", 0)
    lines = [line(n) if n % 7 else b"{" for n in range(1_000)]
    return saved(tmp_path / "posts.jsonl", lines)


def told(found: Iterator[tuple[Batch, Found]]) -> list[tuple[list[str], bytes]]:
    """Return where the lines stand and what was found, to be compared."""
    return [([str(p) for p in batch.places], msgspec.json.encode(one)) for batch, one in found]


def test_lines_become_posts_that_name_brands_deletions_and_refusals(finder: Finder) -> None:
    found = finding.find(
        [
            line(1),
            line(2, "nobody's brand"),
            line(3, deleted=True),
            b"[1]",
            line(5, created_at="1812-06-24T00:00:00Z"),
            line(6, created_at="2100-01-01T00:00:00Z"),
            line(7, created_at="2099-12-31T23:59:59.999999Z"),
        ],
        finder,
    )
    assert found.ids == ["p1", "p2", "p3", "p7"]
    assert [number for number, _ in found.named] == [0, 6]
    assert [one.brand for one in found.named[0][1].mentions] == ["velmora", "ostrane"]
    assert [one.post for one in found.deleted] == ["p3"]
    assert [number for number, _ in found.refused] == [3, 4, 5]
    assert found.refused[1][1] == "bad date: dated 1812; posts are of 1990 to 2099"


def test_posts_count_in_whole_milliseconds(finder: Finder) -> None:
    found = finding.find([line(1, created_at="2026-03-01T09:30:00.123987Z")], finder)
    assert found.named[0][1].mentions[0].at.microsecond == 123_000


def test_a_batch_has_the_lines_that_are_too_long_apart(tmp_path: Path) -> None:
    reader = saved(tmp_path / "p.jsonl", [line(1), b"x" * (LONGEST_LINE + 5), b"", line(2)])
    [batch] = finding.batches(reader)
    assert [place.line for place in batch.places] == [1, 4]
    assert [(bad.place.line, bad.why) for bad in batch.bad] == [
        (2, f"longer than {LONGEST_LINE} bytes")
    ]


def test_other_processes_find_the_same_in_the_same_order(
    finder: Finder, many: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = told(finding.here(finder)(finding.batches(many)))
    assert len(expected) == 40
    with finding.beside(finder, total=many.total) as find:
        helpers = multiprocessing.active_children()
        assert len(helpers) == finding.BESIDE
        _started(helpers)
        here = Mock(side_effect=finding.find)
        monkeypatch.setattr(finding, "find", here)
        assert told(find(finding.batches(many))) == expected
        assert here.call_count == 1
    assert not multiprocessing.active_children()


def _started(helpers: Iterable[multiprocessing.process.BaseProcess]) -> None:
    """Wait: helpers take part once they have started, which takes longer than forty batches."""
    for helper in helpers:
        helper.join(2.0)
        assert helper.is_alive()


def test_what_a_process_leaves_when_it_is_killed_is_done_here(finder: Finder, many: Reader) -> None:
    expected = told(finding.here(finder)(finding.batches(many)))
    with finding.beside(finder, total=None) as find:
        _started(multiprocessing.active_children())
        found = find(finding.batches(many))
        some = list(islice(found, 7))
        for helper in multiprocessing.active_children():
            os.kill(helper.pid or 0, signal.SIGKILL)
            helper.join()
        assert told(iter([*some, *found])) == expected


def test_processes_that_cannot_start_leave_the_work_here(
    finder: Finder, many: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = told(finding.here(finder)(finding.batches(many)))
    monkeypatch.setattr(finding, "_serve", os._exit)
    with finding.beside(finder, total=None) as find:
        for helper in multiprocessing.active_children():
            helper.join()
        assert told(find(finding.batches(many))) == expected


def test_a_reader_that_stops_halfway_leaves_no_process(finder: Finder, many: Reader) -> None:
    def interrupted() -> None:
        with finding.beside(finder, total=None) as find:
            next(find(finding.batches(many)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("cores", "total"), [(1, None), (2, finding.WORTH - 1)])
def test_no_process_is_started_where_none_is_worth_it(
    finder: Finder, monkeypatch: pytest.MonkeyPatch, cores: int, total: int | None
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    with finding.beside(finder, total=total) as find:
        assert not multiprocessing.active_children()
        [(_, found)] = find([Batch([line(1)], [], [])])
    assert found.ids == ["p1"]


def test_a_process_answers_until_the_other_end_is_closed(finder: Finder) -> None:
    ours, theirs = multiprocessing.Pipe()
    serving = threading.Thread(target=finding._serve, args=(theirs, finder))
    serving.start()
    assert ours.recv_bytes() == b""
    ours.send_bytes(msgspec.msgpack.encode([line(1), b"{"]))
    found = msgspec.msgpack.decode(ours.recv_bytes(), type=Found)
    assert found.ids == ["p1"]
    assert [number for number, _ in found.refused] == [1]
    ours.close()
    serving.join(5.0)
    assert not serving.is_alive()


def test_a_matcher_travels_as_its_brands() -> None:
    known = Known(BRANDS)
    made = known()
    assert known() is made
    again = pickle.loads(pickle.dumps(known))
    assert [one.brand for one in again().match("Ostrane")] == ["ostrane"]
