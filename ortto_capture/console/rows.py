"""How an activity, a refused request or a person is shown in a terminal.

The law of this file: plain JSON types go out, and no value that was declared sensitive, or is not
declared, unless the operator asks for it. What these rows look like is for others to decide.
"""

from __future__ import annotations

from typing import Any

from ..model import Captured, Definition, Outcome
from ..ports import Backends

#: Stands in place of a value.
MASK = "•••"


class Rows:
    """Rows as an operator reads them: people by address, activities by name as well.

    :param show_sensitive: mask nothing.
    """

    def __init__(self, backends: Backends, *, show_sensitive: bool = False) -> None:
        self._backends = backends
        self._show_sensitive = show_sensitive

    def captured(self, row: Captured) -> dict[str, Any]:
        """One stored activity: ``Captured.plain()``, with names, masked."""
        definition = self._backends.definitions.get(row.activity_id)
        return {
            **row.plain(),
            "person": self._person(row.person_id),
            "name": definition.name if definition else None,
            "attributes": self._attributes(row, definition),
        }

    def refused(self, outcome: Outcome) -> dict[str, Any]:
        """One refused request: ``Outcome.plain()``, with names."""
        activity_id = outcome.activity_id
        definition = self._backends.definitions.get(activity_id) if activity_id else None
        return {
            **outcome.plain(),
            "person": self._person(outcome.person_id),
            "name": definition.name if definition else None,
        }

    def _attributes(self, row: Captured, definition: Definition | None) -> dict[str, Any]:
        if self._show_sensitive:
            return dict(row.attributes)
        # What is not declared any more may have been declared sensitive before.
        shown = {a.key for a in definition.attributes if not a.sensitive} if definition else set()
        return {key: value if key in shown else MASK for key, value in row.attributes.items()}

    def _person(self, person_id: str | None) -> str | None:
        """Name a person by address, else by another identifier, else by id."""
        person = self._backends.people.get(person_id) if person_id else None
        if person is None or not person.identifiers:
            return person_id
        return person.email or person.identifiers[0].value
