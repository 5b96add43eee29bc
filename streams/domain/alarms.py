"""Alarms: detectors that step over a brand's closed ticks, and say when to call whom.

Four detectors: a surge of people who complain, a turn of the share of negative posts (both in
`surge`), a fall of the index, and a leak story that gathers witnesses. An alarm is raised once,
may escalate from digest to ticket to page, and ends when its cause has been gone for a while. A
brand's state is a function of its own ticks alone, and can be saved and loaded to the bit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streams.domain import surge
from streams.domain.events import CHANNELS, DETECTORS, Event, What
from streams.domain.surge import Column, Floats
from streams.domain.tuning import Tuning

TICK = 600_000
"""Milliseconds in a tick. Tick n covers the instants from n * TICK until (n + 1) * TICK."""

_C = Column
_CHANGES: tuple[What, ...] = ("raised", "escalated", "ended")
_DIGEST, _TICKET, _PAGE = 1.0, 2.0, 3.0

_PEAKS = surge.END  # the highest index of each of the last 24 hours...
_LOWS = _PEAKS + 24  # ...and the lower bound that it had
_LEVEL = slice(_LOWS + 24, _LOWS + 24 + len(DETECTORS))
_BEGAN = slice(_LEVEL.stop, _LEVEL.stop + len(DETECTORS))
_CALM = slice(_BEGAN.stop, _BEGAN.stop + len(DETECTORS))

WIDTH = _CALM.stop
"""Numbers in a brand's state."""

BLANK = bytes(8 * WIDTH)
"""The state of a brand that was never heard of, for `Panel.load`."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What was seen in consecutive ticks: arrays of one shape, (brands, ticks)."""

    authors: ArrayLike
    """Distinct authors of negative posts."""
    negatives: ArrayLike
    """Negative posts that have weight."""
    posts: ArrayLike
    """Posts that have weight."""
    index: ArrayLike
    """The reading at the end of the tick, and its interval."""
    low: ArrayLike
    high: ArrayLike
    enough: ArrayLike
    """Whether the evidence is enough for the index to be shown."""
    severity: ArrayLike
    """Of the gravest open leak story, 0 (none) to 4."""
    groups: ArrayLike
    """Independent groups of witnesses of that story so far."""
    leaks: ArrayLike
    """New posts that speak of a leak."""


class _Tick(NamedTuple):
    """One tick of `Observed`: of each array, a number a brand."""

    authors: Floats
    negatives: Floats
    posts: Floats
    value: Floats
    low: Floats
    high: Floats
    enough: Floats
    severity: Floats
    groups: Floats
    leaks: Floats


class Panel:
    """The detectors of many brands.

    Args:
        size: number of brands.
        tuning: the constants; states are only comparable under the same ones.
    """

    def __init__(self, size: int, tuning: Tuning | None = None) -> None:
        self._tuning = tuning or Tuning()
        # One column a brand: each of its numbers then lies beside the same of the next brand.
        self._state = np.zeros((WIDTH, size))

    def __len__(self) -> int:
        """Return the number of brands."""
        return self._state.shape[1]

    def save(self, brand: int) -> bytes:
        """Return a brand's state."""
        return self._state[:, brand].tobytes()

    def load(self, brand: int, state: bytes) -> None:
        """Put a brand into a saved state.

        Raises:
            ValueError: the state is of another version of the alarms.
        """
        if len(state) != len(BLANK):
            raise ValueError(
                f"a state of {len(state)} bytes where {len(BLANK)} are due: it is of another "
                "version; load BLANK and step over the brand's ticks again"
            )
        self._state[:, brand] = np.frombuffer(state)

    def asleep(self, brand: int) -> bool:
        """Tell whether ticks without posts change nothing: they need not be stepped over."""
        return not self._state[_C.BORN, brand]

    def step(
        self, first: int, observed: Observed, brands: Sequence[int] | NDArray[np.int_] | None = None
    ) -> list[Event]:
        """Step over ticks; return what happened, by tick, then brand, then detector.

        Args:
            first: number of the first tick; each awake brand must stand right before it.
            observed: what was seen, from that tick on.
            brands: whose rows those are, by their index; all of the panel when left out.

        Raises:
            ValueError: an array has another shape, NaN, infinite or negative numbers; or a brand
                stands elsewhere. Nothing was changed.
        """
        where = np.arange(len(self)) if brands is None else np.asarray(brands, dtype=np.intp)
        ticks = _ticks(observed, len(where))
        state = self._state if brands is None else np.ascontiguousarray(self._state[:, where])
        _refuse_gaps(state, first, where)
        events = [
            event._replace(brand=int(where[event.brand]))
            for number, seen in enumerate(ticks, first)
            for event in _step(state, number, seen, self._tuning)
        ]
        if brands is not None:
            self._state[:, where] = state
        return events


