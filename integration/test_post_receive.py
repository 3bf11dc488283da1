"""A deploy by `git push`, with the post-receive of examples/: the pusher sees each vassal and the outcome."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from integration.commands import environment
from integration.example_site import ExampleSite
from integration.services import needed
from integration.waiting import eventually
from uwsgi_reload_hook.demo.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POST_RECEIVE = "git/post-receive"


class Repository:
    """Somebody's clone of a bare repository that has the example's post-receive."""

    def __init__(self, site: ExampleSite, directory: Path) -> None:
        self._directory = directory
        self._environment = environment() | {
            "HOME": str(directory),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": "x@y.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }
        self.work, bare = directory / "work", directory / "bare.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", bare)
        hook = bare / "hooks/post-receive"
        hook.parent.mkdir(exist_ok=True)
        site.copy(POST_RECEIVE, hook)
        hook.chmod(0o755)
        self.git("clone", "--quiet", bare, self.work)
        self.git("checkout", "-b", "main")
        for name in ("wsgi.py", "version.txt"):
            (self.work / name).write_text((site.directory / "srv/site" / name).read_text())

    def git(self, *arguments: object) -> str:
        """What git says, all of it on standard error where it speaks to people."""
        directory = self.work if self.work_exists else self._directory
        done = subprocess.run(
            [needed("git"), *map(str, arguments)],
            cwd=directory,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout + done.stderr

    @property
    def work_exists(self) -> bool:
        return (self._directory / "work").is_dir()

    def push(self, name: str, text: str, branch: str = "main") -> list[str]:
        """Commits a file and pushes; the lines that came from the other side."""
        self.commit(name, text)
        return self.push_commit("HEAD", branch)

    def commit(self, name: str, text: str) -> None:
        (self.work / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", f"{name} changed")

    def push_commit(self, commit: str, branch: str = "main") -> list[str]:
        said = self.git("push", "origin", f"{commit}:refs/heads/{branch}")
        return [line.removeprefix("remote: ").strip() for line in said.splitlines() if line.startswith("remote: ")]


@pytest.fixture
def site() -> Iterator[ExampleSite]:
    with ExampleSite(vassals=3, home="vassal") as site:
        yield site


def test_a_good_push_reaches_everybody_and_a_broken_one_the_canary(site: ExampleSite, tmp_path: Path) -> None:
    repository = Repository(site, tmp_path)
    client = Client(site.port)
    client.start()
    try:
        said = repository.push("version.txt", "new\n")
        reloaded = sorted(line for line in said if ": done: " in line)
        assert reloaded == [f"{vassal}: done: serves again" for vassal in site.vassals], said
        assert said[-1] == "done: 3 of 3 vassals reloaded"
        request = site.status()["roll"]["request"]
        assert request["message"] == "version.txt changed"
        assert request["request_id"] == repository.git("rev-parse", "HEAD").strip()
        client.forget()

        before = site.workers()
        said = repository.push("wsgi.py", "import nothing_of_that_name\n")
        assert any(line.startswith("app-1.ini: failed: ") for line in said), said
        assert said[-2].startswith("failed: 0 of 3 vassals reloaded; app-1.ini: ")
        commit = repository.git("rev-parse", "HEAD").strip()
        assert said[-1].startswith(f"NOT DEPLOYED: {commit} is in {site.directory}/srv/site, but not every vassal")
        assert {vassal for vassal, workers in site.workers().items() if workers == before[vassal]} == set(
            site.vassals[1:]
        )

        assert repository.push("version.txt", "other\n", branch="other") == []
        assert site.status()["roll"]["request"]["message"] == "wsgi.py changed"
    finally:
        client.stop()
    assert client.failures == []
    assert client.bodies == {"new"}


def test_two_pushes_at_once_are_deployed_one_after_the_other(site: ExampleSite, tmp_path: Path) -> None:
    repository = Repository(site, tmp_path)
    commits = []
    for version in ("one", "two"):
        repository.commit("version.txt", f"{version}\n")
        commits.append(repository.git("rev-parse", "HEAD").strip())
    first, second = commits
    with ThreadPoolExecutor() as pool:
        earlier = pool.submit(repository.push_commit, first)
        eventually((tmp_path / "bare.git/deploy.lock").exists, "the first deploy")
        later = pool.submit(repository.push_commit, second)
        said = [earlier.result(), later.result()]
    for lines in said:
        assert lines[-1] == "done: 3 of 3 vassals reloaded", said
        assert not any("index.lock" in line or "NOT DEPLOYED" in line for line in lines)
    assert site.status()["roll"]["request"]["request_id"] == second
    assert (site.directory / "srv/site/version.txt").read_text() == "two\n"


def test_a_push_that_cannot_be_checked_out_says_not_deployed(site: ExampleSite, tmp_path: Path) -> None:
    repository = Repository(site, tmp_path)
    lock = tmp_path / "bare.git/index.lock"
    lock.touch()
    said = repository.push("version.txt", "new\n")
    assert said[-1] == f"NOT DEPLOYED: the checkout into {site.directory}/srv/site failed, so no vassal was reloaded"
    assert site.status()["roll"] is None
    lock.unlink()
    (tmp_path / "bare.git/deploy.lock").unlink()
    (tmp_path / "bare.git/deploy.lock").mkdir()
    said = repository.push("version.txt", "newer\n")
    assert said[-1] == f"NOT DEPLOYED: {tmp_path}/bare.git/deploy.lock cannot be locked"
    assert site.status()["roll"] is None


def test_a_push_whose_trigger_nobody_watches_says_not_deployed(site: ExampleSite, tmp_path: Path) -> None:
    repository = Repository(site, tmp_path)
    hook = tmp_path / "bare.git/hooks/post-receive"
    hook.write_text(hook.read_text().replace("lib/uwsgi/reload\n", "lib/uwsgi/relaod\n"))
    said = repository.push("version.txt", "new\n")
    assert said[-1].startswith("NOT DEPLOYED: ")
    assert any("relaod is not made, because no hook is running for it" in line for line in said)
    assert site.status()["roll"] is None
