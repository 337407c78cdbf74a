"""Nothing breaks the page: whatever it passes, its browser denies, or the server says.

In every test: no exception, no rejection that nobody handled, and nothing printed. What can be
delivered is stored; what cannot is kept, and stored when all is well again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import pytest

from ..services import PATIENCE
from .conftest import KEY, Site, by_turns
from .engines import Engine
from .trouble import JSON, answer, reset

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
    action()
    site.wait(lambda: site.stored)


def test_what_nobody_handles_is_seen_here(site: Site) -> None:
    """Else all the silence below would prove nothing."""
    ready(site, "console.debug('x'); Promise.reject(new Error('one')); throw new Error('two');")

    assert sorted(site.errors) == ["one", "two"]
    assert site.said == ["x"]


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
def test_odd_arguments_are_an_outcome_and_no_exception(site: Site, odd: str) -> None:
    ready(site)

    passed(site, odd, *site.run(f"() => ({PASS})({ODD[odd]})"))


@pytest.mark.parametrize("engine", ["chromium"], indirect=True)
def test_a_huge_sparse_array_is_an_outcome_and_no_exception(site: Site) -> None:
    """Other engines read each of its elements, which takes minutes."""
    ready(site)
    thrown, outcomes = site.run(f"() => ({PASS})(new Array(2 ** 32 - 1))")

    assert outcomes[:2] == [{"ok": False, "code": "not-json"}] * 2
    passed(site, "a sparse array", thrown, outcomes)


@by_turns("odd", ODD)
def test_odd_arguments_before_the_script_has_come_break_nothing(site: Site, odd: str) -> None:
    site.late = "/app.js"
    early = f"<script>window.passed = ({PASS})({ODD[odd]});</script>"
    site.open(site.snippet() + early, until="domcontentloaded")
    site.released.set()

    passed(site, odd, *site.run("() => passed"))


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
    "a clock that goes backwards": "let now = 1e12; Date.now = () => now -= 1000;",
    "a clock that stands still": "Date.now = () => 1e12;",
    "no randomness": "Math.random = () => 0;",
    "ap3c is text": "window.ap3c = 'text';",
    "ap3c is a number": "window.ap3c = 5;",
    "its queue is text": "window.ap3c = {cmd: 'text', act: 'text'};",
    "a form of that name": "document.write('<form id=ap3c><input name=key></form>');",
}


@pytest.mark.parametrize("kind", BROWSERS)
def test_a_hostile_browser_still_reports(site: Site, kind: str) -> None:
    ready(site, BROWSERS[kind])

    delivers(site)
    site.run("() => ap3c.clearSession()")
    assert site.run("() => ap3c.getCookie()") is None
    quiet(site)


#: WebKit's driver cannot read these pages.
UNREADABLE = {
    "members added to all objects": """
      Object.prototype.extend = function () { return this; };
      Object.prototype.size = 5;
      Array.prototype.each = Array.prototype.forEach;
      Function.prototype.bind_ = 1;""",
    "old prototype.js": """
      Array.prototype.toJSON = function () { return "[" + this.map(JSON.stringify) + "]"; };
      String.prototype.toJSON = function () { return JSON.stringify("" + this); };
      Date.prototype.toJSON = function () { return '"' + this + '"'; };""",
}


@pytest.mark.parametrize("engine", ["chromium", "firefox"], indirect=True)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_page_that_changes_all_objects_still_reports(site: Site, kind: str) -> None:
    ready(site, UNREADABLE[kind])

    delivers(site)
    site.run("() => ap3c.clearSession()")
    assert site.run("() => ap3c.getCookie()") is None
    quiet(site)


def test_without_cookies_the_session_outlives_the_page_all_the_same(site: Site) -> None:
    for visit in (1, 2):
        ready(site, NO_COOKIES)
        if visit == 1:
            site.run(f"() => ap3c.track({ANNA})")
        assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]

    assert site.emails == ["anna@emaildomain.com"] * 2
    quiet(site)


@pytest.mark.parametrize("name", ["Promise", "Map", "Set", "URL", "Array", "BroadcastChannel"])
def test_what_the_page_replaces_later_breaks_nothing(site: Site, name: str) -> None:
    """Until it is put back: drivers need it as well."""
    ready(site)
    site.run(f"""() => {{
      setTimeout(async () => {{
        const well = window.{name};
        {throwing("window", name)}
        ap3c.track({ANNA});
        await ap3c.activity({LOGGED_IN});
        window.{name} = well;
        window.over = true;
      }});
    }}""")
    site.tab.until("() => window.over")

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


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
def test_garbage_under_our_names_is_not_ours(site: Site, garbage: str) -> None:
    """Whatever the client keeps comes back to the next page as something else.

    Counts of what was dropped that make no sense cost the first call, and no other.
    """
    ready(site, BEACONS["absent"])
    for end in ("/track", "/activity"):
        site.trouble("down", end)
    site.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); }}")
    site.run(f"() => ap3c.activity({{activity_id: '{'x' * 20_000}'}})")
    assert site.run(f"() => {OURS}.length") > 2
    site.tab.goto("about:blank", until="domcontentloaded")
    site.over()
    ready(
        site,
        f"""for (const name of [...{OURS}, "ap3c-x"]) localStorage[name] = {garbage!r};
        document.cookie = "ap3c=" + {garbage!r};""",
    )

    site.run("() => ap3c.track({})")
    delivers(site)
    assert len(site.sent) < 20, "and nothing goes round"


def test_a_session_that_cannot_be_removed_is_not_tried_for_ever(site: Site) -> None:
    """Another page of the domain shared it, and the server has forgotten it since."""
    domain = site.base.split("/")[2].split(":")[0]
    site.base = site.base.replace("//", "//www.")
    ready(site)
    site.run(f"""async () => {{
      document.cookie = "ap3c=oc1.forged.c.0.x; path=/; domain={domain}";
      ap3c.activity({LOGGED_IN});
      await ap3c.track({ANNA});
      await ap3c.activity({LOGGED_IN});
    }}""")
    site.settle()

    assert site.sent == ["activity", "track", "activity", "activity"]
    assert len(site.stored) == 2
    quiet(site)


@pytest.mark.parametrize("text", ["5", "null", "[1, 2, 3]", "{}", "{", '["ap3c-x", null]'])
def test_what_others_write_under_our_names_is_ignored(site: Site, text: str) -> None:
    """Such as another version of this client, in another tab."""
    ready(site)
    other = site.beside()
    other.goto(f"{site.base}/next")
    site.run(f"""async () => {{
      await ap3c.track({{}});
      ap3c.activity({LOGGED_IN});
      window.heard = new Promise(done => addEventListener("storage", (event) => {{
        if (event.key === "ap3c-last") done();
      }}));
    }}""")
    other.run(
        f"""text => {{
          for (const name of [...{OURS}, "ap3c-x", "ap3c-last"]) localStorage[name] = text;
        }}""",
        text,
    )
    site.run("() => heard")

    site.run(f"() => ap3c.track({ANNA})")
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["ok"]
    quiet(site)


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
def test_what_a_broken_fetch_does_not_deliver_the_next_page_does(site: Site, kind: str) -> None:
    ready(site, f"{FETCHES[kind]} {throwing('Navigator.prototype', 'sendBeacon')}")
    told = site.run(f"() => ap3c.track({ANNA})")
    assert (told["ok"], told["code"], told["queued"]) == (False, "unreachable", True)
    site.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    quiet(site)
    stored_by(site, lambda: ready(site))

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


def test_what_a_fetch_that_never_answers_keeps_the_next_page_delivers(site: Site) -> None:
    ready(site, "window.asked = new Promise(done => { window.fetch = () => new Promise(done); });")
    site.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); return asked; }}")
    quiet(site)
    stored_by(site, lambda: ready(site))

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


@pytest.mark.parametrize("kind", BEACONS)
def test_without_beacons_the_next_page_delivers(site: Site, kind: str) -> None:
    """The page is left while the answer is out."""
    ready(site, BEACONS[kind])
    site.late = "/track"
    site.run(f"() => {{ ap3c.track({ANNA}); ap3c.activity({LOGGED_IN}); }}")
    site.wait(lambda: "track" in site.sent)
    site.late = "none"

    stored_by(site, lambda: ready(site))
    site.released.set()

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


def test_what_a_policy_forbids_to_send_a_page_without_it_delivers(site: Site) -> None:
    site.headers = [("Content-Security-Policy", "connect-src 'none'")]
    ready(site)
    told = site.run(f"() => ap3c.track({ANNA})")
    assert (told["ok"], told["code"], told["queued"]) == (False, "unreachable", True)
    site.run(f"() => {{ ap3c.activity({LOGGED_IN}); }}")
    quiet(site)
    site.headers = []
    stored_by(site, lambda: ready(site))

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


def test_it_works_under_a_strict_policy_with_a_nonce(site: Site, engine: Engine) -> None:
    policy = "default-src 'none'; script-src 'nonce-r4nd0m'; connect-src 'self'; img-src data:"
    site.headers = [("Content-Security-Policy", policy)]
    site.open(site.app.snippet(KEY, nonce="r4nd0m"))
    site.arrived()
    delivers(site)
    site.run("() => { ap3c.debug(true); ap3c.track({}); }")
    while not site.said:
        site.run("() => ap3c.track({})")

    assert {line[:5] for line in site.said} == {"ap3c:"}, "the texts arrived"
    # Firefox' driver tries `eval`, which the policy forbids it, too.
    assert set(site.forbidden) <= ({"eval"} if engine.name == "firefox" else set())
    assert site.tab.complaints == []


def test_it_works_in_a_sandboxed_frame(site: Site) -> None:
    """Its origin is null: no storage, no cookies, and every request from another origin."""
    site.open("")
    site.html = f"""<!doctype html><title>Frame</title><script>
      const tell = (kind) => (given) => parent.postMessage([kind, given.message || given], "*");
      for (const kind of ["error", "unhandledrejection"]) addEventListener(kind, tell("failed"));
    </script>{site.snippet()}<script>
      ap3c.track({ANNA});
      ap3c.activity({LOGGED_IN}).then(({{ok}}) => tell(window.origin)(ok));
    </script>"""
    told = site.run("""() => new Promise(done => {
      addEventListener("message", (event) => done(event.data));
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-scripts";
      frame.src = "/next";
      document.body.append(frame);
    })""")

    assert told == ["null", True]
    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


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


HTML = b"<!doctype html><title>Maintenance</title><h1>We will be back soon</h1>"
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
def test_what_a_hostile_server_did_not_store_is_sent_again(site: Site, kind: str) -> None:
    status, hostile = ANSWERS[kind]
    ready(site)
    site.run(f"() => ap3c.track({ANNA})")
    once(site, hostile)

    told = told_and_stored(site)

    assert (told["ok"], told["status"], told["code"]) == (False, status, "unreachable")
    assert told["queued"]


def test_what_was_stored_before_the_connection_broke_is_stored_once(site: Site) -> None:
    ready(site)
    site.run(f"() => ap3c.track({ANNA})")
    well = site.mounted

    def stores(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        well(environ, start_response)
        return reset(environ, start_response)

    once(site, stores)

    assert told_and_stored(site)["queued"]
    assert site.sent == ["track", "activity", "activity"]


def test_a_server_that_does_not_answer_is_given_fifteen_seconds(site: Site) -> None:
    """Shortened here, and the rest of the minute is not waited for either."""
    ready(
        site,
        """window.limits = [];
        const {timeout} = AbortSignal;
        AbortSignal.timeout = (limit) => {
          limits.push(limit);
          return timeout.call(AbortSignal, window.brief ? 100 : limit);
        };""",
    )
    site.run(f"() => ap3c.track({ANNA})")
    site.run("() => { window.brief = true; }")

    def silent(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        site.released.wait(PATIENCE)
        return answer("500 Too Late")(environ, start_response)

    once(site, silent)
    told = told_and_stored(site)
    site.released.set()

    assert (told["status"], told["code"], told["queued"]) == (0, "unreachable", True)
    assert set(site.run("() => limits")) == {15_000}


@pytest.mark.parametrize("seconds", ["301", "1e99", "Infinity"])
def test_a_limit_of_longer_than_five_minutes_is_final(site: Site, seconds: str) -> None:
    ready(site)
    site.run(f"() => ap3c.track({ANNA})")
    body = b'{"error":{"code":"rate-limit"}}'
    once(site, answer("429 Slow", body, Retry_After=seconds, Content_Type=JSON))

    told = site.run(f"() => ap3c.activity({LOGGED_IN})")
    assert (told["ok"], told["status"], told["code"]) == (False, 429, "rate-limit")
    assert "queued" not in told
    site.settle()
    assert (site.sent, site.stored) == (["track", "activity"], [])
    quiet(site)


@pytest.mark.parametrize("seconds", ["301", "1e99", "Infinity"])
def test_no_outage_is_believed_to_last_longer_than_five_minutes(site: Site, seconds: str) -> None:
    ready(site)
    site.run(f"() => ap3c.track({ANNA})")
    once(site, answer("503 Busy", Retry_After=seconds))
    assert site.run(f"() => ap3c.activity({LOGGED_IN})")["queued"]
    later = "const now = Date.now; Date.now = () => now() + 301e3;"
    stored_by(site, lambda: ready(site, later))

    assert site.emails == ["anna@emaildomain.com"]
    quiet(site)


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


def test_no_global_but_ap3c_and_nobody_elses_prototype(site: Site) -> None:
    # Drivers leave something behind, too, once they have been used.
    site.open(f"<script>{REMEMBER}</script>")
    site.run("() => 0")
    drivers = set(site.run("() => changed()"))
    ready(site, REMEMBER)
    delivers(site)

    assert set(site.run("() => changed()")) - drivers == {"globalThis.ap3c"}
    site.run("() => { window.more = 1; JSON.parse = 1; Array.prototype.last = 1; }")
    assert set(site.run("() => changed()")) - drivers == {
        "globalThis.ap3c",
        "globalThis.more",
        "JSON.parse",
        "Array.prototype.last",
    }, "it would have been seen"
