"""What a browser may say: each rule of strict JSON and of the envelope, by table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ortto_capture.errors import MalformedRequest
from ortto_capture.model import MAX_INTEGER
from ortto_capture.wire import (
    DROP_CODES,
    MAX_AGE,
    MAX_CONTAINERS,
    MAX_DROPPED,
    MAX_EXPONENTS,
    activity_request,
    checked,
    decode,
    track_request,
)


def nested(levels: int) -> bytes:
    """An object that is ``levels`` deep, itself included."""
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b' \r\n\t{"a":1} \n',
        nested(8),
        b'{"a":"' + b"[{" * 200 + b'"}',
        rb'{"a":"\"[[[[[[[[[[\\"}',
        json.dumps({str(n): n for n in range(64)}).encode(),
        b'{"a":%d,"b":-%d}' % (MAX_INTEGER, MAX_INTEGER),
        b'{"a":"12345678901234567890"}',
        b'{"a":1e300,"b":-0.5,"c":5.0}',
        rb'{"a":"\ud83d\ude00 \u00e9"}',
        rb'{"a":"\uD83D\uDE00\uDBFF\udfff \uD7FF\ue000"}',
        rb'{"a":"\\ud800 \\u0000 \\\\ude00"}',
        '{"ключ":"значение 🎈"}'.encode(),
        b'{"a":[%s]}' % b",".join([b"[]"] * (MAX_CONTAINERS - 2)),
        b'{"a":[%s]}' % b",".join([b"1"] * 8_193),
        b'{"a":[%s]}' % b",".join([b"true", b"false"] * 2_000),
        b'{"a":[%s]}' % b",".join([b"1e1"] * MAX_EXPONENTS),
        b'{"a":"%s"}' % (b",:" * 10_000),
    ],
)
def test_strict_json_is_decoded_as_the_standard_library_would(body: bytes) -> None:
    assert decode(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"{}{}", "more than one value"),
        (b'{"a":1} x', "more than one value"),
        (b'{"a":\x0b1}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b"5", "not an object"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        ("{}".encode("utf-16"), "not UTF-8"),
        ("{}".encode("utf-16-le"), "not JSON"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (nested(9), "nested too deeply, or brackets do not match"),
        (b'{"a":' + b"[" * 9 + b"]" * 9 + b"}", "nested too deeply, or brackets do not match"),
        (b"[" * 65_536, "too many arrays and objects"),
        (b'{"a":[%s]}' % b",".join([b"{}"] * MAX_CONTAINERS), "too many arrays and objects"),
        (b'{"a":[%s]}' % b",".join([b"1"] * 8_194), "too many values"),
        (b'{"a":[%s]}' % b",".join([b"1e1"] * 1_025), "too many numbers with an exponent"),
        (b'{"a":[%s]}' % b",".join([b"1E1", b"true"] * 1_001), "too many numbers with an exponent"),
        (b'"' * 65_536, "too many values"),
        (b"{%s}" % b",".join(b'"%d":1' % n for n in range(3_001)), "too many values"),
        (b'{"a":1,"a":1}', "a name occurs twice in an object"),
        (rb'{"a":1,"\u0061":1}', "a name occurs twice in an object"),
        (b'{"a":{"b":1,"b":2}}', "a name occurs twice in an object"),
        (
            json.dumps({str(n): n for n in range(65)}).encode(),
            "too many members in an object",
        ),
        (b'{"a":NaN}', "NaN and Infinity are not JSON"),
        (b'{"a":-Infinity}', "NaN and Infinity are not JSON"),
        (b'{"a":1e999}', "a number is too large"),
        (b'{"a":' + b"9" * 400 + b".0}", "a number is too large"),
        (b'{"a":%d}' % (MAX_INTEGER + 1), "an integer is too large"),
        (b'{"a":[[-%d]]}' % (MAX_INTEGER + 1), "an integer is too large"),
        (b'{"a":' + b"1" * 4301 + b"}", "an integer is too large"),
        (rb'{"a":"\u0000"}', "NUL in a string"),
        (rb'{"\u0000":1}', "NUL in a string"),
        (rb'{"a":"\\\u0000"}', "NUL in a string"),
        (rb'{"a":"\ud800"}', "a lone surrogate in a string"),
        (rb'{"a":"\uD800"}', "a lone surrogate in a string"),
        (rb'{"a":"\uDBFF"}', "a lone surrogate in a string"),
        (rb'{"a":"\uDC00"}', "a lone surrogate in a string"),
        (rb'{"a":"\udFfF"}', "a lone surrogate in a string"),
        (rb'{"\uD800":1}', "a lone surrogate in a string"),
        (rb'{"a":["\udc00x"]}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83d","b":"\ude00"}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83dx\ude00"}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83d\\\ude00"}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83d\\ude00"}', "a lone surrogate in a string"),
        (rb'{"a":"\ude00\ud83d"}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83d\ud83d\ude00"}', "a lone surrogate in a string"),
        (rb'{"a":"\ud83d\ude00\ude00"}', "a lone surrogate in a string"),
    ],
)
def test_anything_else_is_bad_json(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        decode(body)

    assert (refused.value.code, refused.value.reason) == ("bad-json", reason)


ESCAPES = [
    r"\\", r"\"", r"\n", r"\u0041", r"\u0000", r"\ud83d", r"\uDE00", r"\uDBFF", r"\udc00",
    r"\uD7FF", r"\uE000", "u0000", "ud800", "x", "é", "\N{PARTY POPPER}",
]  # fmt: skip


@given(st.lists(st.sampled_from(ESCAPES), max_size=8).map("".join), st.booleans())
def test_escapes_are_refused_where_what_they_stand_for_cannot_be_stored(
    inside: str, as_name: bool
) -> None:
    """As if every decoded string had been looked at."""
    body = f'{{"{inside}":0}}' if as_name else f'{{"a":["{inside}"]}}'
    decoded = json.loads(f'"{inside}"')
    storable = "\0" not in decoded and not any("\ud800" <= each <= "\udfff" for each in decoded)
    if storable:
        assert decode(body.encode()) == json.loads(body)
    else:
        with pytest.raises(MalformedRequest, match="bad-json"):
            decode(body.encode())


@pytest.mark.parametrize("start", [b'"', rb'{"a":"\"', b'"\\' * 3 + b"[" * 9, b'[[[[[[[[["\\'])
def test_an_unclosed_string_is_scanned_once(start: bytes) -> None:
    """The bracket scan swallows it whole; a second start inside it would make this quadratic."""
    with pytest.raises(MalformedRequest, match="bad-json"):
        decode((start + rb"\"[" * 30_000)[:65_536])


@pytest.mark.parametrize(
    "value",
    [
        {"a": object()},
        {"a": (1, 2)},
        {1: "a"},
        {"a": 2**53},
        {"a": -(2**53)},
        {"a": "\0"},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": b"bytes"},
        {str(n): n for n in range(65)},
        {"a": [[[[[[[[1]]]]]]]]},
        {"a": "\ud800"},
    ],
)
def test_python_values_that_json_cannot_hold_are_refused(value: Any) -> None:
    with pytest.raises(MalformedRequest, match="bad-json"):
        checked(value)


class Text(str):
    """A string and yet none of JSON's."""

    __slots__ = ()


