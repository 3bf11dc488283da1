"""The options of a process, as this package reads them, held against what uWSGI itself says it makes of them.

Some hundred generated sites of configs, in every format that this uWSGI knows, are given to a real one by
`--show-config`. Whatever the package calls known has to be so, to whom all is told and to whom some is hidden.
REFERENCE_UWSGI names another binary to hold it against, such as Debian's.
"""

from __future__ import annotations

import os
import random
import re
import resource
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from integration.farm import UWSGI
from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN
from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.options import Options, Start

BINARY = os.environ.get("REFERENCE_UWSGI", str(UWSGI))
SITES = 250
ENVIRONMENT = {"ONE": "one", "TWO": "%(x1) $(ONE)", "EMPTY": "", "PATH": "/usr/bin:/bin"}
TEXTS = (
    *("plain", "a b", "/run/app.sock", "12", "3", "false", "x=y", "http://host", "", "a;b", "it's", 'say "x"', "ü"),
    *("%n", "%d%s", "%p", "%c", "%e", "%x", "%v", "%0", "%1%2", "%%", "%o", "%N", "%D", "%C", "%h", "%[", "%z", "% "),
    *("%%(x1)", "50%%", "%i%k"),
    *("$(ONE)", "$(TWO)", "$(EMPTY)", "$(NONE)", "$(", "$()", "a$(ONE)b$(ONE)", "@(note.txt)", "%(", "%()", "$$(ONE)"),
    *("%(x1)", "%(x2)", "a%(x1)b", "%(nobody)", "%(x1 x2)", "%(3 + 4)", "%(n1 n2 * 3)", "%(n1 + 2)", "%(7 / 2)"),
    *("%(n1 ++)", "%(n1 -- n2)", "%(1 - n1)", "%(x1 + 1)", "%(a(b)c)", "%(a%(x1))", "(x1)", "x%(p1)", "%(p1)", "%(p2)"),
)


