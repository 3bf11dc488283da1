"""What a farm is made of, and the ini files that say so to uWSGI."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
TRIGGER = "trigger"
MULE = "mule = uwsgi_reload_hook.mule:run"
HOMES = ("mule", "vassal", "host", "shell")


@dataclass(frozen=True)
class App:
    """One application: `vassals` vassals that share one config and one subscription key.

    `after_key` is what its `subscribe-to` says beyond the key: a modifier, a signature.
    """

    key: str = "app.test"
    vassals: int = 4
    load_seconds: float = 0.5
    tcp: bool = False
    unsubscribes: bool = True
    need_app: bool = True
    start_unsubscribed: bool = True
    """Its first worker lets it into the router; else its master does."""
    after_key: str = ""
    lines: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.key.partition(".")[0]

    @property
    def ids(self) -> list[str]:
        return [f"{self.name}-{number}.ini" for number in range(1, self.vassals + 1)]


@dataclass(frozen=True)
class Layout:
    """A whole farm.

    `hook` holds the lines of the hook's ini besides the trigger, None for a farm without one; `home` is where it runs.
    With `symlinks` each application has one real config outside the directory that the Emperor scans; else every
    vassal has a copy.
    """

    apps: tuple[App, ...] = (App(),)
    hook: tuple[str, ...] | None = ()
    home: str = "mule"
    """One of `HOMES`; the shell's hook lives for one roll, which a touch of the trigger begins."""
    patch: str = "unprivileged"
    """When the attached vassal replaces its uWSGI: before or after that has dropped its privileges."""
    symlinks: bool = True
    scanned: bool = True
    """The Emperor scans the farm's directory of vassals; else only what `instance_lines` name."""
    glob: bool = False
    """The Emperor scans a glob instead of the directory."""
    started_in: str = ""
    """The directory that the instance is started in; empty = the farm's own."""
    nofollow: bool = True
    subscription_server: str = ""
    instance_lines: tuple[str, ...] = ()
    stats_servers: bool = True
    stats_http: bool = False
    program: Path | None = None
    """The uWSGI that hosts the Emperor; None = the one of these tests."""
    abstract: str = ""
    """What begins the names of the sockets of vassals and stats, `@` or a backslash and 0; empty = paths."""


def instance_ini(directory: Path, layout: Layout, http_port: int, subscription_server: str) -> str:
    lines = [
        "master = true",
        *([f"emperor = {directory}/vassals{'/*.ini' if layout.glob else ''}"] if layout.scanned else []),
        f"fastrouter = {directory}/router.sock",
        f"fastrouter-subscription-server = {subscription_server}",
        f"http = 127.0.0.1:{http_port}",
        f"http-to = {directory}/router.sock",
        *layout.instance_lines,
    ]
    if layout.home == "host" and layout.hook is not None:
        lines += [MULE, trigger_line(directory), *environment_lines(), *layout.hook]
    if layout.nofollow:
        lines.append("emperor-nofollow = true")
    if layout.stats_http:
        lines.append("stats-http = true")
    if layout.stats_servers:
        lines.append(f"emperor-stats-server = {stats_address(directory, layout, 'emperor')}")
        lines.append(f"fastrouter-stats-server = {stats_address(directory, layout, 'router')}")
    return ini(lines)


def stats_address(directory: Path, layout: Layout, of: str) -> str:
    return f"{layout.abstract}{directory.name}-{of}" if layout.abstract else f"{directory}/{of}.stats"


def app_ini(directory: Path, app: App, subscription_server: str, abstract: str = "") -> str:
    fifo = f"{directory}/run/%n.fifo"
    unix = f"{abstract}{directory.name}-%n" if abstract else f"{directory}/run/%n.sock"
    address = "127.0.0.1:0" if app.tcp else unix
    return ini(
        [
            "master = true",
            "processes = 1",
            *(["need-app = true"] if app.need_app else []),
            "disable-logging = true",
            f"wsgi-file = {HERE}/wsgi_app.py",
            f"env = APP_DIRECTORY={directory}/{app.name}",
            "env = VASSAL=%n",
            f"socket = {address}",
            *(["unsubscribe-on-graceful-reload = true"] if app.unsubscribes else []),
            f"subscribe-to = {subscription_server}:{app.key}{app.after_key}",
            f"master-fifo = {fifo}",
            *(_until_accepting(fifo) if app.start_unsubscribed else []),
            *environment_lines(),
            *app.lines,
        ]
    )


def _until_accepting(fifo: str) -> list[str]:
    return ["start-unsubscribed = true", f"hook-accepting1-once = spinningfifo:{fifo} S"]


def hook_ini(directory: Path, lines: tuple[str, ...], *, start: str = MULE) -> str:
    return ini(
        [
            "master = true",
            f"socket = {directory}/run/%n.sock",
            "processes = 0",
            start,
            *environment_lines(),
            *lines,
        ]
    )


def attached_ini(lines: Sequence[str], *, patch: str = "unprivileged", arguments: str = "") -> str:
    """The hook as a Python vassal: uWSGI reads this, and the Emperor's new process becomes that program."""
    command = f"exec {sys.executable} -m uwsgi_reload_hook vassal {arguments}".rstrip()
    return ini(
        [*(f"env = PYTHONPATH={path}" for path in python_path()), f"{patch}-binary-patch-arg = {command}", *lines]
    )


def trigger_line(directory: Path) -> str:
    return f"reload-hook-trigger = {directory}/{TRIGGER}"


def environment_lines() -> list[str]:
    """How a vassal finds the Python environment of these tests, and the package where that does not hold it."""
    lines = [] if sys.prefix == sys.base_prefix else [f"virtualenv = {sys.prefix}"]
    return [*lines, *(f"pythonpath = {path}" for path in python_path())]


def python_path() -> list[Path]:
    """Where the package lies, if the Python environment of these tests does not hold it."""
    try:
        metadata.distribution("uwsgi-reload-hook")
    except metadata.PackageNotFoundError:
        return [HERE.parent]
    return []


def ini(lines: list[str]) -> str:
    return "\n".join(["[uwsgi]", *lines, ""])
