"""The hook in a mule: of a small vassal of its own, or of the instance that hosts the Emperor.

The config has `mule = uwsgi_reload_hook.mule:run`, or `import = uwsgi_reload_hook.mule` and a plain `mule = true`:
imported in the master, this module registers itself.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys

from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.homes.daemon import cannot_start, serve
from uwsgi_reload_hook.homes.memory import delay_teller
from uwsgi_reload_hook.homes.own_config import refuse_lost_percents
from uwsgi_reload_hook.homes.own_vassal import warn_if_serving
from uwsgi_reload_hook.logs import log_to
from uwsgi_reload_hook.option_sources import from_uwsgi_opt, texts, with_repeats
from uwsgi_reload_hook.settings import parse
from uwsgi_reload_hook.site import process_options, processes
from uwsgi_reload_hook.site.discovery import Home, Instance
from uwsgi_reload_hook.uwsgi import api

__all__ = ["run"]

log = logging.getLogger(__name__)

CRASH_PAUSE = 10.0
"""Seconds that a mule waits after a bug, so that its log is not flooded: its master starts it again at once."""


def run() -> None:
    """Run the hook; never returns. With wrong options the mule waits, because its master would start it again."""
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # reload, stop and brutal reload (core/uwsgi.c)
        signal.signal(number, lambda *_: inbox.stop())
    log_to(sys.stderr)
    code = 0
    given: dict[str, list[str]] = {}
    try:
        given.update(_given())
        _serve(given, inbox)
    except ConfigError as error:
        cannot_start(error, given, _mode(), inbox)
    except Exception as error:
        log.exception("met a bug, and starts again in %g s", CRASH_PAUSE)
        _tell_of_bug(error, given)
        inbox.wait(CRASH_PAUSE)
        code = 1
    logging.shutdown()
    os._exit(code)  # under uwsgidecorators a mule that returns would stay, and its master would wait for it


def _tell_of_bug(bug: Exception, given: dict[str, list[str]]) -> None:
    """Show in the status why the hook does nothing for a while; what fails here too is in the log already."""
    with contextlib.suppress(Exception):
        words = f"met a bug ({type(bug).__name__}: {bug}), and starts again in {CRASH_PAUSE:g} s; its log has the rest"
        delay_teller(given, _mode())(words)


def _mode() -> str:
    return "host" if "emperor" in texts(api.options()) else "mule"


def _serve(given: dict[str, list[str]], inbox: Inbox) -> None:
    if config := api.config_file():
        refuse_lost_percents(config)
    settings = parse(given)
    log_to(sys.stderr, quiet=settings.quiet)
    home = _home()
    if home.own_pid:
        warn_if_serving(texts(api.options()), api.workers())
    serve(settings, home, inbox)


def _home() -> Home:
    """Find out whether the mule's instance hosts the Emperor, or is a vassal, which has a pipe to the Emperor."""
    master = os.getppid()
    options = texts(api.options())
    if "emperor" in options:  # a vassal can host an Emperor of its own: that one is meant
        return Home("host", host=Instance(options, processes.working_directory(master) or "/"))
    if "UWSGI_EMPEROR_FD" in os.environ:
        return Home("mule", emperor_pid=processes.parent(master), own_pid=master, workers=api.workers())
    raise ConfigError(
        "this uWSGI instance is no vassal and hosts no Emperor; put its config into the directory of an Emperor"
    )


def _given() -> dict[str, list[str]]:
    """The hook's options. Of an option that repeats, uWSGI keeps only the last value, and the config has all."""
    given = from_uwsgi_opt(api.options())
    config = api.config_file()
    if config is None:
        return given
    return with_repeats(given, from_uwsgi_opt(process_options.of_vassal(os.getppid(), config).as_dict()))


def _register() -> None:
    try:
        api.register_mule(run)
    except ConfigError as error:
        log_to(sys.stderr)
        log.error("does not run: %s", error)  # noqa: TRY400 - in words for an operator


if api.in_master():
    _register()
