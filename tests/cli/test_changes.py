"""``activities check``: a file alone, and what a new one breaks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import Attribute, Definition
from ortto_capture.definition_format import format_definitions

from .conftest import Shell

PLAN = Attribute("str:cm:plan", "Plan", required=True)
PRICE = Attribute("int:cm:price")
WAS = Definition("act:cm:bought", "Bought", client_side=True, attributes=[PLAN, PRICE])


def compared(shell: Shell, tmp_path: Path, old: Any, new: Any, *options: str) -> list[list[str]]:
    """What is said of each breaking change: the activity, and the change."""
    for name, definitions in (("old.json", old), ("new.json", new)):
        (tmp_path / name).write_bytes(format_definitions(definitions))
    files = [str(tmp_path / name) for name in ("old.json", "new.json")]
    ended = shell("activities", "check", *files, *options)
    said = [line.split("\t") for line in ended.stdout.splitlines()]
    if ended.exit_code == 0:
        assert said == [[f"{tmp_path / 'new.json'}: nothing breaks"]]
        return []
    assert ended.exit_code == 1
    assert ended.stderr == f"Error: breaking changes: {len(said)}\n"
    assert all(why for *_, why in said)
    return [each[:2] for each in said]


DROPS: dict[str, Any] = {"unknown_attributes": "drop"}


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({}, {"archived": True}, "archived"),
        ({}, {"client_side": False}, "switched off"),
        ({}, {"attributes": [PLAN]}, "int:cm:price: removed"),
        (DROPS, {"attributes": [PLAN]}, "int:cm:price: removed"),
        (
            {},
            {"attributes": [PLAN, Attribute("str:cm:price")]},
            "int:cm:price: of another type, now str:cm:price",
        ),
        (
            {},
            {"attributes": [PLAN, replace(PRICE, required=True)]},
            "int:cm:price: required now",
        ),
        (
            {},
            {"attributes": [PLAN, PRICE, Attribute("bol:cm:new", required=True)]},
            "bol:cm:new: required now",
        ),
        (DROPS, {"unknown_attributes": "reject"}, "unknown_attributes: drop, now reject"),
        ({}, {"needs": "verified"}, "needs: claimed, now verified"),
        ({}, {"limits": {"person": "9/day"}}, "limits: person: 10/day, now 9/day"),
        ({}, {"limits": {"ip": "99/hour"}}, "limits: ip: 100/hour, now 99/hour"),
        ({"limits": {"ip": "5/minute"}}, {"limits": None}, "limits: ip: 5/minute, now 100/hour"),
        # What came at once, or in one window, does not fit any more.
        ({}, {"limits": {"ip": "2/minute"}}, "limits: ip: 100/hour, now 2/minute"),
        ({}, {"limits": {"ip": "3/minute"}}, "limits: ip: 100/hour, now 3/minute"),
        (
            {"limits": {"person": "1000/day"}},
            {"limits": {"person": "100/hour"}},
            "limits: person: 1000/day, now 100/hour",
        ),
        (
            {"limits": {"person": "600/hour"}},
            {"limits": {"person": "10/minute"}},
            "limits: person: 600/hour, now 10/minute",
        ),
        (
            {"limits": {"person": "10/minute"}},
            {"limits": {"person": "500/hour"}},
            "limits: person: 10/minute, now 500/hour",
        ),
        (
            DROPS,
            {"attributes": [PLAN, PRICE, Attribute("int:cm:new")]},
            "int:cm:new: declared now",
        ),
        (
            DROPS,
            {"attributes": [PLAN, PRICE, Attribute("int:cm:new", required=True)]},
            "int:cm:new: required now",
        ),
    ],
)
def test_a_change_that_refuses_what_is_sent_today_is_named(
    before: dict[str, Any], after: dict[str, Any], change: str, shell: Shell, tmp_path: Path
) -> None:
    old = replace(WAS, **before)
    found = compared(shell, tmp_path, [old], [replace(old, **after)])

    assert found == [["act:cm:bought", change]]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {}),
        ({}, {"name": "Sold", "icon": "coin"}),
        ({"client_side": False}, {"client_side": True}),
        ({"archived": True}, {"archived": False, "attributes": []}),
        ({}, {"attributes": [replace(PLAN, required=False), PRICE, Attribute("bol:cm:new")]}),
        ({}, {"attributes": [PRICE, PLAN]}),
        ({"needs": "verified"}, {"needs": "claimed"}),
        ({}, DROPS),
        ({}, {"limits": {"person": "11/day", "ip": "100/minute"}}),
        ({"limits": {"person": "5/day"}}, {"limits": None}),
        ({"limits": {"person": "10/minute"}}, {"limits": {"person": "600/hour"}}),
        # The host's own word has no limits.
        ({"client_side": False}, {"limits": {"person": "1/day"}}),
    ],
)
def test_a_change_that_refuses_nothing_is_none(
    before: dict[str, Any], after: dict[str, Any], shell: Shell, tmp_path: Path
) -> None:
    old = replace(WAS, **before)
    assert compared(shell, tmp_path, [old], [replace(old, **after)]) == []


def test_an_activity_that_is_gone_is_breaking_and_a_new_one_is_not(
    shell: Shell, tmp_path: Path
) -> None:
    other = Definition("act:cm:other", "Other")
    archived = Definition("act:cm:old", "Old", archived=True)

    assert compared(shell, tmp_path, [WAS, archived], [other]) == [["act:cm:bought", "removed"]]


def test_every_breaking_change_is_said_in_the_order_of_the_old_file(
    shell: Shell, tmp_path: Path
) -> None:
    several = [Attribute(f"str:cm:a{number}") for number in range(9)]
    old = [replace(WAS, attributes=several), Definition("act:cm:zoo", "Zoo")]
    new = [replace(WAS, attributes=[], client_side=False)]

    assert compared(shell, tmp_path, old, new) == [
        ["act:cm:bought", "switched off"],
        *(["act:cm:bought", f"{each.key}: removed"] for each in several),
        ["act:cm:zoo", "removed"],
    ]


def test_limits_are_compared_with_those_of_the_settings(shell: Shell, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('person_limit = "20/day"\n')
    new = replace(WAS, limits={"person": "15/day"})

    assert compared(shell, tmp_path, [WAS], [new]) == []
    assert compared(shell, tmp_path, [WAS], [new], "--config", str(settings)) == [
        ["act:cm:bought", "limits: person: 20/day, now 15/day"]
    ]


def test_breaking_changes_as_json(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_bytes(format_definitions([WAS]))
    (tmp_path / "new.toml").write_text("")
    files = [str(tmp_path / name) for name in ("old.json", "new.toml")]
    ended = shell("activities", "check", *files, "--json")

    assert ended.exit_code == 1
    assert json.loads(ended.stdout) == {
        "activity_id": "act:cm:bought",
        "change": "removed",
        "why": "it is answered with 404",
    }
    assert shell("activities", "check", files[1], files[1], "--json").stdout == ""


def test_a_second_file_that_is_wrong_is_said_as_the_first_is(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "old.json").write_bytes(format_definitions([WAS]))
    (tmp_path / "new.json").write_text('{"activities": [{"id": "login"}]}')
    ended = shell("activities", "check", str(tmp_path / "old.json"), str(tmp_path / "new.json"))

    assert (ended.exit_code, ended.stderr) == (1, "Error: problems, see above: 2\n")
    assert all("new.json: activities[0] (login)" in line for line in ended.stdout.splitlines())
