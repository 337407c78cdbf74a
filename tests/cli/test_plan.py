"""``types`` and ``docs``: the definitions as TypeScript, and as a page."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ortto_capture import Attribute, Definition
from ortto_capture.backends.definition_file import read_definitions
from ortto_capture.cli.plan import typescript
from ortto_capture.definition_format import format_definitions
from ortto_capture.model import ATTRIBUTE_TYPES
from ortto_capture.schema import example

from ..services import ROOT, missing
from .conftest import Account, Shell

HOSTILE = '*/ export const x = `${1}`; | <b>"\\ \u2028\n# Heading'


def compiled(folder: Path, declared: str, *calls: str) -> list[int]:
    """The numbers of the calls, from 1, that TypeScript refuses."""
    tsc = shutil.which("tsc") or missing("tsc")
    (folder / "ap3c.d.ts").write_text(declared)
    (folder / "page.ts").write_text("\n".join(calls))
    command = [tsc, "--noEmit", "--strict", "--pretty", "false", "ap3c.d.ts", "page.ts"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    refused = [line for line in ran.stdout.splitlines() if not line.startswith(" ")]
    assert all(line.startswith("page.ts(") for line in refused), ran.stdout
    return sorted({int(line.partition("(")[2].partition(",")[0]) for line in refused})


def test_typescript_checks_each_call(shell: Shell, account: Account, tmp_path: Path) -> None:
    calls = [
        'ap3c.activity({activity_id: "act:cm:login"});',
        'ap3c.activity({activity_id: "act:cm:login", attributes: null});',
        'ap3c.activity({activity_id: "act:cm:login", attributes: {"bol:cm:owner": true}});',
        'ap3c.activity({activity_id: "act:cm:plan-chosen", attributes: {"str:cm:plan": "Pot"}});',
        'ap3c.act.push({activity_id: "act:cm:many", event_id: "once"});',
        # What follows is wrong, each in its own way.
        'ap3c.activity({activity_id: "act:cm:logni"});',
        'ap3c.activity({activity_id: "act:cm:refund-issued"});',
        'ap3c.activity({activity_id: "act:cm:login", attributes: {"bol:cm:owner": 1}});',
        'ap3c.activity({activity_id: "act:cm:login", attributes: {"bol:cm:onwer": true}});',
        'ap3c.activity({activity_id: "act:cm:plan-chosen"});',
        'ap3c.activity({activity_id: "act:cm:plan-chosen", attributes: {"str:cm:plan": null}});',
        'ap3c.activity({activity_id: "act:cm:many", attributes: {"str:cm:plan": "Pot"}});',
        'ap3c.act.push({activity_id: "act:cm:nothing"});',
    ]

    assert compiled(tmp_path, shell.ok("types"), *calls) == list(range(6, 14))


def test_typescript_takes_what_the_server_takes_of_each_type(tmp_path: Path) -> None:
    keys = [f"{kind}:cm:{kind}" for kind in ATTRIBUTE_TYPES]
    every = Definition(
        "act:cm:every", HOSTILE, True, [Attribute(key, HOSTILE, required=True) for key in keys]
    )
    call = json.dumps({"activity_id": every.id, "attributes": example(every)})

    assert compiled(tmp_path, typescript([every]), f"ap3c.activity({call});") == []


def test_typescript_takes_objects_and_lists_of_a_program(tmp_path: Path) -> None:
    keys = ["obj:cm:details", "stl:cm:tags", "sst:cm:sizes"]
    declared = typescript([Definition("act:cm:a", "A", True, keys)])
    calls = [
        "interface Order { readonly total: number; lines: Order[] }; class Box { size = 1 }",
        'const order: Order = { total: 1, lines: [] }; const tags = ["a", "b"] as const;',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": order}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": new Box()}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": {length: 3}}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": {}}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"stl:cm:tags": tags}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"sst:cm:sizes": ["a"]}});',
        # What follows is refused by the server too.
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": [1]}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": tags}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": () => 1}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": Box}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"obj:cm:details": "x"}});',
        'ap3c.activity({activity_id: "act:cm:a", attributes: {"stl:cm:tags": [1] as const}});',
    ]

    assert compiled(tmp_path, declared, *calls) == list(range(9, 15))


def test_typescript_takes_any_attribute_of_what_drops_them_all(tmp_path: Path) -> None:
    drops = Definition("act:cm:drop", "Drops", True, unknown_attributes="drop")
    none = Definition("act:cm:none", "None", True)
    calls = [
        f'ap3c.activity({{activity_id: "act:cm:{name}", attributes: {{"str:cm:x": "1"}}}});'
        for name in ("drop", "none")
    ]
    calls.append('ap3c.activity({activity_id: "act:cm:drop"});')

    assert compiled(tmp_path, typescript([drops, none]), *calls) == [2]


def test_without_activities_none_can_be_sent(tmp_path: Path) -> None:
    archived = Definition("act:cm:login", "Old", client_side=True, archived=True)
    calls = [
        'ap3c.track({email: "jo@example.com"});',
        'ap3c.activity({activity_id: "act:cm:login"});',
    ]

    assert compiled(tmp_path, typescript([archived]), *calls) == [2]


def test_the_rest_of_the_client_is_declared_as_it_was(shell: Shell, account: Account) -> None:
    own = (ROOT / "ortto_capture" / "client" / "app.d.ts").read_text("utf-8").splitlines()
    written = shell.ok("types").splitlines()
    gone = [line for line in own if line not in written]

    assert written[0].startswith("// Made by `ortto-capture types`")
    assert gone[0] == "  interface Activity {"
    assert len(gone) <= 6


@pytest.mark.parametrize("command", ["types", "docs"])
def test_they_are_written_of_a_file_too_without_any_account(
    command: str, shell: Shell, account: Account, tmp_path: Path
) -> None:
    file = tmp_path / "activities.json"
    file.write_bytes(format_definitions(account.backends.definitions.all()))
    output = tmp_path / "written"
    Shell(tmp_path / "nowhere").ok(command, str(file), "-o", str(output))

    assert output.read_text() == shell.ok(command)
    assert not (tmp_path / "nowhere").exists()
    assert shell(command, str(file), "-o", str(output)).exit_code == 1


@pytest.mark.parametrize("command", ["types", "docs"])
def test_a_file_that_is_wrong_is_said_to_be(command: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("[")

    assert shell(command, str(tmp_path / "broken.json")).exit_code == 3
    assert shell(command, str(tmp_path / "nowhere.json")).exit_code == 2


def test_the_tracking_plan_says_everything_of_each(shell: Shell, account: Account) -> None:
    page = shell.ok("docs")
    _, login, many, chosen, refund = page.split("\n## ")

    assert login.startswith("Signed in\n\n`act:cm:login`: sent by websites.\n")
    assert "| E-mail | `str::email` | text, at most 255 characters | sensitive |" in login
    assert "| owner | `bol:cm:owner` | true or false |  |" in login
    assert '"activity_id": "act:cm:many"' in many
    assert "At most 3/day for a person, 100/hour for an address.\n" in chosen
    assert "| Plan | `str:cm:plan` | text, at most 255 characters | required |" in chosen
    assert refund.startswith("Refund issued\n\n`act:cm:refund-issued`: recorded by the server only")
    assert "ap3c.activity" not in refund


def test_the_tracking_plan_says_what_is_special(shell: Shell, account: Account) -> None:
    shell.ok("activities", "archive", "act:cm:login")
    shell.ok("activities", "add", "act:cm:free", "--drop-unknown", "--ip-limit", "5/hour")
    shell.ok("activities", "add", "act:cm:paid", "--needs-verified")
    page = shell.ok("docs")

    assert "| Signed in | `act:cm:login` | put away, no longer accepted |" in page
    assert "At most 10/day for a person, 5/hour for an address. Attributes that are not" in page
    assert "for an address. Only of visitors for whom the host vouches.\n" in page


@pytest.mark.parametrize("command", [["docs"], ["activities", "show", "act:cm:wide"]])
def test_a_call_has_no_more_attributes_than_the_settings_let_through(
    command: list[str], shell: Shell, account: Account, tmp_path: Path
) -> None:
    three = [Attribute(f"str:cm:a{number}", required=number == 2) for number in range(3)]
    account.backends.definitions.put(Definition("act:cm:wide", "Wide", True, three))
    settings = tmp_path / "settings.toml"
    settings.write_text("max_attributes = 2\n")
    said = shell.ok(*command, "--config", str(settings))
    call = said.partition("ap3c.activity({")[2] if command != ["docs"] else said.split("```")[-2]

    assert [number for number in range(3) if f'"str:cm:a{number}": "text"' in call] == [0, 2]


def test_what_an_operator_wrote_is_text_in_the_tracking_plan(shell: Shell, tmp_path: Path) -> None:
    evil = Definition("act:cm:evil", HOSTILE, attributes=[Attribute("str:cm:x", HOSTILE)])
    file = tmp_path / "activities.json"
    file.write_bytes(format_definitions([evil]))
    assert read_definitions(file) == [evil]
    page = shell.ok("docs", str(file))

    assert "<b>" not in page.replace("\\<b\\>", "")
    assert len([line for line in page.splitlines() if line.startswith("#")]) == 2
    [row] = [line for line in page.splitlines() if "`str:cm:x`" in line]
    assert len(row.replace("\\|", "").split("|")) == 6
