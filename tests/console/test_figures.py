"""How often an activity happened, who did it, and how it is set up."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ortto_capture import (
    Attribute,
    BackendError,
    Definition,
    Settings,
    Source,
    open_backends,
)
from ortto_capture.reports import Query

from .site import ALL, PAID, SECRET, Site, code, others, without

DAY, HOUR = 86_400, 3_600


@pytest.fixture
def site() -> Site:
    made = Site()
    made.backends.definitions.put(
        replace(PAID, attributes=[*PAID.attributes, Attribute("int:cm:price", "Price")])
    )
    return made


def overview(site: Site, query: str = "") -> dict[str, Any]:
    found: dict[str, Any] = site.asks(f"/api/activities/{PAID.id}/overview{query}")
    return found


def test_the_list_says_what_happened_lately(site: Site) -> None:
    site.backends.definitions.put(Definition("act:cm:quiet", "Quiet"))
    site.record()
    site.clock.advance(2 * DAY + 60)
    for _ in range(3):
        site.record()
    site.refuse(PAID.id, {"str:cm:plan": 5})

    paid, quiet = site.asks("/api/activities")["activities"]
    assert (paid["status"], paid["today"]) == ("live", {"accepted": 3, "refused": 1})
    assert (len(paid["days"]), paid["days"][-3:]) == (30, [1, 0, 3])
    assert paid["last_seen"] == "2026-11-25T00:01:00+00:00"
    assert (quiet["status"], quiet["last_seen"], sum(quiet["days"])) == ("setup", None, 0)


def test_one_activity_says_when_it_was_first_and_last_seen(site: Site) -> None:
    before = site.asks(f"/api/activities/{PAID.id}")
    assert (before["status"], before["first_seen"], before["last_seen"]) == ("setup", None, None)
    site.record()
    site.clock.advance(60)
    site.record()

    after = site.asks(f"/api/activities/{PAID.id}")
    assert (after["status"], after["first_seen"]) == ("live", "2026-11-23T00:00:00+00:00")
    assert after["last_seen"] == "2026-11-23T00:01:00+00:00"


@pytest.mark.parametrize(
    ("period", "by", "buckets", "length"),
    [
        ("24h", "hour", 24, HOUR),
        ("7d", "day", 7, DAY),
        ("30d", "day", 30, DAY),
        ("90d", "day", 90, DAY),
        ("365d", "week", 52, 7 * DAY),
    ],
)
def test_a_period_has_its_buckets_and_the_one_before_as_many(
    site: Site, period: str, by: str, buckets: int, length: int
) -> None:
    site.record()
    site.clock.advance(buckets * length)
    for _ in range(2):
        site.record()
    site.refuse(PAID.id, {"str:cm:plan": 5})

    found = overview(site, f"?period={period}")
    starts = [each["start"] for each in found["buckets"]]
    assert (found["by"], len(starts)) == (by, buckets)
    assert {b - a for a, b in pairwise(starts)} == {length}
    assert [each["accepted"] for each in found["buckets"]] == [0] * (buckets - 1) + [2]
    assert [each["refused"] for each in found["buckets"]] == [0] * (buckets - 1) + [1]
    assert [each["before"] for each in found["buckets"]] == [0] * (buckets - 1) + [1]
    assert [each["partial"] for each in found["buckets"]] == [False] * (buckets - 1) + [True]
    assert (found["accepted"], found["refused"], found["people"]) == (2, 1, 1)
    assert found["before"] == {"accepted": 1, "people": None if by == "hour" else 1}
    assert found["reasons"] == [{"reason": "wrong-value", "count": 1}]


def test_where_nothing_was_before_nothing_is_compared(site: Site) -> None:
    empty = overview(site)
    assert (empty["before"], empty["first_seen"], empty["accepted"]) == (None, None, 0)
    site.record()

    found = overview(site)
    assert found["before"] is None
    assert {each["before"] for each in found["buckets"]} == {None}


def test_refused_requests_of_other_activities_are_not_counted(site: Site) -> None:
    site.backends.definitions.put(Definition("act:cm:off", "Off"))
    site.refuse("act:cm:off")
    site.refuse("act:cm:no")

    assert (overview(site)["refused"], overview(site)["reasons"]) == (0, [])


def test_backends_without_outcomes_have_figures_all_the_same() -> None:
    site = Site(backends=without("outcomes"))
    site.record()

    assert (overview(site)["accepted"], overview(site)["refused"]) == (1, 0)


def test_a_breakdown_has_the_most_frequent_values(site: Site) -> None:
    for plan in ("Pot", "Cup", "Pot"):
        site.record(attributes={"str:cm:plan": plan})
    site.record()

    found = overview(site, "?split=str:cm:plan")["split"]
    assert (found["kind"], found["total"], found["number"]) == ("values", 4, None)
    assert found["values"] == [
        {"value": "Pot", "count": 2},
        {"value": None, "count": 1},
        {"value": "Cup", "count": 1},
    ]


def test_a_breakdown_of_a_number_has_its_range(site: Site) -> None:
    for price in (1, 2, 3, 10):
        site.record(attributes={"int:cm:price": price})
    site.record()

    found = overview(site, "?split=int:cm:price")["split"]
    assert found["number"] == {
        "count": 4,
        "sum": 16,
        "average": 4,
        "minimum": 1,
        "median": 2,
        "p95": 10,
        "maximum": 10,
    }


@pytest.mark.parametrize("most", [1_000, 3])
@pytest.mark.parametrize("prices", [[], [5], [1, 1, 1], [3, 1, 2, 1, 9, -4], list(range(40))])
def test_a_number_comes_to_the_same_whatever_way_it_is_counted(
    site: Site, prices: list[int], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of few values it is counted here, of many it is asked of the journal."""
    for price in prices:
        site.record(attributes={"int:cm:price": price})
    site.record()
    monkeypatch.setattr("ortto_capture.console.breakdown.MAX_LIMIT", most)

    found = overview(site, "?split=int:cm:price")["split"]["number"]
    reports, period = site.capture.reports, {"period": "30d"}
    for measure in ("sum", "average", "minimum", "median", "p95", "maximum"):
        query = Query(PAID.id, measure, "int:cm:price", **period)  # type: ignore[arg-type]
        assert found[measure] == reports.ask(query).total
    assert found["count"] == len(prices)


