"""SQLite as the store meets it, except that statements can be made to fail, or to take longer.

The law of this file: it takes the place of ``sqlite3.connect`` and knows nothing of the store. A
statement that is to fail is not run; every other one is run by the real library.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import pytest


def error(name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    made = sqlite3.OperationalError("in SQLite's own words")
    made.sqlite_errorname = name
    return made


class Driver:
    """What the statements of this process meet.

    Statements are named by how they begin: ``COMMIT``, ``BEGIN``, ``INSERT INTO journal``.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, tuple[str, int]] = {}
        self._before: dict[str, Callable[[], object]] = {}
        #: How often each of the faults asked for has occurred, by the statement's beginning.
        self.failed: Counter[str] = Counter()
        #: How often a statement of this kind was run, by its first word.
        self.run: Counter[str] = Counter()
        #: ``PRAGMA synchronous`` of each connection that has committed.
        self.synchronous: set[int] = set()

    def fail(self, statement: str, name: str, times: int = 1) -> None:
        """Let the next ``times`` statements that begin so fail with ``name`` (``SQLITE_FULL``)."""
        self._faults[statement] = name, times

    def mend(self) -> None:
        """Let none fail any more."""
        self._faults.clear()

    def before(self, statement: str, act: Callable[[], object]) -> None:
        """Call ``act`` before every statement that begins so; a slow disk is a sleep there."""
        self._before[statement] = act

    def meet(self, sql: str) -> None:
        """Count this statement, and raise what was asked for."""
        sql = sql.lstrip()
        for statement, act in list(self._before.items()):
            if sql.startswith(statement):
                act()
        with self._lock:
            self.run[sql.partition(" ")[0].rstrip(";")] += 1
            for statement, (name, times) in list(self._faults.items()):
                if sql.startswith(statement) and times:
                    self._faults[statement] = name, times - 1
                    self.failed[statement] += 1
                    raise error(name)


@contextmanager
def driven() -> Iterator[Driver]:
    """Have every connection made within the block driven."""
    driver = Driver()

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *given: Any) -> Self:
            driver.meet(sql)
            if sql.startswith("COMMIT"):
                driver.synchronous |= {*super().execute("PRAGMA synchronous").fetchone()}
            return super().execute(sql, *given)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            cursor: sqlite3.Cursor = self.cursor().execute(sql, *given)
            return cursor

    real = sqlite3.connect

    def connect(*given: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = real(*given, **{**named, "factory": Connection})
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        yield driver


def slow(seconds: float) -> Callable[[], None]:
    """A disk that takes so long."""
    return lambda: time.sleep(seconds)
