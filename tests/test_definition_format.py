"""The definition file: what it may say, what is said of mistakes and where, how it is written."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ortto_capture import Attribute, ConfigurationError, Definition
from ortto_capture.definition_format import format_definitions, parse_definitions
from ortto_capture.model import ATTRIBUTE_TYPES

from .services import ROOT
from .test_docs import blocks

EVERYTHING = Definition(
    "act:cm:payment",
    "Paid",
    client_side=True,
    attributes=[
        Attribute("str::email"),
        Attribute("str:cm:payment-plan", "Plan", required=True),
        Attribute("phn:cm:mobile", sensitive=True),
    ],
    limits={"person": "20/day", "ip": "5 per 2 hours"},
    unknown_attributes="drop",
    icon="coin",
    archived=True,
    needs="verified",
    shown_as="Paid for {str:cm:payment-plan}",
)

JSON = """\
{
  "activities": [
    {
      "id": "act:cm:login",
      "name": "Logged in – à Paris"
    },
    {
      "id": "act:cm:payment",
      "name": "Paid",
      "client_side": true,
      "attributes": [
        "str::email",
        {
          "key": "str:cm:payment-plan",
          "name": "Plan",
          "required": true
        },
        {
          "key": "phn:cm:mobile",
          "sensitive": true
        }
      ],
      "limits": {
        "person": "20/day",
        "ip": "5 per 2 hours"
      },
      "unknown_attributes": "drop",
      "icon": "coin",
      "archived": true,
      "needs": "verified",
      "shown_as": "Paid for {str:cm:payment-plan}"
    }
  ]
}
"""

TOML = """\
# What the shop reports.
[[activities]]
id = "act:cm:login"
name = "Logged in – à Paris"

