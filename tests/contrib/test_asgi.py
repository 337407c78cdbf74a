"""Mounted in Starlette and FastAPI: the same answers, and a loop that never waits."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException
from fastapi.responses import HTMLResponse
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ortto_capture import (
    Capture,
    ConfigurationError,
    Definition,
    Identity,
    Settings,
    Source,
    open_backends,
)
from ortto_capture.contrib.asgi import CaptureASGI, SnippetPolicyMiddleware

from ..services import PATIENCE, ROOT

ORIGIN = "http://shop.example"
#: What a browser says of a request that a page of the shop makes.
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN, "Content-Type": "text/plain"}
LOGIN = {"activity_id": "act:cm:login", "person": {"email": "jo@example.com"}}
ACTIVITY = "/capture/-/events/activity"
#: How many requests a bridge of a2wsgi answers at the same time.
THREADS = 10


def account(**settings: Any) -> Capture:
    backends = open_backends("memory:")
    backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
    chosen = {"secret_keys": ["an example secret of more than 32 bytes"], **settings}
    return Capture(backends=backends, settings=Settings(**chosen))


def mounted(tracking: CaptureASGI, *more: Middleware) -> Starlette:
    """A shop that signs visitors in, with ``tracking`` at ``/capture``."""

    async def sign_in(request: Request) -> Response:
        request.session["email"] = request.query_params["email"]
        return PlainTextResponse("welcome")

    async def home(request: Request) -> Response:
        return HTMLResponse(await tracking.snippet(request))

    return Starlette(
        routes=[
            Route("/", home),
            Route("/sign-in", sign_in, methods=["POST"]),
            Mount("/capture", tracking),
        ],
        middleware=[Middleware(SessionMiddleware, secret_key="an example secret"), *more],
    )


def visit(app: ASGIApp, client: tuple[str, int] = ("203.0.113.7", 50_000)) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, client=client), base_url=ORIGIN, headers=OWN
    )


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an async test, and end it when it hangs."""
    asyncio.run(asyncio.wait_for(test(), PATIENCE))


# -- the same answers


def test_an_activity_arrives_and_the_host_keeps_its_pages() -> None:
    tracking = CaptureASGI(account())

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            assert (await client.get("/")).status_code == 200
            assert (await client.post(ACTIVITY, json=LOGIN)).json() == {"ok": True}
            assert (await client.get("/capture/app.js")).headers["etag"]
            assert (await client.head("/capture/app.js")).content == b""
            assert (await client.options(ACTIVITY)).status_code == 204
            assert (await client.get("/capture/-/health")).json() == {"ok": True}
            assert (await client.get("/capture/elsewhere")).json()["error"]["code"] == "not-found"

    run(test)
    (captured,) = tracking.capture_app.capture.backends.journal.latest()
    assert captured.activity_id == "act:cm:login"


