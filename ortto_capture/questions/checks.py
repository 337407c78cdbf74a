"""What is checked of every question, and the bounds of its work.

The law of this file: a refusal names the member and what would be right, never what was given.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, get_args

from ..errors import BadQuery
from ..model import MAX_INTEGER, is_activity_id, is_attribute_key
from .periods import Unit, check_zone

Measure: TypeAlias = Literal[
    "count", "people", "sum", "average", "minimum", "median", "p95", "maximum"
]
Scalar: TypeAlias = str | int | bool

MEASURES = get_args(Measure)
UNITS = get_args(Unit)
#: What an answer may be split by beside an attribute.
SPLITS = ("activity", "person", "source", "assurance")

#: Which comparisons fit which attributes; the last two fit all eleven types.
_TEXT_OPS = ("is", "is-not", "one-of", "contains", "starts-with", "ends-with")
_NUMBER_OPS = (
    *("is", "is-not", "one-of", "between"),
    *("greater-than", "less-than", "at-least", "at-most"),
)
PRESENCE_OPS = ("has-any-value", "has-no-value")
OPS: dict[str, tuple[str, ...]] = {
    "str": (*_TEXT_OPS, *PRESENCE_OPS),
    "txt": (*_TEXT_OPS, *PRESENCE_OPS),
    "int": (*_NUMBER_OPS, *PRESENCE_OPS),
    "bol": ("is", "is-not", *PRESENCE_OPS),
}
#: The Python type of a value that an attribute of each of these types is compared with.
_VALUES: dict[str, tuple[type, str]] = {
    "str": (str, "text"),
    "txt": (str, "text"),
    "int": (int, "a whole number"),
    "bol": (bool, "true or false"),
}

#: At most, in one question: each costs a journal a look at an index, or at rows.
MAX_DID, MAX_WHERE, MAX_ACTIVITIES, MAX_STEPS = 15, 20, 100, 10
#: Values of one ``one-of``.
MAX_VALUES = 100
#: Characters of a value: the longest text that an attribute may hold.
MAX_TEXT = 4_000
#: How deep ``All``, ``Any`` and ``Not`` may be nested.
MAX_NESTING = 6
#: Buckets of time, values of a split, and rows of one answer.
MAX_BUCKETS, MAX_LIMIT, MAX_ROWS = 1_000, 1_000, 50_000
#: How often a person must have done it.
MAX_TIMES = 1_000_000

AUDIENCE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_KEY_EXPECTED = "an attribute key, such as str:cm:payment-plan"
_ID_EXPECTED = "an activity id, such as act:cm:login"
CONDITION_EXPECTED = "a condition: did, in, all, any or not"


def attribute_type(key: object, field: str) -> str:
    """The type of an attribute, by its key.

    :raises BadQuery: when it is no key.
    """
    if not isinstance(key, str) or not is_attribute_key(key):
        raise BadQuery(field, _KEY_EXPECTED)
    return key[:3]


def check_text(text: object, field: str) -> None:
    """Do nothing when it is text that a journal may hold.

    :raises BadQuery: when it is too long, no Unicode, or holds a NUL.
    """
    if isinstance(text, str) and len(text) <= MAX_TEXT and "\0" not in text:
        try:
            text.encode()
        except UnicodeEncodeError:
            pass
        else:
            return
    raise BadQuery(field, f"text of at most {MAX_TEXT} characters")


def check_value(kind: str, value: object) -> None:
    """Do nothing when an attribute of this type can be compared with ``value``.

    :raises BadQuery: when it cannot.
    """
    expected_type, expected = _VALUES[kind]
    if type(value) is not expected_type:
        raise BadQuery("value", expected)
    if isinstance(value, str):
        check_text(value, "value")
    elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
        raise BadQuery("value", f"a whole number from -{MAX_INTEGER} to {MAX_INTEGER}")


def check_id(activity_id: object, field: str) -> str:
    """Return it when it is an activity id.

    :raises BadQuery: when it is none.
    """
    if not isinstance(activity_id, str) or not is_activity_id(activity_id):
        raise BadQuery(field, _ID_EXPECTED)
    return activity_id


def check_activities(given: object) -> str | tuple[str, ...] | None:
    """The activities of a query, as they are kept.

    :raises BadQuery: when they are no ids, or too many.
    """
    if isinstance(given, list | tuple):
        if not 1 <= len(given) <= MAX_ACTIVITIES:
            raise BadQuery("activity", f"1 to {MAX_ACTIVITIES} activity ids")
        return tuple(check_id(each, "activity") for each in given)
    return None if given is None else check_id(given, "activity")


def check_measured(measure: str, attribute: object) -> None:
    """Do nothing when the measure can be taken of the attribute.

    :raises BadQuery: when it cannot, or needs one.
    """
    if measure in ("count", "people"):
        if attribute is not None:
            raise BadQuery("attribute", f"no attribute with the measure {measure}")
    elif attribute is None:
        raise BadQuery("attribute", f"the key of an int attribute, for the measure {measure}")
    else:
        check_type(attribute, "attribute", ("int",))


def check_type(key: object, field: str, types: tuple[str, ...]) -> None:
    """Do nothing when it is the key of an attribute of one of these types.

    :raises BadQuery: when it is not.
    """
    if attribute_type(key, field) not in types:
        raise BadQuery(field, f"an attribute of type {', '.join(types)}")


def check_limit(limit: object) -> None:
    """Do nothing when an answer may have so many rows.

    :raises BadQuery: when it may not.
    """
    if type(limit) is not int or not 1 <= limit <= MAX_LIMIT:
        raise BadQuery("limit", f"a whole number from 1 to {MAX_LIMIT}")


def check_choice(value: object, choices: tuple[str, ...], field: str) -> None:
    """Do nothing when the value is one of these.

    :raises BadQuery: when it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise BadQuery(field, f"one of {', '.join(choices)}")


def check_time_zone(name: object) -> None:
    """Do nothing when it is None or the name of a time zone.

    :raises BadQuery: when this machine does not know it.
    """
    if name is not None:
        check_zone(name)
