"""Erases people and searches the raw bytes of every file for what is left of them.

The law of this file: no port is asked whether something is gone; the files are read. What is looked
for is all that was sent in, what was made of it, and the limiter's keys.

``python -m tests.faults.erasure DIR PEOPLE SEED``
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ortto_capture import Capture, Captured, Person, Refused, Settings
from ortto_capture.backends.file import FileBackends
from ortto_capture.identity import bucket_hasher
from ortto_capture.model import Identifier

from .stage import LOGIN, NOW, account, child, define, everything, files, finish, opened, program

EVENTS = 2
#: People enough to fill some dozens of pages.
CROWD = 200


def traces(directory: Path, needles: Sequence[str | bytes]) -> Iterator[str]:
    """Which files hold which of these, as they are or escaped in JSON, in whatever case."""
    forms = [(needle, _forms(needle)) for needle in needles]
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            content = path.read_bytes().lower()
            for needle, looks in forms:
                if any(look in content for look in looks):
                    yield f"{path.name} holds {needle!r}"


def _forms(needle: str | bytes) -> set[bytes]:
    if isinstance(needle, bytes):
        return {needle.lower()}
    return {needle.encode(how, "backslashreplace").lower() for how in ("utf-8", "ascii")}


def keys(capture: Capture, person_id: str) -> list[bytes]:
    """Under which keys the limiter counts this person."""
    bucket = bucket_hasher(files(capture).secret())("person", LOGIN)
    return [bucket(f"{assurance} {person_id}") for assurance in ("claimed", "verified")]


class Visitor:
    """One person with all that a page may say of them."""

    def __init__(self, number: int, rng: random.Random) -> None:
        self.local = f"petronella.{number:04}"
        self.email = f"{self.local}@kennel-{number:04}.example"
        self.first, self.last = f"Petra{number:04}Łucja", f"Zimmermann{number:04}"
        # Pages that are filled unevenly are divided and joined again, which leaves copies behind.
        self.last += " Zimmermann" * rng.randrange(22)
        self.custom = f"customer-{number:04}-ref"
        self.events = [f"event-{number:04}-{each}" for each in range(EVENTS)]
        self.id = ""
        self.session = ""

    def act(self, capture: Capture) -> None:
        """Come, act, and be refused once."""
        found = capture.identify(email=self.email, first=self.first, last=self.last)
        self.session = found.session or ""
        for event in self.events:
            note = {"str::email": self.email, "str:cm:id": self.custom, "txt:cm:note": self.first}
            self.id = self.recorded(capture, event, note).person_id
        with suppress(Refused):
            self.recorded(capture, self.events[0] + "-no", {"str:cm:unknown": self.custom})

    def recorded(self, capture: Capture, event: str, note: dict[str, str]) -> Captured:
        """One activity."""
        ip = f"203.0.113.{len(self.email)}"
        return capture.record(self.session, LOGIN, note, event_id=event, ip=ip)

    def needles(self, capture: Capture) -> list[str | bytes]:
        """All that may not be found of them."""
        return [*self.said(), self.id, *keys(capture, self.id)]

    def said(self) -> list[str]:
        """All that was sent in."""
        return [self.email, self.local, self.first, self.last, self.custom, *self.events]


def erase_all(directory: Path, people: int, rng: random.Random) -> Iterator[str]:
    """Half of them are erased, one after the other; the other half is as it was."""
    define(directory)
    with opened(directory) as backends:
        capture = Capture(
            backends=backends,
            settings=Settings(),
            clock=lambda: NOW,
            new_id=lambda: f"{rng.getrandbits(128):032x}",
        )
        crowd = [Visitor(number, rng) for number in range(2 * people)]
        for each in crowd:
            each.act(capture)
        rng.shuffle(crowd)
        gone, kept = crowd[:people], crowd[people:]
        before = everything(files(capture))
        backup = files(capture).backup(directory.with_name("backup"))
        needles = [needle for each in gone for needle in each.needles(capture)]
        if missing := [each.email for each in gone if not any(traces(directory, [each.email]))]:
            yield f"{len(missing)} were not found while they were there: the search sees nothing"
        for each in gone:
            erased = capture.erase(email=each.email)
            if erased is None or not erased.complete or erased.activities != EVENTS:
                yield f"erasing {each.email} gave {erased}"
        yield from traces(directory, needles)
        ids = {each.id for each in gone}
        if everything(files(capture)) != [each for each in before if each.person_id not in ids]:
            yield "others lost activities, or kept too many"
        for each in gone:
            again = [capture.person(email=each.email), capture.export(email=each.email)]
            if again != [None, None] or capture.erase(email=each.email) is not None:
                yield f"{each.email} is still known"
        for each in kept:
            export = capture.export(email=each.email)
            if export is None or len(export["activities"]) != EVENTS:
                yield f"{each.email} was not to be erased"
        # Nothing that waits to be written brings anything back.
        crowd[-1].recorded(capture, "later", {})
        yield from traces(directory, needles)
    yield from traces(directory, needles)
    yield from restored(directory, backup, gone)


def restored(directory: Path, backup: Path, gone: Sequence[Visitor]) -> Iterator[str]:
    """A backup put back over the store does not bring the erased back; they may come by again."""
    for path in directory.glob("store.sqlite3*"):
        path.unlink()
    shutil.copy(backup / "store.sqlite3", directory / "store.sqlite3")
    if not any(traces(directory, [each.email for each in gone])):
        yield "the backup never held them: restoring it shows nothing"
    with account(directory) as capture:
        for each in gone:
            if capture.person(email=each.email) is not None:
                yield f"{each.email} came back with the backup"
        # Not the counts of a backup: hashes of an id that no person has, gone when the window ends.
        yield from traces(directory, [needle for e in gone for needle in (*e.said(), e.id)])
        before = {each.email: each.id for each in gone}
        for each in gone[:10]:
            each.act(capture)
            if each.id == before[each.email]:
                yield f"{each.email} has the old id again"
            if capture.person(email=each.email) is None:
                yield f"{each.email} may not come again"
    with account(directory) as capture:
        for each in gone[:10]:
            if capture.person(email=each.email) is None:
                yield f"{each.email} came again and is gone after opening"


@contextmanager
def reading(directory: Path) -> Iterator[None]:
    """Another process is in the middle of reading, so that no byte may be overwritten."""

    def read(say: Callable[[str], None], wait: Callable[[], None]) -> None:
        reader = sqlite3.connect(directory / "store.sqlite3", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        say("reading")
        wait()
        reader.execute("ROLLBACK")
        reader.close()
        say("ended")

    with child(read) as reader:
        reader.heard()
        yield
        reader.go()
        reader.heard()


def blocked(directory: Path, rng: random.Random) -> Iterator[str]:
    """A reader in another process keeps the bytes; once it ends the next write clears them."""
    define(directory)
    with account(directory) as capture:
        gone, kept = Visitor(1, rng), Visitor(2, rng)
        gone.act(capture)
        kept.act(capture)
        needles = gone.needles(capture)
        with reading(directory):
            erased = capture.erase(email=gone.email)
            if erased is None or erased.complete or erased.activities != EVENTS:
                yield f"erased while another process reads: {erased}"
            if capture.person(email=gone.email) is not None:
                yield "the bytes may be pending, the person may not"
            if not any(traces(directory, needles)):
                yield "nothing was pending: the reader kept nothing"
        kept.recorded(capture, "next", {})
        yield from traces(directory, needles)


def named(number: int, rng: random.Random) -> Person:
    """A person whose names take more or less room every time."""
    address = Identifier("email", address_of(number))
    return Person(
        f"id-{number:030}",
        (address,),
        f"Petra{number:04}" + "x" * rng.randrange(230),
        None,
        "claimed",
        NOW,
    )


def address_of(number: int) -> str:
    """Where this person is written to."""
    return f"petronella.{number:04}@kennel.example"


def left_behind(directory: Path, rng: random.Random) -> set[int]:
    """Make a store, and people change until there are copies of some of them outside of any row.

    SQLite leaves them where a page was, before it was divided: the file says the name twice.
    """
    define(directory)
    for _ in range(2_000):
        with opened(directory, "?durability=os") as backends:
            who = range(CROWD) if not backends.people.get(named(0, rng).id) else ()
            changed = [*who, *rng.sample(range(CROWD), 10)]

            def change(backends: FileBackends = backends, changed: list[int] = changed) -> None:
                for number in changed:
                    backends.people.save(named(number, rng))

            backends.atomically(change)
        content = (directory / "store.sqlite3").read_bytes()
        copied = {n for n in range(CROWD) if content.count(f"Petra{n:04}".encode()) > 1}
        if copied:
            return copied
    raise AssertionError("no copies were left behind")


def needles_of(numbers: set[int]) -> list[str | bytes]:
    """All that may not be found of them."""
    return [each for n in numbers for each in (f"Petra{n:04}", address_of(n), f"id-{n:030}")]


def erase_while_reading(directory: Path, gone: set[int]) -> Iterator[str]:
    """Erase them in the presence of a reader, so that no byte can be overwritten."""
    with account(directory) as capture:
        for number in gone:
            erased = capture.erase(email=address_of(number))
            if erased is None or erased.complete:
                yield f"erased while another process reads: {erased}"


def cut_short(directory: Path, rng: random.Random) -> Iterator[str]:
    """The process ends before the bytes could be overwritten: opening the store finishes it."""
    gone = left_behind(directory, rng)
    with reading(directory):
        yield from erase_while_reading(directory, gone)
    if not any(traces(directory, needles_of(gone))):
        yield "nothing was left behind: opening shows nothing"
    with opened(directory):
        yield from (f"opened: {found}" for found in traces(directory, needles_of(gone)))


def copied(directory: Path, rng: random.Random) -> Iterator[str]:
    """A backup made while erased bytes are still in the store takes none of them along."""
    gone = left_behind(directory, rng)
    copy = directory.with_name("copy")
    with reading(directory):
        yield from erase_while_reading(directory, gone)
        if not any(traces(directory, needles_of(gone))):
            yield "nothing was left behind: the backup shows nothing"
        with account(directory) as capture:
            files(capture).backup(copy)
        yield from (f"the backup: {found}" for found in traces(copy, needles_of(gone)))
    with account(copy) as capture:
        for number in range(CROWD):
            if (capture.person(email=address_of(number)) is None) != (number in gone):
                yield f"the backup holds too few people, or too many: {number}"


def main(directory: str, people: str, seed: str) -> None:
    """Erase so many."""
    rng = random.Random(seed)
    findings = [
        *cut_short(Path(directory) / "cut", rng),
        *copied(Path(directory) / "copied", rng),
        *erase_all(Path(directory) / "all", int(people), rng),
        *blocked(Path(directory) / "blocked", rng),
    ]
    finish(findings, addresses=people, hits=len(findings), seed=seed)


if __name__ == "__main__":
    program(main)
