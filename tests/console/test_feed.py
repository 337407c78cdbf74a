"""What the feed says: what was accepted and what was refused, in one order."""

from __future__ import annotations

import json
from dataclasses import replace
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

from .site import SECRET, Site, without


@pytest.fixture
def site() -> Site:
    return Site()


def over(kind: type[Any]) -> Backends:
    """Backends in memory, their journal inside of another one."""
    memory = open_backends("memory:")
    return replace(memory, journal=kind(memory.journal))


def feed(site: Site, after: str = "") -> tuple[int, dict[str, Any]]:
    answer = site.get(f"/api/feed?after={quote(after)}")
    return answer.status_code, json.loads(answer.data or b"{}")


def test_the_feed_shows_what_was_accepted_with_sensitive_values_masked(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot", "str:cm:card": "4111"})

    status, data = feed(site)

    [row] = data["rows"]
    assert status == 200
    assert row["kind"] == "captured"
    assert (row["person"], row["activity_id"], row["name"]) == (
        "user@emaildomain.com",
        "act:cm:paid",
        "Paid",
    )
    assert row["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    assert row["received_at"] == "2026-11-23T00:00:00+00:00"
    assert data["counts"] == {"identified": 1, "accepted": 1}


def test_the_feed_shows_the_exact_reason_of_a_refusal(site: Site) -> None:
    for activity_id, attributes in (("act:cm:paid", {"str:cm:plan": 5}), ("act:cm:no", {})):
        with pytest.raises(Refused):
            site.capture.record(site.session, activity_id, attributes)
    with pytest.raises(Refused):
        site.capture.record(None, "act:cm:paid")

    _, data = feed(site)

    wrong, unknown, anonymous = data["rows"]
    assert (wrong["reason"], wrong["field"], wrong["name"]) == (
        "wrong-value",
        "str:cm:plan",
        "Paid",
    )
    assert wrong["person"] == "user@emaildomain.com"
    assert wrong["expected"].startswith("a string")
    assert (unknown["code"], unknown["reason"]) == ("not-found", "unknown-activity")
    assert (anonymous["reason"], anonymous["person"]) == ("no-session", None)
    assert {each["kind"] for each in data["rows"]} == {"refused"}


def test_a_cursor_gets_what_is_new_and_304_when_nothing_is(site: Site) -> None:
    _, first = feed(site)
    assert feed(site, first["cursor"]) == (304, {})

    site.capture.record(site.session, "act:cm:paid")
    _, second = feed(site, first["cursor"])
    assert [row["position"] for row in second["rows"]] == [1]
    assert feed(site, second["cursor"]) == (304, {})

    site.capture.identify(email="other@emaildomain.com")
    status, third = feed(site, second["cursor"])
    assert (status, third["rows"]) == (200, [])


def test_an_empty_page_offers_an_activity_that_would_be_accepted(site: Site) -> None:
    shown = feed(site)[1]["example"]

    assert site.capture.record(site.session, **shown).position == 1
    archived = Definition("act:cm:paid", "Paid", client_side=True, archived=True)
    site.backends.definitions.put(archived)
    assert feed(site)[1]["example"] is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "another:1:1:1",
        "{epoch}:1",
        "{epoch}:-1:1:x",
        "{epoch}",
        "{epoch}:1:1:abc",
        "\udcff",
    ],
)
def test_any_other_cursor_starts_over(site: Site, cursor: str) -> None:
    site.capture.record(site.session, "act:cm:paid")
    after = quote(cursor.format(epoch=site.backends.epoch), errors="surrogateescape")
    answer = site.get(f"/api/feed?after={after}")

    assert answer.status_code == 200
    assert json.loads(answer.data)["anew"] is True
    assert len(json.loads(answer.data)["rows"]) == 1


def test_bytes_that_are_no_text_in_the_query_start_over_too(site: Site) -> None:
    answer = site.client.get(
        "/capture/console/api/feed", environ_overrides={"QUERY_STRING": "after=\xff&\xff=%ff"}
    )

    assert answer.status_code == 200


def test_a_page_that_saw_an_empty_journal_misses_none_of_the_first(site: Site) -> None:
    _, empty = feed(site)
    for _ in range(120):
        site.capture.record(site.session, "act:cm:paid")
    _, second = feed(site, empty["cursor"])
    _, third = feed(site, second["cursor"])

    assert (second["anew"], third["anew"]) == (False, False)
    assert [row["position"] for row in second["rows"] + third["rows"]] == list(range(1, 121))


# -- one order of both kinds


def kinds(data: dict[str, Any]) -> str:
    """The rows, oldest first: c for captured, r for refused."""
    return "".join(row["kind"][0] for row in data["rows"])


def times(data: dict[str, Any]) -> list[str]:
    return [row.get("received_at") or row["at"] for row in data["rows"]]


def test_accepted_and_refused_are_in_one_order_of_time(site: Site) -> None:
    for kind in "crrccrc":
        site.clock.advance(1)
        site.refuse() if kind == "r" else site.capture.record(site.session, "act:cm:paid")

    _, data = feed(site)
    assert kinds(data) == "crrccrc"
    assert times(data) == sorted(times(data))


