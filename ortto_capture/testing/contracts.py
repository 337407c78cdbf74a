"""What each port promises, one test for each sentence of its docstring.

The law of this file: nothing is known of a backend but its port. A third party's whole test file is
a subclass with one fixture::

    class TestMyLimiter(RateLimiterContract):
        @pytest.fixture
        def limiter(self):
            return MyLimiter()

Keys, ids and addresses are new in each test, so that a backend may be shared between tests.
"""

from __future__ import annotations

import json
import sys
import threading
import unicodedata
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from ..model import (
    Activity,
    Attribute,
    Captured,
    Charge,
    Definition,
    Identifier,
    Outcome,
    Person,
    Quota,
    Refusal,
)
from ..ports import (
    DefinitionEditor,
    Definitions,
    Journal,
    Outcomes,
    People,
    RateLimiter,
)

T = TypeVar("T")

#: The beginning of a UTC day, 2026-11-23.
MIDNIGHT = 1_795_392_000.0
DAY, HOUR = 86_400, 3_600

#: Strings that somebody may ask for and no backend may trip over.
ANY_STRINGS = [
    "",
    "x" * 10_000,
    "' OR 1=1 --",
    "../../etc/passwd",
    "a/b",
    "é\N{PARTY POPPER}",
    "%s",
]


def unique() -> str:
    """A name that no other test uses."""
    return uuid4().hex


def together(threads: int, work: Callable[[], T]) -> list[T]:
    """What ``work`` returns in each of several threads that start it at once.

    They take turns every microsecond instead of every 5 ms: otherwise most calls would be over
    before another thread could interfere, and a missing lock would pass.
    """
    start = threading.Barrier(threads)

    def run() -> T:
        start.wait()
        return work()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            return [future.result() for future in [pool.submit(run) for _ in range(threads)]]
    finally:
        sys.setswitchinterval(interval)


class DefinitionsContract:
    """Override the fixture ``definitions``: an empty port that is also a ``DefinitionEditor``."""

    @pytest.fixture
    def definitions(self) -> Definitions:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def editor(self, definitions: Definitions) -> DefinitionEditor:
        """The same backend as an editor; override it when definitions come another way."""
        assert isinstance(definitions, DefinitionEditor)
        return definitions

    def test_get_returns_the_definition_with_exactly_this_id(
        self, definitions: Definitions, editor: DefinitionEditor
    ) -> None:
        """With every member equal to what was put."""
        full = Definition(
            f"act:cm:{unique()}",
            "Paid",
            client_side=True,
            attributes=[Attribute("int:cm:amount", "Amount", required=True, sensitive=True)],
            limits={"person": "20/day"},
            unknown_attributes="drop",
            icon="coin",
            archived=True,
        )
        editor.put(full)

        assert definitions.get(full.id) == full

    def test_get_returns_none_for_what_is_not_there(self, definitions: Definitions) -> None:
        """Whether or not others are."""
        assert definitions.get(f"act:cm:{unique()}") is None

    def test_ids_that_differ_in_case_or_spelling_are_different_ids(
        self, definitions: Definitions, editor: DefinitionEditor
    ) -> None:
        """As they occur on real sites: camel case, underscores, hyphens."""
        name = unique()
        editor.put(Definition(f"act:cm:donation-Received-{name}", "Donation"))

        for slug in (
            "donation-received",
            "donation_Received",
            "donationReceived",
            "donation-Received ",
        ):
            assert definitions.get(f"act:cm:{slug}-{name}") is None
        assert definitions.get(f"ACT:cm:donation-Received-{name}") is None
        assert definitions.get(f" act:cm:donation-Received-{name}") is None

    @pytest.mark.parametrize("anything", ANY_STRINGS, ids=range(len(ANY_STRINGS)))
    def test_any_string_may_be_asked_for(self, definitions: Definitions, anything: str) -> None:
        """It comes from a browser."""
        assert definitions.get(anything) is None

    def test_all_returns_every_definition_ordered_by_id_archived_ones_included(
        self, definitions: Definitions, editor: DefinitionEditor
    ) -> None:
        """Whatever the order of putting."""
        ids = [f"act:cm:{letter}-{unique()}" for letter in "bca"]
        for activity_id in ids:
            editor.put(Definition(activity_id, "X", archived=activity_id == ids[0]))

        found = [definition.id for definition in definitions.all()]

        assert [activity_id for activity_id in found if activity_id in ids] == sorted(ids)
        assert found == sorted(found)

    def test_put_replaces_and_the_next_get_sees_it(
        self, definitions: Definitions, editor: DefinitionEditor
    ) -> None:
        """One definition an id."""
        activity_id = f"act:cm:{unique()}"
        editor.put(Definition(activity_id, "Before"))
        before = definitions.get(activity_id)
        editor.put(Definition(activity_id, "After", client_side=True))
        after = definitions.get(activity_id)

        assert before is not None
        assert after is not None
        assert (before.name, after.name, after.client_side) == ("Before", "After", True)
        assert [each.id for each in definitions.all()].count(activity_id) == 1


