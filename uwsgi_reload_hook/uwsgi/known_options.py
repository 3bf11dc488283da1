"""The options of a uWSGI process, if every one of them is known, so that an option which is missing is not set.

`ini.py` finds what it can, which is enough where a socket's answer proves the find. To know that an option is missing
takes more: one line that is not understood, or one file that cannot be read, makes all options unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from uwsgi_reload_hook.uwsgi import ini
from uwsgi_reload_hook.uwsgi.ini import Options

__all__ = ["is_set", "known_options"]

FILES = 8
"""Files of one config, at most: the depth to which `ini.py` follows them."""

_INTERNAL = frozenset(
    f"UWSGI_{name}"
    for name in (
        *("RELOADS", "VASSALS_DIR", "EMPEROR_FD", "BROODLORD_NUM", "EMPEROR_FD_CONFIG", "EMPEROR_PROXY", "JAIL_PID"),
        "ORIGINAL_PROC_NAME",
    )
)
"""Variables that uWSGI does not read as options (core/utils.c, parse_sys_envs)."""
_LEADS_ELSEWHERE = re.compile(
    r"(if|for|inherit|include|declare-option2?)(-.*)?|if(env|exists|plugin|dir)"
    r"|xml(config)?|ya?ml|js(on)?|config|ldap|sqlite3?"
)
"""Options that read another config, or decide what is read of this one (core/uwsgi.c, core/config.c)."""
_CONDITION = re.compile(r"if(-.*)?|if(env|exists|plugin|dir)")
_OTHER_CONFIG = re.compile(r"-[^-].*|.*\.(xml|ya?ml|js|json)(:.*)?|.*://.*", re.DOTALL)
"""Words of a command line that may name a config which is no ini file. Every short option counts as one."""
_CONFUSING = re.compile(r"%\s*?(\n|\Z)|\r(?!\n)|[\0\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Text that joins two lines for uWSGI (a `%` before the line's end), or splits a line for Python only."""
_USED = re.compile(r"%\(([^()\n]{1,256})\)")
"""A placeholder in the form that `ini.py` expands. It leaves other forms unexpanded."""
_UNEXPANDED = re.compile(r"%|[$@]\(")


def known_options(  # noqa: PLR0913 - the first three describe a process, and the others the question
    arguments: Sequence[str],
    directory: str,
    environment: Mapping[str, str],
    read: Callable[[str], str | None],
    wanted: Collection[str],
    *,
    branches: bool = False,
) -> Options | None:
    """The options of a process with this command line and environment; None = one of `wanted` may have another value.

    `directory` is where the process was started. `read` returns the text of a file; None = it cannot be read. With
    `branches` the options in every branch of a condition are included, so that a missing one is set in no branch.
    """
    texts: list[str | None] = []

    def noted(path: str) -> str | None:
        texts.append(read(path))
        return texts[-1]

    options = ini.options(arguments, directory, {}, noted)  # without variables: an `env` line may change them
    readable = [text for text in texts if text is not None]
    exported = {name[6:].lower().replace("_", "-") for name in environment if name.startswith("UWSGI_")} - {
        name[6:].lower().replace("_", "-") for name in _INTERNAL
    }
    if (
        not options.complete
        or len(texts) > FILES
        or any(_CONFUSING.search(text) for text in readable)
        or any(_OTHER_CONFIG.fullmatch(word) for word in arguments[1:])
        or any(_leads_elsewhere(name, branches=branches) for name in (*options, *exported))
        or not exported.isdisjoint(wanted)
        or any(_UNEXPANDED.search(value) for name in wanted for value in options.get(name, ()))
        or _is_ambiguous(readable, options, exported)
    ):
        return None
    return options


def _leads_elsewhere(name: str, *, branches: bool) -> bool:
    if branches and _CONDITION.fullmatch(name):
        return False
    return _LEADS_ELSEWHERE.fullmatch(name) is not None


def _is_ambiguous(texts: Iterable[str], options: Options, exported: Collection[str]) -> bool:
    """Whether a placeholder has several values: uWSGI takes the first (core/config.c), `ini.py` the last."""
    used = {name for text in texts for name in _USED.findall(text)}
    return any(name in exported or len(options.get(name, ())) > 1 for name in used)


def is_set(options: Options, flag: str) -> bool:
    """Whether a flag is on (core/uwsgi.c, uwsgi_opt_true)."""
    return options.get(flag, ["0"])[-1].lower() not in {"false", "off", "no", "0"}
