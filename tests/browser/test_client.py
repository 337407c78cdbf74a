"""What the client promises pages, and what it survives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Route
from werkzeug.test import Client

from .conftest import HEARD, KEY, LOGIN, Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOGGED_IN = "{activity_id: 'act:cm:login'}"


def ready(site: Site, head: str = "") -> None:
    """A page with our snippet, its script arrived."""
    site.open(site.snippet() + head)
    site.arrived()


def test_promises_and_callbacks_tell_the_outcome(site: Site) -> None:
    ready(site)

    told = site.run("""async () => {
      const heard = [];
      const outcomes = [
        await ap3c.track({email: "user@emaildomain.com"}, o => heard.push(o)),
        await ap3c.activity({activity_id: "act:cm:login"}, o => heard.push(o)),
        await ap3c.activity({activity_id: "act:cm:nothing"}, o => heard.push(o)),
        await ap3c.activity({activity_id: "act:cm:login", attributes: {"int:cm:x": 1}}),
        await ap3c.activity({activity_id: "act:cm:login", event_id: "twice"}),
        await ap3c.activity({activity_id: "act:cm:login", event_id: "twice"}),
      ];
      return {heard, outcomes};
    }""")

    assert told["outcomes"] == [
        {"ok": True, "status": 200, "identified": True},
        {"ok": True, "status": 200},
        {"ok": False, "status": 404, "code": "not-found"},
        {"ok": False, "status": 400, "code": "bad-attribute"},
        {"ok": True, "status": 200},
        {"ok": True, "status": 200, "duplicate": True},
    ]
    assert told["heard"] == told["outcomes"][:3]
    assert len(site.stored) == 2


def test_activities_before_anybody_is_identified_wait_and_leave_in_order(site: Site) -> None:
    ready(site)
    site.run("""() => {
      window.outcomes = [];
      ap3c.track({v: 0});
      for (const plan of ["a", "b", "c"])
        ap3c.activity({activity_id: "act:cm:login", attributes: {"str:cm:payment-plan": plan}})
          .then(o => window.outcomes.push(o.ok));
    }""")
    site.settle()
    assert site.sent == ["track"]

    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    site.tab.until("() => outcomes.length === 3")

    assert [row.attributes["str:cm:payment-plan"] for row in site.stored] == ["a", "b", "c"]
    assert site.sent == ["track", "track", "activity", "activity", "activity"]


def test_of_more_than_a_hundred_that_wait_the_oldest_go(site: Site) -> None:
    ready(site)

    first = site.run("""() => {
      const all = [];
      for (let n = 0; n < 101; n++) all.push(ap3c.activity({activity_id: "act:cm:login"}));
      return all[0];
    }""")

    assert first == {"ok": False, "code": "overflow"}


def test_an_activity_waits_for_every_earlier_track(site: Site) -> None:
    """However long the server takes over it."""
    site.late = "/-/events/track"
    ready(site)
    site.run(f"""() => {{
      ap3c.track({{email: "first@emaildomain.com"}});
      ap3c.activity({LOGGED_IN});
      ap3c.track({{email: "second@emaildomain.com"}});
      ap3c.activity({LOGGED_IN});
    }}""")
    site.wait(lambda: site.sent)
    assert site.sent == ["track"]
    site.released.set()
    site.settle()

    assert site.sent == ["track", "activity", "track", "activity"]
    assert site.emails == ["first@emaildomain.com", "second@emaildomain.com"]


LATER = "const now = Date.now; Date.now = () => now() + %d;"


@pytest.mark.parametrize(
    ("later", "age"), [(90_000, 90_000), (9 * 86_400_000, 48 * 3_600_000), (-5_000, 0)]
)
def test_the_age_is_counted_from_the_call(site: Site, later: int, age: int) -> None:
    """At most 48 hours and never less than none, whatever the visitor's clock does meanwhile."""
    ready(site)
    site.run(f"() => {{ ap3c.activity({LOGGED_IN}); {LATER % later} }}")
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    site.settle()

    [body] = site.bodies("activity")
    assert age <= body["age"] <= age + 30_000
    [row] = site.stored
    assert (row.received_at - row.occurred_at).total_seconds() * 1_000 == pytest.approx(body["age"])


