"""Who may act for an Emperor: what a process of another user (uid 65534) claims, says or answers decides nothing."""

from __future__ import annotations

import re
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from integration import layout as layouts
from integration import stats
from integration.commands import Command, sockets
from integration.farm import HOOK, Farm
from integration.layout import App, Layout
from integration.waiting import eventually
from uwsgi_reload_hook.site.authority import identify
from uwsgi_reload_hook.uwsgi.stats import parse_emperor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.processes import Process

QUICK = App(vassals=2, load_seconds=0.1)
RELOADED = ["app-1: reloaded", "app-2: reloaded"]

PRETENDER = """
import fcntl, json, os, signal, socket, sys, time
directory, emperor, status = sys.argv[1:4]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
claims = []
for _ in range(200):
    claims.append(socket.socket(socket.AF_UNIX))
    claims[-1].bind(f"\\0uwsgi-reload-hook:{emperor}:{os.urandom(16).hex()}")
    claims[-1].listen()
hook = {"pid": os.getpid(), "mode": "mule", "version": "0", "started": time.time()}
with open(status, "w") as file:
    json.dump({"schema": 1, "state": "idle", "hook": hook, "roll": None}, file)
descriptor = os.open(directory, os.O_RDONLY)
try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("waits", flush=True)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
print("holds", flush=True)
signal.pause()
"""
"""It holds the Emperor's directory when nobody else does, and has claims, and a hook's status file and arguments."""


@contextmanager
def pretender(farm: Farm, victim: Path) -> Iterator[Command]:
    """A process of another user that does all it can to be taken for the hook whose trigger is `victim`."""
    state = farm.directory / "state"
    state.mkdir()
    state.chmod(0o777)
    farm.directory.chmod(0o755)
    emperor = identify(parse_emperor(farm.emperor())).identity
    arguments = [farm.vassals, emperor, state / f"{victim.name}.status.json"]
    hook = ["--trigger", victim, "--state-directory", state]
    command = Command("-c", PRETENDER, *arguments, *hook, program=[sys.executable])
    try:
        eventually(lambda: command.lines, "the other user's process ready")
        yield command
    finally:
        command.end()


def test_nobody_else_is_asked_for_a_roll_and_no_file_is_his_to_name(
    start: Callable[[Layout], Farm], tmp_path: Path
) -> None:
    """Before: root's `reload` emptied the file that the other user's command line named as a trigger."""
    farm = start(Layout(apps=(QUICK,), hook=None))
    victim = tmp_path / "shadow"
    victim.write_text("root:secret\n")
    victim.chmod(0o600)
    before = victim.stat()
    with pretender(farm, victim) as other:
        eventually(lambda: "holds" in other.lines, "the directory held")
        command = Command("reload", *sockets(farm.directory))
        try:
            assert command.wait() == 0, command.said
        finally:
            command.end()
    assert sorted(command.lines) == RELOADED
    (complaint,) = command.complaints
    assert f"pid {other.process.pid} of user nobody claims the lock of the Emperor in {farm.vassals}" in complaint
    assert "the claim is ignored" in complaint
    assert victim.read_text() == "root:secret\n"
    assert victim.stat().st_mtime_ns == before.st_mtime_ns


def test_where_a_hook_runs_that_is_the_one_that_is_asked(start: Callable[[Layout], Farm], tmp_path: Path) -> None:
    farm = start(Layout(apps=(QUICK,)))
    (tmp_path / "shadow").write_text("root:secret\n")
    with pretender(farm, tmp_path / "shadow"):
        command = Command("reload", *sockets(farm.directory))
        try:
            assert command.wait() == 0, command.said
        finally:
            command.end()
    assert f"asks the hook that runs here (pid {farm.status()['hook']['pid']})" in command.said
    assert sorted(command.lines) == RELOADED
    assert (tmp_path / "shadow").read_text() == "root:secret\n"


def test_nobody_else_keeps_a_hook_from_its_place_when_it_is_restarted(
    start: Callable[[Layout], Farm], tmp_path: Path
) -> None:
    """Before: the new hook stood by for ever."""
    farm = start(Layout(apps=(QUICK,)))
    first = farm.roll_now()
    with pretender(farm, tmp_path / "none") as other:
        farm.remove_vassal(HOOK)
        eventually(lambda: "holds" in other.lines, "the directory held")
        farm.add_hook(HOOK, layouts.trigger_line(farm.directory))
        workers = farm.workers()
        farm.touch_trigger()
        assert farm.wait_result(first)["result"] == "done"
    assert renewed(farm, workers)


def renewed(farm: Farm, before: dict[str, frozenset[Process]]) -> bool:
    return all(workers.isdisjoint(before[vassal]) for vassal, workers in farm.workers().items())


