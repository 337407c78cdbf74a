"""Nothing a page reports gets lost, nothing is stored twice, and whoever breaks that is caught."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route

from ..conftest import Campaigns
from ..faults.stage import seed
from ..services import campaign
from .conftest import Site
from .variants import VARIANTS, spoil
from .visits import NOTHING_WAITS, campaign_of_visits

LOGGED_IN = "() => { ap3c.activity({activity_id: 'act:cm:login'}); }"
IDENTIFIED = "() => ap3c.track({email: 'anna@emaildomain.com'})"


def test_what_visitors_did_is_stored_once_whatever_the_server_and_the_network_do(
    browser: Browser, tmp_path: Path, campaigns: Campaigns
) -> None:
    result = campaign_of_visits(browser, tmp_path, campaign(10), seed())
    campaigns.report("visits", result)

    assert result.findings == []


def ready(site: Site, page: Page | None = None) -> Page:
    """A page with the client, in a tab of its own or in this one."""
    page = page or site.page.context.new_page()
    site.html = f"<!doctype html><title>Shop</title>{site.snippet()}"
    page.goto(site.base)
    page.wait_for_function("window.ap3c && ap3c.loaded")
    return page


def outage(site: Site) -> bool:
    """The server is down, the page is closed, and the visitor comes back."""
    page = ready(site)
    page.evaluate(IDENTIFIED)
    page.evaluate("() => { navigator.sendBeacon = () => false; }")
    page.context.route("**/-/events/activity", lambda asked: asked.abort())
    with page.expect_event("requestfailed"):
        page.evaluate(LOGGED_IN)
    page.close()
    page.context.unroute("**/-/events/activity")
    ready(site).wait_for_function(NOTHING_WAITS)
    return len(site.stored) == 1


def answer_lost(site: Site) -> bool:
    """What was stored once already is sent again."""
    page = ready(site)
    page.evaluate(IDENTIFIED)

    def lose(asked: Route) -> None:
        asked.fetch()
        asked.abort()

    page.context.route("**/-/events/activity", lose, times=1)
    page.evaluate(LOGGED_IN)
    page.wait_for_function(NOTHING_WAITS)
    return len(site.stored) == 1


def two_tabs(site: Site) -> bool:
    """One waits for the server, the other has something to send as well."""
    one, other = ready(site), ready(site)
    one.evaluate(IDENTIFIED)
    site.late = "/activity"
    with one.expect_request("**/activity"):
        one.evaluate(LOGGED_IN)
    sent: list[str] = []
    other.on("request", lambda asked: sent.append(asked.url))
    other.evaluate(LOGGED_IN)
    other.evaluate("() => new Promise(setTimeout)")
    site.released.set()
    other.wait_for_function(NOTHING_WAITS)
    return sent == []


def left_at_once(site: Site) -> bool:
    """Identifies, acts, and is gone for good, while the answer to the track is still out."""
    page = ready(site)
    site.late = "/track"
    with page.expect_request("**/track"):
        page.evaluate("() => { ap3c.track({email: 'anna@emaildomain.com'}); }")
        page.evaluate(LOGGED_IN)
    page.close()
    # Another page, without the client: that would send what is left.
    site.html = "<!doctype html><title>Shop</title>"
    asking = page.context.new_page()
    asking.goto(site.base)
    for _ in range(100):
        if site.stored:
            break
        # A round trip, in which whatever was sent before may arrive.
        asking.evaluate("() => fetch('/next')")
    site.released.set()
    return len(site.stored) == 1


SCENARIOS: dict[str, Callable[[Site], bool]] = {
    "no persistence": outage,
    "a new id for each try": answer_lost,
    "no lock": two_tabs,
    "no beacon": left_at_once,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_client_holds_where_a_bad_one_is_caught(chromium_site: Site, variant: str) -> None:
    spoil(chromium_site.page.context, "")

    assert SCENARIOS[variant](chromium_site)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_bad_client_is_caught(chromium_site: Site, variant: str) -> None:
    spoil(chromium_site.page.context, variant)

    assert not SCENARIOS[variant](chromium_site)
