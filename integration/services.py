"""What stands around uWSGI on a real host: nginx before it, systemd above it."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STOP_SECONDS = 15.0

NGINX_CONF = """\
daemon off;
pid nginx.pid;
{user}
events {{}}
http {{
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    include site.conf;
}}
"""


def needed(program: str) -> str:
    """The path of a program; without it the test is skipped, but fails in continuous integration."""
    # Debian has nginx in /usr/sbin, which is not on everybody's PATH.
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if found is None:
        cannot_run(f"{program} is missing")
    return found


def cannot_run(why: str) -> NoReturn:
    """Skips the test, but fails it in continuous integration."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def nginx(prefix: Path, site: str) -> Iterator[None]:
    """An nginx of one's own with one site; all its files are in `prefix`."""
    (prefix / "temp").mkdir(parents=True)
    shutil.copy("/etc/nginx/uwsgi_params", prefix)
    (prefix / "site.conf").write_text(site)
    # Without a `user`, the workers of a root nginx run as a user who cannot reach the sockets.
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.geteuid() == 0 else ""
    (prefix / "nginx.conf").write_text(NGINX_CONF.format(user=user))
    with (prefix / "output").open("wb") as output:
        process = subprocess.Popen(
            [needed("nginx"), "-p", prefix, "-e", "error.log", "-c", "nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


@contextmanager
def notify_socket(path: Path) -> Iterator[threading.Event]:
    """systemd's end of NOTIFY_SOCKET, and the event of being told READY; read all the while, else uWSGI blocks."""
    ready = threading.Event()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))

        def read() -> None:
            while (message := server.recv(4096)) != b"end":
                if b"READY=1" in message:
                    ready.set()

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield ready
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.sendto(b"end", str(path))
            thread.join()
