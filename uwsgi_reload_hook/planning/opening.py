"""How a roll is opened: who is in it, who is left alone, and why it may be refused before anybody is touched."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from uwsgi_reload_hook.planning import absence, counts
from uwsgi_reload_hook.planning.progress import Progress
from uwsgi_reload_hook.planning.roll import OldAnswer, Request, Result, Roll, Stage
from uwsgi_reload_hook.planning.unrollable import exclude_unrollable, vassals_in_words
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

__all__ = ["Memory", "open_roll", "refusal"]

_NONE: frozenset[str] = frozenset()
NAMED = 5
"""How many vassals a reason names."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known from earlier looks and rolls."""

    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The keys that each vassal was last seen to serve, because no router lists a vassal that is down."""
    usual_load: float | None = None
    """Seconds that the quickest load of the last roll took; None = not known."""
    answers: Mapping[str, int] = field(default_factory=dict)
    """By key, the HTTP status that the old code of the last roll has answered with, where it was below 500."""


def open_roll(
    snapshot: Snapshot,
    settings: Settings,
    request: Request,
    now: float,
    memory: Memory,
) -> Roll:
    """Begin a roll of every vassal that the settings and the request name, in the order of their ids.

    Nothing is taken out of service yet.

    Remembered keys are dropped where the config no longer subscribes the vassal, so that none is waited for.
    """
    roll = _roll_of(snapshot, settings, request, now, memory)
    why = snapshot.emperor_problem
    if not why and roll.vassals and all(_began_after(snapshot, id_, request) for id_ in roll.vassals):
        return roll
    why = why or (refusal(snapshot, roll) if roll.vassals else _nobody(roll.excluded))
    if not why:
        roll, why = exclude_unrollable(snapshot, roll)
    return replace(roll, stage=Stage.OVER, result=Result.REFUSED, finished=now, reason=why) if why else roll


def _roll_of(snapshot: Snapshot, settings: Settings, request: Request, now: float, memory: Memory) -> Roll:
    """The roll as it would begin, whatever refuses it."""
    seen = snapshot.vassals
    excluded = {vassal.id: why for vassal in seen.values() if (why := _exclusion(vassal, settings, request))}
    roll = Roll(
        id=f"{request.mtime_ns}-{int(snapshot.wall * 1000)}",
        request=request,
        started=now,
        started_wall=snapshot.wall,
        vassals={
            id_: _opened(vassal, memory, now, is_new=_began_after(snapshot, id_, request))
            for id_, vassal in sorted(seen.items())
            if id_ not in excluded
        },
        excluded=excluded,
        excluded_keys={id_: keys for id_ in excluded if (keys := seen[id_].keys)},
        key_routers=absence.key_routers(snapshot),
        routers=snapshot.routers,
        emperor_pid=snapshot.emperor_pid,
        usual_load=memory.usual_load,
        old_answers={key: OldAnswer(status) for key, status in memory.answers.items()},
        last_change=now,
    )
    return replace(roll, minimum=counts.minimum_by_key(snapshot, roll, settings))


def _began_after(snapshot: Snapshot, id_: str, request: Request) -> bool:
    """Whether the process of a vassal was started after the touch, so that it has the code already.

    As after a cold start, when a touch was made while everything was down. A reload that the Emperor has delivered does
    not count, because its vassal may still show the accepting byte of its start.
    """
    vassal, wall = snapshot.vassals[id_], snapshot.wall
    touched_ns = max(request.mtime_ns, request.changed_ns)
    started_ns = vassal.last_run * 1_000_000_000
    runs = vassal.present and vassal.pid > 0 and not vassal.respawns
    return runs and request.changed_ns > 0 and touched_ns <= started_ns <= wall * 1e9


def _opened(vassal: Vassal, memory: Memory, now: float, *, is_new: bool) -> Progress:
    """One that `is_new` is judged from its start, as one is that the Emperor starts in the middle of the roll."""
    remembered = memory.keys.get(vassal.id, _NONE) if vassal.may_subscribe else _NONE
    first_pid = vassal.pid if vassal.present and not is_new else None
    keys = (vassal.keys or remembered) - vassal.withheld_keys
    return Progress(vassal.id, since=now, keys=keys, first_pid=first_pid)


def _nobody(excluded: Mapping[str, str]) -> str:
    """Why a roll has no vassal: the first few that are left alone, and why."""
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
    """Why a roll that has no vassal out of service cannot be made, in words; empty = it can."""
    seen = snapshot.vassals
    if lost := [id_ for id_ in roll.vassals if seen[id_].is_lost]:
        return (
            f"the Emperor runs {', '.join(lost[:NAMED])}, of which the hook finds no config: check that "
            "reload-hook-emperor-path, if it is set, is the directory or glob that the Emperor scans"
        )
    keyless = [id_ for id_, one in roll.vassals.items() if not one.keys and _may_be_unowned(seen[id_])]
    if snapshot.unowned and keyless:
        return (
            f"the router's node {min(snapshot.unowned)} may belong to {keyless[0]}, so no minimum can be kept: "
            f"{snapshot.way_to_see or 'run the hook as the user of the Emperor'}, name the sockets of vassals after "
            "their configs, or roll only vassals that subscribe (reload-hook-vassals)"
        )
    return ""


def _may_be_unowned(vassal: Vassal) -> bool:
    """Whether an unowned node may be this vassal's: never where its config subscribes it to no router."""
    return vassal.accepting and vassal.may_subscribe
