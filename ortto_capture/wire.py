"""What a browser may say: bytes to strict JSON, JSON to a request.

The law of this file: pure functions, which ask no backend and no setting. What two backends would
store differently (NaN, NUL, lone surrogates, huge integers, duplicate names) is refused here, once,
and what passes is plain JSON of a bounded shape. The cost is linear in the body: one of 64 KiB is
refused within about a millisecond, whatever is in it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from json import JSONDecoder
from typing import Any, NamedTuple, Never, TypeVar

from .errors import MalformedRequest
from .model import EVENT_ID_SECONDS, MAX_INTEGER

T = TypeVar("T")

#: Characters of the longest integer in ±MAX_INTEGER, its sign included; JSON has no leading zeros.
#: Integers of fewer than SHORT characters cannot leave that range.
MAX_DIGITS, SHORT = 17, 16
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
#: Numbers with an exponent in one body. Reading one may cost ten times what reading another number
#: does; 8,000 of them cost 3 ms.
MAX_EXPONENTS = 1_000
#: Two for each of these, and one for every two bytes of 16 KiB, where they are escaped.
MAX_QUOTES = 2 * (MAX_VALUES + MAX_NAMES) + 8_192
#: Bytes that hold too little to be worth counting.
ORDINARY = 4_096
#: The longest age of an activity, in milliseconds: the seven days that event ids are remembered.
MAX_AGE = EVENT_ID_SECONDS * 1000
#: What a client may report as given up on; other codes are counted together as "other".
DROP_CODES = frozenset(
    {"overflow", "expired", "rate-limit", "refused", "not-found", "bad-attribute", "other"}
)
#: No client holds more activities than this, so no report of one is counted higher.
MAX_DROPPED = 100

is_event_id = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
# Possessive, and an unclosed string matches to the end: no input is scanned twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
# The escape of half a surrogate pair whose other half is not beside it.
_has_lone_surrogate = re.compile(
    r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])"
).search


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

    :raises MalformedRequest: ``bad-json``; the reason is a short phrase without the value.
    """
    if len(body) > ORDINARY or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        _check_bulk(body)
    try:
        text = body.decode().strip(" \t\r\n")
        value, end = _decoder.raw_decode(text)
    except UnicodeDecodeError:
        raise _bad_json("not UTF-8") from None
    except ValueError:
        raise _bad_json("not JSON") from None
    if end != len(text):
        raise _bad_json("more than one value")
    if type(value) is not dict:
        raise _bad_json("not an object")
    if "\\" in text:
        _check_escapes(text)
    return value


def _bad_json(reason: str) -> MalformedRequest:
    return MalformedRequest(reason, code="bad-json")


def _check_bulk(body: bytes) -> None:
    """Refuse what is nested or crowded beyond use, before anything is made of it."""
    if body.count(b'"') > MAX_QUOTES:
        raise _bad_json("too many values")
    bare = _STRING.sub(b"", body)
    if bare.count(b",") > MAX_VALUES or bare.count(b":") > MAX_NAMES:
        raise _bad_json("too many values")
    words = bare.count(b"true") + bare.count(b"false")
    if bare.count(b"e") + bare.count(b"E") - words > MAX_EXPONENTS:
        raise _bad_json("too many numbers with an exponent")
    brackets = bare.translate(_ONE_KIND, _NOT_BRACKETS)
    if brackets.count(b"[") > MAX_CONTAINERS:
        raise _bad_json("too many arrays and objects")
    for _level in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise _bad_json("nested too deeply, or brackets do not match")


def _check_escapes(text: str) -> None:
    """Refuse NUL and lone surrogates in JSON that is known to be sound.

    Only an escape brings them through UTF-8 and JSON. So the escapes are looked at instead of the
    strings, which may be thousands.
    """
    # Escaped backslashes go first, so that each backslash left begins an escape. A blank stands for
    # each pair, so that what was apart stays apart.
    escapes = text.replace("\\\\", " ")
    if "\\u0000" in escapes:
        raise _bad_json("NUL in a string")
    if ("\\ud" in escapes or "\\uD" in escapes) and _has_lone_surrogate(escapes):
        raise _bad_json("a lone surrogate in a string")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad_json("a name occurs twice in an object")
    if len(found) > MAX_MEMBERS:
        raise _bad_json("too many members in an object")
    return found


