"""``stats``, ``reports`` and ``audiences``: questions on the command line."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from ortto_capture import Attribute, Capture, Definition, Settings
from ortto_capture.cli import audiences
from ortto_capture.cli.embedded import group
from ortto_capture.errors import ReportTooLong
from ortto_capture.reports import Audience, Did, In, Query, Report, Where, parse_question

from .conftest import JO, Account, Shell, bare

PLAN, PRICE = "str:cm:plan", "int:cm:price"
CHOSEN = "act:cm:plan-chosen"
#: The clock of the accounts stands in this week.
WEEK = ("--period", "2023-11-13..2023-11-19")


def lines(shell: Shell, *arguments: str) -> list[list[str]]:
    """What a program gets: values between tabs."""
    return [line.split("\t") for line in shell.ok(*arguments).splitlines()]


def answer(shell: Shell, *arguments: str) -> Any:
    [found] = shell.json(*arguments)
    return found


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ([], [["", "", "3"]]),
        (["act:cm:login"], [["", "", "1"]]),
        (["act:cm:login", CHOSEN], [["", "", "3"]]),
        (["--measure", "people"], [["", "", "2"]]),
        (["--split", "activity"], [["", CHOSEN, "2"], ["", "act:cm:login", "1"]]),
        (["--split", "activity", "--limit", "1"], [["", CHOSEN, "2"]]),
        ([CHOSEN, "--split", PLAN], [["", "Crew, all of us", "1"], ["", "Pot", "1"]]),
        ([CHOSEN, "--measure", "sum", "--attribute", PRICE], [["", "", "22"]]),
        (["act:cm:login", "--measure", "average", "--attribute", PRICE], [["", "", ""]]),
        ([CHOSEN, "--where", f"{PLAN} is Pot"], [["", "", "1"]]),
        ([CHOSEN, "--where", f"{PLAN} is Crew, all of us"], [["", "", "1"]]),
        ([CHOSEN, "--where", f"{PLAN} one-of Pot,Pan"], [["", "", "1"]]),
        ([CHOSEN, "--where", f"{PLAN} has-any-value"], [["", "", "2"]]),
        ([CHOSEN, "--where", f"{PRICE} between 5, 22"], [["", "", "1"]]),
        ([CHOSEN, "--where", f"{PRICE} greater-than -5"], [["", "", "1"]]),
        (["--where", "bol:cm:owner is true"], [["", "", "1"]]),
        (["--where", f"{PLAN} is Pot", "--where", f"{PRICE} less-than 5"], [["", "", "0"]]),
        (["--people", '{"did": "act:cm:login"}'], [["", "", "2"]]),
    ],
)
@pytest.mark.usefixtures("busy")
def test_an_option_is_a_member_of_a_question(
    shell: Shell, options: list[str], rows: list[list[str]]
) -> None:
    assert lines(shell, "stats", *options, *WEEK) == rows


@pytest.mark.usefixtures("busy")
def test_a_row_for_each_bucket(shell: Shell) -> None:
    rows = lines(shell, "stats", CHOSEN, "--by", "day", *WEEK)

    assert [row[0] for row in rows] == [f"2023-11-{day}T00:00:00+00:00" for day in range(13, 20)]
    assert [row[2] for row in rows] == ["0", "2", "0", "0", "0", "0", "0"]


@pytest.mark.usefixtures("busy")
def test_days_begin_where_the_account_or_the_option_says(shell: Shell, tmp_path: Path) -> None:
    """It was 22:13 in London and 03:43 of the next day in Kolkata."""
    (tmp_path / "settings.toml").write_text('time_zone = "Asia/Kolkata"')
    config = ("--config", str(tmp_path / "settings.toml"))
    options = ("stats", CHOSEN, "--by", "day", *WEEK)

    there = lines(shell, *options, *config)
    assert there == lines(shell, *options, "--zone", "Asia/Kolkata")
    assert there[2] == ["2023-11-15T00:00:00+05:30", "", "2"]
    assert lines(shell, *options, *config, "--zone", "UTC")[1][2] == "2"


@pytest.mark.usefixtures("busy")
def test_json_is_the_answer_that_a_program_gets(shell: Shell, busy: Account) -> None:
    question = {"activity": [CHOSEN], "by": "day", "period": ["2023-11-13", "2023-11-19"]}
    busy.clock.advance(30 * 86_400)
    expected = busy.capture.reports.ask(parse_question(question)).plain()

    assert answer(shell, "stats", CHOSEN, "--by", "day", *WEEK) == expected
    assert answer(shell, "stats", "--question", json.dumps(question)) == expected
    steps = {"steps": ["act:cm:login", CHOSEN], "period": ["2023-11-13", "2023-11-19"]}
    funnel = answer(shell, "stats", "--question", json.dumps(steps))
    assert [row["measure"] for row in funnel["rows"]] == [1, 1]
    refusals = {"refusals": "reason", "period": ["2023-11-13", "2023-11-19"]}
    assert [
        (row["value"], row["measure"])
        for row in answer(shell, "stats", "--question", json.dumps(refusals))["rows"]
    ] == [("unknown-activity", 1), ("wrong-value", 1)]


@pytest.mark.usefixtures("busy")
def test_csv_is_for_spreadsheets(shell: Shell, busy: Account) -> None:
    busy.record(JO, CHOSEN, {PLAN: "=1+1"})
    printed = shell.ok("stats", CHOSEN, "--split", PLAN, "--by", "week", *WEEK, "--csv")

    rows = list(csv.DictReader(io.StringIO(printed)))
    assert {row["start"] for row in rows} == {"2023-11-13T00:00:00+00:00"}
    assert {row["value"]: row["measure"] for row in rows} == {
        "Crew, all of us": "1",
        "Pot": "1",
        "'=1+1": "1",
    }


@pytest.mark.usefixtures("busy")
def test_people_are_called_as_they_are_known(shell: Shell) -> None:
    assert lines(shell, "stats", "--split", "person", *WEEK) == [
        ["", JO, "2"],
        ["", "łu@example.pl", "1"],
    ]


@pytest.mark.parametrize("key", ["str::email", "str:cm:undeclared"])
def test_what_is_sensitive_is_masked_unless_it_is_asked_for(
    shell: Shell, busy: Account, key: str
) -> None:
    """So is what no definition declares any more."""
    event = ("stats", "act:cm:login", "--split", key, *WEEK)
    shown = JO if key == "str::email" else ""

    assert lines(shell, *event) == [["", "•••" if shown else "", "1"]]
    assert lines(shell, *event, "--show-sensitive") == [["", shown, "1"]]
    assert JO not in shell.ok(*event, "--json")
    assert JO not in shell.ok(*event, "--csv")


def test_what_a_sensitive_attribute_amounts_to_is_shown_to_those_who_ask_for_it(
    shell: Shell, account: Account
) -> None:
    salary = Definition("act:cm:paid", "Paid", attributes=[Attribute(PRICE, sensitive=True)])
    account.backends.definitions.put(salary)
    account.capture.record_for("act:cm:paid", {PRICE: 22}, email=JO)
    options = ("stats", "act:cm:paid", "--measure", "maximum", "--attribute", PRICE, *WEEK)

    result = shell(*options)
    assert result.exit_code == 2
    assert "add --show-sensitive" in result.stderr
    assert "22" not in result.output
    assert lines(shell, *options, "--show-sensitive") == [["", "", "22"]]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--where", f"{PRICE} is {'9' * 5000}"], "Invalid value for --where: needed is a whole"),
        (["--measure", "most"], "Invalid value for --measure: needed is one of count, people"),
        (["--measure", "sum"], "Invalid value for --attribute: needed is"),
        (["--by", "decade"], "Invalid value for --by: needed is one of hour, day"),
        (["--split", "colour"], "Invalid value for --split: needed is"),
        (["--period", "ever"], "Invalid value for --period: needed is 24h, 30d"),
        (["--period", "2023-01-01.."], "Invalid value for --period: needed is"),
        (["--zone", "Mars"], "Invalid value for --zone: needed is an IANA name"),
        (["--limit", "0"], "Invalid value for --limit: needed is"),
        (["--where", "plan"], "Invalid value for --where: write KEY OP VALUE"),
        (["--where", "plan is team"], "Invalid value for --where: needed is an attribute key"),
        (["--where", f"{PLAN} like team"], "Invalid value for --where: needed is one of is"),
        (["--where", f"{PRICE} is many"], "Invalid value for --where: needed is a whole number"),
        (["--where", "bol:cm:owner is yes"], "Invalid value for --where: needed is true or"),
        (["--people", "{"], "Invalid value for '--people': this is no JSON"),
        (["--people", '{"all": [5]}'], "Invalid value for --people: people.all.0: needed is"),
        (["--people", '{"in": "unknown"}'], "Invalid value for --people: needed is audiences"),
        (["--question", '{"steps": []}'], "Invalid value for --question: needed is"),
        (["--question", '{"members": {"did": "act:cm:login"}}'], "audiences members"),
        (["act:cm:login", "--question", "{}"], "--question is the whole question"),
        (["act:cm:logn"], "did you mean act:cm:login?"),
    ],
)
@pytest.mark.usefixtures("busy")
def test_a_wrong_option_is_named_with_what_would_be_right(
    shell: Shell, options: list[str], said: str
) -> None:
    result = shell("stats", *options)

    assert result.exit_code in (1, 2)
    assert said in result.stderr
    assert "Traceback" not in result.output


def test_an_activity_whose_definition_is_gone_is_counted(shell: Shell, busy: Account) -> None:
    (shell.data / "activities.json").write_text('{"activities": []}')

    assert lines(shell, "stats", "act:cm:login", *WEEK) == [["", "", "1"]]


def test_a_terminal_gets_a_table_with_bars(shell: Shell, busy: Account) -> None:
    written, code = shell.seen("stats", "--split", "activity", *WEEK)

    assert code == 0
    assert bare(written)[:4] == [
        "ACTIVITY            COUNT",
        f"{CHOSEN}  2      {'▇' * 30}",
        f"act:cm:login        1      {'▇' * 15}",
        "3 in all, 2023-11-13 to 2023-11-19, UTC",
    ]
    for by, row in (("day", "Tue 2023-11-14  2"), ("hour", "Tue 2023-11-14 22:00  2")):
        written, code = shell.seen("stats", CHOSEN, "--by", by, *WEEK)
        assert code == 0
        assert any(line.startswith(row) for line in bare(written))
    written, code = shell.seen("stats", "--question", json.dumps({"steps": [CHOSEN, CHOSEN]}))
    assert bare(written)[0].startswith("STEP")
    refusals = {"refusals": "reason", "period": ["2023-11-13", "2023-11-19"]}
    written, code = shell.seen("stats", "--question", json.dumps(refusals))
    assert bare(written)[0].startswith("REASON")
    options = ("--measure", "average", "--attribute", PRICE, "--split", PLAN)
    written, code = shell.seen("stats", *options, *WEEK)
    assert bare(written)[1].split() == ["Pot", "22.00"]
    written, code = shell.seen("reports", "show", "activities-a-day")
    assert bare(written)[0] == "Activities a day"


# -- on a host's own account


def on(capture: Capture, *arguments: str) -> Result:
    """Run a command of ``flask capture`` and the like."""
    runner = CliRunner(catch_exceptions=False)
    return runner.invoke(group(lambda: capture), arguments)


def test_a_report_that_takes_too_long_is_an_end_with_the_remedy(busy: Account) -> None:
    class Slow:
        def ask(self, *_: object) -> NoReturn:
            raise ReportTooLong

        def __getattr__(self, name: str) -> Any:
            return getattr(busy.backends.journal, name)

    journal: Any = Slow()
    result = on(Capture(backends=replace(busy.backends, journal=journal)), "stats", "--by", "day")

    assert result.exit_code == 1
    assert "ask for a shorter period" in result.stderr


def test_a_member_who_was_erased_meanwhile_is_left_out(busy: Account) -> None:
    busy.capture.audiences.put(Audience("all", "All", Did(CHOSEN)))

    class Forgetful:
        def get(self, person_id: str) -> None:
            return None

    people: Any = Forgetful()
    gone = Capture(backends=replace(busy.backends, people=people))

    assert on(gone, "audiences", "members", "all").stdout == ""
    assert on(gone, "stats", "--split", "person", *WEEK).stdout.count("\n") == 2


def test_where_no_documents_are_kept_there_are_no_tokens(busy: Account) -> None:
    result = on(Capture(backends=replace(busy.backends, documents=None)), "token", "list")

    assert result.exit_code == 3
    assert "keep no documents" in result.stderr


# -- reports


def test_saved_reports_are_listed_and_shown(shell: Shell, busy: Account) -> None:
    question = Query(CHOSEN, split_by=PLAN, period=("2023-11-13", "2023-11-19"))
    busy.capture.reports.put(Report("plans", "Plans", question, "shares"))
    assert busy.backends.documents is not None
    busy.backends.documents.put("report", "broken", {"title": "?"})

    listed = {each["name"]: each for each in shell.json("reports", "list")}
    assert listed["plans"]["question"] == {
        "activity": CHOSEN,
        "split_by": PLAN,
        "period": ["2023-11-13", "2023-11-19"],
    }
    assert (listed["plans"]["pinned"], listed["refusals"]["pinned"]) == (False, True)
    assert listed["broken"]["problem"].startswith("question: needed is")
    assert any(row[0] == "plans" for row in lines(shell, "reports", "list"))
    busy.clock.advance(30 * 86_400)
    assert answer(shell, "reports", "show", "plans") == busy.capture.reports.ask("plans").plain()
    assert "Crew" in shell.ok("reports", "show", "plans", "--csv")
    assert lines(shell, "reports", "show", "plans") == [
        ["", "Crew, all of us", "1"],
        ["", "Pot", "1"],
    ]
    for name, said in (("broken", "cannot be read"), ("unknown", "no report has the name")):
        result = shell("reports", "show", name)
        assert result.exit_code == 1
        assert said in result.stderr


# -- audiences


POTS = Audience("pots", "Chose a pot", Did(CHOSEN, (Where(PLAN, "is", "Pot"),)))


def test_audiences_are_listed_with_how_many_people_they_have(shell: Shell, busy: Account) -> None:
    assert shell.ok("audiences", "list") == ""
    busy.capture.audiences.put(POTS)
    assert busy.backends.documents is not None
    busy.backends.documents.put("audience", "broken", [])

    listed = {each["name"]: each for each in shell.json("audiences", "list")}
    assert listed["pots"]["count"] == 1
    assert listed["pots"]["people"] == POTS.plain()["people"]
    assert listed["broken"]["count"] is None
    assert listed["broken"]["problem"]


def test_members_go_into_a_mailing_tool(shell: Shell, busy: Account, tmp_path: Path) -> None:
    busy.capture.audiences.put(POTS)
    jo = busy.capture.person(JO)
    assert jo is not None
    file = tmp_path / "pots.csv"

    assert lines(shell, "audiences", "members", "pots") == [[jo.id, JO, "4711", "Jo Ng"]]
    [member] = shell.json("audiences", "members", "pots")
    assert member["assurance"] == "claimed"
    shell.ok("audiences", "members", "pots", "--format", "csv", "--output", str(file))
    assert list(csv.DictReader(file.read_text("utf-8").splitlines())) == [
        {
            "person_id": jo.id,
            "email": JO,
            "ei": "4711",
            "first": "Jo",
            "last": "Ng",
            "assurance": "claimed",
        }
    ]
    assert shell("audiences", "members", "pots", "--output", str(file)).exit_code == 2


def test_members_are_all_of_them_however_many(
    shell: Shell, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audiences, "PAGE", 2)
    for number in range(5):
        account.capture.record_for("act:cm:many", email=f"n{number}@emaildomain.com")
    account.capture.audiences.put(Audience("many", "Many", Did("act:cm:many")))

    members = [each["email"] for each in shell.json("audiences", "members", "many")]
    assert sorted(members) == [f"n{number}@emaildomain.com" for number in range(5)]


@pytest.mark.parametrize(
    ("name", "said"),
    [("unknown", "no audience has the name"), ("broken", "cannot be read"), ("of", "audiences")],
)
def test_an_audience_that_is_not_there_or_cannot_be_read(
    shell: Shell, busy: Account, name: str, said: str
) -> None:
    busy.capture.audiences.put(POTS)
    busy.capture.audiences.put(Audience("of", "Of another", In("pots")))
    busy.capture.audiences.remove("pots")
    assert busy.backends.documents is not None
    busy.backends.documents.put("audience", "broken", [])

    result = shell("audiences", "members", name)

    assert result.exit_code in (1, 2)
    assert said in result.stderr


def test_an_operators_time_zone_is_checked_before_anything(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('time_zone = "Mars"')
    result = shell("stats", "--config", str(tmp_path / "settings.toml"))

    assert result.exit_code == 3
    assert Settings().time_zone == "UTC"
