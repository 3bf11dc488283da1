"""The probe without I/O: the request to a vassal's own socket, and the judgement of its answer."""

from __future__ import annotations

import http.client
import io
import socket
from typing import cast
from urllib.parse import unquote

from uwsgi_reload_hook.probe_spec import Probe, is_number
from uwsgi_reload_hook.snapshot import ProbeResult
from uwsgi_reload_hook.uwsgi import packets

__all__ = ["LIMIT", "WORDS", "judge", "request"]

LIMIT = 1 << 20
"""Bytes of an answer that are read: no health check sends more."""
WORDS = 80
"""Characters of an answer, or of a host, that are quoted in a reason."""


def request(probe: Probe, host: str, *, over_http: bool, modifiers: tuple[int, int] = (0, 0)) -> bytes:
    """Make the request, as a uwsgi packet or as HTTP.

    The modifiers, 0 for WSGI, say which language plugin the packet is for; HTTP has none, so the vassal decides there.
    """
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
    return packets.encode(variables, *modifiers)


AGENT = "uwsgi-reload-hook"
HOST_HINT = (
    "; if the application does not accept this host (Django: ALLOWED_HOSTS), give one that it does: "
    "reload-hook-probe = path=/,host=www.example.org"
)


def judge(probe: Probe, answer: bytes) -> ProbeResult:
    """Judge a whole answer by its status, and by whether it is complete. No answer makes it raise an error.

    The words follow those that name the request.
    """
    response = http.client.HTTPResponse(cast("socket.socket", _Answer(answer)))
    try:
        response.begin()
        line = f"{response.status} {response.reason[:WORDS]}".strip()
        length = response.headers.get("Content-Length", "0").strip()
        if not is_number(length):
            return _bad(f"is answered with {line} and an invalid Content-Length, {length[:WORDS]!r}")
        response.read()
    except http.client.IncompleteRead as error:
        return _bad(f"is answered with half a response, {len(error.partial)} bytes of a body")
    except OverflowError:  # a length that no memory could hold
        return _bad("is answered with half a response, because it names an impossible length")
    except (http.client.HTTPException, ValueError, OSError) as error:
        start = answer[:40].decode(errors="replace")
        return _bad(f"is not answered in HTTP but with {start!r} ({str(error)[:WORDS]})")
    if b"\r\n\r\n" not in answer:
        return _bad("is answered with half a response, because its headers do not end")
    good = probe.lowest <= response.status <= probe.highest
    hint = HOST_HINT if not good and response.status == http.client.BAD_REQUEST else ""
    return ProbeResult(good=good, words=f"is answered with {line}{hint}", status=response.status)


def _bad(words: str) -> ProbeResult:
    return ProbeResult(good=False, words=words)


class _Answer:
    """The part of a socket that http.client uses."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._answer)
