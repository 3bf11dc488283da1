"""What a step decides: the acts, which site/actuator.py performs, and the next look. Immutable values."""

from __future__ import annotations

from dataclasses import dataclass

from uwsgi_reload_hook.planning.roll import Roll
from uwsgi_reload_hook.snapshot import Node

__all__ = [
    "Action",
    "ClearBlacklist",
    "EndRequest",
    "Look",
    "SendProbe",
    "Step",
    "Subscribe",
    "Suspend",
    "Touch",
    "Unsubscribe",
    "WakeMaster",
]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """Ask the routers to send no further request to these nodes."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Subscribe these nodes at their routers, with the attributes that they had."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Touch:
    """Set the mtime of a config: `mtime` in whole Unix seconds; None = now, because the hook may set no other."""

    vassal: str
    path: str
    mtime: int | None


@dataclass(frozen=True, slots=True)
class ClearBlacklist:
    """Have the Emperor clear its blacklist, so that it starts these vassals at once."""

    vassals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WakeMaster:
    """Wake a master whose workers have gone, because by itself a master notices up to 1 s later (core/master.c)."""

    vassal: str
    pid: int


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Send the probe to a vassal's own socket. A later look has the answer."""

    vassal: str
    nodes: tuple[Node, ...] = ()
    """The first one has the address and the modifiers; none: they are found in the vassal's config."""
    host: str = ""
    """Empty = the key of that node."""
    modifiers: tuple[int, int] | None = None
    """What to send to a vassal without a node, as other vassals under its key have it; None = not known."""


@dataclass(frozen=True, slots=True)
class EndRequest:
    """End the worker that hangs in the hook's own request to a vassal, so that the reload does not wait for it."""

    vassal: str
    pid: int
    """The master's."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Suspend a vassal by uWSGI's own SIGTSTP, so that it announces itself to no router until it is reloaded."""

    vassal: str
    pid: int


Action = Unsubscribe | Subscribe | Touch | ClearBlacklist | WakeMaster | SendProbe | EndRequest | Suspend


@dataclass(frozen=True, slots=True)
class Look:
    """When to look next, and at what besides the stats."""

    wait: float = 0.0
    """Seconds until that look."""
    inspect: tuple[str, ...] = ()
    """The vassals whose processes and configs are read too, which costs the most."""
    inspect_if_accepting: tuple[str, ...] = ()
    """The vassals of which the same is read once the Emperor reports that they accept."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, the roll as it is once that is done, and the next look."""

    actions: tuple[Action, ...]
    roll: Roll
    look: Look = Look()
