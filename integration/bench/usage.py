"""What a process has used, from /proc."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """The CPU time of a process, threads that have ended included, in hundredths of a second; of its children, none."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fine_cpu_seconds(pid: int) -> float:
    """The CPU time of the threads that a process has now, in nanoseconds: only for while none of them ends."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except FileNotFoundError:  # a thread that has just ended
        return fine_cpu_seconds(pid)
    if texts:
        return sum(int(text.split()[0]) for text in texts) / 1e9
    return cpu_seconds(pid)  # a kernel without schedstat, or no such process


def peak_memory(pid: int | str = "self") -> int:
    """The most bytes that a process has had in memory. Unlike `ru_maxrss` it owes nothing to the process's parent."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
