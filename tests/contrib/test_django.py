"""At home in Django: through the URL conf, what the contract says and what Django's users expect.

The law of this file: requests go through Django's own handlers, clients and middleware; what is
configured is what a project would write. The contract's table is asked through the URL conf as it
is asked of the mount, in ``test_answers``.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async

from ortto_capture import (
    ActivityType,
    Attribute,
    BackendError,
    Capture,
    Captured,
    ConfigurationError,
    Definition,
    Identity,
    InvalidAttributes,
    open_backends,
)

from ..django_project import configure

configure()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.auth.models import Permission  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.core.checks import run_checks  # noqa: E402
from django.core.exceptions import PermissionDenied  # noqa: E402
from django.core.management import call_command, execute_from_command_line  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, connections  # noqa: E402
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect  # noqa: E402
from django.template import engines  # noqa: E402
from django.template.response import TemplateResponse  # noqa: E402
from django.test import (  # noqa: E402
    AsyncClient,
    Client,
    LiveServerTestCase,
    RequestFactory,
    override_settings,
)
from django.test.utils import CaptureQueriesContext  # noqa: E402
from django.urls import include, path, set_script_prefix  # noqa: E402
from django.utils.functional import SimpleLazyObject  # noqa: E402
from django.views.decorators.cache import cache_control, cache_page  # noqa: E402

from ortto_capture.contrib.django import (  # noqa: E402
    arecord,
    capture_app,
    captured,
    record,
    snippet,
    user_pk_and_email,
)

from ..host_apps import ask  # noqa: E402
from ..services import PATIENCE, ROOT  # noqa: E402
from ..test_answers import ACTIVITY, TRACK, Fault, broken_request, check_error, ids  # noqa: E402
from ..world import World, activity, check_headers, track  # noqa: E402

SECRET = "an example secret of more than 32 bytes"
URLS = "ortto_capture.contrib.django.urls"
LOGIN, PAID = "act:cm:login", "act:cm:paid"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
JSON = "text/plain;charset=UTF-8"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
PAGE = "{% load ortto_capture %}<!doctype html>{% ortto_capture %}<h1>Shop</h1>"
POLICY = "ortto_capture.contrib.django.middleware.SnippetPolicyMiddleware"


def rendered(template: str) -> Callable[[HttpRequest], HttpResponse]:
    """A view of a template."""
    made = engines["django"].from_string(template)
    return lambda request: HttpResponse(made.render({}, request))


def pay(request: HttpRequest) -> HttpResponse:
    made = record(request, PAID, {"int:cm:price": 12})
    return HttpResponse(made.event_id if made else "not recorded")


async def pay_later(request: HttpRequest) -> HttpResponse:
    made = await arecord(request, PAID, {"int:cm:price": 12}, event_id="order-7")
    return HttpResponse(made.event_id if made else "not recorded")


async def in_a_thread(request: HttpRequest) -> Any:
    return await sync_to_async(rendered(PAGE))(request)


ROUTES = path("capture/", include(URLS))
urlpatterns = [
    path("", rendered(PAGE)),
    path("cached", rendered(PAGE.replace("capture %}<h1", 'capture identity="host" %}<h1'))),
    path("pay", pay),
    path("pay-later", pay_later),
    path("in-a-thread", in_a_thread),
    ROUTES,
]


class Shop:
    """The project as its settings are, and what it has captured."""

    def __init__(self, **setting: Any) -> None:
        self.setting = {"DATA": "memory:", "SECRET_KEYS": [SECRET]} | setting
        self.people: list[Any] = []

    @property
    def capture(self) -> Capture:
        return capture_app().capture

    @property
    def stored(self) -> list[Captured]:
        return list(self.capture.backends.journal.latest())

    def declare(self) -> None:
        self.capture.backends.definitions.declare(
            [
                Definition(LOGIN, "Logged in", client_side=True),
                Definition(PAID, "Paid", attributes=[Attribute("int:cm:price")]),
            ]
        )

    def user(self, name: str = "jo", **members: Any) -> Any:
        made = get_user_model().objects.create_user(name, f"{name}@example.com", **members)
        self.people.append(made)
        return made

    def client(self, user: Any = None, **options: Any) -> Client:
        made = Client(enforce_csrf_checks=True, **options)
        if user is not None:
            made.force_login(user)
        return made


@pytest.fixture(scope="session")
def _database() -> Iterator[None]:
    """The tables of the project, in memory."""
    call_command("migrate", verbosity=0)
    yield
    connections.close_all()


@pytest.fixture
def shop(request: pytest.FixtureRequest, _database: None) -> Iterator[Shop]:
    """The project in a test of its own; the parameter is what its setting says besides."""
    made = Shop(**getattr(request, "param", {}))
    with override_settings(
        ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE, ORTTO_CAPTURE=made.setting
    ):
        made.declare()
        yield made
        for user in made.people:
            user.delete()
    set_script_prefix("/")


def setting(**members: Any) -> pytest.MarkDecorator:
    """The test is about these members of the setting."""
    return pytest.mark.parametrize("shop", [members], indirect=True, ids=[", ".join(members)])


def post(client: Client, route: str, body: Any, **headers: str) -> Any:
    return client.post(
        f"/capture/-/events/{route}", json.dumps(body), content_type=JSON, headers=headers
    )


def identified(client: Client, email: str = "jo@example.com", **headers: str) -> str:
    answer = post(client, "track", {"email": email}, **headers)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["session"])


# -- the contract, through the URL conf


class DjangoWorld(World):
    """The world of ``test_answers``, with the routes in a URL conf of Django's."""

    def __init__(self) -> None:
        super().__init__()
        capture_app().capture = self.capture
        self.app = get_wsgi_application()


