"""How a roll is taken up whose process has gone: to go on with it, or only to bring back what is in flight. Pure."""

from __future__ import annotations

from dataclasses import replace

from uwsgi_reload_hook.planning import phases
from uwsgi_reload_hook.planning.roll import Mode, Phase, Progress, Result, Roll, Step
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.snapshot import Snapshot

__all__ = ["restore", "resume"]


def resume(roll: Roll, snapshot: Snapshot, settings: Settings, now: float) -> Step:
    """Take up a roll that another hook left: each vassal goes back to where its present state can be judged from.

    One that was done and is another process since is waited for once more if its Emperor is another one too; under the
    same Emperor it died by itself, and that stops the roll.
    """
    moment = Context(snapshot, settings, now)
    same_emperor = roll.emperor_pid == snapshot.emperor_pid != 0
    moved = {
        id_: phases.fail_done(progress, moment)
        if progress.phase is Phase.DONE and same_emperor
        else phases.recover(progress, snapshot.vassals[id_], moment)
        for id_, progress in roll.vassals.items()
        if progress.phase.in_flight or _is_done_no_more(progress, snapshot)
    }
    vassals = {**roll.vassals, **{id_: new for id_, (new, _) in moved.items()}}
    actions = tuple(action for _, more in moved.values() for action in more)
    return Step(actions, replace(roll, vassals=vassals, emperor_pid=snapshot.emperor_pid, moved=now))


def restore(roll: Roll, snapshot: Snapshot, settings: Settings, now: float) -> Step:
    """Take up a roll that is not gone on with: it ends when whatever it has taken out of service is back, or failed.

    Nothing else of it is left, as its journal may be from long ago.
    """
    flying = {
        id_: progress
        for id_, progress in roll.vassals.items()
        if progress.phase.in_flight and _is_out(progress, snapshot)
    }
    why = "a whole roll follows"
    left = replace(roll, vassals=flying, mode=Mode.RESTORE, stop=Result.INTERRUPTED, reason=why)
    return resume(left, snapshot, settings, now)


def _is_done_no_more(progress: Progress, snapshot: Snapshot) -> bool:
    vassal = snapshot.vassals[progress.id]
    return progress.phase is Phase.DONE and vassal.config_exists and not phases.same_process(progress, vassal)


def _is_out(progress: Progress, snapshot: Snapshot) -> bool:
    """Whether a vassal is still out of service as the roll left it.

    One that is another process, or serves another key, has been through more since: its sockets may be others too.
    """
    vassal = snapshot.vassals[progress.id]
    lacks_keys = snapshot.served[vassal.id] < progress.keys
    return phases.same_process(progress, vassal) and (lacks_keys or not vassal.accepting)
