"""Backends that are wrong on purpose: each is caught by its contract, by the test that is named."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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
        for charge in charges:
            counts = self._counts(charge.quota.seconds, now)
            counts[charge.key] = counts.get(charge.key, 0) + 1
        return None


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
    ("PeopleContract", "people", MergesPeople, "somebody_else_holds"),
    ("RateLimiterContract", "limiter", CountsRefused, "none_is_counted"),
    ("RateLimiterContract", "limiter", ChecksThenCounts, "the_longest_wait_is_named"),
    ("RateLimiterContract", "limiter", SlidesWindows, "windows_begin_at_multiples"),
    ("JournalContract", "journal", RepeatsItself, "stored_once_within_7_days"),
    ("JournalContract", "journal", NewestFirst, "in_order"),
    ("JournalContract", "journal", Stringly, "equal_to_those_stored"),
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
