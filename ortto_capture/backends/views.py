"""The views that other programs may read in ``store.sqlite3``: ``activities`` and ``profiles``.

The law of this file: the views are the promise, and the tables below them are none. A column keeps
its name and its meaning within a major version, and new ones come last. Values are spelled as in an
export: ids, words and ISO 8601 in place of the numbers that the tables hold. Times and ``gpc`` are
spelled as SQL has them: ``2026-07-31T12:00:00.000Z``, always with milliseconds, and 0 or 1. The
views are no part of the store's format: they hold nothing, and are made anew where a file has older
ones.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress

_TIME = "strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')"
_ASSURANCE = "CASE verified WHEN 1 THEN 'verified' ELSE 'claimed' END"
#: An identifier is stored as ``["email", "jo@example.com"]``.
_KNOWN_AS = (
    "(SELECT json_extract(each.value, '$[1]') FROM json_each(identifiers) AS each "
    "WHERE json_extract(each.value, '$[0]') = '{}')"
)
_IDENTIFIERS = (
    "(SELECT json_group_object(json_extract(each.value, '$[0]'), "
    "json_extract(each.value, '$[1]')) FROM json_each(identifiers) AS each)"
)

#: What each column of a view is made of, by the name of the view.
COLUMNS = {
    "activities": {
        "position": "position",
        "event_id": "event_id",
        "activity_id": "activity_ids.id",
        "person_id": "person_ids.id",
        "attributes": "attributes",
        "source": "source",
        "assurance": _ASSURANCE,
        "occurred_at": _TIME.format("occurred_at"),
        "received_at": _TIME.format("received_at"),
        "gpc": "gpc",
    },
    "profiles": {
        "person_id": "id",
        "email": _KNOWN_AS.format("email"),
        "ei": _KNOWN_AS.format("ei"),
        "first": "first",
        "last": "last",
        "assurance": _ASSURANCE,
        "created_at": _TIME.format("created_at"),
        "identifiers": _IDENTIFIERS,
    },
}
_FROM = {
    "activities": "journal JOIN activity_ids ON activity_ids.number = activity "
    "JOIN person_ids ON person_ids.number = person",
    "profiles": "people",
}


def _statement(view: str) -> str:
    columns = ", ".join(f"{made} AS {name}" for name, made in COLUMNS[view].items())
    return f"CREATE VIEW {view} AS SELECT {columns} FROM {_FROM[view]}"


#: The statements that make the views, as SQLite keeps them.
VIEWS = {view: _statement(view) for view in COLUMNS}


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make the views as this version has them, unless another process writes at this moment.

    Then an opening after this one does it: opening a store waits for no writer.

    :raises sqlite3.Error: when the store cannot be read.
    """
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'view'")
    found = dict(rows.fetchall())
    older = [view for view, statement in VIEWS.items() if found.get(view) != statement]
    if older:
        made = "".join(f"DROP VIEW IF EXISTS {view}; {VIEWS[view]}; " for view in older)
        connection.execute("PRAGMA busy_timeout = 0")
        with suppress(sqlite3.OperationalError):
            connection.executescript(f"BEGIN IMMEDIATE; {made}COMMIT;")
