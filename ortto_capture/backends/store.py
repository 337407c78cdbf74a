"""One SQLite file that any number of threads and processes write together.

The law of this file: what ``atomically`` has returned is on the disk, and what it has refused is
nowhere. The decisions of one group share one transaction and one fsync; processes queue for the
file by ``flock``. Connections never cross a ``fork``, no driver's exception leaves, and
whatever goes wrong is said with the path and the remedy.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from ..errors import BackendError, Refused, StorageFull
from ..locks import fork_safe_lock, watch_forks
from .group import Group, Job
from .store_file import ERRORS, connect, disk_failed, fault, of_one_row, prepare
from .store_queue import LONGEST_PAUSE, Queue
from .store_scrub import Pages

T = TypeVar("T")
Row = tuple[Any, ...]

#: Seconds that anybody waits for the file before the answer is 503 (contract §4, row 13).
PATIENCE = 2.0
#: Seconds to wait for readers when something is to be overwritten; it is tried again.
BRIEFLY = 0.1
#: Seconds between two looks whether the file of that name is still the same one, which takes twice
#: as long as whether there is one.
LOOK_CLOSER = 0.1
#: Rows changed, by one process, before the log is moved into the file: of an activity three, and
#: then it is 8 MB or so long. What changed often is moved once.
CHANGES = 3_000
#: How much of a commit's time is spent on waiting for company.
LINGER = 0.1

#: How many erasures wait for their bytes to be overwritten, and that there are none any more.
_SCRUB = "SELECT value FROM meta WHERE name = 'scrub'"
_SCRUBBED = "UPDATE meta SET value = 0 WHERE name = 'scrub' AND value = ?"

_log = logging.getLogger("ortto_capture")


class Store:
    """The connections of one process to one file.

    :param path: the file; made when its directory has none.
    :param durable: whether a commit waits for the disk. Without, a power cut may take the last
        seconds; a crash of the process takes nothing.
    :raises ConfigurationError: when the file cannot be opened, with the path and the remedy.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.path = path
        self._name = str(path)
        self._durable = durable
        #: In which processes wait to write.
        self._queue = Queue(path.with_suffix(".lock"), path)
        #: Held by the thread that writes; the others' decisions wait in the group meanwhile.
        self._turn = fork_safe_lock(outer=True)
        self._reading = fork_safe_lock()
        #: Held while a connection is open of which ``before_fork`` does not know.
        self._beside = fork_safe_lock()
        self._group = Group(self._turn, self._work)
        #: How many decisions the last transaction had, and the seconds that its commit took.
        self._company, self._took = 1, 0.0
        self._begun = False
        self._failure: BackendError | None = None
        self._latched = False
        #: The cursors that are used over and over: one for each statement takes longer.
        self._writer: sqlite3.Cursor | None = None
        #: How many rows the writer had changed when the log was moved into the file.
        self._moved = 0
        self._reader: sqlite3.Cursor | None = None
        self._opened: tuple[int, int] | None = None
        self._look_closer = 0.0
        #: How many were begun: what was learnt in one need not hold in the next.
        self.transactions = 0
        #: Called when a transaction was lost, by the thread that leads.
        self.after_undo: Callable[[], None] = lambda: None
        watch_forks(self)
        with self._beside:
            prepare(path, self._queue.path)

    # -- what the ports use

    def atomically(self, decide: Callable[[], T]) -> T:
        """Run ``decide`` in a transaction that is durable when this returns.

        It is run once, or again from the start when a neighbour in the same transaction failed. A
        ``Refused`` that it raises must have written nothing.

        :raises BackendError: nothing was stored.
        """
        return decide() if self._group.leading() else self._group.ask(decide)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query: of the transaction inside ``atomically``, else what is committed.

        :raises BackendError: when the file cannot be read.
        """
        if self.leading():
            if self._failure is not None:
                raise _again(self._failure)
            return self._run(self._writing(), sql, parameters)
        # The connection that wrote last has the pages at hand, the other must read them anew; but
        # nobody who only looks waits for a disk.
        if self._turn.acquire(blocking=False):
            try:
                return self._run(self._writing(), sql, parameters)
            except BackendError:
                self._close_writer()
                raise
            finally:
                self._turn.release()
        with self._reading:
            try:
                if self._reader is None:
                    self._reader = self._connect(PATIENCE).cursor()
                return self._run(self._reader, sql, parameters)
            except BackendError:
                self._close_reader()
                raise

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement inside ``atomically``, in a transaction begun when first needed.

        :raises BackendError: the transaction is lost.
        :raises sqlite3.IntegrityError: a CHECK or a key forbids it; the statement did nothing.
        """
        if not self._begun or self._failure is not None:
            self.begin()
        return self._run(self._writing(), sql, parameters)

    def begin(self) -> None:
        """Begin to write, once every other process has finished."""
        if self._failure is not None:
            raise _again(self._failure)
        if not self._begun:
            try:
                self._begin()
            except BackendError as error:
                self._failure = error
                raise

    def leading(self) -> bool:
        """Whether this thread is inside ``atomically``."""
        return self._group.leading()

    def ping(self) -> None:
        """Return when it can be read, and nothing is known that would keep it from being written.

        :raises BackendError: with what is known.
        """
        if self._latched:
            raise BackendError(f"{self.path}: the disk did not confirm a write; check it, restart")
        if not os.access(self._name, os.W_OK):
            raise BackendError(f"{self.path}: cannot be written; put it back, or make it writable")
        self.meta("epoch")

    def meta(self, name: str) -> Any:
        """One of the store's own notes.

        :raises BackendError: also when it is not there any more.
        """
        rows = self.read("SELECT value FROM meta WHERE name = ?", (name,))
        if not rows:
            raise BackendError(f"{self.path}: is damaged; stop, and restore a backup")
        return rows[0][0]

    def set_meta(self, name: str, value: Any) -> None:
        """Change one of the store's own notes, inside ``atomically``."""
        self.write("UPDATE meta SET value = ? WHERE name = ?", (value, name))

    def count_meta(self, name: str) -> None:
        """Count one of the store's own notes up, inside ``atomically``."""
        self.write("UPDATE meta SET value = value + 1 WHERE name = ?", (name,))

    def scrub(self) -> bool:
        """Overwrite what was deleted; note in ``meta`` that it is, unless there is more by then.

        Says whether it could: a reader in the middle of something may need what was.
        """
        try:
            with self._alone() as connection:
                if not _log_emptied(connection):
                    return False
                pending = connection.execute(_SCRUB).fetchone()
            pages = Pages(self.path)
            # The long part, during which others go on.
            leftovers = pages.leftovers()
            with self._alone() as connection:
                if not _log_emptied(connection):
                    return False
                connection.execute("BEGIN IMMEDIATE")
                if self.path.with_name(self.path.name + "-wal").stat().st_size:
                    return False
                pages.clean(leftovers)
                # A commit has everybody read the pages anew, instead of writing back old ones.
                done = connection.execute(_SCRUBBED, pending).rowcount == 1
                connection.execute("COMMIT")
        except (*ERRORS, BackendError, OSError) as error:
            if disk_failed(error):
                error = self._fault(error)
            _log.warning("%s: erased bytes could not be overwritten yet: %s", self.path, error)
            return False
        return done

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """A connection for one purpose, while nobody else in any process writes."""
        with self._turn, self._reading:
            self._close()
            try:
                self._queue.acquire(PATIENCE)
                with closing(self._connect(BRIEFLY)) as connection:
                    yield connection
            finally:
                self._queue.release()

    def back_up(self, target: Path) -> None:
        """Copy the file as it is at one moment, while others write.

        :raises BackendError: when either cannot be read or written.
        """
        try:
            with (
                self._beside,
                closing(self._connect(PATIENCE)) as source,
                closing(sqlite3.connect(target, isolation_level=None)) as copy,
            ):
                source.backup(copy)
                if copy.execute(_SCRUB).fetchone() != (0,):
                    # What was deleted and not yet overwritten is not taken along.
                    copy.execute("VACUUM")
                    copy.execute("UPDATE meta SET value = 0 WHERE name = 'scrub'")
                # Positions may start over from here, which readers of the journal must notice.
                copy.execute(
                    "UPDATE meta SET value = lower(hex(randomblob(6))) WHERE name = 'epoch'"
                )
                copy.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except ERRORS as error:
            raise fault(error, target) from error

    def problems(self) -> list[str]:
        """What SQLite's own check of the whole file finds; empty when it is sound."""
        try:
            with self._beside, closing(self._connect(PATIENCE)) as connection:
                rows = connection.execute("PRAGMA integrity_check(20)").fetchall()
        except BackendError as error:
            return [str(error)]
        except ERRORS as error:
            return [str(self._fault(error))]
        return [f"{self.path}: {row[0]}" for row in rows if row[0] != "ok"]

    def close(self) -> None:
        """Close the connections; using the store again opens them again."""
        with self._turn, self._reading:
            self._close()

    # -- one transaction

    def _work(self, jobs: list[Job[Any]]) -> bool:
        """Run these, and all that come meanwhile, in one transaction.

        False when one failed and the others have to be run again; that one is done.
        """
        self._failure = None
        if self._writer is not None and self._gone():
            # Moved, deleted or restored: what were written there now, nobody would find.
            self._close()
        try:
            failed = self._decide(jobs)
        except BaseException:
            self._undo()
            raise
        if failed is not None:
            # Its neighbours did nothing wrong.
            self._undo()
            failed.finish()
            return False
        if self._failure is not None:
            self._undo()
            # Whoever came meanwhile has waited as well, and would for the same.
            self._group.take(jobs)
        for job in jobs:
            job.finish(_again(self._failure) if self._failure is not None else None)
        return True

    def _decide(self, jobs: list[Job[Any]]) -> Job[Any] | None:
        """Run everything and commit; return one that failed so that all have to be undone."""
        decided = 0
        while self._failure is None:
            self._group.take(jobs)
            if decided == len(jobs):
                if self._linger(len(jobs)):
                    continue
                self._commit(len(jobs))
                break
            job = jobs[decided]
            if not job.run() and not isinstance(job.error, Refused) and self._failure is None:
                return job
            decided += 1
        return None

    def _begin(self) -> None:
        if self._latched:
            raise BackendError(f"{self.path}: the disk did not confirm a write; check it, restart")
        writer = self._writing()
        since = monotonic()
        self._queue.acquire(PATIENCE)
        try:
            waited = monotonic() - since
            if waited > LONGEST_PAUSE:
                # For other programs SQLite waits; no longer than what is left.
                left = max(0, int((PATIENCE - waited) * 1000))
                writer.execute(f"PRAGMA busy_timeout = {left}")
            writer.execute("BEGIN IMMEDIATE")
            if waited > LONGEST_PAUSE:
                writer.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
        except ERRORS as error:
            self._queue.release()
            raise self._fault(error) from error
        self._begun = True
        self.transactions += 1

    def _linger(self, jobs: int) -> bool:
        """Give those who went with the last transaction a moment to come along again.

        A fraction of what that commit took, which the present one will take as well: whoever comes
        too late for it waits twice as long. Nobody is waited for who was not there; alone, a
        decision waits for nothing.
        """
        if not self._begun or jobs >= self._company:
            return False
        ends = monotonic() + self._took * LINGER
        while not len(self._group) and monotonic() < ends:
            sleep(self._took * LINGER / 10)
        return len(self._group) > 0

    def _commit(self, jobs: int) -> None:
        if self._begun:
            start = monotonic()
            try:
                self._writing().execute("COMMIT")
            except ERRORS as error:
                self._failure = self._fault(error)
                self._failure.__cause__ = error
            else:
                self._begun = False
                self._queue.release()
                self._company, self._took = jobs, monotonic() - start
                self._check_point()

    def _check_point(self) -> None:
        """Move what was written into the file proper, once it is worth it.

        SQLite would do it by itself, and tell nobody when the disk does not confirm it.
        """
        writer = self._writing()
        changes = writer.connection.total_changes
        if changes - self._moved >= CHANGES:
            self._moved = changes
            try:
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except ERRORS as error:
                _log.warning("%s: the log could not be moved: %s", self.path, self._fault(error))

    def _undo(self) -> None:
        """Leave nothing of the transaction; what follows opens the file anew."""
        self._begun = False
        if self._writer is not None and self._writer.connection.in_transaction:
            with suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
        self._queue.release()
        if self._failure is not None and not isinstance(self._failure, StorageFull):
            self._close()
        self.after_undo()

    # -- connections

    def _fault(self, error: Exception) -> BackendError:
        found = fault(error, self.path)
        if disk_failed(error):
            self._latched = True
            _log.critical("%s Nothing more is stored.", found)
        return found

    def _connect(self, timeout: float) -> sqlite3.Connection:
        return connect(self.path, timeout, durable=self._durable)

    def _writing(self) -> sqlite3.Cursor:
        if self._writer is None:
            self._writer = self._connect(PATIENCE).cursor()
            self._moved = 0
            self._opened = self._identity()
        return self._writer

    def _gone(self) -> bool:
        now = monotonic()
        if now < self._look_closer:
            return not os.access(self._name, os.F_OK)
        self._look_closer = now + LOOK_CLOSER
        return self._identity() != self._opened

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._name)  # noqa: PTH116  # a Path's own stat takes twice as long
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _run(self, cursor: sqlite3.Cursor, sql: str, parameters: Sequence[Any]) -> list[Row]:
        try:
            return cursor.execute(sql, parameters).fetchall()
        except sqlite3.IntegrityError:
            raise
        except ERRORS as error:
            fault = self._fault(error)
            if self.leading() and not of_one_row(error):
                self._failure = fault
            # The driver's own errors may say what somebody's row says.
            raise fault from error if getattr(error, "sqlite_errorname", "") else None

    def _close(self) -> None:
        self._close_writer()
        with self._reading:
            self._close_reader()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(sqlite3.Error):
                # Else a row that could not be decoded keeps what it was read from open.
                writer.close()
                writer.connection.close()
        self._queue.close()

    def _close_reader(self) -> None:
        with self._reading:
            reader, self._reader = self._reader, None
            if reader is not None:
                with suppress(sqlite3.Error):
                    reader.close()
                    reader.connection.close()

    def before_fork(self) -> None:
        """Close everything: SQLite's connections must not be carried into a child."""
        self._close()

    def after_fork_in_child(self) -> None:
        """Forget the decisions of the parent's threads, which they carry out themselves."""
        self._group.forget()


def _log_emptied(connection: sqlite3.Connection) -> bool:
    """Move all that was written into the file proper, and empty the log beside it."""
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def _again(error: BackendError) -> BackendError:
    """The same error for somebody else; raising one object in several threads mixes them up."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
