"""The client's files as they are served, and the snippet as it stands in a page."""

from __future__ import annotations

import gzip
import re

import pytest

from ortto_capture import ConfigurationError
from ortto_capture.client import assets, snippet

#: Bytes of app.js, gzipped: the size of the small peers, which neither hold nor order calls.
MAX_GZIPPED = 2_560


def test_the_client_is_small_as_served() -> None:
    assert len(assets()["app.js"].gzip) <= MAX_GZIPPED


def test_assets_are_the_files_plain_and_packed() -> None:
    for asset in assets().values():
        assert gzip.decompress(asset.gzip) == asset.body
        assert re.fullmatch("[0-9a-f]{16}", asset.etag)
        assert asset == asset.__class__(asset.body, asset.content_type), (
            "the same for every process"
        )


def test_nothing_in_the_client_evaluates_text_or_writes_html() -> None:
    for asset in assets().values():
        assert not re.search(rb"eval|new Function|innerHTML|document\.write|outerHTML", asset.body)


def test_the_snippet_names_key_and_endpoint() -> None:
    text = snippet("a-key", "/capture/")

    assert 'a.init("a-key", "/capture");' in text
    assert '<script src="/capture/app.js" async></script>' in text
    assert "nonce" not in text


def test_the_snippet_carries_the_nonce_on_both_scripts() -> None:
    assert snippet("key", nonce="r4nd0m").count('<script nonce="r4nd0m"') == 2


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
    assert f'src="{endpoint.rstrip("/")}/app.js"' in snippet("key", endpoint)
