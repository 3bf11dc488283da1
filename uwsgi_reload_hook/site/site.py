"""The site as the controller knows it: a look at everything, and the acts. The real one."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

from uwsgi_reload_hook.planning.roll import Action
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
        """`endpoints` are the sockets that `discover` has found."""
        vassals = KnownVassals(endpoints.emperor_pid, settings)
        prober = Prober(settings.probe, settings.timeout) if settings.probe else None
        servers = {router.stats.address: router.subscription_server for router in endpoints.routers}
        self._observer = Observer(home.own_pid, endpoints, vassals, prober)
        self._actuator = Actuator(vassals, servers, prober)

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    def look(
        self, tracked: Collection[str], detailed: Collection[str], when_accepting: Collection[str] = ()
    ) -> Snapshot:
        """Read the Emperor once and each router once.

        `tracked` are ids that are in the snapshot even when the Emperor has forgotten them, `detailed` those whose
        processes and configs are read too, `when_accepting` those of which that is done if they accept.
        Raises UnavailableError.
        """

        def to_inspect(vassals: Mapping[str, Vassal]) -> Iterable[str]:
            return {*detailed, *(id_ for id_ in when_accepting if vassals[id_].accepting)}

        return self._observer.look(tracked, to_inspect)

    def perform(self, action: Action) -> None:
        """Do one act. Raises ActionError where the system refuses it and the roll has to stop."""
        self._actuator.perform(action)
