from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from uwsgi_reload_hook.site.hook_vassals import HookVassals, is_hook_config
from uwsgi_reload_hook.uwsgi.stats import VassalStats

ENTRY = VassalStats("a.ini", 7, 0, 100, False, 0, False, False, "", "")


@pytest.mark.parametrize(
    "line",
    [
        "reload-hook-trigger = /srv/reload",
        "set-ph = reload-hook-trigger=/srv/reload",
        "mule = uwsgi_reload_hook.mule:run",
        "import = uwsgi_reload_hook.mule",
        "unprivileged-binary-patch-arg = exec /srv/venv/bin/python -m uwsgi_reload_hook vassal",
        "privileged-binary-patch-arg = exec /srv/venv/bin/uwsgi-reload-hook vassal --trigger x",
        "  reload-hook-trigger: /srv/reload",
    ],
)
def test_a_hooks_config_is_known_in_every_home(line: str) -> None:
    assert is_hook_config(f"[uwsgi]\nmaster = true\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        "; reload-hook-trigger = /srv/reload",
        "  ; reload-hook-trigger = /srv/reload",
        "# mule = uwsgi_reload_hook.mule:run",
        "pythonpath = /srv/uwsgi_reload_hook",
        "touch-reload = /srv/reload",
        "mule = mine.py",
    ],
)
def test_an_applications_config_is_none_of_a_hook(line: str) -> None:
    assert not is_hook_config(f"[uwsgi]\n{line}\nwsgi-file = app.py\n")


def test_a_config_counts_as_it_was_at_the_start_of_its_vassal(tmp_path: Path) -> None:
    config, hooks = tmp_path / "a.ini", HookVassals()
    config.write_text("[uwsgi]\n")
    assert hooks.exclusion(ENTRY, str(config)) == ""
    config.write_text("[uwsgi]\nreload-hook-trigger = x\n")
    assert hooks.exclusion(ENTRY, str(config)) == ""
    assert hooks.exclusion(replace(ENTRY, last_run=101), str(config)) == "a hook's vassal"


def test_a_config_that_cannot_be_read_is_that_of_a_vassal(tmp_path: Path) -> None:
    assert HookVassals().exclusion(ENTRY, str(tmp_path / "missing.ini")) == ""