@pytest.fixture
def world(shop: Shop) -> Iterator[DjangoWorld]:
    with override_settings(ROOT_URLCONF=(path("in/capture/", include(URLS)),)):
        yield DjangoWorld()


@ids(ACTIVITY)
def test_every_fault_of_an_activity_is_answered_as_at_the_mount(
    world: DjangoWorld, first: Fault
) -> None:
    request = broken_request(world, activity, first)
    before = world.stored()

    reply = world.send(request)

    assert reply.status == first.status
    check_headers(reply)
    if first.code != "duplicate":
        check_error(reply, first, request)
    assert world.stored() == before
    world.journal.fault = world.people.fault = None
    assert world.quotas() == (world.person_left, world.ip_left)


@ids(TRACK)
def test_every_fault_of_a_track_is_answered_as_at_the_mount(
    world: DjangoWorld, first: Fault
) -> None:
    request = broken_request(world, track, first)

    reply = world.send(request)

    assert reply.status == first.status
    check_headers(reply)
    check_error(reply, first, request)


def test_the_client_and_its_preflight_come_through_unchanged(world: DjangoWorld) -> None:
    packed = {"Accept-Encoding": "gzip"}
    script = ask(world.app, "GET", "/in/capture/app.js", headers=packed)
    same = packed | {"If-None-Match": str(script.header("ETag"))}
    unchanged = ask(world.app, "GET", "/in/capture/app.js", headers=same)
    preflight = ask(world.app, "OPTIONS", "/in/capture/-/events/track")

    assert (script.status, script.header("Content-Encoding")) == (200, "gzip")
    assert script.header("Content-Type") == "text/javascript; charset=utf-8"
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert preflight.status == 204
    assert preflight.header("Access-Control-Allow-Methods") == "POST"
    check_headers(preflight)


@pytest.mark.parametrize(
    "below",
    ["nothing", "-/events/activity/", "app.js\n", "caf\u00c3\u00a9", "\xff", "../", "/app.js"],
)
def test_what_is_not_a_route_is_our_404(world: DjangoWorld, below: str) -> None:
    reply = ask(world.app, "GET", f"/in/capture/{below}")

    assert (reply.status, reply.json["error"]["code"]) == (404, "not-found")


@pytest.mark.parametrize("medium", ["memory:", "capture"])
def test_a_page_of_the_client_identifies_and_records(
    shop: Shop, medium: str, tmp_path: Path
) -> None:
    """With Django's CSRF check on, as the browser client posts."""
    with override_settings(ORTTO_CAPTURE=shop.setting | {"DATA": medium}, BASE_DIR=tmp_path):
        shop.declare()
        client = shop.client()

        session = identified(client)
        answer = post(client, "activity", {"session": session, "activity_id": LOGIN})

        assert (answer.status_code, answer.json()) == (200, {"ok": True})
        assert [each.activity_id for each in shop.stored] == [LOGIN]
        left = shop.capture.backends
    assert (tmp_path / "capture").exists() == (medium == "capture")
    if medium == "capture":
        with pytest.raises(BackendError, match="closed"):
            left.journal.latest()


def reading(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware that reads each body, as those do that log or measure."""

    def middleware(request: HttpRequest) -> HttpResponse:
        assert isinstance(request.body, bytes)
        return get_response(request)

    return middleware


def test_a_middleware_may_have_read_the_body(shop: Shop) -> None:
    with override_settings(MIDDLEWARE=[f"{__name__}.reading", *MIDDLEWARE]):
        assert identified(shop.client())


def test_the_limit_of_djangos_own_forms_is_not_ours(shop: Shop) -> None:
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert identified(shop.client())
        too_large = post(shop.client(), "track", {"email": "x" * 70_000})

    assert too_large.status_code == 413


def test_a_body_in_chunks_is_read_where_the_server_ends_it(shop: Shop) -> None:
    reply = ask(
        get_wsgi_application(),
        "POST",
        "/capture/-/events/track",
        headers={"Content-Length": None},
        stream=io.BytesIO(b'{"email": "jo@example.com"}'),
        wsgi__input_terminated=True,
    )

    assert reply.json["identified"] is True


# -- what Django puts around a view


def test_no_session_is_saved_and_no_cookie_set(shop: Shop) -> None:
    client = shop.client(shop.user())
    with override_settings(SESSION_SAVE_EVERY_REQUEST=True):
        page = client.get("/")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = post(client, "track", {"email": "jo@example.com"}, **SAME_ORIGIN)

    assert "sessionid" in page.cookies
    assert not answer.cookies
    assert not [each for each in queries if each["sql"].startswith(("UPDATE", "INSERT"))]


def test_a_stale_session_cookie_is_left_to_the_pages(shop: Shop) -> None:
    client = shop.client()
    client.cookies["sessionid"] = "ended long ago"

    answer = post(client, "track", {"email": "jo@example.com"}, **SAME_ORIGIN)

    assert answer.status_code == 200
    assert not answer.cookies


def changing(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """A middleware that writes into each session."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = request.path
        return get_response(request)

    return middleware


def test_what_the_host_itself_changed_in_a_session_is_saved(shop: Shop) -> None:
    client = shop.client()
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, f"{__name__}.changing"]):
        identified(client)

    assert client.session["seen"] == "/capture/-/events/track"


def test_a_site_that_requires_login_everywhere_still_captures(shop: Shop) -> None:
    required = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    with override_settings(MIDDLEWARE=[*MIDDLEWARE, required], LOGIN_URL="/login"):
        client = shop.client()
        assert client.get("/").status_code == 302
        assert identified(client)


def test_no_transaction_of_the_host_is_opened(shop: Shop) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        with CaptureQueriesContext(connection) as queries:
            identified(shop.client())
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False

    assert [each["sql"] for each in queries] == []


