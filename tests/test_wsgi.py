"""The edge's own corners: what it says to operators, and what servers and hosts may do to it.

The law of this file: the contract's §2, and of §4 and §5 what only the edge can keep. Requests go
through a mount and back, as a host sees them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from werkzeug.middleware.proxy_fix import ProxyFix
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
from ortto_capture.errors import BadIdentity
from ortto_capture.testing import FakeClock

from . import host_apps

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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
    """Contract §5."""
    backends = open_backends("memory:")
    settings = Settings(secret_keys=[SECRET], new_people_limit="1/hour")
    capture = Capture(backends=backends, settings=settings, clock=FakeClock())
    addresses: Iterator[str | None] = iter(["192.0.2.1", "192.0.2.2", None, None])
    app = CaptureApp(capture, client_ip=lambda environ: next(addresses))

    statuses = [
        ask(app, environ(b'{"email":"user%d@emaildomain.com"}' % number))[0][:3]
        for number in range(4)
    ]

    assert statuses == ["200", "200", "200", "429"], "no address is one bucket for all"


def test_a_backend_that_is_away_is_503_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    class Away:
        def get(self, activity_id: str) -> None:
            raise BackendError("the database is away") from ConnectionRefusedError()

        def all(self) -> list[Definition]:
            return []

    backends = replace(open_backends("memory:"), definitions=Away())  # type: ignore[arg-type]
    app = CaptureApp(Capture(backends=backends, settings=Settings(secret_keys=[SECRET])))
    status, answer = ask(app, environ(b'{"activity_id":"act:cm:login"}', "activity"))

    assert (status, answer["error"]["code"]) == ("503 Service Unavailable", "unavailable")
    [record] = caplog.records
    assert "ConnectionRefusedError" in record.getMessage()


def test_the_console_is_below_the_mount(app: CaptureApp) -> None:
    shown = CaptureApp(app.capture, console_guard=lambda environ: True)
    client = Client(mount(app, shown, at="/a/capture"))

    assert client.get("/a/capture/console").headers["Location"] == "/a/capture/console/"
    assert client.get("/a/capture/console", follow_redirects=True).status_code == 200
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


def test_an_address_may_be_an_object_and_may_come_with_a_port() -> None:
    """What ``client_ip`` returns is what hosts have in hand: ``ipaddress`` objects too."""
    settings = Settings(secret_keys=[SECRET], new_people_limit="1/hour")
    capture = Capture(backends=open_backends("memory:"), settings=settings, clock=FakeClock())
    addresses: Iterator[object] = iter(
        [ip_address("192.0.2.1"), "192.0.2.1:5678", ip_address("2001:db8::1"), "[2001:db8::2]:80"]
    )
    app = CaptureApp(capture, client_ip=lambda environ: next(addresses))

    statuses = [
        ask(app, environ(b'{"email":"user%d@emaildomain.com"}' % number))[0][:3]
        for number in range(4)
    ]

    assert statuses == ["200", "429", "200", "429"]


# -- Contract §4: no answer leaves the mount as an exception, and each belongs to its request alone


def shop(**settings: Any) -> Capture:
    """An account with one activity."""
    backends = open_backends("memory:")
    backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    chosen: dict[str, Any] = {"secret_keys": [SECRET]} | settings
    return Capture(backends=backends, settings=Settings(**chosen), clock=FakeClock())


def mounted(capture: Capture, **options: Any) -> WSGIApplication:
    return mount(
        host_apps.bare_host(), CaptureApp(capture, console_guard=lambda environ: True, **options)
    )


ROUTES = [
    "app.js", "debug.js", "app.d.ts", "-/health", "-/address",
    "-/events/track", "-/events/activity",
    "console", "console/", "console/api/feed", "console/nothing", "nothing", "",
]  # fmt: skip
METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT"]
QUERIES = [
    "\xff",
    "v=\xff",
    "%ff",
    "v=%ff",
    "after=\xff",
    "\0",
    "&&=;",
    "\u20ac",
    "\ud800",
    "x" * 9_000,
]


@pytest.mark.parametrize("route", ROUTES)
def test_any_query_is_answered_on_every_route(route: str) -> None:
    app = mounted(shop())
    for method, query in product(METHODS, QUERIES):
        request = host_apps.environ_for(method, f"/capture/{route}", QUERY_STRING=query)
        reply = host_apps.call(app, request, validate=False)
        assert reply.status in (200, 204, 308, 400, 404, 405, 500)
        if not route.startswith("console"):
            assert reply.status < 500
        if method == "HEAD":
            assert reply.body == b""


values = st.text(st.characters(max_codepoint=255), max_size=80) | st.text(max_size=20)
headers = st.dictionaries(
    st.sampled_from(
        [
            "CONTENT_TYPE", "CONTENT_LENGTH", "QUERY_STRING", "REMOTE_ADDR", "SCRIPT_NAME",
            "SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "HTTP_ORIGIN", "HTTP_COOKIE",
            "HTTP_ACCEPT", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT_LANGUAGE", "HTTP_IF_NONE_MATCH",
            "HTTP_IF_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_RANGE", "HTTP_RANGE",
            "HTTP_SEC_FETCH_SITE", "HTTP_SEC_GPC", "HTTP_AUTHORIZATION", "HTTP_X_FORWARDED_FOR",
            "HTTP_CONTENT_ENCODING", "HTTP_USER_AGENT", "wsgi.url_scheme",
        ]
    ),
    values,
    max_size=5,
)  # fmt: skip
PUBLIC = mounted(shop())


@given(st.sampled_from(METHODS), st.sampled_from(ROUTES) | values, headers)
@example("GET", "app.js", {"QUERY_STRING": "\xff"})
@example("HEAD", "debug.js", {"QUERY_STRING": "v=\xff"})
@example("GET", "console", {"SCRIPT_NAME": "//["})
@example("GET", "app.js", {"HTTP_IF_NONE_MATCH": '"\xff'})
@example("GET", "app.js", {"HTTP_ACCEPT_ENCODING": "gzip;q=\xff"})
def test_any_path_and_any_headers_are_answered_on_every_route(
    method: str, route: str, given: dict[str, str]
) -> None:
    """Contract §4: whatever bytes are in path, query or headers."""
    request = host_apps.environ_for(method, f"/capture/{route}") | given
    reply = host_apps.call(PUBLIC, request, validate=False)
    assert reply.headers


@pytest.mark.parametrize(
    ("route", "broken"),
    [
        ("app.js", {"HTTP_ACCEPT_ENCODING": 5}),
        ("debug.js", {"HTTP_IF_NONE_MATCH": 5}),
        ("-/address", {"HTTP_AUTHORIZATION": 5}),
        ("-/events/track", {"CONTENT_TYPE": 5}),
        ("-/events/activity", {"REMOTE_ADDR": 5}),
    ],
)
def test_a_fault_on_any_route_is_a_500_of_ours_and_one_line(
    route: str, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    method = "POST" if "events" in route else "GET"
    body = b'{"activity_id":"act:cm:login"}'
    request = host_apps.environ_for(method, f"/capture/{route}", body=body)

    reply = host_apps.call(mounted(shop()), request | broken, validate=False)

    assert reply.status == 500
    assert reply.json == {"error": {"code": "internal", "message": "internal error"}}
    [record] = caplog.records
    assert record.getMessage().startswith("internal error, ")


class CookieSetter:
    """A host's middleware that gives each visitor a cookie by appending to the headers."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self.visits = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        self.visits += 1

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            headers.append(("Set-Cookie", f"visitor={self.visits}"))
            return start_response(status, headers)

        return self._app(environ, start)


