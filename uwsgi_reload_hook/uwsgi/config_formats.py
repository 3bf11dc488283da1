"""The formats of a config, each as uWSGI's own reader takes it: what other readers make of the same text differs.

An answer is the pairs of name and value in their order. What uWSGI would end at, and what its builds read differently,
raises NotKnownError with the reason in words.
"""

from __future__ import annotations

import importlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from typing import Any

from uwsgi_reload_hook.uwsgi.expansion import UNKNOWN

__all__ = ["NotKnownError", "Pairs", "ini", "json_", "xml", "yaml"]

Pairs = Iterable[tuple[str, str]]
_BLANKS = " \t\r"
YAML = 1 << 18
"""Characters of a yaml that is read by libyaml's rules: PyYAML takes a second for as many where it has no libyaml."""


class NotKnownError(Exception):
    """What a config says cannot be known; the text says why."""


def ini(text: str, section: str) -> Pairs:
    """Read `name = value` lines (core/ini.c). A line ends at a zero byte too, because it is a string of C."""
    current = ""
    for raw in text.split("\n"):
        line = raw.split("\0", 1)[0].strip(_BLANKS)
        if line.startswith("["):
            current = line[1:-1]
        elif line and line[0] not in ";#" and current == section:
            name, _, value = line.partition("=")
            yield name.rstrip(_BLANKS), value.strip(_BLANKS)


def yaml(text: str, section: str, *, libyaml: bool | None) -> Pairs:
    """Read a mapping: by uWSGI's own rules or by those of libyaml, as it was built; None = that is not known."""
    if libyaml is False:
        return _own_yaml(text, section)
    scanned = [*_scanned_yaml(text, section)]
    if libyaml is None and scanned != [*_own_yaml(text, section)]:
        raise NotKnownError("it is not known whether this uWSGI reads yaml by libyaml, which makes a difference here")
    return scanned


def _own_yaml(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Read yaml as core/yaml.c does without libyaml: `name: value` lines, ended by the first that is anything else."""
    least, within = 0, False
    for raw in text.split("\n"):
        line = raw.split("#", 1)[0].split("\0", 1)[0]
        entry = line.lstrip(_BLANKS)
        depth = sum(1 if blank == " " else 8 for blank in line[: len(line) - len(entry)])
        if not line or (depth > least and not within):
            continue
        if depth <= least:
            least = depth
            if within:
                return
        if not within:
            name, colon, _ = entry.partition(":")
            within = bool(colon) and name == section and entry[0] not in "-[{"
        elif entry:
            between = next((one for one in (": ", ":\t") if one in entry), "")
            if not between or entry[0] in "-[{":
                return
            name, _, value = entry.partition(between)
            yield name.rstrip(" \t"), value.lstrip(_BLANKS).rstrip(" \t")


def _scanned_yaml(text: str, section: str) -> Iterator[tuple[str, str]]:
    """Read yaml as core/yaml.c does with libyaml, by its tokens: no alias is followed, so that none can grow."""
    status, within, name = "", 0, None
    for kind, value in _yaml_tokens(text):
        if kind != "<scalar>":
            was, within = within, _depth(kind, within, begins=name == section)
            if kind in _CLOSING:
                name = None
                if was and not within:
                    return
            status = status if kind == "<block mapping start>" else _STATUS.get(kind, "")
        elif status == "key":
            name = value
        elif not status:
            return
        else:
            if name is not None and within:
                yield name, value
            if status == "value":
                name, status = None, ""


_STATUS = {"?": "key", ":": "value", **dict.fromkeys(("[", "<block sequence start>", ",", "-"), "sequence")}
_CLOSING = frozenset({"<block end>", "]"})


def _depth(kind: str, within: int, *, begins: bool) -> int:
    """How deep a token leads: 0 is outside of the section, which `begins` with a mapping."""
    if kind == "<block mapping start>":
        return within + 1 if within else int(begins)
    if kind in {"[", "<block sequence start>"}:
        return within + bool(within)
    return max(within - 1, 0) if kind in _CLOSING else within


def _yaml_tokens(text: str) -> Iterator[tuple[str, str]]:
    """The kind and the text of each token of a yaml."""
    try:
        library: Any = importlib.import_module("yaml")
    except ImportError:
        raise NotKnownError("a yaml is read by libyaml's rules where PyYAML is installed (the extra `yaml`)") from None
    if len(text) > YAML:
        raise NotKnownError(f"a yaml has more than {YAML} characters")
    try:
        for token in library.scan(text, Loader=getattr(library, "CSafeLoader", library.SafeLoader)):
            yield token.id, getattr(token, "value", "").split("\0", 1)[0] if token.id == "<scalar>" else ""
    except (library.YAMLError, UnicodeError) as error:
        raise NotKnownError(f"a yaml cannot be read: {error}") from None


def json_(text: str, section: str) -> Pairs:
    """Read an object of values and lists (core/json.c). What jansson and yajl give differently is not known."""
    try:
        whole = json.loads(text, object_pairs_hook=_Object, parse_float=lambda _: UNKNOWN, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise NotKnownError(f"a json cannot be read: {error}") from None
    named = [value for name, value in whole if name == section] if isinstance(whole, _Object) else []
    if len(named) != 1 or not isinstance(named[0], _Object):
        raise NotKnownError(f"a json has no object {section}, or several")
    if len({name for name, _ in named[0]}) < len(named[0]):
        raise NotKnownError("a json has a name twice")
    return [(name, told) for name, value in named[0] for told in _texts(value)]


class _Object(list[tuple[str, object]]):
    """The pairs of a json object."""


def _whole(digits: str) -> str:
    """An integer as its digits, where it is one of C's and written as that prints it."""
    return digits if len(digits) < len(str(1 << 31)) and digits != "-0" else UNKNOWN


def _texts(value: object) -> Iterator[str]:
    for one in [value] if not isinstance(value, list) or isinstance(value, _Object) else value:
        if one is None or isinstance(one, bool):
            yield "1" if one else "0"
        elif isinstance(one, str):
            yield UNKNOWN if "\0" in one else one


def xml(text: str, section: str | None) -> Pairs:
    """Read elements that hold a text each, where libxml2 and expat agree on them (core/xmlconf.c).

    Attributes, elements within elements, references, and declarations, which may define entities without end, are not
    read: uWSGI crashes at the second of them.
    """
    plain = _COMMENT.sub("", _HEADER.sub("", text))
    if section is not None or re.search(r"<[!?]|&", plain):
        raise NotKnownError("an xml has a declaration or a reference, or is read in part (`id`)")
    try:
        root = ET.fromstring(plain)  # noqa: S314 - without a declaration there are no entities to grow
    except (ET.ParseError, UnicodeError) as error:
        raise NotKnownError(f"an xml cannot be read: {error}") from None
    if root.tag != "uwsgi" or root.attrib:
        raise NotKnownError("the root of an xml is not a plain <uwsgi>")
    for element in root:
        if len(element) or element.attrib or element.tag == "app":
            raise NotKnownError(f"<{element.tag}> of an xml has more than a text")
        yield element.tag, UNKNOWN if "\n" in (element.text or "") else element.text or "1"


_HEADER = re.compile(r"\A<\?xml(?:\s+version\s*=\s*[\"']1.0[\"'])?(?:\s+encoding\s*=\s*[\"'](?i:utf-8)[\"'])?\s*\?>")
_COMMENT = re.compile(r"(?<=>)\s*<!--(?:(?!--)[\s\S])*-->\s*(?=<(?:[^/!]|/uwsgi>))")
"""Those between two elements: one within an element is its text for libxml2."""
