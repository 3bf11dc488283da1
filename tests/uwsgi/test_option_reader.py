from __future__ import annotations

from collections.abc import Mapping

import pytest

from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.options import Start

CONFIG = frozenset({"ini", "set", "set-ph", "set-placeholder"})


def read(
    files: Mapping[str, str], *arguments: str, environment: Mapping[str, str] | None = None
) -> dict[str, list[str]]:
    """The options of a uWSGI that was started in /srv with these arguments, without those that led to others."""
    encoded = {name: text.encode(errors="surrogateescape") for name, text in files.items()}
    found = read_options(Start(["uwsgi", *arguments], "/srv", environment or {}, encoded.get))
    return {name: found.found(name) for name in found.names() if name not in CONFIG and found.found(name)}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--emperor-stats", "/e.stats"], {"emperor-stats": ["/e.stats"]}),
        (["--emperor-stats=/e.stats"], {"emperor-stats": ["/e.stats"]}),
        (["--emperor", "/a", "--emperor", "/b"], {"emperor": ["/a", "/b"]}),
        (["--master", "--fastrouter-stats", "/r"], {"master": ["true"], "fastrouter-stats": ["/r"]}),
        (["--http", ":80", "--sslrouter-stats", ":5"], {"http": [":80"], "sslrouter-stats": [":5"]}),
        (
            ["--no-such-option", "value", "--another", "--last"],
            {"no-such-option": ["value"], "another": ["true"], "last": ["true"]},
        ),
        (["--a-number", "-1", "--lazy-apps"], {"a-number": ["-1"], "lazy-apps": ["true"]}),
        (
            ["-Mp", "4", "-Ts/run/s", "-C666", "-S", "a=b"],
            {
                "master": ["true"],
                "processes": ["4"],
                "enable-threads": ["true"],
                "socket": ["/run/s"],
                "chmod-socket": ["666"],
                "a": ["b"],
            },
        ),
        (["--set-ph", "a=b=c", "--set-placeholder", "d = e"], {"a": ["b=c"], "d ": [" e"]}),
        (["--set=a=b"], {"a": ["b"]}),
        (["--subscription-tolerance", "30"], {"subscription-tolerance": ["30"]}),
        (["--emperor-stats"], {"emperor-stats": [""]}),
        (["--ini"], {}),
        (["--ini", "missing.ini"], {}),
        (["stray", "-M"], {"master": ["true"]}),
        ([], {}),
    ],
)
def test_a_command_line_is_read(arguments: list[str], expected: dict[str, list[str]]) -> None:
    assert read({}, *arguments) == expected


def test_without_so_much_as_a_program_name_nothing_is_found() -> None:
    assert not read_options(Start([], "/srv", {}, lambda _: None)).given


INI = """
; a comment = 1
# another = 2
 stray = before any section
[other]
emperor = /no
[uwsgi]
  emperor   =  /vassals
emperor-stats-server=/e.stats
fastrouter = a=b
bare
\tmaster = true\r
[more]
http-stats = /h
"""


@pytest.mark.parametrize(
    "arguments",
    [["--ini", "site.ini"], ["--ini=/srv/site.ini"], ["site.ini"], ["--ini=site.ini:uwsgi"], ["/srv/site.ini"]],
)
def test_an_ini_is_read_wherever_it_is_named(arguments: list[str]) -> None:
    assert read({"/srv/site.ini": INI}, *arguments) == {
        "emperor": ["/vassals"],
        "emperor-stats-server": ["/e.stats"],
        "fastrouter": ["a=b"],
        "bare": [""],
        "master": ["true"],
    }


@pytest.mark.parametrize("argument", ["site.ini:more", "/srv/site.ini:more"])
def test_the_section_that_is_named_is_read_and_no_other(argument: str) -> None:
    assert read({"/srv/site.ini": INI}, argument) == {}, "uWSGI ends at a lone word with a section"
    assert read({"/srv/site.ini": INI}, "--ini", argument) == {"http-stats": ["/h"]}


def test_the_command_line_and_its_inis_add_up_in_their_order() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nemperor = /a\nini = b.ini\nemperor = /c", "/srv/b.ini": "[uwsgi]\nemperor = /b"}
    named = read(files, "--emperor", "/0", "--ini", "a.ini", "--emperor", "/d")
    assert named == {"emperor": ["/0", "/a", "/b", "/c", "/d"]}
    alone = read(files, "--emperor", "/0", "a.ini", "--emperor", "/d")
    assert alone == {"emperor": ["/0", "/d", "/a", "/b", "/c"]}, "a lone word is read after all options"


def test_a_section_without_a_file_is_of_the_file_read_last() -> None:
    files = {
        "/srv/a.ini": "[uwsgi]\nini = :more\nini = b.ini\nini = :more\n[more]\nemperor = /a",
        "/srv/b.ini": "[uwsgi]\n[more]\nemperor = /b",
    }
    assert read(files, "a.ini") == {"emperor": ["/a", "/b"]}


def test_set_ph_in_an_ini_is_an_option() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nset-ph = run=/run/x\nset = base=%(run)/y\nemperor = %(base)/z"}
    assert read(files, "a.ini") == {"run": ["/run/x"], "base": ["/run/x/y"], "emperor": ["/run/x/y/z"]}


