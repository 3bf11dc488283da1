"""What a process has used, from /proc: finer than psutil, whose CPU times come in hundredths of a second."""

from __future__ import annotations

from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """The CPU time of the threads that a process has now; of its children, none."""
    try:
        texts = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    except FileNotFoundError:  # a thread that has just ended
        return cpu_seconds(pid)
    if texts:
        return sum(int(text.split()[0]) for text in texts) / 1e9
    # A kernel without schedstat, or no such process.
    import psutil  # noqa: PLC0415 - the old script has no use for it, and is measured

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def peak_memory(pid: int | str = "self") -> int:
    """The most bytes that a process has had in memory. Unlike `ru_maxrss` it owes nothing to the process's parent."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
