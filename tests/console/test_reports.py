"""Questions, saved reports, the Overview and audiences."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import Attribute, Definition, StorageFull, open_backends
from ortto_capture.errors import ReportsBusy
from ortto_capture.reports import Did, Query

from .site import ALL, PAID, Site, code, others, without

NEW = {"If-None-Match": "*"}
MINE = {"title": "Mine", "question": {"split_by": "str:cm:plan"}, "draw": "table"}
PAYERS = {"title": "Payers", "people": {"did": "act:cm:paid"}}


@pytest.fixture
def site() -> Site:
    made = Site()
    made.backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
    made.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})
    other = made.capture.identify(email="other@emaildomain.com").session
    made.capture.record(other, "act:cm:login")
    return made


def ask(site: Site, **question: Any) -> Any:
    return site.does("POST", "/api/ask", question)


def table(site: Site, path: str) -> list[list[str]]:
    answer = site.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/csv")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="')
    return list(csv.reader(io.StringIO(answer.text)))


# -- questions


def test_the_page_and_a_notebook_agree(site: Site) -> None:
    said = ask(site, activity="act:cm:paid", by="day", period="7d")
    own = site.capture.reports.ask(Query("act:cm:paid", by="day", period="7d"))

    assert [(row["start"], row["value"], row["measure"]) for row in said["rows"]] == [*own.rows]
    assert (said["total"], said["since"], said["until"]) == (own.total, own.since, own.until)
    assert said["buckets"] == [list(each) for each in own.buckets]
    assert said["partial"] == [*own.partial]


def test_people_are_named_and_masked_beside_their_ids(site: Site) -> None:
    for rows in (
        ask(site, split_by="person", activity="act:cm:paid")["rows"],
        ask(site, members={"did": "act:cm:paid"})["rows"],
    ):
        [row] = rows
        person = site.capture.person("user@emaildomain.com")
        assert person is not None
        assert (row["value"], row["person_id"]) == ("u•••@e•••.com", person.id)


@pytest.mark.parametrize(
    "question",
    [
        {"measure": "most"},
        {"activity": "login"},
        {"by": "minute"},
        {"period": "9y"},
        {"unknown": 1},
        {"steps": ["act:cm:paid"]},
        {"members": {}},
        {"refusals": "colour"},
        {"people": {"in": "none"}},
        {"time_zone": "Mars"},
    ],
)
def test_what_is_no_question_is_refused_by_member(site: Site, question: Any) -> None:
    answer = site.send("POST", "/api/ask", question)
    error = json.loads(answer.data)["error"]

    assert (answer.status_code, error["code"]) == (400, "bad-query")
    assert error["field"]
    assert error["expected"]


CARD = "str:cm:card"
TELLING = [
    {"split_by": CARD},
    {"split_by": CARD, "activity": "act:cm:paid"},
    {"where": [{"attribute": CARD, "value": "4111"}]},
    {"where": [{"attribute": CARD, "op": "starts-with", "value": "4"}]},
    {"people": {"did": "act:cm:paid", "where": [{"attribute": CARD, "value": "4111"}]}},
    {"people": {"not": {"did": "act:cm:paid", "where": [{"attribute": CARD, "value": "4"}]}}},
    {"members": {"did": "act:cm:paid", "where": [{"attribute": CARD, "value": "4111"}]}},
    # Not declared any more: it may have been sensitive.
    {"split_by": "str:cm:old"},
    {"split_by": "str:cm:plan", "activity": "act:cm:login"},
    {"measure": "sum", "attribute": "int:cm:old"},
    {"people": {"in": "by-card"}},
]


@pytest.mark.parametrize("question", TELLING)
def test_a_question_about_masked_values_is_for_those_who_may_unmask(
    site: Site, question: Any
) -> None:
    by_card = {"did": "act:cm:paid", "where": [{"attribute": CARD, "value": "4111"}]}
    site.does("PUT", "/api/audiences/by-card", {"title": "x", "people": by_card}, **NEW)
    site.does("POST", "/api/ask", question)

    site.allow(*others("pii"))
    assert site.refuses("POST", "/api/ask", question) == (403, "missing-scope")
    if "people" in question:
        count = {"people": question["people"]}
        assert site.refuses("POST", "/api/audiences/count", count) == (403, "missing-scope")
    assert site.get("/api/audiences/by-card/members").status_code == 403


@pytest.mark.parametrize(
    "question",
    [
        {"split_by": "str:cm:plan"},
        {"where": [{"attribute": CARD, "op": "has-any-value"}]},
        {"split_by": "person"},
        {"steps": ["act:cm:paid", "act:cm:login"]},
        {"refusals": "activity"},
        {"people": {"did": "act:cm:paid"}},
    ],
)
def test_other_questions_are_for_every_reader(site: Site, question: Any) -> None:
    site.allow("read")
    site.does("POST", "/api/ask", question)


# -- saved reports


def test_a_reader_learns_no_value_of_an_activity_that_does_not_declare_it_any_more(
    site: Site,
) -> None:
    login = Definition("act:cm:login", "Logged in", client_side=True)
    site.backends.definitions.put(
        replace(login, attributes=[Attribute("str:cm:plan", sensitive=True)])
    )
    site.record("act:cm:login", {"str:cm:plan": "Secret"})
    site.backends.definitions.put(login)
    site.allow(*others("pii"))

    plans = {"split_by": "str:cm:plan"}
    both = {**plans, "activity": ["act:cm:paid", "act:cm:login"]}
    assert site.refuses("POST", "/api/ask", both) == (403, "missing-scope")
    site.does("POST", "/api/ask", {**plans, "activity": "act:cm:paid"})


def test_a_busy_journal_says_when_to_try_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: Any) -> Any:
        raise ReportsBusy

    monkeypatch.setattr(site.backends.journal, "ask", busy)
    answer = site.send("POST", "/api/ask", {})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/api/reports/mine", MINE),
        ("PUT", "/api/audiences/payers", PAYERS),
        ("DELETE", "/api/reports/refusals", None),
        ("DELETE", "/api/audiences/kept", None),
        ("PUT", "/api/overview", {"names": []}),
    ],
)
def test_what_cannot_be_recorded_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: Any
) -> None:
    site = Site(backends=open_backends(f"file:{tmp_path}"))
    kept = site.does("PUT", "/api/audiences/kept", PAYERS, **NEW)
    before = (site.asks("/api/reports"), site.asks("/api/audiences"))
    documents = site.backends.documents
    assert documents is not None
    put = documents.put

    def full(kind: str, *parameters: Any) -> Any:
        if kind == "change":
            raise StorageFull("no space is left")
        return put(kind, *parameters)

    monkeypatch.setattr(
        documents, "put", lambda kind, *given, **named: full(kind, *given, *named.values())
    )
    seen = kept["etag"] if path.endswith("kept") else "-1"
    tag = NEW if body in (MINE, PAYERS) else {"If-Match": seen}
    assert site.refuses(method, path, body, **tag) == (503, "storage-full")
    assert (site.asks("/api/reports"), site.asks("/api/audiences")) == before


def test_there_are_some_from_the_start_and_they_can_be_asked(site: Site) -> None:
    site.refuse()
    told = site.asks("/api/reports")

    names = [each["name"] for each in told["reports"]]
    assert sorted(told["overview"]["names"]) == sorted(names)
    for name in names:
        assert site.asks(f"/api/reports/{name}/answer")["rows"]
        assert len(table(site, f"/api/reports/{name}/csv")) > 1


def test_a_report_is_saved_changed_and_removed_by_those_who_have_seen_it(site: Site) -> None:
    path = "/api/reports/mine"
    assert site.refuses("PUT", path, MINE) == (428, "if-match-needed")
    first = site.does("PUT", path, MINE, **NEW)
    assert (first["name"], first["question"], first["problem"]) == ("mine", MINE["question"], "")
    assert site.refuses("PUT", path, MINE, **NEW) == (412, "exists")

    tag = {"If-Match": f'"{first["etag"]}"'}
    second = site.does("PUT", path, {**MINE, "title": "Ours"}, **tag)
    assert site.refuses("PUT", path, MINE, **tag) == (412, "changed")
    assert site.refuses("DELETE", path, **tag) == (412, "changed")
    assert site.refuses("DELETE", path) == (428, "if-match-needed")
    assert site.send("DELETE", path, **{"If-Match": second["etag"]}).status_code == 204
    assert site.refuses("DELETE", path, **{"If-Match": second["etag"]}) == (404, "not-found")
    assert site.get(f"{path}/answer").status_code == 404
    what = [each["what"] for each in site.asks("/api/changes")["changes"]]
    assert what == ["removed the report", "saved the report", "saved the report"]


@pytest.mark.parametrize(
    "body",
    [{}, {**MINE, "draw": "cake"}, {**MINE, "question": {"by": "x"}}, {**MINE, "title": ""}],
)
def test_what_is_no_report_is_refused(site: Site, body: Any) -> None:
    assert site.refuses("PUT", "/api/reports/mine", body, **NEW) == (400, "bad-query")
    assert site.refuses("PUT", "/api/reports/No Name", MINE, **NEW)[0] == 400


def test_the_overview_is_arranged_by_those_who_have_seen_it(site: Site) -> None:
    site.does("PUT", "/api/reports/mine", MINE, **NEW)
    seen = site.asks("/api/reports")["overview"]
    tag, names = {"If-Match": seen["etag"]}, ["mine", "refusals"]

    assert site.refuses("PUT", "/api/overview", {"names": ["none"]}, **tag) == (400, "bad-query")
    assert site.does("PUT", "/api/overview", {"names": names}, **tag)["names"] == names
    assert site.refuses("PUT", "/api/overview", {"names": []}, **tag) == (412, "changed")
    told = site.asks("/api/reports")
    assert told["overview"]["names"] == names
    assert [each["name"] for each in told["reports"] if each["pinned"]] == sorted(names)
    many = {"names": [f"r{number}" for number in range(31)]}
    assert site.refuses("PUT", "/api/overview", many, **tag)[0] == 400


def test_a_report_that_cannot_be_read_says_why_and_harms_no_other(site: Site) -> None:
    site.does("PUT", "/api/reports/mine", MINE, **NEW)
    documents = site.backends.documents
    assert documents is not None
    documents.put("report", "broken", {"title": 1})
    documents.put("audience", "broken", None)

    told = {each["name"]: each for each in site.asks("/api/reports")["reports"]}
    assert told["broken"]["problem"]
    assert (told["broken"]["question"], told["mine"]["problem"]) == (None, "")
    assert code(site.get("/api/reports/broken/answer")) == "unreadable"
    [audience] = site.asks("/api/audiences")["audiences"]
    assert (audience["people"], bool(audience["problem"])) == (None, True)
    assert code(site.get("/api/audiences/broken/members")) == "unreadable"
    # It can be replaced, and removed.
    tag = {"If-Match": told["broken"]["etag"]}
    site.does("PUT", "/api/reports/broken", MINE, **tag)


def test_backends_that_keep_no_documents_have_the_reports_of_the_start() -> None:
    site = Site(backends=without("documents"))

    assert len(site.asks("/api/reports")["reports"]) > 2
    assert site.asks("/api/audiences") == {"audiences": []}
    assert site.refuses("PUT", "/api/reports/mine", MINE, **NEW) == (409, "read-only")


# -- files


def test_a_file_has_a_row_for_each_figure(site: Site) -> None:
    question = {"by": "day", "split_by": "activity", "period": "1d"}
    site.does("PUT", "/api/reports/mine", {**MINE, "question": question}, **NEW)

    assert table(site, "/api/reports/mine/csv") == [
        ["start", "activity", "count"],
        ["2026-11-23T00:00:00+00:00", "act:cm:login", "1"],
        ["2026-11-23T00:00:00+00:00", "act:cm:paid", "1"],
    ]


@pytest.mark.parametrize(
    ("question", "titles"),
    [
        ({"steps": ["act:cm:paid", "act:cm:login"]}, ["step", "people"]),
        ({"refusals": "reason"}, ["reason", "refused"]),
        ({"measure": "people", "by": "day"}, ["start", "people"]),
        ({}, ["count"]),
    ],
)
def test_the_columns_of_a_file_are_named(site: Site, question: Any, titles: list[str]) -> None:
    site.does("PUT", "/api/reports/mine", {**MINE, "question": question}, **NEW)

    assert table(site, "/api/reports/mine/csv")[0] == titles


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", '=","'])
def test_no_cell_of_a_file_is_a_formula(site: Site, value: str) -> None:
    site.record(attributes={"str:cm:plan": value})
    site.does("PUT", "/api/reports/mine", MINE, **NEW)

    cells = [row[0] for row in table(site, "/api/reports/mine/csv")]
    assert f"'{value}" in cells or f"'{value}".replace("\r", "\n") in cells


def test_a_flag_of_a_file_is_a_word(site: Site) -> None:
    site.backends.definitions.put(Definition("act:cm:flag", "x", attributes=["bol:cm:gift"]))
    site.backends.definitions.put(
        Definition("act:cm:flag", "x", client_side=True, attributes=["bol:cm:gift"])
    )
    site.record("act:cm:flag", {"bol:cm:gift": True})
    question = {"split_by": "bol:cm:gift", "activity": "act:cm:flag"}
    site.does("PUT", "/api/reports/mine", {**MINE, "question": question}, **NEW)

    assert table(site, "/api/reports/mine/csv")[1] == ["yes", "1"]


# -- audiences


def test_an_audience_is_saved_counted_listed_and_removed(site: Site) -> None:
    path = "/api/audiences/payers"
    made = site.does("PUT", path, PAYERS, **NEW)
    assert made["people"] == PAYERS["people"]
    assert site.refuses("PUT", path, PAYERS, **NEW) == (412, "exists")
    assert [each["name"] for each in site.asks("/api/audiences")["audiences"]] == ["payers"]

    count = site.does("POST", "/api/audiences/count", {"people": {"in": "payers"}})
    assert count == {"count": 1, "of": 2}
    members = site.asks(f"{path}/members")
    assert [each["person"] for each in members["members"]] == ["u•••@e•••.com"]
    assert (members["after"], members["count"]) == ("", 1)

    tag = {"If-Match": made["etag"]}
    again = site.does("PUT", path, {**PAYERS, "title": "x"}, **tag)
    assert site.refuses("DELETE", path, **tag) == (412, "changed")
    assert site.send("DELETE", path, **{"If-Match": again["etag"]}).status_code == 204
    assert site.get(f"{path}/members").status_code == 404
    assert site.refuses("DELETE", path, **{"If-Match": again["etag"]})[0] == 404


def test_members_go_on_page_by_page(site: Site) -> None:
    for number in range(130):
        session = site.capture.identify(email=f"p{number}@emaildomain.com").session
        site.capture.record(session, PAID.id)
    site.does("PUT", "/api/audiences/payers", PAYERS, **NEW)
    first = site.asks("/api/audiences/payers/members")
    second = site.asks(f"/api/audiences/payers/members?after={first['after']}")

    ids = [each["person_id"] for each in first["members"] + second["members"]]
    assert (len(first["members"]), len(set(ids)), second["after"]) == (100, 131, "")
    assert ids == list(site.capture.audiences.members(Did(PAID.id), limit=1_000))


def test_the_file_of_an_audience_has_addresses_and_is_recorded(site: Site) -> None:
    site.does("PUT", "/api/audiences/payers", PAYERS, **NEW)
    site.capture.identify(email="user@emaildomain.com", first="=John", last="Apple")
    before = len(site.asks("/api/changes")["changes"])

    rows = table(site, "/api/audiences/payers/csv")
    assert rows[0] == ["person_id", "email", "ei", "first", "last", "assurance"]
    assert rows[1][1:] == ["user@emaildomain.com", "", "'=John", "Apple", "claimed"]
    changes = site.asks("/api/changes")["changes"]
    assert (len(changes), changes[0]["what"]) == (before + 1, "exported the audience")
    site.allow(*others("pii"))
    assert site.get("/api/audiences/payers/csv").status_code == 403


@pytest.mark.parametrize("body", [{}, {"people": {}}, {"people": None}, {"people": {"did": 1}}])
def test_what_is_no_condition_is_refused(site: Site, body: Any) -> None:
    site.allow(*ALL)
    assert site.refuses("POST", "/api/audiences/count", body) == (400, "bad-query")
    audience = {"title": "x", **body}
    assert site.refuses("PUT", "/api/audiences/x", audience, **NEW) == (400, "bad-query")
