from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.build import a_progress, a_roll
from tests.support.children import python
from uwsgi_reload_hook import __version__
from uwsgi_reload_hook.cli import main
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.status import StatusDocument
from uwsgi_reload_hook.records.store import HookInfo, Store, roll_document, status_document
from uwsgi_reload_hook.site.trigger import Trigger, parse_text

HOOK = HookInfo(os.getpid(), "mule", "0.1", 1000.0)
ROLL = a_roll(
    a_progress("app1.ini", Phase.DONE, reason="serves again"),
    a_progress("longer-name.ini", Phase.FAILED, reason="its process ended"),
    id="5-1",
    request=Request(5),
    excluded={"hook.ini": "the hook's own vassal"},
)


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    return tmp_path / "trigger"


def write(trigger: Path, roll: Roll | None, state: str = "idle", directory: Path | None = None) -> StatusDocument:
    """Write a status file as the hook does; returns what it says."""
    document = status_document(state, HOOK, None if roll is None else roll_document(roll))
    Store(directory or trigger.parent, trigger.name).write_status(document)
    return document


def test_a_hook_that_has_not_rolled_yet(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, None)
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr() == (f"idle: hook pid {os.getpid()} in a mule, version 0.1\nno roll yet\n", "")


def test_a_roll_is_shown_with_each_vassal_and_why(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, replace(ROLL, result=Result.FAILED, reason="longer-name.ini: it died"), "held")
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"held: hook pid {os.getpid()} in a mule, version 0.1",
        "roll 5-1: failed longer-name.ini: it died",
        "  app1.ini         done        serves again",
        "  longer-name.ini  failed      its process ended",
        "  hook.ini         left alone: the hook's own vassal",
    ]


def test_a_roll_that_is_under_way_says_so(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, ROLL, "rolling")
    assert main(["status", str(trigger)]) == 0
    assert "roll 5-1: under way\n" in capsys.readouterr().out


def test_a_roll_of_nobody_is_shown(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, replace(ROLL, vassals={}, excluded={}, result=Result.DONE))
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "roll 5-1: done"


