"""Django's request to the capture app, and its answer back.

The law of this file: what Django puts around each view is kept away from these routes where it
would change an answer that the contract promises. That is the CSRF check, the login that is
required everywhere, a transaction around each view, the session that is saved with every request,
the cache of the whole site, the redirect to a language, and the log of requests that went wrong.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import DisallowedHost
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from ... import ConfigurationError
from .account import REQUEST, capture_app
from .place import URLS, not_fixed

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def _capture(request: HttpRequest, path: str, **more: object) -> HttpResponse:
    """Answer one request below the mount.

    :param more: what the host's own patterns found in the path above it.
    """
    if more:
        raise ConfigurationError("urls", not_fixed(", ".join(more)))
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
        started[:] = status, headers

    body = b"".join(capture_app()(_environ(request, path), start_response))
    status, headers = started
    response = HttpResponse(body, status=int(status[:3]), reason=status[4:])
    # Django gives every answer a type; ours are complete.
    del response.headers["Content-Type"]
    for name, value in headers:
        if name == "Set-Cookie":  # of what the console's guard answered, perhaps several
            response.cookies.load(value)
        else:
            response.headers[name] = value
    _keep_away(request, response)
    return response


def _environ(request: HttpRequest, path: str) -> WSGIEnvironment:
    """An environ for an app that is mounted where ``path`` begins.

    Under ASGI, Django makes only a part of one, and the body lies in a file already.
    """
    meta = request.META
    place = request.path[: len(request.path) - len(path)].rstrip("/")
    environ = {
        **meta,
        "SCRIPT_NAME": place.encode().decode("latin-1"),
        "PATH_INFO": f"/{path}".encode().decode("latin-1"),
        # As the host sees it, behind a proxy too: SECURE_PROXY_SSL_HEADER.
        "wsgi.url_scheme": request.scheme,
        REQUEST: request,
    }
    if settings.USE_X_FORWARDED_HOST:
        with suppress(DisallowedHost):
            environ["HTTP_HOST"] = request.get_host()
    if "wsgi.input" not in meta:
        # Whether there are more processes, Django cannot know here, and says there are.
        environ |= {
            "wsgi.input": request,
            "wsgi.input_terminated": True,
            "wsgi.multiprocess": False,
        }
    elif meta.get("CONTENT_LENGTH") or not meta.get("wsgi.input_terminated"):
        # A middleware may have read the body; the request has it still, and the server has not. Of
        # a body without a length, Django reads nothing.
        environ["wsgi.input"] = request
    return environ


def _keep_away(request: HttpRequest, response: HttpResponse) -> None:
    """Keep what the middleware would still do from this answer."""
    session = getattr(request, "session", None)
    if isinstance(session, SessionBase) and not session.modified:
        # SessionMiddleware passes by a session without this, until it is read again. To save one
        # that nothing has changed (SESSION_SAVE_EVERY_REQUEST) would write over what a page stored
        # meanwhile; and an answer of a capture route sets no cookie.
        del session.accessed
    # The first releases of Django 5.2 keep what says no-store in the cache of the whole site: the
    # identity of a user, and what staff sees.
    request._cache_update_cache = False  # noqa: SLF001  # the only way; see FetchFromCacheMiddleware
    # What was refused is in the console, and faults are in our own log: Django would write a
    # line for each, and a mail to ADMINS for each 503.
    response._has_been_logged = True  # noqa: SLF001  # the only way; see log_response
    if response.status_code == 404:
        # LocaleMiddleware redirects a 404 to the same path below a language, when the URL conf has
        # such a path. Below this one it finds nothing.
        request.urlconf = URLS


capture = csrf_exempt(login_not_required(non_atomic_requests(_capture)))
