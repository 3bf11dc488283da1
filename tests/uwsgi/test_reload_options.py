"""What the options of a vassal say of its reload, its log, and the keys that it withholds."""

from __future__ import annotations

import pytest

from uwsgi_reload_hook.snapshot import ReloadOptions
from uwsgi_reload_hook.uwsgi.reload_options import checked_keys, log_file, may_rest, reload_options

WORKERS = "worker-reload-mercy"


@pytest.mark.parametrize(
    ("options", "seconds", "named"),
    [
        ({}, 60, WORKERS),
        ({WORKERS: ["5", "8"]}, 8, WORKERS),
        ({WORKERS: ["8"], "mule-reload-mercy": ["90"]}, 8, WORKERS),
        ({WORKERS: ["8"], "mule": ["true"]}, 60, "mule-reload-mercy"),
        ({WORKERS: ["8"], "mules": ["2"], "mule-reload-mercy": ["90"]}, 90, "mule-reload-mercy"),
        ({WORKERS: ["8"], "mule": ["m.py"], "mule-reload-mercy": ["2"]}, 8, WORKERS),
        ({"reload-mercy": ["30"]}, 60, WORKERS),
        ({"attach-daemon": ["a", "b"]}, 66, f"reload-mercy and {WORKERS}"),
        ({"attach-daemon2": ["cmd=a,pidfile=/p", "cmd=b"], "reload-mercy": ["30"]}, 90, f"reload-mercy and {WORKERS}"),
        ({"smart-attach-daemon": ["/p a"], "reload-mercy": ["30"]}, 60, WORKERS),
        ({"legion-attach-daemon": ["l a"], "reload-mercy": ["30"]}, 90, f"reload-mercy and {WORKERS}"),
        ({"emperor": ["/v"], "reload-mercy": ["30"]}, 92, f"reload-mercy and {WORKERS}"),
        ({WORKERS: [" 7s"]}, 7, WORKERS),
        ({WORKERS: ["soon"]}, 0, WORKERS),
        ({WORKERS: ["9" * 400]}, 999_999_999, WORKERS),
    ],
)
def test_a_mercy_is_what_a_master_waits_at_most(options: dict[str, list[str]], seconds: int, named: str) -> None:
    assert reload_options(options) == ReloadOptions(mercy=seconds, mercy_option=named)


@pytest.mark.parametrize(("value", "exits"), [("true", True), ("1", True), ("", True), ("false", False), ("0", False)])
def test_exit_on_reload_is_a_flag(value: str, *, exits: bool) -> None:
    assert reload_options({"exit-on-reload": [value]}).exits is exits
    assert not reload_options({}).exits


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, ""),
        ({"logto": ["/a"]}, "/a"),
        ({"logto": ["/a"], "logto2": ["/b"]}, "/b"),
        ({"daemonize": ["/c"], "logto": ["/a"]}, "/c"),
        ({"logto": ["logs.example:514"]}, ""),
        ({"logto": ["/a:b"]}, "/a:b"),
        ({"logger": ["file:/d"]}, "/d"),
        ({"logger": ["named file:/d", "syslog:x"]}, "/d"),
        ({"logger": ["syslog:x"]}, ""),
    ],
)
def test_the_log_is_the_file_that_uwsgi_takes_in_the_end(options: dict[str, list[str]], path: str) -> None:
    assert log_file(options) == path


@pytest.mark.parametrize(
    ("options", "checked"),
    [
        ({"subscribe2": ["server=s,key=a"]}, {}),
        ({"subscribe2": ["server=s,key=a,check=/f"]}, {"a": {"/f"}}),
        ({"subscribe2": ["server=s,key=a,check=/f", "server=t,key=a,check=/g"]}, {"a": {"/f", "/g"}}),
        ({"subscribe2": ["server=s,key=a,check=/f", "server=t,key=a"]}, {}),
        ({"subscribe2": ["server=s,key=a,check=/f"], "subscribe-to": ["/s:a,5"]}, {}),
        ({"subscribe2": ["server=s,key=a,check=/f"], "subscribe-to": ["/s:b"]}, {"a": {"/f"}}),
        ({"subscribe2": ["server=s,key=a\\,b,check=/f"]}, {}),
        ({"subscribe2": ["server=s,check=/f"]}, {}),
    ],
)
def test_a_key_is_withheld_only_by_each_of_its_checks(
    options: dict[str, list[str]], checked: dict[str, set[str]]
) -> None:
    assert checked_keys(options) == checked


@pytest.mark.parametrize(("options", "may"), [({"cheap": ["true"]}, True), ({"idle": ["3"]}, True), ({}, False)])
def test_a_vassal_may_rest_where_its_options_say_so(options: dict[str, list[str]], *, may: bool) -> None:
    assert may_rest(options) is may
