"""The contract of whole ``ports.Backends``: what is decided over several ports at once.

The law of this file: rows 11 to 13 of the contract's §4 hold whichever way a medium does them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import get_ident
from types import SimpleNamespace
from typing import Any, NoReturn
from uuid import uuid4

import pytest

from ...errors import BackendError
from ...model import Captured, Full, Identifier, Outcome, Person
from ...ports import Backends
from .journal import read_on
from .limiter import charge, room
from .people import person
from .samples import DAY, HOUR, MIDNIGHT, activity, changed, together, unique


def fail(*_: object) -> NoReturn:
    """Fail as a port does."""
    raise BackendError("the medium is away") from OSError()


class BackendsContract:
    """Override the fixture ``backends``, and say what its medium can do."""

    #: What a decision stored before it raised is undone.
    rolls_back = False
    #: Old activities and people are removed by ``retain``.
    retains = False
    #: Something is opened, so that nothing can be used once it was closed.
    closes = False

    @pytest.fixture
    def backends(self) -> Backends:
        """The backends under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def reopen(self, backends: Backends) -> Callable[[], Backends]:
        """Opens the same medium again; by default the backends that are open."""
        return lambda: backends

    @pytest.fixture
    def known(self, backends: Backends) -> Person:
        """A person who is stored."""
        return backends.people.save(person(("email", unique())))

    # -- atomically

    def test_atomically_runs_decide_alone(self, backends: Backends) -> None:
        """A thread that reads and writes is not interrupted by another one that does."""
        one = backends.people.save(person(("ei", unique()), first="0"))

        def count() -> str:
            current = backends.people.get(one.id)
            assert current is not None
            time.sleep(0.001)  # room for another thread, were there no lock
            number = str(int(current.first or 0) + 1)
            backends.people.save(current._replace(first=number))
            return number

        numbers = together(8, lambda: [backends.atomically(count) for _ in range(5)])

        flat = [int(number) for some in numbers for number in some]
        assert sorted(flat) == list(range(1, 41))

    def test_what_decide_stored_is_durable_when_its_result_is_returned(
        self, backends: Backends, reopen: Callable[[], Backends]
    ) -> None:
        """In every port, and read by others as well."""
        one, event, quota = person(("ei", unique())), activity(), charge(2, DAY)

        def decide() -> Captured | None:
            assert backends.people.save(one) == one
            assert backends.people.find(one.identifiers) == one
            assert backends.limiter.acquire([quota], MIDNIGHT) is None
            return backends.journal.append(event)

        captured = backends.atomically(decide)

        assert captured is not None
        assert captured.activity == event
        for each in (backends, reopen()):
            assert each.people.get(one.id) == one
            assert each.journal.find(event) == captured
        assert room(reopen().limiter, quota, MIDNIGHT) == 1

    def test_what_decide_raises_is_raised(self, backends: Backends) -> None:
        """Whatever it is, and the next decision goes on."""

        def decide() -> None:
            raise LookupError("a reason of its own")

        for _ in range(2):
            with pytest.raises(LookupError, match="a reason of its own"):
                backends.atomically(decide)
        assert backends.atomically(lambda: 1) == 1

    def test_what_decide_raises_is_undone_where_the_medium_can(self, backends: Backends) -> None:
        """People, charges and activities alike."""
        if not self.rolls_back:
            return
        one, event, quota = person(("ei", unique())), activity(), charge(1, DAY)

        def decide() -> None:
            backends.people.save(one)
            backends.limiter.acquire([quota], MIDNIGHT)
            backends.journal.append(event)
            raise LookupError

        with pytest.raises(LookupError):
            backends.atomically(decide)

        assert backends.people.get(one.id) is None
        assert backends.people.find(one.identifiers) is None
        assert backends.journal.find(event) is None
        assert room(backends.limiter, quota, MIDNIGHT) == 1

    def test_decide_runs_on_the_calling_thread(self, backends: Backends) -> None:
        """However many decide at once."""
        pairs = together(8, lambda: [(get_ident(), backends.atomically(get_ident))] * 3)

        assert all(caller == runner for some in pairs for caller, runner in some)

    def test_inside_another_decide_it_is_a_part_of_that_one(self, backends: Backends) -> None:
        """It sees what that one stored, and is undone with it."""
        one, event = person(("ei", unique())), activity()

        def inner() -> Captured | None:
            assert backends.people.get(one.id) == one
            return backends.journal.append(event)

        def outer() -> None:
            backends.people.save(one)
            assert backends.atomically(inner) is not None
            raise LookupError

        with pytest.raises(LookupError):
            backends.atomically(outer)
        assert (backends.journal.find(event) is None) is self.rolls_back

    # -- record

    def test_record_returns_the_activity_as_it_is_stored(
        self, backends: Backends, known: Person, reopen: Callable[[], Backends]
    ) -> None:
        """And charges for it once."""
        event = activity(person_id=known.id, attributes={"str:cm:a": "x"}, source="shop")
        quotas = [charge(2, DAY), charge(3, HOUR)]

        captured = backends.record(event, quotas)

        assert isinstance(captured, Captured)
        assert captured == Captured(captured.position, captured.cursor, event)
        assert list(reopen().journal.latest(1)) == [captured]
        assert [room(backends.limiter, each, MIDNIGHT) for each in quotas] == [1, 2]

    def test_record_returns_the_event_that_was_there_before_as_a_duplicate(
        self, backends: Backends, known: Person
    ) -> None:
        """It is not stored again, and neither charged nor refused for a full quota."""
        event = activity(person_id=known.id, attributes={"str:cm:a": "first"})
        quota = charge(1, DAY)
        first = backends.record(event, [quota])
        again = event._replace(attributes={}, received_at=MIDNIGHT + 60)

        assert isinstance(first, Captured)
        assert backends.record(again, [quota]) == first._replace(duplicate=True)
        other = charge(1, DAY)
        assert backends.record(again, [other]) == first._replace(duplicate=True)
        assert room(backends.limiter, other, MIDNIGHT) == 1
        assert list(backends.journal.of(known.id)) == [first]

    def test_record_tells_what_was_claimed_from_what_was_vouched_for(
        self, backends: Backends, known: Person
    ) -> None:
        """One event id, both stored."""
        claimed = activity(person_id=known.id)
        verified = changed(claimed, assurance="verified")

        for event in (claimed, verified):
            captured = backends.record(event, [])
            assert isinstance(captured, Captured)
            assert not captured.duplicate
        assert len(backends.journal.of(known.id)) == 2

    def test_record_returns_the_quota_that_is_full_and_leaves_nothing_behind(
        self, backends: Backends, known: Person
    ) -> None:
        """No row, no charge of the others, no person."""
        full, other = charge(1, DAY), charge(2, HOUR)
        new = person(("ei", unique()))
        backends.record(activity(person_id=known.id), [full])
        before = list(backends.journal.latest(1))

        refused = activity(person_id=known.id)
        assert backends.record(refused, [other, full]) == Full(full, DAY)
        created = activity(person_id=new.id)
        assert backends.record(created, [other, full], [new]) == Full(full, DAY)

        assert backends.journal.find(refused) is None
        assert backends.journal.find(created) is None
        assert list(backends.journal.latest(1)) == before
        assert backends.people.get(new.id) is None
        assert backends.people.find(new.identifiers) is None
        assert room(backends.limiter, other, MIDNIGHT) == 2

    def test_the_quota_that_is_full_is_told_at_the_time_the_activity_was_received(
        self, backends: Backends, known: Person
    ) -> None:
        """Not at the time it occurred."""
        quota = charge(1, HOUR)
        for hours in range(3):
            received = MIDNIGHT + hours * HOUR + 600
            made = [
                activity(person_id=known.id, received_at=received, occurred_at=MIDNIGHT)
                for _ in range(2)
            ]
            assert isinstance(backends.record(made[0], [quota]), Captured)
            assert backends.record(made[1], [quota]) == Full(quota, HOUR - 600)

    def test_record_returns_none_when_its_person_is_not_stored(self, backends: Backends) -> None:
        """And leaves nothing behind: no activity of an erased person, no charge."""
        event, quota = activity(), charge(1, DAY)

        assert backends.record(event, [quota]) is None
        assert backends.journal.find(event) is None
        assert room(backends.limiter, quota, MIDNIGHT) == 1

    def test_record_saves_people_in_the_same_step(
        self, backends: Backends, known: Person, reopen: Callable[[], Backends]
    ) -> None:
        """One who is changed and one who is new, the last of them the activity's own."""
        changed_one = known._replace(first="John", identifiers=())
        new = person(*known.identifiers, ("ei", unique()), assurance="verified")
        event = activity(person_id=new.id)

        captured = backends.record(event, [charge(1, DAY)], [changed_one, new])

        assert isinstance(captured, Captured)
        for each in (backends, reopen()):
            assert each.people.get(known.id) == changed_one
            assert each.people.get(new.id) == new
            assert each.people.find(known.identifiers) == new
            assert list(each.journal.of(new.id)) == [captured]

    def test_record_returns_none_when_another_person_took_an_identifier_meanwhile(
        self, backends: Backends, known: Person
    ) -> None:
        """And leaves nothing behind: neither the newcomer nor the activity nor a charge."""
        new = person(("ei", unique()), *known.identifiers)
        event, quota = activity(person_id=new.id), charge(1, DAY)

        assert backends.record(event, [quota], [new]) is None

        assert backends.people.get(new.id) is None
        assert backends.people.find(new.identifiers[:1]) is None
        assert backends.people.find(known.identifiers) == known
        assert backends.journal.find(event) is None
        assert room(backends.limiter, quota, MIDNIGHT) == 1

    def test_record_leaves_nothing_behind_when_the_activity_cannot_be_stored(
        self, backends: Backends, known: Person
    ) -> None:
        """The fault is raised and the charges are given back, on whatever medium they are."""
        event, quota = activity(person_id=known.id), charge(1, DAY)
        journal: Any = SimpleNamespace(find=backends.journal.find, append=fail)
        failing = replace(backends, journal=journal)

        for _ in range(2):
            with pytest.raises(BackendError):
                failing.record(event, [quota])

        assert backends.journal.find(event) is None
        assert room(backends.limiter, quota, MIDNIGHT) == 1
        assert isinstance(backends.record(event, []), Captured)

    def test_one_port_can_be_swapped(self, backends: Backends, known: Person) -> None:
        """What is recorded then is charged there."""
        full = Full(charge(1, DAY), 1)
        limiter: Any = SimpleNamespace(acquire=lambda *_: full)
        swapped = replace(backends, limiter=limiter)

        assert swapped.record(activity(person_id=known.id), [charge(1, DAY)]) == full
        assert swapped.people.get(known.id) == known
        assert isinstance(backends.record(activity(person_id=known.id), []), Captured)

    def test_threads_are_charged_exactly_and_each_event_is_stored_once(
        self, backends: Backends, known: Person
    ) -> None:
        """Ten may; sixteen threads try, each event twice."""
        quota = charge(10, DAY)

        def twice() -> list[Captured | Full | None]:
            event = activity(person_id=known.id)
            return [backends.record(event, [quota]) for _ in range(2)]

        answers = [each for some in together(16, twice) for each in some]

        stored = [each for each in answers if isinstance(each, Captured)]
        assert sum(not each.duplicate for each in stored) == 10
        assert sum(each.duplicate for each in stored) == 10
        assert sum(isinstance(each, Full) for each in answers) == 12
        assert len(backends.journal.of(known.id)) == 10
        assert room(backends.limiter, quota, MIDNIGHT) == 0

    def test_threads_that_record_for_one_new_person_store_them_once(
        self, backends: Backends
    ) -> None:
        """One of them creates the person; the others are told to look again."""
        address = Identifier("email", unique())

        def create() -> Captured | Full | None:
            new = person(address)
            return backends.record(activity(person_id=new.id), [], [new])

        for _round in range(5):
            address = Identifier("email", unique())
            answers = together(6, create)
            [captured] = [each for each in answers if each is not None]
            assert isinstance(captured, Captured)
            winner = backends.people.find([address])
            assert winner is not None
            assert winner.id == captured.person_id

    # -- secret, retain, scrub, close

    def test_secret_is_none_or_at_least_32_bytes_the_same_for_every_process(
        self, backends: Backends, reopen: Callable[[], Backends]
    ) -> None:
        """A new one would end every session."""
        secret = backends.secret()

        assert secret is None or len(secret) >= 32
        assert backends.secret() == secret
        assert reopen().secret() == secret

    def test_retain_removes_what_is_older_in_bounded_batches(self, backends: Backends) -> None:
        """Activities, and claimed people who have none, with their identifiers; all else stays."""
        old, new = MIDNIGHT - 400 * DAY, MIDNIGHT
        people = {
            name: backends.people.save(
                person(("ei", unique()), created_at=created, assurance=assurance)
            )
            for name, created, assurance in (
                ("idle", old, "claimed"),
                ("idle too", new - 0.001, "claimed"),
                ("idle since the border", new, "claimed"),
                ("verified", old, "verified"),
                ("active", old, "claimed"),
            )
        }
        activities = {
            received: backends.journal.append(
                activity(person_id=people["active"].id, occurred_at=received, received_at=received)
            )
            for received in (old, new - 0.001, new, new + 60)
        }

        outcomes = backends.outcomes
        for hours in (-400 * 24, -1, 0):
            if outcomes is not None:
                outcomes.note(Outcome("bad-json", new + hours * HOUR, "track", "not UTF-8"))
                assert (new + hours * HOUR, "", "not UTF-8") in outcomes.tally(0)

        batches = 0
        while backends.retain(new, new):
            batches += 1
            assert batches < 1000, "there is always more"

        kept = [each.activity.received_at for each in backends.journal.of(people["active"].id)]
        assert kept == [each for each in activities if each >= new or not self.retains]
        for name in ("idle", "idle too"):
            idle = people[name]
            successor = person(*idle.identifiers)
            removed = self.retains
            assert backends.people.get(idle.id) == (None if removed else idle), name
            assert backends.people.find(idle.identifiers) == (None if removed else idle), name
            assert backends.people.save(successor) == (successor if removed else idle), name
        for name in ("idle since the border", "verified", "active"):
            assert backends.people.get(people[name].id) == people[name], name
        for one in read_on(backends.journal, "", 1000):
            assert one.activity.received_at >= new or not self.retains
        if outcomes is not None:
            assert len(outcomes.tally(0)) == (1 if self.retains else 3)
            assert len(outcomes.refused()) == 3, "as it is bounded anyway"

    def test_scrub_says_whether_nothing_is_left(self, backends: Backends, known: Person) -> None:
        """After an erasure, with no reader in between."""
        backends.journal.append(activity(person_id=known.id))

        def erase() -> None:
            backends.bury(known.id, [uuid4().bytes])
            backends.journal.erase(known.id)
            backends.people.erase(known.id)

        backends.atomically(erase)

        assert backends.scrub() is True

    def test_closing_twice_is_fine_and_using_it_afterwards_is_a_backend_error(
        self, backends: Backends, known: Person
    ) -> None:
        """Of backends that open something; nothing opens itself again."""
        with backends as entered:
            assert entered is backends
        backends.close()

        if self.closes:
            for call in (
                lambda: backends.people.get(known.id),
                backends.journal.latest,
                lambda: backends.limiter.acquire([charge(1, DAY)], MIDNIGHT),
                lambda: backends.record(activity(person_id=known.id), []),
                lambda: backends.atomically(lambda: None),
            ):
                with pytest.raises(BackendError):
                    call()
