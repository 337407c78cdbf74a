"""Forged proof and forged requests, through each way in which a host mounts the capture app.

The law of this file: a forger has everything but the secret. He sees every token that he was given,
may send any bytes, and may have a victim's browser send them from his website. A host is asked as
its server asks it, with its own login and its own cookies. What is taken for verified is read off
the journal.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
import string
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import flask_login
import pytest
from flask import Flask
from itsdangerous import URLSafeSerializer
from itsdangerous.exc import BadData
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from werkzeug.http import parse_cookie

from ortto_capture import (
    Capture,
    CaptureApp,
    Definition,
    Identity,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.contrib.asgi import CaptureASGI
from ortto_capture.contrib.flask import FlaskCapture

from .django_project import configure
from .host_apps import bare_host, call, environ_for
from .services import campaign

configure()

from django.contrib.auth import get_user_model  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import include, path  # noqa: E402

from ortto_capture.contrib.django import capture_app  # noqa: E402

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

SECRET, OLD = "an example secret of more than 32 bytes", "the secret that was rotated out of use"
ELSEWHERE = "the secret of another website, of 32 bytes"
VICTIM, FORGER = "victim@example.com", "forger@example.com"
LOGIN, BOUGHT = "act:cm:login", "act:cm:bought"
OWN = {"Sec-Fetch-Site": "same-origin", "Origin": "https://shop.example"}
NOW = 1_700_000_000.0


class Answer(NamedTuple):
    """What a request was answered."""

    status: int
    json: Any
    headers: tuple[tuple[str, str], ...]

    @property
    def code(self) -> str | None:
        code: str | None = self.json.get("error", {}).get("code")
        return code


class Host:
    """A website with a login, and the account that it reports to."""

    def __init__(
        self, app: WSGIApplication | None, capture: Capture, sign_in: Callable[[str], str]
    ) -> None:
        self.app = app
        self.capture = capture
        #: Returns the ``Cookie`` header of a visitor who has signed in.
        self.sign_in = sign_in

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        environ = environ_for(method, path, body=body, headers=headers)
        assert self.app is not None
        reply = call(self.app, environ, validate=False)
        return Answer(reply.status, reply.json, reply.headers)

    def post(self, route: str, headers: dict[str, str] = OWN, **members: Any) -> Answer:
        """As the client posts it, which any website can."""
        body = json.dumps(members).encode()
        given = {"Content-Type": "text/plain;charset=UTF-8", **headers}
        return self.ask("POST", f"/capture/-/events/{route}", body, given)

    def activity(
        self, activity_id: str = LOGIN, headers: dict[str, str] = OWN, **members: Any
    ) -> Answer:
        return self.post("activity", headers, activity_id=activity_id, **members)

    def claimed(self, email: str) -> str:
        """A session that any stranger gets, who says that this is his address."""
        return str(self.post("track", {}, email=email).json["session"])

    @property
    def stored(self) -> list[tuple[str, str | None, str]]:
        """Each stored activity, with whose it is and how that was proved."""
        backends = self.capture.backends
        rows = sorted(backends.journal.latest(2_000), key=lambda row: row.position)
        people = [backends.people.get(row.person_id) for row in rows]
        return [
            (row.activity_id, person and person.email, row.assurance)
            for row, person in zip(rows, people, strict=True)
        ]


class ASGIHost(Host):
    """One that is asked as an ASGI server asks."""

    def __init__(
        self, app: Any, capture: Capture, sign_in: Callable[[str], str], runner: asyncio.Runner
    ) -> None:
        super().__init__(None, capture, sign_in)
        self._asgi, self._runner = app, runner

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        given = {"host": "shop.example", "content-length": str(len(body)), **headers}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (name.lower().encode(), value.encode("latin-1")) for name, value in given.items()
            ],
            "client": ("203.0.113.7", 50_000),
            "server": ("shop.example", 443),
        }
        parts: list[Any] = [{"type": "http.request", "body": body}]
        sent: list[Any] = []

        async def receive() -> Any:
            if not parts:
                await asyncio.Event().wait()  # until the app gives up listening
            return parts.pop()

        async def send(message: Any) -> None:
            sent.append(message)

        self._runner.run(self._asgi(scope, receive, send))
        start, *rest = sent
        answer = json.loads(b"".join(part.get("body", b"") for part in rest))
        found = tuple((name.decode().title(), value.decode()) for name, value in start["headers"])
        return Answer(start["status"], answer, found)


# -- the hosts


def account(*secrets: str) -> Capture:
    backends = open_backends("memory:")
    backends.definitions.declare(
        [
            Definition(LOGIN, "Logged in", client_side=True),
            Definition(BOUGHT, "Bought", client_side=True, needs="verified"),
        ]
    )
    settings = Settings(secret_keys=secrets or (SECRET,), ip_limit="1000000/hour")
    return Capture(backends=backends, settings=settings, clock=lambda: NOW)


def plain(stack: ExitStack) -> Host:
    """A login by hand: a signed cookie."""
    cookies = URLSafeSerializer("a secret of the host")

    def who(environ: WSGIEnvironment) -> Identity | None:
        try:
            return Identity(cookies.loads(parse_cookie(environ).get("login", "")))
        except BadData:
            return None

    capture = account()
    app = mount(bare_host(), CaptureApp(capture, identity=who))
    return Host(app, capture, lambda email: f"login={cookies.dumps(email)}")


class User(flask_login.UserMixin):  # type: ignore[misc]  # it has no types
    def __init__(self, email: str) -> None:
        self.id = email


def flask(stack: ExitStack) -> Host:
    """Flask-Login, and its session."""
    app = Flask("shop")
    app.secret_key = "a secret of the host"
    app.config["ORTTO_CAPTURE"] = {"data": "memory:", "secret_keys": [SECRET]}
    flask_login.LoginManager(app).user_loader(User)
    extension = FlaskCapture(app)

    @extension.identity
    def who() -> Identity | None:
        user = flask_login.current_user
        return Identity(user.id) if user.is_authenticated else None

    @app.post("/login/<email>")
    def enter(email: str) -> str:
        flask_login.login_user(User(email))
        return "Welcome"

    def sign_in(email: str) -> str:
        client = app.test_client()
        client.post(f"/login/{email}")
        cookie = client.get_cookie("session")
        assert cookie is not None
        return f"session={cookie.value}"

    capture = app.extensions["ortto_capture"].capture = account()
    return Host(app.wsgi_app, capture, sign_in)


URLS = path("capture/", include("ortto_capture.contrib.django.urls"))
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]


def user_email(request: HttpRequest) -> Identity | None:
    return Identity(request.user.email) if request.user.is_authenticated else None


@cache
def migrate() -> None:
    call_command("migrate", verbosity=0)


def project(stack: ExitStack) -> Capture:
    """A Django project with users."""
    configured = {
        "DATA": "memory:",
        "SECRET_KEYS": [SECRET],
        "USER_IDENTITY": user_email,
    }
    overridden: AbstractContextManager[None] = override_settings(
        ROOT_URLCONF=(URLS,), MIDDLEWARE=MIDDLEWARE, ORTTO_CAPTURE=configured
    )
    stack.enter_context(overridden)
    migrate()
    capture = account()
    capture_app().capture = capture
    return capture


def sign_in_to_django(stack: ExitStack, email: str) -> str:
    user = get_user_model().objects.create_user(email, email)
    stack.callback(user.delete)
    client = Client()
    client.force_login(user)
    return f"sessionid={client.cookies['sessionid'].value}"


def django(stack: ExitStack) -> Host:
    """The URL conf of a Django project, under WSGI."""
    capture = project(stack)
    return Host(get_wsgi_application(), capture, partial(sign_in_to_django, stack))


def django_asgi(stack: ExitStack) -> Host:
    """The same under ASGI."""
    capture = project(stack)
    runner = stack.enter_context(asyncio.Runner())
    return ASGIHost(get_asgi_application(), capture, partial(sign_in_to_django, stack), runner)


def django_mount(stack: ExitStack) -> Host:
    """The mount around a Django project, which asks no login."""
    project(stack)
    capture = account()
    app = mount(get_wsgi_application(), CaptureApp(capture))
    return Host(app, capture, partial(sign_in_to_django, stack))


def starlette(stack: ExitStack) -> Host:
    """Starlette's session, as in FastAPI."""

    def who(request: Request) -> Identity | None:
        email = request.session.get("email")
        return Identity(email) if email else None

    async def enter(request: Request) -> Response:
        request.session["email"] = request.path_params["email"]
        return PlainTextResponse("{}")

    capture = account()
    app = Starlette(
        routes=[
            Route("/login/{email}", enter, methods=["POST"]),
            Mount("/capture", CaptureASGI(capture, identity=who)),
        ],
        middleware=[Middleware(SessionMiddleware, secret_key="a secret of the host")],
    )
    runner = stack.enter_context(asyncio.Runner())
    host: Host

    def sign_in(email: str) -> str:
        answer = host.ask("POST", f"/login/{email}", b"", {})
        return dict(answer.headers)["Set-Cookie"].partition(";")[0]

    host = ASGIHost(app, capture, sign_in, runner)
    return host


