"""What is called is stored once, whatever the server, the page and the other tabs do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from .conftest import KEY, Site
from .engines import Tab
from .trouble import TROUBLE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ANNA = "{email: 'anna@emaildomain.com'}"
BOB = "{email: 'bob@emaildomain.com'}"
LOGGED_IN = "{activity_id: 'act:cm:login'}"
EMPTY = "() => !Object.keys(localStorage).some(name => name.startsWith('ap3c-'))"
#: The page's clock goes five minutes ahead: longer than any wait that a server may ask for.
LATER = "<script>{ const now = Date.now; Date.now = () => now() + 301e3; }</script>"
#: A page that waits no random time.
AT_ONCE = "<script>Math.random = () => 0;</script>"
NO_LOCKS = "<script>Object.defineProperty(navigator, 'locks', {value: undefined});</script>"


def ready(site: Site, head: str = "", tab: Tab | None = None) -> Tab:
    """A page with this and our snippet in its head, whose script has arrived."""
    tab = tab or site.tab
    site.put(head + site.snippet())
    tab.goto(site.base)
    tab.until("() => window.ap3c && ap3c.loaded")
    return tab


def recovers(site: Site) -> None:
    """The server is well again, and the next page finds no wait that lasts."""
    site.over()
    ready(site, LATER).until(EMPTY)


@pytest.mark.parametrize("kind", TROUBLE)
def test_what_was_not_answered_is_sent_by_the_next_page(site: Site, kind: str) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble(kind)

    told = tab.run(f"() => ap3c.activity({LOGGED_IN})")
    assert (told["ok"], told["queued"]) == (False, True)
    recovers(site)

    assert len(site.stored) == 1
    assert len({body["event_id"] for body in site.bodies("activity")}) == 1


def test_the_same_page_tries_again_by_itself(site: Site) -> None:
    tab = ready(site, AT_ONCE)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble("failing")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    site.over()

    tab.until(EMPTY)
    assert len(site.stored) == 1


def test_a_wait_that_the_server_asks_for_is_kept_by_the_next_page(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble("away for a while")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    ready(site)
    site.over()

    assert tab.run(f"() => ap3c.activity({LOGGED_IN})") == {"ok": False, "queued": True}
    assert {each for each in site.answers if each[0] == "activity"} == {("activity", 503)}


def test_a_limit_that_lasts_is_final_and_reported(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    told = tab.run(f"""async () => {{
      let last;
      for (let n = 0; n < 11; n++) last = await ap3c.activity({LOGGED_IN});
      return last;
    }}""")

    assert (told["status"], told["code"]) == (429, "rate-limit")
    assert "queued" not in told
    tab.run(f"() => ap3c.track({ANNA})")
    assert site.bodies("track")[-1]["dropped"] == {"rate-limit": 1}
    tab.run(f"() => ap3c.track({ANNA})")
    assert "dropped" not in site.bodies("track")[-1]


@pytest.mark.parametrize("kind", ["down", "failing", "busy"])
def test_what_bob_does_is_never_annas(site: Site, kind: str) -> None:
    """His track failed for the moment; her session is still in the cookie."""
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble(kind, "/track")
    tab.run(f"() => ap3c.track({BOB})")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    recovers(site)

    assert site.emails == ["bob@emaildomain.com"]


def test_somebody_refused_does_not_act_in_the_name_of_the_one_before(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run("() => ap3c.track({email: 'no address'})")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.settle()

    assert site.stored == []
    tab.run(f"() => ap3c.track({BOB})")
    tab.until(EMPTY)
    assert site.emails == ["bob@emaildomain.com"]


def test_what_is_held_is_held_over_pages(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.until(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]


def test_who_identifies_acts_and_leaves_at_once_is_not_lost(site: Site) -> None:
    """The activity travels with its person, while the answer to the track is still out."""
    tab = ready(site)
    site.late = "/-/events/track"
    tab.run(f"""() => {{
      ap3c.track({ANNA});
      ap3c.activity({LOGGED_IN});
      queueMicrotask(() => dispatchEvent(new Event("pagehide")));
    }}""")
    site.wait(lambda: "activity" in site.sent)
    [beacon] = [each for each in site.posted if each.route == "activity"]
    assert beacon.mode == "no-cors"
    assert beacon.body["person"] == {"email": "anna@emaildomain.com"}
    site.late = "none"
    site.released.set()
    ready(site).until(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]


@pytest.mark.parametrize("tabs", [2, 5])
def test_what_many_tabs_report_is_stored_once(site: Site, tabs: int) -> None:
    all_tabs = [ready(site)] + [ready(site, tab=site.beside()) for _ in range(tabs - 1)]
    all_tabs[0].run(f"() => ap3c.track({ANNA})")
    for tab in all_tabs:
        tab.run(f"() => {{ window.told = ap3c.activity({LOGGED_IN}); }}")

    told = [tab.run("() => told") for tab in all_tabs]
    assert [each["ok"] for each in told] == [True] * tabs, "whichever tab sent it"
    assert len(site.stored) == tabs


@pytest.mark.parametrize("locks", [True, False])
def test_one_tab_sends_at_a_time(site: Site, locks: bool) -> None:
    head = "" if locks else NO_LOCKS
    one = ready(site, head)
    one.run(f"() => ap3c.track({ANNA})")
    other = ready(site, head, site.beside())
    site.late = "/activity"
    one.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.wait(lambda: "activity" in site.sent)
    if not locks:
        other.until("() => Object.values(localStorage).some(time => time > Date.now())")
    other.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    if locks:
        other.until("async () => (await navigator.locks.query()).pending.length > 0")
    else:
        other.run("() => new Promise(done => setTimeout(() => setTimeout(done)))")

    assert site.sent == ["track", "activity"]
    site.released.set()
    other.until(EMPTY)
    assert len(site.stored) == 2


def test_without_consent_nothing_is_stored_or_sent(site: Site) -> None:
    site.open('<script src="/capture/app.js"></script>')
    site.run(f"""() => {{
      ap3c.init("{KEY}", "/capture", {{consent: false}});
      ap3c.track({ANNA});
      ap3c.activity({LOGGED_IN});
    }}""")
    nothing = "() => [document.cookie, localStorage.length, ap3c.getCookie()]"
    assert site.run(nothing) == ["", 0, None]
    assert site.sent == []

    site.run("() => ap3c.consent(true)")
    site.tab.until(EMPTY)
    assert site.emails == ["anna@emaildomain.com"]
    site.run("() => ap3c.consent(false)")
    assert site.run(nothing) == ["", 0, None]


@pytest.mark.parametrize(("signal", "told"), [("true", True), ("false", None), ("'1'", None)])
def test_the_privacy_signal_goes_along(site: Site, signal: str, told: bool | None) -> None:
    """Other scripts may put anything there, and the server takes nothing but a boolean."""
    tab = ready(
        site,
        "<script>Object.defineProperty(navigator, 'globalPrivacyControl', "
        f"{{value: {signal}}});</script>",
    )
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")

    sent = site.bodies("track") + site.bodies("activity")
    assert [body.get("gpc") for body in sent] == [told, told]
    assert [row.gpc for row in site.stored] == [told is True]


@pytest.mark.parametrize("shared", [True, False])
def test_a_call_too_large_for_any_request_is_refused_at_once(site: Site, shared: bool) -> None:
    tab = ready(site)
    if shared:
        tab.run(f"() => ap3c.track({ANNA})")
    told = tab.run(
        "() => ap3c.activity({activity_id: 'act:cm:login', attributes: {x: 'x'.repeat(1e6)}})"
    )

    assert told == {"ok": False, "code": "too-large"}
    assert tab.run(EMPTY)


def test_an_activity_that_never_gets_through_keeps_no_other_waiting(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    well = site.mounted

    def poisoned(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ill = site.posted[-1].body.get("event_id") == "poison"
        return (TROUBLE["failing"] if ill else well)(environ, start_response)

    site.mounted = poisoned
    tab.run("() => ap3c.activity({activity_id: 'act:cm:login', event_id: 'poison'})")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.wait(lambda: site.stored)

    assert [row.event_id for row in site.stored] != ["poison"]


def test_a_track_that_is_refused_does_not_hold_up_the_next_one(site: Site) -> None:
    tab = ready(site)
    tab.run("() => { ap3c.track({email: 'no address'}); }")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    tab.run(f"() => ap3c.track({BOB})")
    tab.until(EMPTY)

    assert site.emails == ["bob@emaildomain.com"]


def test_of_too_many_that_wait_who_it_was_is_kept(site: Site) -> None:
    tab = ready(site)
    for end in ("/track", "/activity"):
        site.trouble("down", end)
    told = tab.run(f"""async () => {{
      ap3c.track({ANNA});
      const told = [];
      for (let n = 0; n < 100; n++) {{
        ap3c.activity({{activity_id: "act:cm:login", event_id: "e" + n}}, each => told.push(each));
      }}
      while (!told.length) await new Promise(setTimeout);
      return told;
    }}""")
    assert told == [{"ok": False, "code": "overflow"}]
    recovers(site)

    dropped = [body["dropped"] for body in site.bodies("track") if "dropped" in body]
    assert dropped[-1] == {"overflow": 1}
    assert {body["event_id"] for body in site.bodies("activity")} == {
        f"e{n}" for n in range(1, 100)
    }
    assert site.emails == ["anna@emaildomain.com"] * 10, "the limit"


def test_what_a_page_left_long_ago_is_sent_by_the_next_one(site: Site) -> None:
    """However long ago that is by the device's clock; no server is told more than two days."""
    tab = ready(site)
    for end in ("/track", "/activity"):
        site.trouble("down", end)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run(f"() => {{ navigator.sendBeacon = null; ap3c.activity({LOGGED_IN}); }}")
    site.over()
    long_after = LATER.replace("301e3", "400 * 24 * 3600e3")
    ready(site, long_after).until(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]
    assert site.bodies("activity")[-1]["age"] == 48 * 3_600_000
    assert "dropped" not in site.bodies("track")[-1]