def answers(capture: Capture) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """A request for each kind of answer."""
    session = capture.identify(email="user@emaildomain.com").session
    activity = {"session": session, "activity_id": LOGIN}
    for route, method in product(ROUTES, METHODS):
        yield method, route, {}
    yield "GET", "app.js", {"headers": {"Accept-Encoding": "gzip"}}
    yield "GET", "app.js", {"headers": {"If-None-Match": "*"}}
    for number in range(3):
        yield "POST", "-/events/activity", {"body": json.dumps(activity).encode()}
        yield (
            "POST",
            "-/events/activity",
            {"body": json.dumps({**activity, "event_id": f"event-{number // 2}"}).encode()},
        )
        yield "POST", "-/events/track", {"body": b'{"email":"other%d@emaildomain.com"}' % number}
    yield "POST", "-/events/activity", {"body": b"{}", "headers": {"Content-Type": "a/b;charset=x"}}


def test_what_a_middleware_appends_to_one_answer_is_on_no_other() -> None:
    """Contract §4: no answer on a capture route sets a cookie; another visitor's least of all."""
    capture = shop(person_limit="3/day")
    setter = CookieSetter(mounted(capture))
    statuses = set()
    for _ in range(2):
        for method, route, request in answers(capture):
            reply = host_apps.ask(setter, method, f"/capture/{route}", **request)
            cookies = [value for name, value in reply.headers if name == "Set-Cookie"]
            assert cookies == [f"visitor={setter.visits}"], (method, route)
            statuses.add(reply.status)
    assert statuses == {200, 204, 304, 308, 400, 404, 405, 415, 429}


