"""Final is what a capture server says; all else that answers is a server that is away."""

from __future__ import annotations

import json

import pytest

from .websites import ANNA, OpenTab, Reply, Website, seen, track, visit

#: What proxies, firewalls and frameworks answer in the capture server's place.
FOREIGN = {
    "a proxy's 404": Reply("404 Not Found", "<html><h1>404 Not Found</h1><hr>nginx</html>"),
    "a firewall's 403": Reply("403 Forbidden", "<html><h1>Request blocked</h1></html>"),
    "a log-in's 401": Reply("401 Unauthorized", "<html><h1>Log in</h1></html>"),
    "408": Reply("408 Request Timeout"),
    "425": Reply("425 Too Early"),
    "a framework's 404": Reply("404 Not Found", json.dumps({"detail": "Not Found"})),
    "a gateway's 400": Reply("400 Bad Request", json.dumps({"error": "Bad Request"})),
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_what_a_proxy_answered_is_sent_again(
    open_tab: OpenTab, website: Website, foreign: str
) -> None:
    """The page is told that it waits, and who it was is sent again as well."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    website.answer = lambda posted: FOREIGN[foreign]

    for call in (track(ANNA), seen(1)):
        told = tab.run(f"() => {call}")
        assert (told["ok"], told["queued"]) == (False, True)
    website.answer = lambda posted: None
    visit(tab, website.base + "/")
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
    assert len({each.body["event_id"] for each in website.sent("activity")}) == 1
    dropped = [each.body["dropped"] for each in website.posted if "dropped" in each.body]
    assert dropped == []


def test_what_a_proxy_answered_to_an_activity_takes_no_session_away(
    open_tab: OpenTab, website: Website
) -> None:
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")
    session = tab.run("() => ap3c.getCookie()")
    website.answer = lambda posted: FOREIGN["a log-in's 401"]
    tab.run(f"() => {seen(1)}")
    website.answer = lambda posted: None
    website.wait_for(website.rows)

    assert website.rows() == [("1", ANNA)]
    assert tab.run("() => ap3c.getCookie()") == session


def test_what_the_capture_server_refused_is_final(open_tab: OpenTab, website: Website) -> None:
    """Though a 404 it is: said in its own words."""
    tab = open_tab()
    visit(tab, website.put("/", website.snippet()))
    tab.run(f"() => {track(ANNA)}")

    told = tab.run(f"() => {seen(1, 'act:cm:unknown')}")
    assert told == {"ok": False, "status": 404, "code": "not-found"}
    visit(tab, website.base + "/")
    tab.run(f"() => {seen(2)}")
    assert len(website.sent("activity")) == 2
