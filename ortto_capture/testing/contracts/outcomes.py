"""The contract of ``ports.Outcomes``, sentence by sentence."""

from __future__ import annotations

import pytest

from ...model import Outcome
from ...ports import Outcomes
from .samples import HOUR, MIDNIGHT, PortContract, raises_backend_error, together, unique

REFUSED = Outcome("not-found", MIDNIGHT, "activity", "disabled")
PASSED = Outcome("identified", MIDNIGHT, "track")


class OutcomesContract(PortContract):
    """Override the fixture ``outcomes``: new for each test.

    It has room for 200 refused ones, for as many passed ones, and for 3,000 tallies.
    """

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

    def test_the_passed_are_bounded_and_push_out_no_refusal(self, outcomes: Outcomes) -> None:
        """Nor do refusals push them out: both are caused by strangers."""
        outcomes.note(REFUSED._replace(reason="first"))
        for number in range(3000):
            outcomes.note(PASSED._replace(field=str(number)))
        kept = outcomes.passed(limit=10_000)
        for number in range(3000):
            outcomes.note(REFUSED)
            if number == 100:
                assert outcomes.refused(limit=10_000)[0].reason == "first"

        assert 200 <= len(kept) <= 1000
        assert [each.field for each in kept] == [
            str(number) for number in range(3000 - len(kept), 3000)
        ]
        assert list(outcomes.passed(limit=10_000)) == list(kept)

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

    # -- passed

    def test_one_whose_code_is_identified_or_duplicate_is_kept_among_the_passed(
        self, outcomes: Outcomes
    ) -> None:
        """With every member as it was noted, beside its number; the others are not kept."""
        full = Outcome(
            "duplicate",
            MIDNIGHT + 0.123,
            "activity",
            "",
            "act:cm:login",
            unique(),
            notes=("dropped:overflow", "ignored:cc"),
        )
        for each in (REFUSED, full, PASSED):
            outcomes.note(each)
        for code in ("accepted", "anonymous", "opted-out", "refused"):
            outcomes.note(Outcome(code, MIDNIGHT, "activity", person_id=unique()))

        assert [each._replace(number=0) for each in outcomes.passed()] == [full, PASSED]
        assert [each._replace(number=0) for each in outcomes.refused()] == [REFUSED]

    def test_passed_returns_the_latest_numbered_above_a_number_in_order(
        self, outcomes: Outcomes
    ) -> None:
        """100 at most when it says nothing, as refused does."""
        for number in range(120):
            outcomes.note(PASSED._replace(field=str(number)))
        every = list(outcomes.passed(limit=1000))

        assert [each.field for each in every] == [str(number) for number in range(120)]
        assert list(outcomes.passed()) == every[-100:]
        assert list(outcomes.passed(0, 4)) == every[-4:]
        assert list(outcomes.passed(every[10].number, 4)) == every[-4:]
        assert list(outcomes.passed(every[117].number, 4)) == every[-2:]
        assert list(outcomes.passed(every[-1].number)) == []
        assert list(outcomes.passed(0, 0)) == []

    def test_both_are_numbered_together(self, outcomes: Outcomes) -> None:
        """In the order they were noted, so that a page shows them in one."""
        for number in range(40):
            kind = PASSED if number % 3 else REFUSED
            outcomes.note(kind._replace(field=str(number)))
            if number == 20:
                outcomes.refused()
        both = sorted([*outcomes.refused(), *outcomes.passed()], key=lambda each: each.number)

        assert [each.field for each in both] == [str(number) for number in range(40)]
        assert len({each.number for each in both}) == 40

    # -- tally

    def test_tally_returns_how_often_requests_were_refused_by_hour_activity_and_reason(
        self, outcomes: Outcomes
    ) -> None:
        """And none of those that passed; at that moment, and nothing is reset."""
        login, paid = "act:cm:login", "act:cm:paid"
        limited = Outcome("rate-limit", MIDNIGHT, "activity", "ip-limit", login)
        for each in (
            limited,
            limited._replace(at=MIDNIGHT + 0.5 * HOUR),
            limited._replace(at=MIDNIGHT + HOUR - 0.001),
            limited._replace(at=MIDNIGHT + HOUR),
            limited._replace(reason="person-limit", person_id=unique()),
            limited._replace(activity_id=paid),
            Outcome("bad-json", MIDNIGHT, "track", "not UTF-8"),
            PASSED,
            Outcome("accepted", MIDNIGHT, "activity", activity_id=login),
        ):
            outcomes.note(each)
        first = outcomes.tally(MIDNIGHT)
        outcomes.note(limited)

        expected = {
            (MIDNIGHT, login, "ip-limit"): 3,
            (MIDNIGHT + HOUR, login, "ip-limit"): 1,
            (MIDNIGHT, login, "person-limit"): 1,
            (MIDNIGHT, paid, "ip-limit"): 1,
            (MIDNIGHT, "", "not UTF-8"): 1,
        }
        assert first == expected
        assert outcomes.tally(MIDNIGHT) == expected | {(MIDNIGHT, login, "ip-limit"): 4}

    def test_tally_names_an_activity_whose_definition_was_found_and_no_other(
        self, outcomes: Outcomes
    ) -> None:
        """Else a stranger could fill it with names."""
        login = "act:cm:login"
        found = {"disabled": "not-found", "archived": "not-found", "no-session": "not-identified"}
        unknown = {"unknown-activity": "not-found", "system-id": "not-found", "x": "unknown-key"}
        for reason, code in (found | unknown).items():
            outcomes.note(Outcome(code, MIDNIGHT, "activity", reason, login))

        assert outcomes.tally(MIDNIGHT) == {
            **{(MIDNIGHT, login, reason): 1 for reason in found},
            **{(MIDNIGHT, "", reason): 1 for reason in unknown},
        }

    def test_tally_returns_the_hours_that_end_after_a_time(self, outcomes: Outcomes) -> None:
        """The hour that holds it, and those after it."""
        for hours in (-400 * 24, -2, -1, 0, 1):
            outcomes.note(REFUSED._replace(at=MIDNIGHT + hours * HOUR + 1800))

        def told(since: float) -> list[float]:
            return sorted((hour - MIDNIGHT) / HOUR for hour, _, _ in outcomes.tally(since))

        assert told(MIDNIGHT) == [0, 1]
        assert told(MIDNIGHT - 0.001) == [-1, 0, 1]
        assert told(MIDNIGHT + HOUR - 0.001) == [0, 1]
        assert told(MIDNIGHT + 2 * HOUR) == []
        assert told(0) == [-9600, -2, -1, 0, 1]

    # -- of and erase

    def test_of_returns_what_is_kept_of_this_persons_requests_in_order(
        self, outcomes: Outcomes
    ) -> None:
        """All of it, refused and passed, and of no other person's."""
        person_id, other = unique(), unique()
        for number in range(120):
            outcomes.note(REFUSED._replace(person_id=person_id, reason=f"reason {number}"))
            outcomes.note(REFUSED._replace(person_id=(other, None)[number % 2]))
        for each in (PASSED, REFUSED, PASSED):
            outcomes.note(each._replace(person_id=person_id, field="last"))
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity", person_id=person_id))

        *kept, one, two, three = outcomes.of(person_id)

        assert [each.code for each in (one, two, three)] == [
            "identified",
            "not-found",
            "identified",
        ]
        assert [each.field for each in (one, two, three)] == ["last"] * 3
        assert [each.reason for each in kept] == [
            f"reason {number}" for number in range(120 - len(kept), 120)
        ]
        assert len(kept) >= 100
        assert [*kept, two] == [
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
            outcomes.note(PASSED._replace(person_id=each, field="a", notes=("b",)))
        before, counts = [*outcomes.refused(), *outcomes.passed()], outcomes.counts()

        assert outcomes.erase(unique()) == 0
        assert outcomes.erase(person_id) == 4
        assert outcomes.erase(person_id) == 0
        assert list(outcomes.of(person_id)) == []
        assert [*outcomes.refused(), *outcomes.passed()] == [
            each._replace(person_id=None) if each.person_id == person_id else each
            for each in before
        ]
        assert len(outcomes.of(other)) == 2
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
        assert outcomes.tally(0) == {(MIDNIGHT, "", "disabled"): 80}
        assert len({each.number for each in outcomes.refused(limit=1000)}) == 80

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: Outcomes | None
    ) -> None:
        """By every method that reads; a note may be kept back, since it need not be durable."""
        if broken is not None:
            raises_backend_error(
                broken.counts,
                broken.refused,
                broken.passed,
                lambda: broken.tally(0),
                lambda: broken.of(unique()),
                lambda: broken.erase(unique()),
            )
