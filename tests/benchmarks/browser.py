"""What the browser client costs a page: bytes, and the time of its main thread.

The law of this file: each page is somebody's first, in a browser context of its own, on a processor
that Chromium slows down four times. What is asked for is asked in milliseconds, as a visitor feels
them, so here times do decide; medians leave out the moments that the machine gave to others.

``ORTTO_CAPTURE_PEERS`` may name a directory of other clients' published files, each a classic
script ``<name>.js``; they are loaded beside ours, turn by turn, with nothing asked of them.
"""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from playwright.sync_api import Browser, CDPSession, Page
from werkzeug.test import Client

from ortto_capture import Capture, CaptureApp, Settings, mount, open_backends

from ..conftest import chromium
from ..services import serve
from .measure import Figure
from .programs import ATTRIBUTES, KEY, PURCHASE, SECRET

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

THROTTLING = 4
PAGES = 15
#: Calls that are timed in one page: with nothing waiting, and with 80 to 100 waiting.
CALLS = 20
WAITING = 80

OURS = "/capture/app.js"
#: What to compare with, whatever peers there are: nothing, and the first answers of a browser that
#: every client has to pay for which remembers anything.
BARE = {
    "/empty.js": b"",
    "/bare.js": b"""document.cookie;
localStorage.getItem("a");
navigator.locks.request("a", () => {});
""",
}

#: The mean milliseconds until ``activity()`` lets its caller go on, and what was given up. Each
#: call is in a task of its own. A mean, since Chromium slows a processor down by a pause every
#: 0.2 ms, which a short call meets or does not. Without an activity, what every client pays that
#: keeps a report before it lets go: one item of about the same size.
_CALL = """async ([activity, calls, answered]) => {
  const lost = [], kept = "x".repeat(600);
  let spent = 0;
  for (let made = 0; made < calls; made++) {
    const start = performance.now();
    const promise = activity ? ap3c.activity(activity) : localStorage.setItem("a", kept + made);
    spent += performance.now() - start;
    promise?.then((outcome) => outcome.ok || (outcome.queued && !answered) || lost.push(outcome));
    if (answered) await promise;
    await new Promise((done) => setTimeout(done));
  }
  return [spent / calls, lost];
}"""
_WORK = """() => {
  const start = performance.now();
  for (let turn = 0, sum = 0; turn < 2e7; turn++) sum += turn % 7;
  return performance.now() - start;
}"""