def test_a_request_holds_what_the_contract_names_and_needs_no_preflight(site: Site) -> None:
    ready(site)
    token = site.run("""async () => {
      await ap3c.track({v: 0, email: "user@emaildomain.com"});
      await ap3c.activity({activity_id: "act:cm:login", attributes: {"str::email": "a@b"}});
      return ap3c.getCookie();
    }""")

    [track] = site.bodies("track")
    assert track == {"v": 0, "email": "user@emaildomain.com", "key": KEY, "session": None}
    [activity] = site.bodies("activity")
    assert activity.keys() == {"activity_id", "attributes", "key", "session", "event_id", "age"}
    assert activity["session"] == token
    assert {each.content_type for each in site.posted} == {"text/plain;charset=UTF-8"}


def test_an_activity_has_one_id_whatever_it_takes_to_deliver_it(site: Site) -> None:
    ready(site)
    site.run(f"""async () => {{
      document.cookie = "ap3c=oc1.forged.c.0.x; path=/";
      ap3c.activity({LOGGED_IN});
      await ap3c.track({{email: "user@emaildomain.com"}});
      await ap3c.activity({LOGGED_IN});
    }}""")

    refused, again, other = (body["event_id"] for body in site.bodies("activity"))
    assert refused == again != other
    assert [row.event_id for row in site.stored] == [again, other]


def test_who_acts_and_signs_out_at_once_acted_in_their_own_name(site: Site) -> None:
    """And not in that of the next person at the same browser."""
    ready(site)
    site.run("() => ap3c.track({email: 'first@emaildomain.com'})")

    site.run(f"""() => {{
      ap3c.activity({LOGGED_IN});
      ap3c.clearSession();
      ap3c.track({{email: "second@emaildomain.com"}});
      ap3c.activity({LOGGED_IN});
    }}""")
    site.settle()

    assert site.emails == ["first@emaildomain.com", "second@emaildomain.com"]


def test_who_signs_out_while_being_identified_stays_signed_out(site: Site) -> None:
    """What was called in between was theirs all the same, and what comes after is nobody's."""
    ready(site)
    site.run(f"""() => {{
      ap3c.track({{email: "first@emaildomain.com"}});
      ap3c.activity({LOGGED_IN});
      ap3c.clearSession();
      ap3c.activity({LOGGED_IN});
    }}""")
    site.settle()

    assert site.run("() => ap3c.getCookie()") is None
    assert site.tab.cookies() == []
    assert site.emails == ["first@emaildomain.com"]


def test_what_nobody_was_identified_for_is_not_given_to_the_next(site: Site) -> None:
    """Also when signing out comes before the activity's turn."""
    ready(site)

    told = site.run(f"""async () => {{
      const waiting = ap3c.activity({LOGGED_IN});
      ap3c.clearSession();
      await ap3c.track({{email: "second@emaildomain.com"}});
      return waiting;
    }}""")

    assert told == {"ok": False, "code": "cleared"}
    assert site.stored == []


def test_signing_out_in_another_tab_counts_here(site: Site) -> None:
    ready(site)
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    other = site.beside()
    other.goto(site.base)
    other.until("() => window.ap3c && ap3c.loaded")
    other.run("() => ap3c.clearSession()")

    site.tab.until("() => ap3c.getCookie() === null")


def test_a_session_outlives_the_page_and_needs_no_new_address(site: Site) -> None:
    ready(site)
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    token = site.run("() => ap3c.getCookie()")
    [cookie] = site.tab.cookies()

    assert token.startswith("oc1.")
    assert (cookie.name, cookie.value) == ("ap3c", token)
    assert (cookie.path, cookie.same_site, cookie.secure) == ("/", "Lax", False)
    # The device's clock may have moved on by a second since.
    days = (cookie.expires - site.run("() => Date.now() / 1000")) / 86_400
    assert 364 < days <= 365.001
    site.tab.goto(site.base + "/next")
    site.settle()
    assert site.run("() => ap3c.track({v: 0})") == {"ok": True, "status": 200, "identified": True}
    assert site.run("() => ap3c.activity({activity_id: 'act:cm:login'})")["ok"]


def test_clear_session_forgets_the_person_and_what_waits(site: Site) -> None:
    ready(site)
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    told = site.run("""async () => {
      ap3c.clearSession();
      const waiting = ap3c.activity({activity_id: "act:cm:login"});
      await ap3c.track({v: 0});
      ap3c.clearSession();
      return [ap3c.getCookie(), await waiting];
    }""")

    assert told == [None, {"ok": False, "code": "cleared"}]
    assert site.tab.cookies() == []
    assert site.stored == []


