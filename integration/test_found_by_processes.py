"""What `reload` finds from a shell, and what it says of the rest: flags, and whether unset or silent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from integration.commands import Command
from integration.farm import HOOK, Farm
from integration.layout import App, Layout, trigger_line
from integration.test_starting import starting
from uwsgi_reload_hook.users import user

if TYPE_CHECKING:
    from collections.abc import Callable

QUICK = App(vassals=2, load_seconds=0)
# Other farms may run on this host.
SITE = "--emperor-path={}/vassals"


def reload(*flags: str) -> tuple[int, str]:
    command = Command("reload", *flags)
    try:
        return command.wait(), command.said
    finally:
        command.end()


def test_an_emperor_is_found_by_the_process_table(start: Callable[[Layout], Farm]) -> None:
    farm, other = start(Layout(apps=(QUICK,), hook=None)), start(Layout(apps=(QUICK,), hook=None))
    workers, others = farm.workers(), other.workers()
    code, said = reload(SITE.format(farm.directory))
    assert (code, said.splitlines()) == (0, ["app-1: reloaded", "app-2: reloaded"])
    assert all(renewed.isdisjoint(workers[vassal]) for vassal, renewed in farm.workers().items())
    assert other.workers() == others
    code, said = reload()
    assert code == 2
    assert "several Emperors run here (" in said
    assert "name the stats socket of one by --emperor-stats-socket" in said
    assert other.workers() == others


def test_an_emperor_without_stats_is_named_with_what_to_set(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None, stats_servers=False))
    code, said = reload(SITE.format(farm.directory))
    assert code == 2
    assert f"pid {farm.process.pid} of {user(os.geteuid())} hosts one without emperor-stats-server" in said
    assert "name that address by --emperor-stats-socket" in said
    assert "reload-hook-" not in said.replace("uwsgi-reload-hook", "")


def test_a_router_that_is_set_and_silent_names_the_plugin(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(QUICK,), hook=None))
    (farm.directory / "router.stats").unlink()
    code, said = reload(SITE.format(farm.directory))
    assert code == 2
    silent = f"the Emperor's config sets fastrouter-stats-server = {farm.directory}/router.stats, but no router answers"
    assert silent in said
    assert "or set --fastrouter-stats-socket to where the router answers" in said
    farm.add_hook(HOOK, trigger_line(farm.directory))
    reason = starting(farm, farm.trigger, silent)["reason"]
    assert "put plugin = fastrouter above its options" in reason
    assert "or set reload-hook-fastrouter-stats-socket to where the router answers" in reason
