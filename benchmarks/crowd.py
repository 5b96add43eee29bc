"""Invented posts about invented brands, as many as a benchmark needs, the same for a seed."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate, product
from typing import NamedTuple

import msgspec

from streams.domain.brands import Brand

SEED = 20261123
TEXT = (
    "the shop was closed again this morning while my neighbour waited for an answer from somebody "
    "who knows why prices went up twice since spring and nobody at the counter could say when a "
    "new delivery would come so we walked home along the river talking about other things like "
    "music bread trains and the match on Sunday"
)
LENGTH = 22
"""Words in a post: about 130 characters with the names."""

_HEADS = "bel cor dan fir gal hes jun kel lor mir"
_MIDDLES = "ava eto ino ura ole abi esu ira omo uda"
_TAILS = "betta cino dora lix fonte gria huna sto jola vane"


class Draft(NamedTuple):
    """A post to publish."""

    key: bytes
    value: bytes
    names: int
    """How many brands it names."""
    received: bytes = b""
    """The header `received`; empty for none."""


def brands(count: int) -> tuple[Brand, ...]:
    """Return up to 1,000 brands with names that do not contain one another."""
    parts = product(_TAILS.split(), _MIDDLES.split(), _HEADS.split())
    names = [head + middle + tail for tail, middle, head in parts]
    return tuple(Brand(id=name, name=name.title()) for name in names[:count])


def posts(
    count: int,
    *,
    about: Sequence[Brand],
    start: datetime,
    span: timedelta,
    seed: int = SEED,
    name: str = "p",
    replayed: bool = False,
) -> Iterator[Draft]:
    """Yield posts spread evenly over a span of event time; each names one brand or two.

    Ids begin with `name`. The first brands are named more often than the last (a power law).
    With `replayed` each says when it was received, so that posts of long ago keep their date.
    """
    rng = random.Random(seed)
    common = TEXT.split()
    weights = list(accumulate((rank + 1) ** -0.7 for rank in range(len(about))))
    for number in range(count):
        at = (start + span * number / count).isoformat()
        named = {
            one.name for one in rng.choices(about, cum_weights=weights, k=rng.choice((1, 1, 2)))
        }
        words = rng.choices(common, k=LENGTH)
        for turn, one in enumerate(sorted(named)):
            words[rng.randrange(LENGTH // 2) * 2 + turn] = one
        post = {
            "id": f"{name}{number}",
            "created_at": at,
            "text": " ".join(words),
            "source": "bench",
        }
        received = at.encode() if replayed else b""
        yield Draft(post["id"].encode(), msgspec.json.encode(post), len(named), received)
