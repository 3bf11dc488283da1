"""The wall clock steps while a hook runs: whoever asks it knows it all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from integration.commands import Command, sockets
from integration.farm import Farm
from integration.layout import App, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def farm() -> Iterator[Farm]:
    with Farm(Layout(apps=(App(vassals=2, load_seconds=0),))) as farm:
        yield farm


@pytest.mark.parametrize("seconds", [7200.0, -7200.0], ids=["forward", "back"])
def test_a_reload_asks_the_hook_that_was_started_before_the_step(farm: Farm, seconds: float) -> None:
    document = farm.status()
    document["hook"]["started"] -= seconds  # as a clock had it that has stepped by so much since
    farm.status_path.write_text(json.dumps(document))
    command = Command("reload", *sockets(farm.directory))
    try:
        assert command.wait() == 0, command.said
    finally:
        command.end()
    assert f"asks the hook that runs here (pid {document['hook']['pid']})" in command.said
