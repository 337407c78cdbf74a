"""Bodies as real servers hand them over: whole ones are captured, all others refused and forgotten.

The law of this file: every byte on the wire is ours, over plain sockets; what was stored is asked
of the server itself, by a page of the host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, get_args

import pytest

from ortto_capture import Capture, CaptureApp, Definition, Settings, mount, open_backends

from .services import Kind, raw_request, run_server, serve

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

CAP = 65_536


@cache
def capturing() -> WSGIApplication:
    backends = open_backends("memory:")
    editor: Any = backends.definitions
    editor.put(Definition("act:cm:login", name="Logged in", client_side=True))
    settings = Settings(
        secret_keys=["an example secret of more than 32 bytes"], person_limit="1000/day"
    )

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        rows = json.dumps(len(backends.journal.latest(10_000))).encode()
        length = ("Content-Length", str(len(rows)))
        start_response("200 OK", [("Content-Type", "application/json"), length])
        return [rows]

    return mount(host, CaptureApp(Capture(backends=backends, settings=settings)), at="/capture")


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
    """What the servers are pointed at: one worker, hence one journal."""
    return capturing()(environ, start_response)


@contextmanager
def running(kind: str) -> Iterator[int]:
    if kind == "werkzeug":
        with serve(application) as url:
            yield int(url.rpartition(":")[2])
    else:
        with run_server(kind, f"{__name__}:application") as port:  # type: ignore[arg-type]
            yield port


class Client:
    def __init__(self, kind: str, port: int) -> None:
        self.kind, self.port = kind, port
        answer = self.post(json.dumps({"email": "user@emaildomain.com"}).encode(), route="track")
        self.session = json.loads(answer[1])["session"]

    def send(self, data: bytes, *, half_close: bool = False) -> tuple[int, bytes]:
        answer = raw_request(self.port, data, half_close=half_close)
        head, _, body = answer.partition(b"\r\n\r\n")
        return (int(head.split()[1]) if head else 0), body

    def post(
        self,
        body: bytes,
        *headers: bytes,
        route: str = "activity",
        length: int | None = None,
        half_close: bool = False,
    ) -> tuple[int, bytes]:
        """``headers`` stand instead of the length."""
        lines = [
            b"POST /capture/-/events/%s HTTP/1.1" % route.encode(),
            b"Host: shop.example",
            b"Content-Type: text/plain",
            b"Connection: close",
            *(headers or [b"Content-Length: %d" % (len(body) if length is None else length)]),
        ]
        return self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body, half_close=half_close)

    def rows(self) -> int:
        request = b"GET /rows HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
        return int(self.send(request)[1])

    def activity(self, size: int = 0) -> bytes:
        """A good body of its own, blown up by blanks to ``size`` bytes."""
        body = json.dumps({"session": self.session, "activity_id": "act:cm:login"}).encode()
        return body + b" " * (size - len(body))


@pytest.fixture(scope="module", params=[*get_args(Kind), "werkzeug"])
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    with running(request.param) as port:
        yield Client(request.param, port)


CHUNKED = b"Transfer-Encoding: chunked"


def chunks(body: bytes, size: int = 1000, end: bytes = b"0\r\n\r\n") -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def refused(answer: tuple[int, bytes]) -> tuple[int, str]:
    status, body = answer
    return status, json.loads(body)["error"]["code"]


@pytest.fixture(autouse=True)
def nothing_stored_but_what_was_acknowledged(client: Client) -> Iterator[list[int]]:
    """A test appends the status of each answer; every 200 is one row, and nothing else is."""
    before = client.rows()
    statuses: list[int] = []
    yield statuses
    assert client.rows() - before == statuses.count(200)


Statuses = list[int]


@pytest.fixture
def statuses(nothing_stored_but_what_was_acknowledged: Statuses) -> Statuses:
    return nothing_stored_but_what_was_acknowledged


@pytest.mark.parametrize("size", [0, CAP - 1, CAP])
def test_a_whole_body_is_captured(client: Client, statuses: Statuses, size: int) -> None:
    status, body = client.post(client.activity(size))
    statuses.append(status)
    assert (status, json.loads(body)) == (200, {"ok": True})


@pytest.mark.parametrize("size", [0, CAP - 1, CAP])
@pytest.mark.parametrize("chunk", [1000, 1 << 20])
def test_a_chunked_body_is_captured(
    client: Client, statuses: Statuses, size: int, chunk: int
) -> None:
    status, body = client.post(chunks(client.activity(size), chunk), CHUNKED)
    statuses.append(status)
    assert (status, json.loads(body)) == (200, {"ok": True})


@pytest.mark.parametrize("size", [CAP + 1, CAP + 2])
def test_a_chunked_body_over_the_cap_is_too_large(client: Client, size: int) -> None:
    """Never cut to the cap: blanks at the end would make the rest a good request."""
    assert refused(client.post(chunks(client.activity(size)), CHUNKED)) == (413, "too-large")


def test_a_declared_length_over_the_cap_is_too_large(client: Client) -> None:
    # werkzeug's server reads what the app left until there is no more, hence the half-close.
    answer = client.post(client.activity(CAP + 1), half_close=client.kind == "werkzeug")
    assert refused(answer) == (413, "too-large")


@pytest.mark.parametrize("length", [CAP + 1, 10**9])
def test_a_length_over_the_cap_is_refused_before_the_body_came(client: Client, length: int) -> None:
    """Where the server lets us: waitress reads bodies before it asks the app."""
    if client.kind == "waitress":
        assert client.post(b"", length=length, half_close=True)[0] in (0, 413)
    else:
        assert refused(client.post(b"", length=length)) == (413, "too-large")


@pytest.mark.parametrize("missing", [1, 20])
@pytest.mark.parametrize("blanks", [0, 30])
def test_a_body_cut_short_is_incomplete(client: Client, missing: int, blanks: int) -> None:
    """Also when what came is good JSON, because only blanks are missing."""
    body = client.activity() + b" " * blanks
    answer = client.post(body[: len(body) - missing], length=len(body), half_close=True)
    if client.kind == "waitress":
        # It drops the connection itself, and we are never asked.
        assert answer[0] in (0, 400)
    else:
        assert refused(answer) == (400, "incomplete")


@pytest.mark.parametrize(
    "end", [b"", b"0", b"5\r\nabc", b"zz\r\nabc\r\n0\r\n\r\n"], ids=["none", "half", "cut", "wrong"]
)
def test_a_chunked_body_that_breaks_off_is_not_captured(client: Client, end: bytes) -> None:
    answer = client.post(chunks(client.activity(), end=end), CHUNKED, half_close=True)
    if answer[0]:
        assert 400 <= answer[0] < 500


def test_a_length_that_is_too_small_leaves_broken_json(client: Client) -> None:
    body = client.activity()
    assert refused(client.post(body, length=len(body) - 1)) == (400, "bad-json")


def test_no_length_is_no_body(client: Client) -> None:
    """HTTP says that such a request has no body; servers that do not say so get 411."""
    body = client.activity()
    expected = {(411, "length-required")} | (
        set() if client.kind == "werkzeug" else {(400, "bad-json")}
    )
    assert refused(client.post(body, b"X-Nothing: 1")) in expected


def test_encoded_bodies_are_refused_unread(client: Client) -> None:
    body = client.activity()
    length = b"Content-Length: %d" % len(body)
    answer = client.post(body, length, b"Content-Encoding: gzip")
    assert refused(answer) == (415, "unsupported-media-type")
