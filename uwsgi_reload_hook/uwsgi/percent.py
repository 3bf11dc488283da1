"""Finds the percent signs of a config that uWSGI replaces by nothing, and with them what comes next.

uWSGI replaces each `%` and the character after it, before it looks for lines (core/utils.c, magic_sub): a known letter
by its value, `%%` by one `%`, and any other character by nothing. At the end of a line that is the line break, so that
the next line becomes a part of this one, even where this one is a comment.
"""

from __future__ import annotations

import re

__all__ = ["lost_percents"]

_KNOWN = frozenset("%([0123456789bcdeghijknopstuvxCDEGIJNOPSTUVX")
"""The characters that mean something after a `%` (core/uwsgi.c)."""
_PAIR = re.compile(r"%(.?)", re.DOTALL)
_OPTION = re.compile(r"reload-hook-|UWSGI_RELOAD_HOOK_")


def lost_percents(text: str) -> list[str]:
    """The lines in which a percent sign changes an option of the hook, there or on the line that it swallows."""
    lost = []
    for match in _PAIR.finditer(text):
        following = match[1]
        if following and following in _KNOWN:
            continue
        begin = text.rfind("\n", 0, match.start()) + 1
        line = text[begin:].split("\n", 1)[0].strip()
        swallowed = text[match.end() :].split("\n", 1)[0] if following == "\n" else ""
        is_comment = line.startswith((";", "#"))
        is_option = bool(_OPTION.search(line)) and not is_comment
        if is_option or _OPTION.search(swallowed):
            lost.append(line)
    return lost
