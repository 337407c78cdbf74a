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

from ortto_capture import Captured
from ortto_capture.backends.file import FileBackends
from ortto_capture.model import Activity, Charge, Full

T = TypeVar("T")
Open = Callable[[], FileBackends]


def spoilt(name: str, opened: Open) -> AbstractContextManager[FileBackends]:
    """The backends as the variant called ``name`` spoils them; the real ones for ``""``."""
    return VARIANTS[name](opened) if name else opened()


class _Undone(Exception):
    """Carries a result out of a transaction that must not happen yet."""


@contextmanager
def spoiling(
    method: str, spoilt_method: Callable[..., Any], opened: Open
) -> Iterator[FileBackends]:
    """The backends while their class has ``spoilt_method(real, self, ...)`` for ``method``."""
    real = getattr(FileBackends, method)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FileBackends, method, lambda *given: spoilt_method(real, *given))
        with opened() as backends:
            yield backends


@contextmanager
def acknowledge_first(opened: Open) -> Iterator[FileBackends]:
    """Decides, answers, and stores later."""
    later: list[threading.Thread] = []

    def at_once(real: Any, backends: FileBackends, decide: Callable[[], T]) -> T:
        answers: list[T] = []

        def undo() -> None:
            answers.append(decide())
            raise _Undone

        with suppress(_Undone):
            real(backends, undo)
        thread = threading.Thread(target=real, args=(backends, decide))
        thread.start()
        later.append(thread)
        return answers[-1]

    with spoiling("atomically", at_once, opened) as backends:
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


def count_refused(opened: Open) -> AbstractContextManager[FileBackends]:
    """Charges the limit that had room although the other one refused."""

    def charged(
        real: Any, backends: FileBackends, activity: Activity, charges: Sequence[Charge], *rest: Any
    ) -> Captured | Full | None:
        answer: Captured | Full | None = real(backends, activity, charges, *rest)
        if isinstance(answer, Full):
            for charge in charges:
                backends.limiter.acquire([charge], activity.received_at)
        return answer

    return spoiling("record", charged, opened)


def two_transactions(opened: Open) -> AbstractContextManager[FileBackends]:
    """Commits the charge and the journal row apart."""
    return spoiling("atomically", lambda _real, _backends, decide: decide(), opened)


VARIANTS: dict[str, Callable[[Open], AbstractContextManager[FileBackends]]] = {
    "acknowledge-first": acknowledge_first,
    "no-fsync": no_fsync,
    "rename-without-directory-fsync": rename_without_directory_fsync,
    "count-refused": count_refused,
    "two-transactions": two_transactions,
}
