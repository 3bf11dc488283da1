"""What a hook asks the Emperor when it starts: what stands for it, who may act for it, and which config a hook has."""

from __future__ import annotations

import os

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.option_sources import from_uwsgi_opt
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import Authority, Emperor, identify, options_of_hook, own_users, vassal_of
from uwsgi_reload_hook.site.discovery import Endpoints, Home, find_emperor, given_to, instance_of
from uwsgi_reload_hook.site.peers import Peer, is_listener
from uwsgi_reload_hook.site.vassal_config import config_path, vassal_options
from uwsgi_reload_hook.uwsgi import ini, stats

__all__ = ["EmperorProcess", "own_config"]

ARGUMENTS = 100
"""Of the Emperor's command: one of them names the config of the instance whose mule the hook may be."""


class EmperorProcess:
    """The process of an Emperor, asked through its stats socket at each call."""

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        self._stats_socket = endpoints.emperor
        self._pid = endpoints.emperor_pid
        self._path = settings.emperor_path

    def identify(self) -> Emperor:
        """What stands for this Emperor where hooks lock each other out. Raises UnavailableError, ConfigError."""
        return identify(self._stats())

    def authority(self) -> Authority:
        """Who may act for this Emperor at this moment. It raises UnavailableError where the Emperor does not answer."""
        return Authority(self._pid, lambda: _configs(self._stats(), self._path))

    def hook_options(self, hook: Peer) -> tuple[dict[str, list[str]], str]:
        """The options of the hook that is the process `hook`, and where its relative paths start.

        The words of a process lead this one only if it is root's or this user's own. Of a hook of another user, the
        Emperor's too, the config alone counts, without relative paths, and that only if nobody else can change it.
        Raises UnavailableError.
        """
        emperor_stats = self._stats()
        configs = _configs(emperor_stats, self._path)
        vassal = vassal_of(hook.pid, configs)
        own = own_users()
        if hook.uid not in own or processes.sole_user(hook.pid) != hook.uid:
            named = [configs[vassal]] if vassal else processes.command_line(emperor_stats.pid)[:ARGUMENTS]
            hooks = (options_of_hook(one.partition("=")[2] if one.startswith("--") else one, own) for one in named)
            options = next(filter(None, hooks), {})
            return {name: texts for name, texts in options.items() if os.path.isabs(texts[-1])}, "/"  # noqa: PTH117 - text
        configured: ini.Options = {}
        if is_listener(self._stats_socket.address, own) and processes.sole_user(emperor_stats.pid) in own:
            configured = vassal_options(vassal, configs[vassal]) if vassal else instance_of(emperor_stats.pid).options
        return {**from_uwsgi_opt(configured), **given_to(hook.pid)}, processes.working_directory(hook.pid) or "/"

    def _stats(self) -> stats.EmperorStats:
        return stats.emperor(self._stats_socket.read())


def own_config(settings: Settings, home: Home) -> str:
    """The path of the hook's own config. Raises UnavailableError."""
    stats_socket, _ = find_emperor(settings, home)
    if path := _configs(stats.emperor(stats_socket.read()), settings.emperor_path).get(home.own_pid):
        return path
    raise UnavailableError(f"the Emperor lists no vassal with the hook's pid {home.own_pid}")


def _configs(emperor_stats: stats.EmperorStats, emperor_path: str | None) -> dict[int, str]:
    """The pid of each vassal that runs, and the path of its config."""
    return {
        entry.pid: config_path(entry.id, entry.monitor, emperor_stats.cwd, emperor_path)
        for entry in emperor_stats.vassals
        if entry.pid > 0
    }
