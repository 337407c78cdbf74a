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
from pathlib import Path
from typing import Any, NamedTuple

from ortto_capture import BackendError, ConfigurationError, Identifier, Person

from .stage import LOGIN, account, define, everything, files, finish, opened, program

PEOPLE, EACH = 200, 2


class Content(NamedTuple):
    """All people and activities, as they were sent."""

    people: dict[str, Person]
    activities: list[tuple[str, str, dict[str, Any]]]


def fill(directory: Path) -> Content:
    """A store with everything in it, closed cleanly."""
    define(directory)
    people: dict[str, Person] = {}
    activities: list[tuple[str, str, dict[str, Any]]] = []
    with account(directory) as capture:
        for number in range(PEOPLE):
            email = f"person-{number}@emaildomain.com"
            first, last = f"First{number}", f"Last{number} {'é' * (number % 30)}"
            fields = {"email": email, "first": first, "last": last, "ei": f"external-{number}"}
            for each in range(EACH):
                note = {"txt:cm:note": f"{number} {each} " * (number % 13), "str:cm:id": email}
                event = f"event-{number}-{each}"
                stored = capture.record(None, LOGIN, note, event_id=event, person=fields)
                activities.append((event, stored.person_id, note))
            who = stored.person_id
            identifiers = (Identifier("ei", f"external-{number}"), Identifier("email", email))
            kept = files(capture).people.get(who)
            assert kept is not None
            assert set(kept.identifiers) == set(identifiers)
            people[who] = Person(who, kept.identifiers, first, last, "claimed", kept[5])
    return Content(people, activities)


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


def _difference(backends: Any, content: Content) -> str:
    found = [(each.event_id, each.person_id, each.attributes) for each in everything(backends)]
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
