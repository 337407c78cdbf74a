"""The programs that are compared, and the requests they are given.

The law of this file: every program reads the same 430-byte body and answers 200 JSON; what does
"the same job" also knows the capture key, identifies the person by a signed token, checks seven
attributes, counts the two limits and keeps the activity.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from itertools import count
from time import time
from typing import TYPE_CHECKING, Any

from ortto_capture import Attribute, Capture, CaptureApp, Definition, Settings, Source
from ortto_capture.backends.memory import MemoryBackends, MemoryPeople
from ortto_capture.limiting import FixedWindows
from ortto_capture.ports import Backends

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"
KEY = "YdOVzkqoVlq0G5Pscm9iZXJ0"
ORIGIN = "https://shop.example"
PURCHASE = Definition(
    "act:cm:purchase",
    "Purchase",
    client_side=True,
    attributes=[
        Attribute("str::email"),
        Attribute("str:cm:plan"),
        Attribute("bol:cm:account-owner"),
        Attribute("str:cm:browser"),
        Attribute("int:cm:amount"),
        Attribute("str:cm:currency"),
        Attribute("bol:cm:trial"),
    ],
)
OFF = Definition("act:cm:off", "Off", client_side=False)
FULL = Definition("act:cm:full", "Full", client_side=True, limits={"person": "1/day"})
ATTRIBUTES = {
    "str::email": "john@example.com",
    "str:cm:plan": "$100 plan",
    "bol:cm:account-owner": True,
    "str:cm:browser": "Google Chrome",
    "int:cm:amount": 15300,
    "str:cm:currency": "AUD",
    "bol:cm:trial": False,
}
_events = count()


def dumps(value: Any) -> bytes:
    """As a browser writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def event_id() -> str:
    """A fresh one, of a UUID's length."""
    return f"3f0c2a0e-7d7f-4e0b-9b53-{next(_events):012x}"


def body(session: str | None, **members: Any) -> bytes:
    """An activity as ``app.js`` sends it."""
    envelope = {"key": KEY, "session": session, "event_id": event_id(), "age": 0}
    return dumps({**envelope, "activity_id": PURCHASE.id, "attributes": ATTRIBUTES, **members})


def environ(body: bytes, ip: str = "203.0.113.7", **more: Any) -> WSGIEnvironment:
    """What a server hands over, about as many members as gunicorn's."""
    return {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/-/events/activity",
        "QUERY_STRING": "",
        "RAW_URI": "/-/events/activity",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "bench",
        "REMOTE_ADDR": ip,
        "REMOTE_PORT": "50000",
        "CONTENT_TYPE": "text/plain;charset=UTF-8",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "shop.example",
        "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
        "HTTP_ACCEPT": "*/*",
        "HTTP_ACCEPT_ENCODING": "gzip, deflate, br",
        "HTTP_ORIGIN": ORIGIN,
        "HTTP_REFERER": f"{ORIGIN}/plans",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.errors": io.StringIO(),
        "wsgi.input": io.BytesIO(body),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **more,
    }


def ip_of(number: int) -> str:
    """An address of its own for each of 10,000 visitors."""
    return f"198.{18 + number // 65_536}.{number // 256 % 256}.{number % 256}"


def bare(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The limit: read, parse, answer."""
    json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    answer = b'{"ok":true}'
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(answer)))]
    )
    return [answer]


def ours(
    clock: Callable[[], float] = time, people: int = 2_000_000, backends: Backends | None = None
) -> tuple[CaptureApp, Capture]:
    """This library with limits that no visitor reaches, on the memory backend if on no other."""
    if backends is None:
        backends = MemoryBackends(
            people=MemoryPeople(capacity=people), limiter=FixedWindows(capacity=10_000_000)
        )
    for definition in (PURCHASE, OFF, FULL):
        backends.definitions.put(definition)
    settings = Settings(
        secret_keys=[SECRET],
        sources={KEY: Source("Shop", origins=[ORIGIN])},
        person_limit="1000000/day",
        ip_limit="1000000/hour",
    )
    capture = Capture(backends=backends, settings=settings, clock=clock)
    return CaptureApp(capture), capture


def written_schema() -> dict[str, Any]:
    """What somebody would write by hand for the seven attributes."""
    text = {"type": "string", "maxLength": 255}
    kinds = {"str": text, "bol": {"type": "boolean"}, "int": {"type": "integer"}}
    return {
        "type": "object",
        "properties": {each.key: kinds[each.type] for each in PURCHASE.attributes},
        "additionalProperties": False,
        "maxProperties": 15,
    }


def flask_peer() -> WSGIApplication:
    """The same job as a user of the well-known packages would write it."""
    from flask import Flask, g, jsonify, request
    from flask_limiter import Limiter
    from itsdangerous import BadSignature, URLSafeTimedSerializer
    from jsonschema import Draft202012Validator

    app = Flask(__name__)
    sessions = URLSafeTimedSerializer(SECRET)
    people: dict[str, str] = {}
    seen: set[tuple[str, str, str]] = set()
    journal: list[dict[str, Any]] = []
    schemas = {PURCHASE.id: Draft202012Validator(written_schema())}
    limiter = Limiter(
        lambda: str(request.remote_addr), app=app, storage_uri="memory://", strategy="fixed-window"
    )

    @app.before_request
    def identify() -> Any:
        g.activity = request.get_json(force=True)
        if g.activity["key"] != KEY:
            return jsonify(error="unknown key"), 401
        if request.path == "/-/events/track":
            return None
        if g.activity["activity_id"] not in schemas:
            return jsonify(error="not found"), 404
        try:
            g.person = sessions.loads(g.activity["session"], max_age=365 * 86_400)
        except BadSignature:
            return jsonify(error="bad session"), 401
        if g.person not in people:
            return jsonify(error="not identified"), 400
        return None

    @app.post("/-/events/track")
    def track() -> Any:
        address = g.activity["email"].strip().lower()
        people[address] = address
        return jsonify(session=sessions.dumps(address), identified=True)

    @app.post("/-/events/activity")
    @limiter.limit("1000000/day", key_func=lambda: f"{g.activity['activity_id']}:{g.person}")
    @limiter.limit(
        "1000000/hour", key_func=lambda: f"{g.activity['activity_id']}:{request.remote_addr}"
    )
    def record() -> Any:
        activity = g.activity
        if not schemas[activity["activity_id"]].is_valid(activity["attributes"]):
            return jsonify(error="bad attribute"), 400
        event = (g.person, activity["activity_id"], activity["event_id"])
        if event not in seen:
            seen.add(event)
            journal.append({"at": time(), "person": g.person, "activity": activity})
        return jsonify(ok=True)

    app.extensions["journal"] = journal
    return app


def call(app: WSGIApplication, environ: WSGIEnvironment) -> tuple[int, bytes]:
    """One request, in this process."""
    status: list[int] = []

    def start_response(line: str, headers: Any, exc_info: Any = None) -> Any:
        status.append(int(line[:3]))

    answer = b"".join(app(environ, start_response))
    return status[0], answer


def session_of(app: WSGIApplication, email: str, ip: str = "203.0.113.7") -> str:
    """Identify somebody over the program's own route."""
    asked = environ(dumps({"key": KEY, "email": email}), ip, PATH_INFO="/-/events/track")
    status, answer = call(app, asked)
    assert status == 200, answer
    token: str = json.loads(answer)["session"]
    return token
