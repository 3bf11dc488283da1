"""`uwsgi-reload-hook demo` as a user runs it, to its end and stopped in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, final

import psutil
import pytest

from integration.waiting import eventually
from uwsgi_reload_hook import demo

if TYPE_CHECKING:
    from types import TracebackType

SECONDS = 120.0
DIRECTORY = re.compile(r"/\S*/uwsgi-reload-hook-\w+")


@final
class Demo:
    """A running demo, and what it has said so far."""

    def __init__(self, output: Path, *options: str) -> None:
        self._output = output
        with output.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "uwsgi_reload_hook", "demo", *options],
                stdout=stream,
                stderr=stream,
                cwd=Path(__file__).parent.parent,
                start_new_session=True,
            )

    def __enter__(self) -> Demo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(SECONDS)

    def said(self) -> str:
        return self._output.read_text()

    def wait_said(self, text: str) -> None:
        eventually(lambda: text in self.said() or self.process.poll() is not None, f"the demo says {text!r}", SECONDS)
        assert text in self.said()

    def directory(self) -> Path:
        found = DIRECTORY.search(self.said())
        assert found
        return Path(found.group())


def left_of(directory: Path) -> list[str]:
    """Every process that has the directory in its command line or as its working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if any(str(directory) in place for place in places):
            found.append(str(process))
    return found


def test_the_demo_shows_a_roll_without_a_failed_request(tmp_path: Path) -> None:
    with Demo(tmp_path / "output") as running:
        code = running.process.wait(SECONDS)
    said = running.said()
    assert code == 0, said
    assert re.search(r"^versions +1 before, 2 after, on all 4 vassals$", said, re.MULTILINE)
    made = re.search(r"^requests +(\d+) made, 0 failed, the slowest took \d+\.\d+ s$", said, re.MULTILINE)
    assert made, said
    assert int(made.group(1)) > 50
    assert re.search(r"^roll +\d+\.\d+ s$", said, re.MULTILINE)
    # The canary is out of service alone; at the end all are in.
    assert re.search(r"^ +\d+\.\d\d .*\brestarting\b.* 3 of 4$", said, re.MULTILINE), said
    assert re.search(r"^ +\d+\.\d\d(  done +){4}4 of 4$", said, re.MULTILINE), said
    assert left_of(running.directory()) == []
    assert not running.directory().exists()


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "Starting"),
        (signal.SIGINT, "restarting"),
        (signal.SIGTERM, "restarting"),
    ],
)
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    with Demo(tmp_path / "output") as running:
        running.wait_said(moment)
        directory = running.directory()
        os.kill(running.process.pid, number)
        code = running.process.wait(SECONDS)
    assert (code, left_of(directory), directory.exists()) == (128 + number, [], False), running.said()


def test_without_uwsgi_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert demo.run() == 2
    said = capsys.readouterr().out
    assert "pip install 'uwsgi-reload-hook[demo]'" in said
    assert said.count("\n") == 1