class Site:
    """A generated directory of configs, and a command line that names them."""

    def __init__(self, seed: int, directory: Path, formats: tuple[str, ...]) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same sites at each run
        self._directory = directory
        self._formats = formats
        self._files = 0
        self.environment = dict(ENVIRONMENT)
        directory.mkdir()
        (directory / "note.txt").write_text(self._pick("noted\n", "noted", "two\nlines\n", "%(x1)"))
        (directory / "lines.txt").write_text("alpha\nbeta\n")
        for name in ("UWSGI_X4", "UWSGI_PROCNAME_APPEND", "UWSGI_SET"):
            if self._chance(6):
                self.environment[name] = {"UWSGI_SET": "x2=of the environment"}.get(name, self._text())
        self.arguments = [*self._words()]

    def _pick(self, *these: str) -> str:
        return self._random.choice(these)

    def _chance(self, one_of: int) -> bool:
        return self._random.randrange(one_of) == 0

    def _text(self) -> str:
        return "".join(self._pick(*TEXTS) for _ in range(self._random.choice((1, 1, 1, 2))))

    def _plain(self) -> str:
        """What may be on a command line or follow `set`: it keeps its blanks."""
        return self._pick("one", "$(ONE)", "a=b", "%(n1)", "%n", "x", "5", "@(note.txt)")

    def _words(self) -> Iterator[str]:
        ways: list[tuple[str, ...]] = [
            ("--ini", self._config("ini")),
            (f"--{self._pick('include', 'inherit')}", self._config("ini")),
            (f"--ini={self._config('ini')}:more",),
            ("--set", f"x1={self._plain()}"),
            (f"--set-ph=p1={self._plain()}",),
            (self._pick("--master", "-M", "--vacuum", "-LM"),),
            (self._pick("-p3", "-p", "--processes"), "2"),
            ("--procname-append", self._plain()),
            (f"--procname-prefix={self._plain()}",),
            *((f"--{form}", self._config(form)) for form in self._formats),
        ]
        ways = [way for way in ways if way != ("-p3", "2")]
        for way in self._random.sample(ways, self._random.randrange(1, 5)):
            yield from way
        if self._chance(2):
            yield self._config(self._random.choice(("ini", *self._formats)))
        if self._chance(3):
            yield self._pick("--env=ONE=of the command line", "[name of a process]")

    def _config(self, form: str, depth: int = 0) -> str:
        self._files += 1
        extension = (
            self._pick("yaml", "yml") if form == "yaml" else self._pick("json", "js") if form == "json" else form
        )
        name = f"{self._pick('', '', 'sub/', 'sub/dir/')}app.{self._files}.{extension}"
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = getattr(self, f"_{form}")(depth)
        if self._chance(5):
            (path.with_suffix(".target")).write_text(text)
            path.symlink_to(path.with_suffix(".target"))
        else:
            path.write_text(text)
        return name if self._chance(2) else str(path)

    def _ini(self, depth: int) -> str:
        lines = ["[uwsgi]", *self._lines(depth)]
        if self._chance(2):
            lines.insert(
                self._random.randrange(len(lines)), self._pick("[other]\nx1 = hidden\n[uwsgi]", "[", "; x1 = 1")
            )
        lines += ["[more]", *self._lines(depth)]
        return self._pick("\n", "\n", "\r\n").join(lines) + self._pick("\n", "")

    def _lines(self, depth: int) -> Iterator[str]:
        for _ in range(self._random.randrange(1, 7)):
            if depth > 2 or not self._chance(4):
                yield self._line()
                continue
            yield from self._block(depth) if self._chance(2) or depth > 1 else self._load(depth)

    def _line(self) -> str:
        name = self._pick(
            "x1", "x2", "x3", "n1", "n2", "procname-append", "subscribe-to", "master", "bare", "x1 ", "env"
        )
        if name == "bare":
            return name
        if name == "env":
            return f"env = {self._pick('ONE=changed', 'NEW=new')}"
        if name == "master":
            return f"master = {self._pick('true', 'false', '1', 'no')}"
        value = self._pick("1", "4", "-2", "07") if name.startswith("n") else self._level(name.strip())
        how = self._pick("{} = {}", "{}={}", "  {}  =  {}  ", "\t{} = {}", "set = {}={}", "set = {} = {}")
        return how.format(name, value) if not self._chance(8) else f"set-ph = {self._pick('p1', 'p2')}={self._plain()}"

    def _level(self, name: str) -> str:
        """A value that refers to no name from this one on, because uWSGI never ends at a circle."""
        hidden = {"x1": ("(x1", "(x2", "TWO", "a(b", "p1", "p2", "note"), "x2": ("(x2", "p2", "note")}.get(name, ())
        while True:
            text = self._text()
            if not any(one in text for one in hidden):
                return text

    def _block(self, depth: int) -> Iterator[str]:
        yield self._pick(
            *(
                "if-env = ONE",
                "if-env = ONE=one",
                "if-not-env = ONE",
                "if-env = NONE",
                "ifenv = NEW",
                "if-not-env = NONE",
            ),
            *("if-opt = x1", "if-opt = n1=1", "if-not-opt = x2", "if-not-opt = n2=1", "if-opt = master=true"),
            *("if-exists = note.txt", "if-not-exists = note.txt", "if-file = %d", "if-dir = %d", "if-not-dir = /none"),
            *(
                "if-not-file = note.txt",
                "ifexists = /none",
                "if-directory = /",
                "if-hostname = %h",
                "if-not-hostname = z",
            ),
            *("for = a b  c", "for = ", "for-times = 3", "for-times = 0", "for-readline = lines.txt"),
        )
        for _ in range(self._random.randrange(1, 3)):
            yield self._pick(self._line(), f"{self._pick('x1', 'procname-append')} = <%(_)>", "set = x3=%(_)")
        if depth < 2 and self._chance(4):
            yield f"include = {self._config('ini', 3)}"
        yield self._pick("endif =", "end-if =", "endfor =", "end =", "endfor")

    def _load(self, depth: int) -> Iterator[str]:
        form = self._random.choice(("ini", *self._formats))
        name = self._config(form, depth + 1)
        how = self._pick(form, "include", "include", "inherit")
        yield f"{how} = {name}{':more' if how == 'ini' and self._chance(2) else ''}"
        if how == "ini" and self._chance(3):
            yield "ini = :uwsgi"

    def _yaml(self, _: int) -> str:
        lines = [f"  {self._pick('x1', 'x3', 'procname-append')}: {self._scalar()}" for _ in range(3)]
        if self._chance(3):
            lines.insert(
                1,
                self._pick(
                    "", "  # a comment", "  bare:", "  x2:\n    - one\n    - two", "  x2: [a, b]", "   x2: deep"
                ),
            )
        return "\n".join(
            [*(["other:", "  x1: 1"] if self._chance(3) else []), "uwsgi:", *lines, "after:", "  x1: 3", ""]
        )

    def _scalar(self) -> str:
        return self._pick(
            "one", "12", "a b", "%n", '"quoted"', "'single'", "a # b", "http://x:1", "true", "~", "a:b", "%d"
        )

    def _json(self, _: int) -> str:
        values = (
            '"one"',
            '"%n"',
            "12",
            "-3",
            "true",
            "false",
            "null",
            '["a", 1, true]',
            '{"x": 1}',
            '"\\u00fc"',
            '"$(ONE)"',
        )
        pairs = ", ".join(f'"{name}": {self._pick(*values)}' for name in ("x1", "x3", "procname-append"))
        return f'{{"other": {{"x1": 1}}, "uwsgi": {{{pairs}}}}}'

    def _xml(self, _: int) -> str:
        values = ("one", "%n", " a ", "12", "$(ONE)", "")
        elements = "\n  ".join(f"<{name}>{self._pick(*values)}</{name}>" for name in ("x1", "x3", "procname-append"))
        header = self._pick("", '<?xml version="1.0"?>')
        return f"{header}<uwsgi>\n  {elements}<!-- x -->\n  <master/>\n</uwsgi>\n"


