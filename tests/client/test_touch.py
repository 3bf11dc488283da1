"""A touch of the trigger never changes content that is not the hook's."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.strangers import STRANGER, own_directory
from uwsgi_reload_hook.cli import main
from uwsgi_reload_hook.client.follow import KEYS, touch
from uwsgi_reload_hook.site.trigger import parse_text

TEXT = {"message": "hello"}
FOREIGN = ["4f2a91c\n", "message=hello\n4f2a91c\n", "key=value\n", "message=" + "x" * 5000, "\n=\n", "\udcff"]
OURS = ["message=hello\n", "only=a*\n\nrequest-id = 7\n", "\n\n", "message=", "message=a=b\n"]


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    return tmp_path / "trigger"


def fill(path: Path, content: str) -> os.stat_result:
    path.write_text(content, errors="surrogateescape")
    os.utime(path, (1, 1))
    return path.stat()


def unchanged(path: Path, before: os.stat_result) -> bool:
    """Whether a file is as it was, but for the moment it was read last."""
    now = path.stat()
    return all(getattr(now, name) == getattr(before, name) for name in ("st_ino", "st_mode", "st_size", "st_mtime_ns"))


def content(path: Path) -> str:
    return path.read_text(errors="surrogateescape")


@pytest.mark.parametrize("text", FOREIGN)
def test_a_bare_touch_keeps_the_content_of_a_file_that_is_not_the_hooks(trigger: Path, text: str) -> None:
    before = fill(trigger, text)
    assert main(["trigger", str(trigger)]) == 0
    assert content(trigger) == text
    assert trigger.stat().st_ino == before.st_ino
    assert trigger.stat().st_mtime > before.st_mtime


@pytest.mark.parametrize("text", FOREIGN)
def test_text_is_not_written_over_such_content(trigger: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = fill(trigger, text)
    assert main(["trigger", "--message", "hello", str(trigger)]) == 2
    assert content(trigger) == text
    assert unchanged(trigger, before)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"the trigger {trigger} cannot be touched: it has other content, which is kept; name " in line


@pytest.mark.parametrize("said", [{}, TEXT], ids=["bare", "with text"])
@pytest.mark.parametrize("text", ["", *OURS])
def test_what_was_said_before_is_replaced_in_place(trigger: Path, text: str, said: dict[str, str]) -> None:
    before = fill(trigger, text)
    mtime = touch(trigger, said)
    assert parse_text(content(trigger)) == said
    assert trigger.stat().st_ino == before.st_ino
    assert mtime == trigger.stat().st_mtime_ns > before.st_mtime_ns


def test_owner_and_mode_stay_when_root_says_something() -> None:
    with own_directory() as directory:
        trigger = directory / "trigger"
        fill(trigger, "message=by the deploy user\n")
        os.chown(trigger, STRANGER, STRANGER)
        trigger.chmod(0o664)
        touch(trigger, TEXT)
        status = trigger.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (STRANGER, STRANGER, 0o664)
        assert os.listdir(directory) == ["trigger"]  # noqa: PTH208 - names


@pytest.mark.parametrize("said", [{}, TEXT], ids=["bare", "with text"])
def test_a_new_trigger_of_roots_belongs_to_the_owner_of_its_directory(said: dict[str, str]) -> None:
    with own_directory() as directory:
        os.chown(directory, STRANGER, STRANGER)
        touch(directory / "trigger", said)
        assert (directory / "trigger").stat().st_uid == STRANGER


@pytest.fixture
def revision(tmp_path: Path) -> Iterator[Path]:
    """A file of somebody's, that a link of the trigger's name leads to."""
    revision = tmp_path / "REVISION"
    fill(revision, "message=this is our only release\n")
    yield revision
    assert content(revision) == "message=this is our only release\n"


def test_a_link_may_be_touched_bare(trigger: Path, revision: Path) -> None:
    trigger.symlink_to("REVISION")
    mtime = touch(trigger, {})
    assert mtime == revision.stat().st_mtime_ns > 2e9
    assert trigger.is_symlink()


@pytest.mark.parametrize("hard", [False, True])
def test_text_goes_through_no_link(
    trigger: Path, revision: Path, hard: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if hard:
        trigger.hardlink_to(revision)
    else:
        trigger.symlink_to("REVISION")
    before = revision.stat()
    assert main(["trigger", "--only", "a*", str(trigger)]) == 2
    assert unchanged(revision, before)
    assert f"cannot be touched: it {'has 2 hard links' if hard else 'is a symlink'}; name" in capsys.readouterr().err


@pytest.mark.parametrize("said", [[], ["--message", "hello"]], ids=["bare", "with text"])
def test_a_dangling_link_is_an_error_that_names_it(
    trigger: Path, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    trigger.symlink_to("missing")
    assert main(["trigger", *said, str(trigger)]) == 2
    assert f"the trigger {trigger} cannot be touched: it is a symlink" in capsys.readouterr().err
    assert os.listdir(trigger.parent) == ["trigger"]  # noqa: PTH208 - names


@pytest.mark.parametrize("said", [[], ["--message", "hello"]], ids=["bare", "with text"])
def test_a_fifo_stops_nobody(trigger: Path, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(trigger)
    assert main(["trigger", *said, str(trigger)]) == (2 if said else 0)
    assert ("it is not a regular file" in capsys.readouterr().err) == bool(said)


@pytest.mark.parametrize("said", [{}, TEXT], ids=["bare", "with text"])
def test_a_new_trigger_has_the_mode_that_touch_gives(trigger: Path, said: dict[str, str]) -> None:
    before = os.umask(0o027)
    try:
        touch(trigger, said)
    finally:
        os.umask(before)
    assert stat.S_IMODE(trigger.stat().st_mode) == 0o640
    assert parse_text(content(trigger)) == said


def test_a_value_of_several_lines_says_nothing_else_and_can_be_replaced(trigger: Path) -> None:
    touch(trigger, {"message": "one\nonly=a*\u2028two", "request-id": "x" * 5000})
    assert parse_text(content(trigger)) == {"message": "one only=a* two", "request-id": "x" * 256}
    touch(trigger, {})
    assert content(trigger) == ""


def test_two_touches_are_two_however_quick(trigger: Path) -> None:
    mtimes = [touch(trigger, TEXT if number % 2 else {}) for number in range(20)]
    assert len(set(mtimes)) == 20


def test_the_hook_reads_the_keys_that_are_written() -> None:
    assert parse_text("".join(f"{key}=x\n" for key in KEYS)) == dict.fromkeys(KEYS, "x")