class Visit:
    """One request by its messages, as a server hands them over."""

    def __init__(self, *body: bytes | None, method: str = "POST", **scope: Any) -> None:
        self.parts = list(body)
        self.asked = 0
        self.sent: list[Message] = []
        self.scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": "/-/events/activity",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"shop.example")],
            "client": ("203.0.113.7", 50_000),
            "server": ("shop.example", 443),
            **scope,
        }

    async def receive(self) -> Message:
        self.asked += 1
        if self.asked > len(self.parts) or self.parts[self.asked - 1] is None:
            return {"type": "http.disconnect"}
        part = self.parts[self.asked - 1]
        return {"type": "http.request", "body": part, "more_body": self.asked < len(self.parts)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def to(self, app: ASGIApp) -> tuple[int, str]:
        """The answer's status and its error code."""
        await asyncio.wait_for(app(self.scope, self.receive, self.send), PATIENCE)
        body = b"".join(message.get("body", b"") for message in self.sent[1:])
        error = json.loads(body).get("error", {}) if body.startswith(b"{") else {}
        return self.sent[0]["status"], error.get("code", "")


def answer(*body: bytes | None, capture: Capture | None = None, **scope: Any) -> tuple[int, str]:
    return asyncio.run(Visit(*body, **scope).to(CaptureASGI(capture or account())))


GOOD = json.dumps(LOGIN).encode()
NAMELESS = json.dumps({"activity_id": "act:cm:login"}).encode()


def test_a_body_may_come_in_parts_without_a_length() -> None:
    assert answer(GOOD[:10], b"", GOOD[10:]) == (200, "")


def test_what_is_declared_too_large_is_refused_before_a_byte_is_read() -> None:
    asked = Visit(GOOD, headers=[(b"content-length", b"70000")])

    assert asyncio.run(asked.to(CaptureASGI(account()))) == (413, "too-large")
    assert asked.asked == 0


def test_of_a_body_without_a_length_no_more_is_read_than_may_come() -> None:
    asked = Visit(*[b" " * 1_000] * 1_000)

    assert asyncio.run(asked.to(CaptureASGI(account(max_body=10_000)))) == (413, "too-large")
    assert asked.asked == 11


@pytest.mark.parametrize(
    "headers", [[], [(b"content-length", str(len(GOOD)).encode())], [(b"content-length", b"x")]]
)
def test_a_body_that_was_cut_off_is_refused_even_where_it_would_be_whole_json(
    headers: list[tuple[bytes, bytes]],
) -> None:
    capture = account()

    assert answer(GOOD, None, capture=capture, headers=headers) == (400, "incomplete")
    assert capture.backends.outcomes is not None
    assert capture.backends.outcomes.counts() == {"incomplete": 1}


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"method": "GET"}, (405, "method-not-allowed")),
        ({"headers": [(b"content-type", b"multipart/form-data")]}, (415, "unsupported-media-type")),
        ({"path": "/\udcff\x00%"}, (404, "not-found")),
        ({"query_string": b"v=\xff\x00"}, (200, "")),
        ({"headers": [(b"cookie", b"\xff\x00\r\n"), (b"origin", b"\xe9")]}, (200, "")),
        ({"client": None}, (200, "")),
        ({"client": ("", 0), "server": ("/run/shop.sock", None)}, (200, "")),
    ],
)
def test_whatever_a_request_holds_it_is_answered(
    scope: dict[str, Any], expected: tuple[int, str]
) -> None:
    assert answer(GOOD, **scope) == expected


def test_a_fault_of_ours_is_a_500_of_the_same_shape() -> None:
    tracking = CaptureASGI(account(), client_ip=lambda request: 1 / 0)

    assert asyncio.run(Visit(GOOD).to(tracking)) == (500, "internal")


def test_other_protocols_are_answered_too() -> None:
    """A server's start and end, where it is the whole app, and a websocket, which there is not."""
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(asked)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    tracking = CaptureASGI(account())
    asyncio.run(tracking({"type": "lifespan"}, receive, send))
    asyncio.run(tracking({"type": "websocket", "path": "/"}, receive, send))

    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete", "websocket.close"]


# -- the loop


def test_slow_visitors_keep_no_thread_waiting() -> None:
    """With more half-sent bodies than there are threads, another visitor is answered."""
    tracking = CaptureASGI(account())

    async def test() -> None:
        all_wait, go_on = asyncio.Event(), asyncio.Event()
        slow = [Visit(GOOD) for _ in range(50)]
        waiting = 0

        async def later() -> Message:
            nonlocal waiting
            waiting += 1
            if waiting == len(slow):
                all_wait.set()
            await go_on.wait()
            return {"type": "http.request", "body": GOOD}

        answers = [asyncio.create_task(tracking(each.scope, later, each.send)) for each in slow]
        await all_wait.wait()
        assert await Visit(GOOD).to(tracking) == (200, "")
        go_on.set()
        await asyncio.gather(*answers)
        # The first ten are the day's, with the one above.
        assert [each.sent[0]["status"] for each in slow].count(200) == 9

    run(test)


class Waits:
    """A function of the host that takes its time: until the loop lets it go on."""

    def __init__(self) -> None:
        self.began, self._go_on = asyncio.Event(), threading.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, request: Request) -> str:
        self._loop.call_soon_threadsafe(self.began.set)
        assert self._go_on.wait(PATIENCE), "the loop waited as well"
        return "203.0.113.7"

    def go_on(self) -> None:
        self._go_on.set()