def test_a_forged_roll_is_shown_short(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line was filled up to the longest id: one of 4 MB among 500,000 made 2 TB."""
    long = "i" * 10_000
    vassals = {id_: a_progress(id_, Phase.DONE, reason=long) for id_ in (long, "app1.ini")}
    excluded = {long: long, "hook.ini": "the hook's own vassal"}
    write(trigger, replace(ROLL, vassals=vassals, excluded=excluded, result=Result.DONE, reason=long))
    assert main(["status", str(trigger)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"roll 5-1: done {'i' * 299}\u2026"
    assert lines[2:] == [
        f"  {'app1.ini':60}  done        {'i' * 299}\u2026",
        f"  {'i' * 299}\u2026  done        {'i' * 299}\u2026",
        f"  {'hook.ini':60}  left alone: the hook's own vassal",
        f"  {'i' * 299}\u2026  left alone: {'i' * 299}\u2026",
    ]


def test_json_is_the_whole_document(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = write(trigger, ROLL)
    assert main(["status", "--json", str(trigger)]) == 0
    assert json.loads(capsys.readouterr().out) == document


def test_the_status_is_looked_for_in_the_state_directory(
    tmp_path: Path, trigger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    write(trigger, None, directory=state)
    assert main(["status", str(trigger)]) == 4
    assert main(["status", str(trigger), "--state-directory", str(state)]) == 0
    assert "no roll yet" in capsys.readouterr().out


def test_a_trigger_without_a_hook_is_4_and_says_where_was_looked(
    trigger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(trigger)]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert f"there is no {trigger}.status.json: no hook has run for this trigger" in err


GOOD: dict[str, Any] = dict(status_document("idle", HOOK, roll_document(ROLL)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "5",
        '{"schema": 1}',
        json.dumps({**GOOD, "hook": None}),
        json.dumps({**GOOD, "hook": []}),
        json.dumps({**GOOD, "roll": {}}),
        json.dumps({**GOOD, "roll": []}),
        json.dumps({**GOOD, "roll": {**GOOD["roll"], "vassals": []}}),
        json.dumps({**GOOD, "roll": {**GOOD["roll"], "vassals": {"a": 5}}}),
        json.dumps({**GOOD, "roll": {**GOOD["roll"], "left_alone": None}}),
        "\udcff",
    ],
)
def test_a_status_file_that_cannot_be_used_is_2_and_said_in_words(
    trigger: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    Path(f"{trigger}.status.json").write_text(text, errors="surrogateescape")
    assert main(["status", str(trigger)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"{trigger}.status.json cannot be read: ")


def test_a_status_file_that_cannot_be_opened_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trigger.status.json").mkdir()
    (tmp_path / "file").touch()
    assert main(["status", str(tmp_path / "trigger")]) == 2
    assert main(["status", str(tmp_path / "file" / "trigger")]) == 2
    assert capsys.readouterr().err.count("cannot be read") == 2


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_name_that_the_terminal_cannot_show_is_escaped_and_no_crash(trigger: Path, encoding: str) -> None:
    name = "caf\udce9-\u2192.ini"
    write(trigger, replace(ROLL, vassals={name: a_progress(name)}))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with python("-m", "uwsgi_reload_hook", "status", str(trigger), environment=environment) as child:
        out, err = child.communicate()
    assert (child.returncode, err) == (0, "")
    assert r"caf\udce9-" in out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["unknown"],
        ["status"],
        ["status", "--unknown", "trigger"],
        ["status", "a", "b"],
        ["demo", "--vassals", "many"],
        ["demo", "--vassals", "0"],
        ["demo", "--vassals", "-1"],
        ["demo", "--load-seconds", "-0.1"],
        ["demo", "--load-seconds", "nan"],
        ["demo", "--load-seconds", "inf"],
    ],
)
def test_wrong_usage_is_2_and_shows_the_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: uwsgi-reload-hook" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "shown"), [(["--help"], "COMMAND"), (["--version"], __version__)])
def test_help_and_version_are_0(arguments: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert shown in capsys.readouterr().out


def test_the_package_runs_as_a_module_with_the_exit_code_of_its_command(trigger: Path) -> None:
    with python("-m", "uwsgi_reload_hook", "status", str(trigger)) as child:
        _, err = child.communicate()
    assert child.returncode == 4
    assert "no hook has run" in err


def test_a_trigger_is_made_where_a_hook_has_run(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, None)
    assert main(["trigger", str(trigger)]) == 0
    assert trigger.read_bytes() == b""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("flags", [[], ["--wait"], ["--message", "hello"]])
def test_a_trigger_is_not_made_where_no_hook_has_ever_run(
    trigger: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert main(["trigger", *flags, str(trigger)]) == 4
    assert not trigger.exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "is not made, because no hook is running for it, and none ever has (trigger.status.json is not beside" in line
    )


def test_a_trigger_that_is_there_is_touched_before_the_first_hook_too(
    trigger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trigger.touch()
    before = trigger.stat().st_mtime_ns
    assert main(["trigger", str(trigger)]) == 0
    assert trigger.stat().st_mtime_ns > before
    (line,) = capsys.readouterr().err.splitlines()
    assert "none ever has" in line
    assert "this touch gives no roll" in line


def test_a_journal_alone_shows_that_a_hook_has_run(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trigger.with_name("trigger.journal").touch()
    assert main(["trigger", str(trigger)]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_touch_says_what_it_is_given_to_say_and_the_next_one_no_more(trigger: Path) -> None:
    write(trigger, None)
    assert main(["trigger", str(trigger), "--message", "a = b", "--request-id", "42", "--only", "app*"]) == 0
    assert parse_text(trigger.read_text()) == {"message": "a = b", "request-id": "42", "only": "app*"}
    assert main(["trigger", str(trigger)]) == 0
    assert parse_text(trigger.read_text()) == {}


def test_a_trigger_that_cannot_be_touched_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trigger", str(tmp_path / "missing" / "trigger")]) == 2
    assert "missing/trigger cannot be touched: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("result", "code"), [(Result.DONE, 0), (Result.FAILED, 1), (Result.TIMED_OUT, 3), (Result.REFUSED, 5)]
)
@pytest.mark.parametrize("said", [[], ["--message", "hello"]], ids=["bare", "with text"])
def test_a_touch_that_waits_has_the_exit_code_of_its_roll(
    trigger: Path, capsys: pytest.CaptureFixture[str], result: Result, code: int, said: list[str]
) -> None:
    write(trigger, replace(ROLL, result=Result.REFUSED, reason="of an earlier touch"))

    def answer() -> None:
        """Do what a hook does in the end."""
        if request := watch.request():
            write(trigger, replace(ROLL, request=request, result=result, reason="of this one"))

    watch = Trigger(str(trigger), answer)
    watch.start()
    try:
        assert main(["trigger", "--wait", str(trigger), *said]) == code
    finally:
        watch.stop()
    told = capsys.readouterr()
    assert f"{result.value}: 1 of 2 vassals reloaded; of this one" in (told.err if code else told.out)
    assert "app1.ini: done: serves again" in told.out


def test_a_touch_that_waits_for_a_roll_that_takes_longer_is_3(
    trigger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(trigger, None)
    assert main(["trigger", "--wait", "--timeout", "0", str(trigger)]) == 3
    assert "the roll has not ended in 0 s" in capsys.readouterr().err


@pytest.mark.parametrize("trace", ["nothing", "a dead hook", "rubbish"])
def test_a_touch_that_waits_where_no_hook_is_running_is_4(
    trigger: Path, capsys: pytest.CaptureFixture[str], trace: str
) -> None:
    if trace == "a dead hook":
        with python("-c", "") as child:
            child.wait()
        Store(trigger.parent, trigger.name).write_status(
            status_document("idle", HookInfo(child.pid, "mule", "0.1", 0.0), None)
        )
    elif trace == "rubbish":
        Path(f"{trigger}.status.json").write_text("{")
    assert main(["trigger", "--wait", str(trigger)]) == 4
    assert "no hook is running for it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "environment", "complaint"),
    [
        (["--timeout", "soon"], {}, "--timeout soon: not accepted; give seconds"),
        (["--timeout", "1", "--timeout", "2"], {}, "--timeout is given 2 times (1, 2)"),
        (
            [],
            {"UWSGI_RELOAD_HOOK_MINIMUM_ACTIVE_VASSALS": "-1"},
            "--minimum-active-vassals -1: not accepted",
        ),
        (["--canary", "no"], {"UWSGI_RELOAD_HOOK_CANARY": "1"}, "--canary no: not accepted"),
    ],
)
def test_an_unknown_option_is_named_wherever_it_comes_from(
    arguments: list[str], environment: dict[str, str], complaint: str
) -> None:
    with python("-m", "uwsgi_reload_hook", "reload", *arguments, environment=environment) as child:
        out, err = child.communicate()
    assert (child.returncode, out) == (2, "")
    assert complaint in err


def test_a_vassal_without_an_emperor_is_2() -> None:
    with python("-m", "uwsgi_reload_hook", "vassal", "--trigger", "x", environment={}) as child:
        _, err = child.communicate()
    assert child.returncode == 2
    assert "no Emperor has started this process" in err


def test_a_reload_without_an_emperor_is_2_and_names_the_socket(tmp_path: Path) -> None:
    arguments = ["reload", "--emperor-stats-socket", f"{tmp_path}/stats", "--fastrouter-stats-socket", f"{tmp_path}/r"]
    with python("-m", "uwsgi_reload_hook", *arguments, environment={}) as child:
        out, err = child.communicate()
    assert (child.returncode, out) == (2, "")
    assert f"{tmp_path}/stats" in err
