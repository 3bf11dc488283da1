"""The probe `auto`: new code that answers `/` worse than the old code did stays at the canary, whatever it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from integration import layout as layouts
from integration.client import Client
from integration.farm import HOOK
from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.farm import Farm

THREE = App(vassals=3, load_seconds=0.3)


def assert_held(roll: dict[str, Any]) -> str:
    """Only one vassal of the roll got the new code, and failed; returns its id."""
    assert roll["result"] == "failed", roll["reason"]
    (lost,) = [vassal for vassal, entry in roll["vassals"].items() if entry["phase"] == "failed"]
    assert {entry["phase"] for vassal, entry in roll["vassals"].items() if vassal != lost} == {"pending"}
    assert roll["vassals"][lost]["failure"] == "probe"
    return str(lost)


def replace_hook(farm: Farm, *lines: str) -> None:
    """Another process is the hook, with the options that `lines` give."""
    pid = farm.status()["hook"]["pid"]
    farm.remove_vassal(HOOK)
    farm.add_hook(HOOK, layouts.trigger_line(farm.directory), *lines)
    eventually(lambda: farm.status()["hook"]["pid"] != pid and farm.status()["state"] != "starting", "another hook")


@pytest.mark.parametrize("tcp", [False, True])
def test_broken_deploys_in_a_row_are_held_at_the_canary_and_no_request_fails(
    start: Callable[[Layout], Farm], *, tcp: bool
) -> None:
    farm = start(Layout(apps=(App(vassals=3, load_seconds=0.3, tcp=tcp),)))
    with Client(farm) as client:
        farm.deploy("lazy")
        first = farm.roll_now()
        farm.deploy("failing")
        second = farm.roll_now()
        replace_hook(farm)
        farm.deploy("500-again")
        third = farm.roll_now()
        farm.deploy("new")
        last = farm.roll_now()
        client.stop()
    lost = assert_held(first)
    assert assert_held(second) == assert_held(third) == lost
    address = "127.0.0.1:" if tcp else f"{farm.directory}/run/app-1.sock"
    assert f"GET / with Host app.test at {address}" in second["reason"]
    assert "is answered with 500 Oops; the old code has answered with 200; see its log /" in second["reason"]
    assert last["result"] == "done", last["reason"]
    assert client.failed == []
    assert {answer.version for answer in client.answers} == {"old", "new"}


def test_an_application_that_never_answers_with_a_200_is_rolled(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(THREE,)))
    for version in ("404-a", "404-b", "301-a", "401-a", "400-a", "400-b", "400-c"):
        farm.deploy(version)
        roll = farm.roll_now()
        assert roll["result"] == "done", roll["reason"]
    said = "GET / with Host app.test is answered with 400 by the old code and by the new one"
    assert farm.log().count(said) == 1, "of the last three rolls, the first"


def test_old_code_that_fails_too_decides_nothing(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(THREE,), hook=("reload-hook-probe = none",)))
    farm.deploy("503-a")
    assert farm.roll_now()["result"] == "done", "none turns it off"
    replace_hook(farm)
    for version in ("503-b", "new", "200-b"):
        farm.deploy(version)
        roll = farm.roll_now()
        assert roll["result"] == "done", roll["reason"]
    farm.deploy("503-c")
    assert_held(farm.roll_now())


def test_only_the_key_whose_application_is_broken_is_held(start: Callable[[Layout], Farm]) -> None:
    blog = App(key="blog.test", vassals=2, load_seconds=0.3)
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.3), blog)))
    with Client(farm) as client:
        farm.deploy("new", "app")
        farm.deploy("lazy", "blog")
        roll = farm.roll_now()
        client.stop()
    assert roll["result"] == "failed"
    (lost,) = [vassal for vassal, entry in roll["vassals"].items() if entry["phase"] == "failed"]
    assert lost.startswith("blog-")
    assert client.failed == []


def test_a_vassal_is_asked_with_the_modifiers_of_its_node(start: Callable[[Layout], Farm]) -> None:
    """Modifier 100 leads to the application, as 5 does to a Perl one, and 0 to another plugin."""
    app = App(vassals=3, load_seconds=0.3, after_key=",100", lines=("remap-modifier = 0:100,173:0",))
    farm = start(Layout(apps=(app,), hook=("reload-hook-probe = /",)))
    with Client(farm) as client:
        farm.deploy("new")
        roll = farm.roll_now()
        assert roll["result"] == "done", roll["reason"]
        farm.deploy("failing")
        for _ in range(2):  # the second time its first vassal has no node
            assert_held(farm.roll_now())
        client.stop()
    assert client.failed == []


@pytest.mark.parametrize(
    "lines",
    [
        ("http-socket = {run}/direct.sock",),
        ("socket = {run}/direct.sock", "protocol = http"),
        ("uwsgi-socket = {run}/direct.sock", "http-socket = {run}/other.sock"),
    ],
)
@pytest.mark.parametrize("probe", ["/", "auto"])
def test_a_vassal_without_a_router_is_asked_in_the_protocol_of_its_socket(
    start: Callable[[Layout], Farm], lines: tuple[str, ...], probe: str
) -> None:
    farm = start(Layout(apps=(App(vassals=2, load_seconds=0.1),), hook=(f"reload-hook-probe = {probe}",)))
    included = farm.directory / "configs" / "sockets.ini"
    included.write_text(layouts.ini([line.format(run=farm.directory / "run") for line in lines]))
    kept = layouts.app_ini(farm.directory, farm.layout.apps[0], "").splitlines()
    gone = ("[uwsgi]", "socket", "subscribe", "start-", "unsub", "hook-", "master-fifo")
    own = [line for line in kept if line and not line.startswith(gone)]
    farm.add_vassal("direct.ini", layouts.ini([*own, f"ini = {included}"]))
    eventually(lambda: (farm.vassal("direct.ini") or {}).get("accepting"), "direct.ini accepts")
    farm.deploy("new")
    roll = farm.roll_now()
    assert roll["result"] == "done", roll["reason"]
    assert roll["vassals"]["direct.ini"]["phase"] == "done"
    farm.deploy("failing")
    before = farm.roll()
    (farm.trigger).write_text("only=direct.ini\n")
    roll = farm.wait_result(before)
    assert roll["result"] == "failed", roll["reason"]
    assert f"at {farm.directory}/run/direct.sock is answered with 500 Oops" in roll["reason"]


@pytest.mark.parametrize("lines", [(), ("socket = 127.0.0.1:0",), ("threads = 2", "enable-threads = true")])
def test_an_application_whose_start_page_hangs_is_rolled_as_if_nobody_had_asked(
    start: Callable[[Layout], Farm], lines: tuple[str, ...]
) -> None:
    tcp = "socket = 127.0.0.1:0" in lines
    app = App(vassals=3, load_seconds=0.3, tcp=tcp, lines=() if tcp else lines)
    farm = start(Layout(apps=(app,), hook=("reload-hook-timeout = 30",)))
    with Client(farm, path="/other") as client:
        for version in ("hanging-a", "hanging-b", "hanging-c", "new"):
            farm.deploy(version)
            if version == "hanging-a":
                replace_hook(farm, "reload-hook-probe = none", "reload-hook-timeout = 30")
                assert farm.roll_now()["result"] == "done"
                replace_hook(farm, "reload-hook-timeout = 30")
                continue
            roll = farm.roll_now()
            assert roll["result"] == "done", roll["reason"]
        client.stop()
    assert client.failed == []
    assert "NO MERCY" not in farm.log()
    assert farm.log().count("is ended, because it hung in the hook's probe and nothing else") == 3


def test_new_code_whose_start_page_hangs_is_held_and_gets_no_request(start: Callable[[Layout], Farm]) -> None:
    farm = start(Layout(apps=(THREE,), hook=("reload-hook-timeout = 6",)))
    with Client(farm, path="/other") as client:
        farm.deploy("hanging")
        roll = farm.roll_now()
        farm.deploy("new")
        last = farm.roll_now()
        client.stop()
    assert_held(roll)
    assert f"has not answered the probe, GET / with Host app.test at {farm.directory}/run/app-1.sock" in roll["reason"]
    assert last["result"] == "done", last["reason"]
    assert client.failed == []
    assert {answer.version for answer in client.answers} <= {"old", "new", "hanging"}
    unproven = [answer.start for answer in client.answers if answer.version == "hanging"]
    # Its own announcement may be in the router for the milliseconds until the hook's next look.
    assert all(start < roll["finished"] for start in unproven)
    assert len(unproven) < len(client.answers) / 100


def test_a_probe_answered_with_a_400_names_the_host_the_log_and_what_to_set(
    start: Callable[[Layout], Farm],
) -> None:
    app = App(vassals=2, load_seconds=0.1, lines=("logto = ../app/%n.log",))
    farm = start(Layout(apps=(app,), hook=("reload-hook-probe = /",)))
    farm.deploy("400-a")
    reason = farm.roll_now()["reason"]
    assert "GET / with Host app.test at" in reason
    assert "reload-hook-probe = path=/,host=www.example.org" in reason
    assert reason.endswith(f"; see its log {farm.directory}/vassals/../app/app-1.log"), "with Emperor's directory first"
