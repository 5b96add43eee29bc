"""The demo without a broker: its story, what it counts, what it shows, and how it ends."""

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from streams.demo import broker, view
from streams.demo.board import Board, Ends, Point
from streams.demo.frame import Frame, Row
from streams.demo.guard import Guard
from streams.demo.play import hints, theirs
from streams.demo.result import Result
from streams.demo.scene import Scene
from streams.demo.screen import Lines, Terminal
from streams.demo.story import CALM, VICTIM, Story
from streams.demo.task import Task
from streams.demo.worker import Counters, Worker, environment, reaching
from streams.errors import BrokerError, InputError, SettingsError, TrustwatchError
from streams.reader import Item
from streams.records import LatestLeak, Mention, TrustReading
from streams.settings import load_settings

DAY = datetime(2026, 11, 20, tzinfo=UTC)
SPAN = (DAY, DAY + timedelta(days=3))
LEAK = LatestLeak(DAY + timedelta(hours=20), "forum:1", "forum")


def reading(
    brand: str = VICTIM,
    *,
    hour: float = 0.0,
    index: float = 50.0,
    enough: bool = True,
    counts: tuple[int, int, int] = (0, 0, 0),
    leak: LatestLeak | None = None,
) -> TrustReading:
    return TrustReading(
        brand=brand,
        at=DAY + timedelta(hours=hour),
        index=index,
        low=index - 4,
        high=index + 4,
        enough=enough,
        capital=index,
        mood=index,
        mood_loss=0.0,
        shocks=(),
        negative=counts[0],
        neutral=counts[1],
        positive=counts[2],
        leaks=int(leak is not None),
        latest_leak=leak,
        late=0,
        version="test",
    )


def mention(post: str, brand: str = VICTIM, *, deleted: bool = False) -> bytes:
    return msgspec.json.encode(
        Mention(post=post, brand=brand, at=DAY, partition=0, offset=0, deleted=deleted)
    )


def hourly(*values: float | None) -> list[Point]:
    return [Point(DAY + timedelta(hours=hour), value) for hour, value in enumerate(values)]


