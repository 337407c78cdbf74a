"""The file that a :class:`~.store.Store` writes: how it is made, opened, and what can be wrong.

The law of this file: a store is made whole or not at all, and anything else under its name is
refused when it is opened. Opening a store that is there takes no lock and waits for no writer. An
error of SQLite becomes one of ours here, which names the path and the remedy.
"""

from __future__ import annotations

import os
import re
import resource
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from errno import EIO
from pathlib import Path
from random import randrange, uniform
from time import monotonic, sleep
from typing import Any

from ..errors import BackendError, StorageFull
from .atomic_files import exclusive_lock, faults, hand_over, sync_directory
from .tables import SCHEMA
from .views import VIEWS, bring_up_to_date

Row = tuple[Any, ...]

#: What the driver raises: the second for a text of a row, or of an error, that is damaged.
ERRORS = (sqlite3.Error, UnicodeDecodeError)

#: Seconds that a decision waits for the file before the answer is 503 (contract §4, row 13).
PATIENCE = 2.0
#: Seconds between the first two tries to begin a transaction, and at most: a commit takes 0.2 ms
#: on a fast disk, and on a slow one a thousand tries would be wasted.
PAUSE, LONGEST_PAUSE = 0.00005, 0.0005
#: Seconds to wait while another process makes the file, or recovers it: longer than 64 processes
#: that open one new directory at the same moment need on a slow disk.
OPENING = 30.0
#: Rows changed by one process between two checkpoints: three an activity, so that the log stays
#: near 8 MB, and a page that changed often is moved once.
CHANGES = 3_000
#: "ortC": tells our files from other SQLite files.
APPLICATION_ID = 0x6F727443
#: Raised with every change of SCHEMA.
FORMAT = 3
#: Bytes of a page: an activity changes about five, and each of them is written whole.
PAGE = 2_048
#: What a transaction may need on top of a file's present size, for telling a full quota.
HEADROOM = 1 << 20

LOCKED = ("SQLITE_BUSY", "SQLITE_LOCKED")
UNCONFIRMED = ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
#: What SQLite says, by the beginning of its name, and what to do about it.
_REMEDIES: dict[str | tuple[str, ...], str] = {
    "SQLITE_FULL": "no space is left; free some, or raise the quota",
    LOCKED: "another program has locked it; close that one (fuser -v {path})",
    ("SQLITE_READONLY", "SQLITE_PERM"): "cannot be written; {writable} user {user}",
    "SQLITE_CANTOPEN": "cannot be opened; {writable} user {user}",
    "SQLITE_CORRUPT": "is damaged; stop, and restore a backup",
    "SQLITE_NOTADB": "is damaged, or no store; stop, and restore a backup",
    UNCONFIRMED: "the disk did not confirm a write; check it, then restart",
    "SQLITE_IOERR": "reading or writing failed ({name}); check the disk",
}


def prepare(path: Path) -> None:
    """Make the file when there is none, and look whether it is one of ours.

    :raises BackendError: when it cannot be used, with the path and the remedy.
    """
    try:
        with faults(path):
            if not path.exists() and not path.is_symlink():
                with exclusive_lock(path.with_suffix(".lock"), OPENING):
                    if not path.exists():
                        _create(path)
            if path.is_symlink() or not path.is_file():
                raise BackendError(f"{path}: is no plain file (links are not followed); move it")
            for each in (path, path.parent):
                if not os.access(each, os.W_OK):
                    user = os.geteuid()
                    raise BackendError(f"{each}: is not writable for user {user}; make it so")
        with closing(connect(path, OPENING, durable=True)) as connection:
            _check_format(connection, path)
            bring_up_to_date(connection)
    except ERRORS as error:
        raise fault(error, path) from error


class CheckViolated(Exception):
    """A CHECK forbids what a statement would have done; the statement did nothing."""


def rows_of(
    connection: sqlite3.Connection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Row]:
    """Run one statement; all its rows.

    :raises CheckViolated: a CHECK forbids it.
    """
    cursor = connection.cursor()
    try:
        return cursor.execute(sql, parameters).fetchall()
    except sqlite3.IntegrityError as error:
        if _name(error) == "SQLITE_CONSTRAINT_CHECK":
            raise CheckViolated from None
        raise
    finally:
        # Else a row that cannot be decoded keeps its transaction open, by the traceback.
        cursor.close()