def person(*identifiers: tuple[str, str], id_: str | None = None, **members: Any) -> Person:
    """Somebody with these identifiers."""
    made = Person(
        id_ or unique(), tuple(map(Identifier._make, identifiers)), None, None, "claimed", MIDNIGHT
    )
    return made._replace(**members)


class PeopleContract:
    """Override the fixture ``people``."""

    @pytest.fixture
    def people(self) -> People:
        """The backend under test."""
        pytest.fail("override this fixture")

    def test_get_returns_the_person_with_this_id(self, people: People) -> None:
        """With every member equal to what was saved."""
        name = unique()
        somebody = person(
            ("ei", name),
            ("email", f"{name}@example.com"),
            ("str:cm:customer", name),
            first="Zoë",
            last="O'Neill",
            assurance="verified",
            created_at=MIDNIGHT + 0.25,
        )
        people.save(somebody)

        assert people.get(somebody.id) == somebody

    @pytest.mark.parametrize("anything", ANY_STRINGS, ids=range(len(ANY_STRINGS)))
    def test_any_string_may_be_asked_for(self, people: People, anything: str) -> None:
        """Nobody is there, nothing breaks."""
        assert people.get(anything) is None
        assert people.find([Identifier("email", anything)]) is None

    def test_the_order_given_decides_who_is_found(self, people: People) -> None:
        """The first identifier that anybody holds."""
        one, other = unique(), unique()
        first = people.save(person(("ei", one)))
        second = people.save(person(("email", other)))
        nobody = Identifier("ei", unique())
        holders = [Identifier("ei", one), Identifier("email", other)]

        assert people.find([nobody, *holders]) == first
        assert people.find([nobody, *reversed(holders)]) == second
        assert people.find([nobody]) is None
        assert people.find([]) is None

    def test_two_kinds_with_equal_values_are_different_identifiers(self, people: People) -> None:
        """An external id may look like an address."""
        value = unique()
        people.save(person(("ei", value)))

        assert people.find([Identifier("email", value)]) is None
        assert people.find([Identifier("str:cm:ei", value)]) is None
        assert people.find([Identifier("e", f"i{value}")]) is None

    def test_identifiers_are_compared_exactly(self, people: People) -> None:
        """They come in their one spelling; a store that folds case would merge people."""
        value = f"Straße-é-{unique()}"
        people.save(person(("email", value)))
        decomposed = unicodedata.normalize("NFD", value)

        for other in (value.lower(), value.upper(), value.casefold(), f"{value} ", decomposed):
            assert people.find([Identifier("email", other)]) is None

    def test_save_replaces_the_person_with_the_same_id(self, people: People) -> None:
        """And returns who is stored now."""
        before = people.save(person(("email", unique())))
        after = before._replace(
            first="John", identifiers=(*before.identifiers, Identifier("ei", unique()))
        )

        assert people.save(after) == after
        assert people.get(before.id) == after
        assert people.find(after.identifiers[1:]) == after

    def test_when_somebody_else_holds_an_identifier_nothing_is_written(
        self, people: People
    ) -> None:
        """That somebody is returned."""
        shared, free = unique(), unique()
        holder = people.save(person(("email", shared)))
        newcomer = person(("ei", free), ("email", shared))

        assert people.save(newcomer) == holder
        assert people.get(newcomer.id) is None
        assert people.find([Identifier("ei", free)]) is None
        assert people.get(holder.id) == holder

    def test_a_known_person_cannot_take_over_somebody_elses_identifier_either(
        self, people: People
    ) -> None:
        """Nothing of the attempt is written, and nobody loses what he held."""
        holder = people.save(person(("email", unique())))
        known = people.save(person(("ei", unique())))
        greedy = known._replace(first="John", identifiers=known.identifiers + holder.identifiers)

        assert people.save(greedy) == holder
        assert people.get(known.id) == known
        assert people.find(holder.identifiers) == holder
        assert people.find(known.identifiers) == known

    def test_identifiers_held_no_longer_are_free_again(self, people: People) -> None:
        """For anybody."""
        old, new = unique(), unique()
        before = people.save(person(("email", old)))
        people.save(before._replace(identifiers=(Identifier("email", new),)))
        successor = person(("email", old))

        assert people.find([Identifier("email", old)]) is None
        assert people.save(successor) == successor

    def test_two_threads_that_create_the_same_person_get_one(self, people: People) -> None:
        """Whoever comes second gets the first."""

        def create(address: str) -> Person:
            return people.save(person(("email", address)))

        for _round in range(20):
            address = unique()
            saved = together(8, partial(create, address))
            assert len({each.id for each in saved}) == 1
            assert people.find([Identifier("email", address)]) == saved[0]


