"""What the feed says: what became of every request, in one order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client

from ortto_capture import (
    Attribute,
    BackendError,
    Backends,
    Capture,
    CaptureApp,
    Captured,
    Definition,
    Refused,
    Settings,
    open_backends,
)
from ortto_capture.console.rows import Rows
from ortto_capture.console.stream import Before

from .site import ALL, PAID, SECRET, Site, others, without


@pytest.fixture
def site() -> Site:
    return Site()


def over(kind: type[Any]) -> Backends:
    """Backends in memory, their journal inside of another one."""
    memory = open_backends("memory:")
    return replace(memory, journal=kind(memory.journal))


def feed(site: Site, after: str = "", **filters: str) -> tuple[int, dict[str, Any]]:
    query = "&".join(f"{name}={quote(value)}" for name, value in filters.items())
    answer = site.get(f"/api/feed?after={quote(after)}&{query}")
    return answer.status_code, json.loads(answer.data or b"{}")


def rows(site: Site, **filters: str) -> list[dict[str, Any]]:
    status, data = feed(site, **filters)
    assert status == 200, data
    found: list[dict[str, Any]] = data["rows"]
    return found


def kinds(found: list[dict[str, Any]]) -> str:
    """The rows, newest first: a for accepted, r for refused, and so on."""
    return "".join(row["kind"][0] for row in found)


def everything(site: Site, **filters: str) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found, before = [], ""
    while True:
        data = feed(site, before=before, **filters)[1] if before else feed(site, **filters)[1]
        found += data["rows"]
        before = data["before"]
        if not before:
            return found


# -- what is shown of a row


def test_the_feed_shows_what_was_accepted_and_masks_who_and_what_is_sensitive(site: Site) -> None:
    site.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})

    row = rows(site)[0]
    assert (row["key"], row["kind"], row["status"]) == ("c1", "accepted", 200)
    assert (row["activity_id"], row["name"], row["text"]) == ("act:cm:paid", "Paid", "Paid")
    assert row["person"] == "u•••@e•••.com"
    assert row["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    assert (row["assurance"], row["route"], row["reason"]) == ("claimed", "activity", None)
    for name in ("at", "occurred_at", "received_at"):
        assert row[name] == "2026-11-23T00:00:00+00:00"


def test_a_row_reads_as_its_definition_says_with_sensitive_values_masked(site: Site) -> None:
    text = "Bought {str:cm:plan} with {str:cm:card}"
    site.backends.definitions.put(replace(PAID, shown_as=text))
    site.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})

    assert rows(site)[0]["text"] == "Bought Pot with •••"


def test_the_feed_shows_the_exact_reason_of_a_refusal(site: Site) -> None:
    site.refuse(PAID.id, {"str:cm:plan": 5})
    site.refuse("act:cm:no")
    with pytest.raises(Refused):
        site.capture.record(None, PAID.id)

    anonymous, unknown, wrong, identified = rows(site)
    assert (wrong["reason"], wrong["field"], wrong["name"]) == (
        "wrong-value",
        "str:cm:plan",
        "Paid",
    )
    assert (wrong["status"], wrong["person"]) == (400, "u•••@e•••.com")
    assert wrong["expected"].startswith("a string")
    assert (unknown["code"], unknown["reason"]) == ("not-found", "unknown-activity")
    assert (unknown["status"], unknown["text"]) == (404, "act:cm:no")
    assert (anonymous["reason"], anonymous["person"]) == ("no-session", None)
    assert {each["kind"] for each in (wrong, unknown, anonymous)} == {"refused"}
    assert (identified["kind"], identified["route"], identified["status"]) == (
        "identified",
        "track",
        200,
    )


def test_repetitions_are_rows_of_their_own(site: Site) -> None:
    for _ in range(2):
        site.capture.record(site.session, PAID.id, event_id="e1")

    assert kinds(rows(site)) in ("dai", "adi")
    assert feed(site)[1]["counts"] == {
        "accepted": 1,
        "duplicate": 1,
        "identified": 1,
        "refused": 0,
        "failed": 0,
    }


def test_what_is_not_declared_is_masked(site: Site) -> None:
    """It may have been declared sensitive when it was."""
    site.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})
    site.backends.definitions.put(
        Definition("act:cm:paid", "Paid", attributes=[Attribute("str:cm:plan")])
    )

    assert rows(site)[0]["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    [raw] = site.backends.journal.latest()
    assert Rows(site.backends, show_sensitive=True).captured(raw)["attributes"] == {
        "str:cm:plan": "Pot",
        "str:cm:card": "4111",
    }


@pytest.mark.parametrize(
    ("who", "shown"),
    [
        ({"ei": "ID4674"}, "I•••"),
        ({"email": "jo@example"}, "j•••@e•••"),
        ({"email": "jo@mail.example.com"}, "j•••@m•••.com"),
        ({"email": "jo@müller.example"}, "j•••@m•••.example"),
        ({"email": "jo@münchen.xn--p1ai"}, "j•••@m•••.рф"),
    ],
)
def test_a_person_goes_by_the_first_letters(site: Site, who: dict[str, str], shown: str) -> None:
    session = site.capture.identify(**who).session  # type: ignore[arg-type]
    site.capture.record(session, PAID.id)

    assert rows(site)[0]["person"] == shown


def test_a_definition_that_is_gone_leaves_its_rows(site: Site) -> None:
    site.record(attributes={"str:cm:plan": "Pot"})
    elsewhere = replace(site.backends, definitions=open_backends("memory:").definitions)
    capture = Capture(backends=elsewhere, settings=Settings(secret_keys=[SECRET]))
    client = Client(CaptureApp(capture, console_guard=lambda environ: True))

    row = json.loads(client.get("/console/api/feed").data)["rows"][0]
    assert (row["name"], row["text"]) == (None, "act:cm:paid")
    assert row["attributes"] == {"str:cm:plan": "•••"}


def test_a_person_who_was_erased_is_gone_from_the_feed(site: Site) -> None:
    site.record()
    site.refuse()
    site.capture.erase("user@emaildomain.com")

    assert [(row["kind"], row["person"]) for row in rows(site)] == [
        ("refused", None),
        ("identified", None),
    ]


# -- what is new


def test_a_cursor_gets_what_is_new_and_304_when_nothing_is(site: Site) -> None:
    _, first = feed(site)
    assert feed(site, first["cursor"]) == (304, {})

    site.record()
    _, second = feed(site, first["cursor"])
    assert (second["anew"], [row["key"] for row in second["rows"]]) == (False, ["c1"])
    assert feed(site, second["cursor"]) == (304, {})

    site.capture.identify(email="other@emaildomain.com")
    status, third = feed(site, second["cursor"])
    assert (status, kinds(third["rows"])) == (200, "i")


def test_the_latest_are_304_as_long_as_nothing_comes(site: Site) -> None:
    site.refuse()
    first = site.get("/api/feed?outcome=refused")
    tag = {"If-None-Match": first.headers["ETag"]}
    assert site.get("/api/feed?outcome=refused", **tag).status_code == 304
    assert site.get("/api/feed?outcome=accepted", **tag).status_code == 200
    site.refuse()
    assert site.get("/api/feed?outcome=refused", **tag).status_code == 200


def test_what_was_erased_or_is_masked_by_now_is_not_hidden_by_a_304(site: Site) -> None:
    site.record(attributes={"str:cm:plan": "Pot"})
    site.capture.record_for(PAID.id, email="other@emaildomain.com")
    tag = {"If-None-Match": site.get("/api/feed").headers["ETag"]}
    assert site.get("/api/feed", **tag).status_code == 304

    site.backends.definitions.put(replace(PAID, attributes=()))
    masked = site.get("/api/feed", **tag)
    assert (masked.status_code, b"Pot" in masked.data) == (200, False)

    tag = {"If-None-Match": masked.headers["ETag"]}
    site.capture.erase("user@emaildomain.com")
    assert b'"person":"u' not in site.get("/api/feed", **tag).data
    assert site.get("/api/feed", **tag).status_code == 200


@pytest.mark.parametrize("backends", ["memory:", "file:"])
@pytest.mark.parametrize("journal", ["abc", "1e5", "9" * 5_000, "9" * 25, "-5", "1\0", None])
def test_a_forged_place_to_go_on_from_is_no_fault(
    backends: str, journal: str | None, tmp_path: Path
) -> None:
    site = Site(backends=open_backends(f"file:{tmp_path}" if backends == "file:" else backends))
    site.record()
    person = site.capture.person("user@emaildomain.com")
    assert person is not None
    forged = f"{site.backends.epoch}:{Before(journal, 10**30, 10**30)}"
    of_another_store = f"other:{Before()}"
    for path in ("/api/feed", f"/api/people/{person.id}/timeline"):
        assert site.get(f"{path}?before={forged}").status_code in (200, 400)
        assert site.get(f"{path}?before={of_another_store}").status_code == 400


def test_a_poll_that_finds_nothing_new_reads_no_row(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        site.record()
    _, first = feed(site)
    monkeypatch.setattr(site.backends.journal, "after", _unexpected)
    monkeypatch.setattr(site.backends.journal, "search", _unexpected)

    assert feed(site, first["cursor"])[0] == 304


def _unexpected(*_: Any) -> Any:
    raise AssertionError


def test_what_is_new_is_filtered_as_well(site: Site) -> None:
    _, first = feed(site, outcome="refused")
    site.record()
    _, second = feed(site, first["cursor"], outcome="refused")
    assert second["rows"] == []
    site.refuse()
    assert kinds(feed(site, second["cursor"], outcome="refused")[1]["rows"]) == "r"


def test_an_empty_page_offers_an_activity_that_would_be_accepted(site: Site) -> None:
    shown = feed(site)[1]["example"]

    assert site.capture.record(site.session, **shown).position == 1
    archived = Definition("act:cm:paid", "Paid", client_side=True, archived=True)
    site.backends.definitions.put(archived)
    assert feed(site)[1]["example"] is None


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "another:1:1:1", "{epoch}:1", "{epoch}:-1:1:x", "{epoch}", "{epoch}:1:1:abc"],
)
def test_any_other_cursor_starts_over(site: Site, cursor: str) -> None:
    site.record()
    status, data = feed(site, cursor.format(epoch=site.backends.epoch))

    assert (status, data["anew"], kinds(data["rows"])) == (200, True, "ai")


def test_bytes_that_are_no_text_in_the_query_start_over_too(site: Site) -> None:
    answer = site.client.get(
        "/capture/console/api/feed", environ_overrides={"QUERY_STRING": "after=\xff&\xff=%ff"}
    )

    assert answer.status_code == 200


def test_a_query_of_too_many_members_is_refused(site: Site) -> None:
    assert site.get("/api/feed?" + "&".join(f"x{n}=1" for n in range(30))).status_code == 400


@pytest.mark.parametrize("what", ["record", "refuse"])
def test_a_page_that_missed_more_than_a_page_begins_anew(site: Site, what: str) -> None:
    _, first = feed(site)
    for _ in range(150):
        site.clock.advance(1)
        getattr(site, what)()

    _, second = feed(site, first["cursor"])
    assert second["anew"] is True
    assert kinds(second["rows"]) == ("a" if what == "record" else "r") * 100
    assert second["before"]
    assert feed(site, second["cursor"])[0] == 304


def test_several_pages_go_on_each_from_where_it_is(site: Site) -> None:
    _, one = feed(site)
    site.record()
    _, other = feed(site)
    site.clock.advance(1)
    site.refuse()
    site.clock.advance(1)
    site.record()

    assert kinds(feed(site, one["cursor"])[1]["rows"]) == "ara"
    assert kinds(feed(site, other["cursor"])[1]["rows"]) == "ar"


# -- one order, and all of it


def test_accepted_and_refused_are_in_one_order_of_time(site: Site) -> None:
    for kind in "arraara":
        site.clock.advance(1)
        site.refuse() if kind == "r" else site.record()

    found = rows(site)
    assert kinds(found) == "araarrai"
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)


@pytest.mark.parametrize("pattern", ["ar", "a", "r", "aaaar", "rrrra", "a" * 120 + "r" * 120])
def test_page_by_page_every_row_comes_once_and_in_order(site: Site, pattern: str) -> None:
    came = (pattern * 330)[:330]
    for number, kind in enumerate(came):
        # Some at one moment.
        site.clock.advance(number % 3)
        site.refuse() if kind == "r" else site.record()

    found = everything(site)
    keys = [row["key"] for row in found]
    assert len(keys) == len(set(keys)) == 331
    assert [row["at"] for row in found] == sorted((row["at"] for row in found), reverse=True)
    for kind in "co":
        numbers = [int(key[1:]) for key in keys if key[0] == kind]
        assert numbers == sorted(numbers, reverse=True)


def test_rows_that_come_meanwhile_are_not_among_the_older_ones(site: Site) -> None:
    for _ in range(150):
        site.clock.advance(1)
        site.record()
    _, first = feed(site)
    site.record()
    site.refuse()
    _, second = feed(site, before=first["before"])

    assert len(first["rows"] + second["rows"]) == 151
    assert second["before"] == ""


@pytest.mark.parametrize("before", ["x", "{epoch}:", "{epoch}:x", "{epoch}:W10", "{epoch}:bnVsbA"])
def test_a_place_for_older_rows_that_is_not_ours_is_refused(site: Site, before: str) -> None:
    status, data = feed(site, before=before.format(epoch=site.backends.epoch))

    assert (status, data["error"]["field"]) == (400, "before")


class Opaque:
    """A journal whose cursors are no numbers."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    @staticmethod
    def _disguised(found: Any) -> Any:
        return [Captured(e.position, f"a:b&%{e.cursor}:é", e.activity) for e in found]

    @staticmethod
    def _plain(cursor: str) -> str:
        return cursor.removeprefix("a:b&%").removesuffix(":é")

    def latest(self, limit: int = 100) -> Any:
        return self._disguised(self._journal.latest(limit))

    def after(self, cursor: str, limit: int = 100) -> Any:
        return self._disguised(self._journal.after(self._plain(cursor), limit))

    def search(self, wanted: Any, before: str = "", limit: int = 100) -> Any:
        found = self._journal.search(wanted, self._plain(before), limit)
        before = f"a:b&%{found.before}:é" if found.before else ""
        return found._replace(rows=self._disguised(found.rows), before=before)


