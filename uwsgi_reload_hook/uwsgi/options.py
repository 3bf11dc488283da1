"""The options of a uWSGI process: what its command line, its environment and the configs that they name make of it.

An answer has three values: what an option is, that it is not there, or that it is not known. Whoever asks decides what
is safe then. Only that is called known which uWSGI itself, by the rules of its source, cannot take otherwise.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN

__all__ = ["NO_ENVIRONMENT", "Given", "Options", "Start", "is_on"]

NO_ENVIRONMENT = "the environment of the process cannot be read"
"""The gap of options where nothing else is missing."""


def _nobody_knows(*_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Start:
    """How a uWSGI process was started, and what its host tells of files."""

    arguments: Sequence[str]
    """Its command line, the program's name first."""
    directory: str
    """Where it was started: its relative paths begin there."""
    environment: Mapping[str, str] | None
    """None = not known."""
    read: Callable[[str], bytes | None]
    """The bytes of a file, None if it cannot be read."""
    resolve: Callable[[str], str] = posixpath.normpath
    """The path of a config as `%p` has it: with no link in it, unless the config itself is one."""
    exists: Callable[[str, str], bool | None] = _nobody_knows
    """Whether there is a `file`, a `dir` or any of them (`exists`) that it can read; None = not known."""
    is_linked: Callable[[str], bool | None] = _nobody_knows
    """Whether its program is linked with a library, such as `libyaml`; None = not known."""
    hostname: str | None = None
    """None = not known."""


@dataclass(slots=True)
class Given:
    """An option that uWSGI was given, and one that it may have been given."""

    name: str
    value: str | None
    """What remains UNKNOWN of it is in its place; None of a flag of the command line."""
    certain: bool
    """False where a condition that cannot be judged decides whether it counts."""
    final: bool
    """Nothing is put into its value any more: uWSGI takes it at once, or only as a placeholder."""

    @property
    def text(self) -> str:
        """The value as uWSGI shows it."""
        return "true" if self.value is None else self.value

    @property
    def is_known(self) -> bool:
        """Whether it is certainly given, and so."""
        return self.certain and UNKNOWN not in self.text


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one process, placeholders among them, in the order in which uWSGI takes them."""

    given: Sequence[Given]
    gap: str = ""
    """Why it may have any other option; empty = it has none."""
    unsure: Collection[str] = ()
    """Names of options that it may have been given besides, by a short form or as part of a declared one."""

    def why_unknown(self, *names: str) -> str:
        """The reason why it is not known what the options `names` are; empty = it is known."""
        if self.gap:
            return self.gap
        for name in names:
            if any(name.startswith(short) for short in self.unsure):
                return f"{name} may be set by another name"
            if not all(one.is_known for one in self.given if one.name == name):
                return f"{name} depends on what cannot be seen from here"
        return ""

    def values(self, *names: str) -> list[str] | None:
        """All values of the options `names` in their order, none if they are not set; None = not known."""
        return None if self.why_unknown(*names) else self.found(*names)

    def possible(self, *names: str) -> list[str] | None:
        """The values that the options `names` may have, each of them whole; None = they may have others."""
        every = [one for one in self.given if one.name in names]
        if any(UNKNOWN in one.text for one in every) or Options(self._settled(), self.gap, self.unsure).why_unknown(
            *names
        ):
            return None
        return [one.text for one in every]

    def _settled(self) -> list[Given]:
        return [Given(one.name, one.value, certain=True, final=True) for one in self.given]

    def found(self, *names: str) -> list[str]:
        """The values of the options `names` that were found, for whom a wrong or a missing one does no harm."""
        return [one.text for one in self.given if one.name in names and UNKNOWN not in one.text]

    def is_on(self, flag: str) -> bool | None:
        """Whether a flag is on; None = not known."""
        values = self.values(flag)
        return None if values is None else is_on(values)

    def names(self) -> Iterable[str]:
        """The name of each option."""
        return dict.fromkeys(one.name for one in self.given)

    def as_dict(self) -> dict[str, list[str]]:
        """The values of each option that was found whole, for whom a wrong or a missing one does no harm."""
        unknown = {one.name for one in self.given if UNKNOWN in one.text}
        return {name: self.found(name) for name in self.names() if name not in unknown}


def is_on(values: Sequence[str]) -> bool:
    """Whether a flag with these values is on (core/uwsgi.c, uwsgi_opt_true)."""
    return bool(values) and values[-1].lower() not in {"false", "off", "no", "0"}
