"""What a farm is made of, and the ini files that say so to uWSGI."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
TRIGGER = "trigger"


@dataclass(frozen=True)
class App:
    """One application: `vassals` vassals that share one config and one subscription key."""

    key: str = "app.test"
    vassals: int = 4
    load_seconds: float = 0.5
    tcp: bool = False
    unsubscribes: bool = True
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

    `hook` holds the lines of the hook's ini besides the trigger, None for a farm without one. With `symlinks` each
    application has one real config outside the directory that the Emperor scans; else every vassal has a copy.
    """

    apps: tuple[App, ...] = (App(),)
    hook: tuple[str, ...] | None = ()
    symlinks: bool = True
    nofollow: bool = True
    subscription_server: str = ""
    instance_lines: tuple[str, ...] = ()
    stats_servers: bool = True
    stats_http: bool = False


def instance_ini(directory: Path, layout: Layout, http_port: int, subscription_server: str) -> str:
    lines = [
        "master = true",
        f"emperor = {directory}/vassals",
        f"fastrouter = {directory}/router.sock",
        f"fastrouter-subscription-server = {subscription_server}",
        f"http = 127.0.0.1:{http_port}",
        f"http-to = {directory}/router.sock",
        *layout.instance_lines,
    ]
    if layout.nofollow:
        lines.append("emperor-nofollow = true")
    if layout.stats_http:
        lines.append("stats-http = true")
    if layout.stats_servers:
        lines.append(f"emperor-stats-server = {directory}/emperor.stats")
        lines.append(f"fastrouter-stats-server = {directory}/router.stats")
    return ini(lines)


def app_ini(directory: Path, app: App, subscription_server: str) -> str:
    fifo = f"{directory}/run/%n.fifo"
    return ini(
        [
            "master = true",
            "processes = 1",
            "need-app = true",
            "disable-logging = true",
            f"wsgi-file = {HERE}/wsgi_app.py",
            f"env = APP_DIRECTORY={directory}/{app.name}",
            "env = VASSAL=%n",
            "socket = 127.0.0.1:0" if app.tcp else f"socket = {directory}/run/%n.sock",
            "start-unsubscribed = true",
            *(["unsubscribe-on-graceful-reload = true"] if app.unsubscribes else []),
            f"subscribe-to = {subscription_server}:{app.key}",
            f"master-fifo = {fifo}",
            f"hook-accepting1-once = spinningfifo:{fifo} S",
            *environment_lines(),
            *app.lines,
        ]
    )


def hook_ini(directory: Path, lines: tuple[str, ...], *, start: str = "mule = uwsgi_reload_hook.mule:run") -> str:
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


def trigger_line(directory: Path) -> str:
    return f"reload-hook-trigger = {directory}/{TRIGGER}"


def environment_lines() -> list[str]:
    """How a vassal finds the Python environment of these tests, and the package where that does not hold it."""
    lines = [] if sys.prefix == sys.base_prefix else [f"virtualenv = {sys.prefix}"]
    try:
        metadata.distribution("uwsgi-reload-hook")
    except metadata.PackageNotFoundError:
        lines.append(f"pythonpath = {HERE.parent}")
    return lines


def ini(lines: list[str]) -> str:
    return "\n".join(["[uwsgi]", *lines, ""])
