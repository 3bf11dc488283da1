"""The options of a running uWSGI process: by its command line, or by its config if that line cannot be read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePath

from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.options import NO_ENVIRONMENT, Options, Start

__all__ = ["may_subscribe", "nofollow", "of_config", "of_instance", "of_vassal", "vassal_start"]

NOFOLLOW = "emperor-nofollow"
_UNSEEN = "neither its command line nor that of its Emperor can be seen"
_LOADED_BY = {".ini": "ini", ".xml": "xml", ".yml": "yaml", ".yaml": "yaml", ".js": "json", ".json": "json"}
"""By the ending of a config the option an Emperor loads it with (core/emperor.c); with any other it starts none."""


def of_instance(pid: int, read: Callable[[str], bytes | None] = read_bytes) -> tuple[Options, str]:
    """The options of an instance that hosts an Emperor, the process `pid`, and the directory that it was started in.

    An Emperor changes into the directory that it scans, but its master, if it has one, stays. The same holds for a
    router. `read` reads a file.
    """
    environment = processes.environment(pid)
    arguments, above = processes.command_line(pid), processes.parent(pid)
    same_program = above is not None and processes.command_line(above) == arguments
    directory = processes.working_directory(above) if above and same_program else None
    directory = directory or (environment or {}).get("PWD", "/")
    return read_options(replace(_start(pid, arguments, directory, environment), read=read)), directory


def of_vassal(pid: int, config: str) -> Options:
    """The options of a vassal that runs, whose config is at the path `config`.

    They come from its own command line, or from its Emperor's options if `auto-procname` has overwritten that line.
    """
    start = vassal_start(pid, config, processes.command_line(pid), processes.environment(pid))
    if start is not None:
        return read_options(start)
    emperor = processes.parent(pid)
    directory = (processes.working_directory(emperor) if emperor else None) or str(Path(config).parent)
    named = config.removeprefix(f"{directory.rstrip('/')}/")
    arguments = _arguments_for(of_instance(emperor)[0], named) if emperor else None
    if emperor is None or arguments is None:
        options = of_config(config, processes.environment(pid), read_bytes)
        return replace(options, gap=options.gap or _UNSEEN)
    return read_options(_start(pid, arguments, directory, _environment_for(emperor)))


def of_config(config: str, environment: Mapping[str, str] | None, read: Callable[[str], bytes | None]) -> Options:
    """The options that a config gives by itself, to whichever process an Emperor starts with it."""
    arguments = ["uwsgi", *_loading(config)]
    return read_options(Start(arguments, str(Path(config).parent), environment, read, resolve=_resolved))


def _loading(config: str) -> list[str]:
    return [f"--{_LOADED_BY.get(PurePath(config).suffix, 'ini')}", config]


def _arguments_for(emperor: Options, config: str) -> list[str] | None:
    """The command line that an Emperor starts a vassal with (core/emperor.c); None = not known."""
    if "emperor" not in emperor.names():  # each has one, so this is no command line of one
        return None
    values = [emperor.values(*names) for _, *names in _SHARED]
    known = None not in values and emperor.values("emperor-extra-extension") == []
    if not known or emperor.is_on("emperor-magic-exec") is not False:
        return None
    shared = [
        [word for value in each or () for word in (option, value)]
        for (option, *_), each in zip(_SHARED, values, strict=True)
    ]
    return ["uwsgi", *chain(*shared[:3]), *_loading(config), *chain(*shared[3:])]


_SHARED = (
    ("--inherit", "vassals-inherit-before"),
    ("--include", "vassals-include-before"),
    ("--set", "vassals-set", "vassal-set"),
    ("--inherit", "vassals-inherit"),
    ("--include", "vassals-include"),
)
"""What an Emperor puts before and after the config of a vassal: an option, and the names of its own that give it."""


def _environment_for(emperor: int) -> dict[str, str] | None:
    """The environment that an Emperor gives its vassals (core/emperor.c); None = not known.

    It is meant to rename `UWSGI_VASSAL_X` to `UWSGI_X`, but gives the new name to a part of another variable.
    """
    environment, lines = processes.environment(emperor), of_instance(emperor)[0].values("env", "unenv")
    if environment is None or lines is None or not all("=" in line for line in lines):
        return None
    given = {**environment, **dict(line.split("=", 1) for line in lines), "UWSGI_EMPEROR_FD": "0"}
    return None if any(name.startswith("UWSGI_VASSAL_") for name in given) else given


def vassal_start(
    pid: int, config: str, arguments: Sequence[str], environment: Mapping[str, str] | None
) -> Start | None:
    """How a vassal was started, by its command line; None where that names no config of its path.

    It names the config as the Emperor does, from the directory that this was in.
    """
    for word in arguments[1:]:
        name = str(PurePath(word))
        if word and config == name:
            return _start(pid, arguments, processes.working_directory(processes.parent(pid) or 0) or "/", environment)
        if word and config.endswith(f"/{name}"):
            return _start(pid, arguments, config.removesuffix(name), environment)
    return None


def _start(pid: int, arguments: Sequence[str], directory: str, environment: Mapping[str, str] | None) -> Start:
    """How a process was started; `exists` is not known, because a file may have come or gone since then."""
    return Start(
        arguments,
        directory,
        environment,
        read_bytes,
        resolve=_resolved,
        is_linked=lambda library: processes.is_linked(pid, library),
        hostname=os.uname().nodename if processes.shares_hostname(pid) else None,
    )


def _resolved(path: str) -> str:
    try:
        return path if os.path.islink(path) else os.path.realpath(path)  # noqa: PTH114 - a text, as uWSGI has it
    except ValueError:  # no file can have this name
        return path


def nofollow(emperor: int) -> bool | None:
    """Whether the Emperor with the pid `emperor` looks at symlinks themselves, by its options; None = not known."""
    options, _ = of_instance(emperor)
    return options.is_on(NOFOLLOW) if "emperor" in options.names() else None  # each has one, or this is none


def may_subscribe(pid: int, config: str) -> bool:
    """Whether a vassal announces itself to a router; it may if that is not known."""
    try:
        changed = os.stat(config).st_ctime_ns  # noqa: PTH116 - Path.stat raises ValueError of some names
    except (OSError, ValueError):
        return True
    return _may_subscribe(pid, processes.started(pid), config, changed)


@lru_cache(maxsize=1 << 14)
def _may_subscribe(pid: int, started: int | None, config: str, _: int) -> bool:
    """Answer once for each process, and once more when its config has changed."""
    options = of_config(config, None, read_bytes) if started is None else of_vassal(pid, config)
    names = (name.replace("unsubscr", "") for name in (*options.names(), *options.unsure))
    return options.gap not in _BY_CONFIG or any("subscr" in name or name == "st" for name in names)


_BY_CONFIG = frozenset({"", NO_ENVIRONMENT, _UNSEEN})
"""Gaps with which a vassal's config decides alone, because nothing else of the vassal can be read."""