class Clock:
    """A steady clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


# The story


@pytest.mark.parametrize("days", [3, 9.9, 10, 400, -200])
def test_the_story_moves_by_whole_weeks_to_the_past(days: float) -> None:
    now = SPAN[0] + timedelta(days=days)
    story = Story.load(now=now)
    first, last = story.span
    assert last <= now < last + timedelta(weeks=1)
    assert (first - DAY).days % 7 == 0
    assert first.strftime("%a %H:%M") == "Fri 00:12"


def test_the_moments_move_with_the_posts() -> None:
    story = Story.load(now=DAY + timedelta(days=100))
    times = {item.created_at for item in story.items if isinstance(item, Item)}
    assert len(story.moments) == 5
    assert {moment.at for moment in story.moments} <= times
    assert story.now(story.began - timedelta(seconds=1)) == CALM
    assert "for sale" in story.now(story.began)
    assert "confirms" in story.now(story.span[1])


def test_brands_are_shown_by_their_shortest_name() -> None:
    assert Story.load().brands == {
        "ondrelle": "Ondrelle",
        "tirelune": "Tirelune",
        "lichen": "Lichen",
    }


# The board


def test_the_newest_reading_by_event_time_is_shown() -> None:
    board = Board()
    for hour, index in ((1, 60.0), (3, 40.0), (2, 99.0)):
        board.read(msgspec.json.encode(reading(hour=hour, index=index)))
    assert board.readings[VICTIM].index == 40.0
    assert [point.value for point in board.course(VICTIM)] == [60.0, 40.0]


def test_a_reading_without_evidence_leaves_a_hole_in_the_course() -> None:
    board = Board()
    board.read(msgspec.json.encode(reading(enough=False)))
    assert [point.value for point in board.course(VICTIM)] == [None]


def test_repeats_and_deletions_are_not_missed() -> None:
    board = Board()
    for post in ("a", "b", "b", "c"):
        board.mention(mention(post))
    board.mention(mention("c", "", deleted=True))
    assert board.missing() == {VICTIM: 2}
    board.read(msgspec.json.encode(reading(counts=(1, 0, 1))))
    assert board.missing() == {}
    assert board.mentions == 3


def test_a_post_that_was_counted_twice_is_noticed() -> None:
    board = Board()
    board.mention(mention("a"))
    board.read(msgspec.json.encode(reading(counts=(1, 1, 0))))
    assert board.missing() == {VICTIM: -1}


# The scene


def settled_scene(clock: Clock) -> Scene:
    scene = Scene(Story.load(), clock=clock)
    scene.progress.delivered = 3
    scene.board.ends = Ends(posts=3, rejected=1, unread=0, unheard=0)
    scene.scrape(lambda: Counters(judged=2, rejected=1))
    return scene


def test_a_scene_is_settled_once_nothing_was_missing_for_a_while() -> None:
    clock = Clock()
    scene = settled_scene(clock)
    assert not scene.settled()
    clock.now += 0.6
    assert scene.settled()


@pytest.mark.parametrize(
    "ends",
    [Ends(posts=2, unread=0), Ends(posts=3, unread=-1), Ends(3, 1, 4, 0), Ends(3, 1, 0, 1)],
)
def test_a_scene_is_not_settled_while_something_waits(ends: Ends) -> None:
    clock = Clock()
    scene = settled_scene(clock)
    scene.board.ends = ends
    clock.now += 10
    assert not scene.settled()


def test_a_scene_is_not_settled_while_a_reading_is_off() -> None:
    clock = Clock()
    scene = settled_scene(clock)
    scene.board.mention(mention("a"))
    clock.now += 10
    assert not scene.settled()


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    scene = Scene(Story.load(), clock=clock)
    for judged in range(0, 100, 5):
        scene.scrape(lambda judged=judged: Counters(judged=judged))  # type: ignore[misc]
        clock.now += 0.5
    assert scene.frame("").rate == pytest.approx(10.0)


def test_a_worker_that_does_not_answer_keeps_its_last_counters() -> None:
    clock = Clock()
    scene = settled_scene(clock)
    clock.now += 1
    scene.scrape(lambda: None)
    assert scene.frame("").judged == 2


# The result


GOOD, ENDS = Counters(3, 0), Ends(3, 0, 0, 0)


def result(
    *,
    fed: int = 3,
    counters: Counters = GOOD,
    ends: Ends = ENDS,
    missing: dict[str, int] | None = None,
    before: float | None = 60.0,
    after: TrustReading | None = None,
) -> Result:
    return Result(
        fed=fed,
        counters=counters,
        ends=ends,
        mentions=3,
        missing=missing or {},
        readings={VICTIM: after or reading(index=40.0, leak=LEAK)},
        before=before,
    )


def test_a_good_result_ends_with_a_line_for_scripts() -> None:
    good = result()
    assert list(good.problems()) == []
    assert list(good.lines())[-1] == (
        "demo: ok posts=3 judged=3 rejected=0 mentions=3 leaks=1 fell=ondrelle from=60.0 to=40.0"
    )
    assert (
        "ondrelle: index=40.0 low=36.0 high=44.0 mood=40.0 negative=0 neutral=0 positive=0"
        " leaks=1 latest_leak=2026-11-20T20:00:00Z source=forum"
    ) in list(good.lines())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (result(ends=Ends(2, 0, 0, 0)), "3 posts were fed and 2 lie in the topic"),
        (result(counters=Counters(2, 0)), "3 posts were fed, 2 judged and 0 rejected"),
        (result(counters=Counters(2, 1)), "1 posts were rejected and 0 lie in their topic"),
        (result(missing={"lichen": 2}), "the reading of lichen is off by 2 posts"),
        (result(before=44.9), "the index of ondrelle did not fall: 44.9, then 40.0"),
        (result(before=None), "is not known before the leak"),
        (result(after=reading(enough=False)), "is not known before the leak and at the end"),
    ],
)
def test_a_bad_result_says_what_is_wrong(bad: Result, said: str) -> None:
    assert said in "\n".join(bad.problems())
    assert list(bad.lines())[-1].startswith("demo: failed posts=3")


def test_the_index_before_the_leak_is_the_last_one_before_the_first_word_of_it() -> None:
    story = Story.load()
    board = Board()
    hours = (story.began - DAY) / timedelta(hours=1)
    for hour, index in ((hours - 9, 70.0), (hours - 1, 61.0), (hours, 55.0), (hours + 9, 30.0)):
        board.read(msgspec.json.encode(reading(hour=hour, index=index)))
    found = Result.of(board, story, fed=0, counters=Counters())
    assert (found.before, found.after) == (61.0, 30.0)


# The view


def shown(frame: Frame, *, width: int = 80) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(view.picture(frame, width=width))
    return console.export_text().splitlines()


def full() -> Frame:
    rows = [
        Row(
            name="Ondrelle",
            reading=reading(index=31.2, counts=(133, 104, 23), leak=LEAK),
            course=hourly(None, None, 60.0, 60.0, 50.0, 31.2),
        ),
        Row(name="Tirelune", reading=reading(index=58.0, leak=LEAK), course=hourly(58.0)),
        Row(name="Lichen", reading=reading(enough=False, index=50.0, leak=LEAK)),
    ]
    settings = load_settings(env={"TRUSTWATCH_KAFKA_BROKER": "127.0.0.1:22222"})
    return Frame(
        doing="the story is over; Ctrl-C ends the demo",
        span=SPAN,
        clock=SPAN[1],
        total=561,
        fed=561,
        judged=560,
        rejected=1,
        rate=1234.5,
        happening="Ondrelle confirms: a billing file of 1.18 million customers",
        rows=rows,
        places={"broker": "127.0.0.1:22222", "metrics": "http://127.0.0.1:9464/metrics"},
        hints=hints(settings, "http://127.0.0.1:9464/metrics"),
    )


def test_the_fullest_view_fits_24_lines_of_80_columns() -> None:
    lines = shown(full())
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "31 ▼ 27-35" in text
    assert "Fri 20:00" in text
    assert "1 rejected" in text


@pytest.mark.parametrize("width", [50, 76, 79, 100, 200])
def test_nothing_is_cut_off_at_other_widths(width: int) -> None:
    lines = shown(full(), width=width)
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)


def test_an_index_without_enough_evidence_is_not_drawn() -> None:
    unsure = msgspec.structs.replace(reading(enough=False, index=51.0), mood=7.0)
    row = Row(name="Lichen", reading=unsure, course=hourly(None))
    text = "\n".join(shown(Frame(doing="", span=SPAN, rows=[row])))
    assert "not enough" in text
    assert not {"51", "47", "55", *view.BARS} & set(text.replace("-", " ").split())


def test_a_brand_nobody_spoke_of_is_said_so() -> None:
    assert "no post yet" in "\n".join(shown(Frame(doing="", span=SPAN, rows=[Row(name="X")])))


def test_a_spark_line_grows_with_event_time_and_carries_on_over_gaps() -> None:
    points = [
        Point(DAY + timedelta(hours=1), None),
        Point(DAY + timedelta(hours=13), 40.0),
        Point(DAY + timedelta(hours=37), 79.0),
    ]
    assert view.spark(points, SPAN, width=6, ends=(40.0, 80.0)) == "·▁▁█"
    assert view.spark([], SPAN, width=6, ends=(0.0, 10.0)) == ""


def test_a_reading_after_the_story_stays_within_the_spark_line() -> None:
    late = [Point(SPAN[1] + timedelta(days=9), 5.0)]
    assert len(view.spark(late, SPAN, width=6, ends=(0.0, 10.0))) == 6


@pytest.mark.parametrize(
    ("index", "before", "expected"),
    [(50.0, [55.0], -1), (50.0, [53.0], 0), (50.0, [45.0], 1), (50.0, [], 0), (50.0, [None], 0)],
)
def test_a_movement_is_one_when_it_leads_out_of_the_interval(
    index: float, before: list[float | None], expected: int
) -> None:
    assert view.direction(reading(index=index, hour=9), hourly(*before, index)) == expected


def test_a_movement_is_that_of_the_last_day() -> None:
    course = hourly(80.0, 80.0, *[50.0] * 30)
    assert view.direction(reading(index=50.0, hour=25), course) == -1
    assert view.direction(reading(index=50.0, hour=31), course) == 0


def test_the_terminal_gets_its_cursor_back() -> None:
    out = io.StringIO()
    with Terminal(Console(file=out, force_terminal=True, width=80)) as screen:
        screen.show(full())
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


def test_without_a_terminal_a_line_is_written_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    frame = Frame(doing="playing", span=SPAN, clock=DAY, rows=full().rows, total=9, fed=3, judged=2)
    with Lines(out, clock=clock) as screen:
        screen.show(Frame(doing="starting", span=SPAN))
        for _ in range(7):
            screen.show(frame)
            clock.now += 1
    line = (
        "playing: Fri 00:00, 3/9 fed, 2 judged;"
        " Ondrelle 31, Tirelune 58, Lichen not enough evidence"
    )
    assert out.getvalue().splitlines() == ["starting", line, line, line]


# Settings of the worker


def test_the_worker_has_the_settings_of_the_demo_and_no_others(tmp_path: Path) -> None:
    env = environment(
        {"TRUSTWATCH_TRUST_COST": "9", "TRUSTWATCH_NONSENSE": "1", "HOME": "/home/me"},
        folder=tmp_path,
        kafka={"broker": "127.0.0.1:2222"},
        port=9999,
        tick=0.1,
    )
    settings = load_settings(env=env)
    assert settings.kafka.broker == "127.0.0.1:2222"
    assert settings.metrics.port == 9999
    assert settings.trust.cost == 2.0
    assert settings.worker.instance == "demo"
    assert len(settings.privacy.key.reveal()) >= 16
    assert env["HOME"] == "/home/me"


def test_a_settings_file_of_the_user_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trustwatch.toml").write_text("[trust]\ncost = 9.0\n")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "demo"
    folder.mkdir()
    env = environment({}, folder=folder, kafka={}, port=9999, tick=0.1)
    assert load_settings(env=env).trust.cost == 2.0


def test_how_to_log_in_goes_to_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "ca.pem").touch()
    mine = load_settings(
        env={
            "TRUSTWATCH_KAFKA_SECURITY": "sasl_tls",
            "TRUSTWATCH_KAFKA_CA_FILE": "ca.pem",
            "TRUSTWATCH_KAFKA_USERNAME": "me",
            "TRUSTWATCH_KAFKA_PASSWORD_FILE": "secret",
            "TRUSTWATCH_KAFKA_VERIFY_HOST": "false",
        }
    )
    env = environment({}, folder=tmp_path, kafka=reaching(mine), port=9999, tick=0.1)
    kafka = load_settings(env=env).kafka
    assert (kafka.security, kafka.username, kafka.password.reveal()) == ("sasl_tls", "me", "s3cret")
    assert (kafka.ca_file, kafka.verify_host) == (str(tmp_path / "ca.pem"), False)


def test_on_a_broker_of_others_every_run_has_names_of_its_own() -> None:
    one, two = theirs("127.0.0.1:9092", config=None), theirs("127.0.0.1:9092", config=None)
    assert one["prefix"] != two["prefix"]
    assert one["group"] != two["group"]
    with pytest.raises(SettingsError, match=r"kafka\.broker"):
        theirs("nonsense", config=None)


def test_hints_name_what_the_commands_need() -> None:
    settings = load_settings(env={"TRUSTWATCH_KAFKA_PREFIX": "x."})
    told = "\n".join(hints(settings, "http://127.0.0.1:1/metrics"))
    assert "export TRUSTWATCH_KAFKA_PREFIX=x." in told
    assert "KAFKA_GROUP" not in told


# Processes


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def eventually(fact: Callable[[], bool], *, timeout: float = 10.0) -> bool:
    end = time.monotonic() + timeout
    while not fact() and time.monotonic() < end:
        time.sleep(0.02)
    return fact()


def test_a_guard_ends_its_children_and_removes_its_folder() -> None:
    with Guard() as guard:
        child = guard.start("sleeper", ["sleep", "60"])
        (guard.folder / "file").touch()
        assert guard.folder.stat().st_mode & 0o077 == 0
        assert alive(child.pid)
    assert child.code == -signal.SIGKILL
    assert not guard.folder.exists()


def test_a_guard_ends_its_children_after_an_error() -> None:
    children = []

    def fail() -> None:
        with Guard() as guard:
            children.append(guard.start("sleeper", ["sleep", "60"]))
            raise BrokerError("no such luck")

    with pytest.raises(BrokerError):
        fail()
    assert not alive(children[0].pid)
    assert not children[0].log.parent.exists()


def test_nothing_outlives_a_killed_parent() -> None:
    script = (
        "import time\n"
        "from streams.demo.guard import Guard\n"
        "with Guard() as guard:\n"
        "    one = guard.start('one', ['sleep', '60'])\n"
        # A child with a child of its own.
        "    two = guard.start('two', ['sh', '-c', 'sleep 60 & echo $!; wait'])\n"
        "    while not two.log.read_text(): time.sleep(0.01)\n"
        "    print(guard.folder, one.pid, two.pid, two.log.read_text(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        folder, *pids = parent.stdout.readline().decode().split()
        parent.kill()
    assert len(pids) == 3
    assert eventually(lambda: not any(alive(int(pid)) for pid in pids))
    assert eventually(lambda: not Path(folder).exists())


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    guard = Guard()
    guard.folder = tmp_path / "missing" / "folder"
    with pytest.raises(TrustwatchError, match="TMPDIR"), guard:
        pass


def test_a_child_that_ignores_sigterm_is_killed() -> None:
    with Guard() as guard:
        child = guard.start("deaf", ["sh", "-c", "trap '' TERM; echo deaf; sleep 60"])
        assert eventually(lambda: "deaf" in child.said())
        child.stop(0.1)
        assert child.code == -signal.SIGKILL


def test_a_worker_that_ends_early_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with Guard() as guard:
        worker = Worker(guard, env={"PATH": os.environ["PATH"]}, port=1)
        worker.child.log.write_text("the model is missing\n")
        assert eventually(lambda: worker.child.code is not None)
        with pytest.raises(TrustwatchError, match=r"(?s)exit code 1; .*the model is missing"):
            worker.ready()


def test_a_missing_broker_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'trustwatch\[demo\]'"):
        broker.program()


def test_a_port_that_is_taken_is_not_offered() -> None:
    first = broker.free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first))
        taken.listen()
        assert broker.free_port(first=first) != first
    assert broker.free_port(first=first) == first


def test_an_open_port_is_no_broker() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert not broker.answers(silent.getsockname()[1], timeout=0.05)


def test_what_goes_wrong_in_a_task_is_raised_where_it_is_asked_for() -> None:
    def fail() -> None:
        raise BrokerError("no such luck")

    task = Task(fail)
    task.join()
    with pytest.raises(BrokerError, match="no such luck"):
        task.done()
