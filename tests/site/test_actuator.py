from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.children import waits
from tests.support.servers import listens
from uwsgi_reload_hook.planning.actions import SendProbe
from uwsgi_reload_hook.probe_spec import parse
from uwsgi_reload_hook.site.actuator import Scene, perform
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.snapshot import Node


def asked(directory: Path, pid: int, line: str, *nodes: Node) -> str:
    """What comes at once of a probe of a vassal whose config has that line; empty = it is asked."""
    config = directory / "app.ini"
    config.write_text(f"[uwsgi]\n{line}\n")
    prober = Prober(parse("/"), 10.0)
    scene = Scene(1, {"app.ini": pid}, {"app.ini": str(config)}, {}, lambda _: {}, prober)
    perform(SendProbe("app.ini", nodes), scene)
    try:
        return "".join(result.words for result in prober.results().values())
    finally:
        prober.close()


@pytest.mark.parametrize("option", ["socket", "uwsgi-socket", "http-socket"])
def test_a_socket_that_a_vassals_config_names_is_asked_if_it_listens_there(tmp_path: Path, option: str) -> None:
    line = f"{option} = {tmp_path}//app.sock"
    with listens(tmp_path / "app.sock"), waits() as other:
        assert asked(tmp_path, os.getpid(), line) == ""
        assert asked(tmp_path, other.pid, line).startswith("no socket of it was found")


def test_a_node_that_is_its_own_is_asked(tmp_path: Path) -> None:
    with listens(tmp_path / "app.sock"), waits() as other:
        assert asked(tmp_path, other.pid, "", Node("r", "app", str(tmp_path / "app.sock"))) == ""
