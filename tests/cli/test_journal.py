"""``tail`` and ``export``."""

from __future__ import annotations

import csv
import io
import json
import re
import signal
import sqlite3
import subprocess
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from stat import S_IMODE
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ortto_capture.cli.journal import cell
from ortto_capture.cli.selection import PAGE

from ..services import PATIENCE
from .conftest import JO, MANY, Account, Shell, bare

LU = "łu@example.pl"
FIRST, LATER = "2023-11-14T22:13:20+00:00", "2023-11-14T22:14:21+00:00"


def test_the_latest_come_in_order(shell: Shell, busy: Account) -> None:
    assert [line.split("\t") for line in shell.ok("tail").splitlines()] == [
        [FIRST, JO, "act:cm:login", '{"str::email": "•••", "bol:cm:owner": true}'],
        [LATER, JO, "act:cm:plan-chosen", '{"str:cm:plan": "Pot", "int:cm:price": 22}'],
        [LATER, LU, "act:cm:plan-chosen", '{"str:cm:plan": "Crew, all of us"}'],
    ]
    assert [row["person"] for row in shell.json("tail", "-n", "2")] == [JO, LU]
    assert shell.ok("tail", "-n", "0") == ""


def test_json_has_everything_about_one(shell: Shell, busy: Account) -> None:
    [row] = shell.json("tail", "-n", "1")
    [captured] = busy.backends.journal.latest(1)

    assert row == {
        "position": captured.position,
        "event_id": captured.event_id,
        "activity_id": "act:cm:plan-chosen",
        "name": "Plan chosen",
        "person_id": captured.person_id,
        "person": LU,
        "assurance": "claimed",
        "attributes": {"str:cm:plan": "Crew, all of us"},
        "source": "",
        "occurred_at": LATER,
        "received_at": LATER,
        "gpc": False,
        "cursor": captured.cursor,
    }


def test_refusals_say_exactly_why(shell: Shell, busy: Account) -> None:
    fields = ["code", "reason", "activity_id", "person", "field", "expected"]
    refused = [{name: row[name] for name in fields} for row in shell.json("tail", "--refused")]

    assert refused == [
        {
            "code": "bad-attribute",
            "reason": "wrong-value",
            "activity_id": "act:cm:plan-chosen",
            "person": JO,
            "field": "int:cm:price",
            "expected": "a whole number from -9007199254740991 to 9007199254740991",
        },
        {
            "code": "not-found",
            "reason": "unknown-activity",
            "activity_id": "act:cm:wish-list",
            "person": None,
            "field": None,
            "expected": None,
        },
    ]
    assert shell.ok("tail", "--refused", "-n", "1") == (
        f"{LATER}\tnot-found\tunknown-activity\tactivity\t\tact:cm:wish-list\t\t\n"
    )


def test_on_a_terminal_each_activity_is_a_row_under_titles(shell: Shell, busy: Account) -> None:
    busy.clock.advance(86_400)
    busy.record(JO, "act:cm:login")
    lines = bare(shell.seen("tail", columns=160)[0])

    assert lines[0].split() == ["TIME", "(UTC)", "PERSON", "ACTIVITY", "ATTRIBUTES"]
    assert lines[1].split()[:4] == ["2023-11-14", "22:13:20", JO, "act:cm:login"]
    assert lines[1].endswith('{"str::email": "•••", "bol:cm:owner": true}')
    assert lines[3].endswith('{"str:cm:plan": "Crew, all of us"}')
    assert lines[4].startswith("2023-11-15 22:14:21")


def test_on_a_terminal_a_refusal_says_why_in_one_place(shell: Shell, busy: Account) -> None:
    lines = bare(shell.seen("tail", "--refused", columns=200)[0])

    assert lines[0].split() == ["TIME", "(UTC)", "PERSON", "ACTIVITY", "WHY"]
    assert "bad-attribute · wrong-value · int:cm:price · a whole number" in lines[1]
    assert lines[2].split()[2:] == ["-", "act:cm:wish-list", "not-found", "·", "unknown-activity"]


def test_what_is_declared_no_longer_stays_masked(shell: Shell, busy: Account) -> None:
    """It may have been sensitive when it was; and so may all of an activity that is gone."""
    shell.ok("activities", "add", "act:cm:login", "--replace", "--attribute", "bol:cm:owner")
    assert '{"str::email": "•••", "bol:cm:owner": true}' in shell.ok("tail")

    (shell.data / "activities.json").write_text('{"activities": []}')
    assert '{"str::email": "•••", "bol:cm:owner": "•••"}' in shell.ok("tail")
    assert JO in shell.ok("tail", "--show-sensitive").splitlines()[0].split("\t")[3]


