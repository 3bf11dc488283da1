"""What the README and docs/ tell a newcomer to do is done here."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.commands import environment
from integration.example_site import EXAMPLES, ExampleSite
from integration.waiting import eventually
from tests.support.documents import PAGES, ROOT, block, commands, text

if TYPE_CHECKING:
    from subprocess import CompletedProcess

README, HOMES, OPERATING = "README.md", "docs/homes.md", "docs/operating.md"
COMMAND = "$ /srv/site/venv/bin/uwsgi-reload-hook"
STATS = block(README, "emperor-stats-server = /run/uwsgi/emperor.stats")
HOOK = block(README, "mule = uwsgi_reload_hook.mule:run")
TOUCH = "$ touch /var/lib/uwsgi/reload"
PATCHES = ("unprivileged", "privileged")


def run(site: ExampleSite, command: str) -> CompletedProcess[str]:
    """Runs a command of a page in a shell, with this site's directories in place of the system's."""
    words = ["/bin/sh", "-c", site.placed(command)]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=environment())


def lines_of(example: str) -> set[str]:
    """The lines of an example, its placeholders filled in."""
    found = (EXAMPLES / example).read_text()
    for name, value in re.findall(r"^set-placeholder = (etc|run|site)=(.*)$", found, re.MULTILINE):
        found = found.replace(f"%({name})", value)
    return set(found.splitlines())


def test_the_stats_lines_are_those_of_the_example() -> None:
    assert set(STATS.splitlines()) <= lines_of("emperor.ini")


def test_the_five_minutes_roll_and_their_commands_tell_what_the_readme_shows() -> None:
    touch, status = commands(README, TOUCH)
    with ExampleSite(vassals=2, hook=HOOK) as site:
        waits = f"waits for {site.trigger} to be touched"
        assert waits in site.log_tail(1000)
        site.deploy("new")
        assert run(site, touch).returncode == 0
        roll = eventually(lambda: found if (found := site.status()["roll"]) and found["result"] else None, "a roll", 60)
        told = run(site, status)
    assert roll["result"] == "done"
    assert (told.returncode, told.stderr) == (0, "")
    assert without_numbers(told.stdout) == without_numbers(shown(README, TOUCH))


def shown(page: str, line: str) -> str:
    """What a block shows a command to print."""
    return "".join(f"{one}\n" for one in block(page, line).splitlines() if not one.startswith("$ "))


def without_numbers(output: str) -> str:
    return re.sub(r"(pid|version|roll) [\d.-]+", r"\1 N", output)


def test_the_mule_of_homes_is_that_of_the_five_minutes() -> None:
    assert block(HOMES, "processes = 0") == HOOK


@pytest.mark.parametrize("patch", PATCHES)
def test_the_python_vassals_of_homes_roll(patch: str) -> None:
    line = f"{patch}-binary-patch-arg = exec /srv/site/venv/bin/python -m uwsgi_reload_hook vassal"
    with ExampleSite(vassals=2, home="vassal", hook=block(HOMES, line)) as site:
        site.deploy("new")
        status = site.roll_now()
    assert status["roll"]["result"] == "done"
    assert status["hook"]["mode"] == "vassal"


def test_the_lines_for_the_emperors_instance_are_those_of_the_example() -> None:
    lines = block(HOMES, "set-placeholder = reload-hook-trigger=/var/lib/uwsgi/reload").splitlines()
    assert set(lines) <= lines_of("emperor-with-hook.ini")


def test_the_commands_of_the_pages_roll_with_a_hook_and_without() -> None:
    (trigger,) = commands(OPERATING, f"{COMMAND} trigger --wait /var/lib/uwsgi/reload")
    (reload,) = commands(HOMES, f"{COMMAND} reload \\")
    with ExampleSite(vassals=2) as site:
        site.deploy("new")
        waited = run(site, trigger)
        with_hook = run(site, reload)
        hook = site.directory / "etc/uwsgi/vassals/hook.ini"
        hook.unlink()
        emperor = site.directory / "run/uwsgi/emperor.stats"
        eventually(lambda: len(stats.read(emperor)["vassals"]) == len(site.vassals), "the hook gone", 30)
        before = site.workers()
        alone = run(site, reload)
        after = site.workers()
    assert waited.returncode == 0, waited.stderr
    assert re.search(r"^app-1.ini: done: serves again$", waited.stdout, re.MULTILINE), waited.stdout
    assert waited.stdout.endswith("done: 2 of 2 vassals reloaded\n")
    assert "asks the hook that runs here" in with_hook.stderr
    assert "asks the hook" not in alone.stderr
    for told in (with_hook, alone):
        assert (told.returncode, sorted(told.stdout.splitlines())) == (0, ["app-1: reloaded", "app-2: reloaded"])
    assert all(workers.isdisjoint(before[vassal]) for vassal, workers in after.items())


def test_make_knows_the_commands_that_the_pages_name() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {target for page in PAGES for target in re.findall(r"(?:`|\$ )make (\w+)", text(page))}
    assert named >= {"demo", "test", "soak", "bench"}
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
