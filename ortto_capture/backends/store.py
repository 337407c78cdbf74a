"""One SQLite file that any number of threads and processes write together.

The law of this file: what ``atomically`` has returned is on the disk, and what it has refused is
nowhere. No driver's exception leaves, connections never cross a ``fork``, and a fault is told with
the path and the remedy.

A decision's transaction begins with the decision, so that nothing it has read can be stale when it
writes; processes wait for the file in ``BEGIN IMMEDIATE``. Threads share a transaction and its
fsync, each deciding on its own thread. A thread counts itself in, takes the turn, begins the
transaction if none is open, decides and counts itself out. If no thread is left that has counted
itself in, it commits for the whole batch (a moment later, if the batch before was larger, so that
those threads can join again); if there is one, it waits until that one does. There are no
savepoints, which would cost half the speed, so a decision that fails after it has written takes its
batch with it, and the other threads of the batch decide again.

A signal handler may raise an exception wherever Python calls something. Therefore locks are taken
by ``with`` alone, what is true is asked of SQLite (``in_transaction``) and not remembered beside
it, and a thread that waits for its batch looks from time to time whether it must commit itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Condition, Lock, local
from time import monotonic, thread_time
from typing import Any, TypeAlias, TypeVar, cast

from ..errors import BackendError, Refused, ReportsBusy, ReportTooLong, StorageFull
from ..locks import ForkAware, fork_safe_lock, watch_forks
from .atomic_files import faults
from .scrub import Pages, sqlite_lock
from .store_file import (
    ERRORS,
    PATIENCE,
    CheckViolated,
    Connection,
    Row,
    begin_immediate,
    connect,
    disk_failed,
    fault,
    is_interrupt,
    log_emptied,
    prepare,
    quotable,
    rows_of,
)

T = TypeVar("T")
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
#: Runs one statement; its rows as they are found.
Run: TypeAlias = Callable[[str, Mapping[str, Any]], Iterator[Row]]

#: Seconds to wait for readers before something can be overwritten; it is tried again later.
BRIEFLY = 0.1
#: Decisions in one transaction at most: the first of them waits for the last.
LARGEST_BATCH = 64
#: Seconds until a thread that waits for its batch commits it itself. It is needed only where an
#: exception kept another thread from it, and otherwise bounds the wait.
LOOK_AGAIN = 0.1
#: How much of a commit's time a thread waits for those that were in the batch before: a thread that
#: misses this commit waits for a whole one.
LINGER = 0.5
#: Seconds between two attempts to overwrite what was erased while another connection was reading.
SCRUB_EVERY = 1.0
#: Seconds that a report may take of the processor, and may wait for the one before it: readers keep
#: the log from being emptied, and a report of more than that is not asked for at every look.
REPORT = 0.5
#: Seconds that a report may take in all, on a busy machine or a slow disk.
LONGEST_REPORT = 2.0
#: Instructions of SQLite between two looks at the clock: less than a millisecond.
INSTRUCTIONS = 10_000

_SCRUB = "SELECT value FROM meta WHERE name = 'scrub'"
_SCRUBBED = "UPDATE meta SET value = 0 WHERE name = 'scrub' AND value = ?"

_log = logging.getLogger("ortto_capture")


class Batch:
    """The decisions that share one transaction of ``connection``, and what became of it.

    :param before: the batch before this one, whose threads are likely to come again.
    """

    def __init__(self, connection: sqlite3.Connection, before: Batch | None) -> None:
        self.connection = connection
        self.size = 0
        #: How many decisions to expect, and seconds to wait for them.
        self.expected: int = before.crowd if before is not None else 1
        self.linger = min(LOOK_AGAIN, before.took * LINGER) if before is not None else 0.0
        #: How many threads decided in it, or came while it was committed.
        self.crowd: int = 1
        #: Seconds that the commit took.
        self.took: float = 0.0
        #: Whether the decision that is being made has changed anything.
        self.wrote = False
        #: What went wrong in that decision, or in committing all of them.
        self.fault: BackendError | None = None
        self.ended = False
        #: Rolled back for the sake of one decision; the others are made again.
        self.undone = False
        #: A held lock for each thread that waits; released, all at once, when it has ended.
        self.waiting: list[Lock] = []

    def wake(self) -> None:
        """Wake the threads that wait; one that is not woken looks again by itself."""
        while self.waiting:
            self.waiting.pop().release()


class Store(ForkAware):
    """The connections of one process to one file.

    :param path: the file; made when its directory has none.
    :param durable: whether a commit waits for the disk. Without, a power cut may take the last
        seconds; a crash of the process takes nothing.
    :raises BackendError: when the file cannot be opened, with the path and the remedy.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        # Once: a program may change its directory later.
        self.path = path.absolute()
        self._durable = durable
        self._closed = False
        #: After a failed fsync, until the store is opened anew.
        self._latched = False
        self._scrub_at = 0.0
        #: begin_immediate waits for the writer.
        self._writer = Connection(self.path, 0, durable=durable)
        self._reader = Connection(self.path, PATIENCE, durable=durable)
        self._looker = Connection(self.path, PATIENCE, durable=durable)
        self._starting = Lock()
        self._start()
        watch_forks(self)
        # A fork waits for these locks, and so for a connection that is open only here.
        with self._reading:
            prepare(self.path)

    def _start(self) -> None:
        """Begin with nothing open, as the only thread of this process that uses the store."""
        #: Held by the thread that uses the writer.
        self._turn = fork_safe_lock(outer=True)
        #: Held by the thread that uses the reader.
        self._reading = fork_safe_lock()
        #: Held by the thread that makes a report.
        self._looking = fork_safe_lock(outer=True)
        #: The token of the report that is being made, and what the others wait for.
        self._report: object | None = None
        self._reports = Condition(fork_safe_lock())
        #: One token for each thread that is about to decide, or does.
        self._arrived: set[object] = set()
        #: The last batch, open or ended.
        self._batch: Batch | None = None
        #: Whether this thread begins, decides or commits at this moment. Not its number: a child
        #: that was forked in C reuses the numbers of its parent's threads.
        self._here = local()
        self._pid = os.getpid()

    # -- for the ports

    def atomically(self, decide: Callable[[], T]) -> T:
        """Run ``decide`` on this thread, in a transaction that is durable when this returns.

        It is run again from the start when its batch was rolled back for another decision's sake.
        What it raises is raised here; when it had written before, nothing of it is stored.

        :raises BackendError: nothing was stored.
        """
        if self._works():
            if self._own_batch() is None:
                raise self._interrupted()
            return decide()
        self._require_use()
        deadline = monotonic() + PATIENCE
        arrival = object()
        while True:
            try:
                self._arrived.add(arrival)
                with self._turn:
                    batch, result, refusals = self._join(decide, arrival, deadline)
            finally:
                self._arrived.discard(arrival)
            if not batch.ended:
                self._wait_for(batch)
            if batch.undone:
                continue
            if batch.fault is not None:
                raise _copy(batch.fault)
            if refusals:
                # Taken out of the list: what is raised here must not be held by its own traceback.
                raise refusals.pop()
            return cast("T", result)

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query: of the transaction inside ``atomically``, else what is committed.

        :raises BackendError: when the file cannot be read.
        """
        batch = self._own_batch()
        try:
            if batch is not None:
                return self._run(batch, sql, parameters)
            self._require_use()
            with self._reading:
                try:
                    return self._reader.run(sql, parameters)
                except ERRORS as error:
                    self._reader.close()
                    raise self._told(error) from quotable(error)
        except (UnicodeEncodeError, OverflowError):
            # Half a surrogate pair is in no row, and a number of 20 digits neither.
            return []

    def look(self, look: Callable[[Run], T]) -> T:
        """Run ``look`` on what is committed at one moment, on a connection that only reads.

        One at a time in each process: every reader holds back the checkpoints of the writer. Inside
        ``atomically`` it is a part of that transaction.

        :raises ReportTooLong: it takes more than half a second.
        :raises ReportsBusy: another one took as long as this one may wait.
        :raises BackendError: when the file cannot be read.
        """
        batch = self._own_batch()
        if batch is not None:
            return look(lambda sql, parameters: iter(self._run(batch, sql, parameters)))
        self._require_use()
        token = object()
        try:
            with self._reports:
                if not self._reports.wait_for(lambda: self._report is None, REPORT):
                    raise ReportsBusy
                self._report = token
            with self._looking:
                return self._looked(look)
        finally:
            # Asked, not remembered: an exception may come wherever Python calls something.
            with self._reports:
                if self._report is token:
                    self._report = None
                    self._reports.notify()

    def _looked(self, look: Callable[[Run], T]) -> T:
        used, deadline = thread_time() + REPORT, monotonic() + LONGEST_REPORT

        def is_over() -> bool:
            return thread_time() > used or monotonic() > deadline

        try:
            connection = self._looker.use()
            try:
                # An exception may have come between a report and what was to end it.
                connection.set_progress_handler(None, 0)
                self._looker.roll_back()
                connection.execute("PRAGMA query_only = ON")
                # What is sorted is about people, and must be in no other file.
                connection.execute("PRAGMA temp_store = MEMORY")
                connection.execute("BEGIN")
                connection.set_progress_handler(is_over, INSTRUCTIONS)
                return look(connection.execute)
            finally:
                connection.set_progress_handler(None, 0)
                self._looker.roll_back()
        except ERRORS as error:
            if is_interrupt(error):
                raise ReportTooLong from None
            self._looker.close()
            raise self._told(error) from quotable(error)

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement, inside ``atomically`` or as a decision of its own; return its rows.

        :raises CheckViolated: a CHECK forbids it; it did nothing.
        :raises BackendError: the transaction is lost.
        """
        batch = self._own_batch()
        if batch is None:
            return self.atomically(lambda: self.write(sql, parameters))
        # Before the statement: a signal handler may raise just after it.
        before, batch.wrote = batch.wrote, True
        try:
            return self._run(batch, sql, parameters)
        except CheckViolated:
            batch.wrote = before
            raise
        except UnicodeEncodeError as error:
            raise BackendError(f"{self.path}: what is to be stored is not Unicode") from error

    def meta(self, name: str) -> Any:
        """One of the store's own notes."""
        rows = self.read("SELECT value FROM meta WHERE name = ?", (name,))
        if not rows:
            raise self.damaged(f"its note of {name}")
        return rows[0][0]

    def damaged(self, what: str) -> BackendError:
        """What to raise for a row that is not as it was written."""
        return BackendError(f"{self.path}: {what} is damaged; stop, and restore a backup")

    def ping(self) -> None:
        """Return when it can be read, and nothing is known that would keep it from being written.

        :raises BackendError: with what is known.
        """
        self._require_disk()
        if not os.access(self.path, os.W_OK):
            raise BackendError(f"{self.path}: cannot be written; put it back, or make it writable")
        self.meta("epoch")

    def problems(self) -> list[str]:
        """What SQLite's own check of the whole file finds; empty when it is sound."""
        try:
            rows = self.read("PRAGMA integrity_check(20)")
        except BackendError as error:
            return [str(error)]
        return [f"{self.path}: {row[0]}" for row in rows if row[0] != "ok"]

    def rest(self) -> None:
        """Keep nothing open until the store is used again."""
        with self._looking, self._turn, self._reading:
            self._put_away()

    def close(self) -> None:
        """Keep nothing open, and refuse to be used again."""
        self._require_process()
        self.rest()
        self._closed = True

    # -- one transaction

    def _join(
        self, decide: Callable[[], T], arrival: object, deadline: float
    ) -> tuple[Batch, T | None, list[Refused]]:
        """Decide within the open batch, or a new one, and commit it when no thread comes after.

        :returns: the batch, and what ``decide`` returned, or its refusal.
        """
        result: T | None = None
        refusals: list[Refused] = []
        try:
            self._here.works = True
            batch = self._open_batch() or self._begin(deadline)
            try:
                result = decide()
            except Refused as refused:
                # Decided on rows that are not on the disk yet: raised when the batch has ended.
                if batch.wrote:
                    raise
                refusals.append(refused)
            if batch.fault is not None:
                # Even when ``decide`` has caught it: SQLite may have rolled back by itself.
                raise batch.fault
            batch.size += 1
            batch.wrote = False
            self._arrived.discard(arrival)
            if batch.size >= (LARGEST_BATCH if self._arrived else batch.expected):
                self._commit(batch)
            return batch, result, refusals
        except BaseException:
            self._arrived.discard(arrival)
            self._leave()
            raise
        finally:
            self._here.works = False

    def _open_batch(self) -> Batch | None:
        return None if self._batch is None or self._batch.ended else self._batch

    def _own_batch(self) -> Batch | None:
        """The open batch, when it is this thread that decides."""
        return self._open_batch() if self._works() else None

    def _works(self) -> bool:
        return getattr(self._here, "works", False)

    def _begin(self, deadline: float) -> Batch:
        """Begin a transaction and its batch, once all other processes have ended theirs."""
        self._require_disk()
        try:
            self._batch = batch = Batch(begin_immediate(self._writer.use, deadline), self._batch)
        except ERRORS as error:
            self._writer.close()
            raise self._told(error) from quotable(error)
        return batch

    def _leave(self) -> None:
        """End what this thread began, when it leaves by an exception and no other thread would."""
        batch = self._open_batch()
        if batch is None or batch.wrote or batch.fault is not None or not batch.size:
            self._roll_back(batch, undone=True)
        elif not self._arrived:
            self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        """Commit, which waits for the disk, and let the threads of the batch answer."""
        began = monotonic()
        failure: Exception | None = None
        try:
            batch.connection.execute("COMMIT")
        except ERRORS as error:
            failure = error
        finally:
            # The exception of a handler mostly comes when COMMIT is done: SQLite knows. Nothing is
            # called before that is noted, because another exception could come with the call.
            if failure is None and not batch.connection.in_transaction:
                batch.ended = True
                batch.crowd = batch.size + len(self._arrived)
                batch.wake()
        if failure is not None:
            batch.fault = self._told(failure)
            batch.fault.__cause__ = quotable(failure)
            self._roll_back(batch)
            return
        batch.took = monotonic() - began
        try:
            self._writer.check_point()
        except ERRORS as error:
            _log.warning(
                "%s: the log could not be moved: %s",
                self.path,
                self._told(error),
                extra={"event": "log-not-moved"},
            )

    def _wait_for(self, batch: Batch) -> None:
        """Return when ``batch`` has ended; commit it if no other thread does."""
        lock = Lock()
        lock.acquire()
        batch.waiting.append(lock)
        patience = LOOK_AGAIN if self._arrived else batch.linger
        try:
            # Asked after the lock was handed in, so that no ending is missed.
            while not batch.ended:
                if not lock.acquire(timeout=patience):
                    self._finish(batch)
        except BaseException:
            # What is stored stays; the exception is this thread's own.
            self._finish(batch)
            raise

    def _finish(self, batch: Batch) -> None:
        """Commit ``batch`` if that is still to be done."""
        with self._turn:
            if not batch.ended and not self._works():
                try:
                    self._here.works = True
                    self._commit(batch)
                finally:
                    self._here.works = False

    def _roll_back(self, batch: Batch | None, *, undone: bool = False) -> None:
        """Leave nothing of the open transaction; after a fault the file is opened anew.

        :param undone: whether the other threads are to decide again.
        """
        self._writer.roll_back()
        if batch is not None and not batch.ended:
            if batch.fault is not None and not isinstance(batch.fault, StorageFull):
                self._writer.close()
            batch.undone = undone
            batch.ended = True
            batch.wake()

    def _run(self, batch: Batch, sql: str, parameters: Parameters) -> list[Row]:
        """Run a statement of the decision that this thread makes."""
        if batch.fault is not None:
            raise _copy(batch.fault)
        if not batch.connection.in_transaction:
            raise self._interrupted()
        try:
            return rows_of(batch.connection, sql, parameters)
        except ERRORS as error:
            batch.fault = self._told(error)
            raise batch.fault from quotable(error)

    def _interrupted(self) -> BackendError:
        return BackendError(
            f"{self.path}: a fork, or a signal handler that uses the store, came while this thread "
            "was storing; try again, and have a handler set a flag only"
        )

    # -- beside decisions

    def scrub(self) -> bool:
        """Overwrite what was removed; say whether nothing is left of it by now.

        A reader in the middle of something may need it: then it is tried again later.
        """
        self._require_use()
        self._scrub_at = monotonic() + SCRUB_EVERY
        try:
            with self._alone() as connection:
                if not log_emptied(connection):
                    return False
                pending = connection.execute(_SCRUB).fetchone()
            pages = Pages(self.path)
            # The long part, during which other threads and processes go on.
            leftovers = pages.leftovers()
            with self._alone() as connection:
                if not self._write_alone(connection):
                    return False
                pages.clean(leftovers)
                # The commit has all connections read the pages anew, instead of writing back what
                # they remember of them.
                done = connection.execute(_SCRUBBED, pending).rowcount == 1
                connection.execute("COMMIT")
        except (*ERRORS, BackendError, OSError) as error:
            if disk_failed(error):
                error = self._told(error)
            _log.warning(
                "%s: erased bytes could not be overwritten yet: %s",
                self.path,
                error,
                extra={"event": "not-scrubbed"},
            )
            return False
        return done

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        """A connection beside which this process has no other; its threads and forks wait."""
        with self._looking, self._turn, self._reading:
            self._put_away()
            with closing(connect(self.path, BRIEFLY, durable=self._durable)) as connection:
                yield connection

    def _write_alone(self, connection: sqlite3.Connection) -> bool:
        """Begin a transaction while the log is empty, so that all is in the file itself."""
        log = self.path.with_name(f"{self.path.name}-wal")
        deadline = monotonic() + PATIENCE
        while log_emptied(connection):
            begin_immediate(lambda: connection, deadline)
            if log.stat().st_size == 0:
                return True
            # Another process has committed in between.
            connection.execute("ROLLBACK")
        return False

    def scrub_later(self) -> None:
        """Overwrite what could not be overwritten when it was removed, by whichever process."""
        if monotonic() >= self._scrub_at and not self._works():
            self._scrub_at = monotonic() + SCRUB_EVERY
            with suppress(BackendError):
                if self.meta("scrub"):
                    self.scrub()

    def back_up(self, target: Path) -> None:
        """Copy the file as it is at one moment, while other threads and processes write.

        :raises BackendError: when either cannot be read or written.
        """
        self._require_use()
        try:
            with (
                self._reading,
                closing(connect(self.path, PATIENCE, durable=self._durable)) as source,
                closing(sqlite3.connect(target, isolation_level=None)) as copy,
            ):
                source.backup(copy)
                if copy.execute(_SCRUB).fetchone() != (0,):
                    # What was removed and not yet overwritten is not taken along.
                    copy.execute("VACUUM")
                    copy.execute("UPDATE meta SET value = 0 WHERE name = 'scrub'")
                # Positions may start over from here, which readers of the journal must notice.
                copy.execute(
                    "UPDATE meta SET value = lower(hex(randomblob(6))) WHERE name = 'epoch'"
                )
                log_emptied(copy)
        except ERRORS as error:
            raise fault(error, target) from error

    def _put_away(self) -> None:
        """Commit the open batch and close the connections; the caller holds both locks."""
        if self._works():
            raise self._interrupted()
        self.before_fork()

    def _told(self, error: Exception) -> BackendError:
        """An error of SQLite in our words; one of the disk stops all writing until a restart."""
        found = fault(error, self.path)
        if disk_failed(error):
            self._latched = True
            _log.critical("%s Nothing more is stored.", found, extra={"event": "disk-failed"})
        return found

    # -- what must be so before anything is done

    def _require_use(self) -> None:
        self._require_process()
        if self._closed:
            raise BackendError(f"{self.path}: was closed by close(); open the backends again")

    def _require_disk(self) -> None:
        if self._latched:
            raise BackendError(f"{self.path}: the disk did not confirm a write; check it, restart")

    def _require_process(self) -> None:
        """Start anew in a child that was forked in C, as by uWSGI, where no hook of Python runs.

        SQLite keeps one list of locks for each file and process. In such a child the list speaks of
        the parent's locks, which POSIX does not hand on, and a new connection that finds them takes
        none of its own: the next process that closes the file would think itself the last, move the
        log and remove it, and what is committed here afterwards would be in no file. Therefore the
        inherited connections are closed, which empties the list, before another one is opened; and
        meanwhile a lock of another kind says that this process is not the last one either. Else it
        would remove the log by its name, and that is by now the log of a worker that was killed.

        In the middle of a transaction closing would change what the parent works on. Then nothing
        is stored: the worker has to be restarted.
        """
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid == os.getpid():
                return
            # Not given back: _start makes new ones.
            locks = (self._turn, self._reading, self._looking)
            free = all(lock.acquire(blocking=False) for lock in locks)
            if not free or self._writer.in_transaction:
                raise BackendError(
                    f"{self.path}: this process was forked while the store was in use; restart it, "
                    "and store nothing before the fork"
                )
            with faults(self.path), sqlite_lock(self.path):
                self._close_all()
            self._start()

    def before_fork(self) -> None:
        """Close everything: SQLite's connections must not be carried into a child."""
        batch = self._open_batch()
        if batch is not None and self._works():
            # The forking thread is in the middle of its own decision, and so would the child be.
            batch.fault = self._interrupted()
            self._roll_back(batch, undone=True)
        elif batch is not None:
            self._finish(batch)
        self._close_all()

    def _close_all(self) -> None:
        for connection in (self._looker, self._writer, self._reader):
            connection.close()

    def after_fork_in_child(self) -> None:
        """Leave the decisions of the parent's other threads to the parent."""
        self._arrived.clear()
        self._report, self._reports = None, Condition(fork_safe_lock())
        self._pid = os.getpid()


def _copy(error: BackendError) -> BackendError:
    """The same error for another thread: one object raised in several mixes up its tracebacks."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
