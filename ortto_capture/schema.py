"""A definition, as a JSON Schema for everybody and as a compiled check for the hot path.

The law of this file: both say the same. The exported schema is the reference (``validator`` runs
``jsonschema`` on it); ``compile_check`` is forty times as fast, and a property test holds the two
together. Only the byte limit of ``obj`` cannot be said in a schema. No user supplies a schema or a
pattern, nothing is fetched, and a message never contains a value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidAttributes
from .model import Definition, is_attribute_key
from .wire import MAX_INTEGER

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

__all__ = ["compile_check", "json_schema", "validator"]

#: Ortto's published limits, in code points, members and bytes.
MAX_STR, MAX_TXT, MAX_ITEMS, MAX_OBJ = 255, 4_000, 100, 15_000
#: The longest ISO 8601 time worth reading, with microseconds and an offset in seconds.
MAX_TIME = 40
#: Of a telephone number: characters as written, and digits (E.164 has 15).
MAX_PHONE, MAX_PHONE_DIGITS = 32, 20

_PHONE = re.compile(r"[0-9 ().+-]*")


class Wrong(Exception):
    """A value does not fit its type; the caller knows which attribute it was."""


def _str(value: Any) -> Any:
    if type(value) is str and len(value) <= MAX_STR:
        return value
    raise Wrong


def _txt(value: Any) -> Any:
    if type(value) is str and len(value) <= MAX_TXT:
        return value
    raise Wrong


def _int(value: Any) -> Any:
    kind = type(value)
    if kind is float and value.is_integer():
        value = int(value)
    elif kind is not int:
        raise Wrong
    if not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise Wrong
    return value


def _bol(value: Any) -> Any:
    if value is True or value is False:
        return value
    raise Wrong


def _dtz(value: Any) -> Any:
    if type(value) is not dict or not value.keys() <= {"year", "month", "day", "timezone"}:
        raise Wrong
    if not _is_date(value):
        raise Wrong
    day = {part: int(value[part]) for part in ("year", "month", "day")}
    if "timezone" in value:
        day["timezone"] = _str(value["timezone"])
    return day


def _tme(value: Any) -> Any:
    if type(value) is str and _is_time(value):
        return value
    raise Wrong


def _phn(value: Any) -> Any:
    if type(value) is not dict or not {"n"} <= value.keys() <= {"c", "n"}:
        raise Wrong
    for part in value.values():
        if type(part) is not str or len(part) > MAX_PHONE or not _PHONE.fullmatch(part):
            raise Wrong
    if not _is_phone(value["n"]):
        raise Wrong
    return value


def _geo(value: Any) -> Any:
    if type(value) is dict and value.keys() == {"name"}:
        _str(value["name"])
        return value
    raise Wrong


def _list(value: Any) -> Any:
    if type(value) is not list or len(value) > MAX_ITEMS:
        raise Wrong
    for item in value:
        _str(item)
    return value


def _obj(value: Any) -> Any:
    if type(value) is not dict:
        raise Wrong
    try:
        compact = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(compact.encode())
    except (TypeError, ValueError, RecursionError):  # no JSON; only Python callers get here
        raise Wrong from None
    if size > MAX_OBJ:
        raise Wrong
    return value


def _is_date(value: Any) -> bool:
    """Whether ``year``, ``month`` and ``day`` are whole numbers that make a real date."""
    try:
        date(*(_int(value[part]) for part in ("year", "month", "day")))
    except (Wrong, KeyError, ValueError, OverflowError):
        return False
    return True


def _is_time(value: str) -> bool:
    """Whether this is ISO 8601 with a date, a time and an offset or Z."""
    if len(value) > MAX_TIME or not value.isascii() or "T" not in value:
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _is_phone(value: str) -> bool:
    """Whether there are 1 to 20 digits among the characters of a telephone number."""
    return 1 <= sum(map(str.isdigit, value)) <= MAX_PHONE_DIGITS


class _Type(NamedTuple):
    """One attribute type: its check, what it expects in words, and its schema."""

    check: Callable[[Any], Any]
    expected: str
    schema: dict[str, Any]


_TEXT_LIST = _Type(
    _list,
    f"an array of at most {MAX_ITEMS} strings of at most {MAX_STR} characters",
    {
        "type": "array",
        "maxItems": MAX_ITEMS,
        "items": {"type": "string", "maxLength": MAX_STR},
    },
)
# The look-ahead keeps Python's "$" from accepting a final newline; elsewhere it changes nothing.
_PHONE_PART = {"type": "string", "maxLength": MAX_PHONE, "pattern": r"^[0-9 ().+-]*$(?!\n)"}
_TYPES = {
    "str": _Type(
        _str,
        f"a string of at most {MAX_STR} characters",
        {"type": "string", "maxLength": MAX_STR},
    ),
    "txt": _Type(
        _txt,
        f"a string of at most {MAX_TXT} characters",
        {"type": "string", "maxLength": MAX_TXT},
    ),
    "int": _Type(
        _int,
        f"a whole number from -{MAX_INTEGER} to {MAX_INTEGER}",
        {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
    ),
    "bol": _Type(_bol, "true or false", {"type": "boolean"}),
    "dtz": _Type(
        _dtz,
        'a real date, such as {"year": 2026, "month": 7, "day": 31, "timezone": "UTC"}',
        {
            "type": "object",
            "format": "calendar-date",
            "properties": {
                "year": {"type": "integer", "minimum": 1, "maximum": 9999},
                "month": {"type": "integer", "minimum": 1, "maximum": 12},
                "day": {"type": "integer", "minimum": 1, "maximum": 31},
                "timezone": {"type": "string", "maxLength": MAX_STR},
            },
            "required": ["year", "month", "day"],
            "additionalProperties": False,
        },
    ),
    "tme": _Type(
        _tme,
        "an ISO 8601 time with an offset or Z, such as 2026-07-31T12:00:00Z",
        {"type": "string", "maxLength": MAX_TIME, "format": "iso-time"},
    ),
    "phn": _Type(
        _phn,
        'a telephone number, such as {"c": "61", "n": "0401 234-567"}',
        {
            "type": "object",
            "properties": {"c": _PHONE_PART, "n": {**_PHONE_PART, "format": "phone-number"}},
            "required": ["n"],
            "additionalProperties": False,
        },
    ),
    "geo": _Type(
        _geo,
        f'a place, such as {{"name": "Sydney"}}, of at most {MAX_STR} characters',
        {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": MAX_STR}},
            "required": ["name"],
            "additionalProperties": False,
        },
    ),
    "sst": _TEXT_LIST,
    "stl": _TEXT_LIST,
    "obj": _Type(_obj, f"an object of at most {MAX_OBJ} bytes as compact JSON", {"type": "object"}),
}


def json_schema(definition: Definition, max_attributes: int = 15) -> dict[str, Any]:
    """The ``attributes`` object of ``definition`` as JSON Schema, draft 2020-12.

    ``null`` counts as absent, so it is allowed wherever the attribute may be left out.

    :param max_attributes: members at most; ``Settings.max_attributes``.
    """
    properties = {}
    for attribute in definition.attributes:
        schema = _TYPES[attribute.type].schema
        if not attribute.required:
            schema = {"anyOf": [schema, {"type": "null"}]}
        properties[attribute.key] = {"title": attribute.name, **schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": definition.name,
        "type": "object",
        "properties": properties,
        "required": [a.key for a in definition.attributes if a.required],
        "additionalProperties": definition.unknown_attributes == "drop",
        "maxProperties": max_attributes,
    }


def validator(definition: Definition, max_attributes: int = 15) -> Validator:
    """The reference: ``jsonschema`` on the exported schema, with our formats, fetching nothing."""
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry

    formats = FormatChecker(formats=())
    # A format says nothing about values of other types: the "type" beside it does.
    formats.checks("calendar-date")(lambda value: type(value) is not dict or _is_date(value))
    formats.checks("iso-time")(lambda value: type(value) is not str or _is_time(value))
    formats.checks("phone-number")(lambda value: type(value) is not str or _is_phone(value))
    return Draft202012Validator(
        json_schema(definition, max_attributes), format_checker=formats, registry=Registry()
    )


def compile_check(
    definition: Definition, max_attributes: int = 15
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Make the function that checks one activity's attributes against ``definition``.

    It returns a new dict of what is to be stored: without nulls, without what is not declared when
    that is to be dropped, and with whole floats as integers where an integer is declared.

    :param max_attributes: members at most; ``Settings.max_attributes``.
    :raises InvalidAttributes: (the function) with ``expected``, and ``field`` when the key is well
        formed; ``reason`` is ``too-many-attributes``, ``unknown-attribute``, ``wrong-value`` or
        ``missing-attribute``.
    """
    checks = {a.key: _TYPES[a.type].check for a in definition.attributes}
    required = frozenset(a.key for a in definition.attributes if a.required)
    drop = definition.unknown_attributes == "drop"

    def check(attributes: Mapping[str, Any]) -> dict[str, Any]:
        if len(attributes) > max_attributes:
            raise InvalidAttributes(
                "too-many-attributes", expected=f"at most {max_attributes} attributes"
            )
        kept = {}
        for key, value in attributes.items():
            fits = checks.get(key)
            if fits is None:
                if drop:
                    continue
                raise InvalidAttributes(
                    "unknown-attribute",
                    field=key if is_attribute_key(key) else None,
                    expected="an attribute that the activity declares",
                )
            if value is not None:
                try:
                    kept[key] = fits(value)
                except Wrong:
                    raise InvalidAttributes(
                        "wrong-value", field=key, expected=_TYPES[key[:3]].expected
                    ) from None
        if not required <= kept.keys():
            missing = min(required - kept.keys())
            raise InvalidAttributes(
                "missing-attribute", field=missing, expected=_TYPES[missing[:3]].expected
            )
        return kept

    return check