class Few(IntEnum):
    """Integers and yet none of JSON's."""

    ONE = 1


class Fault(Exception):
    """What a value of a caller's own class may raise."""


class Hostile:
    """A key that lets itself be hashed once and never compared."""

    def __init__(self) -> None:
        self.hashed = False

    def __hash__(self) -> int:
        if self.hashed:
            raise Fault
        self.hashed = True
        return hash("name")

    def __eq__(self, other: object) -> bool:
        raise Fault


class Mine(dict[Any, Any]):
    """A dict that does not do as a dict does."""

    def items(self) -> Any:
        raise Fault

    def __iter__(self) -> Iterator[Any]:
        raise Fault


def test_values_of_python_that_only_resemble_json_are_refused_and_nothing_else_is_raised() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    shared: list[Any] = []
    for _ in range(100):
        shared = [shared, shared]
    odd = [object(), b"x", (1,), {"x"}, float("nan"), float("inf"), 10**5000, Text("x"), Mine()]
    odd += [Few.ONE, endless, deep, shared]
    odd += [{"a": each} for each in odd] + [[each] for each in odd]
    keys: list[Any] = [1, True, None, ("a",), b"str:cm:a", Text("str:cm:a"), Hostile()]
    odd += [{key: "x"} for key in keys]

    for value in odd:
        with pytest.raises(MalformedRequest, match="bad-json"):
            checked({"attributes": value})


