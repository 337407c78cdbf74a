"""One port of your own beside three of ours: activities that live in a table of your database.

``python examples/custom_backend/app.py`` serves it on http://127.0.0.1:8000/.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from werkzeug.serving import run_simple
from werkzeug.wrappers import Response

from ortto_capture import (
    Attribute,
    BackendError,
    Capture,
    CaptureApp,
    Definition,
    Settings,
    mount,
    open_backends,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PAGE = """<!doctype html><title>Shop</title>%s
<button onclick="report('act:cm:login')">Log in</button>
<button onclick="report('act:cm:refund-issued')">Refund</button>
<p></p>
<script>
ap3c.track({email: "jo@example.com"});
const report = async (activity_id) => {
  const outcome = await ap3c.activity({activity_id});
  document.querySelector("p").textContent = outcome.status;
};
</script>
"""


class TableDefinitions:
    """The ``Definitions`` port. Nothing needs to be inherited."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._table() as table:
            table.execute("CREATE TABLE IF NOT EXISTS activities (id TEXT PRIMARY KEY, json TEXT)")

    @contextmanager
    def _table(self) -> Iterator[sqlite3.Connection]:
        # A connection of its own each time, because a port is called from several threads. No
        # exception of the driver leaves a port.
        try:
            with closing(sqlite3.connect(self._path)) as connection, connection:
                yield connection
        except sqlite3.Error as error:
            raise BackendError("the table of activities did not answer") from error

    def get(self, activity_id: str) -> Definition | None:
        """Return the definition with exactly this id, or None."""
        if not activity_id.isascii():
            # No id is. A lone surrogate, which any string may hold, could not even be asked for.
            return None
        with self._table() as table:
            row = table.execute("SELECT json FROM activities WHERE id = ?", [activity_id])
            found = row.fetchone()
        return _definition(*found) if found else None

    def all(self) -> Sequence[Definition]:
        """Return every definition, ordered by id."""
        with self._table() as table:
            rows = table.execute("SELECT json FROM activities ORDER BY id").fetchall()
        return [_definition(*row) for row in rows]

    def put(self, definition: Definition) -> None:
        """Store ``definition``, replacing the one with its id."""
        row = (definition.id, json.dumps(asdict(definition)))
        with self._table() as table:
            table.execute("REPLACE INTO activities VALUES (?, ?)", row)

    def declare(self, definitions: Sequence[Definition]) -> None:
        """Create what is missing and replace what changed; an operator's switches stay."""
        for definition in definitions:
            stored = self.get(definition.id)
            wanted = definition.declared_over(stored)
            if wanted is not stored:
                self.put(wanted)


def _definition(text: str) -> Definition:
    members = json.loads(text)
    attributes = [Attribute(**each) for each in members.pop("attributes")]
    return Definition(**members, attributes=attributes)


def build(path: Path) -> WSGIApplication:
    """A page that reports, and the capture app: definitions from that file, the rest in memory."""
    definitions = TableDefinitions(path)
    definitions.declare(
        [
            Definition("act:cm:login", "Logged in", client_side=True, attributes=["str::email"]),
            Definition("act:cm:refund-issued", "Refund issued"),
        ]
    )
    backends = replace(open_backends("memory:"), definitions=definitions)
    settings = Settings(secret_keys=["change me: a secret of at least 32 bytes"])
    app = CaptureApp(Capture(backends=backends, settings=settings))
    return mount(Response(PAGE % app.snippet("shop"), mimetype="text/html"), app)


if __name__ == "__main__":
    run_simple("127.0.0.1", 8000, build(Path("activities.db")), threaded=True)
