"""Functions of the host that are told what was captured, after the commit.

The law of this file: intake never waits for a subscriber and never fails because of one. What a
subscriber is told is stored already, so being told is no promise: a process that is killed has not
told of its last activities. A program that must miss none reads the journal by its cursor.
"""

from __future__ import annotations

import atexit
import logging
import os
import weakref
from collections.abc import Callable, Collection
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeAlias

from .errors import place
from .locks import fork_safe_lock
from .model import Captured

Subscriber: TypeAlias = Callable[[Captured], object]

_log = logging.getLogger("ortto_capture")

#: Activities that wait to be told of, at most; about a kilobyte each.
MAX_WAITING = 10_000
#: Seconds that the end of the process waits for subscribers.
AT_EXIT = 5.0


class Subscribers:
    """Calls subscribers one after the other, in one worker thread of each process.

    :param note: has the next outcome carry a note: ``subscriber-failed`` for a call that raised,
        ``subscriber-missed`` for an activity that found too many waiting.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._all: list[tuple[Subscriber, Collection[str] | None]] = []
        # Its `put` may be interrupted by a signal handler that puts, too.
        self._waiting: SimpleQueue[Captured | Event] = SimpleQueue()
        self._lock = fork_safe_lock()
        #: The process that has the worker.
        self._pid = 0

    def add(self, subscriber: Subscriber, activity: str | Collection[str] | None) -> None:
        """Call ``subscriber`` for these activity ids, or for all."""
        wanted = {activity} if isinstance(activity, str) else activity
        self._all.append((subscriber, wanted))

    def tell(self, captured: Captured) -> None:
        """Have the worker call whom this concerns."""
        # Most hosts have none, and each activity comes past here.
        if not self._all or not self._wanted(captured):
            return
        self._start()
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(captured)
        else:
            self._note("subscriber-missed")

    def flush(self, timeout: float) -> bool:
        """Wait until all that waits now is done; False when that takes longer than ``timeout``."""
        if self._pid != os.getpid():
            return True
        done = Event()
        self._waiting.put(done)
        return done.wait(timeout)

    def _start(self) -> None:
        """Have a worker in this process: one that forked has no thread but the one that forks."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                # What waits in the old one is the parent's to tell.
                self._waiting = SimpleQueue()
                Thread(target=self._work, args=[self._waiting], daemon=True).start()
                self._pid = os.getpid()
                atexit.register(_at_exit, weakref.ref(self))

    def _work(self, waiting: SimpleQueue[Captured | Event]) -> None:
        while True:
            item = waiting.get()
            if isinstance(item, Event):
                item.set()
                continue
            for subscriber in self._wanted(item):
                self._call(subscriber, item)

    def _wanted(self, captured: Captured) -> list[Subscriber]:
        """Whom this concerns."""
        return [
            subscriber
            for subscriber, wanted in self._all
            if wanted is None or captured.activity_id in wanted
        ]

    def _call(self, subscriber: Subscriber, captured: Captured) -> None:
        try:
            subscriber(captured)
        except BaseException as error:  # noqa: BLE001  # the worker goes on for the others
            self._note("subscriber-failed")
            name = getattr(subscriber, "__qualname__", type(subscriber).__name__)
            _log.error(
                "subscriber %s failed, %s at %s",
                name,
                type(error).__name__,
                place(error),
                extra={"event": "subscriber-failed", "subscriber": name},
            )


def _at_exit(reference: weakref.ref[Subscribers]) -> None:
    subscribers = reference()
    if subscribers is not None:
        subscribers.flush(AT_EXIT)
