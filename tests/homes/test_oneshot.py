from __future__ import annotations

import pytest

from tests.support.rolling import WatchedSite, settings
from tests.support.simulator import Clock, FakeVassal
from uwsgi_reload_hook.controller import Controller
from uwsgi_reload_hook.homes.oneshot import NoTrigger, OutputLines
from uwsgi_reload_hook.planning.roll import Request, Result
from uwsgi_reload_hook.records.recorder import Recorder
from uwsgi_reload_hook.records.shell_store import NoJournal
from uwsgi_reload_hook.settings import Minimum, Settings

THREE = ("a.ini", "b.ini", "/sites/c.ini")
BY_HAND = Request(mtime_ns=1)


def rolled(site: WatchedSite, given: Settings) -> tuple[Result | None, list[str]]:
    """One roll as the shell makes it: how it ended, and what was said on standard output."""
    said: list[str] = []
    recorder = Recorder(NoJournal(), (OutputLines(said.append, (".ini",)),))
    roll = Controller(site, NoTrigger(), given, recorder, Clock(site, tick=0.05)).run_once(BY_HAND)
    return None if roll is None else roll.result, said


def three_vassals() -> WatchedSite:
    return WatchedSite([FakeVassal(id_, load=1.0) for id_ in THREE])


def test_each_vassal_is_told_in_the_words_of_the_old_script(capsys: pytest.CaptureFixture[str]) -> None:
    result, said = rolled(three_vassals(), settings(canary=0, minimum_active_vassals=Minimum(2)))
    assert result is Result.DONE
    assert sorted(said) == ["a: reloaded", "b: reloaded", "c: reloaded"]
    assert capsys.readouterr() == ("", "")


def test_a_timeout_is_told_on_both_and_stops_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    site = three_vassals()
    site.vassals["a.ini"].hangs = True
    given = settings(timeout=3.0, vassals=("a.ini", "b.ini"))
    result, said = rolled(site, given)
    assert result is Result.FAILED
    assert said == ["a: timeout reached"]
    err = capsys.readouterr().err
    assert "uwsgi-reload-hook: a: failed: does not accept requests after its reload" in err
    assert "uwsgi-reload-hook: failed: a.ini: does not accept requests" in err


def test_a_vassal_that_dies_is_told_on_standard_error_only(capsys: pytest.CaptureFixture[str]) -> None:
    site = three_vassals()
    for one in site.vassals.values():
        one.broken = True
    result, said = rolled(site, settings())
    assert (result, said) == (Result.FAILED, [])
    assert ": failed: " in capsys.readouterr().err


def test_a_refusal_is_told_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    result, said = rolled(three_vassals(), settings(minimum_active_vassals=Minimum(3)))
    assert (result, said) == (Result.REFUSED, [])
    assert capsys.readouterr().err.startswith("uwsgi-reload-hook: refused: key app has 3 vassals")


@pytest.mark.parametrize(("failure", "said"), [("timeout", ["a: timeout reached"]), ("died", []), (None, [])])
def test_a_timeout_is_known_by_its_failure_and_not_by_the_words_of_the_reason(
    failure: str | None, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    OutputLines(lines.append, (".ini",)).vassal("a.ini", "failed", "died after a timeout of 3 s", failure)
    assert lines == said
    assert capsys.readouterr().err == "uwsgi-reload-hook: a: failed: died after a timeout of 3 s\n"
