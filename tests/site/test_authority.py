from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.children import waits
from tests.support.strangers import STRANGER, waiting_stranger
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.authority import Authority, identify, is_kept, person
from uwsgi_reload_hook.site.peers import Peer
from uwsgi_reload_hook.uwsgi.stats import EmperorStats

OURS = frozenset({0, os.geteuid()})


def scanning(*monitors: str, cwd: str = "/") -> EmperorStats:
    return EmperorStats(os.getpid(), cwd, monitors, (), {})


# What stands for an Emperor


def test_a_directory_is_the_same_by_whatever_path_and_whatever_order(tmp_path: Path) -> None:
    (tmp_path / "vassals").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "vassals")
    one = identify(scanning(f"{tmp_path}/vassals", "/sites/*.ini"))
    other = identify(scanning("/sites/*.ini", f"{tmp_path}/link"))
    assert one.identity == other.identity
    assert (one.name, other.name) == (f"{tmp_path}/vassals", f"{tmp_path}/link")
    assert identify(scanning(str(tmp_path))).identity != one.identity


def test_two_globs_in_one_directory_are_two_emperors(tmp_path: Path) -> None:
    one, other = (identify(scanning(f"{tmp_path}/{name}/*.ini", cwd="/")) for name in ("a", "b"))
    assert one.identity != other.identity
    assert (one.name, other.name) == (f"{tmp_path}/a/*.ini", f"{tmp_path}/b/*.ini")


def test_a_relative_glob_starts_where_the_emperor_was_started() -> None:
    assert identify(scanning("a/*.ini", cwd="/etc")) == identify(scanning("/etc/./a/*.ini", cwd="/srv"))
    assert identify(scanning("a/*.ini", cwd="/etc")) != identify(scanning("a/*.ini", cwd="/srv"))


def test_other_monitors_stand_for_themselves() -> None:
    assert identify(scanning("pg://a")).identity != identify(scanning("pg://b")).identity
    assert identify(scanning()).name == "/"


def test_a_directory_that_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match=f"{tmp_path}/loop cannot be read: Too many .*; let the hook's user read it"):
        identify(scanning(f"{tmp_path}/loop"))


# A config that nobody else can change


def test_a_config_is_kept_if_all_on_the_way_is_ours(tmp_path: Path) -> None:
    config = tmp_path / "configs" / "hook.ini"
    config.parent.mkdir(mode=0o755)
    config.write_text("")
    config.chmod(0o644)
    (tmp_path / "absolute.ini").symlink_to(config)
    (tmp_path / "configs" / "relative.ini").symlink_to("../absolute.ini")
    for path in (config, tmp_path / "absolute.ini", tmp_path / "configs" / "relative.ini"):
        assert is_kept(str(path), OURS)
        assert not is_kept(str(path), {STRANGER})
    assert not is_kept(str(tmp_path / "configs"), OURS)
    assert not is_kept(str(tmp_path / "none.ini"), OURS)
    assert not is_kept("hook.ini", OURS)
    (tmp_path / "loop.ini").symlink_to("loop.ini")
    assert not is_kept(str(tmp_path / "loop.ini"), OURS)


@pytest.mark.parametrize(("where", "mode"), [("hook.ini", 0o664), ("hook.ini", 0o646), (".", 0o775), (".", 0o757)])
def test_a_config_is_not_kept_where_others_may_write(tmp_path: Path, where: str, mode: int) -> None:
    config = tmp_path / "configs" / "hook.ini"
    config.parent.mkdir(mode=0o755)
    config.write_text("")
    config.chmod(0o644)
    (config.parent / where).chmod(mode)
    assert not is_kept(str(config), OURS)


@pytest.mark.parametrize("theirs", ["configs", "configs/hook.ini", "link.ini", "real.ini"])
def test_a_config_is_not_kept_where_something_on_the_way_is_somebody_elses(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "configs").mkdir(mode=0o755)
    (tmp_path / "real.ini").touch(mode=0o644)
    (tmp_path / "configs" / "hook.ini").symlink_to(tmp_path / "link.ini")
    (tmp_path / "link.ini").symlink_to(tmp_path / "real.ini")
    assert is_kept(str(tmp_path / "configs" / "hook.ini"), OURS)
    os.chown(tmp_path / theirs, STRANGER, STRANGER, follow_symlinks=False)
    assert not is_kept(str(tmp_path / "configs" / "hook.ini"), OURS)


