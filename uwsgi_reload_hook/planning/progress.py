"""One vassal in a roll: its phase, and what was learnt of it. Immutable values."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from uwsgi_reload_hook.clocks import Monotonic, Seconds
from uwsgi_reload_hook.snapshot import DEFAULT_OPTIONS, Blacklisting, Node, ReloadOptions

__all__ = ["Baseline", "Drain", "Failure", "Image", "Phase", "Progress", "Times", "Warmup"]


class Phase(Enum):
    """Where a vassal is in a roll. The value is the word in logs and in the status file."""

    PENDING = "pending"
    DRAINING = "draining"
    TOUCHED = "touched"
    RESTARTING = "restarting"
    WARMING = "warming"
    DONE = "done"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"

    __hash__ = object.__hash__
    """Enum's own hash is a Python function; this one is faster, and each step hashes a phase per vassal."""

    def __init__(self, word: str) -> None:
        """Work out once what every look asks of every vassal."""
        self.is_out = word in {"draining", "touched", "restarting", "warming"}
        """Whether the roll has the vassal out of service: drained, or being reloaded."""
        self.is_over = word in {"done", "failed", "withdrawn"}
        """Whether the vassal's part in the roll has ended."""


class Failure(Enum):
    """Why a vassal failed, for programs; the reason says the same in words."""

    TIMEOUT = "timeout"
    DIED = "died"
    PROBE = "probe"
    UNNOTICED = "unnoticed"
    """The Emperor did not notice the touch of its config."""
    REFUSED = "refused"
    """The system refused an act on it."""


class Image(Enum):
    """Which program image a vassal's master runs, as far as that was seen."""

    OLD = "old"
    WOKEN = "woken"
    """The old one, woken after its workers had gone: within milliseconds it re-executes itself."""
    REEXECUTED = "re-executed"
    NEW_PROCESS = "new process"
    """The process itself began after the roll did, so that no reload needs to be seen."""

    def __init__(self, word: str) -> None:
        """Work out once what every look asks of every vassal."""
        self.is_new = word in {"re-executed", "new process"}
        """Whether it was loaded after the touch, or after the roll began."""


class Times(NamedTuple):
    """The times of a vassal in this roll."""

    started: Monotonic | None = None
    """When it left `pending`."""
    restarted: Monotonic | None = None
    """When it was touched, or began as a new process: the timeout counts from here."""
    finished: Monotonic | None = None
    load_seconds: Seconds | None = None
    """Seconds from its restart until it accepted."""


class Drain(NamedTuple):
    """What was learnt when a vassal was taken out of service; empty again once it has its traffic back."""

    nodes: tuple[Node, ...] = ()
    """Its live nodes as they were before it was taken, to subscribe them again as they were."""
    unsubscribed: tuple[Node, ...] = ()
    """Those of them that the hook has unsubscribed, and has to subscribe again."""
    was_serving: bool = False
    """Whether its process was there and accepted."""


class Baseline(NamedTuple):
    """What a vassal was before its reload, which is judged against this. Written by the touch, or by its new start."""

    pid: int | None = None
    """The pid that must survive the reload; None until it runs."""
    respawns: int = 0
    """The Emperor's count of delivered reloads."""
    last_mod: int = 0
    """The Emperor's `last_mod`, in Unix seconds."""
    reloads: int | None = None
    """How often the master had re-executed itself; None = not readable."""
    children: frozenset[tuple[int, int]] | None = None
    """The master's children as (pid, start in clock ticks since boot); None = not readable."""
    accepts: bool = True
    """Whether it is expected to accept: a vassal of mules only never does."""
    blacklisted: Blacklisting | None = None
    """Its entry in the blacklist when the hook cleared that."""
    options: ReloadOptions = DEFAULT_OPTIONS
    """What the options of the process that was touched say of its reload."""
    first_run: int = 0
    """`first_run` in the Emperor's stats, in Unix seconds: it stays while an on-demand vassal sleeps, and changes when
    that dies."""


class Warmup(NamedTuple):
    """What was learnt since a vassal runs its new code; of a new process also whether it serves already."""

    admitted: Monotonic | None = None
    """Since when it may be in the routers; None = the answer to its first probe is awaited first."""
    probed: Monotonic | None = None
    """When a probe was last sent."""
    awaits_answer: bool = False
    """Whether the answer to that probe is still to be judged."""
    status: int = 0
    """The HTTP status of its last good answer; 0 = there is none."""
    healthy_since: Monotonic | None = None


class Progress(NamedTuple):
    """One vassal in one roll: where it is, and what was learnt of it, grouped by when that was.

    A named tuple, because a changed copy of a dataclass takes five times as long, which was most of a step's time.
    """

    id: str
    phase: Phase = Phase.PENDING
    since: Monotonic = 0.0
    """When it entered the phase."""
    reason: str = ""
    """Why it is in the phase, in words."""
    failure: Failure | None = None
    keys: frozenset[str] = frozenset()
    """Every key it is known to serve, kept when its nodes vanish."""
    first_pid: int | None = None
    """Its pid when the roll began, None if it was not running: another pid later means newer code."""
    unseen_since: Monotonic | None = None
    """Since when it accepts and no router lists it under all of its keys; None = all of them do."""
    was_recalled: bool = False
    """Whether it was drained before and had its traffic back: to drain it once more brings the roll no further."""
    unnoticed_looks: int = 0
    """Looks in a row that show no effect: of an unsubscribe packet on the router, or of a touch on the Emperor."""
    times: Times = Times()
    drain: Drain = Drain()
    before: Baseline = Baseline()
    image: Image = Image.OLD
    warmup: Warmup = Warmup()

    @property
    def expected_pid(self) -> int | None:
        """The pid of the process that the roll is about; None = it was not running."""
        return self.first_pid if self.before.pid is None else self.before.pid
