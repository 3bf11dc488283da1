from __future__ import annotations

import contextlib
import copy
import io
import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.build import a_progress, a_roll
from tests.support.journals import rolls
from uwsgi_reload_hook.cli import main
from uwsgi_reload_hook.client.follow import Follower
from uwsgi_reload_hook.demo.watch import read_status
from uwsgi_reload_hook.exit_codes import ExitCode
from uwsgi_reload_hook.planning.progress import Failure, Phase, Progress
from uwsgi_reload_hook.planning.roll import Request, Result, Roll
from uwsgi_reload_hook.records.status import HookInfo, RollDocument, roll_document, status_document
from uwsgi_reload_hook.records.status_reader import LIMIT, StatusError, decode, decode_roll, encode

ROLL = a_roll(a_progress("a.ini", Phase.DONE), id="5-1", request=Request(5), result=Result.DONE)
HOOK = HookInfo(os.getpid(), "mule", "0.1", 1000.0)
GOOD = status_document("idle", HOOK, roll_document(ROLL))


@given(rolls)
def test_what_the_hook_writes_is_read(roll: Roll) -> None:
    document = status_document("rolling", HOOK, roll_document(roll))
    assert decode(encode(document).encode()) == document
    assert decode_roll(json.dumps(document["roll"]).encode()) == document["roll"]


def test_what_a_later_version_adds_is_kept() -> None:
    document = {**GOOD, "more": [1], "hook": {**GOOD["hook"], "start_ticks": 7}}
    assert decode(json.dumps(document).encode()) == document


def test_what_an_earlier_version_does_not_write_is_not_missed() -> None:
    document = json.loads(json.dumps(GOOD))
    del document["hook"]["start_ticks"], document["hook"]["boot_id"], document["roll"]["vassals"]["a.ini"]["failure"]
    assert decode(json.dumps(document).encode()) == document


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        (("schema",), 2, "schema: one of 1 is expected, not 2"),
        (("state",), "asleep", "state: one of starting, idle, rolling, held is expected, not 'asleep'"),
        (("hook", "pid"), 0, "hook: pid: one of 1 to 2147483647 is expected, not 0"),
        (("roll", "result"), "won", "roll: result: one of done, failed, timed-out, refused, interrupted is expected"),
        (("roll", "vassals", "a.ini", "phase"), "asleep", "roll: vassals: a.ini: phase: one of pending, "),
        (("roll", "vassals", "a.ini", "failure"), "tired", "a.ini: failure: one of timeout, died, "),
    ],
)
def test_a_word_that_means_nothing_is_named(place: tuple[str, ...], value: object, why: str) -> None:
    with pytest.raises(StatusError) as caught:
        decode(json.dumps(changed(place, value)).encode())
    assert str(caught.value).startswith("it is no status: ")
    assert why in str(caught.value)


@pytest.mark.parametrize("failure", [None, *Failure])
def test_the_cause_of_a_failure_is_in_the_document(failure: Failure | None) -> None:
    vassals = {"a.ini": Progress("a.ini", Phase.FAILED, failure=failure)}
    document = roll_document(Roll("5-1", Request(5), 0.0, 1000.0, vassals))
    assert document["vassals"]["a.ini"]["failure"] == (failure.value if failure else None)


