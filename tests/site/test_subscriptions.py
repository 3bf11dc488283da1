from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from uwsgi_reload_hook.site.subscriptions import WARNINGS, ForeignKeys, configured_keys, own_keys
from uwsgi_reload_hook.snapshot import Node, Snapshot, Vassal
from uwsgi_reload_hook.uwsgi.stats import VassalStats


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("/run/router.sock:app.test", {"app.test"}),
        ("/run/router.sock:app.test,5", {"app.test"}),
        ("/run/router.sock:app.test,5,SHA1:key.pem", {"app.test"}),
        ("127.0.0.1:4000:app.test", {"app.test"}),
        (":4000:app.test", {"app.test"}),
        ("127.0.0.1:4000:app.test:8080/path", {"app.test:8080/path"}),
        ("/run/router.sock:app.test:8080", {"app.test:8080"}),
        ("/run/app.sock=/run/router.sock:app.test", {"app.test"}),
        ("10.0.0.1:3031=127.0.0.1:4000:app.test", {"app.test"}),
        ("=0=/run/router.sock:app.test", {"app.test"}),
        ("=0=127.0.0.1:4000:app.test", {"app.test"}),
        ("/run/router.sock:", {""}),
        ("=0", set()),
        ("/run/router.sock", set()),
        ("127.0.0.1:4000", set()),
        ("router:app", set()),
        ("/run/router.sock:a=b", set()),
        ("", set()),
    ],
)
@pytest.mark.parametrize("name", ["subscribe-to", "st", "subscribe"])
def test_the_key_of_a_subscription_is_read_as_uwsgi_reads_it(name: str, value: str, keys: set[str]) -> None:
    assert own_keys({name: [value]}) == frozenset(keys)


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        ("server=/run/router.sock,key=app.test", {"app.test"}),
        ("key=app.test:80,server=127.0.0.1:4000,socket=0,weight=2", {"app.test:80"}),
        ("server=/r,key=a=b,check=/x", {"a=b"}),
        ("server=/r,key=a,key=b", {"b"}),
        ("key=app.test", set()),
        ("server=/r", set()),
        ("", set()),
    ],
)
def test_the_key_of_a_subscription_by_fields_is_read_as_uwsgi_reads_it(value: str, keys: set[str]) -> None:
    assert own_keys({"subscribe2": [value]}) == frozenset(keys)


def test_all_subscriptions_count() -> None:
    options = {"subscribe-to": ["/r:a", "/r:b"], "subscribe2": ["server=/r,key=c"], "start-unsubscribed": ["1"]}
    assert own_keys({**options, "unsubscribe-on-graceful-reload": ["1"], "subscribe-freq": ["5"]}) == frozenset("abc")
    assert own_keys({"master": ["true"], "daemonize": ["/log"]}) == NONE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subscribe-to", "/run/router.sock:@/etc/keys"),
        ("subscribe-to", '/run/router.sock:a"b'),
        ("subscribe-to", "/run/router.sock:a\\b"),
        ("subscribe-to", "/run/router.sock:bücher.test"),
        ("subscribe2", "server=/r,key=a\\,b"),
        ("fastrouter-subscribe2", "server=/r,key=a"),
        ("fastrouter-resubscribe", "/r"),
        ("emperor", "/etc/more"),
        ("attach-daemon", "run"),
        ("smart-attach-daemon2", "cmd=run"),
    ],
)
def test_what_may_announce_other_keys_makes_them_unknown(name: str, value: str) -> None:
    assert own_keys({"subscribe-to": ["/r:a"], name: [value]} if name != "subscribe-to" else {name: [value]}) is None


LATER = int(time.time()) + 3600
"""The second of a last run that comes after all that the tests have written."""
NONE: frozenset[str] = frozenset()
OWN = frozenset({"app"})
PLAIN = "[uwsgi]\nsubscribe-to = /run/router.sock:app\n"


def entry(id_: str = "app.ini", *, pid: int = 7, last_run: int = LATER) -> VassalStats:
    return VassalStats(
        id=id_,
        pid=pid,
        last_mod=0,
        last_run=last_run,
        accepting=True,
        respawns=0,
        cursed=False,
        zerg=False,
        on_demand="",
        monitor="",
    )


