"""Stands in for an Emperor and a router with any number of vassals: their stats, their scan, and their reloads.

The answers are laid out as uWSGI lays them out, over unix sockets; a touched config is noticed by the scan that follows
a read of the Emperor's stats; the vassal accepts again when its load time is over, and is subscribed by a packet. The
vassals share a few real processes, each with a child that is replaced when a reload begins, so that looking into a
vassal's process costs what it costs.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from integration.bench.cases import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

MASTERS = 8
SHELL = "/bin/sh"
LOOP = "while :; do sleep 1000; done"


@dataclass
class Vassal:
    """One vassal, and its part of each answer, written anew only when it has changed."""

    config: Path
    address: Path
    pid: int
    last_mod: int
    respawns: int = 0
    accepting: bool = True
    subscribed: bool = True
    loads_until: float = 0.0
    entry: str = ""
    node: str = ""

    def __post_init__(self) -> None:
        self.write()

    def write(self) -> None:
        now = int(time.time())
        times = dict.fromkeys(("last_ready", "last_accepting", "first_run", "last_run"), now)
        fields = {"id": self.config.name, "pid": self.pid, "born": now, "last_mod": self.last_mod, "last_heartbeat": 0}
        fields |= {"loyal": 0, "ready": 1, "accepting": int(self.accepting), "last_loyal": 0, **times, "cursed": 0}
        fields |= {"zerg": 0, "on_demand": "", "uid": 0, "gid": 0, "monitor": str(self.config.parent)}
        self.entry = _laid_out(fields | {"respawns": self.respawns}, 2)
        fields = {"name": str(self.address), "modifier1": 0, "modifier2": 0, "last_check": now, "pid": 0, "uid": 0}
        fields |= {"gid": 0, "requests": 0, "last_requests": 0, "tx": 0, "rx": 0, "cores": 1, "load": 0, "weight": 1}
        self.node = _laid_out(fields | {"wrr": 0, "ref": 0, "failcnt": 0, "death_mark": 0}, 4)


def _laid_out(fields: dict[str, object], depth: int) -> str:
    tabs = "\t" * depth
    lines = ",\n".join(f"{tabs}\t{json.dumps(key)}:{json.dumps(value)}" for key, value in fields.items())
    return f"{tabs}{{\n{lines}\n{tabs}}}"


class StandIn:
    """One thread, as the Emperor is one."""

    def __init__(self, directory: Path, vassals: int, load_seconds: float) -> None:
        self._directory = directory
        self._load_seconds = load_seconds
        self._masters = [
            subprocess.Popen([SHELL, "-c", LOOP], stderr=subprocess.DEVNULL, start_new_session=True)
            for _ in range(MASTERS)
        ]
        self._selector = selectors.DefaultSelector()
        self._listen("nodes.sock", lambda connection: connection.close())
        self._listen("emperor.stats", self._tell_emperor)
        self._listen("router.stats", self._tell_router)
        self._packets = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._packets.bind(str(directory / "subscription.sock"))
        self._selector.register(self._packets, selectors.EVENT_READ, self._take_packet)
        self._vassals = [self._vassal(number) for number in range(1, vassals + 1)]
        self._by_address = {str(vassal.address): vassal for vassal in self._vassals}
        self.reads = 0
        self.seconds = 0.0

    def _vassal(self, number: int) -> Vassal:
        config = self._directory / "vassals" / f"app-{number}.ini"
        config.write_text("[uwsgi]\nmaster = true\n")
        address = self._directory / f"app-{number}.sock"
        # A thousand addresses that accept, and one socket.
        address.symlink_to("nodes.sock")
        return Vassal(config, address, self._masters[number % MASTERS].pid, int(config.stat().st_mtime))

    def _listen(self, name: str, answer: Callable[[socket.socket], None]) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._directory / name))
        listener.listen(100)
        self._selector.register(listener, selectors.EVENT_READ, lambda: answer(listener.accept()[0]))

    def run(self) -> None:
        """Until standard input is closed; each line of it is answered with what the reads have cost so far."""
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        while True:
            ready = self._selector.select(0.005)
            self._finish_loads()
            for key, _ in ready:
                if key.data is not None:
                    key.data()
                elif sys.stdin.readline():
                    sys.stdout.write(json.dumps({"reads": self.reads, "seconds": self.seconds}) + "\n")
                    sys.stdout.flush()
                else:
                    return

    def stop(self) -> None:
        for master in self._masters:
            os.killpg(master.pid, signal.SIGKILL)
            master.wait()

    def _tell_emperor(self, connection: socket.socket) -> None:
        began = time.monotonic()
        entries = ",\n".join(vassal.entry for vassal in self._vassals)
        head = f'"version":"2.0.31",\n\t"pid":{os.getpid()},\n\t"uid":0,\n\t"gid":0,\n\t"cwd":"{self._directory}",'
        head += f'\n\t"emperor":[\n"{self._directory}/vassals"\n\t],\n\t"emperor_tyrant":0,\n\t"throttle_level":0,'
        self._send(connection, f'{{\n\t{head}\n\t"vassals":[\n{entries}\n\t],\n\t"blacklist":[\n\n\t]\n}}')
        self._scan()
        self.reads += 1
        self.seconds += time.monotonic() - began

    def _scan(self) -> None:
        touched = set()
        for vassal in self._vassals:
            mtime = int(vassal.config.stat().st_mtime)
            if mtime > vassal.last_mod:
                vassal.last_mod, vassal.accepting = mtime, False
                vassal.respawns += 1
                vassal.loads_until = time.monotonic() + self._load_seconds
                vassal.write()
                touched.add(vassal.pid)
        for pid in touched:
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)

    def _tell_router(self, connection: socket.socket) -> None:
        nodes = ",\n".join(vassal.node for vassal in self._vassals if vassal.subscribed)
        # With the comma too many that uWSGI writes where the instance has another gateway.
        head = f'"version":"2.0.31",\n\t"pid":{os.getpid()},\n\t"uid":0,\n\t"gid":0,\n\t"cwd":"{self._directory}",'
        head += f'\n\t"active_sessions":0,\n\t"fastrouter":[\n"{self._directory}/subscription.sock",\n\n\t],'
        pool = (
            f'\t\t{{\n\t\t\t"key":"{KEY}",\n\t\t\t"hash":1,\n\t\t\t"hits":0,\n\t\t\t"nodes":[\n{nodes}\n\t\t\t]\n\t\t}}'
        )
        self._send(connection, f'{{\n\t{head}\n\t"subscriptions":[\n{pool}\n\t],\n\t"cheap":0\n}}')

    def _send(self, connection: socket.socket, text: str) -> None:
        with connection:
            connection.settimeout(5)
            connection.sendall(text.encode())

    def _take_packet(self) -> None:
        packet = self._packets.recv(4096)
        found = re.search(rb"/[^\0]*?/app-\d+\.sock", packet)
        assert found is not None
        vassal = self._by_address[found[0].decode()]
        vassal.subscribed = packet[3] == 0
        vassal.write()

    def _finish_loads(self) -> None:
        now = time.monotonic()
        for vassal in self._vassals:
            if not vassal.accepting and vassal.loads_until <= now:
                vassal.accepting = True
                vassal.write()


def main() -> None:
    """Stands in until standard input is closed."""
    standin = StandIn(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
    sys.stdout.write("standing\n")
    sys.stdout.flush()
    try:
        standin.run()
    finally:
        standin.stop()


if __name__ == "__main__":
    main()
