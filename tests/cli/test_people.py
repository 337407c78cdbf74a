"""``people``: found, shown, exported and erased."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from stat import S_IMODE

import pytest

from .conftest import JO, Account, Shell, bare


def jo_id(account: Account) -> str:
    """What the account calls her."""
    person = account.capture.person(JO)
    assert person is not None
    return person.id


def test_people_are_found_by_whatever_one_has(shell: Shell, busy: Account) -> None:
    jo = jo_id(busy)
    line = f"{jo}\tei=4711  email={JO}\tJo Ng\tclaimed\t2023-11-14T22:13:20+00:00\n"

    assert shell.ok("people", "find", " JO@example.com ") == line
    assert shell.ok("people", "find", "--", "4711", jo, JO) == line
    assert [json.loads(shell.ok("people", "find", "--json", "--", jo))] == [
        {
            "id": jo,
            "identifiers": [{"kind": "ei", "value": "4711"}, {"kind": "email", "value": JO}],
            "first": "Jo",
            "last": "Ng",
            "assurance": "claimed",
            "created_at": "2023-11-14T22:13:20+00:00",
        }
    ]


def test_who_is_unknown_is_named_and_the_others_are_shown(shell: Shell, busy: Account) -> None:
    result = shell("people", "find", JO, "missing@example.com", "x" * 300, "@")

    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "no person is known as 'missing@example.com' or 'xxx" in result.stderr


def test_one_is_shown_with_the_latest_they_did(shell: Shell, busy: Account) -> None:
    for _ in range(4):
        busy.clock.advance(86_400)
        for _ in range(3):
            busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "Sip"})
    lines = shell.ok("people", "show", JO).splitlines()

    assert lines[0] + "\n" == shell.ok("people", "find", JO)
    assert len(lines) == 1 + 10
    assert lines[-1] == (
        f'2023-11-18T22:14:21+00:00\t{JO}\tact:cm:plan-chosen\t{{"str:cm:plan": "Sip"}}'
    )
    [shown] = shell.json("people", "show", "--ei", "4711")
    assert [each["activity_id"] for each in shown["activities"]] == ["act:cm:plan-chosen"] * 10


def test_more_than_a_page_of_activities_is_read_to_its_end(shell: Shell, busy: Account) -> None:
    for number in range(510):
        busy.clock.advance(86_400)
        busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": str(number)})

    [shown] = shell.json("people", "show", JO)
    assert shown["activities"][-1]["attributes"] == {"str:cm:plan": "509"}


def test_what_is_sensitive_is_masked_unless_asked_for(shell: Shell, busy: Account) -> None:
    assert '{"str::email": "•••", "bol:cm:owner": true}' in shell.ok("people", "show", JO)
    assert f'"str::email": "{JO}"' in shell.ok("people", "show", JO, "--show-sensitive")


@pytest.mark.parametrize("verb", ["show", "export", "erase"])
def test_an_unknown_person_is_said_to_be_one(verb: str, shell: Shell, busy: Account) -> None:
    for who in ("missing@example.com", ""):
        result = shell("people", verb, who)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"Error: no person is known as {who!r}\n"


@pytest.mark.parametrize("verb", ["show", "export", "erase"])
@pytest.mark.parametrize("who", [[], [JO, "--ei", "4711"], ["@"], ["--ei", "x" * 300]])
def test_one_person_has_to_be_named(verb: str, who: list[str], shell: Shell, busy: Account) -> None:
    assert shell("people", verb, *who).exit_code == 2


def test_an_export_holds_everything_that_names_the_person(shell: Shell, busy: Account) -> None:
    busy.record("łu@example.pl", "act:cm:plan-chosen")
    busy.record(JO, "act:cm:plan-chosen")
    busy.backends.own.outcomes.flush()
    exported = json.loads(shell.ok("people", "export", JO))
    jo = jo_id(busy)

    assert [exported["person"]] == shell.json("people", "find", JO)
    assert [each["attributes"] for each in exported["activities"]] == [
        {"str::email": JO, "bol:cm:owner": True},
        {"str:cm:plan": "Pot", "int:cm:price": 22},
    ]
    assert {each["person_id"] for each in exported["activities"] + exported["refusals"]} == {jo}
    assert [each["reason"] for each in exported["refusals"]] == [
        "wrong-value",
        "missing-attribute",
    ]


def test_an_export_goes_to_a_new_file_that_only_its_owner_may_read(
    shell: Shell, busy: Account, tmp_path: Path
) -> None:
    file = tmp_path / "jo.json"
    assert shell.ok("people", "export", JO, "--output", str(file)) == ""

    assert json.loads(file.read_text("utf-8")) == busy.capture.export(JO)
    assert S_IMODE(file.stat().st_mode) == 0o600

    written = file.read_bytes()
    again = shell("people", "export", "łu@example.pl", "--output", str(file))
    assert again.exit_code == 1
    assert f"{file} is there already" in again.stderr
    assert file.read_bytes() == written


def test_a_file_that_cannot_be_made_is_said(shell: Shell, busy: Account, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "jo.json"
    result = shell("people", "export", JO, "--output", str(nowhere))

    assert result.exit_code == 3
    assert str(nowhere) in result.stderr


def test_erasing_asks_first(shell: Shell, busy: Account) -> None:
    for answer in ("n\n", "\n", ""):
        result = shell("people", "erase", JO, answer=answer)
        assert result.exit_code == 1
        assert f"Erase '{JO}' and all of their activities?" in result.stderr
    assert jo_id(busy)

    assert shell("people", "erase", JO, answer="y\n").stdout == "erased, activities: 2\n"
    assert busy.capture.person(JO) is None


def test_erasing_asks_not_when_it_is_sure(shell: Shell, busy: Account) -> None:
    assert shell.ok("people", "erase", "łu@example.pl", "--yes") == "erased, activities: 1\n"
    assert shell.json("people", "erase", "--ei", "4711", "--yes") == [
        {"activities": 2, "complete": True}
    ]
    assert [row.person_id for row in busy.backends.journal.latest()] == []


def test_bytes_that_another_program_is_reading_are_pending(shell: Shell, busy: Account) -> None:
    with closing(sqlite3.connect(shell.data / "store.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM journal").fetchall()
        said = shell.ok("people", "erase", JO, "--yes")

    assert said.startswith("erased, activities: 2, bytes pending: ")
    assert busy.capture.person(JO) is None


def test_a_terminal_is_asked_as_well(shell: Shell, busy: Account) -> None:
    written, code = shell.seen("people", "erase", JO, "--yes")

    assert (bare(written), code) == (["erased, activities: 2", ""], 0)
