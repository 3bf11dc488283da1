"""The owner of the trigger's directory, who is not root, against the hook, which is."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.build import a_roll
from tests.support.strangers import STRANGER, acts, own_directory, stranger
from uwsgi_reload_hook.client import follow
from uwsgi_reload_hook.planning.roll import Request, Result
from uwsgi_reload_hook.records.journal import Journal
from uwsgi_reload_hook.records.status import HookInfo, roll_document, status_document
from uwsgi_reload_hook.records.store import Store

ENDED = roll_document(a_roll(request=Request(1, message="; touch /hacked"), result=Result.DONE))
STATUS = status_document("idle", HookInfo(os.getpid(), "mule", "0.1", 1000.0), ENDED)
TRAPS = {
    "symlink": "os.symlink(arguments[1], arguments[0])",
    "dangling symlink": "os.symlink(arguments[1] + '.new', arguments[0])",
    "hard link": "os.link(arguments[1], arguments[0])",
    "FIFO": "os.mkfifo(arguments[0])",
}
FILES = ["trigger.status.json", "trigger.journal", "trigger.history.jsonl", "trigger.journal.unusable"]
GUESSED = [".trigger.status.json.PID", ".trigger.journal.PID", ".trigger.PID"]


@dataclass
class Victim:
    """A file of root's that is nobody's business, alone in its directory."""

    path: Path

    def __post_init__(self) -> None:
        self.path.write_text("umask 022\n")
        self.path.chmod(0o666)  # else the kernel may not let others link it (protected_hardlinks)
        self.before = self.now()

    def now(self) -> tuple[object, ...]:
        status = self.path.stat()
        return (
            self.path.read_text(),
            (status.st_mode, status.st_uid, status.st_ino, status.st_mtime_ns),
            os.listdir(self.path.parent),  # noqa: PTH208 - names
        )


@pytest.fixture
def directory() -> Iterator[Path]:
    with own_directory() as directory:
        yield directory


@pytest.fixture
def victim(directory: Path) -> Iterator[Victim]:
    with own_directory() as elsewhere:  # on the same file system, for hard links
        os.chown(elsewhere, 0, 0)
        victim = Victim(elsewhere / "profile")
        yield victim
        assert victim.now() == victim.before
    assert directory.exists()


def work(directory: Path) -> None:
    """Do all that a hook does with its files: start after another one, and make a roll."""
    store = Store(directory, "trigger")
    store.read_journal()
    store.last_roll()
    for _ in range(2):
        store.write_status(STATUS)
        store.write_journal(Journal((1, 2)))
        store.append_history(ENDED)


@pytest.mark.parametrize("name", [*FILES, *GUESSED])
@pytest.mark.parametrize("trap", list(TRAPS))
def test_no_file_of_root_is_written_through_a_trap_in_the_place_of_a_status_file(
    directory: Path, victim: Victim, trap: str, name: str
) -> None:
    acts(TRAPS[trap], directory, name.replace("PID", str(os.getpid())), victim.path)
    work(directory)
    assert json.loads((directory / "trigger.status.json").read_text()) == STATUS
    assert Store(directory, "trigger").read_journal() == Journal((1, 2))
    assert [json.loads(line) for line in (directory / "trigger.history.jsonl").read_text().splitlines()] == [ENDED] * 2
    for each in ("trigger.status.json", "trigger.journal", "trigger.history.jsonl"):
        status = (directory / each).lstat()
        assert stat.S_ISREG(status.st_mode)
        assert (status.st_uid, status.st_nlink) == (0, 1)


@pytest.mark.parametrize("trap", list(TRAPS))
def test_a_planted_history_is_set_aside_with_one_warning(
    directory: Path, victim: Victim, trap: str, caplog: pytest.LogCaptureFixture
) -> None:
    acts(TRAPS[trap], directory, "trigger.history.jsonl", victim.path)
    with caplog.at_level(logging.WARNING):
        work(directory)
    (line,) = caplog.messages
    assert f"{directory}/trigger.history.jsonl cannot be used (it " in line
    assert "set aside as trigger.history.jsonl.unusable" in line
    assert os.path.lexists(directory / "trigger.history.jsonl.unusable")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("trigger.status.json", lambda store: store.write_status(STATUS)),
        ("trigger.journal", lambda store: store.write_journal(Journal((1, 2)))),
        ("trigger.history.jsonl", lambda store: store.append_history(ENDED)),
    ],
)
def test_a_directory_in_the_place_of_a_file_is_set_aside_and_said_once(
    directory: Path, name: str, write: Callable[[Store], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Before: the file was never written, and `trigger --wait` saw no hook."""
    store = Store(directory, "trigger")
    for _ in range(2):
        acts("os.path.lexists(arguments[0]) and os.unlink(arguments[0]); os.mkdir(arguments[0])", directory, name)
        write(store)
        assert (directory / name).is_file()
        assert (directory / f"{name}.unusable").is_dir()
    (line,) = caplog.messages
    assert line.endswith(f"(Is a directory): set aside as {name}.unusable, a new one is begun")


