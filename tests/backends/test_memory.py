"""What memory promises beyond the contracts: bounds, and life after fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ortto_capture import Person, StorageFull
from ortto_capture.backends.memory import MemoryJournal, MemoryOutcomes, MemoryPeople
from ortto_capture.limiting import FixedWindows
from ortto_capture.model import Activity, Charge, Identifier, Outcome, Quota

from ..services import PATIENCE, ROOT, campaign

NOW = 1_795_392_000.0
DAY, HOUR = 86_400, 3_600


def activity(event_id: str, at: float = NOW) -> Activity:
    return Activity(event_id, "act:cm:login", "person", {}, "", "claimed", at, at, False)


def charge(number: int, amount: int = 2, seconds: int = DAY) -> Charge:
    return Charge(number.to_bytes(16, "big"), Quota(amount, seconds))


def person(name: str) -> Person:
    return Person(name, (Identifier("ei", name),), None, None, "claimed", NOW)


def test_a_full_limiter_refuses_new_keys_as_storage_full_and_counts_the_others_right() -> None:
    limiter = FixedWindows(capacity=3)
    for number in range(3):
        assert limiter.acquire([charge(number)], NOW) is None

    for _ in range(2):
        with pytest.raises(StorageFull):
            limiter.acquire([charge(0), charge(3)], NOW)

    assert limiter.acquire([charge(0)], NOW) is None, "what the refused call took is given back"
    assert limiter.acquire([charge(0)], NOW) is not None
    assert len(limiter) == 3


def test_a_full_limiter_drops_ended_windows_before_it_refuses() -> None:
    limiter = FixedWindows(capacity=2)
    limiter.acquire([charge(0, seconds=HOUR)], NOW)
    limiter.acquire([charge(1, seconds=HOUR)], NOW)

    assert limiter.acquire([charge(2, seconds=DAY)], NOW + HOUR) is None
    assert len(limiter) == 1


def test_windows_are_dropped_whole_once_the_next_but_one_begins() -> None:
    limiter = FixedWindows()
    for number in range(100):
        limiter.acquire([charge(number, seconds=HOUR)], NOW)
    limiter.acquire([charge(0, seconds=HOUR)], NOW + HOUR)
    before = len(limiter)
    limiter.acquire([charge(0, seconds=HOUR)], NOW + 2 * HOUR)

    assert (before, len(limiter)) == (101, 2)


def test_released_keys_are_gone() -> None:
    limiter = FixedWindows()
    limiter.acquire([charge(0), charge(1)], NOW)
    limiter.acquire([charge(0)], NOW)
    limiter.release([charge(0), charge(1)], NOW)

    assert len(limiter) == 1


def test_a_key_charged_twice_in_one_call_counts_twice_or_not_at_all() -> None:
    limiter = FixedWindows()

    assert limiter.acquire([charge(0), charge(0), charge(0)], NOW) is not None
    assert len(limiter) == 0
    assert limiter.acquire([charge(0), charge(0)], NOW) is None
    assert limiter.acquire([charge(0)], NOW) is not None


def test_the_last_person_fits_and_the_next_is_storage_full() -> None:
    people = MemoryPeople(capacity=2)
    people.save(person("a"))
    people.save(person("b"))

    for _ in range(2):
        with pytest.raises(StorageFull, match=r"2 people .*capacity"):
            people.save(person("c"))

    assert people.save(person("a")._replace(first="A")).first == "A"
    assert len(people) == 2


def test_the_ring_forgets_its_oldest_and_their_event_ids() -> None:
    journal = MemoryJournal(capacity=3)
    for number in range(3):
        journal.append(activity(f"e{number}"))
    assert journal.append(activity("e0")) is None

    journal.append(activity("e3"))

    assert [each.event_id for each in journal.after("")] == ["e1", "e2", "e3"]
    assert [each.event_id for each in journal.after("1")] == ["e1", "e2", "e3"], "no gap stops it"
    assert [each.event_id for each in journal.after("2")] == ["e2", "e3"]
    again = journal.append(activity("e0"))
    assert again is not None
    assert again.position == 5, "de-duplication lasts as long as the ring"


def test_an_event_id_that_was_stored_again_is_remembered_after_the_first_is_forgotten() -> None:
    journal = MemoryJournal(capacity=2)
    later = NOW + 8 * DAY
    journal.append(activity("e0"))
    journal.append(activity("e0", later))
    journal.append(activity("e1", later))

    assert journal.find(activity("e0", later)) is not None
    assert journal.append(activity("e0", later)) is None


def test_outcomes_keep_the_latest_refused(subject: MemoryOutcomes) -> None:
    assert [each.reason for each in subject.refused()] == ["r3", "r4"]
    assert subject.counts() == {"not-found": 5}


@pytest.fixture
def subject() -> MemoryOutcomes:
    outcomes = MemoryOutcomes(capacity=2)
    for number in range(5):
        outcomes.note(Outcome("not-found", NOW, "activity", f"r{number}"))
    return outcomes


def test_a_child_forked_while_other_threads_work_never_hangs() -> None:
    """In a process without coverage, whose own lock a fork under threads can leave locked."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.backends.forks"]
    times = str(campaign(40))
    patience = PATIENCE * 3 * campaign(1)

    subprocess.run([*command, times], check=True, cwd=ROOT, env=plain, timeout=patience)


def test_a_child_can_use_what_its_parent_was_using() -> None:
    limiter = FixedWindows()
    child = os.fork()
    if child == 0:
        # Nothing of pytest may run here.
        status = 1
        try:
            status = 0 if limiter.acquire([charge(0)], NOW) is None else 2
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert len(limiter) == 0, "each process counts alone"