@pytest.mark.parametrize("lost", ["oc1.forged.c.0.x", "gone"])
def test_a_lost_session_is_not_a_lost_activity(site: Site, lost: str) -> None:
    """A forged token is 401, a person that is gone 400; both wait for the next track."""
    ready(site)
    if lost == "gone":
        elsewhere = Site(site.tab, site.beside)
        lost = elsewhere.capture.identify(email="gone@emaildomain.com").session or ""
    site.run(f"() => {{ document.cookie = 'ap3c={lost}; path=/'; }}")

    site.run("""async () => {
      window.outcome = ap3c.activity({activity_id: "act:cm:login"});
      await ap3c.track({email: "user@emaildomain.com"});
      return window.outcome;
    }""")

    assert site.sent == ["activity", "track", "activity"]
    assert len(site.stored) == 1


def test_the_cookie_of_ortto_itself_is_ignored_and_left_alone(site: Site) -> None:
    theirs = "AGR2h9LiQ7JaAmEfAAAA"
    ready(site, f"<script>document.cookie = 'ap3c={theirs}; path=/';</script>")

    assert site.run("() => ap3c.getCookie()") is None
    site.run("() => ap3c.track({v: 0})")
    site.run("() => ap3c.clearSession()")
    [cookie] = site.tab.cookies()
    assert cookie.value == theirs


def test_what_others_keep_under_our_name_is_no_session(site: Site) -> None:
    ready(site)
    site.run("() => localStorage.setItem('ap3c', 'AGR2h9LiQ7JaAmEfAAAA')")

    assert site.run("() => ap3c.getCookie()") is None
    assert site.run("() => ap3c.track({v: 0})") == {"ok": True, "status": 200, "identified": False}
    assert site.run("() => localStorage.getItem('ap3c')") == "AGR2h9LiQ7JaAmEfAAAA"


def test_cookies_can_be_shared_over_sub_domains_and_are_secure_on_https(
    chromium_site: Site,
) -> None:
    """Playwright makes up the https server."""
    site = chromium_site

    def answer(route: Route) -> None:
        asked = route.request
        path = asked.url.removeprefix(site.base)
        told = Client(site.mounted).open(path, method=asked.method, data=asked.post_data)
        route.fulfill(status=told.status_code, headers=dict(told.headers), body=told.data)

    site.base = "https://www.shop.example"
    site.page.route(f"{site.base}/**", answer)
    ready(site)
    site.run(f"""() => {{
      ap3c.init("{KEY}", "/capture", {{cookieDomains: [".other.example", ".shop.example"]}});
    }}""")
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    [cookie] = site.tab.cookies()
    assert (cookie.domain, cookie.secure) == (".shop.example", True)
    site.run("() => ap3c.clearSession()")
    assert site.tab.cookies() == []


def test_last_var_is_what_track_was_given(site: Site) -> None:
    ready(site)
    site.run("() => ap3c.track({v: 0, email: 'user@emaildomain.com', first: 'Jane'})")

    assert site.run("() => ap3c.lastVar.first") == "Jane"


def test_debug_explains_each_step_in_one_line(site: Site) -> None:
    ready(site)

    site.run("""async () => {
      ap3c.debug(true);
      ap3c.activity({activity_id: "act:cm:login"});
      await ap3c.track({email: "user@emaildomain.com"});
      await ap3c.activity({activity_id: "act:cm:logn"});
      ap3c.debug(false);
      await ap3c.activity({activity_id: "act:cm:logn"});
    }""")

    assert heard(site, 4) == [
        "ap3c: act:cm:login: held: no person is identified yet",
        "ap3c: track: sent",
        "ap3c: act:cm:login: sent",
        "ap3c: act:cm:logn: not found, or its client-side source is off",
    ]


def test_debug_explains_why_the_host_named_no_visitor(site: Site) -> None:
    ready(site)

    site.run("""async () => {
      ap3c.debug(true);
      await ap3c.track({identity: "host"});
      await ap3c.track({identity: "oi1.expired"});
      const address = location.href.replace("shop", "another-shop") + "capture";
      ap3c.init("key", address, {identity: "host"});
      await ap3c.track({identity: "host"});
    }""")

    unsigned = "no visitor is signed in at the host"
    [asked, refused, final, *elsewhere] = heard(site, 5)
    assert asked == f"ap3c: track: {unsigned}"
    assert refused.startswith("ap3c: track: the identity token has expired")
    assert "CaptureApp(identity=…)" in refused
    assert final == refused.partition("; kept")[0]
    assert [line.partition(":")[0] for line in elsewhere] == ["ap3c"] * 2
    assert all("the page's own origin" in line for line in elsewhere)


