"""The contract of ``ports.Definitions``, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ...errors import ConfigurationError
from ...model import Attribute, Definition
from ...ports import Definitions
from .samples import ANY_STRINGS, PortContract, raises_backend_error, together, unique


def definition(slug: str = "", **members: object) -> Definition:
    """A new definition with every member set to what is not its default."""
    full = Definition(
        f"act:cm:{slug}{unique()}",
        "Paid é",
        client_side=True,
        attributes=[
            Attribute("int:cm:amount", "Amount", required=True),
            Attribute("str::email", "Address", sensitive=True),
            Attribute("obj:cm:Order_1"),
        ],
        limits={"person": "20/day", "ip": "9/hour"},
        unknown_attributes="drop",
        icon="coin",
        archived=True,
    )
    return replace(full, **members)  # type: ignore[arg-type]


class DefinitionsContract(PortContract):
    """Override the fixture ``definitions``: an empty port.

    Where only people write definitions, override ``write`` and ``place`` as well, and set the tests
    of ``put`` and ``declare`` to None.
    """

    @pytest.fixture
    def definitions(self) -> Definitions:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, definitions: Definitions) -> Definitions:
        """The same, as what all contracts have in common takes it."""
        return definitions

    @pytest.fixture
    def write(self, definitions: Definitions) -> Callable[[Definition], None]:
        """Writes a definition as it is usually done."""
        return definitions.put

    @pytest.fixture
    def place(self) -> str | None:
        """Where people write definitions, if only they may: the path that an error names."""
        return None

    @pytest.fixture
    def footprint(self) -> Callable[[], object] | None:
        """What changes with every write to the medium, such as a file's time of change."""
        return None

    @pytest.fixture
    def reopen(self, definitions: Definitions) -> Callable[[], Definitions]:
        """Opens the same medium again; by default the port that is open."""
        return lambda: definitions

    # -- get

    def test_get_returns_the_definition_with_exactly_this_id_or_none(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """Every member is equal to what was put."""
        one, other = definition(), Definition(f"act:cm:{unique()}", "Plain")
        write(one)
        write(other)

        assert definitions.get(one.id) == one
        assert definitions.get(other.id) == other
        assert definitions.get(f"act:cm:{unique()}") is None

    def test_attributes_keep_their_order(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """All of them, as many as there are."""
        keys = [f"str:cm:{letter}" for letter in "zyxwvutsrqponmlkjihgfedcba"]
        many = definition(attributes=[Attribute(key) for key in keys])
        write(many)

        found = definitions.get(many.id)

        assert found is not None
        assert [attribute.key for attribute in found.attributes] == keys

    def test_ids_that_differ_in_case_or_spelling_are_different_ids(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """As they occur on real sites: camel case, underscores, hyphens."""
        name = unique()
        one = definition()
        one = replace(one, id=f"act:cm:donation-Received-{name}")
        write(one)

        for other in (
            f"act:cm:donation-received-{name}",
            f"act:cm:donation_Received-{name}",
            f"act:cm:donationReceived-{name}",
            f"act:cm:donation-Received-{name} ",
            f" act:cm:donation-Received-{name}",
            f"act:cm:donation-Received-{name}\n",
            f"act:cm:donation-Received-{name}\0",
            f"ACT:cm:donation-Received-{name}",
            f"act:CM:donation-Received-{name}",
            f"act::donation-Received-{name}",
            f"donation-Received-{name}",
        ):
            assert definitions.get(other) is None, other

    def test_ids_that_differ_in_case_are_kept_side_by_side(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """Also ids of the greatest length, and those that differ in their last character."""
        name = unique()
        ids = [f"act:cm:login-{name}", f"act:cm:LOGIN-{name}"]
        ids += [f"act:cm:{name:x<92}{last}" for last in "ab"]
        for activity_id in ids:
            write(Definition(activity_id, activity_id))

        for activity_id in ids:
            found = definitions.get(activity_id)
            assert found is not None
            assert found.name == activity_id

    @pytest.mark.parametrize("anything", ANY_STRINGS, ids=range(len(ANY_STRINGS)))
    def test_any_string_may_be_asked_for(self, definitions: Definitions, anything: str) -> None:
        """It comes from a browser."""
        assert definitions.get(anything) is None

    # -- all

    def test_all_returns_every_definition_archived_ones_included_ordered_by_id(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """Whatever the order of writing; upper case comes before lower case."""
        made = [definition(slug, archived=slug == "a") for slug in ("b", "C", "a", "B", "c")]
        for each in made:
            write(each)

        found = definitions.all()

        assert [each for each in found if each in made] == sorted(made, key=lambda each: each.id)
        assert [each.id for each in found] == sorted(each.id for each in found)

    # -- put

    def test_put_replaces_the_definition_with_its_id(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """Whole: nothing of the one before stays."""
        before = definition()
        after = Definition(before.id, "After")
        write(before)
        write(after)

        assert definitions.get(before.id) == after
        assert [each for each in definitions.all() if each.id == before.id] == [after]

    def test_the_next_get_returns_what_was_put(
        self, definitions: Definitions, write: Callable[[Definition], None]
    ) -> None:
        """Also when there was nothing, or something else, the moment before."""
        one = definition()

        assert definitions.get(one.id) is None
        for name in ("First", "Second", "Third"):
            named = replace(one, name=name)
            write(named)
            assert definitions.get(one.id) == named

    def test_what_was_put_is_there_when_it_is_opened_again(
        self,
        definitions: Definitions,
        write: Callable[[Definition], None],
        reopen: Callable[[], Definitions],
    ) -> None:
        """Equal in every member."""
        one = definition()
        write(one)

        assert definitions.get(one.id) == one
        assert reopen().get(one.id) == one

    def test_definitions_that_only_people_write_are_refused_and_the_error_says_where_to_write_them(
        self, definitions: Definitions, write: Callable[[Definition], None], place: str | None
    ) -> None:
        """What is there already may be declared: nothing has to be written for it."""
        if place is None:
            return
        there = definition()
        write(there)

        changes: list[Callable[[], None]] = [
            lambda: definitions.put(definition()),
            lambda: definitions.declare([definition()]),
            lambda: definitions.declare([there, definition()]),
        ]
        for change in changes:
            with pytest.raises(ConfigurationError) as refused:
                change()
            assert place in str(refused.value)
        definitions.declare([there])
        assert [each for each in definitions.all() if each.id == there.id] == [there]

    # -- declare

    def test_declare_creates_those_that_are_missing(self, definitions: Definitions) -> None:
        """As they are declared, switches included; declaring none is fine."""
        made = [definition(), definition(client_side=False), definition(archived=False)]
        definitions.declare(made)
        definitions.declare([])

        assert [definitions.get(each.id) for each in made] == made

    def test_declare_replaces_the_others(self, definitions: Definitions) -> None:
        """Every member but the operator's switches; what is not declared stays as it is."""
        before, other = definition(), definition()
        after = definition(client_side=True, archived=True)
        after = replace(
            after,
            id=before.id,
            name="After",
            attributes=[Attribute("str:cm:other")],
            limits=None,
            unknown_attributes="reject",
            icon=None,
        )
        definitions.declare([before, other])
        definitions.declare([after])

        assert definitions.get(before.id) == after
        assert definitions.get(other.id) == other

    @pytest.mark.parametrize("client_side", [True, False], ids=["sent_by_pages", "not_by_pages"])
    @pytest.mark.parametrize("archived", [True, False], ids=["archived", "in_use"])
    def test_what_an_operator_has_switched_stays(
        self, definitions: Definitions, client_side: bool, archived: bool
    ) -> None:
        """``client_side`` and ``archived`` of a definition that is there are kept."""
        declared = definition(client_side=not client_side, archived=not archived)
        switched = replace(declared, client_side=client_side, archived=archived)
        definitions.declare([declared])
        definitions.put(switched)
        definitions.declare([replace(declared, name="Renamed")])

        assert definitions.get(declared.id) == replace(switched, name="Renamed")

    def test_definitions_that_did_not_change_are_not_written(
        self, definitions: Definitions, footprint: Callable[[], object] | None
    ) -> None:
        """A start that changes nothing leaves no trace."""
        if footprint is None:
            return
        declared = [definition(), definition()]
        definitions.declare(declared)
        definitions.put(replace(declared[0], client_side=False, archived=False))
        before = footprint()

        definitions.declare(declared)
        assert footprint() == before
        definitions.declare([replace(declared[0], name="Renamed")])
        assert footprint() != before

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(
        self, definitions: Definitions
    ) -> None:
        """No thread's definition is lost."""
        made = together(8, lambda: [definition(), definition()])
        waiting = iter(made)

        def write() -> None:
            one, other = next(waiting)
            definitions.put(one)
            definitions.declare([other])

        together(len(made), write)

        written = [each for some in made for each in some]
        assert [definitions.get(each.id) for each in written] == written
        assert len([each for each in definitions.all() if each in written]) == 16

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: Definitions | None
    ) -> None:
        """Of writing; what was read before may still be answered."""
        if broken is not None:
            raises_backend_error(
                lambda: broken.put(definition()), lambda: broken.declare([definition()])
            )
