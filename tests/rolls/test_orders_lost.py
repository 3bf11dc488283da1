"""Whole rolls of vassals that start unsubscribed, and whose order to announce themselves is lost."""

from __future__ import annotations

from tests.support.rolling import a_site, run, settings
from tests.support.simulator import TOLERANCE
from uwsgi_reload_hook.settings import Minimum

ORDER_LOST = {"order_lost": True}


def test_who_does_not_announce_itself_had_the_time_to_and_is_named() -> None:
    outcome = run(a_site(4, v2=ORDER_LOST, v3=ORDER_LOST), settings(canary=0))
    assert outcome.result == "done"
    assert outcome.roll["reason"].startswith("v2.ini, v3.ini did not announce themselves after the reload")
    assert 12.0 < outcome.seconds < 2 * 2.0 + 12.0 + 1.0


def test_who_announces_itself_is_not_waited_for() -> None:
    outcome = run(a_site(4), settings(canary=0))
    assert (outcome.result, outcome.roll["reason"]) == ("done", "")
    assert outcome.seconds < 2 * 2.0 + 1.0


def test_a_roll_longer_than_the_tolerance_keeps_them_in_the_router_all_the_while() -> None:
    """Each wave takes two seconds, and twelve of them follow the first."""
    site = a_site(12, 11, each=ORDER_LOST)
    outcome = run(site, settings(canary=0, minimum_active_vassals=Minimum(11)))
    assert outcome.result == "done"
    assert outcome.seconds > TOLERANCE
    assert site.serving("app") == 12