def _ticks(observed: Observed, brands: int) -> list[_Tick]:
    """Return the ticks one by one, checked."""
    shape = np.shape(observed.posts)
    if len(shape) != 2 or shape[0] != brands:  # noqa: PLR2004 - brands and ticks
        raise ValueError(f"posts: shape {shape}, but ({brands}, ticks) is due")
    arrays = []
    for field in fields(observed):
        array = np.array(np.transpose(getattr(observed, field.name)), dtype=np.float64, order="C")
        if array.shape != shape[::-1]:
            raise ValueError(f"{field.name}: shape {array.shape[::-1]}, but posts have {shape}")
        if not (np.isfinite(array) & (array >= 0)).all():
            raise ValueError(f"{field.name}: has NaN, infinite or negative numbers")
        arrays.append(array)
    return [_Tick(*each) for each in zip(*arrays, strict=True)]


def _refuse_gaps(state: Floats, first: int, where: NDArray[np.intp]) -> None:
    if first < 1:
        raise ValueError(f"first: tick {first}, but ticks are counted from 1 (in 1970)")
    wrong = np.flatnonzero((state[_C.BORN] > 0) & (state[_C.TICK] != first - 1))
    if wrong.size:
        brand, stands = where[wrong[0]], int(state[_C.TICK, wrong[0]])
        raise ValueError(f"brand {brand} stands after tick {stands}: go on with the next one")


def _step(state: Floats, tick: int, seen: _Tick, tuning: Tuning) -> list[Event]:
    """Step over one tick; return its events, brands counted within the state."""
    awake = _wake(state, tick, seen)
    if not awake.any():
        state[_C.TICK] = state[_C.HEARD] = 0.0
        return []
    hour, within = divmod(tick, surge.TICKS)
    alarmed = state[_LEVEL][:2]
    if within == 0:
        surge.begin(state, hour, alarmed, tuning)
        state[_PEAKS + hour % 24] = state[_LOWS + hour % 24] = 0.0
    surge.count(state, tick, seen.authors, seen.negatives, seen.posts, tuning)
    _follow_index(state, hour, seen, tuning)
    _follow_leaks(state, seen, tuning)
    if within == surge.TICKS - 1:
        surge.finish(state, hour, alarmed, tuning)
    over = awake & (tick - state[_C.HEARD] >= tuning.sleep * surge.TICKS)
    events = list(_judge(state, tick, seen, awake, over, tuning))
    blank = over | ~awake
    if blank.any():
        np.copyto(state, 0.0, where=blank)
    return events


def _wake(state: Floats, tick: int, seen: _Tick) -> NDArray[np.bool_]:
    """Note who is heard of, and for the first time; tell who is awake."""
    heard = seen.posts > 0
    state[_C.BORN] = np.where(heard & (state[_C.BORN] == 0), tick, state[_C.BORN])
    state[_C.HEARD] = np.where(heard, tick, state[_C.HEARD])
    state[_C.TICK] = tick
    awake: NDArray[np.bool_] = state[_C.BORN] > 0
    return awake


