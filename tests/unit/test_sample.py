"""The sample crisis is what its story says it is."""

import re
import tomllib
import unicodedata
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from streams import sample
from streams.records import Post

START = datetime(2026, 11, 20, tzinfo=UTC)
END = datetime(2026, 11, 23, tzinfo=UTC)
LEAK_DAY = 22
BRANDS = {"ondrelle", "tirelune", "lichen"}


@cache
def lines() -> tuple[bytes, ...]:
    return tuple(sample.posts().read_bytes().splitlines())


@cache
def posts() -> tuple[Post, ...]:
    decoder = msgspec.json.Decoder(Post)
    return tuple(decoder.decode(line) for line in lines())


@cache
def written() -> dict[str, Post]:
    return {post.id: post for post in posts() if not post.deleted}


@cache
def story() -> dict[str, Any]:
    return tomllib.loads(sample.story().read_text(encoding="utf-8"))


@cache
def brands() -> dict[str, dict[str, Any]]:
    tables = tomllib.loads(sample.brands().read_text(encoding="utf-8"))["brand"]
    return {table["id"]: table for table in tables}


def fold(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join(re.findall(r"\w+", plain))


def naming(name: str, *, day: int) -> list[Post]:
    return [
        post
        for post in written().values()
        if post.created_at.day == day and name in (post.text or "").casefold()
    ]


def test_every_line_is_a_post_with_a_text_unless_it_deletes() -> None:
    for post in posts():
        assert post.deleted == (post.text is None), post.id
        assert post.text is None or post.text.strip() == post.text != "", post.id


def test_lines_are_ordered_by_event_time_within_the_three_days() -> None:
    times = [post.created_at for post in posts()]
    assert times == sorted(times)
    assert times[0] >= START
    assert times[-1] < END


def test_no_text_is_written_twice() -> None:
    texts = [fold(post.text or "") for post in written().values() if not post.repost_of]
    assert len(texts) >= 545
    assert [text for text, times in Counter(texts).items() if times > 1] == []


def test_french_and_english_share_the_posts_and_four_more_languages_are_heard() -> None:
    langs = Counter(post.lang for post in written().values())
    assert langs["fr"] >= 270
    assert langs["en"] >= 240
    assert all(5 <= langs[lang] <= 8 for lang in ("de", "es", "it", "pt"))
    assert set(langs) == {"fr", "en", "de", "es", "it", "pt"}


def test_every_source_is_heard_and_begins_the_ids() -> None:
    assert {post.source for post in posts()} == {"bluesky", "mastodon", "forum", "rss"}
    assert all(post.id.startswith(f"{post.source}:") for post in posts())


def test_nights_are_quieter_than_days() -> None:
    for day in (20, 21, 22):
        hours = [post.created_at.hour for post in posts() if post.created_at.day == day]
        assert sum(hour < 5 for hour in hours) < sum(9 <= hour < 14 for hour in hours) / 5


def test_an_id_comes_back_only_as_an_exact_repeat_or_a_deletion() -> None:
    times = Counter(line for line in lines() if not msgspec.json.decode(line).get("deleted"))
    assert sorted(times.values())[-5:] == [1, 2, 2, 2, 2]
    assert len(times) == len(written())


def test_deletions_name_earlier_posts() -> None:
    deletions = [post for post in posts() if post.deleted]
    assert len({post.id for post in deletions}) == len(deletions) == 5
    assert all(written()[post.id].created_at < post.created_at for post in deletions)


def test_replies_and_reposts_name_earlier_posts_of_the_same_source() -> None:
    pairs = [(post, post.reply_to or post.repost_of) for post in written().values()]
    linked = [(post, written()[target]) for post, target in pairs if target]
    assert len(linked) >= 35
    for post, target in linked:
        assert target.created_at < post.created_at, post.id
        assert target.source == post.source, post.id


def test_bots_and_young_accounts_are_among_the_authors() -> None:
    authors = {post.author.id: post.author for post in written().values() if post.author}
    young = [a for a in authors.values() if a.created_at and (END - a.created_at).days < 7]
    assert sum(author.bot for author in authors.values()) >= 5
    assert len(young) >= 4


def test_brands_have_valid_ids_and_unlike_aliases() -> None:
    assert set(brands()) == BRANDS
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in brands())
    spelled = [fold(word) for b in brands().values() for word in (b["name"], *b["aliases"])]
    assert len(spelled) == len(set(spelled))


