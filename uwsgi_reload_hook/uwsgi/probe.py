"""The probe without I/O: what is sent to a vassal's own socket, and whether its answer is a good one."""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast
from urllib.parse import unquote

from uwsgi_reload_hook.probe_spec import Probe, is_number
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import packets

__all__ = ["LIMIT", "judge", "request"]

LIMIT = 1 << 20
"""Bytes of an answer that are read: a health check that sends more is none."""
WORDS = 80
"""Characters of an answer's own words that are repeated."""


def request(probe: Probe, host: str, *, over_http: bool) -> bytes:
    """Make the request, as a uwsgi packet (modifier 0, WSGI) or as HTTP."""
    host = probe.host or host
    if over_http:
        host = "".join(char for char in host if char.isascii() and char.isprintable())  # a key may hold line breaks
        return f"GET {probe.path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\n\r\n".encode()
    path, _, query = probe.path.partition("?")
    variables = {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": probe.path,
        "PATH_INFO": unquote(path),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.0",
        "SERVER_NAME": host.partition(":")[0],
        "SERVER_PORT": host.partition(":")[2] or "80",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": AGENT,
        "CONTENT_LENGTH": "",
        "CONTENT_TYPE": "",
    }
    return packets.encode(variables, 0, 0)


AGENT = "uwsgi-reload-hook"


def judge(probe: Probe, answer: bytes) -> ProbeResult:
    """Judge a whole answer, read to its end: status, and that it is all there. Whatever it is, it raises nothing."""
    response = http.client.HTTPResponse(cast("socket.socket", _Answer(answer)))
    try:
        response.begin()
        line = f"{response.status} {response.reason[:WORDS]}".strip()
        length = response.headers.get("Content-Length", "0").strip()
        if not is_number(length):
            return _bad(f"{probe.path} is answered with {line} and a Content-Length that is none, {length[:WORDS]!r}")
        response.read()
    except http.client.IncompleteRead as error:
        return _bad(f"{probe.path} is answered with half a response, {len(error.partial)} bytes of a body")
    except OverflowError:  # a length that no memory could hold
        return _bad(f"{probe.path} is answered with half a response, as it names a length that none can have")
    except (http.client.HTTPException, ValueError, OSError) as error:
        start = answer[:40].decode(errors="replace")
        return _bad(f"{probe.path} is not answered in HTTP but with {start!r} ({str(error)[:WORDS]})")
    if b"\r\n\r\n" not in answer:
        return _bad(f"{probe.path} is answered with half a response, its headers do not end")
    good = probe.lowest <= response.status <= probe.highest
    return ProbeResult(good=good, words=f"{probe.path} is answered with {line}")


def _bad(words: str) -> ProbeResult:
    return ProbeResult(good=False, words=words)


class _Answer:
    """As much of a socket as http.client asks for."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._answer)
