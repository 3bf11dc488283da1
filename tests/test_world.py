"""Which vassals the world sets aside, before any planning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.rolling import settings
from uwsgi_reload_hook.discover import Place
from uwsgi_reload_hook.stats import VassalStats
from uwsgi_reload_hook.world import World

PLAIN = VassalStats("a.ini", 10, 0, 0, True, 0, False, False, "", "/etc/uwsgi/vassals")


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (PLAIN, ""),
        (replace(PLAIN, pid=7), "the hook's own vassal"),
        (replace(PLAIN, pid=8), "it hosts a router"),
        (replace(PLAIN, zerg=True), "a zerg vassal"),
        (replace(PLAIN, id="a.ini:zerg"), "a zerg vassal"),
        (replace(PLAIN, on_demand="/run/a.sock"), "an on-demand vassal"),
        (replace(PLAIN, pid=-1, on_demand="/run/a.sock"), "an on-demand vassal"),
    ],
)
def test_what_is_never_rolled_is_set_aside_with_its_reason(entry: VassalStats, why: str) -> None:
    world = World(settings(), Place("mule", emperor_pid=1, own_pid=7))
    assert world._why_aside(entry, {8, None}) == why
