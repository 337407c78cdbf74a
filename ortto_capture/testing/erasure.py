"""What erasing and exporting promise, one test for each sentence of their ports' docstrings.

The law of this file: it asks ``Capture``, which is who people ask, and looks at the ports only to
see what is left.
"""

from __future__ import annotations

import pytest

from ..capture import Capture
from ..errors import NotIdentified, RateLimited
from ..model import Definition
from ..ports import Backends, DefinitionEditor, Timeline
from ..settings import Settings
from .contracts import unique
from .fakes import FakeClock


class ErasureContract:
    """Override the fixture ``backends``: all ports, that can erase; definitions are an editor."""

    @pytest.fixture
    def backends(self) -> Backends:
        """The backends under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def activity(self, backends: Backends) -> str:
        """An activity that websites may send, three times a day."""
        definition = Definition(
            f"act:cm:{unique()}", "Paid", client_side=True, limits={"person": "3/day"}
        )
        assert isinstance(backends.definitions, DefinitionEditor)
        backends.definitions.put(definition)
        return definition.id

    @pytest.fixture
    def capture(self, backends: Backends) -> Capture:
        """An account on them."""
        return Capture(
            backends=backends,
            settings=Settings(secret_keys=["an example secret of more than 32 bytes"]),
            clock=FakeClock(),
        )

    def test_everything_about_a_person_is_exported(self, capture: Capture, activity: str) -> None:
        """And nothing about anybody else."""
        address, ei = f"{unique()}@emaildomain.com", unique()
        session = capture.identify(email=address, ei=ei, first="John", last="Apple").session
        other = capture.identify(email=f"{unique()}@emaildomain.com").session
        events = [capture.record(each, activity).event_id for each in (session, other, session)]

        exported = capture.export(address)

        assert exported is not None
        person = exported["person"]
        assert (person["first"], person["last"]) == ("John", "Apple")
        assert {each["value"] for each in person["identifiers"]} == {address, ei}
        assert [each["event_id"] for each in exported["activities"]] == [events[0], events[2]]

    def test_a_timeline_is_read_in_pages(
        self, capture: Capture, backends: Backends, activity: str
    ) -> None:
        """In order, each page following the one before."""
        address = f"{unique()}@emaildomain.com"
        session = capture.identify(email=address).session
        wanted = [capture.record(session, activity).position for _ in range(3)]
        person = capture.person(address)
        assert person is not None
        assert isinstance(backends.journal, Timeline)

        first = backends.journal.of(person.id, limit=2)
        second = backends.journal.of(person.id, after=first[-1].position)

        assert [each.position for each in [*first, *second]] == wanted
        assert backends.journal.of(unique()) == []

    def test_nothing_is_left_of_an_erased_person(
        self, capture: Capture, backends: Backends, activity: str
    ) -> None:
        """Neither the person, nor what they did, nor a session that still works."""
        address, ei = f"{unique()}@emaildomain.com", unique()
        session = capture.identify(email=address, ei=ei).session
        captured = capture.record(session, activity)

        erased = capture.erase(address)

        assert erased is not None
        assert erased.activities == 1
        assert capture.person(address) is None
        assert capture.person(ei=ei) is None
        assert backends.people.get(captured.person_id) is None
        assert captured not in backends.journal.recent()
        found = backends.journal.find(captured.person_id, activity, captured.event_id, 0)
        assert found is None
        with pytest.raises(NotIdentified):
            capture.record(session, activity)

    def test_others_keep_what_is_theirs(
        self, capture: Capture, backends: Backends, activity: str
    ) -> None:
        """Their activities are read on, past the gap."""
        addresses = [f"{unique()}@emaildomain.com" for _ in range(3)]
        sessions = [capture.identify(email=address).session for address in addresses]
        rows = [capture.record(session, activity) for session in sessions]

        capture.erase(addresses[1])

        assert capture.person(addresses[0]) is not None
        after = backends.journal.recent(after=rows[0].position, limit=1)
        assert [row.position for row in after] == [rows[2].position]

    def test_a_position_is_never_given_twice(self, capture: Capture, activity: str) -> None:
        """Not even when the last one was erased."""
        address = f"{unique()}@emaildomain.com"
        erased = capture.record(capture.identify(email=address).session, activity)
        capture.erase(address)

        later = capture.record(capture.identify(email=address).session, activity)

        assert later.position > erased.position

    def test_counters_go_with_the_person(self, capture: Capture, activity: str) -> None:
        """Whoever comes back is somebody new, with quotas of their own."""
        address = f"{unique()}@emaildomain.com"
        session = capture.identify(email=address).session
        for _ in range(3):
            capture.record(session, activity)
        with pytest.raises(RateLimited):
            capture.record(session, activity)
        before = capture.person(address)
        capture.erase(address)

        again = capture.identify(email=address).session

        assert capture.person(address) != before
        for _ in range(3):
            capture.record(again, activity)

    def test_nobody_is_refused_quietly(self, capture: Capture) -> None:
        """None says that there was nobody, and erasing twice is fine."""
        address = f"{unique()}@emaildomain.com"
        capture.identify(email=address)

        assert capture.erase(address) is not None
        assert capture.erase(address) is None
        assert capture.export(address) is None
