"""The README's table of options against the options."""

from __future__ import annotations

import re
from pathlib import Path

from uwsgi_reload_hook.settings import OPTIONS, parse

README = (Path(__file__).parent.parent / "README.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+?) \|", README, re.MULTILINE))
SAID_OTHERWISE = {"trigger": "required", "state-directory": "the trigger's", "probe": "none"}


def test_every_option_is_in_the_table_with_its_default() -> None:
    defaults = parse({"trigger": ["x"]})
    for name, option in OPTIONS.items():
        assert name in ROWS, f"{name} is missing in the README"
        default = getattr(defaults, option.attribute)
        expected = SAID_OTHERWISE.get(name) or ("found" if default in {None, ()} else f"`{_written(default)}`")
        assert ROWS[name] == expected, name


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return str(default[0])
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_table_names_no_option_that_is_none() -> None:
    named = {name for name in ROWS if name not in {"done", "failed", "timed-out", "refused", "interrupted"}}
    assert named == set(OPTIONS)
