"""`uwsgi-reload-hook demo`: a site in a temporary directory, a new version, one touch, and the roll to look at."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from uwsgi_reload_hook.demo.client import Client
from uwsgi_reload_hook.demo.site import Site, find_uwsgi
from uwsgi_reload_hook.demo.watch import Table, View, look
from uwsgi_reload_hook.exit_codes import ExitCode
from uwsgi_reload_hook.printable import write_line

__all__ = ["run"]

OLD, NEW = "1", "2"
POLL = 0.02
START_SECONDS = 30
ROLL_SECONDS = 60


class DemoFailedError(Exception):
    """The demo did not show what it promises; the text says what."""


class StoppedError(Exception):
    """A signal asked the demo to stop."""


class Signals:
    """Notes SIGINT, SIGTERM and SIGHUP for the next wait, so that no signal cuts a start in the middle."""

    def __init__(self) -> None:
        self.received = 0
        self.heeded = True
        """False while the demo cleans up: a second Ctrl-C must not leave processes behind."""

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch them for the time of the block."""
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._receive) for number in signals}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number

    def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for the condition; return whether it came true in time. Raise `StoppedError` if a signal comes first."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.received and self.heeded:
                raise StoppedError
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL)
        return True


def run(*, vassals: int = 4, load_seconds: float = 1.0, keep: bool = False) -> int:
    """Show a roll of `vassals` vassals whose application takes `load_seconds` to load; keep the files if `keep`.

    Returns 0 if every vassal ended on the new version and no request failed, 1 if not, 2 if there is no uWSGI, and
    128 + the signal's number (130 for Ctrl-C) if a signal ended it.
    """
    uwsgi = find_uwsgi()
    if uwsgi is None:
        say("There is no uwsgi beside this Python or on PATH: pip install 'uwsgi-reload-hook[demo]'")
        return ExitCode.USAGE
    signals = Signals()
    with signals.caught():
        directory = Path(tempfile.mkdtemp(prefix="uwsgi-reload-hook-")).resolve()
        try:
            site = Site(uwsgi, directory, vassals=vassals, load_seconds=load_seconds)
            return _guarded(site, signals)
        finally:
            if keep:
                say(f"kept: {directory}")
            else:
                shutil.rmtree(directory)


def _guarded(site: Site, signals: Signals) -> int:
    """Run the demo; nothing is left running when this returns."""
    client = Client(site.port)
    try:
        code = _run(site, client, signals)
    finally:
        # Nothing is printed here, because a pipe without a reader must not keep anything running.
        signals.heeded = False
        client.stop()
        gone = site.stop(signals.wait_until)
    if not gone:
        say(f"failed: some of the uWSGI processes of {site.directory} cannot be stopped")
        return code or 1
    return code


def _run(site: Site, client: Client, signals: Signals) -> int:
    """Run the demo, print why it stopped or failed, and return the exit code."""
    code = 0
    try:
        _show(site, client, signals)
    except StoppedError:
        say(f"\nstopped by {signal.Signals(signals.received).name}")
        code = 128 + signals.received
    except DemoFailedError as failed:
        say(f"\nThe end of uWSGI's log:\n{site.log_tail()}\n\nfailed: {failed}")
        code = 1
    say("\nStopping all that was started ...")
    return code


def _show(site: Site, client: Client, signals: Signals) -> None:
    _start(site, client, signals)
    say(f"\nversion {NEW} is put in place, and the trigger touched:\n")
    site.deploy(NEW)
    client.forget()
    started = time.monotonic()
    site.touch()
    view = _follow(site, signals)
    seconds = time.monotonic() - started
    if view.result != "done":
        raise DemoFailedError(f"the roll ended as {view.result}: {view.reason}")
    client.forget()
    if not signals.wait_until(lambda: client.bodies >= answers_of(site, NEW), 10):
        raise DemoFailedError(f"not every vassal answers with version {NEW}: {sorted(client.bodies)}")
    client.stop()
    _summary(site, client, seconds)


def _start(site: Site, client: Client, signals: Signals) -> None:
    say(f"Starting an Emperor with {len(site.names)} vassals and the hook in {site.directory} ...")
    site.deploy(OLD)
    site.start()

    def ready() -> bool:
        view = look(site.status, site.router_stats)
        return site.ended or (view.state == "idle" and view.serving == len(site.names))

    in_time = signals.wait_until(ready, START_SECONDS + site.load_seconds)
    if site.ended:
        raise DemoFailedError("uWSGI ended while it was starting")
    if not in_time:
        view = look(site.status, site.router_stats)
        raise DemoFailedError(
            f"not ready in time: {view.serving} of {len(site.names)} vassals serve, the hook says {view.state}"
        )
    client.start()
    if not signals.wait_until(lambda: client.bodies >= answers_of(site, OLD), 10):
        raise DemoFailedError(f"not every vassal answers with version {OLD}: {sorted(client.bodies)}")
    say(f"All serve version {OLD} at http://127.0.0.1:{site.port}/ under steady requests.")


def _follow(site: Site, signals: Signals) -> View:
    """Show the roll until it ends; return the last look at it."""
    table = Table(site.names)
    say(table.header())
    view = look(site.status, site.router_stats)

    def ended() -> bool:
        nonlocal view
        view = look(site.status, site.router_stats)
        line = table.change(view)
        if line is not None:
            say(line)
        return site.ended or view.result is not None

    seconds = ROLL_SECONDS + 2 * site.load_seconds * len(site.names)
    in_time = signals.wait_until(ended, seconds)
    if site.ended:
        raise DemoFailedError("uWSGI ended during the roll")
    if not in_time:
        raise DemoFailedError(f"the roll has not ended in {seconds:.0f} s")
    return view


def _summary(site: Site, client: Client, seconds: float) -> None:
    """Print the figures; raise DemoFailedError if a request failed or an old version was answered."""
    say(f"""
versions   {OLD} before, {NEW} after, on all {len(site.names)} vassals
requests   {client.made} made, {len(client.failures)} failed, the slowest took {client.slowest:.3f} s
roll       {seconds:.2f} s""")
    if client.failures:
        raise DemoFailedError(f"{len(client.failures)} requests failed, the first: {client.failures[0]}")
    if client.bodies != answers_of(site, NEW):
        raise DemoFailedError(f"other answers than version {NEW} after the roll: {sorted(client.bodies)}")


def answers_of(site: Site, version: str) -> frozenset[str]:
    """The answers of all vassals when each has that version."""
    return frozenset(f"version {version} {name}" for name in site.names)


def say(text: str) -> None:
    """Print lines, and flush each, because stdout may be a pipe."""
    for line in text.split("\n"):
        write_line(sys.stdout, line)
