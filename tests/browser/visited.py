"""The website that the campaign of visits visits, as a server process runs it.

The law of this file: it does what the file of trouble says, to every capture request, at once, in
whichever process; without one it is an ordinary website on the file backend.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

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

#: Where the account is, for the server's processes.
DIRECTORY = "ORTTO_CAPTURE_VISITED"
#: So many that no limit is in the way.
RAISED = "1000000/hour"
SEEN = Definition(
    "act:cm:seen",
    "Seen",
    client_side=True,
    attributes=[Attribute("str:cm:serial")],
    limits={"person": RAISED, "ip": RAISED},
)


def trouble(directory: Path) -> Path:
    """The file whose text is what is wrong: a status, or the process that is to die."""
    return directory / "trouble"


def capture(directory: Path) -> Capture:
    """The website's account, with its definition."""
    backends = opened(directory / "data")
    assert isinstance(backends.definitions, FileDefinitions)
    backends.definitions.put(SEEN)
    return Capture(backends=backends, settings=Settings(new_people_limit=RAISED))


def website(directory: Path) -> WSGIApplication:
    """One page, whatever the path, and the capture app below it, in trouble or not."""
    app = CaptureApp(capture(directory))
    page = f"<!doctype html><title>Shop</title>{app.snippet('key')}".encode()

    def host(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [page]

    mounted = mount(host, app, at="/capture")

    def troubled(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wrong = _read(trouble(directory)) if environ["REQUEST_METHOD"] == "POST" else ""
        if wrong == "killed":
            trouble(directory).unlink(missing_ok=True)
            os.kill(os.getpid(), 9)
        if wrong.startswith("after"):
            # Stored, and the answer gets lost.
            list(mounted(environ, lambda status, headers, exc_info=None: lambda data: None))
            wrong = "502"
        if wrong:
            headers = [("Content-Type", "text/html"), ("Content-Length", "0")]
            if wrong == "429":
                headers.append(("Retry-After", "1"))
            start_response(f"{wrong} Trouble", headers)
            return [b""]
        return mounted(environ, start_response)

    return troubled


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


if DIRECTORY in os.environ:
    app = website(Path(os.environ[DIRECTORY]))
