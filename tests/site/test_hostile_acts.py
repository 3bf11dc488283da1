"""Acts on what a tenant or an old journal names: nothing is written elsewhere, and nothing ends the hook."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.rolling import settings
from tests.support.servers import listens
from uwsgi_reload_hook.errors import ActionError
from uwsgi_reload_hook.planning.actions import SendProbe, Subscribe, Touch, Unsubscribe
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.site import master
from uwsgi_reload_hook.site.actuator import Actuator
from uwsgi_reload_hook.site.prober import Prober
from uwsgi_reload_hook.site.vassals import KnownVassals
from uwsgi_reload_hook.snapshot import Node

LONG = "k" * 70_000


def test_a_fifo_that_is_swapped_with_a_file_gets_nothing_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim, path = tmp_path / "victim", tmp_path / "fifo"
    victim.write_text("secret")
    os.mkfifo(path)
    real = os.open

    def swapped(name: str, flags: int) -> int:
        if name == str(path):
            path.unlink()
            path.symlink_to(victim)
        return real(name, flags)

    monkeypatch.setattr(os, "open", swapped)
    assert not master._write(str(path), 0)
    assert victim.read_text() == "secret"


def test_a_fifo_that_is_read_gets_its_newline_and_one_that_is_not_gets_none(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    assert not master._write(str(path), 0)
    assert not master._write(str(tmp_path / "gone"), 0)
    assert not master._write("a\0b", 0)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    assert master._write(str(path), 0)
    assert os.read(reader, 10) == b"\n"
    os.close(reader)


def actuator(tmp_path: Path, prober: Prober | None = None) -> Actuator:
    vassals = KnownVassals(1, settings())
    vassals.pids, vassals.paths = {"a.ini": os.getpid()}, {"a.ini": str(tmp_path / "a.ini")}
    return Actuator(vassals, {"r": str(tmp_path / "subscriptions")}, prober)


def test_a_key_that_fits_no_packet_fails_the_act_and_not_the_hook(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with listens(tmp_path / "s"):
        nodes = (Node("r", LONG, str(tmp_path / "s")),)
        with pytest.raises(ActionError, match="70000 bytes do not fit a uwsgi packet"):
            actuator(tmp_path).perform(Unsubscribe("a.ini", nodes))
        actuator(tmp_path).perform(Subscribe("a.ini", nodes))
    assert "a.ini: cannot be subscribed; it will announce itself: 70000 bytes do not fit" in caplog.text


def test_a_key_that_fits_no_request_is_a_failed_probe(tmp_path: Path) -> None:
    prober = Prober(Probe("/h"), 10.0)
    actuator(tmp_path, prober).perform(SendProbe("a.ini", (Node("r", LONG, str(tmp_path / "s")),)))
    result = prober.results()["a.ini"]
    assert not result.good
    assert result.words.endswith(
        "k is not sent, because its key fits no request: 70000 bytes do not fit a uwsgi packet, which holds 65535"
    )
    assert len(result.words) < 250


def test_the_last_second_there_is_fails_the_touch_with_words(tmp_path: Path) -> None:
    (tmp_path / "a.ini").touch()
    with pytest.raises(ActionError, match=r"cannot be touched by user .*no later mtime than"):
        actuator(tmp_path).perform(Touch("a.ini", str(tmp_path / "a.ini"), 2**63))