#: By the login that each asks; the last asks none.
WITH_LOGIN: dict[str, Callable[[ExitStack], Host]] = {
    "the mount": plain,
    "Flask": flask,
    "Django's URL conf": django,
    "Django under ASGI": django_asgi,
    "Starlette": starlette,
}
HOSTS = {**WITH_LOGIN, "the mount around Django": django_mount}


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with ExitStack() as stack:
        yield HOSTS[request.param](stack)


@pytest.fixture(params=[name for name in HOSTS if name != "Django under ASGI"])
def quick_host(request: pytest.FixtureRequest) -> Iterator[Host]:
    """All but one, which is Django's URL conf again, and needs some ms for each request."""
    with ExitStack() as stack:
        yield HOSTS[request.param](stack)


@pytest.fixture(params=WITH_LOGIN)
def shop(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host that says who is signed in."""
    with ExitStack() as stack:
        yield WITH_LOGIN[request.param](stack)


# -- tokens that were made or changed by a forger


def signed(payload: bytes, secret: str, *, digest: Any = hashlib.sha256) -> str:
    """A token as a forger makes it, who knows how we sign and has some other secret."""
    key = hmac.new(secret.encode(), b"ortto-capture identity", digest).digest()
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=")
    signature = hmac.new(key, encoded, digest).digest()
    return f"oi1.{encoded.decode()}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def claims(
    email: str = VICTIM, expires: float = NOW + 300, audience: str = "ortto-capture"
) -> bytes:
    return json.dumps({"aud": audience, "exp": int(expires), "email": email}).encode()


def with_payload(token: str, payload: bytes) -> str:
    """Another payload before the signature that the forger was given."""
    encoded = base64.urlsafe_b64encode(payload).rstrip(b"=").decode()
    return f"oi1.{encoded}.{token.rpartition('.')[2]}"


def respelt(token: str) -> str:
    """The same bytes to a lenient decoder: base64 leaves two bits of the last character over."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return token[:-1] + letters[letters.index(token[-1]) ^ 1]


#: What a forger makes of the identity token that he was given himself.
IDENTITIES: dict[str, Callable[[str], str]] = {
    "another address": lambda own: with_payload(own, claims()),
    "of another website": lambda own: account(ELSEWHERE).sign_identity(VICTIM),
    "expired": lambda own: signed(claims(expires=NOW - 1), SECRET),
    "good for longer": lambda own: with_payload(own, claims(FORGER, expires=NOW + 10**9)),
    "signed with a key of his own": lambda own: signed(claims(), "x" * 40),
    "truncated": lambda own: own[:-1],
    "no signature is needed": lambda own: with_payload(own, claims()).rpartition(".")[0] + ".",
    "a JWT without an algorithm": lambda own: "eyJhbGciOiJub25lIn0." + own.split(".")[1] + ".",
    "a weaker digest": lambda own: signed(claims(), SECRET, digest=hashlib.sha1),
    "another spelling": respelt,
    "empty": lambda own: "",
    "not ASCII": lambda own: own[:-1] + "é",
    "of a secret that was removed": lambda own: account(OLD).sign_identity(VICTIM),
    "in other case": lambda own: own.swapcase(),
    "for another audience": lambda own: signed(claims(audience="another"), SECRET),
    "a session": lambda own: "oi1." + session_of(FORGER).removeprefix("oc1."),
}


def session_of(email: str, *secrets: str) -> str:
    return str(account(*secrets).identify(email=email).session)


#: What he makes of his own session, ``oc1.<person>.<c or v>.<time>.<signature>``.
SESSIONS: dict[str, Callable[[str, str], str]] = {
    "another person": lambda own, victim: own.replace(own.split(".")[1], victim, 1),
    "of another website": lambda own, victim: session_of(VICTIM, ELSEWHERE),
    "verified": lambda own, victim: own.replace(".c.", ".v."),
    "issued later": lambda own, victim: ".".join(
        [*own.split(".")[:3], f"{int(NOW) + 10**6:x}", own.split(".")[4]]
    ),
    "truncated": lambda own, victim: own[:-1],
    "without a signature": lambda own, victim: own.rpartition(".")[0],
    "another spelling": lambda own, victim: respelt(own),
    "empty": lambda own, victim: "",
    "not ASCII": lambda own, victim: own[:-1] + "é",
    "of a secret that was removed": lambda own, victim: session_of(VICTIM, OLD),
    "in other case": lambda own, victim: own.swapcase(),
    "an identity": lambda own, victim: "oc1." + account().sign_identity(VICTIM)[4:],
}


def refused(answers: list[Answer], *codes: str) -> bool:
    """Whether all were refused for what they are; an empty member counts as absent."""
    return all(
        answer.code in codes or answer.json == {"session": None, "identified": False}
        for answer in answers
    )


def send_identity(host: Host, token: str) -> list[Answer]:
    """Each place in which an identity token is looked for."""
    return [
        host.post("track", identity=token),
        host.activity(BOUGHT, identity=token),
        host.activity(BOUGHT, person={"identity": token}),
    ]


def test_a_forger_with_the_secret_would_be_believed(host: Host) -> None:
    """So what is wrong with the tokens of these tests is what they say is wrong."""
    token = signed(claims(), SECRET)

    assert [answer.status for answer in send_identity(host, token)] == [200] * 3
    assert host.stored == [(BOUGHT, VICTIM, "verified")] * 2


@pytest.mark.parametrize("how", IDENTITIES)
def test_no_forged_identity_is_accepted(host: Host, how: str) -> None:
    own = host.capture.sign_identity(FORGER)

    assert refused(send_identity(host, IDENTITIES[how](own)), "bad-identity", "not-identified")
    assert host.stored == []
    assert host.capture.person(VICTIM) is None


@pytest.mark.parametrize("how", SESSIONS)
def test_no_forged_session_is_accepted(host: Host, how: str) -> None:
    host.capture.record_for(LOGIN, email=VICTIM)
    victim = host.capture.person(VICTIM)
    assert victim is not None
    forged = SESSIONS[how](host.claimed(FORGER), victim.id)
    before = host.stored

    answers = [
        host.post("track", session=forged),
        host.activity(LOGIN, session=forged),
        host.activity(BOUGHT, session=forged),
    ]
    assert refused(answers, "bad-session", "not-identified")
    assert host.stored == before


def flipped(tokens: list[str], count: int) -> Iterator[str]:
    """One bit of one of them, the eighth of each character included."""
    chance = random.Random(20_261_126)
    for _ in range(count):
        token = chance.choice(tokens)
        at = chance.randrange(len(token))
        changed = chr(ord(token[at]) ^ (1 << chance.randrange(8)))
        yield token[:at] + changed + token[at + 1 :]


def test_no_identity_with_a_flipped_bit_is_accepted(quick_host: Host) -> None:
    tokens = [quick_host.capture.sign_identity(f"person{each}@example.com") for each in range(20)]
    for token in flipped(tokens, campaign(500)):
        answer = quick_host.post("track", identity=token)
        assert (answer.status, answer.code) == (401, "bad-identity"), token


def test_no_session_with_a_flipped_bit_is_accepted(quick_host: Host) -> None:
    proven = [quick_host.capture.sign_identity(f"person{each}@example.com") for each in range(20)]
    tokens = [str(quick_host.capture.identify(identity=each).session) for each in proven]
    for token in flipped(tokens, campaign(500)):
        answer = quick_host.activity(session=token)
        assert (answer.status, answer.code) == (401, "bad-session"), token
    assert quick_host.stored == []


# -- what a stranger claims


def test_a_thousand_claims_take_nothing_from_a_victim_s_verified_budget(shop: Host) -> None:
    victim = OWN | {"Cookie": shop.sign_in(VICTIM)}
    assert shop.activity(BOUGHT, victim).status == 200
    claimed: list[dict[str, Any]] = [
        {"session": shop.claimed(VICTIM)},
        {"person": {"email": VICTIM}},
    ]
    told = [shop.activity(LOGIN, {}, **each).status for each in claimed * 500]
    assert told == [200] * 10 + [429] * 990

    answers = [shop.activity(LOGIN, victim).status for _ in range(11)]
    assert answers == [200] * 10 + [429]


# -- requests of another website, with the cookies of the victim's browser

#: What browsers say of a request that is not of a page of the same origin.
FOREIGN = {
    "cross-site": {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    "cross-site, with our origin": {
        "Sec-Fetch-Site": "cross-site",
        "Origin": "https://shop.example",
    },
    "same-site": {"Sec-Fetch-Site": "same-site", "Origin": "https://blog.shop.example"},
    "none": {"Sec-Fetch-Site": "none"},
    "an older browser": {"Origin": "https://evil.example"},
    "an opaque origin": {"Origin": "null"},
    "a longer name": {"Origin": "https://shop.example.evil.example"},
    "another scheme": {"Origin": "http://shop.example"},
    "another port": {"Origin": "https://shop.example:8443"},
    "silence": {},
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_request_of_another_website_never_acts_as_the_one_who_is_signed_in(
    shop: Host, kind: str
) -> None:
    """It is ``text/plain``, so that no preflight stands before it."""
    cookie = {"Cookie": shop.sign_in(VICTIM)}
    session = shop.claimed(VICTIM)
    forged = FOREIGN[kind] | cookie

    assert shop.post("track", forged).json == {"session": None, "identified": False}
    claimed = shop.post("track", forged, email=VICTIM, first="Mallory").json["session"]
    for each in ({}, {"session": session}, {"session": claimed}, {"person": {"email": VICTIM}}):
        assert shop.activity(BOUGHT, forged, **each).status in (400, 401)
    assert shop.activity(LOGIN, forged).code == "not-identified"
    assert shop.activity(LOGIN, forged, session=session).status == 200
    assert shop.stored == [(LOGIN, VICTIM, "claimed")]

    # The same from a page of the host's own.
    assert shop.activity(BOUGHT, OWN | cookie).status == 200
    assert shop.stored[1:] == [(BOUGHT, VICTIM, "verified")]


@pytest.mark.parametrize("kind", [each for each in FOREIGN if each != "silence"])
def test_no_other_website_is_told_who_is_signed_in(shop: Host, kind: str) -> None:
    """A browser that says nothing keeps the answer from it, for want of a CORS header."""
    cookie = {"Cookie": shop.sign_in(VICTIM)}
    told = shop.ask("GET", "/capture/-/identity", b"", FOREIGN[kind] | cookie)
    own = shop.ask("GET", "/capture/-/identity", b"", OWN | cookie)

    assert (told.status, told.code) == (404, "not-found")
    assert own.json["identity"].startswith("oi1.")
    assert "Access-Control-Allow-Origin" not in dict(own.headers)
