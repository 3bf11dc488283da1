"""In the middle of a roll: waiting for a point in it, and changing the site there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from integration import layout as layouts
from integration import stats
from integration.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.client import Client
    from integration.farm import Farm
    from integration.layout import App


def live(farm: Farm, key: str = "app.test") -> frozenset[str]:
    """The vassals that the router sends requests for `key` to."""
    return frozenset(f"{node.rpartition('/')[2].removesuffix('.sock')}.ini" for node in nodes(farm, key))


def nodes(farm: Farm, key: str) -> set[str]:
    return stats.live_nodes(farm.router()).get(key, set())


def refs(farm: Farm) -> list[int]:
    """For each node at the router, the requests in flight to it."""
    return [node["ref"] for slot in farm.router()["subscriptions"] for node in slot["nodes"]]


def phases(roll: dict[str, Any]) -> dict[str, str]:
    return {vassal: entry["phase"] for vassal, entry in roll["vassals"].items()}


def wait_phases(farm: Farm, count: int, *wanted: str) -> set[str]:
    """Waits until so many vassals are in one of the phases `wanted`, and returns them."""

    def found() -> set[str]:
        roll = farm.roll()
        return {vassal for vassal, phase in phases(roll).items() if phase in wanted} if roll else set()

    return eventually(lambda: them if len(them := found()) >= count else None, f"{count} in {wanted}")


def wait_answers(client: Client, count: int = 50) -> None:
    """Waits for so many more answers."""
    had = len(client.answers)
    eventually(lambda: len(client.answers) >= had + count, f"{count} more answers")


@contextmanager
def held(farm: Farm) -> Iterator[None]:
    """Lets no import of the first application end."""
    hold = farm.directory / farm.layout.apps[0].name / "hold"
    hold.touch()
    try:
        yield
    finally:
        hold.unlink()


def add_like(farm: Farm, vassal: str, app: App, *changes: tuple[str, str]) -> None:
    """Adds a vassal that runs `app`, with the lines of its config changed."""
    text = layouts.app_ini(farm.directory, app, farm.subscription_server)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    farm.add_vassal(vassal, text)
