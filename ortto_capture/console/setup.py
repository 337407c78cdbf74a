"""How an activity is set up: the code to paste, the limits, and who is close to one.

The law of this file: code is shown with harmless samples, and is a call that would be accepted.
What is said of limits is counted now, and changes no counter.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import floor
from typing import Any

from ..capture import Capture
from ..limiting import seconds_left
from ..model import Assurance, Charge, Definition
from ..schema import example, json_schema
from .account import ANY_KEY, endpoint_of, moment
from .figures import Figures, defined
from .masks import Masks
from .routes import Asked, Route
from .shapes import COUNT, FLAG, MOMENT, TEXT, many, mapping, one_of, record

#: People that are looked at: those who did it most often today.
LOOKED_AT = 50
#: The part of a limit from which on a person is close to it.
CLOSE = 0.8
#: Who the samples say the visitor is.
SAMPLE = "user@emaildomain.com"

_ASSURANCES: tuple[Assurance, ...] = ("claimed", "verified")

_LIMIT = record({"limit": one_of("person", "ip"), "quota": TEXT, "own": FLAG})
_NEAR = record(
    {"person_id": TEXT, "person": TEXT, "taken": COUNT, "amount": COUNT, "opens_at": MOMENT}
)
_SETUP = record(
    {
        "code": record({"snippet": TEXT, "page": TEXT, "old": TEXT, "python": TEXT}),
        "schema": mapping({}),
        "limits": many(_LIMIT),
        "close": many(_NEAR),
        "waiting": FLAG,
    }
)


class Setup:
    """What an operator needs to have an activity reported.

    :param snippet: returns the HTML for the head of a page, of a capture key and an endpoint.
    """

    def __init__(self, capture: Capture, snippet: Callable[[str, str], str]) -> None:
        self._capture = capture
        self._snippet = snippet
        self._figures = Figures(capture)

    def of(self, definition: Definition, asked: Asked) -> dict[str, Any]:
        """Everything about one activity's setup."""
        settings, own = self._capture.settings, definition.limits or {}
        seen = self._capture.backends.journal.first_and_last([definition.id])
        return {
            "code": self._code(definition, asked),
            "schema": json_schema(definition, settings.max_attributes),
            "limits": [
                {"limit": kind, "quota": own.get(kind, general), "own": kind in own}
                for kind, general in (
                    ("person", settings.person_limit),
                    ("ip", settings.ip_limit),
                )
            ],
            "close": self._close(definition),
            "waiting": not seen,
        }

    def _code(self, definition: Definition, asked: Asked) -> dict[str, str]:
        attributes = example(definition, self._capture.settings.max_attributes)
        call = {"activity_id": definition.id, "attributes": attributes}
        if not attributes:
            del call["attributes"]
        page = f"ap3c.activity({_script(call)});"
        inside = page.replace("\n", "\n  ")
        key = next(iter(self._capture.settings.sources), ANY_KEY)
        return {
            "snippet": self._snippet(key, endpoint_of(asked)),
            "page": page,
            "old": f"ap3c.cmd.push(function () {{\n  {inside}\n}});",
            "python": _python(definition.id, attributes),
        }

    def _close(self, definition: Definition) -> list[dict[str, Any]]:
        """Who has taken four fifths of their limit, most first."""
        intake, now = self._capture.intake, self._capture.clock()
        prepared, masks = intake.prepare(definition), Masks(self._capture.backends)
        amount, seconds = prepared.person_quota
        opens_at = floor(now) + seconds_left(seconds, floor(now))
        close = []
        for person_id, _ in self._figures.today(definition.id, LOOKED_AT):
            taken = max(
                intake.backends.limiter.taken(
                    Charge(prepared.person_bucket(f"{each} {person_id}"), prepared.person_quota),
                    now,
                )
                for each in _ASSURANCES
            )
            # Where the limit was changed, what was taken before counts against what it is now.
            if taken >= CLOSE * amount:
                close.append(
                    {
                        "person_id": person_id,
                        "person": masks.person(person_id),
                        "taken": taken,
                        "amount": amount,
                        "opens_at": moment(opens_at),
                    }
                )
        return sorted(close, key=lambda each: -each["taken"])


def _script(value: Any) -> str:
    """JSON as it may stand in the script of a page."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _python(activity_id: str, attributes: dict[str, Any]) -> str:
    lines = [f'    "{activity_id}",']
    if attributes:
        members = "".join(
            f"        {_literal(key)}: {_literal(value)},\n" for key, value in attributes.items()
        )
        lines.append(f"    {{\n{members}    }},")
    lines.append(f'    email="{SAMPLE}",')
    text = "\n".join(lines)
    return f"capture.record_for(\n{text}\n)"


def _literal(value: Any) -> str:
    """A value as Python's formatters leave it: a text in double quotes."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def routes(capture: Capture, snippet: Callable[[str, str], str]) -> list[Route]:
    """The route of one activity's setup."""
    own = Setup(capture, snippet)
    return [
        Route(
            "GET",
            "/api/activities/<activity_id>/setup",
            "read",
            lambda asked: own.of(defined(capture, asked["activity_id"]), asked),
            "The code to paste, the limits, and who is close to one.",
            answer=_SETUP,
            errors=(404, 422, 429),
        )
    ]