# -- Contract §2: the client's files


@pytest.mark.parametrize("name", ["app.js", "debug.js", "app.d.ts"])
def test_the_plain_and_the_packed_file_have_strong_tags_of_their_own(name: str) -> None:
    app = mounted(shop())

    def get(**headers: str) -> host_apps.Reply:
        given = {key.replace("_", "-"): value for key, value in headers.items()}
        return host_apps.ask(app, "GET", f"/capture/{name}", headers=given)

    plain, packed = get(), get(Accept_Encoding="gzip")
    tags = [reply.header("ETag") or "" for reply in (plain, packed)]

    assert plain.body != packed.body
    assert tags[0] != tags[1]
    assert all(tag.startswith('"') for tag in tags), "a weak tag begins with W/"
    for tag, other, accept in ((tags[0], tags[1], ""), (tags[1], tags[0], "gzip")):
        unchanged = get(Accept_Encoding=accept, If_None_Match=tag)
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert unchanged.header("ETag") == tag
        assert unchanged.header("Vary") == "Accept-Encoding"
        assert get(Accept_Encoding=accept, If_None_Match=other).status == 200


@pytest.mark.parametrize(
    ("accepted", "packed"),
    [
        ("", False),
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("identity", False),
        ("x-gzip-like", False),
        ("a," * 200 + "gzip", False),
    ],
)
def test_the_client_is_packed_only_where_the_browser_takes_that(
    accepted: str, packed: bool
) -> None:
    reply = host_apps.ask(
        mounted(shop()), "GET", "/capture/app.js", headers={"Accept-Encoding": accepted}
    )
    assert (reply.header("Content-Encoding") == "gzip") is packed
    assert reply.header("Content-Length") == str(len(reply.body))


def test_only_an_address_that_names_the_content_is_kept_for_a_year() -> None:
    app = mounted(shop())
    tag = (host_apps.ask(app, "GET", "/capture/app.js").header("ETag") or "").strip('"')
    for query, kept in (
        (f"v={tag}", "public, max-age=31536000, immutable"),
        ("", "public, max-age=3600"),
        ("v=", "public, max-age=3600"),
        ("v=\xff", "public, max-age=3600"),
        ("v=another", "public, max-age=3600"),
    ):
        reply = host_apps.ask(app, "GET", "/capture/app.js", QUERY_STRING=query)
        assert (reply.status, reply.header("Cache-Control")) == (200, kept)


# -- Contract §2: health


