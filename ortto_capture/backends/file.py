"""All ports in one directory that a person can look into: ``open_backends("file:./data")``.

The law of this file: it keeps the directory in order. One decision is one transaction of one SQLite
file, which is the store's affair; definitions are a file that people may edit; what is erased
leaves no byte behind and does not come back with a backup.

::

    data/
      activities.json    definitions, or activities.toml written by hand
      store.sqlite3      people, counters, journal, outcomes, documents
      erased             the people whom a restored backup must not bring back, as hashes
      secret             the signing key, when none was configured
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

from ..errors import BackendError, ConfigurationError
from ..ports import Backends
from ..settings import MIN_SECRET
from .atomic_files import exclusive_lock, faults, replace_file, sync_directory, write_all
from .definition_file import FileDefinitions
from .documents import FileDocuments
from .outcomes import FileOutcomes
from .rows import FileJournal, FilePeople, FileRateLimiter, tombstone
from .store import Store
from .store_file import OPENING

T = TypeVar("T")

#: Whether a 200 waits for the disk, or a power cut may take the last seconds.
DURABILITY = {"full": True, "os": False}
#: The store of a backup that is being made.
UNFINISHED = "store.copying"

_log = logging.getLogger("ortto_capture")


class Directory(NamedTuple):
    """What a directory consists of, whichever of its ports are swapped for others."""

    path: Path
    store: Store
    people: FilePeople
    limiter: FileRateLimiter
    journal: FileJournal
    outcomes: FileOutcomes
    documents: FileDocuments

    @property
    def erased(self) -> Path:
        """Where the tombstones are."""
        return self.path / "erased"


@dataclass(frozen=True, kw_only=True)
class FileBackends(Backends):
    """All ports in one directory, for any number of threads and processes.

    :func:`open_file` makes them.
    """

    definitions: FileDefinitions
    own: Directory

    @property
    def directory(self) -> Path:
        """Its absolute path."""
        return self.own.path

    def atomically(self, decide: Callable[[], T]) -> T:
        result = self.own.store.atomically(decide)
        self.own.store.scrub_later()
        return result

    def secret(self) -> bytes:
        """Return the key in the file ``secret``, which is made when it is not there.

        :raises ConfigurationError: when the file cannot be read or holds too little.
        """
        path = self.directory / "secret"
        try:
            if not path.exists():
                with exclusive_lock(path.with_name("secret.lock"), OPENING):
                    if not path.exists():
                        replace_file(path, token_urlsafe(MIN_SECRET).encode() + b"\n")
            with faults(path):
                secret = path.read_bytes().strip()
                if _is_open(path):
                    _warn_once(path)
        except BackendError as error:
            raise ConfigurationError("secret_keys", str(error)) from error
        if len(secret) < MIN_SECRET:
            raise ConfigurationError(
                "secret_keys",
                f"{path}: holds less than {MIN_SECRET} bytes; put the old key back, or delete the "
                "file for a new one, which ends all sessions",
            )
        return secret

    def retain(self, activities_since: float, people_since: float) -> bool:
        own = self.own
        more = own.journal.forget_before(activities_since)
        more = own.outcomes.forget_before(activities_since) or more
        # With another journal ours does not know who has activities.
        return (self.journal is own.journal and own.people.forget_idle(people_since)) or more

    def bury(self, person_id: str, keys: Collection[bytes]) -> None:
        store = self.own.store
        # Within the transaction, so that the file grows by one line at a time.
        store.write(
            "INSERT INTO erased (tombstone) VALUES (?) ON CONFLICT (tombstone) DO NOTHING",
            (tombstone(person_id),),
        )
        line = " ".join([tombstone(person_id), str(int(time.time())), *map(bytes.hex, keys)])
        _note_erased(store, _add_line(self.own.erased, line.encode()))

    def scrub(self) -> bool:
        return self.own.store.scrub()

    def backup(self, directory: Path | str) -> Path:
        """Copy everything into an empty or new directory, while others go on; return its path.

        The copy can be opened by ``file:``, and put in this one's place while nothing runs; the
        file ``erased`` of this directory is then kept, so that people erased since stay erased.

        :raises BackendError: when something cannot be read or written.
        """
        target = Path(directory)
        new = target / UNFINISHED
        with faults(target):
            target.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise BackendError(f"{target}: is not empty; name a new directory")
            # First: as long as this is there, the directory is no whole copy and is not opened.
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            self.secret()
            for name in (self.definitions.path.name, "erased", "secret"):
                if (self.directory / name).exists():
                    replace_file(target / name, (self.directory / name).read_bytes())
            self.own.store.back_up(new)
            new.rename(target / self.own.store.path.name)
            sync_directory(target)
        return target

    def problems(self) -> list[str]:
        """Check the whole store: its structure, and every row's checksum; empty when sound."""
        own = self.own
        if found := own.store.problems():
            return found
        checked = (own.people, own.journal, own.documents)
        return list(dict.fromkeys(chain.from_iterable(each.problems() for each in checked)))

    def close(self) -> None:
        self.own.outcomes.flush()
        self.own.store.close()