def test_in_a_sticky_directory_everybody_keeps_what_is_his(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    for name in ("ours.ini", "theirs.ini"):
        (tmp_path / "shared" / name).touch(mode=0o644)
    os.chown(tmp_path / "shared" / "theirs.ini", STRANGER, STRANGER)
    assert is_kept(str(tmp_path / "shared" / "ours.ini"), OURS)
    assert not is_kept(str(tmp_path / "shared" / "theirs.ini"), OURS)


# Who may act


def unasked() -> Mapping[int, str]:
    raise AssertionError("the configs decide nothing here")


def test_root_the_emperors_user_and_ones_own_may_act() -> None:
    with waiting_stranger("") as emperor, waits() as own:
        authority = Authority(emperor.pid, unasked)
        assert authority.may_act(Peer(1, 0))
        assert authority.may_act(Peer(own.pid, os.geteuid()))
        assert authority.may_act(Peer(emperor.pid, STRANGER))
        assert authority.may_act(Peer(0, STRANGER))


def test_of_an_emperor_that_has_ended_only_root_and_ones_own_may_act() -> None:
    assert Authority(2**22 + 1, dict).trusted == OURS


def hook_ini(directory: Path, *lines: str) -> Path:
    path = directory / "hook.ini"
    path.write_text("\n".join(["[uwsgi]", *lines, ""]))
    path.chmod(0o644)
    return path


SET = "reload-hook-trigger = /run/%n.trigger"


def test_a_vassal_whose_config_makes_it_the_hook_may_act_with_that_configs_options(tmp_path: Path) -> None:
    config = hook_ini(tmp_path, SET, "reload-hook-state-directory = $(STATE)", "ini = %d/more.ini")
    (tmp_path / "more.ini").write_text("[uwsgi]\nreload-hook-canary = 2\n")
    (tmp_path / "more.ini").chmod(0o666)
    with waiting_stranger("if (mule := os.fork()) == 0: sys.stdin.read(), os._exit(0)") as master:
        mule = min(pid for pid, _ in processes.children(master.pid) or ())
        authority = Authority(os.getpid(), lambda: {master.pid: str(config), 1: "/none.ini"})
        for pid in (master.pid, mule, 0):
            assert authority.may_act(Peer(pid, STRANGER))
        assert authority.options(mule) == {"trigger": ["/run/hook.trigger"], "state-directory": ["$(STATE)"]}
        assert not authority.may_act(Peer(master.pid, STRANGER - 1))
        assert not authority.may_act(Peer(0, STRANGER - 1))


@pytest.mark.parametrize(
    "line",
    [
        "set-ph = reload-hook-trigger=/run/trigger",
        "env = UWSGI_RELOAD_HOOK_TRIGGER=/run/trigger",
        "privileged-binary-patch-arg = exec python -m uwsgi_reload_hook vassal -q --trigger '/run/trigger'",
        "unprivileged-binary-patch-arg = exec python -m uwsgi_reload_hook vassal --trigger=/run/trigger",
    ],
)
def test_the_other_ways_to_set_the_trigger_in_a_config(tmp_path: Path, line: str) -> None:
    config = hook_ini(tmp_path, line)
    with waiting_stranger("") as vassal:
        authority = Authority(os.getpid(), lambda: {vassal.pid: str(config)})
        assert authority.may_act(Peer(vassal.pid, STRANGER))
        assert authority.options(vassal.pid) == {"trigger": ["/run/trigger"]}


@pytest.mark.parametrize(
    ("line", "mode", "owner"),
    [
        ("socket = /run/app.sock", 0o644, 0),
        ("env = RELOAD_HOOK_TRIGGER", 0o644, 0),
        ("unprivileged-binary-patch-arg = exec 'python --trigger=/x", 0o644, 0),
        (SET, 0o644, STRANGER),
        (SET, 0o664, 0),
    ],
)
def test_a_vassal_of_another_user_without_such_a_config_may_not_act(
    tmp_path: Path, line: str, mode: int, owner: int
) -> None:
    config = hook_ini(tmp_path, line)
    config.chmod(mode)
    os.chown(config, owner, owner)
    with waiting_stranger("") as vassal:
        authority = Authority(os.getpid(), lambda: {vassal.pid: str(config)})
        assert not authority.may_act(Peer(vassal.pid, STRANGER))
        assert not authority.may_act(Peer(0, STRANGER))
        assert authority.options(vassal.pid) == {}


def test_a_process_beside_the_vassals_may_not_act_whatever_it_says_of_itself(tmp_path: Path) -> None:
    config = hook_ini(tmp_path, SET)
    with waiting_stranger("", "--trigger", "/etc/shadow") as other, waits() as vassal:
        authority = Authority(os.getpid(), lambda: {vassal.pid: str(config)})
        assert not authority.may_act(Peer(other.pid, STRANGER))
        assert authority.options(other.pid) == {}


def test_a_process_is_named_with_its_user() -> None:
    assert person(Peer(7, 0)) == "pid 7 of user root"
    assert person(Peer(0, 2**31 - 7)) == f"a process of user {2**31 - 7}"
