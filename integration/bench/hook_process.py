"""The hook in a process of its own without uWSGI, beside a stand-in: all of it but the mule."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from uwsgi_reload_hook.controller import Inbox
from uwsgi_reload_hook.homes.daemon import serve
from uwsgi_reload_hook.settings import Settings, parse
from uwsgi_reload_hook.site.discovery import Home


def settings(directory: Path) -> Settings:
    """How the hook is told of a stand-in in `directory`."""
    given = {
        "trigger": f"{directory}/trigger",
        "emperor-stats-socket": f"{directory}/emperor.stats",
        "fastrouter-stats-socket": f"{directory}/router.stats",
        "subscription-server": f"{directory}/subscription.sock",
        "minimum-active-vassals": "50%",
        "canary": "0",
    }
    return parse({name: [value] for name, value in given.items()})


def home(emperor: int) -> Home:
    return Home("shell", emperor_pid=emperor)


def main() -> None:
    inbox = Inbox()
    signal.signal(signal.SIGTERM, lambda *_: inbox.stop())
    serve(settings(Path(sys.argv[1])), home(int(sys.argv[2])), inbox)


if __name__ == "__main__":
    main()
