"""Imports `uwsgi` and `uwsgidecorators`, inside functions, because they exist in a uWSGI process only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

from uwsgi_reload_hook.errors import ConfigError

__all__ = ["config_file", "in_master", "options", "register_mule", "workers"]


def options() -> Mapping[str, object]:
    """The options of the instance's config and command line. A value is bytes, True, or a list of them."""
    import uwsgi  # noqa: PLC0415

    return {_decoded(key): value for key, value in uwsgi.opt.items()}


def _decoded(key: str | bytes) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key


def config_file() -> str | None:
    """The path of the instance's first config file (its %P); None = it has none."""
    import uwsgi  # noqa: PLC0415

    path = uwsgi.magic_table.get(b"P")
    return os.fsdecode(path) if path else None


def workers() -> int:
    """How many workers the instance has."""
    import uwsgi  # noqa: PLC0415

    return int(uwsgi.numproc)


def in_master() -> bool:
    """Whether this is a uWSGI instance's first process before its forks, where `import = …` runs."""
    if "uwsgi" not in sys.modules:
        return False
    import uwsgi  # noqa: PLC0415

    return uwsgi.mule_id() == 0 and uwsgi.worker_id() == 0


def register_mule(function: Callable[[], None]) -> None:
    """Have the first mule run `function`. Raises ConfigError if uwsgidecorators cannot be imported."""
    try:
        from uwsgidecorators import mule  # noqa: PLC0415
    except ImportError as error:
        raise ConfigError(
            f"uwsgidecorators cannot be imported ({error}): it comes with uWSGI, with Debian's for the system's Python "
            "only; write mule = uwsgi_reload_hook.mule:run, in place of import and mule = true, to do without"
        ) from error

    mule(1)(function)
