from __future__ import annotations

import pytest

from tests.support.build import a_node, a_progress, a_snapshot, a_vassal, known, owed, unsubscribed
from tests.support.rolling import settings
from uwsgi_reload_hook.planning import draining
from uwsgi_reload_hook.planning.actions import Action, Subscribe, Touch
from uwsgi_reload_hook.planning.progress import Phase, Progress
from uwsgi_reload_hook.planning.transitions import Context
from uwsgi_reload_hook.snapshot import ProcessFacts

WALL = 1000.5
NODE = a_node(last_check=0, death_mark=True)
TAKEN = unsubscribed(known(a_progress("a.ini", Phase.DRAINING, started=50.0, first_pid=7), nodes=(NODE,)), NODE)
TIMEOUT = 60.0


def moved(details: ProcessFacts, *, last_mod: int, passed: float) -> tuple[Progress, tuple[Action, ...]]:
    vassal = a_vassal("a.ini", last_mod=last_mod, details=details)
    seen = a_snapshot(vassal, wall=WALL)
    given = settings(timeout=TIMEOUT, drain_timeout=1.0)
    context = Context(seen, given, 50.0 + passed)
    progress, actions = draining.observe(TAKEN, vassal, context)
    if progress.phase is not Phase.DRAINING:
        return progress, actions
    why = draining.why_ready(progress, vassal, context)
    return draining.restart(progress, vassal, context, why) if why else (progress, actions)


@pytest.mark.parametrize("passed", [0.1, 2.0, TIMEOUT - 0.1])
def test_a_config_that_can_only_be_touched_now_waits_for_the_next_second(passed: float) -> None:
    details = ProcessFacts(touch_path="a.ini", may_set_mtime=False)
    assert moved(details, last_mod=1000, passed=passed) == (TAKEN, ())
    _, actions = moved(details, last_mod=999, passed=passed)
    assert actions == (Touch("a.ini", "a.ini", None),)


def test_where_the_clock_was_set_back_a_vassal_gets_its_traffic_back_at_the_timeout() -> None:
    progress, actions = moved(ProcessFacts(touch_path="a.ini", may_set_mtime=False), last_mod=4600, passed=TIMEOUT)
    assert (progress.phase, owed(progress)) == (Phase.FAILED, ())
    assert "has a config younger than the present second" in progress.reason
    assert actions == (Subscribe("a.ini", (NODE,)),)


@pytest.mark.parametrize(("last_mod", "mtime"), [(999, 1000), (1000, 1001), (4600, 4601)])
def test_both_ends_of_a_link_get_one_mtime_where_the_emperor_may_look_at_either(last_mod: int, mtime: int) -> None:
    details = ProcessFacts(touch_path="link", touch_also="target")
    _, actions = moved(details, last_mod=last_mod, passed=0.1)
    assert actions == (Touch("a.ini", "link", mtime), Touch("a.ini", "target", mtime))
