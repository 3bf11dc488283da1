"""Says why a stats socket was not found: it is not set, or it is set and nobody listens there."""

from __future__ import annotations

from collections.abc import Mapping

from uwsgi_reload_hook.settings import PREFIX

__all__ = ["no_emperor", "no_router"]

Options = Mapping[str, list[str]]


def no_emperor(options: Options) -> str:
    """Why the Emperor's stats socket was not found, by the options of its instance, as far as they are known."""
    if address := _set(options, "emperor-stats-server", "emperor-stats"):
        return (
            f"the Emperor's config sets emperor-stats-server = {address}, but no Emperor answers there; restart the "
            f"Emperor, because a running one opens no new socket, or set {PREFIX}emperor-stats-socket to the right one"
        )
    return (
        "the Emperor's stats socket was not found; set emperor-stats-server in the Emperor's config, and "
        f"{PREFIX}emperor-stats-socket to the same address"
    )


def no_router(options: Options, passed_over: str) -> str:
    """Why no router's stats socket was found; `passed_over` tells of the routers of other users."""
    name = f"{PREFIX}fastrouter-stats-socket"
    if address := _set(options, "fastrouter-stats-server", "fastrouter-stats"):
        return (
            f"the Emperor's config sets fastrouter-stats-server = {address}, but no router answers there{passed_over}; "
            f"{_plugin(options)}restart the Emperor if the line is new, or set {name} to where the router answers"
        )
    if "fastrouter" in options:
        return (
            f"the Emperor's config sets fastrouter, but no fastrouter-stats-server{passed_over}; set that beside it, "
            f"and restart the Emperor, or set {name} to the address of another router's"
        )
    return (
        f"no router's stats socket was found in the Emperor's process tree{passed_over}; set fastrouter-stats-server "
        f"in the router's config, and {name} to the same address"
    )


def _plugin(options: Options) -> str:
    """The usual cause where the FastRouter is a plugin: without it uWSGI ignores its options silently."""
    plugins = ",".join(
        value for name in ("plugin", "plugins", "need-plugin", "need-plugins") for value in options.get(name, ())
    )
    if "fastrouter" in plugins:
        return ""
    return (
        "where the FastRouter is a plugin, as in Debian's uWSGI, put plugin = fastrouter above its options, because "
        "without it uWSGI ignores them silently; else "
    )


def _set(options: Options, *names: str) -> str:
    return next((options[name][-1] for name in names if options.get(name)), "")