def test_the_loop_goes_on_while_a_request_is_being_answered() -> None:
    async def test() -> None:
        waits = Waits()
        answered = asyncio.create_task(Visit(GOOD).to(CaptureASGI(account(), client_ip=waits)))
        await waits.began.wait()
        waits.go_on()
        assert await answered == (200, "")

    run(test)


def pools() -> set[ThreadPoolExecutor]:
    """The pools of threads that there are."""
    return {each for each in gc.get_objects() if type(each) is ThreadPoolExecutor}


def test_a_cancelled_request_is_stored_once_and_its_repetition_is_a_duplicate() -> None:
    capture = account()
    body = json.dumps({**LOGIN, "event_id": "event-1"}).encode()

    async def test() -> None:
        waits, before = Waits(), pools()
        tracking = CaptureASGI(capture, client_ip=waits)
        request = asyncio.create_task(Visit(body).to(tracking))
        await waits.began.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        waits.go_on()
        assert await Visit(body).to(tracking) == (200, "")
        # Its thread goes on, and answers to this loop.
        for each in pools() - before:
            await asyncio.to_thread(each.shutdown)

    run(test)
    assert capture.flush(PATIENCE)
    assert len(capture.backends.journal.latest()) == 1


def test_a_cancelled_upload_is_as_if_it_had_never_begun() -> None:
    capture = account()

    async def test() -> None:
        begun = asyncio.Event()

        async def never() -> Message:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        visit = Visit()
        request = asyncio.create_task(CaptureASGI(capture)(visit.scope, never, visit.send))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    run(test)
    assert capture.backends.outcomes is not None
    assert capture.backends.outcomes.counts() == {}


# -- who it is


def who(request: Request) -> Identity | None:
    email = request.session.get("email")
    return Identity(email) if email else None


async def who_later(request: Request) -> Identity | None:
    await asyncio.sleep(0)
    return who(request)


def nameless(request: Request) -> Identity | None:
    return Identity(None)


async def nameless_later(request: Request) -> Identity | None:
    return Identity("no address")


@pytest.mark.parametrize("resolver", [who, who_later])
def test_the_signed_in_user_is_sure_and_only_on_the_sites_own_pages(
    resolver: Callable[[Request], Any],
) -> None:
    tracking = CaptureASGI(account(), identity=resolver)
    nameless = {"activity_id": "act:cm:login"}

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            assert (await client.post(ACTIVITY, json=nameless)).status_code == 400
            await client.post("/sign-in", params={"email": "jo@example.com"})
            assert (await client.post(ACTIVITY, json=nameless)).json() == {"ok": True}
            elsewhere = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
            refused = await client.post(ACTIVITY, json=nameless, headers=elsewhere)
            assert refused.json()["error"]["code"] == "not-identified"

            token = (await client.get("/capture/-/identity")).json()["identity"]
            assert token.startswith("oi1.")
            hidden = await client.get("/capture/-/identity", headers=elsewhere)
            assert "oi1." not in hidden.text

    run(test)
    (captured,) = tracking.capture_app.capture.backends.journal.latest()
    assert captured.assurance == "verified"


@pytest.mark.parametrize("resolver", [who, who_later])
def test_the_page_of_a_signed_in_user_holds_a_token(resolver: Callable[[Request], Any]) -> None:
    tracking = CaptureASGI(account(), identity=resolver)

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            assert "oi1." not in (await client.get("/")).text
            await client.post("/sign-in", params={"email": "jo@example.com"})
            (token,) = re.findall(r"oi1\.[\w.=-]+", (await client.get("/")).text)
            tracking.capture_app.capture.identify(identity=token)

    run(test)
    person = tracking.capture_app.capture.person("jo@example.com")
    assert person is not None
    assert person.assurance == "verified"


def test_a_header_that_any_page_may_send_is_not_taken_for_the_browsers_own() -> None:
    tracking = CaptureASGI(account(), identity=lambda request: Identity("jo@example.com"))
    headers = [(b"host", b"shop.example"), (b"sec_fetch_site", b"same-origin")]

    assert asyncio.run(Visit(NAMELESS, headers=headers).to(tracking)) == (400, "not-identified")


