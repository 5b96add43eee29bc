"""Why the readings of brands moved, as of a few seconds ago: that is costly to say."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from streams.domain.explain import Explanation
from streams.domain.view import View

PAUSE = 5.0
"""Seconds between two explanations of a brand's readings."""
AT_ONCE = 0.05
"""Seconds that a round of readings may spend on explanations that can wait for a later one."""
BESIDE = 0.25
"""The share of the seconds spent on readings that may go there besides: with thousands of brands,
explanations are minutes old."""


@dataclass
class Reasons:
    """The latest explanation of each brand; a newer one may come late, but is not left out."""

    clock: Callable[[], float] = time.monotonic
    _known: dict[str, tuple[float, Explanation]] = field(default_factory=dict)
    _owed: set[str] = field(default_factory=set)
    _began: float = 0.0
    _spent: float = 0.0

    def due(self) -> set[str]:
        """Return the brands whose latest reading is to be explained anew."""
        now = self.clock()
        return {brand for brand in self._owed if now - self._known[brand][0] >= PAUSE}

    def begin(self, brands: Iterable[str]) -> list[str]:
        """Begin a round of readings; return its brands, those first that have waited longest."""
        self._began, self._spent = self.clock(), 0.0
        return sorted(brands, key=lambda brand: self._known.get(brand, (-1.0,))[0])

    def wanted(self, brand: str) -> bool:
        """Tell whether a reading of the brand is to be explained now."""
        if brand not in self._known:
            return True
        now = self.clock()
        spare = AT_ONCE + BESIDE * (now - self._began - self._spent) - self._spent
        return now - self._known[brand][0] >= PAUSE and spare > 0

    def find(self, seen: View) -> Explanation:
        """Return why the index of a brand moved, looked for anew."""
        brand, began = seen.scene.brand, self.clock()
        why = seen.explain()
        now = self.clock()
        self._spent += now - began
        self._known[brand] = now, why
        self._owed.discard(brand)
        return why

    def recall(self, brand: str) -> Explanation:
        """Return the latest explanation of a brand; a newer one is owed."""
        self._owed.add(brand)
        return self._known[brand][1]

    def keep(self, brands: set[str]) -> None:
        """Forget all but some brands: another worker tells of the others."""
        self._known = {brand: known for brand, known in self._known.items() if brand in brands}
        self._owed &= brands
