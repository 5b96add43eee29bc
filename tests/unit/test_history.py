"""A history: the same readings, signals and incidents whatever the order, and from bad input."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streams.domain.book import Book
from streams.domain.brands import Brand, Expected
from streams.domain.row import HOUR, LABELS, instant
from streams.domain.trust import Rule
from streams.domain.tuning import Tuning
from streams.history import History, replay
from streams.pipeline import millis, reading, row_of
from streams.records import Mention, Reading, Sentiment
from tests.support.rows import T0, crisis

BRANDS = [Brand(id="acme", name="Acme"), Brand(id="brio", name="Brio", balance=3.0)]
START = datetime(2026, 3, 2, tzinfo=UTC)


def mention(post: str, at: datetime, mood: str = "negative", **given: Any) -> Mention:
    shares = {label: 0.9 if label == mood else 0.05 for label in LABELS}
    known: dict[str, Any] = {"brand": "acme", "source": "forum", "sentiment": Sentiment(**shares)}
    return Mention(post=post, at=at, partition=0, offset=0, **(known | given))


def mentions() -> list[Mention]:
    """The crisis of the domain's tests, as mentions."""
    made = []
    for _, brand, post, one in crisis(days=9):
        keys = {"author": f"{one.author:016x}", "copy": f"{one.copy:016x}"}
        leak = {"is_leak": True, "leak_kind": "data_breach"} if one.leak else {}
        at, mood = instant(one.at), LABELS[one.label]
        made.append(mention(post, at, mood, brand=brand, source=one.source, **keys, **leak))
    return made


def told(history: History) -> tuple:
    return (history.readings, history.signals, history.incidents)


@pytest.fixture(scope="module")
def history() -> History:
    return replay(mentions(), brands=BRANDS)


def test_a_crisis_is_read_signalled_and_written_down(history: History) -> None:
    (brand,) = history.brands
    assert brand.name == "Acme"
    assert brand.index.min() < brand.index[:100].max() - 15
    assert len(brand.at) == len(brand.index) == len(brand.enough) == len(brand.shock_loss)
    assert {one.detector for one in history.signals} >= {"negative_authors", "leak"}
    (one,) = history.incidents
    assert (one.kinds, one.mentions, one.severity) == (("data_breach",), 13, 3)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_order_and_repetition_gives_the_same_history(history: History, seed: int) -> None:
    mixed = mentions()
    mixed += mixed[:50]
    random.Random(seed).shuffle(mixed)
    assert told(replay(mixed, brands=BRANDS)) == told(history)


