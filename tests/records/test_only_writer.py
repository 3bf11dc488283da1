"""files.py is the only module of the package that creates, writes, renames or removes files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import uwsgi_reload_hook

PACKAGE = Path(uwsgi_reload_hook.__file__).parent
HOME = "records/files.py"
ELSEWHERE = {
    ("site/actuator.py", "touch"): "calls that of vassal_config.py",
    ("cli.py", "touch"): "calls follow.touch",
    ("homes/oneshot.py", "touch"): "calls follow.touch",
    ("demo/site.py", "touch"): "calls follow.touch",
    ("demo/__init__.py", "touch"): "calls the site's, which calls follow.touch",
    ("client/follow.py", "touch"): "calls that of files.py",
    ("site/vassal_config.py", "utime"): "sets the mtime of a config, which is the work of the hook; no content changes",
    ("site/vassal_config.py", "os.open"): "opens what exists: to read, or as the FIFO of a vassal's master, to wake it",
    ("records/directories.py", "os.open"): "opens what exists, with the flags of files.py",
    ("demo/__init__.py", "mkdtemp"): "the demo's own directory, which nobody else can enter",
    ("demo/__init__.py", "rmtree"): "the same, at the end",
}
CHANGES = {
    *("write_text", "write_bytes", "touch", "mkdir", "makedirs", "rename", "renames", "unlink", "rmdir", "removedirs"),
    *("rmtree", "symlink", "symlink_to", "link_to", "hardlink_to", "chmod", "fchmod", "lchmod", "chown"),
    *("fchown", "lchown", "utime", "truncate", "ftruncate", "mkfifo", "mknod", "mkdtemp", "mkstemp"),
    *("TemporaryDirectory", "TemporaryFile", "NamedTemporaryFile", "pwrite"),
    *("FileHandler", "RotatingFileHandler", "WatchedFileHandler", "sendfile", "setxattr"),
}
CHANGES_OF_OS = {"replace", "remove", "link", "move", "copy", "copy2", "copyfile", "copytree"}
READING = {
    "os.O_RDONLY",
    "os.O_DIRECTORY",
    "os.O_CLOEXEC",
    "os.O_NOFOLLOW",
    "os.O_NONBLOCK",
    "os.O_PATH",
    "os.O_NOCTTY",
}
READING_MODES = {"r", "rb", "rt"}


def writes(source: str) -> Iterator[tuple[str, int]]:
    """Each call that may change a file: what it is, and its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (found := _kind(node)):
            yield found, node.lineno


def _kind(call: ast.Call) -> str:
    owner, _, name = ast.unparse(call.func).rpartition(".")
    if name in CHANGES or (name in CHANGES_OF_OS and owner in {"os", "shutil"}):
        return name
    if name == "replace" and owner not in {"", "dataclasses"} and len(call.args) == 1:
        return name  # of a path: a text's has two arguments
    if (owner, name) == ("os", "open"):
        flags = {flag.strip() for flag in ast.unparse(call.args[1]).split("|")}
        return "" if flags <= READING else "os.open"
    if name in {"open", "fdopen"}:
        return "" if _mode(call, 1 if owner in {"", "io", "os"} else 0) in READING_MODES else "open"
    return ""


def _mode(call: ast.Call, place: int) -> str:
    given = [one.value for one in call.keywords if one.arg == "mode"] + call.args[place : place + 1]
    if not given:
        return "r"
    return given[0].value if isinstance(given[0], ast.Constant) and isinstance(given[0].value, str) else "?"


def modules() -> list[str]:
    return sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def test_no_other_module_writes() -> None:
    found = {
        (module, kind): line
        for module in modules()
        if module != HOME
        for kind, line in writes((PACKAGE / module).read_text())
    }
    assert {place: line for place, line in found.items() if place not in ELSEWHERE} == {}
    assert set(ELSEWHERE) - set(found) == set(), "each exception is one"


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')", "open(path, mode)", "path.open('a')", "path.open(mode='x')", "io.open(path, 'r+')",
        "os.fdopen(number, 'wb')", "path.write_text(text)", "path.touch()", "path.replace(other)", "os.replace(a, b)",
        "os.open(path, os.O_WRONLY)", "os.open(path, os.O_RDONLY | os.O_CREAT)", "os.open(path, flags)",
        "os.open(path, os.O_RDONLY | flags)", "os.open(path, 1)", "os.unlink(path)", "path.unlink()", "os.remove(path)",
        "path.mkdir()", "tempfile.mkstemp()", "logging.FileHandler(path)",
    ],
)  # fmt: skip
def test_a_write_is_seen(code: str) -> None:
    assert len(list(writes(code))) == 1


@pytest.mark.parametrize(
    "code",
    ["open(path)", "open(path, 'rb')", "path.open()", "path.open(encoding='utf-8')", "text.replace('a', 'b')",
     "os.open(path, os.O_RDONLY | os.O_DIRECTORY)", "names.remove(name)", "dataclasses.replace(roll, a=1)"],
)  # fmt: skip
def test_what_is_no_write_is_none(code: str) -> None:
    assert list(writes(code)) == []
