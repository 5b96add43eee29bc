"""Posts for the runs of `chaos`: repeats, deletions and rubbish among them, and a few crises."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import count as numbers
from typing import Any

from kafka import KafkaProducer

from streams.domain.brands import Brand
from streams.domain.track import TICK
from streams.records import Verdict
from streams.worker import GRACE
from tests.support.free import Free, verdict

SPAN = timedelta(days=6)
"""Event time that a run covers: long enough for days to close while faults happen.

A day stays open for 72 hours of it, at 50 s a run for 25 s: an outage of a worker must be shorter,
as one in earnest must be shorter than `trust.close_after_hours`.
"""
NAMES = [
    f"{first}{last}"
    for first in ("Bel", "Cor", "Dan", "Fir", "Gal")
    for last in ("avo", "betta", "cino", "dora", "elix", "fonte", "gria", "huna", "isto", "jola")
]
BRANDS = tuple(Brand(id=name.lower(), name=name) for name in NAMES)
AUTHORS = 400
MILLISECOND = timedelta(milliseconds=1)

WARM = timedelta(hours=84)
"""From when on there are crises: the detectors have warmed up."""
CRISIS = timedelta(hours=6)
"""How long each lasts; then the next brand has its own."""
LOUD = 0.1
"""Share of all posts that complain of its brand; every other crisis is a leak of so many in ten."""


def posts(seed: int, count: int, end: datetime) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield key, value and `received` of posts.

    They end right before an instant, the last millisecond having one about each brand.
    """
    rng = random.Random(seed)
    for number in range(count):
        since = SPAN * number / count - timedelta(seconds=rng.uniform(0, 600))
        at, chance = end - SPAN + since, rng.random()
        known = f"p{max(0, number - rng.randrange(1, 1_500))}"
        if chance < 0.005:
            rubbish = b'{"id": ' + b"x" * rng.randrange(9)
            yield f"bad{number}".encode(), rubbish, at.isoformat().encode()
            continue
        name = known if chance < 0.02 else f"p{number}"
        if chance < 0.01:
            yield record(name, at, deleted=True)
            continue
        author = {"id": f"a{rng.randrange(AUTHORS)}"}
        text = said(rng, since)
        yield record(name, at, text=text, author=author, source=rng.choice(("forum", "rss")))
    for name in NAMES:
        yield record(f"last-{name}", end - MILLISECOND, text=f"good night, {name}")


def record(name: str, at: datetime, **fields: Any) -> tuple[bytes, bytes, bytes]:
    """Return key, value and `received` of a post."""
    post = {"id": name, "created_at": at.isoformat(), **fields}
    return name.encode(), json.dumps(post).encode(), at.isoformat().encode()


def said(rng: random.Random, since: timedelta) -> str:
    """Return what somebody says so long after the beginning."""
    crisis, leaky = divmod((since - WARM) // CRISIS, 2)
    if since > WARM and rng.random() < LOUD:
        brand = NAMES[(2 * crisis + leaky) * 7 % len(NAMES)]
        return _text(rng, [brand], _leaks if leaky and rng.random() < 0.3 else _complains)
    named = rng.sample(NAMES, rng.choice((0, 1, 1, 1, 2)))
    return _text(rng, named, _leaks if rng.random() < 0.01 else _calm)


def _text(rng: random.Random, named: Sequence[str], wanted: Callable[[Verdict], bool]) -> str:
    """Return a text about brands that the free classifier judges as wanted."""
    for number in numbers(rng.randrange(10**9)):
        text = f"so much for {' and '.join(named)} today, said my neighbour {number}"
        if wanted(verdict(text)):
            return text
    raise AssertionError


def _leaks(one: Verdict) -> bool:
    return one.leak >= Free.leak_threshold


def _calm(one: Verdict) -> bool:
    return not _leaks(one)


def _complains(one: Verdict) -> bool:
    felt = one.sentiment
    return _calm(one) and felt.negative > max(felt.neutral, felt.positive)


def mark(producer: KafkaProducer, topic: str, end: datetime) -> None:
    """Have the workers look at all ticks before an instant: say in each source that it is over."""
    late = end + timedelta(milliseconds=GRACE + TICK // 2)
    for partition in producer.partitions_for(topic):
        key, value, received = record(f"mark-{partition}", late, deleted=True)
        headers = [("received", received)]
        producer.send(topic, key=key, value=value, headers=headers, partition=partition)
