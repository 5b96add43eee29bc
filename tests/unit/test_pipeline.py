"""Judge and follow, on plain lists: every record is judged, or rejected with its reason."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoder.onnx import open_encoder
from streams.domain.book import Book
from streams.domain.brands import Brand, Matcher
from streams.domain.row import DAY, HOUR
from streams.errors import RejectedError
from streams.pipeline import (
    Judge,
    Judged,
    event_time,
    follow,
    in_thread,
    millis,
    parse,
    reading,
)
from streams.records import Mention, Sentiment, Towards, Verdict

NOW = millis(datetime(2026, 11, 23, 12, tzinfo=UTC))
MATCHER = Matcher((Brand(id="acme", name="Acme"), Brand(id="brio", name="Brio")))
GOOD = Verdict(sentiment=Sentiment(0.1, 0.2, 0.7), leak=0.05)
LEAK = Verdict(sentiment=Sentiment(0.8, 0.15, 0.05), leak=0.95)


@dataclass(frozen=True)
class Rec:
    """A record of the topic `posts`."""

    value: bytes | None
    key: bytes | None = b"k"
    topic: str = "posts"
    partition: int = 3
    offset: int = 7
    timestamp: int = NOW
    headers: tuple[tuple[str, bytes], ...] = ()


def rec(**fields: Any) -> Rec:
    post = {"id": "p1", "created_at": "2026-11-23T11:00:00Z", "text": "I like Acme", **fields}
    return Rec(json.dumps({k: v for k, v in post.items() if v is not None}).encode())


@dataclass
class Model:
    """Answers from a list of rules; remembers what it was asked."""

    asked: list[list[str]] = field(default_factory=list)

    async def __call__(self, texts: Any) -> list[Verdict | RejectedError]:
        """Judge texts."""
        self.asked.append(list(texts))
        if any("explode" in text for text in texts):
            raise RuntimeError("the model cannot take this")
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Verdict | RejectedError:
        if "refuse" in text:
            return RejectedError("odd_text", "not a text that this model judges")
        return LEAK if "leak" in text else GOOD


def judge(**parts: Any) -> Judge:
    return Judge(
        **{"matcher": lambda: MATCHER, "classify": Model(), "model": "m", "threshold": 0.5, **parts}
    )


async def judged(*records: Rec, **parts: Any) -> Judged:
    return await judge(**parts)(records)


def reasons(result: Judged) -> list[str]:
    return [letter.reason for letter in result.letters]


async def test_a_post_about_two_brands_becomes_two_mentions() -> None:
    result = await judged(rec(text="Acme beats Brio, and Acme again", source="forum", lang="en"))
    assert [m.brand for m in result.mentions] == ["acme", "brio"]
    first = result.mentions[0]
    assert (first.post, first.partition, first.offset, first.source) == ("p1", 3, 7, "forum")
    assert (first.start, first.end) == (0, 4)
    assert first.at == datetime(2026, 11, 23, 11, tzinfo=UTC)
    assert first.sentiment == GOOD.sentiment


@dataclass
class Minding:
    """Likes brands written in small letters; remembers what it was asked about."""

    asked: list[list[str]] = field(default_factory=list)
    share: float = 0.8

    async def __call__(self, texts: Any, *, brands: Any) -> list[Verdict | RejectedError]:
        """Judge texts."""
        self.asked += [list(names) for names in brands]
        if len(texts) > 1 and any("explode" in text for text in texts):
            raise RuntimeError("the model cannot take this")
        return [
            Verdict(sentiment=GOOD.sentiment, leak=0.0, brands=dict(map(self._feel, names)))
            for names in brands
        ]

    def _feel(self, name: str) -> tuple[str, Towards]:
        good, bad = Sentiment(0.0, 0.2, self.share), Sentiment(0.8, 0.2, 0.0)
        return name, Towards(good if name.islower() else bad)


async def test_each_mention_has_the_sentiment_towards_its_brand() -> None:
    model = Minding()
    two = rec(text="ACME! Brio is not acme, #brio neither")
    result = await judged(two, rec(id="p2", text="@acme"), classify=model, targeted=True)
    assert model.asked == [["ACME", "Brio"], ["acme"]]
    felt = [(m.brand, m.sentiment and m.sentiment.positive) for m in result.mentions]
    assert felt == [("acme", 0.0), ("brio", 0.0), ("acme", 0.8)]


async def test_brands_stay_with_their_post_when_a_batch_fails() -> None:
    model = Minding()
    records = [rec(id="a", text="acme"), rec(id="b", text="explode, BRIO"), rec(id="c")]
    result = await judged(*records, classify=model, targeted=True)
    assert model.asked[3:] == [["acme"], ["BRIO"], ["Acme"]]
    assert [m.post for m in result.mentions] == ["a", "b", "c"]


async def test_a_sentiment_towards_a_brand_that_is_no_probability_is_rejected() -> None:
    lost = Minding(share=float("nan"))
    result = await judged(rec(text="acme"), classify=lost, targeted=True)
    assert reasons(result) == ["bad_verdict"]


async def test_an_encoder_judges_the_posts_of_a_worker_by_brand() -> None:
    model = open_encoder(Path(__file__).parent / "encoder-tiny")
    with ThreadPoolExecutor(1) as pool:
        parts = {"classify": in_thread(model, pool), "targeted": model.targeted}
        text = "acme is lovely, brio is awful"
        result = await judged(rec(text=text), **parts)
    (said,) = model.classify([text], brands=[["acme", "brio"]])
    assert isinstance(said, Verdict)
    assert said.brands is not None
    assert [m.sentiment for m in result.mentions] == [
        said.brands[name].sentiment for name in ("acme", "brio")
    ]


async def test_no_text_is_in_a_mention() -> None:
    secret = "hunter2-and-more"
    result = await judged(rec(text=f"Acme leak: password {secret}"))
    assert secret.encode() not in msgspec.json.encode(result.mentions)
    assert result.mentions[0].is_leak


async def test_a_post_about_no_brand_is_judged_without_asking_the_model() -> None:
    model = Model()
    result = await judged(rec(text="nice weather"), classify=model)
    assert (result.posts, result.mentions, result.letters, model.asked) == (1, [], [], [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"not json", "not_json"),
        (b"\xff\xfe{}", "not_json"),
        (b'{"id": "a", "created_at": "2026-11-23T11:00:00Z", "text": "\\ud800"}', "not_json"),
        (b'{"id": "a", "created_at": "2026-11-23T11:00:00Z", "text": "\x00"}', "not_json"),
        (b"[]", "not_a_post"),
        (b"{}", "not_a_post"),
        (b'{"id": 5, "created_at": "2026-11-23T11:00:00Z", "text": ""}', "not_a_post"),
        (b'{"id": "a", "created_at": "yesterday", "text": ""}', "not_a_post"),
        (b'{"id": "a", "created_at": "99999-01-01T00:00:00Z", "text": ""}', "not_a_post"),
        (b'{"id": "a", "created_at": "2026-11-23T11:00:00Z"}', "no_text"),
        (b'{"id": "", "created_at": "2026-11-23T11:00:00Z", "text": ""}', "bad_id"),
        (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    ],
)
async def test_bad_input_is_rejected_with_its_reason(value: bytes | None, reason: str) -> None:
    result = await judged(Rec(value), rec())
    assert reasons(result) == [reason]
    assert result.letters[0].record.value == value
    assert len(result.mentions) == 1


async def test_a_text_that_is_too_long_is_rejected() -> None:
    assert reasons(await judged(rec(text="Acme " * 1_000_000))) == ["text_too_long"]


async def test_a_nul_in_a_text_is_judged() -> None:
    result = await judged(rec(text="Acme \u0000 here"))
    assert len(result.mentions) == 1


async def test_one_post_that_breaks_the_model_takes_no_other_down() -> None:
    records = [rec(id="a"), rec(id="b", text="Acme explode"), rec(id="c")]
    result = await judged(*records)
    assert [m.post for m in result.mentions] == ["a", "c"]
    assert reasons(result) == ["classifier_failed"]
    assert result.letters[0].detail == "RuntimeError: the model cannot take this"


async def test_a_text_that_the_model_refuses_is_rejected_with_its_reason() -> None:
    assert reasons(await judged(rec(text="Acme refuse"))) == ["odd_text"]


async def test_a_deletion_needs_no_text_and_names_no_brand() -> None:
    result = await judged(rec(text=None, deleted=True))
    assert [(m.brand, m.post, m.deleted) for m in result.mentions] == [("", "p1", True)]


async def test_reposts_and_declared_bots_are_counted_but_weigh_nothing() -> None:
    bot = {"id": "did:1", "bot": True}
    result = await judged(rec(repost_of="p0", text="Acme leak"), rec(id="p2", author=bot))
    assert [m.weight for m in result.mentions] == [0.0, 0.0]
    assert [m.is_leak for m in result.mentions] == [False, False]


async def test_an_author_is_a_keyed_pseudonym_or_left_out() -> None:
    post = rec(author={"id": "did:plc:someone"})
    named = (await judged(post, key=b"k" * 16)).mentions[0]
    other = (await judged(post, key=b"j" * 16)).mentions[0]
    assert (await judged(post)).mentions[0].author is None
    assert named.author != other.author
    assert "someone" not in str(named)


@pytest.mark.parametrize(
    ("created", "counts_at"),
    [
        (NOW - HOUR, NOW - HOUR),
        (NOW - DAY, NOW - DAY),
        (NOW - DAY - 1, NOW),
        (NOW + 1_000, NOW + 1_000),
        (NOW + DAY, NOW + 300_000),
        (millis(datetime(9999, 12, 31, tzinfo=UTC)), NOW + 300_000),
        (millis(datetime(1, 1, 1, tzinfo=UTC)), NOW),
    ],
)
def test_event_time_is_as_dated_unless_absurd(created: int, counts_at: int) -> None:
    found = event_time(created, received=NOW, max_future=300_000, max_age=DAY)
    assert found == counts_at


async def test_a_replay_keeps_its_dates_by_the_header_received() -> None:
    old = b"2015-02-23T10:00:00Z"
    post = Rec(rec(created_at="2015-02-23T09:59:00Z").value, headers=(("received", old),))
    assert (await judged(post)).mentions[0].at == datetime(2015, 2, 23, 9, 59, tzinfo=UTC)


async def test_a_header_that_is_no_instant_is_rejected() -> None:
    post = Rec(rec().value, headers=(("received", b"soon"),))
    assert reasons(await judged(post)) == ["bad_received"]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_post_or_are_rejected(value: bytes) -> None:
    try:
        outcome = parse(Rec(value), max_text=1_000).id
    except RejectedError as exc:
        outcome = exc.reason
    assert outcome


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "id": st.text(max_size=5) | anything,
        "created_at": st.datetimes().map(datetime.isoformat) | anything,
        "text": st.text(max_size=50) | st.just("Acme leak") | anything,
        "author": st.fixed_dictionaries({"id": st.text()}) | anything,
        "reach": anything,
        "deleted": st.booleans() | anything,
        "source": st.text() | anything,
    },
)


@given(st.lists(fields, max_size=8))
async def test_every_generated_post_is_judged_or_rejected(posts: list[dict[str, Any]]) -> None:
    records = [Rec(json.dumps(post).encode(), offset=n) for n, post in enumerate(posts)]
    result = await judged(*records)
    refused = [letter for letter in result.letters if letter.reason == "odd_text"]
    assert result.posts + len(result.letters) - len(refused) == len(records)


def mention(**parts: Any) -> Rec:
    made = Mention(
        **{
            "post": "p1",
            "at": datetime(2026, 11, 23, 11, tzinfo=UTC),
            "partition": 0,
            "offset": 1,
            "brand": "acme",
            "sentiment": LEAK.sentiment,
            "is_leak": True,
            "source": "forum",
            **parts,
        }
    )
    return Rec(msgspec.json.encode(made), topic="mentions")


def test_mentions_enter_the_book_once() -> None:
    book = Book()
    out = follow([mention(), mention(), mention(brand="brio")], book, heard=1.0)
    assert [change.mention.brand for change in out.changes] == ["acme", "brio"]
    assert out.brands == {"acme", "brio"}
    assert len(out.entries) == 2
    assert follow([mention()], book, heard=2.0).entries == []


def test_a_deleted_mention_leaves_the_index() -> None:
    book = Book()
    follow([mention()], book, heard=1.0)
    out = follow([mention(brand="", deleted=True, sentiment=None)], book, heard=1.0)
    assert out.brands == {"acme"}
    assert book.totals() == {}


def test_a_record_that_is_no_mention_is_rejected() -> None:
    out = follow([Rec(b"{}", topic="mentions")], Book(), heard=1.0)
    assert [(letter.stage, letter.reason) for letter in out.letters] == [
        ("follow", "not_a_mention")
    ]


def test_a_reading_tells_what_it_is_made_of() -> None:
    book = Book()
    follow([mention(post=f"p{n}") for n in range(30)], book, heard=1.0)
    at = int(datetime(2026, 11, 23, 11, tzinfo=UTC).timestamp() * 1000)
    result = reading(book.view("acme", at + 1), at=at, late=0)
    losses = sum(shock.loss for shock in result.shocks)
    assert losses > 0
    assert result.index == pytest.approx(result.capital - result.mood_loss - losses, abs=1e-4)
    assert (result.negative, result.neutral, result.positive, result.leaks) == (30, 0, 0, 30)
    assert result.latest_leak is not None
    assert (result.latest_leak.post, result.latest_leak.source) == ("p9", "forum")
    assert result.enough


def test_a_mention_of_another_writer_with_a_long_source_stops_nobody() -> None:
    mention = Mention(
        post="p",
        at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        partition=0,
        offset=0,
        brand="acme",
        source="é" * 500,
        sentiment=Sentiment(0.1, 0.2, 0.7),
    )
    book = Book()
    out = follow([Rec(msgspec.json.encode(mention))], book, heard=0.0)
    assert not out.letters
    assert [change.row.source for change in out.changes] == ["é" * 60]
