from __future__ import annotations

import os
from pathlib import Path

import pytest

from uwsgi_reload_hook.site.process_options import may_subscribe, nofollow, of_config, of_vassal, vassal_start
from uwsgi_reload_hook.site.vassal_config import read_bytes
from uwsgi_reload_hook.uwsgi.option_reader import read_options

HERE = os.getpid()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "app.ini"


def test_an_emperor_that_cannot_be_read_is_of_unknown_options() -> None:
    assert nofollow(2**22 + 1) is None
    assert nofollow(HERE) is None, "no Emperor"


def test_the_options_of_an_ini_are_found_where_the_process_does_not_tell_them(config: Path) -> None:
    config.write_text("[uwsgi]\nmaster-fifo = %d%n.fifo\nstats = $(NO_SUCH_VARIABLE)\nini = more.ini\n")
    config.with_name("more.ini").write_bytes(b"[uwsgi]\nsocket = caf\xe9.sock\n")
    options = of_vassal(HERE, str(config))
    assert {name: values for name, values in options.as_dict().items() if name != "ini"} == {
        "master-fifo": [f"{config.parent}/app.fifo"],
        "stats": ["$(NO_SUCH_VARIABLE)"],
        "socket": [os.fsdecode(b"caf\xe9.sock")],
    }
    assert options.values("socket") is None
    assert options.gap == "neither its command line nor that of its Emperor can be seen"


def test_the_options_of_an_ini_that_is_not_there_are_none(config: Path) -> None:
    options = of_vassal(HERE, str(config))
    assert (options.found("socket"), options.gap) == ([], f"{config}: it cannot be read")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.ini", "[uwsgi]\nstats = %n\n"),
        ("app.yml", "uwsgi:\n  stats: %n\n"),
        ("app.json", '{"uwsgi": {"stats": "%n"}}'),
        ("app.xml", "<uwsgi><stats>%n</stats></uwsgi>"),
    ],
)
def test_a_config_of_each_format_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert of_config(str(tmp_path / name), {}, read_bytes).values("stats") == ["app"]


@pytest.mark.parametrize(
    ("words", "directory"),
    [
        (["--ini", "app.ini"], "/etc/vassals/"),
        (["--include", "more.ini", "--set", "a=b", "--ini", "./vassals/app.ini"], "/etc/"),
        (["--inherit", "vassals/app.ini", "--include", "x"], "/etc/"),
    ],
)
def test_a_vassal_starts_where_its_command_line_names_its_config_from(words: list[str], directory: str) -> None:
    start = vassal_start(HERE, "/etc/vassals/app.ini", ["uwsgi", *words], {})
    assert start is not None
    assert start.directory == directory


@pytest.mark.parametrize("words", [[], ["uWSGI master"], ["--ini", "other.ini"], ["--ini", "p.ini"], [""]])
def test_a_command_line_that_does_not_name_the_config_tells_nothing(words: list[str]) -> None:
    assert vassal_start(HERE, "/etc/vassals/app.ini", ["uwsgi", *words], {}) is None


def test_what_a_files_existence_decides_is_not_known_of_a_process_that_runs(config: Path) -> None:
    config.write_text("[uwsgi]\nif-exists = /\nst = a\nendif =\nstats = b\n")
    start = vassal_start(HERE, str(config), ["uwsgi", "--ini", "app.ini"], {})
    assert start is not None
    options = read_options(start)
    assert (options.values("st"), options.possible("st"), options.values("stats")) == (None, ["a"], ["b"])


def test_a_comment_subscribes_nobody(config: Path) -> None:
    config.write_text("[uwsgi]\n; it does not subscribe: cron only\n  # include = other.ini\ncron = 1 1 1 1 1 true\n")
    assert not may_subscribe(HERE, str(config))
    config.write_text("[uwsgi]\nsubscribe-to = /run/r:app ; a comment\n")
    assert may_subscribe(HERE, str(config))


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("[uwsgi]\nsocket = a.sock\n", False),
        ("", False),
        ("[uwsgi]\nsubscribe-to = router.sock:app\n", True),
        ("[uwsgi]\nfastrouter-subscribe2 = server=router.sock,key=app\n", True),
        ("[uwsgi]\nset = x=1\nini = common.ini\n", True),
        ("[uwsgi]\n  include= more.ini\n", True),
        ("[uwsgi]\ninherit = base.ini\n", True),
        ("[uwsgi]\nyaml = other.yaml\n", True),
        ("[uwsgi]\nst = router.sock:app\n", True),
        ("[uwsgi]\nif-exists = /nowhere\nst = router.sock:app\nendif =\n", True),
        ("[uwsgi]\nset = st=router.sock:app\n", True),
        ("[uwsgi]\ndeclare-option = join=subscribe-to=$1\njoin = router.sock:app\n", True),
        ("[uwsgi]\nminimise = 1\nstart-unsubscribed = true\nunsubscribe-on-graceful-reload = 1\n", False),
    ],
)
@pytest.mark.parametrize("pid", [HERE, -1], ids=["runs", "does not run"])
def test_a_config_says_whether_the_vassal_may_subscribe(config: Path, pid: int, text: str, *, may: bool) -> None:
    config.write_text(text)
    assert may_subscribe(pid, str(config)) is may


def test_a_config_that_includes_others_subscribes_nobody_if_they_do_not(config: Path) -> None:
    config.write_text("[uwsgi]\ninclude = %dmore.ini\n")
    config.with_name("more.ini").write_text("[uwsgi]\nprocesses = 2\n")
    assert not may_subscribe(HERE, str(config))


def test_a_config_that_cannot_be_read_may_subscribe(config: Path) -> None:
    assert may_subscribe(HERE, str(config))
