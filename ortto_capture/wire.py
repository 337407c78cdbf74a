"""What a browser may say: bytes to strict JSON, JSON to a request.

The law of this file: pure functions; nothing is looked up and nobody is asked. Everything that no
backend could store alike (NaN, NUL, lone surrogates, huge integers, duplicate names) is refused
here, once, and whatever passes is plain JSON of a bounded shape. The cost is linear in the body.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from types import MappingProxyType
from typing import Any, NamedTuple, Never, TypeVar

from .errors import BadJSON, MalformedRequest

T = TypeVar("T")

#: JavaScript's largest safe integer; beyond it browsers round, and no two backends agree.
MAX_INTEGER = 2**53 - 1
#: Characters of an integer in that range, its sign included; JSON has no leading zeros.
MAX_DIGITS = 17
#: Levels of nesting (contract §4, row 5).
MAX_DEPTH = 8
#: Members of one object (contract §4, row 5).
MAX_MEMBERS = 64
#: Arrays and objects in one body. The largest `obj` (15,000 bytes) would need one every 15 bytes to
#: get here; without a bound a body of 20,000 empty objects costs 6 ms.
MAX_CONTAINERS = 1_000
#: Values and names in one body: more do not fit into 16 KiB of attributes, at two bytes for a value
#: and six for a member. Without these bounds 16,000 fractions cost 4 ms.
MAX_VALUES, MAX_NAMES = 8_192, 3_000
#: Two for each of these, and one for every two bytes of 16 KiB, where they are escaped.
MAX_QUOTES = 2 * (MAX_VALUES + MAX_NAMES) + 8_192
#: Bytes that hold too little to be worth counting.
ORDINARY = 4_096
#: The longest age of an activity, in milliseconds: the seven days that event ids are remembered.
MAX_AGE = 7 * 86_400_000
#: What a client may report as given up on; other codes are counted together as "other".
DROP_CODES = frozenset(
    {"overflow", "expired", "rate-limit", "refused", "not-found", "bad-attribute", "other"}
)
#: No client holds more activities than this, so no report of one is counted higher.
MAX_DROPPED = 100

_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Possessive, and an unclosed string matches to the end: no input is scanned twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")


class TrackRequest(NamedTuple):
    """The envelope of ``track``; ``members`` is the whole object, read further by ``identity``."""

    key: str | None
    session: str | None
    identity: str | None
    gpc: bool
    dropped: tuple[str, ...]
    members: Mapping[str, Any]


class ActivityRequest(NamedTuple):
    """The envelope of ``activity``; ``age`` is in seconds, ``attributes`` are not yet checked.

    ``size`` is the length of the body in bytes; None when there was none.
    """

    key: str | None
    session: str | None
    identity: str | None
    gpc: bool
    dropped: tuple[str, ...]
    activity_id: str
    attributes: Mapping[str, Any]
    event_id: str | None
    age: float
    person: Mapping[str, Any] | None
    size: int | None = None


def decode(body: bytes) -> dict[str, Any]:
    """Decode one strict JSON object (contract §4, row 5).

    :raises BadJSON: for everything else; the reason is a short phrase without the value.
    """
    if len(body) > ORDINARY or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_bulk(body)
    try:
        text = body.decode().strip(" \t\r\n")
        value, end = _decoder.raw_decode(text)
    except UnicodeDecodeError:
        raise BadJSON("not UTF-8") from None
    except ValueError:
        raise BadJSON("not JSON") from None
    if end != len(text):
        raise BadJSON("more than one value")
    if type(value) is not dict:
        raise BadJSON("not an object")
    # Only an escape brings a NUL or a surrogate through UTF-8 and JSON: most bodies need no walk.
    if "\\" in text:
        checked(value)
    return value


def _check_bulk(body: bytes) -> None:
    """Refuse what is nested or crowded beyond use, before anything is made of it."""
    if body.count(b'"') > MAX_QUOTES:
        raise BadJSON("too many values")
    bare = _STRING.sub(b"", body)
    if bare.count(b",") > MAX_VALUES or bare.count(b":") > MAX_NAMES:
        raise BadJSON("too many values")
    brackets = bare.translate(_ONE_KIND, _NOT_BRACKETS)
    if brackets.count(b"[") > MAX_CONTAINERS:
        raise BadJSON("too many arrays and objects")
    for _level in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise BadJSON("nested too deeply, or brackets do not match")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJSON("a name occurs twice in an object")
    if len(found) > MAX_MEMBERS:
        raise BadJSON("too many members in an object")
    return found


def _safe_integer(text: str) -> int:
    # The length first: a number of 4,301 digits is a ValueError of another kind.
    if len(text) > MAX_DIGITS or not -MAX_INTEGER <= (value := int(text)) <= MAX_INTEGER:
        raise BadJSON("an integer is too large")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadJSON("a number is too large")
    return value


def _no_constant(_name: str) -> Never:
    raise BadJSON("NaN and Infinity are not JSON")


_decoder = JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_safe_integer,
    parse_float=_finite,
    parse_constant=_no_constant,
)


def checked(value: T) -> T:
    """Return a value that may not come from JSON, unless JSON or some backend cannot hold it.

    :raises BadJSON: for NUL, lone surrogates, integers beyond ±(2⁵³−1), NaN and infinity, names
        that are no strings, too many members, too deep a nesting, and other Python objects.
    """
    for leaf in _leaves(value, 1):
        kind = type(leaf)
        if kind is str:
            if "\0" in leaf:
                raise BadJSON("NUL in a string")
            if not leaf.isascii():
                try:
                    leaf.encode()
                except UnicodeEncodeError:
                    raise BadJSON("a lone surrogate in a string") from None
        elif kind is int:
            if not -MAX_INTEGER <= leaf <= MAX_INTEGER:
                raise BadJSON("an integer is too large")
        elif kind is float:
            if not math.isfinite(leaf):
                raise BadJSON("NaN and Infinity are not JSON")
        elif leaf is not None and kind is not bool:
            raise BadJSON("a value of no JSON type")
    return value


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if type(value) in (dict, list):
        if depth > MAX_DEPTH:
            raise BadJSON("nested too deeply")
        if type(value) is dict:
            if len(value) > MAX_MEMBERS:
                raise BadJSON("too many members in an object")
            for name in value:
                if type(name) is not str:
                    raise BadJSON("a name that is no string")
                yield name
            value = value.values()
        for member in value:
            yield from _leaves(member, depth + 1)
    else:
        yield value


def track_request(members: Mapping[str, Any]) -> TrackRequest:
    """Read the envelope of ``track`` (contract §4, row 6).

    :raises MalformedRequest: with ``field``.
    """
    given = _typed(members, _ENVELOPE)
    return TrackRequest(
        given["key"],
        given["session"],
        given["identity"],
        given["gpc"] is True,
        _dropped(given["dropped"]) if given["dropped"] else (),
        members,
    )


def activity_request(members: Mapping[str, Any], size: int | None = None) -> ActivityRequest:
    """Read the envelope of ``activity`` (contract §4, row 6).

    :raises MalformedRequest: with ``field``.
    """
    given = _typed(members, _ACTIVITY_ENVELOPE)
    activity_id = given["activity_id"]
    if activity_id is None:
        raise MalformedRequest("activity_id is missing", field="activity_id")
    event_id = given["event_id"]
    if event_id is not None and _EVENT_ID.fullmatch(event_id) is None:
        raise MalformedRequest("event_id is not well formed", field="event_id")
    age = given["age"] or 0
    if not 0 <= age <= MAX_AGE:
        raise MalformedRequest("age is not 0 to 7 days in milliseconds", field="age")
    return ActivityRequest(
        given["key"],
        given["session"],
        given["identity"],
        given["gpc"] is True,
        _dropped(given["dropped"]) if given["dropped"] else (),
        activity_id,
        given["attributes"] or _NOTHING,
        event_id,
        age / 1000,
        given["person"],
        size,
    )


_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ENVELOPE: dict[str, type] = {
    "key": str,
    "session": str,
    "identity": str,
    "gpc": bool,
    "dropped": dict,
}
_ACTIVITY_ENVELOPE: dict[str, type] = _ENVELOPE | {
    "activity_id": str,
    "attributes": dict,
    "event_id": str,
    "age": int,
    "person": dict,
}


def _typed(members: Mapping[str, Any], envelope: Mapping[str, type]) -> dict[str, Any]:
    """The members that the envelope names; null and the empty string count as absent: None."""
    given: dict[str, Any] = dict.fromkeys(envelope)
    for name, value in members.items():
        if name not in given or value is None or value == "":
            continue
        kind = envelope[name]
        # A number may have a fraction.
        if type(value) is not kind and not (kind is int and type(value) is float):
            raise MalformedRequest(f"{name} has the wrong type", field=name)
        given[name] = value
    return given


def _dropped(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What the client gave up on, as one note for each activity."""
    notes: list[str] = []
    for code, times in report.items():
        if type(times) is not int or times < 0:
            raise MalformedRequest("dropped holds something else than counts", field="dropped")
        known = code if code in DROP_CODES else "other"
        notes += [f"dropped:{known}"] * min(times, MAX_DROPPED)
    return tuple(notes[:MAX_DROPPED])
