"""The command line: parses the arguments, makes one call, and returns an exit code."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from uwsgi_reload_hook import __version__
from uwsgi_reload_hook.client import follow
from uwsgi_reload_hook.client.headline import headline
from uwsgi_reload_hook.client.interrupts import InterruptedBySignal, interruptible
from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.exit_codes import ExitCode
from uwsgi_reload_hook.logs import log_to
from uwsgi_reload_hook.option_sources import as_flags, from_environment
from uwsgi_reload_hook.printable import printable, write_line
from uwsgi_reload_hook.records import status_reader
from uwsgi_reload_hook.records.files import log_stream
from uwsgi_reload_hook.records.status import StatusDocument, VassalDocument, status_name
from uwsgi_reload_hook.settings import OPTIONS, parse

__all__ = ["main"]

WIDTH = 60
"""Most characters of the column of ids, because each line is padded to it and a forged id may have megabytes."""
LONGEST = 300
"""Characters of an id or a reason that `status` shows; `--json` shows all."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Show a wrong argument without the escapes that it may hold."""
        super().error(printable(message))


def _count(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (count := int(text)) > 0:
            return count
    raise argparse.ArgumentTypeError(f"not accepted: {text}; give a whole number from 1 on")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (seconds := float(text)) < math.inf:
            return seconds
    raise argparse.ArgumentTypeError(f"not accepted: {text}; give seconds, from 0 on")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 done, 1 failed and stopped, 2 usage or configuration, 3 not finished in the time given, 4 no hook is running,
    5 refused because the minimum cannot be kept, 130 the command was interrupted.
    """
    given = _parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that are not UTF-8 are shown escaped, as on standard error
        sys.stdout.reconfigure(errors="backslashreplace")
    run: Callable[[argparse.Namespace], int] = given.run
    try:
        return run(given)
    except KeyboardInterrupt:
        _note("uwsgi-reload-hook: interrupted")
        return ExitCode.INTERRUPTED
    except ConfigError as error:
        words = as_flags(str(error)) if given.command == "reload" else error
        write_line(sys.stderr, f"uwsgi-reload-hook: {words}")
        return ExitCode.USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="uwsgi-reload-hook", description="Rolls the vassals of a uWSGI Emperor.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = commands.add_parser("demo", help="start a whole site in a temporary directory and roll it before your eyes")
    demo.add_argument("--vassals", type=_count, default=4, help="how many (default 4)")
    demo.add_argument("--load-seconds", type=_seconds, default=1.0, help="the application's load time (default 1.0)")
    demo.set_defaults(run=_demo)
    status = commands.add_parser("status", help="show what the hook of a trigger is doing")
    status.add_argument("--json", action="store_true", help="the whole status, as JSON")
    status.set_defaults(run=_status)
    trigger = commands.add_parser("trigger", help="touch a trigger, and with --wait follow the roll of that touch")
    trigger.add_argument("--wait", action="store_true", help="follow the roll, and return its exit code")
    trigger.add_argument("--timeout", type=float, help="seconds to follow it (default: until it ends)")
    for name in ("message", "request-id", "only"):
        trigger.add_argument(f"--{name}", help=f"written into the trigger as {name}=…")
    trigger.set_defaults(run=_trigger)
    for command in (status, trigger):
        command.add_argument("file", type=Path, metavar="TRIGGER", help="the trigger file")
        command.add_argument("--state-directory", type=Path, help="where the hook writes its files, if not beside it")
    reload = commands.add_parser("reload", help="roll once, from this shell, or by the hook that runs already")
    reload.add_argument("--resume", action="store_true", help="only finish what an earlier reload left unfinished")
    reload.set_defaults(run=_reload)
    vassal = commands.add_parser("vassal", help="the hook as a Python vassal, started by an Emperor")
    vassal.add_argument("--log-file", help="where to log, if not to standard error")
    vassal.set_defaults(run=_vassal)
    for command in (reload, vassal):
        for option in OPTIONS.values():
            if option.name == "quiet":
                command.add_argument("-q", "--quiet", action="append_const", const="true", help=option.meaning)
            else:
                command.add_argument(f"--{option.name}", action="append", help=option.meaning.replace("%", "%%"))
    return parser


def _options(given: argparse.Namespace) -> dict[str, list[str]]:
    """The options of the environment, overridden by those of the command line."""
    arguments = {option.name: getattr(given, option.attribute) for option in OPTIONS.values()}
    return {**from_environment(os.environ), **{name: texts for name, texts in arguments.items() if texts}}


def _demo(given: argparse.Namespace) -> int:
    from uwsgi_reload_hook import demo  # noqa: PLC0415 - the hook itself never needs it

    return demo.run(vassals=given.vassals, load_seconds=given.load_seconds)


def _reload(given: argparse.Namespace) -> int:
    from uwsgi_reload_hook.homes import oneshot  # noqa: PLC0415 - other commands need no watchdog

    options = _options(given)
    if "trigger" in options and "state-directory" not in options:
        options["state-directory"] = [str(Path(options["trigger"][0]).absolute().parent)]
    settings = parse({"trigger": ["reload"], "vassal-config-file-suffix": [".ini"], **options})
    log_to(sys.stderr, quiet=True)
    return oneshot.reload(settings, _say_nothing if settings.quiet else _say, resume=given.resume)


def _say(line: str) -> None:
    write_line(sys.stdout, line)


def _say_nothing(_line: str) -> None:
    """Drop a line of the output, for --quiet."""


def _vassal(given: argparse.Namespace) -> int:
    from uwsgi_reload_hook.homes import attached  # noqa: PLC0415 - other commands need no watchdog

    if given.log_file is None:
        return attached.run(_options(given), sys.stderr)
    try:
        log = log_stream(Path(given.log_file))
    except OSError as error:
        why = f"--log-file {given.log_file} cannot be written ({error.strerror}): logs here instead"
        write_line(sys.stderr, f"uwsgi-reload-hook: {why}")  # to end would leave the vassals without a hook
        return attached.run(_options(given), sys.stderr)
    with log:
        return attached.run(_options(given), log)


def _trigger(given: argparse.Namespace) -> int:
    fields = {"message": given.message, "request-id": given.request_id, "only": given.only}
    follower = follow.Follower(given.file, given.state_directory, _follow_line, _note)
    never = not follow.has_run(given.file, given.state_directory or given.file.parent)
    if never and not os.path.lexists(given.file) and given.file.parent.is_dir():
        _note(_nobody_watches(given.file))
        return ExitCode.NO_HOOK
    try:
        mtime = follow.touch(given.file, {key: text for key, text in fields.items() if text is not None})
    except OSError as error:
        raise ConfigError(f"the trigger {given.file} cannot be touched: {error.strerror}") from error
    if not given.wait:
        if absence := follower.absence():
            _note(absence)
        return ExitCode.DONE
    try:
        with interruptible():
            code, words = follower.follow(mtime, given.timeout)
    except InterruptedBySignal as signal:
        code, words = ExitCode.INTERRUPTED, f"interrupted by {signal}: the roll goes on, and is not followed any more"
    write_line(sys.stderr if code else sys.stdout, words)
    return code


def _nobody_watches(trigger: Path) -> str:
    return (
        f"{trigger} is not made, because no hook is running for it, and none ever has ({status_name(trigger.name)} is "
        "not beside it): a touch would give no roll. See that the path is right, start the hook, or name its "
        "--state-directory, if that is another one"
    )


def _note(words: str) -> None:
    write_line(sys.stderr, words)


def _follow_line(id_: str, entry: VassalDocument) -> None:
    _say(f"{id_}: {entry['phase']}: {entry['reason']}")


def _status(given: argparse.Namespace) -> int:
    path = (given.state_directory or given.file.parent) / status_name(given.file.name)
    try:
        document = status_reader.read(path)
        code, first = headline(document)
        lines = status_reader.encode(document).splitlines() if given.json else _lines(document, first)
    except FileNotFoundError:
        words = f"there is no {path}: no hook has run for this trigger, or it has another state-directory"
        write_line(sys.stderr, words)
        return ExitCode.NO_HOOK
    except (OSError, status_reader.StatusError) as error:
        words = str(error.strerror if isinstance(error, OSError) else error)
        write_line(sys.stderr, f"{path} cannot be read: {words}")
        return ExitCode.USAGE
    for line in lines:
        _say(line)
    if code and given.json:
        _note(first)
    return code


def _lines(document: StatusDocument, first: str) -> list[str]:
    roll, lines = document["roll"], [first]
    if roll is None:
        void = "; the last touch came before the first start of a hook, so it is void: touch again"
        return [*lines, f"no roll yet{void if 'void_mtime_ns' in document else ''}"]
    lines.append(f"roll {roll['id']}: {roll['result'] or 'under way'} {_cut(roll['reason'])}".rstrip())
    width = min(WIDTH, max(map(len, roll["vassals"]), default=0))
    rows = [(id_, f"{one['phase']:10}  {_cut(one['reason'])}") for id_, one in roll["vassals"].items()]
    rows += [(id_, f"left alone: {_cut(why)}") for id_, why in roll["left_alone"].items()]
    return [*lines, *(f"  {_cut(id_):{width}}  {words}" for id_, words in rows)]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
