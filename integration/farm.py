"""A real uWSGI site in a temporary directory: Emperor, FastRouter, HTTP front, app vassals and the hook's vassal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from integration import commands, stats
from integration import layout as layouts
from integration.processes import Process, free_port
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

    from integration.commands import Command
    from integration.layout import Layout

HOOK = "hook.ini"
UWSGI = Path(sys.executable).with_name("uwsgi")
RUNNING: list[Farm] = []


class Farm:
    """Starts on entering, stops every process it started on leaving; the directory goes too."""

    command: tuple[str | Path, ...] = (UWSGI,)
    """What starts the instance."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        # A unix socket's path may not exceed 107 bytes, so pytest's own directories are too deep.
        self.directory = Path(tempfile.mkdtemp(prefix="urh-", dir="/tmp"))
        self.vassals = self.directory / "vassals"
        self.trigger = self.directory / layouts.TRIGGER
        self.http_port = free_port()
        self.subscription_server = layout.subscription_server or f"{self.directory}/subscription.sock"
        self.leftovers: list[str] = []
        self.commands: list[Command] = []

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._write_configs()
            self._start()
            try:
                self.wait_subscribed()
                if self.layout.hook is not None and self.layout.home != "shell":
                    self.wait_hook()
            except (TimeoutError, OSError) as error:
                raise RuntimeError(f"the farm did not start: {error}\n{self.log_tail()}") from error
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Starting and stopping

    def _write_configs(self) -> None:
        for name in ("vassals", "run", "configs"):
            (self.directory / name).mkdir()
        for app in self.layout.apps:
            (self.directory / app.name).mkdir()
            (self.directory / app.name / "load").write_text(str(app.load_seconds))
            self.deploy("old", app.name)
            text = layouts.app_ini(self.directory, app, self.subscription_server, self.layout.abstract)
            shared = self.directory / "configs" / f"{app.name}.ini"
            shared.write_text(text)
            for vassal in app.ids:
                if self.layout.symlinks:
                    (self.vassals / vassal).symlink_to(shared)
                else:
                    (self.vassals / vassal).write_text(text)
        if self.layout.hook is not None:
            lines = (layouts.trigger_line(self.directory), *self.layout.hook)
            if self.layout.home == "mule":
                self.add_hook(HOOK, *lines)
            elif self.layout.home == "vassal":
                self.add_vassal(HOOK, layouts.attached_ini(lines, patch=self.layout.patch))

    def _instance_ini(self) -> str:
        return layouts.instance_ini(self.directory, self.layout, self.http_port, self.subscription_server)

    def _start(self) -> None:
        instance = self.directory / "instance.ini"
        instance.write_text(self._instance_ini())
        # uWSGI takes every UWSGI_* variable for an option.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*([self.layout.program] if self.layout.program else self.command), "--ini", instance],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.layout.started_in or self.directory,
                env=environment,
                start_new_session=True,
            )
        RUNNING.append(self)

    def stop(self, patience: float = 1.0) -> None:
        """Asks the instance to stop; what is still there after `patience` seconds is killed by pid (`leftovers`)."""
        for command in self.commands:
            command.end()
        self.halt(patience)
        shutil.rmtree(self.directory, ignore_errors=True)

    def halt(self, patience: float) -> None:
        if self in RUNNING:
            RUNNING.remove(self)
            self.process.send_signal(signal.SIGINT)
            with suppress(TimeoutError):
                eventually(lambda: not self.processes(), "no process left", patience)
            self.leftovers = [str(process) for process in self.processes()]
            eventually(self._kill, "every process killed")
            self.process.wait()

    def restart(self, patience: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Stops and starts the whole instance, the Emperor and its router in it."""
        self.halt(patience)
        meanwhile()
        self._start()

    def crash(self, patience: float) -> None:
        """Kills the instance, and starts it again when all that it had started has ended by itself."""
        RUNNING.remove(self)
        self.process.kill()
        self.process.wait()
        eventually(lambda: not self.processes(), "everything ended by itself", patience)
        self._start()

    def _kill(self) -> bool:
        processes = self.processes()
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        return not processes

    def processes(self) -> list[psutil.Process]:
        """Every process of the farm, orphans too: they share a session that nobody else is in."""
        found = []
        for process in psutil.process_iter():
            with suppress(ProcessLookupError, psutil.NoSuchProcess):
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    # The application

    def deploy(self, version: str, app: str = "") -> None:
        """Puts `version` in place; it is served after the next reload. The version `broken` fails on import."""
        directory = self.directory / (app or self.layout.apps[0].name)
        fresh = directory / "version.new"
        fresh.write_text(version)
        fresh.replace(directory / "version")

    def breaks(self) -> list[float]:
        """When an import failed, in seconds since the epoch."""
        path = self.directory / self.layout.apps[0].name / "breaks"
        return [float(line) for line in path.read_text().split()] if path.exists() else []

    # What uWSGI says

    def emperor(self) -> dict[str, Any]:
        """The Emperor's stats. Reading them makes it scan its directory, after the answer."""
        return stats.read(self.stats_address("emperor"), http=self.layout.stats_http)

    def router(self) -> dict[str, Any]:
        return stats.read(self.stats_address("router"), http=self.layout.stats_http)

    def stats_address(self, of: str) -> str:
        return layouts.stats_address(self.directory, self.layout, of)

    def vassal(self, vassal: str) -> dict[str, Any] | None:
        return self.vassal_stats().get(vassal)

    def vassal_stats(self) -> dict[str, dict[str, Any]]:
        return {vassal["id"]: vassal for vassal in self.emperor()["vassals"]}

    def app_ids(self) -> list[str]:
        return [vassal for app in self.layout.apps for vassal in app.ids]

    def wait_subscribed(self, seconds: float = 60.0) -> None:
        """Until the router knows every app vassal, as far as there is a router to ask."""
        if not self.layout.stats_servers:
            return
        wanted = {app.key: app.vassals for app in self.layout.apps}

        def subscribed() -> bool:
            try:
                nodes = stats.live_nodes(self.router())
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            return {key: len(addresses) for key, addresses in nodes.items()} == wanted

        eventually(subscribed, f"subscribed: {wanted}", seconds)

    def children(self, vassal: str) -> frozenset[Process]:
        """The workers and mules of a vassal; empty while it has none."""
        found = self.vassal(vassal)
        try:
            children = psutil.Process(found["pid"]).children() if found else []
            return frozenset(Process.of(child.pid) for child in children)
        except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            return frozenset()

    def workers(self) -> dict[str, frozenset[Process]]:
        return {vassal: self.children(vassal) for vassal in self.app_ids()}

    @property
    def log_path(self) -> Path:
        return self.directory / "log"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 80) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    # The hook

    def add_hook(self, vassal: str, *lines: str, start: str = layouts.MULE) -> None:
        self.add_vassal(vassal, layouts.hook_ini(self.directory, lines, start=start))

    def add_vassal(self, vassal: str, text: str) -> None:
        """Puts a config in place at once: the Emperor must never see half of it."""
        fresh = self.directory / "vassal.new"
        fresh.write_text(text)
        fresh.replace(self.vassals / vassal)

    def remove_vassal(self, vassal: str) -> None:
        (self.vassals / vassal).unlink()
        eventually(lambda: self.vassal(vassal) is None, f"{vassal} gone")

    def wait_hook(self) -> dict[str, Any]:
        return eventually(lambda: status if (status := self.status()).get("state") == "idle" else None, "the hook idle")

    def status(self) -> dict[str, Any]:
        """The status file; empty while there is none."""
        status: dict[str, Any] = json.loads(self.status_path.read_text()) if self.status_path.exists() else {}
        return status

    @property
    def status_path(self) -> Path:
        return self.directory / f"{layouts.TRIGGER}.status.json"

    def roll(self) -> dict[str, Any]:
        return self.status().get("roll") or {}

    def history(self) -> list[dict[str, Any]]:
        path = self.directory / f"{layouts.TRIGGER}.history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def touch_trigger(self) -> float:
        """Asks for a roll, in the way of the hook's home; returns the time just before, in seconds since the epoch."""
        now = time.time()
        if self.layout.home == "shell":
            self.commands.append(commands.reload(self.directory, *commands.flags(self.layout.hook or ())))
        else:
            self.trigger.touch()
        return now

    def wait_result(self, before: dict[str, Any], seconds: float = 60.0) -> dict[str, Any]:
        """The roll after the roll `before`, once it has a result."""

        def ended() -> dict[str, Any] | None:
            status = self.status()
            roll: dict[str, Any] = status.get("roll") or {}
            if not roll or roll["id"] == before.get("id") or not roll["result"]:
                return None
            assert status["state"] != "rolling", f"the status contradicts itself: {status}"
            return roll

        return eventually(ended, f"a roll after {before.get('id')} with a result", seconds)

    def roll_now(self, seconds: float = 60.0) -> dict[str, Any]:
        before = self.roll()
        self.touch_trigger()
        return self.wait_result(before, seconds)
