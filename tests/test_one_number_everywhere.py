"""A number is the same on the page of an activity, in the API, in Python, and in the terminal.

All of them are what the plain model counts: over two months in New York that turn the clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from ortto_capture import Attribute, Definition, open_backends
from ortto_capture.questions.parsing import parse

from .cli.conftest import Shell
from .console.site import Site
from .questions_model import Line, World
from .test_reports_are_right import AMOUNT, IDS, MEASURES, PLAN, TRIAL, deed, same

ZONE = "America/New_York"
#: An answer over this period does not depend on the clock that the terminal goes by.
PERIOD = ["2023-10-20", "2023-11-13"]


class Shop(NamedTuple):
    """A website with some activities, seen in each of the ways."""

    site: Site
    shell: Shell
    world: World


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_backends(f"file:{tmp_path}?durability=os") as backends:
        site = Site(backends=backends, define=False, time_zone=ZONE)
        # Long ago, whatever the clock says that the terminal goes by.
        site.clock.advance(1_700_000_000 - site.clock())
        now = site.clock()
        keys = [PLAN, AMOUNT, TRIAL]
        backends.definitions.put(Definition(IDS[0], "A", attributes=map(Attribute, keys)))
        turn = datetime.fromtimestamp(now, ZoneInfo(ZONE)).date() - timedelta(9)
        happened = [deed(Random(number), number, ZONE, turn, now) for number in range(400)]
        for each in happened:
            assert backends.journal.append(each) is not None
        yield Shop(site, Shell(tmp_path), World(happened, now, ZONE))


@pytest.mark.parametrize(
    "question",
    [
        {"by": "day"},
        {"measure": "people", "by": "week"},
        {"activity": IDS[0], "split_by": PLAN, "limit": 5, "by": "month"},
        {"split_by": "person"},
        {"measure": "average", "attribute": AMOUNT, "split_by": "activity"},
        {
            "where": [{"attribute": TRIAL, "value": True}],
            "people": {"not": {"did": IDS[1], "at_least": 22}},
        },
        {"steps": IDS, "within": "2w"},
    ],
)
def test_a_question_has_one_answer(shop: Shop, question: dict[str, Any]) -> None:
    question = {**question, "period": PERIOD, "time_zone": ZONE}
    expected = shop.world.answer(question)

    python = shop.site.capture.reports.ask(parse(question)).plain()
    api = shop.site.does("POST", "/api/ask", question)
    [terminal] = shop.shell.json("stats", "--question", json.dumps(question))

    assert any(line.measure for line in expected.rows)
    assert same(python["total"], expected.total)
    for row, line in zip(python["rows"], expected.rows, strict=True):
        assert (row["start"], row["value"]) == (line.start, line.value)
        assert same(row["measure"], line.measure)
    assert terminal == python
    for row in api["rows"]:
        # People are masked there, and known by their ids.
        row["value"] = row.pop("person_id", row["value"])
    for name in ("rows", "total", "buckets", "partial"):
        assert api[name] == python[name]


@pytest.mark.parametrize(
    ("period", "by", "own", "double"),
    [
        ("24h", "hour", "24h", "48h"),
        ("7d", "day", "7d", "14d"),
        ("30d", "day", "30d", "60d"),
        ("90d", "day", "90d", "180d"),
        ("365d", "week", "52w", "104w"),
    ],
)
def test_the_page_of_an_activity_shows_the_same_numbers(
    shop: Shop, period: str, by: str, own: str, double: str
) -> None:
    def asked(**members: Any) -> Any:
        return shop.world.answer({"activity": IDS[0], "period": own, **members})

    expected, doubled = asked(by=by), asked(by=by, period=double)
    [first, *_] = [e for e in shop.world.activities if e.activity_id == IDS[0]]
    compared = first.occurred_at < expected.since
    before = [line.measure for line in doubled.rows if line.start and line.start < expected.since]

    path = f"/api/activities/{IDS[0]}/overview?period={period}"
    page = shop.site.asks(f"{path}&split={PLAN}")
    number = shop.site.asks(f"{path}&split={AMOUNT}")["split"]["number"]

    shown = [Line(each["start"], None, each["accepted"]) for each in page["buckets"]]
    assert shown == expected.rows
    assert [each["partial"] for each in page["buckets"]] == expected.partial
    assert page["accepted"] == expected.total
    assert page["people"] == asked(measure="people").total
    assert (page["before"] is not None) == compared
    if compared:
        assert [each["before"] for each in page["buckets"]][: len(before)] == before
        assert page["before"]["accepted"] == sum(filter(None, before))
    values = [(each["value"], each["count"]) for each in page["split"]["values"]]
    assert values == [(line.value, line.measure) for line in asked(split_by=PLAN).rows]
    for measure in MEASURES[2:]:
        assert same(number[measure], asked(measure=measure, attribute=AMOUNT).total)


def test_people_of_the_period_before_are_counted_in_its_own_days(shop: Shop) -> None:
    week = shop.world.answer({"activity": IDS[0], "period": "7d"})
    last = datetime.fromtimestamp(week.since - 1, ZoneInfo(ZONE)).date()
    days = [(last - timedelta(6)).isoformat(), last.isoformat()]
    expected = shop.world.answer({"activity": IDS[0], "measure": "people", "period": days})

    page = shop.site.asks(f"/api/activities/{IDS[0]}/overview?period=7d")

    assert page["before"]["people"] == expected.total


def test_the_list_of_activities_shows_the_same_days(shop: Shop) -> None:
    days = shop.world.answer({"activity": IDS[0], "by": "day", "period": "30d"})

    [listed] = shop.site.asks("/api/activities")["activities"]

    assert listed["days"] == [line.measure for line in days.rows]
    assert listed["today"]["accepted"] == days.rows[-1].measure