@pytest.mark.parametrize(
    ("host", "query", "explained"),
    [
        ("127.0.0.1", "?a=1&ap3c_debug", True),
        ("localhost", "?ap3c_debug", True),
        ("127.0.0.1", "?ap3c_debugger", False),
        ("127.0.0.1", "#ap3c_debug", False),
        ("shop.localhost", "?ap3c_debug", False),
    ],
)
def test_the_address_asks_for_explanations_on_loopback_hosts_only(
    chromium_site: Site, host: str, query: str, explained: bool
) -> None:
    """What a loopback host is, is the client's own rule, and the same in each engine."""
    site = chromium_site
    site.base = f"{site.base.replace('127.0.0.1', host)}/{query}"
    ready(site)
    site.run("""async () => {
      await ap3c.track({email: "user@emaildomain.com"});
      await ap3c.activity({activity_id: "act:cm:logn"});
    }""")

    if explained:
        assert "ap3c: act:cm:logn: not found, or its client-side source is off" in heard(site, 2)
    else:
        assert not [path for path in site.fetched if path.endswith("/debug.js")]


def heard(site: Site, lines: int) -> list[str]:
    """What was explained, once there are so many lines of it."""
    site.tab.until(f"() => ({HEARD})().split('ap3c: ').length > {lines}")
    return site.said


def test_below_no_path_at_all_it_works_from_every_page(site: Site) -> None:
    """A capture app that is mounted at the root, beside a page with a path and a query."""

    def at_root(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        page = environ["PATH_INFO"] in ("/", "/next")
        return (site.host if page else site.app)(environ, start_response)

    site.mounted = at_root
    site.base += "/next?a=1"
    site.open(site.app.snippet(KEY, endpoint=""))
    site.arrived()
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]

    beacons = site.run(f"""() => {{
      const beacons = [];
      navigator.sendBeacon = (address) => beacons.push(address) > 0;
      window.fetch = () => new Promise(() => {{}});
      for (let n = 0; n < 2; n++) ap3c.activity({LOGGED_IN});
      return new Promise(setTimeout).then(() => {{
        dispatchEvent(new Event("pagehide"));
        return beacons;
      }});
    }}""")
    assert {*beacons} == {f"{site.base.removesuffix('/next?a=1')}/-/events/activity"}


def test_a_page_that_says_nothing_is_spared_all_but_a_look(site: Site) -> None:
    """Locks and channels cost a page more than everything else of the client."""
    spies = """<script>
      window.used = [];
      window.BroadcastChannel = class extends BroadcastChannel {
        constructor(name) { super(name); used.push("channel"); }
      };
      const request = navigator.locks.request.bind(navigator.locks);
      navigator.locks.request = (...given) => { used.push("lock"); return request(...given); };
    </script>"""
    site.open(spies + site.snippet())
    site.arrived()
    # A timer made later than the client's own.
    site.run("() => new Promise(done => setTimeout(done))")
    assert site.run("() => used") == []

    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    assert site.run("() => used") == ["lock"]


def test_calls_made_before_the_script_arrives_keep_their_order(site: Site) -> None:
    """However late it is: the page does not wait for it. Each has its promise all the same."""
    site.late = "/app.js"
    site.open(
        site.snippet()
        + """<script>
        window.outcomes = Promise.all([
          ap3c.activity({activity_id: "act:cm:login", attributes: {"str:cm:payment-plan": "a"}}),
          ap3c.track({email: "user@emaildomain.com"}),
          ap3c.activity({activity_id: "act:cm:login", attributes: {"str:cm:payment-plan": "b"}}),
        ]);
        </script>""",
        until="domcontentloaded",
    )
    site.released.set()

    assert [outcome["ok"] for outcome in site.run("() => outcomes")] == [True, True, True]
    assert site.sent == ["track", "activity", "activity"]
    assert [row.attributes["str:cm:payment-plan"] for row in site.stored] == ["a", "b"]


def test_a_script_loaded_twice_sends_once(site: Site) -> None:
    ready(site, '<script src="/capture/app.js"></script><script src="/capture/app.js"></script>')
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")
    site.run("() => ap3c.activity({activity_id: 'act:cm:login'})")

    assert site.sent == ["track", "activity"]


