"""The fuzz target, for a moment; `python -m tests.support.fuzz` runs it for long."""

from pathlib import Path

import pytest

from tests.support.fuzz import check, drive


def test_a_few_seconds_of_damaged_posts_find_nothing() -> None:
    assert drive(check, seconds=3.0, seed=1) > 500


def test_a_finding_is_kept_and_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def fails(data: bytes) -> None:
        raise AssertionError(data)

    with pytest.raises(AssertionError):
        drive(fails, seconds=1.0, seed=1)
    assert (tmp_path / "fuzz-finding.json").stat().st_size
