"""Overwriting what SQLite leaves behind: copies of rows in the unused middle of its pages.

The law of this file: it changes no byte that means anything. ``secure_delete`` overwrites a row
where it lay; but a page that was split or merged before may hold copies of rows that moved, between
its pointers and its rows (https://www.sqlite.org/fileformat2.html, "B-tree Pages"). Nothing short
of ``VACUUM`` reaches those, and that stops everybody for as long as it takes to write the whole
file anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

#: What a page of a tree begins with; other pages begin with a page number's highest byte, which is
#: 0 in every file of fewer than 2²⁵ pages.
_KINDS = {2: 12, 5: 12, 10: 8, 13: 8}
#: One file of each kind stays open: closing it would end the locks that other connections of this
#: process have on it, as POSIX has them.
_open: dict[tuple[int, int], int] = {}


class Pages:
    """The pages of one SQLite file, seen past SQLite."""

    def __init__(self, path: Path) -> None:
        found = path.stat()
        name = (found.st_dev, found.st_ino)
        if name not in _open:
            _open[name] = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._file = _open[name]
        header = os.pread(self._file, 100, 0)
        size = int.from_bytes(header[16:18], "big")
        self._size = 65_536 if size == 1 else size
        self._nothing = bytes(self._size)

    def leftovers(self) -> list[int]:
        """The numbers of the pages that hold something where nothing should be."""
        pages = os.fstat(self._file).st_size // self._size
        return [page for page in range(1, pages + 1) if self._gap(page)]

    def clean(self, pages: Iterable[int]) -> None:
        """Overwrite that, on the disk when this returns; nobody may write meanwhile."""
        for page in pages:
            if gap := self._gap(page):
                start, end = gap
                os.pwrite(self._file, self._nothing[start:end], (page - 1) * self._size + start)
        os.fsync(self._file)

    def _gap(self, page: int) -> tuple[int, int] | None:
        """From where to where this page holds something that means nothing."""
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