[[activities]]
id = "act:cm:payment"
name = "Paid"
client_side = true
attributes = [
  "str::email",
  { key = "str:cm:payment-plan", name = "Plan", required = true },
  { key = "phn:cm:mobile", sensitive = true },
]
limits = { person = "20/day", ip = "5 per 2 hours" }
unknown_attributes = "drop"
icon = "coin"
archived = true
needs = "verified"
shown_as = "Paid for {str:cm:payment-plan}"
"""

BOTH = [Definition("act:cm:login", "Logged in – à Paris"), EVERYTHING]


def problems(text: str | bytes, *, toml: bool = False) -> list[str]:
    """What is wrong with a file called ``f`` or ``f.toml``, a problem a line, without its name."""
    data = text.encode() if isinstance(text, str) else text
    name = "f.toml" if toml else "f"
    with pytest.raises(ConfigurationError) as wrong:
        parse_definitions(data, name)
    assert wrong.value.field == "activities"
    lines = str(wrong.value).removeprefix("activities: ").splitlines()
    assert all(line.startswith(f"{name}: ") for line in lines)
    return [line.removeprefix(f"{name}: ") for line in lines]


# -- what it may say


def test_json_and_toml_say_the_same() -> None:
    assert parse_definitions(JSON.encode(), "f.json") == BOTH
    assert parse_definitions(TOML.encode(), "f.toml") == BOTH


@pytest.mark.parametrize("text", ['{"activities": []}', "{}", "\ufeff{}", "\r\n{\r\n}\r\n"])
def test_json_may_define_nothing(text: str) -> None:
    assert parse_definitions(text.encode(), "f") == []


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "activities = []", "\ufeff", "\r\n"])
def test_toml_may_define_nothing(text: str) -> None:
    assert parse_definitions(text.encode(), "f.toml") == []


def test_definitions_come_in_the_order_of_the_file() -> None:
    text = json.dumps({"activities": [{"id": f"act:cm:{s}", "name": "X"} for s in "bac"]})

    assert [each.id[-1] for each in parse_definitions(text.encode(), "f")] == ["b", "a", "c"]


def test_null_is_fine_where_nothing_is_the_default() -> None:
    text = '{"activities": [{"id": "act:cm:a", "name": "A", "limits": null, "icon": null}]}'

    assert parse_definitions(text.encode(), "f") == [Definition("act:cm:a", "A")]


def test_the_reference_page_shows_one_file_in_both_languages_and_every_member() -> None:
    page = ROOT / "docs" / "reference" / "definitions.md"
    [(_, shown_json)] = blocks(page, "json")
    [(_, shown_toml)] = blocks(page, "toml")
    defined = parse_definitions(shown_json.encode(), "f")

    assert parse_definitions(shown_toml.encode(), "f.toml") == defined
    assert re.findall(r"^\| `(\w+)` \|", page.read_text("utf-8"), re.MULTILINE) == [
        each.name for kind in (Definition, Attribute) for each in fields(kind)
    ]


# -- what is said of mistakes

KEY = (
    "'email' is not type:namespace:slug of at most 100 characters, the type being one of "
    + ", ".join(ATTRIBUTE_TYPES)
)
LIMIT = 'not one limit; write an amount and a period, such as "10/day" or "100/hour"'
MEMBERS = ", ".join(each.name for each in fields(Definition))
NAME = "write a name people can read, in quotes"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", "write an object with activities, not a list"),
        ("7", "write an object with activities, not 7"),
        ('{"activites": []}', '"activites": unknown; there are activities'),
        (
            '{"activities": {}}',
            "activities: write a list (in TOML, each as [[activities]]), not an object",
        ),
        (
            '{"activities": [{"name": "A"}]}',
            'activities[0]: id: missing; write an id such as "act:cm:login"',
        ),
        (
            '{"activities": [{"id": "act:cm:a", "name": "A"}, {"id": "act:cm:b"}]}',
            f"activities[1] (act:cm:b): name: missing; {NAME}",
        ),
        (
            '{"activities": [7]}',
            "activities[0]: write an object with an id and a name, not 7",
        ),
        (
            '{"activities": [{"id": "act:cm:a", "name": "A"}, {"id": "act:cm:a", "name": "B"}]}',
            "activities[1] (act:cm:a): defined twice; remove one of the two",
        ),
    ],
)
def test_a_mistake_in_the_list_is_said_with_its_place_and_a_remedy(text: str, found: str) -> None:
    assert problems(text) == [found]


@pytest.mark.parametrize(
    ("members", "found"),
    [
        (
            {"id": "login"},
            "(login): id: 'login' is not act:namespace:slug of at most 100 characters",
        ),
        ({"name": " \t"}, f'(act:cm:a): name: {NAME}, not " \\t"'),
        ({"name": "A \ud83d"}, f'(act:cm:a): name: {NAME}, not "A \\ud83d"'),
        (
            {"icon": "\ud83d"},
            '(act:cm:a): icon: write a name for a picture, in quotes, not "\\ud83d"',
        ),
        ({"clientSide": True}, f'(act:cm:a): "clientSide": unknown; there are {MEMBERS}'),
        ({"client_side": "yes"}, '(act:cm:a): client_side: write true or false, not "yes"'),
        ({"archived": 1}, "(act:cm:a): archived: write true or false, not 1"),
        ({"icon": {}}, "(act:cm:a): icon: write a name for a picture, in quotes, not an object"),
        (
            {"unknown_attributes": "keep"},
            '(act:cm:a): unknown_attributes: write "reject" or "drop", not "keep"',
        ),
        (
            {"needs": "proof"},
            '(act:cm:a): needs: write "claimed" or "verified", not "proof"',
        ),
        (
            {"shown_as": 5},
            '(act:cm:a): shown_as: write a text such as "Placed order #{str:cm:order-id}", not 5',
        ),
        (
            {"shown_as": "Paid {int:cm:amount}"},
            "(act:cm:a): shown_as: 'int:cm:amount' is no attribute of this activity",
        ),
        (
            {"limits": "20/day"},
            '(act:cm:a): limits: write limits such as {"ip": "9/hour"}, not "20/day"',
        ),
        (
            {"limits": {"user": "20/day"}},
            '(act:cm:a): limits: "user": unknown; there are person, ip',
        ),
        ({"limits": {"ip": "many"}}, f"(act:cm:a): limits: ip: {LIMIT}"),
        ({"limits": {"ip": 20}}, '(act:cm:a): limits: ip: write a limit such as "20/day", not 20'),
        (
            {"attributes": "str::email"},
            '(act:cm:a): attributes: write a list such as ["str::email"], not "str::email"',
        ),
        ({"attributes": ["str::email", "email"]}, f"(act:cm:a): attributes[1] (email): {KEY}"),
        ({"attributes": [{"key": "email"}]}, f"(act:cm:a): attributes[0] (email): key: {KEY}"),
        (
            {"attributes": [True]},
            (
                '(act:cm:a): attributes[0]: write a key such as "str:cm:payment-plan", '
                "or an object with a key, not true"
            ),
        ),
        (
            {"attributes": [{"name": "Plan"}]},
            '(act:cm:a): attributes[0]: key: missing; write a key such as "str:cm:payment-plan"',
        ),
        (
            {"attributes": [{"key": "str::email", "optional": 1}]},
            (
                '(act:cm:a): attributes[0] (str::email): "optional": unknown; '
                "there are key, name, required, sensitive"
            ),
        ),
        (
            {"attributes": [{"key": "str::email", "required": 1}]},
            "(act:cm:a): attributes[0] (str::email): required: write true or false, not 1",
        ),
        (
            {"attributes": ["str::email", {"key": "str::email"}]},
            "(act:cm:a): attributes[1] (str::email): defined twice; remove one of the two",
        ),
    ],
)
def test_a_mistake_in_an_activity_is_said_with_its_place_and_a_remedy(
    members: dict[str, Any], found: str
) -> None:
    activity = {"id": "act:cm:a", "name": "A"} | members
    text = json.dumps({"activities": [activity]})

    assert problems(text) == [f"activities[0] {found}"]


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = """{"activities": [
        {"id": "login", "name": "", "archived": "no",
         "attributes": ["email", {"key": "str::email", "requierd": true}],
         "limits": {"person": "x", "ip": "y"}},
        {"id": "act:cm:b", "nmae": "B"}
    ]}"""

    places = [
        "activities[0] (login): id: ",
        "activities[0] (login): name: ",
        "activities[0] (login): archived: ",
        "activities[0] (login): attributes[0] (email): ",
        'activities[0] (login): attributes[1] (str::email): "requierd": ',
        "activities[0] (login): limits: person: ",
        "activities[0] (login): limits: ip: ",
        "activities[1] (act:cm:b): name: ",
        'activities[1] (act:cm:b): "nmae": ',
    ]
    for place, problem in zip(places, problems(text), strict=True):
        assert problem.startswith(place)


@pytest.mark.parametrize("own", ["", "a\nb", "a\ud83d", "x" * 101, 7, [], None])
def test_an_activity_that_has_no_fit_id_goes_by_its_number(own: object) -> None:
    text = json.dumps({"activities": [{"id": "act:cm:a", "name": "A"}, {"id": own, "name": "A"}]})

    [problem] = problems(text)
    assert problem.startswith("activities[1]: id: ")


def test_long_and_unprintable_values_stay_on_one_short_line() -> None:
    members = {"client_side": "x" * 999, "archived": "\n", "icon": [["x" * 999]], "\n": 1}
    text = json.dumps({"activities": [{"id": "act:cm:a", "name": "A", **members}]})

    assert problems(text) == [
        f'activities[0] (act:cm:a): client_side: write true or false, not "{"x" * 59}…',
        'activities[0] (act:cm:a): archived: write true or false, not "\\n"',
        "activities[0] (act:cm:a): icon: write a name for a picture, in quotes, not a list",
        f'activities[0] (act:cm:a): "\\n": unknown; there are {MEMBERS}',
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "Expecting value: line 1 column 1"),
        ('{"activities": [\n{} {}]}', "Expecting ',' delimiter: line 2 column 4"),
        ("// ours\n{}", "Expecting value: line 1 column 1"),
        ("{}\n{}", "Extra data: line 2 column 1"),
        ("[" * 100_000, "maximum recursion depth exceeded"),
        ("1" * 5_000, "Exceeds the limit"),
        (b"{}\n\xff\xfe", "'utf-8' codec can't decode byte 0xff in position 3"),
        ('{"activities": [{"name": "A", "name": "B"}]}', 'the members "name", "name", and may'),
    ],
)
def test_what_is_not_json_is_said_with_the_line_and_column_that_the_parser_gives(
    text: str | bytes, found: str
) -> None:
    [problem] = problems(text)

    assert problem.startswith("this is no JSON in UTF-8: ")
    assert found in problem
    assert problem.endswith(
        "; put text in quotes; JSON has no comments, and no comma after the last member"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[activities]]\nid = tru\n", "Invalid value (at line 2, column 6)"),
        ("id = 'a'\nid = 'b'\n\n", "Cannot overwrite a value (at line 2, column 9)"),
        ("a = " + "[" * 100_000, "maximum recursion depth exceeded"),
        (b"id = '\xff'", "'utf-8' codec can't decode byte 0xff in position 6"),
    ],
)
def test_what_is_not_toml_is_said_with_the_line_and_column_that_the_parser_gives(
    text: str | bytes, found: str
) -> None:
    [problem] = problems(text, toml=True)

    assert problem.startswith(f"this is no TOML in UTF-8: {found}")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "[activities]\nid = 'act:cm:a'",
            "activities: write a list (in TOML, each as [[activities]]), not an object",
        ),
        (
            "[[activities]]\nid = 'act:cm:a'\nname = 'A'\n[activities.limits]\nip = 'x'",
            f"activities[0] (act:cm:a): limits: ip: {LIMIT}",
        ),
        (
            "[[activities]]\nid = 'act:cm:a'\nname = 'A'\narchived = 1979-05-27",
            'activities[0] (act:cm:a): archived: write true or false, not "1979-05-27"',
        ),
        (
            (
                "[[activities]]\nid = 'act:cm:a'\nname = 'A'\n"
                "[[activities.attributes]]\nkey = 'str::email'\n"
                "[[activities.attributes]]\nkey = 'email'"
            ),
            f"activities[0] (act:cm:a): attributes[1] (email): key: {KEY}",
        ),
    ],
)
def test_mistakes_in_toml_are_said_as_those_in_json(text: str, found: str) -> None:
    assert problems(text, toml=True) == [found]


# -- everything at random

SLUGS = st.text("abcXYZ019_-", min_size=1, max_size=45)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXTS.filter(str.strip)
LIMITS = st.sampled_from(["1/day", "100 per hour", "5/2 hours"])
ATTRIBUTES = st.builds(
    Attribute,
    st.builds(
        "{}:{}:{}".format, st.sampled_from(ATTRIBUTE_TYPES), st.sampled_from(["", "cm"]), SLUGS
    ),
    TEXTS,
    required=st.booleans(),
    sensitive=st.booleans(),
)
DEFINITIONS = st.builds(
    Definition,
    st.builds("act:{}:{}".format, st.sampled_from(["cm", "wf1"]), SLUGS),
    NAMES,
    client_side=st.booleans(),
    attributes=st.lists(ATTRIBUTES, max_size=4, unique_by=lambda each: each.key),
    limits=st.none() | st.dictionaries(st.sampled_from(["person", "ip"]), LIMITS),
    unknown_attributes=st.sampled_from(["reject", "drop"]),
    icon=st.none() | TEXTS,
    archived=st.booleans(),
    needs=st.sampled_from(["claimed", "verified"]),
    shown_as=st.none() | TEXTS.filter(lambda text: text.strip() and not {"{", "}"} & set(text)),
)
FILES = st.lists(DEFINITIONS, max_size=5, unique_by=lambda each: each.id)


def test_a_file_is_written_for_people() -> None:
    assert format_definitions(reversed(BOTH)).decode() == JSON
    assert format_definitions([]) == b'{\n  "activities": []\n}\n'


@given(FILES)
def test_what_is_written_reads_back_equal_and_is_written_the_same_again(
    definitions: list[Definition],
) -> None:
    written = format_definitions(definitions)

    assert parse_definitions(written, "f") == sorted(definitions, key=lambda each: each.id)
    assert format_definitions(parse_definitions(written, "f")) == written
    assert written.endswith(b"\n")


def test_limits_may_be_any_mapping() -> None:
    frozen = Definition("act:cm:a", "A", limits=MappingProxyType({"ip": "1/day"}))

    assert parse_definitions(format_definitions([frozen]), "f") == [frozen]


def test_half_a_character_is_written_so_that_reading_refuses_it() -> None:
    written = format_definitions([Definition("act:cm:a", "\ud83d")])

    assert "\\ud83d" in written.decode()
    assert problems(written) == [f'activities[0] (act:cm:a): name: {NAME}, not "\\ud83d"']


SCRAPS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["act:cm:a", "str::email", "20/day", "drop"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "activities",
                    "key",
                    "required",
                    "person",
                    "ip",
                    *(f.name for f in fields(Definition)),
                ]
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


FILE_OF_SCRAPS = SCRAPS | st.fixed_dictionaries({"activities": st.lists(SCRAPS, max_size=4)})


def accepted(data: bytes, name: str = "f") -> bool:
    """Whether it is read; if it is not, only a configuration error may say so."""
    try:
        found = parse_definitions(data, name)
    except ConfigurationError as error:
        lines = str(error).removeprefix("activities: ").split("\n")
        assert all(line.startswith(f"{name}: ") for line in lines)
        return False
    assert all(isinstance(each, Definition) for each in found)
    return True


@given(st.binary() | st.text().map(str.encode), st.sampled_from(["f", "f.toml"]))
def test_no_bytes_whatever_raise_anything_else(data: bytes, name: str) -> None:
    accepted(data, name)


@given(st.sampled_from([JSON, TOML]), st.data())
def test_no_slip_of_the_keyboard_raises_anything_else(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 3))
    typed = data.draw(st.text("\"'[]{},:=#\\ \n1tax", max_size=3))
    slipped = text[:at] + typed + text[at + gone :]
    accepted(slipped.encode(), "f.toml" if text == TOML else "f")


# -- the JSON Schema for editors

SCHEMA = json.loads((ROOT / "docs" / "reference" / "definitions.schema.json").read_text("utf-8"))
MATCHES = Draft202012Validator(SCHEMA).is_valid


def test_the_schema_has_the_members_of_the_model_and_refers_to_nothing_elsewhere() -> None:
    activity = SCHEMA["properties"]["activities"]["items"]
    attribute = activity["properties"]["attributes"]["items"]

    Draft202012Validator.check_schema(SCHEMA)
    assert list(activity["properties"]) == [each.name for each in fields(Definition)]
    assert list(attribute["properties"]) == [each.name for each in fields(Attribute)]
    assert "$ref" not in json.dumps(SCHEMA)


@given(FILES)
def test_the_schema_matches_what_is_written(definitions: list[Definition]) -> None:
    assert MATCHES(json.loads(format_definitions(definitions)))


@given(FILE_OF_SCRAPS)
def test_any_json_is_read_or_refused_and_what_is_read_matches_the_schema(value: object) -> None:
    if accepted(json.dumps(value).encode()):
        assert MATCHES(value)


@given(FILES.filter(bool), SCRAPS, st.data())
def test_one_wrong_member_is_refused_when_the_schema_refuses_it(
    definitions: list[Definition], value: object, data: st.DataObject
) -> None:
    file = json.loads(format_definitions(definitions))
    activity = data.draw(st.sampled_from(file["activities"]))
    activity[data.draw(st.sampled_from([each.name for each in fields(Definition)]))] = value

    assert MATCHES(file) or not accepted(json.dumps(file).encode())