def test_a_page_that_resets_ap3c_and_inserts_the_snippet_again_goes_on(site: Site) -> None:
    """As single-page apps do when a route is left."""
    ready(site)
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    outcome = site.run(
        """(snippet) => {
          window.ap3c = undefined;
          for (const part of new DOMParser().parseFromString(snippet, "text/html").scripts) {
            const script = document.createElement("script");
            script.text = part.text;
            if (part.getAttribute("src")) script.src = part.getAttribute("src");
            document.head.append(script);
          }
          return ap3c.activity({activity_id: "act:cm:login"});
        }""",
        site.snippet(),
    )

    assert outcome["ok"]
    assert len(site.stored) == 1


@pytest.mark.parametrize("queue", ["cmd", "act"])
def test_a_page_that_holds_on_to_a_queue_is_heard(site: Site, queue: str) -> None:
    """And one that hands the same queue to the next ``ap3c``."""
    site.open(
        f"<script>window.ap3c = {{cmd: [], act: []}}; window.queue = ap3c.{queue};</script>"
        '<script src="/capture/app.js"></script>'
        f"<script>window.ap3c = {{cmd: ap3c.cmd, act: ap3c.act}};</script>"
        '<script src="/capture/app.js"></script>'
    )
    site.run(f"() => ap3c.init('{KEY}', '/capture')")
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    call = LOGGED_IN if queue == "act" else f"() => ap3c.activity({LOGGED_IN})"
    site.run(f"() => {{ queue.push({call}); }}")
    site.settle()

    assert len(site.stored) == 1


FOREIGN = """<script>
window.ap3c = {cmd: [5, null, "x", function () { throw new Error("mine"); }, {}], act: %s};
</script>"""


@pytest.mark.parametrize("act", ["'text'", "{length: 1}", "[5, null, 'x', function () {}]"])
def test_foreign_values_in_the_queues_break_nothing(site: Site, act: str) -> None:
    site.open(FOREIGN % act + '<script src="/capture/app.js"></script>')
    site.arrived()
    site.run(f"() => {{ ap3c.init('{KEY}', '/capture'); ap3c.cmd.push(7); ap3c.act.push(7); }}")

    assert site.run("() => ap3c.track({email: 'user@emaildomain.com'})")["ok"]
    assert site.errors == []


@pytest.mark.parametrize("value", ["'text'", "5", "null", "undefined"])
def test_an_ap3c_that_is_no_object_is_replaced(site: Site, value: str) -> None:
    site.open(f'<script>window.ap3c = {value};</script><script src="/capture/app.js"></script>')
    site.arrived()
    site.run(f"() => ap3c.init('{KEY}', '/capture')")

    assert site.run("() => ap3c.track({email: 'user@emaildomain.com'})")["ok"]


def test_callbacks_that_throw_break_nothing(site: Site) -> None:
    ready(site)
    site.run("""async () => {
      const bad = () => { throw new Error("mine"); };
      ap3c.track({email: "user@emaildomain.com"}, bad);
      await ap3c.activity({activity_id: "act:cm:login"}, bad);
    }""")

    assert len(site.stored) == 1
    assert site.errors == []


def test_a_call_before_init_waits_for_it(site: Site) -> None:
    site.open('<script src="/capture/app.js"></script>')
    site.arrived()

    told = site.run(f"""() => {{
      const told = ap3c.track({{v: 0}});
      ap3c.init("{KEY}", "/capture");
      return told;
    }}""")
    assert told == {"ok": True, "status": 200, "identified": False}


def test_a_slash_at_the_end_of_the_endpoint_makes_no_difference(site: Site) -> None:
    ready(site)
    for endpoint in ("/capture", "/capture/", f"{site.base}/capture//"):
        site.run(f"() => ap3c.init('{KEY}', '{endpoint}')")
        assert site.run("() => ap3c.track({email: 'user@emaildomain.com'})")["ok"], endpoint


def test_a_page_on_another_origin_reads_its_refusals(
    site: Site, old_snippet: Callable[[str], str]
) -> None:
    """Without CORS on every answer it would see a network error in place of the 404."""
    other = site.base.replace("//", "//api.")
    site.open(
        old_snippet(f"ap3c.init('{KEY}', '{other}/capture/');").replace(
            "/capture/app.js", f"{other}/capture/app.js"
        )
    )
    site.settle()
    site.run("() => ap3c.track({email: 'user@emaildomain.com'})")

    assert site.run(f"() => ap3c.activity({{activity_id: '{LOGIN.id}'}})")["ok"]
    told = site.run("() => ap3c.activity({activity_id: 'act:cm:off'})")
    assert told == {"ok": False, "status": 404, "code": "not-found"}