def test_a_cursor_of_the_journal_may_be_any_text() -> None:
    site = Site(backends=over(Opaque))
    site.record()
    _, first = feed(site)
    assert feed(site, first["cursor"])[0] == 304

    for _ in range(120):
        site.clock.advance(1)
        site.record()
    assert feed(site, first["cursor"])[1]["anew"] is True
    assert len(everything(site)) == 122


class Slow:
    """A journal whose searches look at few rows at a time."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def search(self, wanted: Any, before: str = "", limit: int = 100) -> Any:
        return self._journal.search(wanted, before, min(limit, 7))


def test_a_search_that_takes_long_says_how_far_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ortto_capture.console.stream.PATIENCE", 0.0)
    site = Site(backends=over(Slow))
    for kind in "ra" * 20:
        site.clock.advance(1)
        site.refuse() if kind == "r" else site.record()

    _, data = feed(site)
    assert data["before"]
    assert data["looked_back_to"] == data["rows"][-1]["at"]
    assert kinds(everything(site)) == "ar" * 20 + "i"


# -- filters


@pytest.fixture
def busy(site: Site) -> Site:
    """Of two people, two activities and every outcome."""
    site.backends.definitions.put(Definition("act:cm:login", "Logged in", client_side=True))
    site.clock.advance(1)
    other = site.capture.identify(email="other@emaildomain.com").session
    site.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})
    site.capture.record(other, "act:cm:login", event_id="e-other")
    site.capture.record(other, "act:cm:login", event_id="e-other")
    site.refuse("act:cm:no")
    site.refuse(PAID.id, {"str:cm:plan": 5})
    return site


@pytest.mark.parametrize(
    ("filters", "kinds_found"),
    [
        ({"outcome": "accepted"}, "aa"),
        ({"outcome": "refused"}, "rr"),
        ({"outcome": "identified,duplicate"}, "dii"),
        ({"outcome": "failed"}, ""),
        ({"status": "404"}, "r"),
        ({"status": "200"}, "aadii"),
        ({"status": "200", "outcome": "refused"}, ""),
        ({"activity": "act:cm:paid"}, "ar"),
        ({"activity": "act:cm:paid,act:cm:login"}, "aadr"),
        ({"activity": "act:cm:none"}, ""),
        ({"person": "other@emaildomain.com"}, "adi"),
        ({"person": "OTHER@emaildomain.com", "outcome": "accepted"}, "a"),
        ({"person": "unknown@emaildomain.com"}, ""),
        ({"person": "no address"}, ""),
        ({"text": "pot"}, "a"),
        ({"text": "E-OTHER"}, "a"),
        ({"text": "act:cm:no"}, "r"),
        ({"text": "wrong-value"}, "r"),
        ({"text": "nothing has this"}, ""),
    ],
)
def test_filters_look_at_everything_that_is_kept(
    busy: Site, filters: dict[str, str], kinds_found: str
) -> None:
    assert sorted(kinds(rows(busy, **filters))) == sorted(kinds_found)


def test_a_person_may_be_named_by_id(busy: Site) -> None:
    person = busy.capture.person("other@emaildomain.com")
    assert person is not None

    assert kinds(rows(busy, person=person.id, outcome="accepted")) == "a"


@pytest.mark.parametrize(
    "filters",
    [{"outcome": "good"}, {"status": "40"}, {"status": "4o4"}, {"text": "x" * 201}],
)
def test_a_filter_that_is_none_is_refused_by_name(busy: Site, filters: dict[str, str]) -> None:
    status, data = feed(busy, **filters)

    assert (status, data["error"]["field"]) == (400, *filters)


def test_a_reader_who_may_not_unmask_finds_nothing_by_a_masked_value(busy: Site) -> None:
    busy.allow(*others("pii"))
    assert rows(busy, text="4111") == []
    assert kinds(rows(busy, text="pot")) == "a"
    assert kinds(rows(busy, text="str:cm:card")) == "a"
    # No longer declared: it may have been sensitive.
    busy.backends.definitions.put(Definition("act:cm:paid", "Paid", client_side=True))
    assert rows(busy, text="pot") == []

    busy.allow(*ALL)
    assert kinds(rows(busy, text="4111")) == "a"


def test_what_is_hidden_does_not_tell_where_it_is(site: Site) -> None:
    """A page without rows would say by its end that there were some."""
    for number in range(250):
        site.record(attributes={"str:cm:card": "4111" if number > 100 else "no"})
    site.allow(*others("pii"))

    data = feed(site, text="4111")[1]
    assert (data["rows"], data["before"], data["looked_back_to"]) == ([], "", None)


# -- warnings, and what is away


def test_backends_without_outcomes_have_a_feed_all_the_same() -> None:
    site = Site(backends=without("outcomes"))
    site.record()

    status, data = feed(site)
    assert (status, kinds(data["rows"]), set(data["counts"].values())) == (200, "a", {0})
    assert feed(site, data["cursor"])[0] == 304


@pytest.mark.parametrize("multiprocess", [False, True])
def test_processes_that_count_alone_are_warned_of(site: Site, multiprocess: bool) -> None:
    answer = site.client.get(
        "/capture/console/api/feed", environ_overrides={"wsgi.multiprocess": multiprocess}
    )

    assert json.loads(answer.data)["warnings"] == ["counts-alone"] * multiprocess


def test_a_proxy_that_hides_the_visitors_is_warned_of(site: Site) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    site.client.post("/capture/-/events/track", data="{}", headers=forwarded)

    assert feed(site)[1]["warnings"] == ["behind-proxy"]


class Away:
    """A journal that cannot be reached."""

    def __init__(self, journal: Any) -> None:
        pass

    def find(self, activity: object) -> None:
        raise BackendError("away")

    def append(self, activity: object) -> None:
        raise BackendError("away")

    def latest(self, limit: int = 100) -> list[Captured]:
        raise BackendError("away")


def test_a_backend_that_is_away_is_503_in_the_error_shape(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = Site(backends=over(Away)).get("/api/feed")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert json.loads(answer.data)["error"]["code"] == "unavailable"
    assert "the console has no data: away" in caplog.text


# -- one request


def detail(site: Site, key: str = "") -> dict[str, Any]:
    found: dict[str, Any] = site.asks(f"/api/feed/{key or rows(site)[0]['key']}")
    return found


def test_the_detail_of_an_activity_has_the_persons_others(site: Site) -> None:
    for _ in range(13):
        site.clock.advance(1)
        site.record(attributes={"str:cm:card": "4111"})

    found = detail(site, "c5")
    assert (found["row"]["key"], found["maskable"]) == ("c5", True)
    assert (found["stopped_at"], found["limit"], found["did_you_mean"]) == (None, None, None)
    keys = [row["key"] for row in found["others"]]
    assert keys == [f"c{number}" for number in (13, 12, 11, 10, 9, 8, 7, 6, 4, 3)]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("act:cm:Paid", "act:cm:paid"),
        ("act:cm:payd", "act:cm:paid"),
        ("act::paid", "act:cm:paid"),
        ("act:cm:something-else", None),
    ],
)
def test_the_detail_of_an_unknown_activity_says_what_was_meant(
    site: Site, sent: str, meant: str | None
) -> None:
    site.refuse(sent)
    found = detail(site)

    assert found["did_you_mean"] == meant
    assert found["stopped_at"]["row"] == 8


def test_the_detail_of_a_full_limit_says_which_and_when_it_opens(site: Site) -> None:
    site.backends.definitions.put(replace(PAID, limits={"person": "1/day", "ip": "1 per 2 hours"}))
    site.clock.advance(3_600.5)
    site.record()
    site.clock.advance(1)
    site.refuse(PAID.id)

    found = detail(site)
    assert (found["row"]["status"], found["stopped_at"]["row"]) == (429, 12)
    assert found["limit"] == {
        "name": "person-limit",
        "quota": "1/day",
        "opens_at": "2026-11-24T00:00:00+00:00",
    }
    session = site.capture.identify(email="b@example.com").session
    site.capture.record(session, PAID.id, ip="203.0.113.7")
    session = site.capture.identify(email="c@example.com").session
    site.clock.advance(1)
    with pytest.raises(Refused):
        site.capture.record(session, PAID.id, ip="203.0.113.7")
    assert detail(site)["limit"] == {
        "name": "ip-limit",
        "quota": "1 per 2 hours",
        "opens_at": "2026-11-23T02:00:00+00:00",
    }


def test_the_limit_of_new_people_is_told_as_well() -> None:
    site = Site(new_people_limit="1/hour")
    site.capture.identify(email="a@example.com", ip="203.0.113.7")
    with pytest.raises(Refused):
        site.capture.identify(email="b@example.com", ip="203.0.113.7")

    assert detail(site)["limit"]["quota"] == "1/hour"


def test_a_repetition_was_stopped_at_its_row(site: Site) -> None:
    for _ in range(2):
        site.clock.advance(1)
        site.capture.record(site.session, PAID.id, event_id="e1")

    assert detail(site)["stopped_at"] == {"row": 11, "check": "the event id is new"}


@pytest.mark.parametrize("key", ["c2", "o99", "x1", "c", "cx", "c0", "c" + "9" * 30, "c%C2%B2"])
def test_a_request_that_is_not_kept_is_404(site: Site, key: str) -> None:
    site.record()

    assert site.get(f"/api/feed/{key}").status_code == 404


def test_backends_whose_rows_have_no_number_have_no_detail() -> None:
    site = Site(backends=over(Numberless))
    site.record()
    assert site.get("/api/feed/c5").status_code == 404
    assert Site(backends=without("outcomes")).get("/api/feed/o1").status_code == 404


class Numberless(Opaque):
    """A journal that refuses cursors that are not its own."""

    def after(self, cursor: str, limit: int = 100) -> Any:
        if not cursor.startswith("a:b"):
            raise ValueError(cursor)
        return super().after(cursor, limit)
