"""The only place that imports `uwsgi` and `uwsgidecorators`, and only inside functions: elsewhere there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

__all__ = ["in_master", "options", "register_mule"]


def options() -> Mapping[str, object]:
    """Every key of the instance's config and command line, as bytes, True, or lists of them."""
    import uwsgi  # noqa: PLC0415

    return {_decoded(key): value for key, value in uwsgi.opt.items()}


def _decoded(key: str | bytes) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else key


def in_master() -> bool:
    """Whether this is a uWSGI instance's first process, before it has forked: where `import = …` runs."""
    if "uwsgi" not in sys.modules:
        return False
    import uwsgi  # noqa: PLC0415

    return uwsgi.mule_id() == 0 and uwsgi.worker_id() == 0


def register_mule(function: Callable[[], None]) -> None:
    """Have the first mule run `function`. Raises Exception (uwsgidecorators' own) where there is no master."""
    from uwsgidecorators import mule  # noqa: PLC0415

    mule(1)(function)
