"""Copy keys: the same for near-copies, whatever is changed on the surface."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.copies import LONGEST, copy_key

TEXT = "I will never buy from Brimont again, their app lost my order and nobody answers"


@pytest.mark.parametrize(
    "copy",
    [
        TEXT.upper(),
        f"@someone {TEXT}!!! 😡",
        f"{TEXT} https://example.com/x?y=1 #brimont #fail",
        TEXT.replace(",", " - ") + " 12345",
        TEXT.replace("order", "ordér"),
    ],
)
def test_dress_changes_no_key(copy: str) -> None:
    assert copy_key(copy) == copy_key(TEXT)


def test_other_words_change_the_key() -> None:
    others = {
        copy_key("Brimont answered within an hour, what a lovely service"),
        copy_key("Does anybody know when Brimont opens in Lyon?"),
        copy_key(TEXT),
    }
    assert len(others) == 3


def test_two_texts_share_a_key_as_often_as_their_trigrams_overlap() -> None:
    rng = random.Random(4)
    words = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "lmnrst"]
    shared = 0
    for _ in range(1_000):
        text = rng.choices(words, k=22)
        shared += copy_key(" ".join(text)) == copy_key(
            " ".join([*text[:20], *rng.choices(words, k=2)])
        )
    # 18 of 22 different trigrams are in both: 0.82, give or take 0.04 at three sigma
    assert 780 < shared < 856


def test_what_stands_beyond_the_longest_text_does_not_matter() -> None:
    text = "so bad " * LONGEST
    assert copy_key(text) == copy_key(text + "and something else")


@pytest.mark.parametrize("text", ["", " ", "😡😡😡", "12345", "https://example.com", "\ud800"])
def test_a_text_without_words_has_a_key(text: str) -> None:
    assert copy_key(text) > 0


@given(st.text(max_size=300))
def test_a_key_is_a_number_of_64_bits_and_never_0(text: str) -> None:
    assert 1 <= copy_key(text) < 2**64
    assert copy_key(text) == copy_key(text)