def test_a_session_that_another_tab_made_meanwhile_is_kept(site: Site) -> None:
    """The refusal speaks of the one that was sent."""
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    other = tab.run("() => ap3c.getCookie()")
    tab.run("() => ap3c.clearSession()")
    tab.run("() => { document.cookie = 'ap3c=oc1.bad; path=/'; }")
    site.late = "/activity"
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.wait(lambda: "activity" in site.sent)
    tab.run("token => { document.cookie = `ap3c=${token}; path=/`; }", other)
    site.released.set()
    tab.until(EMPTY)

    assert site.emails == ["anna@emaildomain.com"]
    assert tab.run("() => ap3c.getCookie()") == other


def test_a_session_from_before_the_domain_was_shared_is_replaced(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run(f"""() => {{
      ap3c.init("{KEY}", "/capture", {{cookieDomains: ["." + location.hostname]}});
      return ap3c.track({BOB});
    }}""")

    assert len(tab.cookies()) == 1
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    assert site.emails == ["bob@emaildomain.com"]


def test_an_answer_that_never_comes_is_not_waited_for(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run("() => { AbortSignal.timeout = () => AbortSignal.abort('at once'); }")

    told = tab.run(f"() => ap3c.activity({LOGGED_IN})")
    assert told == {"ok": False, "status": 0, "code": "unreachable", "queued": True}
    ready(site)
    tab.until(EMPTY)
    assert len(site.stored) == 1


def test_what_anna_did_before_she_signed_out_is_never_bobs(site: Site) -> None:
    """Not even when her session is refused by then."""
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble("failing")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    tab.run("() => ap3c.clearSession()")
    site.capture.erase("anna@emaildomain.com")
    site.over()
    ready(site, LATER).run(f"() => {{ ap3c.track({BOB}); }}")
    tab.until(EMPTY)

    assert site.stored == []


def test_what_was_held_for_anna_is_hers_when_she_signs_out(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => {{ for (let n = 0; n < 5; n++) ap3c.activity({LOGGED_IN}); }}")
    site.trouble("failing")
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run("() => ap3c.clearSession()")
    recovers(site)

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
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    site.trouble("failing")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    no_consent = f"<script>ap3c.init('{KEY}', '/capture', {{consent: false}});</script>"
    site.open(site.snippet() + no_consent)
    tab.until("() => window.ap3c && ap3c.loaded")
    tab.run("() => ap3c.consent(false)")

    assert tab.run("() => [document.cookie, localStorage.length]") == ["", 0]


def test_no_page_waits_for_a_pause_to_end(site: Site) -> None:
    tab = ready(site)
    site.trouble("away for a while", "/track")
    tab.run(f"() => ap3c.track({ANNA})")

    told = tab.run(f"() => ap3c.track({ANNA})")
    assert told == {"ok": False, "queued": True}


def test_a_session_that_cannot_be_removed_is_refused_once(site: Site) -> None:
    """Its cookie is another domain's, which this page may not know of."""
    domain = site.base.split("/")[2].partition(":")[0]
    site.base = site.base.replace(domain, f"www.{domain}")
    tab = ready(site)
    tab.run(f"() => {{ document.cookie = 'ap3c=oc1.x.c.0.y; path=/; domain={domain}'; }}")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    tab.run(f"() => ap3c.track({ANNA})")
    tab.until(EMPTY)

    assert site.sent[:2] == ["activity", "track"]


@pytest.mark.parametrize(
    "item", ['{"body":{}}', '{"body":{},"step":"activity","name":"other"}', "5", "null", "{"]
)
def test_what_others_keep_under_our_names_breaks_nothing(site: Site, item: str) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run("item => localStorage.setItem('ap3c-1', item)", item)

    assert tab.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    assert len(site.stored) == 1
    assert len(site.bodies("activity")) <= 2


def test_what_cannot_be_removed_is_not_sent_again(site: Site) -> None:
    tab = ready(site)
    tab.run("() => { Storage.prototype.removeItem = () => { throw new Error('no'); }; }")
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")
    tab.run(f"() => ap3c.activity({LOGGED_IN})")

    assert len(site.bodies("activity")) == 2


def test_saying_who_it_is_on_every_page_crowds_out_nothing(site: Site) -> None:
    tab = ready(site)
    for end in ("/track", "/activity"):
        site.trouble("down", end)
    tab.run(f"""async () => {{
      for (let n = 0; n < 101; n++) ap3c.track({ANNA});
      for (let n = 0; n < 3; n++) ap3c.activity({LOGGED_IN});
      await new Promise(setTimeout);
    }}""")
    recovers(site)

    assert site.emails == ["anna@emaildomain.com"] * 3


def test_somebody_unknown_is_not_the_one_before(site: Site) -> None:
    tab = ready(site)
    tab.run(f"() => ap3c.track({ANNA})")
    tab.run("() => ap3c.track({email: 'bob@emaildomain.com', skipNonExisting: true})")
    tab.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    site.settle()

    assert site.stored == []
