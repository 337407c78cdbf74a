"""Three host apps, and a WSGI client that hides nothing.

The law of this file: the hosts are what people have, a plain callable, Flask and Django with its
CSRF check on, all with the same few pages; the client speaks WSGI under ``wsgiref.validate`` and
hands back every byte.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import flask

from .django_project import configure

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PAGE = b"<h1>The host's own page</h1>"


@dataclass(frozen=True)
class Reply:
    """One answer: ``headers`` in their order, ``errors`` what went to ``wsgi.errors``."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    errors: str

    def header(self, name: str) -> str | None:
        """The only header of this name."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} was sent {len(found)} times"
        return found[0] if found else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def environ_for(
    method: str,
    path: str,
    *,
    body: bytes = b"",
    headers: Mapping[str, str | None] | None = None,
    stream: Any = None,
    **extra: Any,
) -> WSGIEnvironment:
    """What a server would hand over. A header of None is left out, ``Content-Length`` too.

    :param stream: stands for the body, when reading it should not just work.
    :param extra: further entries, a ``__`` standing for the full stop.
    """
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "HTTP_HOST": "shop.example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": stream or io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
        key = name.upper().replace("-", "_")
        if value is not None:
            environ[key if key in ("CONTENT_LENGTH", "CONTENT_TYPE") else f"HTTP_{key}"] = value
    environ.update({name.replace("__", "."): value for name, value in extra.items()})
    return environ


def call(app: WSGIApplication, environ: WSGIEnvironment, *, validate: bool = True) -> Reply:
    """One request, driven as PEP 3333 wants it: iterate to the end, then close.

    :param validate: off only where the request itself is one that no valid server would hand over.
    """
    errors = environ["wsgi.errors"]
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        assert not started or exc_info
        started[:] = [(status, headers)]
        return written.append

    result = (validator(app) if validate else app)(environ, start_response)
    try:
        written.extend(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    ((status, headers),) = started
    return Reply(int(status[:3]), tuple(headers), b"".join(written), errors.getvalue())


def ask(app: WSGIApplication, method: str, path: str, **request: Any) -> Reply:
    """``call`` with the environ that ``environ_for`` makes of the rest."""
    return call(app, environ_for(method, path, **request))


def bare_host() -> WSGIApplication:
    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        if environ["PATH_INFO"] == "/echo":
            start_response("200 OK", [("Content-Type", "application/octet-stream")])
            return [environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))]
        if environ["PATH_INFO"] == "/":
            start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
            return [PAGE]
        start_response("404 NOT FOUND", [("Content-Type", "text/plain")])
        return [b"the host has no such page"]

    return host


@cache
def flask_host() -> WSGIApplication:
    app = flask.Flask("host")

    @app.get("/")
    def page() -> flask.Response:
        response = flask.Response(PAGE)
        response.set_cookie("visits", "1")
        return response

    @app.post("/echo")
    def echo() -> bytes:
        return flask.request.get_data()

    @app.get("/stream")
    def stream() -> flask.Response:
        def lines() -> Iterator[bytes]:
            yield from (b"one\n", b"two\n")

        return flask.Response(lines())

    return app


@cache
def django_host() -> WSGIApplication:
    configure()
    from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

    class Request(WSGIRequest):  # type: ignore[misc]  # Django has no types
        # Another test may have chosen other pages; these are ours.
        urlconf = __name__

    handler = WSGIHandler()
    handler.request_class = Request
    host: WSGIApplication = handler
    return host


def __getattr__(name: str) -> Any:
    """``urlpatterns``, made when Django asks: importing this file must not need its settings."""
    if name != "urlpatterns":
        raise AttributeError(name)
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    def page(request: HttpRequest) -> HttpResponse:
        return HttpResponse(PAGE)

    @csrf_exempt  # type: ignore[untyped-decorator]  # Django has no types
    def echo(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.body)

    def stream(request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(iter([b"one\n", b"two\n"]))

    return [path("", page), path("echo", echo), path("stream", stream)]


HOSTS: dict[str, Callable[[], WSGIApplication]] = {
    "bare": bare_host,
    "flask": flask_host,
    "django": django_host,
}
