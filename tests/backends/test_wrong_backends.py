"""Backends that are wrong on purpose: each is caught by its contract, by the test that is named."""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from ortto_capture import (
    Activity,
    Captured,
    Charge,
    Definition,
    Identifier,
    Outcome,
    Person,
    Refusal,
)
from ortto_capture.backends.memory import (
    MemoryDefinitions,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
    MemoryRateLimiter,
)


class FoldsCase(MemoryDefinitions):
    """Normalises ids, so that two activities become one."""

    def get(self, activity_id: str) -> Definition | None:
        return next((each for each in self.all() if each.id.lower() == activity_id.lower()), None)


class FoldsPeople(MemoryPeople):
    """Compares addresses as a database with a forgiving collation would."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        for kind, value in identifiers:
            for person in list(self._people.values()):
                for held in person.identifiers:
                    if (held.kind, held.value.casefold()) == (kind, value.casefold()):
                        return person
        return None


class NormalisesPeople(MemoryPeople):
    """Takes two spellings of one letter for the same."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        return super().find(
            [Identifier(kind, normalize("NFC", value)) for kind, value in identifiers]
        )


class JoinsKindAndValue(MemoryPeople):
    """Makes one text of both, without a mark between them."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        for identifier in identifiers:
            for person in list(self._people.values()):
                if "".join(identifier) in map("".join, person.identifiers):
                    return person
        return None


class TakesOver(MemoryPeople):
    """Looks for other holders when a person is new, and not when one changes."""

    def save(self, person: Person) -> Person:
        if person.id not in self._people:
            return super().save(person)
        self._people[person.id] = person
        self._holders.update(dict.fromkeys(person.identifiers, person.id))
        return person


class LooksThenSaves(MemoryPeople):
    """Two threads may both find nobody."""

    def save(self, person: Person) -> Person:
        if holder := self.find(person.identifiers):
            return holder
        time.sleep(0)  # lets another thread in, as a round trip to a database would
        self._people[person.id] = person
        self._holders.update(dict.fromkeys(person.identifiers, person.id))
        return person


class MergesPeople(MemoryPeople):
    """Gives a shared identifier to whoever came last."""

    def save(self, person: Person) -> Person:
        self._people[person.id] = person
        self._holders.update(dict.fromkeys(person.identifiers, person.id))
        return person


class CountsRefused(MemoryRateLimiter):
    """Two hits are not one decision: the first is counted though the second is refused."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        for charge in charges:
            if refusal := super().acquire([charge], now):
                return refusal
        return None


class ChecksThenCounts(MemoryRateLimiter):
    """Looks first and counts afterwards, as if nobody else were there."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        for charge in charges:
            count = self._counts(charge.quota.seconds, now).get(charge.key, 0)
            if count >= charge.quota.amount:
                return Refusal(charge, 1)
        time.sleep(0)  # lets another thread in, as a round trip to a database would
        for charge in charges:
            counts = self._counts(charge.quota.seconds, now)
            counts[charge.key] = counts.get(charge.key, 0) + 1
        return None


class CountsAKeyOnce(MemoryRateLimiter):
    """Takes the charges of one call for a set."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        return super().acquire(list(dict.fromkeys(charges)), now)


