"""An app served on a loopback port, for a test that drives a browser.

The law of this file: the kernel chooses the port, connections wait in its queue from the first
moment, and server and thread are gone when the test ends.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from threading import Thread
from typing import Any, TypeAlias

from ..model import Captured
from .capture import TestCapture

#: Seconds that the end of a test waits for the server.
PATIENCE = 10.0


class LiveCapture:
    """The app given to :meth:`TestCapture.use`, as a browser sees it.

    :param capture: whose app is served.
    """

    def __init__(self, capture: TestCapture) -> None:
        self._capture = capture
        self._address = ""
        self._stop: Callable[[], object] | None = None
        self._thread: Thread | None = None

    @property
    def url(self) -> str:
        """The address of the app, such as ``http://127.0.0.1:40123``; served from the first use.

        :raises RuntimeError: when no app was given to ``capture.use`` before.
        """
        if not self._address:
            app = self._capture.app
            if app is None:
                raise RuntimeError("which app is to be served? Call capture.use(app) first")
            # An async function, or an object whose call is one.
            asynchronous = any(map(iscoroutinefunction, (app, getattr(app, "__call__", app))))  # noqa: B004
            server = _serve_asgi(app) if asynchronous else _serve_wsgi(app)
            self._address, run, self._stop = server
            self._thread = Thread(target=run, daemon=True)
            self._thread.start()
        return self._address

    def wait_for(
        self, activity_id: str, attributes: Mapping[str, Any] | None = None, **how: Any
    ) -> list[Captured]:
        """See :meth:`TestCapture.wait_for`."""
        __tracebackhide__ = True
        return self._capture.wait_for(activity_id, attributes, **how)

    def close(self) -> None:
        """End the server."""
        if self._stop is not None and self._thread is not None:
            self._stop()
            self._thread.join(PATIENCE)
            self._stop = None


#: The address, what serves until it is stopped, and what stops it.
Server: TypeAlias = tuple[str, Callable[[], object], Callable[[], object]]


def _serve_wsgi(app: Any) -> Server:
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing: a test prints what it wants to say."""

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)

    def run() -> None:
        server.serve_forever(poll_interval=0.02)
        server.server_close()

    return f"http://127.0.0.1:{server.port}", run, server.shutdown


def _serve_asgi(app: Any) -> Server:
    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(
            "live_capture serves ASGI apps by uvicorn: pip install uvicorn"
        ) from error
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    # It listens from now on: connections wait until the server takes them.
    listener = socket.create_server(("127.0.0.1", 0))

    def stop() -> None:
        server.should_exit = True

    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    return address, lambda: server.run(sockets=[listener]), stop
