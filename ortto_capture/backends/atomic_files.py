"""Files that several processes share: locked by one at a time, replaced whole, fsynced.

The law of this file: a reader of a path finds the old content or the new, at every instant and
after every crash. No error of the operating system leaves: it becomes ``BackendError`` or
``StorageFull``, whose message names the path and the remedy.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import BackendError, StorageFull

#: Seconds between two attempts to lock: ``flock`` itself waits for ever or not at all.
POLL = 0.005

_FULL = {
    errno.ENOSPC: "the disk is full; make room on it",
    errno.EDQUOT: "the disk quota is used up; free some of it, or have it raised",
    errno.EFBIG: "the limit for file sizes is reached; raise it (ulimit -f)",
}
_REMEDIES = _FULL | {
    errno.EACCES: "user {user} may not do that; give the file and its directory to this user",
    errno.EPERM: "user {user} may not do that; look at its owner (ls -l) and flags (lsattr)",
    errno.EROFS: "the file system is read-only; mount it writable",
    errno.ENOENT: "it is not there; put it back, or make its directory",
    errno.EEXIST: "something else has this name; move it out of the way",
    errno.ENOTDIR: "a part of this path is a file; make it a directory",
    errno.EISDIR: "this is a directory; move it out of the way",
    errno.ELOOP: "this is a symbolic link; put the file itself there",
    errno.EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
    errno.ENFILE: "this machine has too many files open; raise fs.file-max",
    errno.EIO: "the disk reports an error; look at the kernel's log, and at your backups",
}


def explain(path: Path, error: OSError) -> str:
    """Say what is wrong with ``path``, and what to do about it."""
    if error.errno == errno.ENOENT and path.is_symlink():
        return f"{path}: this is a link to {path.readlink()}, which is not there; put it there"
    remedy = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    return f"{path}: {remedy.format(user=os.geteuid())}"


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into ``BackendError`` and ``StorageFull``."""
    try:
        yield
    except OSError as error:
        kind = StorageFull if error.errno in _FULL else BackendError
        raise kind(explain(path, error)) from error


@contextmanager
def exclusive_lock(path: Path, patience: float = 2.0) -> Iterator[None]:
    """Hold a lock on ``path`` against other processes and threads; the file is made if missing.

    :param patience: seconds to wait for the lock at most.
    :raises BackendError: when another process or thread holds it that long.
    """
    with faults(path):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    try:
        with faults(path):
            hand_over(descriptor, path.parent)
            _lock(descriptor, path, patience)
        yield
    finally:
        # Closing alone does not unlock: a child forked meanwhile has the file open as well.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _lock(descriptor: int, path: Path, patience: float) -> None:
    ends = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= ends:
                raise BackendError(
                    f"{path}: another process has held this lock for {patience:g} seconds; "
                    f"try again, or see which one it is (lsof {path})"
                ) from error
        time.sleep(POLL)


def replace_file(path: Path, data: bytes) -> None:
    """Make ``data`` the content of ``path``; it is fsynced when this returns.

    A file that is there keeps its mode and, as far as this user may, its owner; a new one is this
    user's alone. The caller holds a lock. When this fails the old content stays, with one
    exception: when the directory cannot be fsynced, the new content is there, and a power cut may
    undo it.

    :raises BackendError: when it fails; :class:`StorageFull` when that is for want of space.
    """
    # Always the same name, so that the next call removes what a killed process left behind.
    new = path.with_name(f".{path.name}.new")
    with faults(path):
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(new, flags, 0o600)
        try:
            try:
                _take_after(descriptor, path)
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink()
            raise
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Fsync the names in this directory: a file without its name is lost."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it: one ``os.write`` may write less, as on a disk that is nearly full."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _take_after(descriptor: int, path: Path) -> None:
    """Give a new file the mode and the owner of the one it replaces."""
    try:
        old = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o600)
        hand_over(descriptor, path.parent)
        return
    # The owner first: changing it clears the set-id bits of the mode.
    with suppress(PermissionError):
        os.fchown(descriptor, old.st_uid if os.geteuid() == 0 else -1, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def hand_over(descriptor: int, directory: Path) -> None:
    """Give a file that root makes to the directory's owner: the server's user must read it."""
    # With a second name, the file may be one that was never meant for that owner.
    if os.geteuid() == 0 and os.fstat(descriptor).st_nlink == 1:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
