"""``activities import``: what Ortto's API answers, as definitions of ours."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import Attribute, Definition

from .conftest import Account, Shell
from .test_activities import defined

#: The members of the answer to creating an activity, as it was recorded.
ORDERED = {
    "custom_activity": {
        "name": "Placed an order",
        "activity_field_id": "act:cm:placed-an-order",
        "state": "awaiting_implementation",
        "display_mode": {"type": "activity_attribute", "attribute_field_id": "str:cm:order-no"},
        "attributes": [
            {
                "name": "Order no.",
                "field_id": "str:cm:order-no",
                "display_type": "text",
                "liquid_name": "order_no",
            },
            {"name": "Total", "field_id": "int:cm:total", "display_type": "currency"},
            {"name": "E-mail", "field_id": "str::email", "display_type": "email"},
            {"name": "Sent on", "field_id": "do-not-map", "display_type": "date"},
            {"name": "Labels", "field_id": "u4s::t", "display_type": "tags"},
        ],
        "icon_id": "moneys-illustration-icon",
        "track_conversion_value": True,
        "touch": False,
        "filterable": True,
        "visible_in_feeds": True,
        "created_by": "Jo",
        "created_at": 1_600_000_000,
        "edited_at": 1_600_000_000_000,
    }
}


def imported(shell: Shell, tmp_path: Path, value: Any, *options: str) -> tuple[int, str, list[str]]:
    """The exit code, what was printed, and what was said of what could not be taken over."""
    file = tmp_path / "ortto.json"
    file.write_text(json.dumps(value))
    ended = shell("activities", "import", str(file), *options)
    return ended.exit_code, ended.stdout, ended.stderr.splitlines()


def test_the_answer_to_creating_an_activity_is_taken_over(shell: Shell, tmp_path: Path) -> None:
    code, said, left = imported(shell, tmp_path, ORDERED)

    assert (code, said) == (0, "act:cm:placed-an-order is defined, and off\n")
    assert defined(shell) == {
        "act:cm:placed-an-order": Definition(
            "act:cm:placed-an-order",
            "Placed an order",
            attributes=[
                Attribute("str:cm:order-no", "Order no."),
                Attribute("int:cm:total", "Total"),
                Attribute("str::email", "E-mail"),
                Attribute("dtz:cm:sent-on", "Sent on"),
            ],
            icon="moneys-illustration-icon",
        )
    }
    assert left == [
        "act:cm:placed-an-order: int:cm:total is sent times 1000, as to Ortto: 5000 for 5.00",
        "left out: act:cm:placed-an-order: Labels: there is no type like 'tags' here",
        "left out: act:cm:placed-an-order: display_mode",
        "left out: act:cm:placed-an-order: filterable",
        "left out: act:cm:placed-an-order: track_conversion_value",
        "left out: act:cm:placed-an-order: visible_in_feeds",
    ]


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda one: one["custom_activity"],
        lambda one: [one],
        lambda one: {"data": {"custom_activities": [one["custom_activity"], one]}},
    ],
    ids=["bare", "a list", "within others"],
)
def test_they_are_found_wherever_they_stand(wrapped: Any, shell: Shell, tmp_path: Path) -> None:
    assert imported(shell, tmp_path, wrapped(ORDERED))[0] == 0
    assert list(defined(shell)) == ["act:cm:placed-an-order"]


@pytest.mark.parametrize(
    ("display_type", "key"),
    [
        ("text", "str:cm:an-attribute"),
        ("single_select", "str:cm:an-attribute"),
        ("large_text", "txt:cm:an-attribute"),
        ("integer", "int:cm:an-attribute"),
        ("decimal", "int:cm:an-attribute"),
        ("bool", "bol:cm:an-attribute"),
        ("date", "dtz:cm:an-attribute"),
        ("time", "tme:cm:an-attribute"),
        ("phone", "phn:cm:an-attribute"),
        ("geo", "geo:cm:an-attribute"),
        ("multi_select", "sst:cm:an-attribute"),
        ("object", "obj:cm:an-attribute"),
    ],
)
def test_what_is_to_be_created_gets_the_id_and_the_keys_that_ortto_gives_it(
    display_type: str, key: str, shell: Shell, tmp_path: Path
) -> None:
    """The body of the request has no id yet, and a name where the key will be."""
    body = {
        "name": "Did it",
        "display_style": {"type": "activity"},
        "attributes": [{"name": "An attribute", "display_type": display_type, "field_id": ""}],
    }
    imported(shell, tmp_path, body)

    assert defined(shell)["act:cm:did-it"].attributes == (Attribute(key, "An attribute"),)


def test_websites_may_send_them_when_the_operator_says_so(shell: Shell, tmp_path: Path) -> None:
    assert imported(shell, tmp_path, ORDERED, "--client-side")[1].endswith("defined, and on\n")
    assert defined(shell)["act:cm:placed-an-order"].client_side


def test_what_cannot_be_taken_over_keeps_nothing_else_from_it(shell: Shell, tmp_path: Path) -> None:
    odd = [
        {"name": "Opened an e-mail", "activity_field_id": "act::o"},
        {"name": "", "attributes": []},
        {"name": "Odd", "attributes": ["text", {"name": "x"}, {}], "icon_id": 7},
        {"name": "Put away", "attributes": None, "state": "archived"},
        {"name": "Numbered", "attributes": 3},
        {"name": "Twice", "attributes": [{"name": "A", "display_type": "text"}] * 2},
    ]
    code, _, left = imported(shell, tmp_path, odd)

    assert code == 0
    assert list(defined(shell)) == [
        *("act:cm:numbered", "act:cm:odd", "act:cm:put-away", "act:cm:twice")
    ]
    assert defined(shell)["act:cm:put-away"].archived
    assert len(defined(shell)["act:cm:twice"].attributes) == 1
    assert [line.removeprefix("left out: ") for line in left[2:]] == [
        "act:cm:odd: an attribute that is no object",
        "act:cm:odd: x: there is no type like ':cm:x' here",
        "act:cm:odd: :cm:: there is no type like ':cm:' here",
        "act:cm:numbered: attributes, which are no list",
        "act:cm:twice: A: str:cm:a comes before it in the list",
    ]
    assert [line.split(": ")[1] for line in left[:2]] == ["Opened an e-mail", "an activity"]


def test_one_that_is_there_stays_unless_it_is_to_be_replaced(
    shell: Shell, account: Account, tmp_path: Path
) -> None:
    login = {"name": "New", "activity_field_id": "act:cm:login"}
    before = defined(shell)
    code, said, left = imported(shell, tmp_path, login)

    assert (code, said, defined(shell)) == (0, "", before)
    assert left == [
        "left out: act:cm:login: is defined already; --replace defines it anew",
    ]
    imported(shell, tmp_path, login, "--replace")
    assert defined(shell)["act:cm:login"] == Definition("act:cm:login", "New", client_side=True)


def test_what_ortto_does_not_say_stays_when_one_is_replaced(
    shell: Shell, account: Account, tmp_path: Path
) -> None:
    before = Definition(
        "act:cm:bought",
        "Bought",
        client_side=True,
        attributes=[
            Attribute("str:cm:voucher", required=True, sensitive=True),
            Attribute("str:cm:gone", sensitive=True),
        ],
        limits={"person": "1/day"},
        unknown_attributes="drop",
        icon="coin",
        needs="verified",
    )
    account.backends.definitions.put(before)
    fields = [("Code", "str:cm:voucher"), ("Plan", "str:cm:plan")]
    bought = {
        "name": "Bought it",
        "activity_field_id": before.id,
        "attributes": [
            {"name": name, "field_id": key, "display_type": "text"} for name, key in fields
        ],
    }
    _, said, _ = imported(shell, tmp_path, bought, "--replace")

    assert said == "act:cm:bought is defined, and on\n"
    assert defined(shell)[before.id] == replace(
        before,
        name="Bought it",
        attributes=[
            Attribute("str:cm:voucher", "Code", required=True, sensitive=True),
            Attribute("str:cm:plan", "Plan"),
        ],
    )


@pytest.mark.parametrize("options", [[], ["--replace"]])
def test_an_id_that_is_repeated_is_taken_once(
    options: list[str], shell: Shell, tmp_path: Path
) -> None:
    twice = [{"name": name, "activity_field_id": "act:cm:size"} for name in ("First", "Second")]
    code, said, left = imported(shell, tmp_path, twice, *options)

    assert (code, said) == (0, "act:cm:size is defined, and off\n")
    assert left == ["left out: act:cm:size: Second: this id comes before it in the file"]
    assert defined(shell)["act:cm:size"].name == "First"


@pytest.mark.parametrize("value", [[], {}, 3, "text", {"activities": [{"name": 3}]}])
def test_a_file_without_activities_is_1_and_makes_nothing(
    value: Any, shell: Shell, tmp_path: Path
) -> None:
    code, said, left = imported(shell, tmp_path, value)

    assert (code, said) == (1, "")
    assert "holds no activity that could be taken over" in left[-1]
    assert not shell.data.exists()


def test_a_file_that_is_no_json_is_wrong_usage(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>")

    assert shell("activities", "import", str(tmp_path / "page.html")).exit_code == 2
