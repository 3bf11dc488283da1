"""The options of a uWSGI process, as its command line, its environment and its configs set them.

An answer is an option's values, or that the option is not set, or that it is not known. Each caller decides what is
safe in the third case. An option is known only if uWSGI, by the rules of its source, cannot have read it otherwise.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN

__all__ = ["NO_ENVIRONMENT", "Given", "Options", "Start", "is_on"]

NO_ENVIRONMENT = "the environment of the process cannot be read"
"""The gap if only the environment is missing."""


def _nobody_knows(*_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Start:
    """How a uWSGI process was started, and how to look at the files that it reads."""

    arguments: Sequence[str]
    """Its command line, with the program's name first."""
    directory: str
    """The directory that it was started in, because its relative paths begin there."""
    environment: Mapping[str, str] | None
    """None = not known."""
    read: Callable[[str], bytes | None]
    """The bytes of a file, None if it cannot be read."""
    resolve: Callable[[str], str] = posixpath.normpath
    """The path of a config as `%p` gives it: without symlinks, unless the config itself is one."""
    exists: Callable[[str, str], bool | None] = _nobody_knows
    """Whether a path is a `file`, a `dir`, or something that the process can read (`exists`); None = not known."""
    is_linked: Callable[[str], bool | None] = _nobody_knows
    """Whether its binary is linked with a library such as `libyaml`; None = not known."""
    hostname: str | None = None
    """None = not known."""


@dataclass(slots=True)
class Given:
    """One option as uWSGI reads it, or may read it."""

    name: str
    value: str | None
    """UNKNOWN stands in place of a part that is not known. None = a flag on the command line, which has no value."""
    certain: bool
    """False = it stands in a condition that cannot be evaluated from here."""
    final: bool
    """True = uWSGI expands nothing in the value, because it acts on the option at once or keeps a placeholder only."""

    @property
    def text(self) -> str:
        """The value as uWSGI shows it."""
        return "true" if self.value is None else self.value

    @property
    def is_known(self) -> bool:
        """Whether it is certainly set, to exactly this value."""
        return self.certain and UNKNOWN not in self.text


@dataclass(frozen=True, slots=True)
class Options:
    """The options and placeholders of one process, in the order in which uWSGI reads them."""

    given: Sequence[Given]
    gap: str = ""
    """Why other options may be set too; empty = none are."""
    unsure: Collection[str] = ()
    """Beginnings of the names of options that may be set too, by an abbreviation or by `declare-option`."""

    def why_unknown(self, *names: str) -> str:
        """Why the values of the options `names` are not known; empty = they are known."""
        if self.gap:
            return self.gap
        for name in names:
            if any(name.startswith(short) for short in self.unsure):
                return f"{name} may be set by another name"
            if not all(one.is_known for one in self.given if one.name == name):
                return f"{name} depends on what cannot be seen from here"
        return ""

    def values(self, *names: str) -> list[str] | None:
        """All values of the options `names` in their order; empty = they are not set, None = not known."""
        return None if self.why_unknown(*names) else self.found(*names)

    def possible(self, *names: str) -> list[str] | None:
        """Every value that the options `names` may have, whichever conditions hold; None = they may have others."""
        settled = [Given(one.name, one.value, certain=True, final=True) for one in self.given]
        return Options(settled, self.gap, self.unsure).values(*names)

    def found(self, *names: str) -> list[str]:
        """The values of the options `names` that were found, if a wrong or missing one does no harm."""
        return [one.text for one in self.given if one.name in names and UNKNOWN not in one.text]

    def is_on(self, flag: str) -> bool | None:
        """Whether a flag is on; None = not known."""
        values = self.values(flag)
        return None if values is None else is_on(values)

    def names(self) -> Iterable[str]:
        """The name of each option."""
        return dict.fromkeys(one.name for one in self.given)

    def as_dict(self) -> dict[str, list[str]]:
        """The values of each option by name, for a caller to whom a wrong or missing one does no harm."""
        unknown = {one.name for one in self.given if UNKNOWN in one.text}
        return {name: self.found(name) for name in self.names() if name not in unknown}


def is_on(values: Sequence[str]) -> bool:
    """Whether a flag with these values is on (core/uwsgi.c, uwsgi_opt_true)."""
    return bool(values) and values[-1].lower() not in {"false", "off", "no", "0"}
