"""The old external script's way to roll, written afresh from its description, to measure it; not to be used.

It lists the config files, touches all but the last K in parallel, and then the last K one by one. For each vassal it
asks the Emperor and the router every `--check-interval`, by a `uwsgi --connect-and-read` each, until the vassal's
`last_mod` has moved, it accepts, and its node, found by the socket's file name, has no death mark. A vassal that does
not get there within `--timeout` is passed over, and the exit code is 0 all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from integration.bench.usage import peak_memory

UWSGI = Path(sys.executable).with_name("uwsgi")


@dataclass(frozen=True)
class Site:
    emperor_stats: str
    router_stats: str
    timeout: float
    interval: float

    def reload(self, config: Path) -> None:
        before = self._entry(config.name).get("last_mod", 0)
        os.utime(config, follow_symlinks=False)
        deadline = time.monotonic() + self.timeout
        while time.monotonic() < deadline:
            entry = self._entry(config.name)
            if self._serves(config.stem) and entry.get("last_mod", 0) > before and entry.get("accepting"):
                return
            time.sleep(self.interval)

    def _entry(self, vassal: str) -> dict[str, Any]:
        vassals: list[dict[str, Any]] = read(self.emperor_stats)["vassals"]
        return next((entry for entry in vassals if entry["id"] == vassal), {})

    def _serves(self, name: str) -> bool:
        nodes = (node for slot in read(self.router_stats)["subscriptions"] for node in slot["nodes"])
        return any(Path(node["name"]).stem == name and not node["death_mark"] for node in nodes)


def read(address: str) -> dict[str, Any]:
    # uWSGI says it on standard error, and the router's with a comma too many.
    run = subprocess.run([UWSGI, "--connect-and-read", address], stderr=subprocess.PIPE, check=True, text=True)
    stats: dict[str, Any] = json.loads(re.sub(r",(\s*[]}])", r"\1", run.stderr))
    return stats


def roll(site: Site, configs: list[Path], minimum: int) -> None:
    together, one_by_one = configs[: len(configs) - minimum], configs[len(configs) - minimum :]
    if together:
        with ThreadPoolExecutor(len(together)) as pool:
            list(pool.map(site.reload, together))
    for config in one_by_one:
        site.reload(config)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--emperor-path", type=Path, required=True)
    parser.add_argument("--emperor-stats-socket", required=True)
    parser.add_argument("--fastrouter-stats-socket", required=True)
    parser.add_argument("--vassal-config-file-suffix", default=".ini")
    parser.add_argument("--minimum-active-vassals", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=60)
    parser.add_argument("--check-interval", type=float, default=0.1)
    given = parser.parse_args()
    site = Site(given.emperor_stats_socket, given.fastrouter_stats_socket, given.timeout, given.check_interval)
    configs = sorted(given.emperor_path.glob(f"*{given.vassal_config_file_suffix}"))
    roll(site, configs, given.minimum_active_vassals)
    # Its own: what another process could learn of it when it has ended includes that other one's memory.
    sys.stdout.write(f"{peak_memory()}\n")


if __name__ == "__main__":
    main()
