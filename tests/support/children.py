"""Child processes for tests: killed when the `with` block ends, and when they hang."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import uwsgi_reload_hook

__all__ = ["python", "waits"]

PATIENCE = 30.0
"""Seconds that a child may live: one that hangs must not hang its test."""
PACKAGE = str(Path(uwsgi_reload_hook.__file__).parents[1])


@contextlib.contextmanager
def python(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    path: Sequence[Path] = (),
    cwd: Path | None = None,
    keeps: Sequence[int] = (),
) -> Iterator[subprocess.Popen[str]]:
    """Start Python with the package, and `path` before it, to import from.

    `environment` is all that it is given, but for where its own libraries are. It inherits the descriptors `keeps`.
    """
    variables = dict(os.environ) if environment is None else dict(environment)
    if libraries := os.environ.get("LD_LIBRARY_PATH"):
        variables["LD_LIBRARY_PATH"] = libraries
    variables["PYTHONPATH"] = os.pathsep.join([*map(str, path), PACKAGE])
    with subprocess.Popen(  # noqa: S603 - the interpreter of the tests
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
        cwd=cwd,
        pass_fds=keeps,
    ) as child:
        limit = threading.Timer(PATIENCE, child.kill)
        limit.start()
        try:
            yield child
        finally:
            limit.cancel()
            limit.join()
            child.kill()


@contextlib.contextmanager
def waits(environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Start a child that waits for its standard input to end, and has started when this returns."""
    script = "import sys; print('ready', flush=True); sys.stdin.read()"
    with python("-c", script, environment=environment, cwd=cwd) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
