"""Kills one operation at every system call it makes, and looks at what is left.

The law of this file: it goes on until a run has no such call left, so no moment is left out; after
each kill the directory opens without help, what was acknowledged is there, and every operation
happened whole or not at all.

``python -m tests.faults.points STEP DIR STRIDE VARIANT``
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import NamedTuple

from ortto_capture import Capture, ConfigurationError, RateLimited

from . import variants
from .erasure import keys, traces
from .stage import (
    LOGIN,
    NOW,
    account,
    child,
    define,
    ended,
    everything,
    files,
    finish,
    login,
    opened,
    program,
    redefine,
    spawn,
)
from .tracing import MOMENTS, attached, calls, injected

#: Small, so that what is left of them is soon counted.
LIMITS = {"person": "5/day", "ip": "6/hour"}
ADDRESS = "203.0.113.7"
KEPT, GONE, NEW = "kept@emaildomain.com", "gone.away@emaildomain.com", "new@emaildomain.com"
KEPT_EVENTS = ["kept-0", "kept-1"]
GONE_EVENTS = ["gone-0", "gone-1"]

Say = Callable[[str], None]


class Step(NamedTuple):
    """What is there before, what is done to it, and what must be true after a kill."""

    prepare: Callable[[Path], None]
    act: Callable[[Path, Say, str], None]
    check: Callable[[Path, list[str]], Iterator[str]]


# -- what is there before


def nothing(directory: Path) -> None:
    """No directory yet."""


def populated(directory: Path) -> None:
    """Two people with their activities, closed cleanly."""
    define(directory, LIMITS)
    with account(directory) as capture:
        populate(capture)
        gone = capture.person(GONE)
        assert gone is not None
        hidden = [gone.id, *(key.hex() for key in keys(capture, gone.id))]
        directory.with_name("hidden").write_text(" ".join(hidden))


def populate(capture: Capture) -> None:
    """Two people with two activities each, all from one address."""
    for email, events in ((KEPT, KEPT_EVENTS), (GONE, GONE_EVENTS)):
        for event in events:
            person = {"email": email, "first": "Wilhelmina"}
            note = {"str::email": email}
            capture.record(None, LOGIN, note, event_id=event, person=person, ip=ADDRESS)


def crashed(directory: Path) -> None:
    """The same, by a process that was killed and cleaned nothing up."""
    define(directory, LIMITS)

    def work() -> None:
        with account(directory) as capture:
            populate(capture)
            os.kill(os.getpid(), signal.SIGKILL)

    assert ended(spawn(work)) == -signal.SIGKILL


def restored(directory: Path) -> None:
    """A backup from before an erase, put back over the store; the tombstones stayed."""
    populated(directory)
    backup = directory.with_name(f"{directory.name}-backup")
    with account(directory) as capture:
        files(capture).backup(backup)
        capture.erase(email=GONE)
    for name in ("store.sqlite3", "store.sqlite3-wal", "store.sqlite3-shm"):
        (directory / name).unlink(missing_ok=True)
    shutil.copy(backup / "store.sqlite3", directory / "store.sqlite3")
    shutil.rmtree(backup)


# -- what is done to it


def create(directory: Path, say: Say, variant: str) -> None:
    """The first opening."""
    with account(directory, variant):
        say("acknowledged")


def record(directory: Path, say: Say, variant: str) -> None:
    """A new visitor does something."""
    with account(directory, variant) as capture:
        capture.record(None, LOGIN, event_id="new", person={"email": NEW}, ip=ADDRESS)
        say("acknowledged")


def erase(directory: Path, say: Say, variant: str) -> None:
    """A person asks to be forgotten."""
    with account(directory, variant) as capture:
        erased = capture.erase(email=GONE)
        say(f"acknowledged {erased is not None and erased.complete}")


def put(directory: Path, say: Say, variant: str) -> None:
    """A definition changes."""
    with account(directory, variant) as capture:
        redefine(files(capture), login(LIMITS, "Changed"))
        say("acknowledged")


def back_up(directory: Path, say: Say, variant: str) -> None:
    """A copy is made while the store is open."""
    with account(directory, variant) as capture:
        files(capture).backup(directory.with_name("copy"))
        say("acknowledged")


def forget(directory: Path, say: Say, variant: str) -> None:
    """Retention has everything to forget."""
    with account(directory, variant) as capture:
        while files(capture).retain(NOW + 1, NOW + 1):
            pass
        say("acknowledged")


# -- what must be true after a kill


def sound(directory: Path) -> Iterator[str]:
    """It opens, is sound, is closed to other users, and takes in."""
    with account(directory) as capture:
        yield from files(capture).problems()
        redefine(files(capture), login(LIMITS, "Another name"))
        capture.record(None, LOGIN, event_id="after", person={"email": "after@emaildomain.com"})
        if everything(files(capture))[-1].event_id != "after":
            yield "what was recorded afterwards is not the latest"
    for path in (directory, *directory.iterdir()):
        mode = stat.S_IMODE(path.stat().st_mode)
        personal = path.name.startswith(("store.sqlite3", "secret", "erased")) or path == directory
        if personal and mode & 0o077:
            yield f"{path.name} may be read by others: {mode:o}"


def created(directory: Path, said: list[str]) -> Iterator[str]:
    """Whatever was there, it is a whole store afterwards."""
    yield from sound(directory)


def recorded(directory: Path, said: list[str]) -> Iterator[str]:
    """Person, activity and both charges, or nothing of it."""
    with account(directory) as capture:
        stored = [each.event_id for each in everything(files(capture))]
        there = "new" in stored
        if said and not there:
            yield "acknowledged, and lost"
        if stored != [*KEPT_EVENTS, *GONE_EVENTS, *(["new"] if there else [])]:
            yield f"stored are {stored}"
        if (capture.person(email=NEW) is not None) != there:
            yield "a person without the activity that made them, or the other way round"
        yield from left(capture, ADDRESS, KEPT, 6 - len(stored))
        if there:
            yield from left(capture, None, NEW, 4)
    yield from sound(directory)


def left(capture: Capture, ip: str | None, email: str, expected: int) -> Iterator[str]:
    """Whether exactly so many places are left, none wasted and none granted."""
    for number in range(expected + 1):
        try:
            capture.record(None, LOGIN, person={"email": email}, ip=ip)
        except RateLimited:
            if number < expected:
                yield f"{number} places were left for {ip or email}, not {expected}"
            return
    yield f"more than {expected} places were left for {ip or email}"


def erased(directory: Path, said: list[str]) -> Iterator[str]:
    """Gone to the last byte, or wholly there and never acknowledged."""
    with account(directory) as capture:
        export = capture.export(email=GONE)
        if export is None:
            yield from found_again(directory)
        elif said:
            yield "acknowledged, and still there"
        elif len(export["activities"]) != len(GONE_EVENTS):
            yield f"half erased: {len(export['activities'])} activities are left"
        else:
            again = capture.erase(email=GONE)
            if again is None or not again.complete:
                yield f"erased again: {again}"
            yield from found_again(directory)
        kept = [each.event_id for each in everything(files(capture))]
        if kept != KEPT_EVENTS:
            yield f"kept are {kept}"
    yield from sound(directory)
    yield from found_again(directory)


def found_again(directory: Path) -> Iterator[str]:
    """What the files still hold of a person who was erased."""
    person_id, *counted = directory.with_name("hidden").read_text().split()
    said = [GONE, "gone.away", *GONE_EVENTS, person_id]
    yield from traces(directory, [*said, *map(bytes.fromhex, counted)])


def absent(directory: Path, said: list[str]) -> Iterator[str]:
    """A restored backup brings no erased person back."""
    with account(directory) as capture:
        if capture.person(email=GONE) is not None:
            yield "back with the backup"
        # Not its counts: hashes of an id that no person has, gone when the window ends.
        yield from traces(directory, [GONE, "gone.away", *GONE_EVENTS])
    yield from sound(directory)


def changed(directory: Path, said: list[str]) -> Iterator[str]:
    """The old version or the new one, whole."""
    json.loads((directory / "activities.json").read_text())
    with opened(directory) as backends:
        (found,) = backends.definitions.all()
    expected = [login(LIMITS, "Changed"), *([] if said else [login(LIMITS)])]
    if found not in expected:
        yield f"the definition is {found}"
    yield from sound(directory)


def backed_up(directory: Path, said: list[str]) -> Iterator[str]:
    """A backup that opens has everything; the store never knew."""
    copy = directory.with_name("copy")
    if copy.exists():
        try:
            yield from _same(copy)
        except ConfigurationError:
            if said:
                yield "acknowledged, and does not open"
        shutil.rmtree(copy)
    elif said:
        yield "acknowledged, and not there"
    yield from _same(directory)
    yield from sound(directory)


def _same(directory: Path) -> Iterator[str]:
    with account(directory) as capture:
        stored = [each.event_id for each in everything(files(capture))]
        if stored != [*KEPT_EVENTS, *GONE_EVENTS]:
            yield f"{directory.name} holds {stored}"
        if capture.person(email=GONE) is None or not files(capture).definitions.all():
            yield f"{directory.name} lacks people or definitions"
        yield from files(capture).problems()


def forgotten(directory: Path, said: list[str]) -> Iterator[str]:
    """Whatever was forgotten, no person is left half."""
    with account(directory) as capture:
        stored = everything(files(capture))
        if said and stored:
            yield f"{len(stored)} are kept too long"
        for each in stored:
            if files(capture).people.get(each.person_id) is None:
                yield f"{each.event_id} belongs to no person"
    yield from sound(directory)


STEPS = {
    "create": Step(nothing, create, created),
    "record": Step(populated, record, recorded),
    "recover": Step(crashed, record, recorded),
    "erase": Step(populated, erase, erased),
    "restore": Step(restored, create, absent),
    "put": Step(populated, put, changed),
    "backup": Step(populated, back_up, backed_up),
    "retain": Step(populated, forget, forgotten),
}


def enumerate_kills(
    step: Step, directory: Path, stride: int, variant: str
) -> tuple[list[str], Counter[str]]:
    """Kill at every call; what was wrong, and how often each call was the last.

    :param stride: how many pages are written between two kills.
    """
    template = directory / "template"
    step.prepare(template)
    findings: list[str] = []
    kills: Counter[str] = Counter()

    def attempt(name: str, *options: str, log: Path | str = "/dev/null") -> int:
        place = directory / "run"
        shutil.rmtree(place, ignore_errors=True)
        if template.exists():
            shutil.copytree(template, place)

        def work(say: Say, wait: Callable[[], None]) -> None:
            wait()
            step.act(place, say, variant)

        with child(work) as talk, attached(talk.pid, *options, log=log):
            talk.go()
            said = talk.rest()
            status = talk.status()
        try:
            found = list(step.check(place, said))
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            found = [f"{type(error).__name__}: {error}"]
        findings.extend(f"{name}: {each}" for each in found)
        if status not in (0, -signal.SIGKILL):
            findings.append(f"{name}: ended with {status}")
        return status

    log = directory / "trace"
    attempt("undisturbed", "-e", f"trace={','.join(MOMENTS)}", log=log)
    for name in sorted({call.name for call in calls(log)}):
        # Pages are written one after the other, and far between is near enough for every day.
        step_by = stride if name == "pwrite64" else 1
        for number in count(random.randint(1, step_by), step_by):
            if attempt(f"{name} {number}", *injected(name, "signal=SIGKILL", number)) == 0:
                break
            kills[name] += 1
            if findings and variant:
                return findings, kills
    return findings, kills


def main(name: str, directory: str, stride: str, variant: str = "") -> None:
    """Enumerate one step."""
    assert not variant or variant in variants.VARIANTS
    findings, kills = enumerate_kills(STEPS[name], Path(directory), int(stride), variant)
    finish(findings, step=name, kills=kills.total(), **kills, variant=variant or "none")


if __name__ == "__main__":
    program(main)
