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
from dataclasses import replace
from itertools import cycle
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .measure import Figure, ratio
from .programs import PURCHASE, SECRET, bare, body, call, environ, ours

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from starlette.types import ASGIApp, Message, Scope

    from ortto_capture import Capture, Identity

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

SIGNED_IN = "user0@emaildomain.com"
#: What a visitor only claims is not enough for it: without a verified session, the host is asked.
PROVEN = replace(PURCHASE, id="act:cm:proven", needs="verified")

Program = Callable[[int], float]
Visitors = Literal["claimed", "verified", "asked"]


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
            "mount, signed in": mounted("verified"),
            "FlaskCapture, signed in": flask_extension("verified"),
            "FlaskCapture that asks": flask_extension("asked"),
            "Django outside": django_outside(folder),
            "Django's URL conf": django_urls(),
            "a2wsgi": bridge(),
            "CaptureASGI": asgi(),
            "a2wsgi, signed in": bridge("verified"),
            "CaptureASGI, signed in": asgi("verified"),
            "CaptureASGI that asks": asgi("asked"),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                times[name].append(program(n))
    for base in ("mount", "a2wsgi"):
        yield Figure(f"{base}, accepted", median(times[base]), unit="µs")
    for name, base, limit in (
        ("FlaskCapture", "mount", 1.05),
        ("FlaskCapture, signed in", "mount, signed in", 1.05),
        ("FlaskCapture that asks", "mount", None),
        ("Django outside", "mount", 1.05),
        ("Django's URL conf", "mount", None),
        ("CaptureASGI", "a2wsgi", 1.05),
        ("CaptureASGI, signed in", "a2wsgi, signed in", 1.05),
        ("CaptureASGI that asks", "a2wsgi", None),
    ):
        yield Figure(f"{name} / {base}", ratio(times[name], times[base]), limit)


# -- WSGI


def wsgi(app: WSGIApplication, capture: Capture, visitors: Visitors = "claimed") -> Program:
    """A program that answers so many activities, and says what one of them cost."""
    activities = bodies(capture, visitors)

    def requests(n: int) -> list[WSGIEnvironment]:
        return [environ(next(activities), PATH_INFO=ACTIVITY, **OWN) for _ in range(n)]

    def answered(waiting: list[WSGIEnvironment]) -> None:
        for each in waiting:
            app(each, lambda status, headers, exc_info=None: bytes)

    assert call(app, *requests(1)) == (200, b'{"ok":true}')
    return lambda n: cost(answered, requests(n))


def cost(answered: Callable[[list[T]], object], waiting: list[T]) -> float:
    """The microseconds of processor time that one request takes, on whatever thread."""
    gc.collect()
    # What a collection costs is decided by all that the other programs hold.
    gc.disable()
    try:
        start = process_time()
        answered(waiting)
        return (process_time() - start) / len(waiting) * 1e6
    finally:
        gc.enable()


def bodies(capture: Capture, visitors: Visitors) -> Iterator[bytes]:
    """Activities of some visitors in turn, without an end."""
    capture.backends.definitions.put(PROVEN)
    emails = [f"user{number}@emaildomain.com" for number in range(PEOPLE)]
    if visitors == "asked":
        emails, more = [SIGNED_IN], {"activity_id": PROVEN.id}
    else:
        more = {}
    sessions = []
    for email in emails:
        identity = capture.sign_identity(email) if visitors == "verified" else None
        sessions.append(capture.identify(email=email, identity=identity).session)
    return (body(session, **more) for session in cycle(sessions))


def mounted(visitors: Visitors = "claimed") -> Program:
    """What every WSGI host can do, without an integration."""
    from ortto_capture import mount

    app, capture = ours()
    return wsgi(mount(bare, app, at=AT), capture, visitors)


def flask_extension(visitors: Visitors = "claimed") -> Program:
    """``FlaskCapture``, in an app whose login is Flask's signed cookie."""
    from flask import Flask, session

    from ortto_capture import Identity
    from ortto_capture.contrib.flask import FlaskCapture

    app = Flask(__name__)
    app.secret_key = SECRET
    app.config["ORTTO_CAPTURE"] = {"data": "memory:", "secret_keys": [SECRET]}
    extension = FlaskCapture(app)

    @extension.identity
    def who() -> Identity:
        return Identity(session.get("email", SIGNED_IN))

    capture = ours()[1]
    app.extensions["ortto_capture"].capture = capture
    return wsgi(app, capture, visitors)


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


def through(app: ASGIApp, capture: Capture, visitors: Visitors = "claimed") -> Program:
    """The same over messages, in a loop that stays."""
    loop = asyncio.new_event_loop()
    activities = bodies(capture, visitors)

    def request() -> tuple[Scope, bytes]:
        payload = next(activities)
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


def bridge(visitors: Visitors = "claimed") -> Program:
    """What every ASGI host can do, without an integration."""
    from a2wsgi import WSGIMiddleware

    app, capture = ours()
    within: Any = app  # the bridge's types of WSGI are its own
    between: Any = WSGIMiddleware(within)
    return through(between, capture, visitors)


def asgi(visitors: Visitors = "claimed") -> Program:
    """``CaptureASGI``, in an app whose login is a session that a middleware has read."""
    from starlette.requests import Request

    from ortto_capture import Identity
    from ortto_capture.contrib.asgi import CaptureASGI

    def who(request: Request) -> Identity:
        return Identity(request.session.get("email", SIGNED_IN))

    capture = ours()[1]
    return through(CaptureASGI(capture, identity=who), capture, visitors)


if __name__ == "__main__":
    json.dump(list(measured(float(sys.argv[1]))), sys.stdout)
