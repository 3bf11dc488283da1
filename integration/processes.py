"""Processes and ports of this host."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self


class Process(NamedTuple):
    """One process for good: a pid alone comes back. `created` is comparable with `since_boot()`."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        # psutil adds a boot time in whole seconds to this; the kernel's own number is good to a hundredth.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return cls(pid, int(fields[19]) / os.sysconf("SC_CLK_TCK"))


def since_boot() -> float:
    """Now, by the kernel's clock for creation times, rounded down to its ticks."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - 1 / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
