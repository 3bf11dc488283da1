"""What a step decides: the acts, as data that somebody else performs, and the next look. Immutable values."""

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
    """Announce these nodes to their routers, as they were."""

    vassal: str
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Touch:
    """Set the mtime of a config; `mtime` in whole Unix seconds, None = now, where only that is allowed."""

    vassal: str
    path: str
    mtime: int | None


@dataclass(frozen=True, slots=True)
class ClearBlacklist:
    """Have the Emperor forget its blacklist, so that it starts these vassals at once."""

    vassals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WakeMaster:
    """Wake a master whose workers have gone: by itself it notices within a second (core/master.c)."""

    vassal: str
    pid: int


@dataclass(frozen=True, slots=True)
class SendProbe:
    """Ask a vassal over its own socket. A later look has the answer."""

    vassal: str
    nodes: tuple[Node, ...] = ()
    """The first one has the address and the modifiers; none: they are found in the vassal's config."""
    host: str = ""
    """Empty = the key of that node."""
    modifiers: tuple[int, int] | None = None
    """Those of other vassals under its key, for one without a node; None = not known."""


@dataclass(frozen=True, slots=True)
class EndRequest:
    """End the worker that hangs in the hook's own request to a vassal, so that the reload does not wait for it."""

    vassal: str
    pid: int
    """The master's."""


@dataclass(frozen=True, slots=True)
class Suspend:
    """Keep a vassal that must not serve out of the routers until it is reloaded, by uWSGI's own pause (SIGTSTP)."""

    vassal: str
    pid: int


Action = Unsubscribe | Subscribe | Touch | ClearBlacklist | WakeMaster | SendProbe | EndRequest | Suspend


@dataclass(frozen=True, slots=True)
class Look:
    """When to look next, and at what besides the stats."""

    wait: float = 0.0
    """Seconds until then."""
    inspect: tuple[str, ...] = ()
    """The vassals whose processes and configs are read too, which costs the most."""
    inspect_if_accepting: tuple[str, ...] = ()
    """Those of which that is read once the Emperor says that they accept."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, the roll as it is once that is done, and the next look."""

    actions: tuple[Action, ...]
    roll: Roll
    look: Look = Look()
