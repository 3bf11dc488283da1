"""Abstract names: uWSGI's end in a NUL, other programs' do not, and neither is taken for the other."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from uwsgi_reload_hook.addresses import abstract
from uwsgi_reload_hook.site import processes
from uwsgi_reload_hook.site.peers import listener, listening_pid
from uwsgi_reload_hook.site.sockets import accepts, is_here, open_stream, resolve, same_socket
from uwsgi_reload_hook.site.unix_sockets import target_of, written

NAME = f"uwsgi-reload-hook-twin-{os.getpid()}"


@contextmanager
def bound(name: str) -> Iterator[None]:
    """Listens at a name of the kernel's."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen(10)
        yield


@contextmanager
def bound_by_another(name: str) -> Iterator[int]:
    """Another process listens there; its pid."""
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.bind({f'{chr(0)}{name}'!r}); s.listen(); "
    code += "print(flush=True); input()"
    with subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "\n"
        yield other.pid
        other.communicate("\n")


@pytest.mark.parametrize("name", [NAME, f"{NAME}\0"], ids=["plain", "as uWSGI binds it"])
@pytest.mark.parametrize("beginning", ["@", "\\0"], ids=["at", "backslash-0"])
def test_an_abstract_name_reaches_its_socket_however_that_is_bound(name: str, beginning: str) -> None:
    address = f"{beginning}{NAME}"
    assert not accepts(address)
    with bound(name):
        assert accepts(address)
        assert is_here(address)
        assert listening_pid(address) == os.getpid()
        open_stream(address).close()
        assert f"@{NAME}" in processes.listening("unix")[os.getpid()]


def test_of_two_twins_the_one_that_uwsgi_has_bound_is_meant() -> None:
    with bound(f"{NAME}\0"), bound_by_another(NAME) as other:
        assert listening_pid(f"@{NAME}") == os.getpid()
        exact = listener(f"\0{NAME}")
        assert exact is not None
        assert exact.pid == other


def test_a_name_that_begins_with_a_nul_is_the_kernels_own() -> None:
    """The lock lists claims by the kernel's names: a twin with a NUL more must not hide one."""
    with bound(NAME), bound_by_another(f"{NAME}\0"):
        exact = listener(f"\0{NAME}")
        assert exact is not None
        assert exact.pid == os.getpid()


def test_both_ways_to_write_an_abstract_name_mean_one_socket() -> None:
    assert same_socket("\\0app", "@app")
    assert not same_socket("\\0app", "@apps")
    assert resolve("\\0app", "/srv") == "@app" == abstract("@app")
    assert (target_of("@app"), target_of("\\0app"), target_of("/app")) == ("\0app\0", "\0app\0", "/app")


@pytest.mark.parametrize(
    ("name", "address"), [("\0a\0", "@a"), ("\0a", "@a"), ("\0a\0\0", "@a@"), ("/a\0", "/a"), ("/a", "/a"), ("\0", "@")]
)
def test_the_kernels_name_is_written_without_uwsgis_nul(name: str, address: str) -> None:
    assert written(name) == address
