"""The Emperor adds the application's lines to every config (`vassals-include`), the hook's own too."""

from __future__ import annotations

import pytest

from integration import layout as layouts
from integration.client import Client
from integration.farm import Farm
from integration.layout import App, Layout
from integration.mid_roll import live, wait_answers
from integration.waiting import eventually

APP = App(vassals=2, load_seconds=0.2)
IMMUNE = ("start-unsubscribed = true", "cheap = true")


class SharedFarm(Farm):
    """The vassals' own configs have a socket and what comes from their names; all else is in an included one."""

    own: tuple[str, ...] = (
        "socket =",
        "master-fifo =",
        "hook-accepting1-once =",
        "start-unsubscribed =",
        "env = VASSAL",
        "[uwsgi]",
    )
    """How the lines begin that stay in the vassals' configs."""
    extra: tuple[str, ...] = ()
    """Lines that are included, too."""

    def _write_configs(self) -> None:
        super()._write_configs()
        lines = layouts.app_ini(self.directory, APP, self.subscription_server).splitlines()
        own = [line for line in lines if line.startswith(self.own)]
        (self.directory / "common.ini").write_text(
            layouts.ini([line for line in lines if line and line not in own] + [*self.extra])
        )
        (self.directory / "configs" / "app.ini").write_text("\n".join([*own, ""]))

    def _instance_ini(self) -> str:
        return f"{super()._instance_ini()}vassals-include = {self.directory}/common.ini\n"


class WorkerlessFarm(SharedFarm):
    """The number of workers is in the vassals' own configs: the hook's `processes = 0` holds, and it is announced."""

    own = (*SharedFarm.own, "processes =")


def lines_of_hook(*lines: str) -> Layout:
    # Without VASSAL the application cannot be imported: it is the same in each, so the hook's config has one, too.
    return Layout(apps=(APP,), hook=("env = VASSAL=hook", *lines))


@pytest.mark.parametrize("kind", [SharedFarm, WorkerlessFarm])
def test_a_hook_with_the_lines_of_the_readme_serves_no_request(kind: type[Farm]) -> None:
    with kind(lines_of_hook(*IMMUNE)) as farm, Client(farm) as client:
        wait_answers(client)
        farm.deploy("new")
        roll = farm.roll_now()
        wait_answers(client)
        client.stop()
        assert roll["result"] == "done", roll["reason"]
        assert client.failed == []
        assert "hook" not in {answer.vassal for answer in client.answers}
        assert "the hook's own vassal announces itself" not in farm.log()


def are_subscribed(farm: Farm) -> bool:
    """Whether both application vassals are, whoever else is."""
    try:
        return {"app-1.ini", "app-2.ini"} <= live(farm)
    except OSError:  # the router starts
        return False


class AnyFarm(SharedFarm):
    """The hook's own vassal may be announced, too."""

    def wait_subscribed(self, seconds: float = 60.0) -> None:
        eventually(lambda: are_subscribed(self), "both subscribed", seconds)


def test_a_hook_that_serves_the_application_says_so_and_harms_nobody() -> None:
    with AnyFarm(lines_of_hook()) as farm, Client(farm) as client:
        eventually(lambda: "hook.ini" in live(farm), "the hook's own vassal is announced")
        wait_answers(client)
        farm.deploy("new")
        roll = farm.roll_now()
        wait_answers(client)
        client.stop()
        assert roll["result"] == "done", roll["reason"]
        assert client.failed == []
        said = "the hook's own vassal announces itself to a router (subscribe-to = "
        assert said in farm.log()
        assert "add to the hook's config: start-unsubscribed = true and cheap = true" in farm.log()


class AnyWorkerlessFarm(WorkerlessFarm):
    """The same, without workers for the hook."""

    def wait_subscribed(self, seconds: float = 60.0) -> None:
        eventually(lambda: are_subscribed(self), "both subscribed", seconds)


def test_a_hook_without_workers_that_is_announced_leaves_the_router() -> None:
    with AnyWorkerlessFarm(lines_of_hook()) as farm:
        eventually(lambda: "hook.ini" not in live(farm), "the hook's own vassal is out")
        with Client(farm) as client:
            wait_answers(client)
            roll = farm.roll_now()
            wait_answers(client, 200)
        assert roll["result"] == "done", roll["reason"]
        assert client.failed == []
        assert "hook.ini, the hook's own vassal, has no worker: it is taken out of the router" in farm.log()
        assert "add to the hook's config: start-unsubscribed = true" in farm.log()
