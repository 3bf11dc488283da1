"""The config of an application in the other formats that an Emperor takes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from integration import layout as layouts

if TYPE_CHECKING:
    from integration.farm import Farm
    from integration.layout import App


def add_app(farm: Farm, vassal: str, app: App) -> None:
    """Adds a vassal that runs `app`, in the format that its name ends with."""
    lines = [line.split(" = ", 1) for line in _ini(farm, app)]
    pairs = [(line[0], line[1] if len(line) > 1 else "true") for line in lines]
    kind = vassal.rpartition(".")[2]
    farm.add_vassal(vassal, _xml(pairs) if kind == "xml" else _yaml(pairs) if kind in {"yaml", "yml"} else _text(pairs))


def _ini(farm: Farm, app: App) -> list[str]:
    return layouts.app_ini(farm.directory, app, farm.subscription_server).splitlines()[1:]


def _text(pairs: list[tuple[str, str]]) -> str:
    return layouts.ini([f"{name} = {value}" for name, value in pairs])


def _yaml(pairs: list[tuple[str, str]]) -> str:
    """As uWSGI's own small reader takes it: one line an option, a key may repeat."""
    return "\n".join(["uwsgi:", *(f"  {name}: {value}" for name, value in pairs), ""])


def _xml(pairs: list[tuple[str, str]]) -> str:
    return "\n".join(["<uwsgi>", *(f"  <{name}>{escape(value)}</{name}>" for name, value in pairs), "</uwsgi>", ""])
