"""`uwsgi-reload-hook reload`: one roll from a shell, in place of the script that did it before."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uwsgi_reload_hook.client import follow
from uwsgi_reload_hook.controller import Controller, Inbox
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.exit_codes import OF_RESULT, ExitCode
from uwsgi_reload_hook.planning.roll import Phase, Request, Result, Roll
from uwsgi_reload_hook.printable import write_line
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.shell_store import ShellStore, own_journal
from uwsgi_reload_hook.records.store import HookInfo, Store
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import Authority, Emperor, own_users, person
from uwsgi_reload_hook.site.discovery import Home, discover
from uwsgi_reload_hook.site.emperor import EmperorProcess
from uwsgi_reload_hook.site.lock import emperor_lock, ignored, lock_holder
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.site import UwsgiSite

__all__ = ["reload"]


Say = Callable[[str], None]


def reload(settings: Settings, say: Say, *, resume: bool) -> int:
    """Roll once, and return the contract's exit code. `say` takes the old script's lines; the rest is on stderr.

    With `resume` the roll is the one that an earlier reload left unfinished, if there is one.
    """
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: inbox.stop())
    home = Home("shell")
    try:
        endpoints = discover(settings, home)
        process = EmperorProcess(endpoints, settings)
        emperor = process.identify()
        with emperor_lock(emperor.identity, process.authority().may_act) as held:
            for warning in ignored(emperor, process.authority()):
                _warn(warning)
            if held:
                recorder = _recorder(emperor.name, settings, say)
                site = UwsgiSite(settings, home, endpoints)
                return roll(Controller(site, NoTrigger(), settings, recorder, inbox), resume=resume)
        return _ask(process, emperor, settings, say, resume=resume)
    except UnavailableError as error:
        return _complain(ExitCode.USAGE, str(error))


def _warn(text: str) -> None:
    write_line(sys.stderr, f"uwsgi-reload-hook: {text}")


def _complain(code: int, text: str) -> int:
    _warn(text)
    return code


def _recorder(emperor: str, settings: Settings, say: Say) -> Speaker:
    told = None
    if settings.state_directory:
        told = Store(Path(settings.state_directory), Path(settings.trigger).name)
    journal = own_journal(emperor, os.environ, _warn)
    info = HookInfo.of_this_process("shell")
    return Speaker(ShellStore(journal, told), info, say, settings.vassal_config_file_suffix)


def roll(controller: Controller, *, resume: bool) -> int:
    """Make the roll that is asked for, whatever an earlier reload has left; returns the exit code."""
    unfinished = controller.unfinished()
    if unfinished is None and resume:
        return _complain(ExitCode.DONE, "there is no unfinished roll to resume")
    if unfinished is None:
        return _code(controller.once(_request()))
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unfinished.started_wall))
    # One that was being brought back belongs to a reload that was asked for a whole roll, and has not made it.
    if resume and unfinished.stop is not Result.INTERRUPTED:
        _warn(f"finishes the roll that began at {began}, and makes no other one")
        return _code(controller.finish(unfinished))
    _warn(
        f"the roll that began at {began} was not finished: its vassals in flight are brought back first, then all "
        "vassals are rolled, because the code may have changed since (--resume would only finish it)"
    )
    controller.restore(unfinished)
    return _code(controller.once(_request()))


def _request() -> Request:
    return Request(mtime_ns=time.time_ns())


def _code(ended: Roll | None) -> int:
    if ended is None or ended.result is None:
        return _complain(ExitCode.FAILED, "interrupted before its roll began")
    return OF_RESULT.get(ended.result.value, ExitCode.FAILED)


def _ask(process: EmperorProcess, emperor: Emperor, settings: Settings, say: Say, *, resume: bool) -> int:
    """Have the hook that holds the lock roll, by a touch of its trigger, and follow it."""
    peer = lock_holder(emperor.identity, process.authority().may_act)
    holder = peer.pid if peer else 0
    found = _files(*process.hook_options(peer)) if peer and holder else None
    suffix = settings.vassal_config_file_suffix

    def changed(id_: str, entry: Mapping[str, Any]) -> None:
        _tell(say, _name(id_, suffix), str(entry["phase"]), str(entry["reason"]))

    follower = found and follow.Follower(*found, changed)
    if found is None and peer and holder and peer.uid not in own_users():
        return _complain(ExitCode.USAGE, _not_led(peer, emperor))
    if found is None or follower is None or follower.read().hook_pid != holder:
        who = f"pid {holder}{_running(holder, process.authority())}" if holder else "a process that cannot be seen"
        words = f"another roll is under way: {who} holds the lock of the Emperor in {emperor.name}"
        return _complain(ExitCode.USAGE, words)
    trigger, _ = found
    if resume:
        return _complain(
            ExitCode.USAGE,
            f"a hook runs here (pid {holder}) and takes up its own rolls, so there is nothing to resume from a shell; "
            "without --resume it is asked for a whole roll",
        )
    _warn(f"asks the hook that runs here (pid {holder}), with its own options, by {trigger}")
    try:
        mtime = follow.touch(trigger, {})
    except OSError as error:
        return _complain(ExitCode.USAGE, f"its trigger {trigger} cannot be touched: {error.strerror}")
    code, words = follower.follow(mtime, settings.deadline or None)
    return _complain(code, words) if code else code


def _not_led(holder: Peer, emperor: Emperor) -> str:
    return (
        f"{person(holder)} holds the lock of the Emperor in {emperor.name}, and this user is not led by it, because "
        "its words and its config are not root's or this user's own: touch that hook's trigger yourself, or run "
        "`reload` as its user"
    )


def _files(options: Mapping[str, list[str]], base: str) -> tuple[Path, Path] | None:
    """The trigger and the state directory of a hook whose relative paths start at `base`; None without a trigger."""
    if "trigger" not in options:
        return None
    trigger = Path(base, options["trigger"][-1])
    directory = options.get("state-directory", [""])[-1]
    return trigger, Path(base, directory) if directory else trigger.parent


def _running(pid: int, authority: Authority) -> str:
    """What a process runs, in words; of another user's process nothing, because it may call itself anything."""
    arguments = processes.command_line(pid) if processes.user(pid) in authority.trusted else ()
    return f" ({' '.join(arguments)})" if arguments else ""


