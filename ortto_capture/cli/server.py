"""``serve`` and ``demo``: the server that comes with it, on this machine.

The law of this file: a request that was begun is finished before the process ends, and what only
this machine may see is shown to nobody who comes through a proxy or under another name.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Condition
from typing import TYPE_CHECKING, Any

import click
from werkzeug.sansio.utils import host_is_trusted
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.wrappers import Response

from .. import CaptureApp, mount
from .account import Account, Command, Misconfigured, editor, with_account
from .show import hint, say

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Seconds that a visitor may keep silent, and that the last ones are waited for.
PATIENCE = 10
_PORT = click.IntRange(0, 65_535)
_FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")


def _named_here(environ: WSGIEnvironment) -> bool:
    # A page elsewhere may give its own name this machine's address, and would then be let in.
    return host_is_trusted(environ.get("HTTP_HOST"), ["127.0.0.1", "localhost", "[::1]"])


def from_here(environ: WSGIEnvironment) -> bool:
    """Whether a request was made on this machine, to it by name, and handed on by nobody."""
    return (
        _is_loopback(environ.get("REMOTE_ADDR", ""))
        and _named_here(environ)
        and not any(header in environ for header in _FORWARDED)
    )


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def only_here(app: WSGIApplication) -> WSGIApplication:
    """``app``, for those who ask for this machine by its own name."""

    def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not _named_here(environ):
            refused = Response("This server answers at 127.0.0.1.", 421)
            return refused(environ, start_response)
        return app(environ, start_response)

    return guarded


class _Handler(WSGIRequestHandler):
    """One request a connection."""

    protocol_version = "HTTP/1.0"
    timeout = PATIENCE
    server: _Server

    def run_wsgi(self) -> None:
        """Answer, and have the server know of it."""
        with self.server.answering():
            super().run_wsgi()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: ``tail -f`` and the activity page say what arrives, and why."""

    def log_error(self, *args: Any) -> None:
        """Say nothing: browsers open connections in advance, and may never use them."""


class _Server(ThreadedWSGIServer):
    """Knows how many requests wait for their answers."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._busy = 0
        self._changed = Condition()
        super().__init__(*arguments, **options)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count a request for as long as it takes."""
        with self._changed:
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def finish(self) -> None:
        """Wait until those that were begun have their answers."""
        with self._changed:
            self._changed.wait_for(lambda: self._busy == 0, PATIENCE)


def _listen(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Listen there, on an address of this machine alone unless others are to be let in."""
    [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not _is_loopback(str(address[0])) and not allow_remote:
        raise click.UsageError(
            f"{host} lets other machines in. This server has no encryption and bears no load: put "
            "a production server in front of it, or better, in its place; then add --allow-remote."
        )
    return socket.create_server(address[:2], family=family)


def _why(error: OSError) -> str:
    # The resolver has numbers and words of its own.
    own = isinstance(error, socket.gaierror)
    return str(error.strerror if own else os.strerror(error.errno or 0))


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _until_told() -> Iterator[None]:
    """End what is inside by Ctrl-C or SIGTERM, which is no failure."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(listener: socket.socket, app: WSGIApplication) -> None:
    host, port = listener.getsockname()[:2]
    server = _Server(host, port, app, _Handler, fd=listener.fileno())
    listener.close()
    # Returns when it is interrupted; whoever interrupts twice waits for nobody.
    server.serve_forever()
    server.finish()


@click.command(cls=Command)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port", type=_PORT, default=8000, show_default=True, help="On which port; 0 is any."
)
@click.option("--console", is_flag=True, help="Show this machine the activity page.")
@click.option("--allow-remote", is_flag=True, help="Needed to listen for other machines.")
@with_account
def serve(account: Account, host: str, port: int, console: bool, allow_remote: bool) -> None:
    """Run the server that comes with it, at /capture.

    It is made for trying out, and for one quiet website. In production, mount
    CaptureApp into your own app, or run it under a production server.
    """
    try:
        listener = _listen(host, port, allow_remote=allow_remote)
    except OSError as error:
        said = f"port {port} of {host} cannot be used ({_why(error)})"
        raise Misconfigured(f"{said}; choose others with --port and --host") from error
    with _until_told(), listener:
        backends = account.open(create=True)
        capture = account.capture(backends)
        app = CaptureApp(capture, console_guard=from_here if console else None)
        base = _address(listener)
        say(f"\n  Reports go to   {base}/capture")
        if console:
            say(f"  Activity page   {base}/capture/console/")
        say(f"  Data is in      {account.data.resolve()}")
        if allow_remote:
            say("\nOther machines are let in: a production server belongs in front.", err=True)
        if not any(each.client_side and not each.archived for each in backends.definitions.all()):
            hint("\nNo activity is on yet: ortto-capture activities add act:cm:login --client-side")
        key = next(iter(capture.settings.sources), "your-key")
        say(f"\nFor the head of your pages:\n\n{app.snippet(key, endpoint=f'{base}/capture')}")
        say("Ctrl-C ends it.")
        _run(listener, mount(Response("Reports go to /capture", 404), app))


@click.command(cls=Command)
@click.option("--port", type=_PORT, default=8000, show_default=True, help="The port to try first.")
@click.pass_context
@with_account
def demo(account: Account, context: click.Context, port: int) -> None:
    """Show a small shop, and the activity page beside it.

    Kept in the directory of --data when one is given, else in a temporary one.
    """
    from .shop import DEFINITIONS, build

    kept = "data" in account.said
    if not kept:
        # Opened first, so it is removed last.
        account.data = Path(context.with_resource(TemporaryDirectory(prefix="ortto-capture-")))
    backends = account.open(create=True)
    for definition in DEFINITIONS:
        if backends.definitions.get(definition.id) is None:
            editor(backends).put(definition)
    app = only_here(build(account.capture(backends), from_here))
    try:
        listener = _listen("127.0.0.1", port)
    except OSError as error:
        say(f"Port {port} cannot be used ({_why(error)}); another one was chosen.")
        listener = _listen("127.0.0.1", 0)
    with _until_told(), listener:
        base = _address(listener)
        say(f"\n  The shop            {base}/\n  Its activity page   {base}/capture/console/")
        say("\nCtrl-C ends it.")
        _run(listener, app)
    say(f"\nKept in {account.data}." if kept else "\nEnded; nothing is kept.")
