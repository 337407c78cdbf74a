"""The snippet as it stands in a page, and what it finds out from the page's request."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import flask
import pytest
from django.template import Context, Engine
from jinja2 import Environment

from ortto_capture import (
    Capture,
    CaptureApp,
    ConfigurationError,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.client import assets

from .host_apps import bare_host, django_host, environ_for

SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"])
HOSTILE = "</script><script>alert(1)</script>\"'&\u2028\u2029\\"
VERSION = assets()["app.js"].etag
#: How a snippet is asked for: with inline code, and without.
FORMS = pytest.mark.parametrize("inline", [True, False])


@pytest.fixture
def app() -> CaptureApp:
    """One that is mounted nowhere."""
    return CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))


def endpoint(snippet: str) -> str:
    """Where a snippet says the app is: once for the client, and once for its script."""
    found = set(re.findall(r'([^" ]*)/app\.js\?v=', snippet))
    assert len(found) == 1
    told = re.findall(r'data-endpoint="(.*?)"|\("key", "(.*?)"', snippet)
    assert {each.rstrip("/") for each in told[0] if each} <= found
    return str(found.pop())


@FORMS
def test_it_can_stand_in_pages_of_xml(app: CaptureApp, inline: bool) -> None:
    text = app.snippet(HOSTILE, HOSTILE, "/" + HOSTILE, inline=inline)
    scripts = ElementTree.fromstring(f"<head>{text}</head>")  # noqa: S314  # our own text

    assert [script.get("nonce") for script in scripts] == [HOSTILE] * (1 + inline)
    assert [bool(script.text) for script in scripts] == [True, False][1 - inline :]


def test_it_names_key_endpoint_and_version(app: CaptureApp) -> None:
    text = app.snippet("a-key", endpoint="/capture/")

    assert f'("a-key", "/capture", "/capture/app.js?v={VERSION}");\n</script>\n' in text
    assert text.endswith(f'\n<script src="/capture/app.js?v={VERSION}" async=""></script>\n')
    assert "nonce=" not in text


def test_without_inline_code_the_tag_names_them(app: CaptureApp) -> None:
    assert app.snippet("a-key", endpoint="/capture/", inline=False) == (
        f'<script src="/capture/app.js?v={VERSION}" data-key="a-key" data-endpoint="/capture" '
        'async=""></script>\n'
    )


@FORMS
def test_it_carries_the_nonce(app: CaptureApp, inline: bool) -> None:
    text = app.snippet("key", nonce="r4nd0m", inline=inline)

    assert text.count('<script nonce="r4nd0m"') == text.count("<script") == 1 + inline


class LazyNonce:
    """As Django's: made when it is first asked for its text, and false until then."""

    def __init__(self) -> None:
        self._made = ""

    def __bool__(self) -> bool:
        return bool(self._made)

    def __str__(self) -> str:
        self._made = "r4nd0m"
        return self._made


@pytest.mark.parametrize("nonce", [LazyNonce(), lambda: "r4nd0m", LazyNonce])
@FORMS
def test_a_nonce_may_be_lazy_or_a_function(app: CaptureApp, nonce: object, inline: bool) -> None:
    text = app.snippet("key", nonce=nonce, inline=inline)

    assert text.count('<script nonce="r4nd0m"') == text.count("<script")


def test_a_function_that_makes_nonces_is_called_once(app: CaptureApp) -> None:
    """A policy names one."""
    made = iter(["r4nd0m", "another"])

    assert app.snippet("key", nonce=lambda: next(made)).count('<script nonce="r4nd0m"') == 2


@pytest.mark.parametrize("nonce", ["", lambda: ""])
@FORMS
def test_an_empty_nonce_is_refused(app: CaptureApp, nonce: object, inline: bool) -> None:
    """A page whose policy wants a nonce would drop the script without a word."""
    with pytest.raises(ConfigurationError, match="nonce"):
        app.snippet("key", nonce=nonce, inline=inline)


@FORMS
def test_no_value_can_end_the_script_or_the_attribute_it_stands_in(
    app: CaptureApp, inline: bool
) -> None:
    text = app.snippet(HOSTILE, nonce=HOSTILE, endpoint="/" + HOSTILE, inline=inline)

    assert text.count("<script") == text.count("</script>") == 1 + inline
    assert "alert(1)</script>" not in text
    tag = text.rpartition("<script")[2]
    if inline:
        assert text.partition(">\n")[2].partition("</script>")[0].isascii()
    assert tag.count('"') == (6 if inline else 10), "of three or five attributes"


@pytest.mark.parametrize("given", ["capture", "javascript:alert(1)", "ftp://x"])
@FORMS
def test_an_endpoint_is_a_path_or_a_url(app: CaptureApp, given: str, inline: bool) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        app.snippet("key", endpoint=given, inline=inline)


@pytest.mark.parametrize("given", ["", "/", "/capture", "https://shop.example/capture"])
@FORMS
def test_paths_and_urls_are_endpoints(app: CaptureApp, given: str, inline: bool) -> None:
    assert endpoint(app.snippet("key", endpoint=given, inline=inline)) == given.rstrip("/")


