from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.strangers import STRANGER, own_directory
from uwsgi_reload_hook.records.directories import UntrustedError, changeable_by
from uwsgi_reload_hook.records.files import Directory, log_stream, make_private


@pytest.fixture
def files(tmp_path: Path) -> Directory:
    return Directory(tmp_path)


@pytest.fixture(params=[0, 0o022, 0o077], ids=["umask 0", "umask 022", "umask 077"])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


WRITES: dict[str, Callable[[Directory], None]] = {
    "replace": lambda files: files.replace("a", "text\n", 0o640),
    "append": lambda files: files.append("a", "text\n", 0o640),
    "create": lambda files: files.create("a", "text\n", 0o640),
}


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("write", list(WRITES.values()), ids=list(WRITES))
def test_the_mode_of_a_new_file_is_the_one_asked_for_whatever_the_umask(
    files: Directory, tmp_path: Path, write: Callable[[Directory], None]
) -> None:
    write(files)
    assert mode(tmp_path / "a") == 0o640
    assert (tmp_path / "a").read_text() == "text\n"


def test_a_history_that_others_could_write_to_gets_its_mode_back(files: Directory, tmp_path: Path) -> None:
    (tmp_path / "a").touch(0o666)
    (tmp_path / "a").chmod(0o666)
    files.append("a", "text\n", 0o644)
    assert mode(tmp_path / "a") == 0o644


def test_a_replacement_that_fails_leaves_nothing_beside(files: Directory, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        files.replace("a", "text", 0o644)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_exists_is_not_created_nor_followed(files: Directory, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    for _ in range(2):
        with pytest.raises(FileExistsError):
            files.create("a", "text", 0o644)
    assert not (tmp_path / "b").exists()


def plant_link(path: Path) -> None:
    path.symlink_to("other")


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_hard_link(path: Path) -> None:
    path.hardlink_to(path.with_name("other"))


def plant_anothers(path: Path) -> None:
    path.write_text("his")
    os.chown(path, STRANGER, STRANGER)


@pytest.mark.parametrize(
    ("plant", "why"),
    [
        (plant_link, "it is a symlink"),
        (plant_fifo, "it is not a regular file"),
        (plant_hard_link, "it has 2 hard links"),
        (plant_anothers, "it belongs to user nobody"),
    ],
)
def test_what_can_be_planted_is_neither_read_nor_added_to(
    files: Directory, tmp_path: Path, plant: Callable[[Path], None], why: str
) -> None:
    (tmp_path / "other").write_text("secret")
    plant(tmp_path / "a")
    for act in (lambda: files.append("a", "text", 0o644), lambda: files.read("a", 100)):
        with pytest.raises(UntrustedError) as refused:
            act()
        assert refused.value.strerror == why
    assert (tmp_path / "other").read_text() == "secret"


def test_who_believes_nothing_may_read_anybodys_file(files: Directory, tmp_path: Path) -> None:
    plant_anothers(tmp_path / "a")
    assert files.read("a", 3, anybodys=True) == b"his"
    with pytest.raises(OSError, match="it has more than 2 bytes"):
        files.read("a", 2, anybodys=True)


def test_a_directory_that_was_removed_and_made_again_is_found(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    files = Directory(directory)
    files.replace("a", "1", 0o644)
    files.remove("a")
    directory.rmdir()
    with pytest.raises(FileNotFoundError):
        files.replace("a", "2", 0o644)
    directory.mkdir()
    files.replace("a", "3", 0o644)
    assert (directory / "a").read_text() == "3"


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        Directory(tmp_path / "a").check()


@pytest.mark.parametrize("target", ["real", "../{name}/real", "{path}/real"], ids=["near", "by ..", "absolute"])
def test_roots_own_links_are_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(target.format(name=tmp_path.name, path=tmp_path))
    Directory(tmp_path / "link" / ".." / "link").create("a", "text", 0o644)
    assert (tmp_path / "real" / "a").read_text() == "text"


@pytest.mark.parametrize(
    ("owner", "bits", "others"),
    [
        (0, 0o755, []),
        (STRANGER, 0o755, ["user nobody"]),
        (0, 0o775, ["group nogroup"]),
        (STRANGER, 0o777, ["user nobody", "group nogroup", "every user"]),
    ],
)
def test_those_who_may_change_a_directory_are_named(owner: int, bits: int, others: list[str]) -> None:
    with own_directory() as directory:
        os.chown(directory, owner, -1)
        directory.chmod(bits)
        assert changeable_by(directory) == others


@pytest.mark.usefixtures("_umask")
def test_a_private_directory_and_those_above_it_are_this_users_alone(tmp_path: Path) -> None:
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)


@pytest.mark.parametrize(
    ("owner", "bits", "why"),
    [(STRANGER, 0o755, "it belongs to user nobody"), (0, 0o775, "it can be written to by others")],
)
def test_a_directory_that_is_not_private_is_not_used_as_one(owner: int, bits: int, why: str) -> None:
    with own_directory() as directory:
        os.chown(directory, owner, -1)
        directory.chmod(bits)
        with pytest.raises(UntrustedError, match=why):
            Directory(directory, private=True).create("a", "text", 0o644)
        assert list(directory.iterdir()) == []


def test_a_log_is_added_to_line_by_line_and_followed_nowhere(tmp_path: Path) -> None:
    for _ in range(2):
        with log_stream(tmp_path / "log") as log:
            log.write("line\n")
            assert (tmp_path / "log").read_text().endswith("line\n")
    assert (tmp_path / "log").read_text() == "line\nline\n"
    (tmp_path / "link").symlink_to("log")
    with pytest.raises(UntrustedError, match="it is a symlink"):
        log_stream(tmp_path / "link")
