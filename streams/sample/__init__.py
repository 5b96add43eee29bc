"""The sample crisis: three days of invented posts, the brands they are about, what is what."""

from importlib import resources
from pathlib import Path


def posts() -> Path:
    """The posts, one JSON object per line, ordered by event time."""
    return _beside("posts.jsonl")


def brands() -> Path:
    """The brands file that goes with the posts."""
    return _beside("brands.toml")


def story() -> Path:
    """Judgments by hand: the ids of leak mentions, look-alikes and homonyms, and the moments."""
    return _beside("story.toml")


def _beside(name: str) -> Path:
    return Path(str(resources.files(__name__).joinpath(name)))
