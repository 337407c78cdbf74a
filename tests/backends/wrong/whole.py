"""Mistakes of whole ``Backends``: in deciding over several ports, and in erasing a person."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from secrets import token_bytes
from typing import Any, TypeVar

from ortto_capture.errors import BackendError
from ortto_capture.model import Activity, Captured, Charge, Full, Person

from ..dicts import (
    DictBackends,
    DictJournal,
    DictLimiter,
    DictPeople,
    DictPort,
    Erasable,
)
from . import unlocked, wrong
from .people import keeps_identifiers

T = TypeVar("T")


def decides_unlocked(self: DictBackends, decide: Callable[[], T]) -> T:
    result = decide()
    time.sleep(0.0005)
    return result


def answers_none(self: DictBackends, decide: Callable[[], T]) -> T | None:
    try:
        return DictBackends.atomically(self, decide)
    except LookupError:
        return None


def wraps(self: DictBackends, decide: Callable[[], T]) -> T:
    try:
        return DictBackends.atomically(self, decide)
    except LookupError as error:
        raise BackendError("the decision failed") from error


def runs_on_another_thread(self: DictBackends, decide: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(DictBackends.atomically(self, decide))
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    if threading.current_thread().name == "writer":
        return DictBackends.atomically(self, decide)
    thread = threading.Thread(target=run, name="writer")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def commits_each(self: DictBackends, decide: Callable[[], T]) -> T:
    """What an inner decision stored stays, whatever becomes of the outer one."""
    kept = self.people.own.setdefault("kept", [])
    try:
        result = DictBackends.atomically(self, decide)
    except LookupError:
        for medium, was in kept:
            medium.rows.update(was.rows)
        raise
    kept[:] = self.snapshot()
    return result


def undoes_only(port: str) -> Any:
    def undo(self: DictBackends, before: list[Any]) -> None:
        medium = getattr(self, port).medium
        DictBackends.undo(self, [each for each in before if each[0] is medium])

    return undo


def first_of(*steps: str) -> Any:
    """Takes the steps of ``record`` in this order."""

    def taken(
        self: DictBackends, activity: Activity, charges: Sequence[Charge], people: Sequence[Person]
    ) -> Captured | Full | None:
        for step in steps:
            if step == "known" and not people and not self.knows(activity):
                return None
            if step == "repeated" and (first := self.repeated(activity)):
                return first
            if step == "charge" and (full := self.charge(charges, activity)):
                return full
            if step == "save" and not self.saved(people):
                self.give_back(charges, activity)
                return None
        return self.journal.append(activity)

    return taken


def fails_twice(self: DictBackends) -> None:
    if self.people.closed:
        raise RuntimeError("closed already")
    DictBackends.close(self)


def opens_again(self: DictPort) -> None:
    self.closed = False


def nothing_given_back(self: DictBackends, *_: object) -> None:
    """Keeps the charges."""


def mine(self: DictBackends, charges: Sequence[Charge], activity: Activity) -> Full | None:
    first: DictLimiter = self.journal.own.setdefault("limiter", DictLimiter())
    return first.acquire(charges, activity.received_at)


def marks_everything(self: DictBackends, *given: Any) -> Captured | Full | None:
    found = DictBackends.steps(self, *given)
    return found._replace(duplicate=True) if isinstance(found, Captured) else found


def stops_at_once(self: DictBackends, activities_since: float, people_since: float) -> bool:
    DictBackends.retain(self, activities_since, people_since)
    return False


mistake = partial(wrong, DictBackends)
erasing = partial(wrong, Erasable)

MISTAKES = [
    mistake("has no lock", "runs_decide_alone", atomically=decides_unlocked),
    mistake("forgets people", "durable", people={"reopened": lambda self: DictPeople()}),
    mistake("forgets charges", "durable", limiter={"reopened": lambda self: DictLimiter()}),
    mistake("forgets activities", "durable", journal={"reopened": lambda self: DictJournal()}),
    mistake("hides what was raised", "raises_is_raised", atomically=answers_none),
    mistake("wraps what was raised", "raises_is_raised", atomically=wraps),
    mistake("undoes nothing", "is_undone", undo=lambda self, before: None),
    mistake("undoes people alone", "is_undone", undo=undoes_only("people")),
    mistake("undoes activities alone", "is_undone", undo=undoes_only("journal")),
    mistake("runs on a thread of its own", "calling_thread", atomically=runs_on_another_thread),
    mistake("commits inner decisions", "inside_another", atomically=commits_each),
    mistake(
        "charges before it looks for the event",
        "as_a_duplicate",
        steps=first_of("known", "charge", "repeated", "save"),
    ),
    mistake(
        "returns repetitions unmarked",
        "as_a_duplicate",
        repeated=lambda self, activity: self.journal.find(activity),
    ),
    mistake(
        "returns nothing for a repetition",
        "as_a_duplicate",
        steps=first_of("known", "charge", "save"),
    ),
    mistake(
        "marks everything",
        "as_it_is_stored",
        steps=marks_everything,
    ),
    mistake(
        "charges twice",
        "as_it_is_stored",
        charge=lambda self, charges, activity: DictBackends.charge(
            self, [*charges, *charges[:1]], activity
        ),
    ),
    mistake(
        "hides what is vouched for",
        "vouched_for",
        repeated=lambda self, activity: next(
            (
                each._replace(duplicate=True)
                for each in self.journal.of(activity.person_id)
                if each.event_id == activity.event_id
            ),
            None,
        ),
    ),
    mistake(
        "saves people before it charges",
        "full_and_leaves_nothing",
        steps=first_of("known", "repeated", "save", "charge"),
    ),
    mistake(
        "charges one by one",
        "full_and_leaves_nothing",
        charge=lambda self, charges, activity: next(
            (
                full
                for each in charges
                if (full := DictBackends.charge(self, [each], activity)) is not None
            ),
            None,
        ),
    ),
    mistake(
        "charges by when it occurred",
        "time_the_activity_was_received",
        charge=lambda self, charges, each: self.limiter.acquire(charges, each.occurred_at),
    ),
    mistake(
        "records for people who are not stored",
        "person_is_not_stored",
        knows=lambda self, activity: True,
    ),
    mistake(
        "charges for people who are not stored",
        "person_is_not_stored",
        steps=first_of("charge", "known", "repeated", "save"),
    ),
    mistake("saves no people", "saves_people", saved=lambda self, people: True),
    mistake(
        "saves the last person",
        "saves_people",
        saved=lambda self, people: DictBackends.saved(self, people[-1:]),
    ),
    mistake(
        "saves the last person first",
        "saves_people",
        saved=lambda self, people: DictBackends.saved(self, people[::-1]),
    ),
    mistake(
        "records in spite of a conflict",
        "took_an_identifier",
        saved=lambda self, people: DictBackends.saved(self, people) or True,
    ),
    mistake("keeps the charges of a conflict", "took_an_identifier", give_back=nothing_given_back),
    mistake(
        "keeps the charges of a fault",
        "cannot_be_stored",
        give_back=nothing_given_back,
        undo=lambda self, before: None,
    ),
    mistake("charges its own limiter", "can_be_swapped", charge=mine),
    mistake(
        "decides in several steps",
        "charged_exactly",
        atomically=decides_unlocked,
        limiter={"use": unlocked, "pause": lambda self: time.sleep(0.005)},
    ),
    mistake("has a short secret", "secret", secret=lambda self: b"secret"),
    mistake("has a new secret", "secret", secret=lambda self: token_bytes(32)),
    mistake(
        "has a secret of its own",
        "secret",
        secret=lambda self: str(id(self.people)).zfill(32).encode(),
    ),
    mistake("retains everything", "retain", retain=lambda self, *since: False),
    mistake("is never done", "retain", retain=lambda self, *since: True),
    mistake("is done too soon", "retain", retain=stops_at_once),
    mistake(
        "removes what is as old as the bound",
        "retain",
        old=lambda self, each, since: each.activity.received_at <= since,
    ),
    mistake("keeps tallies", "retain", out=lambda self, hour, since: False),
    mistake(
        "removes the tally of the hour",
        "retain",
        out=lambda self, hour, since: hour <= since,
    ),
    mistake(
        "removes by the day",
        "retain",
        old=lambda self, each, since: math.floor(each.activity.received_at) < since - 86_400,
    ),
    mistake(
        "removes the verified",
        "retain",
        idle=lambda self, person, since, active: (
            person.created_at < since and person.id not in active
        ),
    ),
    mistake(
        "removes the active",
        "retain",
        idle=lambda self, person, since, active: DictBackends.idle(self, person, since, ()),
    ),
    mistake(
        "removes people who are as old as the bound",
        "retain",
        idle=lambda self, person, since, active: DictBackends.idle(self, person, since + 1, active),
    ),
    mistake(
        "leaves identifiers of the idle",
        "retain",
        people={"erase": keeps_identifiers},
    ),
    mistake("never scrubs", "scrub", scrub=lambda self: False),
    mistake("closes once", "closing", close=fails_twice),
    mistake("opens itself again", "closing", people={"drive": opens_again}),
    mistake("is never closed", "closing", close=lambda self: None),
    erasing("keeps the person", "nothing_is_left", people={"erase": lambda self, id_: 0}),
    erasing("keeps activities", "nothing_is_left", journal={"remove": lambda self, each: None}),
    erasing(
        "erases no outcomes",
        "nothing_is_left",
        outcomes={"erase": lambda self, id_: len(self.of(id_))},
    ),
    erasing(
        "erases everything",
        "others_keep",
        people={"erase": lambda self, id_: (1, self.rows.clear())[0]},
    ),
    erasing(
        "erases all activities",
        "others_keep",
        journal={"whose": lambda self, each, id_: True},
    ),
    erasing(
        "forgets every counter",
        "others_keep",
        limiter={"forget": lambda self, keys: self.rows.clear()},
    ),
    erasing(
        "counts what it holds",
        "position_is_never",
        journal={"position": lambda self: len(self.rows) + 1},
    ),
    erasing("never says no", "counters_go", limiter={"full": lambda self, charges, now: []}),
    erasing("forgets no counter", "counters_go", limiter={"forget": lambda self, keys: None}),
    erasing(
        "forgets one counter",
        "both_counters",
        limiter={"forget": lambda self, keys: DictLimiter.forget(self, sorted(keys)[:1])},
    ),
    erasing(
        "exports a page",
        "exported",
        journal={"of": lambda self, id_, cursor="", limit=100: self.after(cursor, 1)},
    ),
    erasing(
        "exports what is not theirs",
        "exported",
        journal={"whose": lambda self, each, id_: True},
    ),
    erasing(
        "erases what is not there",
        "returns_none",
        people={"find": lambda self, identifiers: Person("x", (), None, None, "claimed", 0)},
    ),
]