def test_no_refusal_stands_before_the_oldest_activity_that_is_loaded(site: Site) -> None:
    """There were activities among them: without these, the list would end in refusals alone."""
    for _ in range(50):
        site.clock.advance(1)
        site.refuse()
        site.capture.record(site.session, "act:cm:paid")
    for _ in range(80):
        site.clock.advance(1)
        site.capture.record(site.session, "act:cm:paid")

    _, data = feed(site)
    assert kinds(data).count("c") == 100
    assert kinds(data).count("r") == 20
    assert "rr" not in kinds(data)


def test_no_activity_stands_before_the_oldest_refusal_that_is_loaded(site: Site) -> None:
    for _ in range(5):
        site.clock.advance(1)
        site.capture.record(site.session, "act:cm:paid")
        site.clock.advance(1)
        for _ in range(60):
            site.refuse()

    _, data = feed(site)
    assert kinds(data).count("r") == 200
    assert kinds(data).replace("r" * 60, "R") == "r" * 20 + "cRcRcR"


def test_where_all_there_is_is_loaded_none_is_left_out(site: Site) -> None:
    for _ in range(99):
        site.clock.advance(1)
        site.refuse()
    site.clock.advance(1)
    site.capture.record(site.session, "act:cm:paid")

    assert kinds(feed(site)[1]) == "r" * 99 + "c"


def test_a_page_that_missed_refusals_begins_anew(site: Site) -> None:
    """More than one answer holds were refused between two questions."""
    site.capture.record(site.session, "act:cm:paid")
    _, first = feed(site)
    for _ in range(250):
        site.clock.advance(1)
        site.refuse()

    _, second = feed(site, first["cursor"])
    assert second["anew"] is True
    assert kinds(second) == "r" * 200
    assert feed(site, second["cursor"])[0] == 304


def test_several_pages_go_on_each_from_where_it_is(site: Site) -> None:
    _, one = feed(site)
    site.capture.record(site.session, "act:cm:paid")
    _, other = feed(site)
    site.refuse()
    site.capture.record(site.session, "act:cm:paid")

    # Without time between them the kinds stay together.
    assert kinds(feed(site, one["cursor"])[1]) == "ccr"
    assert kinds(feed(site, other["cursor"])[1]) == "cr"


class Opaque:
    """A journal whose cursors are no numbers."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    @staticmethod
    def _disguised(found: Any) -> Any:
        return [Captured(e.position, f"a:b&%{e.cursor}:é", e.activity) for e in found]

    def latest(self, limit: int = 100) -> Any:
        return self._disguised(self._journal.latest(limit))

    def after(self, cursor: str, limit: int = 100) -> Any:
        plain = cursor.removeprefix("a:b&%").removesuffix(":é")
        return self._disguised(self._journal.after(plain, limit))


def test_a_cursor_of_the_journal_may_be_any_text() -> None:
    site = Site(backends=over(Opaque))
    site.capture.record(site.session, "act:cm:paid")
    _, first = feed(site)
    assert feed(site, first["cursor"])[0] == 304

    site.capture.record(site.session, "act:cm:paid")
    _, second = feed(site, first["cursor"])
    assert [row["position"] for row in second["rows"]] == [2]


# -- what is shown of a row


def test_what_is_not_declared_is_masked_on_the_page(site: Site) -> None:
    """It may have been declared sensitive when it was."""
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot", "str:cm:card": "4111"})
    site.backends.definitions.put(
        Definition("act:cm:paid", "Paid", attributes=[Attribute("str:cm:plan")])
    )

    [row] = feed(site)[1]["rows"]
    assert row["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    [raw] = site.backends.journal.latest()
    assert Rows(site.backends, show_sensitive=True).captured(raw)["attributes"] == {
        "str:cm:plan": "Pot",
        "str:cm:card": "4111",
    }


def test_people_without_an_address_go_by_what_is_known_of_them(site: Site) -> None:
    session = site.capture.identify(ei="ID4674").session
    site.capture.record(session, "act:cm:paid")

    assert feed(site)[1]["rows"][0]["person"] == "ID4674"


def test_a_definition_that_is_gone_leaves_its_rows(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot"})
    elsewhere = replace(site.backends, definitions=open_backends("memory:").definitions)
    capture = Capture(backends=elsewhere, settings=Settings(secret_keys=[SECRET]))
    client = Client(CaptureApp(capture, console_guard=lambda environ: True))

    [row] = json.loads(client.get("/console/api/feed").data)["rows"]
    assert (row["name"], row["attributes"]) == (None, {"str:cm:plan": "•••"})


def test_backends_without_outcomes_have_a_page_all_the_same() -> None:
    site = Site(backends=without("outcomes"))
    site.capture.record(site.session, "act:cm:paid")

    status, data = feed(site)

    assert (status, kinds(data), data["counts"]) == (200, "c", {})


def test_a_page_of_several_says_that_there_is_more(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid")
    _, first = feed(site)
    for _ in range(120):
        site.capture.record(site.session, "act:cm:paid")

    _, second = feed(site, first["cursor"])
    _, third = feed(site, second["cursor"])
    assert (first["more"], second["more"], third["more"]) == (False, True, False)
    assert [row["position"] for row in second["rows"] + third["rows"]] == list(range(2, 122))
    assert len(feed(site)[1]["rows"]) == 100


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
    status, data = feed(Site(backends=over(Away)))

    assert (status, data["error"]["code"]) == (503, "unavailable")
    assert "the console has no data: away" in caplog.text
