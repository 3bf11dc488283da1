"""Reads a process's options in uWSGI's order: environment, command line, configs named without an option, `inherit`.

uWSGI acts at once on an option that loads a config, sets a placeholder or begins a condition. Then it expands
variables, files and placeholders in the values of the others, once (core/uwsgi.c, uwsgi_setup). It loads the configs of
`inherit` after that, so that their values are not expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uwsgi_reload_hook.uwsgi import command_line
from uwsgi_reload_hook.uwsgi.conditions import CONDITIONS, ENDS, Facts, outcomes
from uwsgi_reload_hook.uwsgi.config_files import FORMATS, WHOLE, ConfigFiles
from uwsgi_reload_hook.uwsgi.config_formats import NotKnownError
from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN, VALUE, Budget, ExceededError, calculate, expand
from uwsgi_reload_hook.uwsgi.options import NO_ENVIRONMENT, Given, Options, Start

__all__ = ["OPTIONS", "read_options"]

WORK = 1 << 25
"""Characters that are scanned to expand values: less than a second of a CPU."""
OPTIONS = 10_000

_NOT_OPTIONS = frozenset(
    f"UWSGI_{name}"
    for name in (
        *("RELOADS", "VASSALS_DIR", "EMPEROR_FD", "BROODLORD_NUM", "EMPEROR_FD_CONFIG", "EMPEROR_PROXY", "JAIL_PID"),
        "ORIGINAL_PROC_NAME",
    )
)
"""Variables that uWSGI does not read as options (core/utils.c, parse_sys_envs)."""
_PLACEHOLDERS = frozenset({"set", "set-ph", "set-placeholder"})
_LEADING = frozenset({*FORMATS, *_PLACEHOLDERS, "include", "inherit"})
_ELSEWHERE = frozenset(
    "config ldap sqlite sqlite3 ini-paste ini-paste-logged pypy-ini-paste declare-option2".split()  # noqa: SIM905
)
"""Options that load configs in a form which is not read here."""
_AT_ONCE = frozenset(
    """autoload binary-append-data blacklist build-plugin cflags command-mode config-py connect-and-read dlopen dot-h
    early-envdir end-blacklist end-whitelist exit extract fallback-config flock flock-wait flock-wait2 flock2 help
    immediate-gid immediate-uid iprint listen need-plugin need-plugins pause pcre-jit plugin plugin-dir plugins
    plugins-dir print-sym print-symbol reload resume signal spooler-processes stop strict suspend umask usage
    whitelist""".split()  # noqa: SIM905 - a table of words
)
"""The other options that uWSGI acts on at once (UWSGI_OPT_IMMEDIATE), so that it expands nothing in their values."""


def read_options(start: Start) -> Options:
    """Read the options of a uWSGI process that was started as `start` says."""
    reader = _Reader(start)
    try:
        reader.read()
    except ExceededError:
        reader.note("its configs are longer, or lead further, than is read")
    return Options(reader.given, reader.gap, reader.unsure)


class _Reader:
    def __init__(self, start: Start) -> None:
        self.given: list[Given] = []
        self._firsts: dict[str, Given] = {}
        self.gap = ""
        self.unsure: set[str] = set()
        self._start = start
        self._environment = None if start.environment is None else dict(start.environment)
        self._files = ConfigFiles(start)
        self._on_command_line = False
        self._condition: tuple[str, str] | None = None
        self._within_condition = False
        self._certain = True
        self._values, self._work, self._options = Budget(WHOLE), Budget(WORK), Budget(OPTIONS)

    def note(self, gap: str) -> None:
        self.gap = self.gap or gap

    def read(self) -> None:
        self._take_variables()
        told = command_line.parse(self._start.arguments[1:])
        self.unsure |= told.abbreviated
        self._on_command_line = True
        for name, value in told.options:
            self._add(name, value)
        for config in told.configs:
            self._include(config)
        if told.gap or any(name.startswith(short) for name in _LEADING for short in told.abbreviated):
            self.note(told.gap or "an option of the command line is written in a short form")
        self._expand("$", self._variable)
        self._expand("@", self._content)
        self._expand("%", self._placeholder)
        for one in self.given:  # grows meanwhile
            self._configure(one)
        if self._environment is None:
            self.note(NO_ENVIRONMENT)

    def _take_variables(self) -> None:
        for variable, value in (self._environment or {}).items():
            if variable.startswith("UWSGI_") and variable not in _NOT_OPTIONS:
                self._add(variable[6:].lower().replace("_", "-"), value)

    def _expand(self, symbol: str, answer: Callable[[str], str | None]) -> None:
        for one in self.given:
            if one.value is not None and not one.final:
                one.value = expand(one.value, symbol, answer, self._work)
                self._values.spend(len(one.value))

    def _configure(self, one: Given) -> None:
        if one.final:
            return
        if one.name == "inherit":
            with self._uncertain(unless=one.certain):
                self._include(one.text)
        elif one.name in {"env", "unenv"} and self._environment is not None:
            name, equals, value = one.text.partition("=")
            self._environment[name] = value if one.is_known and equals else UNKNOWN
            if one.name == "unenv" and one.is_known:
                del self._environment[name]

    def _add(self, name: str, value: str | None, *, placeholder: bool = False) -> None:
        """Take an option as `add_exported_option` does (core/config.c)."""
        if not self._within_condition:
            if name in ENDS:
                self._condition = None
            if self._condition is not None:
                self._judge(self._condition, name, value)
                return
        self._take(name, value, placeholder=placeholder)

    def _judge(self, condition: tuple[str, str], name: str, value: str | None) -> None:
        facts = Facts(self._start, self._variable, self._first, self._files.text)
        self._within_condition = True
        for certain, chosen in outcomes(*condition, facts):
            text = value if value is None or chosen is None else value.replace("%(_)", chosen)
            with self._uncertain(unless=certain):
                self._take(name, text)
        self._within_condition = False

    @contextmanager
    def _uncertain(self, *, unless: bool) -> Iterator[None]:
        before = self._certain
        self._certain = before and unless
        yield
        self._certain = before

    def _take(self, name: str, value: str | None, *, placeholder: bool = False) -> None:
        text = value or ""
        self._options.spend(1)
        self._values.spend(len(name) + len(text))
        if len(text) > VALUE:
            raise ExceededError
        one = Given(name, value, self._certain, final=placeholder)
        self.given.append(one)
        self._firsts.setdefault(name, one)
        if UNKNOWN in name:
            self.note("the name of an option cannot be known")
        if not placeholder:
            self._at_once(one, text)

    def _at_once(self, one: Given, text: str) -> None:
        name = one.name
        one.final = True
        if name in _PLACEHOLDERS:
            key, _, value = text.partition("=")
            self._add(key, value, placeholder=name != "set")
        elif name in FORMATS:
            self._load_by_option(FORMATS[name], text)
        elif name == "include":
            self._include(text)
        elif name in CONDITIONS:
            if self._condition is not None:
                self.note("one condition within another, at which uWSGI ends")
            self._condition = name, text
        elif name in {"inject-before", "inject-after"}:
            (self._files.before if name == "inject-before" else self._files.after).append(text)
        elif name == "declare-option":
            self._declare(text)
        elif name == "resolve":
            self._add(text.partition("=")[0], UNKNOWN, placeholder=True)
        elif name in _ELSEWHERE:
            self.note(f"{name} leads to what is not read")
        else:
            one.final = name in _AT_ONCE

    def _declare(self, text: str) -> None:
        """Note what an option of the config's own sets: uWSGI acts on that without listing it (uwsgi_opt_custom)."""
        for step in text.partition("=")[2].split(";"):
            name = step.partition("=")[0]
            self.unsure.add(name)
            if "$" in name or UNKNOWN in step or name in _LEADING:
                self.note("an option of the config's own leads to what is not read")

    def _include(self, named: str) -> None:
        format_ = FORMATS.get(named.rpartition(".")[2]) if "." in named else None
        if format_ is None:
            self.note(f"{named} is a config of no format that is read here")
        else:
            self._load(format_, named, main=False)

    def _load_by_option(self, format_: str, named: str) -> None:
        """Load what `ini`, `yaml` and the like name. On a command line uWSGI ends at a format that it does not know."""
        knows = True if self._on_command_line and not self._files.is_reading else self._files.knows(format_)
        if knows is not False:
            with self._uncertain(unless=knows is True):
                self._load(format_, named, main=True)

    def _load(self, format_: str, named: str, *, main: bool) -> None:
        try:
            for name, value in self._files.pairs(format_, named, main=main):
                self._add(name, value)
        except NotKnownError as error:
            self.note(str(error))

    def _variable(self, name: str) -> str | None:
        return UNKNOWN if self._environment is None or UNKNOWN in name else self._environment.get(name)

    def _content(self, path: str) -> str | None:
        """The text of `@(path)`, without the end of its last line (core/uwsgi.c, uwsgi_at_file_read)."""
        text = None if "://" in path else self._files.text(self._files.path(path))
        if text is None:
            return UNKNOWN
        return (text[:-1] if text[-1:] in {"\n", "\r"} else text).split("\0")[0]

    def _placeholder(self, words: str) -> str | None:
        return UNKNOWN if UNKNOWN in words else calculate(words, self._first)

    def _first(self, name: str) -> str | None:
        """The value of the first option of a name, which a placeholder stands for; None = there is none."""
        one = self._firsts.get(name)
        if one is None:
            return None
        return one.value if one.certain else UNKNOWN
