from __future__ import annotations

import os
from pathlib import Path

import pytest

from uwsgi_reload_hook.site.vassal_config import (
    Touchable,
    config_path,
    may_exist,
    touch,
    touchable,
)

SECOND = 1_700_000_000
NANO = 1_000_000_000


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config of which the Emperor has seen the mtime."""
    return made(tmp_path / "app.ini", SECOND)


def made(path: Path, second: int) -> Path:
    path.write_text("[uwsgi]\n")
    os.utime(path, (second, second))
    return path


def linked(link: Path, target: Path, second: int) -> Path:
    link.symlink_to(target)
    os.utime(link, (second, second), follow_symlinks=False)
    return link


def test_a_scanned_directory_gives_names_and_a_glob_gives_paths(tmp_path: Path) -> None:
    directory = str(tmp_path)
    assert config_path("a.ini", directory, "/elsewhere", None) == f"{directory}/a.ini"
    assert config_path("a.ini", "/nowhere", "/elsewhere", directory) == f"{directory}/a.ini"
    assert config_path("sub/a.ini", "*/*.ini", directory, None) == f"{directory}/sub/a.ini"
    assert config_path("sub/a.ini", "*/*.ini", directory, "*/*.ini") == f"{directory}/sub/a.ini"
    assert config_path("/etc/a.ini", "/etc/*.ini", "/elsewhere", None) == "/etc/a.ini"
    assert config_path("a.ini", "", "/elsewhere", None) == "/elsewhere/a.ini"


def test_a_plain_file_is_touched_itself(config: Path) -> None:
    assert touchable(str(config), SECOND, []) == Touchable(str(config), may_set_mtime=True)


def test_where_the_emperor_has_seen_the_links_own_mtime_the_link_is_touched(tmp_path: Path, config: Path) -> None:
    link = linked(tmp_path / "link.ini", config, SECOND + 5)
    assert touchable(str(link), SECOND + 5, []).path == str(link)


def test_where_it_has_seen_the_targets_the_target_is_touched(tmp_path: Path, config: Path) -> None:
    link = linked(tmp_path / "link.ini", config, SECOND + 5)
    second_link = linked(tmp_path / "second.ini", link, SECOND + 6)
    for path in (str(link), str(second_link)):
        assert touchable(path, SECOND, [path], by_options=False) == Touchable(str(config), may_set_mtime=True)
        both = Touchable(path, may_set_mtime=True, also=str(config))
        assert touchable(path, SECOND, [path]) == both, "the mtimes alone may tell of a release that was switched back"


@pytest.mark.parametrize("seen", [SECOND, SECOND + 99], ids=["both alike", "neither"])
def test_where_nothing_tells_both_ends_are_touched_unless_others_share_the_target(
    tmp_path: Path, config: Path, seen: int
) -> None:
    link = linked(tmp_path / "link.ini", config, SECOND)
    other = linked(tmp_path / "other.ini", config, SECOND)
    assert touchable(str(link), seen, [str(link)]) == Touchable(str(link), may_set_mtime=True, also=str(config))
    assert touchable(str(link), seen, [str(other)]) == Touchable(str(link), may_set_mtime=True)


@pytest.mark.parametrize("seen", [SECOND, SECOND + 99], ids=["both alike", "neither"])
def test_where_the_mtimes_do_not_tell_the_options_do(tmp_path: Path, config: Path, seen: int) -> None:
    link = str(linked(tmp_path / "link.ini", config, SECOND))
    other = str(linked(tmp_path / "other.ini", config, SECOND))
    assert touchable(link, seen, [link], by_options=False) == Touchable(str(config), may_set_mtime=True)
    assert "set emperor-nofollow" in touchable(link, seen, [other], by_options=False).problem
    for others in ([link], [other]):
        assert touchable(link, seen, others, by_options=True) == Touchable(link, may_set_mtime=True)


@pytest.mark.parametrize(("end", "nofollow"), [("link", True), ("target", False)])
def test_where_the_mtimes_contradict_the_options_both_ends_are_touched(
    tmp_path: Path, config: Path, end: str, nofollow: bool
) -> None:
    link = str(linked(tmp_path / "link.ini", config, SECOND + 5))
    seen = {"link": SECOND + 5, "target": SECOND}[end]
    alone = link if nofollow else str(config)
    assert touchable(link, seen, [link], by_options=nofollow) == Touchable(alone, may_set_mtime=True)
    both = Touchable(link, may_set_mtime=True, also=str(config))
    assert touchable(link, seen, [link], by_options=not nofollow) == both
    other = str(linked(tmp_path / "other.ini", config, SECOND))
    assert touchable(link, seen, [other], by_options=not nofollow).also == ""


def test_the_last_nanoseconds_of_a_second_still_belong_to_it(tmp_path: Path, config: Path) -> None:
    link = linked(tmp_path / "link.ini", config, SECOND + 5)
    os.utime(config, ns=(SECOND * NANO + NANO - 1, SECOND * NANO + NANO - 1))
    assert touchable(str(link), SECOND, [], by_options=False).path == str(config)


@pytest.mark.parametrize("by_options", [True, False, None])
def test_a_file_of_several_names_is_a_problem_whatever_the_emperor_looks_at(
    tmp_path: Path, config: Path, by_options: bool | None
) -> None:
    other = tmp_path / "other.ini"
    other.hardlink_to(config)
    found = touchable(str(config), SECOND, [str(config), str(other)], by_options)
    assert str(other) in found.problem
    assert "a touch would reload their vassals at once" in found.problem
    assert touchable(str(config), SECOND, [str(config)], by_options).problem == ""


def test_a_file_that_others_link_to_is_a_problem_for_an_emperor_that_follows(tmp_path: Path, config: Path) -> None:
    link = str(linked(tmp_path / "link.ini", config, SECOND))
    assert link in touchable(str(config), SECOND, [link], by_options=False).problem
    assert touchable(str(config), SECOND, [link], by_options=True) == Touchable(str(config), may_set_mtime=True)


def test_shared_links_that_look_followed_are_touched_as_the_options_say(tmp_path: Path, config: Path) -> None:
    link, other = (str(linked(tmp_path / name, config, SECOND - 500)) for name in ("link.ini", "other.ini"))
    assert touchable(link, SECOND, [link, other], by_options=True) == Touchable(link, may_set_mtime=True)
    assert other in touchable(link, SECOND, [link, other]).problem, "where nothing else tells the mtimes do"


def test_what_may_not_be_looked_at_may_exist(tmp_path: Path, config: Path) -> None:
    assert may_exist(str(config))
    assert may_exist("a\0b")
    assert may_exist(str(tmp_path / ("x" * 300)))
    assert not may_exist(str(tmp_path / "gone.ini"))
    assert not may_exist(str(config / "below.ini"))


def test_a_target_that_vassals_share_is_a_problem_that_says_what_to_do(tmp_path: Path, config: Path) -> None:
    links = [str(linked(tmp_path / f"{name}.ini", config, SECOND + 5)) for name in ("one", "two")]
    found = touchable(links[0], SECOND, links)
    assert links[1] in found.problem
    assert "set emperor-nofollow" in found.problem
    assert not found.may_set_mtime
    assert touchable(links[0], SECOND + 5, links).problem == ""


@pytest.mark.parametrize("name", ["missing.ini", "dangling.ini", "loop.ini"])
def test_a_config_that_cannot_be_read_is_a_problem_in_words(tmp_path: Path, name: str) -> None:
    linked(tmp_path / "dangling.ini", tmp_path / "nothing", SECOND)
    linked(tmp_path / "loop.ini", tmp_path / "loop.ini", SECOND)
    found = touchable(str(tmp_path / name), SECOND, [])
    assert found.problem.startswith(f"its config {tmp_path / name} cannot be read: ")
    assert not found.may_set_mtime


def test_a_touch_sets_the_second_that_is_asked_for(config: Path) -> None:
    touch(str(config), SECOND + 77)
    assert config.stat().st_mtime_ns == (SECOND + 77) * NANO


def test_a_touch_without_a_second_sets_now(config: Path, tmp_path: Path) -> None:
    touch(str(config), None)
    now = made(tmp_path / "now", SECOND)
    now.touch()
    assert 0 <= now.stat().st_mtime_ns - config.stat().st_mtime_ns < 60 * NANO


@pytest.mark.parametrize("mtime", [SECOND + 77, None])
def test_a_touch_of_a_link_leaves_its_target_alone(tmp_path: Path, config: Path, mtime: int | None) -> None:
    link = linked(tmp_path / "link.ini", config, SECOND)
    touch(str(link), mtime)
    assert link.lstat().st_mtime_ns >= (SECOND + 77) * NANO
    assert config.stat().st_mtime_ns == SECOND * NANO


def test_a_touch_of_nothing_is_an_oserror_and_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        touch(str(tmp_path / "missing.ini"), SECOND)
    assert not list(tmp_path.iterdir())


def test_an_mtime_beyond_the_last_one_is_an_oserror_that_says_what_to_do(config: Path) -> None:
    with pytest.raises(OSError, match="no later mtime than 9223372036854775808 can be set; set it to now"):
        touch(str(config), 2**63)
    assert config.stat().st_mtime_ns == SECOND * NANO


def test_each_vassal_of_several_directories_is_in_its_own(tmp_path: Path) -> None:
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    for directory in (one, two):
        Path(directory).mkdir()
        made(Path(directory) / "both.ini", SECOND)
    made(Path(two) / "a.ini", SECOND)
    for named in (None, one, two):
        assert config_path("a.ini", two, "/", named, (one, two)) == f"{two}/a.ini"
        assert config_path("both.ini", one, "/", named, (one, two)) == f"{one}/both.ini"
        assert config_path("gone.ini", two, "/", named, (one, two)) == f"{two}/gone.ini"


def test_where_the_monitor_is_not_known_the_first_that_has_the_config_is_meant(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for directory in (one, two):
        directory.mkdir()
        made(directory / "both.ini", SECOND)
    made(two / "a.ini", SECOND)
    monitors = (str(one), "two/*.ini", str(two))
    assert config_path("a.ini", "", str(tmp_path), None, monitors) == f"{two}/a.ini"
    assert config_path("both.ini", "", str(tmp_path), None, monitors) == f"{one}/both.ini"
    assert config_path("two/a.ini", "", str(tmp_path), None, monitors) == f"{two}/a.ini"
    assert config_path("gone.ini", "", str(tmp_path), None, monitors) == f"{one}/gone.ini"