def test_a_resolver_that_fails_is_our_500_and_leaves_the_loop() -> None:
    async def fails(request: Request) -> Identity | None:
        raise LookupError("the host's own")

    tracking = CaptureASGI(account(), identity=fails)
    own = [(b"host", b"shop.example"), (b"sec-fetch-site", b"same-origin")]

    assert asyncio.run(Visit(GOOD, headers=own).to(tracking)) == (500, "internal")


def test_the_server_reports_as_who_is_signed_in_else_by_the_cookie_and_never_fails() -> None:
    capture = account()
    capture.backends.definitions.put(Definition("act:cm:paid", "Paid"))
    tracking = CaptureASGI(capture, identity=who_later)
    app = mounted(tracking)

    async def pay(request: Request) -> Response:
        done = await tracking.record(request, "act:cm:paid", event_id="order-1")
        return PlainTextResponse("none" if done is None else done.assurance)

    app.add_route("/pay", pay)

    async def test() -> None:
        async with visit(app) as client:
            assert (await client.get("/pay")).text == "none"
            client.cookies.set("ap3c", "of-another-ortto")
            assert (await client.get("/pay")).text == "none"
            client.cookies.set("ap3c", str(capture.identify(email="jo@example.com").session))
            assert (await client.get("/pay")).text == "claimed"
            await client.post("/sign-in", params={"email": "jo@example.com"})
            assert (await client.get("/pay")).text == "verified"

    run(test)


# -- the console


@pytest.mark.parametrize("resolver", [nameless, nameless_later])
def test_a_user_without_an_address_sees_pages_and_pays(
    resolver: Callable[[Request], Any],
) -> None:
    tracking = CaptureASGI(account(), identity=resolver)
    app = mounted(tracking)

    async def pay(request: Request) -> Response:
        made = await tracking.record(request, "act:cm:login")
        return PlainTextResponse(made.assurance if made else "not recorded")

    app.add_route("/pay", pay, methods=["POST"])
    session = tracking.capture_app.capture.identify(email="jo@example.com").session or ""

    async def test() -> None:
        async with visit(app) as client:
            assert "oi1." not in (await client.get("/")).text
            assert (await client.post("/pay")).text == "not recorded"
            client.cookies["ap3c"] = session
            assert (await client.post("/pay")).text == "claimed"
            assert (await client.post(ACTIVITY, json=LOGIN)).status_code == 200

    run(test)


def test_users_whom_it_takes_long_to_look_up_keep_no_one_from_the_client_s_files() -> None:
    asked, looked_up = asyncio.Event(), asyncio.Event()
    waiting = 0

    async def slow(request: Request) -> Identity | None:
        nonlocal waiting
        waiting += 1
        if waiting == THREADS:
            asked.set()
        await looked_up.wait()
        return None

    async def test() -> None:
        async with visit(mounted(CaptureASGI(account(), identity=slow))) as client:
            held = [asyncio.ensure_future(client.get("/capture/-/identity")) for _ in THREADS * "x"]
            await asked.wait()
            assert (await client.get("/capture/app.js")).status_code == 200
            assert (await client.get("/capture/-/health")).status_code == 200
            looked_up.set()
            assert {each.status_code for each in await asyncio.gather(*held)} == {200}

    run(test)


def staff(request: Request) -> bool | Response:
    if "email" not in request.session:
        return RedirectResponse(f"/login?next={request.url.path}", 303, {"X-Shop": "yes"})
    return str(request.session["email"]).endswith("@shop.example")


async def staff_later(request: Request) -> bool | Response:
    await asyncio.sleep(0)
    return staff(request)


def refused(request: Request) -> bool:
    raise HTTPException(303, headers={"Location": "/login"})


async def refused_later(request: Request) -> bool:
    return refused(request)


@pytest.mark.parametrize("guard", [refused, refused_later])
def test_the_guard_may_raise_its_answer(guard: Callable[[Request], Any]) -> None:
    tracking = CaptureASGI(account(), console_guard=guard)

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            sent = await client.get("/capture/console/")
            assert (sent.status_code, sent.headers["location"]) == (303, "/login")
            assert (await client.get("/capture/console/api/feed")).status_code == 401

    run(test)


