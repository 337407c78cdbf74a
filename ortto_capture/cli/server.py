"""``serve`` and ``demo``: waitress, on this machine.

The law of this file: a request that was begun is answered before the process ends, and what is
printed is an address that works.
"""

from __future__ import annotations

import signal
import socket
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from werkzeug.wrappers import Response

from .. import CaptureApp, mount
from ..console.tokens import TokenGuard
from .account import CONFIGURATION, Account, Failed, with_account
from .show import hint, say

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: Seconds that the last requests may take, once the server is told to end.
PATIENCE = 10


def _listen(host: str, port: int, *, allow_remote: bool = False) -> socket.socket:
    """Listen there, on an address of this machine alone unless others are to be let in."""
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        if ip_address(address[0]).is_loopback or allow_remote:
            return socket.create_server(address[:2], family=family)
    except OSError as error:
        said = f"port {port} of {host} cannot be used ({error.strerror})"
        raise Failed(f"{said}; choose others with --port and --host", CONFIGURATION) from error
    raise click.UsageError(
        f"{host} lets other machines in. This server has no encryption and bears no load: put a "
        "production server in front of it, or better, in its place; then add --allow-remote."
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    if ip_address(host).is_unspecified:
        # It listens on every address of this machine; this one works here.
        host = "::1" if ":" in host else "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _run(listener: socket.socket, app: WSGIApplication) -> None:
    """Serve until SIGINT or SIGTERM, then answer what was begun; a second one ends at once."""
    # Imported on use: a host's own command line has these commands left out, and no waitress.
    from waitress import create_server, wasyncore

    connections: dict[int, Any] = {}
    server = create_server(
        app,
        map=connections,
        sockets=[listener],
        # They are never obeyed here, but the operator is warned of visitors behind a proxy.
        clear_untrusted_proxy_headers=False,
    )
    told: list[float] = []

    def end(*_: object) -> None:
        told.append(time.monotonic())
        server.pull_trigger()

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, end)
    while not told:
        wasyncore.loop(map=connections, count=1)
    # No new connection is accepted; those that are open stay.
    wasyncore.dispatcher.close(server)
    # A request that was begun, one that waits for its turn, an answer that is not sent yet.
    while any(
        channel.request or channel.requests or channel.total_outbufs_len
        for channel in server.active_channels.values()
    ):
        wasyncore.loop(timeout=1, map=connections, count=1)
        if len(told) > 1 or time.monotonic() > told[0] + PATIENCE:
            break
    server.task_dispatcher.shutdown()
    wasyncore.close_all(connections)


_PORT: Any = {"type": click.IntRange(0, 65_535), "default": 8000, "show_default": True}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", help="On which port; 0 is any.", **_PORT)
@click.option("--console", is_flag=True, help="Serve the console, and print a link to it.")
@click.option("--allow-remote", is_flag=True, help="Needed to listen for other machines.")
@with_account
def serve(account: Account, host: str, port: int, console: bool, allow_remote: bool) -> None:
    """Run the server that comes with it, at /capture.

    It is made for trying out, and for one quiet website. In production, mount
    CaptureApp into your own app, or run it under a production server.
    """
    with suppress(KeyboardInterrupt), _listen(host, port, allow_remote=allow_remote) as listener:
        definitions = account.create().definitions.all()
        guard = TokenGuard() if console else None
        app = CaptureApp(account.capture, console_guard=guard)
        base = _address(listener)
        say(f"\n  Reports go to   {base}/capture")
        if guard is not None:
            say(f"  The console     {base}/capture/console/{guard.fragment}")
        if account.find is None:
            say(f"  Data is in      {account.data.resolve()}")
        if allow_remote:
            say("\nOther machines are let in: a production server belongs in front.", err=True)
        if not any(each.client_side and not each.archived for each in definitions):
            hint("\nNo activity is on yet: ortto-capture activities add act:cm:login --client-side")
        key = next(iter(account.settings.sources), "your-key")
        say(f"\nFor the head of your pages:\n\n{app.snippet(key, endpoint=f'{base}/capture')}")
        say("Ctrl-C ends it.")
        _run(listener, mount(Response("Reports go to /capture", 404), app))


@click.command()
@click.option("--port", help="The port to try first.", **_PORT)
@click.pass_context
@with_account
def demo(account: Account, context: click.Context, port: int) -> None:
    """Run a small shop, and the console beside it.

    What happens is kept in the directory of --data when one is given, else in a temporary one,
    which begins with a week of sample activities.
    """
    from .shop import DEFINITIONS, build
    from .shop.history import live_through

    if account.find is not None and "app" in account.given:
        raise click.UsageError("the shop has activities of its own; name a directory with --data")
    account.find, kept = None, "data" in account.given
    if not kept:
        # Opened first, so it is removed last.
        account.data = Path(context.with_resource(TemporaryDirectory(prefix="ortto-capture-")))
    account.create().definitions.declare(DEFINITIONS)
    sampled = 0 if kept else live_through(account.capture, time.time())
    guard = TokenGuard()
    app = build(account.capture, guard)
    try:
        listener = _listen("127.0.0.1", port)
    except Failed:
        say(f"Port {port} cannot be used; another one was chosen.")
        listener = _listen("127.0.0.1", 0)
    with suppress(KeyboardInterrupt), listener:
        base = _address(listener)
        say(f"\n  The shop      {base}/{guard.fragment}")
        say(f"  Its console   {base}/capture/console/{guard.fragment}")
        if sampled:
            say("\nIt begins with a week of sample activities, of people at sample.example.")
        say("\nCtrl-C ends it.")
        _run(listener, app)
    say(f"\nKept in {account.data}." if kept else "\nEnded; nothing is kept.")
