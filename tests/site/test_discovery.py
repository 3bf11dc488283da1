"""What is found from the process tree: the parts that need no uWSGI."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.rolling import settings
from tests.support.servers import answers, serves
from uwsgi_reload_hook.errors import UnavailableError
from uwsgi_reload_hook.site.discovery import Home, Instance, discover


def router(name: str) -> str:
    told = {"version": "2", "pid": os.getpid(), "cwd": "/", "active_sessions": 0, "fastrouter": [name]}
    return json.dumps({**told, "subscriptions": []})


def host(directory: Path) -> Home:
    """The mule of an instance that hosts the Emperor and two routers."""
    options = {
        "emperor": [str(directory)],
        "emperor-stats-server": [str(directory / "emperor")],
        "fastrouter-stats-server": [str(directory / "east")],
        "http-stats-server": [str(directory / "west")],
    }
    return Home("host", host=Instance(options, str(directory)))


def emperor(directory: Path) -> str:
    told = {"version": "2", "pid": os.getpid(), "cwd": str(directory), "emperor": [str(directory)]}
    return json.dumps({**told, "vassals": [], "blacklist": []})


def test_every_router_that_the_emperors_config_names_is_found(tmp_path: Path) -> None:
    with (
        serves(tmp_path / "emperor", *[answers(emperor(tmp_path))] * 2),
        serves(tmp_path / "east", answers(router("/east"))),
        serves(tmp_path / "west", answers(router("/west"))),
    ):
        found = discover(settings(subscription_server=("/east", "/run/west")), host(tmp_path))
    assert [one.stats.address for one in found.routers] == [str(tmp_path / "east"), str(tmp_path / "west")]


def test_a_router_that_is_silent_beside_another_is_not_taken_for_absent(tmp_path: Path) -> None:
    with (
        serves(tmp_path / "emperor", *[answers(emperor(tmp_path))] * 2),
        serves(tmp_path / "east", answers(router("/east"))),
        pytest.raises(UnavailableError, match="west, which the Emperor's config names, does not answer"),
    ):
        discover(settings(subscription_server=("/east", "/run/west")), host(tmp_path))
