"""Emperors whose vassals a touch cannot reload."""

from __future__ import annotations

import pytest

from uwsgi_reload_hook.site.emperor_kind import has_files, problem
from uwsgi_reload_hook.uwsgi.stats import EmperorStats


def emperor(*monitors: str, version: str = "2.0.31") -> EmperorStats:
    return EmperorStats(1, "/", monitors, (), {}, version)


@pytest.mark.parametrize("version", ["2.0.27", "2.0.27-debian", "2.0.27.1"])
def test_the_version_that_does_not_reload_is_named(version: str) -> None:
    assert f"uWSGI {version}," in problem(emperor("/etc/vassals", version=version))


@pytest.mark.parametrize("version", ["2.0.21-debian", "2.0.26", "2.0.28", "2.0.270", "2.1-dev", ""])
def test_other_versions_are_no_problem(version: str) -> None:
    assert problem(emperor("/etc/vassals", version=version)) == ""


@pytest.mark.parametrize("scheme", ["zmq", "pg", "amqp", "mongodb", "ldap"])
def test_a_monitor_without_files_is_a_problem_unless_another_has_some(scheme: str) -> None:
    monitor = f"{scheme}://somewhere"
    assert not has_files(monitor)
    assert monitor in problem(emperor(monitor))
    assert problem(emperor(monitor, "/etc/vassals")) == ""
    assert problem(emperor("*/vassals/*.ini")) == problem(emperor()) == ""
