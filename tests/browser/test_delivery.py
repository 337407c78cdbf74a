"""What is called is stored once, whatever the server, the page and the other tabs do."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route

from .conftest import KEY, Site

ANNA = "{email: 'anna@emaildomain.com'}"
BOB = "{email: 'bob@emaildomain.com'}"
LOGGED_IN = "{activity_id: 'act:cm:login'}"
#: What a server may do instead of storing.
TROUBLE: dict[str, dict[str, Any]] = {
    "down": {},
    "failing": {"status": 500, "body": "<h1>Internal Server Error</h1>"},
    "busy": {
        "status": 429,
        "headers": {"Retry-After": "2", "Access-Control-Expose-Headers": "Retry-After"},
        "body": '{"error":{"code":"rate-limit"}}',
    },
    "elsewhere": {"status": 200, "body": "<h1>Log in to the hotel's network</h1>"},
}
EMPTY = "() => Object.keys(localStorage).filter(name => name.startsWith('ap3c-')).length === 0"


def ready(site: Site, page: Page | None = None) -> Page:
    """A page with our snippet, its script arrived."""
    page = page or site.page
    site.html = f"<!doctype html><title>Shop</title>{site.snippet()}"
    page.goto(site.base)
    page.wait_for_function("window.ap3c && ap3c.loaded")
    return page


def trouble(page: Page, kind: str, route: str = "activity") -> None:
    def answer(asked: Route) -> None:
        given = TROUBLE[kind]
        if given:
            asked.fulfill(**given)
        else:
            asked.abort()

    page.context.route(f"**/-/events/{route}", answer)


def over(page: Page) -> None:
    """The server is well again, and the wait is over."""
    page.context.unroute_all()
    page.evaluate("() => { localStorage.removeItem('ap3c.wait'); }")


@pytest.mark.parametrize("kind", TROUBLE)
def test_what_was_not_answered_is_sent_by_the_next_page(site: Site, kind: str) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, kind)

    told = page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    assert (told["ok"], told["queued"]) == (False, True)
    over(page)
    ready(site)
    page.wait_for_function(EMPTY)

    assert len(site.stored) == 1
    assert len({body["event_id"] for body in site.bodies("activity")}) == 1


def test_the_same_page_tries_again_by_itself(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, "failing")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    page.context.unroute_all()

    page.wait_for_function(EMPTY)
    assert len(site.stored) == 1


def test_a_wait_that_the_server_asks_for_is_kept_by_the_next_page(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, "busy")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    sent = len(site.sent)
    page.context.unroute_all()
    page.evaluate("() => localStorage.setItem('ap3c.wait', Date.now() + 200000)")
    ready(site)
    page.evaluate("async () => { await navigator.locks.request('ap3c', () => 0); }")

    assert len([each for each in site.sent[sent:] if each == "activity"]) <= 1, "but one beacon"


def test_a_limit_that_lasts_is_final_and_reported(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    told = page.evaluate(f"""async () => {{
      let last;
      for (let n = 0; n < 11; n++) last = await ap3c.activity({LOGGED_IN});
      return last;
    }}""")

    assert (told["status"], told["code"]) == (429, "rate-limit")
    assert "queued" not in told
    page.evaluate(f"() => ap3c.track({ANNA})")
    assert site.bodies("track")[-1]["dropped"] == {"rate-limit": 1}
    page.evaluate(f"() => ap3c.track({ANNA})")
    assert "dropped" not in site.bodies("track")[-1]


@pytest.mark.parametrize("kind", ["down", "failing", "busy"])
def test_what_bob_does_is_never_annas(site: Site, kind: str) -> None:
    """His track failed for the moment; her session is still in the cookie."""
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, kind, "track")
    page.evaluate(f"() => ap3c.track({BOB})")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    over(page)
    ready(site)
    page.wait_for_function(EMPTY)

    assert site.emails == ["bob@emaildomain.com"]


def test_somebody_refused_does_not_act_in_the_name_of_the_one_before(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate("() => ap3c.track({email: 'no address'})")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.settle()

    assert site.stored == []
    page.evaluate(f"() => ap3c.track({BOB})")
    page.wait_for_function(EMPTY)
    assert site.emails == ["bob@emaildomain.com"]


def test_what_is_held_is_held_over_pages(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.wait_for_function(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]


def test_who_identifies_acts_and_leaves_at_once_is_not_lost(site: Site) -> None:
    """The activity travels with its person, while the answer to the track is still out."""
    page = ready(site)
    site.late = "/-/events/track"
    with page.expect_request("**/-/events/activity") as beacon:
        page.evaluate(f"""() => {{
          ap3c.track({ANNA});
          ap3c.activity({LOGGED_IN});
          queueMicrotask(() => dispatchEvent(new Event("pagehide")));
        }}""")
    assert beacon.value.resource_type == "ping"
    assert '"person":{"email":"anna@emaildomain.com"' in (beacon.value.post_data or "")
    site.late = "none"
    site.released.set()
    ready(site)
    page.wait_for_function(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]


@pytest.mark.parametrize("tabs", [2, 5])
def test_what_many_tabs_report_is_stored_once(site: Site, tabs: int) -> None:
    pages = [ready(site)] + [ready(site, site.page.context.new_page()) for _ in range(tabs - 1)]
    pages[0].evaluate(f"() => ap3c.track({ANNA})")
    for page in pages:
        page.evaluate(f"() => {{ window.told = ap3c.activity({LOGGED_IN}); }}")

    assert all(page.evaluate("() => told")["ok"] for page in pages), "whichever tab sent it"
    assert len(site.stored) == tabs


@pytest.mark.parametrize("locks", [True, False])
def test_one_tab_sends_at_a_time(site: Site, locks: bool) -> None:
    context = site.page.context
    if not locks:
        context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    one = ready(site)
    one.evaluate(f"() => ap3c.track({ANNA})")
    other = ready(site, context.new_page())
    site.late = "/activity"
    with one.expect_request("**/activity"):
        one.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    if not locks:
        other.wait_for_function("() => localStorage.getItem('ap3c.wait') > Date.now()")
    sent: list[str] = []
    other.on("request", lambda request: sent.append(request.url))
    other.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    if locks:
        other.wait_for_function("async () => (await navigator.locks.query()).pending.length > 0")
    else:
        other.evaluate("() => new Promise(setTimeout)")

    assert sent == []
    site.released.set()
    other.wait_for_function(EMPTY)
    assert len(site.stored) == 2


def test_without_consent_nothing_is_stored_or_sent(site: Site) -> None:
    site.open('<script src="/capture/app.js"></script>')
    before = len(site.requests)
    site.run(f"""() => {{
      ap3c.init("{KEY}", "/capture", {{consent: false}});
      ap3c.track({ANNA});
      ap3c.activity({LOGGED_IN});
    }}""")
    nothing = "() => [document.cookie, localStorage.length, ap3c.getCookie()]"
    assert site.run(nothing) == ["", 0, None]
    assert len(site.requests) == before

    site.run("() => ap3c.consent(true)")
    site.page.wait_for_function(EMPTY)
    assert site.emails == ["anna@emaildomain.com"]
    site.run("() => ap3c.consent(false)")
    assert site.run(nothing) == ["", 0, None]


@pytest.mark.parametrize(("signal", "told"), [("true", True), ("false", None), ("'1'", None)])
def test_the_privacy_signal_goes_along(site: Site, signal: str, told: bool | None) -> None:
    """Other scripts may put anything there, and the server takes nothing but a boolean."""
    site.page.add_init_script(
        f"Object.defineProperty(navigator, 'globalPrivacyControl', {{value: {signal}}});"
    )
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")

    sent = site.bodies("track") + site.bodies("activity")
    assert [body.get("gpc") for body in sent] == [told, told]
    assert [row.gpc for row in site.stored] == [told is True]


@pytest.mark.parametrize("shared", [True, False])
def test_a_call_too_large_for_any_request_is_refused_at_once(site: Site, shared: bool) -> None:
    page = ready(site)
    if shared:
        page.evaluate(f"() => ap3c.track({ANNA})")
    told = page.evaluate(
        "() => ap3c.activity({activity_id: 'act:cm:login', attributes: {x: 'x'.repeat(1e6)}})"
    )

    assert told == {"ok": False, "code": "too-large"}
    assert page.evaluate(EMPTY)


def test_an_activity_that_never_gets_through_keeps_no_other_waiting(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.route(
        "**/activity",
        lambda asked: (
            asked.fulfill(status=500)
            if "poison" in (asked.request.post_data or "")
            else asked.continue_()
        ),
    )
    page.evaluate("() => ap3c.activity({activity_id: 'act:cm:login', event_id: 'poison'})")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    page.wait_for_function(
        "() => Object.keys(localStorage).filter(name => name.startsWith('ap3c-')).length === 1"
    )

    assert len(site.stored) == 1


def test_a_track_that_is_refused_does_not_hold_up_the_next_one(site: Site) -> None:
    page = ready(site)
    page.evaluate("() => { ap3c.track({email: 'no address'}); }")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    page.evaluate(f"() => ap3c.track({BOB})")
    page.wait_for_function(EMPTY)

    assert site.emails == ["bob@emaildomain.com"]


def test_of_too_many_that_wait_who_it_was_is_kept(site: Site) -> None:
    page = ready(site)
    trouble(page, "down", "*")
    told = page.evaluate(f"""async () => {{
      ap3c.track({ANNA});
      const told = [];
      for (let n = 0; n < 100; n++) {{
        ap3c.activity({{activity_id: "act:cm:login", event_id: "e" + n}}, each => told.push(each));
      }}
      while (!told.length) await new Promise(setTimeout);
      return told;
    }}""")
    assert told == [{"ok": False, "code": "overflow"}]
    over(page)
    ready(site)
    page.wait_for_function(EMPTY)

    dropped = [body["dropped"] for body in site.bodies("track") if "dropped" in body]
    assert dropped[-1] == {"overflow": 1}
    assert {body["event_id"] for body in site.bodies("activity")} == {
        f"e{n}" for n in range(1, 100)
    }
    assert site.emails == ["anna@emaildomain.com"] * 10, "the limit"


def test_what_is_older_than_two_days_is_given_up_and_reported(site: Site) -> None:
    page = ready(site)
    trouble(page, "down", "*")
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate(f"() => {{ navigator.sendBeacon = null; ap3c.activity({LOGGED_IN}); }}")
    over(page)
    page.add_init_script("const now = Date.now; Date.now = () => now() + 49 * 3600e3;")
    ready(site)
    page.evaluate(f"() => ap3c.track({BOB})")

    assert site.stored == []
    assert site.bodies("track")[-1]["dropped"] == {"expired": 2}


def test_a_session_that_another_tab_made_meanwhile_is_kept(site: Site) -> None:
    """The refusal speaks of the one that was sent."""
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    other = page.evaluate("() => ap3c.getCookie()")
    page.evaluate("() => ap3c.clearSession()")
    page.evaluate("() => { document.cookie = 'ap3c=oc1.bad; path=/'; }")
    site.late = "/activity"
    with page.expect_request("**/activity"):
        page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    page.evaluate("token => { document.cookie = `ap3c=${token}; path=/`; }", other)
    site.released.set()
    page.wait_for_function(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]
    assert page.evaluate("() => ap3c.getCookie()") == other


def test_a_session_from_before_the_domain_was_shared_is_replaced(site: Site) -> None:
    site.base = site.base.replace("127.0.0.1", "shop.localhost")
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate(f"() => ap3c.init('{KEY}', '/capture', {{cookieDomains: ['.shop.localhost']}})")
    page.evaluate(f"() => ap3c.track({BOB})")

    assert len(page.context.cookies()) == 1
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    assert site.emails == ["bob@emaildomain.com"]


def test_an_answer_that_never_comes_is_not_waited_for(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate("() => { AbortSignal.timeout = () => AbortSignal.abort('at once'); }")

    told = page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    assert told == {"ok": False, "status": 0, "code": "unreachable", "queued": True}
    ready(site)
    page.wait_for_function(EMPTY)
    assert len(site.stored) == 1


def test_what_anna_did_before_she_signed_out_is_never_bobs(site: Site) -> None:
    """Not even when her session is refused by then."""
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, "failing")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    page.evaluate("() => ap3c.clearSession()")
    site.capture.erase("anna@emaildomain.com")
    over(page)
    page.evaluate(f"() => {{ ap3c.track({BOB}); }}")
    page.wait_for_function(EMPTY)

    assert site.stored == []


def test_what_was_held_for_anna_is_hers_when_she_signs_out(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => {{ for (let n = 0; n < 5; n++) ap3c.activity({LOGGED_IN}); }}")
    trouble(page, "failing")
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate("() => ap3c.clearSession()")
    over(page)
    ready(site)
    page.wait_for_function(EMPTY)

    assert site.emails == ["anna@emaildomain.com"] * 5


def test_a_page_may_ask_for_consent_after_our_snippet(site: Site) -> None:
    site.open(
        f"{site.snippet()}<script>ap3c.init('{KEY}', '/capture', {{consent: false}});"
        f"ap3c.track({ANNA}); ap3c.activity({LOGGED_IN});</script>"
    )
    site.arrived()
    site.run("() => new Promise(setTimeout)")

    assert site.sent == []
    assert site.run("() => [document.cookie, localStorage.length]") == ["", 0]


def test_who_declines_leaves_nothing_of_earlier_visits(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    trouble(page, "failing")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    site.html = (
        f"{site.snippet()}<script>ap3c.init('{KEY}', '/capture', {{consent: false}});</script>"
    )
    page.goto(site.base)
    page.wait_for_function("window.ap3c && ap3c.loaded")
    page.evaluate("() => ap3c.consent(false)")

    assert page.evaluate("() => [document.cookie, localStorage.length]") == ["", 0]


def test_no_page_waits_for_a_pause_to_end(site: Site) -> None:
    page = ready(site)
    page.context.route(
        "**/track", lambda asked: asked.fulfill(status=503, headers={"Retry-After": "300"})
    )
    page.evaluate(f"() => ap3c.track({ANNA})")

    told = page.evaluate(f"() => ap3c.track({ANNA})")
    assert told == {"ok": False, "queued": True}


def test_a_session_that_cannot_be_removed_is_refused_once(site: Site) -> None:
    """Its cookie is another domain's, which this page may not know of."""
    site.base = site.base.replace("127.0.0.1", "www.shop.localhost")
    page = ready(site)
    page.evaluate("() => { document.cookie = 'ap3c=oc1.x.c.0.y; path=/; domain=shop.localhost'; }")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.wait_for_function(EMPTY)

    assert site.sent[:2] == ["activity", "track"]


