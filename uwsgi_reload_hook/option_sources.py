"""Where the options come from: `uwsgi.opt`, the environment, and the hook's own config."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from uwsgi_reload_hook.settings import OPTIONS, PREFIX

__all__ = ["as_flags", "from_environment", "from_uwsgi_opt", "texts", "with_repeats"]

_KEY = re.compile(rf"\b{PREFIX}([a-z]+(?:-[a-z]+)*)( = )?(?: in the hook's config)?")


def from_uwsgi_opt(opt: Mapping[str, object]) -> dict[str, list[str]]:
    """Pick the hook's options out of `uwsgi.opt`.

    A value is bytes, or True for a flag of the command line without a value. Of a repeated key only the last value
    remains, because uWSGI looks for the first one by a key of the wrong type (plugins/python/python_plugin.c). A
    placeholder (`set-ph`), the only form that `strict` accepts, is a key of its own too.
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


def with_repeats(last: Mapping[str, list[str]], written: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Options with the `last` value of each, completed by all values of those `written` in the config."""
    repeats = {
        name: values
        for name, values in written.items()
        if name in OPTIONS and OPTIONS[name].repeats and values[-1:] == last.get(name)
    }
    return {**last, **repeats}


def as_flags(text: str) -> str:
    """A text for an operator, with the flags of the command line in place of the keys of an ini."""
    return _KEY.sub(lambda match: f"--{match[1]}{' ' if match[2] else ''}", text).replace("50%% in an ini", "50%")


def texts(opt: Mapping[str, object]) -> dict[str, list[str]]:
    """All of `uwsgi.opt` as texts."""
    return {key: list(_each(value)) for key, value in opt.items()}


def _each(value: object) -> Iterable[str]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bytes):
            yield os.fsdecode(item)  # most are paths
        else:
            yield "true" if item is True else str(item)