@pytest.mark.parametrize("guard", [staff, staff_later])
def test_the_guard_lets_in_hides_or_sends_to_the_login_page(
    guard: Callable[[Request], Any],
) -> None:
    tracking = CaptureASGI(account(), console_guard=guard)

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            sent = await client.get("/capture/console/")
            assert (sent.status_code, sent.headers["x-shop"]) == (303, "yes")
            assert sent.headers["location"] == "/login?next=/capture/console/"
            assert (await client.get("/capture/console/api/feed")).status_code == 401
            await client.post("/sign-in", params={"email": "jo@example.com"})
            assert (await client.get("/capture/console/")).status_code == 404
            await client.post("/sign-in", params={"email": "ann@shop.example"})
            page = await client.get("/capture/console/")
            assert "console.js" in page.text
            assert (await client.get("/capture/console/api/feed")).status_code == 200

    run(test)


def test_the_guard_may_say_what_a_visitor_may_do_and_what_they_send_arrives() -> None:
    tracking = CaptureASGI(account(), console_guard=lambda request: ["read", "write"])

    async def test() -> None:
        async with visit(mounted(tracking)) as client:
            api, own = "/capture/console/api", {"content-type": "application/json"}
            assert (await client.get(f"{api}/me")).json()["scopes"] == ["read", "write"]
            new = {"id": "act:cm:new", "name": "New"}
            made = await client.post(f"{api}/activities", json=new, headers=own)
            assert made.status_code == 201
            tag = {"if-match": made.headers["etag"], **own}
            path = f"{api}/activities/act:cm:new"
            renamed = await client.put(path, json={**new, "name": "Newer"}, headers=tag)
            assert renamed.json()["definition"]["name"] == "Newer"

    run(test)


# -- the snippet


def page_of(app: ASGIApp, path: str = "/", **transport: Any) -> str:
    async def ask() -> str:
        served = httpx.ASGITransport(app=app, **transport)
        async with httpx.AsyncClient(transport=served, base_url=ORIGIN) as client:
            return (await client.get(path)).text

    return asyncio.run(ask())


TRACKING = CaptureASGI(account())
FAST = FastAPI()
FAST.mount("/in/capture", TRACKING)


@FAST.get("/", response_class=HTMLResponse)
def fast_home(snippet: Annotated[str, Depends(TRACKING.snippet)]) -> str:
    return snippet


@FAST.get("/strict", response_class=HTMLResponse)
def fast_strict(
    snippet: Annotated[str, Depends(TRACKING.snippet_with("shop", inline=False))],
) -> str:
    return snippet


def test_the_snippet_is_a_dependency_of_fastapi() -> None:
    assert 'src="/in/capture/app.js' in page_of(FAST)
    assert '"site"' in page_of(FAST)
    assert 'data-key="shop" data-endpoint="/in/capture"' in page_of(FAST, "/strict")
    assert 'src="/below/in/capture/app.js' in page_of(FAST, "/below/", root_path="/below")
    assert not FAST.openapi()["paths"]["/"]["get"].get("parameters")


def test_the_key_is_that_of_the_first_source() -> None:
    capture = account(sources={"shop": Source("Shop"), "blog": Source("Blog")})

    assert '"shop"' in page_of(mounted(CaptureASGI(capture)))


