"""The four ports in one directory that a person can look into: ``open_backends("file:./data")``.

The law of this file: it keeps the directory in order. One decision is one transaction of one SQLite
file, which is the store's affair; definitions are a file that people may edit; what is erased
leaves no byte behind and does not come back with a backup.

::

    data/
      activities.json    definitions, or activities.toml written by hand
      store.sqlite3      people, counters, journal, outcomes
      erased             whom a restored backup must not bring back
      secret             the signing key, when none was configured
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex, token_urlsafe
from time import monotonic
from typing import TypeVar
from urllib.parse import parse_qsl

from ..errors import BackendError, ConfigurationError
from ..model import Activity, Outcome
from ..ports import Backends
from ..settings import MIN_SECRET
from .atomic_files import exclusive_lock, faults, replace_file, sync_directory, write_all
from .definition_file import FileDefinitions, TomlDefinitions, open_definitions
from .file_journal import FileJournal
from .file_limiter import FileRateLimiter
from .file_outcomes import FileOutcomes
from .file_people import FilePeople
from .store import Store

T = TypeVar("T")

#: Whether a 200 waits for the disk, or a power cut may take the last seconds.
DURABILITY = {"full": True, "os": False}
#: The store of a backup that is being made.
UNFINISHED = "store.copying"
#: Seconds between two attempts to overwrite what was erased while somebody was reading.
SCRUB_EVERY = 1.0


class FileBackends(Backends):
    """All four ports in one directory, for any number of threads and processes.

    :param directory: made when it is missing.
    :param durable: whether an answer waits for the disk.
    :raises ConfigurationError: when the directory cannot be used, with the path and the remedy.
    """

    definitions: FileDefinitions | TomlDefinitions
    people: FilePeople
    limiter: FileRateLimiter
    journal: FileJournal
    outcomes: FileOutcomes

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory
        self._make_directory()
        self._store = Store(directory / "store.sqlite3", durable=durable)
        self._tombstones = Tombstones(directory / "erased")
        super().__init__(
            definitions=open_definitions(directory),
            people=FilePeople(self._store),
            limiter=FileRateLimiter(self._store),
            journal=FileJournal(self._store),
            outcomes=FileOutcomes(self._store, living=self._living),
            atomically=self._atomically,
            close=self._close_files,
        )
        #: Somebody may put another port in place of one of these.
        self._own = self.people, self.journal
        self._scrub_at = 0.0
        try:
            self._bury_again()
            self.epoch = str(self._store.meta("epoch"))
        except BackendError as error:
            self._store.close()
            raise ConfigurationError("backends", str(error)) from error

    def _living(self, refusals: Sequence[Outcome]) -> Sequence[Outcome]:
        if not refusals or not self._tombstones.size():
            return refusals
        erased = self._tombstones.read()
        return [
            each._replace(person_id=None)
            if each.person_id and self._tombstones.hash(each.person_id) in erased
            else each
            for each in refusals
        ]

    # -- abilities of these backends

    def append(self, activity: Activity) -> int | None:
        """Store what somebody did; None when they are not stored, or it is journalled already."""
        people, journal = self._own
        if self.people is people and self.journal is journal:
            return self._store.atomically(lambda: journal.append_known(activity))
        known = self.people.get(activity.person_id) is not None
        return self.journal.append(activity) if known else None

    def secret(self) -> bytes:
        """Return the key in the file ``secret``, which is made when it is not there.

        :raises ConfigurationError: when the file cannot be read or holds too little.
        """
        path = self.directory / "secret"
        try:
            with exclusive_lock(path.with_name("secret.lock")):
                if not path.exists():
                    replace_file(path, token_urlsafe(MIN_SECRET).encode() + b"\n")
                with faults(path):
                    secret = path.read_bytes().strip()
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
        """Remove a bounded batch of what is older; say whether there may be more."""
        people, journal = self._own
        more = journal.forget_before(activities_since)
        # Another journal may hold activities of whom ours knows nothing.
        return (self.journal is journal and people.forget_idle(people_since)) or more

    def bury(self, person_id: str, keys: Collection[bytes]) -> None:
        """Note in ``erased`` that nobody may bring this back; within ``atomically``."""
        # Under the lock of the transaction, so that the file grows by one line at a time.
        self._store.begin()
        self._store.set_meta("erased", self._tombstones.add(person_id, keys, time.time()))
        self._store.count_meta("scrub")

    def scrub(self) -> bool:
        """Overwrite what was removed; False while somebody is reading."""
        self._scrub_at = monotonic() + SCRUB_EVERY
        return self._store.scrub()

    def backup(self, directory: Path | str) -> Path:
        """Copy everything into an empty or new directory, while others go on; return its path.

        The copy can be opened by ``file:``, and put in this one's place while nothing runs; the
        file ``erased`` of this directory is then kept, so that nobody erased since comes back.

        :raises BackendError: when something cannot be read or written.
        """
        target = Path(directory)
        store = target / self._store.path.name
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
            self._store.back_up(new)
            new.rename(store)
            sync_directory(target)
        return target

    def problems(self) -> list[str]:
        """Check the whole store: its structure, and every row's checksum; empty when sound."""
        return self._store.problems() or self.people.problems() + self.journal.problems()

    # -- in order

    def _atomically(self, decide: Callable[[], T]) -> T:
        result = self._store.atomically(decide)
        # Somebody was reading when something was erased, maybe by another process.
        if monotonic() >= self._scrub_at and not self._store.leading():
            self._scrub_at = monotonic() + SCRUB_EVERY
            with suppress(BackendError):
                if self._store.meta("scrub"):
                    self.scrub()
        return result

    def _make_directory(self) -> None:
        directory = self.directory
        try:
            with faults(directory):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, parents=True)
                    # Without its name on the disk the whole directory may be lost.
                    sync_directory(directory.parent)
                unfinished = (directory / UNFINISHED).exists()
        except BackendError as error:
            raise ConfigurationError("backends", str(error)) from error
        if unfinished:
            raise ConfigurationError(
                "backends", f"{directory}: is a backup that was not finished; make another"
            )

    def _bury_again(self) -> None:
        """Erase from a restored backup whom the tombstones name; finish an erasure cut short."""
        store = self._store
        if self._tombstones.size() > store.meta("erased"):
            buried = self._tombstones.read()
            rows = store.read("SELECT id FROM people UNION SELECT person_id FROM journal")
            hashes = {self._tombstones.hash(person_id): person_id for (person_id,) in rows}
            keys = [key for each in buried.values() for key in each]
            back = [hashes[each] for each in buried if each in hashes]
            store.atomically(lambda: self._erase_again(back, keys))
        if store.meta("scrub"):
            self.scrub()

    def _erase_again(self, people: Iterable[str], keys: Collection[bytes]) -> None:
        self.limiter.forget(keys)
        for person_id in people:
            for port in (self.people, self.journal, self.outcomes):
                port.erase(person_id)
        self._store.set_meta("erased", self._tombstones.size())
        self._store.count_meta("scrub")

    def _close_files(self) -> None:
        self.outcomes.flush()
        self._store.close()


