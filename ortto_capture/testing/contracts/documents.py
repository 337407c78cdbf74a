"""The contract of ``ports.Documents``, sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ...model import Document
from ...ports import Documents
from .samples import (
    ANY_STRINGS,
    PortContract,
    raises_backend_error,
    raises_storage_full,
    together,
    unique,
)

#: Every type that JSON has, nested, and names in an order that is not the alphabet's.
VALUE = {
    "title": "Who bought é \N{PARTY POPPER}",
    "limit": 10,
    "share": 0.1,
    "on": True,
    "off": False,
    "none": None,
    "steps": ["act:cm:b", {"z": 1, "a": []}],
}


class DocumentsContract(PortContract):
    """Override the fixture ``documents``."""

    @pytest.fixture
    def documents(self) -> Documents:
        """The backend under test."""
        pytest.fail("override this fixture")

    @pytest.fixture
    def port(self, documents: Documents) -> Documents:
        """The same, as what all contracts have in common takes it."""
        return documents

    @pytest.fixture
    def reopen(self, documents: Documents) -> Callable[[], Documents]:
        """Opens the same medium again; by default the port that is open."""
        return lambda: documents

    @staticmethod
    def stored(documents: Documents, kind: str, name: str, value: Any = None) -> Document:
        """Store whatever is there."""
        put = documents.put(kind, name, value)
        assert put is not None
        return put

    # -- the class

    def test_kinds_and_names_that_differ_in_spelling_are_different_ones(
        self, documents: Documents, two_strings: tuple[str, str]
    ) -> None:
        """Neither hides, replaces nor removes the other."""
        one, other = two_strings
        kind = unique()
        self.stored(documents, kind, one, 1)
        self.stored(documents, one, kind, 2)

        assert documents.get(kind, other) is None
        assert documents.get(other, kind) is None
        assert list(documents.all(other)) == []
        assert not documents.remove(kind, other)
        assert not documents.remove(other, kind)
        self.stored(documents, kind, other, 3)
        self.stored(documents, other, kind, 4)
        assert [each.value for each in documents.all(kind)] in ([1, 3], [3, 1])
        assert [each.value for each in documents.all(one)] == [2]

    # -- get

    def test_get_returns_the_document_or_none(self, documents: Documents) -> None:
        """Of this kind and this name alone."""
        kind, name = unique(), unique()
        put = self.stored(documents, kind, name, VALUE)
        self.stored(documents, kind, unique(), 1)
        self.stored(documents, unique(), name, 2)

        assert documents.get(kind, name) == put
        assert documents.get(name, kind) is None
        assert documents.get(kind, unique()) is None

    @pytest.mark.parametrize("anything", ANY_STRINGS, ids=range(len(ANY_STRINGS)))
    def test_any_string_may_be_asked_for(self, documents: Documents, anything: str) -> None:
        """It may come from an address line."""
        self.stored(documents, unique(), unique())

        assert documents.get(unique(), anything) is None
        assert documents.get(anything, unique()) is None
        assert list(documents.all(anything)) == []
        assert documents.remove(unique(), anything) is False

    # -- all

    def test_all_returns_every_document_of_this_kind_ordered_by_name(
        self, documents: Documents
    ) -> None:
        """As many as there are; upper case comes before lower case."""
        kind = unique()
        names = ["b", "C", "a", "B", "c", *(f"n{number:04}" for number in range(1200))]
        made = [self.stored(documents, kind, name, name) for name in names]
        self.stored(documents, unique(), "a")

        assert list(documents.all(kind)) == sorted(made, key=lambda each: each.name)
        assert list(documents.all(unique())) == []

    # -- put

    @pytest.mark.parametrize(
        "value", [VALUE, [], {}, "", 0, False, None, 2**53, -0.5, "\ud800", "a\0b"], ids=repr
    )
    def test_put_stores_plain_json_and_returns_it(self, documents: Documents, value: Any) -> None:
        """With every member as it was put, in its order and of its type."""
        kind, name = unique(), unique()

        put = self.stored(documents, kind, name, value)

        assert put[:2] == (kind, name)
        for each in (put, documents.get(kind, name), *documents.all(kind)):
            assert each is not None
            assert repr(each.value) == repr(value)
            assert each.version == put.version

    def test_what_is_stored_changes_by_put_alone(self, documents: Documents) -> None:
        """Not when a program changes what it put, or what it got."""
        kind, name = unique(), unique()
        value: dict[str, list[int]] = {"limits": [1]}
        self.stored(documents, kind, name, value).value["limits"].append(2)
        value["limits"].append(3)
        for found in (documents.get(kind, name), *documents.all(kind)):
            assert found is not None
            found.value["limits"].append(4)

        [found] = documents.all(kind)
        assert found.value == {"limits": [1]}

    def test_what_is_not_json_is_refused(self, documents: Documents) -> None:
        """By an error of Python's own, before anything is written."""
        kind = unique()
        for value in ({1, 2}, float("nan"), {"at": object()}):
            with pytest.raises((TypeError, ValueError)):
                documents.put(kind, "a", value)

        assert list(documents.all(kind)) == []

    def test_put_stores_durably(
        self, documents: Documents, reopen: Callable[[], Documents]
    ) -> None:
        """Also what was replaced, and what was removed."""
        kind = unique()
        kept = [self.stored(documents, kind, name, VALUE) for name in ("a", "b", "c")][:2]
        kept[1] = self.stored(documents, kind, "b", [])
        assert documents.remove(kind, "c")

        assert list(reopen().all(kind)) == kept
        assert reopen().get(kind, "c") is None

    def test_put_replaces_what_has_the_name(self, documents: Documents) -> None:
        """All of it: nothing of the old value stays."""
        kind, name = unique(), unique()
        self.stored(documents, kind, name, {"a": 1})
        self.stored(documents, kind, name, {"b": 2})

        assert [each.value for each in documents.all(kind)] == [{"b": 2}]

    def test_each_version_is_higher_than_all_before_it(
        self, documents: Documents, reopen: Callable[[], Documents]
    ) -> None:
        """From 1 on, and also when the last one was removed."""
        kind = unique()
        versions = [self.stored(documents, kind, name).version for name in ("a", "b", "a", "a")]
        assert documents.remove(kind, "a")
        versions.append(self.stored(reopen(), kind, "a").version)
        versions.append(self.stored(documents, unique(), "a").version)

        assert versions[0] >= 1
        assert versions == sorted(set(versions))

    def test_when_version_is_given_and_the_stored_one_is_another_nothing_is_written(
        self, documents: Documents
    ) -> None:
        """And None is returned."""
        kind, name = unique(), unique()
        first = self.stored(documents, kind, name, "first")
        second = documents.put(kind, name, "second", first.version)

        assert second is not None
        for version in (first.version, second.version + 1, 0):
            assert documents.put(kind, name, "third", version) is None
        assert documents.get(kind, name) == second
        assert documents.put(kind, unique(), "other", second.version) is None
        assert len(documents.all(kind)) == 1

    def test_0_says_that_there_must_be_none(self, documents: Documents) -> None:
        """So that two programs do not create the same one."""
        kind, name = unique(), unique()
        first = documents.put(kind, name, 1, 0)

        assert first is not None
        assert documents.put(kind, name, 2, 0) is None
        assert documents.get(kind, name) == first
        assert documents.remove(kind, name)
        assert documents.put(kind, name, 3, 0) is not None

    # -- remove

    def test_remove_removes_the_document_and_returns_whether_it_was_there(
        self, documents: Documents
    ) -> None:
        """And no other."""
        kind = unique()
        self.stored(documents, kind, "a")
        other = self.stored(documents, kind, "b")

        assert documents.remove(kind, "a") is True
        assert documents.remove(kind, "a") is False
        assert documents.get(kind, "a") is None
        assert list(documents.all(kind)) == [other]

    def test_remove_keeps_a_document_that_has_another_version(self, documents: Documents) -> None:
        """It was changed since it was looked at."""
        kind, name = unique(), unique()
        old = self.stored(documents, kind, name, 1)
        new = self.stored(documents, kind, name, 2)

        for version in (old.version, new.version + 1, 0):
            assert documents.remove(kind, name, version) is False
        assert documents.get(kind, name) == new
        assert documents.remove(kind, name, new.version) is True
        assert documents.remove(kind, name, 0) is False

    # -- common to all ports

    def test_methods_are_called_from_several_threads_at_once(self, documents: Documents) -> None:
        """Of those that create one document, or replace one version, one succeeds."""
        kind = unique()

        def five_rounds() -> int:
            won = 0
            for number in range(5):
                won += documents.put(kind, f"n{number}", number, 0) is not None
                found = documents.get(kind, f"n{number}")
                assert found is not None
                won += documents.put(kind, f"m{number}", found.value, 0) is not None
                documents.all(kind)
            return won

        assert sum(together(8, five_rounds)) == 10
        assert len({each.version for each in documents.all(kind)}) == 10

    def test_a_fault_is_raised_as_backend_error_with_the_drivers_exception_as_its_cause(
        self, broken: Documents | None
    ) -> None:
        """By every method."""
        if broken is not None:
            raises_backend_error(
                lambda: broken.get("a", "b"),
                lambda: broken.all("a"),
                lambda: broken.put("a", "b", 1),
                lambda: broken.remove("a", "b"),
            )

    def test_a_bound_that_was_reached_is_raised_as_storage_full(
        self, full: Documents | None
    ) -> None:
        """What is new has no room."""
        if full is not None:
            raises_storage_full(lambda: full.put("a", "b", 1))
