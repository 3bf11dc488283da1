from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from uwsgi_reload_hook.uwsgi.option_reader import read_options
from uwsgi_reload_hook.uwsgi.options import Given, Options, Start

PLAIN = """\
[uwsgi]
master = true
set = name=shop
subscribe-to = /run/router.sock:%(name).test
log-format = %(addr) %(x)
"""


def options(
    text: str | None,
    *,
    arguments: tuple[str, ...] = ("--ini", "app.ini"),
    environment: Mapping[str, str] | None = MappingProxyType({}),
    more: Mapping[str, str] | None = None,
) -> Options:
    files = {"/etc/app.ini": text, **(more or {})}
    encoded = {name: text.encode() for name, text in files.items() if text is not None}
    return read_options(Start(["uwsgi", *arguments], "/etc", environment, encoded.get))


def known(text: str | None, **more: Any) -> list[str] | None:  # noqa: ANN401 - as above
    """What the subscriptions are known to be."""
    return options(text, **more).values("subscribe-to", "st")


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


def test_of_conditions_each_branch_is_known_to_whoever_asks_what_is_never_set() -> None:
    text = "[uwsgi]\nif-env = X\nsubscribe-to = /r:a\nendif =\nif-not-env = X\nsubscribe-to = /r:b\nendif =\n"
    assert known(text) == ["/r:b"]
    unseen = options(text, environment=None)
    assert (unseen.values("subscribe-to"), unseen.found("subscribe-to")) == (None, ["/r:a", "/r:b"])
    text = text.replace("if-env", "if-exists").replace("if-not-env", "if-not-exists")
    assert known(text) is None
    assert options(text).possible("subscribe-to") == ["/r:a", "/r:b"]
    assert options(f"{text}for-glob = a*\nsubscribe-to = /r:%(_)\nendfor =\n").possible("subscribe-to") is None
    assert options(f"{text}if-exists = /x\ninclude = gone.ini\nendif =\n").possible("subscribe-to") is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("subscribe-to = /r:$(HOST)", "/r:$(HOST)"),
        ("subscribe-to = /r:%(nobody)", "/r:%(nobody)"),
        ("subscribe-to = /r:100%%", "/r:100%"),
        ("subscribe-to = /r:%(twice)\nset = twice=a\nset = twice=b", "/r:a"),
        ("subscribe-to = /r:%(late)\nset = late=a", "/r:a"),
        ("for = a\nsubscribe-to = /r:%(_)\nendfor =", "/r:a"),
        ("processes = 50%", None),
        ("a = b\x0cc", None),
        ("a = b\rc", None),
        ("a = \u2028", None),
        ("a = \0\nsubscribe-to = \0x", ""),
    ],
)
def test_a_line_is_known_to_mean_what_it_means_to_uwsgi(line: str, value: str | None) -> None:
    more = [] if value is None else [value]
    assert known(f"{PLAIN}{line}\nlast = 1\n") == ["/run/router.sock:shop.test", *more]


@pytest.mark.parametrize(
    "line",
    [
        "subscribe-to = /r:@(/etc/hostname)",
        "subscribe-to = /r:%i",
        "subscribe-to = /r:%h",
        "include = more.ini",
        "inherit = more.ini",
        "inherit = more",
        "yaml = more.yml",
        "json = more.js",
        "xml = more.xml",
        "config = more",
        "ldap = x",
        "sqlite3 = x",
        "ini = app.ini",
        "ini = http://host/app.ini",
        "for-glob = *\nsubscribe-to = x",
        "for-readline = gone\nset = subscribe-to=%(_)",
        "if-plugin = x\nst = y",
        "if-exists = /x\nst = y",
        "if-exists = /x\nif-env = y",
        "declare-option = sub=subscribe-to=$1",
        "declare-option = sub=$1=$2",
        "set = x%t=y",
        "resolve = subscribe-to=host",
        "subscribe-to = x%",
    ],
)
def test_a_line_that_may_mean_anything_makes_all_of_it_unknown(line: str) -> None:
    text = f"{PLAIN}{line}" if line.endswith("%") else f"{PLAIN}{line}\nlast = 1\n"
    assert known(text) is None
    assert options(text).why_unknown("subscribe-to", "st")


