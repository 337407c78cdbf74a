"""A definition, as a JSON Schema that is public and as a compiled check for the hot path.

The law of this file: both say the same of every JSON value, and ``wire`` lets nothing else come
here. The exported schema is the reference (``validator`` runs ``jsonschema`` on it);
``compile_check`` is some forty times as fast, and a property test holds the two together. Only the
byte limit of ``obj`` cannot be said in a schema. No user supplies a schema or a pattern, nothing is
fetched, every cost is linear, and no message contains a value. Strings are counted in code points
and never normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import date, datetime
from json import JSONEncoder
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import InvalidAttributes
from .model import MAX_INTEGER, Definition, is_attribute_key

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: Ortto's published limits, in code points, members and bytes.
MAX_STR, MAX_TXT, MAX_ITEMS, MAX_OBJ = 255, 4_000, 100, 15_000
#: Of a telephone number: characters as written, and digits (E.164 has 15).
MAX_PHONE, MAX_PHONE_DIGITS = 32, 20

# Patterns are part of the schema, so they keep to what Python and ECMAScript read alike. The
# look-ahead keeps Python's "$" from accepting a final newline; elsewhere it changes nothing. No two
# neighbours match the same character, so nothing is tried twice.
_PHONE = r"^(?:[ ().+-]*[0-9]){%d,%d}[ ().+-]*$(?!\n)"
_CODE, _NUMBER = _PHONE % (0, MAX_PHONE_DIGITS), _PHONE % (1, MAX_PHONE_DIGITS)
# A calendar date, basic or extended, and an offset or Z: what every Python since 3.11 can read.
TIME = (
    r"^[0-9]{4}(?:-[0-9]{2}-|[0-9]{2})[0-9]{2}"
    r"T(?:[01][0-9]|2[0-3])(?::?[0-5][0-9](?::?[0-5][0-9](?:[.,][0-9]{1,9})?)?)?"
    r"(?:Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)$(?!\n)"
)
_is_code, _is_number, _is_time_shaped = (re.compile(p).match for p in (_CODE, _NUMBER, TIME))
_compact = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Wrong(Exception):
    """A value does not fit its type; the caller knows which attribute it was."""


def _text(longest: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if type(value) is str and len(value) <= longest:
            return value
        raise Wrong

    return check


_str, _txt = _text(MAX_STR), _text(MAX_TXT)


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


def _members(value: Any, names: frozenset[str]) -> dict[str, Any]:
    """``value``, if it is an object with no other members than these."""
    if type(value) is not dict or not value.keys() <= names:
        raise Wrong
    return value


_DTZ, _PHN = frozenset({"year", "month", "day", "timezone"}), frozenset({"c", "n"})
_GEO = frozenset({"name"})


def _dtz(value: Any) -> Any:
    if not _is_date(_members(value, _DTZ)):
        raise Wrong
    return {name: _str(part) if name == "timezone" else int(part) for name, part in value.items()}


def _tme(value: Any) -> Any:
    if type(value) is str and _is_time(value):
        return value
    raise Wrong


def _phn(value: Any) -> Any:
    number = _str(_members(value, _PHN).get("n"))
    code = _str(value.get("c", ""))
    if max(len(code), len(number)) <= MAX_PHONE and _is_code(code) and _is_number(number):
        return value
    raise Wrong


def _geo(value: Any) -> Any:
    _str(_members(value, _GEO).get("name"))
    return value


def _list(value: Any) -> Any:
    if type(value) is not list or len(value) > MAX_ITEMS:
        raise Wrong
    for item in value:
        _str(item)
    return value


def _obj(value: Any) -> Any:
    # A lone surrogate is for `wire` to refuse; here it counts as what it would take.
    if type(value) is dict and len(_compact(value).encode(errors="surrogatepass")) <= MAX_OBJ:
        return value
    raise Wrong


def _is_date(value: dict[str, Any]) -> bool:
    """Whether ``year``, ``month`` and ``day`` are whole numbers that make a real date."""
    try:
        date(_int(value["year"]), _int(value["month"]), _int(value["day"]))
    except (Wrong, KeyError, ValueError, OverflowError):
        return False
    return True


def _is_time(value: str) -> bool:
    """Whether this is ISO 8601 with a real date, a time, and an offset or Z."""
    if _is_time_shaped(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


class _Type(NamedTuple):
    """One attribute type: its check, what it expects in words, its schema, a harmless sample."""

    check: Callable[[Any], Any]
    expected: str
    schema: dict[str, Any]
    sample: Any


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object of these members only."""
    shape = {"type": "object", "properties": properties, "required": required}
    return {**shape, "additionalProperties": False}


def _string(check: Callable[[Any], Any], longest: int) -> _Type:
    schema = {"type": "string", "maxLength": longest}
    return _Type(check, f"a string of at most {longest} characters", schema, "text")


