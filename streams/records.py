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
