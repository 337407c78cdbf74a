"""The definition file: what it may say, what is said of mistakes and where, how it is written."""

from __future__ import annotations

import json
import random
import re
import tomllib
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ortto_capture import Attribute, ConfigurationError, Definition
from ortto_capture.definition_format import FILE_SCHEMA, format_definitions, parse_definitions
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
      "archived": true
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
"""

BOTH = [Definition("act:cm:login", "Logged in – à Paris"), EVERYTHING]


def problems(text: str | bytes, *, toml: bool = False) -> list[str]:
    """What is wrong with a file called ``f``, a problem a line."""
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ConfigurationError) as wrong:
        parse_definitions(data, "f", toml=toml)
    assert wrong.value.field == "activities"
    return str(wrong.value).removeprefix("activities: ").splitlines()


# -- what it may say


def test_json_and_toml_say_the_same() -> None:
    assert parse_definitions(JSON.encode(), "f") == BOTH
    assert parse_definitions(TOML.encode(), "f", toml=True) == BOTH


@pytest.mark.parametrize("text", ['{"activities": []}', "{}", "\ufeff{}", "\r\n{\r\n}\r\n"])
def test_json_may_define_nothing(text: str) -> None:
    assert parse_definitions(text.encode(), "f") == []


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "activities = []", "\ufeff", "\r\n"])
def test_toml_may_define_nothing(text: str) -> None:
    assert parse_definitions(text.encode(), "f", toml=True) == []


def test_definitions_come_in_the_order_of_the_file() -> None:
    text = json.dumps({"activities": [{"id": f"act:cm:{s}", "name": "X"} for s in "bac"]})

    assert [each.id[-1] for each in parse_definitions(text.encode(), "f")] == ["b", "a", "c"]


def test_null_is_fine_where_nothing_is_the_default() -> None:
    text = '{"activities": [{"id": "act:cm:a", "name": "A", "limits": null, "icon": null}]}'

    assert parse_definitions(text.encode(), "f") == [Definition("act:cm:a", "A")]


def test_the_schema_has_the_members_of_the_model_and_refers_to_nothing_elsewhere() -> None:
    activity = FILE_SCHEMA["properties"]["activities"]["items"]
    attribute = activity["properties"]["attributes"]["items"]

    Draft202012Validator.check_schema(FILE_SCHEMA)
    assert list(activity["properties"]) == [each.name for each in fields(Definition)]
    assert list(attribute["properties"]) == [each.name for each in fields(Attribute)]
    assert "$ref" not in json.dumps(FILE_SCHEMA)


def test_the_reference_page_shows_one_file_in_both_languages_and_every_member() -> None:
    page = ROOT / "docs" / "reference" / "definitions.md"
    [(_, shown_json)] = blocks(page, "json")
    [(_, shown_toml)] = blocks(page, "toml")
    defined = parse_definitions(shown_json.encode(), "f")

    assert parse_definitions(shown_toml.encode(), "f", toml=True) == defined
    assert re.findall(r"^\| `(\w+)` \|", page.read_text("utf-8"), re.MULTILINE) == [
        each.name for kind in (Definition, Attribute) for each in fields(kind)
    ]


# -- what is said of mistakes

KEY = (
    "'email' is not type:namespace:slug of at most 100 characters, the type being one of "
    + ", ".join(ATTRIBUTE_TYPES)
)
LIMIT = 'not one limit; write an amount and a period, such as "10/day" or "100/hour"'
A = '{"id": "act:cm:a", "name": "A"'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[]", 'f:1: write an object such as {"activities": [...]}, not a list'),
        ("\n\n7", 'f:3: write an object such as {"activities": [...]}, not 7'),
        ('{\n"activites": []}', "f:2: activites: no such member; did you mean activities?"),
        ('{"x": []}', "f:1: x: no such member; there are activities"),
        (
            '{"activities": {}}',
            (
                "f:1: activities: write a list of activities (in TOML, each under [[activities]]), "
                "not an object"
            ),
        ),
        (
            '{"activities": [\n{"name": "A"}]}',
            'f:2: activity 1: id: missing; write an id such as "act:cm:login", in quotes',
        ),
        (
            f'{{"activities": [\n{A}}},\n{{"id": "act:cm:b"}}]}}',
            "f:3: act:cm:b: name: missing; write a name people can read, in quotes",
        ),
        (
            f'{{"activities": [{A}}},\n"act:cm:b"]}}',
            'f:2: activity 2: write an object with an id and a name, not "act:cm:b"',
        ),
        (
            '{"activities": [{"name": "A",\n "id":\n "login"}]}',
            "f:2: login: id: 'login' is not act:namespace:slug of at most 100 characters",
        ),
        (
            '{"activities": [{"id": "act:cm:a",\n "name": " \\t"}]}',
            'f:2: act:cm:a: name: write a name people can read, in quotes, not " \\t"',
        ),
        (
            '{"activities": [{"id": "act:cm:a",\n "name": "\\ud83d"}]}',
            'f:2: act:cm:a: name: write a name people can read, in quotes, not "\\ud83d"',
        ),
        (
            f'{{"activities": [{A},\n "clientSide": true}}]}}',
            "f:2: act:cm:a: clientSide: no such member; did you mean client_side?",
        ),
        (
            f'{{"activities": [{A},\n "colour": "red"}}]}}',
            (
                "f:2: act:cm:a: colour: no such member; there are id, name, client_side, "
                "attributes, limits, unknown_attributes, icon, archived"
            ),
        ),
        (
            f'{{"activities": [{A},\n "client_side": "yes"}}]}}',
            'f:2: act:cm:a: client_side: write true or false, not "yes"',
        ),
        (
            f'{{"activities": [{A},\n "archived": 1}}]}}',
            "f:2: act:cm:a: archived: write true or false, not 1",
        ),
        (
            f'{{"activities": [{A},\n "icon": {{}}}}]}}',
            "f:2: act:cm:a: icon: write a name for a picture, in quotes, not an object",
        ),
        (
            f'{{"activities": [{A},\n "unknown_attributes": "keep"}}]}}',
            'f:2: act:cm:a: unknown_attributes: write "reject" or "drop", not "keep"',
        ),
        (
            f'{{"activities": [{A},\n "limits": "20/day"}}]}}',
            'f:2: act:cm:a: limits: write limits such as {"person": "20/day"}, not "20/day"',
        ),
        (
            f'{{"activities": [{A},\n "limits":\n {{"user": "20/day"}}}}]}}',
            "f:3: act:cm:a: limits: user: no such member; there are person, ip",
        ),
        (
            f'{{"activities": [{A},\n "limits": {{\n"ip": "many"}}}}]}}',
            f"f:3: act:cm:a: limits: ip: {LIMIT}",
        ),
        (
            f'{{"activities": [{A},\n "limits": {{\n"ip": 20}}}}]}}',
            'f:3: act:cm:a: limits: ip: write a limit such as "20/day", not 20',
        ),
        (
            f'{{"activities": [{A},\n "attributes": "str::email"}}]}}',
            (
                "f:2: act:cm:a: attributes: write a list of attributes such as "
                '["str::email"], not "str::email"'
            ),
        ),
        (
            f'{{"activities": [{A}, "attributes": [\n"str::email",\n"email"]}}]}}',
            f"f:3: act:cm:a: email: {KEY}",
        ),
        (
            f'{{"activities": [{A}, "attributes": [\n{{\n"key":\n"email"}}]}}]}}',
            f"f:3: act:cm:a: email: key: {KEY}",
        ),
        (
            f'{{"activities": [{A}, "attributes": [\ntrue]}}]}}',
            (
                'f:2: act:cm:a: attribute 1: write a key such as "str:cm:payment-plan", '
                "or an object with a key, not true"
            ),
        ),
        (
            f'{{"activities": [{A}, "attributes": [\n{{"name": "Plan"}}]}}]}}',
            'f:2: act:cm:a: attribute 1: key: missing; write a key such as "str:cm:payment-plan"',
        ),
        (
            f'{{"activities": [{A}, "attributes": [{{"key": "str::email",\n"optional": 1}}]}}]}}',
            (
                "f:2: act:cm:a: str::email: optional: no such member; "
                "there are key, name, required, sensitive"
            ),
        ),
        (
            f'{{"activities": [{A}, "attributes": [{{"key": "str::email",\n"required": 1}}]}}]}}',
            "f:2: act:cm:a: str::email: required: write true or false, not 1",
        ),
        (
            f'{{"activities": [{A}, "attributes": [\n"str::email",\n{{"key": "str::email"}}]}}]}}',
            "f:3: act:cm:a: str::email: defined already in line 2; remove one of the two",
        ),
        (
            f'{{"activities": [\n{A}}},\n{A}}}]}}',
            "f:3: act:cm:a: defined already in line 2; remove one of the two",
        ),
        (
            f'{{"activities": [{A},\n"name": "B"}}]}}',
            "f:2: act:cm:a: name: written twice in one object; remove one",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line_the_activity_and_a_remedy(
    text: str, found: str
) -> None:
    assert problems(text) == [found]


def test_everything_that_is_wrong_is_said_at_once_in_the_order_of_the_file() -> None:
    text = """{"activities": [
        {"id": "login", "name": "", "archived": "no",
         "attributes": ["email", {"key": "str::email", "requierd": true}],
         "limits": {"person": "x", "ip": "y"}},
        {"id": "act:cm:b", "nmae": "B"}
    ]}"""

    assert [each.split(": ")[0] + ": " + each.split(": ")[-2] for each in problems(text)] == [
        "f:2: archived",
        "f:2: id",
        "f:2: name",
        "f:3: email",
        "f:3: requierd",
        "f:4: ip",
        "f:4: person",
        "f:5: name",
        "f:5: nmae",
    ]


@pytest.mark.parametrize("own", ["", "a\nb", "a\ud83d", "x" * 101, 7, [], None])
def test_an_activity_that_has_no_fit_id_goes_by_its_number(own: object) -> None:
    text = json.dumps({"activities": [{"id": "act:cm:a", "name": "A"}, {"id": own, "name": "A"}]})

    assert all(each.startswith("f:1: activity 2: id: ") for each in problems(text))


def test_long_and_unprintable_values_stay_on_one_short_line() -> None:
    members = {"client_side": "x" * 999, "archived": "\n", "icon": [["x" * 999]], "\n": 1}
    text = json.dumps({"activities": [{"id": "act:cm:a", "name": "A", **members}]})

    assert problems(text) == [
        'f:1: act:cm:a: "\\n": no such member; there are '
        + ", ".join(each.name for each in fields(Definition)),
        'f:1: act:cm:a: archived: write true or false, not "\\n"',
        f'f:1: act:cm:a: client_side: write true or false, not "{"x" * 59}…',
        "f:1: act:cm:a: icon: write a name for a picture, in quotes, not a list",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "f: the file is empty"),
        (" \n", "f: the file is empty"),
        ('{"activities": [\n]', "f:2:2: the file ends before everything that was opened is closed"),
        ('{"activities": [\n', "f:2:1: the file ends before everything that was opened is closed"),
        ('{"activities": [\n],\n}', "f:2:2: remove this comma, nothing follows it"),
        ('{"activities": [{},\n\n]}', "f:1:19: remove this comma, nothing follows it"),
        ('{"activities": [\n{} {}]}', "f:2:4: a comma is missing in front of this"),
        ('{"activities" []}', "f:1:15: a colon is missing in front of this"),
        ("{activities: []}", "f:1:2: write the member's name, in double quotes"),
        ("{'activities': []}", "f:1:2: write text in double quotes"),
        ('{"a": "x\n"}', "f:1:9: close the text with a double quote before the end of the line"),
        ('{"a":\n"x', "f:2:1: close this text with a quote"),
        ('{"a": True}', "f:1:7: write true or false, in small letters"),
        ('{"a": yes}', "f:1:7: write true or false, in small letters"),
        ('{"a": "\\d"}', "f:1:8: write a backslash twice"),
        ("{}\n{}", "f:2:1: the file's one value ends before this; remove what follows"),
        (
            '{"a": .5}',
            'f:1:7: no value can be read here; write "text", true, false, [...] or {...}',
        ),
        (
            "// ours\n{}",
            "f:1:1: JSON has no comments; remove it, or write a TOML file instead",
        ),
        (
            '{\n  # ours\n"a": 1}',
            "f:2:3: JSON has no comments; remove it, or write a TOML file instead",
        ),
        ("[" * 100_000, "f: it is nested too deeply"),
        ("1" * 5_000, "f: it holds too long a number"),
        (b"{}\n\xff\xfe", "f:2: this is not UTF-8; save the file in that encoding"),
    ],
)
def test_what_is_not_json_is_said_with_its_line_and_column(text: str | bytes, found: str) -> None:
    assert problems(text) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[[activities]\n", "f:1:13: Expected ']]' at the end of an array declaration"),
        (
            "[[activities]]\nid = tru\n",
            'f:2:6: no value can be read here; write "text", true, false or [...]',
        ),
        (
            "\nid =",
            'f:2: no value can be read here; write "text", true, false or [...]',
        ),
        ('\nid = "a', "f:2: close this text with a quote"),
        ('id = "a\n"', "f:1:8: close the text with a quote before the end of the line"),
        (
            'id = "a" name = "b"',
            "f:1:10: write one member a line, and text in double quotes",
        ),
        ("id = 'a'\nid = 'b'\n\n", "f:2:9: written twice in one table; remove one"),
        (
            "[activities]\n[activities]\n",
            "f:2:12: this table is opened twice; begin each item of a list with [[its name]]",
        ),
        ("a = " + "[" * 100_000, "f: it is nested too deeply"),
    ],
)
def test_what_is_not_toml_is_said_with_its_line_and_column(text: str, found: str) -> None:
    assert problems(text, toml=True) == [found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "[activities]\nid = 'act:cm:a'",
            (
                "f:1: activities: write a list of activities (in TOML, each under [[activities]]), "
                "not an object"
            ),
        ),
        ("\nactivites = []", "f:2: activites: no such member; did you mean activities?"),
        (
            (
                "[[activities]]\nid = 'act:cm:a'\nname = 'A'\n\n  [[ activities ]] # again\n"
                "id = 'act:cm:a'\nname = 'A'"
            ),
            "f:5: act:cm:a: defined already in line 1; remove one of the two",
        ),
        (
            (
                "[[activities]]\nid = 'act:cm:a'\nname = '''\n[[activities]]\n'''\n"
                "archived = 1979-05-27"
            ),
            'f:6: act:cm:a: archived: write true or false, not "1979-05-27"',
        ),
        (
            (
                '[[activities]]\nid = "act:cm:a"\nname = """[[activities]] \\"""" # "\n'
                "attributes = [\n  'str::email', # one [\n  'email',\n]\n"
            ),
            f"f:4: act:cm:a: email: {KEY}",
        ),
        (
            (
                "[[activities]]\nid = 'act:cm:a'\nname = 'A'\n[[activities.attributes]]\n"
                "key = 'str::email'\n[[activities.attributes]]\nkey = 'email'"
            ),
            f"f:7: act:cm:a: email: key: {KEY}",
        ),
        (
            "[[activities]]\nid = 'act:cm:a'\nname = 'A'\n[activities.limits]\nip = 'x'",
            f"f:5: act:cm:a: limits: ip: {LIMIT}",
        ),
        (
            "[[activities]]\nid = 'act:cm:a'\nname = 'A'\nlimits . ip = 'x'",
            f"f:4: act:cm:a: limits: ip: {LIMIT}",
        ),
        (
            "activities = [\n  {id = 'act:cm:a', name = 'A'},\n  {id = 'act:cm:b'},\n]",
            "f:1: act:cm:b: name: missing; write a name people can read, in quotes",
        ),
        (
            "[['activities']]\nid = 'act:cm:a'\n\n[['activities']]\nid = 'act:cm:b'\nname = 'B'",
            "f: act:cm:a: name: missing; write a name people can read, in quotes",
        ),
        (
            "[['activities']]\nid = 'act:cm:a'\n\n[[activities]]\nid = 'act:cm:b'\nname = 'B'",
            "f: act:cm:a: name: missing; write a name people can read, in quotes",
        ),
        (
            "[[activities]]\nid = 'act:cm:a'\nname = 'A'\nattributes = [\n  ['str::email'],\n]",
            (
                'f:4: act:cm:a: attribute 1: write a key such as "str:cm:payment-plan", '
                "or an object with a key, not a list"
            ),
        ),
        (
            (
                "[['activities']]\nid = 'act:cm:a'\nname = 'A'\n[['activities']]\nid = 'act:cm:a'\n"
                "name = 'B'"
            ),
            "f: act:cm:a: defined already; remove one of the two",
        ),
    ],
)
def test_toml_has_lines_as_far_as_they_are_certain(text: str, found: str) -> None:
    tomllib.loads(text)

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
    assert problems(written) == [
        'f:5: act:cm:a: name: write a name people can read, in quotes, not "\\ud83d"'
    ]


@given(FILES.filter(bool), st.data())
def test_the_line_is_right_however_the_file_is_laid_out(
    definitions: list[Definition], data: st.DataObject
) -> None:
    """One member of one activity is wrong; new lines are anywhere that JSON lets them be."""
    plain = json.loads(format_definitions(definitions))
    wrong = data.draw(st.sampled_from(plain["activities"]))
    wrong["archived"] = "by mistake"
    pieces = json.JSONEncoder(indent=0, separators=("\0,\0", "\0:\0")).encode(plain)
    dice = random.Random(data.draw(st.integers()))
    text = "".join(
        "\n" * dice.randrange(3) if each in "\0\n" else each
        # Text keeps its own characters: `json` has escaped these two in it.
        for each in pieces
    )

    member = text.rindex('"archived"', 0, text.index('"by mistake"'))
    line = text.count("\n", 0, member) + 1
    assert problems(text) == [
        f'f:{line}: {wrong["id"]}: archived: write true or false, not "by mistake"'
    ]


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


def survives(data: bytes, *, toml: bool = False) -> None:
    """Nothing but definitions or a configuration error comes of it."""
    try:
        found: Any = parse_definitions(data, "f", toml=toml)
    except ConfigurationError as error:
        assert all(line.startswith("f:") for line in str(error)[12:].split("\n"))  # noqa: PT017
    else:
        assert all(isinstance(each, Definition) for each in found)


@given(SCRAPS | st.fixed_dictionaries({"activities": st.lists(SCRAPS, max_size=4)}))
def test_no_json_whatever_raises_anything_else(value: object) -> None:
    survives(json.dumps(value).encode())


@given(st.binary() | st.text().map(str.encode), st.booleans())
def test_no_bytes_whatever_raise_anything_else(data: bytes, toml: bool) -> None:
    survives(data, toml=toml)


@given(st.sampled_from([JSON, TOML]), st.data())
def test_no_slip_of_the_keyboard_raises_anything_else(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    gone = data.draw(st.integers(0, 3))
    typed = data.draw(st.text("\"'[]{},:=#\\ \n1tax", max_size=3))
    survives((text[:at] + typed + text[at + gone :]).encode(), toml=text == TOML)
