"""The other doors: options, the Emperor's bytes, and what /proc says of somebody else's process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.children import waits
from uwsgi_reload_hook import option_sources, settings
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.settings import OPTIONS, PREFIX, Settings
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.uwsgi import emperor_protocol
from uwsgi_reload_hook.uwsgi.emperor_protocol import ToVassal

any_text = st.text(st.characters(blacklist_categories=()), max_size=20)
values = st.one_of(
    any_text,
    st.text("0123456789.,eE+-_%:=/@[]*", max_size=12),
    st.sampled_from(["9" * 5000, "1e400", "nan", "-0", "٣", "²", "1_0", "50%%", "a..b:80", "/\0", " ", "0x1", "1" * 9]),
)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.one_of(st.sampled_from(sorted(OPTIONS)), any_text), st.lists(values, min_size=1, max_size=2)))
@example({"trigger": ["/\0"]})
@example({"trigger": ["t"], "timeout": ["9" * 5000]})
@example({"trigger": ["t"], "probe": ["path=/,status=" + "9" * 5000]})
def test_whatever_the_options_say_they_are_settings_or_a_configerror(given_: Mapping[str, list[str]]) -> None:
    try:
        found = settings.parse(given_)
    except ConfigError as error:
        assert PREFIX in str(error)  # noqa: PT017 - or they are settings
    else:
        assert isinstance(found, Settings)
        assert "\0" not in found.trigger


opts = st.dictionaries(
    any_text | st.sampled_from(sorted(OPTIONS)).map(lambda name: f"{PREFIX}{name}"),
    st.recursive(
        st.binary(max_size=9) | st.booleans() | st.none() | st.integers(), lambda one: st.lists(one, max_size=3)
    ),
    max_size=4,
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(opts)
def test_whatever_uwsgi_holds_it_is_options_of_texts(opt: Mapping[str, object]) -> None:
    found = option_sources.from_uwsgi_opt(opt)
    assert all(isinstance(text, str) for texts in found.values() for text in texts)
    assert option_sources.texts(opt).keys() == opt.keys()
    try:
        settings.parse({name: texts for name, texts in found.items() if texts})
    except ConfigError as error:
        assert PREFIX in str(error)  # noqa: PT017 - or they are settings


@given(st.binary())
def test_whatever_the_emperor_sends_only_known_messages_come_of_it(data: bytes) -> None:
    told = list(emperor_protocol.decode(data))
    assert len(told) <= max(1, len(data))
    assert set(told) <= set(ToVassal)
    assert (ToVassal.GONE in told) is (not data)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("7", 7),
        ("-1", -1),
        ("", None),
        ("-2", None),
        (" 5 ", None),
        ("1_0", None),
        ("٣", None),
        ("9" * 100_000, None),
        ("99999999999", None),
        ("0x1", None),
        ("\x1b[2J", None),
    ],
)
def test_a_count_of_reloads_is_what_uwsgi_prints_and_nothing_else(text: str, count: int | None) -> None:
    with waits(environment={"UWSGI_RELOADS": text, "UWSGI_EMPEROR_FD": "5"}) as child:
        assert processes.reloads(child.pid) == count


HOSTILE = """
import os, sys
with open("/proc/self/comm", "w") as file:
    file.write(") R 1\\n(")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_process_with_hostile_name_arguments_and_environment_is_only_read() -> None:
    arguments = ["-c", HOSTILE, "--", "", "a\nb", os.fsdecode(b"\xff\xfe"), "x" * 100_000]
    environment = {b"NEW\nLINE": b"a\nb", b"BYTES\xff": b"\xfe\xff", b"BIG": b"x" * 100_000, b"EMPTY": b""}
    with subprocess.Popen(  # noqa: S603 - the interpreter of the tests
        [sys.executable, *arguments],
        env={**environment, b"LD_LIBRARY_PATH": os.environb.get(b"LD_LIBRARY_PATH", b"")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        assert processes.command_line(child.pid)[1:] == arguments
        assert (processes.environment(child.pid) or {})["BIG"] == "x" * 100_000
        assert processes.parent(child.pid) == os.getpid()
        assert processes.started(child.pid) is not None
        assert processes.reloads(child.pid) == -1
        assert child.pid in {pid for pid, _ in processes.children(os.getpid()) or ()}
        assert processes.working_directory(child.pid) == os.getcwd()  # noqa: PTH109 - a text
        assert isinstance(processes.is_running(child.pid), bool)
        child.kill()


@pytest.mark.parametrize("pid", [-1, 0, 2**22 + 1, 2**31 - 1])
def test_a_pid_of_nobody_is_nobody(pid: int) -> None:
    assert processes.command_line(pid) == []
    assert not processes.environment(pid)
    assert processes.reloads(pid) is None
    assert processes.started(pid) is None
    assert not processes.is_running(pid)
    assert processes.working_directory(pid) is None
