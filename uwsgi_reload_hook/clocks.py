"""The clock of each time in a roll, as a type hint, because the journal treats them differently."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

__all__ = ["Clock", "Monotonic", "Seconds", "WallClock"]


class Clock(Enum):
    """The clock of a float. The journal moves monotonic times when another process resumes the roll."""

    MONOTONIC = "monotonic"
    WALL = "wall"
    NONE = "none"


Monotonic = Annotated[float, Clock.MONOTONIC]
"""A time in seconds on the clock that never jumps, and that starts again at each boot."""
WallClock = Annotated[float, Clock.WALL]
"""A time in Unix seconds."""
Seconds = Annotated[float, Clock.NONE]
"""A duration in seconds."""
