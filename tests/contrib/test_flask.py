"""The extension in a shop as people write them: Flask-Login, templates, blueprints, policies.

The law of this file: apps are made by ``shop``, each with a memory of its own, and asked as a
browser asks. What arrives is read off the account.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from operator import itemgetter
from pathlib import Path
from typing import Any

import flask_login
import pytest
from flask import Blueprint, Flask, Response, abort, g, redirect, render_template_string, session
from flask.testing import FlaskClient
from flask_talisman import Talisman
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, TestResponse

from ortto_capture import (
    ActivityType,
    Capture,
    CaptureApp,
    Captured,
    ConfigurationError,
    Definition,
    Identity,
    NotIdentified,
    UnknownActivity,
    open_backends,
)
from ortto_capture.contrib.flask import FlaskCapture, captured

SECRET = "an example secret of more than 32 bytes"
MEMORY = {"data": "memory:", "secret_keys": [SECRET]}
SEEN = Definition("act:cm:seen", "Seen", client_side=True)
PAID = Definition("act:cm:paid", "Paid", attributes=["int:cm:price"])
#: What browsers say of a request that a page of the same origin makes.
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
JO = "jo@example.com"


class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, email: str) -> None:
        self.id = self.email = email
        self.is_staff = email.startswith("staff@")


def signed_in() -> Identity | None:
    user = flask_login.current_user
    return Identity(user.email) if user.is_authenticated else None


def is_staff() -> bool:
    return bool(flask_login.current_user.is_authenticated and flask_login.current_user.is_staff)


def shop(capture: FlaskCapture | None = None, **config: Any) -> Flask:
    """An app with a login, in which ``capture`` is not yet put."""
    app = Flask("shop")
    app.secret_key = "a secret of the host"
    app.config["ORTTO_CAPTURE"] = MEMORY | config
    manager = flask_login.LoginManager(app)
    manager.login_view = "login"
    manager.user_loader(User)

    @app.route("/login")
    def login() -> str:
        return "Who are you?"

    @app.post("/login/<email>")
    def enter(email: str) -> str:
        flask_login.login_user(User(email))
        return "Welcome"

    @app.get("/")
    def home() -> str:
        return render_template_string("<head>{{ ortto_capture() }}</head>")

    if capture is not None:
        capture.init_app(app)
    return app


def extension(**options: Any) -> FlaskCapture:
    return FlaskCapture(definitions=[SEEN, PAID], **options)


class Sold(ActivityType):
    """A definition as a class."""


def with_login() -> FlaskCapture:
    capture = extension()
    capture.identity(signed_in)
    capture.console_guard(is_staff)
    return capture


def account(app: Flask) -> Capture:
    found: CaptureApp = app.extensions["ortto_capture"]
    return found.capture


def visitor(app: Flask, email: str | None = None) -> FlaskClient:
    client = app.test_client()
    if email is not None:
        assert client.post(f"/login/{email}").text == "Welcome"
    return client


def report(client: Client, *, at: str = "/capture", **headers: str) -> TestResponse:
    """What a page does with ``ap3c.activity``."""
    body = b'{"activity_id":"act:cm:seen"}'
    given = {"Content-Type": "text/plain", **headers}
    return client.post(f"{at}/-/events/activity", data=body, headers=given)


def arrived(capture: Capture) -> list[tuple[str, str, str | None]]:
    """Which activities of whom, and how they were proved."""
    people = capture.backends.people
    return [
        (
            each.activity_id,
            each.activity.assurance,
            (person := people.get(each.person_id)) and person.email,
        )
        for each in capture.backends.journal.latest()
    ]


def scripts(page: str) -> list[str]:
    return re.findall(r"<script[^>]*>", page)


# -- the snippet finds its place


def test_a_definition_may_be_given_as_a_class() -> None:
    app = shop(FlaskCapture(definitions=[Sold, SEEN]))

    assert list(account(app).backends.definitions.all()) == [SEEN, Sold.definition]


def test_a_page_loads_the_client_from_where_it_is_mounted() -> None:
    app = shop(extension(), at="/seen", sources={"shop": {"name": "The shop"}})
    page = app.test_client().get("/").text

    [address] = re.findall(r'src="(/seen/app\.js[^"]*)"', page)
    assert '"shop"' in page
    assert app.test_client().get(address).status_code == 200


def test_a_page_below_a_prefix_loads_the_client_from_below_it() -> None:
    client = Client(DispatcherMiddleware(Flask("other"), {"/shop": shop(extension())}))
    [address] = re.findall(r'src="(/shop/capture/app\.js[^"]*)"', client.get("/shop/").text)

    assert client.get(address).status_code == 200
    assert client.get("/capture/app.js").status_code == 404


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_a_proxy_says_is_known_whenever_proxy_fix_was_applied(order: str) -> None:
    app = shop()
    if order == "before":
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    capture = with_login()
    capture.init_app(app)
    if order == "after":
        app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    client = visitor(app, JO)
    proxied = {"X-Forwarded-Prefix": "/shop", "X-Forwarded-For": "203.0.113.9"}

    page = client.get("/", headers=proxied).text
    assert 'src="/shop/capture/app.js' in page
    assert report(client, **proxied, **SAME_ORIGIN).status_code == 200
    assert account(app).warnings == []


def test_pages_of_blueprints_have_the_same_snippet() -> None:
    app = shop(extension())
    pages = Blueprint("pages", __name__, url_prefix="/pages")
    pages.add_url_rule("/one", view_func=lambda: render_template_string("{{ ortto_capture() }}"))
    app.register_blueprint(pages)

    assert 'src="/capture/app.js' in app.test_client().get("/pages/one").text


def test_a_view_can_ask_for_the_snippet_of_another_key() -> None:
    capture = extension()
    app = shop(capture)
    app.add_url_rule("/blog", view_func=lambda: capture.snippet("blog", inline=False))

    assert 'data-key="blog"' in app.test_client().get("/blog").text


# -- and the nonce


@pytest.mark.parametrize("inline", [True, False])
def test_the_nonce_of_talisman_is_on_every_script(inline: bool) -> None:
    app = shop(extension())
    policy = {"script-src": "'strict-dynamic'", "default-src": "'self'"}
    nonces = {"content_security_policy_nonce_in": ["script-src"]}
    Talisman(app, content_security_policy=policy, force_https=False, **nonces)
    source = "{{ ortto_capture(inline=inline) }}"
    app.add_url_rule("/x", view_func=lambda: render_template_string(source, inline=inline))

    answer = app.test_client().get("/x")
    [nonce] = re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"])
    assert len(scripts(answer.text)) == 1 + inline
    assert all(f'nonce="{nonce}"' in each for each in scripts(answer.text))


def test_talisman_without_nonces_needs_none() -> None:
    app = shop(extension())
    Talisman(app, content_security_policy=None, force_https=False)

    assert "nonce" not in "".join(scripts(app.test_client().get("/").text))


def test_a_nonce_that_only_the_template_knows_is_found() -> None:
    app = shop(extension())
    app.context_processor(lambda: {"csp_nonce": "n0nce"})
    source = "{{ ortto_capture() }}{{ ortto_capture(nonce='0ther') }}"
    app.add_url_rule("/x", view_func=lambda: render_template_string(source))

    found = re.findall(r'nonce="(\w+)"', app.test_client().get("/x").text)
    assert found == ["n0nce", "n0nce", "0ther", "0ther"]


def strict(app: Flask) -> None:
    Talisman(app, content_security_policy={"default-src": "'self'"}, force_https=False)


@pytest.mark.parametrize("mode", ["TESTING", "DEBUG"])
def test_a_page_whose_policy_blocks_the_snippet_is_refused_where_it_is_made(mode: str) -> None:
    app = shop(extension())
    strict(app)
    app.config[mode] = True

    with pytest.raises(ConfigurationError, match="default-src does not let inline code run"):
        app.test_client().get("/")


def test_in_production_it_is_served_and_the_log_says_once_that_it_reports_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for app in (shop(extension()), shop(extension())):
        strict(app)
        for _ in range(2):
            assert app.test_client().get("/").status_code == 200
    # Of each app.
    assert [each.getMessage().partition(":")[0] for each in caplog.records] == ["home"] * 2


def test_the_external_form_is_for_policies_without_nonces() -> None:
    app = shop(extension())
    strict(app)
    app.config["TESTING"] = True
    source = "{{ ortto_capture(inline=False) }}"
    app.add_url_rule("/x", view_func=lambda: render_template_string(source))

    assert len(scripts(app.test_client().get("/x").text)) == 1


# -- who is signed in


def test_a_page_vouches_for_who_is_signed_in_and_for_no_other() -> None:
    app = shop(with_login())

    assert "oi1." not in visitor(app).get("/").text
    [token] = re.findall(r"oi1\.[\w.-]+", visitor(app, JO).get("/").text)
    account(app).record(None, "act:cm:seen", identity=token)
    assert arrived(account(app)) == [("act:cm:seen", "verified", JO)]


def test_a_cached_page_holds_no_person_and_asks_the_host() -> None:
    app = shop(with_login())
    source = "{{ ortto_capture(identity='host') }}|{{ ortto_capture(identity=none) }}"
    app.add_url_rule("/x", view_func=lambda: render_template_string(source))

    cached, silent = visitor(app, JO).get("/x").text.split("|")
    assert "oi1." not in cached + silent
    assert '"host"' in cached
    assert '"host"' not in silent
    answer = visitor(app, JO).get("/capture/-/identity", headers=SAME_ORIGIN)
    assert str(answer.get_json()["identity"]).startswith("oi1.")
    assert visitor(app).get("/capture/-/identity", headers=SAME_ORIGIN).json == {"identity": None}


def cached_for_all(capture: FlaskCapture) -> Flask:
    """A page that any cache may keep, whose login is no cookie."""
    capture.identity(lambda: Identity(JO))
    app = Flask("cached")
    app.config["ORTTO_CAPTURE"] = MEMORY
    capture.init_app(app)
    app.add_url_rule("/", view_func=capture.snippet)

    @app.after_request
    def keep(response: Response) -> Response:
        response.headers["Cache-Control"] = "public, max-age=60"
        return response

    return app


def test_a_page_that_hands_one_visitors_token_to_others_is_refused_where_it_is_made() -> None:
    app = cached_for_all(extension())
    app.config["TESTING"] = True

    with pytest.raises(ConfigurationError, match='identity="host"'):
        app.test_client().get("/")


def test_in_production_such_a_page_is_kept_out_of_caches(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = cached_for_all(extension()).test_client().get("/")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "max-age=60, private")
    assert "caches may keep the page" in caplog.text


def test_asking_a_host_that_does_not_say_who_is_refused() -> None:
    app = shop(extension())
    with app.test_request_context(), pytest.raises(ConfigurationError, match="register it"):
        render_template_string("{{ ortto_capture(identity='host') }}")


def test_who_is_signed_in_is_verified_on_the_hosts_own_pages_only() -> None:
    app = shop(with_login())
    client = visitor(app, JO)

    assert report(client, **SAME_ORIGIN).status_code == 200
    assert report(client, **CROSS_SITE).get_json()["error"]["code"] == "not-identified"
    assert report(visitor(app), **SAME_ORIGIN).get_json()["error"]["code"] == "not-identified"
    assert arrived(account(app)) == [("act:cm:seen", "verified", JO)]


def test_without_a_function_that_says_who_a_login_counts_for_nothing() -> None:
    app = shop(extension())

    assert report(visitor(app, JO), **SAME_ORIGIN).get_json()["error"]["code"] == "not-identified"


def test_a_coroutine_may_say_who() -> None:
    capture = extension()

    @capture.identity
    async def who() -> Identity | None:
        return signed_in()

    client = visitor(shop(capture), JO)
    # In a thread, as servers have them: in that of a browser's driver an event loop is running.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(report, client, **SAME_ORIGIN).result().status_code == 200


def test_the_host_is_asked_within_a_request_of_its_own_that_ends_before_the_answer() -> None:
    capture = extension()
    app = shop(capture)
    told: list[str] = []

    @capture.identity
    def who() -> Identity | None:
        from flask import request

        told.append(f"{request.method} {request.script_root}{request.path} {request.data!r}")
        g.database = "open"
        session["visits"] = 1
        return Identity(JO)

    @app.before_request
    def before() -> None:
        told.append("before")

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        told.append(f"closed {g.pop('database', None)}")

    answer = report(app.test_client(), **SAME_ORIGIN)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert told == ["POST /capture/-/events/activity b''", "closed open"]


def test_what_says_who_may_be_asked_for_a_page_too() -> None:
    app = shop(with_login())
    found: list[Identity | None] = []
    capture_app: CaptureApp = app.extensions["ortto_capture"]

    @app.get("/x")
    def view() -> str:
        from flask import request

        found.append(capture_app.host_identity(request.environ))
        return ""

    visitor(app, JO).get("/x")
    assert found == [Identity(JO)]


# -- the console


def console(client: Client, path: str = "/") -> TestResponse:
    return client.get(f"/capture/console{path}")


def test_the_activity_page_is_for_those_whom_the_guard_lets_in() -> None:
    app = shop(with_login())

    assert "console.js" in console(visitor(app, "staff@example.com")).text
    assert console(visitor(app, "staff@example.com"), "/api/feed").get_json()["rows"] == []
    refused = console(visitor(app, JO))
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (404, "not-found")


def test_a_visitor_who_is_not_signed_in_is_sent_to_the_login_page_and_comes_back() -> None:
    answer = console(visitor(shop(with_login())))

    assert answer.status_code == 302
    assert answer.location == "/login?next=%2Fcapture%2Fconsole%2F"


def test_below_a_prefix_the_login_page_is_below_it_too() -> None:
    client = Client(DispatcherMiddleware(Flask("other"), {"/shop": shop(with_login())}))

    answer = client.get("/shop/capture/console/")
    assert answer.location == "/shop/login?next=%2Fshop%2Fcapture%2Fconsole%2F"


def test_the_login_page_finds_in_the_session_what_it_needs() -> None:
    app = shop(with_login())
    app.config["USE_SESSION_FOR_NEXT"] = True
    client = visitor(app)

    assert console(client).location == "/login"
    with client.session_transaction() as kept:
        assert kept["next"] == "/capture/console/"


def test_a_script_that_asks_for_data_is_told_that_it_is_signed_out() -> None:
    assert console(visitor(shop(with_login())), "/api/feed").status_code == 401


def test_such_a_script_does_not_change_where_the_visitor_goes_after_signing_in() -> None:
    app = shop(with_login())
    app.config["USE_SESSION_FOR_NEXT"] = True
    client = visitor(app)

    console(client)
    assert console(client, "/api/feed").status_code == 401
    with client.session_transaction() as kept:
        assert kept["next"] == "/capture/console/"


def test_there_is_no_activity_page_without_a_guard() -> None:
    assert console(visitor(shop(extension()), "staff@example.com")).status_code == 404


def test_without_flask_login_there_is_no_login_page_to_send_to() -> None:
    capture = extension()
    capture.console_guard(lambda: False)
    app = Flask("shop")
    app.config["ORTTO_CAPTURE"] = MEMORY
    capture.init_app(app)

    assert console(app.test_client()).status_code == 404


def test_a_response_of_the_guard_is_given_with_the_hosts_own_headers() -> None:
    capture = extension()
    capture.console_guard(lambda: redirect("/elsewhere"))
    app = shop(capture)

    @app.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Host"] = "shop"
        return response

    answer = console(visitor(app, JO))
    assert (answer.status_code, answer.location) == (302, "/elsewhere")
    assert answer.headers["X-Host"] == "shop"


def test_what_the_guard_aborts_with_is_the_hosts_own_error_page() -> None:
    capture = extension()
    capture.console_guard(lambda: abort(403))
    app = shop(capture)
    app.register_error_handler(403, lambda error: ("Not for you", 403))

    answer = console(visitor(app, JO))
    assert (answer.status_code, answer.text) == (403, "Not for you")


def test_a_login_manager_without_a_page_answers_as_it_does_elsewhere() -> None:
    app = shop(with_login())
    app.login_manager.login_view = None  # type: ignore[attr-defined]

    assert console(visitor(app)).status_code == 401


def test_a_login_page_that_the_app_does_not_have_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = shop(with_login())
    app.login_manager.login_view = "sign-in"  # type: ignore[attr-defined]

    assert console(visitor(app)).status_code == 404
    assert "login_view: there is no sign-in" in caplog.text


def test_the_guard_may_be_decorated_like_a_view() -> None:
    capture = extension()
    capture.console_guard(flask_login.login_required(is_staff))
    app = shop(capture)

    assert console(visitor(app)).location == "/login?next=%2Fcapture%2Fconsole%2F"
    assert console(visitor(app, JO)).status_code == 404
    assert console(visitor(app, "staff@example.com")).status_code == 200


@pytest.mark.parametrize("answer", [("Please sign in", 401), "staff", 1])
def test_a_guard_that_returns_anything_else_lets_no_one_in_and_the_log_says_what(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    capture = extension()
    capture.console_guard(lambda: answer)

    assert console(visitor(shop(capture), JO)).status_code == 500
    said = f"returned {type(answer).__name__}: True, False, scopes or a response"
    assert said in caplog.text


@pytest.mark.parametrize("scopes", [["read"], {"read", "write"}])
def test_a_guard_may_return_what_a_visitor_may_do(scopes: Any) -> None:
    capture = extension()
    capture.console_guard(lambda: scopes)
    client = visitor(shop(capture), JO)

    assert set(json.loads(console(client, "/api/me").data)["scopes"]) == set(scopes)
    new = {"id": "act:cm:new", "name": "New"}
    own = {"Sec-Fetch-Site": "same-origin"}
    made = client.post("/capture/console/api/activities", json=new, headers=own)
    assert made.status_code == (201 if "write" in scopes else 403)


# -- what a view records


@pytest.fixture
def checkout() -> Flask:
    capture = with_login()
    app = shop(capture)

    @app.post("/pay")
    def pay() -> str:
        found = capture.record("act:cm:paid", {"int:cm:price": 12}, event_id="order-1")
        return found.activity.assurance if found else "not recorded"

    return app


def test_a_view_records_what_pages_may_not_send(checkout: Flask) -> None:
    assert visitor(checkout, JO).post("/pay").text == "verified"
    [paid] = account(checkout).backends.journal.latest()
    assert (paid.activity.source, paid.attributes) == ("server", {"int:cm:price": 12})


def test_a_view_knows_a_visitor_by_the_cookie_of_the_client(checkout: Flask) -> None:
    client = visitor(checkout)
    client.set_cookie("ap3c", account(checkout).identify(email=JO).session or "")

    assert client.post("/pay").text == "claimed"
    assert arrived(account(checkout)) == [("act:cm:paid", "claimed", JO)]


def test_the_login_outweighs_the_cookie(checkout: Flask) -> None:
    client = visitor(checkout, JO)
    client.set_cookie("ap3c", account(checkout).identify(email="al@example.com").session or "")

    assert client.post("/pay").text == "verified"
    assert arrived(account(checkout)) == [("act:cm:paid", "verified", JO)]


@pytest.mark.parametrize("cookie", [None, "ortto-s-own", "oc1.forged"])
def test_a_visitor_whom_no_one_knows_still_checks_out_and_the_log_says_why(
    checkout: Flask, cookie: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    client = visitor(checkout)
    if cookie is not None:
        client.set_cookie("ap3c", cookie)

    with caplog.at_level(logging.INFO, "ortto_capture"):
        assert client.post("/pay").text == "not recorded"
    assert "act:cm:paid was not recorded" in caplog.text
    assert arrived(account(checkout)) == []


def test_a_user_without_a_usable_address_sees_pages_and_pays_by_the_cookie(
    checkout: Flask,
) -> None:
    client = visitor(checkout, "no address")
    client.set_cookie("ap3c", account(checkout).identify(email=JO).session or "")

    assert "oi1." not in client.get("/").text
    assert client.post("/pay").text == "claimed"


def test_a_view_that_wants_to_know_is_told() -> None:
    capture = with_login()
    app = shop(capture)

    with app.test_request_context(), pytest.raises(NotIdentified):
        capture.record("act:cm:paid", on_refused="raise")
    with app.test_request_context():
        flask_login.login_user(User(JO))
        with pytest.raises(UnknownActivity):
            capture.record("act:cm:payed", on_refused="raise")


def test_the_account_of_the_current_app_is_at_hand() -> None:
    capture = extension()
    app, other = shop(capture), shop(capture)

    with app.app_context():
        capture.account.record_for("act:cm:paid", email=JO)
    with other.app_context():
        assert arrived(capture.account) == []
    assert arrived(account(app)) == [("act:cm:paid", "verified", JO)]


def test_an_app_without_the_extension_says_what_to_do() -> None:
    capture = extension()
    with Flask("bare").app_context(), pytest.raises(ConfigurationError, match="init_app"):
        _ = capture.account


# -- after the commit


@pytest.fixture
def heard() -> Iterator[list[tuple[object, str]]]:
    """Who is told what by the signal: the sender, the activity, the app of the context."""
    from flask import current_app

    told: list[tuple[object, str]] = []

    def hear(app: Flask, captured: Captured) -> None:
        assert current_app == app
        told.append((app, captured.activity_id))

    with captured.connected_to(hear):
        yield told


def test_the_signal_tells_of_what_was_captured_with_the_app_as_sender(
    heard: list[tuple[object, str]],
) -> None:
    capture = extension()
    app, other = shop(capture), shop(capture)
    account(app).record_for("act:cm:paid", email=JO)
    account(other).record_for("act:cm:seen", email=JO)

    assert account(app).flush()
    assert account(other).flush()
    told = [each for each in heard if each[0] in (app, other)]
    assert sorted(told, key=itemgetter(1)) == [(app, "act:cm:paid"), (other, "act:cm:seen")]


def test_a_receiver_may_come_after_the_app_and_hear_of_one_app_only() -> None:
    capture = extension()
    app, other = shop(capture), shop(capture)
    told: list[Flask] = []

    @captured.connect_via(app)
    def hear(sender: Flask, captured: Captured) -> None:
        told.append(sender)

    for each in (app, other):
        account(each).record_for("act:cm:paid", email=JO)
        assert account(each).flush()
    assert told == [app]


def test_a_receiver_that_fails_keeps_no_other_from_hearing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = shop(extension())
    told: list[Flask] = []

    def failing(sender: Flask, captured: Captured) -> None:
        raise ValueError

    def failing_too(sender: Flask, captured: Captured) -> None:
        raise TypeError

    def hear(sender: Flask, captured: Captured) -> None:
        told.append(sender)

    # In which order receivers are called is not promised.
    receivers = [failing, hear, failing_too]
    for receiver in receivers:
        captured.connect(receiver, app)
    account(app).record_for("act:cm:paid", email=JO)
    assert account(app).flush()

    assert told == [app]
    assert [each.__dict__["event"] for each in caplog.records] == ["subscriber-failed"] * 2


def test_an_account_that_a_test_puts_in_place_is_told_of_too(
    heard: list[tuple[object, str]],
) -> None:
    app = shop(extension())
    mine = Capture(backends=open_backends("memory:"), settings=account(app).settings)
    mine.backends.definitions.declare([PAID])
    own = account(app)

    for each in (mine, own, mine):
        app.extensions["ortto_capture"].capture = each
    mine.record_for("act:cm:paid", email=JO)

    assert mine.flush()
    assert [each for each in heard if each[0] == app] == [(app, "act:cm:paid")]


# -- the command line


def test_flask_has_the_commands_on_its_own_account(tmp_path: Path) -> None:
    app = Flask("shop", instance_path=str(tmp_path))
    extension(backends=None).init_app(app)
    account(app).record_for("act:cm:paid", email=JO)
    runner = app.test_cli_runner()

    tail = runner.invoke(args=["capture", "tail"])
    assert tail.exit_code == 0, tail.output
    assert "act:cm:paid" in tail.output
    assert "Paid" in runner.invoke(args=["capture", "activities", "list"]).output
    assert (tmp_path / "capture" / "store.sqlite3").exists()
    account(app).backends.close()


# -- beside other extensions, and wrongly configured


def test_the_csrf_check_of_the_host_leaves_the_capture_routes_alone() -> None:
    app = shop(with_login())
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False
    CSRFProtect(app)
    client = visitor(app, JO)
    app.config["WTF_CSRF_CHECK_DEFAULT"] = True

    assert client.post("/login/al@example.com").status_code == 400
    assert report(client, **SAME_ORIGIN).status_code == 200


def test_one_extension_serves_several_apps_each_with_its_own_account() -> None:
    capture = with_login()
    one, two = shop(capture, at="/one"), shop(capture, at="/two")

    assert report(visitor(one, JO), at="/one", **SAME_ORIGIN).status_code == 200
    assert report(visitor(two, JO), at="/one", **SAME_ORIGIN).status_code == 404
    assert (len(arrived(account(one))), len(arrived(account(two)))) == (1, 0)


def test_an_app_takes_the_extension_once() -> None:
    app = shop()
    capture = FlaskCapture(app)

    with pytest.raises(ConfigurationError, match="already"):
        capture.init_app(app)


def test_the_address_may_be_taken_from_elsewhere() -> None:
    asked: list[str] = []

    def client_ip(environ: dict[str, Any]) -> str:
        asked.append(environ["HTTP_X_REAL_IP"])
        return asked[-1]

    app = shop(extension(client_ip=client_ip))
    report(app.test_client(), **{"X-Real-IP": "203.0.113.9"})

    assert asked == ["203.0.113.9"]


def test_what_is_wrong_in_the_configuration_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"person_limits: no such setting"):
        shop(extension(), person_limits="3/day")
    with pytest.raises(ConfigurationError, match="is not a path"):
        shop(extension(), at="capture")


def test_a_page_that_is_drawn_outside_a_request_is_refused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = shop(extension())
    caplog.set_level(logging.ERROR)
    with app.app_context(), pytest.raises(RuntimeError, match="outside of request context"):
        render_template_string("{{ ortto_capture() }}")


def test_without_flask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ortto_capture.contrib.flask")
    monkeypatch.setitem(sys.modules, "flask", None)

    with pytest.raises(ImportError, match=r"pip install 'ortto-capture\[flask\]'"):
        import_module("ortto_capture.contrib.flask")
