"""Vassals that lose the order to announce themselves, and nodes that several vassals could own."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from integration import layout as layouts
from integration import stats
from integration.client import Client
from integration.farm import HOOK
from integration.layout import App, Layout
from integration.processes import free_port
from integration.waiting import eventually, observe
from uwsgi_reload_hook.snapshot import HOOKS_LOAD

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

DEAF = App(key="deaf.test", vassals=2, load_seconds=0.1, lines=("subscribe-freq = 4",))
TOLERANCE = 8


def deaf_ini(farm: Farm, app: App = DEAF, order: str = "") -> str:
    """The config of a vassal that starts unsubscribed, and whose order to subscribe is lost, or is another one."""
    lines = layouts.app_ini(farm.directory, app, farm.subscription_server).splitlines()
    return "\n".join([*(line for line in lines if not line.startswith("hook-accepting1-once")), order, ""])


def nodes(farm: Farm, key: str) -> set[str]:
    return stats.live_nodes(farm.router()).get(key, set())


def subscribe(farm: Farm, id_: str) -> None:
    """Give a vassal the order that it waits for."""
    fifo = farm.directory / "run" / id_.replace(".ini", ".fifo")
    eventually(fifo.exists, f"{fifo} there")
    with fifo.open("w") as order:
        order.write("S")


def pool(farm: Farm, key: str = "deaf.test") -> list[dict[str, Any]]:
    (found,) = (one["nodes"] for one in farm.router()["subscriptions"] if one["key"] == key)
    nodes: list[dict[str, Any]] = found
    return nodes


def loads(farm: Farm) -> set[int]:
    return {node["load"] for node in pool(farm)}


def announced_since(farm: Farm, moment: float) -> Callable[[], bool]:
    return lambda: all(node["last_check"] > moment for node in pool(farm))


def add_deaf(farm: Farm) -> None:
    (farm.directory / "deaf").mkdir()
    (farm.directory / "deaf" / "load").write_text("0.1")
    farm.deploy("old", "deaf")
    for id_ in DEAF.ids:
        farm.add_vassal(id_, deaf_ini(farm))
    for id_ in DEAF.ids:
        eventually(lambda: (farm.vassal(id_) or {}).get("accepting"), f"{id_} accepts")  # noqa: B023 - called here
        subscribe(farm, id_)
    eventually(lambda: len(nodes(farm, "deaf.test")) == 2, "both announce themselves")


def test_a_vassal_whose_order_to_subscribe_is_lost_is_named_and_kept_announced(
    start: Callable[[Layout], Farm],
) -> None:
    """Before: `done` by the hook's own packet, and out of the router for good when that was too old."""
    app = App(vassals=2, load_seconds=0.1, lines=("subscribe-freq = 4",))
    farm = start(Layout(apps=(app,), instance_lines=(f"subscription-tolerance = {TOLERANCE}",)))
    add_deaf(farm)
    before = time.monotonic()
    with Client(farm, keys=["deaf.test"]) as client:
        roll = farm.roll_now()
        assert roll["result"] == "done", roll
        assert time.monotonic() - before > 4, "they had the time to announce themselves"
        assert roll["reason"].startswith("deaf-1.ini, deaf-2.ini did not announce themselves after the reload")
        assert "app-1.ini" not in roll["reason"]
        eventually(lambda: "deaf-1.ini, deaf-2.ini did not announce themselves" in farm.log(), "said in the log")
        assert observe(lambda: len(nodes(farm, "deaf.test")), 2.0 * TOLERANCE) == {2}
    assert client.failed == []


def test_the_next_hook_announces_whom_the_hook_before_had_to(start: Callable[[Layout], Farm]) -> None:
    """It finds them by the router's stats, which tell whose word the last announcement was."""
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0),), instance_lines=("subscription-tolerance = 120",)))
    add_deaf(farm)
    roll = farm.roll_now()
    assert "deaf-1.ini, deaf-2.ini did not announce themselves" in roll["reason"]
    text = (farm.vassals / HOOK).read_text()
    farm.remove_vassal(HOOK)
    ended = time.time()
    farm.add_vassal(HOOK, text)
    eventually(announced_since(farm, ended), "both announced by the new hook", 60)
    assert loads(farm) == {HOOKS_LOAD}
    for id_ in DEAF.ids:
        subscribe(farm, id_)
    eventually(lambda: HOOKS_LOAD not in loads(farm), "both announce themselves, once they are told to")
    later = time.time()
    eventually(announced_since(farm, later), "and so once more")
    assert HOOKS_LOAD not in loads(farm)


def test_a_vassal_that_announces_itself_is_waited_for_and_not_named(start: Callable[[Layout], Farm]) -> None:
    """By writefifo, which may lose the order: where it came through, the vassal's own announcement shows it."""
    app = App(vassals=2, load_seconds=0.1)
    farm = start(Layout(apps=(app,)))
    fifo = f"{farm.directory}/run/%n.fifo"
    order = f"hook-as-user-atexit = writefifo:{fifo} S\nexec-as-user = true"
    lines = deaf_ini(farm, app, order).replace("start-unsubscribed = true", "start-unsubscribed = false")
    for id_ in app.ids:
        farm.remove_vassal(id_)
        farm.add_vassal(id_, lines)
    farm.wait_subscribed()
    roll = farm.roll_now()
    assert (roll["result"], roll["reason"]) == ("done", ""), roll


def test_a_node_that_two_vassals_could_own_is_given_to_none(start: Callable[[Layout], Farm]) -> None:
    """Before: it was nobody's, and both vassals were reloaded at once, as if they served under no key."""
    app = App(vassals=2, load_seconds=0.1)
    farm = start(Layout(apps=(app,), hook=None))
    address = f"127.0.0.1:{free_port()}"
    text = (farm.vassals / "app-1.ini").read_text()
    own = f"socket = {farm.directory}/run/%n.sock"
    assert own in text
    for id_ in ("shared-1.ini", "shared-2.ini"):
        farm.add_vassal(
            id_, text.replace(own, f"socket = {address}\nreuse-port = true").replace(":app.test", ":shared.test")
        )
    for id_ in ("shared-1.ini", "shared-2.ini"):
        eventually(lambda: (farm.vassal(id_) or {}).get("accepting"), f"{id_} accepts")  # noqa: B023 - called here
    eventually(lambda: nodes(farm, "shared.test") == {address}, "one node for both")
    farm.add_hook(HOOK, f"reload-hook-trigger = {farm.trigger}")
    farm.wait_hook()
    before = {id_: farm.children(id_) for id_ in ("shared-1.ini", "shared-2.ini")}
    for _ in range(2):  # and so at each start of a hook
        roll = farm.roll_now()
        assert roll["result"] == "refused", roll
        assert f"the router's node {address} may belong to shared-1.ini" in roll["reason"]
        farm.remove_vassal(HOOK)
        ended = farm.status()["hook"]["pid"]
        farm.add_hook(HOOK, f"reload-hook-trigger = {farm.trigger}")
        eventually(lambda: farm.status()["hook"]["pid"] != ended, "another hook")  # noqa: B023 - called here
    assert {id_: farm.children(id_) for id_ in before} == before
    assert f"router node {address} may belong to any of shared-1.ini, shared-2.ini" in farm.log()
