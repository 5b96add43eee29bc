"""How fast the shipped classifier judges posts, beside the same features in scikit-learn.

    python benchmarks/classifier.py [--quick]

The posts are generated here: words drawn by a Zipf law from a vocabulary of made-up words and of
frequent real ones, with handles, links, emoji and numbers, 20 tokens on average. Every batch is
made of posts that were not judged before, so that new words cost what they cost in earnest. Both
sides run on one thread, in the same process, on the same posts.
"""

import argparse
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy
import sklearn
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from threadpoolctl import threadpool_limits

from models import Classifier, load_classifier

COMMON = """
the to a and I is in it you of for on my that with this so just at be me not are have was but up we
out no all if do good like what your love when day now today get time new one they really don't can
know back great want more need see service phone never again thanks flight help
le la de et à les des en un une pas je pour que qui sur est plus dans avec mais ça merci
"""
SYLLABLES = "ba be co da di fa ga lo mi na no pe ra re sa si ta te vo za ker lin tor mont"
BATCHES = (1, 16, 64, 256)


def posts(number: int, *, seed: int) -> list[str]:
    """Make posts of tweet length."""
    draw = random.Random(seed)
    rare = ["".join(draw.choices(SYLLABLES.split(), k=draw.randint(2, 4))) for _ in range(60_000)]
    words = [*COMMON.split(), *rare]
    weights = np.cumsum(1.0 / (np.arange(len(words)) + 3.0)).tolist()
    return [" ".join(_words(draw, words, weights)) for _ in range(number)]


def _words(draw: random.Random, words: list[str], weights: list[float]) -> Iterator[str]:
    for word in draw.choices(words, cum_weights=weights, k=draw.randint(8, 32)):
        yield word.capitalize() if draw.random() < 0.1 else word
    if draw.random() < 0.4:
        yield f"@user{draw.randrange(10**6)}"
    if draw.random() < 0.3:
        yield f"https://t.example/{draw.randrange(10**9):x}"
    yield draw.choice(("!", ".", "...", "😂", "❤️ ", ":(", str(draw.randrange(3000))))


def plain(texts: Sequence[str]) -> Pipeline:
    """The usual way: hashed n-grams of the same kinds and a logistic regression for each head."""
    found = make_union(
        HashingVectorizer(ngram_range=(1, 2), n_features=1 << 20),
        HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), n_features=1 << 20),
    )
    labels = [number % 3 for number in range(len(texts))]
    return make_pipeline(found, LogisticRegression(max_iter=3, tol=1.0)).fit(texts, labels)


def rate(judge: Callable[[Sequence[str]], object], texts: Sequence[str], *, batch: int) -> float:
    """Posts per second of processor time, so that neighbours on the machine matter less."""
    began = time.process_time()
    for start in range(0, len(texts), batch):
        judge(texts[start : start + batch])
    return len(texts) / (time.process_time() - began)


def compare(model: Classifier, *, number: int, against: int) -> None:
    """Print a row for each size of batch."""
    pipeline = plain(posts(400, seed=1))
    model.classify(posts(20_000, seed=2))
    print("batch  trustwatch posts/s  scikit-learn posts/s  ratio")
    for seed, batch in enumerate(BATCHES, start=3):
        texts = posts(number, seed=seed)
        ours = rate(model.classify, texts, batch=batch)
        theirs = rate(pipeline.predict_proba, texts[: min(against, 40 * batch)], batch=batch)
        print(f"{batch:5}  {ours:18,.0f}  {theirs:20,.0f}  {ours / theirs:5.1f}")
    again = rate(model.classify, texts, batch=BATCHES[-1])
    print(f"the last posts once more, no new word: {again:,.0f} posts/s")


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer posts, half a minute")
    quick = parser.parse_args().quick
    model = load_classifier("fast")
    print(f"{model.name}; one thread; generated posts, words known from 20,000 others")
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, "
        f"Python {platform.python_version()}, numpy {np.__version__}, "
        f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}"
    )
    with threadpool_limits(1):
        compare(model, number=4_000 if quick else 40_000, against=1_000 if quick else 8_000)


if __name__ == "__main__":
    main()
