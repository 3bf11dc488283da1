from __future__ import annotations

import os
import textwrap
from pathlib import Path

from tests.children import python, waits
from uwsgi_reload_hook.nudge import nudge

SWAPS = textwrap.dedent(
    """
    import itertools, os
    print("swaps", flush=True)
    for make in itertools.cycle([lambda: os.mkfifo("new"), lambda: os.symlink("other", "new")]):
        make()
        os.replace("new", "fifo")
    """
)
NUDGES = 100_000


def config(directory: Path) -> str:
    path = directory / "app.ini"
    path.write_text(f"[uwsgi]\nmaster-fifo = {directory}/fifo\n")
    return str(path)


def test_a_fifo_that_somebody_reads_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with waits(cwd=tmp_path) as master:
        assert not nudge(master.pid, config(tmp_path)), "nobody reads it"
        reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        assert nudge(master.pid, config(tmp_path))
        assert os.read(reader, 10) == b"\n"
        os.close(reader)


def test_another_file_that_takes_the_fifos_place_is_never_written_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("as it was")
    script = textwrap.dedent(
        f"""
        from uwsgi_reload_hook import nudge
        for _ in range({NUDGES}):
            nudge._write({str(tmp_path / "fifo")!r})
        """
    )
    with python("-c", SWAPS, cwd=tmp_path) as swapper:
        assert swapper.stdout is not None
        assert swapper.stdout.readline() == "swaps\n"
        with python("-c", script) as hook:
            _, errors = hook.communicate()
        assert hook.returncode == 0, errors
        assert swapper.poll() is None
    assert other.read_text() == "as it was"
