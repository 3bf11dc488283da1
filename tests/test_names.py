"""The names of tests are sentences, and a reader takes in a sentence of this length at once."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import ROOT

LONGEST = 79
"""Characters, `test_` included."""


@pytest.mark.parametrize("folder", ["tests", "integration"])
def test_no_name_of_a_test_is_longer_than_a_line_of_a_terminal(folder: str) -> None:
    files = [*(ROOT / folder).rglob("test_*.py")]
    names = [name for path in files for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)]
    assert len(names) > 100, "the files are found"
    assert [name for name in names if len(name) > LONGEST] == []