def test_every_brand_is_spoken_of_on_every_day() -> None:
    for day in (20, 21, 22):
        for name in BRANDS:
            assert len(naming(name, day=day)) >= 13, (name, day)


def test_about_a_quarter_of_the_posts_names_no_brand() -> None:
    texts = [(post.text or "").casefold() for post in written().values()]
    nameless = sum(not any(name in text for name in BRANDS) for text in texts)
    homonyms = len(story()["homonym"])
    assert 0.22 <= (nameless + homonyms) / len(texts) <= 0.33


def test_each_id_of_the_story_is_a_post_and_stands_in_one_list_only() -> None:
    ids = [id_ for kind in ("leak", "reaction", "lookalike") for id_ in story()[kind]]
    assert len(ids) == len(set(ids))
    assert set(ids) | set(story()["homonym"]) <= set(written())


def test_the_leak_is_whispered_of_in_the_evening_and_loud_on_the_last_day() -> None:
    leaks = [written()[id_] for id_ in story()["leak"]]
    reactions = [written()[id_] for id_ in story()["reaction"]]
    last = [post for post in leaks if post.created_at.day == LEAK_DAY]
    before = [post for post in leaks if post.created_at.day < LEAK_DAY]
    assert len(last) >= 137
    assert len(last) + len(reactions) >= 173
    assert 5 <= len(before) <= 10
    assert min(post.created_at for post in before) >= datetime(2026, 11, 21, 20, tzinfo=UTC)
    assert all(Counter(post.lang for post in last)[lang] >= 45 for lang in ("fr", "en"))


def test_the_moments_follow_each_other_at_their_posts_times() -> None:
    moments = story()["moment"]
    assert [m["name"] for m in moments] == ["whisper", "rumour", "denied", "sample", "confirmed"]
    assert [m["at"] for m in moments] == sorted(m["at"] for m in moments)
    assert all(written()[m["post"]].created_at == m["at"] for m in moments)


def test_lookalikes_are_many_and_spread_over_the_days() -> None:
    days = Counter(written()[id_].created_at.day for id_ in story()["lookalike"])
    assert days.total() >= 40
    assert min(days[day] for day in (20, 21, 22)) >= 5


def test_homonyms_lack_a_word_of_the_trade_or_carry_an_excluded_one() -> None:
    trade = [f" {fold(word)} " for word in brands()["lichen"]["require_any"]]
    botany = [f" {fold(word)} " for word in brands()["lichen"]["exclude"]]
    kept_out_by_exclusion = 0
    for id_ in story()["homonym"]:
        text = f" {fold(written()[id_].text or '')} "
        assert "lichen" in text
        trading = any(word in text for word in trade)
        assert not trading or any(word in text for word in botany), text
        kept_out_by_exclusion += trading
    assert kept_out_by_exclusion >= 2


def test_nothing_in_a_text_reaches_a_real_site_person_or_card() -> None:
    endings = re.compile(r"(?i)\b[\w-]+\.(?:com|net|org|fr|uk|de|es|it|pt|eu|io|app|onion)\b")
    phone = re.compile(r"\b(?:0|\+)\d[\d ]{7,}\d")
    for post in written().values():
        text = post.text or ""
        assert not endings.search(text), text
        assert not re.search(r"(?:\d[ -]?){13,}", text), text
        # Number ranges that the regulators keep for fiction.
        assert all(n.startswith(("06 39 98", "07700 900")) for n in phone.findall(text)), text
        assert post.url is None or re.match(r"https://[\w.-]+\.example/", post.url), post.url
