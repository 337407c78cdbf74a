"""The website that the campaign of visits visits, as a server process runs it.

The law of this file: it does what the file of trouble says, to every capture request, at once, in
whichever process; without one it is an ordinary website on the file backend, with two accounts.
What was asked of it, and what became of that, is a line of a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    mount,
)
from ortto_capture.backends.definition_file import FileDefinitions

from ..faults.stage import opened

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Where the accounts are, for the server's processes.
DIRECTORY = "ORTTO_CAPTURE_VISITED"
#: Each account, and where its capture app is mounted: two websites that share one origin.
ENDPOINTS = {"shop": "/capture", "blog": "/blog/capture"}
#: So many that no limit is in the way.
RAISED = "1000000/hour"
SERIAL = "str:cm:serial"
SEEN = Definition(
    "act:cm:seen",
    "Seen",
    client_side=True,
    attributes=[Attribute(SERIAL)],
    limits={"person": RAISED, "ip": RAISED},
)
#: An answer that no capture server gives, and every proxy.
PROXYS = b"<!doctype html><h1>Trouble</h1>"

#: First in the head: a device clock that can be set, by the address of the page and later on; and
#: every exception that the page's scripts are told of is told to the server.
DEVICE = """<script>
window.clockIs = Number(new URLSearchParams(location.search).get("clock") || 0);
(RealDate => {
  window.Date = class Date extends RealDate {
    constructor(...given) {
      if (given.length) super(...given); else super(RealDate.now() + window.clockIs);
    }
    static now() { return RealDate.now() + window.clockIs; }
  };
})(Date);
const tell = error => fetch("/told", {method: "POST", keepalive: true, body: String(error)});
addEventListener("error", event => tell(event.message));
addEventListener("unhandledrejection", event => tell(event.reason));
</script>"""
#: Last in the body of a page that reports by itself, as soon as it is there.
REPORTS = """<script>
{
  const serial = new URLSearchParams(location.search).get("reports");
  if (document.prerendering) localStorage.prerendered = serial;
  ap3c.activity({activity_id: "act:cm:seen", attributes: {"str:cm:serial": serial}});
}
</script>"""
#: A tour: each page has the next one prerendered, and goes there, or to the one after it where the
#: address says so. Its end is told to the server.
TOUR = """<script>
(async () => {
  const asked = new URLSearchParams(location.search);
  if (document.prerendering) {
    await new Promise(shown => document.addEventListener("prerenderingchange", shown));
  }
  if (asked.has("email")) ap3c.track({email: asked.get("email")});
  const [next, ...rest] = asked.get("tour").split(",");
  const address = `?reports=${parseInt(next)}&tour=${rest}`;
  const pause = time => new Promise(over => setTimeout(over, time));
  await pause(100);
  if (!next) return fetch("/finished", {method: "POST"});
  const rules = document.createElement("script");
  rules.type = "speculationrules";
  rules.textContent = JSON.stringify({prerender: [{urls: [address], eagerness: "immediate"}]});
  document.head.append(rules);
  while (localStorage.prerendered != parseInt(next)) await pause(10);
  await pause(100);
  location.assign(next.endsWith("skipped") ? `?tour=${rest}` : address);
})();
</script>"""
#: What a page has that is asked for with this.
SCRIPTS = {"reports": REPORTS, "tour": TOUR}


def trouble(directory: Path) -> Path:
    """The file whose text is what is wrong: a status, or the process that is to die."""
    return directory / "trouble"


def asked(directory: Path) -> Path:
    """The file with a line of JSON for each capture request."""
    return directory / "asked"


def capture(directory: Path, account: str) -> Capture:
    """An account of the website, with its definition."""
    backends = opened(directory / account)
    assert isinstance(backends.definitions, FileDefinitions)
    backends.definitions.put(SEEN)
    return Capture(backends=backends, settings=Settings(new_people_limit=RAISED))


def website(directory: Path) -> WSGIApplication:
    """Pages of two websites, whatever the path, and a capture app for each, in trouble or not."""
    apps = {account: CaptureApp(capture(directory, account)) for account in ENDPOINTS}

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        account = "blog" if environ["PATH_INFO"].startswith("/blog") else "shop"
        snippet = apps[account].snippet("key", endpoint=ENDPOINTS[account])
        given = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
        own = "".join(script for name, script in SCRIPTS.items() if name in given)
        page = f"<!doctype html><title>{account}</title>{DEVICE}{snippet}{own}"
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [page.encode()]

    mounted: WSGIApplication = host
    for account, endpoint in ENDPOINTS.items():
        mounted = mount(mounted, apps[account], at=endpoint)

    def troubled(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return mounted(environ, start_response)
        captures = "/-/events/" in environ["PATH_INFO"]
        wrong = _read(trouble(directory)) if captures else ""
        # A body that does not arrive is the capture app's to answer.
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        environ = {**environ, "wsgi.input": BytesIO(body)}
        note = _note(directory, environ["PATH_INFO"], body, wrong)
        if wrong == "killed":
            note("the process died")
            trouble(directory).unlink(missing_ok=True)
            os.kill(os.getpid(), 9)

        status = ""

        def start(given: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status
            status = given
            if wrong == "lost":
                return lambda data: None
            return start_response(given, headers, exc_info)

        if wrong in ("", "lost"):
            answer = b"".join(mounted(environ, start))
            note(f"{status} {answer[:300].decode()}")
            if not wrong:
                return [answer]
            # Stored, and the answer gets lost.
            wrong = "502"
        headers = [("Content-Type", "text/html"), ("Content-Length", str(len(PROXYS)))]
        if wrong == "429":
            headers.append(("Retry-After", "1"))
        note(f"{wrong} of a proxy")
        start_response(f"{wrong} Trouble", headers)
        return [PROXYS]

    return troubled


def _note(directory: Path, path: str, body: bytes, wrong: str) -> Callable[[str], None]:
    """What writes down what became of this request."""
    try:
        sent = json.loads(body)
        serial = sent.pop("attributes", {}).get(SERIAL)
    except ValueError:
        sent, serial = {"body": body.decode()}, None

    def note(answer: str) -> None:
        what = {"at": time(), "path": path, "serial": serial, "wrong": wrong, "answer": answer}
        line = json.dumps(what | sent)
        # One write of less than a page: lines of two processes do not mix.
        with asked(directory).open("a") as file:
            file.write(line + "\n")

    return note


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


if DIRECTORY in os.environ:
    app = website(Path(os.environ[DIRECTORY]))