def test_a_sensitive_attribute_is_broken_down_for_those_who_may_unmask(site: Site) -> None:
    site.record(attributes={"str:cm:card": "4111"})
    path = f"/api/activities/{PAID.id}/overview?split=str:cm:card"
    site.allow(*others("pii"))
    assert [each["key"] for each in overview(site)["splits"]] == ["str:cm:plan", "int:cm:price"]
    answer = site.get(path)
    assert (answer.status_code, code(answer)) == (403, "missing-scope")

    site.allow(*ALL)
    assert len(overview(site)["splits"]) == 3
    assert site.asks(path)["split"]["values"] == [{"value": "4111", "count": 1}]


@pytest.mark.parametrize("query", ["?split=str:cm:other", "?split=x", "?period=2d"])
def test_a_breakdown_or_period_that_there_is_not_is_refused(site: Site, query: str) -> None:
    answer = site.get(f"/api/activities/{PAID.id}/overview{query}")

    assert (answer.status_code, code(answer)) == (400, "bad-request")


@pytest.mark.parametrize("below", ["overview", "people", "setup"])
def test_an_activity_that_is_not_there_has_no_figures(site: Site, below: str) -> None:
    assert site.get(f"/api/activities/act:cm:none/{below}").status_code == 404


def test_days_are_those_of_the_time_zone() -> None:
    site = Site(time_zone="Australia/Sydney")
    site.clock.advance(14 * HOUR)  # one in the morning of the 24th in Sydney
    site.record()

    found = overview(site, "?period=7d")
    assert found["buckets"][-1]["accepted"] == 1
    assert found["buckets"][-1]["start"] == site.clock() - HOUR


# -- who did it


def test_the_people_are_those_who_did_it_most_often(site: Site) -> None:
    other = site.capture.identify(email="other@emaildomain.com").session
    for number in range(3):
        site.clock.advance(60)
        site.capture.record(other, PAID.id, event_id=f"e{number}")
    site.record()

    found = site.asks(f"/api/activities/{PAID.id}/people?period=7d")
    assert [(each["person"], each["count"]) for each in found["people"]] == [
        ("o•••@e•••.com", 3),
        ("u•••@e•••.com", 1),
    ]
    assert found["people"][0]["last"] == "2026-11-23T00:03:00+00:00"
    assert found["total"] == 2
    empty = Site().asks(f"/api/activities/{PAID.id}/people")
    assert empty == {"people": [], "total": 0}


# -- how it is set up


def setup(site: Site, activity_id: str = PAID.id) -> dict[str, Any]:
    found: dict[str, Any] = site.asks(f"/api/activities/{activity_id}/setup")
    return found


def test_the_code_to_paste_is_a_call_that_would_be_accepted(site: Site) -> None:
    found = setup(site)
    call = re.search(r"ap3c\.activity\((.*)\);", found["code"]["page"], re.DOTALL)
    assert call is not None
    given = json.loads(call[1])

    Draft202012Validator(found["schema"]).validate(given["attributes"])
    assert site.capture.record(site.session, **given).position == 1
    assert found["code"]["page"].replace("\n", "\n  ") in found["code"]["old"]
    assert found["code"]["old"].startswith("ap3c.cmd.push(function () {")
    scope = {"capture": site.capture}
    exec(found["code"]["python"], scope)  # noqa: S102  # it is what people paste
    assert len(site.backends.journal.latest()) == 2