class CountsByTheDay(MemoryRateLimiter):
    """Starts its windows over at every midnight, whatever their length."""

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        longest = max(charge.quota.seconds for charge in charges)
        return super().acquire(charges, now - now // 86_400 * 86_400 % longest)


class ReleasesWhatItFinds(MemoryRateLimiter):
    """Gives back in the first window that has a charge."""

    def release(self, charges: Sequence[Charge], now: float) -> None:
        for key, quota in charges:
            for slot, counts in list(self._windows.get(quota.seconds, {}).items()):
                if key in counts:
                    super().release([Charge(key, quota)], slot * quota.seconds)
                    break


class SlidesWindows(MemoryRateLimiter):
    """Windows begin with the first charge rather than with the hour."""

    def __init__(self) -> None:
        super().__init__()
        self._since: dict[bytes, float] = {}

    def acquire(self, charges: Sequence[Charge], now: float) -> Refusal | None:
        start = min(self._since.setdefault(charge.key, now) for charge in charges)
        return super().acquire(charges, now - start)


class RepeatsItself(MemoryJournal):
    """Forgets event ids."""

    def append(self, activity: Activity) -> int | None:
        return super().append(activity._replace(event_id=f"{activity.event_id}-{len(self)}"))


class NewestFirst(MemoryJournal):
    """Reads backwards."""

    def recent(self, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        return list(super().recent(after, limit))[::-1]


class Stringly(MemoryJournal):
    """Stores values as text."""

    def append(self, activity: Activity) -> int | None:
        attributes = {key: str(value) for key, value in activity.attributes.items()}
        return super().append(activity._replace(attributes=attributes))


class IgnoresWhose(MemoryJournal):
    """Takes equal event ids of two people for one event."""

    def append(self, activity: Activity) -> int | None:
        known = {each.event_id for each in self.recent(limit=1000)}
        return None if activity.event_id in known else super().append(activity)


class FindsTheFirst(MemoryJournal):
    """Looks at the oldest row with an event id, and at no other."""

    def find(
        self, person_id: str, activity_id: str, event_id: str, since: float
    ) -> Captured | None:
        wanted = (person_id, activity_id, event_id)
        for each in self.recent(limit=1000):
            if (each.person_id, each.activity_id, each.event_id) == wanted:
                return each if each.received_at.timestamp() >= since else None
        return None


class CountsTruthAsOne(MemoryJournal):
    """Has no booleans, as a column of numbers has none."""

    def append(self, activity: Activity) -> int | None:
        attributes = {
            key: int(value) if isinstance(value, bool) else value
            for key, value in activity.attributes.items()
        }
        return super().append(activity._replace(attributes=attributes))


class LendsItsRows(MemoryJournal):
    """Keeps what it was given and hands out what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self._given: list[Activity] = []

    def append(self, activity: Activity) -> int | None:
        position = super().append(activity)
        if position is not None:
            self._given.append(activity)
        return position

    def recent(self, after: int = 0, limit: int = 100) -> Sequence[Captured]:
        found = super().recent(after, limit)
        return [Captured.at(each.position, self._given[each.position - 1]) for each in found]


class KeepsEverything(MemoryOutcomes):
    """Grows with whatever a stranger sends."""

    def __init__(self) -> None:
        super().__init__(capacity=10**9)


class CountsNotesAsCodes(MemoryOutcomes):
    """Then the codes no longer add up to the requests."""

    def note(self, outcome: Outcome) -> None:
        super().note(outcome)
        for note in outcome.notes:
            super().note(Outcome(note, outcome.at, outcome.route))


#: Contract, fixture, wrong backend, and a test that must fail.
WRONG: list[tuple[str, str, type, str]] = [
    ("DefinitionsContract", "definitions", FoldsCase, "ids_that_differ_in_case"),
    ("PeopleContract", "people", FoldsPeople, "identifiers_are_compared_exactly"),
    ("PeopleContract", "people", NormalisesPeople, "identifiers_are_compared_exactly"),
    ("PeopleContract", "people", JoinsKindAndValue, "two_kinds_with_equal_values"),
    ("PeopleContract", "people", TakesOver, "a_known_person_cannot_take_over"),
    ("PeopleContract", "people", LooksThenSaves, "two_threads_that_create"),
    ("PeopleContract", "people", MergesPeople, "somebody_else_holds"),
    ("RateLimiterContract", "limiter", CountsRefused, "none_is_counted"),
    ("RateLimiterContract", "limiter", ChecksThenCounts, "threads_share_one_count"),
    ("RateLimiterContract", "limiter", CountsAKeyOnce, "a_key_twice_in_one_call"),
    ("RateLimiterContract", "limiter", CountsByTheDay, "windows_begin_at_multiples"),
    ("RateLimiterContract", "limiter", ReleasesWhatItFinds, "in_the_window_that_holds_now"),
    ("RateLimiterContract", "limiter", SlidesWindows, "windows_begin_at_multiples"),
    ("JournalContract", "journal", RepeatsItself, "stored_once_within_7_days"),
    ("JournalContract", "journal", NewestFirst, "in_order"),
    ("JournalContract", "journal", Stringly, "equal_to_those_stored"),
    ("JournalContract", "journal", CountsTruthAsOne, "equal_to_those_stored"),
    ("JournalContract", "journal", LendsItsRows, "does_not_change_with_what_was_given"),
    ("JournalContract", "journal", IgnoresWhose, "of_another_person_or_activity"),
    ("JournalContract", "journal", FindsTheFirst, "stored_again_after_7_days"),
    ("OutcomesContract", "outcomes", KeepsEverything, "refusals_are_bounded"),
    ("OutcomesContract", "outcomes", CountsNotesAsCodes, "counted_by_code"),
]

_SUITE = """
import pytest
from ortto_capture import testing
from {module} import {backend}

class TestWrong(testing.{contract}):
    @pytest.fixture
    def {fixture}(self):
        return {backend}()
"""


class Failures:
    """Remembers which tests failed."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.names.append(report.nodeid.rpartition("::")[2])


@pytest.mark.parametrize(
    ("contract", "fixture", "backend", "caught_by"), WRONG, ids=[each[2].__name__ for each in WRONG]
)
def test_a_wrong_backend_is_caught(
    contract: str, fixture: str, backend: type[Any], caught_by: str, tmp_path: Path
) -> None:
    """By running the public contract on it, as a third party would."""
    suite = tmp_path / f"test_{backend.__name__}.py"
    suite.write_text(
        _SUITE.format(module=__name__, backend=backend.__name__, contract=contract, fixture=fixture)
    )
    failures = Failures()

    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", str(suite)], plugins=[failures])

    assert any(caught_by in name for name in failures.names), failures.names


_NOTHING = """
from ortto_capture import testing

class TestNothing(testing.{contract}):
    pass
"""


@pytest.mark.parametrize("contract", sorted({each[0] for each in WRONG}))
def test_a_contract_without_a_backend_fails(contract: str, tmp_path: Path) -> None:
    """Rather than passing because there was nothing to test."""
    suite = tmp_path / f"test_nothing_{contract}.py"
    suite.write_text(_NOTHING.format(contract=contract))
    failures = Failures()

    pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", str(suite)], plugins=[failures])

    assert len(failures.names) >= 4


def test_every_wrong_backend_says_what_is_wrong_with_it() -> None:
    assert all(inspect.getdoc(backend) for _, _, backend, _ in WRONG)
