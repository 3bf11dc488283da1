"""The README and docs/ against the code: length, options, links, where each rule stands, and that blocks are tested."""

from __future__ import annotations

import ast
import re

import pytest

from tests.support.documents import PAGES, ROOT, blocks, prose, text
from uwsgi_reload_hook.settings import OPTIONS, parse

MOST_WORDS = 1000
README = text("README.md")
ROWS = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+?) \|", README, re.MULTILINE))
SAID_OTHERWISE = {"trigger": "required", "state-directory": "the trigger's", "vassal-config-file-suffix": "all"}
RESULTS = {"done", "failed", "timed-out", "refused", "interrupted"}

READ = "integration/test_readme.py::"
NOT_RUN = "not run: "
BLOCKS = {
    ("README.md", "$ make demo     # rolls a site in a temporary directory before your eyes"): (
        f"{READ}test_make_knows_the_commands_that_the_pages_name"
    ),
    ("README.md", "emperor-stats-server = /run/uwsgi/emperor.stats"): (
        f"{READ}test_the_stats_lines_are_those_of_the_example"
    ),
    ("README.md", "$ python3 -m venv /srv/site/venv"): (
        f"{NOT_RUN}pip takes the package from a registry; the tests run this checkout in a virtual environment"
    ),
    ("README.md", "mule = uwsgi_reload_hook.mule:run"): (
        f"{READ}test_the_five_minutes_roll_and_their_commands_tell_what_the_readme_shows"
    ),
    ("README.md", "$ touch /var/lib/uwsgi/reload"): (
        f"{READ}test_the_five_minutes_roll_and_their_commands_tell_what_the_readme_shows"
    ),
    ("docs/homes.md", "processes = 0"): f"{READ}test_the_mule_of_homes_is_that_of_the_five_minutes",
    (
        "docs/homes.md",
        "unprivileged-binary-patch-arg = exec /srv/site/venv/bin/python -m uwsgi_reload_hook vassal",
    ): f"{READ}test_the_python_vassals_of_homes_roll",
    (
        "docs/homes.md",
        "privileged-binary-patch-arg = exec /srv/site/venv/bin/python -m uwsgi_reload_hook vassal",
    ): f"{READ}test_the_python_vassals_of_homes_roll",
    ("docs/homes.md", "set-placeholder = reload-hook-trigger=/var/lib/uwsgi/reload"): (
        f"{READ}test_the_lines_for_the_emperors_instance_are_those_of_the_example"
    ),
    ("docs/homes.md", "$ /srv/site/venv/bin/uwsgi-reload-hook reload \\"): (
        f"{READ}test_the_commands_of_the_pages_roll_with_a_hook_and_without"
    ),
    ("docs/operating.md", "$ /srv/site/venv/bin/uwsgi-reload-hook trigger --wait /var/lib/uwsgi/reload"): (
        f"{READ}test_the_commands_of_the_pages_roll_with_a_hook_and_without"
    ),
}
"""Each config and command of the pages, by page and one line: the test that has it, or why there is none."""


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_every_option_is_in_the_table_with_its_default() -> None:
    defaults = parse({"trigger": ["x"]})
    for name, option in OPTIONS.items():
        assert name in ROWS, f"{name} is missing in the README"
        default = getattr(defaults, option.attribute)
        expected = SAID_OTHERWISE.get(name) or ("found" if default in {None, ()} else f"`{_written(default)}`")
        assert ROWS[name] == expected, name


def _written(default: object) -> str:
    if isinstance(default, tuple):
        return str(default[0])
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_the_table_names_no_option_that_is_none() -> None:
    assert set(ROWS) - RESULTS == set(OPTIONS)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        led = (ROOT / page).parent / path if path else ROOT / page
        assert led.exists(), f"{page}: {target} leads to no file"
        assert led.resolve().is_relative_to(ROOT), f"{page}: {target} leads out of the repository"
        if heading:
            assert heading in _headings(led.read_text(encoding="utf-8")), f"{page}: {target} leads to no heading"


def _headings(page: str) -> set[str]:
    """The names that GitHub gives the headings."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_linked_in_the_readme() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#\s]+\.md)", README))
    assert linked == set(PAGES) - {"README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_every_config_and_command_is_tested_or_says_why_not(page: str) -> None:
    for language, block in blocks(page):
        assert language in {"ini", "console", "text"}, f"{page}: a block of {language or 'no language'}"
        if language != "text":
            known = [line for of, line in BLOCKS if of == page and line in block.splitlines()]
            assert len(known) == 1, f"{page}: this block is in BLOCKS {len(known)} times:\n{block}"


@pytest.mark.parametrize(("place", "tested"), BLOCKS.items())
def test_what_is_said_to_test_a_block_is_there(place: tuple[str, str], tested: str) -> None:
    page, line = place
    assert sum(line in block.splitlines() for _, block in blocks(page)) == 1
    if not tested.startswith(NOT_RUN):
        file, _, name = tested.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), tested


def test_what_the_architecture_tells_to_open_is_there() -> None:
    rows = re.findall(r"^\| [^|]+ \| `([\w/]+\.py)` \| ([^|]+) \|$", text("docs/architecture.md"), re.MULTILINE)
    assert len(rows) > 15
    for file, names in rows:
        defined = _defined(file)
        for name in re.findall(r"`(\w+)`", names):
            assert name in defined, f"{file} has no {name}"


def _defined(file: str) -> set[str]:
    names = set()
    for node in ast.parse((ROOT / "uwsgi_reload_hook" / file).read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
    return names


@pytest.mark.parametrize("page", PAGES)
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", prose(page)):
        places = (ROOT / name, ROOT / "uwsgi_reload_hook" / name, ROOT / "examples" / name)
        assert any(place.exists() for place in places), f"{page}: there is no {name}"
