"""What one read of its stats costs a real Emperor: the answer, and the scan of its directory that follows each wake.

Its vassals are sleeping processes, of which a small machine bears a thousand.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from integration import stats
from integration.bench.usage import fine_cpu_seconds
from integration.farm import UWSGI
from integration.waiting import eventually

READS = 40
# A shell reads the line.
CONFIG = "[uwsgi]\nunprivileged-binary-patch-arg = exec sleep 100000\n"


def read_cost(vassals: int) -> float:
    """The Emperor's CPU seconds for one read with so many vassals."""
    directory = Path(tempfile.mkdtemp(prefix="urh-", dir="/tmp"))
    (directory / "vassals").mkdir()
    for number in range(1, vassals + 1):
        (directory / "vassals" / f"app-{number}.ini").write_text(CONFIG)
    with (directory / "log").open("wb") as log:
        emperor = subprocess.Popen(
            [
                *(UWSGI, "--emperor", directory / "vassals", "--emperor-nofollow"),
                *("--emperor-stats-server", directory / "emperor.stats"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")},
            start_new_session=True,
        )
    try:
        return _measure(emperor.pid, directory / "emperor.stats", vassals)
    finally:
        os.killpg(emperor.pid, signal.SIGKILL)
        emperor.wait()
        shutil.rmtree(directory)


def _measure(pid: int, socket: Path, vassals: int) -> float:
    def settled() -> bool:
        with suppress(OSError):  # not there yet, or busy starting them
            # All have been started, and each runs its sleep instead of a uWSGI that starts.
            entries = stats.read(socket)["vassals"]
            return len(entries) == vassals and all(_sleeps(entry["pid"]) for entry in entries)
        return False

    eventually(settled, f"{vassals} sleeping vassals", 120)
    used = fine_cpu_seconds(pid)
    for _ in range(READS):
        stats.read(socket)
        # The scan comes after the answer; a read that comes at once would share it.
        time.sleep(0.02)
    return (fine_cpu_seconds(pid) - used) / READS


def _sleeps(pid: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/comm").read_text() == "sleep\n"
    return False
