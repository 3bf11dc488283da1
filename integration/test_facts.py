"""What the package takes for granted about uWSGI: a later uWSGI that changes it fails here, by name."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
from typing import TYPE_CHECKING

import pytest

from integration import stats
from integration.farm import Farm
from integration.layout import App, Layout
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

VASSAL = "app-1.ini"


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with Farm(Layout(apps=(App(vassals=2, load_seconds=0),), hook=None)) as farm:
        yield farm


def touch(farm: Farm, later: float) -> None:
    """Moves the config's mtime to `later` seconds after what the Emperor last saw."""
    mtime = vassal(farm)["last_mod"] + later
    os.utime(farm.vassals / VASSAL, (mtime, mtime), follow_symlinks=False)


def vassal(farm: Farm) -> dict[str, int]:
    return farm.vassal_stats()[VASSAL]


def wait_accepting(farm: Farm) -> None:
    eventually(lambda: vassal(farm)["accepting"], "accepting again")
    farm.wait_subscribed()


def reloads(farm: Farm) -> str | None:
    with open(f"/proc/{vassal(farm)['pid']}/environ", encoding="utf-8") as environ:  # noqa: PTH123
        found = re.search(r"(?:^|\0)UWSGI_RELOADS=(\d+)", environ.read())
    return found[1] if found else None


def test_one_stats_read_makes_the_emperor_notice_a_touch(farm: Farm) -> None:
    before = vassal(farm)
    touch(farm, later=1)
    farm.emperor()
    after = vassal(farm)
    assert after["last_mod"] == before["last_mod"] + 1
    assert after["respawns"] == before["respawns"] + 1
    assert (after["accepting"], after["ready"]) == (0, 0)
    wait_accepting(farm)


def test_a_touch_within_the_second_of_the_last_one_is_lost(farm: Farm) -> None:
    before = vassal(farm)
    touch(farm, later=0.9)
    farm.emperor()
    assert vassal(farm) == before


def test_a_reload_keeps_the_master_and_renews_the_workers(farm: Farm) -> None:
    master, workers = vassal(farm)["pid"], farm.workers()
    touch(farm, later=1)
    farm.emperor()
    wait_accepting(farm)
    assert vassal(farm)["pid"] == master
    renewed = farm.workers()
    assert renewed[VASSAL].isdisjoint(workers[VASSAL])
    assert renewed["app-2.ini"] == workers["app-2.ini"]


def test_uwsgi_reloads_counts_in_the_masters_environment() -> None:
    with Farm(Layout(apps=(App(vassals=1, load_seconds=0),), hook=None)) as farm:
        seen = [reloads(farm)]
        for _ in range(3):
            touch(farm, later=1)
            farm.emperor()
            wait_accepting(farm)
            seen.append(reloads(farm))
    assert seen == [None, "0", "1", "2"]


def test_the_routers_stats_are_invalid_json_beside_an_http_gateway(farm: Farm) -> None:
    text = stats.read_text(farm.directory / "router.stats")
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert farm.router()["fastrouter"] == [f"{farm.directory}/router.sock", farm.subscription_server]


def test_packets_of_a_third_party_unsubscribe_and_subscribe_a_vassal(farm: Farm) -> None:
    address = f"{farm.directory}/run/app-1.sock"
    for modifier2, expected in ((1, False), (0, True)):
        send_packet(farm.subscription_server, modifier2, {"key": "app.test", "address": address})
        eventually(lambda: (address in stats.live_nodes(farm.router())["app.test"]) is expected, f"{modifier2=}")  # noqa: B023


def send_packet(server: str, modifier2: int, body: dict[str, str]) -> None:
    packed = b"".join(struct.pack("<H", len(text)) + text.encode() for pair in body.items() for text in pair)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(struct.pack("<BHB", 224, len(packed), modifier2) + packed, server)


def test_sigurg_clears_the_blacklist() -> None:
    layout = Layout(apps=(App(vassals=1, load_seconds=0),), hook=None, instance_lines=("emperor-throttle = 60000",))
    with Farm(layout) as farm:
        farm.deploy("broken")
        touch(farm, later=1)

        def blacklisted() -> bool:
            return any(item["throttle_level"] >= 60000 for item in farm.emperor()["blacklist"])

        eventually(blacklisted, "a blacklisted vassal")
        assert farm.vassal(VASSAL) is None
        farm.deploy("new")
        os.kill(farm.emperor()["pid"], signal.SIGURG)
        eventually(lambda: not farm.emperor()["blacklist"], "an empty blacklist")
        wait_accepting(farm)


def test_uwsgi_opt_has_the_last_of_a_repeated_key_and_placeholders_twice(farm: Farm) -> None:
    """And a single percent sign at a line's end joins it with the next line."""
    told = farm.directory / "told"
    tell = farm.directory / "tell.py"
    tell.write_text(
        f"import json, uwsgi\njson.dump({{k: repr(v) for k, v in uwsgi.opt.items()}}, open({str(told)!r}, 'w'))\n"
    )
    lines = (
        "reload-hook-a = 1",
        "reload-hook-a = 2",
        "set-ph = reload-hook-b=3",
        "reload-hook-c = 50%",
        "reload-hook-d = 4",
        "reload-hook-e = 50%%",
    )
    farm.add_hook("tell.ini", *lines, start=f"import = {tell}")
    eventually(lambda: farm.emperor() and told.exists() and told.stat().st_size, "what uwsgi.opt holds")
    opt = {
        key: value for key, value in json.loads(told.read_text()).items() if key.startswith(("reload-hook", "set-ph"))
    }
    farm.remove_vassal("tell.ini")
    assert opt == {
        "reload-hook-a": "b'2'",
        "set-ph": "b'reload-hook-b=3'",
        "reload-hook-b": "b'3'",
        "reload-hook-c": "b'50reload-hook-d = 4'",
        "reload-hook-e": "b'50%'",
    }