def test_a_history_and_its_place_aside_that_are_one_file_are_no_way_out(directory: Path, victim: Victim) -> None:
    for name in ("trigger.history.jsonl", "trigger.history.jsonl.unusable"):
        acts(TRAPS["hard link"], directory, name, victim.path)
    work(directory)
    assert len((directory / "trigger.history.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("name", ["trigger.journal", "trigger.history.jsonl"])
def test_what_the_stranger_wrote_himself_is_set_aside(
    directory: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    acts("open(arguments[0], 'w').write('{}')", directory, name)
    with caplog.at_level(logging.WARNING):
        work(directory)
    assert "(it belongs to user nobody): set aside" in caplog.text
    assert (directory / f"{name}.unusable").read_text() == "{}"


def test_a_journal_that_others_could_write_to_is_not_believed(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(directory, "trigger")
    store.write_journal(Journal((1, 2)))
    (directory / "trigger.journal").chmod(0o666)
    with caplog.at_level(logging.WARNING):
        assert store.read_journal() == Journal()
    assert "it can be written to by others" in caplog.text


SWAPS = """
print("begun", flush=True)
while True:
    for name in ("trigger.history.jsonl", "trigger.status.json", "trigger"):
        for plant in (lambda: os.symlink(arguments[0], "trap"), lambda: os.link(arguments[0], "trap")):
            try:
                plant()
                os.rename("trap", name)
                os.unlink(name)
            except OSError:
                pass
"""


def test_links_that_come_and_go_all_the_while_catch_nothing(
    directory: Path, victim: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    with stranger(SWAPS, directory, victim.path) as swapping, caplog.at_level(logging.CRITICAL):
        assert swapping.stdout is not None
        assert swapping.stdout.readline() == "begun\n"
        for number in range(100):
            work(directory)
            with contextlib.suppress(OSError):  # nothing may happen, but nothing is reached
                follow.touch(directory / "trigger", {"message": "hello"} if number % 2 else {})
        assert swapping.poll() is None


@pytest.mark.parametrize("said", [{}, {"message": "hello"}], ids=["bare", "with text"])
@pytest.mark.parametrize("trap", list(TRAPS))
def test_a_touch_by_root_of_a_trap_changes_nothing_of_his(
    directory: Path, victim: Victim, trap: str, said: dict[str, str]
) -> None:
    acts(TRAPS[trap], directory, "trigger", victim.path)
    if trap == "FIFO" and not said:
        follow.touch(directory / "trigger", said)
        return
    with pytest.raises(OSError, match=r"it is|it has|it leads"):
        follow.touch(directory / "trigger", said)


SWITCHED = "os.rename('run', 'run.old'); os.symlink(arguments[0], 'run')"


def test_a_directory_that_becomes_a_link_to_one_of_roots_is_not_followed(
    directory: Path, victim: Victim, caplog: pytest.LogCaptureFixture
) -> None:
    acts("os.mkdir('run')", directory)
    store = Store(directory / "run", "trigger")
    store.write_status(STATUS)
    acts(SWITCHED, directory, victim.path.parent)
    with caplog.at_level(logging.ERROR):
        store.write_status(STATUS)
    assert "it leads through run, a symlink of user nobody's, to what belongs to user root" in caplog.text
    with pytest.raises(OSError, match="leads through run"):
        follow.touch(directory / "run" / "trigger", {})


def test_a_link_to_another_directory_of_the_same_user_is_followed(directory: Path) -> None:
    acts("os.mkdir('1'); os.mkdir('2'); os.symlink('1', 'current')", directory)
    store = Store(directory / "current", "trigger")
    store.write_status(STATUS)
    acts("os.unlink('current'); os.symlink('2', 'current')", directory)
    store.write_status(STATUS)
    follow.touch(directory / "current" / "trigger", {})
    assert sorted(os.listdir(directory / "2")) == ["trigger", "trigger.status.json"]  # noqa: PTH208 - names
    assert (directory / "2" / "trigger.status.json").stat().st_uid == 0 != STRANGER
