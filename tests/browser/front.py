"""A stretch of network between browser and server, which can be cut.

The law of this file: what comes in goes out, unless it is told otherwise; then nothing does, for
connections that are open and for new ones alike.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

State = Literal["well", "cut", "mute"]


class Front:
    """Forwards connections to ``port``; ``port`` of its own is what the browser is given."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._state: State = "well"
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def be(self, state: State) -> None:
        """``cut``: connections are reset. ``mute``: they stay, and nothing comes through."""
        with self._lock:
            self._state = state
            ended = set() if state == "mute" else self._open
            self._open = self._open - ended
        # What was mute is not heard later, either.
        for each in ended:
            _reset(each)

    def close(self) -> None:
        """Cut everything, for good."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()
        self.be("cut")

    def _accept(self) -> None:
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                state = self._state
            if state == "cut":
                _reset(visitor)
                continue
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open |= {visitor, server}
            for source, target in ((visitor, server), (server, visitor)):
                threading.Thread(target=self._forward, args=(source, target), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                with self._lock:
                    mute = self._state == "mute"
                if not mute:
                    target.sendall(data)
        for each in (source, target):
            with self._lock:
                self._open.discard(each)
            _reset(each)


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def front(port: int) -> Iterator[Front]:
    """One that ends with the block."""
    made = Front(port)
    try:
        yield made
    finally:
        made.close()
