"""The command line of a uWSGI process, as getopt_long(3) takes it apart (core/init.c, uwsgi_commandline_config).

Which options need an argument depends on the plugins, so that the table of them all is not known. But the process runs,
and uWSGI ends at a word that is neither an option nor a config, so such a word is the argument of the option before it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["CommandLine", "parse"]

_CONFIG = re.compile(r".*\.(ini|xml|ya?ml|js|json|lua)", re.DOTALL)
"""What a lone word may be (core/uwsgi.c, uwsgi_opt_load)."""
_FLAGS = frozenset(
    """auto-procname die-on-term disable-logging early-emperor emperor-nofollow emperor-tyrant enable-threads lazy
    lazy-apps manage-script-name master need-app no-orphans no-server show-config single-interpreter strict
    thunder-lock unsubscribe-on-graceful-reload vacuum""".split()  # noqa: SIM905 - a table of words
)
"""Options that take no word with them, so that a config may follow."""
_WITH_WORD = frozenset(
    """config daemonize daemonize2 emperor emperor-stats emperor-stats-server env fastrouter-stats
    fastrouter-stats-server http http-socket http-stats http-stats-server import include inherit ini js json logto
    logto2 mule pidfile plugin plugins set set-ph set-placeholder socket stats stats-server subscribe-to subscribe2
    subscription-tolerance xml xmlconfig yaml yml""".split()  # noqa: SIM905 - a table of words
)
"""Options whose next word is theirs whatever it is."""
_SHORT_FLAGS = {
    "a": "abstract-socket",
    "c": "cgi-mode",
    "i": "single-interpreter",
    "L": "disable-logging",
    "m": "memory-report",
    "M": "master",
    "r": "reaper",
    "T": "enable-threads",
}
_SHORT_WITH_WORD = {
    "A": "sharedarea",
    "b": "buffer-size",
    "d": "daemonize",
    "H": "home",
    "j": "json",
    "J": "test",
    "l": "listen",
    "O": "optimize",
    "p": "processes",
    "Q": "spooler",
    "R": "max-requests",
    "s": "socket",
    "S": "set",
    "t": "harakiri",
    "v": "max-vars",
    "w": "module",
    "x": "xmlconfig",
    "y": "yaml",
    "z": "socket-timeout",
}


@dataclass(slots=True)
class CommandLine:
    """What a command line says."""

    options: list[tuple[str, str | None]] = field(default_factory=list)
    """Each option with its argument, in their order; a flag has none."""
    configs: list[str] = field(default_factory=list)
    """The words that are no options: uWSGI reads them as configs after all options."""
    abbreviated: set[str] = field(default_factory=set)
    """Names that may be short for a longer one, as getopt_long takes them."""
    gap: str = ""
    """Why there may be more; empty = there is not."""


def parse(words: Sequence[str]) -> CommandLine:
    """Take the words apart that follow the program's name."""
    told = CommandLine()
    left = [*reversed(words)]
    while left:
        word = left.pop()
        if word == "--":
            told.configs += reversed(left)
            break
        if word.startswith("--"):
            _long(word[2:], left, told)
        elif word.startswith("-") and word != "-":
            _short(word[1:], left, told)
        elif not word.startswith("["):  # uWSGI passes over those
            told.configs.append(word)
    return told


def _long(word: str, left: list[str], told: CommandLine) -> None:
    name, equals, value = word.partition("=")
    if name not in _FLAGS | _WITH_WORD:
        told.abbreviated.add(name)
    if equals:
        told.options.append((name, value))
    elif name in _WITH_WORD:
        told.options.append((name, left.pop() if left else ""))
    elif name in _FLAGS or not left or re.match(r"-\D", left[-1]):
        told.options.append((name, None))
    elif _CONFIG.fullmatch(left[-1]) or left[-1].startswith("["):
        told.gap = f"it is not known whether --{name} takes {left[-1]} as its argument"
        told.options.append((name, None))
    else:
        told.options.append((name, left.pop()))


def _short(letters: str, left: list[str], told: CommandLine) -> None:
    for index, letter in enumerate(letters):
        if letter in _SHORT_FLAGS:
            told.options.append((_SHORT_FLAGS[letter], None))
        elif letter in _SHORT_WITH_WORD:
            word = letters[index + 1 :] or (left.pop() if left else "")
            told.options.append((_SHORT_WITH_WORD[letter], word))
            return
        elif letter == "C":  # its argument is optional, and may only follow in the same word
            told.options.append(("chmod-socket", letters[index + 1 :] or None))
            return
        else:
            told.gap = f"the option -{letter} is not known"
            return
