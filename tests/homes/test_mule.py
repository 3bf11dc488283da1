from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.children import python
from uwsgi_reload_hook import mule
from uwsgi_reload_hook.uwsgi import api

RUN = "from uwsgi_reload_hook.mule import run; run()"


def fake_uwsgi(directory: Path, opt: Mapping[str, object], config: bytes | None = None, mule_id: int = 1) -> None:
    """Write modules that stand for what uWSGI embeds."""
    magic = {} if config is None else {b"P": config}
    (directory / "uwsgi.py").write_text(
        f"opt = {dict(opt)!r}\nmagic_table = {magic!r}\nmule_id = lambda: {mule_id}\nworker_id = lambda: 0\n"
    )
    (directory / "uwsgidecorators.py").write_text(
        "def mule(number):\n    return lambda function: print('mule', number, 'runs', function.__name__)\n"
    )


def test_without_uwsgi_the_module_can_be_imported_and_registers_nothing() -> None:
    assert not api.in_master()
    assert callable(mule.run)


@pytest.mark.parametrize(("mule_id", "registered"), [(0, "mule 1 runs run\n"), (1, "")])
def test_imported_in_the_master_it_registers_itself_for_the_first_mule(
    tmp_path: Path, mule_id: int, registered: str
) -> None:
    fake_uwsgi(tmp_path, {}, mule_id=mule_id)
    with python("-c", "import uwsgi, uwsgi_reload_hook.mule", path=[tmp_path]) as child:
        out, err = child.communicate()
    assert (out, err, child.returncode) == (registered, "", 0)


@pytest.mark.parametrize(
    ("opt", "complaint"),
    [
        ({}, "reload-hook-trigger is missing"),
        ({"reload-hook-timeuot": b"5"}, "unknown option reload-hook-timeuot; did you mean reload-hook-timeout?"),
        ({"reload-hook-timeout": b"\xff"}, r"reload-hook-timeout = \udcff: not accepted; give seconds"),
        ({b"reload-hook-canary": True}, "reload-hook-canary = true: not accepted; give a whole number"),
        ({"reload-hook-trigger": b"/srv/x"}, "this uWSGI instance is no vassal"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_wrong_options_are_said_once_and_the_mule_stays_until_it_is_told_to_leave(
    tmp_path: Path, opt: Mapping[str, object], complaint: str, number: signal.Signals
) -> None:
    fake_uwsgi(tmp_path, opt)
    with python("-c", RUN, environment={"LC_ALL": "C.UTF-8"}, path=[tmp_path]) as child:
        assert child.stderr is not None
        line = child.stderr.readline()
        child.send_signal(number)
        rest = child.stderr.read()
        assert child.wait() == 0
    assert "ERROR does not run until this is fixed and its config is touched: " in line
    assert complaint in line
    assert rest == ""


def test_a_bug_is_told_with_its_traceback_and_the_mule_does_not_spin(tmp_path: Path) -> None:
    (tmp_path / "uwsgi.py").write_text("raise ImportError('no uwsgi here')\n")
    with python("-c", RUN, path=[tmp_path]) as child:
        assert child.stderr is not None
        lines = [child.stderr.readline()]
        while "no uwsgi here" not in lines[-1]:
            assert lines[-1]
            lines.append(child.stderr.readline())
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert child.wait() == 1
    assert "met a bug, and starts again in 10 s" in lines[0]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_options_that_repeat_are_all_found_though_uwsgi_hands_over_the_last(tmp_path: Path, locale: str) -> None:
    config = tmp_path / "hook.ini"
    config.write_text(
        "[uwsgi]\nset-ph = reload-hook-vassals=a*\nreload-hook-vassals = %n*\nreload-hook-vassals = é*\n"
        "reload-hook-fastrouter-stats-socket = /x%h\nreload-hook-fastrouter-stats-socket = /y%h\n",
        "utf-8",
    )
    opt = {
        "set-ph": b"reload-hook-vassals=a*",
        "reload-hook-vassals": "é*".encode(),
        "reload-hook-fastrouter-stats-socket": b"/yhost",
    }
    fake_uwsgi(tmp_path, opt, bytes(config))
    script = "import json, uwsgi_reload_hook.mule as mule; print(json.dumps(mule._given()))"
    environment = {"LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    with python("-c", script, environment=environment, path=[tmp_path]) as child:
        out, err = child.communicate()
    assert err == ""
    accented = "é*" if locale == "C.UTF-8" else "é*".encode().decode("ascii", "surrogateescape")
    assert json.loads(out) == {"vassals": ["a*", "hook*", accented], "fastrouter-stats-socket": ["/yhost"]}


@pytest.mark.parametrize("config", [None, b"/nowhere/hook.ini"])
def test_without_a_config_to_read_the_options_are_those_that_uwsgi_hands_over(
    tmp_path: Path, config: bytes | None
) -> None:
    fake_uwsgi(tmp_path, {"reload-hook-vassals": b"a*", "master": True}, config)
    script = "import json, uwsgi_reload_hook.mule as mule; print(json.dumps(mule._given()))"
    with python("-c", script, path=[tmp_path]) as child:
        out, _ = child.communicate()
    assert json.loads(out) == {"vassals": ["a*"]}
