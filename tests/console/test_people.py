"""People: found, shown, exported, erased, unmasked; and what of it is recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ortto_capture import Definition, open_backends

from .site import ALL, PAID, SECRET, Site, code, others


@pytest.fixture
def site() -> Site:
    made = Site(merge_keys=["str:cm:customer-id"])
    made.backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
    made.record()
    return made


def id_of(site: Site, address: str = "user@emaildomain.com") -> str:
    person = site.capture.person(address)
    assert person is not None
    return person.id


def found(site: Site, text: str) -> list[dict[str, Any]]:
    people: list[dict[str, Any]] = site.does("POST", "/api/people", {"find": text})["people"]
    return people


def changes(site: Site) -> list[tuple[str, str]]:
    told = site.asks("/api/changes")["changes"]
    return [(each["what"], each["which"]) for each in told]


@pytest.mark.parametrize(
    "text", ["user@emaildomain.com", " USER@EmailDomain.com ", "User-ID-9", "id-1"]
)
def test_a_person_is_found_by_address_or_id(site: Site, text: str) -> None:
    site.capture.identify(email="user@emaildomain.com", first="John", last="Apple")
    if text == "User-ID-9":
        site.capture.identify(ei=text)
        [person] = found(site, text)
        assert person["identifiers"] == [{"kind": "ei", "value": "U•••"}]
        return

    [person] = found(site, text if "@" in text else id_of(site))
    assert (person["person"], person["first"], person["last"]) == ("u•••@e•••.com", "J•••", "A•••")
    assert person["identifiers"] == [{"kind": "email", "value": "u•••@e•••.com"}]
    assert (person["activities"], person["more"], person["masked"]) == (1, False, True)
    assert person["last_seen"] == person["created_at"] == "2026-11-23T00:00:00+00:00"
    assert site.asks(f"/api/people?find={person['person_id']}")["people"] == [person]


@pytest.mark.parametrize("text", ["other@emaildomain.com", "no address", "", "@", "x" * 5_000])
def test_a_person_who_is_not_known_is_not_found(site: Site, text: str) -> None:
    assert found(site, text) == []


def test_those_who_were_active_last_are_listed_first(site: Site) -> None:
    site.clock.advance(60)
    site.capture.identify(email="new@emaildomain.com")
    assert [each["person"] for each in site.asks("/api/people")["people"]] == [
        "n•••@e•••.com",
        "u•••@e•••.com",
    ]
    assert [each["activities"] for each in site.asks("/api/people")["people"]] == [0, 1]
    for number in range(60):
        site.capture.identify(email=f"p{number}@emaildomain.com")
    assert len(site.asks("/api/people")["people"]) == 50


def test_a_persons_page_has_what_they_did(site: Site) -> None:
    site.clock.advance(60)
    for _ in range(2):
        site.record("act:cm:login")

    page = site.asks(f"/api/people/{id_of(site)}")
    assert page["person"]["activities"] == 3
    assert page["did"] == [
        {
            "activity_id": "act:cm:login",
            "name": "Logged in",
            "count": 2,
            "first": "2026-11-23T00:01:00+00:00",
            "last": "2026-11-23T00:01:00+00:00",
        },
        {
            "activity_id": "act:cm:paid",
            "name": "Paid",
            "count": 1,
            "first": "2026-11-23T00:00:00+00:00",
            "last": "2026-11-23T00:00:00+00:00",
        },
    ]


def test_a_timeline_goes_back_page_by_page_and_has_refusals(site: Site) -> None:
    site.capture.identify(email="other@emaildomain.com")
    for number in range(240):
        site.clock.advance(1)
        site.refuse(PAID.id, {"str:cm:plan": 5}) if number % 2 else site.record()
    path, keys, before = f"/api/people/{id_of(site)}/timeline", [], ""
    while True:
        page = site.asks(f"{path}?before={before}")
        keys += [row["key"] for row in page["rows"]]
        before = page["before"]
        if not before:
            break

    assert len(keys) == len(set(keys)) == 242
    assert site.get(f"{path}?before=x").status_code == 400


@pytest.mark.parametrize("below", ["", "/timeline", "/export"])
def test_a_person_who_is_not_there_has_no_page(site: Site, below: str) -> None:
    assert site.get(f"/api/people/none{below}").status_code == 404


# -- in full, and recorded


def test_an_export_has_everything_and_is_recorded(site: Site) -> None:
    answer = site.get(f"/api/people/{id_of(site)}/export")

    assert json.loads(answer.data) == site.capture.export("user@emaildomain.com")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="person.json"'
    [(what, which)] = changes(site)
    assert (what, which.split()[0]) == ("exported", "person")


def test_an_unmasked_person_is_shown_in_full_and_recorded(site: Site) -> None:
    site.capture.identify(email="user@emaildomain.com", first="John")
    shown = site.does("POST", "/api/unmask", {"person_id": id_of(site)})["person"]

    assert (shown["person"], shown["first"], shown["masked"]) == (
        "user@emaildomain.com",
        "John",
        False,
    )
    assert shown["identifiers"] == [{"kind": "email", "value": "user@emaildomain.com"}]
    assert changes(site)[0][0] == "unmasked"


def test_an_unmasked_request_is_shown_in_full_and_recorded(site: Site) -> None:
    site.record(attributes={"str:cm:card": "4111"})
    shown = site.does("POST", "/api/unmask", {"key": "c2"})["row"]

    assert (shown["person"], shown["attributes"]) == (
        "user@emaildomain.com",
        {"str:cm:card": "4111"},
    )
    assert changes(site) == [("unmasked", "request c2")]


@pytest.mark.parametrize("body", [{}, {"key": "c1", "person_id": "x"}, {"key": 1}, {"other": "x"}])
def test_what_is_to_be_unmasked_is_named_once(site: Site, body: dict[str, Any]) -> None:
    assert site.refuses("POST", "/api/unmask", body)[0] == 400
    assert changes(site) == []


@pytest.mark.parametrize("body", [{"key": "c9"}, {"person_id": "none"}])
def test_what_is_not_there_is_neither_unmasked_nor_recorded(
    site: Site, body: dict[str, Any]
) -> None:
    assert site.refuses("POST", "/api/unmask", body) == (404, "not-found")
    assert changes(site) == []


def test_domains_are_shown_as_people_write_them(site: Site) -> None:
    site.capture.identify(email="jo@müller.example")
    person = id_of(site, "jo@müller.example")
    shown = site.does("POST", "/api/unmask", {"person_id": person})["person"]

    assert shown["person"] == "jo@müller.example"


@pytest.mark.parametrize("confirm", ["user@emaildomain.com", " USER@emaildomain.com ", "{id}"])
def test_a_person_is_erased_after_their_address_was_typed(site: Site, confirm: str) -> None:
    person = id_of(site)
    path = f"/api/people/{person}/erase"
    for wrong in ("", "other@emaildomain.com", "user@emaildomain", "\x01", "x" * 9_000):
        assert site.refuses("POST", path, {"confirm": wrong}) == (400, "bad-confirmation")
    assert site.capture.person("user@emaildomain.com") is not None

    erased = site.does("POST", path, {"confirm": confirm.format(id=person)})
    assert erased == {"activities": 1, "complete": True}
    assert site.capture.person("user@emaildomain.com") is None
    assert site.get(f"/api/people/{person}").status_code == 404
    assert site.refuses("POST", path, {"confirm": confirm})[0] == 404


def test_no_record_names_a_person(site: Site) -> None:
    person = id_of(site)
    site.get(f"/api/people/{person}/export")
    site.does("POST", "/api/unmask", {"person_id": person})
    site.does("POST", f"/api/people/{person}/erase", {"confirm": person})

    documents = site.backends.documents
    assert documents is not None
    kept = json.dumps([each.value for each in documents.all("change")])
    assert "emaildomain" not in kept
    assert person not in kept
    # The same one each time: what was done belongs together.
    assert len({which for _, which in changes(site)}) == 1


def test_writes_are_in_the_log_even_where_no_documents_are_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    memory = open_backends("memory:")
    site = Site(backends=replace(memory, documents=None))
    site.record()
    with caplog.at_level("INFO", "ortto_capture"):
        site.does("POST", "/api/unmask", {"key": "c1"})

    [record] = [each for each in caplog.records if vars(each).get("event") == "console-write"]
    assert vars(record)["who"] == "the host"
    assert site.asks("/api/changes") == {"changes": []}


def test_a_person_without_identifiers_left_goes_by_id(site: Site) -> None:
    person = site.capture.person("user@emaildomain.com")
    assert person is not None
    site.backends.people.save(person._replace(identifiers=()))

    assert site.asks(f"/api/people/{person.id}")["person"]["person"] == person.id


def test_a_reader_without_the_scopes_is_refused_by_name(site: Site) -> None:
    person = id_of(site)
    for scope, method, path, body in (
        ("pii", "GET", f"/api/people/{person}/export", None),
        ("pii", "POST", "/api/unmask", {"person_id": person}),
        ("erase", "POST", f"/api/people/{person}/erase", {"confirm": person}),
    ):
        site.allow(*others(scope))
        answer = site.send(method, path, body)
        assert (answer.status_code, code(answer)) == (403, "missing-scope")
    site.allow(*ALL)
    assert site.capture.person("user@emaildomain.com") is not None
    assert SECRET not in site.get("/api/health").text
