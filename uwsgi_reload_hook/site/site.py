"""The real site: what the controller looks at and acts on. Tests have a simulated one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from uwsgi_reload_hook.planning.actions import Action, Look
from uwsgi_reload_hook.planning.limits import LOADING
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site.actuator import Actuator
from uwsgi_reload_hook.site.discovery import Endpoints, Home
from uwsgi_reload_hook.site.observer import Observer
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = ["UwsgiSite"]


class UwsgiSite:
    """One Emperor, its vassals, and the routers they subscribe to."""

    def __init__(self, settings: Settings, home: Home, endpoints: Endpoints) -> None:
        """`endpoints` is what `discover` has found."""
        vassals = KnownVassals(endpoints.emperor_pid, settings)
        prober = Prober(settings.probe, settings.timeout or LOADING) if settings.probe else None
        servers = {router.stats.address: router.subscription_server for router in endpoints.routers}
        self._observer = Observer(home.own_pid, endpoints, vassals, prober)
        self._actuator = Actuator(vassals, servers, prober)

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def look(self, tracked: Collection[str], look: Look) -> Snapshot:
        """Read the Emperor and each router once. Raises UnavailableError.

        The snapshot has the vassals of the ids `tracked` even if the Emperor has forgotten them, and the process facts
        of those that `look` asks for.
        """

        def to_inspect(vassals: Mapping[str, Vassal]) -> Iterable[str]:
            return {*look.inspect, *(id_ for id_ in look.inspect_if_accepting if vassals[id_].accepting)}

        return self._observer.look(tracked, to_inspect)

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError where the system refuses the act, so that the roll has to stop."""
        self._actuator.perform(action)
