"""``activities`` and ``schema``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from ortto_capture import Attribute, Definition
from ortto_capture.backends.definition_file import read_definitions
from ortto_capture.schema import json_schema

from .conftest import DEFINITIONS, Account, Shell


def defined(shell: Shell) -> dict[str, Definition]:
    """What the file says now."""
    return {each.id: each for each in read_definitions(shell.data / "activities.json")}


def test_a_list_has_a_line_for_each(shell: Shell, account: Account) -> None:
    assert shell.ok("activities", "list").splitlines() == [
        "act:cm:login\ton\tSigned in\tstr::email bol:cm:owner",
        "act:cm:many\ton\tMany\t",
        "act:cm:plan-chosen\ton\tPlan chosen\tstr:cm:plan* int:cm:price",
        "act:cm:refund-issued\toff\tRefund issued\t",
    ]
    assert shell.json("activities", "list")[0]["id"] == DEFINITIONS[0].id


def test_one_is_shown_with_the_code_that_reports_it(shell: Shell, account: Account) -> None:
    attributes = '{"str:cm:plan": "text", "int:cm:price": 0}'
    call = f'{{"activity_id": "act:cm:plan-chosen", "attributes": {attributes}}}'
    definition, _, code = shell.ok("activities", "show", "act:cm:plan-chosen").partition("ap3c.")

    assert [json.loads(definition)] == shell.json("activities", "show", "act:cm:plan-chosen")
    assert code == f"activity({call});\n"


def test_where_there_are_none_a_person_is_told_how_to_begin(shell: Shell) -> None:
    shell.data.mkdir(mode=0o700)
    (shell.data / "activities.json").write_text('{"activities": []}')

    assert shell.ok("activities", "list") == ""
    assert "activities add act:cm:login" in shell.seen("activities", "list")[0]


def test_one_without_attributes_is_shown_too(shell: Shell, account: Account) -> None:
    assert shell.ok("activities", "show", "act:cm:many").endswith(
        '\nap3c.activity({"activity_id": "act:cm:many", "attributes": {}});\n'
    )


def test_json_is_what_the_file_says(shell: Shell, account: Account) -> None:
    [shown] = shell.json("activities", "show", "act:cm:login")

    attributes = [Attribute(**each) for each in shown.pop("attributes")]
    assert Definition(**shown, attributes=attributes) == DEFINITIONS[0]


@pytest.mark.parametrize("verb", ["show", "enable", "disable", "archive"])
@pytest.mark.parametrize(
    ("asked", "likely"),
    [
        ("act:cm:logn", "did you mean act:cm:login?"),
        ("login", "did you mean act:cm:login?"),
        ("act:shop:plan-choosen", "did you mean act:cm:plan-chosen?"),
        ("act:cm:zzz", "'act:cm:zzz'"),
    ],
)
def test_an_unknown_id_names_those_that_look_like_it(
    verb: str, asked: str, likely: str, shell: Shell, account: Account
) -> None:
    result = shell("activities", verb, asked)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.rstrip().endswith(likely)


def test_one_is_added_with_everything_it_has(shell: Shell) -> None:
    shell.ok(
        *("activities", "add", "act:cm:sign-up", "--name", "Signed up", "--client-side"),
        *("--attribute", "str::email,sensitive"),
        *("--attribute", "str:cm:plan=The plan, chosen or not,required,sensitive"),
        *("--attribute", "bol:cm:required=required,required"),
        *("--drop-unknown", "--person-limit", "20/day", "--ip-limit", "500/hour"),
        "--needs-verified",
    )

    assert defined(shell)["act:cm:sign-up"] == Definition(
        "act:cm:sign-up",
        "Signed up",
        client_side=True,
        attributes=[
            Attribute("str::email", sensitive=True),
            Attribute("str:cm:plan", "The plan, chosen or not", required=True, sensitive=True),
            Attribute("bol:cm:required", "required", required=True),
        ],
        unknown_attributes="drop",
        limits={"person": "20/day", "ip": "500/hour"},
        needs="verified",
    )


def test_little_is_enough(shell: Shell) -> None:
    shell.ok("activities", "add", "act:cm:payment-plan_chosenOnce")

    assert defined(shell) == {
        "act:cm:payment-plan_chosenOnce": Definition(
            "act:cm:payment-plan_chosenOnce", "Payment plan chosenOnce"
        )
    }


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["login"], "'login' is not act:namespace:slug"),
        (["act::login"], "act:namespace:slug"),
        (["act:cm:x", "--attribute", "email"], "'email' is not type:namespace:slug"),
        (["act:cm:x", "--attribute", "str:cm:a,requierd"], "'str:cm:a,requierd' is not"),
        (["act:cm:x", "--attribute", "str:cm:a", "--attribute", "str:cm:a"], "declared twice"),
        (["act:cm:x", "--person-limit", "many"], "limits.person: not one limit"),
        (["act:cm:x", "--name", " "], "name people can read"),
        (["act:cm:\x1b[31m"], "act:cm:\\\\x1b[31m"),
    ],
)
def test_what_cannot_be_added_is_said_and_makes_nothing(
    options: list[str], says: str, shell: Shell
) -> None:
    result = shell("activities", "add", *options)

    assert result.exit_code == 2
    assert says.replace("\\\\", "\\") in result.stderr
    assert not shell.data.exists()


def test_one_that_is_there_is_replaced_only_when_asked(shell: Shell, account: Account) -> None:
    again = ("activities", "add", "act:cm:login", "--name", "Anew")
    refused = shell(*again)
    assert (refused.exit_code, defined(shell)["act:cm:login"]) == (1, DEFINITIONS[0])

    shell.ok(*again, "--replace")
    assert defined(shell)["act:cm:login"] == Definition("act:cm:login", "Anew")


def test_they_are_switched_and_put_away_and_brought_back(shell: Shell, account: Account) -> None:
    def state() -> tuple[bool, bool]:
        found = defined(shell)["act:cm:login"]
        return found.client_side, found.archived

    assert shell.ok("activities", "disable", "act:cm:login") == "act:cm:login is off\n"
    assert state() == (False, False)
    shell.ok("activities", "archive", "act:cm:login", "act:cm:refund-issued")
    assert state() == (False, True)
    assert defined(shell)["act:cm:refund-issued"].archived
    shell.ok("activities", "enable", "act:cm:login")
    assert state() == (True, False)
    assert [each.split("\t")[1] for each in shell.ok("activities", "list").splitlines()] == [
        "on",
        "on",
        "on",
        "archived",
    ]


def test_a_wrong_id_among_others_changes_nothing(shell: Shell, account: Account) -> None:
    before = defined(shell)

    assert shell("activities", "disable", "act:cm:login", "act:cm:logn").exit_code == 1
    assert defined(shell) == before


def test_what_is_written_by_hand_is_not_changed(shell: Shell) -> None:
    shell.data.mkdir(mode=0o700)
    path = shell.data / "activities.toml"
    by_hand = '[[activities]]\nid = "act:cm:login"\nname = "Signed in"\n'
    path.write_text(by_hand)
    assert shell.ok("activities", "list") == "act:cm:login\toff\tSigned in\t\n"

    for command in (("enable", "act:cm:login"), ("add", "act:cm:new")):
        result = shell("activities", *command)
        assert result.exit_code == 3
        assert f"{path} is written by hand" in result.stderr
    assert path.read_text() == by_hand


def test_a_sound_file_is_said_to_be_one(shell: Shell, account: Account) -> None:
    file = str(shell.data / "activities.json")

    assert shell.ok("activities", "check", file) == f"{file}: nothing wrong, activities: 4\n"
    assert shell.ok("activities", "check", file, "--json") == ""


def test_everything_wrong_in_a_file_is_said(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text('[[activities]]\nid = "login"\nname = "x"\nclient_side = "yes"\nicno = "i"\n')
    result = shell("activities", "check", str(file))
    lines = result.stdout.splitlines()

    assert result.exit_code == 1
    assert len(lines) == 3
    assert all(str(file) in line for line in lines)
    assert all(word in result.stdout for word in ("login", "client_side", "icno"))
    assert result.stderr == "Error: problems, see above: 3\n"

    told = shell("activities", "check", str(file), "--json").stdout.splitlines()
    assert [json.loads(line)["problem"] for line in told] == lines


def test_a_file_that_is_not_there_is_wrong_usage(shell: Shell) -> None:
    assert shell("activities", "check", "nowhere.json").exit_code == 2


def test_the_schema_is_json_schema(shell: Shell, account: Account) -> None:
    schema = json.loads(shell.ok("schema", "act:cm:plan-chosen"))

    Draft202012Validator.check_schema(schema)
    assert schema == json_schema(DEFINITIONS[1])
    assert shell.json("schema", "act:cm:plan-chosen") == [schema]


def test_the_schema_goes_by_the_settings(shell: Shell, account: Account, tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("max_attributes = 3\n")

    assert '"maxProperties": 3' in shell.ok("schema", "act:cm:login", "--config", str(settings))