@pytest.mark.parametrize(
    "item", ['{"body":{}}', '{"body":{},"step":"activity","name":"other"}', "5", "null", "{"]
)
def test_what_others_keep_under_our_names_breaks_nothing(site: Site, item: str) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate("item => localStorage.setItem('ap3c-1', item)", item)

    assert page.evaluate(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    assert len(site.stored) == 1
    assert len(site.bodies("activity")) <= 2


def test_what_cannot_be_removed_is_not_sent_again(site: Site) -> None:
    page = ready(site)
    page.evaluate("() => { Storage.prototype.removeItem = () => { throw new Error('no'); }; }")
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")
    page.evaluate(f"() => ap3c.activity({LOGGED_IN})")

    assert len(site.bodies("activity")) == 2


def test_saying_who_it_is_on_every_page_crowds_out_nothing(site: Site) -> None:
    page = ready(site)
    trouble(page, "down", "*")
    page.evaluate(f"""async () => {{
      for (let n = 0; n < 101; n++) ap3c.track({ANNA});
      for (let n = 0; n < 3; n++) ap3c.activity({LOGGED_IN});
      await new Promise(setTimeout);
    }}""")
    over(page)
    ready(site)
    page.wait_for_function(EMPTY)

    assert site.emails == ["anna@emaildomain.com"] * 3


def test_somebody_unknown_is_not_the_one_before(site: Site) -> None:
    page = ready(site)
    page.evaluate(f"() => ap3c.track({ANNA})")
    page.evaluate("() => ap3c.track({email: 'bob@emaildomain.com', skipNonExisting: true})")
    page.evaluate(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.settle()

    assert site.stored == []
