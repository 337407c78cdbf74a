"""Each framework's apps and clients, as its users write them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from werkzeug.local import LocalProxy
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from ortto_capture import Capture, CaptureApp, Identity, Settings, mount, open_backends
from ortto_capture.contrib.asgi import CaptureASGI
from ortto_capture.testing import LiveCapture, TestCapture
from ortto_capture.testing.clients import url_of

from ..django_project import configure
from .shop import LOGIN, create_app

configure()

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import AsyncClient, override_settings  # noqa: E402
from django.test import Client as DjangoClient  # noqa: E402
from django.urls import include, path  # noqa: E402

from ortto_capture.contrib.django import capture_app  # noqa: E402
from ortto_capture.contrib.django.place import place  # noqa: E402

PAGE = '<script>ap3c.activity({activity_id: "act:cm:login"})</script><script src="s.js"></script>'
CODE = 'ap3c.activity({activity_id: "act:cm:login", attributes: {"int:x:y": 1}})'


def own() -> Capture:
    """An app's own account, which no test may write to."""
    backends = open_backends("memory:")
    backends.definitions.declare([LOGIN])
    return Capture(
        backends=backends, settings=Settings(secret_keys=["the app's own secret of 32 bytes"])
    )


def flask_app(at: str = "/capture") -> Flask:
    app = create_app(at)
    app.add_url_rule("/cart/", view_func=lambda: PAGE, endpoint="cart")
    app.add_url_rule("/cart/s.js", view_func=lambda: CODE, endpoint="code")
    return app


def starlette_app() -> Starlette:
    async def cart(request: Request) -> Response:
        return HTMLResponse(PAGE)

    async def code(request: Request) -> Response:
        return HTMLResponse(CODE)

    tracking = Mount("/below", routes=[Mount("/track", CaptureASGI(own()))])
    return Starlette(routes=[Route("/cart/", cart), Route("/cart/s.js", code), tracking])


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.mount("/capture", CaptureASGI(own()))
    app.mount("/", starlette_app())
    return app


def cart(request: HttpRequest) -> HttpResponse:
    return StreamingHttpResponse([PAGE])


def code(request: HttpRequest) -> HttpResponse:
    return HttpResponse(CODE.encode("latin-1"), content_type="text/javascript; charset=latin-1")


def one(request: HttpRequest) -> HttpResponse:
    return HttpResponse(f'<script src="{request.GET["s"]}"></script>')


urlpatterns = [
    path("one/", one),
    path("cart/", cart),
    path("cart/s.js", code),
    path("track/", include("ortto_capture.contrib.django.urls")),
]


def flask_client(capture: TestCapture) -> Any:
    capture.use(app := flask_app())
    return app.test_client()


def named_flask_client(capture: TestCapture) -> Any:
    capture.use(app := flask_app("/t"))
    app.config["SERVER_NAME"] = "shop.example:8080"
    return app.test_client()


def wrapped_client(capture: TestCapture) -> Any:
    app = flask_app()
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]
    capture.use(app)
    return Client(app)


def httpx_client(capture: TestCapture) -> Any:
    capture.use(app := flask_app())
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="https://shop.example")


def starlette_client(capture: TestCapture) -> Any:
    capture.use(app := starlette_app())
    return TestClient(app)


def fastapi_client(capture: TestCapture) -> Any:
    app = fastapi_app()
    capture.use(GZipMiddleware(app))
    return TestClient(app)


def django_client(capture: TestCapture) -> Any:
    capture.define(LOGIN)
    capture.use(capture_app(), at=place)
    return DjangoClient()


@pytest.fixture(
    params=[
        flask_client,
        named_flask_client,
        wrapped_client,
        httpx_client,
        starlette_client,
        fastapi_client,
        django_client,
    ],
    ids=lambda make: make.__name__.removesuffix("_client"),
)
def client(request: pytest.FixtureRequest, capture: TestCapture) -> Iterator[Any]:
    """A client of an app that reports to ``capture``."""
    with override_settings(ROOT_URLCONF=__name__):
        make: Callable[[TestCapture], Any] = request.param
        yield make(capture)


def test_an_identified_client_reports(capture: TestCapture, client: Any) -> None:
    capture.identify(client, "jo@example.com")

    capture.activity(client, "act:cm:login")

    [captured] = capture.assert_recorded("act:cm:login", email="jo@example.com", times=1)
    assert captured.assurance == "verified"


def test_another_person_takes_over_the_client(capture: TestCapture, client: Any) -> None:
    capture.identify(client, "jo@example.com")
    capture.identify(client, "al@example.com", verified=False)

    assert capture.activity(client, "act:cm:login").assurance == "claimed"
    capture.assert_recorded("act:cm:login", email="al@example.com", times=1)


def test_pages_and_their_scripts_are_read(capture: TestCapture, client: Any) -> None:
    capture.assert_page_reports(client.get("/cart/"), "act:cm:login")

    with pytest.raises(AssertionError, match=r"s\.js, line 1: act:cm:login declares no attribute"):
        capture.assert_page_reports(client.get("/cart/"), "act:cm:login", client=client)


def test_an_answer_tells_the_address_that_it_is_of(capture: TestCapture, client: Any) -> None:
    answer = client.get("/cart/")
    address = urlsplit(url_of(answer))
    assert address.netloc
    assert address.path == "/cart/"


STATICFILES = ["django.contrib.staticfiles", "ortto_capture.contrib.django"]


