"""The hook in a mule: of a small vassal of its own, or of the instance that hosts the Emperor.

Either way by `mule = uwsgi_reload_hook.mule:run`.

Or `import = uwsgi_reload_hook.mule` beside a plain `mule = true`: imported in the master, this module registers itself.
"""

from __future__ import annotations

import logging
import os
import signal
import sys

from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.homes.daemon import serve
from uwsgi_reload_hook.homes.own_vassal import warn_if_serving
from uwsgi_reload_hook.logs import log_to
from uwsgi_reload_hook.option_sources import from_uwsgi_opt, texts, with_repeats
from uwsgi_reload_hook.settings import parse
from uwsgi_reload_hook.site import processes, vassal_config
from uwsgi_reload_hook.site.discovery import Home, Instance
from uwsgi_reload_hook.uwsgi import api

__all__ = ["run"]

log = logging.getLogger(__name__)

CRASH_PAUSE = 10.0
"""Seconds before a mule that met a bug leaves: its master starts it again at once, and its log is not to be flooded."""


def run() -> None:
    """Run the hook; never returns. A mule that leaves is started again, so one with wrong options stays and waits."""
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # reload, stop and brutal reload (core/uwsgi.c)
        signal.signal(number, lambda *_: inbox.stop())
    log_to(sys.stderr)
    code = 0
    try:
        _serve(inbox)
    except ConfigError as error:
        log.error("does not run until this is mended and its config is touched: %s", error)  # noqa: TRY400
        inbox.wait(None)
    except Exception:
        log.exception("met a bug, and starts again in %g s", CRASH_PAUSE)
        inbox.wait(CRASH_PAUSE)
        code = 1
    logging.shutdown()
    os._exit(code)  # under uwsgidecorators a mule that returns would stay, and its master would wait for it


def _serve(inbox: Inbox) -> None:
    settings = parse(_given())
    log_to(sys.stderr, quiet=settings.quiet)
    home = _home()
    if home.own_pid:
        warn_if_serving(texts(api.options()), api.workers())
    serve(settings, home, inbox)


def _home() -> Home:
    """Tell a mule of the instance that hosts the Emperor from one of a vassal, which has a pipe to it."""
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
    """The hook's options. Where one is given several times uWSGI has the last only, and the config has them all."""
    given = from_uwsgi_opt(api.options())
    config = api.config_file()
    if config is None:
        return given
    return with_repeats(given, from_uwsgi_opt(vassal_config.vassal_options(os.getpid(), config)))


def _register() -> None:
    try:
        api.register_mule(run)
    except ConfigError as error:
        log_to(sys.stderr)
        log.error("does not run: %s", error)  # noqa: TRY400 - in words for an operator


if api.in_master():
    _register()
