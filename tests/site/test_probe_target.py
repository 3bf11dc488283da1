"""Where a vassal is asked: at which socket, in which protocol, and with which modifiers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.children import python
from tests.support.servers import listens
from uwsgi_reload_hook.planning.actions import SendProbe
from uwsgi_reload_hook.site.hung_worker import worker_of
from uwsgi_reload_hook.site.probe_target import find_target
from uwsgi_reload_hook.site.prober import Target
from uwsgi_reload_hook.snapshot import Node


def target(directory: Path, *lines: str, nodes: tuple[Node, ...] = (), **given: Any) -> Target | None:  # noqa: ANN401 - any field of the act
    """Where a vassal of this process, whose config has these lines, is asked."""
    config = directory / "app.ini"
    config.write_text("\n".join(["[uwsgi]", *lines, ""]))
    return find_target(SendProbe("app.ini", nodes, **given), os.getpid(), str(config))


@pytest.mark.parametrize(
    ("lines", "over_http"),
    [
        (("uwsgi-socket = {0}",), False),
        (("socket = {0}",), False),
        (("protocol = http", "socket = {0}"), True),
        (("socket = {0}", "socket-protocol = http"), True),
        (("http-socket = {0}",), True),
        (("protocol = http", "uwsgi-socket = {0}"), False),
        (("fastcgi-socket = {0}",), None),
        (("scgi-socket = {0}",), None),
        (("protocol = fastcgi", "socket = {0}"), None),
        (("https-socket = {0},a.crt,a.key",), None),
        (("http-socket = /nowhere", "raw-socket = {0}"), None),
    ],
)
def test_a_socket_is_asked_in_what_it_speaks(tmp_path: Path, lines: tuple[str, ...], over_http: bool | None) -> None:
    path = str(tmp_path / "s")
    with listens(tmp_path / "s"):
        of_config = target(tmp_path, *(line.format(path) for line in lines))
        of_node = target(tmp_path, *(line.format(path) for line in lines), nodes=(Node("r", "app", path),))
    for found, host in ((of_config, "localhost"), (of_node, "app")):
        assert (found and (found.address, found.host, found.over_http)) == (
            None if over_http is None else (path, host, over_http)
        )


def test_an_included_file_names_sockets_too_and_uwsgi_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "more.ini").write_text(f"[uwsgi]\nhttp-socket = {tmp_path}/h\nuwsgi-socket = {tmp_path}/u\n")
    with listens(tmp_path / "h"), listens(tmp_path / "u"):
        found = target(tmp_path, f"ini = {tmp_path}/more.ini")
    assert found is not None
    assert found.address == f"{tmp_path}/u"


def test_port_0_is_the_port_that_the_vassal_has(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as named, socket.create_server(("127.0.0.1", 0)) as any_port:
        port = named.getsockname()[1]
        found = target(tmp_path, "http-socket = 127.0.0.1:0", f"fastcgi-socket = 127.0.0.1:{port}")
        assert found is not None
        assert found.over_http
        assert found.address == f"127.0.0.1:{any_port.getsockname()[1]}"


@pytest.mark.parametrize(
    ("lines", "given", "modifiers"),
    [
        ((), {}, (0, 0)),
        (("subscribe-to = /run/s:app,5",), {}, (5, 0)),
        (("subscribe-to = /run/s:app,5,SHA1:/key",), {}, (5, 0)),
        (("subscribe2 = server=/run/s,key=app,modifier1=14,modifier2=3",), {}, (14, 3)),
        (("subscribe-to = /run/s:app,5",), {"modifiers": (7, 1)}, (7, 1)),
    ],
)
def test_a_vassal_without_a_node_is_asked_with_modifiers_of_siblings_or_its_config(
    tmp_path: Path, lines: tuple[str, ...], given: dict[str, Any], modifiers: tuple[int, int]
) -> None:
    with listens(tmp_path / "s"):
        found = target(tmp_path, f"socket = {tmp_path}/s", *lines, **given)
    assert found is not None
    assert found.modifiers == modifiers


def test_a_node_is_asked_with_its_own_modifiers(tmp_path: Path) -> None:
    node = Node("r", "app", "/run/s", modifier1=5, modifier2=1)
    found = target(tmp_path, nodes=(node,), modifiers=(9, 9))
    assert found is not None
    assert (found.modifiers, found.host) == ((5, 1), "app")


@contextmanager
def worker_with(*connections: socket.socket) -> Iterator[int]:
    """A child that has these connections, which this process then has no more."""
    script = "import sys; print('ready', flush=True); sys.stdin.read()"
    with python("-c", script, keeps=[one.fileno() for one in connections]) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for one in connections:
            one.close()
        yield child.pid


@pytest.mark.parametrize("kind", ["unix", "abstract", "tcp"])
def test_the_worker_that_hangs_is_the_child_with_that_request_and_no_other(tmp_path: Path, kind: str) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    address: Any = {"unix": str(tmp_path / "s"), "abstract": f"\0{tmp_path}", "tcp": ("127.0.0.1", 0)}[kind]
    with socket.socket(family) as listener, ExitStack() as clients:
        listener.bind(address)
        listener.listen()

        def connect() -> socket.socket:
            client = clients.enter_context(socket.socket(family))
            client.connect(listener.getsockname())
            return client

        ours = connect()
        assert worker_of(ours, os.getpid()) is None, "nobody has accepted it"
        accepted = listener.accept()[0]
        connect()
        others = listener.accept()[0]
        with worker_with(accepted) as worker, worker_with(others):
            assert worker_of(ours, os.getpid()) == worker
            assert worker_of(ours, worker) is None, "it has no workers"
        busy = connect()
        accepted = listener.accept()[0]
        connect()
        with worker_with(accepted, listener.accept()[0]):
            assert worker_of(busy, os.getpid()) is None, "it has another request"
