"""Locks that survive ``fork``.

The law of this file: a child process never inherits a lock that nobody in it will release, nor
state that another thread was in the middle of changing. So every lock made here is taken just
before a fork, in the order of making (an outer lock is made before the ones taken inside it), and
released on both sides just after.
"""

from __future__ import annotations

import os
import threading
import weakref

__all__ = ["fork_safe_lock"]

_made: list[weakref.ref[threading.RLock]] = []
_held: list[threading.RLock] = []


def fork_safe_lock() -> threading.RLock:
    """Make a reentrant lock that is never left locked in a forked child."""
    lock = threading.RLock()
    _made.append(weakref.ref(lock, _made.remove))
    return lock


def _take_all() -> None:
    for lock in [lock for made in tuple(_made) if (lock := made()) is not None]:
        lock.acquire()
        _held.append(lock)


def _release_all() -> None:
    while _held:
        _held.pop().release()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows does not fork
    os.register_at_fork(before=_take_all, after_in_parent=_release_all, after_in_child=_release_all)