def test_where_nothing_arrived_a_person_is_told_so(shell: Shell, account: Account) -> None:
    assert shell.ok("tail") == shell.ok("tail", "--refused") == ""
    assert bare(shell.seen("tail")[0])[0] == "Nothing arrived so far."
    assert bare(shell.seen("tail", "--refused")[0])[0] == "Nothing was refused so far."


@pytest.mark.parametrize("command", [["tail"], ["tail", "--refused"], ["export"]])
def test_an_activity_that_no_definition_and_no_row_has_is_1(
    command: list[str], shell: Shell, busy: Account, tmp_path: Path
) -> None:
    ended = shell(*command, "--activity", "act:cm:login", "--activity", "act:cm:lgoin")

    assert (ended.exit_code, ended.stdout) == (1, "")
    said = "no activity has the id 'act:cm:lgoin'; did you mean act:cm:login?"
    assert ended.stderr == f"Error: {said}\n"


def test_an_activity_that_is_gone_is_found_by_its_rows(shell: Shell, busy: Account) -> None:
    (shell.data / "activities.json").write_text('{"activities": []}')

    for command in (["tail"], ["export"]):
        assert len(shell.ok(*command, "--activity", "act:cm:plan-chosen").splitlines()) == 2
    assert len(shell.ok("tail", "--refused", "--activity", "act:cm:wish-list").splitlines()) == 1


def test_what_is_followed_may_come_yet(shell: Shell, busy: Account) -> None:
    with following(shell, "--json", "--activity", "act:cm:new") as process:
        assert process.stdout is not None
        shell.ok("activities", "add", "act:cm:new", "--client-side")
        shell.ok("send", "act:cm:new", "--email", JO)
        assert json.loads(process.stdout.readline())["activity_id"] == "act:cm:new"