class Website:
    """Pages that load one script each, with the capture app below them."""

    def __init__(self, scripts: Mapping[str, bytes]) -> None:
        self.scripts = scripts
        backends = open_backends("memory:")
        backends.definitions.put(PURCHASE)
        settings = Settings(
            secret_keys=[SECRET], person_limit="1000000/day", ip_limit="1000000/hour"
        )
        self.capture = CaptureApp(Capture(backends=backends, settings=settings))
        self.mounted = mount(self.host, self.capture, at="/capture")
        self.down = False

    def host(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A script, or a page that loads the one named after the question mark."""
        path = environ["PATH_INFO"]
        if path != "/":
            start_response("200 OK", [("Content-Type", "text/javascript; charset=utf-8")])
            return [self.scripts.get(path, b"{}")]
        named = environ["QUERY_STRING"]
        head = f'<script src="{named}" async></script>' if named else self.capture.snippet(KEY)
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

    def serve(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The website; while it is ``down``, what is reported has to wait."""
        if self.down and environ["REQUEST_METHOD"] == "POST":
            start_response("503 Service Unavailable", [("Retry-After", "300")])
            return [b"{}"]
        return self.mounted(environ, start_response)


@contextmanager
def visit(browser: Browser, throttling: float = THROTTLING) -> Iterator[Page]:
    """A page of somebody who was never here, on a slower processor."""
    with browser.new_context() as context:
        page = context.new_page()
        processor = context.new_cdp_session(page)
        processor.send("Emulation.setCPUThrottlingRate", {"rate": throttling})
        yield page


def load(browser: Browser, address: str, script: str) -> tuple[float, float]:
    """The milliseconds that ``script`` takes of the main thread of the page at ``address``.

    First what Chromium traces as evaluating it: compiling what was not compiled beside the
    download, running it, and the promises it settles at once. Then that and what it has itself
    called later, until the network is quiet: work put off is no work saved. A clock around a script
    written into a page would count the parser too, and compile all on the main thread, which is not
    how a script with an address is loaded.
    """
    # Now and then a new process begins to trace only after it has begun to work.
    for _attempt in range(10):
        spent = {"EvaluateScript": 0.0, "FunctionCall": 0.0}
        for event in traced(browser, address):
            if event["name"] in spent and is_of(script, event["args"]["data"]):
                spent[event["name"]] += event.get("dur", 0) / 1_000
        if spent["EvaluateScript"]:
            return spent["EvaluateScript"], sum(spent.values())
    raise AssertionError(f"{script} was not evaluated")


def traced(browser: Browser, address: str) -> list[dict[str, Any]]:
    """What happened in the page at ``address`` until its network was quiet."""
    errors: list[str] = []
    with visit(browser) as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        browser.start_tracing(page=page, categories=["devtools.timeline"])
        page.goto(address)
        page.wait_for_load_state("networkidle")
        trace = json.loads(browser.stop_tracing())
    assert not errors, f"{address}: {errors}"
    events: list[dict[str, Any]] = trace["traceEvents"]
    return events


def is_of(script: str, data: Mapping[str, Any]) -> bool:
    """Whether what was traced is code of the file that was served under this path."""
    return unquote(urlsplit(data.get("url", "")).path) == script


def calls(browser: Browser, base: str, site: Website) -> tuple[float, float, float, float]:
    """The milliseconds of ``activity()``: alone, with what follows, among many; and of one item.

    What follows is all that the page's main thread does up to the answer, this test's own turns
    included.
    """
    activity = {"activity_id": PURCHASE.id, "attributes": ATTRIBUTES}
    site.down = False
    with visit(browser) as page:
        page.goto(base)
        page.evaluate("ap3c.track({email: 'user@emaildomain.com'})")
        inspector = page.context.new_cdp_session(page)
        inspector.send("Performance.enable")
        bare, _ = page.evaluate(_CALL, [None, CALLS, True])
        before = busy(inspector)
        alone, lost = page.evaluate(_CALL, [activity, CALLS, True])
        altogether = (busy(inspector) - before) / CALLS
        site.down = True
        _, more = page.evaluate(_CALL, [activity, WAITING, False])
        among, most = page.evaluate(_CALL, [activity, 100 - WAITING, False])
        assert not [*lost, *more, *most]
        page.evaluate("ap3c.consent(false)")  # or it would all be reported at the end
    return alone, altogether, among, bare


def busy(inspector: CDPSession) -> float:
    """For how many milliseconds the page's main thread has had something to do so far."""
    metrics: list[dict[str, Any]] = inspector.send("Performance.getMetrics")["metrics"]
    [seconds] = [each["value"] for each in metrics if each["name"] == "TaskDuration"]
    return float(seconds) * 1_000


def work(browser: Browser, throttling: float) -> float:
    """The milliseconds of the same work: that pages are slowed down at all is not left to hope."""
    with visit(browser, throttling) as page:
        return median(float(page.evaluate(_WORK)) for _time in range(3))


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file, in a browser of their own."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with chromium() as browser:
        yield from measured(browser, scale)


def measured(browser: Browser, scale: float) -> Iterator[Figure]:
    """All figures of this file."""
    folder = os.environ.get("ORTTO_CAPTURE_PEERS")
    files = sorted(Path(folder).glob("*.js")) if folder else []
    peers = {f"/{file.name}": file.read_bytes() for file in files}
    site = Website(BARE | peers)
    pages = max(1, round(PAGES * scale))

    packed = Client(site.capture).get("/app.js", headers={"Accept-Encoding": "gzip"}).data
    yield Figure("app.js gzipped, as served", len(packed), 4_096, unit="B")
    for path, body in peers.items():
        yield Figure(f"{path[1:]} gzipped", len(gzip.compress(body, 9)), unit="B")

    with serve(site.serve) as base:
        # Ours as sites load it, by the snippet; then each alone, with nothing asked of it.
        turns = [
            ("app.js with its snippet", base, OURS),
            *(
                (f"{Path(path).name} alone", f"{base}/?{quote(path)}", path)
                for path in (OURS, *BARE, *peers)
            ),
        ]
        loads = [[load(browser, *turn[1:]) for turn in turns] for _page in range(pages)]
        for (name, _, _), times in zip(turns, zip(*loads, strict=True), strict=True):
            evaluated, altogether = (median(each) for each in zip(*times, strict=True))
            limit = 5 if name == turns[0][0] else None
            yield Figure(f"evaluating {name}", evaluated, limit, unit="ms")
            yield Figure("  with what it does by itself later", altogether, unit="ms")
        called = [calls(browser, base, site) for _page in range(pages)]
        alone, altogether, among, bare = (median(each) for each in zip(*called, strict=True))
        yield Figure("activity(), nothing waiting", alone, 0.3, unit="ms")
        yield Figure("  with what follows, up to its answer", altogether, unit="ms")
        yield Figure("activity(), 80 to 100 calls waiting", among, unit="ms")
        yield Figure("localStorage.setItem() of as much", bare, unit="ms")
    slow, fast = (work(browser, throttling) for throttling in (THROTTLING, 1))
    yield Figure("work on the slowed down processor / at full speed", slow / fast, 2, at_least=True)
