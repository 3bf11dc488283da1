"""The README and the pages of docs/, as the tests read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in _FENCE.findall(text(page))]


def prose(page: str) -> str:
    """A page without its blocks."""
    return _FENCE.sub("", text(page))


def block(page: str, line: str) -> str:
    """The text of the only block of a page that has this line."""
    (found,) = [one.text for one in blocks(page) if line in one.text.splitlines()]
    return found


def commands(page: str, line: str) -> list[str]:
    """The commands of such a block: the lines with a prompt, and those that a backslash joins to them."""
    lines = block(page, line).replace("\\\n", "").splitlines()
    return [one.removeprefix("$ ") for one in lines if one.startswith("$ ")]
