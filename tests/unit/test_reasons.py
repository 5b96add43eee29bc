"""Explanations of readings: few, shared out, never left out."""

from collections.abc import Callable

from streams.domain.book import Book
from streams.domain.explain import Explanation
from streams.domain.row import DAY
from streams.domain.view import View
from streams.reasons import AT_ONCE, PAUSE, Reasons
from tests.support.rows import T0, row


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def seen(brand: str, blame: float = 0.5) -> View:
    book = Book()
    book.put(brand, "one", row(1, loss=blame))
    return book.view(brand, T0 + DAY)


def slow(view: View, took: Callable[[], None]) -> View:
    class Slow(View):
        def explain(self) -> Explanation:
            took()
            return super().explain()

    return Slow(*view)


def test_a_brand_without_an_explanation_gets_one_at_once() -> None:
    reasons = Reasons(Clock())
    reasons.begin(["acme"])
    assert reasons.wanted("acme")
    assert [post.post for post in reasons.find(seen("acme")).posts] == ["one"]


def test_the_next_one_waits_and_is_owed_only_if_a_reading_was_told_without() -> None:
    clock = Clock()
    reasons = Reasons(clock)
    why = reasons.find(seen("acme"))
    clock.now += PAUSE - 1
    assert not reasons.wanted("acme")
    clock.now += 1
    assert reasons.due() == set(), "nothing was told without it"
    clock.now -= 1
    assert reasons.recall("acme") is why
    assert reasons.due() == set()
    clock.now += 1
    assert reasons.due() == {"acme"}
    reasons.begin(reasons.due())
    assert reasons.wanted("acme")
    reasons.find(seen("acme", blame=0.9))
    clock.now += PAUSE
    assert reasons.due() == set()


def test_a_round_spends_little_on_what_can_wait_and_begins_with_the_oldest() -> None:
    clock = Clock()
    reasons = Reasons(clock)

    def take() -> None:
        clock.now += AT_ONCE * 0.75

    for brand in ("late", "early", "last"):
        reasons.begin([brand])
        reasons.find(slow(seen(brand), take))
    clock.now += PAUSE
    assert reasons.begin({"last", "early", "late", "new"}) == ["new", "late", "early", "last"]
    for brand in ("late", "early"):
        assert reasons.wanted(brand)
        reasons.find(slow(seen(brand), take))
    assert not reasons.wanted("last")
    assert reasons.wanted("new"), "nothing is known that could be told meanwhile"
    reasons.recall("last")
    reasons.begin(reasons.due())
    assert reasons.wanted("last")


def test_readings_that_take_long_leave_some_time_for_explanations() -> None:
    clock = Clock()
    reasons = Reasons(clock)
    for brand in ("a", "b"):
        reasons.find(seen(brand))
    clock.now += PAUSE
    reasons.begin(["a", "b"])
    reasons.find(slow(seen("a"), lambda: setattr(clock, "now", clock.now + 3)))
    clock.now += 3
    assert not reasons.wanted("b")
    clock.now += 9
    assert reasons.wanted("b")


def test_brands_that_moved_away_are_forgotten() -> None:
    clock = Clock()
    reasons = Reasons(clock)
    for brand in ("mine", "theirs"):
        reasons.find(seen(brand))
        reasons.recall(brand)
    reasons.keep({"mine"})
    clock.now += PAUSE
    assert reasons.due() == {"mine"}
    assert reasons.wanted("theirs"), "as if it had never been heard of"
