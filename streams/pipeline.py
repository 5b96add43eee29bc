"""What happens to a post, top to bottom: find and judge, then follow, then watch."""
# ruff: noqa: D102 -- the members of a protocol of Kafka's need no words of ours

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol

import msgspec

from models import Brands, Classifier
from streams.domain.book import Book, Entry
from streams.domain.brands import Match, Matcher
from streams.domain.copies import copy_key
from streams.domain.evidence import Weights
from streams.domain.explain import Explanation
from streams.domain.row import DAY, KINDS, UNIT, Row, instant
from streams.domain.view import View
from streams.errors import RejectedError
from streams.records import (
    LatestLeak,
    Mention,
    Post,
    Sentiment,
    TrustReading,
    Verdict,
)

LONGEST_ID = 512
LONGEST_SOURCE = 60
"""Characters of a source that are kept: a packed row has 255 bytes for it."""
LONGEST_URL = 500

_decode_post = msgspec.json.Decoder(Post).decode
_decode_mention = msgspec.json.Decoder(Mention).decode


class Valued(Protocol):
    """Something with the bytes of a record."""

    @property
    def value(self) -> bytes | None: ...


class Record(Valued, Protocol):
    """A record as Kafka hands it over."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Named(NamedTuple):
    """A post that names brands, before it is judged."""

    text: str
    names: list[str]
    """Each brand as the text has it."""
    mentions: list[Mention]
    """One for each brand, complete but for the verdict."""
    repost: bool


class Letter(NamedTuple):
    """A dead letter: a record that cannot be judged, and why."""

    record: Any
    stage: str
    reason: str
    detail: str


@dataclass
class Judged:
    """What came of a batch of posts."""

    posts: int = 0
    mentions: list[Mention] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Finder:
    """What finding brands in posts takes: all but the model.

    Attributes:
        matcher: gives the matcher of the brands file as it is now.
        key: key of the pseudonyms; without one, authors are left out.
        weights: what authors let a post count.
        max_text: longest text in characters.
        max_future: milliseconds by which a post may be dated after its arrival.
        max_age: the same before its arrival.
    """

    matcher: Callable[[], Matcher]
    key: bytes = b""
    weights: Weights = field(default_factory=Weights)
    max_text: int = 100_000
    max_future: int = 300_000
    max_age: int = 86_400_000

    def find(
        self, post: Post, at: datetime, *, partition: int = 0, offset: int = 0
    ) -> Named | None:
        """Return a post with the brands that it names, None when it names none.

        Args:
            post: it may not be deleted.
            at: when it counts.
            partition: where it came from; so does `offset`.
            offset: likewise.
        """
        text = post.text or ""
        matches = self.matcher().match(text)
        if not matches:
            return None
        first = _firsts(matches)
        author, weight = self._pseudonym(post), self._weight(post, at)
        source, url = post.source[:LONGEST_SOURCE], post.url and post.url[:LONGEST_URL]
        copy = f"{copy_key(text):016x}"
        mentions = [
            Mention(
                brand=match.brand,
                post=post.id,
                at=at,
                partition=partition,
                offset=offset,
                source=source,
                author=author,
                copy=copy,
                weight=weight,
                lang=post.lang,
                url=url,
                start=match.start,
                end=match.end,
            )
            for match in first
        ]
        return Named(text, [m.text for m in first], mentions, post.repost_of is not None)

    def _read(self, records: Iterable[Record], out: Judged) -> Iterator[tuple[Record, Named]]:
        """Yield the posts that name a brand; put the others where they belong."""
        for record in records:
            try:
                post = parse(record, max_text=self.max_text)
                at = self._at(record, post)
            except RejectedError as exc:
                out.letters.append(Letter(record, "judge", exc.reason, str(exc)))
                continue
            out.posts += 1
            partition, offset = record.partition, record.offset
            if post.deleted:
                out.mentions.append(deletion(post, at, partition=partition, offset=offset))
            elif named := self.find(post, at, partition=partition, offset=offset):
                yield record, named

    def _weight(self, post: Post, at: datetime) -> float:
        """Return how much the author lets a post count: likes and followers do not matter."""
        author = post.author
        if post.repost_of is not None or (author and author.bot):
            return 0.0
        if author is None or author.created_at is None:
            return 1.0
        age = millis(at) - millis(author.created_at)
        return self.weights.young if age < self.weights.young_days * DAY else 1.0

    def _at(self, record: Record, post: Post) -> datetime:
        at = event_time(
            millis(post.created_at),
            received=received(record),
            max_future=self.max_future,
            max_age=self.max_age,
        )
        return instant(at)

    def _pseudonym(self, post: Post) -> str | None:
        if not self.key:
            return None
        author = post.author.id if post.author else post.id
        return hmac.digest(self.key, author.encode(), hashlib.sha256)[:8].hex()


@dataclass(frozen=True, kw_only=True)
class Judge(Finder):
    """What judging takes.

    Attributes:
        classify: judges texts without blocking the event loop, as a classifier does.
        model: name of the classifier.
        threshold: probability from which a post counts as speaking of a leak.
        targeted: whether to ask for the sentiment towards each brand that a post names.
    """

    classify: Callable[..., Awaitable[list[Verdict | RejectedError]]]
    model: str
    threshold: float
    targeted: bool = False

    async def __call__(self, records: Iterable[Record]) -> Judged:
        """Judge a batch of records; whatever is wrong with one ends as its letter."""
        out = Judged()
        await self.judge(list(self._read(records, out)), out)
        return out

    async def judge(self, found: Sequence[tuple[Any, Named]], out: Judged) -> None:
        """Judge posts, each with its record, and add the mentions or the letters of each."""
        verdicts = await self._verdicts([named for _, named in found])
        for (record, named), given in zip(found, verdicts, strict=True):
            verdict = _checked(given)
            if isinstance(verdict, RejectedError):
                out.letters.append(Letter(record, "judge", verdict.reason, str(verdict)))
            else:
                out.mentions += self._mentions(named, verdict)

    async def _verdicts(self, named: Sequence[Named]) -> list[Verdict | RejectedError]:
        """Classify a batch; if that fails, post by post: one must not take the others down."""
        if not named:
            return []
        try:
            return await self._ask(named)
        except Exception as exc:  # noqa: BLE001 -- whatever a model raises is about these texts
            if len(named) == 1:
                return [RejectedError("classifier_failed", f"{type(exc).__name__}: {exc}"[:500])]
            return [(await self._verdicts([one]))[0] for one in named]

    async def _ask(self, named: Sequence[Named]) -> list[Verdict | RejectedError]:
        texts = [one.text for one in named]
        if not self.targeted:
            return await self.classify(texts)
        # As each text has it: that is where the model looks for the brand.
        return await self.classify(texts, brands=[one.names for one in named])

    def _mentions(self, named: Named, verdict: Verdict) -> Iterator[Mention]:
        is_leak = verdict.leak >= self.threshold and not named.repost
        for mention, name in zip(named.mentions, named.names, strict=True):
            yield msgspec.structs.replace(
                mention,
                sentiment=verdict.towards(name),
                leak=verdict.leak,
                is_leak=is_leak,
                leak_kind=_likeliest(verdict.leak_kind) if is_leak else None,
                model=self.model,
            )


def _firsts(matches: Iterable[Match]) -> list[Match]:
    """Return the first match of each brand."""
    first: dict[str, Match] = {}
    for match in matches:
        first.setdefault(match.brand, match)
    return list(first.values())


def _checked(verdict: Verdict | RejectedError) -> Verdict | RejectedError:
    """Return a verdict, or why it is none: a probability that is no number must not spread."""
    if isinstance(verdict, RejectedError):
        return verdict
    shares = verdict.counted()
    if all(0.0 <= share <= 1.0 for share in shares):
        return verdict
    return RejectedError("bad_verdict", f"the model gave {shares}, which are no probabilities")


def _likeliest(kinds: dict[str, float] | None) -> str | None:
    return max(kinds, key=kinds.__getitem__) if kinds else None


def deletion(post: Post, at: datetime, *, partition: int = 0, offset: int = 0) -> Mention:
    """Return what is said to all brands when a post was deleted."""
    return Mention(post=post.id, at=at, partition=partition, offset=offset, deleted=True)


def parse(record: Valued, *, max_text: int) -> Post:
    """Return the post of a record.

    Raises:
        RejectedError: it is not one; `reason` says in a word why.
    """
    if not record.value:
        raise RejectedError("empty", "the record has no value")
    try:
        post = _decode_post(record.value)
    except msgspec.ValidationError as exc:
        raise RejectedError("not_a_post", str(exc)) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise RejectedError("not_json", str(exc) or type(exc).__name__) from exc
    _check(post, max_text=max_text)
    return post


def _check(post: Post, *, max_text: int) -> None:
    if not 0 < len(post.id) <= LONGEST_ID:
        raise RejectedError("bad_id", f"an id has 1 to {LONGEST_ID} characters, not {len(post.id)}")
    if post.text is None and not post.deleted:
        raise RejectedError("no_text", "a post that is not deleted has a text")
    if post.text is not None and len(post.text) > max_text:
        raise RejectedError("text_too_long", f"{len(post.text)} characters, judged are {max_text}")


def received(record: Record) -> int:
    """Return when a record was received, in milliseconds: its header `received`, or its timestamp.

    Raises:
        RejectedError: the header is no instant.
    """
    given = dict(record.headers).get("received")
    if given is None:
        return record.timestamp
    try:
        return min(millis(datetime.fromisoformat(given.decode())), record.timestamp)
    except ValueError as exc:
        raise RejectedError("bad_received", f"the header `received` is no instant: {exc}") from exc


def event_time(created: int, *, received: int, max_future: int, max_age: int) -> int:
    """Return when a post counts, in milliseconds: a function of its record alone.

    As dated, unless that is absurd: more than `max_age` before it was received it counts when
    received; more than `max_future` after, it counts that much after.

    >>> event_time(5, received=100, max_future=10, max_age=50)
    100
    >>> event_time(500, received=100, max_future=10, max_age=50)
    110
    """
    if created < received - max_age:
        return received
    return min(created, received + max_future)


def millis(moment: datetime) -> int:
    """Return an instant as milliseconds since 1970; without a zone it is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


