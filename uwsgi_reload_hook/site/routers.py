"""Finds the routers' sockets in an Emperor's process tree.

Only sockets of root and of the Emperor's user count, because a tenant's worker can answer like a router, and because
any user can bind the UDP port of the number that a router's TCP port has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from uwsgi_reload_hook.addresses import is_unix
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.settings import PREFIX
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import person
from uwsgi_reload_hook.site.peers import Peer, datagram_user, is_listener, listening_pid, port_users
from uwsgi_reload_hook.site.sockets import is_datagram_path, resolve, same_socket
from uwsgi_reload_hook.uwsgi import stats

__all__ = ["gateway_sockets", "subscription_server"]

NAMED = 3
"""Processes of other users that an error names, at most, because a host may have hundreds."""


def gateway_sockets(emperor: stats.EmperorStats, trusted: Collection[int]) -> tuple[list[str], list[str]]:
    """The addresses that one of the Emperor's siblings, or of its vassals' children, listens on alone.

    Only a gateway's stats socket is held by one process, because it is bound after the fork; a master and its workers
    share a socket for requests. The second list says, for an operator, which processes were passed over because their
    users are not `trusted`. A set-uid program is ignored, because a tenant can have it inherit a socket of his.
    """
    above = processes.parent(emperor.pid)
    parents = {above} if above is not None and above > 1 else set()
    parents |= {vassal.pid for vassal in emperor.vassals if vassal.pid > 0}
    gateways = {pid for one in parents for pid, _ in processes.children(one) or ()} - {emperor.pid}
    users = {pid: user for pid in parents | gateways if (user := processes.sole_user(pid)) is not None}
    listening = processes.listening()
    ours = _held_alone((pid for pid, user in users.items() if user in trusted), listening)
    theirs = _held_alone((pid for pid, user in users.items() if user not in trusted), listening)
    held = {address for pid in gateways for address in ours.get(pid, ()) if is_listener(address, trusted)}
    passed_over = [
        f"{person(Peer(pid, users[pid]))}, which listens on {', '.join(theirs[pid])}, was passed over, because it "
        "belongs neither to root nor to the Emperor's user"
        for pid in sorted(gateways & theirs.keys())
    ]
    return sorted(held), passed_over[:NAMED]


def _held_alone(pids: Iterable[int], listening: Mapping[int, frozenset[str]]) -> dict[int, list[str]]:
    """The addresses that one of the processes listens on alone, by process; without processes that have none."""
    held = {pid: listening.get(pid, frozenset()) for pid in pids}
    holders = Counter(address for addresses in held.values() for address in addresses)
    alone = {pid: sorted(one for one in addresses if holders[one] == 1) for pid, addresses in held.items()}
    return {pid: addresses for pid, addresses in alone.items() if addresses}


def subscription_server(router: stats.RouterStats, name: str, trusted: Collection[int], *, named: bool = False) -> str:
    """The address of a router's subscription socket, which has to belong to a trusted user or to the router's user.

    The router's user is that of the pid in its answer. This pid counts if its process listens at `name`, or if an
    operator has `named` the router, because an answer may give any pid.

    The kernel gives the user of a UDP socket to everybody, and that of a unix socket by netlink. Where netlink cannot
    be used, a unix socket is taken for the router's. Raises UnavailableError with the `name` of the router.
    """
    own = processes.sole_user(router.pid) if named or _holds(router.pid, name) else None
    users = frozenset(trusted) if own is None else frozenset({*trusted, own})
    addresses = [resolve(address, router.cwd) for address in router.sockets]
    for address in addresses:
        if is_datagram_path(address) and datagram_user(address) in {*users, None}:
            return address
    for address in addresses:
        makers = port_users(address, "udp")
        if makers and makers <= users:
            return address
    raise UnavailableError(
        f"no subscription socket of the router at {name} was found that belongs to root, to the Emperor's user or to "
        f"the router's; set {PREFIX}subscription-server to the address of its fastrouter-subscription-server"
    )


def _holds(pid: int, address: str) -> bool:
    if is_unix(address):
        return listening_pid(address) == pid
    return any(same_socket(address, one) for one in processes.listening().get(pid, ()))
