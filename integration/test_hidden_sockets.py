"""A container without SYS_PTRACE: even root cannot see the sockets of processes that have other rights than its own.

Docker takes the capability from all, and vassals with a `uid` have other rights than root. Here the vassals keep it and
the hook has it not, which the kernel answers in the same way (ptrace(2)).
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from integration import commands
from integration.client import Client, fetch
from integration.commands import Command
from integration.layout import App, Layout
from integration.mid_roll import wait_answers
from integration.services import cannot_run, needed

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm


def reload_confined(farm: Farm, *more: str) -> Command:
    """`reload` by a root that may not look into the processes of others."""
    if os.geteuid() != 0:
        cannot_run("only root has the capability, and can do without")
    program = (needed("setpriv"), "--bounding-set=-sys_ptrace", sys.executable, "-m", "uwsgi_reload_hook")
    found = (f"--subscription-server={farm.subscription_server}", *more)
    return Command("reload", *commands.sockets(farm.directory), *found, program=program)


def test_a_roll_that_cannot_see_whose_nodes_they_are_names_the_capability(
    start: Callable[[Layout], Farm], free_udp: str
) -> None:
    app = App(vassals=2, load_seconds=0, tcp=True)
    farm = start(Layout(apps=(app,), hook=None, subscription_server=free_udp))
    command = reload_confined(farm)
    try:
        assert command.wait() == 5, command.said
    finally:
        command.end()
    assert "give the hook the capability SYS_PTRACE" in command.said
    assert "docker run --cap-add SYS_PTRACE" in command.said


@pytest.mark.parametrize("lines", [(), ("logto = %d../run/%n.log",)])
def test_vassals_whose_sockets_bear_their_names_are_rolled_without_it(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.2, lines=lines),), hook=None, symlinks=False))
    farm.deploy("new")
    with Client(farm) as client:
        wait_answers(client)
        command = reload_confined(farm)
        try:
            assert command.wait() == 0, command.said
        finally:
            command.end()
    assert client.failed == []
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"new"}


def test_a_broken_deploy_is_held_without_it(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.2),), hook=None))
    farm.deploy("broken")
    command = reload_confined(farm)
    try:
        assert command.wait() == 1, command.said
    finally:
        command.end()
    assert {fetch(farm.http_port, "app.test").version for _ in range(6)} == {"old"}