@FORMS
def test_templates_put_it_in_as_it_is(app: CaptureApp, inline: bool) -> None:
    text = app.snippet("key", inline=inline)
    template = "{{ snippet('key', inline=inline) }}"
    jinja = Environment(autoescape=True).from_string(template)
    django = Engine().from_string("{{ snippet }}").render(Context({"snippet": text}))

    assert jinja.render(snippet=app.snippet, inline=inline) == django == text


@pytest.mark.parametrize("given", ["/capture", "https://shop.example/capture"])
def test_its_hash_is_that_of_the_inline_code(app: CaptureApp, given: str) -> None:
    """With the nonce of another policy, too: the code is the same."""
    found = re.fullmatch(r"'sha256-(.{44})'", app.snippet_hash("key", given))
    code = app.snippet("key", "r4nd0m", given).partition(">")[2].partition("</script>")[0]

    assert found is not None
    assert b64decode(found[1]) == sha256(code.encode()).digest()


# Who the visitor is.


@pytest.fixture(params=["a token", "host"])
def identity(app: CaptureApp, request: pytest.FixtureRequest) -> str:
    if request.param == "host":
        return "host"
    return app.capture.sign_identity("jo@example.com")


def test_it_says_who_the_visitor_is(app: CaptureApp, identity: str) -> None:
    inline = app.snippet("key", identity=identity)
    external = app.snippet("key", inline=False, identity=identity)

    assert f'.js?v={VERSION}", {{"identity": "{identity}"}});\n</script>' in inline
    assert f' data-identity="{identity}" async=""></script>' in external


@FORMS
@pytest.mark.parametrize("given", ["", "jo@example.com", "Host", "oc1.a.session", HOSTILE])
def test_what_names_no_visitor_is_refused(app: CaptureApp, given: str, inline: bool) -> None:
    with pytest.raises(ConfigurationError, match="identity"):
        app.snippet("key", inline=inline, identity=given)


def test_no_token_can_end_the_script_or_the_attribute_it_stands_in(app: CaptureApp) -> None:
    text = app.snippet("key", identity="oi1." + HOSTILE)
    tag = app.snippet("key", identity="oi1." + HOSTILE, inline=False)

    assert text.count("<script") == text.count("</script>") == 2
    assert tag.count("<script") == 1
    assert tag.count('"') == 10
    assert ElementTree.fromstring(tag).get("data-identity") == "oi1." + HOSTILE  # noqa: S314


def test_the_hash_of_a_page_that_asks_the_host_is_that_of_its_code(app: CaptureApp) -> None:
    code = app.snippet("key", identity="host").partition(">")[2].partition("</script>")[0]
    told = app.snippet_hash("key", identity="host")

    assert told == f"'sha256-{b64encode(sha256(code.encode()).digest()).decode()}'"
    assert told != app.snippet_hash("key")


def test_a_token_has_no_hash(app: CaptureApp) -> None:
    """A policy with it would let the script of one page in, and no other."""
    with pytest.raises(ConfigurationError, match="identity"):
        app.snippet_hash("key", identity=app.capture.sign_identity("jo@example.com"))


# Where the app is mounted.


def test_the_endpoint_is_where_the_app_was_mounted(app: CaptureApp) -> None:
    assert endpoint(app.snippet("key")) == "/capture"
    mount(bare_host(), app, at="/deep/down")

    assert endpoint(app.snippet("key")) == "/deep/down"
    assert app.snippet_hash("key") == app.snippet_hash("key", "/deep/down")
    assert endpoint(app.snippet("key", endpoint="/other")) == "/other"


def test_of_two_places_the_page_must_say_which(app: CaptureApp) -> None:
    for at in ("/one", "/two", "/one"):
        mount(bare_host(), app, at=at)

    with pytest.raises(ConfigurationError, match="/one and /two"):
        app.snippet("key")
    assert endpoint(app.snippet("key", endpoint="/two")) == "/two"


# What a request tells.


class Scoped(Mapping[str, Any]):
    """A request as Starlette has it: a mapping of its scope's entries."""

    def __init__(self, **scope: Any) -> None:
        self.scope = scope
        self.state = SimpleNamespace()

    def __getitem__(self, name: str) -> Any:
        return self.scope[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope)

    def __len__(self) -> int:
        return len(self.scope)


def flask_request(script_name: str) -> object:
    """Flask's, outside its context."""
    return flask.Flask("shop").request_class(environ_for("GET", "/", SCRIPT_NAME=script_name))


def django_request(script_name: str) -> object:
    """Django's, which decodes the prefix."""
    django_host()
    from django.core.handlers.wsgi import WSGIRequest

    found: object = WSGIRequest(environ_for("GET", "/", SCRIPT_NAME=script_name))
    return found


def decoded(script_name: str) -> str:
    """As ASGI has paths."""
    return script_name.encode("latin-1").decode()