def _name(id_: str, suffix: str) -> str:
    """What the old script calls a vassal. Where the Emperor scans a glob, its id is a path."""
    return Path(id_).name.removesuffix(suffix)


def _tell(say: Say, name: str, phase: str, reason: str) -> None:
    if phase == Phase.DONE.value:
        say(f"{name}: reloaded")
    elif phase == Phase.FAILED.value:
        if "timeout of" in reason:
            say(f"{name}: timeout reached")
        _warn(f"{name}: failed: {reason}")


class Speaker(Recorder):
    """Says what becomes of each vassal in the words of the old script."""

    def __init__(self, store: Store, info: HookInfo, say: Say, suffix: str) -> None:
        """`suffix` is cut off the ids."""
        super().__init__(store, info)
        self._say = say
        self._suffix = suffix

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        """Record, and say it. Of a roll that is only brought back nothing is said but what has failed."""
        super().moved(before, after, now)
        say = _say_nothing if after.stop is Result.INTERRUPTED else self._say
        for id_, new in after.vassals.items():
            if new.phase is not before.vassals[id_].phase:
                _tell(say, _name(id_, self._suffix), new.phase.value, new.reason)

    def ended(self, roll: Roll, now: float) -> None:
        """Record, and say what an operator must know."""
        super().ended(roll, now)
        if roll.reason and roll.stop is not Result.INTERRUPTED:
            _warn(f"{roll.result.value if roll.result else 'unfinished'}: {roll.reason}")


def _say_nothing(_line: str) -> None:
    """The roll that follows has its own lines."""


class NoTrigger:
    """There is none: the command itself is the request."""

    def start(self) -> None:
        """Nothing to watch."""

    def stop(self) -> None:
        """Nothing was watched."""

    def request(self) -> Request | None:
        """No further roll is asked for."""
        return None
