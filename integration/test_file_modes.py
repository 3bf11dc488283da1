"""Who may write to the hook's files: its own user alone, whatever umask uWSGI gives it; a trigger stays its owner's."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from integration import layout as layouts
from integration.commands import Command
from integration.farm import UWSGI, Farm
from integration.layout import App, Layout, trigger_line
from integration.services import cannot_run
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = App(vassals=2, load_seconds=0)
DEPLOYER = 12345
"""A user that no system has."""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def modes(farm: Farm) -> dict[str, int]:
    """The modes of the hook's files beside the trigger, once the history has its first line."""
    eventually(farm.history, "the roll in the history")
    prefix = f"{layouts.TRIGGER}."
    return {path.name.removeprefix(prefix): mode(path) for path in farm.directory.glob(f"{prefix}*")}


SAFE = {"status.json": 0o644, "journal": 0o600, "history.jsonl": 0o644}


@pytest.mark.parametrize("home", ["mule", "vassal", "host"])
def test_the_files_are_the_hooks_alone_under_a_umask_of_0(start: Callable[[Layout], Farm], home: str) -> None:
    farm = start(Layout(apps=(QUICK,), home=home, instance_lines=("umask = 000",)))
    farm.roll_now()
    assert modes(farm) == SAFE


def test_the_log_of_an_attached_vassal_is_its_own_under_a_umask_of_0(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None, instance_lines=("umask = 000",)))
    log = farm.directory / "run" / "hook.log"
    lines = (trigger_line(farm.directory),)
    farm.add_vassal("hook.ini", layouts.attached_ini(lines, arguments=f"--log-file {log}"))
    farm.wait_hook()
    assert mode(log) == 0o644


def test_the_files_are_the_hooks_alone_under_daemonize(tmp_path_factory: pytest.TempPathFactory) -> None:
    """uWSGI sets the umask to 0 when it becomes a daemon."""
    farm = Farm(Layout(apps=(QUICK,)))
    farm._write_configs()  # noqa: SLF001 - a farm that another program starts
    instance, pidfile = farm.directory / "instance.ini", tmp_path_factory.mktemp("daemon") / "pid"
    instance.write_text(farm._instance_ini())  # noqa: SLF001 - the same
    command = [str(word) for word in (UWSGI, "--ini", instance, "--daemonize", farm.log_path, "--pidfile", pidfile)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UWSGI_")}
    subprocess.run(command, check=True, cwd=farm.directory, env=environment, stdin=subprocess.DEVNULL, timeout=30)
    pid = int(eventually(lambda: pidfile.read_text().strip() if pidfile.exists() else "", "the daemon's pid"))
    tree = [psutil.Process(pid)]
    try:
        farm.wait_hook()
        farm.wait_subscribed()
        farm.roll_now()
        assert modes(farm) == SAFE
    finally:
        tree += tree[0].children(recursive=True)
        os.kill(pid, signal.SIGINT)
        _, alive = psutil.wait_procs(tree, timeout=10)
        for left in alive:
            left.kill()
        psutil.wait_procs(alive, timeout=10)
        farm.stop()


@pytest.mark.parametrize("flags", [(), ("--message", "by root")], ids=["bare", "with text"])
def test_a_trigger_stays_its_owners_when_root_touches_it(start: Callable[[Layout], Farm], flags: tuple[str]) -> None:
    if os.geteuid():
        cannot_run("only root can give files away")
    farm = start(Layout(apps=(QUICK,)))
    farm.trigger.write_text("message=by the deploy user\n")
    os.chown(farm.trigger, DEPLOYER, DEPLOYER)
    farm.trigger.chmod(0o664)
    before = farm.trigger.stat()
    command = Command("trigger", "--wait", *flags, farm.trigger)
    try:
        assert command.wait() == 0, command.said
    finally:
        command.end()
    after = farm.trigger.stat()
    assert (after.st_ino, after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (
        before.st_ino, DEPLOYER, DEPLOYER, 0o664
    )  # fmt: skip
