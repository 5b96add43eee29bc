"""Feeding without a broker: reading, moving in time, pacing, and what is said about it."""

import gzip
import io
import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from streams.commands import feed as command
from streams.errors import InputError
from streams.feed import Pace, Progress, moved, shift
from streams.reader import LONGEST_LINE, STDIN, Bad, Item, Place, Reader

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def line(**changes: object) -> str:
    post: dict[str, object] = {"id": "x:1", "created_at": "2026-11-23T09:30:00Z", "text": "hello"}
    return json.dumps({key: value for key, value in (post | changes).items() if value is not None})


def item(at: datetime, **changes: object) -> Item:
    value = line(created_at=at.isoformat(), **changes).encode()
    return Item("x:1", at, value, Place(Path("f"), 1))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(*lines: str, name: str = "posts.jsonl") -> Path:
        path = tmp_path / name
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zst"):
            half = len(data) // 2
            pack = zstandard.ZstdCompressor().compress
            data = pack(data[:half]) + pack(data[half:])
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.jsonl.gz", "posts.jsonl.zst"])
def test_lines_become_posts_with_their_bytes_and_place(
    name: str, written: Callable[..., Path]
) -> None:
    path = written(line(id="a", unknown=[1, 2]), "", line(id="b"), name=name)
    first, second = Reader([path])
    assert isinstance(first, Item)
    assert (first.id, first.created_at) == ("a", datetime(2026, 11, 23, 9, 30, tzinfo=UTC))
    assert first.value == line(id="a", unknown=[1, 2]).encode()
    assert second.place == Place(path, 3)


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(line().encode())))
    reader = Reader([STDIN])
    assert reader.total is None
    [found] = reader
    assert str(found.place) == "standard input:1"


def test_a_reader_may_start_in_the_middle_of_its_first_file(written: Callable[..., Path]) -> None:
    one = written(*(line(id=f"a{n}") for n in range(1, 6)), name="one.jsonl")
    two = written(*(line(id=f"b{n}") for n in range(1, 3)), name="two.jsonl")
    found = [item.id for item in Reader([one, two], start_at=4) if isinstance(item, Item)]
    assert found == ["a4", "a5", "b1", "b2"]


@pytest.mark.parametrize("name", ["posts.jsonl", "posts.jsonl.gz", "posts.jsonl.zst"])
def test_how_far_a_reader_is_ends_at_the_size_on_disk(
    name: str, written: Callable[..., Path]
) -> None:
    path = written(*(line(id=str(n)) for n in range(100)), name=name)
    reader = Reader([path, path])
    assert (reader.done, reader.total) == (0, 2 * path.stat().st_size)
    for _ in range(2):
        seen = [reader.done for _ in reader]
        assert seen == sorted(seen)
        assert reader.done == reader.total


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nonsense", "not JSON"),
        ('{"id": "x"', "not JSON"),
        ('{"x": ' * 100_000, "not JSON"),
        ("[]", "not a post"),
        (line(id=7), "not a post"),
        (line(id=""), "its id is empty"),
        (line(created_at="yesterday"), "not a post"),
        (line(created_at=None), "not a post"),
        (line(text=None), "no text"),
        (line().replace("hello", "\ud800"), "not JSON"),
    ],
)
def test_a_line_that_is_no_post_is_told_without_what_it_says(
    text: str, why: str, written: Callable[..., Path]
) -> None:
    bad, good = Reader([written(text, line())])
    assert isinstance(bad, Bad)
    assert why in bad.why
    assert bad.place.line == 1
    assert "hello" not in bad.why
    assert isinstance(good, Item)


def test_a_deleted_post_needs_no_text(written: Callable[..., Path]) -> None:
    [found] = Reader([written(line(text=None, deleted=True))])
    assert isinstance(found, Item)


def test_a_line_longer_than_a_record_is_passed_over_whole(written: Callable[..., Path]) -> None:
    huge = line(text="x" * (2 * LONGEST_LINE + 7))
    bad, good = Reader([written(huge, line())])
    assert isinstance(bad, Bad)
    assert "longer than" in bad.why
    assert isinstance(good, Item)
    assert good.place.line == 2


def test_a_missing_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl"):
        Reader([tmp_path / "absent.jsonl"])


@pytest.mark.parametrize("name", ["posts.jsonl.gz", "posts.jsonl.zst"])
def test_a_damaged_archive_is_told_with_the_line_before(
    name: str, written: Callable[..., Path]
) -> None:
    path = written(*(line(id=f"{n:05}", text="x" * 500) for n in range(2000)), name=name)
    path.write_bytes(path.read_bytes()[:-40] + b"nonsense" * 5)
    with pytest.raises(InputError, match=r"cannot be read after line \d+"):
        list(Reader([path]))


def test_a_time_without_a_zone_is_utc(written: Callable[..., Path]) -> None:
    [found] = Reader([written(line(created_at="2026-11-23T12:00:00"))])
    assert isinstance(found, Item)
    assert found.created_at == NOON


def test_shifted_the_last_post_is_now() -> None:
    items = [item(NOON - timedelta(hours=hours)) for hours in (50, 2, 30)]
    now = NOON + timedelta(days=3)
    assert shift(items, now=now) == timedelta(days=3, hours=2)
    *_, last = sorted(m.created_at for m in moved(items, shift(items, now=now)) if m[0])  # type: ignore[union-attr]
    assert last == now


