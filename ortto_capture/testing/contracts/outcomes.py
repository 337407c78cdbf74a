"""The contract of ``ports.Outcomes``, sentence by sentence."""

from __future__ import annotations

import pytest

from ...model import Outcome
from ...ports import Outcomes
from .samples import MIDNIGHT, PortContract, raises_backend_error, together, unique

REFUSED = Outcome("not-found", MIDNIGHT, "activity", "disabled")


class OutcomesContract(PortContract):
    """Override the fixture ``outcomes``: new for each test, with room for 200 refused ones."""

    @pytest.fixture
    def outcomes(self) -> Outcomes:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, outcomes: Outcomes) -> Outcomes:
        """The same, as what all contracts have in common takes it."""
        return outcomes

    # -- the class

    def test_the_refused_are_bounded_and_all_are_counted(self, outcomes: Outcomes) -> None:
        """A stranger can cause any number of them; the last few hundred are kept."""
        for number in range(3000):
            outcomes.note(REFUSED._replace(reason=f"reason {number}"))
        kept = outcomes.refused(limit=10_000)

        assert 200 <= len(kept) <= 1000
        assert [each.reason for each in kept] == [
            f"reason {number}" for number in range(3000 - len(kept), 3000)
        ]
        assert outcomes.counts() == {"not-found": 3000}

    # -- note and counts

    def test_note_counts_an_outcome_by_its_code_and_each_of_its_notes(
        self, outcomes: Outcomes
    ) -> None:
        """Notes beside the codes, so that the codes add up to the requests."""
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity"))
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity", notes=("ignored:cc", "ignored:cc")))
        outcomes.note(Outcome("accepted", MIDNIGHT, "track", notes=("ignored:fs", "accepted")))
        outcomes.note(Outcome("rate-limit", MIDNIGHT, "activity", "ip-limit", notes=("a",)))

        assert outcomes.counts() == {
            "accepted": 3,
            "note:ignored:cc": 2,
            "note:ignored:fs": 1,
            "note:accepted": 1,
            "rate-limit": 1,
            "note:a": 1,
        }

    def test_counts_returns_how_often_each_code_and_each_note_was_seen(
        self, outcomes: Outcomes
    ) -> None:
        """At that moment: what was returned before does not change, and nothing is reset."""
        before = outcomes.counts()
        outcomes.note(REFUSED)
        first = outcomes.counts()
        outcomes.note(REFUSED)

        assert before == {}
        assert first == {"not-found": 1}
        assert outcomes.counts() == {"not-found": 2}
        assert outcomes.counts() == {"not-found": 2}

    def test_codes_are_compared_exactly(
        self, outcomes: Outcomes, two_strings: tuple[str, str]
    ) -> None:
        """Notes too."""
        for each in two_strings:
            outcomes.note(Outcome(each, MIDNIGHT, "activity", notes=(each,)))

        assert outcomes.counts() == {
            name: 1 for each in two_strings for name in (each, f"note:{each}")
        }

    def test_one_whose_reason_is_not_empty_is_kept_among_the_refused(
        self, outcomes: Outcomes
    ) -> None:
        """With every member as it was noted, beside its number; the others are not kept."""
        plain = Outcome("bad-request", MIDNIGHT + 0.123, "track", "no-address")
        full = Outcome(
            "bad-attribute",
            MIDNIGHT,
            "activity",
            "wrong-value é",
            "act:cm:login",
            unique(),
            "int:cm:a",
            "a whole number",
            ("dropped:overflow", "ignored:cc"),
        )
        outcomes.note(Outcome("identified", MIDNIGHT, "track"))
        outcomes.note(full)
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity", person_id=unique()))
        outcomes.note(plain)

        kept = outcomes.refused()

        assert [each._replace(number=0) for each in kept] == [full, plain]

    # -- refused

    def test_refused_are_numbered_from_1_in_the_order_they_were_noted(
        self, outcomes: Outcomes
    ) -> None:
        """Whatever number and time they came with."""
        for number in (7, 3, 0):
            outcomes.note(REFUSED._replace(number=number, at=MIDNIGHT + number, reason=str(number)))
        numbers = [each.number for each in outcomes.refused()]

        assert numbers[0] >= 1
        assert numbers == sorted(set(numbers))
        assert [each.reason for each in outcomes.refused()] == ["7", "3", "0"]

    def test_refused_returns_the_latest_numbered_above_a_number_in_order(
        self, outcomes: Outcomes
    ) -> None:
        """So that a page that shows some asks for what is new."""
        for number in range(10):
            outcomes.note(REFUSED._replace(reason=f"reason {number}"))
        every = list(outcomes.refused())

        assert [each.reason for each in every] == [f"reason {number}" for number in range(10)]
        assert list(outcomes.refused(0)) == every
        assert list(outcomes.refused(every[3].number)) == every[4:]
        assert list(outcomes.refused(every[-1].number)) == []
        assert list(outcomes.refused(every[-1].number + 1000)) == []

    def test_refused_returns_at_most_the_limit_and_those_are_the_latest(
        self, outcomes: Outcomes
    ) -> None:
        """100 when it says nothing."""
        for number in range(120):
            outcomes.note(REFUSED._replace(reason=f"reason {number}"))
        every = list(outcomes.refused(limit=1000))

        assert len(every) == 120
        assert list(outcomes.refused()) == every[-100:]
        assert list(outcomes.refused(0, 4)) == every[-4:]
        assert list(outcomes.refused(every[10].number, 4)) == every[-4:]
        assert list(outcomes.refused(every[117].number, 4)) == every[-2:]
        assert list(outcomes.refused(0, 0)) == []

    # -- of and erase

    def test_of_returns_what_is_kept_of_this_persons_refused_requests_in_order(
        self, outcomes: Outcomes
    ) -> None:
        """All of it, and of no other person's."""
        person_id, other = unique(), unique()
        for number in range(120):
            outcomes.note(REFUSED._replace(person_id=person_id, reason=f"reason {number}"))
            outcomes.note(REFUSED._replace(person_id=(other, None)[number % 2]))
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity", person_id=person_id))

        kept = list(outcomes.of(person_id))

        assert [each.reason for each in kept] == [
            f"reason {number}" for number in range(120 - len(kept), 120)
        ]
        assert len(kept) >= 100
        assert kept == [
            each for each in outcomes.refused(limit=1000) if each.person_id == person_id
        ]
        assert list(outcomes.of(unique())) == []

    def test_of_tells_people_apart_exactly(
        self, outcomes: Outcomes, two_strings: tuple[str, str]
    ) -> None:
        """So does erase."""
        one, other = two_strings
        outcomes.note(REFUSED._replace(person_id=one))

        assert list(outcomes.of(other)) == []
        assert outcomes.erase(other) == 0
        assert [each.person_id for each in outcomes.of(one)] == [one]

    def test_erase_takes_the_persons_id_off_what_is_kept_and_returns_how_many_outcomes_that_were(
        self, outcomes: Outcomes
    ) -> None:
        """Everything else of them stays, and so do the counts and other people's."""
        person_id, other = unique(), unique()
        for each in (person_id, other, None, person_id):
            outcomes.note(REFUSED._replace(person_id=each, field="a", notes=("b",)))
        before, counts = outcomes.refused(), outcomes.counts()

        assert outcomes.erase(unique()) == 0
        assert outcomes.erase(person_id) == 2
        assert outcomes.erase(person_id) == 0
        assert list(outcomes.of(person_id)) == []
        assert list(outcomes.refused()) == [
            each._replace(person_id=None) if each.person_id == person_id else each
            for each in before
        ]
        assert len(outcomes.of(other)) == 1
        assert outcomes.counts() == counts

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(self, outcomes: Outcomes) -> None:
        """No count is lost and no number is given twice, while others read and erase."""

        def ten_times() -> int:
            mine = unique()
            for _ in range(10):
                outcomes.note(REFUSED._replace(person_id=mine, notes=("a",)))
                outcomes.counts()
                outcomes.refused(limit=3)
            return outcomes.erase(mine)

        assert together(8, ten_times) == [10] * 8
        assert outcomes.counts() == {"not-found": 80, "note:a": 80}
        assert len({each.number for each in outcomes.refused(limit=1000)}) == 80

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: Outcomes | None
    ) -> None:
        """By every method that reads; a note may be kept back, since it need not be durable."""
        if broken is not None:
            raises_backend_error(
                broken.counts,
                broken.refused,
                lambda: broken.of(unique()),
                lambda: broken.erase(unique()),
            )