def _safe_integer(text: str) -> int:
    if len(text) < SHORT:
        return int(text)
    # The length first: a number of 4,301 digits is a ValueError of another kind.
    if len(text) > MAX_DIGITS or not -MAX_INTEGER <= (value := int(text)) <= MAX_INTEGER:
        raise _bad_json("an integer is too large")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _bad_json("a number is too large")
    return value


def _no_constant(_name: str) -> Never:
    raise _bad_json("NaN and Infinity are not JSON")


_decoder = JSONDecoder(
    object_pairs_hook=_object,
    parse_int=_safe_integer,
    parse_float=_finite,
    parse_constant=_no_constant,
)


def checked(value: T) -> T:
    """Return a value that may not come from JSON, unless JSON or some backend cannot hold it.

    :raises MalformedRequest: ``bad-json``, for NUL, lone surrogates, integers beyond ±(2⁵³−1), NaN
        and infinity, names that are no strings, too many members, too deep a nesting, and other
        Python objects.
    """
    for leaf in _leaves(value, 1):
        kind = type(leaf)
        if kind is str:
            if "\0" in leaf:
                raise _bad_json("NUL in a string")
            try:
                leaf.encode()
            except UnicodeEncodeError:
                raise _bad_json("a lone surrogate in a string") from None
        elif kind is int:
            if not -MAX_INTEGER <= leaf <= MAX_INTEGER:
                raise _bad_json("an integer is too large")
        elif kind is float:
            if not math.isfinite(leaf):
                raise _bad_json("NaN and Infinity are not JSON")
        elif leaf is not None and kind is not bool:
            raise _bad_json("a value of no JSON type")
    return value


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if type(value) in (dict, list):
        if depth > MAX_DEPTH:
            raise _bad_json("nested too deeply")
        if type(value) is dict:
            if len(value) > MAX_MEMBERS:
                raise _bad_json("too many members in an object")
            for name in value:
                if type(name) is not str:
                    raise _bad_json("a name that is no string")
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
    _check_types(members, _ENVELOPE)
    get = members.get
    dropped = get("dropped")
    return TrackRequest(
        get("key") or None,
        get("session") or None,
        get("identity") or None,
        get("gpc") is True,
        _dropped(dropped) if dropped else (),
        members,
    )


def activity_request(members: Mapping[str, Any], size: int | None = None) -> ActivityRequest:
    """Read the envelope of ``activity`` (contract §4, row 6).

    :raises MalformedRequest: with ``field``.
    """
    _check_types(members, _ACTIVITY_ENVELOPE)
    get = members.get
    activity_id = get("activity_id")
    if not activity_id:
        raise MalformedRequest("activity_id is missing", field="activity_id")
    event_id = get("event_id") or None
    if event_id is not None and not is_event_id(event_id):
        raise MalformedRequest("event_id is not well formed", field="event_id")
    age = get("age") or 0
    if not 0 <= age <= MAX_AGE:
        raise MalformedRequest("age is not 0 to 7 days in milliseconds", field="age")
    dropped, person = get("dropped"), get("person")
    return ActivityRequest(
        get("key") or None,
        get("session") or None,
        get("identity") or None,
        get("gpc") is True,
        _dropped(dropped) if dropped else (),
        activity_id,
        get("attributes") or {},
        event_id,
        age / 1000,
        None if person == "" else person,
        size,
    )


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


def _check_types(members: Mapping[str, Any], envelope: Mapping[str, type]) -> None:
    """Refuse a member of the envelope whose type is wrong.

    Null and the empty string count as absent. A number may have a fraction.
    """
    for name, value in members.items():
        kind = envelope.get(name)
        if type(value) is kind or kind is None or value is None or value == "":
            continue
        if kind is int and type(value) is float:
            continue
        raise MalformedRequest(f"{name} has the wrong type", field=name)


def _dropped(report: Mapping[str, Any]) -> tuple[str, ...]:
    """What the client gave up on, as one note for each activity."""
    notes: list[str] = []
    for code, times in report.items():
        if type(times) is not int or times < 0:
            raise MalformedRequest("dropped holds something else than counts", field="dropped")
        known = code if code in DROP_CODES else "other"
        notes += [f"dropped:{known}"] * min(times, MAX_DROPPED)
    return tuple(notes[:MAX_DROPPED])
