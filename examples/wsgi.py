"""A wsgi.py that warms its application before the vassal accepts requests.

A framework such as Django loads views and URLs with the first request, which is slow and the first to meet broken code.
So that request is made here, while the vassal loads. If it is answered with a 5xx, this raises, `need-app` ends the
vassal, and the reload hook stops the roll: no user's request has met the broken code.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Application = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]

WARM_PATH = "/"
WARM_HOST = "app.example"  # one of Django's ALLOWED_HOSTS


def get_wsgi_application() -> Application:
    """Stand in for a framework: nothing is loaded until the first request, and an error is answered with a 500."""
    version: list[str] = []

    def lazy(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        try:
            version[:] = version or [Path(__file__).with_name("version.txt").read_text(encoding="utf-8").strip()]
        except OSError as error:
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")])
            return [f"{error}\n".encode()]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{version[0]}\n".encode()]

    return lazy


# For Django, delete the function above and take these lines in its place; `mysite` is the package of settings.py:
# import os  # noqa: ERA001
# from django.core.wsgi import get_wsgi_application  # noqa: ERA001
# os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"  # noqa: ERA001


def warm(application: Application) -> Application:
    """Make one request to the application; raise if it is answered with a 5xx."""
    # Over https, or a site that redirects to it would warm nothing but the redirect.
    environ: dict[str, Any] = {"PATH_INFO": WARM_PATH, "HTTP_HOST": WARM_HOST, "HTTPS": "on"}
    setup_testing_defaults(environ)
    statuses: list[str] = []
    answer = application(environ, lambda status, _headers, _exc_info=None: statuses.append(status))
    try:
        body = b"".join(answer)
    finally:
        getattr(answer, "close", lambda: None)()
    if statuses[-1].startswith("5"):
        text = body.decode(errors="replace").strip()
        raise RuntimeError(f"{WARM_PATH} is answered with {statuses[-1]} while warming: {text[:500]}")
    return application


application = warm(get_wsgi_application())