@dataclass
class Told:
    """What uWSGI says of a site, and what is read of it."""

    site: Site
    directory: Path
    real: list[tuple[str, str]] = field(default_factory=list)

    def options(self, hidden: random.Random | None = None) -> Options:
        """What is read of the site; where something is hidden, by chance, what is read of the rest."""
        hide = hidden.random if hidden else lambda: 1.0
        unreadable = {str(path) for path in self.directory.rglob("*") if hide() < 0.1}
        return read_options(
            Start(
                ["uwsgi", *self.site.arguments, "--show-config", "--no-server"],
                str(self.directory),
                None if hide() < 0.05 else self.site.environment,
                lambda path: None if path in unreadable else content(path),
                resolve=lambda path: path if os.path.islink(path) else os.path.realpath(path),  # noqa: PTH114 - texts
                exists=lambda path, kind: None if hide() < 0.5 else exists(path, kind),
                is_linked=lambda library: None if hide() < 0.3 else library in LIBRARIES,
                hostname=None if hide() < 0.3 else socket.gethostname(),
            )
        )


def content(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes()
    except OSError:
        return None


def exists(path: str, kind: str) -> bool:
    return {"exists": os.path.exists, "file": os.path.isfile, "dir": os.path.isdir}[kind](path)


def run(arguments: list[str], directory: Path, environment: Mapping[str, str]) -> str:
    """What a uWSGI says that the kernel ends after five seconds of a CPU."""
    done = subprocess.run(
        [BINARY, *arguments],
        cwd=directory,
        env={**environment, "LD_LIBRARY_PATH": os.environ.get("LD_LIBRARY_PATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (5, 5)),
        check=False,
    )
    return (done.stdout + done.stderr).decode(errors="surrogateescape")


LIBRARIES = re.findall(r"lib(?:yaml|jansson|yajl|xml2|expat)\b", "")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """Some hundred sites. One that uWSGI refuses is none: what it ends at is no truth about a running process."""
    directory = tmp_path_factory.mktemp("sites")
    loaded = run([], directory, {**ENVIRONMENT, "LD_TRACE_LOADED_OBJECTS": "1"})
    LIBRARIES[:] = re.findall(r"lib(?:yaml|jansson|yajl|xml2|expat)\b", loaded)
    formats = ("yaml", *(form for form, one in (("json", r"jansson|yajl"), ("xml", r"xml2")) if re.search(one, loaded)))
    made = [Told(Site(seed, directory / str(seed), formats), directory / str(seed)) for seed in range(SITES)]
    for one in made:
        output = run([*one.site.arguments, "--show-config", "--no-server"], one.directory, one.site.environment)
        shown = re.search(
            r"^;uWSGI instance configuration\n\[uwsgi\]\n(.*)^;end of configuration$", output, re.MULTILINE | re.DOTALL
        )
        pairs = (
            re.findall(r"^(.*?) = (.*(?:\n(?!.* = ).*)*)$", shown[1].removesuffix("\n"), re.MULTILINE) if shown else []
        )
        one.real = [(name, value) for name, value in pairs]
    answered = [one for one in made if one.real]
    assert len(answered) > SITES * 2 / 3
    return answered


def test_what_is_read_of_a_site_is_what_uwsgi_makes_of_it(told: list[Told]) -> None:
    known: Counter[bool] = Counter()
    for one in told:
        options = one.options()
        assert not options.gap, (one.site.arguments, options.gap)
        assert [given.name for given in options.given] == [name for name, _ in one.real], one.site.arguments
        for given, (_, value) in zip(options.given, one.real, strict=True):
            pattern = ".*".join(map(re.escape, given.text.split(UNKNOWN)))
            assert re.fullmatch(pattern, value, re.DOTALL), (one.site.arguments, given, value)
            known[given.is_known] += 1
    assert known[False] < known[True] / 20


def test_what_is_called_known_of_a_site_that_cannot_be_read_whole_is_so(told: list[Told]) -> None:
    hidden = random.Random(1)  # noqa: S311 - the same at each run
    answers: Counter[str] = Counter()
    for one in told:
        options = one.options(hidden)
        for name in {name for name, _ in one.real} | {"x1", "x2", "subscribe-to", "nobody"}:
            values, real = options.values(name), [value for other, value in one.real if other == name]
            assert values in (None, real), (one.site.arguments, name, options.gap)
            possible = options.possible(name)
            assert possible is None or not Counter(real) - Counter(possible), (one.site.arguments, name)
            answers["not known" if values is None else "known"] += 1
    assert min(answers["known"], answers["not known"]) > sum(answers.values()) / 10
