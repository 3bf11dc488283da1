"""The command line: parses, makes one call, turns what comes back into an exit code."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uwsgi_reload_hook import __version__

__all__ = ["main"]

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_NO_HOOK = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (the contract's: 0 done, 2 usage, 4 no hook is running, …)."""
    parser = argparse.ArgumentParser(prog="uwsgi-reload-hook", description="Rolls the vassals of a uWSGI Emperor.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="start a whole site in a temporary directory and roll it before your eyes")
    demo.add_argument("--vassals", type=int, default=4, help="how many (default 4)")
    demo.add_argument("--load-seconds", type=float, default=1.0, help="the application's load time (default 1.0)")
    status = commands.add_parser("status", help="show what the hook of a trigger is doing")
    status.add_argument("trigger", type=Path, metavar="TRIGGER", help="the trigger file")
    status.add_argument("--state-directory", type=Path, help="where the hook writes its files, if not beside it")
    status.add_argument("--json", action="store_true", help="the status file as it is")
    given = parser.parse_args(arguments)
    if given.command == "demo":
        from uwsgi_reload_hook import demo as demonstration  # noqa: PLC0415 - the hook itself never needs it

        return demonstration.run(vassals=given.vassals, load_seconds=given.load_seconds)
    return _status(given.trigger, given.state_directory, as_json=given.json)


def _status(trigger: Path, directory: Path | None, *, as_json: bool) -> int:
    path = (directory or trigger.parent) / f"{trigger.name}.status.json"
    try:
        text = path.read_text()
        document = json.loads(text)
        lines = text.rstrip() if as_json else "\n".join(_lines(document))
    except FileNotFoundError:
        sys.stderr.write(f"there is no {path}: no hook has run for this trigger, or it has another state-directory\n")
        return EXIT_NO_HOOK
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        sys.stderr.write(f"{path} cannot be read: {error}\n")
        return EXIT_USAGE
    sys.stdout.write(_writable(f"{lines}\n", sys.stdout.encoding))
    return EXIT_OK


def _writable(text: str, encoding: str) -> str:
    """Escape what cannot be written: the hook reads names that are not UTF-8 as Python reads such paths."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _lines(document: dict[str, Any]) -> list[str]:
    hook, roll = document["hook"], document["roll"]
    lines = [f"{document['state']}: hook pid {hook['pid']} in a {hook['mode']}, version {hook['version']}"]
    if roll is None:
        return [*lines, "no roll yet"]
    lines.append(f"roll {roll['id']}: {roll['result'] or 'under way'} {roll['reason']}".rstrip())
    width = max(map(len, roll["vassals"]), default=0)
    lines += [f"  {id_:{width}}  {one['phase']:10}  {one['reason']}" for id_, one in roll["vassals"].items()]
    lines += [f"  {id_:{width}}  left alone: {why}" for id_, why in roll["left_alone"].items()]
    return lines