def charge(amount: int, seconds: int, key: bytes | None = None) -> Charge:
    """One against a key of its own."""
    return Charge(key or uuid4().bytes, Quota(amount, seconds))


class RateLimiterContract:
    """Override the fixture ``limiter``.

    A backend that cannot keep a promise sets that test to None, and says so in its docstring.
    """

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        """The backend under test."""
        pytest.fail("override this fixture")

    def test_a_key_is_never_charged_beyond_its_quota_in_a_window(
        self, limiter: RateLimiter
    ) -> None:
        """Exactly the amount passes."""
        one = charge(10, DAY)
        verdicts = [limiter.acquire([one], MIDNIGHT + second) for second in range(15)]

        assert [verdict is None for verdict in verdicts] == [True] * 10 + [False] * 5

    @pytest.mark.parametrize("seconds", [7, HOUR, DAY, 7 * DAY])
    def test_windows_begin_at_multiples_of_their_length_since_the_epoch(
        self, limiter: RateLimiter, seconds: int
    ) -> None:
        """Whatever the length; a burst over the boundary is allowed: one before, one after."""
        one = charge(1, seconds)
        start = (MIDNIGHT // seconds + 1) * seconds

        assert limiter.acquire([one], start - 0.5) is None
        assert limiter.acquire([one], start - 0.25) is not None
        assert limiter.acquire([one], start) is None
        assert limiter.acquire([one], start + seconds - 0.25) is not None
        assert limiter.acquire([one], start + seconds) is None

    def test_a_clock_set_back_into_the_window_before_finds_its_counts(
        self, limiter: RateLimiter
    ) -> None:
        """Nothing is granted twice."""
        one = charge(1, HOUR)
        limiter.acquire([one], MIDNIGHT)
        limiter.acquire([one], MIDNIGHT + HOUR)

        assert limiter.acquire([one], MIDNIGHT + HOUR - 1) is not None
        assert limiter.acquire([one], MIDNIGHT + HOUR + 1) is not None

    def test_keys_are_counted_apart(self, limiter: RateLimiter) -> None:
        """Also keys that are made of separators and zeros."""
        keys = [bytes([byte]) * 16 for byte in b"/:\0 \n*\xff"]
        salt = uuid4().bytes
        for key in keys:
            mixed = bytes(a ^ b for a, b in zip(key, salt, strict=True))
            assert limiter.acquire([charge(1, DAY, mixed)], MIDNIGHT) is None

    def test_a_key_twice_in_one_call_is_charged_twice(self, limiter: RateLimiter) -> None:
        """Both or neither, like any two charges."""
        one = charge(3, DAY)

        assert limiter.acquire([one, one], MIDNIGHT) is None
        assert limiter.acquire([one, one], MIDNIGHT) is not None
        assert limiter.acquire([one], MIDNIGHT) is None
        assert limiter.acquire([one], MIDNIGHT) is not None

    def test_every_charge_is_counted(self, limiter: RateLimiter) -> None:
        """Each of several against its own quota."""
        person, address = charge(2, DAY), charge(3, HOUR)
        for _ in range(2):
            assert limiter.acquire([person, address], MIDNIGHT) is None

        assert limiter.acquire([person], MIDNIGHT) is not None
        assert limiter.acquire([address], MIDNIGHT) is None
        assert limiter.acquire([address], MIDNIGHT) is not None

    def test_if_any_quota_is_full_none_is_counted_and_it_is_named(
        self, limiter: RateLimiter
    ) -> None:
        """Whether it comes first or last."""
        full, other = charge(1, DAY), charge(1, HOUR)
        limiter.acquire([full], MIDNIGHT)

        for charges in ([full, other], [other, full]):
            refusal = limiter.acquire(charges, MIDNIGHT)
            assert refusal is not None
            assert refusal.charge == full
        assert limiter.acquire([other], MIDNIGHT) is None

    def test_when_several_are_full_the_longest_wait_is_named(self, limiter: RateLimiter) -> None:
        """The caller would otherwise come back too early."""
        day, hour = charge(1, DAY), charge(1, HOUR)
        limiter.acquire([day, hour], MIDNIGHT)

        for charges in ([day, hour], [hour, day]):
            refusal = limiter.acquire(charges, MIDNIGHT)
            assert refusal is not None
            assert refusal.charge == day

    @pytest.mark.parametrize(
        ("now", "wait"),
        [
            (MIDNIGHT, HOUR),
            (MIDNIGHT + 0.5, HOUR),
            (MIDNIGHT + HOUR - 1, 1),
            (MIDNIGHT + HOUR - 0.01, 1),
        ],
    )
    def test_retry_after_is_whole_seconds_until_the_window_ends(
        self, limiter: RateLimiter, now: float, wait: int
    ) -> None:
        """At least 1."""
        one = charge(1, HOUR)
        limiter.acquire([one], now)
        refusal = limiter.acquire([one], now)

        assert refusal is not None
        assert refusal.retry_after == wait
        assert isinstance(refusal.retry_after, int)

    def test_release_gives_charges_back(self, limiter: RateLimiter) -> None:
        """All of them."""
        one, other = charge(1, DAY), charge(1, HOUR)
        limiter.acquire([one, other], MIDNIGHT)
        limiter.release([one, other], MIDNIGHT)

        assert limiter.acquire([one, other], MIDNIGHT) is None
        assert limiter.acquire([one], MIDNIGHT) is not None

    def test_release_gives_back_in_the_window_that_holds_now(self, limiter: RateLimiter) -> None:
        """What was charged in the window before stays charged there."""
        one = charge(1, HOUR)
        limiter.acquire([one], MIDNIGHT)
        limiter.release([one], MIDNIGHT + HOUR)

        assert limiter.acquire([one], MIDNIGHT + HOUR - 1) is not None
        assert limiter.acquire([one], MIDNIGHT + HOUR) is None
        assert limiter.acquire([one], MIDNIGHT + HOUR) is not None

    def test_what_was_not_charged_is_not_given_back(self, limiter: RateLimiter) -> None:
        """Nobody can save up."""
        one = charge(1, DAY)
        limiter.release([one], MIDNIGHT)
        limiter.release([one], MIDNIGHT)

        assert limiter.acquire([one], MIDNIGHT) is None
        assert limiter.acquire([one], MIDNIGHT) is not None

    def test_threads_share_one_count(self, limiter: RateLimiter) -> None:
        """Exactly the amount passes, whatever the interleaving."""

        def thrice(one: Charge) -> list[Refusal | None]:
            return [limiter.acquire([one], MIDNIGHT) for _ in range(3)]

        for _round in range(5):
            verdicts = together(16, partial(thrice, charge(10, DAY)))
            assert sum(each is None for some in verdicts for each in some) == 10

    def test_a_refusal_changes_no_count_under_threads_either(self, limiter: RateLimiter) -> None:
        """While many are refused by the full one, the other loses none of its room."""
        full, other = charge(1, DAY), charge(5, HOUR)
        limiter.acquire([full], MIDNIGHT)
        together(8, lambda: limiter.acquire([other, full], MIDNIGHT))

        verdicts = [limiter.acquire([other], MIDNIGHT) for _ in range(6)]
        assert [verdict is None for verdict in verdicts] == [True] * 5 + [False]


class JournalContract:
    """Override the fixture ``journal``."""

    @pytest.fixture
    def journal(self) -> Journal:
        """The backend under test."""
        pytest.fail("override this fixture")

    @staticmethod
    def activity(**members: Any) -> Activity:
        """Something that happened, with these members."""
        made = Activity(
            unique(), "act:cm:login", unique(), {}, "", "claimed", MIDNIGHT, MIDNIGHT, False
        )
        return made._replace(**members)

    def test_append_returns_rising_positions_of_at_least_1(self, journal: Journal) -> None:
        """They are what ``recent`` is asked by."""
        positions = [journal.append(self.activity()) or 0 for _ in range(5)]

        assert positions[0] >= 1
        assert positions == sorted(set(positions))

    def test_values_come_back_equal_to_those_stored(self, journal: Journal) -> None:
        """Every JSON value, every member."""
        attributes = {
            "str::email": "john@example.com",
            "txt:cm:text": "line\nline \N{PARTY POPPER} é ' \" \\",
            "int:cm:zero": 0,
            "int:cm:large": 2**53 - 1,
            "bol:cm:false": False,
            "sst:cm:list": ["a", ""],
            "obj:cm:object": {"a": [1, 2.5, None, {"b": True}], "": {}},
        }
        activity = self.activity(
            attributes=attributes,
            source="shop",
            assurance="verified",
            occurred_at=MIDNIGHT - 3600.125,
            received_at=MIDNIGHT + 0.25,
            gpc=True,
        )
        written = json.dumps(attributes, sort_keys=True)
        position = journal.append(activity) or 0

        [found] = journal.recent(position - 1, 1)

        assert found == Captured.at(position, activity)
        # Python takes True for 1 and 5.0 for 5; JSON does not.
        assert json.dumps(found.attributes, sort_keys=True) == written
        assert found.received_at.timestamp() == activity.received_at
        assert not found.duplicate

    def test_what_was_stored_does_not_change_with_what_was_given(self, journal: Journal) -> None:
        """Nor with what a reader does to what he was given."""
        attributes: dict[str, Any] = {"obj:cm:object": {"a": [1]}}
        position = journal.append(self.activity(attributes=attributes)) or 0
        attributes["obj:cm:object"]["a"].append(2)
        for _ in range(2):
            [found] = journal.recent(position - 1, 1)
            assert found.attributes == {"obj:cm:object": {"a": [1]}}
            found.attributes["obj:cm:object"]["a"].append(3)

    def test_an_event_id_is_found_again(self, journal: Journal) -> None:
        """As it was stored."""
        activity = self.activity(attributes={"str:cm:a": "x"})
        position = journal.append(activity)
        assert position

        event_id, activity_id, person_id = activity[:3]

        assert journal.find(person_id, activity_id, event_id, MIDNIGHT) == Captured.at(
            position, activity
        )

    def test_only_the_same_person_and_activity_and_event_id_is_found(
        self, journal: Journal
    ) -> None:
        """All three."""
        activity = self.activity()
        journal.append(activity)
        event_id, activity_id, person_id = activity[:3]

        assert journal.find(unique(), activity_id, event_id, 0) is None
        assert journal.find(person_id, "act:cm:other", event_id, 0) is None
        assert journal.find(person_id, activity_id, unique(), 0) is None

    def test_only_one_received_at_since_or_later_counts(self, journal: Journal) -> None:
        """``since`` itself included."""
        activity = self.activity()
        journal.append(activity)
        event_id, activity_id, person_id = activity[:3]

        assert journal.find(person_id, activity_id, event_id, MIDNIGHT) is not None
        assert journal.find(person_id, activity_id, event_id, MIDNIGHT + 0.5) is None

    def test_the_same_event_is_stored_once_within_7_days(self, journal: Journal) -> None:
        """The second append stores nothing and returns None."""
        first = self.activity(attributes={"str:cm:a": "first"})
        position = journal.append(first) or 0
        again = first._replace(attributes={}, received_at=MIDNIGHT + 7 * DAY)

        assert journal.append(again) is None
        assert [each.position for each in journal.recent(position - 1)] == [position]
        assert journal.append(again._replace(received_at=MIDNIGHT + 7 * DAY + 1)) is not None

    def test_an_event_id_stored_again_after_7_days_is_found_where_it_is_new(
        self, journal: Journal
    ) -> None:
        """The old one must not hide it, or a third would be stored."""
        later = MIDNIGHT + 8 * DAY
        first = self.activity()
        again = first._replace(received_at=later)
        journal.append(first)
        position = journal.append(again) or 0
        event_id, activity_id, person_id = first[:3]

        assert journal.find(person_id, activity_id, event_id, later) == Captured.at(position, again)
        assert journal.append(again) is None

    def test_the_same_event_id_of_another_person_or_activity_is_stored(
        self, journal: Journal
    ) -> None:
        """Browsers make the ids; two of them may make the same."""
        first = self.activity()
        journal.append(first)

        assert journal.append(first._replace(person_id=unique())) is not None
        assert journal.append(first._replace(activity_id="act:cm:other")) is not None

    def test_recent_after_0_returns_the_latest_in_order(self, journal: Journal) -> None:
        """At most ``limit``."""
        positions = [journal.append(self.activity()) or 0 for _ in range(5)]

        assert [each.position for each in journal.recent(0, 3)] == positions[-3:]
        assert list(journal.recent(0, 0)) == []

    def test_recent_returns_what_follows_a_position_in_order(self, journal: Journal) -> None:
        """So that a reader can page on without a gap."""
        positions = [journal.append(self.activity()) or 0 for _ in range(5)]

        def after(position: int, limit: int) -> Sequence[int]:
            return [each.position for each in journal.recent(position, limit)]

        assert after(positions[0], 2) == positions[1:3]
        assert after(positions[2], 100) == positions[3:]
        assert after(positions[-1], 100) == []
        assert after(positions[-1] + 1000, 100) == []

    def test_threads_append_without_losing_or_repeating(self, journal: Journal) -> None:
        """Every position once."""
        before = journal.append(self.activity()) or 0
        positions = together(8, lambda: [journal.append(self.activity()) or 0 for _ in range(5)])
        flat = sorted(position for some in positions for position in some)

        assert len(set(flat)) == 40
        assert [each.position for each in journal.recent(before, 100)] == flat

    def test_threads_with_one_event_id_store_it_once(self, journal: Journal) -> None:
        """Exactly one gets a position."""
        for _round in range(10):
            positions = together(8, partial(journal.append, self.activity()))
            assert sum(position is not None for position in positions) == 1


class OutcomesContract:
    """Override the fixture ``outcomes``: new for each test, with room for 100 refusals."""

    @pytest.fixture
    def outcomes(self) -> Outcomes:
        """The backend under test."""
        pytest.fail("override this fixture")

    def test_outcomes_are_counted_by_code_and_notes_by_name(self, outcomes: Outcomes) -> None:
        """Notes beside the codes, so that the codes add up to the requests."""
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity"))
        outcomes.note(Outcome("accepted", MIDNIGHT, "activity", notes=("ignored:cc", "ignored:cc")))
        outcomes.note(Outcome("rate-limit", MIDNIGHT, "activity", "ip-limit"))

        assert outcomes.counts() == {"accepted": 2, "note:ignored:cc": 2, "rate-limit": 1}

    def test_refusals_are_those_with_a_reason_numbered_in_order(self, outcomes: Outcomes) -> None:
        """All members come back."""
        refused = Outcome(
            "bad-attribute",
            MIDNIGHT,
            "activity",
            "wrong-value",
            "act:cm:login",
            "person",
            "int:cm:a",
            "a whole number",
            ("dropped:overflow",),
        )
        outcomes.note(Outcome("identified", MIDNIGHT, "track"))
        outcomes.note(refused)
        outcomes.note(refused._replace(code="not-found", reason="disabled"))

        first, second = outcomes.refusals()

        assert first == refused._replace(number=first.number)
        assert (second.reason, second.number > first.number >= 1) == ("disabled", True)

    def test_refusals_after_a_number_are_at_most_the_latest_limit(self, outcomes: Outcomes) -> None:
        """In order."""
        for number in range(10):
            outcomes.note(Outcome("not-found", MIDNIGHT, "activity", f"reason {number}"))
        numbers = [each.number for each in outcomes.refusals()]

        assert [each.number for each in outcomes.refusals(numbers[3])] == numbers[4:]
        assert [each.number for each in outcomes.refusals(0, 4)] == numbers[-4:]
        assert list(outcomes.refusals(numbers[-1])) == []

    def test_refusals_are_bounded(self, outcomes: Outcomes) -> None:
        """A stranger can cause any number of them; the latest are kept, all are counted."""
        for number in range(3000):
            outcomes.note(Outcome("not-found", MIDNIGHT, "activity", f"reason {number}"))
        kept = outcomes.refusals(limit=10_000)

        assert 100 <= len(kept) < 3000
        assert kept[-1].reason == "reason 2999"
        assert outcomes.counts() == {"not-found": 3000}

    def test_threads_lose_no_count(self, outcomes: Outcomes) -> None:
        """One each."""
        noted = Outcome("not-found", MIDNIGHT, "activity", "disabled")

        def ten_times() -> None:
            for _ in range(10):
                outcomes.note(noted)

        together(8, ten_times)

        assert outcomes.counts() == {"not-found": 80}
        assert len({each.number for each in outcomes.refusals()}) == 80