def test_nothing_is_put_into_a_placeholder_alone_or_at_the_start_of_its_value() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nset-ph = run=/x\nset-ph = base=%(run)/y\nemperor = %(base)\nmore = a%(base)"}
    assert read(files, "a.ini") == {"run": ["/x"], "base": ["%(run)/y"], "emperor": ["%(run)/y"], "more": ["a/x/y"]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%d/e.stats", "/srv/conf//e.stats"),
        ("%p", "/srv/conf/site.ini"),
        ("%s", "site.ini"),
        ("%n.stats", "site.stats"),
        ("%c", "conf"),
        ("%v/x", "/srv/x"),
        ("100%%", "100%"),
        ("%%n", "%n"),
        ("$(HOME)/x", "/home/me/x"),
        ("$(NONE)/x", "$(NONE)/x"),
        ("%(none)/x", "%(none)/x"),
        ("%za", "a"),
        ("%z%\n/y", "/y"),
        ("$(", "$("),
        ("", ""),
        ("%(1 + 2)%(twice * 2 - 1)%(twice ++)%(none)%(twice twice)", "333%(none)22"),
        ("@(/etc/note)/x", "noted/x"),
        ("%(a%(twice))", "%(a2)"),
    ],
)
def test_variables_are_put_in(text: str, expected: str) -> None:
    found = read(
        {"/srv/conf/site.ini": f"[uwsgi]\ntwice = 2\nemperor = {text}\n", "/etc/note": "noted\n"},
        "conf/site.ini",
        environment={"HOME": "/home/me"},
    )
    assert found == {"twice": ["2"], "emperor": [expected]}


def test_variables_in_an_included_file_are_those_of_that_file() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nini = %dconf/b.ini", "/srv/conf/b.ini": "[uwsgi]\nemperor = %n"}
    assert read(files, "a.ini") == {"emperor": ["b"]}


def test_files_that_include_each_other_come_to_an_end() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nini = b.ini\nemperor = /a", "/srv/b.ini": "[uwsgi]\nini = a.ini"}
    assert set(read(files, "a.ini")["emperor"]) == {"/a"}


@pytest.mark.parametrize("text", ["\0\xff\udcff", "=\n==\n[", "[]\n[[uwsgi]]\n=x", "[uwsgi]\n= value\n%(\n$(a)(b"])
def test_a_file_of_rubbish_is_no_crash(text: str) -> None:
    assert not read({"/srv/a.ini": text}, "a.ini").keys() & {"emperor", "emperor-stats"}


def test_variables_are_options_and_come_first() -> None:
    environment = {"UWSGI_EMPEROR": "/a", "UWSGI_INI": "b.ini", "UWSGI_RELOADS": "1", "UWSGI_EMPEROR_FD": "5"}
    files = {"/srv/b.ini": "[uwsgi]\nemperor = /b"}
    assert read(files, "--emperor", "/c", environment=environment) == {"emperor": ["/a", "/b", "/c"]}


def test_what_inherit_loads_comes_last_and_nothing_is_put_into_it() -> None:
    files = {
        "/srv/a.ini": "[uwsgi]\nenv = NEW=1\ninherit = b.ini\nemperor = %(x)\nx = /x\n",
        "/srv/b.ini": "[uwsgi]\nemperor = %(x)/%n\nif-env = NEW\nlast = %(_)\nendif =\n",
    }
    found = read(files, "a.ini")
    assert (found["emperor"], found["last"]) == (["/x", "%(x)/b"], ["1"])


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("if-env = HOME", ["</home/me>"]),
        ("if-env = HOME=/home/me", ["</home/me>"]),
        ("if-env = HOME=/", []),
        ("if-not-env = HOME=/", ["</home/me>"]),
        ("if-not-env = NONE", ["<%(_)>"]),
        ("if-opt = before=1", ["<1>"]),
        ("if-opt = emperor", []),
        ("if-not-opt = before", []),
        ("for = a  b", ["<a>", "<b>"]),
        ("for-times = 2", ["<1>", "<2>"]),
        ("for-readline = /lines", ["<one>", "<two>"]),
        ("if-hostname = here", ["<here>"]),
        ("if-not-hostname = here", []),
        ("if-exists = /lines", ["</lines>"]),
        ("if-not-dir = /lines", ["</lines>"]),
        ("if-directory = /lines", []),
    ],
)
def test_what_stands_within_a_condition_counts_as_often_as_that_says(condition: str, expected: list[str]) -> None:
    text = f"[uwsgi]\nbefore = 1\n{condition}\nemperor = <%(_)>\nendif =\nafter = 1\n"
    files = {"/srv/a.ini": text.encode(), "/lines": b"one\ntwo\n"}
    start = Start(
        ["uwsgi", "a.ini"],
        "/srv",
        {"HOME": "/home/me"},
        files.get,
        exists=lambda path, kind: kind != "dir" and path in files,
        hostname="here",
    )
    found = read_options(start)
    assert (found.values("emperor"), found.values("after")) == (expected, ["1"])


def test_what_is_injected_is_part_of_each_config_that_follows() -> None:
    files = {
        "/srv/a.ini": "[uwsgi]\ninject-before = x\ninject-after = y\nini = b.ini\nemperor = /a",
        "/srv/b.ini": "emperor = /b\n",
        "/srv/x": "[uwsgi]\nemperor = %n\n",
        "/srv/y": "emperor = /y\n",
    }
    assert read(files, "a.ini")["emperor"] == ["b", "/b", "/y", "/a"]
