"""The edge's own corners: what it says to operators, and what servers may do to it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import Client, EnvironBuilder, run_wsgi_app

from ortto_capture import (
    BackendError,
    Capture,
    CaptureApp,
    CaptureError,
    ConfigurationError,
    Definition,
    InvalidAttributes,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.testing import FakeClock

SECRET = "an example secret of more than 32 bytes"
LOGIN = "act:cm:login"


@pytest.fixture
def app() -> CaptureApp:
    backends = open_backends("memory:")
    backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    settings = Settings(secret_keys=[SECRET])
    return CaptureApp(Capture(backends=backends, settings=settings, clock=FakeClock()))


def environ(
    body: bytes, route: str = "track", more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A request as a server hands it over."""
    made = EnvironBuilder(f"/-/events/{route}", method="POST", input_stream=io.BytesIO(body))
    known = {"CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "192.0.2.9"}
    return {**made.get_environ(), **known, **(more or {})}


def ask(app: CaptureApp, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body, status, _ = run_wsgi_app(app, request)
    return status, json.loads(b"".join(body))


IDENTIFY = b'{"email":"user@emaildomain.com"}'


@pytest.mark.parametrize("at", ["", "/", "capture", "/capture/", "/a//b", "/a b", "/a?b", "/ü"])
def test_a_mount_that_is_no_path_is_refused(app: CaptureApp, at: str) -> None:
    with pytest.raises(ConfigurationError, match="at"):
        mount(app, app, at=at)


class Dribble(io.BytesIO):
    """A stream that hands over a few bytes at a time, as sockets may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 7, 7))


def test_a_body_in_many_pieces_is_read_whole(app: CaptureApp) -> None:
    status, answer = ask(app, environ(IDENTIFY, more={"wsgi.input": Dribble(IDENTIFY)}))

    assert (status, answer["identified"]) == ("200 OK", True)


class Dead(io.RawIOBase):
    """A stream whose client is gone."""

    def read(self, size: int = -1) -> bytes:
        raise TimeoutError("the socket's")


def test_a_stream_that_fails_is_an_incomplete_body(app: CaptureApp) -> None:
    status, answer = ask(app, environ(IDENTIFY, more={"wsgi.input": Dead()}))

    assert (status, answer["error"]["code"]) == ("400 Bad Request", "incomplete")


def test_several_processes_on_memory_are_warned_of_once(
    app: CaptureApp, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        ask(app, environ(IDENTIFY, more={"wsgi.multiprocess": True}))

    [record] = caplog.records
    assert "each process counts and remembers alone" in record.getMessage()


def test_one_process_on_memory_is_not(app: CaptureApp, caplog: pytest.LogCaptureFixture) -> None:
    ask(app, environ(IDENTIFY, more={"wsgi.multiprocess": False}))

    assert caplog.records == []


def test_a_fault_of_ours_is_one_line_without_what_the_visitor_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def lost(environ: Any) -> str:
        raise LookupError("user@emaildomain.com has no address")

    backends = open_backends("memory:")
    capture = Capture(backends=backends, settings=Settings(secret_keys=[SECRET]))
    status, answer = ask(CaptureApp(capture, client_ip=lost), environ(IDENTIFY))

    assert status == "500 Internal Server Error"
    assert answer == {"error": {"code": "internal", "message": "internal error"}}
    [record] = caplog.records
    assert "LookupError" in record.getMessage()
    assert "user@" not in caplog.text


def test_the_address_is_what_client_ip_returns() -> None:
    backends = open_backends("memory:")
    settings = Settings(secret_keys=[SECRET], new_people_limit="1/hour")
    capture = Capture(backends=backends, settings=settings, clock=FakeClock())
    addresses: Iterator[str | None] = iter(["192.0.2.1", "192.0.2.2", None, None])
    app = CaptureApp(capture, client_ip=lambda environ: next(addresses))

    statuses = [
        ask(app, environ(b'{"email":"user%d@emaildomain.com"}' % number))[0][:3]
        for number in range(4)
    ]

    assert statuses == ["200", "200", "200", "429"], "nobody's address is one bucket for all"


def test_a_backend_that_is_away_is_503_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def get(self, activity_id: str) -> None:
            raise BackendError("the database is away") from ConnectionRefusedError()

        def all(self) -> list[Definition]:
            return []

    backends = open_backends("memory:")
    backends.definitions = Away()  # type: ignore[assignment]
    app = CaptureApp(Capture(backends=backends, settings=Settings(secret_keys=[SECRET])))
    status, answer = ask(app, environ(b'{"activity_id":"act:cm:login"}', "activity"))

    assert (status, answer["error"]["code"]) == ("503 Service Unavailable", "unavailable")
    [record] = caplog.records
    assert "ConnectionRefusedError" in record.getMessage()


def test_the_console_is_below_the_mount(app: CaptureApp) -> None:
    shown = CaptureApp(app.capture, console_guard=lambda environ: True)
    client = Client(mount(app, shown, at="/a/capture"))

    assert client.get("/a/capture/console").headers["Location"].endswith("/a/capture/console/")
    assert client.get("/a/capture/console/").status_code == 200
    assert client.get("/a/capture/consoles").status_code == 404


def test_a_refusal_reads_well_in_a_traceback() -> None:
    refused = InvalidAttributes("wrong-value", field="int:cm:a", expected="a whole number")

    assert str(refused) == (
        "bad-attribute: an attribute does not fit the definition; reason: wrong-value; "
        "field: int:cm:a; expected: a whole number"
    )
    assert str(InvalidAttributes()) == "bad-attribute: an attribute does not fit the definition"
    assert isinstance(refused, CaptureError)