def test_one_date_of_the_future_does_not_move_the_others_into_the_past() -> None:
    items = [item(NOON - timedelta(hours=1)), item(datetime(9999, 1, 1, tzinfo=UTC))]
    assert shift(items, now=NOON) == timedelta(hours=1)
    assert shift(items[1:], now=NOON) == NOON - items[1].created_at


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0.01, 10_000))
def test_replayed_at_a_speed_no_post_is_in_the_future_and_one_is_now(
    seconds: list[int], speed: float
) -> None:
    items = [item(NOON + timedelta(seconds=second)) for second in sorted(seconds)]
    now = NOON + timedelta(days=40)
    pace = Pace(speed=speed)
    late = [
        now + timedelta(seconds=pace.due(post.created_at)) - post.created_at
        for post in moved(items, shift(items, now=now, speed=speed))
        if isinstance(post, Item)
    ]
    assert min(late) >= -timedelta(milliseconds=1)
    assert min(late) <= timedelta(milliseconds=1)


def test_nothing_to_shift_is_refused() -> None:
    with pytest.raises(InputError, match="no post"):
        shift([Bad(Place(Path("f"), 1), "no")], now=NOON)


def test_moving_changes_the_date_alone() -> None:
    post = item(NOON, text="at 12:00 2026-11-23", unknown={"a": 1}, author={"id": "z"})
    [new] = moved([post], timedelta(hours=5))
    assert isinstance(new, Item)
    before, after = json.loads(post.value), json.loads(new.value)
    assert datetime.fromisoformat(after.pop("created_at")) == NOON + timedelta(hours=5)
    before.pop("created_at")
    assert before == after
    assert new.created_at == NOON + timedelta(hours=5)


def test_a_date_that_cannot_be_moved_is_a_bad_line() -> None:
    bad = Bad(Place(Path("f"), 9), "why")
    assert list(moved([bad], timedelta(1))) == [bad]
    [new] = moved([item(datetime(9999, 12, 31, tzinfo=UTC))], timedelta(days=2))
    assert isinstance(new, Bad)


def test_at_a_rate_posts_are_evenly_spaced() -> None:
    pace = Pace(rate=4)
    assert [pace.due(NOON) for _ in range(4)] == [0, 0.25, 0.5, 0.75]


def test_at_a_speed_gaps_shrink() -> None:
    pace = Pace(speed=60)
    assert [pace.due(NOON + timedelta(minutes=m)) for m in (0, 1, 30, 2)] == [0, 1, 30, 2]


def test_without_a_pace_all_is_due() -> None:
    pace = Pace()
    assert [pace.due(NOON + timedelta(days=d)) for d in (0, 9)] == [0, 0]


@pytest.mark.parametrize(
    "given_",
    [
        {"rate": 0.0},
        {"rate": -1.0},
        {"speed": 0.0},
        {"rate": math.nan},
        {"rate": 1.0, "speed": 1.0},
    ],
)
def test_impossible_paces_are_refused(given_: dict[str, float]) -> None:
    with pytest.raises(InputError, match=r"--(rate|speed)"):
        Pace(**given_)


def test_the_command_to_go_on_names_the_files_that_are_left(written: Callable[..., Path]) -> None:
    files = [written(line(), name=name) for name in ("a.jsonl", "b c.jsonl", "d.jsonl")]
    reader = Reader(files)
    progress = Progress(delivered=9, last=Place(files[1], 41))
    ctx = SimpleNamespace(obj=Path("my settings.toml"))
    options = command._given(ctx, rate=2.5, speed=None, shift_to_now=True)  # type: ignore[arg-type]
    told = command._where(progress, reader, options)
    assert f"The last post that arrived: {files[1]}:41." in told
    words = shlex.split(told.splitlines()[1])
    assert words == [
        "trustwatch", "--config", "my settings.toml", "feed", "--rate", "2.5", "--shift-to-now",
        str(files[1]), str(files[2]), "--start-at", "42",
    ]  # fmt: skip


def test_when_nothing_arrived_the_command_starts_where_it_had_started(
    written: Callable[..., Path],
) -> None:
    path = written(line())
    told = command._where(Progress(), Reader([path], start_at=7), ["feed"])
    assert told == f"No post arrived. To go on:\n  trustwatch feed {path} --start-at 7"


def test_standard_input_cannot_be_gone_on_with() -> None:
    progress = Progress(last=Place(STDIN, 5))
    assert command._where(progress, Reader([STDIN]), ["feed"]) == (
        "The last post that arrived: standard input:5."
    )


def test_the_summary_counts_bad_lines_only_if_there_are_any() -> None:
    assert command._summary(Progress(delivered=1500), 2.0) == (
        "Published 1,500 posts in 2.0 s (750/s)."
    )
    assert "2 lines were no posts" in command._summary(Progress(bad=2), 1.0)


def test_a_log_gets_a_line_every_few_seconds(
    written: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reader = Reader([written(*[line()] * 10)])
    with command._display(reader) as shown:
        for done, _ in enumerate(reader, start=1):
            now[0] += 1
            shown.report(Progress(delivered=done))
        shown.complain(Bad(Place(Path("f[x]"), 3), "not [red]JSON"))
    told = capsys.readouterr().err.splitlines()
    assert told[:-1] == [
        "3 posts, 1/s, 30%, about 0:00:07 left",
        "6 posts, 1/s, 60%, about 0:00:04 left",
        "9 posts, 1/s, 90%, about 0:00:01 left",
    ]
    assert told[-1] == "f[x]:3: not [red]JSON"
