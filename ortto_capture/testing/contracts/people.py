"""The contract of ``ports.People``, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ...model import Identifier, Person
from ...ports import People
from .samples import (
    ANY_STRINGS,
    MIDNIGHT,
    PortContract,
    raises_backend_error,
    raises_storage_full,
    together,
    unique,
)


def person(*identifiers: tuple[str, str], **members: Any) -> Person:
    """A new person with these identifiers."""
    made = Person(
        unique(), tuple(map(Identifier._make, identifiers)), None, None, "claimed", MIDNIGHT
    )
    return made._replace(**members)


class PeopleContract(PortContract):
    """Override the fixture ``people``."""

    @pytest.fixture
    def people(self) -> People:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, people: People) -> People:
        """The same, as what all contracts have in common takes it."""
        return people

    @pytest.fixture
    def reopen(self, people: People) -> Callable[[], People]:
        """Opens the same medium again; by default the port that is open."""
        return lambda: people

    # -- get

    def test_get_returns_the_person_with_this_id_or_none(self, people: People) -> None:
        """Every member is equal to what was saved."""
        name = unique()
        one = person(
            ("str:cm:customer", name),
            ("ei", name),
            ("email", f"{name}@example.com"),
            first=" Zoë ",
            last="O'Neill \N{PARTY POPPER}",
            assurance="verified",
            created_at=MIDNIGHT + 0.123,
        )
        other = person(("ei", unique()), first="", created_at=MIDNIGHT - 86_399.999)
        people.save(one)
        people.save(other)

        assert people.get(one.id) == one
        assert people.get(other.id) == other
        assert people.get(unique()) is None

    @pytest.mark.parametrize("anything", ANY_STRINGS, ids=range(len(ANY_STRINGS)))
    def test_any_string_may_be_asked_for(self, people: People, anything: str) -> None:
        """Nothing is found and nothing fails."""
        people.save(person(("ei", unique())))

        assert people.get(anything) is None
        assert people.find([Identifier("email", anything)]) is None
        assert people.find([Identifier(anything, unique())]) is None
        assert people.erase(anything) == 0

    def test_ids_of_people_are_compared_exactly(
        self, people: People, two_strings: tuple[str, str]
    ) -> None:
        """Both are stored, side by side."""
        one, other = (person(("ei", unique()), id=each) for each in two_strings)
        people.save(one)

        assert people.get(other.id) is None
        assert people.erase(other.id) == 0
        assert people.save(other) == other
        assert people.get(one.id) == one
        assert people.get(other.id) == other

    def test_names_come_back_as_they_were_saved(
        self, people: People, two_strings: tuple[str, str]
    ) -> None:
        """Not normalised, not trimmed, not cut."""
        first, last = two_strings
        one = people.save(person(("ei", unique()), first=first, last=last))

        found = people.get(one.id)

        assert found is not None
        assert (found.first, found.last) == (first, last)

    # -- find

    def test_find_returns_the_holder_of_the_first_identifier_that_is_held_or_none(
        self, people: People
    ) -> None:
        """Identifiers that are not held are passed over."""
        one = people.save(person(("ei", unique()), ("email", unique())))
        free = Identifier("ei", unique())

        for identifier in one.identifiers:
            assert people.find([identifier]) == one
            assert people.find([free, free, identifier]) == one
        assert people.find([free]) is None
        assert people.find([]) is None

    def test_the_order_given_decides(self, people: People) -> None:
        """Neither the age of a person nor the kind of an identifier does."""
        first = people.save(person(("ei", unique())))
        second = people.save(person(("email", unique())))
        third = people.save(person(("a", unique())))
        [one], [two], [three] = first.identifiers, second.identifiers, third.identifiers

        assert people.find([one, two, three]) == first
        assert people.find([two, one, three]) == second
        assert people.find([three, two, one]) == third
        assert people.find([two, three, one]) == second

    def test_two_kinds_with_equal_values_are_different_identifiers(self, people: People) -> None:
        """An external id may look like an address, and each of two people may hold one."""
        value = unique()
        one = people.save(person(("ei", value)))

        for kind in ("email", "str:cm:ei", "e", "EI", "ei ", ""):
            assert people.find([Identifier(kind, value)]) is None
        assert people.find([Identifier("e", f"i{value}")]) is None
        assert people.find([Identifier("ei:", value)]) is None
        assert people.find([Identifier(f"ei{value}", "")]) is None
        other = person(("email", value))
        assert people.save(other) == other
        assert people.find([Identifier("ei", value)]) == one
        assert people.find([Identifier("email", value)]) == other

    def test_values_are_compared_exactly(
        self, people: People, two_strings: tuple[str, str]
    ) -> None:
        """A medium that compares loosely would take two people for one."""
        one, other = (person(("ei", each)) for each in two_strings)
        people.save(one)

        assert people.find(other.identifiers) is None
        assert people.save(other) == other
        assert people.find(one.identifiers) == one
        assert people.find(other.identifiers) == other

    # -- save

    def test_save_stores_a_new_person_and_returns_who_is_stored_now(self, people: People) -> None:
        """Also one without any identifier."""
        for one in (person(("ei", unique())), person()):
            assert people.save(one) == one
            assert people.get(one.id) == one

    def test_save_replaces_the_person_with_the_same_id(self, people: People) -> None:
        """Every member, and returns who is stored now."""
        before = people.save(
            person(("email", unique()), first="John", last="Apple", assurance="verified")
        )
        after = before._replace(
            identifiers=(Identifier("ei", unique()), *before.identifiers),
            first=None,
            last="Pear",
            assurance="claimed",
            created_at=MIDNIGHT + 1,
        )

        assert people.save(after) == after
        assert people.get(before.id) == after
        for identifier in after.identifiers:
            assert people.find([identifier]) == after

    def test_saving_the_same_person_again_changes_nothing(self, people: People) -> None:
        """And returns the same."""
        one = people.save(person(("email", unique()), ("ei", unique())))

        assert people.save(one) == one
        assert people.get(one.id) == one

    def test_what_was_saved_is_there_when_it_is_opened_again(
        self, people: People, reopen: Callable[[], People]
    ) -> None:
        """By id and by identifier."""
        one = people.save(person(("email", unique())))
        again = reopen()

        assert again.get(one.id) == one
        assert again.find(one.identifiers) == one

    def test_when_another_person_holds_one_of_the_identifiers_that_person_is_returned(
        self, people: People
    ) -> None:
        """And nothing is written: the newcomer's other identifiers stay free."""
        holder = people.save(person(("email", unique())))
        before, behind = Identifier("ei", unique()), Identifier("str:cm:customer", unique())
        newcomer = person(before, *holder.identifiers, behind)

        assert people.save(newcomer) == holder
        assert people.get(newcomer.id) is None
        assert people.get(holder.id) == holder
        assert people.find([before]) is None
        assert people.find([behind]) is None
        later = person(before, behind)
        assert people.save(later) == later

    def test_a_known_person_does_not_take_over_another_ones_identifier_either(
        self, people: People
    ) -> None:
        """Nothing of the attempt is written, and both keep what they held."""
        holder = people.save(person(("email", unique())))
        known = people.save(person(("ei", unique())))
        free = Identifier("str:cm:customer", unique())
        greedy = known._replace(first="John", identifiers=(free, *holder.identifiers))

        assert people.save(greedy) == holder
        assert people.get(known.id) == known
        assert people.find(holder.identifiers) == holder
        assert people.find(known.identifiers) == known
        assert people.find([free]) is None

    def test_two_threads_that_create_the_same_person_get_one(self, people: People) -> None:
        """The second of them gets the first one's, and leaves nothing of its own."""

        def create(address: str) -> tuple[Person, Person]:
            made = person(("email", address))
            return made, people.save(made)

        for _round in range(20):
            address = unique()
            pairs = together(8, partial(create, address))
            winner = people.find([Identifier("email", address)])
            assert winner is not None
            assert {saved.id for _, saved in pairs} == {winner.id}
            stored = [made for made, _ in pairs if people.get(made.id) is not None]
            assert stored == [winner]

    def test_identifiers_held_before_and_no_longer_are_free_again(self, people: People) -> None:
        """Those that are still held are not."""
        old, kept, new = (Identifier("email", unique()) for _ in range(3))
        before = people.save(person(old, kept))
        after = people.save(before._replace(identifiers=(kept, new)))
        successor = person(old)

        assert people.find([old]) is None
        assert people.find([kept]) == after
        assert people.find([new]) == after
        assert people.save(successor) == successor
        assert people.save(person(kept)) == after

    # -- erase

    def test_erase_removes_the_person_and_every_identifier(
        self, people: People, reopen: Callable[[], People]
    ) -> None:
        """Another person may hold them then."""
        erased = people.save(person(("email", unique()), ("ei", unique()), ("a", unique())))
        kept = people.save(person(("email", unique())))
        people.erase(erased.id)

        for each in (people, reopen()):
            assert each.get(erased.id) is None
            for identifier in erased.identifiers:
                assert each.find([identifier]) is None
            assert each.get(kept.id) == kept
            assert each.find(kept.identifiers) == kept
        successor = person(*erased.identifiers)
        assert people.save(successor) == successor

    def test_erase_returns_how_many_people_that_were(self, people: People) -> None:
        """0 or 1, however many identifiers they had."""
        one = people.save(person(("email", unique()), ("ei", unique())))

        assert people.erase(unique()) == 0
        assert people.erase(one.id) == 1
        assert people.erase(one.id) == 0

    def test_an_erased_id_can_be_saved_again(self, people: People) -> None:
        """Ids are the caller's."""
        one = people.save(person(("email", unique()), first="John"))
        people.erase(one.id)
        again = one._replace(identifiers=(Identifier("ei", unique()),), first=None)

        assert people.save(again) == again
        assert people.get(one.id) == again
        assert people.find(one.identifiers) is None

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(self, people: People) -> None:
        """While one is changed and erased by many threads, the others stay as they are."""
        kept = people.save(person(("email", unique())))

        def come_and_go() -> int:
            one = people.save(person(("email", unique()), ("ei", unique())))
            changed = one._replace(identifiers=one.identifiers[:1], first="John")
            assert people.save(changed) == changed
            assert people.find(one.identifiers) == changed
            assert people.find(kept.identifiers) == kept
            return people.erase(one.id)

        assert together(8, come_and_go) == [1] * 8

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: People | None
    ) -> None:
        """By every method."""
        if broken is not None:
            raises_backend_error(
                lambda: broken.get(unique()),
                lambda: broken.find([Identifier("ei", unique())]),
                lambda: broken.save(person(("ei", unique()))),
                lambda: broken.erase(unique()),
            )

    def test_a_bound_that_was_reached_is_raised_as_storage_full(self, full: People | None) -> None:
        """Nothing is written, and reading goes on."""
        if full is not None:
            new = person(("ei", unique()))
            raises_storage_full(lambda: full.save(new))
            assert full.get(new.id) is None
            assert full.find(new.identifiers) is None
