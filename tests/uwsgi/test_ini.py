from __future__ import annotations

from collections.abc import Mapping

import pytest

from uwsgi_reload_hook.uwsgi.ini import Options, options


def read(files: Mapping[str, str], *arguments: str, environment: Mapping[str, str] | None = None) -> Options:
    """The options of a uWSGI that was started in /srv with these arguments."""
    return options(["uwsgi", *arguments], "/srv", environment or {}, files.get)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--emperor-stats", "/e.stats"], {"emperor-stats": ["/e.stats"]}),
        (["--emperor-stats=/e.stats"], {"emperor-stats": ["/e.stats"]}),
        (["--emperor", "/a", "--emperor", "/b"], {"emperor": ["/a", "/b"]}),
        (["--master", "--fastrouter-stats", "/r"], {"master": ["true"], "fastrouter-stats": ["/r"]}),
        (["--http", ":80", "--sslrouter-stats", ":5"], {"http": ["true"], "sslrouter-stats": [":5"]}),
        (["--set-ph", "a=b=c", "--set-placeholder", "d = e"], {"a": ["b=c"], "d": ["e"]}),
        (["--set=a=b"], {"a": ["b"]}),
        (["--subscription-tolerance", "30"], {"subscription-tolerance": ["30"]}),
        (["--emperor-stats"], {"emperor-stats": [""]}),
        (["--ini"], {}),
        (["--ini", "missing.ini"], {}),
        (["stray", "-M"], {}),
        ([], {}),
    ],
)
def test_a_command_line_is_read(arguments: list[str], expected: Options) -> None:
    assert read({}, *arguments) == expected


def test_without_so_much_as_a_program_name_nothing_is_found() -> None:
    assert options([], "/srv", {}, lambda _: None) == {}


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
    "arguments", [["--ini", "site.ini"], ["--ini=/srv/site.ini"], ["site.ini"], ["site.ini:uwsgi"], ["/srv/site.ini"]]
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
    assert read({"/srv/site.ini": INI}, "--ini", argument) == {"http-stats": ["/h"]}


def test_the_command_line_and_its_inis_add_up_in_their_order() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nemperor = /a\nini = b.ini\nemperor = /c", "/srv/b.ini": "[uwsgi]\nemperor = /b"}
    assert read(files, "--emperor", "/0", "a.ini", "--emperor", "/d") == {"emperor": ["/0", "/a", "/b", "/c", "/d"]}


def test_a_section_without_a_file_is_of_the_file_read_last() -> None:
    files = {
        "/srv/a.ini": "[uwsgi]\nini = :more\nini = b.ini\nini = :more\n[more]\nemperor = /a",
        "/srv/b.ini": "[uwsgi]\n[more]\nemperor = /b",
    }
    assert read(files, "a.ini") == {"emperor": ["/a", "/b"]}


def test_set_ph_in_an_ini_is_an_option() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nset-ph = run=/run/x\nset-placeholder = base = %(run)/y\nemperor = %(base)/z"}
    assert read(files, "a.ini") == {"run": ["/run/x"], "base": ["/run/x/y"], "emperor": ["/run/x/y/z"]}


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
        ("%z%", "%z%"),
        ("$(", "$("),
        ("", ""),
    ],
)
def test_variables_are_put_in(text: str, expected: str) -> None:
    found = read(
        {"/srv/conf/site.ini": f"[uwsgi]\nemperor = {text}"}, "conf/site.ini", environment={"HOME": "/home/me"}
    )
    assert found == {"emperor": [expected]}


def test_variables_in_an_included_file_are_those_of_that_file() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nini = %dconf/b.ini", "/srv/conf/b.ini": "[uwsgi]\nemperor = %n"}
    assert read(files, "a.ini") == {"emperor": ["b"]}


def test_files_that_include_each_other_come_to_an_end() -> None:
    files = {"/srv/a.ini": "[uwsgi]\nini = b.ini\nemperor = /a", "/srv/b.ini": "[uwsgi]\nini = a.ini"}
    assert set(read(files, "a.ini")["emperor"]) == {"/a"}


@pytest.mark.parametrize("text", ["\0\xff\udcff", "=\n==\n[", "[]\n[[uwsgi]]\n=x", "[uwsgi]\n= value\n%(\n$(a)(b"])
def test_a_file_of_rubbish_is_no_crash(text: str) -> None:
    assert not read({"/srv/a.ini": text}, "a.ini").keys() & {"emperor", "emperor-stats"}
