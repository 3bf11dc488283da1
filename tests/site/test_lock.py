from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.children import python
from tests.support.strangers import READY, STRANGER, waiting_stranger
from uwsgi_reload_hook.site import lock, peers
from uwsgi_reload_hook.site.authority import Authority, Emperor
from uwsgi_reload_hook.site.lock import emperor_lock, ignored, lock_holder
from uwsgi_reload_hook.site.peers import Peer

FAKES = """
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
fakes = []
for _ in range(int(sys.argv[2])):
    fake = socket.socket(socket.AF_UNIX)
    fake.bind(f"\\0uwsgi-reload-hook:{sys.argv[1]}:{os.urandom(16).hex()}")
    fake.listen(0)
    full = socket.socket(socket.AF_UNIX)
    full.connect(fake.getsockname())
    fakes += [fake, full]
"""


@pytest.fixture
def emperor() -> str:
    """An Emperor that no other test knows."""
    return secrets.token_hex(16)


def ours(peer: Peer) -> bool:
    return peer.uid == os.geteuid()


def test_only_one_at_a_time_holds_the_lock_of_an_emperor(emperor: str) -> None:
    with emperor_lock(emperor, ours) as first:
        for _ in range(2):
            with emperor_lock(emperor, ours) as second:
                assert (first, second) == (True, False)
    with emperor_lock(emperor, ours) as third:
        assert third


def test_another_emperor_has_another_lock(emperor: str) -> None:
    with emperor_lock(emperor, ours) as first, emperor_lock(emperor[::-1], ours) as other:
        assert (first, other) == (True, True)


def test_an_error_frees_the_lock(emperor: str) -> None:
    with pytest.raises(BlockingIOError), emperor_lock(emperor, ours):
        raise BlockingIOError
    with emperor_lock(emperor, ours) as held:
        assert held


LOCK = """
import os, sys
from uwsgi_reload_hook.site.lock import emperor_lock
for line in sys.stdin:
    with emperor_lock(sys.argv[1], lambda peer: peer.uid == os.geteuid()) as held:
        print(held, flush=True)
        if sys.stdin.readline() == "execute\\n":
            os.execv("/bin/sh", ["sh", "-c", "echo executed; read line"])
"""


def say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(f"{line}\n")
    child.stdin.flush()


def hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


@contextlib.contextmanager
def holder(emperor: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with python("-c", LOCK, emperor) as child:
        say(child, "take")
        assert hear(child) == "True"
        yield child


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_another_process_holds_the_lock_until_it_ends_however_it_ends(emperor: str, end: str) -> None:
    with holder(emperor) as child:
        with emperor_lock(emperor, ours) as held:
            assert not held
        assert lock_holder(emperor, ours) == Peer(child.pid, os.geteuid())
        getattr(child, end)()
        child.wait()
        assert lock_holder(emperor, ours) is None
        with emperor_lock(emperor, ours) as held:
            assert held


def test_an_exec_frees_the_lock(emperor: str) -> None:
    with holder(emperor) as child:
        say(child, "execute")
        assert hear(child) == "executed"
        with emperor_lock(emperor, ours) as held:
            assert held


def test_of_many_that_want_it_at_once_one_gets_the_lock_each_time(emperor: str) -> None:
    with contextlib.ExitStack() as stack:
        children = [stack.enter_context(python("-c", LOCK, emperor)) for _ in range(5)]
        for _ in range(10):
            for child in children:
                say(child, "take")
            assert sorted(hear(child) for child in children) == ["False"] * 4 + ["True"]
            for child in children:
                say(child, "leave")


@pytest.mark.parametrize("number", [1, 2000])
def test_what_somebody_else_claims_neither_takes_nor_hides_the_lock(emperor: str, number: int) -> None:
    with waiting_stranger(FAKES, emperor, str(number)):
        with emperor_lock(emperor, ours) as held:
            assert held
        with holder(emperor) as child, emperor_lock(emperor, ours) as held:
            assert not held
            assert lock_holder(emperor, ours) == Peer(child.pid, os.geteuid())


def test_what_somebody_else_claims_is_said_in_one_line(emperor: str) -> None:
    authority = Authority(os.getpid(), dict)
    with waiting_stranger(FAKES.replace("full.connect", "str"), emperor, "3") as child, emperor_lock(emperor, ours):
        (line,) = ignored(Emperor("/etc/vassals", emperor), authority)
    assert line.startswith(f"pid {child.pid} of user nobody claims the lock of the Emperor in /etc/vassals")
    assert ignored(Emperor("/etc/vassals", emperor), authority) == []


MANY_USERS = """
import os, socket
os.setgroups([])
claims = []
for user in range(100_000, 100_020):
    os.seteuid(user)
    claim, full = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    claim.bind(f"\\0uwsgi-reload-hook:{sys.argv[1]}:{os.urandom(16).hex()}")
    claim.listen(0)
    full.connect(claim.getsockname())
    claims += [claim, full]
    os.seteuid(0)
"""


def test_the_claims_of_many_users_have_one_patience_and_few_lines(emperor: str) -> None:
    """Before: a patience for each user, which is longer here than their process lives."""
    with python("-c", "import sys\n" + MANY_USERS + READY, emperor) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        lines = ignored(Emperor("/etc/vassals", emperor), Authority(os.getpid(), dict))
        assert child.poll() is None
    assert len(set(lines)) == lock.WARNINGS
    assert all(line.startswith("a process of user 1000") for line in lines)


def test_a_claim_that_is_kept_full_counts_by_the_user_who_made_it(emperor: str) -> None:
    with socket.socket(socket.AF_UNIX) as claim, socket.socket(socket.AF_UNIX) as first:
        claim.bind(f"\0uwsgi-reload-hook:{emperor}:{'0' * 32}")
        claim.listen(0)
        first.connect(claim.getsockname())
        with emperor_lock(emperor, ours) as held:
            assert not held
        assert lock_holder(emperor, ours) == Peer(0, os.geteuid())


def test_where_the_kernel_tells_no_users_only_a_claim_that_is_not_full_counts(emperor: str) -> None:
    with waiting_stranger(FAKES, emperor, "1"), holder(emperor) as child:
        names = [name for name in peers._read() if emperor in name]
        assert len(names) == 2
        counting = lock._counting(dict.fromkeys(names), lambda _: True)
        assert [peer.pid for peer in counting.values()] == [child.pid]


def test_the_two_lists_of_the_kernel_are_one(emperor: str) -> None:
    with holder(emperor), waiting_stranger(FAKES, emperor, "2"):
        asked = peers.abstract_listeners(re.compile(f".*{emperor}.*"))
        assert set(asked) == {name for name in peers._read() if emperor in name}
    assert sorted(map(str, asked.values())) == sorted(map(str, (os.geteuid(), STRANGER, STRANGER)))


def test_a_line_forged_by_a_socket_name_with_a_line_break_is_no_claim(emperor: str) -> None:
    forged = f"uwsgi-reload-hook:{emperor[:8]}:{'0' * 32}"
    with socket.socket(socket.AF_UNIX) as claim:
        claim.bind(f"\0\n0 2 0 00010000 0001 01 1 @{forged}")
        claim.listen()
        assert forged in peers._read()
        assert lock._counting({forged: None}, ours) == {}
