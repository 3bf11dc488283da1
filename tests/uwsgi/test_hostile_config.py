"""A tenant's config is read as far as it is a config: no FIFO, no device, no end of includes or of values."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.children import python
from uwsgi_reload_hook.site.process_options import may_subscribe, of_vassal
from uwsgi_reload_hook.site.vassal_config import LONGEST, read_bytes
from uwsgi_reload_hook.uwsgi.config_files import FILES, WHOLE
from uwsgi_reload_hook.uwsgi.expansion import VALUE
from uwsgi_reload_hook.uwsgi.option_reader import OPTIONS, read_options
from uwsgi_reload_hook.uwsgi.options import Options, Start


def fifo(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def too_long(path: Path) -> None:
    path.write_bytes(b"#" * (LONGEST + 1))


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def looping(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [fifo, endless, terminal, bound, too_long, sparse, looping, Path.mkdir])
def test_what_is_no_config_is_not_known_and_may_subscribe(tmp_path: Path, make: Callable[[Path], None]) -> None:
    trap, config = tmp_path / "trap.ini", tmp_path / "app.ini"
    make(trap)
    config.write_text(f"[uwsgi]\nsocket = a\nif-exists = /nowhere\nini = {trap}\nendif =\nstats = b\n")
    assert read_bytes(str(trap)) is None
    assert may_subscribe(os.getpid(), str(trap))
    found = of_vassal(os.getpid(), str(config))
    assert (found.found("socket"), found.found("stats"), "trap.ini" in found.gap) == (["a"], ["b"], True)


def test_a_name_that_no_file_has_is_not_known() -> None:
    assert read_bytes("/a\0b") is None
    assert may_subscribe(os.getpid(), "/a\0b")


def test_a_config_of_the_longest_length_is_read(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_bytes(b"#" * LONGEST)
    assert read_bytes(str(tmp_path / "app.ini")) == b"#" * LONGEST


def test_a_file_whose_size_is_not_known_beforehand_is_read() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert b"Name:" in (read_bytes("/proc/self/status") or b"")


class Files(dict[str, str]):
    """Counts what is read."""

    reads = 0

    def read(self, path: str) -> bytes | None:
        self.reads += 1
        return self[path].encode(errors="surrogateescape") if path in self else None


def read(text: str, **more: str) -> tuple[Options, int]:
    files = Files({"/srv/a.ini": text, **{f"/srv/{name}.ini": one for name, one in more.items()}})
    return read_options(Start(["uwsgi", "a.ini"], "/srv", {"BIG": "x" * 50_000}, files.read)), files.reads


def total(found: Options) -> int:
    return sum(len(value) for value in found.found(*found.names()))


def test_an_ini_that_includes_itself_costs_one_read() -> None:
    found, reads = read("[uwsgi]\n" + "ini = a.ini\n" * 6 + "socket = s\n")
    assert (found.found("socket"), reads) == (["s"], 1)
    assert "loads itself" in found.gap


def test_an_ini_that_includes_itself_by_other_names_costs_a_handful() -> None:
    files = Files()
    text = "[uwsgi]\n" + "".join(f"ini = %d{'../srv/' * number}%s\n" for number in range(1, 7))
    start = Start(["uwsgi", "a.ini"], "/srv", {}, lambda path: files.read(path) or text.encode())
    assert read_options(start).gap
    assert files.reads <= FILES


def test_many_files_and_sections_are_read_up_to_a_bound() -> None:
    _, reads = read("[uwsgi]\n" + "".join(f"ini = {number}.ini\n" for number in range(1000)))
    assert reads <= FILES
    found, reads = read("[uwsgi]\n" + "ini = :more\n" * 1000 + "[more]\nx = y\n")
    assert reads == 1
    assert len(found.found("x")) < FILES
    assert found.gap


@pytest.mark.parametrize(
    "text",
    [
        "a = xx\n"
        + "".join(f"{chr(98 + number)} = %({chr(97 + number)})%({chr(97 + number)})\n" for number in range(24)),
        "a = x%(a)\n",
        "a = " + "$(BIG)" * 5000,
        "a = " + "x" * (VALUE + 1),
        "a = " + "%p" * 32_000,
        ("a = " + "x" * 50_000 + "\n") + "b = %(a)\n" * 2000,
        "x = y\n" * (OPTIONS + 1),
    ],
)
def test_what_grows_ends_at_a_bound_and_the_rest_is_not_known(text: str) -> None:
    found, _ = read(f"[uwsgi]\nsocket = s\n{text}")
    assert found.found("socket") == ["s"]
    assert total(found) <= WHOLE
    assert max(len(value) for value in found.found(*found.names())) <= VALUE
    assert found.gap


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("socket = s", True),
        ("ini = more.ini", True),
        ("ini = :more", True),
        ("ini = gone.ini", False),
        ("include = more.ini", True),
        ("inherit = more.ini", True),
        ("inherit = gone.ini", False),
        ("inherit-template = more.ini", True),
        ("yaml = more.yaml", False),
        ("config = more", False),
        ("inherited = 1", True),
        ("includes-nothing = 1", True),
    ],
)
def test_whether_all_is_known_is_said(text: str, complete: bool) -> None:
    found, _ = read(f"[uwsgi]\n{text}\n[more]\nx = y\n", more="[uwsgi]\nx = y\n")
    assert bool(found.gap) is not complete


FRAGMENTS = [
    "[uwsgi]\n",
    "[more]\n",
    "ini = ",
    ":more",
    "a.ini",
    "/srv/../srv/",
    "\n",
    "=",
    "%(a)",
    "%(",
    "$(BIG)",
    "%d",
]
FRAGMENTS += ["%p", "a = ", "b = ", ";", "x" * 100, "set-ph = ", "\0", "\udcff", "(", ")", "%", "include = ", "\u2028"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join), st.text())
def test_whatever_a_config_says_it_is_bounded(text: str, more: str) -> None:
    found, reads = read(text, more=more)
    assert reads <= FILES
    assert total(found) <= WHOLE
    assert isinstance(found.gap, str)


BOUNDED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
from uwsgi_reload_hook.site import process_options, vassal_config
config = sys.argv[1] + sys.argv[3]
with open(config, "w") as file:
    text = eval(sys.argv[2])
    file.write(text[: vassal_config.LONGEST])
process_options.may_subscribe(0, config)
process_options.of_vassal(0, config).possible("subscribe-to")
print("ended")
"""