class Connection:
    """A connection that is opened when it is used, for one thread at a time."""

    def __init__(self, path: Path, timeout: float, *, durable: bool) -> None:
        self._path = path
        self._name = str(path)
        self._timeout = timeout
        self._durable = durable
        self._sqlite: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        #: How many rows it had changed at its last checkpoint.
        self._moved = 0

    def use(self) -> sqlite3.Connection:
        """The connection, to the file that has the path now.

        One that was moved, deleted or restored over is let go: what is written to it, no other
        program would find.
        """
        try:
            found = os.stat(self._name)  # noqa: PTH116  # a Path's own takes twice as long
            file = (found.st_dev, found.st_ino)
        except OSError:
            file = None
        if self._sqlite is None or self._file != file:
            self.close()
            self._sqlite = connect(self._path, self._timeout, durable=self._durable)
            self._file = file
            # Anywhere in the count: of workers that end early each moves the log now and then.
            self._moved = -randrange(CHANGES)  # noqa: S311  # no secret
        return self._sqlite

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement outside of a transaction; all its rows."""
        return rows_of(self.use(), sql, parameters)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, as SQLite has it."""
        return self._sqlite is not None and self._sqlite.in_transaction

    def roll_back(self) -> None:
        """Leave nothing of the open transaction, if there is one."""
        if self._sqlite is not None and self._sqlite.in_transaction:
            with suppress(sqlite3.Error):
                self._sqlite.execute("ROLLBACK")

    def check_point(self) -> None:
        """Move the log into the file, once it is worth it.

        SQLite would do it by itself, but would not say when the disk does not confirm it.
        """
        if self._sqlite is not None and self._sqlite.total_changes - self._moved >= CHANGES:
            self._moved = self._sqlite.total_changes
            self.run("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close it, and roll back what is open; it is opened again when it is used."""
        connection, self._sqlite = self._sqlite, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def connect(path: Path, timeout: float, *, durable: bool) -> sqlite3.Connection:
    """Open the file, which must be there; the caller lets one thread at a time use the connection.

    :param timeout: seconds to wait while it is locked.
    :param durable: whether a commit waits for the disk.
    :raises sqlite3.Error: when it cannot be opened.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        # What is deleted is overwritten, and what is damaged is noticed.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA cell_size_check = ON")
        # FULL waits for the disk at every commit, NORMAL at checkpoints only.
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        # The store checkpoints by itself, and so hears whether the disk confirmed it.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        # 16 MB: the inner pages of the indexes of 10⁶ people and activities.
        connection.execute("PRAGMA cache_size = -16000")
        if durable:
            # By now the log has its name, from whichever process looked first, and SQLite syncs
            # the directory only in the process that made it.
            with faults(path.parent):
                sync_directory(path.parent)
    except BaseException:
        connection.close()
        raise
    return connection


def begin_immediate(use: Callable[[], sqlite3.Connection], deadline: float) -> sqlite3.Connection:
    """Begin to write once all other processes have ended their transactions.

    SQLite's own waiting is unfair between processes: it sleeps ever longer.

    :param use: returns the connection, whose own time-out is to be short.
    :param deadline: when to give up, after one try at least.
    """
    pause = PAUSE
    while True:
        try:
            connection = use()
            if connection.in_transaction:
                # An exception came between this and what was to end it.
                connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            return connection
        except sqlite3.OperationalError as error:
            if not _name(error).startswith("SQLITE_BUSY") or monotonic() >= deadline:
                raise
        sleep(uniform(pause / 2, pause))  # noqa: S311  # against keeping step
        pause = min(2 * pause, LONGEST_PAUSE)


def log_emptied(connection: sqlite3.Connection) -> bool:
    """Move all that was written into the file proper, and empty the log beside it."""
    busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    return not busy


def fault(error: Exception, path: Path) -> BackendError:
    """An error of SQLite in our words: the path, and what to do."""
    name = _name(error)
    if not name:
        # An error of the driver itself, whose text may be what a row says: it is not repeated.
        damaged = isinstance(error, UnicodeDecodeError) or "decode" in str(error)
        name = "SQLITE_CORRUPT" if damaged else type(error).__name__
    if name == "SQLITE_IOERR_WRITE" and _is_full(path):
        name = "SQLITE_FULL"
    remedy = next((_REMEDIES[known] for known in _REMEDIES if name.startswith(known)), "{name}")
    writable = "make it and its directory writable for" if path.exists() else "put it back, as"
    what = remedy.format(path=path, name=name, writable=writable, user=os.geteuid())
    return (StorageFull if name == "SQLITE_FULL" else BackendError)(f"{path}: {what}")


def disk_failed(error: Exception) -> bool:
    """Whether the disk did not confirm a write.

    The kernel may then drop what it could not write and report success afterwards: writing again
    proves nothing.
    """
    return _name(error) in UNCONFIRMED or (isinstance(error, OSError) and error.errno == EIO)


def is_interrupt(error: Exception) -> bool:
    """Whether a statement took longer than it may."""
    return _name(error) == "SQLITE_INTERRUPT"


def quotable(error: Exception) -> Exception | None:
    """The error as a cause to name: the driver's own errors may quote what a row says."""
    return error if _name(error) else None


def _name(error: Exception) -> str:
    # Errors of the Python module, not of the library, have none.
    return getattr(error, "sqlite_errorname", "")


def _create(path: Path) -> None:
    """Under another name first: a store that is there is whole."""
    for each in path.parent.iterdir():
        # What a process left behind that was killed here.
        if re.fullmatch(re.escape(path.name) + r"\.new\d+(-wal|-shm|-journal)?", each.name):
            each.unlink()
    new = path.with_name(f"{path.name}.new{os.getpid()}")
    descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        hand_over(descriptor, path.parent)
    finally:
        os.close(descriptor)
    with closing(sqlite3.connect(new, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        # Kept in the file: every connection writes ahead to a log.
        connection.execute("PRAGMA journal_mode = WAL")
        whole = "; ".join([SCHEMA, *VIEWS.values(), f"PRAGMA user_version = {FORMAT}"])
        connection.executescript(f"BEGIN; {whole}; COMMIT;")
    new.rename(path)
    sync_directory(path.parent)


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if identity != APPLICATION_ID:
        raise BackendError(
            f"{path}: is not a store of ortto_capture; move it away, or restore a backup"
        )
    if version != FORMAT:
        old = "move its directory away, and start a new one"
        remedy = "update ortto-capture" if version > FORMAT else old
        raise BackendError(f"{path}: has format {version}, this version reads {FORMAT}; {remedy}")


def _is_full(path: Path) -> bool:
    """Whether a failed write failed for want of space: SQLite says so for one reason of three."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    sizes = [each.stat().st_size for each in path.parent.glob(path.name + "*")]
    if limit != resource.RLIM_INFINITY and max(sizes, default=0) + HEADROOM > limit:
        return True
    probe = path.with_name(f"{path.name}.new{os.getpid()}")
    try:
        probe.write_bytes(bytes(65_536))
    except OSError:
        return True
    finally:
        probe.unlink(missing_ok=True)
    return False
