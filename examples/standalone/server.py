"""A small shop with the capture app mounted in it, and its activity page: ``scripts/demo``.

Everything is in memory and on 127.0.0.1; Ctrl-C ends it and forgets it.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.sansio.utils import host_is_trusted
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from ortto_capture import (
    Attribute,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    mount,
    open_backends,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY = "harbour-coffee"
HERE = Path(__file__).parent
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
        attributes=[Attribute("str::email", "E-mail", sensitive=True)],
    ),
    Definition(
        "act:cm:plan-chosen",
        "Plan chosen",
        client_side=True,
        attributes=[Attribute("str:cm:plan", "Plan"), Attribute("int:cm:price", "Price a month")],
    ),
    Definition(
        "act:cm:purchase",
        "Purchase",
        client_side=True,
        attributes=[
            Attribute("str:cm:plan", "Plan", required=True),
            Attribute("int:cm:price", "Price a month"),
            Attribute("bol:cm:gift", "Gift"),
        ],
    ),
    Definition("act:cm:cup-poured", "Cup poured", client_side=True),
    Definition("act:cm:round-poured", "Round poured", client_side=True),
    Definition("act:cm:refund-issued", "Refund issued", client_side=False),
]


def build() -> WSGIApplication:
    """The shop, with the capture app mounted below ``/capture``."""
    backends = open_backends("memory:")
    for definition in DEFINITIONS:
        backends.definitions.put(definition)
    settings = Settings(secret_keys=[secrets.token_bytes(32)])
    app = CaptureApp(Capture(backends=backends, settings=settings), console_guard=from_here)
    page = (HERE / "shop.html").read_text(encoding="utf-8")
    files = {path: (HERE / path[1:]).read_bytes() for path in FILES}

    def shop(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path in files:
            response = Response(files[path], content_type=FILES[path])
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

    mounted = mount(shop, app, at="/capture")

    def only_here(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # A page elsewhere may give its own name this machine's address, and would then be let in.
        if not host_is_trusted(environ.get("HTTP_HOST"), ["127.0.0.1", "localhost"]):
            return Response("This demo answers at 127.0.0.1.", 421)(environ, start_response)
        return mounted(environ, start_response)

    return only_here


def from_here(environ: WSGIEnvironment) -> bool:
    """The activity page is for this machine only."""
    return ip_address(environ["REMOTE_ADDR"]).is_loopback


class Quiet(WSGIRequestHandler):
    """The activity page says what arrives; a log line for each poll would hide it."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


def main() -> None:
    """Serve on the port asked for, or on a free one when it is taken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="the port to try first, 8000")
    wanted = parser.parse_args().port
    try:
        listener = socket.create_server(("127.0.0.1", wanted))
    except OSError as error:
        listener = socket.create_server(("127.0.0.1", 0))
        why = os.strerror(error.errno or 0)
        print(f"Port {wanted} cannot be used ({why}); another one was chosen.")
    port = listener.getsockname()[1]
    server = make_server(
        "127.0.0.1", port, build(), True, request_handler=Quiet, fd=listener.fileno()
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    address = f"http://127.0.0.1:{port}"
    print(f"\n  The shop            {address}/")
    print(f"  Its activity page   {address}/capture/console/\n\nCtrl-C ends it.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nEnded; nothing is kept.")
    finally:
        server.server_close()


if __name__ == "__main__":
    main()
