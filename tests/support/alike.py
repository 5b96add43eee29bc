"""Whether two things say the same, but for the last digits of their numbers."""

import math
from typing import Any

from msgspec import to_builtins


def alike(one: Any, other: Any, *, within: float = 1e-9) -> bool:
    """Tell whether two records are the same, floating point numbers but for so much.

    >>> alike({"a": [1.0, "b"]}, {"a": [1.0 + 1e-10, "b"]}), alike(1.0, 1.001), alike(None, 1)
    (True, False, False)
    """
    return _same(to_builtins(one), to_builtins(other), within)


def _same(one: Any, other: Any, within: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=within)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _same(one[key], other[key], within) for key in one
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(
            _same(*pair, within) for pair in zip(one, other, strict=True)
        )
    return bool(one == other)
