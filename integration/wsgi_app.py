"""What the vassals of a farm serve; its behaviour at import is what a deploy changes.

`APP_DIRECTORY` holds `version` (read once, at import; `broken` makes the import fail, `failing` every request, `lazy`
raises in each, one that begins with `hanging` never ends one of `/`, one such as `404-b` has the status of all answers,
`uncallable` leaves nothing to call, `dying` kills the process that imports it a second later), `load` (seconds that the
import takes), `hold` (an import does not end while it is there), `breaks`, to which each failed import adds its time,
and `loads`, to which each other one adds the vassal, when it began and when it ended. With `LINGER` the process that
imports it does not end by itself, because a thread of the application goes on.
"""

from __future__ import annotations

import time

BEGAN = time.time()
# What an application imports is part of the time that it takes to load.
import os  # noqa: E402
import subprocess  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402
from urllib.parse import parse_qs  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DIRECTORY = Path(os.environ["APP_DIRECTORY"])
VASSAL = os.environ["VASSAL"]

time.sleep(float((DIRECTORY / "load").read_text()))
while (DIRECTORY / "hold").exists():
    time.sleep(0.02)
VERSION = (DIRECTORY / "version").read_text()
if VERSION == "broken":
    with (DIRECTORY / "breaks").open("a") as breaks:
        breaks.write(f"{time.time()}\n")
    raise ImportError("this deploy is broken")
if VERSION == "dying":
    subprocess.Popen(["/bin/sh", "-c", f"sleep 1; kill -9 {os.getpid()}"])
if "LINGER" in os.environ:
    threading.Thread(target=threading.Event().wait).start()
with (DIRECTORY / "loads").open("a") as loads:
    loads.write(f"{VASSAL} {BEGAN} {time.time()}\n")


def application(
    environ: dict[str, str], start_response: Callable[[str, list[tuple[str, str]]], object]
) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/slow":
        time.sleep(float(parse_qs(environ["QUERY_STRING"])["seconds"][0]))
    if environ["PATH_INFO"] == "/" and VERSION.startswith("hanging"):
        time.sleep(3600)
    if VERSION == "lazy":
        raise ImportError("what this request needs is missing")
    status = f"{VERSION[:3]} Said" if VERSION[:3].isdecimal() else "500 Oops" if VERSION == "failing" else "200 OK"
    start_response(status, [("Content-Type", "text/plain")])
    return [f"{VERSION} {VASSAL} {os.getpid()}".encode()]


if VERSION == "uncallable":
    del application
