"""Our snippet in a page: under each policy, beside other copies, and where its script cannot come.

The one case in which the client speaks unasked is the last: a script that did not come is said
once, in one line of the browser's console.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from .conftest import KEY, RECORDER, Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ANNA = "{email: 'anna@emaildomain.com'}"
LOGGED_IN = "{activity_id: 'act:cm:login'}"
#: Of the script by which a test hears what happens on the page.
RECORDED = f"'sha256-{b64encode(sha256(RECORDER.encode()).digest()).decode()}'"
REST = f"default-src 'none'; connect-src 'self'; img-src data:; script-src {RECORDED}"
TYPES = "require-trusted-types-for 'script'"


def delivers(site: Site) -> None:
    """Who it is and what they do is stored, with no word from the client or the browser."""
    site.arrived()
    assert site.run(f"() => ap3c.track({ANNA})")["ok"]
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    assert site.emails == ["anna@emaildomain.com"]
    assert (site.errors, site.said) == ([], [])
    # These are what Firefox's driver does itself.
    assert set(site.forbidden) <= {"eval", "trusted-types-sink"}


def under(site: Site, policy: str, *, inline: bool) -> None:
    """Go to a page with this policy and our snippet, which both have a nonce where one does."""
    policy = policy.replace("HASH", site.app.snippet_hash(KEY)).replace("HOST", site.base)
    nonce = "r4nd0m" if "r4nd0m" in policy else None
    site.headers = [("Content-Security-Policy", f"{REST} {policy}")]
    site.open(site.app.snippet(KEY, nonce, inline=inline))


def said(site: Site) -> list[str]:
    """What was said, once something was."""
    site.tab.until("() => (sessionStorage.heard || '').includes('said ')")
    return site.said


@pytest.mark.parametrize(
    ("policy", "inline"),
    [
        ("'nonce-r4nd0m'", True),
        ("'nonce-r4nd0m'", False),
        ("'nonce-r4nd0m' 'strict-dynamic'", True),
        ("'nonce-r4nd0m' 'strict-dynamic'", False),
        ("'self' HASH", True),
        ("HOST HASH", True),
        ("'self'", False),
        (f"'nonce-r4nd0m'; {TYPES}", True),
        (f"'nonce-r4nd0m'; {TYPES}; trusted-types 'none'", True),
        (f"'nonce-r4nd0m'; {TYPES}; trusted-types 'none'", False),
    ],
)
def test_it_works_under_a_policy_that_permits_it(site: Site, policy: str, inline: bool) -> None:
    under(site, policy, inline=inline)

    delivers(site)


@pytest.mark.parametrize("policy", ["HASH", "'self' HASH 'strict-dynamic'"])
def test_a_policy_that_stops_the_script_is_said_in_one_line(site: Site, policy: str) -> None:
    under(site, policy, inline=True)

    [line] = said(site)
    assert line.startswith("ap3c: ")
    assert "policy" in line
    assert site.errors == []


def test_a_policy_that_stops_the_snippet_itself_leaves_the_page_alone(site: Site) -> None:
    under(site, "'self'", inline=True)

    site.tab.until("() => (sessionStorage.heard || '').includes('forbidden ')")
    assert (site.errors, site.said) == ([], [])
    assert not site.sent


# Where the script cannot come.


@pytest.mark.parametrize("inline", [True, False])
def test_a_page_that_gets_no_script_goes_on(site: Site, inline: bool) -> None:
    site.open(site.app.snippet(KEY, endpoint="/wrong", inline=inline))

    assert site.errors == []


def test_a_wrong_endpoint_is_said_in_one_line_that_names_the_address(site: Site) -> None:
    site.open(site.app.snippet(KEY, endpoint="/wrong"))

    [line] = said(site)
    assert line.startswith("ap3c: /wrong/app.js?v=")
    assert "mounted" in line
    assert "\n" not in line


def test_a_script_that_is_kept_away_is_said_and_no_call_throws(site: Site) -> None:
    site.trouble("down", "/app.js")
    site.open(f"{site.snippet()}<script>ap3c.track({ANNA}); ap3c.activity({LOGGED_IN});</script>")

    [line] = said(site)
    assert "content blocker" in line
    site.run(f"() => {{ ap3c.activity({LOGGED_IN}); ap3c.clearSession(); ap3c.consent(true); }}")
    assert len(said(site)) == 1
    assert site.errors == []


@pytest.mark.parametrize("body", [b"", b"window.somethingElse = 1;"])
def test_a_script_that_is_not_the_client_is_said_as_well(site: Site, body: bytes) -> None:
    """As content blockers put in its place."""

    def replaced(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != "/capture/app.js":
            return site.host(environ, start_response)
        start_response("200 OK", [("Content-Type", "text/javascript")])
        return [body]

    site.mounted = replaced
    site.open(site.snippet())

    assert len(said(site)) == 1


def test_a_page_that_is_left_before_the_script_comes_says_nothing(site: Site) -> None:
    site.late = "/app.js"
    site.open(site.snippet(), until="domcontentloaded")
    site.wait(lambda: "/capture/app.js" in site.fetched)
    site.put("")
    site.tab.goto(f"{site.base}/next")
    site.released.set()

    assert site.said == []


def test_debug_says_again_that_the_script_did_not_come(site: Site) -> None:
    site.open(site.app.snippet(KEY, endpoint="/wrong"))
    [first] = said(site)
    site.run("() => { ap3c.debug(false); ap3c.debug(true); }")

    assert site.said == [first] * 2


def test_debug_before_the_script_has_come_is_heeded_when_it_comes(site: Site) -> None:
    site.late = "/app.js"
    asked = f"<script>ap3c.debug(true); ap3c.track({ANNA});</script>"
    site.open(site.snippet() + asked, until="domcontentloaded")
    site.released.set()

    site.tab.until("() => sessionStorage.heard.includes('ap3c: track: sent')")


def test_a_page_that_inserts_a_copy_while_it_loads_is_told_as_well(site: Site) -> None:
    inserts(site, "DOMContentLoaded", "interactive")

    assert len(said(site)) == 1


@pytest.mark.parametrize("event", ["readystatechange", "later"])
def test_a_page_that_inserts_a_copy_later_is_told_nothing(site: Site, event: str) -> None:
    """No event waits for its script then: it may still be under way."""
    inserts(site, event, "complete")
    site.tab.until("() => document.readyState === 'complete'")
    site.run("async () => { dispatchEvent(new Event('later')); await tried; }")

    assert (site.errors, site.said) == ([], [])


def inserts(site: Site, event: str, state: str) -> None:
    """Go to a page that inserts a copy at this event in this state, as single-page apps do."""
    copy = json.dumps(site.app.snippet(KEY, endpoint="/wrong")).replace("<", "\\u003c")
    site.open(
        f"""<script>addEventListener("{event}", () => {{
          if (document.readyState !== "{state}") return;
          window.tried = new Promise(done => {{
            for (const part of new DOMParser().parseFromString({copy}, "text/html").scripts) {{
              const script = document.createElement("script");
              script.text = part.text;
              if (part.getAttribute("src")) script.src = part.getAttribute("src");
              script.onload = script.onerror = () => setTimeout(done);
              document.head.append(script);
            }}
          }});
        }}, true);</script>""",
        until="domcontentloaded",  # it never loads whole in WebKit
    )


# Beside other copies, and the client itself.


def test_a_second_copy_loads_nothing_again(site: Site) -> None:
    site.open(site.snippet() * 2)
    delivers(site)

    assert site.fetched.count("/capture/app.js") == 1


def test_a_second_copy_says_nothing_again(site: Site) -> None:
    site.open(site.app.snippet(KEY, endpoint="/wrong") * 2)

    assert len(said(site)) == 1


def test_a_copy_in_a_page_that_has_the_client_tells_it_where_to_report(site: Site) -> None:
    """A consent tool or a tag manager may have loaded the script before."""
    site.open(f'<script src="/capture/app.js"></script>{site.snippet()}')
    delivers(site)


def test_the_script_is_asked_for_at_the_address_that_is_kept_for_good(site: Site) -> None:
    for inline in (True, False):
        site.open(site.app.snippet(KEY, inline=inline))
        site.arrived()

    assert site.fetched.count("/capture/app.js") == 1
