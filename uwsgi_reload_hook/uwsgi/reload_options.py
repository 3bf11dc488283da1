"""What the options of a vassal say of its reload, of its log, and of the keys that it does not announce. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from uwsgi_reload_hook.snapshot import MERCY, ReloadOptions

__all__ = ["checked_keys", "log_file", "may_rest", "reload_options"]

DAEMON_MERCY = 3
"""Seconds for which a master waits for each of its daemons where `reload-mercy` is not set (core/daemons.c)."""
EMPEROR_MERCY = 2
"""Seconds for which it waits longer for an Emperor of its own (core/master_utils.c)."""
LONGEST = 999_999_999
_NUMBER = re.compile(r"\s*\+?([0-9]+)")
_DAEMONS = ("attach-daemon", "attach-daemon2", "attach-control-daemon")
_LEGION_DAEMONS = ("legion-attach-daemon", "legion-smart-attach-daemon", "legion-smart-attach-daemon2")
_LOGS = ("logto2", "daemonize", "daemonize2", "log-daemonize", "logto")
"""Options that name a log, the one that uWSGI takes in the end first (core/logging.c)."""

Values = Mapping[str, Sequence[str]]


def reload_options(options: Values) -> ReloadOptions:
    """How long a reload's first half can take, and how it ends.

    A master first waits for its daemons, one after another, and then for its workers and mules together.
    """
    seconds, option = _seconds(options, "worker-reload-mercy", MERCY), "worker-reload-mercy"
    if "mule" in options or "mules" in options:
        mules = _seconds(options, "mule-reload-mercy", MERCY)
        seconds, option = max((seconds, option), (mules, "mule-reload-mercy"), key=lambda one: one[0])
    each = _seconds(options, "reload-mercy", 0) or DAEMON_MERCY
    daemons = _daemons(options) * each + (each + EMPEROR_MERCY if "emperor" in options else 0)
    if daemons:
        seconds, option = seconds + daemons, f"reload-mercy and {option}"
    return ReloadOptions(mercy=min(seconds, LONGEST), mercy_option=option, exits=_is_on(options, "exit-on-reload"))


def _is_on(options: Values, flag: str) -> bool:
    values = options.get(flag, ())
    return bool(values) and values[-1].lower() not in {"false", "off", "no", "0"}  # core/uwsgi.c, uwsgi_opt_true


def _daemons(options: Values) -> int:
    """How many daemons a master waits for: not for those with a pidfile, which outlive it."""
    plain = [value for name in _DAEMONS for value in options.get(name, ()) if "pidfile=" not in value]
    return len(plain) + sum(len(options.get(name, ())) for name in _LEGION_DAEMONS)


def _seconds(options: Values, name: str, default: int) -> int:
    """The last value of an option, read as uWSGI reads it (atoi)."""
    values = options.get(name, ())
    if not values:
        return default
    number = _NUMBER.match(values[-1][:64])
    return min(int(number[1]), LONGEST) if number else 0


def may_rest(options: Values) -> bool:
    """Whether a vassal may be without a worker until a request comes."""
    return "cheap" in options or "idle" in options


def log_file(options: Values) -> str:
    """The file that a vassal logs to by its options; empty = they name none."""
    for name in _LOGS:
        for value in reversed(options.get(name, ())):
            if value and not _is_elsewhere(value):
                return value
    loggers = [value.partition("file:")[2] for name in ("logger", "log") for value in options.get(name, ())]
    return next((path for path in reversed(loggers) if path), "")


def _is_elsewhere(log: str) -> bool:
    """Whether a log is the host:port that lines are sent to (core/logging.c, logto)."""
    return ":" in log and not log.startswith(("/", "."))


def checked_keys(options: Values) -> dict[str, frozenset[str]]:
    """The keys that a vassal does not announce while a file is there, and the files (`subscribe2` with `check`).

    A key that another line announces without a check is not among them.
    """
    announced = [
        dict(field.split("=", 1) for field in one.split(",") if "=" in field) for one in options.get("subscribe2", ())
    ]
    plain = {one.get("key") for one in announced if not one.get("check")}
    plain |= {
        one.rpartition(":")[2].partition(",")[0]
        for name in ("subscribe-to", "st", "subscribe")
        for one in options.get(name, ())
    }
    checked: dict[str, frozenset[str]] = {}
    for one in announced:
        key, file = one.get("key", ""), one.get("check", "")
        if key and file and key not in plain and not any("\\" in value for value in one.values()):
            checked[key] = checked.get(key, frozenset()) | {file}
    return checked