@pytest.mark.parametrize("port", ["definitions", "people", "limiter", "journal"])
@pytest.mark.parametrize("error", [BackendError("away"), OSError("driver"), ZeroDivisionError()])
def test_health_survives_what_a_driver_raises(
    port: str, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A driver's own exception too, which no port should let out."""

    class Ill:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def ping(self) -> None:
            raise error

    memory = open_backends("memory:")
    ill: dict[str, Any] = {port: Ill(getattr(memory, port))}
    capture = Capture(
        backends=replace(memory, **ill), settings=Settings(secret_keys=[SECRET]), clock=FakeClock()
    )

    reply = host_apps.ask(mounted(capture), "GET", "/capture/-/health")

    assert (reply.status, reply.json) == (503, {"ok": False})
    [record] = caplog.records
    assert f"{port} does not answer" in record.getMessage()


# -- Contract §4, rows 2 to 4: what the headers tell


@pytest.mark.parametrize(
    ("label", "status"),
    [
        ("text/plain; charset=utf-8; x=", 200),
        ("application/json; x=", 200),
        ("multipart/form-data; boundary=", 415),
    ],
)
def test_a_label_of_up_to_200_characters_is_read_and_a_longer_one_is_not(
    app: CaptureApp, label: str, status: int
) -> None:
    for length, expected in ((200, status), (201, 415), (262_144, 415)):
        labelled = {"CONTENT_TYPE": label + "x" * (length - len(label))}
        assert ask(app, environ(IDENTIFY, more=labelled))[0][:3] == str(expected)
    encoded = {"HTTP_CONTENT_ENCODING": "identity" + " " * 200}
    assert ask(app, environ(IDENTIFY, more=encoded))[0][:3] == "415"


@pytest.mark.parametrize("zeros", [1, 18, 20, 5_000])
def test_a_length_may_begin_with_zeros_and_is_the_same_number(app: CaptureApp, zeros: int) -> None:
    def declared(length: int) -> dict[str, Any]:
        return environ(IDENTIFY, more={"CONTENT_LENGTH": "0" * zeros + str(length)})

    assert ask(app, declared(len(IDENTIFY)))[1]["identified"] is True
    status, answer = ask(app, declared(len(IDENTIFY) + 1))
    assert (status[:3], answer["error"]["code"]) == ("400", "incomplete")
    status, answer = ask(app, declared(65_537))
    assert (status[:3], answer["error"]["code"]) == ("413", "too-large")


# -- Contract §3: the envelope of ``track``


def notes(capture: Capture) -> dict[str, int]:
    outcomes = capture.backends.outcomes
    assert outcomes is not None
    return dict(outcomes.counts())


@pytest.mark.parametrize("more", [{}, {"HTTP_SEC_GPC": "1"}])
@pytest.mark.parametrize("gpc", [b"true", b"false"])
def test_a_track_that_opts_out_in_its_body_or_its_headers_identifies_no_person(
    gpc: bytes, more: dict[str, str]
) -> None:
    capture = shop(gpc="drop")
    body = b'{"email":"user@emaildomain.com","gpc":%s}' % gpc

    _, answer = ask(CaptureApp(capture), environ(body, more=more))

    assert answer["identified"] is (gpc == b"false" and not more)
    assert (capture.person("user@emaildomain.com") is not None) is answer["identified"]


@pytest.mark.parametrize(
    ("route", "member"), [("track", b"v"), ("activity", b"activity_id"), ("track", b"email")]
)
def test_what_the_client_gave_up_on_is_counted_whatever_becomes_of_the_request(
    route: str, member: bytes
) -> None:
    capture = shop()
    body = b'{"%s":"x","dropped":{"overflow":2,"expired":1}}' % member

    ask(CaptureApp(capture), environ(body, route))

    counted = notes(capture)
    assert (counted["note:dropped:overflow"], counted["note:dropped:expired"]) == (2, 1)


# -- Contract §5: a site where every visitor falls into one bucket is told so


def track(app: WSGIApplication, number: int = 0, **entries: Any) -> None:
    body = b'{"email":"user%d@emaildomain.com"}' % number
    path = "/capture/-/events/track"
    host_apps.call(app, host_apps.environ_for("POST", path, body=body) | entries, validate=False)


def proxy_warnings(capture: Capture, caplog: pytest.LogCaptureFixture) -> int:
    """How often the operator was told: in the log, on the console and as a note alike."""
    told = [each for each in caplog.records if "ProxyFix" in each.getMessage()]
    assert len(told) == len(caplog.records)
    assert capture.warnings == ["behind-proxy"] * len(told)
    return len(told)


@pytest.mark.parametrize(
    ("entries", "warned"),
    [
        ({"REMOTE_ADDR": ""}, True),
        ({"REMOTE_ADDR": None}, True),
        ({"REMOTE_ADDR": "unix:"}, True),
        ({"REMOTE_ADDR": "localhost"}, True),
        ({"REMOTE_ADDR": "1" * 65}, True),
        ({"REMOTE_ADDR": "8.8.8.8"}, False),
        ({"REMOTE_ADDR": "8.8.8.8:1234"}, False),
        ({"REMOTE_ADDR": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "8.8.8.8"}, True),
        ({"REMOTE_ADDR": "10.1.2.3:1234", "HTTP_FORWARDED": "for=8.8.8.8"}, True),
        ({"REMOTE_ADDR": "fd00::1", "HTTP_X_REAL_IP": "8.8.8.8"}, True),
        ({"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, False),
    ],
)
def test_a_shared_bucket_is_warned_of_once(
    entries: dict[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    capture = shop()
    app = mounted(capture)
    for number in range(3):
        track(app, number, **entries)

    assert proxy_warnings(capture, caplog) == warned
    assert notes(capture).get("note:behind-proxy", 0) == warned


@pytest.mark.parametrize("given", [None, "", "unknown", 5, b"8.8.8.8"])
def test_a_client_ip_that_tells_no_address_is_warned_of_once(
    given: object, caplog: pytest.LogCaptureFixture
) -> None:
    capture = shop()
    app = mounted(capture, client_ip=lambda environ: given)
    for number in range(3):
        track(app, number)

    assert proxy_warnings(capture, caplog) == 1


def test_a_client_ip_that_tells_addresses_is_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The host reads the forwarding header itself then."""
    capture = shop()
    app = mounted(capture, client_ip=lambda environ: environ["HTTP_X_REAL_IP"])
    track(app, REMOTE_ADDR="127.0.0.1", HTTP_X_REAL_IP="8.8.8.8")

    assert proxy_warnings(capture, caplog) == 0


def test_behind_proxy_fix_the_forwarded_address_counts_and_nothing_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture = shop()
    app: Any = ProxyFix(mounted(capture))
    track(app, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="8.8.8.8")
    track(app, REMOTE_ADDR="127.0.0.1", HTTP_X_FORWARDED_FOR="10.1.2.3")

    assert proxy_warnings(capture, caplog) == 0


Fill = Callable[["WSGIApplication", Capture, dict[str, str]], None]


def fill_new_people(app: WSGIApplication, capture: Capture, peer: dict[str, str]) -> None:
    for number in range(3):
        track(app, number, **peer)


def fill_address(app: WSGIApplication, capture: Capture, peer: dict[str, str]) -> None:
    for number in range(3):
        session = capture.identify(email=f"user{number}@emaildomain.com").session
        post(app, session, peer)


def fill_person(app: WSGIApplication, capture: Capture, peer: dict[str, str]) -> None:
    session = capture.identify(email="user@emaildomain.com").session
    for _ in range(2):
        post(app, session, peer)


def post(app: WSGIApplication, session: str | None, peer: dict[str, str]) -> None:
    body = json.dumps({"session": session, "activity_id": LOGIN}).encode()
    path = "/capture/-/events/activity"
    host_apps.call(app, host_apps.environ_for("POST", path, body=body) | peer, validate=False)


@pytest.mark.parametrize(
    ("peer", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("10.0.0.5", True),
        ("172.31.255.1:80", True),
        ("::ffff:192.168.1.1", True),
        ("fe80::1%eth0", True),
        ("8.8.8.8", False),
        ("203.0.113.7", False),
        ("2a00:1450::1", False),
    ],
)
@pytest.mark.parametrize(
    ("fill", "by_address"), [(fill_new_people, True), (fill_address, True), (fill_person, False)]
)
@pytest.mark.parametrize("by_server", [True, False])
def test_an_address_limit_that_refuses_a_local_address_is_warned_of_once(
    peer: str,
    local: bool,
    fill: Fill,
    by_address: bool,
    by_server: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A proxy that leaves no trace, as waitress makes of one: no forwarding header, loopback."""
    capture = shop(person_limit="1/day", ip_limit="2/hour", new_people_limit="2/hour")
    app = mounted(capture)
    entries = {"REMOTE_ADDR": peer}
    if not by_server:
        app = mounted(capture, client_ip=lambda environ: environ["HTTP_X_VISITOR"])
        entries = {"HTTP_X_VISITOR": peer}
    fill(app, capture, entries)
    assert notes(capture).get("rate-limit", 0) >= 1

    fill(app, capture, entries)

    assert proxy_warnings(capture, caplog) == (local and by_address)


def address(capture: Capture, token: str | None, **environ: Any) -> host_apps.Reply:
    """What the route of ``doctor --url`` answers."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return host_apps.ask(mounted(capture), "GET", "/capture/-/address", headers=headers, **environ)


def test_the_address_is_told_to_a_holder_of_the_key() -> None:
    capture = shop()
    token = capture.operator_token()

    def told(**environ: Any) -> tuple[str, bool, bool]:
        found = address(capture, token, **environ).json
        return found["bucket"], found["local"], found["proxied"]

    forwarded = {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}
    assert told() == told(**forwarded) == ("203.0.113.7", False, False)
    assert told(REMOTE_ADDR="127.0.0.1") == ("127.0.0.1", True, False)
    assert told(REMOTE_ADDR="127.0.0.1", **forwarded) == ("127.0.0.1", True, True)
    assert told(REMOTE_ADDR="") == ("unknown", False, False)
    # An operator who looks is no visitor: nothing is noted for the console.
    assert capture.warnings == []
    answer = address(capture, token)
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("Access-Control-Allow-Origin") is None
    assert host_apps.ask(mounted(capture), "POST", "/capture/-/address").status == 405


@pytest.mark.parametrize("kind", ["session", "identity", "forged", "other", "none", "empty", "odd"])
def test_the_address_is_told_to_no_other_caller(kind: str) -> None:
    """The answer is that of a path that is not there."""
    capture, other = shop(), shop(secret_keys=["another secret, of more than 32 bytes"])
    good = capture.operator_token()
    token = {
        "session": capture.identify(email="jo@example.com").session,
        "identity": capture.sign_identity("jo@example.com").removeprefix("oi1."),
        "forged": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "other": other.operator_token(),
        "none": None,
        "empty": "",
        "odd": "\xff" * 9_000,
    }[kind]
    refused = address(capture, token)
    nothing = host_apps.ask(mounted(capture), "GET", "/capture/nothing")

    assert (refused.status, refused.body) == (404, nothing.body)


def test_an_operators_token_is_good_for_its_time_and_for_nothing_else() -> None:
    capture = shop()
    token = capture.operator_token(max_age=60)

    assert capture.is_operator(token)
    for each in (token, f"oi1.{token}"):
        with pytest.raises(BadIdentity):
            capture.identify(identity=each)
    later = Capture(
        backends=capture.backends,
        settings=capture.settings,
        clock=FakeClock(FakeClock()() + 60),
    )
    assert not later.is_operator(token)
    # As the spare bits of base64 would have it.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[(alphabet.index(token[-1]) ^ 1)]
    assert not capture.is_operator(token[:-1] + last)