class Change(NamedTuple):
    """A mention that changed its book."""

    mention: Mention
    row: Row


@dataclass
class Followed:
    """What came of a batch of mentions of one partition."""

    entries: list[Entry] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    brands: set[str] = field(default_factory=set)


def follow(records: Iterable[Valued], book: Book, *, heard: float) -> Followed:
    """Enter a batch of mentions in the book of their partition.

    Args:
        records: mentions, as bytes.
        book: changed at once; what to write to its changelog is in the result.
        heard: seconds of a steady clock.
    """
    out = Followed()
    for record in records:
        try:
            mention = _decode_mention(record.value or b"")
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            out.letters.append(Letter(record, "follow", "not_a_mention", str(exc)))
            continue
        at = millis(mention.at)
        book.progress.note(mention.partition, at, heard)
        if mention.deleted:
            entries, touched = book.delete(mention.post, at)
            out.brands.update(touched)
        else:
            entries = _enter(mention, at, book, out)
        out.entries += entries
    return out


def _enter(mention: Mention, at: int, book: Book, out: Followed) -> list[Entry]:
    row = row_of(mention, at, book.terms.rule.weights)
    entries = book.put(mention.brand, mention.post, row)
    if entries:
        out.changes.append(Change(mention, row))
        out.brands.add(mention.brand)
    return entries


