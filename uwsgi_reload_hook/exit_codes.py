"""The exit codes of the command line. They are a contract: scripts and CI jobs read them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["OF_RESULT", "ExitCode"]


class ExitCode(IntEnum):
    """The exit code of a command."""

    DONE = 0
    FAILED = 1
    """The roll failed and was stopped, or was interrupted."""
    USAGE = 2
    """An option, a path or a permission is wrong, and an operator has to fix it."""
    TIME = 3
    """Not finished in the time given."""
    NO_HOOK = 4
    REFUSED = 5
    """The minimum cannot be kept, or there is no vassal to roll."""
    INTERRUPTED = 130
    """A signal ended the command; as a shell has it, 128 and the number of SIGINT. A roll that it followed goes on."""


OF_RESULT: Mapping[str, ExitCode] = {
    "done": ExitCode.DONE,
    "failed": ExitCode.FAILED,
    "timed-out": ExitCode.TIME,
    "refused": ExitCode.REFUSED,
}
"""Result of a roll, as in the status file, to exit code; an interrupted roll has not ended."""
