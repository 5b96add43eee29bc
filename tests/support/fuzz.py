"""A fuzz target: whatever bytes arrive, each record is judged or rejected, and nothing raises.

    python -m tests.support.fuzz --seconds 60

With atheris installed (`pip install atheris`) libFuzzer drives it and learns from coverage;
without, random mutations of posts do. A finding is written to `fuzz-finding.json` and raised.
"""

import argparse
import asyncio
import json
import random
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec.json import encode

from streams.domain.book import Book
from streams.domain.brands import Brand, Matcher
from streams.pipeline import Judge, follow
from tests.support.free import Free, Plain

MATCHER = Matcher(
    (
        Brand(id="acme", name="Acme", aliases=("Acmé Télécom",), handles=("@acme", "acme.example")),
        Brand(id="brio", name="Brio", require_any=("phone",), exclude=("con brio",)),
    )
)
SEEDS: tuple[dict[str, Any], ...] = (
    {"id": "p1", "created_at": "2026-11-23T11:00:00Z", "text": "l'Acme a fuité, dit @acme"},
    {"id": "p2", "created_at": "2026-11-23T11:00:00+02:00", "text": "Brio phone 🔥 Acmé Télécom"},
    {"id": "p3", "created_at": "2026-11-23", "deleted": True},
    {"id": "p4", "created_at": "9999-12-31T23:59:59Z", "text": "", "author": {"id": "a"}},
    {"id": "p5", "created_at": "0001-01-01T00:00:00Z", "text": "acme.example", "repost_of": "p1"},
)
NOW = 1_795_000_000_000
_free = Free()


async def _classify(texts: Any) -> Any:
    return _free.classify(texts)


JUDGE = Judge(
    matcher=lambda: MATCHER,
    classify=_classify,
    model="free",
    threshold=0.9,
    key=b"0123456789abcdef",
)


def check(data: bytes) -> None:
    """Judge and follow one record made of `data`.

    Raises:
        AssertionError: the record was neither judged nor rejected, or a row was not repeatable.
    """
    value, _, header = data.partition(b"\x00\x00")
    headers = (("received", header),) if header else ()
    record = Plain("posts", 0, 0, NOW, data[:4], value, headers)
    judged = asyncio.run(JUDGE([record]))
    assert judged.posts + len(judged.letters) == 1, data
    mentions = [Plain("mentions", 0, 0, NOW, b"", encode(m), ()) for m in judged.mentions]
    book, again = Book(), Book()
    out = follow(mentions, book, heard=0.0)
    assert not out.letters, data
    follow([*mentions, *reversed(mentions)], again, heard=0.0)
    assert book.totals() == again.totals(), data


def mutate(rng: random.Random) -> bytes:
    """Return a post that was damaged in a few places."""
    post = dict(rng.choice(SEEDS))
    for _ in range(rng.randrange(3)):
        post[rng.choice([*post, "source", "reach", "lang", "url"])] = rng.choice(
            (None, True, -1, 1e308, "", "\x00", "é" * rng.randrange(900), [], {}, [[[]]], {"id": 1})
        )
    data = bytearray(json.dumps(post, ensure_ascii=rng.random() < 0.5).encode())
    for _ in range(rng.choice((0, 0, 1, 3, 9))):
        place = rng.randrange(len(data) + 1)
        data[place : place + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    if rng.random() < 0.2:
        data += b"\x00\x00" + rng.choice((b"2026-11-23T11:00:00Z", rng.randbytes(9)))
    return bytes(data)


def drive(target: Callable[[bytes], None], *, seconds: float, seed: int) -> int:
    """Run a target on mutated posts; return how many."""
    rng, end, runs = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutate(rng)
        try:
            target(data)
        except BaseException:
            Path("fuzz-finding.json").write_bytes(data)
            raise
        runs += 1
    return runs


def main() -> None:
    """Fuzz for a while and say how many posts were tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    if find_spec("atheris"):
        atheris = import_module("atheris")
        atheris.instrument_all()
        atheris.Setup(["fuzz", f"-max_total_time={asked.seconds:g}"], check)
        atheris.Fuzz()
    runs = drive(check, seconds=asked.seconds, seed=asked.seed)
    print(f"{runs} posts, no finding")  # noqa: T201


if __name__ == "__main__":
    main()
