"""``stats`` and ``reports``: how often, by how many people, and what else can be asked.

The law of this file: an option is a member of a question and is checked by the question; what is
wrong is said with the option's name. What is declared sensitive, or in no definition, is masked as
a value of a split.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from ..console.rows import MASK
from ..errors import BadQuery, ReportTooLong
from ..questions.answer import Answer, Row
from ..questions.parsing import parse_condition
from ..questions.query import Members
from ..reports import Funnel, Query, Refusals, Report, Where, parse_question
from .account import Account, Failed, Group, destination, with_account
from .activities import one
from .journal import cell, sensitive_option
from .show import Column, Table, document, hint, json_option, on_terminal, safe, say

T = TypeVar("T")

#: Characters of the longest bar.
BAR = 30
#: How the members of a question are called here, where that is not ``--member``.
_OPTIONS = {
    "activity": "ACTIVITY",
    "split_by": "--split",
    "time_zone": "--zone",
    "op": "--where",
    "value": "--where",
    "question": "--question",
    "steps": "--question",
    "refusals": "--question",
    "members": "--question",
    "document": "--question",
}


def asked(make: Callable[[], T], option: str | None = None) -> T:
    """What ``make`` returns; a refused question ends the command with the name of the option."""
    try:
        return make()
    except BadQuery as error:
        member, dot, _ = str(error.field).partition(".")
        option = option or _OPTIONS.get(member, f"--{member}")
        said = f"{error.field}: " * bool(dot) + f"needed is {error.expected}"
        raise click.BadParameter(safe(said), param_hint=option) from error
    except ReportTooLong as error:
        raise Failed(error.message) from error


def _where(text: str) -> Where:
    """``str:cm:plan is team``; several values stand between commas."""
    key, _, rest = text.strip().partition(" ")
    op, _, given = rest.strip().partition(" ")
    if not op:
        said = 'write KEY OP VALUE, such as "str:cm:plan is team" or "int:cm:price between 5,10"'
        raise click.BadParameter(said, param_hint="--where")
    values = given.strip().split(",") if op in ("one-of", "between") else [given.strip()]
    read = tuple(_value(key, each.strip()) for each in values)
    value = read if len(read) > 1 or op == "one-of" else read[0] if given else None
    return asked(partial(Where, key, op, value), "--where")


def _value(key: str, text: str) -> Any:
    """A value as an attribute of this type has it; another is left to the question to refuse."""
    if key.startswith("int:") and re.fullmatch(r"-?[0-9]{1,20}", text):
        return int(text)
    if key.startswith("bol:"):
        return {"true": True, "false": False}.get(text, text)
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.BadParameter("this is no JSON") from error


csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for spreadsheets.")


@click.command()
@click.argument("activity", nargs=-1)
@click.option("--measure", default="count", show_default=True, help="Or people, sum, average, …")
@click.option("--attribute", metavar="KEY", help="What to measure, such as int:cm:price.")
@click.option("--where", multiple=True, metavar="CONDITION", help='"str:cm:plan is team".')
@click.option("--people", type=_json, metavar="JSON", help='Of these: {"in": "team"}.')
@click.option("--by", metavar="UNIT", help="A row for each hour, day, week or month.")
@click.option("--split", "split_by", metavar="WHAT", help="An attribute, activity, person, ….")
@click.option(
    "--period", default="30d", show_default=True, help="24h, 12w, 6m, or 2026-10-01..2026-10-31."
)
@click.option("--limit", type=int, default=10, show_default=True, help="Values of --split.")
@click.option("--zone", "time_zone", metavar="NAME", help="Where days begin: Europe/Berlin.")
@click.option("--question", type=_json, metavar="JSON", help="The whole question instead.")
@sensitive_option
@csv_option
@json_option
@with_account
def stats(
    account: Account,
    /,
    activity: tuple[str, ...],
    where: tuple[str, ...],
    people: Any,
    period: str,
    question: Any,
    show_sensitive: bool,
    as_csv: bool,
    as_json: bool,
    **members: Any,
) -> None:
    """Count activities, or people, or what an attribute says.

    Without ACTIVITY all of them count.
    """
    for each in activity:
        _check(account, each)
    if question is not None:
        if activity or where or people is not None:
            raise click.UsageError("--question is the whole question: leave out what it can say")
        asks = asked(partial(parse_question, question))
        if isinstance(asks, Members):
            raise click.BadParameter("ask with: audiences members", param_hint="--question")
    else:
        condition = asked(partial(parse_condition, people)) if people is not None else None
        members |= {"where": tuple(map(_where, where)), "people": condition}
        members["period"] = tuple(period.split("..")) if ".." in period else period
        asks = asked(partial(Query, activity or None, **members))
    _print(account, asks, show_sensitive=show_sensitive, as_csv=as_csv, as_json=as_json)


def _check(account: Account, activity_id: str) -> None:
    """End with what looks like it, where there is neither a definition nor an activity."""
    seen = partial(account.backends.journal.first_and_last, (activity_id,))
    if account.backends.definitions.get(activity_id) is None and not seen():
        one(account.backends, activity_id)


def _print(
    account: Account,
    question: Query | Funnel | Refusals,
    *,
    show_sensitive: bool,
    as_csv: bool,
    as_json: bool,
) -> None:
    if not show_sensitive and isinstance(question, Query) and _hides(account, question.attribute):
        said = "it is declared sensitive; add --show-sensitive"
        raise click.BadParameter(said, param_hint="--attribute")
    answer = asked(partial(account.capture.reports.ask, question))
    if not show_sensitive and _is_sensitive(account, question):
        rows = tuple(row._replace(value=row.value and MASK) for row in answer.rows)
        answer = answer._replace(rows=rows)
    if as_json:
        say(document(answer.plain()))
        return
    zone = _zone(question.time_zone or account.settings.time_zone)
    records = [
        {
            "start": None if row.start is None else datetime.fromtimestamp(row.start, zone),
            "value": _named(account, question, row),
            "measure": row.measure,
        }
        for row in answer.rows
    ]
    if as_csv:
        with destination(None) as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL)
            writer.writerow(["start", "value", "measure"])
            for each in records:
                start = each["start"] and each["start"].isoformat()
                writer.writerow(map(cell, (start, each["value"], each["measure"])))
        return
    Table(_columns(question, answer)).show(records)
    if on_terminal():
        until = datetime.fromtimestamp(answer.until - 1, zone)
        since = datetime.fromtimestamp(answer.since, zone)
        say(f"{_figure(answer.total)} in all, {since:%Y-%m-%d} to {until:%Y-%m-%d}, {zone}")


def _columns(question: Query | Funnel | Refusals, answer: Answer) -> list[Column]:
    by, split, measure = _titles(question)
    columns = []
    if by or not on_terminal():
        columns.append(Column((by or "").upper(), partial(_start, by), "dim"))
    if split or not on_terminal():
        columns.append(Column((split or "").upper(), lambda row: _text(row["value"]), "bold"))
    columns.append(Column(measure.upper(), lambda row: _figure(row["measure"])))
    largest = max((abs(row.measure or 0) for row in answer.rows), default=0)
    if on_terminal() and len(answer.rows) > 1 and largest:
        columns.append(
            Column("", lambda row: "▇" * round(BAR * max(0, row["measure"] or 0) / largest), "cyan")
        )
    return columns


def _titles(question: Query | Funnel | Refusals) -> tuple[str | None, str | None, str]:
    """What the bucket, the value and the figure of a row are."""
    match question:
        case Query():
            return question.by, question.split_by, question.measure
        case Refusals():
            return None, question.split_by, "refused"
    return None, "step", "people"


def _start(by: str | None, row: dict[str, Any]) -> str | None:
    if row["start"] is None or not on_terminal():
        return row["start"] and str(row["start"].isoformat())
    return f"{row['start']:%a %Y-%m-%d %H:%M}" if by == "hour" else f"{row['start']:%a %Y-%m-%d}"


def _text(value: Any) -> str:
    if value is None:
        return "–" if on_terminal() else ""
    return value if isinstance(value, str) else json.dumps(value)


def _figure(figure: float | None) -> str:
    if figure is None:
        return "–" if on_terminal() else ""
    if not on_terminal():
        return json.dumps(figure)
    return f"{figure:,}" if isinstance(figure, int) else f"{figure:,.2f}"


def _named(account: Account, question: Query | Funnel | Refusals, row: Row) -> Any:
    """The value of a row; of a person the address, or what else they are known by."""
    if not isinstance(question, Query) or question.split_by != "person":
        return row.value
    person = account.backends.people.get(str(row.value))
    if person is None or not person.identifiers:
        return row.value
    return person.email or person.identifiers[0].value


def _is_sensitive(account: Account, question: Query | Funnel | Refusals) -> bool:
    """Whether its rows have values that are not shown unless the operator asks for them."""
    if not isinstance(question, Query) or ":" not in (question.split_by or ""):
        return False
    every = account.backends.definitions.all()
    declared = {
        a.key
        for each in every
        for a in each.attributes
        if question.activities is None or each.id in question.activities
    }
    return question.split_by not in declared or _hides(account, question.split_by)


def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _hides(account: Account, key: str | None) -> bool:
    """Whether any definition declares this attribute sensitive."""
    attributes = (a for each in account.backends.definitions.all() for a in each.attributes)
    return any(each.key == key and each.sensitive for each in attributes)


@click.group(cls=Group)
def reports() -> None:
    """Questions that are saved with a name."""


_SAVED = [
    Column("NAME", itemgetter("name"), "bold"),
    Column("TITLE", itemgetter("title")),
    Column("DRAWN AS", itemgetter("draw")),
    Column("ON THE OVERVIEW", lambda row: "yes" if row["pinned"] else "no"),
    Column("QUESTION", lambda row: row["problem"] or document(row["question"])),
]


@reports.command("list")
@json_option
@with_account
def list_(account: Account, as_json: bool) -> None:
    """List the saved reports, those of the Overview included."""
    saved = account.capture.reports
    pinned = saved.pinned().names
    empty = {"title": "", "question": None, "draw": ""}
    Table(_SAVED, as_json=as_json).show(
        {
            "name": each.name,
            **(each.value.plain() if each.value is not None else empty),
            "pinned": each.name in pinned,
            "problem": each.problem,
        }
        for each in saved.all()
    )


@reports.command()
@click.argument("name")
@sensitive_option
@csv_option
@json_option
@with_account
def show(account: Account, name: str, show_sensitive: bool, as_csv: bool, as_json: bool) -> None:
    """Show what a saved report answers now."""
    report = _report(account, name)
    if not (as_csv or as_json):
        hint(report.title)
    question = report.question
    _print(account, question, show_sensitive=show_sensitive, as_csv=as_csv, as_json=as_json)


def _report(account: Account, name: str) -> Report:
    found = account.capture.reports.get(name)
    if found is None:
        raise Failed(f"no report has the name {name!r}; see: ortto-capture reports list")
    if found.value is None:
        raise Failed(f"the report {name!r} cannot be read: {found.problem}")
    return found.value
