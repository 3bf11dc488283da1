"""How many vassals are touched, and how many masters woken, at one look: no more at a time than there are CPUs.

A vassal that is touched ends its workers, which takes a CPU for some 10 ms. When 16 vassals did so on two CPUs at
the same time, requests took up to 80 ms. Touching a vassal later costs no time: touched earlier, it would only have
queued for its master to be woken. Where hundreds are reloaded at once, an eighth of them is touched at a time, because
a look at so many takes long, and a wave should wait for a few such looks only.

A master that is woken starts its interpreter, which takes a CPU for 0.1 s and more. Seven at once on two CPUs are all
back as late as the last of them. One after another, the first are back long before the last, and requests find a CPU in
between. No vassal waits for longer than a second, because then a master wakes by itself (core/master.c).
"""

from __future__ import annotations

from math import ceil

from uwsgi_reload_hook.planning import evidence
from uwsgi_reload_hook.planning.progress import Image, Phase, Progress
from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["free_for_touches", "to_wake"]

ENDING = 0.1
"""Seconds after which the old workers of a touched vassal count as gone, so that slow ones delay no other touch."""
BATCHES = 8
"""In how many steps a wave is touched, at most."""


def free_for_touches(ready: int, roll: Roll, context: Context) -> int:
    """How many of the `ready` vassals can be touched now."""
    cpus = context.snapshot.cpus
    if not cpus:
        return ready
    restarting = [*roll.within(Phase.TOUCHED), *roll.within(Phase.RESTARTING)]
    at_once = max(cpus, ceil((ready + len(restarting)) / BATCHES))
    return max(0, at_once - sum(_is_ending(one, context) for one in restarting))


def to_wake(roll: Roll, snapshot: Snapshot) -> list[Progress]:
    """The vassals whose workers have gone, as far as there are CPUs; one that was woken in vain is woken again."""
    restarting = roll.within(Phase.RESTARTING)
    ready = [one for one in restarting if evidence.workers_gone(one, snapshot.vassals[one.id])]
    if not ready or not snapshot.cpus:
        return ready
    again = [one for one in ready if one.image is Image.WOKEN]
    free = max(0, snapshot.cpus - len(again) - sum(_is_busy(one, snapshot) for one in restarting))
    return [*again, *[one for one in ready if one.image is not Image.WOKEN][:free]]


def _is_ending(progress: Progress, context: Context) -> bool:
    restarted = progress.times.restarted
    if restarted is None or context.now - restarted >= ENDING or progress.image.is_new:
        return False
    return not evidence.workers_gone(progress, context.snapshot.vassals[progress.id])


def _is_busy(progress: Progress, snapshot: Snapshot) -> bool:
    details = snapshot.vassals[progress.id].details
    return progress.image.is_new and details is not None and details.running
