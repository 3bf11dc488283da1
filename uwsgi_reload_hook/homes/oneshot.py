"""`uwsgi-reload-hook reload`: one roll from a shell, in place of the old external script."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from uwsgi_reload_hook.client import follow
from uwsgi_reload_hook.controller import Controller, Inbox
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.exit_codes import OF_RESULT, ExitCode
from uwsgi_reload_hook.option_sources import as_flags
from uwsgi_reload_hook.planning.progress import Failure, Phase
from uwsgi_reload_hook.planning.roll import Mode, Request, Roll
from uwsgi_reload_hook.printable import write_line
from uwsgi_reload_hook.records.events import Event, Observer, RollEnded, RollInterrupted, VassalMoved
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.log import log_event
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.shell_store import NoJournal, own_journal
from uwsgi_reload_hook.records.status import HookInfo, VassalDocument
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.records.store import Store
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import Authority, Emperor, own_users, person
from uwsgi_reload_hook.site.discovery import Home, discover
from uwsgi_reload_hook.site.emperor import EmperorProcess
from uwsgi_reload_hook.site.emperors import running_emperor
from uwsgi_reload_hook.site.lock import emperor_lock, ignored, lock_holder
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.site import UwsgiSite

__all__ = ["reload"]


Say = Callable[[str], None]


def reload(settings: Settings, say: Say, *, resume: bool) -> int:
    """Roll once, and return the contract's exit code. `say` prints the old script's lines; the rest goes to stderr.

    With `resume` the roll is the one that an earlier reload left unfinished, if there is one.
    """
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: inbox.stop())
    home = Home("shell")
    try:
        if settings.emperor_stats_socket is None:
            settings = replace(settings, emperor_stats_socket=running_emperor(settings))
        endpoints = discover(settings, home)
        process = EmperorProcess(endpoints, settings)
        emperor = process.identify()
        with emperor_lock(emperor.identity, process.authority().may_act) as held:
            for warning in ignored(emperor, process.authority()):
                _warn(warning)
            if held:
                site = UwsgiSite(settings, home, endpoints)
                memory = recorder(emperor.name, settings, say)
                return roll(Controller(site, NoTrigger(), settings, memory, inbox), resume=resume)
        return _ask(process, emperor, settings, say, resume=resume)
    except UnavailableError as error:
        return _complain(ExitCode.USAGE, str(error))


def _warn(text: str) -> None:
    write_line(sys.stderr, f"uwsgi-reload-hook: {as_flags(text)}")


def _complain(code: int, text: str) -> int:
    _warn(text)
    return code


def recorder(emperor: str, settings: Settings, say: Say) -> Recorder:
    """A recorder with the journal of this user, and with status and history if there is a state directory."""
    observers: list[Observer] = [log_event]
    if settings.state_directory:
        store = Store(Path(settings.state_directory), Path(settings.trigger).name)
        observers += [StatusFile(store, HookInfo.of_this_process("shell")), History(store.append_history)]
    observers.append(OutputLines(say, settings.vassal_config_file_suffix))
    return Recorder(own_journal(emperor, os.environ, _warn) or NoJournal(), observers)


def roll(controller: Controller, *, resume: bool) -> int:
    """Make a roll, after the vassals that an earlier reload left out of service; returns the exit code."""
    unfinished = controller.unfinished_roll()
    if unfinished is None and resume:
        return _complain(ExitCode.DONE, "there is no unfinished roll to resume")
    if unfinished is None:
        return _code(controller.run_once(_request()))
    began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unfinished.started_wall))
    # A restore belongs to a reload whose whole roll has yet to follow, so --resume makes that too.
    if resume and unfinished.mode is Mode.WHOLE:
        _warn(f"finishes the roll that began at {began}, and makes no other one")
        return _code(controller.resume_roll(unfinished))
    _warn(
        f"the roll that began at {began} was not finished: its vassals out of service are brought back first, then "
        "all vassals are rolled, because the code may have changed since (--resume would only finish it)"
    )
    controller.restore(unfinished)
    return _code(controller.run_once(_request()))


def _request() -> Request:
    return Request(mtime_ns=time.time_ns())


def _code(ended: Roll | None) -> int:
    if ended is None or ended.result is None:
        return _complain(ExitCode.FAILED, "interrupted before its roll began")
    return OF_RESULT.get(ended.result.value, ExitCode.FAILED)


def _ask(process: EmperorProcess, emperor: Emperor, settings: Settings, say: Say, *, resume: bool) -> int:
    """Touch the trigger of the hook that holds the lock, and follow the roll."""
    peer = lock_holder(emperor.identity, process.authority().may_act)
    holder = peer.pid if peer else 0
    files = _files(*process.hook_options(peer)) if peer and holder else None
    lines = OutputLines(say, settings.vassal_config_file_suffix)

    def changed(id_: str, entry: VassalDocument) -> None:
        lines.vassal(id_, entry["phase"], entry["reason"], entry.get("failure"))

    follower = files and follow.Follower(*files, changed)
    if files is None and peer and holder and peer.uid not in own_users():
        return _complain(ExitCode.USAGE, _not_led(peer, emperor))
    if files is None or follower is None or follower.read().hook_pid != holder:
        who = f"pid {holder}{_running(holder, process.authority())}" if holder else "a process that cannot be seen"
        words = f"another roll is under way: {who} holds the lock of the Emperor in {emperor.name}"
        return _complain(ExitCode.USAGE, words)
    trigger, _ = files
    if resume:
        return _complain(
            ExitCode.USAGE,
            f"a hook runs here (pid {holder}) and resumes its own rolls, so there is nothing to resume from a shell; "
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
        f"{person(holder)} holds the lock of the Emperor in {emperor.name}, and its command line and config are not "
        "trusted, because they belong neither to root nor to this user: touch that hook's trigger yourself, or run "
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
    """The command line of a process, for a message; empty for another user's, who may write anything there."""
    arguments = processes.command_line(pid) if processes.user(pid) in authority.trusted else ()
    return f" ({' '.join(arguments)})" if arguments else ""


