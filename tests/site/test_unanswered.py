from __future__ import annotations

import pytest

from uwsgi_reload_hook.option_sources import as_flags
from uwsgi_reload_hook.site.unanswered import no_emperor, no_router

ROUTER = {"fastrouter": ["/r.sock"], "fastrouter-stats-server": ["/r.stats"]}


def test_a_router_that_is_set_and_silent_is_told_from_one_that_is_not_set() -> None:
    silent, statless, missing = no_router(ROUTER, ""), no_router({"fastrouter": ["/r.sock"]}, ""), no_router({}, "")
    assert silent.startswith(
        "the Emperor's config sets fastrouter-stats-server = /r.stats, but no router answers there"
    )
    assert "put plugin = fastrouter above its options" in silent
    assert statless.startswith("the Emperor's config sets fastrouter, but no fastrouter-stats-server; set that beside")
    assert missing.startswith("no router's stats socket was found in the Emperor's process tree; set fastrouter-stats")


@pytest.mark.parametrize("plugins", [{"plugin": ["fastrouter"]}, {"plugins": ["python3,fastrouter"]}])
def test_a_plugin_that_is_there_is_not_advised(plugins: dict[str, list[str]]) -> None:
    assert "plugin" not in no_router({**ROUTER, **plugins}, "")


def test_an_emperor_that_is_set_and_silent_is_told_from_one_that_is_not_set() -> None:
    silent = no_emperor({"emperor-stats": ["/e.stats"]})
    assert silent.startswith("the Emperor's config sets emperor-stats-server = /e.stats, but no Emperor answers there")
    assert no_emperor({}).startswith("the Emperor's stats socket was not found; set emperor-stats-server")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("reload-hook-timeout = soon: not accepted", "--timeout soon: not accepted"),
        ("set reload-hook-emperor-stats-socket to it", "set --emperor-stats-socket to it"),
        ("by reload-hook-fastrouter-stats-socket in the hook's config", "by --fastrouter-stats-socket"),
        ("uwsgi-reload-hook: no key", "uwsgi-reload-hook: no key"),
    ],
)
def test_a_shell_is_told_of_flags_and_not_of_keys(text: str, flags: str) -> None:
    assert as_flags(text) == flags
