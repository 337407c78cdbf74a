"""Every report is what a plain model in Python counts, on every backend, at every turn of a clock.

Activities and questions are random, and lean towards what is easily wrong: the moments at which a
day begins and a clock is turned, periods that are cut, people who were erased, what retention has
removed, values that look like others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from ortto_capture import Capture, Person, Settings, open_backends
from ortto_capture.backends.memory import MemoryBackends, MemoryJournal
from ortto_capture.model import Activity, Identifier
from ortto_capture.ports import Backends
from ortto_capture.questions.answer import Answer
from ortto_capture.questions.parsing import parse, parse_condition
from ortto_capture.reports import Audience

from .questions_model import LONGEST, Figure, Reply, World

SECRET = "an example secret of more than 32 bytes"
IDS = ["act:cm:a", "act:cm:b", "act:cm:c"]
PEOPLE = ["jo", "Jo", "kim", "løv", "p%", "z"]
PLAN, NOTE, AMOUNT, TRIAL, PLACE = (
    "str:cm:plan",
    "txt:cm:note",
    "int:cm:amount",
    "bol:cm:trial",
    "geo:cm:place",
)
NEVER = "act:cm:never"
MEASURES = ["count", "people", "sum", "average", "minimum", "median", "p95", "maximum"]
SPLITS = ["activity", "person", "source", "assurance", PLAN, NOTE, AMOUNT, TRIAL]
EQUAL = ["is", "is-not", "one-of"]
PARTS = ["contains", "starts-with", "ends-with"]
ORDER = ["between", "greater-than", "less-than", "at-least", "at-most"]
WITHIN = ["1h", "24h", "1d", "3d", "30d", "2w", "12w"]
DAY = 86_400
#: Days around which clocks are turned, or a calendar leaves a day out.
TURNS = [
    ("UTC", date(2026, 3, 1)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("Asia/Kolkata", date(2025, 12, 31)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Africa/Cairo", date(2026, 4, 24)),
    ("America/Havana", date(2026, 11, 1)),
    ("Atlantic/Azores", date(2026, 3, 29)),
    ("Atlantic/Azores", date(2026, 10, 25)),
    ("Asia/Beirut", date(2026, 3, 29)),
]
TEXTS = [
    "",
    "team",
    "Team",
    "teams",
    "free",
    "été",
    "ÉTÉ",
    "%",
    "_",
    "te%",
    "it's",
    '"\\',
    "0",
    "🙂x",
]
LONG = ["x" * LONGEST + "a", "x" * LONGEST + "b", "x" * LONGEST]
NUMBERS = [0, 1, -1, 7, 10, 2**53 - 1, -(2**53 - 1)]


@dataclass(frozen=True)
class Story:
    """What happened, what was removed of it, and when and where it is looked at."""

    zone: str
    turn: date
    now: float
    activities: tuple[Activity, ...]
    erased: frozenset[str]
    #: What was received before is removed.
    retained_since: float


def story_of(seed: int, seeds: Sequence[int]) -> Story:
    """A place and a time, and an activity for each of the seeds."""
    chance = Random(seed)
    zone, turn = chance.choice(TURNS)
    day = turn + timedelta(days=chance.randint(0, 40))
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()
    now = midnight + chance.choice([0, 0.001, 1_800, 5_400, 43_200.5, 86_399.999])
    deeds = [deed(Random(each), number, zone, turn, now) for number, each in enumerate(seeds)]
    erased = frozenset(chance.sample(PEOPLE, chance.choice([0, 0, 1, 2])))
    return Story(zone, turn, now, tuple(deeds), erased, now - chance.choice([1_000, 20, 1]) * DAY)


def deed(chance: Random, number: int, zone: str, turn: date, now: float) -> Activity:
    """One activity, at most at ``now``, in whole milliseconds, and often where something begins."""
    if chance.random() < 0.5:
        at = now - chance.randint(0, 70 * DAY * 1000) / 1000
    else:
        day = turn + timedelta(days=chance.choice([-1, 0, 0, 1, chance.randint(2, 40)]))
        wall = datetime(
            day.year,
            day.month,
            day.day,
            chance.choice([0, 0, 1, 2, 3, 23]),
            chance.choice([0, 0, 30]),
            fold=chance.randint(0, 1),
            tzinfo=ZoneInfo(zone),
        )
        at = min(now, wall.timestamp() + chance.choice([0, 0, -0.001, 0.001]))
    attributes = {
        PLAN: chance.choice([*TEXTS, "x" * LONGEST]),
        NOTE: chance.choice(TEXTS + LONG),
        AMOUNT: chance.choice(NUMBERS),
        TRIAL: chance.choice([False, True]),
        PLACE: {"name": "Oslo"},
    }
    return Activity(
        f"event-{number}",
        chance.choice(IDS),
        chance.choice(PEOPLE),
        {key: value for key, value in attributes.items() if chance.random() < 0.6},
        chance.choice(["", "site", "server"]),
        chance.choice(["claimed", "verified"]),
        round(at, 3),
        round(min(now, at + chance.choice([0, 0, 3_600, 6 * DAY])), 3),
        False,
    )


def question_of(chance: Random, story: Story) -> dict[str, Any]:
    """A question in JSON; what is often left out is left out often."""
    if chance.random() < 0.15:
        steps = chance.choices([*IDS, NEVER], k=chance.randint(2, 4))
        members = {"within": chance.choice(WITHIN), "period": period_of(chance, story)}
        return {"steps": steps} | some(chance, members)
    question = some(
        chance,
        {
            "activity": chance.choice([chance.choice([*IDS, NEVER]), chance.sample(IDS, 2)]),
            "where": [where_of(chance) for _ in range(chance.randint(1, 2))],
            "people": condition_of(chance, "some"),
            "by": chance.choice(["hour", "day", "week", "month"]),
            "split_by": chance.choice(SPLITS),
            "limit": chance.randint(1, 12),
            "time_zone": chance.choice(TURNS)[0],
            "period": period_of(chance, story),
        },
    )
    measure = chance.choice(["count", *MEASURES])
    if measure != "count":
        question["measure"] = measure
    if measure not in ("count", "people"):
        question["attribute"] = AMOUNT
    if question.get("by") == "hour":
        # At most a thousand buckets.
        question["period"] = chance.choice(["24h", "72h", "2d"])
    return question


def some(chance: Random, members: dict[str, Any]) -> dict[str, Any]:
    """Some of these members."""
    return {name: value for name, value in members.items() if chance.random() < 0.4}


def period_of(chance: Random, story: Story) -> Any:
    if chance.random() < 0.7:
        return chance.choice(["1h", "24h", "72h", "1d", "7d", "30d", "1w", "6w", "1m", "3m"])
    today = datetime.fromtimestamp(story.now, ZoneInfo(story.zone)).date()
    first = chance.choice([story.turn, today]) - timedelta(days=chance.choice([0, 1, 2, 30]))
    return [first.isoformat(), (first + timedelta(days=chance.randint(0, 30))).isoformat()]


def where_of(chance: Random) -> dict[str, Any]:
    key = chance.choice([PLAN, NOTE, AMOUNT, AMOUNT, TRIAL])
    if chance.random() < 0.2:
        key = chance.choice([key, PLACE, "str:cm:never"])
        return {"attribute": key, "op": chance.choice(["has-any-value", "has-no-value"])}
    if key == TRIAL:
        either = chance.choice(["is", "is-not"])
        return {"attribute": key, "op": either, "value": chance.choice([False, True])}
    op = chance.choice([*EQUAL, *(ORDER if key == AMOUNT else PARTS)])
    values: list[Any] = NUMBERS if key == AMOUNT else [*TEXTS, *LONG, "te", "T", "é", "xa", "a"]
    if op == "one-of":
        return {"attribute": key, "op": op, "value": chance.sample(values, chance.randint(1, 3))}
    if op == "between":
        return {"attribute": key, "op": op, "value": chance.sample(values, 2)}
    value = chance.choice(list(filter(None, values)) if op in PARTS else values)
    return {"attribute": key, "op": op, "value": value}


def condition_of(chance: Random, *audiences: str, deep: int = 2) -> dict[str, Any]:
    """A condition on people, of which some may be these saved audiences."""
    kind = chance.choice(["did", "did", "all", "any", "not"]) if deep else "did"
    if kind == "did":
        if audiences and chance.random() < 0.2:
            return {"in": chance.choice(audiences)}
        members = {
            "where": [where_of(chance) for _ in range(chance.randint(1, 2))],
            "at_least": chance.randint(2, 4),
            "within": chance.choice(WITHIN),
        }
        return {"did": chance.choice([*IDS, NEVER])} | some(chance, members)
    if kind == "not":
        return {"not": condition_of(chance, *audiences, deep=deep - 1)}
    parts = range(chance.randint(1, 2))
    return {kind: [condition_of(chance, *audiences, deep=deep - 1) for _ in parts]}


def same(found: Figure, expected: Figure) -> bool:
    """Whether two figures are equal, as far as a float can be."""
    if found is None or expected is None:
        return found is expected
    if isinstance(expected, Fraction):
        return found == pytest.approx(float(expected), rel=1e-12)
    return found == expected and type(found) is type(expected)


def told(backends: Backends, story: Story, audience: dict[str, Any]) -> tuple[Capture, World]:
    """Let the story happen on these backends, and in the model."""
    for person_id in PEOPLE:
        backends.journal.erase(person_id)
        backends.people.erase(person_id)
        external_id = (Identifier("ei", person_id),)
        backends.people.save(Person(person_id, external_id, None, None, "claimed", story.now))
    for each in story.activities:
        assert backends.journal.append(each) is not None
    kept = list(story.activities)
    if isinstance(backends.journal, MemoryJournal):
        kept = kept[-backends.journal.capacity :]
    else:
        while backends.retain(story.retained_since, 0):
            pass
        kept = [each for each in kept if each.received_at >= story.retained_since]
    capture = Capture(
        backends=backends,
        settings=Settings(secret_keys=[SECRET], time_zone=story.zone),
        clock=lambda: story.now,
    )
    for person_id in story.erased:
        capture.erase(ei=person_id)
    kept = [each for each in kept if each.person_id not in story.erased]
    capture.audiences.put(Audience("some", "Some", parse_condition(audience)))
    return capture, World(kept, story.now, story.zone, {"some": audience})


def agrees(answer: Answer, expected: Reply) -> None:
    """Say where they differ."""
    assert (answer.since, answer.until) == (expected.since, expected.until)
    assert answer.buckets == tuple(expected.buckets)
    assert answer.partial == tuple(expected.partial)
    places = [(row.start, row.value) for row in answer.rows]
    assert places == [(line.start, line.value) for line in expected.rows]
    found = [*(row.measure for row in answer.rows), answer.total]
    wanted = [*(line.measure for line in expected.rows), expected.total]
    assert all(map(same, found, wanted)), (found, wanted)


@pytest.fixture(params=["memory", "file"])
def backends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backends]:
    """Empty ones; in memory with room for fewer activities than may happen."""
    if request.param == "memory":
        with MemoryBackends(journal=MemoryJournal(capacity=20)) as opened:
            yield opened
    else:
        with open_backends(f"file:{tmp_path}?durability=os") as opened:
            yield opened


SEED = st.integers(0, 2**32)
#: Few are easy to read when something is wrong; many meet more often.
DEEDS = st.lists(SEED, max_size=5) | st.lists(SEED, min_size=15, max_size=50)
ASKED = st.lists(SEED, max_size=3) | st.lists(SEED, min_size=5, max_size=20)
randomly = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@randomly
@given(SEED, DEEDS, ASKED)
def test_every_answer_is_what_a_plain_model_counts(
    backends: Backends, seed: int, deeds: list[int], asked: list[int]
) -> None:
    story = story_of(seed, deeds)
    audience = condition_of(Random(seed), deep=1)
    note(f"{story}, audience {audience}")
    capture, world = told(backends, story, audience)
    for each in asked:
        question = question_of(Random(each), story)
        note(f"{question}")
        agrees(capture.reports.ask(parse(question)), world.answer(question))


@randomly
@given(SEED, DEEDS, ASKED)
def test_every_audience_holds_whom_a_plain_model_finds(
    backends: Backends, seed: int, deeds: list[int], wanted: list[int]
) -> None:
    story = story_of(seed, deeds)
    audience = condition_of(Random(seed), deep=1)
    note(f"{story}, audience {audience}")
    capture, world = told(backends, story, audience)
    for each in wanted:
        condition = condition_of(Random(each), "some")
        note(f"{condition}")
        capture.audiences.put(Audience("wanted", "Wanted", parse_condition(condition)))
        members = world.members(condition)

        assert capture.audiences.count("wanted") == len(members)
        assert list(capture.audiences.members("wanted")) == members
        pages: list[str] = []
        while page := capture.audiences.members(
            "wanted", after=pages[-1] if pages else "", limit=2
        ):
            pages += page
        assert pages == members


@pytest.mark.parametrize(("zone", "turn"), TURNS)
def test_what_happens_when_a_clock_is_turned_is_counted_where_the_clock_shows_it(
    zone: str, turn: date
) -> None:
    noon = datetime(turn.year, turn.month, turn.day, 12, tzinfo=ZoneInfo(zone)).timestamp()
    quarters = [noon + number * 900 for number in range(-4 * 18, 4 * 18)]
    moments = [at + more for at in quarters for more in (-0.001, 0, 0.001)]
    chances = enumerate(map(Random, range(len(moments))))
    deeds = [
        deed(each, n, zone, turn, noon)._replace(occurred_at=moments[n]) for n, each in chances
    ]
    story = Story(zone, turn, noon + 7 * DAY, tuple(deeds), frozenset(), 0)
    before, day, after = [(turn + timedelta(days=number)).isoformat() for number in (-1, 0, 1)]
    periods = [[before, day], [day, day], [day, after], [before, after], "10d", "2w", "2m"]
    with MemoryBackends() as backends:
        capture, world = told(backends, story, {"did": IDS[0]})
        for by, period in product(("hour", "day", "week", "month"), periods):
            if (by, period) != ("hour", "2m"):
                question = {"by": by, "period": period}
                agrees(capture.reports.ask(parse(question)), world.answer(question))
