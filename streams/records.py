"""The wire formats: what a post, a mention and a reading look like on a topic."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

LARGEST_POST = 8 * 1024 * 1024
"""Bytes of the largest record in the topic `posts`."""

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Key = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
"""64 bits in hexadecimal."""


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

    negative: Share
    neutral: Share
    positive: Share


class Towards(msgspec.Struct, frozen=True):
    """What a text says about one brand that it names."""

    sentiment: Sentiment


class Verdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a classifier says about one text; heads that it does not have are left out."""

    sentiment: Sentiment
    leak: float
    """Probability that the text claims, reports or asks about a real leak."""
    leak_kind: dict[str, float] | None = None
    irony: float | None = None
    emotion: dict[str, float] | None = None
    brands: dict[str, Towards] | None = None
    """By name, as it was asked about."""
    untrained_language: bool = False
    """Whether the model was not trained on the language of the text: take the rest with care."""

    def towards(self, brand: str) -> Sentiment:
        """Return the sentiment towards a brand; that of the text where none is told."""
        told = self.brands.get(brand) if self.brands else None
        return told.sentiment if told else self.sentiment

    def counted(self) -> tuple[float, ...]:
        """Return the probabilities that an index rests on."""
        shares = (self.leak, *msgspec.structs.astuple(self.sentiment))
        for told in (self.brands or {}).values():
            shares += msgspec.structs.astuple(told.sentiment)
        return shares


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
    leak_kind: str | None = None
    """What the leak is likeliest about; left out where the model does not tell."""
    author: Key | None = None
    """Keyed HMAC of the author's id; left out where no key is set."""
    copy: Key | None = None
    """Copy key of the text: near-duplicates mostly share it."""
    weight: Share = 1.0
    """How much the author lets it count: 0 for a declared bot or a repost, less for a new one."""
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


class Shock(msgspec.Struct, frozen=True):
    """What an incident takes off the index, in points."""

    incident: str
    loss: float


class Group(msgspec.Struct, frozen=True):
    """Posts that moved an index together: `moved` is the index less what it were without them."""

    kind: Literal["incident", "source", "copy", "hour"]
    name: str
    """The incident's id, the source, the copy key, or the hour as RFC 3339."""
    posts: int
    moved: float
    """Points; negative when the group pulls the index down."""


class Telling(msgspec.Struct, frozen=True):
    """A post that says much about why an index moved: its id and link, never its text."""

    post: str
    at: datetime
    source: str
    url: str | None
    moved: float
    """Points, as in `Group`."""


class Reading(msgspec.Struct, frozen=True):
    """The index of a brand at an instant, and what was taken off.

    `index = capital - mood_loss - the sum of the losses in shocks`, but for rounding.
    """

    brand: str
    at: datetime
    index: float
    """0 to 100."""
    low: float
    """Lower bound of the 95 % interval."""
    high: float
    enough: bool
    """False: too little evidence, the index must be shown as unknown."""
    capital: float
    mood: float
    mood_loss: float
    shocks: tuple[Shock, ...]
    version: str
    """Of the formula and its constants: another one, and the same posts give another index."""


class TrustReading(Reading, frozen=True):
    """The latest reading of a brand, with why it moved (topic `trust`, key: the brand id)."""

    negative: int
    """Number of posts by likeliest sentiment, all that were counted."""
    neutral: int
    positive: int
    leaks: int
    """Number of posts that speak of a leak."""
    latest_leak: LatestLeak | None
    late: int
    """Mentions of this partition that came after their day had closed."""
    moved: tuple[Group, ...] = ()
    """The groups that moved the index most within the last day, the strongest first; like `posts`,
    as of a few seconds before the reading at most."""
    posts: tuple[Telling, ...] = ()
    """The most telling posts of the last day."""


class Signal(msgspec.Struct, frozen=True):
    """An alarm (topic `signals`, key: the brand id); a later record with its id replaces it."""

    id: str
    """Brand, detector and tick: the same alarm found again is the same record."""
    brand: str
    at: datetime
    """End of the tick in which it was raised."""
    detector: Literal["negative_authors", "negative_share", "index_drop", "leak"]
    channel: Literal["page", "ticket", "digest"]
    """The gravest that it reached."""
    why: str
    """One sentence with the numbers in it."""
    numbers: dict[str, float]
    posts: tuple[Telling, ...]
    moved: tuple[Group, ...]
    ended: datetime | None = None
    """End of the tick in which its cause had gone; None: it still holds."""
    withdrawn: bool = False
    """Whether later or deleted posts took its ground away."""
    muted: str | None = None
    """Why nobody is called, e.g. a planned event; the channel is then `digest`."""
    version: str = ""


class Incident(msgspec.Struct, frozen=True):
    """The state of one leak story about a brand."""

    incident: str
    """`brand/kind/first day`."""
    brand: str
    status: str
    severity: int
    """1 (low) to 4 (very high)."""
    credibility: float
    """0 to 1."""
    kinds: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    mentions: int
    authors: int
    evidence: tuple[str, ...]
    posts: tuple[str, ...]
    """Ids of its first posts."""
