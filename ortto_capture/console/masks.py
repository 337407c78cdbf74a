"""What is shown of people and of values: the first letters, until a reader with the scope unmasks.

The law of this file: a masked value does not tell how long it is. What was declared sensitive is
masked, and so is what is not declared: it may have been declared sensitive before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import idna

from ..model import Definition, Person
from ..ports import Backends

#: Stands in place of a value, or of the rest of one.
MASK = "•••"


class Masks:
    """Names of people, and attribute values; each person is looked up once.

    :param masked: False for a reader who has unmasked, which is recorded.
    """

    def __init__(self, backends: Backends, *, masked: bool = True) -> None:
        self._backends = backends
        self.masked = masked
        self._names: dict[str, str] = {}

    def person(self, person_id: str | None) -> str | None:
        """Name a person by address, else by another identifier, else by id."""
        if not person_id:
            return None
        if person_id not in self._names:
            person = self._backends.people.get(person_id)
            self._names[person_id] = self.name(person) if person is not None else person_id
        return self._names[person_id]

    def name(self, person: Person) -> str:
        """Name a person whom one has."""
        if not person.identifiers:
            return person.id
        kind = "email" if person.email else person.identifiers[0].kind
        return self.identifier(kind, person.email or person.identifiers[0].value)

    def identifier(self, kind: str, value: str) -> str:
        """Show an identifier; the domain of an address as people write it."""
        shown = readable(value) if kind == "email" else value
        if not self.masked:
            return shown
        return masked_address(shown) if kind == "email" else masked_text(shown)

    def text(self, text: str | None) -> str | None:
        """Show a name."""
        return masked_text(text) if self.masked and text else text

    def attributes(
        self, attributes: Mapping[str, Any], definition: Definition | None
    ) -> dict[str, Any]:
        """Show values."""
        if not self.masked:
            return dict(attributes)
        shown = plain_keys(definition)
        return {key: value if key in shown else MASK for key, value in attributes.items()}


def plain_keys(definition: Definition | None) -> set[str]:
    """Return the keys of the attributes whose values any reader may see."""
    if definition is None:
        return set()
    return {each.key for each in definition.attributes if not each.sensitive}


def masked_text(text: str) -> str:
    """Return the first letter of a text, and no more."""
    return text[:1] + MASK


def masked_address(address: str) -> str:
    """Return ``j•••@e•••.com`` of ``jo@example.com``."""
    local, _, domain = address.rpartition("@")
    name, dot, last = domain.rpartition(".")
    return f"{masked_text(local)}@{masked_text(name) + dot + last if dot else masked_text(domain)}"


def readable(address: str) -> str:
    """Return an address with its domain as people write it: ``müller.example``."""
    local, at, domain = address.rpartition("@")
    return local + at + _readable_domain(domain) if "xn--" in domain else address


# Domains alone: a person who was erased must not stay here.
@lru_cache(maxsize=1_024)
def _readable_domain(domain: str) -> str:
    try:
        return idna.decode(domain)
    except UnicodeError:
        return domain
