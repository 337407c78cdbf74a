"""What a person may ask of whole ``Backends``, through ``Capture``: an export, and to be erased.

The law of this file: ``Capture`` is asked, as a host asks it, and the ports are looked at only to
see what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ...capture import Capture
from ...errors import NotIdentified, RateLimited, Refused
from ...model import Definition
from ...ports import Backends
from ...settings import Settings
from ..fakes import FakeClock
from .journal import read_on
from .samples import unique

#: How often a person may do what these tests do, in a day.
AMOUNT = 3


class ErasureContract:
    """Override the fixture ``backends``: all ports."""

    @pytest.fixture
    def backends(self) -> Backends:
        """The backends under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def reopen(self, backends: Backends) -> Callable[[], Backends]:
        """Opens the same medium again; by default the backends that are open."""
        return lambda: backends

    @pytest.fixture
    def activity(self, backends: Backends) -> str:
        """An activity that pages may send, three times a day."""
        definition = Definition(
            f"act:cm:{unique()}", "Paid", client_side=True, limits={"person": f"{AMOUNT}/day"}
        )
        backends.definitions.put(definition)
        return definition.id

    @pytest.fixture
    def capture(self, backends: Backends) -> Capture:
        """An account on them that gives every person the same id, as long as there is one."""
        person_id = unique()
        return Capture(
            backends=backends,
            settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
            clock=FakeClock(),
            new_id=lambda: person_id,
        )

    @pytest.fixture
    def others(self, backends: Backends) -> Capture:
        """The same account as another process has it, which gives every person an own id."""
        return Capture(
            backends=backends,
            settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
            clock=FakeClock(),
            new_id=unique,
        )

    @staticmethod
    def session(capture: Capture, address: str, *, verified: bool = False, **names: Any) -> str:
        """Identify, by the page's word or by the host's."""
        identity = capture.sign_identity(address) if verified else None
        session = capture.identify(email=address, identity=identity, **names).session
        assert session is not None
        return session

    @staticmethod
    def room(capture: Capture, session: str, activity: str) -> int:
        """How many more of these activities are accepted, found out by recording them."""
        for accepted in range(AMOUNT + 1):
            try:
                capture.record(session, activity, event_id=unique())
            except RateLimited:
                return accepted
        pytest.fail("the quota never gets full")

    def test_everything_about_a_person_is_exported_and_nothing_about_another(
        self, others: Capture, activity: str
    ) -> None:
        """The person, what they did, and what they were refused."""
        address = f"{unique()}@emaildomain.com"
        session = self.session(others, address, first="John", last="Apple")
        other = self.session(others, f"{unique()}@emaildomain.com")
        events = [others.record(each, activity).event_id for each in (session, other, session)]

        exported = others.export(address)

        assert exported is not None
        person = exported["person"]
        assert (person["first"], person["last"]) == ("John", "Apple")
        assert [each["value"] for each in person["identifiers"]] == [address]
        assert [each["event_id"] for each in exported["activities"]] == [events[0], events[2]]

    def test_nothing_is_left_of_an_erased_person(
        self,
        others: Capture,
        backends: Backends,
        reopen: Callable[[], Backends],
        activity: str,
    ) -> None:
        """Neither the person, nor what they did, nor a session that still works."""
        address, ei = f"{unique()}@emaildomain.com", unique()
        identity = others.sign_identity(address, ei=ei)
        session = others.identify(identity=identity).session
        captured = others.record(session, activity)
        with pytest.raises(Refused):
            others.record(session, activity, {"str:cm:unknown": "x"})
        person_id = captured.person_id

        erased = others.erase(address)

        assert erased is not None
        assert erased.activities == 1
        assert others.person(address) is None
        assert others.person(ei=ei) is None
        for each in (backends, reopen()):
            assert each.people.get(person_id) is None
            assert list(each.journal.of(person_id)) == []
            assert all(one.person_id != person_id for one in read_on(each.journal, "", 1000))
            assert each.journal.find(captured.activity) is None
            assert each.outcomes is None or list(each.outcomes.of(person_id)) == []
        with pytest.raises(NotIdentified):
            others.record(session, activity)

    def test_others_keep_what_is_theirs(
        self, others: Capture, backends: Backends, activity: str
    ) -> None:
        """Their activities are read on, past the gap; their counters and sessions go on."""
        addresses = [f"{unique()}@emaildomain.com" for _ in range(3)]
        sessions = [self.session(others, address) for address in addresses]
        rows = [others.record(session, activity) for session in sessions]

        others.erase(addresses[1])

        assert others.person(addresses[0]) is not None
        assert others.person(addresses[2]) is not None
        [after] = backends.journal.after(rows[0].cursor, 1)
        assert after.position == rows[2].position
        assert self.room(others, sessions[0], activity) == AMOUNT - 1

    def test_a_position_is_never_given_twice(self, others: Capture, activity: str) -> None:
        """Not even when the last one was erased."""
        address = f"{unique()}@emaildomain.com"
        erased = others.record(self.session(others, address), activity)
        others.erase(address)

        later = others.record(self.session(others, address), activity)

        assert later.position > erased.position

    @pytest.mark.parametrize("verified", [False, True], ids=["claimed", "verified"])
    def test_counters_go_with_the_person(
        self, capture: Capture, activity: str, verified: bool
    ) -> None:
        """The same person id is charged from the beginning, claimed or verified."""
        address = f"{unique()}@emaildomain.com"
        session = self.session(capture, address, verified=verified)
        assert self.room(capture, session, activity) == AMOUNT
        before = capture.person(address)
        capture.erase(address)

        again = self.session(capture, address, verified=verified)

        after = capture.person(address)
        assert before is not None
        assert after is not None
        assert after.id == before.id, "else the test would show nothing"
        assert self.room(capture, again, activity) == AMOUNT

    def test_both_counters_of_one_person_go(self, capture: Capture, activity: str) -> None:
        """A person who was claimed first and verified later has two."""
        address = f"{unique()}@emaildomain.com"
        for verified in (False, True):
            session = self.session(capture, address, verified=verified)
            assert self.room(capture, session, activity) == AMOUNT
        capture.erase(address)

        for verified in (False, True):
            session = self.session(capture, address, verified=verified)
            assert self.room(capture, session, activity) == AMOUNT

    def test_erasing_a_person_who_is_not_there_returns_none(self, others: Capture) -> None:
        """So does erasing one twice."""
        address = f"{unique()}@emaildomain.com"
        assert others.erase(address) is None
        self.session(others, address)

        assert others.erase(address) is not None
        assert others.erase(address) is None
        assert others.export(address) is None
