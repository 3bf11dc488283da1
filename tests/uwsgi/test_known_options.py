from __future__ import annotations

from collections.abc import Mapping

import pytest

from uwsgi_reload_hook.uwsgi.known_options import is_set, known_options

PLAIN = """\
[uwsgi]
master = true
set = name=shop
subscribe-to = /run/router.sock:%(name).test
log-format = %(addr) %(x)
"""


def known(
    text: str | None,
    *,
    arguments: tuple[str, ...] = ("--ini", "app.ini"),
    environment: Mapping[str, str] | None = None,
    more: Mapping[str, str] | None = None,
    branches: bool = False,
) -> list[str] | None:
    """What `subscribe-to` is known to be."""
    files = {"/etc/app.ini": text, **(more or {})}
    wanted = {"subscribe-to", "st"}
    found = known_options(["uwsgi", *arguments], "/etc", environment or {}, files.get, wanted, branches=branches)
    return None if found is None else found.get("subscribe-to", [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (PLAIN, ["/run/router.sock:shop.test"]),
        ("[uwsgi]\nsubscribe-to = %d%n.sock:%s\n", ["/etc/app.sock:app.ini"]),
        ("[uwsgi]\n# subscribe-to = a\n; for = x\n[other]\ninclude = x.ini\nif-env = X\n", []),
        ("[uwsgi]\r\nsubscribe-to = /r:a\r\n", ["/r:a"]),
        ("[uwsgi]\nexec-asap = echo 50% of $(HOME)\nsubscribe-to = /r:a", ["/r:a"]),
    ],
)
def test_a_plain_config_is_known(text: str, expected: list[str]) -> None:
    assert known(text) == expected


def test_a_config_of_several_files_is_known_if_all_can_be_read() -> None:
    text = "[uwsgi]\nini = more.ini\n"
    assert known(text, more={"/etc/more.ini": PLAIN}) == ["/run/router.sock:shop.test"]
    assert known(text) is None


def test_a_config_that_includes_an_ini_is_known_if_that_can_be_read() -> None:
    text = "[uwsgi]\ninclude = more.ini\n"
    assert known(text, more={"/etc/more.ini": PLAIN}) == ["/run/router.sock:shop.test"]


def test_each_branch_of_a_conditional_config_is_known_to_who_asks_for_branches() -> None:
    text = "[uwsgi]\nif-env = X\nsubscribe-to = /r:a\nendif =\nif-not-env = X\nsubscribe-to = /r:b\nendif =\n"
    assert known(text) is None
    assert known(text, branches=True) == ["/r:a", "/r:b"]
    assert known(f"{text}for = a b\nsubscribe-to = /r:%(_)\nendfor =\n", branches=True) is None
    assert known(f"{text}if-exists = /x\ninclude = gone.ini\nendif =\n", branches=True) is None


@pytest.mark.parametrize(
    "line",
    [
        "subscribe-to = /r:$(HOST)",
        "subscribe-to = /r:@(/etc/hostname)",
        "subscribe-to = /r:%(nobody)",
        "subscribe-to = /r:%i",
        "subscribe-to = /r:100%%",
        "subscribe-to = /r:%(twice)\nset = twice=a\nset = twice=b",
        "subscribe-to = /r:%(late)\nset = late=a",
        "include = more.ini",
        "inherit = more.ini",
        "yaml = more.yml",
        "json = more.js",
        "xml = more.xml",
        "config = more",
        "ldap = x",
        "sqlite3 = x",
        "ini = app.ini",
        "for = a b\nsubscribe-to = /r:%(_)\nendfor =",
        "for-glob = *",
        "if-env = X",
        "ifenv = X",
        "if-not-exists = /x",
        "declare-option = sub=subscribe-to=$1",
        "processes = 50%",
        "processes = 50%  ",
        "a = b\x0cc",
        "a = b\rc",
        "a = \u2028",
        "a = \0",
    ],
)
def test_a_line_that_may_mean_anything_makes_all_of_it_unknown(line: str) -> None:
    assert known(f"{PLAIN}{line}\nlast = 1\n") is None


def test_a_file_that_cannot_be_read_makes_it_unknown() -> None:
    assert known(None) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"UWSGI_SUBSCRIBE_TO": "/r:x"},
        {"UWSGI_ST": "/r:x"},
        {"UWSGI_INCLUDE": "x.ini"},
        {"UWSGI_YAML": "x"},
        {"UWSGI_NAME": "other"},
    ],
)
def test_a_variable_that_is_an_option_makes_it_unknown(environment: dict[str, str]) -> None:
    assert known(PLAIN, environment=environment) is None


def test_variables_that_change_nothing_do_not() -> None:
    environment = {"UWSGI_EMPEROR_FD": "5", "UWSGI_RELOADS": "1", "UWSGI_PROCESSES": "4", "ST": "x", "INCLUDE": "y"}
    assert known(PLAIN, environment=environment) == ["/run/router.sock:shop.test"]


@pytest.mark.parametrize(
    ("arguments", "is_known"),
    [
        (("--master", "--ini", "app.ini"), True),
        (("--emperor", "/etc/vassals", "app.ini"), True),
        (("app.ini",), True),
        (("app.yml",), False),
        (("--ini=app.ini", "http://host/app.ini"), False),
        (("-x", "app.xml", "--ini", "app.ini"), False),
        (("--ini", "app.ini", "--include", "more.ini"), False),
        (("--ini", "app.ini", "--yaml", "more"), False),
    ],
)
def test_a_command_line_that_names_another_config_makes_it_unknown(arguments: tuple[str, ...], is_known: bool) -> None:
    assert (known(PLAIN, arguments=arguments) is not None) is is_known


@pytest.mark.parametrize(
    ("values", "expected"),
    [(None, False), (["true"], True), ([""], True), (["1"], True), (["Off"], False), (["true", "no"], False)],
)
def test_a_flag_is_on_as_uwsgi_has_it(values: list[str] | None, expected: bool) -> None:
    assert is_set({} if values is None else {"flag": values}, "flag") is expected
