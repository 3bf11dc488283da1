"""A site made of the files of examples/, with the edits that a user makes: its directories, and nginx's port."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import psutil

import uwsgi_reload_hook
from integration import stats
from integration.layout import environment_lines
from integration.processes import Process, free_port
from integration.services import needed, nginx, notify_socket
from integration.waiting import eventually

if TYPE_CHECKING:
    from types import TracebackType

EXAMPLES = Path(__file__).parent.parent / "examples"
UNIT = "uwsgi-emperor.service"
HOOKS = {
    "mule": {"hook.ini": "etc/uwsgi/vassals/hook.ini", "emperor.ini": "etc/uwsgi/emperor.ini"},
    "vassal": {"hook-vassal.ini": "etc/uwsgi/vassals/hook.ini", "emperor.ini": "etc/uwsgi/emperor.ini"},
    "host": {"emperor-with-hook.ini": "etc/uwsgi/emperor.ini"},
}
"""For each home of the hook the examples that it takes, and where they go."""
STOP_SECONDS = 15.0


@final
class ExampleSite:
    """Starts what the unit's ExecStart says, and nginx in front of it; on leaving both stop and the directory goes."""

    def __init__(self, vassals: int = 4, home: str = "mule", hook: str | None = None) -> None:
        """`hook` is a config for the hook's vassal in place of the example."""
        needed("nginx")
        self._hook = hook
        self.home = home
        # A unix socket's path may not exceed 107 bytes, so pytest's own directories are too deep.
        self.directory = Path(tempfile.mkdtemp(prefix="urh-", dir="/tmp"))
        self.used: set[str] = set()
        self.port = free_port()
        self.vassals = [f"app-{number}.ini" for number in range(1, vassals + 1)]
        self.trigger = self.directory / "var/lib/uwsgi/reload"
        self.left: list[str] = []

    def __enter__(self) -> ExampleSite:
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, self.directory)
            self._install()
            self._ready = undo.enter_context(notify_socket(self.directory / "notify"))
            undo.callback(self._stop_uwsgi, self._start_uwsgi())
            undo.enter_context(nginx(self.directory / "nginx", self._nginx_site()))
            try:
                self._wait_ready()
            except TimeoutError as error:
                raise RuntimeError(f"the site did not start: {error}\n{self.log_tail()}") from error
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        # pytest shows it where the test failed.
        sys.stdout.write(self.log_tail())
        self._undo.close()

    # The files

    def _install(self) -> None:
        etc, site = self.directory / "etc/uwsgi", self.directory / "srv/site"
        for path in (etc / "vassals", site, self.directory / "run/uwsgi", self.trigger.parent):
            path.mkdir(parents=True)
        (site / "venv").symlink_to(sys.prefix)
        self.copy("wsgi.py", site / "wsgi.py")
        self.deploy("old")
        self.copy("vassal.ini", etc / "vassal.ini")
        for name, target in HOOKS[self.home].items():
            self.copy(name, self.directory / target)
        if self._hook is not None:
            (etc / "vassals/hook.ini").write_text(self.placed(self._hook))
        for vassal in self.vassals:
            (etc / "vassals" / vassal).symlink_to("../vassal.ini")
        self.unit_path = self.directory / UNIT
        self.copy(UNIT, self.unit_path)

    def _nginx_site(self) -> str:
        path = self.directory / "nginx-site.conf"
        self.copy(path.name, path)
        site = path.read_text()
        assert "listen 80;" in site
        return site.replace("listen 80;", f"listen 127.0.0.1:{self.port};")

    def copy(self, name: str, target: Path) -> None:
        """Copies one example, with this site's directories in place of the system's."""
        self.used.add(name)
        target.write_text(self.placed((EXAMPLES / name).read_text()))

    def placed(self, text: str) -> str:
        """A text with this site's directories in place of the system's."""
        return re.sub(r"(?=/(?:etc/uwsgi|run/uwsgi|srv/site|var/lib/uwsgi)\b)", str(self.directory), text)

    def deploy(self, version: str | None) -> None:
        """Puts a version of the application in place; None is one whose first request is answered with a 500."""
        path = self.directory / "srv/site/version.txt"
        if version is None:
            path.unlink()
        else:
            fresh = path.with_suffix(".new")
            fresh.write_text(version)
            fresh.replace(path)

    # uWSGI

    def unit(self) -> configparser.SectionProxy:
        """The [Service] section of the unit."""
        parser = configparser.RawConfigParser(strict=False)
        parser.read(self.unit_path)
        return parser["Service"]

    def _start_uwsgi(self) -> subprocess.Popen[bytes]:
        """Starts it as systemd does: from the root directory, and with a socket to tell that it is ready."""
        # uWSGI takes every UWSGI_* variable for an option.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
        if any(line.startswith("pythonpath") for line in environment_lines()):
            environment["PYTHONPATH"] = str(Path(uwsgi_reload_hook.__file__).parent.parent)
        with (self.directory / "log").open("wb") as log:
            return subprocess.Popen(
                shlex.split(self.unit()["ExecStart"]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment | {"NOTIFY_SOCKET": str(self.directory / "notify")},
                start_new_session=True,
            )

    def _stop_uwsgi(self, process: subprocess.Popen[bytes]) -> None:
        """Stops it as the unit does: its signal to the first process only; what is left after that is noted."""
        instance = psutil.Process(process.pid)
        tree = [instance, *instance.children(recursive=True)]
        process.send_signal(signal.Signals[self.unit()["KillSignal"]])
        _, alive = psutil.wait_procs(tree, timeout=STOP_SECONDS)
        for left in alive:
            self.left.append(str(left))
            left.kill()
        psutil.wait_procs(alive, timeout=STOP_SECONDS)
        self.exit_code = process.wait()

    # What it says

    def _wait_ready(self) -> None:
        run = self.directory / "run/uwsgi"

        def subscribed() -> bool:
            wanted = {f"{run}/{Path(vassal).stem}.sock" for vassal in self.vassals}
            try:
                return stats.live_nodes(stats.read(run / "router.stats")).get("app") == wanted
            except (FileNotFoundError, ConnectionRefusedError):
                return False

        def nginx_listens() -> bool:
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(self._ready.is_set, "uWSGI told systemd that it is ready")
        eventually(nginx_listens, "nginx listens")
        eventually(subscribed, "every vassal subscribed")
        eventually(lambda: self.status().get("state") == "idle", "the hook idle")

    def workers(self) -> dict[str, frozenset[Process]]:
        """The workers of each application vassal."""
        emperor = stats.read(self.directory / "run/uwsgi/emperor.stats")
        found = {}
        for entry in emperor["vassals"]:
            if entry["id"] in self.vassals:
                with suppress(psutil.NoSuchProcess):  # one that does not start is started again and again
                    children = psutil.Process(entry["pid"]).children()
                    found[entry["id"]] = frozenset(Process(child.pid, child.create_time()) for child in children)
        return found

    def status(self) -> dict[str, Any]:
        """The hook's status file; empty while there is none."""
        path = self.trigger.with_name(f"{self.trigger.name}.status.json")
        status: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return status

    def roll_now(self) -> dict[str, Any]:
        """Touches the trigger; the status once the roll has ended."""
        before = (self.status().get("roll") or {}).get("id")
        self.trigger.touch()

        def ended() -> dict[str, Any] | None:
            status = self.status()
            roll = status.get("roll") or {}
            return status if roll.get("id") != before and roll.get("result") else None

        return eventually(ended, "a roll with a result", 60)

    def log_tail(self, lines: int = 80) -> str:
        found = [self.directory / "log", self.directory / "nginx/output", self.directory / "nginx/error.log"]
        texts = [path.read_text(errors="replace") for path in found if path.exists()]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])
