"""How many vassals each key has, needs, and has in service: every number that the budget is made of is counted here."""

from __future__ import annotations

from collections import Counter
from itertools import chain

from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = [
    "accepting_by_key",
    "is_down",
    "is_starting",
    "may_announce_itself",
    "members_by_key",
    "minimum_by_key",
    "serving_by_key",
]

_NONE: frozenset[str] = frozenset()


def is_down(vassal: Vassal) -> bool:
    """Whether the Emperor does not run it, has cursed it, or has it in the blacklist, whatever the routers list."""
    return not vassal.present or vassal.cursed or vassal.blacklisted is not None


def is_starting(vassal: Vassal) -> bool:
    """Whether it is starting, and will announce itself under keys that only its config knows yet."""
    return vassal.present and not vassal.accepting and not vassal.nodes and vassal.may_subscribe


def may_announce_itself(vassal: Vassal) -> bool:
    """Whether no router lists it, and its config subscribes it: a restarted router lists nobody at first."""
    return vassal.present and not vassal.nodes and vassal.may_subscribe


def serving_by_key(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """How many vassals serve each key: they accept, are subscribed, and the roll does not have them out of service."""
    out = {progress.id for progress in roll.out}
    return Counter(chain.from_iterable(served for id_, served in snapshot.served.items() if id_ not in out))


def accepting_by_key(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """How many vassals of each key accept, as the Emperor reports, and are not out of service.

    A restart of a router changes none of these numbers.
    """
    return Counter(
        chain.from_iterable(
            _known_keys(vassal, progress, roll.excluded_keys.get(vassal.id, _NONE))
            for vassal in snapshot.vassals.values()
            if vassal.accepting and vassal.present and vassal.config_exists and not vassal.cursed
            if (progress := roll.vassals.get(vassal.id)) is None or not progress.phase.is_out
        )
    )


def members_by_key(snapshot: Snapshot, roll: Roll) -> Counter[str]:
    """How many vassals each key has: those that a router lists under it, and those that the roll knows to serve it."""
    in_roll, excluded_keys = roll.vassals, roll.excluded_keys
    return Counter(
        chain.from_iterable(
            [
                progress.keys
                if (progress := in_roll.get(id_)) is not None and not progress.phase.is_over
                else _known_keys(vassal, progress, excluded_keys.get(id_, _NONE))
                for id_, vassal in snapshot.vassals.items()
            ]
        )
    )


def minimum_by_key(snapshot: Snapshot, roll: Roll, settings: Settings) -> dict[str, int]:
    """How many vassals of each key must serve."""
    minimum = settings.minimum_active_vassals
    return {key: minimum.of(count, key) for key, count in members_by_key(snapshot, roll).items()}


def _known_keys(vassal: Vassal, progress: Progress | None, excluded_keys: frozenset[str]) -> frozenset[str]:
    if progress is None:
        return vassal.keys | excluded_keys if vassal.config_exists else _NONE
    if progress.phase is Phase.WITHDRAWN:
        return _NONE
    return progress.keys | vassal.keys if progress.phase.is_over else progress.keys
