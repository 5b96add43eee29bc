"""Kept verdicts: judged once, never the text, and no file that can stop the work."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from models import Brands
from models.labels import judge
from streams import verdicts
from streams.errors import RejectedError
from streams.records import Towards, Verdict
from streams.verdicts import Kept


class Counter:
    """Judges by the length of a text, refuses the empty one, and counts what it is asked."""

    leak_threshold = 0.5
    targeted = False

    def __init__(self, name: str = "counter-1 sha256:ab") -> None:
        self.name = name
        self.asked: list[str] = []

    def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
        """Judge."""
        self.asked += texts
        return [
            judge(len(text), 0.0, -1.0) if text else RejectedError("empty_text", "nothing there")
            for text in texts
        ]


class Minding:
    """Feels towards each brand asked about by the length of its name."""

    name = "minding-1 sha256:ab"
    leak_threshold = 0.5
    targeted = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.brands: list[Sequence[str]] = []

    def classify(
        self, texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        """Judge."""
        asked = brands or [()] * len(texts)
        self.asked += texts
        self.brands += asked
        return [
            msgspec.structs.replace(
                judge(len(text), 0.0, -1.0),
                brands={name: Towards(judge(len(name), 0.0, 0.0).sentiment) for name in names},
            )
            for text, names in zip(texts, asked, strict=True)
        ]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "verdicts.sqlite"


def ask(
    path: Path, texts: Sequence[str], told: list[str], *, name: str = "counter-1 sha256:ab"
) -> tuple[list[Verdict | RejectedError], list[str]]:
    """Asks as one run does; returns the answers and what had to be judged."""
    counter = Counter(name)
    with closing(Kept(counter, path, tell=told.append)) as kept:
        return kept.classify(texts), counter.asked


def test_a_text_is_judged_once(path: Path, told: list[str]) -> None:
    first, asked = ask(path, ["one", "three"], told)
    assert asked == ["one", "three"]
    again, asked = ask(path, ["three", "seven", "one"], told)
    assert asked == ["seven"]
    assert [again[2], again[0]] == first
    assert again[1] == judge(5, 0.0, -1.0)
    assert told == []


def test_a_text_that_comes_twice_at_once_is_judged_once(path: Path, told: list[str]) -> None:
    said, asked = ask(path, ["one", "two", "one"], told)
    assert asked == ["one", "two"]
    assert said[0] == said[2]


def test_what_came_from_the_file_is_counted(path: Path, told: list[str]) -> None:
    ask(path, ["one"], told)
    with closing(Kept(Counter(), path, tell=told.append)) as kept:
        kept.classify(["one", "one", "two"])
        assert (kept.found, kept.judged) == (2, 1)


def test_another_model_is_asked_anew(path: Path, told: list[str]) -> None:
    ask(path, ["one"], told)
    assert ask(path, ["one"], told, name="counter-1 sha256:cd")[1] == ["one"]


def test_a_text_with_other_brands_is_judged_again_by_who_minds_them(
    path: Path, told: list[str]
) -> None:
    rows = [("one", ["a"]), ("one", ["a", "bc"]), ("one", ["ab", "c"]), ("one", []), ("one a", [])]
    texts, brands = [text for text, _ in rows], [names for _, names in rows]
    said = []
    for judged in (len(rows), 0):
        minding = Minding()
        with closing(Kept(minding, path, tell=told.append)) as kept:
            assert kept.targeted
            said.append(kept.classify(texts, brands=brands))
        assert len(minding.asked) == judged
    assert said[0] == said[1] == Minding().classify(texts, brands=brands)


def test_brands_are_asked_about_with_the_text_that_is_not_there_yet(
    path: Path, told: list[str]
) -> None:
    with closing(Kept(Minding(), path, tell=told.append)) as kept:
        kept.classify(["one", "two"], brands=[["a"], ["b"]])
    minding = Minding()
    with closing(Kept(minding, path, tell=told.append)) as kept:
        kept.classify(["new", "one", "two"], brands=[["c"], ["a"], ["a"]])
    assert list(zip(minding.asked, minding.brands, strict=True)) == [("new", ["c"]), ("two", ["a"])]


def test_brands_do_not_matter_to_who_does_not_mind_them(path: Path, told: list[str]) -> None:
    ask(path, ["one"], told)
    counter = Counter()
    with closing(Kept(counter, path, tell=told.append)) as kept:
        assert not kept.targeted
        kept.classify(["one"], brands=[["a"]])
    assert counter.asked == []


def test_a_batch_is_looked_up_at_once(path: Path, told: list[str]) -> None:
    with closing(Kept(Counter(), path, tell=told.append)) as kept:
        assert kept._file is not None
        queries: list[str] = []
        kept._file.set_trace_callback(queries.append)
        kept.classify([f"text {number}" for number in range(900)])
    assert len([query for query in queries if query.startswith("SELECT")]) == 1


def test_a_refused_text_is_refused_again(path: Path, told: list[str]) -> None:
    for _ in range(2):
        said, asked = ask(path, [""], told)
        assert asked == [""]
        assert isinstance(said[0], RejectedError)


def test_a_verdict_without_probabilities_is_not_kept(path: Path, told: list[str]) -> None:
    class Lost(Counter):
        def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
            return [judge(float("nan"), 0.0, -1.0) for _ in texts]

    class Torn(Counter):
        def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
            lost = Towards(judge(float("nan"), 0.0, -1.0).sentiment)
            return [Verdict(judge(1, 0.0, 0.0).sentiment, 0.0, brands={"a": lost}) for _ in texts]

    for one in (Lost(), Torn()):
        with closing(Kept(one, path, tell=told.append)) as kept:
            kept.classify(["one"])
    assert ask(path, ["one"], told)[1] == ["one"]
    assert told == []


def test_all_heads_of_a_verdict_come_back(path: Path, told: list[str]) -> None:
    rich = Verdict(
        sentiment=judge(1, 0.0, -1.0).sentiment,
        leak=0.25,
        leak_kind={"documents": 0.5},
        irony=0.125,
        emotion={"anger": 1.0},
        brands={"Acme": Towards(judge(2, 0.0, -1.0).sentiment)},
        untrained_language=True,
    )

    class Rich(Counter):
        def classify(self, texts: Sequence[str], **_: object) -> list[Verdict | RejectedError]:
            return [rich for _ in texts]

    with closing(Kept(Rich(), path, tell=told.append)) as kept:
        kept.classify(["one"])
    assert ask(path, ["one"], told) == ([rich], [])


def test_no_text_is_written(path: Path, told: list[str]) -> None:
    ask(path, ["my password is hunter2", "\ud800 lone"], told)
    written = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert len(written) > 1_000
    for part in (b"hunter2", "hunter2".encode("utf-16-le"), b"lone", b"counter-1"):
        assert part not in written


def test_more_texts_than_a_query_takes_are_found(path: Path, told: list[str]) -> None:
    texts = [f"text {number}" for number in range(2_500)]
    ask(path, texts, told)
    assert ask(path, texts, told)[1] == []


def _older(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA user_version = 99")


def _other(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE cakes (name TEXT)")


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database, but long enough to be one" * 100)


def _beheaded(path: Path) -> None:
    path.write_bytes(path.read_bytes()[512:])


@pytest.mark.parametrize("spoil", [_older, _other, _garbage, _beheaded])
def test_a_file_that_is_not_ours_is_set_aside(
    path: Path, told: list[str], spoil: Callable[[Path], None]
) -> None:
    ask(path, ["one"], told)
    spoil(path)
    before = path.read_bytes()
    assert ask(path, ["one"], told)[1] == ["one"]
    assert ask(path, ["one"], told)[1] == []
    assert path.with_name("verdicts.sqlite.bad1").read_bytes() == before
    assert len(told) == 1
    assert "verdicts.sqlite.bad1" in told[0]


def test_every_file_that_is_set_aside_stays(path: Path, told: list[str]) -> None:
    for _ in range(3):
        _garbage(path)
        ask(path, ["one"], told)
    names = sorted(one.name for one in path.parent.iterdir())
    assert names == ["verdicts.sqlite", *(f"verdicts.sqlite.bad{i}" for i in (1, 2, 3))]


def test_a_flipped_bit_in_a_verdict_is_seen(path: Path, told: list[str]) -> None:
    right, _ = ask(path, ["one"], told)
    with closing(sqlite3.connect(path)) as file, file:
        (value,) = file.execute("SELECT value FROM verdicts").fetchone()
        spoiled = value[:-1] + bytes([value[-1] ^ 1])
        file.execute("UPDATE verdicts SET value = ?", (spoiled,))
    assert ask(path, ["one"], told) == (right, ["one"])
    assert "a verdict is damaged" in told[0]


def test_pages_lost_in_the_middle_do_not_stop_the_work(path: Path, told: list[str]) -> None:
    texts = [f"text {number}" for number in range(2_000)]
    right, _ = ask(path, texts, told)
    raw = bytearray(path.read_bytes())
    raw[8_192:-4_096] = bytes(len(raw) - 12_288)
    path.write_bytes(raw)
    assert ask(path, texts, told)[0] == right
    assert len(told) == 1


def test_without_a_place_for_the_file_verdicts_are_not_kept(
    tmp_path: Path, told: list[str]
) -> None:
    said, asked = ask(tmp_path / "nowhere" / "verdicts.sqlite", ["one"], told)
    assert (said, asked) == ([judge(3, 0.0, -1.0)], ["one"])
    assert "are not kept" in told[0]


def test_a_file_that_another_run_holds_is_done_without(
    path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_PATIENCE", 0.05)
    ask(path, ["one"], told)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ask(path, ["one"], told)[0] == [judge(3, 0.0, -1.0)]
    assert "locked" in told[0]
    assert path.exists()
