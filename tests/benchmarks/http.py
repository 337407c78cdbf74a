"""Over HTTP: one gunicorn worker with four threads, loaded from another process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

from ..services import run_server
from .measure import Figure
from .programs import KEY, body, dumps, flask_peer, ours
from .programs import bare as bare_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

CONNECTIONS = 4
#: What gunicorn is told to serve: the attribute is made when it is asked for, one a process.
PROGRAMS = {"bare": "bare", "ours": "ours_app", "flask": "flask_app"}


def __getattr__(name: str) -> WSGIApplication:
    if name == "ours_app":
        return ours()[0]
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


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """Read one answer: its status and its body."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = connection.recv(65_536)
        if not more:
            raise ConnectionError("the server closed")
        answer += more
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(rest) < length:
        rest += connection.recv(65_536)
    return int(head.split()[1]), rest


def load(port: int, requests: int, people: int) -> float:
    """Requests a second over a few connections, each answer awaited before the next request."""
    from threading import Thread
    from time import perf_counter

    def connect() -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    asking = connect()
    tokens: list[str | None] = []
    for number in range(people):
        visitor = {"key": KEY, "email": f"user{number}@emaildomain.com"}
        asking.sendall(request("/-/events/track", dumps(visitor)))
        tokens.append(json.loads(receive(asking)[1]).get("session"))
    asking.close()
    work = [
        [
            request("/-/events/activity", body(tokens[number % people]))
            for number in range(requests // CONNECTIONS)
        ]
        for _ in range(CONNECTIONS)
    ]
    wrong: list[Any] = []

    def run(waiting: list[bytes]) -> None:
        connection = connect()
        for each in waiting:
            connection.sendall(each)
            status, answer = receive(connection)
            if status != 200:
                wrong.append((status, answer))
        connection.close()

    threads = [Thread(target=run, args=(some,)) for some in work]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = perf_counter() - start
    if wrong:
        raise AssertionError(wrong[0])
    return requests / took


def figures(scale: float = 1.0) -> Iterator[Figure]:
    """All figures of this file."""
    requests, rounds = max(40, int(6_000 * scale)), max(2, int(5 * scale))
    rates: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _round in range(rounds):
        for name, attribute in PROGRAMS.items():
            # The people that a limit would stop at: fewer than the 100 new ones an hour.
            with run_server("gunicorn-gthread", f"{__name__}:{attribute}") as port:
                command = [sys.executable, "-m", __name__, str(port), str(requests), "50"]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                rates[name].append(float(done.stdout))
    yield Figure("bare JSON, gunicorn gthread", median(rates["bare"]), unit="/s")
    share = median(a / b for a, b in zip(rates["ours"], rates["bare"], strict=True))
    yield Figure("ours / bare JSON, requests a second", share, 0.65, at_least=True)
    peer = median(a / b for a, b in zip(rates["ours"], rates["flask"], strict=True))
    yield Figure("ours / Flask + Flask-Limiter + jsonschema", peer, 2.5, at_least=True)


if __name__ == "__main__":
    sys.stdout.write(str(load(*map(int, sys.argv[1:]))))