@pytest.mark.parametrize("status", [404, 200])
def test_a_refused_activity_is_not_redirected_to_a_language(shop: Shop, status: int) -> None:
    """Where ``/en/`` takes every path, Django sends each 404 there."""
    from django.conf.urls.i18n import i18n_patterns

    every = i18n_patterns(path("<path:rest>", rendered(PAGE)))
    session = identified(shop.client())
    with override_settings(ROOT_URLCONF=(ROUTES, *every)):
        client = shop.client()
        assert client.get("/elsewhere").headers["Location"] == "/en/elsewhere"
        wanted = {200: LOGIN, 404: "act:cm:unknown"}[status]

        answer = post(client, "activity", {"session": session, "activity_id": wanted})

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"


def test_what_is_refused_fills_no_log_of_the_host(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    unknown = post(shop.client(), "activity", {"activity_id": "act:cm:unknown"})
    elsewhere = shop.client().get("/elsewhere")

    assert (unknown.status_code, elsewhere.status_code) == (404, 404)
    told = [each.getMessage() for each in caplog.records if each.name == "django.request"]
    assert told == ["Not Found: /elsewhere"]


@setting(CONSOLE="staff")
def test_the_cache_of_the_whole_site_keeps_nothing_of_ours(shop: Shop) -> None:
    cached = [
        "django.middleware.cache.UpdateCacheMiddleware",
        *MIDDLEWARE,
        "django.middleware.cache.FetchFromCacheMiddleware",
    ]
    with override_settings(MIDDLEWARE=cached):
        jo, ann = shop.client(shop.user("jo")), shop.client(shop.user("ann"))
        answers = [
            client.get("/capture/-/identity", headers=SAME_ORIGIN).json()["identity"]
            for client in (jo, ann, shop.client())
        ]
        feeds = [
            see(shop.client(user), "api/feed").status_code
            for user in (shop.user("boss", is_staff=True), None)
        ]

    assert answers[0] != answers[1]
    assert answers[2] is None
    assert feeds == [200, 401]


# -- who it is


def test_who_is_signed_in_is_verified(shop: Shop) -> None:
    user = shop.user()
    client = shop.client(user)

    answer = post(client, "activity", {"activity_id": LOGIN}, **SAME_ORIGIN)

    assert answer.json() == {"ok": True}
    [stored] = shop.stored
    person = shop.capture.person(ei=str(user.pk))
    assert person is not None
    assert (stored.person_id, stored.assurance, person.email) == (person.id, "verified", None)


def test_a_visitor_who_is_not_signed_in_is_whom_the_page_names(shop: Shop) -> None:
    client = shop.client()

    anonymous = post(client, "activity", {"activity_id": LOGIN}, **SAME_ORIGIN)
    session = identified(client, **SAME_ORIGIN)
    answer = post(client, "activity", {"session": session, "activity_id": LOGIN}, **SAME_ORIGIN)

    assert anonymous.json()["error"]["code"] == "not-identified"
    assert answer.status_code == 200
    assert [each.assurance for each in shop.stored] == ["claimed"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://other.testserver"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
    ids=str,
)
def test_a_request_of_another_site_never_acts_as_the_user(
    shop: Shop, headers: dict[str, str]
) -> None:
    """``text/plain`` needs no preflight, and the browser may send the host's cookies."""
    client = shop.client(shop.user())

    answer = post(client, "activity", {"activity_id": LOGIN}, **headers)
    asked = client.get("/capture/-/identity", headers=headers)

    assert answer.json()["error"]["code"] == "not-identified"
    assert headers == {} or asked.status_code == 404
    assert shop.stored == []


@pytest.mark.parametrize("forwarded", [True, False])
def test_the_own_origin_is_what_django_takes_it_for_behind_a_proxy(
    shop: Shop, forwarded: bool
) -> None:
    client = shop.client(shop.user())
    behind = {
        "Origin": "https://shop.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "shop.example",
    }
    with override_settings(
        USE_X_FORWARDED_HOST=forwarded,
        SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https") if forwarded else None,
    ):
        answer = post(client, "activity", {"activity_id": LOGIN}, **behind)

    assert answer.status_code == (200 if forwarded else 400)


def test_a_forwarded_host_that_is_not_allowed_is_not_our_origin(shop: Shop) -> None:
    client = shop.client(shop.user())
    bad = {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}
    without_common = [each for each in MIDDLEWARE if "common" not in each]
    with override_settings(
        USE_X_FORWARDED_HOST=True, ALLOWED_HOSTS=["testserver"], MIDDLEWARE=without_common
    ):
        answer = post(client, "activity", {"activity_id": LOGIN}, **bad)

    assert answer.json()["error"]["code"] == "not-identified"


@setting(USER_IDENTITY="ortto_capture.contrib.django.user_pk_and_email")
def test_a_project_that_confirms_addresses_vouches_for_them(shop: Shop) -> None:
    user = shop.user()
    client = shop.client(user)
    named = {"person": {"email": "jo@example.com"}, "activity_id": LOGIN}

    post(client, "activity", named, **SAME_ORIGIN)

    person = shop.capture.person("jo@example.com")
    assert person is not None
    assert [(each.person_id, each.assurance) for each in shop.stored] == [(person.id, "verified")]


def test_an_address_that_is_none_leaves_the_primary_key(shop: Shop) -> None:
    request = RequestFactory().get("/")
    user = request.user = shop.user()

    for address in ("", "no address"):
        user.email = address
        assert user_pk_and_email(request) == Identity(ei=str(user.pk))
    request.user = None
    assert user_pk_and_email(request) is None


def of_a_header(request: HttpRequest) -> Identity | None:
    name = request.headers.get("X-User")
    return Identity(f"{name}@example.com") if name else None


@setting(USER_IDENTITY=of_a_header)
def test_a_project_may_know_its_users_in_its_own_way(shop: Shop) -> None:
    post(shop.client(), "activity", {"activity_id": LOGIN}, **SAME_ORIGIN, **{"X-User": "ann"})

    [stored] = shop.stored
    assert shop.capture.person("ann@example.com").id == stored.person_id  # type: ignore[union-attr]


@setting(CLIENT_IP=lambda request: request.headers["X-Real-Ip"], IP_LIMIT="1/hour")
def test_the_address_is_what_the_project_says(shop: Shop) -> None:
    client = shop.client()
    body = {"session": identified(client, **{"X-Real-Ip": "203.0.113.1"}), "activity_id": LOGIN}

    statuses = [
        post(client, "activity", body, **{"X-Real-Ip": f"203.0.113.{n}"}).status_code
        for n in (1, 1, 2)
    ]

    assert statuses == [200, 429, 200]


# -- the snippet


def test_a_page_finds_the_mount_and_carries_no_token_of_a_stranger(shop: Shop) -> None:
    page = shop.client().get("/").content.decode()

    assert '"/capture/app.js?v=' in page
    assert '"site"' in page
    assert "oi1." not in page


def test_a_page_carries_a_token_for_who_is_signed_in(shop: Shop) -> None:
    user = shop.user()
    page = shop.client(user).get("/")
    [token] = [word for word in page.content.decode().split('"') if word.startswith("oi1.")]

    session = shop.capture.identify(identity=token).session
    shop.capture.record(session, LOGIN)

    assert [each.assurance for each in shop.stored] == ["verified"]
    assert "Cookie" in page.headers["Vary"]


def test_a_page_to_be_cached_is_the_same_for_all(shop: Shop) -> None:
    pages = [shop.client(user).get("/cached") for user in (None, shop.user())]

    assert pages[0].content == pages[1].content
    assert b'"host"' in pages[0].content
    assert "Cookie" not in pages[1].headers["Vary"]


@pytest.mark.parametrize("wrapped", [False, True], ids=["django", "rest_framework"])
def test_a_page_that_django_keeps_hands_its_token_to_no_other_visitor(
    shop: Shop, wrapped: bool
) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        own = SimpleNamespace(_request=request, META=request.META, user=request.user)
        return HttpResponse(snippet(own if wrapped else request))

    cache.clear()
    with override_settings(ROOT_URLCONF=(path("", cache_page(60)(page)), ROUTES)):
        jo = shop.client(shop.user()).get("/").content
        stranger, other = (shop.client().get("/") for _ in range(2))

    assert b'"oi1.' in jo
    assert b"oi1." not in stranger.content
    assert other.headers["Expires"] == stranger.headers["Expires"]  # kept: it names no visitor


def test_the_nonce_of_django_csp_is_found(shop: Shop) -> None:
    from csp.constants import NONCE

    policy = {"DIRECTIVES": {"script-src": ["'self'", NONCE]}}
    with override_settings(
        MIDDLEWARE=["csp.middleware.CSPMiddleware", *MIDDLEWARE], CONTENT_SECURITY_POLICY=policy
    ):
        page = shop.client().get("/")

    nonce = page.headers["Content-Security-Policy"].partition("'nonce-")[2].partition("'")[0]
    assert nonce
    assert page.content.decode().count(f'nonce="{nonce}"') == 2


@pytest.mark.parametrize(("running", "asynchronous"), [("tests", True), ("production", False)])
def test_a_page_whose_policy_blocks_the_snippet_is_found(
    shop: Shop,
    running: str,
    asynchronous: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without NONCE among the sources django-csp hands out a nonce all the same."""
    if running == "tests":
        monkeypatch.setattr("django.core.mail.outbox", [], raising=False)

    def visit(sources: list[str]) -> Any:
        with override_settings(
            MIDDLEWARE=[POLICY, "csp.middleware.CSPMiddleware", *MIDDLEWARE],
            CONTENT_SECURITY_POLICY={"DIRECTIVES": {"script-src": sources}},
        ):
            if asynchronous:
                return asyncio.run(AsyncClient().get("/"))
            client = shop.client()
            assert client.get("/capture/-/health").status_code == 200  # a page without it
            assert client.get("/").status_code == 200
            return client.get("/")

    assert visit(["'self'", "'unsafe-inline'"]).status_code == 200
    if running == "tests":
        with pytest.raises(ConfigurationError, match="inline code"):
            visit(["'self'"])
    else:
        assert visit(["'self'"]).status_code == 200
        assert caplog.text.count('the page of "": ') == 1


def test_a_page_with_a_token_that_caches_may_share_is_kept_for_its_visitor(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    setting = shop.setting | {"USER_IDENTITY": of_a_header}  # without a session, nor Vary: Cookie
    public = path("", cache_control(public=True, max_age=60)(rendered(PAGE)))
    with override_settings(
        MIDDLEWARE=[POLICY], ROOT_URLCONF=(public, ROUTES), ORTTO_CAPTURE=setting
    ):
        known = shop.client().get("/", headers={"X-User": "jo"}).headers["Cache-Control"]
        unknown = shop.client().get("/").headers["Cache-Control"]

    assert (known, unknown) == ("max-age=60, private", "public, max-age=60")
    assert 'identity="host"' in caplog.text


def missing(request: HttpRequest, exception: Exception) -> HttpResponse:
    return HttpResponse(rendered(PAGE)(request).content, status=404)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return TemplateResponse(request, engines["django"].from_string("our own 403"), status=403)


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> str:
    """A URL conf with the host's own pages for 404 and 403."""
    made = ModuleType("urls_of_a_host")
    vars(made).update(urlpatterns=urlpatterns, handler404=missing, handler403=forbidden)
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made.__name__


def test_a_404_page_whose_policy_blocks_the_snippet_stays_one(
    shop: Shop, handlers: str, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(
        ROOT_URLCONF=handlers,
        MIDDLEWARE=[POLICY, "csp.middleware.CSPMiddleware", *MIDDLEWARE],
        CONTENT_SECURITY_POLICY={"DIRECTIVES": {"script-src": ["'self'"]}},
    ):
        assert shop.client().get("/elsewhere").status_code == 404

    assert "inline code" in caplog.text


def test_prefix_language_and_namespace_are_found(shop: Shop) -> None:
    from django.conf.urls.i18n import i18n_patterns

    nested = path("inner/", include(([ROUTES], "shop"), namespace="one"))
    translated = (*i18n_patterns(nested), path("", rendered(PAGE)))
    with override_settings(ROOT_URLCONF=translated, FORCE_SCRIPT_NAME="/shop"):
        app = get_wsgi_application()
        page = ask(app, "GET", "/", headers={"Accept-Language": "de"})
        script = ask(app, "GET", "/de/inner/capture/app.js")

    assert b'"/shop/de/inner/capture/app.js?v=' in page.body
    assert script.status == 200


def test_a_place_with_parameters_is_refused_by_page_route_and_check(shop: Shop) -> None:
    tenants = [
        path("<slug:tenant>/", lambda request, tenant: rendered(PAGE)(request)),
        path("<slug:tenant>/capture/", include(URLS)),
    ]
    with override_settings(ROOT_URLCONF=tuple(tenants)):
        for address in ("/ann/", "/ann/capture/app.js"):
            with pytest.raises(ConfigurationError, match=r"below .*tenant.*without parameters"):
                shop.client().get(address)

        assert "<slug:tenant>/capture/" in said()["ortto_capture.E005"]


@pytest.mark.parametrize(
    ("routes", "said"),
    [([], "does not include the routes"), ([ROUTES, path("again/", include(URLS))], "2 times")],
)
def test_a_page_without_one_place_to_report_to_is_refused(
    shop: Shop, routes: list[Any], said: str
) -> None:
    with (
        override_settings(ROOT_URLCONF=(path("", rendered(PAGE)), *routes)),
        pytest.raises(ConfigurationError, match=said),
    ):
        shop.client().get("/")


def test_the_nonce_may_be_given(shop: Shop) -> None:
    template = PAGE.replace("ortto_capture %}<h1", 'ortto_capture nonce="abc" %}<h1')
    page = rendered(template)(RequestFactory().get("/")).content.decode()

    assert page.count('nonce="abc"') == 2


def test_the_place_may_be_another_host(shop: Shop) -> None:
    request = RequestFactory().get("/")

    assert "https://a.example/c/app.js" in snippet(request, endpoint="https://a.example/c")


def test_a_template_without_a_request_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="context_processors"):
        engines["django"].from_string(PAGE).render({})


def test_a_policy_without_nonces_has_its_form(shop: Shop) -> None:
    template = PAGE.replace("ortto_capture %}<h1", 'ortto_capture "blog" inline=False %}<h1')
    page = rendered(template)(RequestFactory().get("/")).content.decode()

    assert 'data-key="blog"' in page
    assert page.count("<script") == 1


# -- the console


def see(client: Client, below: str = "") -> Any:
    return client.get(f"/capture/console/{below}", headers={"Sec-Fetch-Site": "none"})


@setting(CONSOLE="staff")
def test_staff_sees_the_console_and_others_are_sent_away_as_django_does(shop: Shop) -> None:
    with override_settings(LOGIN_URL="/login/"):
        stranger, jo = shop.client(), shop.client(shop.user())
        boss = shop.client(shop.user("boss", is_staff=True))

        assert (see(boss).status_code, see(boss, "api/feed").status_code) == (200, 200)
        assert boss.get("/capture/console").headers["Location"] == "/capture/console/"
        assert see(stranger).headers["Location"] == "/login/?next=/capture/console/"
        assert see(stranger, "api/feed").status_code == 401
        forbidden = see(jo)
    assert (forbidden.status_code, b"403 Forbidden" in forbidden.content) == (403, True)


@setting(CONSOLE="staff")
def test_staff_that_has_left_sees_no_console(shop: Shop) -> None:
    """Where a project lets users who are not active sign in."""
    every = "django.contrib.auth.backends.AllowAllUsersModelBackend"
    with override_settings(AUTHENTICATION_BACKENDS=[every]):
        assert see(shop.client(shop.user(is_staff=True, is_active=False))).status_code == 403


@setting(CONSOLE="auth.view_user")
def test_a_permission_opens_the_console(shop: Shop) -> None:
    jo, ann = shop.user(), shop.user("ann")
    users = ContentType.objects.get_for_model(get_user_model())
    jo.user_permissions.add(Permission.objects.get(codename="view_user", content_type=users))

    assert see(shop.client(jo)).status_code == 200
    assert see(shop.client(ann)).status_code == 403


@setting(CONSOLE="staff")
def test_staff_reads_and_writes_and_superusers_may_do_everything(shop: Shop) -> None:
    boss = shop.client(shop.user("boss", is_staff=True))
    root = shop.client(shop.user("root", is_staff=True, is_superuser=True))

    assert json.loads(see(boss, "api/me").content)["scopes"] == ["read", "write"]
    assert json.loads(see(root, "api/me").content)["scopes"] == ["read", "write", "erase", "pii"]
    made = boss.post(
        "/capture/console/api/activities",
        {"id": "act:cm:new", "name": "New"},
        content_type="application/json",
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    assert made.status_code == 201


@setting(CONSOLE=lambda request: ["read", "pii"])
def test_a_function_may_say_what_a_visitor_may_do(shop: Shop) -> None:
    assert json.loads(see(shop.client(), "api/me").content)["scopes"] == ["read", "pii"]


@setting(CONSOLE="staff")
def test_who_may_not_see_the_console_gets_the_hosts_own_page(shop: Shop, handlers: str) -> None:
    with override_settings(ROOT_URLCONF=handlers):
        answer = see(shop.client(shop.user()))

    assert (answer.status_code, answer.content) == (403, b"our own 403")


def denied(request: HttpRequest) -> bool:
    raise PermissionDenied


@setting(CONSOLE=denied)
def test_a_function_may_deny_as_views_do(shop: Shop) -> None:
    assert see(shop.client()).status_code == 403


def to_the_single_sign_on(request: HttpRequest) -> HttpResponse:
    answer = HttpResponseRedirect("https://login.example/")
    for name in ("first", "second"):
        answer.set_cookie(name, "here", path="/sign-on")
    return answer


@setting(CONSOLE=f"{__name__}.to_the_single_sign_on")
def test_what_a_function_answers_is_sent_and_opens_nothing(shop: Shop) -> None:
    client = shop.client(shop.user(is_staff=True))

    page = see(client)

    assert (page.status_code, page.headers["Location"]) == (302, "https://login.example/")
    assert [each["path"] for each in page.cookies.values()] == ["/sign-on", "/sign-on"]
    assert see(client, "api/feed").status_code == 401


def test_a_function_of_a_module_is_no_permission(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = ModuleType("guards")
    vars(guards).update(staff=lambda request: True)
    monkeypatch.setitem(sys.modules, guards.__name__, guards)
    with override_settings(ORTTO_CAPTURE=shop.setting | {"CONSOLE": "guards.staff"}):
        assert see(shop.client()).status_code == 200


@setting(CONSOLE=lambda request: SimpleLazyObject(lambda: True))
def test_what_only_passes_for_true_opens_nothing(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    assert {see(shop.client(), each).status_code for each in ("", "api/feed")} == {500}
    assert "is neither True, False, scopes nor a response" in caplog.text


@setting(CONSOLE="staff")
def test_a_console_for_users_says_when_there_are_none(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    without = [each for each in MIDDLEWARE if "auth" not in each]
    with override_settings(MIDDLEWARE=without):
        assert see(shop.client()).status_code == 500
        assert list(said()) == ["ortto_capture.W008"]

    assert "AuthenticationMiddleware into MIDDLEWARE" in caplog.text


@setting(CONSOLE=lambda request: "X-Boss" in request.headers)
def test_a_function_opens_the_console(shop: Shop) -> None:
    with override_settings(MIDDLEWARE=[]):  # nor need there be users
        client = shop.client()

        assert client.get("/capture/console/", headers={"X-Boss": "1"}).status_code == 200
        assert see(client).status_code == 404


def test_without_a_word_there_is_no_console(shop: Shop) -> None:
    assert see(shop.client(shop.user(is_superuser=True, is_staff=True))).status_code == 404


# -- what views record


def test_a_view_records_for_who_is_signed_in(shop: Shop) -> None:
    user = shop.user()

    answer = shop.client(user).get("/pay")

    [stored] = shop.stored
    person = shop.capture.person(ei=str(user.pk))
    assert person is not None
    assert (stored.person_id, stored.assurance, stored.source) == (person.id, "verified", "server")
    assert answer.content.decode() == stored.event_id


def test_a_view_records_for_the_visitors_own_session(shop: Shop) -> None:
    client = shop.client()
    client.cookies["ap3c"] = identified(client)

    assert client.get("/pay-later").content == b"order-7"
    assert [(each.assurance, each.event_id) for each in shop.stored] == [("claimed", "order-7")]


class Paid(ActivityType, id=PAID, name="Paid"):
    price: int


def test_a_view_may_record_a_typed_activity(shop: Shop) -> None:
    request = RequestFactory().get("/")
    request.user = shop.user()

    record(request, Paid(price=12))
    asyncio.run(arecord(request, Paid(price=13)))

    assert {each.attributes["int:cm:price"] for each in shop.stored} == {12, 13}


def test_a_refusal_breaks_no_checkout(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ortto_capture"):
        assert shop.client().get("/pay").content == b"not recorded"
    assert f"{PAID} was not recorded" in caplog.text


def of_no_address(request: HttpRequest) -> Identity:
    return Identity("")


@setting(USER_IDENTITY=of_no_address)
def test_a_user_without_an_address_sees_pages_and_pays(shop: Shop) -> None:
    client = shop.client()
    assert b"app.js" in client.get("/").content
    assert client.get("/pay").content == b"not recorded"
    client.cookies["ap3c"] = identified(client, **SAME_ORIGIN)

    assert client.get("/pay-later").content == b"order-7"


def test_ortto_s_own_cookie_is_no_session(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    client = shop.client()
    client.cookies["ap3c"] = "IGVh0-ortto-s-own"

    with caplog.at_level(logging.INFO, "ortto_capture"):
        assert client.get("/pay").content == b"not recorded"
    assert [each.levelname for each in caplog.records] == ["INFO"]


def test_a_page_may_say_nothing_of_who_is_signed_in(shop: Shop) -> None:
    request = RequestFactory().get("/")
    request.user = shop.user()

    assert "oi1." in snippet(request)
    assert "oi1." not in snippet(request, identity=None)


def test_a_view_may_want_to_know(shop: Shop) -> None:
    request = RequestFactory().get("/")
    request.user = shop.user()

    with pytest.raises(InvalidAttributes):
        record(request, PAID, {"int:cm:price": "much"}, on_refused="raise")


def test_the_signal_tells_after_the_commit(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[tuple[str, int, bool]] = []

    def receiver(captured: Captured, **_: object) -> None:
        users = get_user_model().objects.count()
        thread = threading.current_thread() is threading.main_thread()
        heard.append((captured.activity_id, users, thread))
        raise RuntimeError("of the receiver")

    user = shop.user()
    captured.connect(receiver)
    try:
        with caplog.at_level(logging.ERROR, "django.dispatch"):
            shop.client(user).get("/pay")
            assert shop.capture.flush()
    finally:
        captured.disconnect(receiver)

    assert heard == [(PAID, 1, False)]
    assert "of the receiver" in caplog.text


def test_the_signal_tells_of_an_account_that_a_test_put_in_place(shop: Shop) -> None:
    heard: list[Captured] = []

    def receiver(captured: Captured, **_: object) -> None:
        heard.append(captured)

    with open_backends("memory:") as backends:
        backends.definitions.declare(
            [Definition(PAID, "Paid", attributes=[Attribute("int:cm:price")])]
        )
        capture_app().capture = Capture(backends=backends, settings=shop.capture.settings)
        captured.connect(receiver)
        shop.client(shop.user()).get("/pay")
        assert shop.capture.flush()
        captured.disconnect(receiver)

    assert [each.activity_id for each in heard] == [PAID]


# -- ASGI


def test_djangos_async_client_identifies_and_records(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    async def visit() -> Any:
        client = AsyncClient(enforce_csrf_checks=True)
        tracked = await client.post(
            "/capture/-/events/track", '{"email": "jo@example.com"}', content_type=JSON
        )
        body = {"session": tracked.json()["session"], "activity_id": LOGIN}
        return await client.post("/capture/-/events/activity", json.dumps(body), content_type=JSON)

    assert asyncio.run(visit()).json() == {"ok": True}
    assert "several processes" not in caplog.text  # Django cannot know, and says so of each


def test_an_async_view_renders_the_snippet_in_a_thread(shop: Shop) -> None:
    client = AsyncClient()
    client.force_login(shop.user())

    page = asyncio.run(client.get("/in-a-thread"))

    assert b'"oi1.' in page.content


async def straight_away(request: HttpRequest) -> HttpResponse:
    return rendered(PAGE)(request)


def test_where_an_async_view_may_not_look_the_user_up_the_page_asks(shop: Shop) -> None:
    client = AsyncClient()
    client.force_login(shop.user())
    with override_settings(ROOT_URLCONF=(path("", straight_away), ROUTES)):
        page = asyncio.run(client.get("/"))

    assert page.status_code == 200
    assert b'"host"' in page.content


async def in_chunks() -> Any:
    yield b'{"email": '
    yield b'"jo@example.com"}'


@pytest.mark.parametrize(
    ("method", "content", "headers", "answer"),
    [
        ("POST", b'{"email": "jo@example.com"}', {}, (200, None)),
        ("POST", in_chunks, {}, (200, None)),
        ("POST", b" " * 70_000, {}, (413, "too-large")),
        ("POST", b"{}", {"Content-Type": "multipart/form-data"}, (415, "unsupported-media-type")),
        ("POST", b"{}", {"Content-Length": "9"}, (400, "incomplete")),
        ("POST", b"{", {}, (400, "bad-json")),
        ("PUT", b"{}", {}, (405, "method-not-allowed")),
        ("OPTIONS", b"", {}, (204, None)),
    ],
)
def test_asgi_holds_the_contract(
    shop: Shop, method: str, content: Any, headers: dict[str, str], answer: tuple[int, str | None]
) -> None:
    async def ask_asgi() -> httpx.Response:
        transport = httpx.ASGITransport(get_asgi_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return await client.request(
                method,
                "/capture/-/events/track",
                content=content() if callable(content) else content,
                headers={"Content-Type": JSON} | headers,
            )

    reply = asyncio.run(ask_asgi())

    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    code = reply.json()["error"]["code"] if reply.status_code >= 400 else None
    assert (reply.status_code, code) == answer


GATE = threading.Event()


@setting(CLIENT_IP=lambda request: GATE.wait(PATIENCE) and "203.0.113.1")
def test_a_request_that_waits_does_not_hold_the_loop(shop: Shop) -> None:
    GATE.clear()

    async def visit() -> tuple[int, int]:
        transport = httpx.ASGITransport(get_asgi_application())
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            waiting = asyncio.create_task(
                client.post("/capture/-/events/track", content=b'{"email": "jo@example.com"}')
            )
            health = await client.get("/capture/-/health")
            GATE.set()
            return health.status_code, (await waiting).status_code

    assert asyncio.run(visit()) == (200, 200)


def test_asgi_below_a_root_path_finds_its_place(shop: Shop) -> None:
    async def visit() -> list[str]:
        transport = httpx.ASGITransport(get_asgi_application(), root_path="/shop")
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            page = await client.get("/shop/")
            script = await client.get("/shop/capture/app.js")
            return [page.text, str(script.status_code)]

    page, script = asyncio.run(visit())
    assert '"/shop/capture/app.js?v=' in page
    assert script == "200"


class Live(LiveServerTestCase):  # type: ignore[misc]  # Django has no types
    """As a project would write it; pytest collects it from the test below."""

    __test__ = False

    def test_a_browser_reaches_it(self) -> None:
        body = {"person": {"email": "jo@example.com"}, "activity_id": LOGIN}
        answer = httpx.post(
            f"{self.live_server_url}/capture/-/events/activity",
            content=json.dumps(body),
            headers={"Content-Type": JSON},
        )
        assert answer.json() == {"ok": True}


def test_the_live_server_of_djangos_tests_has_the_routes(shop: Shop) -> None:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Live).run(result)

    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


# -- the command


def manage(*words: str) -> None:
    execute_from_command_line(["manage.py", "capture", *words])


def test_the_command_works_on_the_projects_own_account(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "set back when the test ends")
    identified(shop.client())

    call_command("capture", "activities", "list")
    manage("--settings=unused", "people", "find", "jo@example.com")

    assert LOGIN in capsys.readouterr().out


def test_the_help_of_the_command_is_its_own(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    manage("--help")

    assert "manage.py capture [OPTIONS] COMMAND" in capsys.readouterr().out


def test_a_command_that_fails_ends_with_its_code(shop: Shop) -> None:
    with pytest.raises(SystemExit) as ended:
        manage("no-such-command")

    assert ended.value.code == 2


def test_without_the_command_line_the_command_says_what_to_install(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ortto_capture.cli.embedded.find_spec", lambda name: None)

    with pytest.raises(SystemExit) as ended:
        manage("tail")

    assert ended.value.code == 3
    assert "pip install 'ortto-capture[cli]'" in capsys.readouterr().err


# -- what is wrong is said


def said(**given: Any) -> dict[str, str]:
    """What the system checks say of us: the message of each id."""
    with override_settings(**given):
        return {
            each.id: each.msg
            for each in run_checks()
            if each.id and each.id.startswith("ortto_capture")
        }


def test_a_sound_project_hears_nothing(shop: Shop) -> None:
    assert said() == {}


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({"PERSON_LIMIT": "many"}, "person_limit"),
        ({"NO_SUCH": 1}, "NO_SUCH"),
        ({"CONSOLE": "everyone"}, "CONSOLE"),
        ({"CONSOLE": "guards.staff"}, "permission of an installed app"),
        ({"CONSOLE": "auth.get_user"}, "may be a permission or django.contrib.auth.get_user"),
        ({"CONSOLE": pay_later}, "CONSOLE"),
        ({"USER_IDENTITY": "no.such.function"}, "USER_IDENTITY"),
        ({"CLIENT_IP": 1}, "CLIENT_IP"),
        ({"CLIENT_IP": pay_later}, "CLIENT_IP"),
        ({"AT": "/capture"}, "AT"),
        ([], "ORTTO_CAPTURE"),
    ],
)
def test_a_wrong_setting_is_named(shop: Shop, value: Any, word: str) -> None:
    found = said(ORTTO_CAPTURE=value)

    assert list(found) == ["ortto_capture.E001"]
    assert word in found["ortto_capture.E001"]
    with override_settings(ORTTO_CAPTURE=value), pytest.raises(ConfigurationError):
        capture_app()


def test_data_that_cannot_be_written_is_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    found = said(ORTTO_CAPTURE={"DATA": tmp_path / "file" / "capture"})

    assert str(tmp_path / "file") in found["ortto_capture.E002"]


LOOKS = """
import os, sys
from tests.django_project import configure
configure()
from django.core.checks import run_checks
from django.test import override_settings
def look(data):
    with override_settings(ORTTO_CAPTURE={"DATA": data}, ROOT_URLCONF=sys.argv[2]):
        return [each.id for each in run_checks() if each.id and "ortto" in each.id]
look(os.path.dirname(sys.argv[1]))
if os.geteuid() == 0:
    os.setuid(65534)
print(look(sys.argv[1]))
"""


@pytest.mark.parametrize("below", ["", "deeper", "activities.json"])
def test_data_of_another_user_is_named(below: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        data = Path(made, "data")
        data.mkdir()
        Path(made).chmod(0o755)
        if below == "activities.json":
            (data / below).touch(0)
            data.chmod(0o777)
        else:
            data.chmod(0)
        looked_at = data / below if below == "deeper" else data
        ended = subprocess.run(
            [sys.executable, "-c", LOOKS, str(looked_at), URLS],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        data.chmod(0o700)

    assert ended.stdout == "['ortto_capture.E002']\n", ended.stderr


def test_looking_makes_no_directory(shop: Shop, tmp_path: Path) -> None:
    assert said(ORTTO_CAPTURE={"DATA": tmp_path / "new" / "capture"}) == {}
    assert list(tmp_path.iterdir()) == []


def test_broken_definitions_are_named(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "activities.json").write_text("{")

    assert "activities.json" in said(ORTTO_CAPTURE={"DATA": tmp_path})["ortto_capture.E003"]


def test_routes_that_are_not_included_or_twice_are_named(shop: Shop) -> None:
    assert list(said(ROOT_URLCONF=())) == ["ortto_capture.W004"]
    assert list(said(ROOT_URLCONF=(ROUTES, ROUTES))) == ["ortto_capture.E005"]


def test_a_project_without_pages_misses_no_routes(shop: Shop) -> None:
    """A worker of a queue, for example."""
    with override_settings():
        del settings.ROOT_URLCONF
        assert said() == {}


def test_routes_that_are_elsewhere_in_each_language_are_named(shop: Shop) -> None:
    from django.conf.urls.i18n import i18n_patterns

    assert list(said(ROOT_URLCONF=tuple(i18n_patterns(ROUTES)))) == ["ortto_capture.W007"]


def test_a_proxy_without_the_visitors_address_is_named(shop: Shop) -> None:
    behind = {"USE_X_FORWARDED_HOST": True}

    assert list(said(**behind)) == ["ortto_capture.W006"]
    assert said(**behind, ORTTO_CAPTURE=shop.setting | {"CLIENT_IP": of_a_header}) == {}


def test_without_django_the_import_says_what_to_install() -> None:
    program = "import sys; sys.modules['django'] = None; import ortto_capture.contrib.django"
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert ended.returncode == 1
    assert "pip install 'ortto-capture[django]'" in ended.stderr
