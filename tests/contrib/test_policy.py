"""A policy that blocks the snippet in every browser is found, and no other."""

from __future__ import annotations

import pytest

from ortto_capture import Capture, CaptureApp, Settings, open_backends
from ortto_capture.contrib.policy import as_private, blocked, shared

APP = CaptureApp(
    Capture(
        backends=open_backends("memory:"),
        settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
    )
)
INLINE, NONCED = APP.snippet("shop"), APP.snippet("shop", "n0nce")
EXTERNAL, EXTERNAL_NONCED = (
    APP.snippet("shop", inline=False),
    APP.snippet("shop", "n0nce", inline=False),
)
HASH = APP.snippet_hash("shop")


@pytest.mark.parametrize(
    ("policy", "snippet"),
    [
        ("", INLINE),
        ("img-src 'none'; frame-ancestors 'none'", INLINE),
        ("default-src 'self' 'unsafe-inline'", INLINE),
        ("script-src 'self' 'nonce-n0nce'", NONCED),
        ("script-src 'strict-dynamic' 'nonce-n0nce'; connect-src *", NONCED),
        ("script-src 'strict-dynamic' 'nonce-n0nce'", EXTERNAL_NONCED),
        (f"script-src 'self' {HASH}", INLINE),
        ("script-src 'self'", EXTERNAL),
        ("script-src https:", EXTERNAL),
        ("script-src https://perhaps.this.one", EXTERNAL),
        ("default-src 'none'; script-src 'SELF'; connect-src 'Self'", EXTERNAL),
        ("default-src 'none'; script-src-elem 'self'; script-src 'none'; connect-src /", EXTERNAL),
        ("script-src 'self'; script-src 'none'", EXTERNAL),
        ("Script-Src 'self'", EXTERNAL),
        ("script-src 'self' 'NONCE-n0nce'", NONCED),
        ("script-src 'SELF' 'UNSAFE-INLINE'", INLINE),
        (HASH.replace("sha256", "script-src 'self' 'SHA256").replace("''", "'"), INLINE),
        ("sandbox Allow-Scripts allow-same-origin", INLINE),
    ],
)
def test_a_page_that_works_is_not_refused(policy: str, snippet: str) -> None:
    assert blocked([policy], snippet) is None


@pytest.mark.parametrize(
    ("policy", "snippet", "said"),
    [
        ("script-src 'self'", INLINE, "script-src does not let inline code run"),
        ("default-src 'self'", INLINE, "default-src does not let inline code run"),
        ("script-src 'self' 'nonce-n0nce'", INLINE, "inline code"),
        ("script-src 'self' 'nonce-0ther'", NONCED, "inline code"),
        ("script-src 'self' 'unsafe-inline' 'nonce-0ther'", INLINE, "inline code"),
        ("script-src 'self' 'sha256-AAAA'", INLINE, "inline code"),
        (f"script-src {HASH}", INLINE, "app.js"),
        (f"script-src 'self' 'strict-dynamic' {HASH}", INLINE, "app.js"),
        ("script-src 'none'", EXTERNAL, "script-src does not let app.js load"),
        ("script-src", EXTERNAL, "app.js"),
        ("script-src-elem 'none'; script-src 'self'", EXTERNAL, "script-src-elem"),
        ("script-src 'self'; connect-src 'none'", EXTERNAL, "connect-src does not let the client"),
        ("default-src 'none'; script-src 'self'", EXTERNAL, "default-src does not let the client"),
        ("img-src *, script-src 'none'", EXTERNAL, "app.js"),
        ("script-src 'self' 'nonce-N0NCE'", NONCED, "inline code"),
        ("script-src 'self' 'Strict-Dynamic'", EXTERNAL, "app.js"),
        ("sandbox", EXTERNAL, "sandbox lets no script run"),
        ("sandbox allow-forms allow-same-origin", EXTERNAL, "sandbox lets no script run"),
    ],
)
def test_what_every_browser_blocks_is_named(policy: str, snippet: str, said: str) -> None:
    assert said in str(blocked([policy], snippet))


def test_each_of_several_policies_must_let_it_through() -> None:
    assert blocked(["script-src 'self'", "default-src 'none'"], EXTERNAL) is not None
    assert blocked([], INLINE) is None


TOKEN = APP.snippet("shop", identity="oi1.payload.signature")


@pytest.mark.parametrize(
    ("cache_control", "vary", "snippet"),
    [
        ("", "", TOKEN),
        ("no-cache", "", TOKEN),
        ("no-cache, max-age=0, must-revalidate", "", TOKEN),
        ("public, no-cache, max-age=60", "", TOKEN),
        ("max-age=0", "", TOKEN),
        ("public, max-age=0", "", TOKEN),
        ("max-age=60, s-maxage=0", "", TOKEN),
        ("private, max-age=60", "", TOKEN),
        ("max-age=60, No-Store", "", TOKEN),
        ("public, max-age=60", "Accept, Cookie", TOKEN),
        ("public", "*", TOKEN),
        ("public, max-age=60", "", APP.snippet("shop", identity="host")),
        ("public, max-age=60", "", INLINE),
    ],
)
def test_a_page_that_no_cache_hands_on_may_hold_a_token(
    cache_control: str, vary: str, snippet: str
) -> None:
    assert shared(cache_control, vary, snippet) is None


@pytest.mark.parametrize(
    "cache_control",
    [
        "public",
        "max-age=60",
        "Public",
        "x, s-maxage=1",
        "max-age=0, s-maxage=60",
        's-maxage=60, private="set-cookie"',
        'max-age=60, no-cache="set-cookie, x"',
        "max-age=0, stale-while-revalidate=60",
    ],
)
def test_a_token_in_a_page_that_caches_hand_on_is_named(cache_control: str) -> None:
    assert 'identity="host"' in str(shared(cache_control, "Accept-Encoding", TOKEN))


@pytest.mark.parametrize(
    ("cache_control", "then"),
    [
        ("public", "private"),
        ("max-age=60, must-revalidate", "max-age=60, must-revalidate, private"),
        ('Public, s-maxage=9, private="set-cookie, x"', "s-maxage=9, private"),
    ],
)
def test_what_else_the_page_told_caches_stays(cache_control: str, then: str) -> None:
    assert as_private(cache_control) == then
    assert shared(then, "", TOKEN) is None
