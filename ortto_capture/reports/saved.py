"""What is saved by name: documents of one kind, read into values one by one.

The law of this file: one document that cannot be read is one value with a problem. A write is made
only where the version is the one that its writer has seen, if the writer names one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from unicodedata import category

from ..errors import BadQuery, Changed, ConfigurationError
from ..model import Document
from ..ports import Backends, Documents

#: Characters of a name and of a title.
MAX_NAME, MAX_TITLE = 100, 200

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


class Named(Protocol):
    """What can be saved."""

    @property
    def name(self) -> str:
        """By which it is found."""


N = TypeVar("N", bound=Named)


class Saved(NamedTuple, Generic[N]):
    """A report or an audience as it is saved.

    :param value: None when what is stored cannot be read.
    :param version: what ``put`` and ``remove`` compare; rises with every change.
    :param problem: why it cannot be read; empty when it can.
    """

    name: str
    value: N | None
    version: int
    problem: str


@dataclass(frozen=True)
class Shelf(Generic[N]):
    """The documents of one kind.

    :param read: makes a value of a name and plain JSON; raises ``BadQuery``.
    :param write: makes plain JSON of a value.
    """

    backends: Backends
    kind: str
    read: Callable[[str, Any], N]
    write: Callable[[N], Any]

    @property
    def documents(self) -> Documents:
        """Where they are.

        :raises ConfigurationError: when the backends keep no documents.
        """
        if self.backends.documents is None:
            kind = type(self.backends).__name__
            raise ConfigurationError("documents", f"these backends keep none; give {kind} a port")
        return self.backends.documents

    def get(self, name: str) -> Saved[N] | None:
        """What has this name, or None."""
        found = self.backends.documents and self.backends.documents.get(self.kind, name)
        return self._saved(found) if found else None

    def all(self) -> Sequence[Saved[N]]:
        """All of them, ordered by name."""
        found = self.backends.documents.all(self.kind) if self.backends.documents else ()
        return [self._saved(each) for each in found]

    def put(self, value: N, version: int | None) -> int:
        """Save it, and return its version.

        :raises Changed: another version is stored than the one that was given.
        """
        put = self.documents.put(self.kind, value.name, self.write(value), version)
        if put is None:
            raise Changed(self.kind)
        return put.version

    def remove(self, name: str, version: int | None) -> bool:
        """Remove what has this name; say whether there was any.

        :raises Changed: another version is stored than the one that was given.
        """

        def decide() -> bool:
            there = self.documents.get(self.kind, name) is not None
            if there and not self.documents.remove(self.kind, name, version):
                raise Changed(self.kind)
            return there

        return self.backends.atomically(decide)

    def _saved(self, document: Document) -> Saved[N]:
        name = document.name
        try:
            return Saved(name, self.read(name, document.value), document.version, "")
        except BadQuery as error:
            return Saved(name, None, document.version, f"{error.field}: needed is {error.expected}")


def check_name(name: object) -> None:
    """Do nothing when it can name a report or an audience.

    :raises BadQuery: when it cannot.
    """
    if not isinstance(name, str) or len(name) > MAX_NAME or _NAME.fullmatch(name) is None:
        expected = "lower-case letters and digits, with hyphens between them, such as sign-ups"
        raise BadQuery("name", expected)


def check_title(title: object) -> None:
    """Do nothing when people can read it.

    :raises BadQuery: when they cannot.
    """
    fits = isinstance(title, str) and title.strip() and len(title) <= MAX_TITLE
    # Neither controls nor half a surrogate pair nor a break of lines; marks of direction may be.
    if not fits or any(category(each) in ("Cc", "Cs", "Zl", "Zp") for each in str(title)):
        raise BadQuery("title", f"one line of at most {MAX_TITLE} characters")


def members_of(data: object, *names: str) -> Mapping[str, Any]:
    """The members of an object that has no other, and all of these.

    :raises BadQuery: when it is another one.
    """
    if not isinstance(data, Mapping):
        raise BadQuery("document", f"an object with {', '.join(names)}")
    for name in names:
        if name not in data:
            raise BadQuery(name, "this member, which is left out")
    if len(data) > len(names):
        raise BadQuery("document", f"no other members than {', '.join(names)}")
    return data
