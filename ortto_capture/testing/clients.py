"""The test clients of frameworks, each asked in its own way for the same three things.

The law of this file: clients are told apart by what they can do, and no framework is imported
that the client is not of.
"""

from __future__ import annotations

from http.cookies import SimpleCookie
from importlib import import_module
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

#: Where the browser client keeps the session.
COOKIE = "ap3c"
#: What the browser client sends: no preflight is needed for it.
_TEXT = "text/plain;charset=UTF-8"


def set_session(client: Any, token: str) -> None:
    """Give a client the session cookie, as the browser client does.

    :raises TypeError: when this is no client that is known.
    """
    kind = _kind(client)
    if kind == "django":
        client.cookies[COOKIE] = token
    elif kind == "httpx":
        client.cookies.set(COOKIE, token)
    else:
        client.set_cookie(COOKIE, token, domain=_host(client))


def session_of(client: Any) -> str | None:
    """The token in a client's session cookie."""
    kind = _kind(client)
    if kind == "werkzeug":
        cookie = client.get_cookie(COOKIE, domain=_host(client))
    else:
        cookie = client.cookies.get(COOKIE)
    # Those of httpx are text.
    token: str | None = getattr(cookie, "value", cookie)
    return token


def post(client: Any, path: str, body: str) -> int:
    """Send ``body`` as a script of the app's own page does, and return the status.

    :raises TypeError: when the client is none that is known, or one for coroutines.
    """
    kind = _kind(client)
    if iscoroutinefunction(client.post):
        raise TypeError(f"{type(client).__name__} is one for coroutines; give a synchronous one")
    headers = {"Sec-Fetch-Site": "same-origin"}
    if kind == "httpx":
        headers["Content-Type"] = _TEXT
        answer = client.post(path, content=body, headers=headers)
    else:
        answer = client.post(path, data=body, content_type=_TEXT, headers=headers)
    return int(answer.status_code)


def get(client: Any, path: str) -> tuple[int, str]:
    """Return status and text of what is at ``path``.

    Django's client does not serve static files: these are taken from where Django finds them.
    """
    answer = client.get(path)
    if answer.status_code == 404 and _kind(client) == "django":
        found = _static_file(urlsplit(path).path)
        if found is not None:
            return 200, found
    return int(answer.status_code), text_of(answer)


def _static_file(path: str) -> str | None:
    """The text of a static file of the Django project that the tests run in."""
    apps = import_module("django.apps").apps
    base = urlsplit(import_module("django.conf").settings.STATIC_URL or "").path
    if not (base and path.startswith(base) and apps.is_installed("django.contrib.staticfiles")):
        return None
    finders = import_module("django.contrib.staticfiles.finders")
    found = finders.find(unquote(path.removeprefix(base)))
    return Path(found).read_text("utf-8") if found and Path(found).is_file() else None


def text_of(response: Any) -> str:
    """The text of a response, of a browser's page, or itself.

    :raises TypeError: when there is no text in it.
    """
    if isinstance(response, str):
        return response
    text = getattr(response, "text", None)
    if isinstance(text, str):
        return text
    content = getattr(response, "content", None)
    content = content() if callable(content) else content
    if content is None and hasattr(response, "getvalue"):  # Django's streaming response
        content = response.getvalue()
    if isinstance(content, bytes):
        return content.decode(getattr(response, "charset", None) or "utf-8")
    if isinstance(content, str):
        return content
    raise TypeError(f"{type(response).__name__} is no response with a text; give one, or HTML")


def url_of(response: Any) -> str:
    """The address that a response is the answer for, ``/`` when it does not tell."""
    request = getattr(response, "request", None)
    if isinstance(request, dict):  # Django
        asked = getattr(response, "wsgi_request", None) or getattr(response, "asgi_request", None)
        meta = getattr(asked, "META", {})
        host = meta.get("HTTP_HOST") or meta.get("SERVER_NAME", "")
        return f"//{host}{request.get('PATH_INFO', '/')}"
    # A browser's page has an address of its own.
    return str(getattr(request, "url", None) or getattr(response, "url", None) or "/")


def _kind(client: Any) -> Literal["django", "httpx", "werkzeug"]:
    """Which of three families a client belongs to; Starlette's is httpx, Flask's is werkzeug."""
    if callable(getattr(client, "post", None)):
        cookies = getattr(client, "cookies", None)
        if isinstance(cookies, SimpleCookie):
            return "django"
        if cookies is not None and hasattr(cookies, "jar"):
            return "httpx"
        if hasattr(client, "set_cookie") and hasattr(client, "get_cookie"):
            return "werkzeug"
    raise TypeError(
        f"{type(client).__name__} is no test client that is known: give one of Flask, werkzeug, "
        "Django, Starlette, FastAPI or httpx"
    )


def _host(client: Any) -> str:
    """The host of a werkzeug client's requests: others get no cookie of ``localhost``."""
    config = getattr(getattr(client, "application", None), "config", {})
    return str(config.get("SERVER_NAME") or "localhost").partition(":")[0]
