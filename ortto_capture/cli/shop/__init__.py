"""A small shop that reports as a real one would: what ``ortto-capture demo`` serves.

The law of this package: it uses public names only, so it can be read as an example of mounting the
capture app into a website of one's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import TYPE_CHECKING

from werkzeug.wrappers import Response

from ... import Attribute, Capture, CaptureApp, Definition, mount

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "harbour-coffee"
FILES = {
    "/shop.css": "text/css; charset=utf-8",
    "/shop.js": "text/javascript; charset=utf-8",
    "/cup.svg": "image/svg+xml",
}
DEFINITIONS = [
    Definition(
        "act:cm:login",
        "Signed in",
        client_side=True,
        attributes=[Attribute("str::email", sensitive=True)],
    ),
    Definition(
        "act:cm:plan-chosen",
        "Plan chosen",
        client_side=True,
        attributes=["str:cm:plan", "int:cm:price"],
    ),
    Definition(
        "act:cm:purchase",
        "Purchase",
        client_side=True,
        attributes=["str:cm:plan", "int:cm:price", "bol:cm:gift"],
    ),
    Definition("act:cm:cup-poured", "Cup poured", client_side=True),
    Definition("act:cm:round-poured", "Round poured", client_side=True),
    Definition("act:cm:refund-issued", "Refund issued", client_side=False),
]


def build(capture: Capture, console_guard: Callable[[WSGIEnvironment], bool]) -> WSGIApplication:
    """The shop, with the capture app mounted below ``/capture``."""
    app = CaptureApp(capture, console_guard=console_guard)
    here = files(__name__)
    page = here.joinpath("shop.html").read_text(encoding="utf-8")
    assets = {path: here.joinpath(path[1:]).read_bytes() for path in FILES}

    def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in assets:
            response = Response(assets[path], content_type=FILES[path])
        elif path == "/":
            nonce = secrets.token_urlsafe(16)
            snippet = app.snippet(KEY, nonce=nonce)
            response = Response(page.replace("<!-- snippet -->", snippet), mimetype="text/html")
            response.headers["Content-Security-Policy"] = (
                f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; "
                "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                "frame-ancestors 'none'"
            )
        else:
            response = Response("Not here. The shop is at /", 404)
        return response(environ, start_response)

    return mount(shop, app, at="/capture")
