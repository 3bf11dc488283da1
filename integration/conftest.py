"""Farms for tests, their logs where a test fails, and no silent skipping where continuous integration runs."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.farm import RUNNING, UWSGI, Farm

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from integration.layout import Layout


@pytest.fixture(scope="session", autouse=True)
def _uwsgi_is_installed() -> None:
    if not UWSGI.exists():
        message = f"{UWSGI} is missing: install the extra `test`"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where `reload` keeps its journals: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(home := tmp_path_factory.mktemp("state")))
        yield home


@pytest.fixture
def start() -> Iterator[Callable[[Layout], Farm]]:
    """Starts farms that stop with the test."""
    with ExitStack() as farms:
        yield lambda layout: farms.enter_context(Farm(layout))


@pytest.fixture
def free_udp() -> str:
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"log of {farm.directory}", farm.log_tail()) for farm in RUNNING]
    return report
