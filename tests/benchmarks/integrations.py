"""What the integrations cost on the accepted path, beside the mount that each of them is made of.

All of it is measured in one process of its own, because Django is configured once a process, and in
time of the processor: what hands requests between threads would mostly show who else is busy.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import cycle
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TYPE_CHECKING, Any, TypeVar

from .measure import Figure, ratio
from .programs import SECRET, bare, body, call, environ, ours

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Message, Scope

    from ortto_capture import Capture, Identity
    from ortto_capture.model import Assurance

T = TypeVar("T")

#: Fewer than the 100 new ones an hour that one address may bring.
PEOPLE = 50
AT = "/capture"
ACTIVITY = f"{AT}/-/events/activity"
#: What a browser says for a page of the site, and the cookie of another login: one has to look.
OWN = {
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "HTTP_COOKIE": "session=eyJ1c2VyIjoiam9AZXhhbXBsZS5jb20ifQ.aGVsbG8.d29ybGQ",
}

Program = Callable[[int], float]


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    command = [sys.executable, "-m", __name__, str(scale)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    for figure in json.loads(done.stdout):
        yield Figure(*figure)


def measured(scale: float) -> Iterator[Figure]:
    """The same, in this process."""
    n, rounds = max(5, int(200 * scale)), max(3, int(60 * scale))
    # The bridge takes a server for one of several processes, and memory is warned about then.
    logging.disable(logging.WARNING)
    with TemporaryDirectory() as folder:
        programs = {
            "mount": mounted(),
            "FlaskCapture": flask_extension(),
            "FlaskCapture, signed in": flask_extension(asks=True, assurance="verified"),
            "FlaskCapture that asks who it is": flask_extension(asks=True),
            "Django outside": django_outside(folder),
            "Django through its URL conf": django_urls(),
            "a2wsgi": bridge(),
            "CaptureASGI": asgi(),
            "CaptureASGI, signed in": asgi(asks=True, assurance="verified"),
            "CaptureASGI that asks who it is": asgi(asks=True),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                times[name].append(program(n))
    limits = {name: 1.05 for name in programs if "asks" not in name and "URL conf" not in name}
    base = ""
    for name in programs:
        if name in ("mount", "a2wsgi"):
            base = name
            yield Figure(f"bare {base}, accepted", median(times[base]), unit="µs")
        else:
            share = ratio(times[name], times[base])
            yield Figure(f"{name} / bare {base}", share, limits.get(name))


# -- WSGI


def wsgi(app: WSGIApplication, capture: Capture, assurance: Assurance = "claimed") -> Program:
    """A program that answers so many activities, and says what one of them cost."""
    turn = cycle(sessions(capture, assurance))

    def requests(n: int) -> Iterator[WSGIEnvironment]:
        for _ in range(n):
            yield environ(body(next(turn)), PATH_INFO=ACTIVITY, **OWN)

    assert call(app, next(requests(1))) == (200, b'{"ok":true}')

    def answered(waiting: list[WSGIEnvironment]) -> None:
        for each in waiting:
            app(each, lambda status, headers, exc_info=None: bytes)

    return lambda n: cost(answered, list(requests(n)))


def cost(answered: Callable[[list[T]], object], waiting: list[T]) -> float:
    """The microseconds of processor time that one request takes, on whatever thread."""
    gc.collect()
    start = process_time()
    answered(waiting)
    return (process_time() - start) / len(waiting) * 1e6


def sessions(capture: Capture, assurance: Assurance) -> list[str | None]:
    """The sessions of some people."""
    found = []
    for number in range(PEOPLE):
        email = f"user{number}@emaildomain.com"
        identity = capture.sign_identity(email) if assurance == "verified" else None
        found.append(capture.identify(email=email, identity=identity).session)
    return found


def mounted() -> Program:
    """What every WSGI host can do, without an integration."""
    from ortto_capture import mount

    app, capture = ours()
    return wsgi(mount(bare, app, at=AT), capture)


def flask_extension(*, asks: bool = False, assurance: Assurance = "claimed") -> Program:
    """``FlaskCapture``, in an app that says who is signed in or without a login."""
    from flask import Flask, session

    from ortto_capture import Identity
    from ortto_capture.contrib.flask import FlaskCapture

    app = Flask(__name__)
    app.secret_key = SECRET
    app.config["ORTTO_CAPTURE"] = {"data": "memory:", "secret_keys": [SECRET]}
    extension = FlaskCapture(app)
    if asks:

        @extension.identity
        def who() -> Identity | None:
            return Identity(session["email"]) if "email" in session else None

    capture = ours()[1]
    app.extensions["ortto_capture"].capture = capture
    return wsgi(app, capture, assurance)


def django_outside(folder: str) -> Program:
    """Django as it is served, within the mount; this configures it."""
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import include, path

    from ortto_capture import mount

    settings.configure(
        ALLOWED_HOSTS=["*"],
        BASE_DIR=folder,
        INSTALLED_APPS=["ortto_capture.contrib.django"],
        # What startproject writes down, but for what needs a database.
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ],
        ORTTO_CAPTURE={"DATA": "memory:", "SECRET_KEYS": [SECRET]},
        ROOT_URLCONF=(path("capture/", include("ortto_capture.contrib.django.urls")),),
        SECRET_KEY=SECRET,
    )
    django.setup()
    app, capture = ours()
    return wsgi(mount(get_wsgi_application(), app, at=AT), capture)


def django_urls() -> Program:
    """Through Django's middleware and URL conf."""
    from django.core.wsgi import get_wsgi_application

    from ortto_capture.contrib.django import capture_app

    capture = ours()[1]
    capture_app().capture = capture
    return wsgi(get_wsgi_application(), capture)