def test_of_two_hooks_the_second_takes_over_when_the_first_ends(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,)))
    other = farm.directory / "configs" / "trigger"
    farm.add_hook("other.ini", f"reload-hook-trigger = {other}")
    eventually(lambda: "another hook" in farm.log(), "the second hook stands by")
    workers = farm.workers()
    farm.remove_vassal(HOOK)
    status = other.with_name("trigger.status.json")
    eventually(status.exists, "the second hook takes over")
    other.touch()
    eventually(lambda: renewed(farm, workers) and all(farm.workers().values()), "all rolled by the second hook")


def test_two_emperors_that_scan_globs_in_one_directory_have_two_hooks(start: Callable[[Layout], Farm]) -> None:
    """Before: both hooks locked the directory that their Emperors were started in, and one stood by for ever."""
    layout = Layout(apps=(QUICK,), glob=True, started_in="/")
    farms = start(layout), start(layout)
    assert [farm.emperor()["cwd"] for farm in farms] == ["/", "/"]
    for farm in farms:
        workers = farm.workers()
        assert farm.roll_now()["result"] == "done"
        assert renewed(farm, workers)


# A tenant's worker that answers like a router.

WORKER = """
import json, os, select, socket, sys
directory, address = sys.argv[1:3]
if os.fork():
    os.wait()
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.umask(0)
subscriptions, stats = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), socket.socket(socket.AF_UNIX)
subscriptions.bind(f"{directory}/subscriptions")
node = dict.fromkeys(("modifier1", "modifier2", "pid", "requests", "load", "failcnt", "death_mark"), 0)
node.update({"name": address, "last_check": 2**31, "ref": 7, "cores": 1, "weight": 1})
answer = json.dumps({
    "version": "2.0.31", "pid": os.getpid(), "uid": 0, "gid": 0, "cwd": directory, "active_sessions": 7,
    "fastrouter": [f"{directory}/subscriptions"],
    "subscriptions": [{"key": "app.test", "hash": 0, "hits": 0, "nodes": [node]}],
}).encode()
stats.bind(f"{directory}/stats")
stats.listen(100)
while True:
    ready, _, _ = select.select([subscriptions, stats], [], [])
    if subscriptions in ready:
        with open(f"{directory}/packets", "ab") as packets:
            packets.write(subscriptions.recv(65536))
    elif stats in ready:
        connection, _ = stats.accept()
        with connection:
            try:
                connection.sendall(answer)
            except OSError:
                pass
"""
# In a way that the hook does not read, so that it looks for the router among the processes.
HIDDEN = (
    "emperor-stats-server = %demperor.stats",
    "for = router.stats",
    "fastrouter-stats-server = %d%(_)",
    "endfor =",
)


@contextmanager
def tenant(farm: Farm) -> Iterator[Path]:
    """A vassal whose worker, of another user, answers like a router with requests in flight; its directory."""
    directory = farm.directory / "tenant"
    directory.mkdir()
    directory.chmod(0o777)
    farm.directory.chmod(0o755)
    script = farm.directory / "worker.py"
    script.write_text(WORKER)
    command = f"exec {sys.executable} {script} {directory} {farm.directory}/run/app-1.sock"
    farm.add_vassal("tenant.ini", layouts.ini([f"privileged-binary-patch-arg = {command}"]))
    farm.emperor()
    eventually((directory / "stats").exists, "the tenant's worker")
    yield directory


def packets(directory: Path) -> bytes:
    """All that the tenant's worker has received, by a last packet of our own."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.sendto(b"the last", str(directory / "subscriptions"))
    path = directory / "packets"
    eventually(lambda: path.exists() and path.read_bytes().endswith(b"the last"), "the last packet received")
    return path.read_bytes().removesuffix(b"the last")


def test_a_worker_of_a_tenant_that_answers_like_a_router_is_none(start: Callable[[Layout], Farm]) -> None:
    """Before: it got the hook's packets, and the requests that it told of held up the drain."""
    farm = start(Layout(apps=(QUICK,), hook=None, stats_servers=False, instance_lines=HIDDEN))
    eventually((farm.directory / "router.stats").exists, "the router's stats")
    eventually(lambda: len(stats.live_nodes(farm.router()).get("app.test", ())) == QUICK.vassals, "all subscribed")
    with tenant(farm) as directory:
        farm.add_hook(
            HOOK, layouts.trigger_line(farm.directory), "reload-hook-vassals = app-*", "reload-hook-drain-timeout = 1"
        )
        farm.emperor()
        farm.wait_hook()
        roll = farm.roll_now()
        assert roll["result"] == "done"
        assert roll["vassals"].keys() == {"app-1.ini", "app-2.ini"}
        assert re.findall(r"draining -> touched after .* s: (.*)", farm.log()) == ["drained"] * QUICK.vassals
        assert packets(directory) == b""
