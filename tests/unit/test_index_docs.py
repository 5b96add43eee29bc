"""The page on the index says what the code does."""

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "trust-index.md").read_text("utf-8")


def test_every_constant_is_told_with_its_value_and_its_reason() -> None:
    written = runpy.run_path(str(DOCS / "pictures" / "index.py"))["written"]
    assert written(PAGE) == PAGE, "run python docs/pictures/index.py"


def test_no_constant_is_without_a_reason() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]*) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) > 40
    assert [name for name, _, reason in rows if len(reason) < 12] == []


@pytest.mark.parametrize("link", sorted({*re.findall(r"\]\(([^)#:]+)\)", PAGE)}))
def test_what_the_page_links_to_is_there(link: str) -> None:
    assert (DOCS / link).is_file()
