from __future__ import annotations

import pytest

from uwsgi_reload_hook.uwsgi.percent import lost_percents

MINIMUM = "reload-hook-minimum-active-vassals"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(f"{MINIMUM} = 50%\n\n", f"{MINIMUM} = 50%", id="before an empty line"),
        pytest.param(f"{MINIMUM} = 50%\n", f"{MINIMUM} = 50%", id="before the end of the file"),
        pytest.param(f"{MINIMUM} = 50%", f"{MINIMUM} = 50%", id="at the very end"),
        pytest.param(f"{MINIMUM} = 50% \n", f"{MINIMUM} = 50%", id="before a space"),
        pytest.param(f"{MINIMUM} = 50%%%\n\n", f"{MINIMUM} = 50%%%", id="the odd one of three"),
        pytest.param(f"set-ph = {MINIMUM}=50%\n", f"set-ph = {MINIMUM}=50%", id="a placeholder"),
        pytest.param(f"  {MINIMUM}: 50%\n", f"{MINIMUM}: 50%", id="in yaml"),
        pytest.param(f"; half, 50%\n{MINIMUM} = 2\n", "; half, 50%", id="a comment that swallows an option"),
        pytest.param(f"env = A=9%\n{MINIMUM} = 2\n", "env = A=9%", id="another line that swallows an option"),
        pytest.param("reload-hook-probe = /a%zb\n", "reload-hook-probe = /a%zb", id="before a letter without meaning"),
        pytest.param("env = UWSGI_RELOAD_HOOK_MINIMUM_ACTIVE_VASSALS=5%\n",
                     "env = UWSGI_RELOAD_HOOK_MINIMUM_ACTIVE_VASSALS=5%", id="in the environment"),
    ],
)  # fmt: skip
def test_a_single_percent_sign_is_found(text: str, line: str) -> None:
    assert lost_percents(text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        f"{MINIMUM} = 50%%\n",
        f"{MINIMUM} = 50%%",
        "reload-hook-trigger = /srv/%n/%c/reload\n",
        "reload-hook-trigger = %(site)/reload\n",
        f"; {MINIMUM} = 50% of them\n\n",
        "log-format = %a\nmaster = true\n",
        f"log-format = 5%\n\n{MINIMUM} = 2\n",
        "",
    ],
)
def test_a_percent_sign_that_changes_no_option_of_the_hook_is_left_alone(text: str) -> None:
    assert lost_percents(text) == []