class OutputLines:
    """Prints the outcome of each vassal as the old script did. An observer."""

    def __init__(self, say: Say, suffixes: Sequence[str]) -> None:
        """The first of `suffixes` that fits is cut off an id."""
        self._say = say
        self._suffixes = suffixes

    def __call__(self, event: Event) -> None:
        """Print an outcome. Of a restore only failures are printed, because a whole roll follows."""
        match event:
            case VassalMoved(Roll(mode=Mode.RESTORE), _, new):
                if new.phase is Phase.FAILED:
                    self._failed(new.id, new.reason)
            case VassalMoved(_, _, new):
                self.vassal(new.id, new.phase.value, new.reason, new.failure and new.failure.value)
            case RollEnded(roll) | RollInterrupted(roll) if roll.reason:
                _warn(f"{roll.result.value if roll.result else 'unfinished'}: {roll.reason}")
            case _:
                pass

    def vassal(self, id_: str, phase: str, reason: str, failure: str | None) -> None:
        """Print that a vassal is done, or has failed; the arguments are the values of the status file."""
        if phase == Phase.DONE.value:
            self._say(f"{self._name(id_)}: reloaded")
        elif phase == Phase.FAILED.value:
            if failure == Failure.TIMEOUT.value:
                self._say(f"{self._name(id_)}: timeout reached")
            self._failed(id_, reason)

    def _failed(self, id_: str, reason: str) -> None:
        _warn(f"{self._name(id_)}: failed: {reason}")

    def _name(self, id_: str) -> str:
        """The vassal's name as the old script printed it. Where the Emperor scans a glob, the id is a path."""
        name = Path(id_).name
        return next((name.removesuffix(suffix) for suffix in self._suffixes if name.endswith(suffix)), name)


class NoTrigger:
    """Stands for the trigger, because the command itself is the request."""

    def start(self) -> None:
        """Nothing to watch."""

    def stop(self) -> None:
        """Nothing was watched."""

    def request(self) -> Request | None:
        """No further roll is asked for."""
        return None
