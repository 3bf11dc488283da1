"""Which vassals are touched and which masters are woken at a look: no more at a time than there are CPUs. Pure.

A vassal that is touched ends its workers, which takes a CPU for some ten milliseconds. Of sixteen that end on two CPUs
at the same moment, requests saw up to 80 ms. Those that are touched later are not late by it, as they would only have
waited for their master to be woken. Where hundreds are reloaded at once, an eighth of them is touched at a time: with
so many a look takes long, and a wave is to wait for a few of them only.

A master that is woken starts its interpreter anew, which takes a CPU for a tenth of a second and more. Seven of them on
two CPUs all need as long as the seven together; one after another, the first are back and make room long before the
last, and a request finds a CPU in between. Nobody waits for longer than a second: then a master wakes by itself
(core/master.c).
"""

from __future__ import annotations

from collections.abc import Collection
from math import ceil

from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.roll import Phase, Progress, Roll, WakeMaster
from uwsgi_reload_hook.planning.transitions import Context, Transition
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["detailed", "spread", "wake"]

ENDING = 0.1
"""Seconds for which the old workers of a touched vassal keep their CPU: those that take longer hold nobody back."""
BATCHES = 8
"""In how many steps a wave is touched, at most."""


def spread(moves: Collection[Transition], roll: Roll, moment: Context) -> list[Transition]:
    """Leave out of `moves` the touches for whose workers there is no CPU to end on; a later look has them again."""
    flying = [*roll.within(Phase.TOUCHED), *roll.within(Phase.RESTARTING)]
    touches = [new.id for new, _ in moves if new.phase is Phase.TOUCHED]
    free = len(touches)
    if moment.snapshot.cpus:
        at_once = max(moment.snapshot.cpus, ceil((len(touches) + len(flying)) / BATCHES))
        free = max(0, at_once - sum(_is_ending(one, moment) for one in flying))
    late = {*touches[free:]}
    return [move for move in moves if move[0].id not in late]


def _is_ending(progress: Progress, moment: Context) -> bool:
    if progress.acted is None or moment.now - progress.acted >= ENDING or _runs_anew(progress):
        return False
    return not evidence.waits_for_its_master(progress, moment.snapshot.vassals[progress.id])


def wake(roll: Roll, snapshot: Snapshot) -> tuple[dict[str, Progress], tuple[WakeMaster, ...]]:
    """Wake those whose workers have gone, as far as there are CPUs; one that was woken in vain is woken again."""
    restarting = roll.within(Phase.RESTARTING)
    ready = [one for one in restarting if evidence.waits_for_its_master(one, snapshot.vassals[one.id])]
    if not ready:
        return {}, ()
    again = [one for one in ready if one.nudged]
    free = len(ready)
    if snapshot.cpus:
        free = max(0, snapshot.cpus - len(again) - sum(_is_busy(one, snapshot) for one in restarting))
    woken = [*again, *[one for one in ready if not one.nudged][:free]]
    nudges = tuple(WakeMaster(one.id, snapshot.vassals[one.id].pid) for one in woken)
    return {one.id: one._replace(nudged=True) for one in woken}, nudges


def detailed(roll: Roll) -> list[str]:
    """The vassals whose processes and configs the next look has to read too, which costs the most."""
    waits = any(not one.nudged and not _runs_anew(one) for one in roll.within(Phase.RESTARTING))
    return [
        one.id
        for one in roll.vassals.values()
        if one.needs_details or (waits and one.phase is Phase.RESTARTING and _runs_anew(one))
    ]


def _runs_anew(progress: Progress) -> bool:
    return progress.executed or progress.new_process


def _is_busy(progress: Progress, snapshot: Snapshot) -> bool:
    details = snapshot.vassals[progress.id].details
    return _runs_anew(progress) and details is not None and details.running
