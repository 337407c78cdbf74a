"""What operators save, as rows of the store.

The law of this file: one row a document, and its number is its version, so that no version is given
twice. A row that holds no JSON any more, as after a hand edit, is a document whose value is None:
it is reported, and keeps no other from being read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..model import Document
from .rows import decision
from .store import Store

_NAMED = "kind = ? AND name = ?"


class FileDocuments:
    """Documents as rows that all processes share."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, kind: str, name: str) -> Document | None:
        return next(iter(self._rows(_NAMED, kind, name)), None)

    def all(self, kind: str) -> Sequence[Document]:
        return self._rows("kind = ? ORDER BY name", kind)

    @decision
    def put(self, kind: str, name: str, value: Any, version: int | None = None) -> Document | None:
        text = json.dumps(value, allow_nan=False)
        if version is not None and version != self._version(kind, name):
            return None
        self._store.write(f"DELETE FROM documents WHERE {_NAMED}", (kind, name))
        added = "INSERT INTO documents (kind, name, value) VALUES (?, ?, ?) RETURNING version"
        [(new,)] = self._store.write(added, (kind, name, text))
        return Document(kind, name, json.loads(text), new)

    @decision
    def remove(self, kind: str, name: str, version: int | None = None) -> bool:
        stored = self._version(kind, name)
        if not stored or version not in (None, stored):
            return False
        self._store.write("DELETE FROM documents WHERE version = ?", (stored,))
        return True

    def problems(self) -> Iterator[str]:
        """What is wrong with any row."""
        for each in self._rows("version > 0 ORDER BY version"):
            if each.value is None:
                what = f"the {each.kind} {each.name!r} is no JSON; save it again, or remove it"
                yield f"{self._store.path}: {what}"

    def _version(self, kind: str, name: str) -> int:
        """The version that is stored; 0 for none."""
        found = self.get(kind, name)
        return found.version if found is not None else 0

    def _rows(self, which: str, *parameters: str) -> list[Document]:
        sql = f"SELECT kind, name, value, version FROM documents WHERE {which}"
        return [
            Document(*row)._replace(value=_read(row[2]))
            for row in self._store.read(sql, parameters)
        ]


def _read(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
