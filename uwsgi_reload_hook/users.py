"""The names of users and groups, for an operator."""

from __future__ import annotations

import contextlib
import grp
import pwd

__all__ = ["group", "user"]


def user(uid: int) -> str:
    """A user by name, or by number where the system knows no name."""
    with contextlib.suppress(KeyError):
        return f"user {pwd.getpwuid(uid).pw_name}"
    return f"user {uid}"


def group(gid: int) -> str:
    """A group by name, or by number where the system knows no name."""
    with contextlib.suppress(KeyError):
        return f"group {grp.getgrgid(gid).gr_name}"
    return f"group {gid}"