def test_a_file_that_cannot_be_read_makes_it_unknown() -> None:
    assert known(None) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"UWSGI_INCLUDE": "x.ini"},
        {"UWSGI_YAML": "x"},
        None,
    ],
)
def test_a_variable_that_leads_to_what_cannot_be_read_makes_it_unknown(environment: dict[str, str] | None) -> None:
    assert known(PLAIN, environment=environment) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"UWSGI_SUBSCRIBE_TO": "/r:x"}, ["/r:x", "/run/router.sock:shop.test"]),
        ({"UWSGI_ST": "/r:x"}, ["/r:x", "/run/router.sock:shop.test"]),
        ({"UWSGI_NAME": "other"}, ["/run/router.sock:other.test"]),
    ],
)
def test_a_variable_that_is_an_option_counts(environment: dict[str, str], expected: list[str]) -> None:
    assert known(PLAIN, environment=environment) == expected


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
        (("--no-such-option", "app.ini"), False),
        (("--ini", "app.ini", "--subscr", "x"), False),
        (("--ini", "app.ini", "--inc", "x"), False),
        (("--ini", "app.ini", "-Z"), False),
    ],
)
def test_a_command_line_that_names_another_config_makes_it_unknown(arguments: tuple[str, ...], is_known: bool) -> None:
    assert (known(PLAIN, arguments=arguments) is not None) is is_known


@pytest.mark.parametrize(
    ("values", "expected"),
    [(None, False), (["true"], True), ([""], True), (["1"], True), (["Off"], False), (["true", "no"], False)],
)
def test_a_flag_is_on_as_uwsgi_has_it(values: list[str] | None, expected: bool) -> None:
    given = [Given("flag", value, certain=True, final=False) for value in values or ()]
    assert Options(given).is_on("flag") is expected
    assert Options(given, "something is missing").is_on("flag") is None


YAML = """\
uwsgi:
  subscribe-to: "quoted"
  x: 1 # one
  st:
    - a
    - [b, 'c']
  st: [d]
"""


@pytest.mark.parametrize(
    ("libyaml", "expected"), [(True, ["quoted", "a", "b", "c", "d"]), (False, ['"quoted"']), (None, None)]
)
def test_a_yaml_is_read_as_this_uwsgi_was_built(libyaml: bool | None, expected: list[str] | None) -> None:
    def values(text: str) -> list[str] | None:
        arguments = ["uwsgi", "--yaml", "app.yml"]
        return read_options(Start(arguments, "/", {}, lambda _: text.encode(), is_linked=lambda _: libyaml)).values(
            "subscribe-to", "st"
        )

    assert values(YAML) == expected
    assert values("other:\n  st: 1\nuwsgi:\n  st: a b\n  # no\nst: 1\n") == ["a b"], "both read a plain one alike"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.json",
            '{"uwsgi": {"st": ["a", 1, true, null], "subscribe-to": "b%n", "x": {"st": "c"}}}',
            ["a", "1", "1", "0", "ba"],
        ),
        ("a.json", '{"uwsgi": {"st": 1.5}}', None),
        ("a.json", '{"uwsgi": {"st": 12345678901}}', None),
        ("a.json", '{"uwsgi": {"st": 1, "st": 2}}', None),
        ("a.json", '{"uwsgi": [1]}', None),
        ("a.json", "{", None),
        ("a.xml", "<uwsgi><st>a%n</st><!-- st --><subscribe-to/></uwsgi>", ["aa", "1"]),
        ("a.xml", "<uwsgi><st>a<!-- st --></st></uwsgi>", None),
        ("a.xml", "<uwsgi><st><a>b</a></st></uwsgi>", None),
        ("a.xml", '<uwsgi><st id="x">a</st></uwsgi>', None),
        ("a.xml", "<uwsgi><st>a&amp;b</st></uwsgi>", None),
        ("a.xml", '<!DOCTYPE uwsgi [<!ENTITY a "b">]><uwsgi><st>&a;</st></uwsgi>', None),
        ("a.xml", "<x><uwsgi/></x>", None),
        ("a.xml", "<uwsgi>", None),
        ("a.xml", "<uwsgi><st>\udcff</st></uwsgi>", None),
    ],
)
def test_a_json_and_an_xml_are_known_where_every_build_reads_them_alike(
    name: str, text: str, expected: list[str] | None
) -> None:
    data = text.encode(errors="surrogateescape")
    assert read_options(Start(["uwsgi", name], "/", {}, lambda _: data)).values("st", "subscribe-to") == expected


@pytest.mark.parametrize(("linked", "expected"), [(True, ["1"]), (False, []), (None, None)])
def test_a_config_loads_a_json_only_where_this_uwsgi_knows_that(
    linked: bool | None, expected: list[str] | None
) -> None:
    files = {"/a.ini": b"[uwsgi]\njson = a.json\n", "/a.json": b'{"uwsgi": {"st": 1}}'}
    start = Start(["uwsgi", "a.ini"], "/", {}, files.get, is_linked=lambda _: linked)
    assert read_options(start).values("st") == expected
