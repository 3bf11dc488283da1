"""Which subscription server is which router's, where options name some, or where a router is on another host."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence

from uwsgi_reload_hook.addresses import host_and_port
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.settings import PREFIX
from uwsgi_reload_hook.site.sockets import is_here, resolve, same_socket
from uwsgi_reload_hook.uwsgi.stats import RouterStats

__all__ = ["by_option", "host_of", "is_of_its_host", "remote_server"]

REFUSED_WITHIN = 0.3
"""Seconds in which a host says that nobody takes datagrams at one of its ports."""
_WILDCARDS = frozenset({"", "0.0.0.0", "*", "::"})  # noqa: S104 - compared, not bound


def host_of(address: str) -> str:
    """The host of a router on another host, by the address of its stats socket; empty = it is on this one.

    The operator has named it, so its name is looked up. One that cannot be found is no name of this host.
    """
    try:
        split = host_and_port(address)
    except ValueError:
        return ""
    host = split[0].strip("[]") if split else ""
    if host in _WILDCARDS:
        return ""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return host
    numbers = [str(one[4][0]) for one in found]
    return "" if any(is_here(_joined(number, 0)) for number in numbers) else host


def is_of_its_host(address: str) -> bool:
    """Whether the host of a router is meant where the router lists this address: a path, a loopback or a wildcard."""
    try:
        split = host_and_port(address)
    except ValueError:
        return False
    host = split[0].strip("[]") if split else ""
    if host in _WILDCARDS or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def by_option(named: Sequence[str], routers: Sequence[tuple[str, RouterStats]]) -> dict[str, str]:
    """The servers that options name, by the stats addresses of their routers.

    A server belongs to the one router that lists it. What is left of both is paired in the given order if there are as
    many servers as routers, because an address may be another one behind a NAT. Raises UnavailableError.
    """
    found: dict[str, str] = {}
    left: list[str] = []
    for server in named:
        listing = [address for address, told in routers if address not in found and _lists(address, told, server)]
        if len(listing) == 1:
            found[listing[0]] = server
        else:
            left.append(server)
    without = [address for address, _ in routers if address not in found]
    if left and len(left) != len(without):
        raise UnavailableError(
            f"{PREFIX}subscription-server = {left[0]}: it cannot be told to which of the routers at "
            f"{', '.join(address for address, _ in routers)} it belongs; give one for each "
            f"{PREFIX}fastrouter-stats-socket, in the same order"
        )
    return {**found, **dict(zip(without, left, strict=False))}


def _lists(address: str, told: RouterStats, server: str) -> bool:
    """Whether a router's stats list a subscription server, as that is reached from this host."""
    host = host_of(address)
    for one in told.sockets:
        if not host and same_socket(server, resolve(one, told.cwd)):
            return True
        if host and server == _seen_from_here(one, host):
            return True
    return False


def remote_server(told: RouterStats, name: str, host: str) -> str:
    """The subscription server of a router on another host: the one of its ports that takes datagrams.

    Its stats do not say which of its sockets that is. uWSGI ignores the empty datagram that is sent to find out. Raises
    UnavailableError with the `name` of the router.
    """
    seen = dict.fromkeys(_seen_from_here(one, host) for one in told.sockets)
    open_ports = [address for address in seen if address and _may_take_datagrams(address)]
    if len(open_ports) == 1:
        return open_ports[0]
    words = f"may be any of {', '.join(open_ports)}" if open_ports else "was not found"
    raise UnavailableError(
        f"the subscription socket of the router at {name}, on another host, {words}; set {PREFIX}subscription-server "
        "to the address of its fastrouter-subscription-server, as this host reaches it"
    )


def _seen_from_here(listed: str, host: str) -> str:
    """An address of a router's stats as another host reaches it; empty = it cannot."""
    try:
        split = host_and_port(listed)
    except ValueError:
        return ""
    if split is None:
        return ""
    bound = split[0].strip("[]")
    if bound not in _WILDCARDS and is_of_its_host(listed):
        return ""
    return _joined(host if bound in _WILDCARDS else bound, split[1])


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _may_take_datagrams(address: str) -> bool:
    split = host_and_port(address)
    if split is None:
        return False
    host = split[0].strip("[]")
    try:
        family = socket.getaddrinfo(host, split[1], type=socket.SOCK_DGRAM)[0][0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.settimeout(REFUSED_WITHIN)
            probe.connect((host, split[1]))
            probe.send(b"")
            probe.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return True
