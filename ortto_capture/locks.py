"""Locks that survive ``fork``, and what has to be put away before one.

The law of this file: a child process never inherits a lock that none of its threads will release,
nor state that another thread was in the middle of changing. So every lock made here is taken just
before a fork, those inside which others are taken first, and released on both sides just after.
A fork in C, which calls no hook of Python's, is each holder's own affair, by ``os.getpid()``.
"""

from __future__ import annotations

import os
import threading
import weakref

#: Seconds for which a fork waits for one lock before it gives all of them back for a moment.
GIVE_WAY = 0.1


class ForkAware:
    """What holds something that two processes must not share."""

    def before_fork(self) -> None:
        """Put it away; every lock of this module is held."""

    def after_fork_in_child(self) -> None:
        """Forget what the parent goes on with."""


_outer: list[weakref.ref[threading.RLock]] = []
_inner: list[weakref.ref[threading.RLock]] = []
#: Held by the thread that forks, so that two threads that do so at once do it one after the other.
_forking = threading.RLock()
_held: list[threading.RLock] = []
_watching: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def fork_safe_lock(*, outer: bool = False) -> threading.RLock:
    """Make a reentrant lock that is never left locked in a forked child.

    :param outer: whether other such locks are taken inside it. No two outer ones are held at once,
        and no two others.
    """
    lock = threading.RLock()
    made = _outer if outer else _inner
    made.append(weakref.ref(lock, made.remove))
    return lock


def watch_forks(holder: ForkAware) -> None:
    """Have ``holder`` told of every fork for as long as it lives."""
    _watching.add(holder)


def _before() -> None:
    _forking.acquire()
    locks = [lock for made in (*_outer, *_inner) if (lock := made()) is not None]
    # A thread whose ports are of two stores holds one outer lock and waits for another, which may
    # be held here: then all are given back, and taken again.
    while not all(map(_taken, locks)):
        _give_back()
    for holder in tuple(_watching):
        holder.before_fork()


def _taken(lock: threading.RLock) -> bool:
    taken = lock.acquire(timeout=GIVE_WAY)
    if taken:
        _held.append(lock)
    return taken


def _give_back() -> None:
    while _held:
        _held.pop().release()


def _release_all() -> None:
    _give_back()
    _forking.release()


def _in_child() -> None:
    for holder in tuple(_watching):
        holder.after_fork_in_child()
    _release_all()


if hasattr(os, "register_at_fork"):  # pragma: no branch  # Windows does not fork
    os.register_at_fork(before=_before, after_in_parent=_release_all, after_in_child=_in_child)
