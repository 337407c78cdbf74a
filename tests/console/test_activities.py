"""Activities: the list, and making and changing definitions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ortto_capture import Definition, open_backends
from ortto_capture.backends.memory import MemoryBackends
from ortto_capture.definition_format import parse_definition

from .site import PAID, Site

T = TypeVar("T")

NEW = {"id": "act:cm:logged-in", "name": "Logged in"}


@pytest.fixture
def site() -> Site:
    return Site()


def changes(site: Site) -> list[tuple[str, str, str]]:
    """The records of writes, newest first."""
    told = site.asks("/api/changes")["changes"]
    return [(each["who"], each["what"], each["which"]) for each in told]


def test_a_visitor_is_told_who_they_are_and_what_there_is(site: Site) -> None:
    me = site.asks("/api/me")

    assert me["who"] == "the host"
    assert me["endpoint"] == "/capture"
    assert me["snippet"] == site.app.snippet("site", endpoint="/capture")
    assert (me["keys"], me["sources"]) == (["site"], [])
    assert me["definitions"] == {"writable": True, "reason": ""}
    assert (me["time_zone"], me["now"]) == ("UTC", "2026-11-23T00:00:00+00:00")
    assert me["version"]


def test_all_activities_are_listed_archived_ones_on_demand(site: Site) -> None:
    old = Definition("act:cm:old", "Old", archived=True)
    site.backends.definitions.put(old)

    [only] = site.asks("/api/activities")["activities"]
    assert (only["id"], only["name"], only["client_side"]) == ("act:cm:paid", "Paid", True)
    assert (only["editable"], only["switchable"]) == (True, True)
    listed = site.asks("/api/activities?archived=1")["activities"]
    assert [each["archived"] for each in listed] == [True, False]
    assert site.get("/api/activities?archived=yes").status_code == 400


def test_an_activity_is_created_with_what_is_given_and_the_defaults(site: Site) -> None:
    made = site.does("POST", "/api/activities", {**NEW, "attributes": [{"key": "str:cm:plan"}]})

    assert made["definition"] == {
        "id": "act:cm:logged-in",
        "name": "Logged in",
        "client_side": False,
        "attributes": [
            {"key": "str:cm:plan", "name": "plan", "required": False, "sensitive": False}
        ],
        "limits": None,
        "unknown_attributes": "reject",
        "icon": None,
        "archived": False,
        "needs": "claimed",
        "shown_as": None,
    }
    assert site.backends.definitions.get("act:cm:logged-in") == Definition(
        "act:cm:logged-in", "Logged in", attributes=["str:cm:plan"]
    )
    assert site.asks("/api/activities/act:cm:logged-in")["etag"] == made["etag"]
    assert changes(site) == [("the host", "created", "act:cm:logged-in")]


def test_what_is_answered_can_be_sent_again(site: Site) -> None:
    answer = site.asks("/api/activities/act:cm:paid")
    path = "/api/activities/act:cm:paid"

    again = site.does("PUT", path, answer["definition"], **{"If-Match": f'"{answer["etag"]}"'})
    assert again["etag"] == answer["etag"]
    assert changes(site) == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"id": "act:cm:x"}, "name"),
        ({**NEW, "id": "login"}, "id"),
        ({**NEW, "id": "act::login"}, "id"),
        ({**NEW, "name": " "}, "name"),
        ({**NEW, "name": 5}, "name"),
        ({**NEW, "limits": {"person": "many"}}, "limits.person"),
        ({**NEW, "limits": {"house": "1/day"}}, 'limits."house"'),
        ({**NEW, "attributes": ["str:cm:a", "plan"]}, "attributes[1]"),
        ({**NEW, "attributes": [{"key": "str:cm:a", "name": 5}]}, "attributes[0].name"),
        ({**NEW, "attributes": ["str:cm:a", "str:cm:a"]}, "attributes[1]"),
        ({**NEW, "needs": "more"}, "needs"),
        ({**NEW, "shown_as": "{str:cm:a}"}, "shown_as"),
        ({**NEW, "colour": "red"}, '"colour"'),
        ({}, "id"),
    ],
)
def test_what_is_no_definition_is_refused_by_member(
    site: Site, given: dict[str, Any], field: str
) -> None:
    answer = site.send("POST", "/api/activities", given)
    error = json.loads(answer.data)["error"]

    assert (answer.status_code, error["code"], error["field"]) == (400, "bad-definition", field)
    assert error["message"]


def test_an_id_is_taken_once_and_never_changes(site: Site) -> None:
    assert site.refuses("POST", "/api/activities", {"id": PAID.id, "name": "x"}) == (409, "exists")
    tag = {"If-Match": site.asks("/api/activities/act:cm:paid")["etag"]}
    path = "/api/activities/act:cm:paid"
    assert site.refuses("PUT", path, NEW, **tag) == (400, "bad-definition")


def test_a_change_says_what_it_has_seen(site: Site) -> None:
    path = f"/api/activities/{PAID.id}"
    seen = site.asks(path)
    off = {**seen["definition"], "client_side": False}
    renamed = {**seen["definition"], "name": "Bought"}
    tag = {"If-Match": f'"{seen["etag"]}"'}

    assert site.refuses("PUT", path, off) == (428, "if-match-needed")
    first = site.does("PUT", path, off, **tag)
    assert site.refuses("PUT", path, renamed, **tag) == (412, "changed")
    # A colleague who wants the same has it.
    assert site.does("PUT", path, off, **tag) == first
    site.does("PUT", path, {**renamed, "client_side": False}, **{"If-Match": first["etag"]})
    stored = site.backends.definitions.get(PAID.id)
    assert stored is not None
    assert (stored.name, stored.client_side) == ("Bought", False)
    assert [what for _, what, _ in changes(site)] == ["edited", "switched off"]


def test_a_change_that_another_process_has_just_made_is_not_undone(tmp_path: Path) -> None:
    one = Site(backends=open_backends(f"file:{tmp_path}"))
    two = Site(backends=open_backends(f"file:{tmp_path}"), define=False)
    path = f"/api/activities/{PAID.id}"
    seen = one.asks(path)
    assert two.asks(path) == seen
    tag = {"If-Match": seen["etag"]}
    one.does("PUT", path, {**seen["definition"], "name": "Bought"}, **tag)
    one.does("POST", "/api/activities", NEW)

    # At once: the other process has not looked at the file again.
    assert two.refuses("PUT", path, {**seen["definition"], "icon": "coin"}, **tag)[0] == 412
    again = {**NEW, "name": "Came in"}
    assert two.refuses("POST", "/api/activities", again) == (409, "exists")
    assert [each.name for each in two.backends.definitions.all()] == ["Logged in", "Bought"]


class Twice(MemoryBackends):
    """Runs every decision again, as where another one of its transaction has failed."""

    def atomically(self, decide: Callable[[], T]) -> T:
        """Only the second result counts."""
        with self._lock:
            decide()
            return decide()


def test_a_decision_that_is_run_again_does_what_it_has_done_and_records_it() -> None:
    site = Site(backends=Twice())
    path = f"/api/activities/{NEW['id']}"
    tag = {"If-Match": site.does("POST", "/api/activities", NEW)["etag"]}
    site.does("PUT", path, {**NEW, "client_side": True}, **tag)

    assert {(what, which) for _, what, which in changes(site)} == {
        ("created", NEW["id"]),
        ("switched on", NEW["id"]),
    }


def test_the_end_of_a_limit_that_no_calendar_holds_is_its_last_moment(site: Site) -> None:
    slow = Definition("act:cm:slow", "Slow", limits={"person": "1 per 9000000 years"})
    site.backends.definitions.put(replace(slow, client_side=True))
    site.record(slow.id)
    site.refuse(slow.id)

    [person] = site.asks(f"/api/activities/{slow.id}/setup")["close"]
    assert person["opens_at"] == "9999-12-31T23:59:59+00:00"
    [row] = site.asks("/api/feed?outcome=refused")["rows"]
    limit = site.asks(f"/api/feed/{row['key']}")["limit"]
    assert limit["opens_at"] == "9999-12-31T23:59:59+00:00"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client_side": False}, "switched off"),
        ({"archived": True}, "archived"),
        ({"archived": True, "name": "x"}, "edited"),
    ],
)
def test_the_record_of_a_change_says_what_it_was(
    site: Site, change: dict[str, Any], said: str
) -> None:
    path = f"/api/activities/{PAID.id}"
    seen = site.asks(path)
    site.does("PUT", path, {**seen["definition"], **change}, **{"If-Match": seen["etag"]})

    assert changes(site) == [("the host", said, PAID.id)]


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_activity_that_is_not_there_is_404(site: Site, method: str) -> None:
    answer = site.send(method, "/api/activities/act:cm:none", {"name": "x"}, **{"If-Match": '"x"'})
    assert answer.status_code == 404


def test_definitions_written_by_hand_are_shown_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "activities.toml").write_text(
        '[[activities]]\nid = "act:cm:paid"\nname = "Paid"\nclient_side = true\n'
    )
    with open_backends(f"file:{tmp_path}") as backends:
        site = Site(backends=backends, define=False)
        me, one = site.asks("/api/me"), site.asks("/api/activities/act:cm:paid")

        assert me["definitions"]["writable"] is False
        assert "activities.toml" in me["definitions"]["reason"]
        assert (one["editable"], one["switchable"]) == (False, False)
        assert one["why_not"] == me["definitions"]["reason"]
        assert site.refuses("POST", "/api/activities", NEW) == (409, "read-only")
        off = {**one["definition"], "client_side": False}
        path, tag = "/api/activities/act:cm:paid", {"If-Match": one["etag"]}
        assert site.refuses("PUT", path, off, **tag) == (409, "read-only")
        assert changes(site) == []


def test_what_the_program_declares_can_be_switched_and_not_edited(site: Site) -> None:
    site.backends.definitions.declare([PAID])
    path = f"/api/activities/{PAID.id}"
    seen = site.asks(path)

    assert (seen["editable"], seen["switchable"]) == (False, True)
    assert "declares" in seen["why_not"]
    tag, renamed = {"If-Match": seen["etag"]}, {**seen["definition"], "name": "x"}
    assert site.refuses("PUT", path, renamed, **tag) == (409, "read-only")
    site.does("PUT", path, {**seen["definition"], "client_side": False}, **tag)
    site.backends.definitions.declare([PAID])
    assert site.asks(path)["definition"]["client_side"] is False


def test_every_template_would_be_accepted_as_it_is(site: Site) -> None:
    for template in site.asks("/api/templates")["templates"]:
        assert template.pop("title")
        assert site.does("POST", "/api/activities", template)["definition"]["id"] == template["id"]
        assert parse_definition(template).id == template["id"]


def test_a_thousand_records_of_writes_are_kept(site: Site) -> None:
    documents = site.backends.documents
    assert documents is not None
    for number in range(1, 1_001):
        documents.put("change", f"{number:012}", {"which": str(number)})
    site.does("POST", "/api/activities", NEW)

    kept = site.asks("/api/changes")["changes"]
    assert len(kept) == 1_000
    assert (kept[0]["what"], kept[-1]["which"]) == ("created", "2")


def test_a_record_that_was_made_unreadable_harms_no_other(site: Site) -> None:
    documents = site.backends.documents
    assert documents is not None
    documents.put("change", f"{1:012}", None)
    site.does("POST", "/api/activities", NEW)

    assert changes(site) == [("the host", "created", "act:cm:logged-in")]
