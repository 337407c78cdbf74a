"""Our snippet in a page: under each policy, beside other copies, and where its script cannot come.

The one case in which the client speaks unasked is the last: a script that did not come is said
once, in one line of the browser's console.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from .conftest import KEY, Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ANNA = "{email: 'anna@emaildomain.com'}"
LOGGED_IN = "{activity_id: 'act:cm:login'}"
REST = "default-src 'none'; connect-src 'self'; img-src data:; script-src"
TYPES = "require-trusted-types-for 'script'"


def delivers(site: Site) -> None:
    """Who it is and what they do is stored, with no word from the client or the browser."""
    site.arrived()
    assert site.run(f"() => ap3c.track({ANNA})")["ok"]
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    assert site.emails == ["anna@emaildomain.com"]
    assert (site.errors, site.console) == ([], [])


def under(site: Site, policy: str, *, inline: bool) -> None:
    """Go to a page with this policy and our snippet, which both have a nonce where one does."""
    policy = policy.replace("HASH", site.app.snippet_hash(KEY))
    nonce = "r4nd0m" if "r4nd0m" in policy else None
    site.headers = [("Content-Security-Policy", f"{REST} {policy}")]
    site.open(site.app.snippet(KEY, nonce, inline=inline))


def said(site: Site) -> list[str]:
    """What was said so far.

    The page has loaded, so its scripts have come or failed. The snippet speaks when it hears of
    that, and what is called in a task after it hears the rest.
    """
    site.run("() => new Promise(done => setTimeout(done))")
    return site.said


@pytest.mark.parametrize(
    ("policy", "inline"),
    [
        ("'nonce-r4nd0m'", True),
        ("'nonce-r4nd0m'", False),
        ("'nonce-r4nd0m' 'strict-dynamic'", True),
        ("'nonce-r4nd0m' 'strict-dynamic'", False),
        ("'self' HASH", True),
        ("HASH 'strict-dynamic'", True),
        ("'self'", False),
        (f"'nonce-r4nd0m'; {TYPES}", True),
        (f"'nonce-r4nd0m'; {TYPES}; trusted-types ap3c", True),
        (f"'nonce-r4nd0m'; {TYPES}; trusted-types 'none'", False),
    ],
)
def test_it_works_under_a_policy_that_permits_it(shop: Site, policy: str, inline: bool) -> None:
    under(shop, policy, inline=inline)

    delivers(shop)


@pytest.mark.parametrize("policy", ["HASH", f"'nonce-r4nd0m'; {TYPES}; trusted-types 'none'"])
def test_a_policy_that_stops_the_script_is_said_in_one_line(shop: Site, policy: str) -> None:
    under(shop, policy, inline=True)

    [line] = said(shop)
    assert line.startswith("ap3c: ")
    assert "policy" in line
    assert shop.errors == []


def test_a_policy_that_stops_the_snippet_itself_leaves_the_page_alone(shop: Site) -> None:
    under(shop, "'self'", inline=True)

    assert said(shop) == []
    assert shop.errors == []
    assert not [path for path in shop.fetched if path.endswith(".js")]


# Where the script cannot come.


@pytest.mark.parametrize("inline", [True, False])
def test_a_page_that_gets_no_script_goes_on(shop: Site, inline: bool) -> None:
    shop.open(shop.app.snippet(KEY, endpoint="/wrong", inline=inline))

    assert shop.errors == []


def test_a_wrong_endpoint_is_said_in_one_line_that_names_the_address(shop: Site) -> None:
    shop.open(shop.app.snippet(KEY, endpoint="/wrong"))

    [line] = said(shop)
    assert line.startswith(f"ap3c: {shop.base}/wrong/app.js?v=")
    assert "mounted" in line
    assert "\n" not in line


def test_a_script_that_is_blocked_is_said_and_no_call_throws(shop: Site) -> None:
    shop.page.route("**/app.js*", lambda asked: asked.abort("blockedbyclient"))
    shop.open(f"{shop.snippet()}<script>ap3c.track({ANNA}); ap3c.activity({LOGGED_IN});</script>")

    [line] = said(shop)
    assert "content blocker" in line
    shop.run(f"() => {{ ap3c.activity({LOGGED_IN}); ap3c.clearSession(); ap3c.consent(true); }}")
    assert len(said(shop)) == 1
    assert shop.errors == []


@pytest.mark.parametrize("body", [b"", b"window.somethingElse = 1;"])
def test_a_script_that_is_not_the_client_is_said_as_well(shop: Site, body: bytes) -> None:
    """As content blockers put in its place."""

    def replaced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/capture/app.js":
            return shop.host(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/javascript")])
        return [body]

    shop.mounted = replaced
    shop.open(shop.snippet())

    assert len(said(shop)) == 1


def test_debug_says_again_that_the_script_did_not_come(shop: Site) -> None:
    shop.open(shop.app.snippet(KEY, endpoint="/wrong"))
    shop.run("() => { ap3c.debug(false); ap3c.debug(true); }")

    first, again = said(shop)
    assert first == again


def test_debug_before_the_script_has_come_is_heeded_when_it_comes(shop: Site) -> None:
    shop.late = "/app.js"
    asked = f"<script>ap3c.debug(true); ap3c.track({ANNA});</script>"
    with shop.page.expect_console_message(lambda line: line.text == "ap3c: track: sent"):
        shop.open(shop.snippet() + asked, until="domcontentloaded")
        shop.released.set()


# Beside other copies, and the client itself.


def test_a_second_copy_loads_nothing_again(shop: Site) -> None:
    shop.open(shop.snippet() * 2)
    delivers(shop)

    assert shop.fetched.count("/capture/app.js") == 1


def test_a_second_copy_says_nothing_again(shop: Site) -> None:
    shop.open(shop.app.snippet(KEY, endpoint="/wrong") * 2)

    assert len(said(shop)) == 1
    assert shop.fetched.count("/wrong/app.js") == 1


def test_a_copy_in_a_page_that_has_the_client_tells_it_where_to_report(shop: Site) -> None:
    """A consent tool or a tag manager may have loaded the script before."""
    shop.open(f'<script src="/capture/app.js"></script>{shop.snippet()}')
    delivers(shop)

    assert shop.fetched.count("/capture/app.js") == 1


def test_the_script_is_asked_for_at_the_address_that_is_kept_for_good(shop: Site) -> None:
    for inline in (True, False):
        shop.open(shop.app.snippet(KEY, inline=inline))
        shop.arrived()

    assert shop.fetched.count("/capture/app.js") == 1