def _follow_index(state: Floats, hour: int, seen: _Tick, tuning: Tuning) -> None:
    """Note the largest fall since any of the last 24 hours whose interval lies above today's."""
    settled = state[_C.TICK] - state[_C.BORN] >= tuning.warm_up * surge.TICKS
    enough = (seen.enough > 0) & settled
    state[_C.INDEX] = seen.value
    state[_C.DROP] = 0.0
    if not enough.any():
        return
    peak, low = _PEAKS + hour % 24, _LOWS + hour % 24
    higher = enough & (seen.value > state[peak])
    state[peak] = np.where(higher, seen.value, state[peak])
    state[low] = np.where(higher, seen.low, state[low])
    apart = state[_LOWS : _LOWS + 24] > seen.high
    fall = np.where(apart, state[_PEAKS : _PEAKS + 24] - seen.value, 0.0).max(axis=0)
    state[_C.DROP] = np.where(enough, np.maximum(fall, 0.0), 0.0)


def _follow_leaks(state: Floats, seen: _Tick, tuning: Tuning) -> None:
    """Note how many groups of witnesses joined the gravest story lately, and how lively it is.

    Of a story that has just become the gravest, no more groups count as new than there are new
    mentions: it may be an old one whose graver neighbour was closed.
    """
    before = np.where(seen.severity > state[_C.SEVERITY], 0.0, state[_C.GROUPS])
    before = np.where(seen.severity < state[_C.SEVERITY], seen.groups, before)
    joined = np.minimum(np.maximum(seen.groups - before, 0.0), seen.leaks)
    state[_C.SEVERITY], state[_C.GROUPS] = seen.severity, seen.groups
    keep = 2.0 ** (-1 / (tuning.leak_life * surge.TICKS))
    state[_C.HEAT] = state[_C.HEAT] * keep + joined
    state[_C.TALK] = np.minimum(state[_C.TALK] * keep + seen.leaks, tuning.leak_talk)
    learning = state[_LEVEL][3] < _TICKET  # a story that is being followed is nothing usual
    slow = 2.0 ** (-1 / (tuning.leak_memory * surge.TICKS))
    for column, more in ((_C.JOINED, joined), (_C.WATCHED, 1.0)):
        state[column] = np.where(learning, state[column] * slow + more, state[column])


def _usual_heat(state: Floats, tuning: Tuning) -> Any:
    """Return the heat that a steady trickle of strays has."""
    rate = state[_C.JOINED] / (state[_C.WATCHED] + tuning.leak_prior * surge.TICKS)
    return rate / (1 - 2.0 ** (-1 / (tuning.leak_life * surge.TICKS)))


def _judge(
    state: Floats,
    tick: int,
    seen: _Tick,
    awake: NDArray[np.bool_],
    over: NDArray[np.bool_],
    tuning: Tuning,
) -> Iterator[Event]:
    """Raise, escalate and end alarms."""
    wish = np.where(awake & ~over, _wishes(state, seen, tuning), 0.0)
    level, began, calm = state[_LEVEL], state[_BEGAN], state[_CALM]
    if not (wish.any() or level.any()):
        return
    calm[:] = np.where((level > 0) & _is_calm(state, tuning), calm + 1, 0.0)
    ended = (level > 0) & ((calm >= tuning.patience) | over)
    risen = (wish > level) & ~ended
    code = np.where(ended, 3, np.where(risen, np.where(level > 0, 2, 1), 0))
    began[:] = np.where(code == 1, tick, began)
    level[:] = np.maximum(level, wish)
    for brand, detector in np.argwhere(code.T):
        what = _CHANGES[code[detector, brand] - 1]
        yield _event(state[:, brand], tick, int(brand), int(detector), what, tuning)
    for rows in (level, began, calm):
        rows[:] = np.where(ended, 0.0, rows)


def _wishes(state: Floats, seen: _Tick, tuning: Tuning) -> Floats:
    """Return the channel that each detector asks for."""
    return np.stack(
        [
            _channel(state[_C.SCORE], tuning.ticket, tuning.page),
            _channel(state[_C.SHARE_SCORE], tuning.share_ticket, tuning.share_page),
            _channel(state[_C.DROP], tuning.drop_ticket, tuning.drop_page),
            _wish_of_leak(state, seen, tuning),
        ]
    )


