"""What a hook reads in its own config beside its options."""

from __future__ import annotations

import re
from pathlib import Path

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.uwsgi.percent import lost_percents

__all__ = ["command_lines", "refuse_lost_percents"]

_COMMAND = re.compile(r"(?:un)?privileged-binary-patch-arg\b|(?:set-placeholder|set-ph|set)\b(?!.*reload-hook-)")


def refuse_lost_percents(config: str) -> None:
    """Raise ConfigError where uWSGI drops a percent sign of an option, because the option then means something else."""
    text = _text(config)
    if lost := lost_percents(text or ""):
        raise ConfigError(
            f"{config} has a single % in the line `{lost[0]}`, which uWSGI drops with the character after it, even a "
            "line break: write %% there, as in reload-hook-minimum-active-vassals = 50%%"
        )


def command_lines(config: str) -> list[str] | None:
    """The lines of a config that say by which command it replaces uWSGI; None = it cannot be read."""
    text = _text(config)
    if text is None:
        return None
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if _COMMAND.match(line)]


def _text(config: str) -> str | None:
    try:
        return Path(config).read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
