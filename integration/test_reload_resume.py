"""A `reload` that is killed in the middle of its roll, and what the next one makes of it."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from integration import stats
from integration.client import Client, fetch
from integration.commands import Command, sockets
from integration.farm import Farm
from integration.layout import App, Layout
from integration.mid_roll import held, refs
from integration.processes import since_boot
from integration.waiting import eventually
from integration.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

APP = App(vassals=4, load_seconds=0.3)
RELOADED = [f"app-{number}: reloaded" for number in (1, 2, 3, 4)]
MINIMUM = 2
SLOW = 2.0
"""Seconds of a request that keeps its vassal draining."""


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    """No hook lives here."""
    with Farm(Layout(apps=(APP,), hook=None)) as farm:
        yield farm


@pytest.fixture
def journal(farm: Farm, state_home: Path) -> Path:
    """The journal of this user's reloads of the farm."""
    return state_home / "uwsgi-reload-hook" / f"{quote(str(farm.vassals), safe='')}.journal"


@contextmanager
def reload(farm: Farm, *more: str) -> Iterator[Command]:
    command = Command("reload", *sockets(farm.directory), f"--minimum-active-vassals={MINIMUM}", *more)
    try:
        yield command
    finally:
        command.end()


def live(farm: Farm) -> int:
    return len(stats.live_nodes(farm.router()).get("app.test", set()))


def respawns(farm: Farm) -> dict[str, int]:
    return {vassal: entry["respawns"] for vassal, entry in farm.vassal_stats().items()}


@contextmanager
def busy(farm: Farm) -> Iterator[None]:
    """Keeps each vassal at a slow request for a while."""
    requests = [
        threading.Thread(target=fetch, args=(farm.http_port, "app.test", f"/slow?seconds={SLOW}"))
        for _ in range(APP.vassals)
    ]
    for request in requests:
        request.start()
    try:
        eventually(lambda: refs(farm) == [1] * APP.vassals, "each with a request in flight")
        yield
    finally:
        for request in requests:
            request.join()


def touched(farm: Farm, before: dict[str, int]) -> int:
    """How many vassals were reloaded, or are being reloaded, since `before`."""
    return sum(count > before[vassal] for vassal, count in respawns(farm).items())


def killed_when_the_canary_is_drained(farm: Farm) -> list[str]:
    with busy(farm), reload(farm) as command:
        eventually(lambda: live(farm) < APP.vassals, "a vassal drained")
        return kill(command)


def killed_when_the_canary_restarts(farm: Farm) -> list[str]:
    before = respawns(farm)
    with held(farm), reload(farm) as command:
        eventually(lambda: touched(farm, before) == 1, "a vassal touched")
        return kill(command)


def killed_when_the_rest_restarts(farm: Farm) -> list[str]:
    before = respawns(farm)
    with reload(farm) as command, ExitStack() as hold:
        eventually(lambda: command.lines, "the canary reloaded")
        hold.enter_context(held(farm))
        eventually(lambda: touched(farm, before) == APP.vassals - 1, "two more touched")
        return kill(command)


def kill(command: Command) -> list[str]:
    """Kills it, and returns what it has said."""
    command.process.kill()
    assert command.wait() == -signal.SIGKILL
    assert command.complaints == []
    return command.lines


MOMENTS = [killed_when_the_canary_is_drained, killed_when_the_canary_restarts, killed_when_the_rest_restarts]


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_reload_restores_what_was_out_of_service_and_rolls_all(
    farm: Farm, journal: Path, moment: Callable[[Farm], list[str]]
) -> None:
    version = f"after-{moment.__name__}"
    with Watcher(farm) as watcher:
        moment_lines = moment(farm)
        assert journal.exists()
        with Client(farm) as client:
            farm.deploy(version)
            since = since_boot()
            with reload(farm) as command:
                assert command.wait() == 0, command.said
        assert client.failed == []
        with Client(farm) as later:
            eventually(lambda: len(later.answers) > 10 * APP.vassals, "answers of the new version")
        sighting = watcher.stop()
    assert len(moment_lines) < APP.vassals
    assert sorted(command.lines) == RELOADED
    (complaint,) = command.complaints
    assert "was not finished: its vassals out of service are brought back first" in complaint
    assert {answer.version for answer in later.answers} == {version}
    assert all(worker.created >= since for workers in farm.workers().values() for worker in workers)
    assert live(farm) == APP.vassals
    assert sighting.minimum() >= MINIMUM, sighting
    assert not journal.exists()


@pytest.mark.parametrize("moment", MOMENTS)
def test_with_resume_each_vassal_is_reloaded_once_by_the_two_of_them(
    farm: Farm, journal: Path, moment: Callable[[Farm], list[str]]
) -> None:
    before, since = respawns(farm), since_boot()
    with Watcher(farm) as watcher:
        said = moment(farm)
        with Client(farm) as client, reload(farm, "--resume") as command:
            assert command.wait() == 0, command.said
        sighting = watcher.stop()
    assert client.failed == []
    assert sorted(said + command.lines) == RELOADED
    assert respawns(farm) == {vassal: count + 1 for vassal, count in before.items()}
    assert all(worker.created >= since for workers in farm.workers().values() for worker in workers)
    assert live(farm) == APP.vassals
    assert sighting.minimum() >= MINIMUM, sighting
    assert not journal.exists()


def test_under_load_from_before_the_kill_to_the_end(farm: Farm) -> None:
    with Watcher(farm) as watcher, Client(farm) as client:
        killed_when_the_rest_restarts(farm)
        with reload(farm) as command:
            assert command.wait() == 0, command.said
        client.stop()
        sighting = watcher.stop()
    assert client.failed == []
    assert sighting.minimum() >= MINIMUM, sighting


@pytest.mark.parametrize("left", ["half", "", '{"schema": 99}'])
def test_a_journal_that_cannot_be_used_is_set_aside_and_everybody_rolled(farm: Farm, journal: Path, left: str) -> None:
    killed_when_the_canary_restarts(farm)
    journal.write_text(journal.read_text()[:20] if left == "half" else left)
    with reload(farm) as command:
        assert command.wait() == 0, command.said
    assert sorted(command.lines) == RELOADED
    (complaint,) = command.complaints
    assert f"the journal {journal} cannot be used" in complaint
    assert journal.with_name(f"{journal.name}.unusable").exists()
    assert live(farm) == APP.vassals


def test_with_nothing_unfinished_resume_makes_no_roll(farm: Farm) -> None:
    before = respawns(farm)
    with reload(farm, "--resume") as command:
        assert command.wait() == 0
    assert (command.lines, respawns(farm)) == ([], before)
    assert "there is no unfinished roll to resume" in command.said


def test_without_a_place_for_the_journal_it_is_said_and_the_roll_made(
    farm: Farm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with reload(farm) as command:
        assert command.wait() == 0, command.said
    assert sorted(command.lines) == RELOADED
    (complaint,) = command.complaints
    assert "no journal is kept" in complaint
