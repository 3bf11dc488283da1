"""Where a vassal logs."""

from __future__ import annotations

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.process_options import of_instance, of_vassal
from uwsgi_reload_hook.site.sockets import resolve

__all__ = ["log_of"]

_NAMES = ("daemonize", "daemonize2", "logto", "logto2")


def log_of(pid: int, config: str) -> str:
    """Where the vassal `pid` logs, in words: its own file or address, else that of its Emperor, as far as seen."""
    if own := of_vassal(pid, config).found(*_NAMES):
        return f"its log {resolve(own[-1], processes.working_directory(pid))}"
    emperor = processes.parent(pid)
    if emperor is not None:
        options, directory = of_instance(emperor)
        if shared := options.found(*_NAMES):
            return f"the Emperor's log {resolve(shared[-1], directory)}"
    return "the Emperor's log"
