"""The shapes of the API's values, as JSON Schema: what its document says, and bodies are held to.

The law of this file: schemas only, each said once. The document is made of them, and a body that
does not fit one is refused before a route sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import ATTRIBUTE_TYPES
from ..questions.checks import (
    MAX_ACTIVITIES,
    MAX_DID,
    MAX_LIMIT,
    MAX_STEPS,
    MAX_VALUES,
    MAX_WHERE,
    MEASURES,
    OPS,
    SPLITS,
    UNITS,
)
from .routes import Problem, Schema

Plain = dict[str, Any]

TEXT: Plain = {"type": "string"}
WHOLE: Plain = {"type": "integer"}
COUNT: Plain = {"type": "integer", "minimum": 0}
NUMBER: Plain = {"type": "number"}
FLAG: Plain = {"type": "boolean"}
MOMENT: Plain = {"type": "string", "format": "date-time"}
ANY: Plain = {}


def either(*shapes: Schema) -> Plain:
    """One of several shapes."""
    return {"anyOf": [dict(each) for each in shapes]}


def maybe(shape: Schema) -> Plain:
    """A value or null."""
    if isinstance(shape.get("type"), str) and "enum" not in shape:
        return {**shape, "type": [shape["type"], "null"]}
    return either(shape, {"type": "null"})


def many(shape: Schema, most: int | None = None) -> Plain:
    """A list."""
    made: Plain = {"type": "array", "items": dict(shape)}
    return made if most is None else {**made, "maxItems": most}


def mapping(shape: Schema) -> Plain:
    """An object whose members have names of their own."""
    return {"type": "object", "additionalProperties": dict(shape)}


def one_of(*choices: str) -> Plain:
    """One of several words."""
    return {"type": "string", "enum": list(choices)}


def record(members: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Plain:
    """An object of these members; those of ``optional`` may be left out."""
    every = {**members, **(optional or {})}
    return {
        "type": "object",
        "properties": {name: dict(shape) for name, shape in every.items()},
        "required": list(members),
        "additionalProperties": False,
    }


# -- definitions

ID: Plain = {"type": "string", "pattern": "^act:[a-z0-9]{1,8}:[A-Za-z0-9_-]+$", "maxLength": 100}
ATTRIBUTE = record({"key": TEXT}, {"name": TEXT, "required": FLAG, "sensitive": FLAG})
LIMITS = record({}, {"person": TEXT, "ip": TEXT})
_DEFINITION = {
    "client_side": FLAG,
    "attributes": many(ATTRIBUTE),
    "limits": maybe(LIMITS),
    "unknown_attributes": one_of("reject", "drop"),
    "icon": maybe(TEXT),
    "archived": FLAG,
    "needs": one_of("claimed", "verified"),
    "shown_as": maybe(TEXT),
}
#: As it is sent: what is left out has its default.
GIVEN_DEFINITION = record({"id": TEXT, "name": TEXT}, _DEFINITION)
#: As it is answered, with all members.
DEFINITION = record({"id": ID, "name": TEXT, **_DEFINITION})
KEPT_DEFINITION = record({"definition": DEFINITION, "etag": TEXT})
STATUS = one_of("setup", "live")
ACTIVITY = record(
    {
        "id": ID,
        "name": TEXT,
        "icon": maybe(TEXT),
        "client_side": FLAG,
        "archived": FLAG,
        "status": STATUS,
        "today": record({"accepted": COUNT, "refused": COUNT}),
        "days": many(COUNT),
        "last_seen": maybe(MOMENT),
        "editable": FLAG,
        "switchable": FLAG,
        "etag": TEXT,
    }
)


# -- questions

_KEY: Plain = {
    "type": "string",
    "pattern": f"^(?:{'|'.join(ATTRIBUTE_TYPES)}):[a-z0-9]{{0,8}}:[A-Za-z0-9_-]+$",
    "maxLength": 100,
}
_SCALAR: Plain = {"type": ["string", "integer", "boolean"]}
_WHERE = record(
    {"attribute": _KEY},
    {
        "op": one_of(*dict.fromkeys(op for ops in OPS.values() for op in ops)),
        "value": either(_SCALAR, many(_SCALAR, MAX_VALUES), {"type": "null"}),
    },
)
_LENGTH: Plain = {"type": "string", "pattern": "^[1-9][0-9]{0,3}[hdw]$"}
_SLUG: Plain = {"type": "string", "pattern": "^[a-z0-9]+(?:-[a-z0-9]+)*$", "maxLength": 100}
_CONDITION_AGAIN: Plain = {"$ref": "#/components/schemas/Condition"}
_DATE: Plain = {"type": "string", "format": "date"}
_PERIOD = either(
    {"type": "string", "pattern": "^[1-9][0-9]{0,3}[hdwm]$"},
    {"type": "array", "items": _DATE, "minItems": 2, "maxItems": 2},
)
_WHERES = many(_WHERE, MAX_WHERE)
CONDITION = either(
    record(
        {"did": ID},
        {
            "where": _WHERES,
            "at_least": {"type": "integer", "minimum": 1},
            "within": maybe(_LENGTH),
        },
    ),
    record({"in": _SLUG}),
    record({"all": many(_CONDITION_AGAIN, MAX_DID)}),
    record({"any": many(_CONDITION_AGAIN, MAX_DID)}),
    record({"not": _CONDITION_AGAIN}),
)
_TIME = {"period": _PERIOD, "time_zone": maybe(TEXT)}
QUESTION = either(
    record(
        {},
        {
            "activity": either(ID, many(ID, MAX_ACTIVITIES), {"type": "null"}),
            "measure": one_of(*MEASURES),
            "attribute": maybe(_KEY),
            "where": _WHERES,
            "people": maybe(CONDITION),
            "by": maybe(one_of(*UNITS)),
            "split_by": either(one_of(*SPLITS), _KEY, {"type": "null"}),
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT},
            **_TIME,
        },
    ),
    record({"steps": many(ID, MAX_STEPS)}, {"within": _LENGTH, **_TIME}),
    record({"members": CONDITION}, {"after": TEXT, "limit": WHOLE}),
    record({"refusals": one_of("reason", "activity")}, _TIME),
)
_VALUE: Plain = {"type": ["string", "integer", "boolean", "null"]}
ANSWER = record(
    {
        "rows": many(
            record(
                {"start": maybe(NUMBER), "value": _VALUE, "measure": maybe(NUMBER)},
                {"person_id": TEXT},
            )
        ),
        "total": maybe(NUMBER),
        "since": NUMBER,
        "until": NUMBER,
        "buckets": many(many(NUMBER)),
        "partial": many(FLAG),
    }
)
GIVEN_REPORT = record(
    {"title": TEXT, "question": QUESTION, "draw": one_of("bars", "line", "shares", "table")}
)
GIVEN_AUDIENCE = record({"title": TEXT, "people": CONDITION})


# -- bodies


def check(body: Mapping[str, Any], shape: Schema) -> None:
    """Hold a body to its shape.

    :raises Problem: 400 ``bad-request``, which names the member and what would be right.
    """
    # Imported on use: it takes 60 ms, which most programs need not spend.
    from jsonschema import Draft202012Validator

    wrong = next(Draft202012Validator(shape).iter_errors(body), None)
    if wrong is not None:
        member = ".".join(str(each) for each in wrong.absolute_path)
        if wrong.validator == "required":
            missing = next(each for each in wrong.validator_value if each not in wrong.instance)
            member = f"{member}.{missing}".removeprefix(".")
        said = f"it does not fit {wrong.validator}"
        raise Problem(400, "bad-request", said, field=member or None, expected=_words(wrong))


def _words(wrong: Any) -> str:
    value = wrong.validator_value
    match wrong.validator:
        case "required":
            return "it is needed"
        case "enum":
            return " or ".join(map(str, value))
        case "additionalProperties":
            return "no other members than " + ", ".join(wrong.schema["properties"])
        case "type" | "pattern" | "maxItems" | "maxLength" | "minimum" | "maximum":
            return (
                f"{wrong.validator} {value if isinstance(value, str | int) else ' or '.join(value)}"
            )
    return "one of the shapes that the OpenAPI document has"
