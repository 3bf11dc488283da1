"""A reader of uWSGI's stats sockets that owes nothing to the package under test."""

from __future__ import annotations

import json
import re
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def read_text(path: Path | str, *, http: bool = False) -> str:
    """All that the stats socket at `path`, or host:port, says; OSError when it does not answer within 5 s.

    With `stats-http` (`http`) uWSGI reads a request before it says anything, and stands still until then.
    """
    host, colon, port = str(path).rpartition(":")
    with socket.socket(socket.AF_INET if colon else socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect((host, int(port)) if colon else _target(str(path)))
        if http:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        chunks = []
        while chunk := client.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def _target(address: str) -> str:
    """An abstract name is `@name`, or a backslash, 0 and the name; uWSGI binds it with a NUL at its end."""
    beginning = next((one for one in ("@", "\\0") if address.startswith(one)), None)
    return f"\0{address.removeprefix(beginning)}\0" if beginning else address


def read(path: Path | str, *, http: bool = False) -> dict[str, Any]:
    """The same, parsed: without the headers of `stats-http`, without uWSGI's trailing commas."""
    text = read_text(path, http=http).replace("\\", "\\\\")  # which uWSGI does not escape
    stats: dict[str, Any] = json.loads(re.sub(r",(\s*[]}])", r"\1", text[text.index("{") :]))
    return stats


def live_nodes(router: dict[str, Any]) -> dict[str, set[str]]:
    """For each subscription key the addresses that the router sends requests to."""
    return {
        slot["key"]: {node["name"] for node in slot["nodes"] if not node["death_mark"]}
        for slot in router["subscriptions"]
    }
