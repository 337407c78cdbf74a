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
from contextlib import closing
from errno import EIO
from pathlib import Path

from ..errors import BackendError, ConfigurationError, StorageFull
from .atomic_files import exclusive_lock, faults, hand_over, sync_directory

#: What the driver raises: the second for a text of a row, or of an error, that is damaged.
ERRORS = (sqlite3.Error, UnicodeError)

#: Seconds to wait while another process makes the file, or recovers it: longer than 64 processes
#: that open one new directory at the same moment need on a slow disk.
OPENING = 30.0
#: "ortC": tells our files from other SQLite files.
APPLICATION_ID = 0x6F727443
#: Raised with every change of SCHEMA.
FORMAT = 2
#: Bytes of a page: an activity changes about five, and each of them is written whole.
PAGE = 2_048
#: What a transaction may need on top of a file's present size, for telling a full quota.
HEADROOM = 1 << 20

#: Numbers stand for names: an activity's and a person's id is stored once, and the two indexes of
#: the journal, which cover every question about an activity or a person, hold 20 bytes a row.
#: Times are milliseconds since the epoch. No number or position of a removed row is given again.
SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(6)))), ('erased', 0), ('scrub', 0);
CREATE TABLE activities (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE);
-- A person who is not stored, but has activities, is a row without identifiers.
CREATE TABLE people (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    identifiers TEXT, first TEXT, last TEXT, verified INTEGER, created_at INTEGER,
    checksum INTEGER);
CREATE TABLE identifiers (value TEXT, kind TEXT, person INTEGER, PRIMARY KEY (value, kind))
    WITHOUT ROWID;
CREATE TABLE journal (position INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT, activity INTEGER,
    person INTEGER, attributes TEXT, source TEXT, verified INTEGER, occurred_at INTEGER,
    received_at INTEGER, gpc INTEGER, checksum INTEGER);
CREATE INDEX journal_activity ON journal (activity, occurred_at, person);
CREATE INDEX journal_person ON journal (person, activity, occurred_at);
-- Almost empty: browsers report within 7 days. It keeps the search for a repeated event short.
CREATE INDEX journal_backdated ON journal (person, activity, event_id)
    WHERE occurred_at < received_at - 604800000;
-- The CHECK undoes a statement as a whole: of two charges both are counted, or neither.
CREATE TABLE counts (seconds INTEGER, slot INTEGER, key BLOB, amount INTEGER, count INTEGER,
    CHECK (count <= amount), PRIMARY KEY (seconds, slot, key)) WITHOUT ROWID;
CREATE TABLE outcomes (code TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
CREATE TABLE refusals (number INTEGER PRIMARY KEY AUTOINCREMENT, person_id TEXT, outcome TEXT);
CREATE TABLE erased (tombstone TEXT PRIMARY KEY) WITHOUT ROWID;
-- SQLite keeps the last number of each table here; it would add the rows with the first number.
INSERT INTO sqlite_sequence (name, seq) VALUES ('journal', 0), ('people', 0);
"""

#: What SQLite says, by the beginning of its name, and what to do about it.
_REMEDIES = {
    "SQLITE_FULL": "no space is left; free some, or raise the quota",
    "SQLITE_BUSY": "another program has locked it; close that one (fuser -v {path})",
    "SQLITE_LOCKED": "another program has locked it; close that one (fuser -v {path})",
    "SQLITE_READONLY": "cannot be written; {writable} user {user}",
    "SQLITE_PERM": "cannot be written; {writable} user {user}",
    "SQLITE_CANTOPEN": "cannot be opened; {writable} user {user}",
    "SQLITE_CORRUPT": "is damaged; stop, and restore a backup",
    "SQLITE_NOTADB": "is damaged, or no store; stop, and restore a backup",
    "SQLITE_IOERR_FSYNC": "the disk did not confirm a write; check it, then restart",
    "SQLITE_IOERR_DIR_FSYNC": "the disk did not confirm a write; check it, then restart",
    "SQLITE_IOERR": "reading or writing failed ({name}); check the disk",
}


def prepare(path: Path) -> None:
    """Make the file when there is none, and look whether it is one of ours.

    :raises ConfigurationError: when it cannot be used, with the path and the remedy.
    """
    try:
        with faults(path):
            if not path.exists() and not path.is_symlink():
                with exclusive_lock(path.with_suffix(".lock"), OPENING):
                    if not path.exists():
                        _create(path)
            if path.is_symlink() or not path.is_file():
                raise BackendError(
                    f"{path}: is no plain file, and links are not followed; move it away"
                )
            for each in (path, path.parent):
                if not os.access(each, os.W_OK):
                    raise BackendError(
                        f"{each}: is not writable for user {os.geteuid()}; make it so"
                    )
        with closing(connect(path, OPENING, durable=True)) as connection:
            _check_format(connection, path)
    except ERRORS as error:
        raise ConfigurationError("backends", str(fault(error, path))) from error
    except BackendError as error:
        raise ConfigurationError("backends", str(error)) from error


def connect(path: Path, timeout: float, *, durable: bool) -> sqlite3.Connection:
    """Open the file, which must be there; the caller lets one thread at a time use the connection.

    :param timeout: seconds to wait while it is locked.
    :param durable: whether a commit waits for the disk.
    :raises BackendError: with the path and the remedy.
    """
    try:
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
        except ERRORS:
            connection.close()
            raise
    except ERRORS as error:
        raise fault(error, path) from error
    return connection


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
    fsync = _name(error) in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC")
    return fsync or (isinstance(error, OSError) and error.errno == EIO)


def is_busy(error: Exception) -> bool:
    """Whether another connection holds the lock."""
    return _name(error).startswith("SQLITE_BUSY")


def is_check(error: Exception) -> bool:
    """Whether a CHECK forbids what a statement would have done."""
    return _name(error) == "SQLITE_CONSTRAINT_CHECK"


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
        connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
    new.rename(path)
    sync_directory(path.parent)


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    identity = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if identity != APPLICATION_ID:
        raise BackendError(
            f"{path}: is not a store of ortto_capture; move it away, or restore a backup"
        )
    if version > FORMAT:
        raise BackendError(
            f"{path}: has format {version} and this version reads {FORMAT}: update ortto-capture"
        )
    if version < FORMAT:
        raise BackendError(
            f"{path}: has format {version}, of a version before the first release, and this "
            f"version reads {FORMAT}; move its directory away and start a new one"
        )


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