def test_the_code_of_an_activity_without_attributes_has_none(site: Site) -> None:
    site.backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
    code_shown = setup(site, "act:cm:login")["code"]

    assert "attributes" not in code_shown["page"]
    assert "{" not in code_shown["python"]


def test_the_snippet_is_that_of_this_server_and_of_its_first_key() -> None:
    assert '("site", "/capture"' in setup(Site())["code"]["snippet"]
    site = Site(sources={"shop-key": Source("Shop")})
    assert '("shop-key", "/capture"' in setup(site)["code"]["snippet"]


def test_the_limits_are_its_own_or_those_of_the_account(site: Site) -> None:
    site.backends.definitions.put(replace(PAID, limits={"ip": "9/hour"}))

    assert setup(site)["limits"] == [
        {"limit": "person", "quota": "100000/day", "own": False},
        {"limit": "ip", "quota": "9/hour", "own": True},
    ]


def test_who_is_close_to_a_limit_is_told(site: Site) -> None:
    site.backends.definitions.put(replace(PAID, limits={"person": "10/day"}))
    other = site.capture.identify(email="other@emaildomain.com").session
    for number in range(9):
        site.capture.record(other, PAID.id, event_id=f"e{number}")
    site.record()
    site.clock.advance(HOUR)

    assert setup(site)["close"] == [
        {
            "person_id": site.asks("/api/people?find=other@emaildomain.com")["people"][0][
                "person_id"
            ],
            "person": "o•••@e•••.com",
            "taken": 9,
            "amount": 10,
            "opens_at": "2026-11-24T00:00:00+00:00",
        }
    ]
    # What was taken counts against what the limit is now.
    site.backends.definitions.put(replace(PAID, limits={"person": "1/day"}))
    assert [each["taken"] for each in setup(site)["close"]] == [9, 1]
    site.clock.advance(DAY)
    assert setup(site)["close"] == []


def test_it_waits_until_the_first_has_come(site: Site) -> None:
    assert setup(site)["waiting"] is True
    site.record()
    assert setup(site)["waiting"] is False


# -- health


def test_health_says_what_works_and_what_was_counted() -> None:
    site = Site(time_zone="Europe/Berlin")
    site.record()
    site.refuse()
    body = json.dumps({"dropped": {"overflow": 2}})
    site.client.post("/capture/-/events/track", data=body)
    site.client.post("/capture/-/events/track", data="{}", headers={"X-Forwarded-For": "::1"})

    found = site.asks("/api/health")
    assert found["ok"] is True
    assert [each["name"] for each in found["backends"]] == [
        "definitions",
        "people",
        "limiter",
        "journal",
        "outcomes",
        "documents",
    ]
    assert found["outcomes"]["accepted"] == 1
    assert found["outcomes"]["not-found"] == 1
    assert found["dropped"] == {"overflow": 2}
    assert found["warnings"] == ["behind-proxy"]
    assert found["limits"]["person_limit"] == "100000/day"
    assert found["time_zone"] == "Europe/Berlin"
    assert found["since"] == "2026-11-23T00:00:00+00:00"
    assert {"ortto_capture", "python", "sqlite", "werkzeug"} <= set(found["versions"])
    assert found["limiter"] == {
        "kind": "FixedWindows",
        "away": False,
        "when_away": "never away",
    }


class Away:
    """A limiter that cannot be reached."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def ping(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    ("error", "said"), [(LookupError("x"), "LookupError('x')"), (BackendError("gone"), "gone")]
)
def test_health_says_which_backend_does_not_answer(error: Exception, said: str) -> None:
    memory = open_backends("memory:")
    site = Site(backends=replace(memory, documents=Away(error)))  # type: ignore[arg-type]

    found = site.asks("/api/health")
    assert found["ok"] is False
    assert [(each["name"], each["said"]) for each in found["backends"] if not each["ok"]] == [
        ("documents", said)
    ]


def test_health_is_there_without_outcomes_and_says_of_processes_that_count_alone() -> None:
    site = Site(backends=without("outcomes"))
    answer = site.client.get(
        "/capture/console/api/health", environ_overrides={"wsgi.multiprocess": True}
    )

    found = json.loads(answer.data)
    assert (found["outcomes"], found["since"], found["warnings"]) == ({}, None, ["counts-alone"])


def test_settings_are_those_of_the_account() -> None:
    assert Settings(secret_keys=[SECRET]).time_zone == Site().asks("/api/me")["time_zone"]
