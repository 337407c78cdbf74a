"""Overwriting what SQLite leaves behind: copies of rows in the unused middle of its pages.

The law of this file: it changes no byte that means anything. ``secure_delete`` overwrites a row
where it lay; but a page that was split or merged before may hold copies of rows that moved, between
its pointers and its rows (https://www.sqlite.org/fileformat2.html, "B-tree Pages"). Nothing short
of ``VACUUM`` reaches those, and that stops all writers for as long as it takes to write the whole
file anew.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

#: The first byte of a B-tree page, and the length of its header; other pages begin with a page
#: number's highest byte, which is 0 in every file of fewer than 2²⁵ pages.
_KINDS = {2: 12, 5: 12, 10: 8, 13: 8}
#: One descriptor for each file, by device and inode, never closed: as POSIX has it, closing one
#: would end the locks that SQLite's connections in this process hold on the same file.
_open: dict[tuple[int, int], int] = {}


def descriptor_of(path: Path) -> int:
    """A descriptor of the file at ``path``, which stays open for as long as the process runs."""
    found = path.stat()
    name = (found.st_dev, found.st_ino)
    if name not in _open:
        _open[name] = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    return _open[name]


@contextmanager
def sqlite_lock(path: Path) -> Iterator[None]:
    """Keep SQLite from thinking that the connection it closes is the last one to the file.

    It is the lock that every open connection has (SHARED_FIRST in SQLite's ``os.h``), but of the
    kind that belongs to a descriptor, so that the connections of this very process see it.
    """
    if not path.exists() or not hasattr(fcntl, "F_OFD_SETLK"):
        # SQLite itself spares the log of a file that was moved. Only Linux has this kind of lock.
        yield
        return
    descriptor = descriptor_of(path)
    where = (os.SEEK_SET, 0x40000002, 510, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, *where))
    try:
        yield
    finally:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_UNLCK, *where))


class Pages:
    """The pages of one SQLite file, read without SQLite."""

    def __init__(self, path: Path) -> None:
        self._file = descriptor_of(path)
        header = os.pread(self._file, 100, 0)
        size = int.from_bytes(header[16:18], "big")
        self._size = 65_536 if size == 1 else size
        self._nothing = bytes(self._size)

    def leftovers(self) -> list[int]:
        """The numbers of the pages whose unused middle is not empty."""
        pages = os.fstat(self._file).st_size // self._size
        return [page for page in range(1, pages + 1) if self._gap(page)]

    def clean(self, pages: Iterable[int]) -> None:
        """Overwrite it, on the disk when this returns. The caller keeps all writers out."""
        for page in pages:
            if gap := self._gap(page):
                start, end = gap
                os.pwrite(self._file, self._nothing[start:end], (page - 1) * self._size + start)
        os.fsync(self._file)

    def _gap(self, page: int) -> tuple[int, int] | None:
        """Start and end of this page's unused middle, when it is not empty."""
        data = os.pread(self._file, self._size, (page - 1) * self._size)
        begin = 100 if page == 1 else 0
        header = _KINDS.get(data[begin]) if len(data) == self._size else None
        if header is None:
            return None
        start = begin + header + 2 * int.from_bytes(data[begin + 3 : begin + 5], "big")
        end = int.from_bytes(data[begin + 5 : begin + 7], "big") or 65_536
        if not start < end <= self._size or data[start:end] == self._nothing[start:end]:
            return None
        return start, end
