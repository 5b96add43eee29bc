"""The wire formats: what a post, a mention and a reading look like on a topic."""

from datetime import datetime
from typing import Any

import msgspec


class Author(msgspec.Struct, frozen=True):
    """Who wrote a post, as the source tells it."""

    id: str
    handle: str | None = None
    created_at: datetime | None = None
    followers: int | None = None
    bot: bool = False


class Reach(msgspec.Struct, frozen=True):
    """How far a post went. Reach is an impulse, never evidence of trust."""

    likes: int = 0
    reposts: int = 0
    replies: int = 0
    views: int = 0


class Post(msgspec.Struct, frozen=True):
    """A social post as a source saw it (topic `posts`, key: the post id)."""

    id: str
    created_at: datetime
    text: str | None = None
    source: str = "unknown"
    lang: str | None = None
    url: str | None = None
    author: Author | None = None
    reach: Reach | None = None
    reply_to: str | None = None
    repost_of: str | None = None
    deleted: bool = False
    brands: tuple[str, ...] = ()
    """Targets to judge sentiment towards; read by `classify` alone."""


class Sentiment(msgspec.Struct, frozen=True):
    """Calibrated probabilities that sum to one."""

    negative: float
    neutral: float
    positive: float


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a classifier says about one text; heads that it does not have are left out."""

    sentiment: Sentiment
    leak: float
    """Probability that the text claims, reports or asks about a real leak."""
    leak_kind: dict[str, float] | None = None
    irony: float | None = None
    emotion: dict[str, float] | None = None
    brands: dict[str, dict[str, Any]] | None = None


class Mention(msgspec.Struct, frozen=True, omit_defaults=True):
    """One post about one brand, judged (topic `mentions`, key: the brand id).

    It carries no text: a secret in a post goes no further than the topic `posts`. A deletion
    names no brand; it goes to every partition, keyed by the post id.
    """

    post: str
    at: datetime
    """Event time: a function of the post's record alone."""
    partition: int
    """Where the post came from: partition and offset in the topic `posts`."""
    offset: int
    brand: str = ""
    source: str = "unknown"
    sentiment: Sentiment | None = None
    leak: float = 0.0
    is_leak: bool = False
    """Whether `leak` reaches the model's threshold."""
    author: str | None = None
    """Keyed HMAC of the author's id; left out where no key is set."""
    weightless: bool = False
    """A declared bot or a repost: counted, but no evidence."""
    lang: str | None = None
    url: str | None = None
    start: int = 0
    """Where the brand is named in the text: code points, half open."""
    end: int = 0
    model: str = ""
    deleted: bool = False


class LatestLeak(msgspec.Struct, frozen=True):
    """The latest post about a brand that speaks of a leak."""

    at: datetime
    post: str
    source: str


class TrustReading(msgspec.Struct, frozen=True):
    """The latest reading of a brand (topic `trust`, key: the brand id)."""

    brand: str
    at: datetime
    index: float
    """0 to 100: capital less mood loss."""
    low: float
    high: float
    enough: bool
    """False: too little evidence, the index must be shown as unknown."""
    capital: float
    mood: float
    mood_loss: float
    shocks: tuple[dict[str, Any], ...]
    negative: int
    """Number of posts by likeliest sentiment, all that still weigh."""
    neutral: int
    positive: int
    leaks: int
    """Number of posts that speak of a leak."""
    latest_leak: LatestLeak | None
    late: int
    """Mentions of this partition that came after their day had closed."""
    version: str
