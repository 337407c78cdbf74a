"""Mistakes of ``people``."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial

from ortto_capture.model import Identifier, Person

from ..dicts import DictPeople, Medium
from . import LOOSELY, common, forgets, lets_others_in, says_it_is_away, unlocked, wrong


def takes_the_last(self: DictPeople, identifiers: Sequence[Identifier]) -> Person | None:
    return DictPeople.find(self, list(identifiers)[::-1])


def takes_the_oldest(self: DictPeople, identifiers: Sequence[Identifier]) -> Person | None:
    people: list[Person] = list(self.rows.values())
    return next((each for each in people if set(each.identifiers) & set(identifiers)), None)


def looks_then_saves(self: DictPeople, person: Person) -> Person:
    with self.use():
        other = self.another_holder(person)
    time.sleep(0.0005)
    with self.use():
        return other or self.rows.setdefault(person.id, person)


def creates_anyway(self: DictPeople, person: Person) -> Person:
    other = self.another_holder(person)
    self.rows[person.id] = person
    return other or person


def keeps_what_is_free(self: DictPeople, person: Person) -> Person:
    """Leaves identifiers taken after a conflict."""
    other = self.another_holder(person)
    if other is not None:
        free = tuple(each for each in person.identifiers if self.holder(each) is None)
        self.rows[f"no one {person.id}"] = person._replace(identifiers=free)
        return other
    return DictPeople.save(self, person)


def takes_over(self: DictPeople, person: Person) -> Person:
    if person.id in self.rows:
        self.rows[person.id] = person
        return person
    return DictPeople.save(self, person)


def takes_over_for_the_latest(self: DictPeople, person: Person) -> Person:
    other = self.another_holder(person)
    if other is not None:
        left = tuple(each for each in other.identifiers if each not in person.identifiers)
        self.rows[other.id] = other._replace(identifiers=left)
    return DictPeople.save(self, person)


def writes_names_at_least(self: DictPeople, person: Person) -> Person:
    other = self.another_holder(person)
    if other is not None and (known := self.rows.get(person.id)):
        self.rows[person.id] = known._replace(first=person.first)
    return other or DictPeople.save(self, person)


def never_frees(self: DictPeople, person: Person) -> list[Identifier]:
    ever: list[Identifier] = self.own.setdefault(person.id, [])
    ever += person.identifiers
    return ever


def frees_all(self: DictPeople, person: Person) -> Person:
    known: Person | None = self.rows.get(person.id)
    if known and set(known.identifiers) - set(person.identifiers):
        new = tuple(each for each in person.identifiers if each not in known.identifiers)
        self.rows[person.id] = person._replace(identifiers=new)
        return person
    return DictPeople.save(self, person)


def returns_who_was_stored(self: DictPeople, person: Person) -> Person:
    before: Person | None = self.rows.get(person.id)
    saved = DictPeople.save(self, person)
    return before or saved


def keeps_identifiers(self: DictPeople, person_id: str) -> int:
    person: Person | None = self.rows.get(person_id)
    erased = DictPeople.erase(self, person_id)
    if person:
        self.rows[f"no one {person_id}"] = person._replace(
            id="", identifiers=person.identifiers[1:]
        )
    return erased


def marks_as_erased(self: DictPeople, person_id: str) -> int:
    person: Person | None = self.rows.get(person_id)
    if person:
        self.rows[person_id] = person._replace(identifiers=(), first=None, last=None)
    return int(person is not None)


def counts_identifiers(self: DictPeople, person_id: str) -> int:
    person: Person | None = self.rows.pop(person_id, None)
    return len(person.identifiers) if person else 0


def brings_back(self: DictPeople) -> DictPeople:
    again = type(self)(Medium())
    for each in self.own.get("ever", []):
        again.save(each)
    return again


def saves_and_remembers(self: DictPeople, person: Person) -> Person:
    saved = DictPeople.save(self, person)
    self.own.setdefault("ever", []).append(saved)
    return saved


mistake = partial(wrong, DictPeople)

MISTAKES = [
    *[
        mistake(
            f"compares ids {how}",
            "ids_of_people_are_compared_exactly",
            key=lambda self, id_, loose=loose: loose(id_),
        )
        for how, loose in LOOSELY.items()
    ],
    *[
        mistake(
            f"compares values {how}",
            "values_are_compared_exactly",
            identifier=lambda self, each, loose=loose: each._replace(value=loose(each.value)),
        )
        for how, loose in LOOSELY.items()
    ],
    *[
        mistake(
            f"keeps names {how}",
            "names_come_back",
            stored=lambda self, each, loose=loose: each._replace(
                first=each.first and loose(each.first), last=each.last and loose(each.last)
            ),
        )
        for how, loose in LOOSELY.items()
        if how != "without case"
    ],
    mistake(
        "compares values as patterns",
        "values_are_compared_exactly",
        identifier=lambda self, each: each.value.replace("%", "a"),
    ),
    mistake(
        "knows no kinds", "two_kinds_with_equal_values", identifier=lambda self, each: each.value
    ),
    mistake(
        "compares kinds without case",
        "two_kinds_with_equal_values",
        identifier=lambda self, each: (each.kind.lower(), each.value),
    ),
    mistake(
        "trims kinds",
        "two_kinds_with_equal_values",
        identifier=lambda self, each: (each.kind.strip(), each.value),
    ),
    mistake(
        "joins kind and value",
        "two_kinds_with_equal_values",
        identifier=lambda self, each: each.kind + each.value,
    ),
    mistake(
        "cannot encode every string", "any_string", key=lambda self, id_: id_.encode().decode()
    ),
    mistake(
        "keeps times to an eighth of a second",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(created_at=math.floor(each.created_at * 8) / 8),
    ),
    mistake(
        "keeps whole seconds",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(created_at=float(round(each.created_at))),
    ),
    mistake(
        "takes all for claimed",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(assurance="claimed"),
    ),
    mistake(
        "sorts identifiers",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(identifiers=tuple(sorted(each.identifiers))),
    ),
    mistake(
        "keeps one identifier",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(identifiers=each.identifiers[:1]),
    ),
    mistake(
        "takes no name for an empty one",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(first=each.first or "", last=each.last or ""),
    ),
    mistake(
        "takes an empty name for none",
        "get_returns_the_person",
        stored=lambda self, each: each._replace(first=each.first or None, last=each.last or None),
    ),
    mistake("takes the last that is held", "the_order_given", find=takes_the_last),
    mistake("takes who came first", "the_order_given", find=takes_the_oldest),
    mistake(
        "looks at the first identifier alone",
        "the_first_identifier_that_is_held",
        find=lambda self, identifiers: DictPeople.find(self, identifiers[:1]),
    ),
    mistake(
        "fails without identifiers",
        "the_first_identifier_that_is_held",
        find=lambda self, identifiers: identifiers[0] and DictPeople.find(self, identifiers),
    ),
    mistake(
        "finds by the first identifier they have",
        "the_first_identifier_that_is_held",
        held=lambda self, person: DictPeople.held(self, person)[:1],
    ),
    mistake(
        "does not replace",
        "save_replaces",
        save=lambda self, person: self.rows.get(person.id) or DictPeople.save(self, person),
    ),
    mistake("returns who was stored before", "save_replaces", save=returns_who_was_stored),
    mistake(
        "takes a person for their own rival",
        "changes_nothing",
        another_holder=lambda self, person: (
            next((each for each in map(self.holder, person.identifiers) if each), None)
            and person._replace(first="Other")
        ),
    ),
    mistake(
        "returns the newcomer",
        "another_person_holds",
        save=lambda self, person: DictPeople.save(self, person) and person,
    ),
    mistake("writes the newcomer too", "another_person_holds", save=creates_anyway),
    mistake("leaves an identifier taken", "another_person_holds", save=keeps_what_is_free),
    mistake(
        "looks for a rival by the first identifier",
        "another_person_holds",
        another_holder=lambda self, person: DictPeople.another_holder(
            self, person._replace(identifiers=person.identifiers[:1])
        ),
    ),
    mistake(
        "gives identifiers to the latest", "another_person_holds", save=takes_over_for_the_latest
    ),
    mistake("lets the known take over", "does_not_take_over", save=takes_over),
    mistake("writes names in a conflict", "does_not_take_over", save=writes_names_at_least),
    mistake("never frees", "free_again", held=never_frees),
    mistake("frees what is kept", "free_again", save=frees_all),
    mistake("looks, then saves", "two_threads_that_create", save=looks_then_saves),
    mistake("has no lock", "two_threads_that_create", use=unlocked, pause=lets_others_in),
    mistake("leaves identifiers of the erased", "erase_removes", erase=keeps_identifiers),
    mistake("only empties the erased", "erase_removes", erase=marks_as_erased),
    mistake("counts identifiers", "erase_returns", erase=counts_identifiers),
    mistake(
        "erases with any id",
        "erase_returns",
        erase=lambda self, id_: DictPeople.erase(self, id_) or 1,
    ),
    mistake(
        "refuses who was erased",
        "saved_again",
        erase=lambda self, id_: (
            self.own.setdefault("gone", set()).add(id_) or DictPeople.erase(self, id_)
        ),
        save=lambda self, person: (
            person if person.id in self.own.get("gone", ()) else DictPeople.save(self, person)
        ),
    ),
    mistake("forgets", "what_was_saved_is_there", reopened=forgets),
    mistake(
        "erases until it is opened again",
        "erase_removes",
        save=saves_and_remembers,
        reopened=brings_back,
    ),
    mistake("says that it is away", "storage_full", make_room=says_it_is_away),
    mistake("has no bound", "storage_full", make_room=lambda self: None),
    *common(DictPeople, "get", "find", "save", "erase"),
]
