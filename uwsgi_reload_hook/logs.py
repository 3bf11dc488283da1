"""Where the package's log goes."""

from __future__ import annotations

import logging
from typing import TextIO

__all__ = ["log_to"]


def log_to(stream: TextIO, *, quiet: bool = False) -> None:
    """Send the package's log to `stream`: a vassal's standard error is the Emperor's log."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(asctime)s [uwsgi-reload-hook] %(levelname)s %(message)s"))
    package = logging.getLogger("uwsgi_reload_hook")
    package.handlers[:] = [handler]
    package.propagate = False
    package.setLevel(logging.WARNING if quiet else logging.INFO)
