"""Leak stories: where one ends and another begins, who counts as a witness, what is taken off."""

from typing import Any

import numpy as np
import pytest

from streams.domain.ledger import Ledger
from streams.domain.row import HOUR, KINDS, UNIT, Row
from streams.domain.stories import Chapter, Shocks, Story
from tests.support.rows import T0, ledger, row, seen, shuffled

SHOCKS = Shocks()
BREACH = KINDS.index("data_breach")


def leak(hours: float, who: int = 0, words: int = 0, **given: Any) -> Row:
    known: dict[str, Any] = {"kind": BREACH, "leak": True, "author": who, "copy": words}
    return row(hours, **{**known, **given})


def stories(*rows: Row) -> list[Story]:
    made = ledger(rows)
    return list({story.name: story for story in made.stories()}.values())


def chapters(made: Ledger, hours: float) -> list[Chapter]:
    return list(seen(made, hours).scene.chapters)


#   hours  0----47----------96------------145
#          |  one story     |  another one
def test_two_days_without_a_mention_end_a_story() -> None:
    one, other = stories(leak(0), leak(47), leak(96), leak(96.5))
    assert (one.mentions, other.mentions) == (2, 2)
    assert one.name == "data_breach/2024-10-07"
    assert other.name == "data_breach/2024-10-11"
    assert len(stories(leak(0), leak(48))) == 1
    assert len(stories(leak(0), leak(48.01))) == 2


def test_each_kind_has_its_own_story() -> None:
    told = stories(leak(0), leak(1, kind=3), leak(2, kind=4))
    assert [story.severity(SHOCKS) for story in told] == [3, 3, 1]


def test_every_kind_has_a_severity_and_every_severity_a_loss() -> None:
    assert len(SHOCKS.severities) == len(KINDS)
    assert len(SHOCKS.losses) == len(SHOCKS.half_lives) == 4
    assert set(SHOCKS.severities) <= {1, 2, 3, 4}


def test_witnesses_are_people_with_words_of_their_own() -> None:
    (copied,) = stories(*(leak(n / 10, who=n + 1, words=7) for n in range(20)))
    (alone,) = stories(*(leak(n / 10, who=7, words=n + 1) for n in range(20)))
    (crowd,) = stories(*(leak(n / 10, who=n + 1, words=n + 1) for n in range(20)))
    assert [one.witnesses for one in (copied, alone, crowd)] == [1, 1, 20]
    assert [one.mentions for one in (copied, alone, crowd)] == [20] * 3


def test_credibility_worked_by_hand() -> None:
    (one,) = stories(leak(0, 1, 1), leak(1, 2, 2, source="paste"), leak(2, 3, 3, source="news"))
    assert one.credibility(SHOCKS) == pytest.approx(1 - 0.95**3 * 0.85**2)
    assert one.sources == ("forum", "paste", "news")


def test_reposts_and_bots_are_no_witnesses() -> None:
    assert stories(leak(0, weighty=False)) == []
    (one,) = stories(leak(0, 1, 1), leak(1, 2, 2, weighty=False))
    assert one.mentions == 1


def test_a_loss_is_severity_times_credibility_and_halves_with_age() -> None:
    made = ledger([leak(0, n + 1, n + 1) for n in range(20)])
    whole = 0.25 * (1 - 0.95**20)
    for days, share in ((1 / 24, 1.0), (30, 0.5), (60, 0.25)):
        shot = seen(made, 24 * days)
        lost = float(shot.reading.shock_loss / (shot.reading.shock_loss + shot.reading.index))
        assert lost == pytest.approx(whole * share, rel=0.01)


def test_nothing_is_taken_off_before_the_first_mention() -> None:
    made = ledger([row(1, gain=0.5), leak(5, 1, 1)])
    assert seen(made, 5).reading.shock_loss == 0
    assert seen(made, 5.001).reading.shock_loss > 0


def test_a_story_goes_on_over_midnight_with_its_name_and_its_age() -> None:
    made = ledger([leak(23, 1, 1), leak(25, 2, 2), leak(49, 3, 3)])
    (one,) = chapters(made, 50)
    assert one.story.first == T0 + 23 * HOUR
    assert one.story.mentions == 3
    assert one.witnesses.tolist() == [2, 3]


def test_a_story_that_is_over_still_weighs_and_has_no_witnesses() -> None:
    made = ledger([leak(0, 1, 1), row(100, gain=0.5)])
    (one,) = chapters(made, 100)
    at = np.array([T0 + 10 * HOUR, T0 + 48 * HOUR, T0 + 49 * HOUR])
    assert one.witnessed(at, SHOCKS).tolist() == [1, 1, 0]
    assert (one.loss(at, SHOCKS) > 0).all()


def test_a_story_is_forgotten_after_eight_half_lives() -> None:
    made = ledger([leak(0, 1, 1)])
    assert len(chapters(made, 24 * 239)) == 1
    assert chapters(made, 24 * 242) == []


def test_the_order_of_mentions_changes_no_story() -> None:
    mentions = [leak(n * 7, n % 5 + 1, n % 4 + 1, source=f"s{n % 3}") for n in range(40)]
    one = ledger([])
    other = ledger([])
    numbered = list(enumerate(mentions))
    for made, order in ((one, numbered), (other, shuffled(numbered))):
        for n, mention in order:
            made.put(str(n), mention)
    assert list(one.stories()) == list(other.stories())


def test_a_source_beyond_the_sixteenth_is_not_told_apart() -> None:
    mentions = [leak(n / 10, n + 1, n + 1, source=f"s{n:02}", gain=1 / UNIT) for n in range(40)]
    (one,) = stories(*mentions)
    assert len(one.sources) == 16
    (later,) = stories(*mentions, leak(30, 99, 99, source="s39"))
    assert later.sources == one.sources