# -- ASGI


def through(app: ASGIApp, capture: Capture, assurance: Assurance = "claimed") -> Program:
    """The same over messages, in a loop that stays."""
    loop = asyncio.new_event_loop()
    turn = cycle(sessions(capture, assurance))

    def request() -> tuple[Scope, bytes]:
        payload = body(next(turn))
        given = environ(payload, **OWN)
        headers = [
            (name[5:].replace("_", "-").lower().encode(), str(value).encode())
            for name, value in given.items()
            if name.startswith("HTTP_")
        ]
        headers += [
            (b"content-type", b"text/plain;charset=UTF-8"),
            (b"content-length", str(len(payload)).encode()),
        ]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "scheme": "https",
            "path": ACTIVITY,
            "root_path": AT,
            "query_string": b"",
            "headers": headers,
            "client": ("203.0.113.7", 50_000),
            "server": ("shop.example", 443),
            "session": {},
        }
        return scope, payload

    async def answered(requests: list[tuple[Scope, bytes]]) -> None:
        for scope, payload in requests:
            statuses: list[int] = []

            async def receive(payload: bytes = payload) -> Message:
                return {"type": "http.request", "body": payload, "more_body": False}

            async def send(message: Message, statuses: list[int] = statuses) -> None:
                statuses.append(message.get("status", 0))

            await app(scope, receive, send)
            assert statuses[0] == 200, statuses

    return lambda n: cost(
        lambda waiting: loop.run_until_complete(answered(waiting)), [request() for _ in range(n)]
    )


def bridge() -> Program:
    """What every ASGI host can do, without an integration."""
    from a2wsgi import WSGIMiddleware

    app, capture = ours()
    within: Any = app  # the bridge's types of WSGI are its own
    between: Any = WSGIMiddleware(within)
    return through(between, capture)


def asgi(*, asks: bool = False, assurance: Assurance = "claimed") -> Program:
    """``CaptureASGI``, in an app that says who is signed in or without a login."""
    from starlette.requests import Request

    from ortto_capture import Identity
    from ortto_capture.contrib.asgi import CaptureASGI

    def who(request: Request) -> Identity | None:
        return Identity(request.session["email"]) if "email" in request.session else None

    capture = ours()[1]
    return through(CaptureASGI(capture, identity=who if asks else None), capture, assurance)


if __name__ == "__main__":
    json.dump(list(measured(float(sys.argv[1]))), sys.stdout)
