"""The hook as a Python vassal without uWSGI, which speaks the Emperor's protocol itself."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.exit_codes import ExitCode
from uwsgi_reload_hook.homes import own_config
from uwsgi_reload_hook.homes.daemon import cannot_start, config_of, serve
from uwsgi_reload_hook.logs import log_to
from uwsgi_reload_hook.option_sources import from_uwsgi_opt
from uwsgi_reload_hook.settings import parse
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.discovery import Home
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.uwsgi import emperor_protocol
from uwsgi_reload_hook.uwsgi.emperor_protocol import ToVassal

__all__ = ["run"]

log = logging.getLogger(__name__)


class Line:
    """The pipe to the Emperor. A thread reads it up to a message that ends the hook, and then stops the loop."""

    def __init__(self, descriptor: int, inbox: Inbox) -> None:
        self._descriptor = descriptor
        self._inbox = inbox
        self.message: ToVassal | None = None

    def listen(self) -> None:
        """Begin to read, in a daemon thread, because a blocked read cannot be ended."""
        threading.Thread(target=self._read, name="emperor-line", daemon=True).start()

    def _read(self) -> None:
        while self.message is None:
            try:
                data = os.read(self._descriptor, 1)  # what comes after a reload is for the next image
            except OSError:
                data = b""
            self.message = next(iter(emperor_protocol.decode(data)), None)
        self._inbox.stop()

    def greet(self) -> None:
        """Report to the Emperor that the hook works. If the Emperor has gone, the read ends the hook."""
        try:
            os.write(self._descriptor, emperor_protocol.greeting())
        except OSError:
            log.warning("the Emperor has gone before the hook was ready")


def run(given: Mapping[str, list[str]], log_stream: TextIO) -> int:
    """Run the hook until the Emperor ends it; `given` are the options of the command line and the environment.

    Returns 2 where there is no Emperor to attach to.
    """
    log_to(log_stream)
    descriptor = os.environ.get("UWSGI_EMPEROR_FD", "")
    if not descriptor.isdecimal():
        log.error("no Emperor has started this process: put it into a vassal ini, as unprivileged-binary-patch-arg")
        return ExitCode.USAGE
    inbox = Inbox()
    line = Line(int(descriptor), inbox)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: inbox.stop())
    line.listen()
    hook = _Hook(dict(given))
    try:
        _serve(hook, log_stream, line, inbox)
    except ConfigError as error:
        cannot_start(error, hook.given, "vassal", inbox)
    if line.message is ToVassal.RELOAD and hook.has_another_command():
        log.info("ends, so that the Emperor starts what its config names now")
    elif line.message is ToVassal.RELOAD:
        log.info("re-executing: the Emperor asked for a reload")
        logging.shutdown()
        os.set_inheritable(int(descriptor), True)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - what it was started with
    else:
        log.info("ends: %s", "the Emperor has gone" if line.message is ToVassal.GONE else "it was asked to stop")
    return 0


@dataclass
class _Hook:
    """What is known of this hook: its options, and from its config the command that it was started by."""

    given: dict[str, list[str]]
    config: str | None = None
    command: list[str] | None = None

    def has_another_command(self) -> bool:
        """Whether its config names another command by now, or none: a mule's config was put in its place."""
        now = None if self.config is None else own_config.command_lines(self.config)
        return None not in (now, self.command) and now != self.command


def _serve(hook: _Hook, log_stream: TextIO, line: Line, inbox: Inbox) -> None:
    home = _home()
    if (config := config_of(home, hook.given, inbox)) is None:
        return
    hook.config, hook.command = config, own_config.command_lines(config)
    hook.given = {**from_uwsgi_opt(of_vassal(home.own_pid, config).as_dict()), **hook.given}
    own_config.refuse_lost_percents(config)
    settings = parse(hook.given)
    log_to(log_stream, quiet=settings.quiet)
    serve(settings, home, inbox, line.greet)


def _home() -> Home:
    """Find the Emperor: the parent, or that of a shell, because uWSGI starts a patched binary through a shell."""
    own, above = os.getpid(), os.getppid()
    if processes.command_line(above)[1:2] == ["-c"]:
        own, above = above, processes.parent(above) or 0
    return Home("vassal", emperor_pid=above, own_pid=own)
