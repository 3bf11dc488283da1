from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.children import python
from uwsgi_reload_hook.planning.roll import Request
from uwsgi_reload_hook.site.trigger import Trigger

NOBODY = 65534
BECOME_NOBODY = f"""
import contextlib, fcntl, itertools, os, signal, socket, sys
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.site.trigger import Trigger
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
"""
"""How a child begins: it keeps its imports and its working directory, which others may not be able to reach."""


def put(path: Path, text: str = "message=hello\n", owner: int = 0, mode: int = 0o644) -> Path:
    path.write_text(text)
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def link(path: Path, target: Path, owner: int = 0) -> Path:
    path.symlink_to(target)
    os.chown(path, owner, owner, follow_symlinks=False)
    return path


def directory(path: Path, owner: int = 0, mode: int = 0o755) -> Path:
    path.mkdir()
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def asked(path: Path) -> Request:
    request = Trigger(str(path), lambda: None).request()
    assert request is not None
    return request


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def made_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "kind"),
    [(fifo, "a FIFO"), (device, "a device"), (bound, "a socket"), (made_directory, "a directory")],
)
def test_a_trigger_that_is_no_plain_file_is_told_once_and_the_next_good_touch_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, make: Callable[[Path], None], kind: str
) -> None:
    path = tmp_path / "trigger"
    trigger = Trigger(str(path), lambda: None)
    for turn in (1, 2):
        make(path)
        assert [trigger.request() for _ in range(3)] == [None, None, None]
        assert len(caplog.records) == turn
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.touch()
        assert trigger.request() is not None
        path.unlink()
    assert f"the trigger {path} is {kind}, which nobody can touch: put a plain file there" in caplog.text


@contextlib.contextmanager
def leased(path: Path) -> Iterator[subprocess.Popen[str]]:
    """The file's owner, another user, holds a lease on it: whoever opens it waits until he gives it up, or 45 s."""
    script = BECOME_NOBODY + textwrap.dedent(
        f"""
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        descriptor = os.open({path.name!r}, os.O_RDWR)
        fcntl.fcntl(descriptor, {fcntl.F_SETLEASE}, {fcntl.F_WRLCK})
        print("holds", flush=True)
        sys.stdin.read()
        """
    )
    with python("-c", script, cwd=path.parent) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "holds\n"
        yield owner


def test_a_lease_on_the_trigger_leaves_a_bare_touch_and_holds_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = put(directory(tmp_path / "mine", NOBODY) / "trigger", "only=a\n", NOBODY)
    script = textwrap.dedent(
        f"""
        import dataclasses, json, signal
        from uwsgi_reload_hook.site.trigger import Trigger
        signal.alarm(20)  # long before the kernel breaks the lease, after 45 s
        print(json.dumps(dataclasses.asdict(Trigger({str(path)!r}, lambda: None).request())))
        """
    )
    with leased(path) as owner:
        with python("-c", script) as hook:
            told, _ = hook.communicate()
        assert hook.returncode == 0
        assert json.loads(told) == {**json.loads(told), "mtime_ns": path.stat().st_mtime_ns, "only": "*"}
        trigger = Trigger(str(path), lambda: None)
        assert [trigger.request() for _ in range(3)] == [Request(path.stat().st_mtime_ns, path.stat().st_ino)] * 3
        owner.communicate()
    request = trigger.request()
    assert request is not None
    assert request.only == "a"
    (said,) = caplog.messages
    assert "cannot be read (Resource temporarily unavailable); it counts as a bare touch" in said


def test_a_trigger_that_the_hook_may_not_read_is_a_bare_touch() -> None:
    with tempfile.TemporaryDirectory() as name:  # that of pytest is nobody else's
        Path(name).chmod(0o755)
        path = put(Path(name, "trigger"), mode=0o600)
        script = BECOME_NOBODY + textwrap.dedent(
            f"""
            request = Trigger({str(path)!r}, lambda: None).request()
            print(request.mtime_ns, request.message)
            """
        )
        with python("-c", script) as hook:
            told, errors = hook.communicate()
        assert told.split() == [str(path.stat().st_mtime_ns)], errors
        assert f"the text of the trigger {path} cannot be read (Permission denied); it counts as a bare" in errors


def test_a_trigger_where_the_hook_may_not_look_is_an_error_that_says_so(tmp_path: Path) -> None:
    directory(tmp_path / "place", mode=0o700)
    script = BECOME_NOBODY + textwrap.dedent(
        f"""
        try:
            Trigger({str(tmp_path / "place" / "sub" / "trigger")!r}, lambda: None)
        except ConfigError as error:
            print(error)
        """
    )
    with python("-c", script) as hook:
        told, errors = hook.communicate()
    assert f"let user {NOBODY} look into it" in told, errors


OTHER = 65533