INIS = [
    "'\\n' * (1 << 20)",
    "' ' * (1 << 20)",
    "'[uwsgi]\\n' + 'inherit' * (1 << 18)",
    "'[uwsgi]\\na = ' + '%(' * 30_000",
    "'[uwsgi]\\na = ' + '%(a)' * 15_000",
    "'[uwsgi]\\nb =\\n' + 'a = ' + '%(b)' * 15_000",
    "'[uwsgi]\\na = ' + '%(((' * 15_000",
    "'[uwsgi]\\na = ' + '@(/dev/zero)' * 5_000",
    "'[uwsgi]\\na = ' + '%p' * 32_000",
    "'[uwsgi]\\n# ' + '%(' * (1 << 19)",
    "'[uwsgi]\\n# ' + '% ' * (1 << 19)",
    "'[uwsgi]\\n' + 'a = %(a)%(a)x\\n' * (1 << 16)",
    "'[uwsgi]\\n' + '\\n'.join(f'a{n} = {\"x\" * 60_000}' for n in range(17))",
    "'[uwsgi]\\n' + 'ini = %p\\nini = %d/./%s\\n' * (1 << 15)",
    "'[uwsgi]\\nfor-times = 999999999\\na = b\\n'",
    "'[uwsgi]\\nfor = ' + 'a ' * 30_000 + '\\n' + 'a = %(_)\\n' * 1000",
    "'[uwsgi]\\nfor-readline = /dev/zero\\na = %(_)\\n'",
    "'[uwsgi]\\nfor-readline = %p\\n' + 'a = %(_)\\n' * 30_000",
    "'[uwsgi]\\ninject-before = %p\\n' + 'ini = :uwsgi\\n' * 30_000",
]
YAMLS = [
    "'a: &a [x]\\n' + ''.join(f'{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\\n' for n in range(24))",
    "'uwsgi: ' + '[' * (1 << 19)",
    "'uwsgi: ' + '{a: ' * (1 << 17)",
    "'uwsgi:\\n' + '  a: b\\n' * (1 << 17)",
    "'uwsgi:\\n  a: \"' + 'x' * (1 << 19)",
    "'uwsgi:\\n  a: |\\n' + '    x\\n' * (1 << 17)",
]
JSONS = [
    "'{\"uwsgi\": ' + '[' * (1 << 19)",
    "'{\"uwsgi\": ' + '{\"a\": ' * (1 << 17)",
    "'{\"uwsgi\": {\"a\": ' + '9' * (1 << 19) + '}}'",
    "'{\"uwsgi\": {\"a\": [' + '1,' * (1 << 18) + '1]}}'",
]
XMLS = [
    "'<!DOCTYPE a [' + ''.join(f'<!ENTITY a{n} \"&a{n-1};&a{n-1};\">' for n in range(24)) + ']><uwsgi>&a23;</uwsgi>'",
    "'<uwsgi>' + '<a>' * (1 << 18)",
    "'<uwsgi>' + '><!-- ' * (1 << 17)",
    "'<uwsgi>' + '>  ' * (1 << 18)",
    "'<uwsgi>' + '<a>b</a>' * (1 << 16) + '</uwsgi>'",
]


@pytest.mark.parametrize(
    ("extension", "text"),
    [
        (extension, text)
        for extension, texts in ((".ini", INIS), (".yaml", YAMLS), (".json", JSONS), (".xml", XMLS))
        for text in texts
    ],
)
def test_the_longest_config_takes_little_time_and_memory(tmp_path: Path, extension: str, text: str) -> None:
    """The kernel ends the child that takes 1 GiB, or 10 s of a CPU."""
    with python("-c", BOUNDED, str(tmp_path / "app"), text, extension) as child:
        out, err = child.communicate()
    assert (out, err) == ("ended\n", "")