class Tombstones:
    """An append-only file of whom was erased and when, one a line.

    A person is in it by a keyed hash of the id, with the rate limiter's keys for them, which are
    keyed hashes already. Somebody who comes back gets another id, and so is not in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = b""

    def size(self) -> int:
        """Its bytes, 0 when there is none."""
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def add(self, person_id: str, keys: Collection[bytes], now: float) -> int:
        """Append one, on the disk when this returns; return the size. Under a lock."""
        with faults(self._path):
            if not self.size():
                replace_file(self._path, f"ortto_capture erased {token_hex(16)}\n".encode())
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            try:
                # What a full disk or a crash cut short is ended, so that it spoils this line only.
                torn = os.pread(descriptor, 1, self.size() - 1) != b"\n"
                parts = [self.hash(person_id), str(int(now)), *(key.hex() for key in keys)]
                line = " ".join(parts).encode() + b"\n"
                write_all(descriptor, b"\n" + line if torn else line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return self.size()

    def read(self) -> dict[str, list[bytes]]:
        """The hashes of everybody in it, and the rate limiter's keys for them."""
        with faults(self._path):
            lines = self._path.read_text(encoding="ascii", errors="replace").splitlines()
        found = {}
        for line in lines[1:]:
            person, *rest = line.split(" ")
            # A torn line names nobody.
            with suppress(ValueError):
                found[person] = [bytes.fromhex(key) for key in rest[1:]]
        return found

    def hash(self, person_id: str) -> str:
        """How a person is written down here."""
        if not self._key:
            with faults(self._path):
                self._key = self._path.read_bytes().partition(b"\n")[0][-32:]
        return blake2b(person_id.encode(), key=self._key, digest_size=16).hexdigest()


def open_file(address: str) -> FileBackends:
    """Open ``file:`` backends: ``DIRECTORY`` or ``DIRECTORY?durability=os``.

    :raises ConfigurationError: when the address or the directory cannot be used.
    """
    path, _, query = address.partition("?")
    durability = dict(parse_qsl(query)).get("durability", "full")
    if not path or query not in ("", f"durability={durability}") or durability not in DURABILITY:
        raise ConfigurationError(
            "backends", 'write "file:./data", or "file:./data?durability=os" to wait for no disk'
        )
    return FileBackends(Path(path), durable=DURABILITY[durability])
