"""How a vassal is asked: at which of its sockets, in which protocol, with which modifiers."""

from __future__ import annotations

import os
import re
from functools import partial

from uwsgi_reload_hook.addresses import is_unix
from uwsgi_reload_hook.planning.actions import SendProbe
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.prober import Target
from uwsgi_reload_hook.site.process_options import of_vassal
from uwsgi_reload_hook.site.sockets import resolve, same_socket
from uwsgi_reload_hook.uwsgi.options import Options

__all__ = ["find_target", "host_of"]

_ANY = "socket"
_PROTOCOLS = {
    "socket": _ANY,  # as `protocol` says
    "uwsgi-socket": "uwsgi",
    "http-socket": "http",
    "http11-socket": "http",
    "fastcgi-socket": "fastcgi",
    "fastcgi-nph-socket": "fastcgi",
    "scgi-socket": "scgi",
    "scgi-nph-socket": "scgi",
    "puwsgi-socket": "puwsgi",
    "raw-socket": "raw",
    "suwsgi-socket": "suwsgi",
    "ssl-socket": "suwsgi",
    "https-socket": "https",
}
"""By option, what the socket speaks that it opens (core/uwsgi.c)."""
_ANY_PORT = ":0"
_ASKED = {"uwsgi": False, "http": True, "http11": True}
"""The protocols that a probe is sent in, and whether each is HTTP."""
_MODIFIERS = (re.compile(r"(?:,|\bmodifier1=)([0-9]{1,3})(?:,|$)"), re.compile(r"\bmodifier2=([0-9]{1,3})(?:,|$)"))
"""How `subscribe-to = …:key,5` and `subscribe2 = …,modifier1=5` give them (core/subscription.c)."""


def host_of(action: SendProbe) -> str:
    """The host that a vassal is asked for, unless the option names one."""
    return action.host or (action.nodes[0].key if action.nodes else "localhost")


def find_target(action: SendProbe, pid: int, config: str) -> Target | None:
    """Find the socket where the vassal `pid` is asked; None = there is none that a request can be sent to.

    A node's address comes first. Without one, or where that speaks no protocol of a request, it is a socket of the
    vassal's options that it listens on.
    """
    options = of_vassal(pid, config)
    directory = processes.working_directory(pid)
    sockets = _sockets(options, directory)
    make = partial(Target, host=host_of(action))
    for node in action.nodes:
        protocol = _protocol(node.address, sockets)
        if protocol in _ASKED:
            return make(node.address, over_http=_ASKED[protocol], modifiers=(node.modifier1, node.modifier2))
    for address, protocol in _held(pid, sockets, directory):
        if protocol in _ASKED:
            return make(address, over_http=_ASKED[protocol], modifiers=action.modifiers or _configured(options))
    return None


def _sockets(options: Options, directory: str | None) -> list[tuple[str, str]]:
    """The sockets that the options name, each with its protocol, those that speak uwsgi first."""
    default = (options.found("protocol", "socket-protocol") or ["uwsgi"])[-1]
    found = [
        (resolve(value.partition(",")[0], directory), default if protocol is _ANY else protocol)
        for name, protocol in _PROTOCOLS.items()
        for value in options.found(name)
    ]
    return sorted(found, key=lambda one: one[1] != "uwsgi")


def _protocol(address: str, sockets: list[tuple[str, str]]) -> str:
    """What a node's address speaks: a router's nodes speak uwsgi, unless the vassal's options say otherwise.

    An address that they do not name, as of port 0, is one of those that they do if all of these speak the same.
    """
    spoken = [protocol for named, protocol in sockets if same_socket(address, named)]
    every = {protocol for _, protocol in sockets}
    return spoken[0] if spoken else every.pop() if len(every) == 1 else "uwsgi"


def _held(pid: int, sockets: list[tuple[str, str]], directory: str | None) -> list[tuple[str, str]]:
    """Keep those sockets that the vassal listens on, because a path may lead to another's socket.

    A TCP address is kept unchecked. So is a path where this user may not see the vassal's sockets. Port 0 stands for
    any that the vassal listens on and its options do not name.
    """
    if not sockets:
        return []
    bound_anywhere = any(address.endswith(_ANY_PORT) for address, _ in sockets)
    listening = processes.listening("all" if bound_anywhere else "unix")
    pids = (pid, *(child for child, _ in processes.children(pid) or ()))
    held = {os.path.normpath(resolve(address, directory)) for one in pids for address in listening.get(one, ())}
    if not held and os.geteuid() != 0:
        return [one for one in sockets if not one[0].endswith(_ANY_PORT)]
    named = [address for address, _ in sockets]
    others = [one for one in sorted(held) if ":" in one and not any(same_socket(one, name) for name in named)]
    found = []
    for address, protocol in sockets:
        if address.endswith(_ANY_PORT):
            found += [(one, protocol) for one in others]
        elif not is_unix(address) or os.path.normpath(address) in held:
            found.append((address, protocol))
    return found


def _configured(options: Options) -> tuple[int, int]:
    """The modifiers that a vassal subscribes with, for one that no router knows; 0 = WSGI."""
    said = " ".join(options.found("subscribe-to", "st", "subscribe", "subscribe2"))
    first, second = (pattern.search(said) for pattern in _MODIFIERS)
    return int(first[1]) if first else 0, int(second[1]) if second else 0
