"""The value of the option `probe`: the request, the statuses that are good, and how both are written."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Probe", "is_number", "parse"]

LONGEST = 1024
"""Characters of the option's value, because a longer request does not fit uWSGI's buffer (4096 bytes by default)."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The request, and which statuses are good. An empty host means the vassal's subscription key."""

    path: str
    host: str = ""
    lowest: int = 200
    highest: int = 399

    def __str__(self) -> str:
        """Render as it is written in an ini."""
        return f"path={self.path},host={self.host},status={self.lowest}-{self.highest}"


def parse(text: str) -> Probe:
    """Read `/healthz`, or `path=/healthz,host=app.local,status=200-399`. Raises ValueError with what is accepted."""
    accepted = ValueError("a path such as /healthz, or path=/healthz,host=app.local,status=200-399")
    if len(text) > LONGEST:
        raise accepted
    parts = {"path": text.strip()}
    if not text.strip().startswith("/"):
        pairs = [part.partition("=") for part in text.split(",")]
        parts = {key.strip(): value.strip() for key, _, value in pairs}
    low, dash, high = parts.get("status", "200-399").partition("-")
    bounds = (low, high if dash else low)
    good = all(is_number(bound) for bound in bounds) and parts.keys() <= {"path", "host", "status"}
    plain = all(char.isascii() and char.isprintable() and char != " " for char in "".join(parts.values()))
    if not (good and plain and parts.get("path", "").startswith("/") and int(bounds[0]) <= int(bounds[1])):
        raise accepted
    return Probe(parts["path"], parts.get("host", ""), int(bounds[0]), int(bounds[1]))


def is_number(text: str) -> bool:
    """Whether the text is a number of ASCII digits, at most as many as 64 bits have (20)."""
    return text.isascii() and text.isdecimal() and len(text) <= len(str(1 << 64))