def configured(
    path: Path,
    *words: str,
    id_: str = "app.ini",
    environment: dict[str, str] | None = None,
    last_run: int = LATER,
) -> frozenset[str] | None:
    variables = {"UWSGI_EMPEROR_FD": "5"} if environment is None else environment
    return configured_keys(entry(id_, last_run=last_run), str(path), ["uwsgi", *(words or ("--ini", id_))], variables)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "app.ini"
    path.write_text(PLAIN)
    return path


def test_the_config_of_a_vassal_names_its_keys(config: Path) -> None:
    assert configured(config) == OWN


def test_the_config_of_a_vassal_of_a_glob_is_found_from_its_id(config: Path) -> None:
    assert configured(config, id_=f"./{config.parent.name}/app.ini") == OWN
    assert configured(config, id_=str(config)) == OWN


@pytest.mark.parametrize(
    "words",
    [
        ("--ini", "other.ini"),
        ("--config", "app.ini"),
        ("--ini", "emperor://app.ini"),
        ("--set", "subscribe-to=/r:@(gone)", "--ini", "app.ini"),
        ("--ini", "app.ini", "--include", "more.ini"),
        ("uWSGI master",),
    ],
)
def test_a_master_that_was_started_another_way_may_have_other_keys(config: Path, words: tuple[str, ...]) -> None:
    assert configured(config, *words) is None


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("--inherit", "app.ini"), OWN),
        (("app.ini",), OWN),
        (("--set", "a=b", "--ini", "app.ini"), OWN),
        (("--set", "subscribe-to=/r:b", "--ini", "app.ini"), OWN | {"b"}),
        (("--set", "st=/r:%(name)", "--ini", "app.ini", "--set=name=c"), OWN | {"c"}),
        (("--include", "shared.ini", "--ini", "app.ini"), OWN | {"shared"}),
    ],
)
def test_what_a_master_was_started_with_names_keys_too(
    config: Path, words: tuple[str, ...], keys: frozenset[str]
) -> None:
    config.with_name("shared.ini").write_text("[uwsgi]\nif-exists = /nowhere\nsubscribe-to = /r:%n\nendif =\n")
    assert configured(config, *words) == keys


@pytest.mark.parametrize("environment", [{}, {"UWSGI_EMPEROR_FD": "5", "UWSGI_SUBSCRIBE_TO": "/r:@/keys"}])
def test_a_master_whose_environment_may_say_more_may_have_other_keys(config: Path, environment: dict[str, str]) -> None:
    assert configured(config, environment=environment) is None


def test_the_environment_of_a_master_names_keys_too(config: Path) -> None:
    assert configured(config, environment={"UWSGI_EMPEROR_FD": "5", "UWSGI_SUBSCRIBE_TO": "/r:b"}) == OWN | {"b"}


def test_a_config_that_cannot_be_found_or_read_names_nothing_for_certain(config: Path) -> None:
    assert configured(config.with_name("gone.ini"), id_="gone.ini") is None
    assert configured(config, id_="elsewhere.ini") is None
    config.write_text(f"{PLAIN}include = more.ini\n")
    assert configured(config) is None


def test_a_section_in_the_name_is_another_config(tmp_path: Path) -> None:
    (tmp_path / "a:b.ini").write_text(PLAIN)
    assert configured(tmp_path / "a:b.ini", id_="a:b.ini") is None


def second_of(path: Path) -> int:
    return path.lstat().st_ctime_ns // 1_000_000_000


def test_a_config_that_was_changed_after_its_vassal_began_says_what_that_will_be(config: Path) -> None:
    assert configured(config, last_run=second_of(config)) == OWN
    assert configured(config, last_run=second_of(config) - 1) is None
    os.utime(config, (1, 1))  # what is unpacked from an archive is new all the same
    assert configured(config, last_run=second_of(config) - 1) is None


def test_an_included_file_that_was_changed_counts_too(config: Path) -> None:
    more = config.with_name("more.ini")
    more.write_text("[uwsgi]\nsubscribe-to = /run/router.sock:more\n")
    config.write_text(f"{PLAIN}ini = more.ini\n")
    assert configured(config, last_run=second_of(more)) == OWN | {"more"}
    assert configured(config, last_run=second_of(more) - 1) is None


