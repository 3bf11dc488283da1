"""The memory of a hook that waits for a trigger, from before it can start: its journal, and whoever is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.records.history import History
from uwsgi_reload_hook.records.log import log_event
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.status import HookInfo
from uwsgi_reload_hook.records.status_file import StatusFile
from uwsgi_reload_hook.records.store import Store
from uwsgi_reload_hook.settings import Settings, parse
from uwsgi_reload_hook.site.trigger import Trigger

__all__ = ["Delayed", "delay_teller", "recorder_of", "state_directory"]

Delayed = Callable[[str], None]
"""Takes why the hook cannot start yet, in words."""


def state_directory(settings: Settings, trigger: Trigger) -> Path:
    """Where the files of a trigger lie."""
    return Path(settings.state_directory) if settings.state_directory else trigger.path.parent


def recorder_of(settings: Settings, trigger: Trigger, mode: str) -> Recorder:
    """A recorder that waits from now on: a touch that comes later gives a roll. Raises ConfigError."""
    store = Store(state_directory(settings, trigger), trigger.path.name)
    status = StatusFile(store, HookInfo.of_this_process(mode))
    recorder = Recorder(store, (log_event, status, History(store.append_history)))
    recorder.waits(trigger.request())
    return recorder


def delay_teller(given: Mapping[str, Sequence[str]], mode: str) -> Delayed:
    """Make what shows in the status file why a hook cannot start, whose options are given, right or wrong.

    From now on a touch gives a roll. Where the trigger is not known, or its directory cannot be used, nothing is shown.
    """
    try:
        settings = parse({name: given[name] for name in ("trigger", "state-directory") if name in given})
        return recorder_of(settings, Trigger(settings.trigger, lambda: None), mode).delayed
    except ConfigError:
        return lambda _: None
