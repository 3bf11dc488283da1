"""The hook's own vassal serves nobody: what makes it an application's vassal too is said, with the way out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from uwsgi_reload_hook.planning.actions import Suspend
from uwsgi_reload_hook.site.discovery import Home
from uwsgi_reload_hook.site.site import UwsgiSite
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["keep_out", "warn_if_serving"]

log = logging.getLogger(__name__)

_ANNOUNCES = ("subscribe-to", "st", "subscribe", "subscribe2")
_LINES = {"start-unsubscribed": "start-unsubscribed = true", "cheap": "cheap = true"}
"""What keeps a vassal out of the routers, and without workers, whatever another config adds."""


def warn_if_serving(options: Mapping[str, Sequence[str]], workers: int) -> None:
    """Warn where the hook's own vassal is an application's too, by these options and its number of workers.

    An Emperor adds the lines of `vassals-include` to every vassal, and they win over the vassal's own.
    """
    announced = next((f"{name} = {options[name][-1]}" for name in _ANNOUNCES if options.get(name)), "")
    if announced and "start-unsubscribed" not in options:
        wanted = ["start-unsubscribed"] if "cheap" in options or not workers else [*_LINES]
        log.warning(
            "the hook's own vassal announces itself to a router (%s), gets an application's requests, and is never "
            "rolled, so that it goes on with the code that it has. Other configs may add such lines (vassals-include "
            "of the Emperor): add to the hook's config: %s",
            announced,
            " and ".join(_LINES[name] for name in wanted),
        )


def keep_out(site: UwsgiSite, seen: Snapshot, home: Home) -> None:
    """Suspend the hook's own vassal where a router lists it, though it has no worker: requests to it would hang."""
    if home.workers != 0:
        return
    for vassal in seen.vassals.values():
        if vassal.pid == home.own_pid and seen.live[vassal.id]:
            log.warning("%s, the hook's own vassal, has no worker: it is taken out of the router", vassal.id)
            site.perform(Suspend(vassal.id, vassal.pid))