def row_of(mention: Mention, at: int, weights: Weights) -> Row:
    """Return what a mention is worth, before caps."""
    felt = mention.sentiment or Sentiment(0.0, 1.0, 0.0)
    weight = UNIT * (mention.weight > 0) * dict(weights.sources).get(mention.source, 1.0)
    shares = (felt.negative, felt.neutral, felt.positive)
    blame = weights.leak if mention.is_leak else 1.0
    return Row(
        at=at,
        gain=round(weight * felt.positive),
        loss=round(weight * felt.negative * blame),
        label=shares.index(max(shares)),
        leak=mention.is_leak,
        # Whoever else writes mentions may not know how much a packed row has room for.
        source=mention.source[:LONGEST_SOURCE],
        kind=KINDS.index(mention.leak_kind) if mention.leak_kind in KINDS else 0,
        author=int(mention.author or "0", 16),
        copy=int(mention.copy or "0", 16),
        weighty=mention.weight > 0,
        url=mention.url or "",
        young=0 < mention.weight < 1,
    )


def reading(seen: View, *, at: int, late: int, why: Explanation | None = None) -> TrustReading:
    """Return the view of a brand as it goes to the topic `trust`; `why` saves explaining it."""
    result, known, leak = seen.reading, seen.known, seen.known.leak
    numbers = ("index", "low", "high", "capital", "mood", "mood_loss")
    groups, posts = why or seen.explain()
    negative, neutral, positive, leaks, *_ = known.counts
    return TrustReading(
        brand=seen.scene.brand,
        at=instant(at),
        enough=bool(result.enough),
        shocks=seen.shocks(),
        negative=negative,
        neutral=neutral,
        positive=positive,
        leaks=leaks,
        latest_leak=LatestLeak(instant(leak.at), leak.post, leak.source) if leak else None,
        late=late,
        version=seen.scene.rule.version,
        moved=groups,
        posts=posts,
        **{name: round(float(getattr(result, name)), 6) for name in numbers},
    )


def in_thread(classifier: Classifier, executor: Any) -> Callable[..., Awaitable[Any]]:
    """Return the classifier as a coroutine that judges in the thread of `executor`."""

    async def classify(
        texts: Sequence[str], *, brands: Brands | None = None
    ) -> list[Verdict | RejectedError]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            executor, partial(classifier.classify, texts, brands=brands)
        )

    return classify
