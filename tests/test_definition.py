"""A definition built in code: what it is made of, and what declaring it again comes to."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from ortto_capture import Attribute, ConfigurationError, Definition

LOGIN = Definition("act:cm:login", "Logged in", attributes=["str::email"])


def test_a_bare_key_stands_for_an_attribute() -> None:
    mixed = Definition(
        "act:cm:a", "A", attributes=["str::email", Attribute("int:cm:amount", required=True)]
    )

    assert mixed.attributes == (Attribute("str::email"), Attribute("int:cm:amount", required=True))
    assert Definition(mixed.id, "A", attributes=iter(mixed.attributes)) == mixed


@pytest.mark.parametrize(
    "attributes",
    [
        "str::email",
        b"bytes",
        {"str::email": True},
        None,
        7,
        [7],
        [None],
        [["str::email"]],
        [{"key": "str::email"}],
        ["email"],
        ["str::email", Attribute("str::email", "Address")],
    ],
)
def test_what_is_no_list_of_keys_and_attributes_is_a_configuration_error(attributes: Any) -> None:
    with pytest.raises(ConfigurationError, match="attribute"):
        Definition("act:cm:a", "A", attributes=attributes)


def test_what_is_declared_for_the_first_time_is_stored_as_it_is() -> None:
    assert LOGIN.declared_over(None) is LOGIN


@pytest.mark.parametrize("client_side", [True, False])
@pytest.mark.parametrize("archived", [True, False])
def test_declaring_keeps_what_the_operator_switched(client_side: bool, archived: bool) -> None:
    stored = replace(LOGIN, client_side=client_side, archived=archived)
    declared = Definition("act:cm:login", "Signed in", limits={"ip": "9/hour"}, icon="key")

    assert declared.declared_over(stored) == replace(
        declared, client_side=client_side, archived=archived
    )


def test_declaring_what_did_not_change_leaves_the_stored_one() -> None:
    stored = replace(LOGIN, client_side=True, archived=True, limits={"ip": "9/hour"})
    declared = replace(LOGIN, limits=MappingProxyType({"ip": "9/hour"}))

    assert declared.declared_over(stored) is stored
