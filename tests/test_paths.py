from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from uwsgi_reload_hook.paths import LINKS, walk


def test_links_that_lead_nowhere_end_where_the_kernel_ends_them(tmp_path: Path) -> None:
    """Whoever owns a link can make it a loop after it was opened, and while it is walked."""
    (tmp_path / "0").touch()
    for number in range(1, LINKS + 2):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert sum(step.is_link for step in walk(tmp_path / str(LINKS))) == LINKS
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / str(LINKS + 1), tmp_path / "loop"):
        with pytest.raises(OSError, match="Too many levels"):
            _ = [*islice(walk(path), 1000)]


def test_a_walk_gives_each_entry_where_it_really_lies(tmp_path: Path) -> None:
    (tmp_path / "1" / "etc").mkdir(parents=True)
    (tmp_path / "1" / "app.ini").touch()
    (tmp_path / "current").symlink_to("1")
    steps = [*walk(f"{tmp_path}/current/etc/../app.ini")][len(tmp_path.parts) - 1 :]
    assert [(step.directory, step.entry, step.is_link) for step in steps] == [
        (f"{tmp_path}", f"{tmp_path}/current", True),
        (f"{tmp_path}", f"{tmp_path}/1", False),
        (f"{tmp_path}/1", f"{tmp_path}/1/etc", False),
        (f"{tmp_path}/1/etc", f"{tmp_path}/1/etc/..", False),
        (f"{tmp_path}/1", f"{tmp_path}/1/app.ini", False),
    ]
