"""What a float of a roll counts from, as type hints: whoever writes one to a file has to know."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

__all__ = ["Clock", "Monotonic", "Seconds", "WallClock"]


class Clock(Enum):
    """What a float of a roll counts from: the journal moves the monotonic ones when another process takes it up."""

    MONOTONIC = "monotonic"
    WALL = "wall"
    NONE = "none"


Monotonic = Annotated[float, Clock.MONOTONIC]
"""A moment in seconds, on the clock that never jumps and that another boot begins anew."""
WallClock = Annotated[float, Clock.WALL]
"""A moment in Unix seconds."""
Seconds = Annotated[float, Clock.NONE]
"""A length of time."""
