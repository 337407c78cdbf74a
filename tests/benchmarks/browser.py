"""What the browser client costs a page, beside what other clients cost it.

The law of this file: every client is measured in the same page, turn by turn, each time in a
browser context of its own, so that each page is a visitor's first. A ratio is the median of the
ratios of all rounds.

``ORTTO_CAPTURE_PEERS`` names the directory of the other clients' files; ``peers.py`` says what it
needs. Without it ours is measured beside an empty script only.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from playwright.sync_api import Browser, Page
from werkzeug.test import Client as HttpClient

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends

from ..conftest import chromium
from ..services import serve
from .measure import Figure, ratio
from .peers import Client, peers
from .programs import ATTRIBUTES, KEY, PURCHASE, SECRET

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROUNDS = 9
#: How many times Chromium slows the processor down for the second half of the figures. It pauses
#: every 0.2 ms, which something short meets or does not: hence more visits, and their mean.
THROTTLING = 4
SLOW_ROUNDS = 25
#: Calls that are timed one by one in each page.
CALLS = 20
MANY = 1_000

OURS = "app.js"
ACTIVITY = {"activity_id": PURCHASE.id, "attributes": ATTRIBUTES}
#: The least a page can load, and the least a call can do that is kept when its page goes away: one
#: item as long as ours.
EMPTY = Client(
    "an empty script", b"", b"", f"(made) => localStorage.setItem('a', made + '{'x' * 600}')"
)

#: The mean milliseconds of a call until it returns, and until the microtasks it leaves are done
#: too: other turns of the microtask queue are taken between. Each call is in a task of its own.
_CALLS = """async (calls) => {
  const report = %s, answers = [];
  let returned = 0, done = 0;
  await (%s)();
  for (let made = 0; made < calls; made++) {
    await new Promise((go) => setTimeout(go, 10));
    const start = performance.now();
    answers.push(report(made));
    returned += performance.now() - start;
    for (let turn = 0; turn < 50; turn++) await null;
    done += performance.now() - start;
  }
  const outcomes = await Promise.all(answers);
  const refused = outcomes.filter((outcome) => outcome?.ok === false);
  return [returned / calls, done / calls, refused];
}"""
#: For how many milliseconds so many calls in one task keep the page from everything else.
_MANY = """async (calls) => {
  const report = %s;
  const start = performance.now();
  for (let made = 0; made < calls; made++) report(made);
  for (let turn = 0; turn < 50; turn++) await null;
  return performance.now() - start;
}"""
_WORK = """() => {
  const start = performance.now();
  for (let turn = 0, sum = 0; turn < 2e7; turn++) sum += turn % 7;
  return performance.now() - start;
}"""


class Website:
    """A page that loads the client named after the question mark, and a server for its events."""

    def __init__(self, clients: Iterable[Client]) -> None:
        self.clients = {client.name: client for client in clients}
        backends = open_backends("memory:")
        backends.definitions.put(PURCHASE)
        settings = Settings(
            secret_keys=[SECRET], person_limit="1000000/day", ip_limit="1000000/hour"
        )
        self.capture = CaptureApp(Capture(backends=backends, settings=settings))
        self.serve = mount(self.host, self.capture, at="/capture")
        #: How many requests of peers had events.
        self.reported = 0

    def ours(self) -> Client:
        """Our client; its page has the snippet that loads it."""
        return Client(
            OURS,
            HttpClient(self.capture).get("/app.js").data,
            b"",
            f"() => ap3c.activity({json.dumps(ACTIVITY)})",
            "() => ap3c.track({ email: 'user@emaildomain.com' })",
        )

    def host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The page, a client's script, or the answer to an event."""
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        name = environ["QUERY_STRING"]
        client = self.clients.get(unquote(name))
        if environ["REQUEST_METHOD"] == "POST":
            self.reported += 1
            start_response("202 Accepted", [("Content-Type", "application/json")])
            return [b"{}"]
        if environ["PATH_INFO"] != "/":
            start_response("200 OK", [("Content-Type", "text/javascript; charset=utf-8")])
            return [client.script if client else b"{}"]
        head = self.capture.snippet(KEY) if name == OURS else ""
        if client:
            head = f'<script {client.attributes} src="/client.js?{name}" async></script>'
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            # No peer's file calls home.
            ("Content-Security-Policy", "default-src 'self' 'unsafe-inline' data:"),
            # With these a page may read the clock to 5 µs, without to 100.
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Embedder-Policy", "require-corp"),
        ]
        start_response("200 OK", headers)
        # The icon is there so that none is asked for.
        return [f'<!doctype html><link rel="icon" href="data:,">{head}'.encode()]


class Cost(NamedTuple):
    """What one client costs one page, in milliseconds of its main thread and MB of its heap."""

    #: Evaluating the file, and the code that the page has for it.
    load: float
    inline: float
    #: What the client has itself called by timers and events, until the network is quiet.
    later: float
    #: One call, until it returns and until its microtasks are done.
    call: float
    done: float
    #: A thousand calls in one task, and the heap after them.
    many: float
    heap: float


LABELS = {
    "load": ("load", "ms"),
    "inline": ("code in the page", "ms"),
    "later": ("later, by itself", "ms"),
    "call": ("one call", "ms"),
    "done": ("one call with its microtasks", "ms"),
    "many": ("1,000 calls in one task", "ms"),
    "heap": ("heap after them", "MB"),
}


