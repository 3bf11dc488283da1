"""How a roll is opened: who is in it, who is left alone, and why it may be refused before anybody is touched."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from uwsgi_reload_hook.planning import absence, counts
from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import Request, Result, Roll, Stage
from uwsgi_reload_hook.planning.room import leave_keys_without_room, vassals_in_words
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = ["Memory", "open_roll", "refusal"]

_NONE: frozenset[str] = frozenset()
NAMED = 5
"""How many vassals a reason names."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier looks and rolls have shown."""

    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The keys that each vassal was last seen to serve: a vassal that is down shows none."""
    usual_load: float | None = None
    """Seconds that the quickest load of the last roll took; None = not known."""


def open_roll(
    snapshot: Snapshot,
    settings: Settings,
    request: Request,
    now: float,
    memory: Memory,
) -> Roll:
    """Begin a roll of every vassal that the settings and the request name, in the order of their ids.

    Nothing is taken out of service yet.

    A vassal that does not subscribe any more is not waited for.
    """
    excluded = {
        vassal.id: why for vassal in snapshot.vassals.values() if (why := _exclusion(vassal, settings, request))
    }
    rolled = {
        id_: _opened(vassal, memory, now) for id_, vassal in sorted(snapshot.vassals.items()) if id_ not in excluded
    }
    roll = Roll(
        id=f"{request.mtime_ns}-{int(snapshot.wall * 1000)}",
        request=request,
        started=now,
        started_wall=snapshot.wall,
        vassals=rolled,
        excluded=excluded,
        excluded_keys={id_: keys for id_ in excluded if (keys := snapshot.vassals[id_].keys)},
        key_routers=absence.key_routers(snapshot),
        routers=snapshot.routers,
        emperor_pid=snapshot.emperor_pid,
        usual_load=memory.usual_load,
        last_change=now,
    )
    roll = replace(roll, minimum=counts.minimum_by_key(snapshot, roll, settings))
    why = snapshot.emperor_problem or (refusal(snapshot, roll) if rolled else _nobody(excluded))
    if not why:
        roll, why = leave_keys_without_room(snapshot, roll)
    return replace(roll, stage=Stage.OVER, result=Result.REFUSED, finished=now, reason=why) if why else roll


def _opened(vassal: Vassal, memory: Memory, now: float) -> Progress:
    remembered = memory.keys.get(vassal.id, _NONE) if vassal.may_subscribe else _NONE
    first_pid = vassal.pid if vassal.present else None
    return Progress(vassal.id, since=now, keys=vassal.keys or remembered, first_pid=first_pid)


def _nobody(excluded: Mapping[str, str]) -> str:
    """Why a roll has no vassal: the first few that are left alone, and what for."""
    if not excluded:
        return "there is no vassal to roll: the Emperor runs none"
    named = [f"{id_}: {why}" for id_, why in sorted(excluded.items())]
    more = f"; and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"there is no vassal to roll ({vassals_in_words(len(named))} left alone): {'; '.join(named[:NAMED])}{more}"


def _exclusion(vassal: Vassal, settings: Settings, request: Request) -> str:
    if vassal.exclusion:
        return vassal.exclusion
    if not vassal.config_exists and not vassal.is_lost:
        return "its config was removed"
    suffixes = settings.vassal_config_file_suffix
    if suffixes and not vassal.id.endswith(suffixes):
        return f"its config does not end with {' or '.join(suffixes)}"
    if not any(_is_named(vassal.id, glob) for glob in settings.vassals):
        return "not named by reload-hook-vassals"
    if not _is_named(vassal.id, request.only):
        return "not named by the trigger's only="
    return ""


def _is_named(id_: str, glob: str) -> bool:
    """Whether a glob matches an id, which of an Emperor that scans a glob is a path, or that path's file name."""
    names = (id_, id_.removeprefix("./"), id_.rpartition("/")[2])
    return any(fnmatch.fnmatchcase(name, glob) for name in names)


def refusal(snapshot: Snapshot, roll: Roll) -> str:
    """Why a roll of which nobody was taken yet cannot be made, in words; empty = it can."""
    seen = snapshot.vassals
    if lost := [id_ for id_ in roll.vassals if seen[id_].is_lost]:
        return (
            f"the Emperor runs {', '.join(lost[:NAMED])}, of which the hook finds no config: see that "
            "reload-hook-emperor-path, if it is set, names where the Emperor finds them"
        )
    keyless = [id_ for id_, one in roll.vassals.items() if not one.keys and _may_be_unowned(seen[id_])]
    if snapshot.unowned and keyless:
        return (
            f"it cannot be told whether {min(snapshot.unowned)}, a node at the router, is {keyless[0]}, so no minimum "
            "can be kept: run the hook as the user of the Emperor, name the sockets of vassals after their configs, or "
            "roll only vassals that subscribe (reload-hook-vassals)"
        )
    return ""


def _may_be_unowned(vassal: Vassal) -> bool:
    """Whether a node of nobody may be this vassal's: of one that subscribes nowhere none is, whoever announces what."""
    return vassal.accepting and vassal.may_subscribe
