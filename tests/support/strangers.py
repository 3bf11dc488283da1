"""A user without any privilege, who owns a directory that root's hook uses."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.children import python

__all__ = ["STRANGER", "acts", "own_directory", "stranger", "waiting_stranger"]

STRANGER = 65534
"""Uid and gid; Debian's nobody and nogroup."""

BECOME = f"""
import json, os, resource, socket, sys
directory, arguments = sys.argv[1], json.loads(sys.argv[2])
os.setgroups([])
os.setgid({STRANGER})
os.setuid({STRANGER})
os.chdir(directory)
"""


READY = """
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """A directory of the stranger's; pytest's own cannot be entered by others."""
    directory = Path(tempfile.mkdtemp(prefix="urh-"))
    try:
        os.chown(directory, STRANGER, STRANGER)
        directory.chmod(0o755)
        yield directory
    finally:
        shutil.rmtree(directory)


@contextlib.contextmanager
def stranger(script: str, directory: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script as the stranger, in a directory; it has `arguments`, as texts, which its command line shows too."""
    texts = [str(one) for one in arguments]
    with python("-c", BECOME + script, str(directory), json.dumps(texts), *texts) as child:
        yield child


def acts(script: str, directory: Path, *arguments: object) -> None:
    """Run a script as the stranger, to its end."""
    with stranger(script, directory, *arguments) as child:
        _, err = child.communicate()
        assert child.returncode == 0, err


@contextlib.contextmanager
def waiting_stranger(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a script as the stranger, who has run it when this returns, and then waits to be ended."""
    given = "sys.argv[1:] = arguments\n"
    with stranger(given + script + READY, Path("/"), *arguments) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
