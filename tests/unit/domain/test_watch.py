"""The watch: the same alarms however often it looks, and in whatever order the posts come."""

from datetime import timedelta
from itertools import islice

import pytest

from streams.domain import watch
from streams.domain.book import Book
from streams.domain.row import DAY, HOUR, instant
from streams.domain.track import TICK
from streams.domain.tuning import Tuning
from streams.domain.watch import Terms
from tests.support.rows import DAY0, T0, act, close, crisis, dated, last, row, shuffled, tick

POSTS = dated(crisis())
END = tick(13)


def plain(terms: Terms | None = None) -> dict:
    book = Book(terms)
    act(book, POSTS)
    return last(book.step(END))


def test_a_crisis_is_told_and_ends() -> None:
    signals = plain()
    begin = instant(T0 + 8 * DAY + 20 * HOUR)
    pages = [one for one in signals.values() if one.channel == "page"]
    assert {one.detector for one in pages} >= {"negative_authors", "leak"}
    assert all(one.ended for one in signals.values())
    first = min(one.at for one in pages if one.detector == "negative_authors")
    assert begin < first < begin + timedelta(hours=2)


def test_a_signal_names_brand_detector_and_instant_and_says_why() -> None:
    for id_, one in plain().items():
        assert id_ == f"acme/{one.detector}/{one.at:%Y-%m-%dT%H:%MZ}"
        assert one.why
        assert one.version == Terms().version
        assert all(post.at < one.ended for post in one.posts if one.ended)


@pytest.mark.parametrize("pace", [1, 7, 144, 1_000])
def test_tick_by_tick_or_in_jumps_gives_the_same_alarms(pace: int) -> None:
    book, told = Book(), []
    act(book, POSTS)
    book.watch.tick = tick(7)
    book.watch.spoil("acme", T0)
    for until in [*range(tick(7.5), tick(11), pace), END]:
        told += book.watch.step(until)
    assert last(told) == plain()


@pytest.mark.parametrize("seed", [1, 2])
def test_posts_that_come_late_and_out_of_order_give_the_same_alarms(seed: int) -> None:
    book, told = Book(), []
    mixed = shuffled(POSTS, seed)
    for n in range(0, len(mixed), 150):
        act(book, mixed[n : n + 150])
        told += book.step(tick(12) if n % 300 else tick(9.2))
    told += book.step(END)
    assert last(told) == plain()


def test_posts_that_come_in_the_middle_of_a_step_give_the_same_alarms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "AT_ONCE", 1)
    brands = ("acme", "zorb", "quux")
    about = [(what, brand, *rest) for what, _, *rest in POSTS for brand in brands]
    whole, book, told = Book(), Book(), []
    act(whole, about)
    for n in range(0, len(about), 90):
        batch = about[n : n + 90]
        coming = iter(batch)
        # Ticks are looked at whose posts are entered on the way.
        for some in book.steps(batch[-1][3].at // TICK + 1):
            told += some
            act(book, islice(coming, 20))
        act(book, coming)
    told += book.step(END)
    assert last(told) == last(whole.step(END))
    assert {one.brand for one in last(told).values()} == set(brands)


def test_posts_in_order_each_looked_at_as_it_comes_give_the_same_alarms() -> None:
    book, told = Book(), []
    for n, one in enumerate(POSTS):
        act(book, [one])
        if one[3].at > T0 + 8 * DAY and n % 3 == 0:
            told += book.step(one[3].at // TICK)
    told += book.step(END)
    assert last(told) == plain()


def test_an_alarm_whose_posts_are_deleted_is_withdrawn() -> None:
    book = Book()
    act(book, POSTS)
    before = last(book.step(END))
    leaks = [one for one in before.values() if one.detector == "leak"]
    for one in POSTS:
        if one[2].startswith("leak-"):
            book.delete(one[2], one[3].at)
    changed = book.step(END)
    assert {one.id for one in changed if one.withdrawn} >= {one.id for one in leaks}
    assert not [one for one in book.watch.signals("acme") if one.detector == "leak"]


def test_rows_that_another_worker_wrote_are_looked_at_too() -> None:
    book, told, other = Book(), [], Book()
    act(book, POSTS[::2])
    told += book.step(END)
    for key, value in [*act(other, POSTS), *other.delete("leak-3", T0 + 9 * DAY)[0]]:
        book.apply(key, value)
    told += book.step(END)
    assert last(told) == last(other.step(END))


def test_nothing_new_is_told_twice() -> None:
    book = Book()
    act(book, POSTS)
    assert book.step(END)
    assert book.step(END) == []
    assert book.step(END - 500) == [], "time does not run back"
    assert book.watch.tick == END


def test_a_planned_event_mutes_to_the_digest_and_says_so() -> None:
    terms = Terms(planned=lambda brand, at: "sale" if brand == "acme" and at > T0 else None)
    muted = plain(terms)
    assert muted.keys() == plain().keys()
    assert {(one.channel, one.muted) for one in muted.values()} == {("digest", "sale")}


def test_a_source_behind_the_last_closing_does_not_take_the_watch_back() -> None:
    book = Book()
    log = act(book, POSTS)
    book.step(END)
    log += close(book, DAY0 + 9)
    again = Book()
    for key, value in log:
        again.apply(key, value)
    again.step(tick(3))
    assert again.watch.tick == tick(10)
    again.step(END)
    assert again.watch.signals("acme") == book.watch.signals("acme")


def test_a_book_that_closes_before_it_looked_goes_on_from_there() -> None:
    book, other = Book(), Book()
    for one in (book, other):
        act(one, POSTS)
    book.step(tick(2))
    close(book, DAY0 + 9)
    book.step(END)
    other.step(END)
    close(other, DAY0 + 9)
    assert book.watch.signals("acme") == other.watch.signals("acme")


def test_a_silent_month_costs_a_look_at_no_day() -> None:
    looks = []
    book = Book()
    book.watch._shown = lambda _, first, *__: looks.append(first)
    book.put("acme", "a", row(1, loss=0.9))
    book.put("acme", "b", row(24 * 365 * 30, loss=0.9))
    book.step(tick(365 * 30 + 2))
    assert len(looks) < 60


def test_other_constants_are_another_version() -> None:
    versions = {Terms().version, Terms(tuning=Tuning(page=11.0)).version}
    assert len(versions) == 2
    assert Terms().version == Terms().version


def test_many_brands_are_watched_as_each_alone() -> None:
    book = Book()
    for brand in ("acme", "brio", "cedar"):
        for _, _, post, one in POSTS:
            if brand != "cedar" or one.loss < one.gain:
                book.put(brand, f"{brand}-{post}", one)
    signals = last(book.step(END)).values()
    alone = plain()
    assert [one.at for one in signals if one.brand == "brio"] == [one.at for one in alone.values()]
    assert not [one for one in signals if one.brand == "cedar"]
