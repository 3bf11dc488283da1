"""The site that the demo rolls: its files in a temporary directory, and the uWSGI that serves them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import uwsgi_reload_hook
from uwsgi_reload_hook.client import follow
from uwsgi_reload_hook.records.files import Directory, log_stream, make_private
from uwsgi_reload_hook.records.status import status_name

__all__ = ["Site", "find_uwsgi"]

TRIGGER = "reload"
HOOK = "hook.ini"
STOP_SECONDS = 10

EMPEROR_INI = """\
[uwsgi]
strict = true
master = true
emperor = {directory}/vassals
emperor-nofollow = true
emperor-stats-server = {directory}/emperor.stats
fastrouter = {directory}/router.sock
fastrouter-stats-server = {directory}/router.stats
fastrouter-subscription-server = {directory}/subscription.sock
http = 127.0.0.1:{port}
http-to = {directory}/router.sock
http-var = UWSGI_FASTROUTER_KEY=demo
"""

VASSAL_INI = """\
[uwsgi]
strict = true
master = true
processes = 1
{virtualenv}
socket = {directory}/%n.sock
chdir = {directory}
env = VASSAL=%n
wsgi-file = app.py
need-app = true
disable-logging = true
subscribe-to = {directory}/subscription.sock:demo
start-unsubscribed = true
master-fifo = {directory}/%n.fifo
hook-accepting1-once = spinningfifo:{directory}/%n.fifo S
unsubscribe-on-graceful-reload = true
"""

HOOK_INI = """\
[uwsgi]
master = true
{virtualenv}
pythonpath = {package}
socket = {directory}/%n.sock
processes = 0
mule = uwsgi_reload_hook.mule:run
reload-hook-trigger = {directory}/reload
"""

APP = """\
import os
import time

time.sleep({load_seconds})  # stands for all that a real application imports
VERSION = "{version}"
VASSAL = os.environ["VASSAL"]


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"version {{VERSION}} {{VASSAL}}\\n".encode()]
"""


def find_uwsgi() -> Path | None:
    """The uWSGI binary: the one beside this Python, else the one on PATH, else None."""
    beside = Path(sys.executable).with_name("uwsgi")
    if os.access(beside, os.X_OK):
        return beside
    on_path = shutil.which("uwsgi")
    return Path(on_path) if on_path else None


class Site:
    """One Emperor with a FastRouter, an HTTP front, the application's vassals and the hook's vassal."""

    def __init__(self, uwsgi: Path, directory: Path, *, vassals: int, load_seconds: float) -> None:
        """Write all files below `directory`; nothing is started."""
        self.directory = directory
        self._files = Directory(directory)
        self.names = [f"app-{number}" for number in range(1, vassals + 1)]
        self.load_seconds = load_seconds
        self.port = free_port()
        self.router_stats = directory / "router.stats"
        self.status = directory / status_name(TRIGGER)
        self.log = directory / "log"
        self._uwsgi = uwsgi
        self._process: subprocess.Popen[bytes] | None = None
        self._write_configs()

    def _write_configs(self) -> None:
        values = {
            "directory": self.directory,
            "port": self.port,
            "package": Path(uwsgi_reload_hook.__file__).parent.parent,
            "virtualenv": f"virtualenv = {sys.prefix}" if sys.prefix != sys.base_prefix else "",
        }
        make_private(self.directory / "vassals")
        vassals = Directory(self.directory / "vassals")
        self._files.create("emperor.ini", EMPEROR_INI.format(**values))
        self._files.create("vassal.ini", VASSAL_INI.format(**values))
        vassals.create(HOOK, HOOK_INI.format(**values))
        for name in self.names:
            vassals.link(f"{name}.ini", "../vassal.ini")

    def deploy(self, version: str) -> None:
        """Put a version of the application in place, by a rename, as a deploy does."""
        self._files.replace("app.py", APP.format(version=version, load_seconds=self.load_seconds), 0o644)

    def touch(self) -> None:
        """Touch the trigger."""
        follow.touch(self.directory / TRIGGER, {})

    def start(self) -> None:
        """Start the Emperor's instance, in a session of its own so that a Ctrl-C in the terminal does not reach it."""
        # uWSGI reads every UWSGI_* variable as an option, this package's own too.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
        with log_stream(self.log) as log:
            self._process = subprocess.Popen(  # noqa: S603 - find_uwsgi's binary with the file written above
                [self._uwsgi, "--ini", "emperor.ini"],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether the Emperor's instance has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of uWSGI's log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self, wait_until: Callable[[Callable[[], bool], float], bool]) -> bool:
        """Stop the instance, then kill what is left of it; returns whether all is gone.

        `wait_until(condition, seconds)` waits.
        """
        process = self._process
        if process is None:
            return True
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        if not wait_until(lambda: process.poll() is not None and not self._left(), STOP_SECONDS):
            process.kill()
            wait_until(self._kill_left, STOP_SECONDS)
        process.wait()
        return not self._left()

    def _kill_left(self) -> bool:
        """Kill what is left; returns whether nothing was. A process that was forking leaves work for the next call."""
        left = self._left()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not left

    def _left(self) -> list[int]:
        """Pids of the uWSGI processes of this demo, which are those with a working directory in its directory."""
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                ours = (entry / "exe").samefile(self._uwsgi) and (entry / "cwd").readlink().is_relative_to(
                    self.directory
                )
            except OSError:  # no process, one that has just ended, or another user's
                continue
            if ours and entry.name.isdigit():
                pids.append(int(entry.name))
        return pids


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
