"""The file that a :class:`~.store.Store` writes: how it is made, opened, and what can be wrong.

The law of this file: a store is made whole or not at all, brought forward but never back, and
anything else under its name is refused when it is opened. An error of SQLite becomes one of ours
here, which names the path and the remedy.
"""

from __future__ import annotations

import os
import resource
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from errno import EIO
from pathlib import Path

from ..errors import BackendError, ConfigurationError, StorageFull
from .atomic_files import exclusive_lock, hand_over, sync_directory

#: What the driver raises; the second when the text of an error is damaged itself.
ERRORS = (sqlite3.Error, UnicodeDecodeError)

#: Seconds to wait for a process that opens or closes the file at the same moment.
OPENING = 2.0
#: "ortC": tells our files from other SQLite files.
APPLICATION_ID = 0x6F727443
#: Bytes of a page: an activity changes about five, and each of them is written whole.
PAGE = 2_048
#: Files up to this many bytes are checked whole when they are opened, which takes 20 ms; larger
#: ones by ``problems()``.
CHECKED_AT_OPENING = 8 << 20
#: What a transaction may need on top of a file's present size, for telling a full quota.
HEADROOM = 1 << 20

#: Each makes the format that is one higher.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(6)))), ('last', 0), ('erased', 0),
        ('scrub', 0);
    CREATE TABLE people (id TEXT PRIMARY KEY, identifiers TEXT, first TEXT, last TEXT,
        verified INTEGER, created_at REAL, checksum INTEGER) WITHOUT ROWID;
    CREATE TABLE identifiers (value TEXT, kind TEXT, person_id TEXT, checksum INTEGER,
        PRIMARY KEY (value, kind)) WITHOUT ROWID;
    CREATE TABLE journal (position INTEGER PRIMARY KEY, event_id TEXT, activity_id TEXT,
        person_id TEXT, attributes TEXT, source TEXT, verified INTEGER, occurred_at REAL,
        received_at REAL, gpc INTEGER, checksum INTEGER);
    CREATE INDEX journal_person ON journal (person_id, event_id);
    -- The CHECK undoes a statement as a whole: of two charges both are counted, or neither.
    CREATE TABLE counts (seconds INTEGER, slot INTEGER, key BLOB, amount INTEGER, count INTEGER,
        CHECK (count <= amount), PRIMARY KEY (seconds, slot, key)) WITHOUT ROWID;
    CREATE TABLE outcomes (code TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
    CREATE TABLE refusals (number INTEGER PRIMARY KEY, person_id TEXT, outcome TEXT);
    """,
)


def prepare(path: Path, lock: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Make the file when there is none, bring it to our format, and look whether it is sound.

    :raises ConfigurationError: when it cannot be used, with the path and the remedy.
    """
    try:
        with exclusive_lock(lock):
            for unfinished in path.parent.glob(path.name + ".new*"):
                unfinished.unlink()
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise _wrong(path, "is no plain file, and links are not followed; move it away")
            if not path.exists():
                _create(path)
            for each in (path, path.parent):
                if not os.access(each, os.W_OK):
                    raise _wrong(each, f"is not writable for user {os.geteuid()}; make it so")
            with closing(connect(path, OPENING, durable=True)) as connection:
                _bring_forward(connection, path, migrations)
                if path.stat().st_size <= CHECKED_AT_OPENING:
                    found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
                    if found != "ok":
                        found = " ".join(found.splitlines())
                        raise _wrong(path, f"is damaged ({found}); restore a backup")
    except ERRORS as error:
        raise ConfigurationError("backends", str(fault(error, path))) from error
    except (BackendError, OSError) as error:
        raise ConfigurationError("backends", str(error)) from error


def connect(path: Path, timeout: float, *, durable: bool) -> sqlite3.Connection:
    """Open the file, which must be there, for whoever holds the connection's lock.

    :param timeout: seconds to wait while it is locked.
    :param durable: whether a commit waits for the disk.
    :raises BackendError: with the path and the remedy.
    """
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
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
            # The store moves the log itself, and hears whether the disk has confirmed it.
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            # 16 MB: the inner pages of the indexes of 10⁶ people and activities.
            connection.execute("PRAGMA cache_size = -16000")
        except ERRORS:
            connection.close()
            raise
    except ERRORS as error:
        raise fault(error, path) from error
    return connection


def fault(error: Exception, path: Path) -> BackendError:
    """An error of SQLite in our words: the path, and what to do."""
    name = _name(error)
    if name == "SQLITE_FULL" or (name == "SQLITE_IOERR_WRITE" and _is_full(path)):
        return StorageFull(f"{path}: no space is left; free some, or raise the quota")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return BackendError(f"{path}: another program has locked it; close that one")
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN")):
        remedy = "make it and its directory writable for" if path.exists() else "put it back, as"
        return BackendError(f"{path}: cannot be written; {remedy} user {os.geteuid()}")
    # The driver's own errors have no name, and their text may be what somebody's row says.
    damaged = isinstance(error, UnicodeDecodeError) or "decode" in str(error)
    if damaged or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return BackendError(f"{path}: is damaged, or no store; stop, and restore a backup")
    if disk_failed(error):
        return BackendError(f"{path}: the disk did not confirm a write; check it, then restart")
    if name.startswith("SQLITE_IOERR"):
        return BackendError(f"{path}: reading or writing failed ({name}); check the disk")
    return BackendError(f"{path}: {type(error).__name__} ({name or 'the driver'})")


def disk_failed(error: Exception) -> bool:
    """Whether the disk did not confirm a write.

    The kernel may then drop what it could not write and say afterwards that all is well: whoever
    sees this must not retry and hope.
    """
    fsync = _name(error) in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
    return fsync or (isinstance(error, OSError) and error.errno == EIO)


def of_one_row(error: Exception) -> bool:
    """Whether only one row cannot be stored, and its neighbours can."""
    return _name(error) in ("SQLITE_TOOBIG", "SQLITE_MISMATCH", "SQLITE_RANGE")


def _name(error: Exception) -> str:
    # Errors of the module rather than the library have none.
    return getattr(error, "sqlite_errorname", "")


def _create(path: Path) -> None:
    """Under another name first: a store that is there is whole."""
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
        _bring_forward(connection, path, MIGRATIONS)
    new.rename(path)
    sync_directory(path.parent)


def _bring_forward(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if identity != APPLICATION_ID:
        raise _wrong(path, "is not a store of ortto_capture; move it away, or restore a backup")
    if version > len(migrations):
        raise _wrong(
            path,
            f"has format {version} and this version reads {len(migrations)}: update ortto-capture",
        )
    if version < len(migrations):
        steps = "".join(migrations[version:])
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {len(migrations)}; COMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _wrong(path: Path, what: str) -> ConfigurationError:
    return ConfigurationError("backends", f"{path}: {what}")


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
