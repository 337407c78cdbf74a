"""A definition as a schema and as a check: each type by table, then one against the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ortto_capture import Attribute, Definition, InvalidAttributes
from ortto_capture.model import ATTRIBUTE_TYPES
from ortto_capture.schema import MAX_OBJ, compile_check, json_schema, validator
from ortto_capture.wire import MAX_INTEGER

DAY = {"year": 2024, "month": 2, "day": 29}
FITS: dict[str, list[Any]] = {
    "str": ["", "x" * 255, "💥" * 255, "0"],
    "txt": ["", "line\nline", "é" * 4000],
    "int": [0, -5, MAX_INTEGER, -MAX_INTEGER, 5.0, -0.0, 1e3],
    "bol": [True, False],
    "dtz": [
        DAY,
        {"year": 2024.0, "month": 7, "day": 22, "timezone": "UTC"},
        {"year": 1, "month": 1, "day": 1},
        {"year": 9999, "month": 12, "day": 31},
    ],
    "tme": ["2026-07-31T12:00:00Z", "2026-07-31T12:00:00.123456+05:30", "20260731T120000Z"],
    "phn": [
        {"n": "501234567"},
        {"c": "", "n": "(02) 555-0100"},
        {"c": "61", "n": "0401 234-567"},
        {"n": "1" * 20},
    ],
    "geo": [{"name": ""}, {"name": "x" * 255}],
    "sst": [[], ["a"], ["x" * 255] * 100],
    "stl": [[], ["a", "a"]],
    "obj": [{}, {"a": [1, {"b": None}]}],
}
NOTHING_FITS: list[Any] = [[[]], [None], [5.5], {"name": 5}, {"n": ""}, {"year": 2024}]
MISFITS: dict[str, list[Any]] = {
    "str": ["x" * 256, 5, True, [], {}],
    "txt": ["x" * 4001, 5],
    "int": [5.5, True, "5", MAX_INTEGER + 1, 1e300, float(2**53)],
    "bol": [0, 1, "true", 1.0],
    "dtz": [
        "2024-02-29",
        {**DAY, "year": 2023},
        {**DAY, "year": 0},
        {**DAY, "year": 10_000},
        {**DAY, "month": 13},
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
        {"n": "1" + " " * 32},
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


def test_python_values_that_are_no_json_are_refused_and_nothing_else_is_raised() -> None:
    endless: dict[str, Any] = {}
    endless["a"] = endless
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    odd = [object(), {1: object()}, {"a": {1, 2}}, endless, deep, float("nan"), b"x", (1,)]
    for kind in ATTRIBUTE_TYPES:
        what = definition(Attribute(f"{kind}:cm:a"))
        for value in [*odd, 10**400, float("inf"), {"a": float("nan")}]:
            assert not accepts(what, {f"{kind}:cm:a": value})


@pytest.mark.parametrize(
    ("attributes", "fine"),
    [
        ({"dtz:cm:date": {"year": 2024, "month": 7, "day": 22, "timezone": "UTC"}}, True),
        ({"phn:cm:phone": {"c": "", "n": "501234567"}}, True),
        ({"phn:cm:phone": {"c": ""}}, False),
        ({"str:cm:answers": '{"toolUsed":"Investment Income Calculator"}'}, True),
        ({"txt:cm:reason": "Longer free text.\nSecond paragraph."}, True),
        ({"bol:cm:isended": False, "str:cm:country": ""}, True),
        ({"int:cm:code": None}, True),
        ({"int:cm:amount": 12.5}, False),
        ({"str:cm:long": "x" * 1000}, False),
        ({"u4s::t": ["tag"]}, False),
        ({"email": "owner@example.com"}, False),
    ],
)
def test_attributes_seen_on_public_sites(attributes: dict[str, Any], fine: bool) -> None:
    declared = [
        "dtz:cm:date",
        "phn:cm:phone",
        "str:cm:answers",
        "txt:cm:reason",
        "bol:cm:isended",
        "str:cm:country",
        "int:cm:code",
        "int:cm:amount",
        "str:cm:long",
    ]
    what = definition(*map(Attribute, declared))

    assert accepts(what, attributes) == validator(what).is_valid(attributes) == fine


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [f"{kind}:cm:{name}" for kind in ATTRIBUTE_TYPES for name in "ab"]
NEAR = st.sampled_from(
    [value for values in (*FITS.values(), *MISFITS.values(), NOTHING_FITS) for value in values]
)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """An activity of some attributes, a few of them required."""
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True, max_size=5))
    attributes = [Attribute(key, required=draw(st.booleans())) for key in keys]
    return definition(*attributes, drop=draw(st.booleans()))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Definition, dict[str, Any]]:
    """A definition, and attributes that mostly have to do with it."""
    what = draw(definitions())
    attributes: dict[str, Any] = {}
    for attribute in what.attributes:
        if draw(st.integers(0, 9)):
            fitting = st.sampled_from(FITS[attribute.type])
            attributes[attribute.key] = draw(st.one_of(fitting, fitting, fitting, NEAR, JSON))
    if not draw(st.integers(0, 4)):
        attributes[draw(st.sampled_from(KEYS) | st.text(max_size=6))] = draw(JSON)
    return what, attributes


@given(cases())
def test_the_compiled_check_and_the_exported_schema_agree(
    case: tuple[Definition, dict[str, Any]],
) -> None:
    """Accepted by one if and only if accepted by the other, and what is kept is accepted again."""
    what, attributes = case
    reference = validator(what)

    assert accepts(what, attributes) == reference.is_valid(attributes)
    if accepts(what, attributes):
        kept = compile_check(what)(attributes)
        assert reference.is_valid(kept)
        assert compile_check(what)(kept) == kept


@given(definitions())
def test_the_exported_schema_is_a_schema_and_plain_json(what: Definition) -> None:
    schema = json_schema(what)

    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
