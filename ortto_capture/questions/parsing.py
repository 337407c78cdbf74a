"""The one form that questions have in JSON, read strictly and written without defaults.

The law of this file: ``parse(plain(question)) == question``, and what is no question is refused
with the path of the member at fault, such as ``people.all.0.within``. Nothing is guessed: no
unknown member, no other spelling, no number as a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any as Json
from typing import TypeVar

from ..errors import BadQuery
from .checks import MAX_DID, MAX_NESTING, MAX_WHERE
from .query import (
    All,
    Any,
    Condition,
    Did,
    Funnel,
    In,
    Members,
    Not,
    Query,
    Question,
    Where,
)

T = TypeVar("T")

_QUESTION_EXPECTED = "an object"


def plain(question: Question | Condition | Where) -> Json:
    """The question, or a part of one, in plain JSON types."""
    match question:
        case All(of):
            return {"all": [plain(each) for each in of]}
        case Any(of):
            return {"any": [plain(each) for each in of]}
        case Not(of):
            return {"not": plain(of)}
        case In(audience):
            return {"in": audience}
        case Did():
            members = _members(question)
            return {"did": members.pop("activity"), **members}
        case Members():
            members = _members(question)
            return {"members": members.pop("people"), **members}
    return _members(question)


def parse(data: Json) -> Question:
    """Read a question: a funnel has ``steps``, members have ``members``, else it is a query.

    :raises BadQuery: with the path of the member at fault.
    """
    if isinstance(data, Mapping) and "steps" in data:
        return _built(Funnel, _object(data, Funnel, ""), "")
    if isinstance(data, Mapping) and "members" in data:
        given = dict(_object(data, Members, "", members="people"))
        if given["people"] is not None:
            given["people"] = _condition(given["people"], "members", MAX_NESTING)
        return _built(Members, given, "")
    given = dict(_object(data, Query, ""))
    if "where" in given:
        given["where"] = _wheres(given["where"], "where")
    if given.get("people") is not None:
        given["people"] = _condition(given["people"], "people", MAX_NESTING)
    return _built(Query, given, "")


def parse_condition(data: Json) -> Condition:
    """Read a condition on people.

    :raises BadQuery: with the path of the member at fault.
    """
    return _condition(data, "people", MAX_NESTING)


def _members(value: Question | Condition | Where) -> dict[str, Json]:
    """The members of a value that are not as they are when left out."""
    members = {}
    for field in fields(value):
        given = getattr(value, field.name)
        if given != field.default or type(given) is not type(field.default):
            members[field.name] = _plain_member(given)
    return members


def _plain_member(given: Json) -> Json:
    if isinstance(given, tuple):
        return [_plain_member(each) for each in given]
    if isinstance(given, Where | Did | In | All | Any | Not):
        return plain(given)
    return given


def _condition(data: Json, path: str, deeper: int) -> Condition:
    """A condition that is nested at most so deep."""
    if not deeper:
        raise BadQuery(path, f"conditions nested at most {MAX_NESTING} deep")
    if not isinstance(data, Mapping):
        raise BadQuery(path, "an object: did, in, all, any or not")
    if "did" in data:
        given = dict(_object(data, Did, path, did="activity"))
        if "where" in given:
            given["where"] = _wheres(given["where"], f"{path}.where")
        return _built(Did, given, path, activity="did")
    if len(data) != 1:
        raise BadQuery(path, "one of did, in, all, any and not")
    [(name, inner)] = data.items()
    inside = f"{path}.{name}"
    if name == "in":
        return _built(In, {"audience": inner}, path)
    if name == "not":
        return _built(Not, {"of": _condition(inner, inside, deeper - 1)}, path)
    if name not in ("all", "any"):
        raise BadQuery(path, "one of did, in, all, any and not")
    parts = _list(inner, inside, MAX_DID)
    of = tuple(_condition(each, f"{inside}.{n}", deeper - 1) for n, each in enumerate(parts))
    return _built(All, {"of": of}, path) if name == "all" else _built(Any, {"of": of}, path)


def _wheres(data: Json, path: str) -> tuple[Where, ...]:
    return tuple(
        _built(Where, _object(each, Where, f"{path}.{n}"), f"{path}.{n}")
        for n, each in enumerate(_list(data, path, MAX_WHERE))
    )


def _list(data: Json, path: str, most: int) -> list[Json]:
    if not isinstance(data, list) or len(data) > most:
        raise BadQuery(path, f"a list of at most {most}")
    return data


def _object(data: Json, kind: type, path: str, **renamed: str) -> Mapping[str, Json]:
    """The members that are given, by the names that the value has for them."""
    if not isinstance(data, Mapping):
        raise BadQuery(path or "question", _QUESTION_EXPECTED)
    named = {own: theirs for theirs, own in renamed.items()}
    names = [named.get(field.name, field.name) for field in fields(kind)]
    if any(name not in names for name in data):
        raise BadQuery(path or "question", f"no other members than {', '.join(names)}")
    for field, name in zip(fields(kind), names, strict=True):
        if field.default is MISSING and name not in data:
            raise BadQuery(_at(path, name), "this member is needed")
    return {str(renamed.get(name, name)): value for name, value in data.items()}


def _built(make: Callable[..., T], given: Mapping[str, Json], path: str, **renamed: str) -> T:
    """The value of these members; a refusal names the path from the outside."""
    try:
        return make(**given)
    except BadQuery as error:
        field, expected = error.field or "", error.expected or ""
        raise BadQuery(_at(path, renamed.get(field, field)), expected) from None


def _at(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
