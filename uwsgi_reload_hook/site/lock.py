"""The lock of an Emperor: of all hooks that may act for it, only the holder rolls its vassals.

A process that wants the lock makes a claim: a listening abstract unix socket, named after the Emperor's identity and a
random number. Every user can list the claims and make some. Nobody can prevent a claim, because its name cannot be
guessed. A claim counts only if its process may act for the Emperor. The kernel attests which process that is.

A claim is seen within one network namespace. It ends with its process, and at an exec, because its descriptor is
closed there (CLOEXEC). A child that is forked without an exec would keep the claim, so a hook forks none while it holds
the lock.
"""

from __future__ import annotations

import contextlib
import errno
import random
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.site.authority import Authority, Emperor, person
from uwsgi_reload_hook.site.peers import Peer, abstract_listeners, listener

__all__ = ["MayAct", "emperor_lock", "ignored", "lock_holder"]

PREFIX = "uwsgi-reload-hook"
PASSES = 2
"""Lists of sockets read for one look, because the kernel sends a list in pieces: when a socket vanishes between two of
them, another one may be missing."""
TRIES = 10
"""Claims that a process makes, and looks that it takes with each, before it leaves the lock to another process."""
DELAY = 0.02
"""Seconds between two such looks, times a random factor from 0.5 to 1.5. A look itself takes 1 ms."""
PATIENCE = 2.0
"""Seconds to find the processes of all claims of one look. A thousand claims take 0.03 s."""
WARNINGS = 10
"""Users of ignored claims that are named, at most, because one user may have thousands of subordinate users."""
FULL = 0.02
"""Seconds of one wait for room in the backlog of a claim, because another user may keep it full."""


MayAct = Callable[[Peer], bool]
"""Whether a process may act for the Emperor; where its pid is not known, whether any process of its user may."""


@contextlib.contextmanager
def emperor_lock(emperor: str, may_act: MayAct) -> Iterator[bool]:
    """Try to take the lock of the Emperor with this identity; gives whether it is held, until the `with` block ends.

    Raises ConfigError where the system lists no sockets, because hooks cannot see each other there.
    """
    claim = _take(emperor, may_act) if lock_holder(emperor, may_act) is None else None
    try:
        yield claim is not None
    finally:
        if claim is not None:
            claim.withdraw()


def lock_holder(emperor: str, may_act: MayAct) -> Peer | None:
    """The process that holds an Emperor's lock, None = nobody does. Raises ConfigError as `emperor_lock` does."""
    counting = _counting(_claims(emperor), may_act)
    return counting[min(counting)] if counting else None


def ignored(emperor: Emperor, authority: Authority) -> list[str]:
    """A warning for each user whose claims are ignored, for WARNINGS users at most.

    Raises ConfigError as `emperor_lock` does.
    """
    names = {user: name for name, user in _claims(emperor.identity).items()}
    peers: dict[int, Peer] = {}
    for _, peer in _peers({name: user for user, name in names.items()}):
        if not authority.may_act(peer):
            peers[peer.uid] = peer
        if len(peers) == WARNINGS:
            break
    return [
        f"{person(peer)} claims the lock of the Emperor in {emperor.name}; the claim is ignored, because the process "
        "belongs neither to root, nor to the Emperor's user, nor to a vassal whose config, which nobody else may "
        "write, sets reload-hook-trigger"
        for peer in peers.values()
    ]


def _take(emperor: str, may_act: MayAct) -> _Claim | None:
    """Make a claim, and keep it if no other claim counts.

    A process looks after it has made its claim, so that of two processes the later one sees the other's claim. Where
    several see each other, the claim with the lowest name stays and looks again, and the others are withdrawn.
    """
    for _ in range(TRIES):
        claim = _Claim(emperor)
        alone = False
        try:
            alone = _is_alone(claim, emperor, may_act)
        finally:
            if not alone:
                claim.withdraw()
        if alone:
            return claim
        _pause()
    return None


def _is_alone(claim: _Claim, emperor: str, may_act: MayAct) -> bool:
    for _ in range(TRIES):
        claims = _claims(emperor)
        claims.pop(claim.name, None)
        others = _counting(claims, may_act)
        if not others or min(others) < claim.name:
            return not others
        _pause()
    return False


def _pause() -> None:
    time.sleep(DELAY * random.uniform(0.5, 1.5))  # noqa: S311 - to spread the processes in time, not to hide


class _Claim:
    """A claim of this process. A thread closes what connects, so that a flood of connections cannot hide it."""

    def __init__(self, emperor: str) -> None:
        self.name = f"{PREFIX}:{emperor}:{secrets.token_hex(16)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # CLOEXEC (PEP 446)
        self._thread = threading.Thread(target=self._drain, name="emperor-lock", daemon=True)
        try:
            self._socket.bind(f"\0{self.name}")
            self._socket.listen(socket.SOMAXCONN)
            self._thread.start()
        except BaseException:
            self._socket.close()
            raise

    def _drain(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                if error.errno == errno.EINVAL:  # withdrawn
                    return
                time.sleep(DELAY)  # no descriptor is free at the moment
            else:
                connection.close()

    def withdraw(self) -> None:
        """End the claim, and its thread."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def _claims(emperor: str) -> dict[str, int | None]:
    """The names of all claims on an Emperor, and the user who made each; None = the kernel does not say."""
    pattern = re.compile(f"{PREFIX}:{re.escape(emperor)}:[0-9a-f]{{32}}")
    try:
        lists = [abstract_listeners(pattern) for _ in range(PASSES)]
    except OSError as error:
        raise ConfigError(
            f"the system does not list its unix sockets ({error}), so that hooks cannot see each other; "
            "let the hook's user read /proc/net/unix"
        ) from error
    return {name: user for one in lists for name, user in one.items()}


def _counting(claims: dict[str, int | None], may_act: MayAct) -> dict[str, Peer]:
    """The names of the claims that count, and their processes.

    They are read in random order, so that a user with thousands of claims cannot delay that of another user.
    """
    users = {user for user in claims.values() if user is not None and may_act(Peer(0, user))}
    known = {name: user for name, user in claims.items() if user is None or user in users}
    shuffled = {name: known[name] for name in random.sample(sorted(known), len(known))}
    return {name: peer for name, peer in _peers(shuffled) if may_act(peer)}


def _peers(claims: dict[str, int | None]) -> Iterator[tuple[str, Peer]]:
    """The process that listens on each socket of `claims`, which gives the user who made each, None = not known.

    Where a backlog stays full the process has that user, and no known pid. Where the user is not known either the claim
    does not count, because everybody can make one that is full.
    """
    names = list(claims)
    end = time.monotonic() + PATIENCE
    wait = 0.0
    while names and time.monotonic() < end:
        full = []
        for name in names:
            if time.monotonic() >= end:
                full.append(name)
                continue
            try:
                peer = listener(f"\0{name}", wait)
            except BlockingIOError:
                full.append(name)
                continue
            if peer is not None:
                yield name, peer
        names, wait = full, FULL
    for name in names:
        if (user := claims[name]) is not None:
            yield name, Peer(0, user)