@pytest.mark.parametrize(
    ("installed", "source", "found"),
    [
        (STATICFILES, "/static/s.js?v=1", "s.js?v=1, line 1: act:cm:login declares no attribute"),
        (STATICFILES, "http://testserver/static/s.js", "s.js, line 1: act:cm:login declares no"),
        (STATICFILES, "/static/gone.js", "line 1: the script /static/gone.js was answered 404"),
        (STATICFILES, "/static/", "line 1: the script /static/ was answered 404"),
        (STATICFILES, "/s.js", "line 1: the script /s.js was answered 404"),
        (STATICFILES[1:], "/static/s.js", "line 1: the script /static/s.js was answered 404"),
    ],
)
def test_static_files_of_django_are_read_where_django_finds_them(
    capture: TestCapture, tmp_path: Path, installed: list[str], source: str, found: str
) -> None:
    """Its test client does not serve them."""
    code = "ap3c.activity({activity_id: 'act:cm:login', attributes: {x: 1}})"
    tmp_path.joinpath("s.js").write_text(code)

    with override_settings(
        ROOT_URLCONF=__name__, INSTALLED_APPS=installed, STATICFILES_DIRS=[tmp_path]
    ):
        client = django_client(capture)
        with pytest.raises(AssertionError, match=re.escape(found)):
            capture.assert_page_reports(client.get("/one/", {"s": source}), client=client)


def test_a_login_of_the_host_is_asked_as_for_the_app_s_own_pages(capture: TestCapture) -> None:
    app = Flask("shop")
    tracking = CaptureApp(own(), identity=lambda environ: Identity("jo@example.com"))
    app.wsgi_app = mount(app.wsgi_app, tracking, at="/capture")  # type: ignore[method-assign, assignment]
    capture.use(app)

    assert capture.activity(app.test_client(), "act:cm:login").assurance == "verified"


@pytest.mark.parametrize("make", [httpx.AsyncClient, AsyncClient], ids=["httpx", "django"])
def test_a_client_for_coroutines_is_identified_and_cannot_report(
    capture: TestCapture, make: Callable[[], Any]
) -> None:
    capture.use(flask_app())
    client = make()
    capture.identify(client, "jo@example.com")

    assert client.cookies["ap3c"]
    with pytest.raises(TypeError, match="AsyncClient is one for coroutines"):
        capture.activity(client, "act:cm:login")


@pytest.mark.parametrize("client", [object(), 5, DjangoClient])
def test_what_is_no_client_is_named(capture: TestCapture, client: object) -> None:
    with pytest.raises(TypeError, match="is no test client that is known"):
        capture.identify(client, "jo@example.com")


@pytest.mark.parametrize("page", [None, 5, object()])
def test_what_is_no_page_is_named(capture: TestCapture, page: object) -> None:
    with pytest.raises(TypeError, match="is no response with a text"):
        capture.assert_page_reports(page)


def test_a_page_may_be_bytes_or_come_from_a_browser(capture: TestCapture) -> None:
    capture.define(LOGIN)

    class Page:
        url = "http://127.0.0.1/cart/"

        def content(self) -> str:
            return PAGE

    class Raw:
        content = PAGE.encode()

    for page in (Page(), Raw()):
        capture.assert_page_reports(page, "act:cm:login")


# -- where apps keep what is in them


def around(app: object) -> Any:
    """A middleware as people write one."""

    def answer() -> object:
        return app

    return answer


@pytest.mark.parametrize(
    "wrap",
    [
        lambda app: app,
        ProxyFix,
        around,
        lambda app: around(around(ProxyFix(app))),
        lambda app: mount(around(app), CaptureApp(own()), at="/other"),
    ],
    ids=["itself", "middleware", "closure", "several", "two mounts"],
)
def test_the_capture_app_is_found_within_what_stands_around_it(
    capture: TestCapture, wrap: Callable[[Any], object]
) -> None:
    mounted = CaptureApp(own())
    before = mounted.capture
    capture.use(wrap(mount(around(None), mounted, at="/t")))

    assert mounted.capture is capture
    capture.close()
    assert mounted.capture is before


class Nested:
    """An app that leads to another one, without end."""

    @property
    def app(self) -> object:
        return Nested()


def looped() -> object:
    inner: list[object] = []
    app = around(inner)
    inner.append(app)
    return app


def unbound() -> object:
    raise RuntimeError("no request")


@pytest.mark.parametrize(
    "app",
    [
        Flask("empty"),
        Starlette(),
        FastAPI(),
        None,
        "shop:app",
        Nested(),
        looped(),
        around(LocalProxy(unbound)),
        SimpleNamespace(capture=TestCapture()),
    ],
    ids=["flask", "starlette", "fastapi", "none", "text", "endless", "loop", "proxy", "account"],
)
def test_an_app_without_a_capture_app_is_named(capture: TestCapture, app: object) -> None:
    with pytest.raises(TypeError, match="no capture app was found in"):
        capture.use(app)


# -- on a port


@pytest.mark.parametrize("make", [flask_app, fastapi_app, starlette_app])
def test_an_app_of_any_kind_is_served(capture: TestCapture, make: Callable[[], Any]) -> None:
    capture.use(make())
    live = LiveCapture(capture)
    with httpx.Client(base_url=live.url) as client:
        assert client.get("/cart/").text == PAGE
        capture.identify(client, "jo@example.com")
        capture.activity(client, "act:cm:login")
    live.close()

    live.wait_for("act:cm:login", email="jo@example.com")
