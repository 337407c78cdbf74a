"""Flips bytes and cuts files, and compares every value with what was stored.

The law of this file: damage may be told of, in an error or by ``problems()``, or do no harm; a
value that is wrong or missing without a word is a failure. What was stored is known from having
sent it.

``python -m tests.faults.damage DIR TRIALS SEED``
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ortto_capture import BackendError, ConfigurationError, Person
from ortto_capture.backends.file import FileBackends
from ortto_capture.model import Activity, Assurance, Identifier

from .stage import LOGIN, NOW, define, everything, finish, opened, program

PEOPLE, EACH = 200, 2


class Content(NamedTuple):
    """All people, and all activities with their positions, as they were given to the ports."""

    people: dict[str, Person]
    activities: list[tuple[int, Activity]]


def person_of(number: int) -> Person:
    """One of the people: every member differs from the next one's."""
    held = (Identifier("ei", f"external-{number}"), Identifier("email", f"p-{number}@b.example"))
    return Person(
        f"person-{number:04}",
        held[: 1 + number % 2],
        f"First{number}" if number % 5 else None,
        f"Last{number} {'é' * (number % 30)}" if number % 7 else None,
        assurance_of(number),
        NOW - number * 1.5,
    )


def activity_of(number: int, each: int) -> Activity:
    """One activity of theirs: every member differs from the next one's."""
    return Activity(
        f"event-{number}-{each}",
        LOGIN if number % 3 else "act:cm:other",
        f"person-{number:04}",
        {"txt:cm:note": f"{number} {each} " * (number % 13), "bol:cm:new": number % 2 == 0},
        f"site-{number % 4}" if number % 4 else "",
        assurance_of(number + each),
        NOW - number - 0.125,
        NOW + number / 8,
        number % 3 == 0,
    )


def assurance_of(number: int) -> Assurance:
    """Either, in turns."""
    return "verified" if number % 2 else "claimed"


def fill(directory: Path) -> Content:
    """A store with everything in it, closed cleanly."""
    define(directory)
    content = Content({}, [])
    with opened(directory) as backends:

        def store(number: int) -> None:
            person = backends.people.save(person_of(number))
            content.people[person.id] = person_of(number)
            for each in range(EACH):
                captured = backends.journal.append(activity_of(number, each))
                assert captured is not None
                content.activities.append((captured.position, activity_of(number, each)))

        for number in range(PEOPLE):
            backends.atomically(partial(store, number))
    return content


def hurt(directory: Path, rng: random.Random) -> str:
    """Flip a byte or two of one file, or cut it short; says what was done."""
    paths = sorted(path for path in directory.iterdir() if path.stat().st_size)
    # By size, so that most of it happens where most of the data is, but nothing is spared.
    path = rng.choices(paths, [path.stat().st_size + 20_000 for path in paths])[0]
    content = bytearray(path.read_bytes())
    if rng.random() < 0.2:
        length = rng.randrange(len(content))
        path.write_bytes(content[:length])
        return f"{path.name} cut to {length} of {len(content)}"
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 16])):
        # The head of a file decides how all the rest is read.
        place = rng.randrange(min(4_096, len(content)) if rng.random() < 0.2 else len(content))
        mask = rng.choice([1 << rng.randrange(8), rng.randrange(1, 256)])
        content[place] ^= mask
        done.append(f"{place}^{mask}")
    path.write_bytes(content)
    return f"{path.name} {' '.join(done)}"


def verdict(directory: Path, content: Content) -> str:
    """``right``, ``reported``, or what is wrong."""
    try:
        with opened(directory) as backends:
            wrong = ""
            try:
                wrong = _difference(backends, content)
            finally:
                problems = backends.problems()
    except (ConfigurationError, BackendError):
        return "reported"
    if wrong:
        return "reported" if problems else wrong
    return "right"


def _difference(backends: FileBackends, content: Content) -> str:
    found = [(each.position, each.activity) for each in everything(backends)]
    if found != content.activities:
        return f"{len(found)} activities were read, not the {len(content.activities)} stored"
    for person_id, person in content.people.items():
        if backends.people.get(person_id) != person:
            return f"{person_id} is {backends.people.get(person_id)}"
        for identifier in person.identifiers:
            if backends.people.find([identifier]) != person:
                return f"{identifier} finds {backends.people.find([identifier])}"
        if len(backends.journal.of(person_id)) != EACH:
            return f"{person_id} has {len(backends.journal.of(person_id))} activities"
    return ""


def main(directory: str, trials: str, seed: str) -> None:
    """Hurt so many copies."""
    rng = random.Random(seed)
    template, place = Path(directory) / "whole", Path(directory) / "hurt"
    content = fill(template)
    findings = [] if (whole := verdict(template, content)) == "right" else [f"unhurt: {whole}"]
    with opened(template) as backends:
        findings += backends.problems()
    shutil.copytree(template, place)
    with opened(place) as backends:
        backends.journal.erase(next(iter(content.people)))
    if verdict(place, content) in ("right", "reported"):
        findings.append("activities were taken away without a trace, and nothing noticed")
    tally: Counter[str] = Counter()
    for _ in range(int(trials)):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(template, place)
        done = hurt(place, rng)
        try:
            what = verdict(place, content)
        except Exception as error:  # noqa: BLE001  # anything but our own errors is a finding
            what = f"{type(error).__name__}: {error}"
        if what not in ("right", "reported"):
            findings.append(f"{done}: {what}")
            what = "wrong"
        tally[what] += 1
    counted = {name: tally[name] for name in ("right", "reported", "wrong")}
    finish(findings, trials=trials, **counted, seed=seed)


if __name__ == "__main__":
    program(main)
