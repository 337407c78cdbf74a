"""Real servers for tests, and what decides how hard a test looks.

The law of this file: everything listens on 127.0.0.1 and on a port that the kernel chose, is ready
when the ``with`` block begins, and is gone when it ends. Nothing waits by the clock.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Literal, NoReturn

import pytest
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROOT = Path(__file__).parent.parent

#: Long enough for a busy machine, short enough that a hang is a failure and not a mystery.
PATIENCE = 20.0


def campaign(everyday: int) -> int:
    """How many examples, rounds or threads' turns to try: ``everyday``, or more in a campaign.

    ``ORTTO_CAPTURE_CAMPAIGN`` is the factor, 1 when unset.
    """
    return everyday * int(os.environ.get("ORTTO_CAPTURE_CAMPAIGN", "1"))


def missing(what: str) -> NoReturn:
    """Leave the test out on a laptop; fail it in CI, where nothing may be missing."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI must have it")
    pytest.skip(f"{what} is missing")


def clock_after(seconds: float) -> Callable[[], float]:
    """A clock for ``Capture`` that goes on from so many seconds past an hour.

    By the real one a limit may end while a test runs into it, and the answer to a full one depends
    on how soon it ends.
    """
    shift = seconds - time() % 3600
    return lambda: time() + shift


@contextmanager
def serve(app: WSGIApplication) -> Iterator[str]:
    """Serve ``app`` from a thread of this process and yield its base URL, without a final slash."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


Kind = Literal["gunicorn-sync", "gunicorn-gthread", "waitress"]
#: A server to be measured only: it hands a chunked body that was cut over as if it were whole.
Granian = Literal["granian"]

_SERVE_WITH_WAITRESS = """
import pkgutil, socket, sys, waitress
waitress.serve(pkgutil.resolve_name(sys.argv[2]), sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


def _command(
    python: str, kind: Kind | Granian, app: str, listener: int, port: int, workers: int
) -> list[str]:
    if kind == "waitress":
        return [python, "-c", _SERVE_WITH_WAITRESS, str(listener), app]
    if kind == "granian":
        # It takes no socket that was made elsewhere, so that it is asked until it accepts.
        options = {"interface": "wsgi", "port": str(port), "blocking-threads": "1"}
        given = [f"--{name}={value}" for name, value in options.items()]
        return [python, "-m", "granian", "--log-level=warning", *given, app]
    options = {
        "worker-class": kind.removeprefix("gunicorn-"),
        "bind": f"fd://{listener}",
        "workers": str(workers),
        "threads": "4" if kind == "gunicorn-gthread" else "1",
        "graceful-timeout": "2",
        "log-level": "warning",
    }
    given = [f"--{name}={value}" for name, value in options.items()]
    return [python, "-m", "gunicorn", "--no-control-socket", *given, app]


def _await_server(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when the server accepts connections."""
    ends = monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
        except ConnectionRefusedError:
            if process.poll() is not None or monotonic() > ends:
                raise


@contextmanager
def run_server(
    kind: Kind | Granian,
    app: str,
    *,
    workers: int = 1,
    env: Mapping[str, str] | None = None,
    python: str = sys.executable,
) -> Iterator[int]:
    """Run a real server as a process of its own on ``app`` (``module:name``) and yield its port.

    The listening socket is made here and inherited, so a connection waits in the kernel's queue
    from the first moment: nothing to poll for, and no port that another program could take. Should
    the server die, its socket dies with it; the test then fails with what the server wrote.

    :param python: the interpreter, for an app that is installed in an environment of its own.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile("w+") as log:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            _command(python, kind, app, listener.fileno(), port, workers),
            pass_fds=[] if kind == "granian" else [listener.fileno()],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        listener.close()
        try:
            if kind == "granian":
                _await_server(port, process)
            yield port
        except BaseException as error:
            log.seek(0)
            error.add_note(f"{kind} wrote:\n{log.read()}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def raw_request(port: int, data: bytes, *, half_close: bool = False) -> bytes:
    """Send exactly these bytes and return every byte of the answer.

    Ask for ``Connection: close``, or the answer never ends. A server may answer and hang up before
    it has read everything; what it answered is returned all the same.

    :param half_close: say that nothing more will come, as a client that gave up half-way does.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        answer = bytearray()
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass
        try:
            while part := connection.recv(65_536):
                answer += part
        except ConnectionError:
            pass
        return bytes(answer)