_STRING = {"type": "string", "maxLength": MAX_STR}
_TEXT_LIST = _Type(
    _list,
    f"an array of at most {MAX_ITEMS} strings of at most {MAX_STR} characters",
    {"type": "array", "maxItems": MAX_ITEMS, "items": _STRING},
    ["text"],
)
_TYPES = {
    "str": _string(_str, MAX_STR),
    "txt": _string(_txt, MAX_TXT),
    "int": _Type(
        _int,
        f"a whole number from -{MAX_INTEGER} to {MAX_INTEGER}",
        {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        0,
    ),
    "bol": _Type(_bol, "true or false", {"type": "boolean"}, False),
    "dtz": _Type(
        _dtz,
        'a real date, such as {"year": 2026, "month": 7, "day": 31, "timezone": "UTC"}',
        _object(
            ["year", "month", "day"],
            {
                "year": {"type": "integer", "minimum": 1, "maximum": 9999},
                "month": {"type": "integer", "minimum": 1, "maximum": 12},
                "day": {"type": "integer", "minimum": 1, "maximum": 31},
                "timezone": _STRING,
            },
        )
        | {"format": "calendar-date"},
        {"year": 2026, "month": 7, "day": 31, "timezone": "UTC"},
    ),
    "tme": _Type(
        _tme,
        "an ISO 8601 time with an offset or Z, such as 2026-07-31T12:00:00Z",
        {"type": "string", "pattern": TIME, "format": "iso-time"},
        "2026-07-31T12:00:00Z",
    ),
    "phn": _Type(
        _phn,
        f'a telephone number of at most {MAX_PHONE_DIGITS} digits, such as {{"c": "61", '
        '"n": "0401 234-567"}',
        _object(
            ["n"],
            {
                "c": {"type": "string", "maxLength": MAX_PHONE, "pattern": _CODE},
                "n": {"type": "string", "maxLength": MAX_PHONE, "pattern": _NUMBER},
            },
        ),
        # From the range that Australia keeps for fiction.
        {"c": "61", "n": "0491 570 006"},
    ),
    "geo": _Type(
        _geo,
        f'a place, such as {{"name": "Sydney"}}, of at most {MAX_STR} characters',
        _object(["name"], {"name": _STRING}),
        {"name": "Sydney"},
    ),
    "sst": _TEXT_LIST,
    "stl": _TEXT_LIST,
    "obj": _Type(
        _obj, f"an object of at most {MAX_OBJ:,} bytes as compact JSON", {"type": "object"}, {}
    ),
}


def json_schema(definition: Definition, max_attributes: int = 15) -> dict[str, Any]:
    """The ``attributes`` object of ``definition`` as JSON Schema, draft 2020-12.

    ``null`` counts as absent, so it is allowed wherever the attribute may be left out.

    :param max_attributes: members at most; ``Settings.max_attributes``.
    """
    properties = {}
    for attribute in definition.attributes:
        # A copy, because the caller may change it.
        schema = deepcopy(_TYPES[attribute.type].schema)
        if not attribute.required:
            schema["type"] = [schema["type"], "null"]
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
    return Draft202012Validator(
        json_schema(definition, max_attributes), format_checker=formats, registry=Registry()
    )


def compile_check(
    definition: Definition, max_attributes: int = 15
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Make the function that checks one activity's attributes against ``definition``.

    It returns a new dict of what is to be stored: without nulls, without what is not declared when
    that is to be dropped, and with whole floats as integers where an integer is declared. It takes
    the values of JSON; what a Python caller gives is made sure of by ``wire.checked``.

    :param max_attributes: members at most; ``Settings.max_attributes``.
    :raises InvalidAttributes: (the function) with ``expected``, and ``field`` when the key is well
        formed; ``reason`` is ``too-many-attributes``, ``unknown-attribute``, ``wrong-value`` or
        ``missing-attribute``.
    """
    checks = {a.key: _TYPES[a.type].check for a in definition.attributes}
    required = tuple(a.key for a in definition.attributes if a.required)
    drop = definition.unknown_attributes == "drop"

    def check(attributes: Mapping[str, Any]) -> dict[str, Any]:
        if type(attributes) is not dict and not isinstance(attributes, Mapping):
            raise InvalidAttributes("wrong-value", expected="an object of attributes")
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
                    raise _refused("wrong-value", key) from None
        for key in required:
            if key not in kept:
                raise _refused("missing-attribute", key)
        return kept

    return check


def _refused(reason: str, key: str) -> InvalidAttributes:
    return InvalidAttributes(reason, field=key, expected=_TYPES[key[:3]].expected)


def example(definition: Definition, max_attributes: int = 15) -> dict[str, Any]:
    """Harmless attributes that the check accepts, for people to copy and adapt.

    :param max_attributes: if more are declared, those that are required come first.
    """
    first = sorted(definition.attributes, key=lambda attribute: not attribute.required)
    return {a.key: deepcopy(_TYPES[a.type].sample) for a in first[:max_attributes]}