def places(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:  # noqa: ANN401 - any JSON
    """Every place in a document."""
    inner = value.items() if isinstance(value, dict) else ()
    return [path, *(place for name, one in inner for place in places(one, (*path, name)))]


def changed(path: tuple[str, ...], value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The good document with another value in one place."""
    if not path:
        return value
    document: Any = copy.deepcopy(GOOD)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return document


WRONG = [(path, value) for path in places(GOOD) for value in ([1], {"a": [1]}, True)]


@pytest.mark.parametrize(("path", "value"), WRONG, ids=[f"{'.'.join(path)}={value}" for path, value in WRONG])
def test_no_field_may_have_another_type(path: tuple[str, ...], value: object) -> None:
    with pytest.raises(StatusError, match=r"^it is no status: \S.* is (expected, not|missing)"):
        decode(json.dumps(changed(path, value)).encode())


HOSTILE = {
    "not UTF-8": b'{"schema": "\xff"}',
    "UTF-16": json.dumps(GOOD).encode("utf-16"),
    "a number of many digits": b"[" + b"9" * 100_000 + b"]",
    "deep": b"[" * 100_000,
    "not a number": json.dumps(GOOD).encode().replace(b"1000.0", b"NaN"),
    "endless": json.dumps(GOOD).encode().replace(b"1000.0", b"1e999"),
    "a giant pid": json.dumps(GOOD).encode().replace(b'"pid": ' + str(os.getpid()).encode(), b'"pid": 99999999999'),
    "too long": b" " * (LIMIT + 1),
}


def looked_at(content: bytes) -> set[int]:
    """Look at a status file and a history with every reader; the exit codes of `status`."""
    with TemporaryDirectory() as directory:
        trigger = Path(directory, "trigger")
        path = Path(directory, "trigger.status.json")
        path.write_bytes(content)
        follower = Follower(trigger, None, lambda *_: None)
        Path(directory, "trigger.history.jsonl").write_bytes(content)
        assert follower.follow(0, 0.0)[0] in range(6)
        read_status(path)
        return {said(path, arguments, trigger) for arguments in (["status"], ["status", "--json"])}


def said(path: Path, arguments: list[str], trigger: Path) -> int:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([*arguments, str(trigger)])
    if code == ExitCode.NO_HOOK:
        line = err if "--json" in arguments else out
        assert line.getvalue().startswith(("NOT RUNNING: ", "cannot start: ", "starting: "))
        code = ExitCode.DONE  # a status that can be read, of a hook that is not there
    elif not code:
        assert err.getvalue() == ""
    if code:
        assert (code, out.getvalue()) == (2, "")
        assert err.getvalue().startswith(f"{path} cannot be read: it")
        assert err.getvalue().count("\n") == 1
        return code
    if "--json" in arguments:
        json.loads(out.getvalue())
        assert out.getvalue().isascii()
        assert out.getvalue().replace("\n", "").isprintable()
    return code


@pytest.mark.parametrize("content", list(HOSTILE.values()), ids=list(HOSTILE))
def test_a_hostile_file_is_one_line_and_2(content: bytes) -> None:
    assert looked_at(content) == {2}


@pytest.mark.parametrize("depth", [100, 500, 900, 980, 2000, 100_000])
def test_what_is_not_known_may_be_as_deep_as_it_likes(depth: int) -> None:
    looked_at(json.dumps({**GOOD, "more": 0}).encode()[:-2] + b"[" * depth + b"]" * depth + b"}")


words = st.text(max_size=4) | st.sampled_from(["", "done", "idle", "\x1b[2J", "a\nb", "\ud800"])
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -1, 10**400, 0])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(places(GOOD)), values)
def test_no_value_in_any_place_makes_a_traceback(place: tuple[str, ...], value: object) -> None:
    looked_at(json.dumps(changed(place, value)).encode())


@settings(max_examples=100, deadline=None)
@given(st.binary() | values.map(lambda value: json.dumps(value).encode()))
def test_no_content_at_all_does(content: bytes) -> None:
    looked_at(content)


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret").write_text(json.dumps(GOOD))
    (tmp_path / "trigger.status.json").symlink_to("secret")
    assert main(["status", str(tmp_path / "trigger")]) == 2
    assert "cannot be read: it is a symlink" in capsys.readouterr().err


def test_a_line_of_the_history_that_cannot_be_used_hides_no_other(tmp_path: Path) -> None:
    told: list[str] = []
    follower = Follower(tmp_path / "trigger", None, lambda id_, _: told.append(id_))
    line: RollDocument = roll_document(ROLL)
    (tmp_path / "trigger.history.jsonl").write_text("{\n[]\n" + json.dumps(line) + "\n")
    assert follower.follow(5, 0.0)[0] == 0