def _wish_of_leak(state: Floats, seen: _Tick, tuning: Tuning) -> Floats:
    mention = np.where(seen.leaks > 0, _DIGEST, 0.0)
    if not seen.severity.any():
        return mention
    excess = state[_C.HEAT] - tuning.leak_usual * _usual_heat(state, tuning)
    graver, grave = seen.severity >= 2, seen.severity >= 3  # noqa: PLR2004
    page = (grave & (excess >= tuning.leak_page)) | (graver & (excess >= tuning.leak_flood))
    ticket = graver & (excess >= tuning.leak_ticket)
    return np.where(page, _PAGE, np.where(ticket, _TICKET, mention))


def _channel(score: Floats, ticket: float, page: float) -> Floats:
    return np.where(score >= page, _PAGE, np.where(score >= ticket, _TICKET, 0.0))


def _is_calm(state: Floats, tuning: Tuning) -> NDArray[np.bool_]:
    calm: list[NDArray[np.bool_]] = [
        state[_C.SCORE] < tuning.ease,
        state[_C.SHARE_SCORE] < tuning.ease,
        state[_C.DROP] < tuning.drop_ease,
        (state[_C.TALK] < tuning.leak_ease)
        | ((state[_LEVEL][3] >= _TICKET) & (state[_C.SEVERITY] == 0)),
    ]
    return np.stack(calm)


def _event(
    brand: Floats, tick: int, index: int, detector: int, what: What, tuning: Tuning
) -> Event:
    level, began = brand[_LEVEL][detector], brand[_BEGAN][detector]
    tell = (_tell_authors, _tell_share, _tell_drop, _tell_leak)[detector]
    numbers = {name: float(value) for name, value in tell(brand, int(level), tuning).items()}
    if what == "ended":
        numbers["threshold"] = (tuning.ease, tuning.ease, tuning.drop_ease, 0.0)[detector]
    return Event(
        index, tick, DETECTORS[detector], what, CHANNELS[int(level) - 1], int(began), numbers
    )


def _tell_authors(brand: Floats, level: int, tuning: Tuning) -> dict[str, float]:
    seen, expected = brand[_C.SEEN], brand[_C.EXPECTED]
    return {
        "seen": seen,
        "expected": expected,
        "ratio": seen / expected if expected else 0.0,
        "hours": brand[_C.SPAN] / surge.TICKS,
        "score": brand[_C.SCORE],
        "threshold": tuning.page if level == _PAGE else tuning.ticket,
    }


def _tell_share(brand: Floats, level: int, tuning: Tuning) -> dict[str, float]:
    posts = brand[_C.SHARE_OF]
    share = brand[_C.SHARE_SEEN] / posts if posts else 0.0
    return {
        "seen": share,
        "expected": brand[_C.SHARE],
        "ratio": share / brand[_C.SHARE] if brand[_C.SHARE] else 0.0,
        "posts": posts,
        "hours": brand[_C.SHARE_SPAN] / surge.TICKS,
        "score": brand[_C.SHARE_SCORE],
        "threshold": tuning.share_page if level == _PAGE else tuning.share_ticket,
    }


def _tell_drop(brand: Floats, level: int, tuning: Tuning) -> dict[str, float]:
    index, drop = brand[_C.INDEX], brand[_C.DROP]
    return {
        "seen": index,
        "expected": index + drop,
        "ratio": index / (index + drop) if index + drop else 0.0,
        "score": drop,
        "threshold": tuning.drop_page if level == _PAGE else tuning.drop_ticket,
    }


def _tell_leak(brand: Floats, level: int, tuning: Tuning) -> dict[str, float]:
    heat, usual = brand[_C.HEAT], float(_usual_heat(brand, tuning))
    page = tuning.leak_page if brand[_C.SEVERITY] >= 3 else tuning.leak_flood  # noqa: PLR2004
    return {
        "seen": heat,
        "expected": usual,
        "ratio": heat / usual if usual else 0.0,
        "severity": brand[_C.SEVERITY],
        "groups": brand[_C.GROUPS],
        "score": heat - tuning.leak_usual * usual,
        "threshold": {1: 0.0, 2: tuning.leak_ticket}.get(level, page),
    }
