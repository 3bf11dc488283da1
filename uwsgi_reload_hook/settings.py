"""The options: their names, defaults and what each accepts. Reads nothing; a mapping goes in, `Settings` come out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from uwsgi_reload_hook.addresses import FORMS, host_and_port
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.minimum_spec import LARGEST, ONE, Minimum, is_whole, join_minimums, parse_minimum
from uwsgi_reload_hook.probe_spec import AUTO, Probe
from uwsgi_reload_hook.probe_spec import parse as parse_probe

PREFIX = "reload-hook-"

__all__ = ["OPTIONS", "PREFIX", "Minimum", "Option", "Settings", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One attribute per option, named after it. Times are seconds.

    None = to be found in the process tree; of `probe`: there is none.
    """

    trigger: str
    emperor_stats_socket: str | None = None
    fastrouter_stats_socket: tuple[str, ...] = ()
    emperor_path: str | None = None
    subscription_server: tuple[str, ...] = ()
    vassal_config_file_suffix: tuple[str, ...] = ()
    """Empty = every one, because the Emperor starts vassals of the formats alone that it takes."""
    vassals: tuple[str, ...] = ("*",)
    minimum_active_vassals: Minimum = ONE
    maximum_parallel: int = 0
    canary: int = 1
    canary_time: float = 2.0
    timeout: float | None = None
    deadline: float = 0.0
    drain_timeout: float = 30.0
    minimum_healthy_time: float = 0.0
    probe: Probe | None = AUTO
    check_interval: float = 0.1
    state_directory: str | None = None
    quiet: bool = False


def _text(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("text that is not empty, and without NUL")
    return value.strip()


def _address(value: str) -> str:
    text = _text(value)
    split = host_and_port(text)
    if split is not None and split[1] == 0:
        raise ValueError(FORMS)
    return text


def _whole(value: str) -> int:
    text = value.strip()
    if not is_whole(text):
        raise ValueError(f"a whole number from 0 to {LARGEST}")
    return int(text)


def _seconds(value: str) -> float:
    accepted = f"seconds from 0 to {LARGEST}, such as 30 or 0.5"
    try:
        number = float(value)
    except ValueError:
        raise ValueError(accepted) from None
    if not 0 <= number <= LARGEST:  # which nan is not either
        raise ValueError(accepted)
    return number


def _positive_seconds(value: str) -> float:
    number = _seconds(value)
    if number == 0:
        raise ValueError("seconds, more than 0")
    return number


def _flag(value: str) -> bool:
    text = value.strip().lower()
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise ValueError("true or false")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its name without the prefix, the reader of its text, and its meaning."""

    name: str
    read: Callable[[str], Any]
    meaning: str
    repeats: bool = False
    join: Callable[[Sequence[Any]], Any] = tuple
    """Makes the attribute of what is read of each text, where the option repeats. Raises ValueError."""

    @property
    def attribute(self) -> str:
        """Its attribute of `Settings`."""
        return self.name.replace("-", "_")


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("trigger", _text, "path of the trigger file; it need not exist yet"),
        Option("emperor-stats-socket", _address, "the Emperor's stats socket: a path, or host:port"),
        Option("fastrouter-stats-socket", _address, "a router's stats socket: a path, or host:port", repeats=True),
        Option("emperor-path", _text, "the directory, or glob, that the Emperor scans"),
        Option("subscription-server", _address, "a router's subscription socket: a path, or host:port", repeats=True),
        Option("vassal-config-file-suffix", _text, "how the names of the vassal configs to roll end", repeats=True),
        Option("vassals", _text, "glob of the ids, or file names, of the vassals to roll", repeats=True),
        Option(
            "minimum-active-vassals",
            parse_minimum,
            "for each key, how many vassals must serve: a number, or N%; KEY=VALUE for the keys of a glob",
            repeats=True,
            join=join_minimums,
        ),
        Option("maximum-parallel", _whole, "vassals reloaded at once; 0 = as many as the minimum leaves"),
        Option("canary", _whole, "vassals of the first wave, which must succeed before the rest; 0 = none"),
        Option("canary-time", _seconds, "seconds that the first wave must live, once it serves, before the rest"),
        Option("timeout", _positive_seconds, "seconds for one vassal's reload"),
        Option("deadline", _seconds, "seconds for the whole roll; 0 = none"),
        Option("drain-timeout", _seconds, "seconds to wait for a vassal's requests in flight before it is touched"),
        Option("minimum-healthy-time", _seconds, "seconds that a vassal must stay healthy before it counts"),
        Option("probe", parse_probe, "a request to each reloaded vassal, before it gets traffic; auto = / compared"),
        Option("check-interval", _positive_seconds, "the longest wait between looks while a roll runs, in seconds"),
        Option("state-directory", _text, "where the status, journal and history files are written"),
        Option("quiet", _flag, "log warnings and errors only"),
    )
}


def parse(given: Mapping[str, Sequence[str]]) -> Settings:
    """Make settings of option names (without the prefix) and their texts, in the order given.

    Raises ConfigError, naming key, value and what is accepted, for the first thing that is wrong.
    """
    values: dict[str, object] = {}
    for name, texts in given.items():
        option = OPTIONS.get(name)
        if option is None:
            raise ConfigError(f"unknown option {PREFIX}{name}{_nearest(name)}")
        if not option.repeats and len(texts) > 1:
            raise ConfigError(f"{PREFIX}{name} is given {len(texts)} times ({', '.join(texts)}); it is accepted once")
        read = [_read(option, text) for text in texts]
        values[option.attribute] = _join(option, read, texts) if option.repeats else read[0]
    if "trigger" not in values:
        raise ConfigError(
            f"{PREFIX}trigger is missing; set it to the path of the file that is touched to start a roll, "
            f"such as {PREFIX}trigger = /srv/app/reload.trigger"
        )
    return Settings(**values)  # type: ignore[arg-type]  # each reader's type is its attribute's


def _read(option: Option, text: str) -> object:
    try:
        return option.read(text)
    except ValueError as error:
        raise ConfigError(f"{PREFIX}{option.name} = {text}: not accepted; give {error}") from None


def _join(option: Option, read: Sequence[object], texts: Sequence[str]) -> object:
    try:
        return option.join(read)
    except ValueError as error:
        words = f"{PREFIX}{option.name} = {', '.join(texts)}: not accepted together; give {error}"
        raise ConfigError(words) from None


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, OPTIONS, n=1)
    if near:
        return f"; did you mean {PREFIX}{near[0]}?"
    return f"; the options are {', '.join(OPTIONS)}, each with the prefix {PREFIX}"
