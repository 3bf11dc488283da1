"""`uwsgi-reload-hook reload`: one roll from a shell, in place of the script that did it before."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from uwsgi_reload_hook import __version__, follow, processes
from uwsgi_reload_hook.controller import Controller, Inbox
from uwsgi_reload_hook.discover import Place
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.journal import Journal
from uwsgi_reload_hook.recorder import Recorder
from uwsgi_reload_hook.roll import Phase, Request, Roll
from uwsgi_reload_hook.settings import Settings
from uwsgi_reload_hook.state import HookInfo, Store, emperor_lock, lock_holder
from uwsgi_reload_hook.world import World

__all__ = ["reload"]

EXIT_USAGE = 2
EXIT_INTERRUPTED = 1

Say = Callable[[str], None]


def reload(settings: Settings, say: Say) -> int:
    """Roll once, and return the contract's exit code. `say` takes the old script's lines; the rest is on stderr."""
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: inbox.stop())
    world = World(settings, Place("shell"))
    try:
        directory = world.lock_directory()
        with emperor_lock(directory) as held:
            if held:
                return _roll(world, settings, inbox, say)
        return _ask(world, directory, settings, say)
    except UnavailableError as error:
        return _complain(EXIT_USAGE, str(error))


def _complain(code: int, text: str) -> int:
    sys.stderr.write(f"uwsgi-reload-hook: {text}\n")
    return code


def _roll(world: World, settings: Settings, inbox: Inbox, say: Say) -> int:
    info = HookInfo(os.getpid(), "shell", __version__, time.time())
    store: Store = Unkept()
    if settings.state_directory:
        store = Told(Path(settings.state_directory), Path(settings.trigger).name)
    recorder = Speaker(store, info, say, settings.vassal_config_file_suffix)
    result = Controller(world, NoTrigger(), settings, recorder, inbox).once(Request(mtime_ns=time.time_ns()))
    if result is None or result.result is None:
        return EXIT_INTERRUPTED
    return follow.EXIT_CODES.get(result.result.value, EXIT_INTERRUPTED)


def _ask(world: World, directory: str, settings: Settings, say: Say) -> int:
    """Have the hook that holds the lock roll, by a touch of its trigger, and follow it."""
    holder = lock_holder(directory)
    found = _files(world.hook_options(holder), holder) if holder is not None else None
    suffix = settings.vassal_config_file_suffix

    def changed(id_: str, entry: Mapping[str, Any]) -> None:
        _tell(say, _name(id_, suffix), str(entry["phase"]), str(entry["reason"]))

    follower = found and follow.Follower(*found, changed)
    if found is None or follower is None or follower.read().hook_pid != holder:
        who = "a process that cannot be seen" if holder is None else f"pid {holder}{_running(holder)}"
        return _complain(EXIT_USAGE, f"another roll is under way: {who} holds the lock of the Emperor in {directory}")
    trigger, _ = found
    _complain(0, f"asks the hook that runs here (pid {holder}), with its own options, by {trigger}")
    try:
        mtime = follow.touch(trigger, {})
    except OSError as error:
        return _complain(EXIT_USAGE, f"its trigger {trigger} cannot be touched: {error.strerror}")
    code, words = follower.follow(mtime, settings.deadline or None)
    return _complain(code, words) if code else code


def _files(options: Mapping[str, list[str]], hook: int) -> tuple[Path, Path] | None:
    """The trigger and the state directory of the hook that is the process `hook`; None if it has no trigger."""
    if "trigger" not in options:
        return None
    trigger = Path(processes.working_directory(hook) or "/", options["trigger"][-1])
    directory = options.get("state-directory", [""])[-1]
    return trigger, Path(processes.working_directory(hook) or "/", directory) if directory else trigger.parent


def _running(pid: int) -> str:
    arguments = processes.command_line(pid)
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
        _complain(0, f"{name}: failed: {reason}")


class Speaker(Recorder):
    """Says what becomes of each vassal in the words of the old script."""

    def __init__(self, store: Store, info: HookInfo, say: Say, suffix: str) -> None:
        """`suffix` is cut off the ids."""
        super().__init__(store, info)
        self._say = say
        self._suffix = suffix

    def moved(self, before: Roll, after: Roll, now: float) -> None:
        """Record, and say it."""
        super().moved(before, after, now)
        for id_, new in after.vassals.items():
            if new.phase is not before.vassals[id_].phase:
                _tell(self._say, _name(id_, self._suffix), new.phase.value, new.reason)

    def ended(self, roll: Roll, now: float) -> None:
        """Record, and say what an operator must know."""
        super().ended(roll, now)
        if roll.reason:
            _complain(0, f"{roll.result.value if roll.result else 'unfinished'}: {roll.reason}")


class Told(Store):
    """Tells, and has no journal: that is the hook's, and the next `reload` makes a whole roll."""

    def write_journal(self, journal: Journal) -> None:
        """Nobody goes on with it."""


class Unkept(Told):
    """Keeps nothing: a roll from a shell that was named no trigger has no file to be beside."""

    def __init__(self) -> None:
        """There is no directory."""

    def write_status(self, document: Mapping[str, Any]) -> None:
        """Nobody follows it."""

    def append_history(self, document: Mapping[str, Any]) -> None:
        """The shell has shown it."""


class NoTrigger:
    """There is none: the command itself is the request."""

    def start(self) -> None:
        """Nothing to watch."""

    def stop(self) -> None:
        """Nothing was watched."""

    def request(self) -> Request | None:
        """No further roll is asked for."""
        return None
