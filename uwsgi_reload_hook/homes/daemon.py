"""Wires the hook together, for the homes in which it keeps running."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from uwsgi_reload_hook.controller import Controller, Inbox
from uwsgi_reload_hook.errors import ConfigError, UnavailableError
from uwsgi_reload_hook.homes import own_vassal
from uwsgi_reload_hook.homes.memory import Delayed, delay_teller, recorder_of, state_directory
from uwsgi_reload_hook.planning.actions import Look
from uwsgi_reload_hook.records.directories import changeable_by
from uwsgi_reload_hook.settings import Settings, parse
from uwsgi_reload_hook.site.authority import Emperor
from uwsgi_reload_hook.site.discovery import Home, discover
from uwsgi_reload_hook.site.emperor import EmperorProcess, own_config
from uwsgi_reload_hook.site.lock import emperor_lock, ignored, lock_holder
from uwsgi_reload_hook.site.site import UwsgiSite
from uwsgi_reload_hook.site.trigger import Trigger
from uwsgi_reload_hook.users import user

__all__ = ["cannot_start", "config_of", "serve"]

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds that a starting Emperor gets to open its sockets; only then their absence is logged."""
RETRY = 0.25
SLOW_RETRY = 2.0


def serve(settings: Settings, home: Home, inbox: Inbox, ready: Callable[[], None] = lambda: None) -> None:
    """Run the hook until the inbox says to stop; `ready` is called when it holds the lock.

    Raises ConfigError for what only an operator can fix.
    """
    trigger = Trigger(settings.trigger, inbox.wake)
    _say_who_may_change(state_directory(settings, trigger))
    recorder = recorder_of(settings, trigger, home.mode)  # before any wait, so that each touch from now on gives a roll
    recorder.delayed("")
    parts = _until_it_works(lambda: _find(settings, home), inbox, recorder.delayed)
    if parts is None:
        return
    site, process, emperor = parts
    with _lock(process, emperor, inbox, recorder.delayed) as held:
        if held:
            log.info("waits for %s to be touched, to roll the vassals of the Emperor in %s", trigger.path, emperor.name)
            ready()
            Controller(site, trigger, settings, recorder, inbox).run()


def _say_who_may_change(directory: Path) -> None:
    with contextlib.suppress(OSError):  # the store reports a directory that has gone
        if others := changeable_by(directory):
            log.warning(
                "the state directory %s can be changed by %s: by replacing the hook's files there they can falsify its "
                "status or repeat the roll of a touch, and nothing else; set reload-hook-state-directory to one that "
                "only %s can change",
                directory.absolute(),
                " and ".join(others),
                user(os.geteuid()),
            )


def _find(settings: Settings, home: Home) -> tuple[UwsgiSite, EmperorProcess, Emperor]:
    endpoints = discover(settings, home)
    site = UwsgiSite(settings, home, endpoints)
    seen = site.look((), Look())  # lists the host's sockets now, so that the first roll need not wait for it
    own_vassal.keep_out(site, seen, home)
    process = EmperorProcess(endpoints, settings)
    return site, process, process.identify()


def cannot_start(error: ConfigError, given: Mapping[str, Sequence[str]], mode: str, inbox: Inbox) -> None:
    """Report what only an operator can fix, in the log and in the status, and wait to be stopped or reloaded."""
    log.error("does not run until this is fixed and its config is touched: %s", error)
    delay_teller(given, mode)(f"{error}; fix it, and touch the hook's config")
    inbox.wait(None)


def _until_it_works(attempt: Callable[[], T], inbox: Inbox, delayed: Delayed) -> T | None:
    """Try until it succeeds or the hook is stopped (None); log its failure once, after `PATIENCE`."""
    began = time.monotonic()
    complained = False
    while True:
        try:
            found = attempt()
        except UnavailableError as error:
            delayed(str(error))
            late = time.monotonic() - began >= PATIENCE
            if late and not complained:
                log.error("cannot start, and goes on trying: %s", error)  # noqa: TRY400 - in words for an operator
                complained = True
            if inbox.wait(SLOW_RETRY if late else RETRY):
                return None
        else:
            return found


@contextlib.contextmanager
def _lock(process: EmperorProcess, emperor: Emperor, inbox: Inbox, delayed: Delayed) -> Iterator[bool]:
    """Hold the Emperor's lock; gives False if the hook is stopped before the lock is free."""
    complained = False
    while True:
        with contextlib.ExitStack() as claim:
            refusal = _until_it_works(lambda: _refusal(process, emperor, claim), inbox, delayed)
            if not refusal:
                yield refusal is not None
                return
        if not complained:
            log.error("refused: %s", refusal)
            complained = True
        delayed(refusal)
        if inbox.wait(SLOW_RETRY):
            yield False
            return


def _refusal(process: EmperorProcess, emperor: Emperor, claim: contextlib.ExitStack) -> str:
    """Try to take the lock; returns why it cannot be had, empty = it is held until the end of `claim`."""
    if claim.enter_context(emperor_lock(emperor.identity, process.authority().may_act)):
        for warning in ignored(emperor, process.authority()):
            log.warning(warning)
        return ""
    holder = lock_holder(emperor.identity, process.authority().may_act)
    pid = f" (pid {holder.pid})" if holder and holder.pid else ""
    return (
        f"another hook{pid} holds the lock of the Emperor in {emperor.name}, and only one may roll its vassals; "
        "remove this one, or the other. This one stands by until the other ends"
    )


def config_of(home: Home, given: Mapping[str, list[str]], inbox: Inbox) -> str | None:
    """Ask the Emperor for the path of the hook's own config; None if the hook is stopped before it answers."""
    known = {name: texts for name, texts in given.items() if name in {"emperor-stats-socket", "emperor-path"}}
    settings = parse({"trigger": ["unknown yet"], **known})
    return _until_it_works(lambda: own_config(settings, home), inbox, delay_teller(given, home.mode))
