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
from contextlib import suppress
from queue import SimpleQueue
from threading import Event, Thread
from typing import TypeAlias

from .errors import place
from .locks import fork_safe_lock
from .model import Captured

Subscriber: TypeAlias = Callable[[Captured], object]
#: An activity to tell of, a flush to answer, or None: the end.
Waiting: TypeAlias = SimpleQueue[Captured | Event | None]

_log = logging.getLogger("ortto_capture")

#: Activities that wait to be told of, at most. Most have a kilobyte, and the largest 300.
MAX_WAITING = 1_000
#: Seconds that the end of the process waits for subscribers.
AT_EXIT = 5.0


class Subscribers:
    """Calls subscribers one after the other, in one worker thread of each process.

    The worker knows them by a weak reference, and ends when they are gone.

    :param note: has an outcome carry a note: ``subscriber-failed`` for a call that raised,
        ``subscriber-missed`` for an activity that found too many waiting, or no worker.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._all: list[tuple[Subscriber, Collection[str] | None]] = []
        # Its `put` may be interrupted by a signal handler that puts, too.
        self._waiting: Waiting = SimpleQueue()
        self._missing = False
        self._lock = fork_safe_lock()
        #: The process that has the worker.
        self._pid = 0

    def add(self, subscriber: Subscriber, activity: str | Collection[str] | None) -> None:
        """Call ``subscriber`` for these activity ids, or for all; once, if it is there already."""
        if activity is not None:
            activity = frozenset([activity] if isinstance(activity, str) else activity)
        if (subscriber, activity) not in self._all:
            self._all.append((subscriber, activity))

    def tell(self, captured: Captured) -> None:
        """Have the worker call whom this concerns."""
        # Most hosts have none, and each activity comes past here.
        if not self._all or not self._wanted(captured):
            return
        started = self._started()
        if started and self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(captured)
            self._missing = False
            return
        self._note("subscriber-missed")
        if not self._missing:
            self._missing = True
            _log.error(
                "subscribers miss activities: %s",
                f"{MAX_WAITING} are waiting for them" if started else "no thread can be started",
                extra={"event": "subscriber-missed"},
            )

    def tell_now(self, captured: Captured) -> None:
        """Call whom this concerns."""
        for subscriber in self._wanted(captured):
            try:
                subscriber(captured)
            except BaseException as error:  # noqa: BLE001  # the worker goes on for the others
                self._note("subscriber-failed")
                # The host's own filters and handlers may fail, too.
                with suppress(Exception):
                    log_failure(subscriber, error)

    def flush(self, timeout: float) -> bool:
        """Wait until all that waits now is done; False when that takes longer than ``timeout``."""
        if self._pid != os.getpid():
            return True
        done = Event()
        self._waiting.put(done)
        return done.wait(timeout)

    def _started(self) -> bool:
        """Whether this process has a worker: one that forked has no thread but the one that did.

        There is none where the process may have no more threads.
        """
        if self._pid == os.getpid():
            return True
        with self._lock:
            if self._pid == os.getpid():
                return True
            # What waits in the old one is the parent's to tell.
            waiting: Waiting = SimpleQueue()
            worker = Thread(target=_work, args=[waiting, weakref.ref(self)], daemon=True)
            try:
                worker.start()
            except RuntimeError:
                return False
            weakref.finalize(self, waiting.put, None).atexit = False
            if self._pid == 0:
                atexit.register(_at_exit, weakref.ref(self))
            self._waiting, self._pid = waiting, os.getpid()
            return True

    def _wanted(self, captured: Captured) -> list[Subscriber]:
        """Whom this concerns."""
        return [
            subscriber
            for subscriber, wanted in self._all
            if wanted is None or captured.activity_id in wanted
        ]


def _work(waiting: Waiting, reference: weakref.ref[Subscribers]) -> None:
    """Call subscribers until they are gone."""
    while (item := waiting.get()) is not None:
        if isinstance(item, Event):
            item.set()
        elif (subscribers := reference()) is not None:
            subscribers.tell_now(item)
            # Else this thread would keep them alive while it waits.
            del subscribers


def log_failure(subscriber: Callable[..., object], error: BaseException) -> None:
    """Name who failed, and where."""
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
