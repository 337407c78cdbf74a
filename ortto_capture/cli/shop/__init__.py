"""A small shop that reports as a real one would: what ``ortto-capture demo`` serves.

The law of this package: it does what a website does, so it can be read as an example of mounting
the capture app into one of your own. What its visitors may do is in ``activities.json``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from ... import Capture, CaptureApp, mount
from ...backends.definition_file import read_definitions

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

FOLDER = Path(__file__).parent
KEY = "harbour-coffee"
FILES = ("/shop.css", "/shop.js", "/cup.svg")
DEFINITIONS = read_definitions(FOLDER / "activities.json")


def build(capture: Capture, console_guard: Callable[[WSGIEnvironment], bool]) -> WSGIApplication:
    """The shop, with the capture app mounted below ``/capture``."""
    app = CaptureApp(capture, console_guard=console_guard)
    page = (FOLDER / "shop.html").read_text(encoding="utf-8")

    @Request.application
    def shop(request: Request) -> Response:
        if request.path in FILES:
            return send_file(FOLDER / request.path[1:], request.environ)
        if request.path != "/":
            return Response("Not here. The shop is at /", 404)
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        html = page.replace("<!-- snippet -->", app.snippet(KEY, nonce=nonce))
        return Response(html, headers={"Content-Security-Policy": policy}, mimetype="text/html")

    return mount(shop, app, at="/capture")
