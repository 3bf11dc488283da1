"""Root's `reload` is not led by the words of the Emperor's user: none of his processes names a file to be touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.children import python
from tests.support.strangers import STRANGER, own_directory, waiting_stranger
from uwsgi_reload_hook.site.authority import identify
from uwsgi_reload_hook.uwsgi.stats import EmperorStats

EMPEROR = """
import _thread, time
os.umask(0o022)
here, identity = sys.argv[1:3]
with open("/proc/self/stat") as stat, open("/proc/sys/kernel/random/boot_id") as boot:
    ticks, boot_id = int(stat.read().rpartition(")")[2].split()[19]), boot.read().strip()
hook = {"pid": os.getpid(), "mode": "mule", "version": "0", "started": time.time(), "start_ticks": ticks,
    "boot_id": boot_id}
with open(f"{here}/nologin.status.json", "w") as file:
    json.dump({"schema": 1, "state": "idle", "hook": hook, "roll": None}, file)

def answer(address, words):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(100)
    def accept():
        while True:
            connection, _ = listener.accept()
            try:
                connection.sendall(words)
            except BrokenPipeError:
                pass
            connection.close()
    _thread.start_new_thread(accept, ())

vassal = dict.fromkeys(("last_mod", "last_run", "accepting", "respawns", "cursed", "zerg"), 0)
vassal.update({"pid": os.getpid(), "id": "hook.ini", "on_demand": "", "monitor": here})
vassals = [] if sys.argv[-1].startswith("--ini") else [vassal]
told = {"pid": os.getpid(), "cwd": here, "emperor": [here], "vassals": vassals, "blacklist": []}
answer(f"{here}/emperor.stats", json.dumps(told).encode())
router = {"version": "2", "pid": os.getpid(), "cwd": here, "active_sessions": 0, "fastrouter": [], "subscriptions": []}
answer(f"{here}/router.stats", json.dumps(router).encode())
answer(f"\\0uwsgi-reload-hook:{identity}:{'0' * 32}", b"")
"""
"""An Emperor, a router and a hook that is its vassal, all of them one process; its own words come after the first two.

Where a config makes it the hook, that is `hook.ini`. If its last word names that, there is no vassal.
"""


def reload(here: Path, trigger: Path, config: str, owner: int, *more: str) -> tuple[int | None, str, int]:
    """Have root reload beside such a hook; its exit code, what it says, and the hook's pid."""
    (here / "hook.ini").write_text(f"[uwsgi]\n{config}\n")
    os.chown(here / "hook.ini", owner, owner)
    identity = identify(EmperorStats(os.getpid(), "/", (str(here),), (), {})).identity
    own_words = ("--trigger", str(trigger), "--state-directory", str(here), *more)
    sockets = ("--emperor-stats-socket", f"{here}/emperor.stats", "--fastrouter-stats-socket", f"{here}/router.stats")
    given = (*sockets, "--subscription-server", f"{here}/subscriptions", "--deadline", "1")
    with (
        waiting_stranger(EMPEROR, str(here), identity, *own_words) as hook,
        python("-m", "uwsgi_reload_hook", "reload", *given) as command,
    ):
        _, err = command.communicate()
        return command.returncode, err, hook.pid


@pytest.mark.parametrize("config", ["", "reload-hook-trigger = {trigger}\nreload-hook-state-directory = {here}"])
def test_a_hook_of_the_emperors_user_names_no_file_for_root(tmp_path: Path, config: str) -> None:
    """Before: root created the file that the arguments of any process of that user named, as /etc/nologin."""
    trigger = tmp_path / "nologin"
    with own_directory() as here:
        code, err, hook = reload(here, trigger, config.format(trigger=trigger, here=here), STRANGER)
    assert not trigger.exists()
    assert code == 2
    (line,) = err.splitlines()
    why = "and its command line and config are not trusted"
    assert f"pid {hook} of user nobody holds the lock of the Emperor in {here}, {why}" in line


@pytest.mark.parametrize("host", [False, True])
def test_it_is_asked_by_a_config_that_nobody_but_root_can_change(tmp_path: Path, *, host: bool) -> None:
    trigger = tmp_path / "nologin"
    with own_directory() as here:
        os.chown(here, 0, 0)
        here.chmod(0o1777)  # a sticky directory: everybody keeps what is his
        config = f"reload-hook-trigger = {trigger}\nreload-hook-state-directory = {here}"
        _, err, hook = reload(here, tmp_path / "other", config, 0, *[f"--ini={here}/hook.ini"][: int(host)])
    assert f"asks the hook that runs here (pid {hook}), with its own options, by {trigger}" in err
    assert trigger.exists()
    assert not (tmp_path / "other").exists()
