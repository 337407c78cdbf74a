"""Who is meant by a condition, and what funnels and members answer.

The law of this file: SQL is made of the constants of this file, and all that comes from outside is
bound. What is asked of one person goes by the index ``journal_person``. SQLite keeps no statistics
here and would take the one of activities, which costs minutes: a ``+`` before a column keeps it
from that. What is needed more than once is ``MATERIALIZED``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any as Anything

from ..errors import BadQuery
from ..questions.answer import Answer, Row
from ..questions.periods import Bucket, length_of, span, zone_of
from ..questions.plain import milliseconds
from ..questions.query import All, Any, Condition, Did, Funnel, In, Members, Not, Where
from .store import Run

#: An id has a number as long as the journal holds something that the person did.
EVERYONE = "SELECT number FROM person_ids"
_TESTS = {
    "is": "{} = {}",
    "is-not": "{} IS NOT {}",
    "between": "{} BETWEEN {} AND {}",
    "greater-than": "{} > {}",
    "less-than": "{} < {}",
    "at-least": "{} >= {}",
    "at-most": "{} <= {}",
    "contains": "instr({}, {}) > 0",
    "has-any-value": "{} IS NOT NULL",
    "has-no-value": "{} IS NULL",
}


class Bound(dict[str, Anything]):
    """The parameters of one statement, by the names that it has for them."""

    def __call__(self, value: Anything) -> str:
        """Bind a value; what stands for it in the statement."""
        name = f"p{len(self)}"
        self[name] = value
        return f":{name}"

    def slots(self, buckets: Sequence[Bucket]) -> str:
        """A table of buckets: the number, the start, and the end of each."""
        rows = ", ".join(
            f"({number}, {self(milliseconds(each.start))}, {self(milliseconds(each.end))})"
            for number, each in enumerate(buckets)
        )
        return f"WITH slots (slot, since, until) AS (VALUES {rows})"


def path_of(key: str) -> str:
    """Where the value of an attribute is; a key holds no character that would need care."""
    return f'$."{key}"'


def test(where: Where, bound: Bound) -> str:
    """Whether a comparison is true of a row."""
    value = f"json_extract(attributes, {bound(path_of(where.attribute))})"
    given = [bound(each) for each in where.values]
    if where.op == "one-of":
        return f"{value} IN ({', '.join(given)})"
    if where.op in ("starts-with", "ends-with"):
        # By length, not by LIKE, in which a visitor's text would be a pattern.
        length = len(str(where.value))
        place = f"1, {bound(length)}" if where.op == "starts-with" else bound(-length)
        return f"substr({value}, {place}) = {given[0]}"
    return _TESTS[where.op].format(value, *given)


def people(condition: Condition, now: float, bound: Bound) -> str:
    """A query of the numbers of the people for whom it is true."""

    def parts(of: Sequence[Condition], between: str) -> str:
        return between.join(f"SELECT * FROM ({people(each, now, bound)})" for each in of)

    match condition:
        case All(of):
            # Who is left out is taken from those who are meant, not from all people.
            meant = [each for each in of if not isinstance(each, Not)]
            without = [each.of for each in of if isinstance(each, Not)]
            return " EXCEPT ".join(
                [parts(meant, " INTERSECT ") if meant else EVERYONE]
                + [parts((each,), "") for each in without]
            )
        case Any(of):
            return parts(of, " UNION ")
        case Not(of):
            return f"{EVERYONE} EXCEPT {parts((of,), '')}"
        case Did():
            return _did(condition, now, bound)
        case In():
            raise BadQuery("people", "a condition, in which no audience is named")


def _did(did: Did, now: float, bound: Bound) -> str:
    number = f"(SELECT number FROM activity_ids WHERE id = {bound(did.activity)})"
    within = ""
    if did.within is not None:
        since = milliseconds(now) - milliseconds(length_of(did.within, "within"))
        within = f" AND occurred_at >= {bound(since)}"
    tests = "".join(f" AND {test(where, bound)}" for where in did.where)
    found = f"SELECT person FROM journal WHERE activity = {number}{within}{tests}"
    if did.at_least == 1:
        return found
    return f"{found} GROUP BY person HAVING count(*) >= {bound(did.at_least)}"


def reached(run: Run, funnel: Funnel, now: float) -> Answer:
    """How many people reached each step: looked up for those who did the one before."""
    when = span(funnel.period, None, zone_of(funnel.time_zone or "UTC"), now)
    bound = Bound()
    width = bound(milliseconds(length_of(funnel.within, "within")))
    steps = [f"(SELECT number FROM activity_ids WHERE id = {bound(each)})" for each in funnel.steps]
    since, until = bound(milliseconds(when.since)), bound(milliseconds(when.until))
    within = f"occurred_at >= {since} AND occurred_at < {until}"
    first = "SELECT person, min(occurred_at), min(occurred_at) FROM journal WHERE activity ="
    table = "step{} (person, start, at) AS MATERIALIZED ({})"
    tables = [table.format(0, f"{first} {steps[0]} AND {within} GROUP BY person")]
    for number, step in enumerate(steps[1:], 1):
        before = f"step{number - 1}"
        later = f"+occurred_at > {before}.at AND +occurred_at <= {before}.start + {width}"
        whose = f"journal.person = {before}.person AND activity = {step}"
        following = f"SELECT min(+occurred_at) FROM journal WHERE {whose} AND {later}"
        select = f"SELECT person, start, ({following}) FROM {before} WHERE at IS NOT NULL"
        tables.append(table.format(number, select))
    counts = ", ".join(f"(SELECT count(at) FROM step{n})" for n in range(len(steps)))
    [people_of] = run(f"WITH {', '.join(tables)} SELECT {counts}", bound)
    rows = tuple(Row(None, step, n) for step, n in zip(funnel.steps, people_of, strict=True))
    return Answer(rows, rows[0].measure, when.since, when.until, *when.bounds)


def page(run: Run, members: Members, now: float) -> Answer:
    """How many people they are, and the ids of some."""
    bound = Bound()
    who, among = "", ""
    if members.people is not None:
        whose = people(members.people, now, bound)
        who = f"WITH who (person) AS MATERIALIZED (SELECT DISTINCT * FROM ({whose})) "
        among = " AND number IN (SELECT person FROM who)"
    sql = (
        f"{who}SELECT count(*) FROM {'who' if who else 'person_ids'} UNION ALL "
        f"SELECT * FROM (SELECT id FROM person_ids WHERE id > {bound(members.after)}{among} "
        f"ORDER BY id LIMIT {bound(members.limit)})"
    )
    (total,), *ids = run(sql, bound)
    return Answer(tuple(Row(None, id_, None) for (id_,) in ids), total, now, now)