#: Requests below a prefix, which is as WSGI has it.
REQUESTS: dict[str, Callable[[str], object]] = {
    "a WSGI environ": lambda prefix: environ_for("GET", "/", SCRIPT_NAME=prefix),
    "Flask": flask_request,
    "Django": django_request,
    "Django below ASGI": lambda prefix: SimpleNamespace(META={"SCRIPT_NAME": decoded(prefix)}),
    "Falcon": lambda prefix: SimpleNamespace(env={"SCRIPT_NAME": prefix}),
    "an ASGI scope": lambda prefix: {"type": "http", "root_path": decoded(prefix)},
    "Starlette": lambda prefix: Scoped(root_path=decoded(prefix)),
    "Starlette, below a Mount": lambda prefix: Scoped(
        root_path=decoded(prefix) + "/part", app_root_path=decoded(prefix)
    ),
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize(
    ("script_name", "prefix"),
    [
        ("", ""),
        ("/shop", "/shop"),
        ("/shop/", "/shop"),
        ("/caf\u00c3\u00a9 <b>", "/caf%C3%A9%20%3Cb%3E"),
        # Else what a proxy was told would be the name of a host.
        ("//other.example", "/other.example"),
    ],
)
def test_the_prefix_of_a_request_stands_before_the_mount(
    app: CaptureApp, kind: str, script_name: str, prefix: str
) -> None:
    mount(bare_host(), app, at="/c")
    request = REQUESTS[kind](script_name)

    assert endpoint(app.snippet("key", request=request)) == f"{prefix}/c"
    assert app.snippet_hash("key", request=request) == app.snippet_hash("key", f"{prefix}/c")


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_without_a_nonce_has_none(app: CaptureApp, kind: str) -> None:
    assert app.snippet("key", request=REQUESTS[kind]("")).startswith("<script>")


def with_(holder: Any, **members: object) -> Any:
    """``holder``, with these attributes."""
    vars(holder).update(members)
    return holder


def seen_by_flask() -> object:
    """The environ of a request that flask-talisman has given a nonce."""
    environ = environ_for("GET", "/")
    request = flask.Flask("shop").request_class(environ)
    with_(request, csp_nonce="r4nd0m")
    return environ


#: Where packages that set a policy put its nonce.
NONCES: dict[str, Callable[[], object]] = {
    "django-csp": lambda: with_(django_request(""), csp_nonce=LazyNonce(), _csp_nonce=None),
    "Django 6": lambda: with_(django_request(""), _csp_nonce=LazyNonce()),
    "flask-talisman": lambda: with_(flask_request(""), csp_nonce="r4nd0m"),
    "flask-talisman, by the environ": seen_by_flask,
    "a function": lambda: with_(flask_request(""), csp_nonce=lambda: "r4nd0m"),
    "Starlette's state": lambda: with_(
        Scoped(root_path=""), state=SimpleNamespace(csp_nonce="r4nd0m")
    ),
    "an ASGI scope": lambda: {"type": "http", "csp_nonce": "r4nd0m"},
    "Starlette's scope": lambda: Scoped(root_path="", csp_nonce="r4nd0m"),
    "a WSGI environ": lambda: {**environ_for("GET", "/"), "csp_nonce": "r4nd0m"},
}


@pytest.mark.parametrize("kind", NONCES)
@FORMS
def test_the_nonce_of_a_request_is_found(app: CaptureApp, kind: str, inline: bool) -> None:
    text = app.snippet("key", request=NONCES[kind](), inline=inline)

    assert text.count('<script nonce="r4nd0m"') == text.count("<script")


def test_the_request_at_hand_in_flask_is_a_request(app: CaptureApp) -> None:
    """``flask.request`` stands for whichever is being answered."""
    with flask.Flask("shop").test_request_context("/", base_url="http://shop.example/prefix"):
        flask.request.csp_nonce = "r4nd0m"  # type: ignore[attr-defined]  # as flask-talisman does
        text = app.snippet("key", request=flask.request)

    assert text.count('<script nonce="r4nd0m"') == text.count("<script")
    assert endpoint(text) == "/prefix/capture"


def test_arguments_outweigh_the_request(app: CaptureApp) -> None:
    request = with_(flask_request("/shop"), csp_nonce="of the request")
    text = app.snippet("key", "r4nd0m", "/elsewhere", request=request)

    assert text.count('<script nonce="r4nd0m"') == text.count("<script")
    assert endpoint(text) == "/elsewhere"


def test_an_empty_nonce_in_a_request_is_refused(app: CaptureApp) -> None:
    with pytest.raises(ConfigurationError, match="nonce"):
        app.snippet("key", request=with_(flask_request(""), csp_nonce=""))


@pytest.mark.parametrize("request_", [5, "GET /", object()])
def test_what_is_no_request_is_refused(app: CaptureApp, request_: object) -> None:
    with pytest.raises(ConfigurationError, match="request"):
        app.snippet("key", request=request_)