def test_each_reading_is_that_of_a_book_at_that_instant(history: History) -> None:
    book = Book()
    for one in mentions():
        at = millis(one.at)
        book.put(one.brand, one.post, row_of(one, at, Rule().weights))
    for read in history.readings[:: len(history.readings) // 20]:
        at = millis(read.at)
        seen = reading(book.view("acme", at), at=at, late=0)
        for name in Reading.__struct_fields__:
            assert getattr(seen, name) == getattr(read, name), name


def test_a_reading_of_a_book_counts_no_post_that_came_after_it() -> None:
    book = Book()
    for one in mentions():
        book.put(one.brand, one.post, row_of(one, millis(one.at), Rule().weights))
    for hours in (5, 29, 100):
        at = T0 + hours * HOUR
        seen = reading(book.view("acme", at), at=at, late=0)
        before = sum(millis(other.at) < at for other in mentions())
        assert seen.negative + seen.neutral + seen.positive == before


def test_volume_counts_every_post_once(history: History) -> None:
    (brand,) = history.brands
    assert sum((brand.negative + brand.neutral + brand.positive).tolist()) == len(mentions())


def test_other_thresholds_raise_other_alarms_from_the_same_history(history: History) -> None:
    assert history.alarms(Tuning()) == history.signals
    deaf = Tuning(page=1e6, ticket=1e6, share_page=1e6, share_ticket=1e6)
    left = {one.detector for one in history.alarms(deaf)}
    assert not left & {"negative_authors", "negative_share"}


def test_a_planned_event_mutes_its_alarms() -> None:
    sale = Expected(START - timedelta(days=900), START + timedelta(days=900), "sale")
    planned = [Brand(id="acme", name="Acme", expected=(sale,))]
    assert {one.muted for one in replay(mentions(), brands=planned).signals} == {"sale"}


def test_days_are_told_as_they_are_looked_at() -> None:
    days: list = []
    replay(mentions(), brands=BRANDS, on_day=days.append)
    assert days == sorted(days)
    assert days[0] == instant(T0).date()
    assert len(days) >= 8


def test_a_deleted_post_leaves_nothing_whether_told_before_or_after() -> None:
    post, gone = mention("a", START), mention("b", START + timedelta(hours=1), is_leak=True)
    removal = Mention(post="b", at=gone.at, partition=0, offset=1, deleted=True)
    one = replay([post, gone, removal], brands=BRANDS)
    assert told(one) == told(replay([removal, post, gone], brands=BRANDS))
    assert one.incidents == []
    assert one.brands[0].negative.sum() == 1


def test_of_no_posts_there_is_no_history() -> None:
    empty = replay([], brands=BRANDS)
    assert told(empty) == ([], [], [])
    assert empty.brands == []


def test_mentions_of_unknown_brands_are_left_out() -> None:
    assert replay([mention("a", START, brand="nobody")], brands=BRANDS).brands == []


def test_of_deleted_posts_alone_there_is_no_index() -> None:
    removal = Mention(post="a", at=START, partition=0, offset=1, deleted=True)
    found = replay([mention("a", START), removal], brands=BRANDS)
    assert told(found) == ([], [], [])
    assert found.brands == []


def test_one_post_moves_the_index_a_little_and_is_not_enough() -> None:
    (one, *_) = replay([mention("a", START)], brands=BRANDS).readings
    assert 45 < one.index < 50
    assert not one.enough


def test_500_posts_in_one_second_are_read_and_paged_for_nobody_who_is_new() -> None:
    crowd = [mention(f"{n}", START, author=f"{n + 1:016x}") for n in range(500)]
    found = replay(crowd, brands=BRANDS)
    assert 0 < found.readings[-1].index < 40
    assert [one.channel for one in found.signals if one.detector == "negative_authors"] == []


def test_posts_30_years_apart_are_read_each_in_its_time() -> None:
    past = [mention(f"{n}", START - timedelta(days=10_957)) for n in range(40)]
    found = replay([*past, mention("now", START, "positive")], brands=BRANDS)
    assert found.readings[0].index < 40
    assert found.readings[-1].index == pytest.approx(50, abs=4)
    assert len(found.brands[0].at) < 24 * 60, "silence is not laid out"


def test_a_clock_that_is_wrong_by_hours_moves_the_index_in_its_own_time_alone() -> None:
    calm = [mention(f"{n}", START + timedelta(hours=n), "positive") for n in range(48)]
    skewed = [mention(f"s{n}", START + timedelta(hours=60)) for n in range(20)]
    with_, without = replay([*skewed, *calm], brands=BRANDS), replay(calm, brands=BRANDS)
    early = [one for one in with_.readings if one.at < START + timedelta(hours=48)]
    assert early == [one for one in without.readings if one.at < START + timedelta(hours=48)]
    assert with_.readings[-1].index < without.readings[-1].index


def test_posts_of_no_weight_are_counted_and_move_nothing() -> None:
    reposts = [mention(f"{n}", START, weight=0.0) for n in range(300)]
    found = replay(reposts, brands=BRANDS)
    one = found.readings[-1]
    assert found.brands[0].negative.sum() == 300
    assert one.index == pytest.approx(50)
    assert not one.enough


def test_a_mention_without_a_verdict_is_neutral() -> None:
    found = replay([mention("a", START, sentiment=None)], brands=BRANDS)
    assert found.brands[0].neutral.tolist() == [1]
    assert found.readings[-1].index == pytest.approx(50)


def test_the_balance_of_a_brand_weighs_its_praise() -> None:
    both = [
        mention(f"{brand}-{n}", START + timedelta(hours=n), "positive", brand=brand)
        for n in range(20)
        for brand in ("acme", "brio")
    ]
    last = {one.brand: one.index for one in replay(both, brands=BRANDS).readings}
    assert last["brio"] > last["acme"]
