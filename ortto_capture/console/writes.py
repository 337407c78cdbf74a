"""Writes: that they are recorded, and that none undoes another one unseen.

The law of this file: a record says who, what, when and which, and never names a person: one who is
erased must leave no trace here. A visitor who changes something says by its tag what it was when
they saw it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar

from werkzeug.http import unquote_etag

from ..capture import Capture
from .account import moment
from .routes import Asked, Problem, Route
from .shapes import MOMENT, TEXT, many
from .shapes import record as shape

T = TypeVar("T")

#: The kind of the documents; the names are rising numbers.
KIND = "change"
#: Records that are kept.
KEPT = 1_000
#: Digits of a name, so that names are in the order of their numbers.
_DIGITS = 12

_log = logging.getLogger("ortto_capture")


def record(capture: Capture, asked: Asked, what: str, which: str) -> None:
    """Record that the visitor does something.

    :param which: an activity, a report or the like; of a person :func:`unnamed`.
    """
    who = asked.visitor.who
    _log.info(
        "the console: %s %s %s",
        who,
        what,
        which,
        extra={"event": "console-write", "who": who, "what": what, "which": which},
    )
    documents = capture.backends.documents
    if documents is None:
        return
    value = {"at": moment(capture.clock()), "who": who, "what": what, "which": which}

    def decide() -> None:
        kept = documents.all(KIND)
        number = int(kept[-1].name) + 1 if kept else 1
        for old in kept[: max(0, len(kept) - KEPT + 1)]:
            documents.remove(KIND, old.name)
        # Another process may have the number, where documents lie in another medium.
        while documents.put(KIND, f"{number:0{_DIGITS}}", value, version=0) is None:
            number += 1

    capture.backends.atomically(decide)


def recorded(capture: Capture, asked: Asked, what: str, which: str, write: Callable[[], T]) -> T:
    """Return what ``write`` does; it is done and recorded in one decision, or neither."""

    def decide() -> T:
        done = write()
        record(capture, asked, what, which)
        return done

    return capture.backends.atomically(decide)


def unnamed(person_id: str) -> str:
    """Return what stands for a person in the records: it tells two apart, and names neither."""
    return "person " + sha256(f"ortto-capture change {person_id}".encode()).hexdigest()[:12]


def if_match(asked: Asked) -> str:
    """Return the tag that the visitor has seen, as ``If-Match`` has it.

    :raises Problem: 428 without one.
    """
    given = asked.environ.get("HTTP_IF_MATCH", "").strip()
    if not given:
        raise Problem(
            428, "if-match-needed", "say what you have seen", expected='If-Match: "…", an etag'
        )
    return str(unquote_etag(given)[0] or "")


def require_match(given: str, stored: str) -> None:
    """Refuse a change of what is another thing now.

    :raises Problem: 412.
    """
    if given != stored:
        raise Problem(412, "changed", "it was changed meanwhile; look at it again")


def version(asked: Asked, capture: Capture) -> int:
    """Return the version of a document that the visitor has seen: 0 when there was none.

    :raises Problem: 428 when the visitor says neither, 412 for what is no version, 409 where no
        documents are kept.
    """
    if capture.backends.documents is None:
        raise Problem(409, "read-only", "these backends keep neither reports nor audiences")
    if "*" in asked.environ.get("HTTP_IF_NONE_MATCH", ""):
        return 0
    given = if_match(asked)
    number = given.removeprefix("-")
    if not (number.isascii() and number.isdecimal() and int(number[:18]) > 0 and len(number) < 18):
        raise Problem(412, "changed", "it was changed meanwhile; look at it again")
    return int(given)


def routes(capture: Capture) -> list[Route]:
    """What was recorded."""

    def changes(_: Asked) -> dict[str, Any]:
        documents = capture.backends.documents
        kept = documents.all(KIND) if documents is not None else ()
        read = (each.value for each in reversed(kept) if isinstance(each.value, dict))
        names = ("at", "who", "what", "which")
        return {"changes": [{name: str(each.get(name, "")) for name in names} for each in read]}

    one = shape({"at": MOMENT, "who": TEXT, "what": TEXT, "which": TEXT})
    answer = shape({"changes": many(one)})
    summary = "What was changed, exported and unmasked here, newest first."
    return [Route("GET", "/api/changes", "read", changes, summary, answer=answer)]