def open_file(address: str) -> FileBackends:
    """Open ``file:`` backends: ``DIRECTORY`` or ``DIRECTORY?durability=os``.

    :raises ConfigurationError: when the address or the directory cannot be used, with the path and
        the remedy.
    """
    path, _, query = address.partition("?")
    durability = dict(parse_qsl(query)).get("durability", "full")
    if not path or query not in ("", f"durability={durability}") or durability not in DURABILITY:
        raise ConfigurationError(
            "backends", 'write "file:./data", or "file:./data?durability=os" to wait for no disk'
        )
    directory = Path(path).absolute()
    try:
        _make(directory)
        store = Store(directory / "store.sqlite3", durable=DURABILITY[durability])
        try:
            return _opened(directory, store)
        finally:
            # A server may fork after this in ways that Python does not see.
            store.rest()
    except BackendError as error:
        raise ConfigurationError("backends", str(error)) from error


def _opened(directory: Path, store: Store) -> FileBackends:
    people = FilePeople(store)
    limiter = FileRateLimiter(store)
    journal = FileJournal(store)
    outcomes = FileOutcomes(store)
    documents = FileDocuments(store)
    own = Directory(directory, store, people, limiter, journal, outcomes, documents)
    _erase_again(own)
    return FileBackends(
        definitions=FileDefinitions(directory),
        people=people,
        limiter=limiter,
        journal=journal,
        outcomes=outcomes,
        documents=documents,
        epoch=str(store.meta("epoch")),
        own=own,
    )


def _make(directory: Path) -> None:
    with faults(directory):
        if not directory.is_dir():
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Without its name on the disk the whole directory may be lost.
            sync_directory(directory.parent)
        if (directory / UNFINISHED).exists():
            raise BackendError(f"{directory}: is a backup that was not finished; make another")


def _erase_again(own: Directory) -> None:
    """Erase from a restored backup whom the tombstones name; finish an erasure cut short."""
    store, size = own.store, 0
    with faults(own.erased), suppress(FileNotFoundError):
        size = own.erased.lstat().st_size
    if size != store.meta("erased"):
        buried = _read_lines(own.erased)

        def decide() -> None:
            known = {row[0] for row in store.read("SELECT tombstone FROM erased")}
            back = buried.keys() - known
            own.limiter.forget([key for each in back for key in buried[each]])
            everyone = "SELECT id FROM people UNION SELECT id FROM person_ids"
            for (person_id,) in store.read(everyone):
                if tombstone(person_id) in back:
                    for port in (own.journal, own.people, own.outcomes):
                        port.erase(person_id)
            for each in back:
                store.write("INSERT INTO erased (tombstone) VALUES (?)", (each,))
            _note_erased(store, size)

        store.atomically(decide)
    if store.meta("scrub"):
        store.scrub()


def _note_erased(store: Store, size: int) -> None:
    """Note how long ``erased`` is, and that there is something to overwrite."""
    store.write("UPDATE meta SET value = ? WHERE name = 'erased'", (size,))
    store.write("UPDATE meta SET value = value + 1 WHERE name = 'scrub'")


def _add_line(path: Path, line: bytes) -> int:
    """Append a line, on the disk when this returns; return the size of the file."""
    with faults(path):
        new = not path.exists()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # What a full disk or a crash cut short is ended, so that it spoils its own line only.
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            write_all(descriptor, b"\n" * bool(torn) + line + b"\n")
            os.fsync(descriptor)
            if new:
                sync_directory(path.parent)
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)


def _read_lines(path: Path) -> dict[str, list[bytes]]:
    """The tombstones, and the rate limiter's keys of each person."""
    found = {}
    with faults(path), suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="ascii", errors="replace") as lines:
            for line in lines:
                # A torn line names no person.
                with suppress(ValueError):
                    person, _, *keys = line.split()
                    found[person] = [bytes.fromhex(key) for key in keys]
    return found


def _is_open(path: Path) -> bool:
    """Whether another user may read it."""
    found = path.stat()
    return bool(stat.S_IMODE(found.st_mode) & 0o077) or found.st_uid not in (os.geteuid(), 0)


@cache
def _warn_once(path: Path) -> None:
    _log.warning(
        "%s: other users may read the signing key, and with it sign in as any person: "
        "chown it to the user of the server, and chmod 600 it",
        path,
        extra={"event": "key-readable"},
    )