@contextmanager
def following(shell: Shell, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``tail -f``, ended by SIGINT, which is to be a clean end."""
    with shell.start("tail", "-f", *options) as process:
        try:
            yield process
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_following_shows_each_once_as_it_arrives(shell: Shell, busy: Account) -> None:
    with following(shell, "-n", "1") as tail:
        assert tail.stdout is not None
        assert f"\t{LU}\t" in tail.stdout.readline()
        for number in range(3):
            busy.clock.advance(86_400)
            busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": str(number)})
            assert tail.stdout.readline().endswith(f'{{"str:cm:plan": "{number}"}}\n')


def test_following_misses_none_even_of_the_very_first(shell: Shell, account: Account) -> None:
    """More of them at once than one look takes; and of those before it began, none."""
    for _ in range(3):
        account.record(JO, MANY.id)
    with following(shell, "-n", "1", "--json") as tail:
        assert tail.stdout is not None
        assert json.loads(tail.stdout.readline())["position"] == 3
        for _ in range(PAGE + 20):
            account.record(JO, MANY.id)
        seen = [json.loads(tail.stdout.readline())["position"] for _ in range(PAGE + 20)]

    assert seen == list(range(4, PAGE + 24))


def test_following_shows_the_very_first_as_well(shell: Shell, account: Account) -> None:
    with following(shell) as tail:
        assert tail.stdout is not None
        account.record(JO, MANY.id)
        assert f"\t{JO}\t{MANY.id}\t" in tail.stdout.readline()


def test_following_refusals(shell: Shell, busy: Account) -> None:
    with following(shell, "--refused", "-n", "1") as tail:
        assert tail.stdout is not None
        assert "\tnot-found\tunknown-activity\t" in tail.stdout.readline()
        busy.record(JO, "act:cm:refund-issued")
        busy.backends.own.outcomes.flush()
        assert "\tnot-found\tdisabled\t" in tail.stdout.readline()


# -- export


def test_an_export_is_the_whole_journal(shell: Shell, busy: Account) -> None:
    exported = [json.loads(line) for line in shell.ok("export").splitlines()]

    assert exported == shell.json("tail")
    assert exported[0]["attributes"] == {"str::email": "•••", "bol:cm:owner": True}
    assert '"str::email": "jo@example.com"' in shell.ok("export", "--show-sensitive")


def test_an_export_of_many_pages_has_each_once(shell: Shell, account: Account) -> None:
    for _ in range(2 * PAGE + 1):
        account.record(JO, MANY.id)
    lines = shell.ok("export").splitlines()

    assert [json.loads(line)["position"] for line in lines] == list(range(1, 2 * PAGE + 2))
    assert len(shell.ok("export", "--format", "csv").splitlines()) == 1 + 2 * PAGE + 1


def test_nothing_is_a_whole_export_too(shell: Shell, account: Account) -> None:
    assert shell.ok("export") == ""
    [heading] = table(shell.ok("export", "--format", "csv"))
    assert heading[0] == "position"


def test_an_export_goes_to_a_new_file_that_only_its_owner_may_read(
    shell: Shell, busy: Account, tmp_path: Path
) -> None:
    file = tmp_path / "all.csv"
    shell.ok("export", "--format", "csv", "-o", str(file))

    assert S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_bytes().decode() == shell("export", "--format", "csv").stdout_bytes.decode()
    assert shell("export", "-o", str(file)).exit_code == 1


def test_an_export_that_fails_leaves_no_file(shell: Shell, busy: Account, tmp_path: Path) -> None:
    with closing(sqlite3.connect(shell.data / "store.sqlite3")) as store, store:
        store.execute("UPDATE journal SET attributes = '{}' WHERE position = 2")
    result = shell("export", "-o", str(tmp_path / "all.jsonl"))

    assert result.exit_code == 4
    assert str(shell.data / "store.sqlite3") in result.stderr
    assert not (tmp_path / "all.jsonl").exists()


# -- selected


@pytest.mark.parametrize("command", [("export",), ("tail", "--json")], ids=" ".join)
@pytest.mark.parametrize(
    ("options", "positions"),
    [
        ([], [1, 2, 3]),
        (["--activity", "act:cm:plan-chosen"], [2, 3]),
        (["--activity", "act:cm:plan-chosen", "--activity", "act:cm:login"], [1, 2, 3]),
        (["--activity", "act:cm:refund-issued"], []),
        (["--person", JO], [1, 2]),
        (["--person", "4711"], [1, 2]),
        (["--person", LU, "--activity", "act:cm:login"], []),
        (["--since", "2023-11-14T22:14:21Z"], [2, 3]),
        (["--since", "2023-11-14T23:14:21+01:00"], [2, 3]),
        (["--since", "2023-11-14T22:14:21.001"], []),
        (["--until", "2023-11-14T22:14:21"], [1]),
        (["--since", "2023-11-14", "--until", "2023-11-15"], [1, 2, 3]),
        (["--since", "2023-11-15"], []),
        (["--since", "1h"], []),
        (["--until", "7d"], [1, 2, 3]),
        (["--after", "1"], [2, 3]),
        (["--after", "1", "--person", JO], [2]),
        (["--after", "3"], []),
    ],
    ids=str,
)
def test_rows_are_selected(
    command: tuple[str, ...],
    options: list[str],
    positions: list[int],
    shell: Shell,
    busy: Account,
) -> None:
    lines = shell.ok(*command, *options).splitlines()

    assert [json.loads(line)["position"] for line in lines] == positions


def test_a_selection_of_many_pages_is_whole(shell: Shell, account: Account) -> None:
    for number in range(PAGE + 20):
        account.record("even@example.com" if number % 2 else "odd@example.com", MANY.id)
    asked = ("--person", "even@example.com")

    assert len(shell.ok("export", *asked).splitlines()) == PAGE // 2 + 10
    assert len(shell.ok("export", "--format", "csv", *asked).splitlines()) == 1 + PAGE // 2 + 10
    shown = [row["position"] for row in shell.json("tail", "-n", "3", *asked)]
    assert shown == [PAGE + 16, PAGE + 18, PAGE + 20]


def test_reading_on_from_a_cursor_misses_none_and_repeats_none(shell: Shell, busy: Account) -> None:
    have = [json.loads(line) for line in shell.ok("export").splitlines()]
    assert shell.ok("export", "--after", have[-1]["cursor"]) == ""
    busy.clock.advance(86_400)
    for plan in ("Pot", "Crew"):
        busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": plan})
    busy.capture.erase(LU)
    new = [json.loads(line) for line in shell.ok("export", "--after", "3").splitlines()]

    assert [row["attributes"]["str:cm:plan"] for row in new] == ["Pot", "Crew"]
    heading, *rows = table(shell.ok("export", "--format", "csv", "--after", "3"))
    assert [row[heading.index("cursor")] for row in rows] == [row["cursor"] for row in new]


def test_refused_requests_are_selected_too(shell: Shell, busy: Account) -> None:
    def reasons(*options: str) -> list[str]:
        return [row["reason"] for row in shell.json("tail", "--refused", *options)]

    assert reasons() == ["wrong-value", "unknown-activity"]
    assert reasons("--activity", "act:cm:wish-list") == ["unknown-activity"]
    assert reasons("--person", JO) == ["wrong-value"]
    assert reasons("--since", "1h") == []
    [first, _] = shell.json("tail", "--refused")
    assert reasons("--after", str(first["number"])) == ["unknown-activity"]
    assert shell("tail", "--refused", "--after", "x").exit_code == 2


def test_following_shows_what_is_selected_alone(shell: Shell, busy: Account) -> None:
    with following(shell, "--person", JO, "--json") as tail:
        assert tail.stdout is not None
        assert [json.loads(tail.stdout.readline())["position"] for _ in range(2)] == [1, 2]
        busy.clock.advance(86_400)
        busy.record(LU, "act:cm:plan-chosen", {"str:cm:plan": "Pot"})
        busy.record(JO, "act:cm:plan-chosen", {"str:cm:plan": "Pot"})
        assert json.loads(tail.stdout.readline())["position"] == 5


@pytest.mark.parametrize("command", ["tail", "export"])
@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--since", "yesterday"], 2),
        (["--until", "24"], 2),
        (["--after", "x"], 2),
        (["--person", "al@example.com"], 1),
    ],
    ids=str,
)
def test_what_selects_nothing_that_there_could_be_is_said(
    command: str, options: list[str], code: int, shell: Shell, busy: Account
) -> None:
    ended = shell(command, *options)

    assert (ended.exit_code, ended.stdout) == (code, "")
    assert options[1] in ended.stderr or "2026-07-31" in ended.stderr


# -- CSV


def table(text: str) -> list[list[str]]:
    """What a spreadsheet reads."""
    return list(csv.reader(io.StringIO(text, newline="")))


def test_csv_has_a_column_for_each_attribute(shell: Shell, busy: Account) -> None:
    heading, *rows = table(shell("export", "--format", "csv").stdout_bytes.decode())
    cells = [dict(zip(heading, row, strict=True)) for row in rows]

    assert heading[11:] == ["bol:cm:owner", "int:cm:price", "str::email", "str:cm:plan"]
    assert [row["person"] for row in cells] == [JO, JO, LU]
    assert cells[0]["bol:cm:owner"] == "true"
    assert cells[0]["str::email"] == "•••"
    assert [row["int:cm:price"] for row in cells] == ["", "22", ""]
    assert [row["str:cm:plan"] for row in cells] == ["", "Pot", "Crew, all of us"]


SIGNS = ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
BEFORE = [
    "",
    " ",
    "\u00a0",
    "\t",
    "\r",
    "\n",
    "\r\n",
    "\ufeff",
    "\u200b",
    "\x00",
    "\x1b[2J",
    "text\n",
    "a\r \t",
    "a;",
    "a\t",
    'a;"',
    "a; ",
]


def runs(written: str) -> bool:
    """Whether a spreadsheet might run a part of this, wherever it splits: said another way."""
    for part in re.split(r"[\t\r\n;]", written):
        for character in part:
            if character in SIGNS:
                return True
            if not (
                character in ' "'
                or character.isspace()
                or unicodedata.category(character) in ("Cc", "Cf")
            ):
                break
    return False


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("before", BEFORE)
def test_no_cell_is_a_formula(before: str, sign: str) -> None:
    payload = f"{before}{sign}cmd|' /C calc'!A0"

    assert not runs(cell(payload))
    assert cell(payload).isprintable()


@given(st.text(alphabet=st.sampled_from([*"=+-@'\";\t\r\n a\u00a0\ufeff\u2028\x1b", *SIGNS])))
@example("\r\n=")
@example(';"=')
def test_no_text_at_all_is_a_formula(text: str) -> None:
    assert not runs(cell(text))
    assert cell(text).isprintable()
    if text.isprintable() and not runs(text):
        assert cell(text) == text


@pytest.mark.parametrize("inside", [["a;=cmd"], {"a": ";+cmd"}])
def test_what_is_inside_a_list_or_an_object_is_no_formula_either(inside: Any) -> None:
    assert not runs(cell(inside))


@pytest.mark.parametrize(
    ("value", "written"), [(-5, "-5"), (None, ""), (True, "true"), ([1], "[1]")]
)
def test_what_is_no_text_stays_as_it_is(value: Any, written: str) -> None:
    assert cell(value) == written


def test_formulas_and_controls_are_defused_in_the_file(shell: Shell, account: Account) -> None:
    evil = '=HYPERLINK("http://evil");+1\x1b]0;title\x07\t-1'
    account.record(JO, "act:cm:plan-chosen", {"str:cm:plan": evil})
    text = shell("export", "--format", "csv").stdout_bytes.decode()

    written = "'=HYPERLINK(\"http://evil\");'+1\\u001b]0;title\\u0007\\t-1"
    assert table(text)[1][-1] == written
    assert all(line.startswith('"') for line in text.split("\r\n") if line)
    assert shell.json("tail")[0]["attributes"]["str:cm:plan"] == evil
