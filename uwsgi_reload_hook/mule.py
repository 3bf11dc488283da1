"""The hook in a dedicated mule of a small vassal: `mule = uwsgi_reload_hook.mule:run`.

Or `import = uwsgi_reload_hook.mule` beside a plain `mule = true`: imported in the master, this module registers itself.
"""

from __future__ import annotations

import logging
import os
import signal

from uwsgi_reload_hook import configs, processes, uwsgi_api
from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.service import log_to_stderr, serve
from uwsgi_reload_hook.settings import from_uwsgi_opt, parse, with_repeats

__all__ = ["run"]

log = logging.getLogger(__name__)

CRASH_PAUSE = 10.0
"""Seconds before a mule that met a bug leaves: its master starts it again at once, and its log is not to be flooded."""


def run() -> None:
    """Run the hook; never returns. A mule that leaves is started again, so one with wrong options stays and waits."""
    inbox = Inbox()
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # reload, stop and brutal reload (core/uwsgi.c)
        signal.signal(number, lambda *_: inbox.stop())
    log_to_stderr()
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
    log_to_stderr(quiet=settings.quiet)
    own = os.getppid()
    emperor = processes.parent(own)
    if "UWSGI_EMPEROR_FD" not in os.environ or emperor is None:
        raise ConfigError("this uWSGI instance is no vassal; put its config into the directory of an Emperor")
    serve(settings, "mule", emperor, own, inbox)


def _given() -> dict[str, list[str]]:
    """The hook's options. Where one is given several times uWSGI has the last only, and the config has them all."""
    given = from_uwsgi_opt(uwsgi_api.options())
    config = uwsgi_api.config_file()
    if config is None:
        return given
    return with_repeats(given, from_uwsgi_opt(configs.vassal_options(os.getpid(), config)))


if uwsgi_api.in_master():
    uwsgi_api.register_mule(run)
