"""What is measured: sites, and the ways to roll them."""

from __future__ import annotations

import math
from dataclasses import dataclass

KEY = "app.test"
HOOK, CANARY, OLD, CHAIN = "hook", "hook, canary 1", "old script", "chain reload"
WATCHED = "hook, canary 1, 2 s"
"""With the default `canary-time`; the other canary lives for none, so that the two can be told apart."""
HOOKS = frozenset({HOOK, CANARY, WATCHED})


@dataclass(frozen=True)
class Case:
    """`vassals` vassals of one key, of which `minimum` must serve, with an application that loads in `load_seconds`."""

    name: str
    vassals: int
    minimum: int
    load_seconds: float
    ways: tuple[str, ...]
    lazy: bool = False
    comparisons: int | None = None
    """In how many runs at most the other ways are measured: where they take half a minute, they vary little."""
    pictured: bool = False

    @property
    def waves(self) -> int:
        """Reload times that the shortest roll takes which keeps the minimum."""
        return math.ceil(self.vassals / (self.vassals - self.minimum))

    @property
    def title(self) -> str:
        lazy = ", lazy-apps" if self.lazy else ""
        return f"{self.vassals} vassals, minimum {self.minimum}, the application loads in {self.load_seconds:g} s{lazy}"

    def measures(self, way: str, run: int) -> bool:
        return way in HOOKS or self.comparisons is None or run < self.comparisons


CASES = (
    Case("8x1", 8, 1, 2.0, (HOOK, CANARY, WATCHED, OLD), pictured=True),
    Case("8x4", 8, 4, 2.0, (HOOK, CANARY, WATCHED, OLD), pictured=True),
    # One at a time is what uWSGI's chain reload does, and what makes a canary the same as none.
    Case("8x7", 8, 7, 2.0, (HOOK, OLD, CHAIN), comparisons=3),
    Case("32x16", 32, 16, 0.3, (HOOK, CANARY, OLD), comparisons=3),
    Case("lazy", 8, 4, 3.0, (HOOK, OLD), lazy=True, comparisons=3),
)
QUICK = CASES[0]
SCALE = "scale"