def visit(browser: Browser, base: str, client: Client, throttling: float = 1) -> Cost:
    """Load a page with the client, as a visitor who was never there, and let it report events."""
    errors: list[str] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        inspector = context.new_cdp_session(page)
        inspector.send("Emulation.setCPUThrottlingRate", {"rate": throttling})
        # Makes the process of the origin: what a new one does first is not always traced.
        page.goto(base)
        loaded = load(browser, page, f"{base}/?{quote(client.name)}")
        call, done, refused = page.evaluate(_CALLS % (client.call, client.prepare), CALLS)
        many = page.evaluate(_MANY % client.call, MANY)
        inspector.send("HeapProfiler.collectGarbage")
        heap = inspector.send("Runtime.getHeapUsage")["usedSize"] / 1e6
    assert not errors, f"{client.name}: {errors}"
    assert not refused, f"{client.name}: {refused}"
    return Cost(*loaded, call, done, many, heap)


def load(browser: Browser, page: Page, address: str) -> tuple[float, float, float]:
    """Go there, and return what loading costs: the first three members of ``Cost``.

    Evaluating is compiling what was not compiled beside the download, running it, and the promises
    it settles at once. It is counted in processor time, which other programs of the machine do not
    prolong. The parser starts the download of every client, which is not counted. What comes later
    mostly waits for the browser's other processes, and is counted by the clock.
    """
    browser.start_tracing(page=page, categories=["devtools.timeline"])
    # No page is left behind, which the browser would keep to go back to, in the same heap.
    with page.expect_navigation(wait_until="networkidle"):
        page.evaluate("(address) => location.replace(address)", address)
    events: list[dict[str, Any]] = json.loads(browser.stop_tracing())["traceEvents"]
    scripts = [event for event in events if event["name"] == "EvaluateScript"]
    inline = [each for each in scripts if each["args"]["data"]["url"] == address]
    files = [each for each in scripts if each not in inline]
    assert files, f"{address}: no script was evaluated"
    later = [event for event in events if event["name"] in {"TimerFire", "FireIdleCallback"}]
    return (
        sum(event["tdur"] for event in files) / 1_000,
        sum(event["tdur"] for event in inline) / 1_000,
        sum(event["dur"] for event in later) / 1_000,
    )


def work(browser: Browser, throttling: float) -> float:
    """The milliseconds of the same work: that pages are slowed down at all is not left to hope."""
    with browser.new_context() as context:
        page = context.new_page()
        inspector = context.new_cdp_session(page)
        inspector.send("Emulation.setCPUThrottlingRate", {"rate": throttling})
        return median(float(page.evaluate(_WORK)) for _time in range(3))


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file, in a browser of their own."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    folder = os.environ.get("ORTTO_CAPTURE_PEERS")
    with chromium() as browser:
        yield from measured(browser, peers(Path(folder)) if folder else [], scale)


def measured(browser: Browser, beside: Sequence[Client], scale: float) -> Iterator[Figure]:
    """All figures of this file."""
    site = Website([EMPTY, *beside])
    ours = site.ours()
    clients = [ours, EMPTY, *beside]
    fast: dict[str, list[Cost]] = {client.name: [] for client in clients}
    slow: dict[str, list[Cost]] = {OURS: [], EMPTY.name: []}
    with serve(site.serve) as base:
        for _round in range(max(1, round(ROUNDS * scale))):
            for client in clients:
                reported = site.reported
                fast[client.name].append(visit(browser, base, client))
                assert client not in beside or site.reported > reported, f"{client.name} is silent"
        for _round in range(max(1, round(SLOW_ROUNDS * scale))):
            for client in (ours, EMPTY):
                slow[client.name].append(visit(browser, base, client, THROTTLING))

    for client in clients:
        size = len(gzip.compress(client.files, 9))
        yield Figure(f"gzipped: {client.name}", size, 6_500 if client is ours else None, unit="B")
    for member, (label, unit) in LABELS.items():
        for name, costs in fast.items():
            value = median(each(member, costs))
            limit = 50 if member == "many" and name == OURS else None
            if value or limit:
                yield Figure(f"{label}: {name}", value, limit, unit=unit)
    if beside:
        heaps = {peer.name: median(each("heap", fast[peer.name])) for peer in beside}
        yield compared("load", fast, "GoatCounter", 1.5)
        yield compared("call", fast, "Plausible", 1)
        yield compared("heap", fast, min(heaps, key=heaps.__getitem__), 2)
    for member, least, most in (("load", EMPTY.name, 3), ("call", "a bare setItem", 1)):
        label = f"{LABELS[member][0]} when slow"
        one, two = (mean(each(member, costs)) for costs in slow.values())
        yield Figure(f"{label}: {OURS}", one, unit="ms")
        yield Figure(f"{label}: {least}", two, unit="ms")
        yield Figure(f"{label}: {OURS} / {least}", one / two, most)
    slowed = work(browser, THROTTLING) / work(browser, 1)
    yield Figure("the same work when slow / at full speed", slowed, 2, at_least=True)


def compared(member: str, costs: Mapping[str, Sequence[Cost]], peer: str, limit: float) -> Figure:
    """One cost of ours beside a peer's."""
    value = ratio(each(member, costs[OURS]), each(member, costs[peer]))
    return Figure(f"{LABELS[member][0]}: {OURS} / {peer}", value, limit)


def each(member: str, costs: Sequence[Cost]) -> list[float]:
    """One member of the costs of every visit."""
    return [float(getattr(cost, member)) for cost in costs]
