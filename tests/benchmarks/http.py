"""Over HTTP: one worker of gunicorn, and of granian, loaded from another process.

The server has one core and its client another, where there are two: threads that share a lock and
move between cores would mostly show what moving costs.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from selectors import EVENT_READ, DefaultSelector
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from ortto_capture import Person, open_backends
from ortto_capture.model import Identifier

from ..services import Granian, Kind, run_server
from .measure import Figure, ratio
from .programs import KEY, body, dumps, flask_peer, ours
from .programs import bare as bare_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CONNECTIONS = 4
#: Requests sent before the first answer: without, a fast server waits for the client.
AHEAD = 8
CORES = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
#: What gunicorn is told to serve: the attribute is made when it is asked for, one a process.
PROGRAMS = ("bare", "ours_app", "flask_app")
#: Fewer people than the 100 new ones an hour that one address may bring.
PEOPLE = 50
#: Where the program that stores on disk stores.
DATA = "ORTTO_CAPTURE_DATA"


def __getattr__(name: str) -> WSGIApplication:
    if name == "ours_app":
        return ours()[0]
    if name == "workers_app":
        app, capture = ours()
        # Each process would make its own; these are the same in all, so that any may answer.
        for number in range(PEOPLE):
            address = Identifier("email", f"user{number}@emaildomain.com")
            person = Person(f"person-{number}", (address,), None, None, "claimed", 0.0)
            capture.backends.people.save(person)
        return app
    if name == "file_app":
        return ours(backends=open_backends(f"file:{os.environ[DATA]}"))[0]
    if name == "flask_app":
        return flask_peer()
    if name == "bare":
        return bare_app
    raise AttributeError(name)


def request(path: str, payload: bytes) -> bytes:
    """One request on a connection that stays open."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: shop.example\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Connection:
    """One connection that stays open, and the requests it has still to send."""

    def __init__(self, port: int, waiting: Iterable[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting = iter(waiting)
        self._answer = b""
        #: Requests that were sent and not answered.
        self.awaited = 0

    def send(self, requests: int = 1) -> bool:
        """Send the next requests; False when there is none."""
        following = list(islice(self._waiting, requests))
        if following:
            self.socket.sendall(b"".join(following))
            self.awaited += len(following)
        return bool(following)

    def receive(self) -> list[bytes]:
        """Read what has come: the bodies of the 200s that are whole by now."""
        more = self.socket.recv(65_536)
        if not more:
            raise ConnectionError("the server closed")
        self._answer += more
        bodies: list[bytes] = []
        while True:
            head, end, rest = self._answer.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if not end or length is None or len(rest) < int(length[1]):
                return bodies
            if not head.startswith(b"HTTP/1.1 200 "):
                raise AssertionError(self._answer)
            bodies.append(rest[: int(length[1])])
            self._answer = rest[int(length[1]) :]
            self.awaited -= 1


def visitors(port: int, people: int) -> list[str | None]:
    """Sessions of so many people."""
    members = [{"key": KEY, "email": f"user{number}@emaildomain.com"} for number in range(people)]
    asking = Connection(port, (request("/-/events/track", dumps(each)) for each in members))
    tokens = []
    while asking.send():
        while not (answers := asking.receive()):
            pass
        tokens.append(json.loads(answers[0]).get("session"))
    asking.socket.close()
    return tokens


def rate(port: int, tokens: list[str | None], requests: int) -> float:
    """Requests a second over a few connections, each a few requests ahead of its answers.

    One thread for all of them: threads that wait for each other's lock would be slower than the
    server, and a client that is slower than the server measures itself.
    """
    turn = cycle(tokens)
    share = requests // CONNECTIONS
    with DefaultSelector() as selector:
        for _ in range(CONNECTIONS):
            work = [request("/-/events/activity", body(next(turn))) for _ in range(share)]
            connection = Connection(port, work)
            selector.register(connection.socket, EVENT_READ, connection)
        start = perf_counter()
        for key in selector.get_map().values():
            key.data.send(AHEAD)
        while selector.get_map():
            for key, _events in selector.select():
                answers = key.data.receive()
                if answers and not key.data.send(len(answers)) and not key.data.awaited:
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
        return share * CONNECTIONS / (perf_counter() - start)


def load(requests: int, rounds: int, *ports: int) -> list[list[float]]:
    """The rates of the servers on these ports, for each round, turn by turn."""
    servers = [(port, visitors(port, PEOPLE)) for port in ports]
    return [[rate(port, tokens, requests) for port, tokens in servers] for _round in range(rounds)]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Run, and have what is started meanwhile run, on this one of the cores."""
    if not CORES:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CORES[core]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    bare_rates, our_rates, flask_rates = measured("gunicorn-gthread", PROGRAMS, scale)
    yield Figure("bare JSON, gunicorn gthread", median(bare_rates), unit="/s")
    share = ratio(our_rates, bare_rates)
    yield Figure("ours / bare JSON, requests a second", share, 0.65, at_least=True)
    peer = ratio(our_rates, flask_rates)
    yield Figure("ours / Flask + Flask-Limiter + jsonschema", peer, 2.5, at_least=True)
    # A server that is fast itself: here the pipeline is most of what a visitor waits for.
    bare_rates, our_rates = measured("granian", PROGRAMS[:2], scale)
    yield Figure("bare JSON, granian", median(bare_rates), unit="/s")
    share = ratio(our_rates, bare_rates)
    yield Figure("ours / bare JSON under granian", share, 0.6, at_least=True)


def measured(
    kind: Kind | Granian, programs: Iterable[str], scale: float
) -> list[tuple[float, ...]]:
    """The rates of these programs under one kind of server."""
    requests, rounds = max(40, int(600 * scale)), max(2, int(40 * scale))
    with ExitStack() as servers:
        servers.enter_context(on_core(0))
        ports = [
            servers.enter_context(run_server(kind, f"{__name__}:{program}")) for program in programs
        ]
        servers.enter_context(on_core(-1))
        command = [sys.executable, "-m", __name__, *map(str, (requests, rounds, *ports))]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return list(zip(*json.loads(done.stdout), strict=True))


if __name__ == "__main__":
    json.dump(load(*map(int, sys.argv[1:])), sys.stdout)