@pytest.mark.parametrize(
    ("holder", "holder_mode", "owner", "mode", "shown"),
    [
        pytest.param(0, 0o755, 0, 0o600, True, id="our own, where only we decide"),
        pytest.param(0, 0o755, NOBODY, 0o600, True, id="another's that we let stand there"),
        pytest.param(NOBODY, 0o755, NOBODY, 0o600, True, id="his in his directory"),
        pytest.param(NOBODY, 0o755, 0, 0o644, True, id="ours in his directory, for everybody to read"),
        pytest.param(NOBODY, 0o755, 0, 0o640, False, id="ours in his directory, for nobody to read"),
        pytest.param(NOBODY, 0o755, OTHER, 0o640, True, id="a third one's in his directory"),
        pytest.param(0, 0o775, 0, 0o644, True, id="ours where a group may write, for everybody to read"),
        pytest.param(0, 0o775, 0, 0o600, False, id="ours where a group may write, for nobody to read"),
        pytest.param(0, 0o775, NOBODY, 0o660, True, id="another's where a group may write"),
        pytest.param(0, 0o1777, 0, 0o600, True, id="ours in a sticky directory"),
        pytest.param(0, 0o1777, NOBODY, 0o600, True, id="another's in a sticky directory"),
    ],
)
def test_whose_text_is_shown(  # noqa: PLR0913, PLR0917 - the columns of a table
    tmp_path: Path, holder: int, holder_mode: int, owner: int, mode: int, shown: bool
) -> None:
    path = put(directory(tmp_path / "place", holder, holder_mode) / "trigger", owner=owner, mode=mode)
    assert asked(path) == Request(path.stat().st_mtime_ns, path.stat().st_ino, message="hello" if shown else "")


@pytest.mark.parametrize(
    ("linker", "owner", "mode", "shown"),
    [
        pytest.param(0, 0, 0o600, True, id="our link to our file"),
        pytest.param(0, NOBODY, 0o600, True, id="our link to his"),
        pytest.param(NOBODY, NOBODY, 0o600, True, id="his link to his"),
        pytest.param(NOBODY, 0, 0o600, False, id="his link to ours"),
        pytest.param(NOBODY, 0, 0o644, False, id="his link to ours, which a directory may hide from him"),
        pytest.param(NOBODY, OTHER, 0o600, False, id="his link to a third one's"),
    ],
)
@pytest.mark.parametrize("of", ["file", "directory", "relative"])
def test_no_link_of_another_user_is_followed_but_to_a_file_of_his_own(  # noqa: PLR0913, PLR0917 - the columns of a table
    tmp_path: Path, caplog: pytest.LogCaptureFixture, linker: int, owner: int, mode: int, shown: bool, of: str
) -> None:
    hidden = directory(tmp_path / "hidden", mode=0o700)
    target = put(hidden / "trigger", owner=owner, mode=mode)
    place = directory(tmp_path / "place", linker)
    if of == "directory":
        path = link(place / "way", hidden, linker) / "trigger"
    else:
        path = link(place / "trigger", target if of == "file" else Path("..", "hidden", "trigger"), linker)
    request = asked(path)
    assert request == Request(target.stat().st_mtime_ns, target.stat().st_ino, message="hello" if shown else "")
    assert ("it counts as a bare touch" in caplog.text) is not shown


def test_a_second_name_of_a_file_that_only_we_may_read_shows_nothing(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret", mode=0o600)
    place = directory(tmp_path / "place", NOBODY)
    (place / "trigger").hardlink_to(secret)
    assert asked(place / "trigger").message == ""


def test_a_chain_of_links_is_judged_by_all_its_links(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret", mode=0o600)
    his = link(directory(tmp_path / "his", NOBODY) / "next", secret, NOBODY)
    assert asked(link(tmp_path / "trigger", his)).message == ""
    his.unlink()
    put(his, owner=NOBODY)
    assert asked(tmp_path / "trigger").message == "hello"


ATTACK = BECOME_NOBODY + textwrap.dedent(
    """
    def plain():
        with open("new", "w") as file:
            file.write("message=mine\\n")
    def bound():
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("new")
    makers = [
        plain,
        lambda: os.mkfifo("new"),
        lambda: os.symlink("../secret", "new"),
        lambda: os.symlink("pipe", "new"),
        lambda: os.symlink("/dev/zero", "new"),
        lambda: os.symlink("new", "new"),
        bound,
    ]
    print("attacks", flush=True)
    for make in itertools.cycle(makers):
        with contextlib.suppress(FileNotFoundError):
            os.unlink("new")
        make()
        os.replace("new", "trigger")
    """
)
REQUESTS = 5_000


def test_the_owner_of_the_triggers_directory_neither_holds_the_hook_nor_reads_by_it(
    tmp_path: Path,
) -> None:
    secret = put(tmp_path / "secret", "message=secret\n", mode=0o600)
    os.utime(secret, (1, 1))
    place = directory(tmp_path / "place", NOBODY)
    os.mkfifo(place / "pipe")
    os.chown(place / "pipe", NOBODY, NOBODY)
    before = secret.stat()
    script = textwrap.dedent(
        f"""
        import collections, json, signal
        from uwsgi_reload_hook.site.trigger import Trigger
        signal.alarm(25)
        trigger = Trigger({str(place / "trigger")!r}, lambda: None)
        seen = collections.Counter()
        while seen.total() < {REQUESTS} or len(seen) < 3:
            request = trigger.request()
            seen["none" if request is None else f"said {{request.message}}"] += 1
        print(json.dumps(seen))
        """
    )
    with python("-c", ATTACK, cwd=place) as attacker:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "attacks\n"
        with python("-c", script) as hook:
            told, errors = hook.communicate()
        assert hook.returncode == 0, signal.Signals(-hook.returncode).name if hook.returncode < 0 else errors
        assert attacker.poll() is None
    assert json.loads(told).keys() == {"none", "said ", "said mine"}
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode)
    after = secret.stat()
    assert (after.st_atime_ns, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_atime_ns,
        before.st_mtime_ns,
        before.st_ctime_ns,
    ), "it was read, or changed"


def test_a_lease_and_a_link_are_told_apart_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        asked(put(directory(tmp_path / "place", NOBODY) / "trigger", mode=0o600))
    (said,) = caplog.messages
    assert "belongs to user 0 and another user decides where that path leads" in said
    assert "put a file there that everybody may read, and no link" in said
