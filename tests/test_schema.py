"""A definition as a schema and as a check: each type by table, then one against the other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from referencing.exceptions import Unresolvable

from ortto_capture import Attribute, Definition, InvalidAttributes, schema
from ortto_capture.errors import MalformedRequest
from ortto_capture.model import ATTRIBUTE_TYPES, MAX_INTEGER
from ortto_capture.schema import (
    MAX_OBJ,
    compile_check,
    example,
    json_schema,
    validator,
)
from ortto_capture.wire import decode

DAY = {"year": 2024, "month": 2, "day": 29}
FITS: dict[str, list[Any]] = {
    "str": ["", "x" * 255, "💥" * 255, "0", "\ud800"],
    "txt": ["", "line\nline", "é" * 4000],
    "int": [0, -5, MAX_INTEGER, -MAX_INTEGER, 5.0, -0.0, 1e3],
    "bol": [True, False],
    "dtz": [
        DAY,
        {"year": 2024.0, "month": 7, "day": 22, "timezone": "UTC"},
        {"year": 1, "month": 1, "day": 1},
        {"year": 9999, "month": 12, "day": 31},
    ],
    "tme": [
        "2026-07-31T12:00:00Z",
        "2026-07-31T12:00:00.123456+05:30",
        "2026-07-31T12:00:00,123456789-00:00",
        "20260731T120000Z",
        "20260731T12-0330",
        "2024-02-29T23:59+14",
    ],
    "phn": [
        {"n": "501234567"},
        {"c": "", "n": "(02) 555-0100"},
        {"c": "61", "n": "0401 234-567"},
        {"n": "1" * 20},
        {"c": "1" * 20, "n": " " * 12 + "1" * 20},
        {"n": "1" + "-" * 31},
    ],
    "geo": [{"name": ""}, {"name": "x" * 255}],
    "sst": [[], ["a"], ["x" * 255] * 100],
    "stl": [[], ["a", "a"]],
    "obj": [{}, {"a": [1, {"b": None}]}, {"\ud800": "\udfff"}],
}
NOTHING_FITS: list[Any] = [[[]], [None], [5.5], {"name": 5}, {"n": ""}, {"year": 2024}]
MISFITS: dict[str, list[Any]] = {
    "str": ["x" * 256, "e\u0301" * 128, 5, True, [], {}],
    "txt": ["x" * 4001, 5],
    "int": [5.5, True, False, "5", "", MAX_INTEGER + 1, -MAX_INTEGER - 1, 1e300, float(2**53)],
    "bol": [0, 1, "true", 1.0],
    "dtz": [
        "2024-02-29",
        {**DAY, "year": 2023},
        {**DAY, "year": 0},
        {**DAY, "year": 10_000},
        {**DAY, "month": 13},
        {**DAY, "month": 0},
        {**DAY, "day": 0},
        {**DAY, "day": 32},
        {**DAY, "day": 29.5},
        {**DAY, "year": 10**400},
        {"year": 1900, "month": 2, "day": 29},
        {"year": 2026, "month": 4, "day": 31},
        {**DAY, "month": "2"},
        {**DAY, "day": True},
        {**DAY, "timezone": None},
        {**DAY, "timezone": "x" * 256},
        {**DAY, "hour": 5},
        {"month": 1, "day": 1},
    ],
    "tme": [
        "yesterday",
        "2026-07-31T12:00:00",
        "2026-07-31",
        "2026-07-31 12:00:00Z",
        "2026-13-31T12:00:00Z",
        "2023-02-29T12:00:00Z",
        "0000-01-01T12:00:00Z",
        "2026-0731T12:00:00Z",
        "2026-W31-5T12:00:00Z",
        "2026-212T12:00:00Z",
        "2026-07-31T24:00:00Z",
        "2026-07-31T12:60:00Z",
        "2026-07-31T23:59:60Z",
        "2026-07-31T12:00:00+24:00",
        "2026-07-31T12:00:00.Z",
        "2026-07-31T12:00:00.1234567890Z",
        "2026-07-31t12:00:00z",
        "2026-07-31T12:00:00Z\n",
        " 2026-07-31T12:00:00Z",
        {},
        "2026-07-31T12:00:00Z" + "0" * 40,
        "２026-07-31T12:00:00Z",
        1714557600,
    ],
    "phn": [
        {"c": "61"},
        {"n": ""},
        {"n": "call me"},
        {"n": "0401\n"},
        {"n": "٠٤٠١"},
        {"n": "1" * 21},
        {"n": "-1" * 16 + "1"},
        {"n": "1" + " " * 32},
        {"n": "()"},
        {"c": "1" * 21, "n": "1"},
        {"c": "AU", "n": "1"},
        {"c": "61\n", "n": "1"},
        {"c": 61, "n": "1"},
        {"c": None, "n": "1"},
        {"n": "1", "x": "1"},
        "0401 234 567",
    ],
    "geo": [{}, {"name": "x" * 256}, {"name": 5}, {"name": "Sydney", "lat": 1}, "Sydney"],
    "sst": [["a", 5], "a", ["x" * 256], ["a"] * 101, {}],
    "stl": [[None], {"0": "a"}],
    "obj": [[], "x", 5],
}


def definition(*attributes: Attribute, drop: bool = False) -> Definition:
    """An activity that may carry these."""
    return Definition(
        "act:cm:x", "X", attributes=attributes, unknown_attributes="drop" if drop else "reject"
    )


def accepts(what: Definition, attributes: Any) -> bool:
    """What the compiled check says."""
    try:
        compile_check(what)(attributes)
    except InvalidAttributes:
        return False
    return True


@pytest.mark.parametrize("kind", ATTRIBUTE_TYPES)
def test_each_type_takes_its_values_and_no_others(kind: str) -> None:
    what = definition(Attribute(f"{kind}:cm:a"))
    reference = validator(what)

    for value in FITS[kind]:
        assert accepts(what, {f"{kind}:cm:a": value}), value
        assert reference.is_valid({f"{kind}:cm:a": value}), value
    for value in MISFITS[kind]:
        assert not accepts(what, {f"{kind}:cm:a": value}), value
        assert not reference.is_valid({f"{kind}:cm:a": value}), value


def test_whole_floats_are_kept_as_integers() -> None:
    what = definition(Attribute("int:cm:a"), Attribute("dtz:cm:b"))

    kept = compile_check(what)({"int:cm:a": 5.0, "dtz:cm:b": {**DAY, "day": 29.0}})

    assert kept == {"int:cm:a": 5, "dtz:cm:b": DAY}
    assert type(kept["int:cm:a"]) is type(kept["dtz:cm:b"]["day"]) is int


def test_null_is_absent_and_a_required_null_is_missing() -> None:
    what = definition(Attribute("str:cm:a", required=True), Attribute("str:cm:b"))
    check = compile_check(what)

    assert check({"str:cm:a": "", "str:cm:b": None}) == {"str:cm:a": ""}
    for attributes in ({}, {"str:cm:a": None}, {"str:cm:b": "x"}):
        with pytest.raises(InvalidAttributes) as refused:
            check(attributes)
        assert refused.value.reason == "missing-attribute"
        assert refused.value.field == "str:cm:a"
        assert not validator(what).is_valid(attributes)


def test_an_unknown_attribute_is_refused_or_dropped_as_the_definition_says() -> None:
    attributes = {"str:cm:a": "x", "str:cm:other": 5}

    with pytest.raises(InvalidAttributes) as refused:
        compile_check(definition(Attribute("str:cm:a")))(attributes)

    assert (refused.value.reason, refused.value.field) == ("unknown-attribute", "str:cm:other")
    assert compile_check(definition(Attribute("str:cm:a"), drop=True))(attributes) == {
        "str:cm:a": "x"
    }


@pytest.mark.parametrize("key", ["", "x", "str:cm:a b", "str:cm:" + "x" * 100, "<script>"])
def test_a_key_that_is_not_well_formed_is_not_repeated(key: str) -> None:
    with pytest.raises(InvalidAttributes) as refused:
        compile_check(definition())({key: "x"})

    assert refused.value.field is None


def test_what_is_expected_is_said_in_words_and_without_the_value() -> None:
    for kind, values in MISFITS.items():
        with pytest.raises(InvalidAttributes) as refused:
            compile_check(definition(Attribute(f"{kind}:cm:a")))({f"{kind}:cm:a": values[0]})
        assert refused.value.reason == "wrong-value"
        assert refused.value.field == f"{kind}:cm:a"
        assert refused.value.expected
        assert str(values[0])[:12] not in refused.value.expected


def test_the_first_missing_attribute_in_the_order_of_the_definition_is_named() -> None:
    what = definition(*(Attribute(f"str:cm:{name}", required=True) for name in "zab"))

    with pytest.raises(InvalidAttributes) as refused:
        compile_check(what)({"str:cm:b": "x"})

    assert refused.value.field == "str:cm:z"
    assert refused.value.expected == "a string of at most 255 characters"


def test_sixteen_attributes_are_one_too_many() -> None:
    what = definition(*(Attribute(f"str:cm:a{n}") for n in range(20)))
    fifteen = {f"str:cm:a{n}": "x" for n in range(15)}

    assert accepts(what, fifteen)
    with pytest.raises(InvalidAttributes, match="too-many-attributes"):
        compile_check(what)(fifteen | {"str:cm:a15": "x"})
    assert not validator(what).is_valid(fifteen | {"str:cm:a15": "x"})
    assert compile_check(what, 16)(fifteen | {"str:cm:a15": "x"})


def test_an_object_has_a_limit_in_bytes_that_no_schema_can_say() -> None:
    what = definition(Attribute("obj:cm:a"))
    overhead = len(json.dumps({"k": ""}, separators=(",", ":")))

    assert accepts(what, {"obj:cm:a": {"k": "x" * (MAX_OBJ - overhead)}})
    assert not accepts(what, {"obj:cm:a": {"k": "x" * (MAX_OBJ - overhead + 1)}})
    assert not accepts(what, {"obj:cm:a": {"k": "é" * (MAX_OBJ // 2)}})
    assert not accepts(what, {"obj:cm:a": {"k": [0] * MAX_OBJ}})
    with pytest.raises(InvalidAttributes) as refused:
        compile_check(what)({"obj:cm:a": {"k": "x" * MAX_OBJ}})
    assert refused.value.expected == "an object of at most 15,000 bytes as compact JSON"


@pytest.mark.parametrize("attributes", [None, [], "x", 5, [["str:cm:a", "x"]], {"str:cm:a"}])
def test_attributes_that_are_no_object_are_refused(attributes: Any) -> None:
    what = definition(Attribute("str:cm:a"))

    assert not accepts(what, attributes)
    assert not validator(what).is_valid(attributes)


def test_any_mapping_will_do_and_what_comes_back_is_a_new_dict() -> None:
    check = compile_check(definition(Attribute("str:cm:a")))
    given = {"str:cm:a": "x"}

    assert check(MappingProxyType(given)) == check(given) == given
    assert check(given) is not given


LETTERS = "x" * 1000
SIXTEEN = {f"str:cm:a{n}": "x" for n in range(16)}
#: Attributes of real programs (keys, shapes and mistakes are theirs), all of them declared.
SEEN: list[tuple[str, Any, bool]] = [
    ("false is a value", {"bol:cm:isended": False, "str:cm:criticaldate": "week"}, True),
    ("an amount kept as text", {"str:cm:donationamount": "12.5"}, True),
    ("text of two lines", {"txt:cm:reason": "Longer free text.\nSecond paragraph."}, True),
    ("a date", {"dtz:cm:date": {"year": 2024, "month": 7, "day": 22, "timezone": "UTC"}}, True),
    ("a date without a zone", {"dtz::b": {"day": 26, "month": 5, "year": 2020}}, True),
    ("no country code", {"phn:cm:phone": {"c": "", "n": "501234567"}}, True),
    ("spaces in a number", {"phn:cm:phone-number": {"c": "971", "n": "50 123 4567"}}, True),
    ("no c at all", {"phn::phone": {"n": "9112340345"}}, True),
    ("no number", {"phn:cm:phone": {"c": ""}}, False),
    ("an empty number", {"phn:cm:phone": {"c": "", "n": ""}}, False),
    ("JSON inside a string", {"str:cm:answers": '{"tool":"x","in":{"y":5,"a":null}}'}, True),
    ("1,000 characters", {"str:cm:extra-questions": LETTERS}, False),
    ("1,000 characters of text", {"txt:cm:extra-questions": LETTERS}, True),
    ("sixteen attributes", SIXTEEN, False),
    ("a long slug", {"str:cm:your-questions-user-input-on-the-event-forms": ""}, True),
    ("one slug, two types", {"str:cm:orttoprop": "USD", "txt:cm:orttoprop": "USD"}, True),
    ("an e-mail address is data", {"str::email": "owner@example.com"}, True),
    ("a system attribute", {"int::v": 15300, "str:cm:carrier": "ANA"}, True),
    ('Number("abc"), NaN, is null in JSON', {"int:cm:code": None}, True),
    ("a fraction", {"int:cm:amount": 12.5}, False),
    ("an empty place", {"geo::country": {}}, False),
    ("a place", {"geo::city": {"name": "Kolkata"}}, True),
    ("a time", {"tme:cm:installed-at": "2023-05-01T10:00:00Z", "bol:cm:trial": True}, True),
    ("a time with a space", {"tme:cm:datetime": "2026-04-10 14:00"}, False),
    ("nothing", {}, True),
    ("an object that was made text", '{"str:cm:product":"Fiets"}', False),
    ("a bare name", {"email": "owner@example.com"}, False),
    ("a type of another kind", {"u4s::t": ["tag"]}, False),
]


@pytest.mark.parametrize(
    ("attributes", "fine"), [row[1:] for row in SEEN], ids=[r[0] for r in SEEN]
)
def test_attributes_seen_in_the_wild(attributes: Any, fine: bool) -> None:
    keys = attributes if isinstance(attributes, dict) else ()
    what = definition(*(Attribute(key) for key in keys if key[:3] in ATTRIBUTE_TYPES))

    assert accepts(what, attributes) == validator(what).is_valid(attributes) == fine


def patterns(part: Any) -> Iterator[str]:
    """Every pattern in a schema."""
    if isinstance(part, dict):
        for name, inner in part.items():
            if name == "pattern":
                yield inner
            yield from patterns(inner)


def test_no_pattern_can_be_made_to_try_twice() -> None:
    """What repeats without bound is one class, and what follows cannot match the same character.

    The names and numbers of classes are all the structure there is: no dot, no other repetition.
    """
    every = definition(*(Attribute(f"{kind}:cm:a") for kind in ATTRIBUTE_TYPES))
    found = set(patterns(json_schema(every)))

    assert found
    for pattern in found:
        assert pattern.startswith("^")
        assert pattern.endswith(r"$(?!\n)")
        outside = re.sub(r"\[[^]]*\]", "C", pattern).replace(r"\n", "n")
        assert not set(outside) & set(".+\\")
        repeats = re.findall(r"(\[[^]]*\])\*(\[[^]]*\]|\$)", pattern)
        assert len(repeats) == outside.count("*")
        for repeated, following in repeats:
            both = [chr(n) for n in range(256) if re.fullmatch(repeated, chr(n))]
            assert following == "$" or not any(re.fullmatch(following, c) for c in both)


@pytest.mark.parametrize("kind", ATTRIBUTE_TYPES)
def test_64_kib_of_anything_come_to_an_end(kind: str) -> None:
    """Where cost grew with the square, one of these would take minutes."""
    what = definition(Attribute(f"{kind}:cm:a"))
    check, reference = compile_check(what), validator(what)
    size = 65_536
    for text in (" " * size, "1" * size, " 1" * (size // 2), "1 " * 20 + " " * size + "x"):
        for value in (text, {"n": text}, {"c": text, "n": "1"}, {"name": text}, [text] * 2):
            for attributes in ({f"{kind}:cm:a": value}, {text: value}):
                with pytest.raises(InvalidAttributes):
                    check(attributes)
                reference.is_valid(attributes)


def test_the_schema_is_a_copy_that_its_reader_may_change() -> None:
    what = definition(Attribute("phn:cm:a"), Attribute("sst:cm:b", required=True))
    before = json_schema(what)

    changed = json_schema(what)
    changed["properties"]["phn:cm:a"]["properties"]["n"].clear()
    changed["properties"]["sst:cm:b"]["items"]["maxLength"] = 1

    assert json_schema(what) == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # or the warning would stop the fetching
def test_the_reference_never_fetches_a_schema(tmp_path: Path) -> None:
    elsewhere = tmp_path / "schema.json"
    elsewhere.write_text("{}")
    pointing = validator(definition()).evolve(schema={"$ref": elsewhere.as_uri()})

    with pytest.raises(Unresolvable):
        pointing.is_valid({})


def test_the_schema_says_what_the_definition_says() -> None:
    what = definition(Attribute("str:cm:a", name="Plan", required=True), Attribute("int:cm:b"))

    assert json_schema(what, 7) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "X",
        "type": "object",
        "properties": {
            "str:cm:a": {"title": "Plan", "type": "string", "maxLength": 255},
            "int:cm:b": {
                "title": "b",
                "type": ["integer", "null"],
                "minimum": -MAX_INTEGER,
                "maximum": MAX_INTEGER,
            },
        },
        "required": ["str:cm:a"],
        "additionalProperties": False,
        "maxProperties": 7,
    }
    assert json_schema(definition(drop=True))["additionalProperties"] is True


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_integer_is_the_one_that_a_body_may_hold(sign: int) -> None:
    check = compile_check(Definition("act:cm:a", "A", attributes=["int:cm:a"]))
    largest = sign * MAX_INTEGER

    assert check(decode(b'{"int:cm:a":%d}' % largest)) == {"int:cm:a": largest}
    with pytest.raises(InvalidAttributes):
        check({"int:cm:a": largest + sign})
    with pytest.raises(MalformedRequest):
        decode(b'{"int:cm:a":%d}' % (largest + sign))


TEXT = st.text(st.characters(), max_size=5)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
KEYS = [f"{kind}:cm:{name}" for kind in ATTRIBUTE_TYPES for name in "ab"]
LISTED = st.sampled_from(
    [value for values in (*FITS.values(), *MISFITS.values(), NOTHING_FITS) for value in values]
)
#: Days around the ends of months, and numbers as a telephone book or a typist would have them.
DAYS = st.fixed_dictionaries(
    {
        "year": st.sampled_from([0, 1, 1900, 2000, 2023, 2024, 2024.0, 9999, 10_000]),
        "month": st.integers(0, 13),
        "day": st.integers(0, 32) | st.floats(27, 32),
    },
    optional={"timezone": TEXT | st.none()},
)
DIALLED = st.text("0123456789 ().+-\n٠x", max_size=40)
PHONES = st.fixed_dictionaries({}, optional={"c": DIALLED, "n": DIALLED, "x": DIALLED})
TIMES = st.from_regex(schema.TIME) | st.builds(
    lambda text, at, other: text[:at] + other + text[at + 1 :],
    st.from_regex(schema.TIME, fullmatch=True),
    st.integers(0, 35),
    st.sampled_from([*"0369:-+TZWz.,\n ", "", "٣"]),
)
NUMBERS = st.integers(-5, 5).flatmap(
    lambda n: st.sampled_from([MAX_INTEGER + n, -MAX_INTEGER + n, float(MAX_INTEGER + n), n / 2])
)
NEAR = LISTED | DAYS | PHONES | TIMES | NUMBERS | JSON


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """An activity of some attributes, a few of them required."""
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=5))
    attributes = [Attribute(key, required=draw(st.booleans())) for key in keys]
    return definition(*attributes, drop=draw(st.booleans()))


NEAREST = {"dtz": DAYS, "phn": PHONES, "tme": TIMES, "int": NUMBERS}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Definition, dict[str, Any], int]:
    """A definition, attributes that mostly have to do with it, and how many there may be."""
    what = draw(definitions())
    attributes: dict[str, Any] = {}
    for attribute in what.attributes:
        if draw(st.integers(0, 9)):
            fitting = st.sampled_from(FITS[attribute.type])
            near = NEAREST.get(attribute.type, fitting)
            attributes[attribute.key] = draw(st.one_of(fitting, fitting, near, near, NEAR))
    if not draw(st.integers(0, 4)):
        attributes[draw(st.sampled_from(KEYS) | TEXT)] = draw(NEAR)
    return what, attributes, draw(st.sampled_from([15, 15, 5, 3, 1]))


@given(cases())
def test_the_compiled_check_and_the_exported_schema_agree(
    case: tuple[Definition, dict[str, Any], int],
) -> None:
    """Accepted by one if and only if accepted by the other, and what is kept is accepted again."""
    what, attributes, most = case
    reference, check = validator(what, most), compile_check(what, most)
    before = deepcopy(attributes)

    try:
        kept = check(attributes)
    except InvalidAttributes:
        assert not reference.is_valid(attributes)
    else:
        assert reference.is_valid(attributes)
        assert reference.is_valid(kept)
        assert repr(check(kept)) == repr(kept)
        assert None not in kept.values()
        assert kept.keys() <= {attribute.key for attribute in what.attributes}
    assert attributes == before


@given(JSON)
def test_both_agree_on_any_json_at_all(attributes: Any) -> None:
    for what in (definition(), definition(Attribute("obj:cm:a"), drop=True)):
        assert accepts(what, attributes) == validator(what).is_valid(attributes)


@given(definitions())
def test_the_exported_schema_is_a_schema_and_plain_json(what: Definition) -> None:
    exported = json_schema(what)

    Draft202012Validator.check_schema(exported)
    assert json.loads(json.dumps(exported)) == exported


@given(definitions())
def test_every_example_is_accepted(what: Definition) -> None:
    shown = example(what)

    assert shown.keys() == {attribute.key for attribute in what.attributes}
    assert compile_check(what)(shown) == shown
    assert validator(what).is_valid(shown)


def test_an_example_has_no_more_attributes_than_may_be_sent_and_none_missing() -> None:
    attributes = [Attribute(f"sst:cm:a{n}", required=n > 15) for n in range(20)]
    what = definition(*attributes)

    assert compile_check(what)(example(what)).keys() >= {f"sst:cm:a{n}" for n in range(16, 20)}
    assert len(example(what)) == 15
    example(what)["sst:cm:a16"].append(5)
    assert accepts(what, example(what))
