"""The queue of processes that want to write one file.

The law of this file: whoever holds it is alone, in every process, and whoever dies holds nothing.
``flock`` itself either waits for ever or not at all, and SQLite's own waiting is unfair between
processes; so it is asked again and again, for as long as the caller has patience.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from random import uniform
from time import monotonic, sleep

from ..errors import BackendError

#: Seconds between the first two tries to get it, and between the last: a commit takes 0.2 ms on a
#: fast disk, and on a slow one nobody is to try a thousand times.
PAUSE, LONGEST_PAUSE = 0.00005, 0.002


class Queue:
    """A lock among processes, for one thread of each.

    :param path: the file that is locked, made when it is not there.
    :param what: the file it is held for, which messages name.
    """

    def __init__(self, path: Path, what: Path) -> None:
        self.path = path
        self._what = what
        self._descriptor = -1

    def acquire(self, patience: float) -> None:
        """Wait until nobody else holds it.

        :param patience: seconds to wait for it at most.
        :raises BackendError: when somebody holds it that long, or it cannot be opened.
        """
        deadline = monotonic() + patience
        pause = PAUSE
        try:
            if self._descriptor < 0:
                flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(self.path, flags, 0o600)
            while True:
                try:
                    fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    if monotonic() >= deadline:
                        raise BackendError(
                            f"{self._what}: another process writes and does not end; "
                            f"find it with: fuser -v {self.path}"
                        ) from None
                    sleep(uniform(pause / 2, pause))  # noqa: S311  # against keeping step
                    pause = min(2 * pause, LONGEST_PAUSE)
        except OSError as error:
            raise BackendError(
                f"{self.path}: {error.strerror}; make it writable by user {os.geteuid()}"
            ) from error

    def release(self) -> None:
        """Let the next one in."""
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Release it, and keep nothing open; it is opened again when it is needed."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
