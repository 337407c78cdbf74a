"""Outside the mount the host answers as if we were not there; inside it never hears of a request.

The law of this file: whatever passes by is compared with the same host without us, headers in their
order and every byte, with the environ it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends

from .host_apps import HOSTS, PAGE, Reply, ask, bare_host, call, environ_for

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"


def ours() -> CaptureApp:
    return CaptureApp(
        Capture(backends=open_backends("memory:"), settings=Settings(secret_keys=[SECRET]))
    )


APP = ours()

#: Paths beside the mount, decoded as servers hand them over.
OUTSIDE = [
    "",
    "/",
    "/echo",
    "/stream",
    "/captureX",
    "/captur",
    "/Capture/app.js",
    "/CAPTURE/-/health",
    "//capture/app.js",
    "/capture%2fapp.js",
    "/capture%2Fapp.js",
    "/capture;x/app.js",
    "/capture\\app.js",
    "/capture app.js",
    "/.capture/app.js",
    "/./capture/app.js",
    "/x/../capture/app.js",
    "/x/capture/app.js",
    "capture/app.js",
    "/-/events/activity",
    "/app.js",
    "/capture-api/app.js",
    "/caf\u00c3\u00a9",
]
#: Paths under the mount that are none of our routes: a 404 of ours, not the host's.
INSIDE = [
    "/capture/",
    "/capture//app.js",
    "/capture/../echo",
    "/capture/./app.js",
    "/capture/%2e%2e/",
    "/capture/app.js/",
    "/capture/App.js",
    "/capture/-/events/activity/",
    "/capture/capture/app.js",
]


def outcome(app: WSGIApplication, environ: WSGIEnvironment) -> Reply | str:
    """The reply, or how the host failed."""
    try:
        return call(app, environ, validate=False)
    except Exception as error:  # noqa: BLE001 - whatever the host raises is part of its answer
        return repr(error)


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("host", HOSTS)
def test_the_host_answers_byte_for_byte_as_without_us(host: str, path: str) -> None:
    app = HOSTS[host]()
    mounted = mount(app, APP, at="/capture")
    headers = {"Content-Type": "text/plain", "Cookie": "visits=1", "Origin": "https://evil.example"}
    for method, script in product(("GET", "HEAD", "POST", "OPTIONS", "PUT"), ("", "/site")):
        request: dict[str, Any] = {"body": b"b" * 70_000, "headers": headers, "SCRIPT_NAME": script}
        with_us = outcome(mounted, environ_for(method, path, **request))
        assert with_us == outcome(app, environ_for(method, path, **request))


@pytest.mark.parametrize("host", HOSTS)
def test_the_host_reads_its_own_body_and_serves_its_own_pages(host: str) -> None:
    """What the comparison above compares is really there."""
    mounted = mount(HOSTS[host](), APP, at="/capture")
    assert ask(mounted, "GET", "/").body == PAGE
    echo = ask(mounted, "POST", "/echo", body=b"x" * 70_000)
    assert (echo.status, echo.body) == (200, b"x" * 70_000)
    if host != "bare":
        assert ask(mounted, "GET", "/stream").body == b"one\ntwo\n"


@pytest.mark.parametrize("path", INSIDE)
@pytest.mark.parametrize("host", HOSTS)
def test_under_the_mount_the_host_is_not_asked(host: str, path: str) -> None:
    reply = ask(mount(HOSTS[host](), APP, at="/capture"), "GET", path)
    assert (reply.status, reply.json["error"]["code"]) == (404, "not-found")


@given(
    st.text(st.characters(max_codepoint=255)).map("/".__add__) | st.sampled_from(OUTSIDE + INSIDE)
)
def test_any_path_is_ours_or_the_hosts_untouched(path: str) -> None:
    seen: list[str] = []

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.append(environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b"the host"]

    reply = call(mount(host, APP, at="/capture"), environ_for("GET", path), validate=False)
    if path == "/capture" or path.startswith("/capture/"):
        assert not seen
        assert reply.status in (200, 404, 405)
    else:
        assert (reply.body, seen) == (b"the host", [path])


def test_the_host_sees_the_very_environ() -> None:
    """Nothing added, removed or moved, and the same callable to start its answer with."""
    seen: list[Any] = []

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        seen.extend((environ, dict(environ), start_response))
        start_response("200 OK", [])
        return []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        return None

    environ = environ_for("POST", "/elsewhere", body=b"body", SCRIPT_NAME="/site")
    before = dict(environ)
    list(mount(host, APP, at="/capture")(environ, start_response))
    assert seen[0] is environ
    assert seen[1] == before == environ
    assert seen[2] is start_response
    assert environ["wsgi.input"].read() == b"body"


class Stream:
    """An iterable that counts what is done to it."""

    def __init__(self, *parts: bytes, fails: Exception | None = None) -> None:
        self.parts, self.fails = parts, fails
        self.given = self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.given += 1
            yield part
        if self.fails:
            raise self.fails

    def close(self) -> None:
        self.closed += 1


def streaming(stream: Stream) -> WSGIApplication:
    def host(environ: WSGIEnvironment, start_response: StartResponse) -> Stream:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream

    return host


def ignore(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
    return None


def test_a_stream_passes_part_by_part_and_is_closed_once() -> None:
    stream = Stream(b"one", b"", b"two")
    result = mount(streaming(stream), APP, at="/capture")(environ_for("GET", "/"), ignore)
    assert stream.given == 0, "nothing may be read ahead"
    parts = iter(result)
    assert (next(parts), stream.given) == (b"one", 1)
    assert (next(parts), stream.given) == (b"", 2)
    assert list(parts) == [b"two"]
    assert stream.closed == 0, "closing is the server's business"
    result.close()  # type: ignore[attr-defined]  # PEP 3333: present when the host's has it
    assert stream.closed == 1


def test_a_stream_that_fails_fails_as_the_hosts_and_is_closed_once() -> None:
    error = ConnectionResetError("the host's database went away")
    stream = Stream(b"one", fails=error)
    result = mount(streaming(stream), APP, at="/capture")(environ_for("GET", "/"), ignore)
    parts = iter(result)
    next(parts)
    with pytest.raises(ConnectionResetError) as raised:
        next(parts)
    assert raised.value is error
    result.close()  # type: ignore[attr-defined]
    assert stream.closed == 1


def test_what_the_host_raises_is_not_ours_to_catch() -> None:
    error = LookupError("the host's own")

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        raise error

    with pytest.raises(LookupError) as raised:
        mount(host, APP, at="/capture")(environ_for("GET", "/"), ignore)
    assert raised.value is error


def test_the_write_callable_and_a_restarted_answer_work() -> None:
    def host(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise ValueError("found out late")
        except ValueError as error:
            info: Any = (type(error), error, error.__traceback__)
            write = start_response("500 OOPS", [("Content-Type", "text/plain")], info)
        write(b"written, ")
        return [b"returned"]

    environ = environ_for("GET", "/")
    reply = call(mount(host, APP, at="/capture"), environ)
    assert (reply.status, reply.body) == (500, b"written, returned")


@pytest.mark.parametrize("script", ["", "/site", "/capture"])
def test_a_mount_under_a_script_name_answers_like_one_at_the_root(script: str) -> None:
    """Django below a prefix, a proxy that strips one: what counts is the path that is left."""
    mounted = mount(bare_host(), APP, at="/capture")
    reply = ask(mounted, "GET", "/capture/-/health", SCRIPT_NAME=script)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert ask(mounted, "GET", "/-/health", SCRIPT_NAME=script).status == 404


def test_one_environ_is_left_as_it_was_by_our_answers() -> None:
    """A middleware outside may log the path after us."""
    environ = environ_for("GET", "/capture/-/health", SCRIPT_NAME="/site")
    call(mount(bare_host(), APP, at="/capture"), environ)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/site", "/capture/-/health")


def test_two_mounts_keep_apart() -> None:
    inner = mount(bare_host(), APP, at="/one")
    outer = mount(inner, ours(), at="/two/deep")
    for path in ("/one/-/health", "/two/deep/-/health"):
        assert ask(outer, "GET", path).json == {"ok": True}
    assert ask(outer, "GET", "/").body == PAGE
    assert ask(outer, "GET", "/two/-/health").body == b"the host has no such page"


@pytest.mark.parametrize("mounting", [mount, lambda host, app, at: app])
def test_our_own_answers_are_closed_and_validated_like_any(
    mounting: Callable[..., WSGIApplication],
) -> None:
    """Mounted or alone, ``HEAD`` included."""
    app = mounting(bare_host(), APP, at="/capture")
    prefix = "" if app is APP else "/capture"
    for method, route in product(
        ("GET", "HEAD", "OPTIONS", "POST"), ("/app.js", "/-/health", "/x")
    ):
        reply = ask(app, method, prefix + route)
        assert reply.status < 500
        if method == "HEAD":
            assert reply.status in (200, 404, 405)
