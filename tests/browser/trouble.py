"""What a server, or what stands before it, may answer instead of storing.

The law of this file: the browser meets a real connection. Nothing is made up between the page and
the network, so that it is the same trouble for every engine.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

JSON = "application/json"


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
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, connection.fileno())
    os.close(nowhere)
    raise ConnectionResetError


#: What a server may do instead of storing, for as long as it lasts.
TROUBLE: dict[str, WSGIApplication] = {
    "down": reset,
    "failing": answer("500 Oops", b"<h1>Internal Server Error</h1>", Content_Type="text/html"),
    "busy": answer(
        "429 Slow", b'{"error":{"code":"rate-limit"}}', Retry_After="2", Content_Type=JSON
    ),
    "away for a while": answer("503 Busy", Retry_After="300"),
    "unknown to a proxy": answer("404 Not Found", b"<h1>Not Found</h1>", Content_Type="text/html"),
    "kept out": answer("403 Forbidden", b"<h1>Blocked</h1>", Content_Type="text/html"),
    "elsewhere": answer("200 OK", b"<h1>Log in to the hotel's network</h1>"),
}
