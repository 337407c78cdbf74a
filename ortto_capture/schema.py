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
_DTZ, _PHN = frozenset({"year", "month", "day", "timezone"}), frozenset({"c", "n"})
_GEO = frozenset({"name"})


def _is_str(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_STR


def _is_txt(value: Any) -> bool:
    return type(value) is str and len(value) <= MAX_TXT


def _is_int(value: Any) -> bool:
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return whole and -MAX_INTEGER <= value <= MAX_INTEGER


def _is_bol(value: Any) -> bool:
    return value is True or value is False


def _is_dtz(value: Any) -> bool:
    return _has_only(_DTZ, value) and _is_date(value) and _is_str(value.get("timezone", ""))


def _is_tme(value: Any) -> bool:
    return type(value) is str and _is_time(value)


def _is_phn(value: Any) -> bool:
    if not _has_only(_PHN, value):
        return False
    code, number = value.get("c", ""), value.get("n")
    return (
        type(code) is type(number) is str
        and max(len(code), len(number)) <= MAX_PHONE
        and _is_code(code) is not None
        and _is_number(number) is not None
    )


def _is_geo(value: Any) -> bool:
    return _has_only(_GEO, value) and _is_str(value.get("name"))


def _is_list(value: Any) -> bool:
    return type(value) is list and len(value) <= MAX_ITEMS and all(map(_is_str, value))


def _is_obj(value: Any) -> bool:
    # A lone surrogate is for `wire` to refuse; here it counts as what it would take.
    return type(value) is dict and len(_compact(value).encode(errors="surrogatepass")) <= MAX_OBJ


def _has_only(names: frozenset[str], value: Any) -> bool:
    """Whether this is an object with no other members than these."""
    return type(value) is dict and value.keys() <= names


def _is_date(value: dict[str, Any]) -> bool:
    """Whether ``year``, ``month`` and ``day`` are whole numbers that make a real date."""
    parts: list[Any] = [value.get(name) for name in ("year", "month", "day")]
    if not all(map(_is_int, parts)):
        return False
    try:
        date(*map(int, parts))
    except (ValueError, OverflowError):
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


def _whole_day(value: dict[str, Any]) -> dict[str, Any]:
    return {name: part if name == "timezone" else int(part) for name, part in value.items()}


class _Type(NamedTuple):
    """One attribute type.

    :param fits: tells whether a value is one.
    :param expected: what is, in words.
    :param sample: a harmless value.
    :param stored: makes what is stored, where that is not the value as it came.
    """

    fits: Callable[[Any], bool]
    expected: str
    schema: dict[str, Any]
    sample: Any
    stored: Callable[[Any], Any] | None = None


def _object(required: list[str], properties: dict[str, Any]) -> dict[str, Any]:
    """The schema of an object of these members only."""
    shape = {"type": "object", "properties": properties, "required": required}
    return {**shape, "additionalProperties": False}


def _string(fits: Callable[[Any], bool], longest: int) -> _Type:
    schema = {"type": "string", "maxLength": longest}
    return _Type(fits, f"a string of at most {longest} characters", schema, "text")


_STRING = {"type": "string", "maxLength": MAX_STR}
_TEXT_LIST = _Type(
    _is_list,
    f"an array of at most {MAX_ITEMS} strings of at most {MAX_STR} characters",
    {"type": "array", "maxItems": MAX_ITEMS, "items": _STRING},
    ["text"],
)
_TYPES = {
    "str": _string(_is_str, MAX_STR),
    "txt": _string(_is_txt, MAX_TXT),
    "int": _Type(
        _is_int,
        f"a whole number from -{MAX_INTEGER} to {MAX_INTEGER}",
        {"type": "integer", "minimum": -MAX_INTEGER, "maximum": MAX_INTEGER},
        0,
        int,
    ),
    "bol": _Type(_is_bol, "true or false", {"type": "boolean"}, False),
    "dtz": _Type(
        _is_dtz,
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
        _whole_day,
    ),
    "tme": _Type(
        _is_tme,
        "an ISO 8601 time with an offset or Z, such as 2026-07-31T12:00:00Z",
        {"type": "string", "pattern": TIME, "format": "iso-time"},
        "2026-07-31T12:00:00Z",
    ),
    "phn": _Type(
        _is_phn,
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
        _is_geo,
        f'a place, such as {{"name": "Sydney"}}, of at most {MAX_STR} characters',
        _object(["name"], {"name": _STRING}),
        {"name": "Sydney"},
    ),
    "sst": _TEXT_LIST,
    "stl": _TEXT_LIST,
    "obj": _Type(
        _is_obj, f"an object of at most {MAX_OBJ:,} bytes as compact JSON", {"type": "object"}, {}
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
    types = {a.key: _TYPES[a.type] for a in definition.attributes}
    # Plain tuples: looking the two up by name would cost as much as most values take to check.
    checks = {key: (kind.fits, kind.stored) for key, kind in types.items()}
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
            found = checks.get(key)
            if found is None:
                if drop:
                    continue
                raise InvalidAttributes(
                    "unknown-attribute",
                    field=key if is_attribute_key(key) else None,
                    expected="an attribute that the activity declares",
                )
            if value is not None:
                fits, stored = found
                if not fits(value):
                    raise InvalidAttributes("wrong-value", field=key, expected=types[key].expected)
                kept[key] = value if stored is None else stored(value)
        for key in required:
            if key not in kept:
                expected = types[key].expected
                raise InvalidAttributes("missing-attribute", field=key, expected=expected)
        return kept

    return check


def example(definition: Definition, max_attributes: int = 15) -> dict[str, Any]:
    """Harmless attributes that the check accepts, for people to copy and adapt.

    :param max_attributes: if more are declared, those that are required come first.
    """
    first = sorted(definition.attributes, key=lambda attribute: not attribute.required)
    return {a.key: deepcopy(_TYPES[a.type].sample) for a in first[:max_attributes]}