def test_python_values_that_json_can_hold_pass() -> None:
    checked({"a": [1, 2.5, None, True, {"b": "é"}]})


GOOD = {"activity_id": "act:cm:login"}


def test_the_smallest_activity_has_every_default() -> None:
    request = activity_request(GOOD)

    assert request.activity_id == "act:cm:login"
    assert dict(request.attributes) == {}
    assert (request.key, request.session, request.identity) == (None, None, None)
    assert (request.event_id, request.age, request.person) == (None, 0, None)
    assert (request.gpc, request.dropped, request.size) == (False, (), None)


def test_null_and_the_empty_string_count_as_absent_in_every_member() -> None:
    names = ["key", "session", "identity", "gpc", "dropped", "attributes", "event_id", "age"]
    for empty in (None, ""):
        members = dict.fromkeys([*names, "person"], empty) | GOOD
        assert activity_request(members) == activity_request(GOOD)
        assert track_request(dict.fromkeys(names[:5], empty))[:5] == track_request({})[:5]


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"key": 5}, "key"),
        ({"session": {}}, "session"),
        ({"session": 0}, "session"),
        ({"identity": ["x"]}, "identity"),
        ({"gpc": 1}, "gpc"),
        ({"gpc": "yes"}, "gpc"),
        ({"dropped": []}, "dropped"),
        ({"dropped": {"overflow": -1}}, "dropped"),
        ({"dropped": {"overflow": True}}, "dropped"),
        ({"dropped": {"overflow": 1.5}}, "dropped"),
    ],
)
def test_the_envelope_is_typed_on_both_routes(members: dict[str, Any], field: str) -> None:
    for read in (track_request, lambda given: activity_request(GOOD | given)):
        with pytest.raises(MalformedRequest) as refused:
            read(members)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"activity_id": None}, "activity_id"),
        ({"activity_id": ""}, "activity_id"),
        ({"activity_id": 7}, "activity_id"),
        ({"attributes": []}, "attributes"),
        ({"attributes": 0}, "attributes"),
        ({"attributes": False}, "attributes"),
        ({"person": "user@example.com"}, "person"),
        ({"person": []}, "person"),
        ({"event_id": "a b"}, "event_id"),
        ({"event_id": "x" * 65}, "event_id"),
        ({"event_id": "ü"}, "event_id"),
        ({"event_id": "x\n"}, "event_id"),
        ({"event_id": 7}, "event_id"),
        ({"age": -1}, "age"),
        ({"age": MAX_AGE + 0.5}, "age"),
        ({"age": True}, "age"),
        ({"age": "5"}, "age"),
    ],
)
def test_the_envelope_of_an_activity_is_checked(members: dict[str, Any], field: str) -> None:
    with pytest.raises(MalformedRequest) as refused:
        activity_request(GOOD | members)

    assert refused.value.field == field


def test_ages_are_milliseconds_with_fractions_up_to_seven_days() -> None:
    assert activity_request(GOOD | {"age": 1500.5}).age == 1.5005
    assert activity_request(GOOD | {"age": MAX_AGE}).age == 7 * 86_400


def test_what_a_client_gave_up_on_becomes_notes_of_known_codes_and_bounded_number() -> None:
    few = track_request({"dropped": {"overflow": 2, "unheard-of": 1, "expired": 0}})
    many = track_request({"dropped": dict.fromkeys(DROP_CODES, 10**6)})

    assert few.dropped == ("dropped:overflow", "dropped:overflow", "dropped:other")
    assert len(many.dropped) == MAX_DROPPED
