"""The client's files as they are served, and the snippet as it stands in a page."""

from __future__ import annotations

import gzip
import re

import pytest
from django.template import Context, Engine
from jinja2 import Environment
from werkzeug.test import Client

from ortto_capture import Capture, CaptureApp, ConfigurationError, Settings, open_backends
from ortto_capture.client import assets, snippet

from .services import ROOT

SETTINGS = Settings(secret_keys=["an example secret of more than 32 bytes"])
#: Bytes of app.js, gzipped (contract §8).
MAX_GZIPPED = 4_096


def test_the_client_is_small_as_served() -> None:
    script = assets()["app.js"]
    assert len(script.gzip) <= MAX_GZIPPED
    assert script.body.count(b"\n") <= 450


def test_the_client_asks_to_be_compiled_beside_its_download() -> None:
    # Chromium looks for it above all code only.
    assert assets()["app.js"].body.startswith(b"//# allFunctionsCalledOnLoad\n")


def test_assets_are_the_files_plain_and_packed() -> None:
    for asset in assets().values():
        assert gzip.decompress(asset.gzip) == asset.body
        assert asset.gzip[4:8] == bytes(4), "no time in it: the same for every process"
        assert re.fullmatch("[0-9a-f]{16}", asset.etag)


def test_nothing_in_the_client_evaluates_text_or_writes_html() -> None:
    for asset in assets().values():
        assert not re.search(rb"eval|new Function|innerHTML|document\.write|outerHTML", asset.body)


def test_the_snippet_names_key_and_endpoint() -> None:
    text = snippet("a-key", "/capture/")

    assert 'a.init("a-key", "/capture");' in text
    assert f'<script src="/capture/app.js?v={assets()["app.js"].etag}" async></script>' in text
    assert "nonce" not in text


def test_the_snippet_carries_the_nonce_on_both_scripts() -> None:
    assert snippet("key", nonce="r4nd0m").count('<script nonce="r4nd0m"') == 2


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
def test_a_nonce_may_be_lazy_or_a_function(nonce: object) -> None:
    app = CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))

    assert app.snippet("key", nonce=nonce).count('<script nonce="r4nd0m"') == 2


@pytest.mark.parametrize("nonce", ["", lambda: ""])
def test_an_empty_nonce_is_refused(nonce: object) -> None:
    """A page whose policy wants a nonce would drop the script without a word."""
    with pytest.raises(ConfigurationError, match="nonce"):
        snippet("key", nonce=nonce)


HOSTILE = "</script><script>alert(1)</script>\"'&\u2028\u2029\\"


def test_no_value_can_end_the_script_it_stands_in() -> None:
    text = snippet(HOSTILE, "/" + HOSTILE, nonce=HOSTILE)

    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "alert(1)</script>" not in text
    assert text.partition("</script>")[0].partition(">\n")[2].isascii()


@pytest.mark.parametrize("endpoint", ["capture", "javascript:alert(1)", "ftp://x"])
def test_an_endpoint_is_a_path_or_a_url(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        snippet("key", endpoint)


@pytest.mark.parametrize("endpoint", ["", "/", "/capture", "https://shop.example/capture"])
def test_paths_and_urls_are_endpoints(endpoint: str) -> None:
    assert f'src="{endpoint.rstrip("/")}/app.js?v=' in snippet("key", endpoint)


def test_templates_put_the_snippet_in_as_it_is() -> None:
    text = snippet("key")
    jinja = Environment(autoescape=True).from_string("{{ snippet('key') }}").render(snippet=snippet)
    django = Engine().from_string("{{ snippet }}").render(Context({"snippet": text}))

    assert jinja == django == text


@pytest.mark.parametrize("current", [True, False])
def test_only_the_address_that_names_the_content_is_kept_for_good(current: bool) -> None:
    app = CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))
    version = assets()["app.js"].etag if current else "0" * 16

    answer = Client(app).get(f"/app.js?v={version}")

    assert answer.status_code == 200
    assert ("immutable" in answer.headers["Cache-Control"]) is current
    assert current or "max-age=3600" in answer.headers["Cache-Control"]


def test_the_types_name_every_member_and_are_served() -> None:
    app = CaptureApp(Capture(backends=open_backends("memory:"), settings=SETTINGS))
    declared = Client(app).get("/app.d.ts").text

    script = assets()["app.js"].body.decode()
    members = set(re.findall(r"^ap3c\.(\w+) =", script, re.MULTILINE)) | {"cmd", "act", "lastVar"}
    client = declared.partition("interface Client {")[2].partition("\n  }")[0]
    assert members == set(re.findall(r"^    (\w+)\??[(:]", client, re.MULTILINE))


def test_the_reference_names_every_member() -> None:
    page = (ROOT / "docs" / "reference" / "javascript.md").read_text("utf-8")

    members = re.findall(rb"^ap3c\.(\w+) = (?!true)", assets()["app.js"].body, re.MULTILINE)
    assert len(members) > 6
    for member in members:
        assert f"`ap3c.{member.decode()}" in page
