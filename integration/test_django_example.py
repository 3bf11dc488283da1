"""The wsgi.py of examples/ with a real Django project, edited as its comment says."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from integration.example_site import EXAMPLES, ExampleSite
from integration.waiting import eventually
from uwsgi_reload_hook.demo.client import Client

if TYPE_CHECKING:
    from pathlib import Path

URLS = """\
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("django"))]
"""


def for_django(example: str) -> str:
    """The example with its stand-in deleted, and the lines of the comment that follows it in place."""
    text, deleted = re.subn(
        r"^def get_wsgi_application.*?^    return lazy\n", "", example, flags=re.DOTALL | re.MULTILINE
    )
    text, uncommented = re.subn(
        r"^# (import os|from django.*|os\.environ.*)  # noqa.*$", r"\1", text, flags=re.MULTILINE
    )
    assert deleted == 1
    assert uncommented > 0
    return text


def start_project(directory: Path) -> None:
    """Makes the project `mysite` with one view, as a deploy puts it beside the application's wsgi.py."""
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", directory], check=True)
    settings = directory / "mysite/settings.py"
    settings.write_text(settings.read_text().replace("ALLOWED_HOSTS = []", "ALLOWED_HOSTS = ['*']"))
    (directory / "mysite/urls.py").write_text(URLS)


def test_a_django_project_starts_with_the_lines_of_the_comment() -> None:
    with ExampleSite(vassals=2) as site:
        directory = site.directory / "srv/site"
        start_project(directory)
        (directory / "wsgi.py").write_text(for_django((EXAMPLES / "wsgi.py").read_text()))
        client = Client(site.port)
        client.start()
        try:
            status = site.roll_now()
            assert status["roll"]["result"] == "done", status["roll"]["reason"]
            client.forget()
            eventually(lambda: client.bodies, "an answer after the roll")
            (directory / "mysite/urls.py").write_text("import nothing_of_that_name\n")
            held = site.roll_now()
            assert (held["roll"]["result"], len(site.workers())) == ("failed", 2)
        finally:
            client.stop()
    assert client.failures == []
    assert client.bodies == {"django"}
