"""Nothing breaks the page: whatever it passes, its browser denies, or the server says.

In every test: no exception, no rejection that nobody handled, and nothing printed. What can be
delivered is stored; what cannot is kept, and stored when all is well again.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from ..services import PATIENCE
from .conftest import KEY, Site

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ANNA = "{email: 'anna@emaildomain.com'}"
LOGGED_IN = "{activity_id: 'act:cm:login'}"


def ready(site: Site, hostile: str = "") -> None:
    """A page on which this script runs first, then our snippet, whose script has arrived."""
    site.open(f"<script>{hostile}</script>{site.snippet()}")
    site.arrived()


def quiet(site: Site) -> None:
    """Nobody was bothered."""
    assert (site.errors, site.said) == ([], [])


def delivers(site: Site) -> None:
    """Who it is and what they do is stored, and nobody was bothered."""
    assert site.run(f"() => ap3c.track({ANNA})")["ok"]
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


def stored_by(site: Site, action: Callable[[], object]) -> None:
    """Do this, and wait until something has been stored."""
    with site.page.expect_response(lambda answer: bool(site.stored)):
        action()


def test_what_nobody_handles_is_seen_here(shop: Site) -> None:
    """Else all the silence below would prove nothing."""
    ready(shop, "console.debug('x'); Promise.reject(new Error('one')); throw new Error('two');")

    assert sorted(shop.errors) == ["one", "two"]
    assert shop.said == ["x"]


# What a page passes.

#: No object that JSON can hold.
UNSENDABLE = {
    "cyclic": "(() => { const a = {}; a.a = a; return a; })()",
    "a getter that throws": "({get activity_id() { throw new Error('mine'); }})",
    "BigInt": "10n",
    "BigInt inside": "({activity_id: 10n})",
    "window": "window",
    "a frame of another origin": """(() => {
      const frame = document.createElement("iframe");
      frame.sandbox = "";
      document.documentElement.append(frame);
      return frame.contentWindow;
    })()""",
    "1 MB": "'x'.repeat(1e6)",
    "a function": "() => 1",
    "a function that throws": "() => { throw new Error('mine'); }",
    "a class": "class { static toJSON() { return this; } }",
    "a symbol": "Symbol('x')",
    "a proxy that throws": """new Proxy(function () {}, new Proxy({}, {
      get() { throw new Error("mine"); }
    }))""",
    "a revoked proxy": """(() => {
      const {proxy, revoke} = Proxy.revocable({}, {});
      revoke();
      return proxy;
    })()""",
    "toJSON that throws": "({toJSON() { throw new Error('mine'); }})",
    "toJSON of nothing": "({toJSON() {}})",
    "an invalid date": "new Date(NaN)",
    "a sparse array": "new Array(2 ** 32 - 1)",
    "undefined": "undefined",
    "null": "null",
    "NaN": "NaN",
    "nothing": "''",
    "negative": "-1",
}
ODD = {
    **UNSENDABLE,
    "a node": "document.documentElement",
    "all nodes": "document.all",
    "no prototype": "Object.assign(Object.create(null), {activity_id: 'act:cm:login'})",
    "another prototype": """JSON.parse('{"__proto__": {"ok": true}, "constructor": 1}')""",
    "frozen": "Object.freeze({activity_id: 'act:cm:login', attributes: Object.freeze({})})",
    "a thenable that throws": "({then() { throw new Error('mine'); }})",
    "a huge array": "new Array(2e5).fill(0)",
    "1 MB inside": "({activity_id: 'act:cm:login', attributes: {x: 'x'.repeat(1e6)}})",
    "deep": "(() => { let a = []; for (let n = 0; n < 1e4; n++) a = [a]; return a; })()",
}

#: Passes a value wherever one can be passed; resolves to what was thrown, and to the outcomes.
PASS = """(value) => {
  const thrown = [];
  const outcomes = [];
  const attempt = (action) => {
    try {
      return action();
    } catch (error) {
      thrown.push(`${action}: ${error}`);
    }
  };
  const call = (name, ...given) => {
    if (!ap3c[name]) return; // before the script has come, there are stubs of some
    const outcome = attempt(() => ap3c[name](...given));
    if (/track|activity/.test(name)) outcomes.push(outcome);
  };
  for (const name of ["track", "activity", "getCookie", "clearSession"]) {
    call(name, value, value, value);
  }
  call("track", {email: value, ei: value, ac: value});
  call("activity", {activity_id: value, attributes: value, event_id: value});
  call("activity", {activity_id: "act:cm:login", attributes: {"str:cm:payment-plan": value}});
  for (const queue of ["cmd", "act"]) {
    ap3c[queue] = ap3c[queue] || [];
    attempt(() => ap3c[queue].push(value));
  }
  call("init", value, "/capture", value);
  call("activity", {activity_id: "act:cm:login"});
  call("track", {v: 0});
  call("init", KEY, value, {cookieDomains: value, consent: value});
  call("activity", {activity_id: "act:cm:login"});
  call("init", KEY, "/capture", {cookieDomains: [value]});
  call("consent", value);
  call("clearSession");
  call("consent", true);
  call("debug", value);
  call("debug", false);
  return Promise.all(outcomes).then((all) => [thrown, all]);
}""".replace("KEY", f"'{KEY}'")


def passed(site: Site, odd: str, thrown: list[str], outcomes: list[dict[str, Any]]) -> None:
    """Nothing was thrown, every call came to something, and what is called next is stored."""
    assert thrown == []
    assert [type(each["ok"]) for each in outcomes] == [bool] * 8
    if odd in UNSENDABLE:
        assert outcomes[:2] == [{"ok": False, "code": "not-json"}] * 2
    quiet(site)
    assert site.run(f"() => ap3c.track({ANNA})")["ok"]
    assert site.run("() => ap3c.activity({activity_id: 'act:cm:login', event_id: 'last'})")["ok"]
    assert site.stored[-1].event_id == "last"


@pytest.mark.parametrize("odd", ODD)
def test_odd_arguments_are_an_outcome_and_no_exception(shop: Site, odd: str) -> None:
    ready(shop)

    passed(shop, odd, *shop.run(f"() => ({PASS})({ODD[odd]})"))


@pytest.mark.parametrize("odd", ODD)
def test_odd_arguments_before_the_script_has_come_break_nothing(shop: Site, odd: str) -> None:
    shop.late = "/app.js"
    early = f"<script>window.passed = ({PASS})({ODD[odd]});</script>"
    shop.open(shop.snippet() + early, until="domcontentloaded")
    shop.released.set()

    passed(shop, odd, *shop.run("() => passed"))


# What a browser denies, and what other scripts do to it.


def property_(of: str, name: str, descriptor: str) -> str:
    return f"Object.defineProperty({of}, '{name}', {{configurable: true, {descriptor}}});"


def absent(of: str, name: str) -> str:
    return property_(of, name, "value: undefined")


def throwing(of: str, name: str) -> str:
    return f"{of}.{name} = () => {{ throw new Error('mine'); }};"


DENIED = "get() { throw new Error('mine'); }, set() { throw new Error('mine'); }"
NO_STORAGE = property_("window", "localStorage", DENIED)
NO_COOKIES = property_("document", "cookie", DENIED)

BEACONS = {
    "absent": absent("Navigator.prototype", "sendBeacon"),
    "throws": throwing("Navigator.prototype", "sendBeacon"),
    "false": "Navigator.prototype.sendBeacon = () => false;",
}
#: All of these deliver.
BROWSERS = {
    "localStorage is denied": NO_STORAGE,
    "localStorage is null": property_("window", "localStorage", "value: null"),
    "localStorage is full": throwing("Storage.prototype", "setItem"),
    "localStorage cannot be read": throwing("Storage.prototype", "getItem"),
    "localStorage answers text": "Storage.prototype.getItem = () => 'x';",
    "localStorage keeps everything": throwing("Storage.prototype", "removeItem"),
    "cookies are denied": NO_COOKIES,
    "cookies are ignored": property_("document", "cookie", "get: () => '', set() {}"),
    "cookies are undefined": absent("document", "cookie"),
    "everything is denied": NO_STORAGE + NO_COOKIES,
    "no locks": absent("navigator", "locks"),
    "locks throw": throwing("LockManager.prototype", "request"),
    "locks reject": "LockManager.prototype.request = () => Promise.reject(new Error('mine'));",
    "no channels": absent("window", "BroadcastChannel"),
    "channels throw": throwing("window", "BroadcastChannel"),
    "channels cannot be written": throwing("BroadcastChannel.prototype", "postMessage"),
    "no time limit": absent("AbortSignal", "timeout"),
    "no AbortSignal": absent("window", "AbortSignal"),
    "no crypto": absent("window", "crypto"),
    "frozen prototypes": """
      for (const each of Object.values(Object.getOwnPropertyDescriptors(window))) {
        if (each.value && each.value.prototype) Object.freeze(each.value.prototype);
      }""",
    "members added to all objects": """
      Object.prototype.extend = function () { return this; };
      Object.prototype.size = 5;
      Array.prototype.each = Array.prototype.forEach;
      Function.prototype.bind_ = 1;""",
    "old prototype.js": """
      Array.prototype.toJSON = function () { return "[" + this.map(JSON.stringify) + "]"; };
      String.prototype.toJSON = function () { return JSON.stringify("" + this); };
      Date.prototype.toJSON = function () { return '"' + this + '"'; };""",
    "a clock that goes backwards": "let now = 1e12; Date.now = () => now -= 1000;",
    "a clock that stands still": "Date.now = () => 1e12;",
    "no randomness": "Math.random = () => 0;",
    "ap3c is text": "window.ap3c = 'text';",
    "ap3c is a number": "window.ap3c = 5;",
    "its queue is text": "window.ap3c = {cmd: 'text', act: 'text'};",
    "a form of that name": "document.write('<form id=ap3c><input name=key></form>');",
}


@pytest.mark.parametrize("kind", BROWSERS)
def test_a_hostile_browser_still_reports(shop: Site, kind: str) -> None:
    ready(shop, BROWSERS[kind])

    delivers(shop)
    shop.run("() => ap3c.clearSession()")
    assert shop.run("() => ap3c.getCookie()") is None
    quiet(shop)


def test_without_cookies_the_session_outlives_the_page_all_the_same(shop: Site) -> None:
    for visit in (1, 2):
        ready(shop, NO_COOKIES)
        if visit == 1:
            shop.run(f"() => ap3c.track({ANNA})")
        assert shop.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]

    assert shop.emails == ["anna@emaildomain.com"] * 2
    quiet(shop)


@pytest.mark.parametrize("name", ["Promise", "Map", "Set", "URL", "Array", "BroadcastChannel"])
def test_what_the_page_replaces_later_breaks_nothing(shop: Site, name: str) -> None:
    ready(shop)
    act = f"() => {{ {throwing('window', name)} ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); }}"
    stored_by(shop, lambda: shop.page.evaluate(act))

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


#: Whatever the client keeps.
OURS = "Object.keys(localStorage).filter(name => name.startsWith('ap3c'))"
GARBAGE = [
    "",
    "x",
    "{",
    "null",
    "5",
    '"x"',
    "[]",
    "[1]",
    "{}",
    '{"body": {}}',
    '{"body": 5, "step": {}}',
]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_under_our_names_is_not_ours(shop: Site, garbage: str) -> None:
    """Whatever the client keeps comes back to the next page as something else.

    Counts of what was dropped that make no sense cost the first call, and no other.
    """
    ready(shop, BEACONS["absent"])
    shop.page.route("**/-/events/*", lambda asked: asked.abort())
    shop.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); }}")
    shop.run(f"() => ap3c.activity({{activity_id: '{'x' * 20_000}'}})")
    assert shop.run(f"() => {OURS}.length") > 2
    shop.page.goto("about:blank")
    shop.page.unroute_all()
    ready(
        shop,
        f"""for (const name of [...{OURS}, "ap3c-x"]) localStorage[name] = {garbage!r};
        document.cookie = "ap3c=" + {garbage!r};""",
    )

    shop.run("() => ap3c.track({})")
    delivers(shop)
    assert len(shop.sent) < 20, "and nothing goes round"


def test_a_session_that_cannot_be_removed_is_not_tried_for_ever(shop: Site) -> None:
    """Another page of the domain shared it, and the server has forgotten it since."""
    domain = shop.base.split("/")[2].split(":")[0]
    shop.base = shop.base.replace("//", "//www.")
    ready(shop)
    shop.run(f"""async () => {{
      document.cookie = "ap3c=oc1.forged.c.0.x; path=/; domain={domain}";
      ap3c.activity({LOGGED_IN});
      await ap3c.track({ANNA});
      await ap3c.activity({LOGGED_IN});
    }}""")
    shop.settle()

    assert shop.sent == ["activity", "track", "activity", "activity"]
    assert len(shop.stored) == 2
    quiet(shop)


@pytest.mark.parametrize("message", ["5", "null", "[1, 2, 3]", "{}", "['ap3c-x', null]"])
def test_what_others_say_on_our_channel_is_ignored(shop: Site, message: str) -> None:
    """Such as another version of this client, in another tab."""
    ready(
        shop,
        """window.names = [];
        window.BroadcastChannel = class extends BroadcastChannel {
          constructor(name) { super(name); names.push(name); }
        };""",
    )
    # Ours is there once something was called, and has heard it when a listener that came later has.
    shop.run(f"""async () => {{
      await ap3c.track({{}});
      const [name] = names;
      const heard = new Promise(done => {{ new BroadcastChannel(name).onmessage = done; }});
      new BroadcastChannel(name).postMessage({message});
      await heard;
    }}""")

    assert shop.run("() => names.length") == 3, "ours was the first"
    delivers(shop)


#: Nothing arrives through these.
FETCHES = {
    "absent": absent("window", "fetch"),
    "throws": throwing("window", "fetch"),
    "rejects": "window.fetch = () => Promise.reject();",
    "a number": "window.fetch = () => 5;",
    "nothing": "window.fetch = () => {};",
    "an empty object": "window.fetch = async () => ({});",
    "200 without headers": "window.fetch = async () => ({ok: true, status: 200});",
    "a status that throws": "window.fetch = async () => ({get status() { throw 1; }});",
    "a status that is none": "window.fetch = async () => ({status: Symbol('x')});",
    "a body that throws": """window.fetch = async () => ({
      ok: true, status: 200, headers: new Headers(), json() { throw new Error("mine"); }
    });""",
}


@pytest.mark.parametrize("kind", FETCHES)
def test_what_a_broken_fetch_does_not_deliver_the_next_page_does(shop: Site, kind: str) -> None:
    ready(shop, f"{FETCHES[kind]} {throwing('Navigator.prototype', 'sendBeacon')}")
    told = shop.run(f"() => ap3c.track({ANNA})")
    assert (told["ok"], told["code"], told["queued"]) == (False, "unreachable", True)
    shop.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    quiet(shop)
    stored_by(shop, lambda: ready(shop))

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


def test_what_a_fetch_that_never_answers_keeps_the_next_page_delivers(shop: Site) -> None:
    ready(shop, "window.asked = new Promise(done => { window.fetch = () => new Promise(done); });")
    shop.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); return asked; }}")
    quiet(shop)
    stored_by(shop, lambda: ready(shop))

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


@pytest.mark.parametrize("kind", BEACONS)
def test_without_beacons_the_next_page_delivers(shop: Site, kind: str) -> None:
    """The page is left while the answer is out."""
    ready(shop, BEACONS[kind])
    shop.late = "/track"
    with shop.page.expect_request("**/track"):
        shop.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); }}")
    shop.late = "none"

    stored_by(shop, lambda: ready(shop))
    shop.released.set()

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


def test_what_a_policy_forbids_to_send_a_page_without_it_delivers(shop: Site) -> None:
    shop.headers = [("Content-Security-Policy", "connect-src 'none'")]
    ready(shop)
    told = shop.run(f"() => ap3c.track({ANNA})")
    assert (told["ok"], told["code"], told["queued"]) == (False, "unreachable", True)
    shop.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    quiet(shop)
    shop.headers = []
    stored_by(shop, lambda: ready(shop))

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


def test_it_works_under_a_strict_policy_with_a_nonce(shop: Site) -> None:
    policy = "default-src 'none'; script-src 'nonce-r4nd0m'; connect-src 'self'; img-src data:"
    shop.headers = [("Content-Security-Policy", policy)]
    shop.open(shop.app.snippet(KEY, nonce="r4nd0m"))
    shop.arrived()
    delivers(shop)
    with shop.page.expect_console_message(lambda line: "track" in line.text):
        shop.run("() => { ap3c.debug(true); ap3c.track({}); }")

    assert {line[:5] for line in shop.console} == {"ap3c:"}, "no violation, and the texts arrived"


def test_it_works_in_a_sandboxed_frame(shop: Site) -> None:
    """Its origin is null: no storage, no cookies, and every request from another origin."""
    inside = f"{shop.snippet()}<script>window.done = ap3c.track({ANNA}).then(() => "
    inside += f"ap3c.activity({LOGGED_IN}));</script>"
    shop.open("")
    shop.html = f"<!doctype html><title>Frame</title>{inside}"
    with shop.page.expect_event("framenavigated"):
        shop.run("""() => {
          const frame = document.createElement("iframe");
          frame.sandbox = "allow-scripts";
          frame.src = "/next";
          document.body.append(frame);
        }""")
    frame = shop.page.frames[1]
    frame.wait_for_load_state()

    assert frame.evaluate("() => window.origin") == "null"
    assert frame.evaluate("() => done")["ok"]
    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


# What a server, or what stands before it, answers once.

#: Leads to itself.
LOOP = "/round/and/round"


def once(site: Site, hostile: WSGIApplication) -> None:
    """The next activity is answered by somebody else."""
    well = site.mounted
    asked: list[str] = []

    def mounted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path != LOOP and (asked or not path.endswith("/activity")):
            return well(environ, start_response)
        asked.append(path)
        return hostile(environ, start_response)

    site.mounted = mounted


def answer(status: str, body: bytes = b"", **headers: str) -> WSGIApplication:
    """The same whatever was asked."""
    given = [(name.replace("_", "-"), value) for name, value in headers.items()]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, given)
        return [body]

    return app


def reset(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Hang up hard: no FIN, but RST."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    nobody = os.open(os.devnull, os.O_RDWR)
    os.dup2(nobody, connection.fileno())
    os.close(nobody)
    raise ConnectionResetError


HTML = b"<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>"
JSON = "application/json"
#: What comes to nothing, with the status that the page is told.
ANSWERS: dict[str, tuple[int, WSGIApplication]] = {
    "HTML": (200, answer("200 OK", HTML, Content_Type="text/html")),
    "500 with HTML": (500, answer("500 Oops", HTML, Content_Type="text/html")),
    "502 with nothing": (502, answer("502 Bad Gateway")),
    "nothing": (200, answer("200 OK")),
    "204": (204, answer("204 No Content")),
    "null": (200, answer("200 OK", b"null", Content_Type=JSON)),
    "a list": (200, answer("200 OK", b"[]", Content_Type=JSON)),
    "text": (200, answer("200 OK", b'"x"', Content_Type=JSON)),
    "a number": (200, answer("200 OK", b"5", Content_Type=JSON)),
    "not quite": (200, answer("200 OK", b'{"ok":"true"}', Content_Type=JSON)),
    "half": (200, answer("200 OK", b'{"ok":', Content_Type=JSON, Content_Length="1000")),
    "huge": (200, answer("200 OK", b"[" * 1_000_000, Content_Type=JSON)),
    "huge and right": (200, answer("200 OK", b'["%s"]' % (b"x" * 1_000_000))),
    "to a page": (200, answer("302 Found", Location="/")),
    "to itself": (0, answer("307 Temporary Redirect", Location=LOOP)),
    "to nowhere": (0, answer("302 Found", Location="http://[")),
    "to a file": (0, answer("302 Found", Location="file:///etc/hostname")),
    "reset": (0, reset),
    "429 with HTML": (429, answer("429 Slow", HTML)),
    "429 until a date": (429, answer("429 Slow", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")),
    "429 until yesterday": (429, answer("429 Slow", Retry_After="-86400")),
    "429 until NaN": (429, answer("429 Slow", Retry_After="NaN")),
    "429 until nothing": (429, answer("429 Slow", Retry_After="")),
    "503 until a date": (503, answer("503 Busy", Retry_After="Wed, 21 Oct 2099 07:28:00 GMT")),
    "503 until yesterday": (503, answer("503 Busy", Retry_After="-86400")),
    "503 until NaN": (503, answer("503 Busy", Retry_After="NaN")),
}


def told_and_stored(site: Site) -> dict[str, Any]:
    """What the page is told of an activity that is stored at last, and once."""
    # Without the random wait.
    act = f"() => {{ Math.random = () => 0; window.told = ap3c.activity({LOGGED_IN}); }}"
    stored_by(site, lambda: site.run(act))
    told: dict[str, Any] = site.run("() => told")
    site.settle()
    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)
    return told


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_a_hostile_server_did_not_store_is_sent_again(shop: Site, kind: str) -> None:
    status, hostile = ANSWERS[kind]
    ready(shop)
    shop.run(f"() => ap3c.track({ANNA})")
    once(shop, hostile)

    told = told_and_stored(shop)

    assert (told["ok"], told["status"], told["code"]) == (False, status, "unreachable")
    assert told["queued"]


def test_what_was_stored_before_the_connection_broke_is_stored_once(shop: Site) -> None:
    ready(shop)
    shop.run(f"() => ap3c.track({ANNA})")
    well = shop.mounted

    def stores(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        well(environ, start_response)
        return reset(environ, start_response)

    once(shop, stores)

    assert told_and_stored(shop)["queued"]
    assert shop.sent == ["track", "activity", "activity"]


def test_a_server_that_does_not_answer_is_given_fifteen_seconds(shop: Site) -> None:
    """Shortened here, and the rest of the minute is not waited for either."""
    ready(
        shop,
        """window.limits = [];
        const {timeout} = AbortSignal;
        AbortSignal.timeout = (limit) => {
          limits.push(limit);
          return timeout.call(AbortSignal, 100);
        };""",
    )
    shop.run(f"() => ap3c.track({ANNA})")

    def silent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        shop.released.wait(PATIENCE)
        return answer("500 Too Late")(environ, start_response)

    once(shop, silent)
    told = told_and_stored(shop)
    shop.released.set()

    assert (told["status"], told["code"], told["queued"]) == (0, "unreachable", True)
    assert set(shop.run("() => limits")) == {15_000}


@pytest.mark.parametrize("seconds", ["301", "1e99", "Infinity"])
def test_a_limit_of_longer_than_five_minutes_is_final(shop: Site, seconds: str) -> None:
    ready(shop)
    shop.run(f"() => ap3c.track({ANNA})")
    body = b'{"error":{"code":"rate-limit"}}'
    once(shop, answer("429 Slow", body, Retry_After=seconds, Content_Type=JSON))

    told = shop.run(f"() => ap3c.activity({LOGGED_IN})")
    assert (told["ok"], told["status"], told["code"]) == (False, 429, "rate-limit")
    assert "queued" not in told
    shop.settle()
    assert (shop.sent, shop.stored) == (["track", "activity"], [])
    quiet(shop)


@pytest.mark.parametrize("seconds", ["301", "1e99", "Infinity"])
def test_no_outage_is_believed_to_last_longer_than_five_minutes(shop: Site, seconds: str) -> None:
    ready(shop)
    shop.run(f"() => ap3c.track({ANNA})")
    once(shop, answer("503 Busy", Retry_After=seconds))
    assert shop.run(f"() => ap3c.activity({LOGGED_IN})")["queued"]
    later = "const now = Date.now; Date.now = () => now() + 301e3;"
    stored_by(shop, lambda: ready(shop, later))

    assert shop.emails == ["anna@emaildomain.com"]
    quiet(shop)


# What it leaves of the page.

#: Remembers all members of globals and of their prototypes; ``changed()`` compares.
REMEMBER = """
const members = Object.getOwnPropertyDescriptors;
const look = () => {
  const seen = {};
  for (const [name, {value}] of Object.entries(members(window))) {
    if (Object(value) !== value) continue;
    seen[name] = members(value);
    if (value.prototype) seen[name + ".prototype"] = members(value.prototype);
  }
  return seen;
};
const before = look();
const changed = () => {
  const after = look();
  return Object.keys(before).flatMap((thing) => {
    const [old, now] = [before[thing], after[thing] || {}];
    return [...new Set([...Reflect.ownKeys(old), ...Reflect.ownKeys(now)])].filter((name) => {
      const [one, other] = [old[name] || {}, now[name] || {}];
      return ["value", "get", "set"].some((part) => !Object.is(one[part], other[part]));
    }).map((name) => `${thing}.${String(name)}`);
  });
};
"""


def test_no_global_but_ap3c_and_nobody_elses_prototype(shop: Site) -> None:
    ready(shop, REMEMBER)
    delivers(shop)

    assert shop.run("() => changed()") == ["globalThis.ap3c"]
    shop.run("() => { window.more = 1; JSON.parse = 1; Array.prototype.last = 1; }")
    assert set(shop.run("() => changed()")) == {
        "globalThis.ap3c",
        "globalThis.more",
        "JSON.parse",
        "Array.prototype.last",
    }, "it would have been seen"
