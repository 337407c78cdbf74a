"""Known-bad backends: each breaks one promise of the real one, and must be caught.

The law of this file: one small sin each, committed around the real backend. A check that passes on
one of these proves nothing when it passes on the real one.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, TypeVar

import pytest

from ortto_capture import Charge, RateLimited, Refusal
from ortto_capture.backends.file import FileBackends

__all__ = ["VARIANTS", "spoilt"]

T = TypeVar("T")
Open = Callable[[], FileBackends]


def spoilt(name: str, opened: Open) -> AbstractContextManager[FileBackends]:
    """The backends as the variant called ``name`` spoils them; the real ones for ``""``."""
    return VARIANTS[name](opened) if name else opened()


class _Undone(Exception):
    """Carries a result out of a transaction that must not happen yet."""


@contextmanager
def acknowledge_first(opened: Open) -> Iterator[FileBackends]:
    """Decides, answers, and stores later."""
    with opened() as backends:
        atomically = backends.atomically
        later: list[threading.Thread] = []

        def at_once(decide: Callable[[], T]) -> T:
            answers: list[T] = []

            def undo() -> None:
                answers.append(decide())
                raise _Undone

            with suppress(_Undone):
                atomically(undo)
            thread = threading.Thread(target=atomically, args=(decide,))
            thread.start()
            later.append(thread)
            return answers[-1]

        backends.atomically = at_once
        try:
            yield backends
        finally:
            for thread in later:
                thread.join()


@contextmanager
def no_fsync(opened: Open) -> Iterator[FileBackends]:
    """Leaves it to the kernel when anything reaches the disk."""

    class Careless(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            super().execute("PRAGMA synchronous=OFF")

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            done = super().execute(sql, *args)
            if "synchronous" in sql:
                super().execute("PRAGMA synchronous=OFF")
            return done

        def executescript(self, script: str) -> sqlite3.Cursor:
            done = super().executescript(script)
            super().execute("PRAGMA synchronous=OFF")
            return done

    real = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*args, **{**kwargs, "factory": Careless})
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        with opened() as backends:
            yield backends


@contextmanager
def rename_without_directory_fsync(opened: Open) -> Iterator[FileBackends]:
    """Makes a new file durable, and forgets the name it goes by."""
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            real(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with opened() as backends:
            yield backends


@contextmanager
def count_refused(opened: Open) -> Iterator[FileBackends]:
    """Charges the limit that had room although the other one refused."""
    with opened() as backends:
        atomically, acquire = backends.atomically, backends.limiter.acquire
        leader = threading.local()

        def noted(charges: Sequence[Charge], now: float) -> Refusal | None:
            leader.asked[:] = [([charge], now) for charge in charges]
            return acquire(charges, now)

        def charged(decide: Callable[[], T]) -> T:
            asked: list[tuple[list[Charge], float]] = []

            def watched() -> T:
                # Whichever thread leads the transaction runs it.
                leader.asked = asked
                return decide()

            try:
                return atomically(watched)
            except RateLimited:
                for charge, now in asked:
                    acquire(charge, now)
                raise

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(backends.limiter, "acquire", noted)
            patch.setattr(backends, "atomically", charged)
            yield backends


@contextmanager
def two_transactions(opened: Open) -> Iterator[FileBackends]:
    """Commits the charge and the journal row apart."""
    with opened() as backends:
        backends.atomically = lambda decide: decide()
        yield backends


VARIANTS: dict[str, Callable[[Open], AbstractContextManager[FileBackends]]] = {
    "acknowledge-first": acknowledge_first,
    "no-fsync": no_fsync,
    "rename-without-directory-fsync": rename_without_directory_fsync,
    "count-refused": count_refused,
    "two-transactions": two_transactions,
}