class Passing:
    """A middleware around a mount."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def test_the_mount_is_found_in_an_app_within_an_app_from_every_page() -> None:
    tracking = CaptureASGI(account())

    async def home(request: Request) -> Response:
        return HTMLResponse(await tracking.snippet(request))

    inner = Starlette(
        routes=[
            Mount("/capture", tracking, middleware=[Middleware(Passing)]),
            Route("/", home),
        ]
    )
    outer = Starlette(
        routes=[Route("/", home), Mount("/static", routes=[]), Mount("/inner", inner)]
    )

    assert 'src="/inner/capture/app.js' in page_of(outer)
    assert 'src="/inner/capture/app.js' in page_of(outer, "/inner/")


def test_a_page_whose_app_has_no_mount_is_refused_loudly() -> None:
    tracking = CaptureASGI(account())
    request = Request({"type": "http", "headers": [], "app": Starlette()})

    with pytest.raises(ConfigurationError, match="mount it"):
        asyncio.run(tracking.snippet(request))
    told = tracking.snippet_with(endpoint="https://shop.example/capture")
    assert "https://shop.example/capture/app.js" in asyncio.run(told(request))


def test_a_mount_below_a_path_with_a_parameter_is_refused_loudly() -> None:
    tracking = CaptureASGI(account())

    async def home(request: Request) -> Response:
        return HTMLResponse(await tracking.snippet(request))

    inner = [Route("/", home), Mount("/capture", tracking)]
    app = Starlette(routes=[Mount("/{tenant}", routes=inner)])

    with pytest.raises(ConfigurationError, match=r"/\{tenant\}/capture"):
        page_of(app, "/a/")


def test_a_page_for_a_cache_asks_who_its_visitor_is() -> None:
    tracking = CaptureASGI(account(), identity=who)

    async def test() -> None:
        app = mounted(tracking)

        async def cached(request: Request) -> Response:
            return HTMLResponse(await tracking.snippet_with(identity="host")(request))

        app.add_route("/cached", cached)
        async with visit(app) as client:
            await client.post("/sign-in", params={"email": "jo@example.com"})
            page = (await client.get("/cached")).text
            assert '{"identity": "host"}' in page
            assert "oi1." not in page

    run(test)


class Policy(BaseHTTPMiddleware):
    """Gives each page a nonce."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        request.state.csp_nonce = "r4nd0m"
        response: Response = await call_next(request)
        return response


def test_the_nonce_of_the_pages_policy_is_on_both_scripts() -> None:
    app = mounted(CaptureASGI(account()), Middleware(Policy))

    assert page_of(app).count('nonce="r4nd0m"') == 2


def with_headers(
    tracking: CaptureASGI, headers: dict[str, str], *, debug: bool = False
) -> Starlette:
    """An app whose pages have these headers, and a visitor who is signed in."""

    async def home(request: Request) -> Response:
        return HTMLResponse(await tracking.snippet(request), headers=headers)

    return Starlette(
        debug=debug,
        routes=[
            Route("/", home),
            Route("/other", PlainTextResponse("other")),
            Mount("/c", tracking),
        ],
        middleware=[Middleware(SnippetPolicyMiddleware)],
    )


def jo(request: Request) -> Identity:
    return Identity("jo@example.com")


USELESS = [
    {"Content-Security-Policy": "script-src 'self'"},
    {"Content-Security-Policy": "script-src 'nonce-other'"},
    {"Cache-Control": "public, max-age=600"},
]


@pytest.mark.parametrize("headers", USELESS)
def test_a_page_whose_own_headers_make_its_snippet_useless_is_an_error(
    headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """While its author looks on; in production the log has it, once."""
    app = with_headers(CaptureASGI(account(), identity=jo), headers)
    assert [page_of(app) for _ in "xx"]
    assert len(caplog.records) == 1

    with pytest.raises(ConfigurationError):
        page_of(with_headers(CaptureASGI(account(), identity=jo), headers, debug=True))


def test_a_page_whose_headers_are_fine_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    policy = {"Content-Security-Policy": "script-src 'self' 'unsafe-inline'"}
    app = with_headers(CaptureASGI(account()), policy, debug=True)

    assert "app.js" in page_of(app)
    assert page_of(app, "/other") == "other"
    assert caplog.records == []


def test_a_page_with_a_token_is_kept_by_no_cache_of_others() -> None:
    app = with_headers(CaptureASGI(account(), identity=jo), {"Cache-Control": "max-age=600"})

    async def test() -> None:
        async with visit(app) as client:
            assert (await client.get("/")).headers["cache-control"] == "max-age=600, private"

    run(test)


@pytest.mark.parametrize("absent", ["a2wsgi", "starlette"])
def test_without_the_extra_its_name_is_said(absent: str) -> None:
    program = f"""
import sys
sys.modules[{absent!r}] = None
import ortto_capture
try:
    import ortto_capture.contrib.asgi
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert "pip install 'ortto-capture[asgi]'" in done.stdout
