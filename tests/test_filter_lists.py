"""What blockers think of our addresses: asked of a real engine, with the rules that bite our kind.

The rules are facts about a list of July 2026, as far as they concern what we do; a path that passes
here may still be on another list. Nothing of the addresses that are checked is typed here: they are
what a browser asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import adblock
import pytest
from playwright.sync_api import Browser, Page, Request, Route

from .browser.conftest import Site
from .browser.engines import ChromiumTab
from .services import serve

RULES = [
    "/api/collect$xmlhttprequest,ping",
    "/api/events$ping,~third-party",
    "/matomo.php",
    "/umami.js$script",
    # Every beacon to another origin, whatever its address.
    "$ping,third-party",
    # What newer snippets of Ortto's no longer use.
    "||s.autopilotapp.com^",
    "||capture-api.ap3prod.com^",
]
PAGE = "https://shop.example/basket"
#: What a browser calls a request, and what blockers do.
KINDS = {"script": "script", "fetch": "xmlhttprequest", "ping": "ping"}
LOGGED_IN = "{activity_id: 'act:cm:login'}"


class Asked(NamedTuple):
    """One request that a browser made: what for, and from which path."""

    kind: str
    path: str


@pytest.fixture(scope="module")
def engine() -> adblock.Engine:
    """What blocks."""
    rules = adblock.FilterSet()
    rules.add_filters(RULES)
    return adblock.Engine(rules)


def blocked(engine: adblock.Engine, kind: str, url: str, page: str = PAGE) -> bool:
    """Whether a page that asks for this would not get it."""
    return engine.check_network_urls(url, page, kind).matched


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("xmlhttprequest", "/api/collect"),
        ("ping", "/api/collect"),
        ("ping", "/api/events"),
        ("ping", "/capture/api/events"),
        ("xmlhttprequest", "/matomo.php"),
        ("script", "/umami.js"),
        ("script", "/capture/umami.js"),
    ],
)
def test_the_rules_bite(engine: adblock.Engine, kind: str, path: str) -> None:
    """Also below a prefix, and where the page comes from."""
    assert blocked(engine, kind, f"https://shop.example{path}")


@pytest.mark.parametrize("host", ["s.autopilotapp.com", "capture-api.ap3prod.com"])
def test_hosts_of_ortto_are_named(engine: adblock.Engine, host: str) -> None:
    assert blocked(engine, "script", f"https://{host}/app.js")
    assert not blocked(engine, "script", f"https://shop.example/{host}/app.js")


@pytest.fixture(scope="module")
def asked(browser: Browser) -> Iterator[set[Asked]]:
    """All that a page asks of us, from its script to the beacons with which it is left."""
    with browser.new_context() as context:
        page = context.new_page()
        requests: list[Request] = []

        def saw(request: Request) -> None:
            requests.append(request)

        page.on("request", saw)
        site = Site(ChromiumTab(page), lambda: ChromiumTab(context.new_page()))
        with serve(site.serve) as site.base:
            site.open(site.snippet())
            site.settle()
            site.run("() => ap3c.track({email: 'anna@emaildomain.com'})")
            site.run(f"() => ap3c.activity({LOGGED_IN})")
            with page.expect_request("**/debug.js"):
                site.run("() => { ap3c.debug(true); ap3c.track({}); }")
            site.late = "/track"
            with page.expect_request(lambda request: request.resource_type == "ping"):
                site.run(f"""() => {{
                  ap3c.track({{email: "bob@emaildomain.com"}});
                  ap3c.activity({LOGGED_IN});
                  setTimeout(() => dispatchEvent(new Event("pagehide")));
                }}""")
            site.released.set()
            site.run("() => { dispatchEvent(new Event('pageshow')); }")
            site.settle()
            yield {of(each) for each in requests if each.resource_type != "document"}


def of(request: Request) -> Asked:
    address = urlsplit(request.url)
    path = f"{address.path}?{address.query}" if address.query else address.path
    return Asked(KINDS[request.resource_type], path)


@pytest.mark.parametrize("prefix", ["", "/shop", "/de/blog"])
def test_everything_that_a_page_asks_of_us_passes(
    engine: adblock.Engine, asked: set[Asked], prefix: str
) -> None:
    assert {each.kind for each in asked} == set(KINDS.values())
    assert [
        each
        for each in asked
        if blocked(engine, each.kind, f"https://shop.example{prefix}{each.path}")
    ] == []


def test_on_another_origin_beacons_are_blocked_and_nothing_else(
    engine: adblock.Engine, asked: set[Asked]
) -> None:
    assert {
        each.kind
        for each in asked
        if blocked(engine, each.kind, f"https://capture.example{each.path}")
    } == {"ping"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_visitor_who_blocks_is_heard(page: Page, engine: adblock.Engine, host: str) -> None:
    """On another origin as well: there the client leaves beacons alone, and nothing is blocked."""
    site = Site(ChromiumTab(page), lambda: ChromiumTab(page.context.new_page()))
    judged = set()

    def judge(route: Route) -> None:
        kind = KINDS.get(route.request.resource_type, "document")
        bad = blocked(engine, kind, route.request.url, site.base)
        judged.add((kind, bad))
        if bad:
            route.abort("blockedbyclient")
        else:
            route.continue_()

    with serve(site.serve) as site.base:
        page.route("**", judge)
        endpoint = f"{site.base.replace('127.0.0.1', host)}/capture"
        site.open(site.app.snippet("", endpoint=endpoint))
        site.run("() => ap3c.track({email: 'anna@emaildomain.com'})")
        site.late = "/activity"
        with page.expect_request("**/activity"):
            site.run(f"() => {{ ap3c.activity({LOGGED_IN}); ap3c.activity({LOGGED_IN}); }}")
        site.run("() => { dispatchEvent(new Event('pagehide')); }")
        # It is left while the first is under way, and the second waits.
        site.late = "none"
        with page.expect_response(lambda answer: len(site.stored) == 2):
            page.reload()
        site.released.set()

    assert site.emails == ["anna@emaildomain.com"] * 2
    kinds = {"document", "script", "xmlhttprequest"} | ({"ping"} if host == "127.0.0.1" else set())
    assert judged == {(kind, False) for kind in kinds}