def test_a_link_that_leads_elsewhere_since_counts_too(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "app.ini").write_text(PLAIN)
    made = second_of(tmp_path / "2" / "app.ini")
    current = tmp_path / "current"
    current.symlink_to("2")
    (tmp_path / "app.ini").symlink_to(Path("current", "app.ini"))
    assert configured(tmp_path / "app.ini", last_run=second_of(tmp_path / "app.ini")) == OWN
    assert configured(tmp_path / "app.ini", last_run=made - 1) is None


def nodes(*keys: str, address: str = "a.sock") -> tuple[Node, ...]:
    return tuple(Node("router", key, address) for key in keys)


class SimulatedSite:
    """Vassals whose configs name some keys; counts how often each is asked for."""

    def __init__(self, **named: frozenset[str] | None) -> None:
        self.named = named
        self.asked: list[str] = []
        self.keys = ForeignKeys(self._configured)

    def _configured(self, entry: VassalStats) -> frozenset[str] | None:
        self.asked.append(entry.id)
        return self.named[entry.id]

    def foreign(self, entries: dict[str, VassalStats] | None = None, **keys: str) -> dict[str, frozenset[str]]:
        owned = {id_: nodes(*under.split(), address=id_) for id_, under in keys.items()}
        listed = {id_: entry(id_) for id_ in keys}
        return dict(self.keys.of(owned, {**listed, **(entries or {})}))


def test_a_key_that_the_config_does_not_name_is_foreign_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    site = SimulatedSite(a=OWN, b=OWN)
    assert site.foreign(a="app", b="app") == {}
    for _ in range(3):
        assert site.foreign(a="app ev\x1bil", b="app") == {"a": frozenset({"ev\x1bil"})}
    (said,) = caplog.messages
    why = "which its config does not name: it counts for no minimum"
    assert said == f"router router lists a under key 'ev\\x1bil', {why}"


def test_where_the_config_is_not_known_every_key_is_its_own() -> None:
    assert SimulatedSite(a=None).foreign(a="app evil") == {}


def test_a_vassal_without_keys_is_taken_to_be_announced_by_somebody_who_may() -> None:
    site = SimulatedSite(a=frozenset(), b=OWN)
    assert site.foreign(a="other", b="app") == {}
    assert site.foreign(a="other app", b="app") == {"a": OWN}


def test_a_config_is_read_once_and_again_for_a_new_key_or_a_new_process_only() -> None:
    site = SimulatedSite(a=OWN)
    for _ in range(3):
        site.foreign(a="app")
    assert site.asked == ["a"]
    for _ in range(3):
        site.foreign(a="app evil")
    assert site.asked == ["a", "a"]
    for _ in range(3):
        site.foreign({"a": entry("a", pid=8)}, a="app evil")
    for _ in range(3):
        site.foreign({"a": entry("a", pid=8, last_run=LATER + 1)}, a="app evil")
    assert site.asked == ["a"] * 4


def test_a_config_that_was_edited_under_its_vassal_takes_no_key_from_it() -> None:
    site = SimulatedSite(a=OWN)
    assert site.foreign(a="app") == {}
    site.named["a"] = frozenset({"new"})
    assert site.foreign(a="app") == {}, "the process has not read it"
    site.named["a"] = None
    assert site.foreign(a="app new") == {}, "reloaded by hand: the config is younger than the last run"


@pytest.mark.parametrize("pid", [0, -1])
def test_one_that_has_died_keeps_the_keys_that_it_was_known_by(pid: int) -> None:
    site = SimulatedSite(a=OWN)
    site.foreign(a="app")
    assert site.foreign({"a": entry("a", pid=pid)}, a="app evil") == {"a": frozenset({"evil"})}
    assert dict(site.keys.of({"a": nodes("app", "evil")}, {})) == {"a": frozenset({"evil"})}
    assert site.asked == ["a"]


def test_whoever_announces_any_number_of_keys_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    site = SimulatedSite(a=OWN)
    site.foreign(a="app " + " ".join(f"evil-{number}" for number in range(WARNINGS * 2)))
    assert len(caplog.messages) == WARNINGS


def test_a_foreign_key_is_none_of_the_vassals_and_served_by_nobody() -> None:
    vassal = Vassal("a.ini", accepting=True, nodes=nodes("app", "evil"), foreign_keys=frozenset({"evil"}))
    seen = Snapshot(0.0, {vassal.id: vassal})
    assert vassal.keys == OWN
    assert seen.served == {"a.ini": OWN}
    assert seen.live == {"a.ini": vassal.nodes}, "its traffic is drained all the same"
