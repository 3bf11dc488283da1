"""What the README tells a newcomer to do is done here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from integration.example_site import EXAMPLES, ExampleSite

README = (Path(__file__).parent.parent / "README.md").read_text()
STATS, HOOK = re.findall(r"```ini\n(.*?)```", README, re.DOTALL)


def test_the_stats_lines_are_those_of_the_example() -> None:
    example = (EXAMPLES / "emperor.ini").read_text().replace("%(run)", "/run/uwsgi")
    assert set(STATS.splitlines()) <= set(example.splitlines())


def test_the_hook_of_the_five_minutes_rolls_and_tells_its_status() -> None:
    with ExampleSite(hook=HOOK) as site:
        site.deploy("new")
        assert site.roll_now()["roll"]["result"] == "done"
        command = [sys.executable, "-m", "uwsgi_reload_hook", "status", str(site.trigger)]
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    assert re.match(r"idle: hook pid \d+ in a mule, version \S+\nroll \S+: done\n", told), told
    assert re.search(r"^  app-1.ini +done +serves again$", told, re.MULTILINE), told
    assert "hook.ini   left alone: the hook's own vassal" in told


def test_make_knows_the_commands_that_the_readme_names() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in set(re.findall(r"`?make (demo|test|soak|bench)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
