"""What a hook asks the Emperor at its start: its identity, who may act for it, and the configs of hooks."""

from __future__ import annotations

import os

from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.option_sources import from_uwsgi_opt
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import Authority, Emperor, identify, options_of_hook, own_users, vassal_of
from uwsgi_reload_hook.site.discovery import Endpoints, Home, find_emperor, given_to
from uwsgi_reload_hook.site.peers import Peer, is_listener
from uwsgi_reload_hook.site.process_options import of_instance, of_vassal
from uwsgi_reload_hook.site.vassal_config import config_path
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["EmperorProcess", "own_config"]

ARGUMENTS = 100
"""Arguments of the Emperor's command that are read: one of them names the config of the instance that hosts it."""


class EmperorProcess:
    """The process of an Emperor. Each call reads its stats socket."""

    def __init__(self, endpoints: Endpoints, settings: Settings) -> None:
        self._stats_socket = endpoints.emperor
        self._pid = endpoints.emperor_pid
        self._path = settings.emperor_path

    def identify(self) -> Emperor:
        """The identity that the Emperor's lock is named after. Raises UnavailableError, ConfigError."""
        return identify(self._stats())

    def authority(self) -> Authority:
        """Who may act for the Emperor now. Its methods raise UnavailableError where the Emperor does not answer."""
        return Authority(self._pid, lambda: _configs(self._stats(), self._path))

    def hook_options(self, hook: Peer) -> tuple[dict[str, list[str]], str]:
        """The options of the hook in the process `hook`, and the directory that its relative paths start from.

        This process obeys the arguments and the environment of root's and its own user's processes alone. Of any other
        hook, one of the Emperor's user too, only the config counts, because a process may lie about itself. That config
        counts if root and this process's user alone can change it, and its relative paths are left out.
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
        configured: dict[str, list[str]] = {}
        if is_listener(self._stats_socket.address, own) and processes.sole_user(emperor_stats.pid) in own:
            found = of_vassal(vassal, configs[vassal]) if vassal else of_instance(emperor_stats.pid)[0]
            configured = found.as_dict()
        return {**from_uwsgi_opt(configured), **given_to(hook.pid)}, processes.working_directory(hook.pid) or "/"

    def _stats(self) -> stats.EmperorStats:
        return stats.parse_emperor(self._stats_socket.read())


def own_config(settings: Settings, home: Home) -> str:
    """The path of the hook's own config. Raises UnavailableError."""
    stats_socket, _ = find_emperor(settings, home)
    if path := _configs(stats.parse_emperor(stats_socket.read()), settings.emperor_path).get(home.own_pid):
        return path
    raise UnavailableError(f"the Emperor lists no vassal with the hook's pid {home.own_pid}")


def _configs(emperor_stats: stats.EmperorStats, emperor_path: str | None) -> dict[int, str]:
    """The pid of each running vassal, and the path of its config."""
    return {
        entry.pid: config_path(entry.id, entry.monitor, emperor_stats.cwd, emperor_path, emperor_stats.monitors)
        for entry in emperor_stats.vassals
        if entry.pid > 0
    }
