"""Where the options come from: `uwsgi.opt`, the environment, and what the hook's own config says besides."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from uwsgi_reload_hook.settings import OPTIONS, PREFIX

__all__ = ["from_environment", "from_uwsgi_opt", "texts", "with_repeats"]


def from_uwsgi_opt(opt: Mapping[str, object]) -> dict[str, list[str]]:
    """Pick the hook's options out of `uwsgi.opt`.

    It holds a value as bytes, or as True for a flag of the command line that has none. The list that a repeated key is
    meant to have never comes: Python 3 is asked for it by the wrong kind of key, and the last value remains
    (plugins/python/python_plugin.c). A placeholder, all that `strict` lets through, is a key of its own too.
    """
    return {
        key.strip()[len(PREFIX) :]: [text.strip() for text in _each(value)]
        for key, value in opt.items()
        if key.startswith(PREFIX)
    }


def from_environment(environment: Mapping[str, str]) -> dict[str, list[str]]:
    """Pick the hook's options out of environment variables such as `UWSGI_RELOAD_HOOK_TRIGGER`."""
    named = {name: f"UWSGI_RELOAD_HOOK_{option.attribute.upper()}" for name, option in OPTIONS.items()}
    return {name: [environment[variable]] for name, variable in named.items() if variable in environment}


def with_repeats(given: Mapping[str, list[str]], written: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Make `given`, which has the last value of each option, whole with all values of those `written` in the config."""
    repeats = {
        name: values
        for name, values in written.items()
        if name in OPTIONS and OPTIONS[name].repeats and values[-1:] == given.get(name)
    }
    return {**given, **repeats}


def texts(opt: Mapping[str, object]) -> dict[str, list[str]]:
    """All of `uwsgi.opt` as texts."""
    return {key: list(_each(value)) for key, value in opt.items()}


def _each(value: object) -> Iterable[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bytes):
            yield os.fsdecode(item)  # most are paths
        else:
            yield "true" if item is True else str(item)
