"""How fast brands are found: posts a second, by the number of brands and by the text's length.

    python benchmarks/brands.py          all figures; exits 1 when one that is held is missed
    python benchmarks/brands.py --quick  fewer posts; shows the figures and holds none

Everything is made from a seed: syllables make words, words make brands and posts. Half of the
posts have accented letters; 15 % an emoji, 20 % an address, 20 % somebody's handle, 25 % a hashtag;
65 % name no brand, 25 % one, 10 % two. Each batch of posts is read several times and its fastest
reading counts, which leaves out what other programs take from the machine.
"""

import argparse
import platform
import random
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from streams.domain.brands import Brand, Matcher

SEED = 20261123
HOLD = 50_000
"""Posts a second on one core with 10,000 brands."""

LEAST = 0.4
"""Share of the pace with 100 brands that is kept with 10,000: more would mean time per brand."""

ONSETS = [*"bcdfglmnprstvz", "br", "cr", "dr", "fl", "gr", "pl", "pr", "st", "tr", "ch"]
NUCLEI = [*"aeiou", "ai", "eu", "ou", "ie"]
CODAS = ["", "", "", *"nsxrl"]
ACCENTS = str.maketrans("eauo", "éàüö")
EMOJI = ["🎉", "😡", "🙄", "👏", "❤️", "🤦\u200d♀️"]


class Words(NamedTuple):
    """A vocabulary whose words are used as unevenly as in a language (Zipf)."""

    common: list[str]
    weights: list[float]
    topics: list[str]


def word(rng: random.Random, syllables: int) -> str:
    parts = (rng.choice(ONSETS) + rng.choice(NUCLEI) for _ in range(syllables))
    return "".join(parts) + rng.choice(CODAS)


def accented(rng: random.Random, text: list[str]) -> list[str]:
    return [each.translate(ACCENTS) if rng.random() < 0.15 else each for each in text]


def vocabulary(rng: random.Random) -> Words:
    common = [word(rng, rng.choice([1, 1, 2, 2, 3])) for _ in range(20_000)]
    weights = list(accumulate(1 / (rank + 3) for rank in range(len(common))))
    return Words(common, weights, rng.sample(common[100:2_000], 200))


def brands(rng: random.Random, count: int, words: Words) -> list[Brand]:
    """Makes brands: a third have conditions, and these share 200 words of everyday topics."""
    return [brand(rng, number, words) for number in range(count)]


def brand(rng: random.Random, number: int, words: Words) -> Brand:
    short = word(rng, 3).title()
    handle = f"{short}{number}".lower()
    return Brand(
        id=f"brand-{number}",
        name=f"{short} {word(rng, 2).title()}",
        aliases=(short, short + word(rng, 2).title(), f"{short} {word(rng, 1)}"),
        handles=(f"@{handle}", f"#{handle}", f"{handle}.example"),
        require_any=tuple(rng.sample(words.topics, 3)) if number % 3 == 0 else (),
        exclude=(f"{short} {word(rng, 2)}", word(rng, 4)) if number % 3 == 1 else (),
    )


def posts(rng: random.Random, count: int, known: list[Brand], words: Words) -> list[str]:
    """Makes posts of 100 to 140 characters."""
    return [post(rng, known, words, length=rng.randint(100, 140)) for _ in range(count)]


