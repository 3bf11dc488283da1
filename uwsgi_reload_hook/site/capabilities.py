"""What this process may see of other users' processes, and what would let it see more."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["way_to_see"]

_SYS_PTRACE = 19
"""The number of CAP_SYS_PTRACE (linux/capability.h)."""


def way_to_see() -> str:
    """What would let this process see the files of others' processes, as an instruction; empty = it sees them all."""
    if os.geteuid() != 0:
        return "run the hook as the user of the Emperor, or as root"
    if _capabilities() >> _SYS_PTRACE & 1:
        return ""
    return (
        "give the hook the capability SYS_PTRACE, without which even root cannot see the sockets of vassals with a uid "
        "(docker run --cap-add SYS_PTRACE; in a unit of systemd, CapabilityBoundingSet)"
    )


def _capabilities() -> int:
    """The effective capabilities of this process (proc(5)), none if they cannot be read."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return int(next((line.split()[1] for line in lines if line.startswith("CapEff:")), "0"), 16)
