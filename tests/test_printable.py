"""Whatever an id, a key or a reason holds: it forges no line of a log or of a terminal, and sends no escape."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.build import a_progress, a_roll
from uwsgi_reload_hook import cli, demo
from uwsgi_reload_hook.cli import main
from uwsgi_reload_hook.homes import oneshot
from uwsgi_reload_hook.logs import log_to
from uwsgi_reload_hook.planning.progress import Phase
from uwsgi_reload_hook.planning.roll import Result
from uwsgi_reload_hook.printable import printable
from uwsgi_reload_hook.records.status import VassalDocument
from uwsgi_reload_hook.records.store import HookInfo, Store, roll_document, status_document

FORGED = "x\n2026-01-01 00:00:00,000 [uwsgi-reload-hook] INFO roll 1 is done"
HOSTILE = [
    "\x1b[2J\x1b[31mred",
    "\x9b31m",
    "\rover",
    FORGED,
    "a\u202eb\u2066",
    "\udcff\ud800",
    "\u2028\x85\x0b\x0c\0",
    "\u200b\ufeff\U000e0041",
]
anything = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(blacklist_categories=())), st.text("\x1b[\n\r\u202ea")
)
lines_of_a_test = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(anything)
def test_what_comes_out_can_be_printed_and_says_what_was_there(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
    assert printable(shown) == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/café/app-1.ini: done", "/srv/café/app-1.ini: done"),
        ("a\x1b[31m\n\tb", r"a\x1b[31m\n\tb"),
        ("a\u202eb\x85\udcff", r"a\u202eb\x85\udcff"),
        (r"C:\new", r"C:\new"),
    ],
)
def test_what_cannot_be_printed_is_shown_as_python_writes_it(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the package's log goes."""
    package = logging.getLogger("uwsgi_reload_hook")
    before = package.handlers[:], package.propagate, package.level
    stream = io.StringIO()
    log_to(stream)
    yield stream
    package.handlers[:], package.propagate = before[:2]
    package.setLevel(before[2])


def logger(stream: io.StringIO) -> logging.Logger:
    """One that writes as the package's does, and of which pytest keeps nothing: xdist cannot carry lone surrogates."""
    stream.seek(0)
    stream.truncate()
    detached = logging.Logger("detached")  # noqa: LOG001 - not one of the tree
    detached.addHandler(logging.getLogger("uwsgi_reload_hook").handlers[0])
    return detached


def test_the_log_of_the_package_has_printable_lines(stream: io.StringIO) -> None:
    logging.getLogger("uwsgi_reload_hook.site.site").warning("node %s belongs to no vassal", FORGED)
    assert stream.getvalue().count("\n") == 1
    assert r"node x\n2026-01-01 00:00:00,000 [uwsgi-reload-hook] INFO roll 1 is done belongs" in stream.getvalue()


@lines_of_a_test
@given(anything)
def test_a_message_is_one_line_of_the_log(stream: io.StringIO, text: str) -> None:
    logger(stream).warning("node %s belongs to no vassal", text)
    line, end = stream.getvalue()[:-1], stream.getvalue()[-1]
    assert line.isprintable()
    assert end == "\n"
    assert line.endswith(f"[uwsgi-reload-hook] WARNING node {printable(text)} belongs to no vassal")


@lines_of_a_test
@given(anything)
def test_no_line_of_a_traceback_begins_like_a_line_of_the_log(stream: io.StringIO, text: str) -> None:
    logger(stream).error("met a bug", exc_info=ValueError(text), stack_info=True)
    first, *rest = stream.getvalue()[:-1].split("\n")
    assert first.endswith("ERROR met a bug")
    assert len(rest) > 2
    assert all(line.startswith("  ") and line.isprintable() for line in rest)


@lines_of_a_test
@given(anything)
def test_status_has_a_line_for_each_vassal_and_no_more(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    trigger = tmp_path_factory.mktemp("status") / "trigger"
    failed, done = a_progress(text, Phase.FAILED, reason=text), a_progress("b.ini", Phase.DONE)
    roll = a_roll(failed, done, excluded={text: text}, result=Result.FAILED, reason=text)
    info = HookInfo(1, "mule", "0", 1.0)
    Store(trigger.parent, trigger.name).write_status(status_document("held", info, roll_document(roll)))
    assert main(["status", str(trigger)]) == 0
    assert main(["status", "--json", str(trigger)]) == 0
    plain, _, document = capsys.readouterr().out.partition("\n{")
    assert len(plain.split("\n")) == 5
    assert all(line.isprintable() for line in plain.split("\n"))
    assert document.replace("\n", "").isascii()
    assert document.replace("\n", "").isprintable()


def test_a_status_file_with_raw_escapes_in_it_sends_none_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trigger.status.json").write_text('{"state": "\x9b31m\u202e"}')
    main(["status", "--json", str(tmp_path / "trigger")])
    main(["status", str(tmp_path / "trigger")])
    out, err = capsys.readouterr()
    assert "\x9b" not in out + err
    assert "\u202e" not in out + err


@lines_of_a_test
@given(anything)
def test_each_writer_of_the_command_line_writes_printable_lines(capsys: pytest.CaptureFixture[str], text: str) -> None:
    capsys.readouterr()
    entry: VassalDocument = {
        "phase": text, "keys": [], "reason": text, "since": None, "started": None, "touched": None, "finished": None
    }  # fmt: skip
    cli._say(text)
    cli._follow_line(text, entry)
    oneshot.OutputLines(cli._say, (".ini",)).vassal(text, "failed", text, "timeout")
    out, err = capsys.readouterr()
    assert out.count("\n") == 3
    assert err.count("\n") == 1
    assert all(line.isprintable() for line in (out + err).split("\n"))


def test_the_demo_shows_its_lines_and_sends_no_escape(capsys: pytest.CaptureFixture[str]) -> None:
    demo.say("\nfailed: \x1b[31mred")
    assert capsys.readouterr().out == "\nfailed: \\x1b[31mred\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["\x1b[31m"],
        ["status", "trigger", "\x1b[31m", "a\nb"],
        ["status", "--json\x1b[31m", "trigger"],
        ["demo", "--vassals", "\x1b[31m"],
        ["status", "trigger", "\udcff"],
    ],
)
def test_a_wrong_usage_sends_no_escape(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    *usage, last = capsys.readouterr().err[:-1].split("\n")
    assert usage[0].startswith("usage: ")
    assert last.isprintable()
    assert "uwsgi-reload-hook" in last
