"""The first line of `status`: whether a hook runs that wrote it, whether it can act, and the exit code that says so."""

from __future__ import annotations

from uwsgi_reload_hook.exit_codes import ExitCode
from uwsgi_reload_hook.records.status import State, StatusDocument
from uwsgi_reload_hook.records.status_reader import is_alive

__all__ = ["headline"]

SHELL = "shell"


def headline(document: StatusDocument) -> tuple[ExitCode, str]:
    """Say who wrote a status, and whether a touch will be acted on; the code is 4 where it will not be now."""
    hook, state = document["hook"], document["state"]
    who = f"hook pid {hook['pid']} in a {hook['mode']}, version {hook['version']}"
    alive = is_alive(hook)
    if alive is False:
        return ExitCode.NO_HOOK, _ended(document, who)
    if state == State.STARTING.value:
        why = document.get("reason", "")
        return ExitCode.NO_HOOK, f"cannot start: {why} ({who})" if why else f"{state}: {who}"
    unseen = alive is None and hook.get("start_ticks") is not None
    doubt = "; whether it still runs cannot be seen from here" if unseen else ""
    return ExitCode.DONE, f"{state}: {who}{doubt}"


def _ended(document: StatusDocument, who: str) -> str:
    """What is known of a hook that has ended; `reload` ends by itself."""
    if document["hook"]["mode"] == SHELL:
        return f"NOT RUNNING: a `reload` from a shell wrote this ({who}), and no hook has since"
    last, why = document["state"], document.get("reason", "")
    was = f"could not start: {why}" if last == State.STARTING.value and why else f"was {last}"
    return f"NOT RUNNING: {who}, has ended; it {was}. A touch waits until a hook is started"
