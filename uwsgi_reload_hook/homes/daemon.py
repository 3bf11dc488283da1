"""Wires the hook together, for whichever home it runs in."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from uwsgi_reload_hook.controller import Controller, Inbox
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.homes import own_vassal
from uwsgi_reload_hook.planning.actions import Look
from uwsgi_reload_hook.records.directories import changeable_by
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.log import log_event
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.status import HookInfo
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.records.store import Store
from uwsgi_reload_hook.settings import Settings, parse
from uwsgi_reload_hook.site.authority import Emperor
from uwsgi_reload_hook.site.discovery import Home, discover
from uwsgi_reload_hook.site.emperor import EmperorProcess, own_config
from uwsgi_reload_hook.site.lock import emperor_lock, ignored, lock_holder
from uwsgi_reload_hook.site.site import UwsgiSite
from uwsgi_reload_hook.site.trigger import Trigger
from uwsgi_reload_hook.users import user

__all__ = ["config_of", "serve"]

log = logging.getLogger(__name__)

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds in which an Emperor that is just starting has its sockets up; only then is their lack worth a line."""
RETRY = 0.25
SLOW_RETRY = 2.0


def serve(settings: Settings, home: Home, inbox: Inbox, ready: Callable[[], None] = lambda: None) -> None:
    """Run the hook until the inbox says to stop; `ready` is called when it holds the lock.

    Raises ConfigError for what only an operator can mend.
    """
    trigger = Trigger(settings.trigger, inbox.wake)
    directory = Path(settings.state_directory) if settings.state_directory else trigger.path.parent
    _say_who_may_change(directory)
    store = Store(directory, trigger.path.name)
    status = StatusFile(store, HookInfo.of_this_process(home.mode))
    recorder = Recorder(store, (log_event, status, History(store.append_history)))
    recorder.waits(trigger.request())  # before all that may take its time: a touch from now on gives a roll
    found = _until_it_works(lambda: _find(settings, home), inbox)
    if found is None:
        return
    site, process, emperor = found
    with _lock(process, emperor, inbox) as held:
        if held:
            log.info("waits for %s to be touched, to roll the vassals of the Emperor in %s", trigger.path, emperor.name)
            ready()
            Controller(site, trigger, settings, recorder, inbox).run()


def _say_who_may_change(directory: Path) -> None:
    with contextlib.suppress(OSError):  # one that is gone by now is said by the store
        if others := changeable_by(directory):
            log.warning(
                "the state directory %s can be changed by %s: they can remove or replace the hook's files there, so "
                "that its status is false or a touch is rolled again, and nothing else; reload-hook-state-directory "
                "can name one that only %s can change",
                directory.absolute(),
                " and ".join(others),
                user(os.geteuid()),
            )


def _find(settings: Settings, home: Home) -> tuple[UwsgiSite, EmperorProcess, Emperor]:
    endpoints = discover(settings, home)
    site = UwsgiSite(settings, home, endpoints)
    seen = site.look((), Look())  # lists the host's sockets now, so that the first roll has not to wait for it
    own_vassal.keep_out(site, seen, home)
    process = EmperorProcess(endpoints, settings)
    return site, process, process.identify()


def _until_it_works(attempt: Callable[[], T], inbox: Inbox) -> T | None:
    """Try until it succeeds or the hook is stopped (None); complain once, when patience is over."""
    began = time.monotonic()
    complained = False
    while True:
        try:
            found = attempt()
        except UnavailableError as error:
            late = time.monotonic() - began >= PATIENCE
            if late and not complained:
                log.error("cannot start, and goes on trying: %s", error)  # noqa: TRY400 - in words for an operator
                complained = True
            if inbox.wait(SLOW_RETRY if late else RETRY):
                return None
        else:
            return found


@contextlib.contextmanager
def _lock(process: EmperorProcess, emperor: Emperor, inbox: Inbox) -> Iterator[bool]:
    """Hold the Emperor's lock; gives False if the hook is stopped before it is free."""
    complained = False
    while True:
        with contextlib.ExitStack() as claim:
            held = _until_it_works(lambda: _try(process, emperor, claim), inbox)
            if held or held is None:
                yield bool(held)
                return
        if not complained:
            _complain(process, emperor)
            complained = True
        if inbox.wait(SLOW_RETRY):
            yield False
            return


def _try(process: EmperorProcess, emperor: Emperor, claim: contextlib.ExitStack) -> bool:
    held = claim.enter_context(emperor_lock(emperor.identity, process.authority().may_act))
    if held:
        for warning in ignored(emperor, process.authority()):
            log.warning(warning)
    return held


def _complain(process: EmperorProcess, emperor: Emperor) -> None:
    holder = lock_holder(emperor.identity, process.authority().may_act)
    log.error(
        "refused: another hook%s holds the lock of the Emperor in %s, and only one may roll its vassals; "
        "remove this one, or the other. This one stands by until the other ends",
        f" (pid {holder.pid})" if holder and holder.pid else "",
        emperor.name,
    )


def config_of(home: Home, given: Mapping[str, list[str]], inbox: Inbox) -> str | None:
    """Ask the Emperor for the path of the hook's own config; None if the hook is stopped before it answers."""
    known = {name: texts for name, texts in given.items() if name in {"emperor-stats-socket", "emperor-path"}}
    settings = parse({"trigger": ["unknown yet"], **known})
    return _until_it_works(lambda: own_config(settings, home), inbox)
