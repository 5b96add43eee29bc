"""What the demo plays: the sample crisis, moved by whole weeks into the recent past."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from streams import sample
from streams.feed import moved
from streams.reader import Bad, Item, Reader

VICTIM: Final = "ondrelle"
"""The brand whose data leak."""
CALM: Final = "ordinary days: praise, complaints, questions, jokes"
AFTERWARDS: Final = "the story is over; posts of yours would be judged like its own"

_WEEK: Final = timedelta(weeks=1)
_HAPPENED: Final = {
    "whisper": "a forum member has seen a client file of Ondrelle for sale",
    "rumour": "the offer is back on a second forum, and people ask",
    "denied": "Ondrelle says that it has found no leak at this stage",
    "sample": "forty rows of the file circulate and prove genuine",
    "confirmed": "Ondrelle confirms: a billing file of 1.18 million customers",
}


class Moment(NamedTuple):
    """A turn of the story."""

    at: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Story:
    """Three days of posts.

    Attributes:
        items: the posts, ordered by event time.
        brands: the short name of each brand by its id.
        moments: the turns, ordered by time.
    """

    items: Sequence[Item | Bad]
    brands: dict[str, str]
    moments: Sequence[Moment]

    @classmethod
    def load(cls, *, now: datetime | None = None) -> Self:
        """Read the sample and move it by whole weeks, so that its last post is in the past.

        Weekdays and hours stay what the texts say; and no post is dated ahead of the worker's
        clock, which would count it at another time.
        """
        items = list(Reader([sample.posts()]))
        by = _by(items, now or datetime.now(UTC))
        story = tomllib.loads(sample.story().read_text("utf-8"))
        brands = tomllib.loads(sample.brands().read_text("utf-8"))["brand"]
        return cls(
            items=list(moved(items, by)),
            brands={brand["id"]: _short(brand) for brand in brands},
            moments=[Moment(m["at"] + by, _HAPPENED[m["name"]]) for m in story["moment"]],
        )

    @property
    def span(self) -> tuple[datetime, datetime]:
        """When the first and the last post were written."""
        times = [item.created_at for item in _posts(self.items)]
        return times[0], times[-1]

    @property
    def began(self) -> datetime:
        """When the leak was first spoken of."""
        return self.moments[0].at

    def now(self, at: datetime | None) -> str:
        """Tell what is happening at an instant of the story."""
        passed = [moment.text for moment in self.moments if at and moment.at <= at]
        return passed[-1] if passed else CALM


def _posts(items: Sequence[Item | Bad]) -> Iterator[Item]:
    return (item for item in items if isinstance(item, Item))


def _by(items: Sequence[Item | Bad], now: datetime) -> timedelta:
    last = max(item.created_at for item in _posts(items))
    return (now - last) // _WEEK * _WEEK


def _short(brand: dict[str, Any]) -> str:
    names: list[str] = [brand["name"], *brand["aliases"]]
    return min(names, key=len)
