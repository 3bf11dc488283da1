from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.rolling import settings
from tests.support.servers import answers, serves
from tests.support.strangers import STRANGER, waiting_stranger
from uwsgi_reload_hook.site.discovery import Endpoints
from uwsgi_reload_hook.site.emperor import EmperorProcess
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.site.sockets import StatsSocket


@pytest.mark.parametrize("known", [True, False])
def test_of_a_hook_of_another_user_its_config_alone_tells_the_options(tmp_path: Path, *, known: bool) -> None:
    config = tmp_path / "hook.ini"
    config.write_text(f"[uwsgi]\n{'reload-hook-trigger = /run/trigger' if known else ''}\n")
    config.chmod(0o644)
    with waiting_stranger("", "--trigger", "/etc/shadow", "--state-directory=/tmp") as hook:
        none = dict.fromkeys(("last_mod", "last_run", "accepting", "respawns", "cursed", "zerg"), 0)
        vassal = {**none, "pid": hook.pid, "id": "hook.ini", "on_demand": "", "monitor": str(tmp_path)}
        told = {"pid": os.getpid(), "cwd": "/", "emperor": [str(tmp_path)], "vassals": [vassal], "blacklist": []}
        endpoints = Endpoints(StatsSocket(str(tmp_path / "emperor.stats")), os.getpid(), ())
        emperor = EmperorProcess(endpoints, settings())
        with serves(tmp_path / "emperor.stats", answers(json.dumps(told))):
            options = emperor.hook_options(Peer(hook.pid, STRANGER))
            assert options == ({"trigger": ["/run/trigger"]} if known else {}, "/")
