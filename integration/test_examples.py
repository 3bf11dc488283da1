"""Every file of examples/ is started here, and a deploy is rolled with them."""

from __future__ import annotations

import runpy
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from integration.example_site import EXAMPLES, HOOKS, UNIT, ExampleSite
from integration.services import needed
from integration.test_post_receive import POST_RECEIVE
from integration.waiting import eventually
from uwsgi_reload_hook.demo.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def requests(site: ExampleSite) -> Iterator[Client]:
    """Steady requests through nginx."""
    client = Client(site.port)
    client.start()
    try:
        eventually(lambda: client.made > 10, "requests made")
        yield client
    finally:
        client.stop()


def test_every_example_is_run() -> None:
    everywhere = {"wsgi.py", "vassal.ini", UNIT, "nginx-site.conf"}
    there = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert there == everywhere.union(*HOOKS.values()) | {POST_RECEIVE}


@pytest.mark.parametrize("home", HOOKS)
def test_a_deploy_rolls_behind_nginx_without_a_failed_request(home: str) -> None:
    with ExampleSite(home=home) as site:
        before = site.workers()
        with requests(site) as client:
            assert client.bodies == {"old"}
            site.deploy("new")
            status = site.roll_now()
            client.forget()
            eventually(lambda: client.bodies, "an answer after the roll")
        assert (status["state"], status["roll"]["result"]) == ("idle", "done")
        assert status["hook"]["mode"] == home
        assert client.failures == []
        assert client.bodies == {"new"}
        after = site.workers()
        assert sorted(after) == site.vassals
        for vassal, workers in after.items():
            assert len(workers) == 2
            assert not workers & before[vassal], f"{vassal} has an old worker"
    assert site.left == []
    assert site.exit_code == 0


def test_a_deploy_that_answers_500_is_stopped_while_it_warms() -> None:
    with ExampleSite() as site:
        before = site.workers()
        with requests(site) as client:
            site.deploy(None)
            held = site.roll_now()
            lost = {vassal for vassal, workers in site.workers().items() if workers == before[vassal]}
            site.deploy("mended")
            mended = site.roll_now()
        assert (held["state"], held["roll"]["result"]) == ("held", "failed")
        assert len(lost) == len(site.vassals) - 1, "more than the first vassal was lost"
        assert "answered with 500" in site.log_tail(1000)
        assert (mended["state"], mended["roll"]["result"]) == ("idle", "done")
        assert client.failures == []


def test_the_unit_is_valid() -> None:
    analyze = needed("systemd-analyze")
    with ExampleSite(vassals=1) as site:
        verified = subprocess.run([analyze, "verify", site.unit_path], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_the_wsgi_file_warms(tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "wsgi.py", tmp_path)
    with pytest.raises(RuntimeError, match=r"answered with 500 .* while warming: .*version\.txt"):
        runpy.run_path(str(tmp_path / "wsgi.py"))
    (tmp_path / "version.txt").write_text("1\n")
    application = runpy.run_path(str(tmp_path / "wsgi.py"))["application"]
    (tmp_path / "version.txt").unlink()
    statuses: list[str] = []
    assert b"".join(application({}, lambda status, _headers: statuses.append(status))) == b"1\n"
    assert statuses == ["200 OK"]
