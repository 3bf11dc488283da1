from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.children import python
from uwsgi_reload_hook import __version__
from uwsgi_reload_hook.cli import main
from uwsgi_reload_hook.roll import Phase, Progress, Request, Result, Roll
from uwsgi_reload_hook.state import HookInfo, Store, roll_document, status_document

HOOK = HookInfo(os.getpid(), "mule", "0.1", 1000.0)
ROLL = Roll(
    id="5-1",
    request=Request(5),
    started=0.0,
    started_wall=0.0,
    vassals={
        "app1.ini": Progress("app1.ini", Phase.DONE, reason="serves again"),
        "longer-name.ini": Progress("longer-name.ini", Phase.FAILED, reason="its process ended"),
    },
    aside={"hook.ini": "the hook's own vassal"},
)


@pytest.fixture
def trigger(tmp_path: Path) -> Path:
    return tmp_path / "trigger"


def write(trigger: Path, roll: Roll | None, state: str = "idle", directory: Path | None = None) -> dict[str, Any]:
    """Write a status file as the hook does; returns what it says."""
    document = status_document(state, HOOK, None if roll is None else roll_document(roll))
    Store(directory or trigger.parent, trigger.name).write_status(document)
    return document


def test_a_hook_that_has_not_rolled_yet(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, None)
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr() == (f"idle: hook pid {os.getpid()} in a mule, version 0.1\nno roll yet\n", "")


def test_a_roll_is_shown_with_each_vassal_and_why(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, Roll(**{**vars_of(ROLL), "result": Result.FAILED, "reason": "longer-name.ini: it died"}), "held")
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"held: hook pid {os.getpid()} in a mule, version 0.1",
        "roll 5-1: failed longer-name.ini: it died",
        "  app1.ini         done        serves again",
        "  longer-name.ini  failed      its process ended",
        "  hook.ini         left alone: the hook's own vassal",
    ]


def vars_of(roll: Roll) -> dict[str, Any]:
    return {name: getattr(roll, name) for name in Roll.__dataclass_fields__}


def test_a_roll_that_is_under_way_says_so(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, ROLL, "rolling")
    assert main(["status", str(trigger)]) == 0
    assert "roll 5-1: under way\n" in capsys.readouterr().out


def test_a_roll_of_nobody_is_shown(trigger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(trigger, Roll(**{**vars_of(ROLL), "vassals": {}, "aside": {}, "result": Result.DONE}))
    assert main(["status", str(trigger)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "roll 5-1: done"


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


GOOD = status_document("idle", HOOK, roll_document(ROLL))


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
    write(trigger, Roll(**{**vars_of(ROLL), "vassals": {name: Progress(name)}}))
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
