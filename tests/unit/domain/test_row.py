"""Rows: packed without loss, ranked in a total order, laid out as columns by event time."""

import struct
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.domain.row import DAY, KINDS, UNIT, Row, columns, day_of, instant
from tests.support.rows import T0, row, rows

any_row = st.builds(
    Row,
    at=st.integers(-(2**62), 2**62),
    gain=st.integers(0, UNIT),
    loss=st.integers(0, 15_000),
    label=st.integers(0, 2),
    leak=st.booleans(),
    source=st.text(max_size=60),
    kind=st.integers(0, len(KINDS) - 1),
    author=st.integers(0, 2**64 - 1),
    copy=st.integers(0, 2**64 - 1),
    weighty=st.booleans(),
    url=st.text(max_size=80),
    young=st.booleans(),
)


@given(any_row)
def test_a_row_comes_back_as_it_was_packed(one: Row) -> None:
    assert Row.unpack(one.pack()) == one


@pytest.mark.parametrize("bad", [{"gain": -1}, {"loss": 70_000}, {"source": "é" * 128}])
def test_what_does_not_fit_is_refused(bad: dict) -> None:
    with pytest.raises(struct.error):
        row()._replace(**bad).pack()


def test_a_row_without_names_takes_30_bytes() -> None:
    assert len(row(source="").pack()) == 30


@given(rows, rows, rows)
def test_any_two_versions_are_ranked_and_no_three_in_a_circle(a: Row, b: Row, c: Row) -> None:
    for one, other in ((a, b), (b, c), (a, c)):
        assert one.outranks(other) + other.outranks(one) == (one != other)
    if a.outranks(b) and b.outranks(c):
        assert a.outranks(c)


def test_the_earlier_version_outranks_and_of_one_date_the_graver() -> None:
    mild = row(5, gain=0.8, loss=0.1)
    assert row(4, gain=0.8).outranks(mild)
    assert mild._replace(loss=9_000).outranks(mild)
    assert mild._replace(gain=100).outranks(mild)


def test_columns_are_ordered_by_event_time_and_then_by_post() -> None:
    late, early, tied = row(3, gain=0.3), row(1, gain=0.1), row(3, loss=0.5, source="bluesky")
    for given_ in permutations([("m", late), ("z", early), ("a", tied)]):
        found = columns({post: one.pack() for post, one in given_})
        assert [found.post(i) for i in range(3)] == ["z", "a", "m"]
        assert found.gain.tolist() == [0.1, 0.0, 0.3]
        assert [found.source(i) for i in range(3)] == ["forum", "bluesky", "forum"]
        assert found.row(1) == tied


def test_posts_without_author_or_copy_key_are_each_their_own() -> None:
    found = columns({name: row(author=0, copy=0).pack() for name in "abc"})
    assert len(np.unique(found.author)) == len(np.unique(found.copy)) == 3


def test_no_rows_are_columns_of_no_length() -> None:
    found = columns({})
    assert len(found.at) == len(found.leak) == 0


def test_days_and_instants_before_1970_are_days_and_instants_too() -> None:
    assert day_of(T0) == day_of(T0 + DAY - 1) == day_of(T0 - 1) + 1
    assert day_of(-1) == -1
    assert instant(-1000).isoformat() == "1969-12-31T23:59:59+00:00"