def post(rng: random.Random, known: list[Brand], words: Words, *, length: int) -> str:
    text = rng.choices(words.common, cum_weights=words.weights, k=length // 7)
    text = accented(rng, text) if rng.random() < 0.5 else text
    for _ in range(rng.choices([0, 1, 2], weights=[65, 25, 10])[0]):
        text[rng.randrange(len(text))] = mention(rng, rng.choice(known))
    for chance, piece in ornaments(rng):
        if rng.random() < chance:
            text.insert(rng.randrange(len(text)), piece)
    return " ".join(text)[:length]


def mention(rng: random.Random, named: Brand) -> str:
    name = rng.choice((named.name, *named.aliases, *named.handles))
    return rng.choice(["{}", "{}", "{}", "l\u2019{}", "{}'s", "{},", "({})"]).format(name)


def ornaments(rng: random.Random) -> Iterator[tuple[float, str]]:
    yield 0.15, rng.choice(EMOJI)
    yield 0.15, f"#{word(rng, 2).title()}{word(rng, 2).title()}"
    yield 0.10, f"#{word(rng, 2)}"
    yield 0.20, f"@{word(rng, 3)}"
    yield 0.20, f"https://{word(rng, 2)}.example/{word(rng, 3)}"
    yield 0.10, "«»…"


def pace(matcher: Matcher, texts: list[str], *, rounds: int) -> float:
    """Gives the seconds that reading the texts once takes one core."""
    batches = [texts[start : start + 200] for start in range(0, len(texts), 200)]
    best = [float("inf")] * len(batches)
    for _ in range(rounds):
        for number, batch in enumerate(batches):
            began = time.perf_counter()
            for text in batch:
                matcher.match(text)
            best[number] = min(best[number], time.perf_counter() - began)
    return sum(best)


def resident() -> float:
    """Gives the memory of this process in MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def by_brands(rng: random.Random, words: Words, *, size: int, rounds: int) -> dict[int, float]:
    """Shows and gives the posts a second for 100, 1,000 and 10,000 brands."""
    print(f"{size:,} posts of 100 to 140 characters")
    print("  brands  build s  matcher MB  automaton MB  posts/s  us/post  posts with a brand")
    paces = {}
    for count in (100, 1_000, 10_000):
        known = brands(rng, count, words)
        texts = posts(rng, size, known, words)
        before, began = resident(), time.process_time()
        matcher = Matcher(known)
        built, grown = time.process_time() - began, resident() - before
        automaton = matcher._words._automaton.get_stats()["total_size"] / 1e6  # noqa: SLF001
        paces[count] = size / pace(matcher, texts, rounds=rounds)
        named = sum(bool(matcher.match(text)) for text in texts) / size
        print(
            f"  {count:6,}  {built:7.2f}  {grown:10.0f}  {automaton:12.1f}"
            f"  {paces[count]:7,.0f}  {1e6 / paces[count]:7.2f}  {named:18.0%}"
        )
    return paces


def by_length(rng: random.Random, words: Words, *, rounds: int) -> None:
    """Shows the time of texts from a tenth of a post to an extreme one, with 10,000 brands."""
    known = brands(rng, 10_000, words)
    matcher = Matcher(known)
    print("Texts of other lengths (posts one after another), 10,000 brands")
    print("  characters  us/text  ns/character")
    for length in (30, 120, 500, 2_000, 10_000, 100_000):
        texts = [long(rng, known, words, length=length) for _ in range(max(2, 200_000 // length))]
        spent = pace(matcher, texts, rounds=rounds) / len(texts)
        print(f"  {length:10,}  {spent * 1e6:7,.0f}  {spent / length * 1e9:12.0f}")


def long(rng: random.Random, known: list[Brand], words: Words, *, length: int) -> str:
    parts = (post(rng, known, words, length=120) for _ in range(length // 120 + 1))
    return " ".join(parts)[:length]


def main() -> int:
    parser = argparse.ArgumentParser(description="Posts a second in which brands are looked for.")
    parser.add_argument("--quick", action="store_true", help="a short form; nothing is held")
    quick = parser.parse_args().quick
    rng = random.Random(SEED)
    words = vocabulary(rng)
    print(
        f"python {platform.python_version()}, pyahocorasick {version('pyahocorasick')}, "
        f"{platform.machine()}, {processor()}, seed {SEED}"
    )
    paces = by_brands(rng, words, size=2_000 if quick else 20_000, rounds=3 if quick else 25)
    by_length(rng, words, rounds=2 if quick else 8)
    return 0 if quick else verdict(paces)


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "?")


def verdict(paces: dict[int, float]) -> int:
    """Tells which of the held figures are missed."""
    kept = paces[10_000] / paces[100]
    missed = paces[10_000] < HOLD or kept < LEAST
    print(
        f"Held: {HOLD:,} posts/s with 10,000 brands (measured {paces[10_000]:,.0f}), "
        f"{LEAST:.0%} of the pace with 100 brands (measured {kept:.0%}): "
        f"{'missed' if missed else 'kept'}"
    )
    return int(missed)


if __name__ == "__main__":
    raise SystemExit(main())
