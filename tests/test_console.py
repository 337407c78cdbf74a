"""The activity page's own promises: who sees it, what it says, and how little it asks for."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import Client, TestResponse

import ortto_capture
from ortto_capture import (
    Activity,
    Attribute,
    BackendError,
    Backends,
    Capture,
    CaptureApp,
    Captured,
    Definition,
    Refused,
    Settings,
    errors,
    mount,
    open_backends,
)
from ortto_capture.testing import FakeClock, Ids

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"


class Site:
    """A capture app with its console, and somebody identified."""

    def __init__(self, *, outcomes: bool = True) -> None:
        memory = open_backends("memory:")
        self.backends = Backends(
            definitions=memory.definitions,
            people=memory.people,
            limiter=memory.limiter,
            journal=memory.journal,
            outcomes=memory.outcomes if outcomes else None,
        )
        memory.definitions.put(
            Definition(
                "act:cm:paid",
                "Paid",
                client_side=True,
                attributes=[
                    Attribute("str:cm:plan"),
                    Attribute("str:cm:card", sensitive=True),
                ],
            )
        )
        self.capture = Capture(
            backends=self.backends,
            settings=Settings(secret_keys=[SECRET]),
            clock=FakeClock(),
            new_id=Ids(),
        )
        self.open = True
        app = CaptureApp(self.capture, console_guard=lambda environ: self.open)
        self.client = Client(mount(app, app, at="/capture"))
        self.session = self.capture.identify(email="user@emaildomain.com").session

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(f"/capture/console{path}", headers=headers)

    def feed(self, after: str = "") -> tuple[int, dict[str, Any]]:
        answer = self.get(f"/api/feed?after={after}")
        return answer.status_code, json.loads(answer.data or b"{}")


@pytest.fixture
def site() -> Site:
    return Site()


PATHS = ["/", "/console.css", "/console.js", "/reasons.js", "/api/feed"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_strict_headers(site: Site, path: str) -> None:
    answer = site.get(path)

    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("path", [*PATHS, "", "/nothing"])
def test_whom_the_guard_keeps_out_finds_nothing(site: Site, path: str) -> None:
    site.open = False
    answer = site.get(path)

    assert answer.status_code == 404
    assert json.loads(answer.data) == {"error": {"code": "not-found", "message": "not found"}}


def test_without_a_guard_there_is_no_console(site: Site) -> None:
    client = Client(CaptureApp(site.capture))

    for path in ("/console", "/console/", "/console/api/feed"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
def test_requests_from_other_sites_are_refused(site: Site, where: str) -> None:
    answer = site.get("/api/feed", **{"Sec-Fetch-Site": where})

    assert answer.status_code == 403


def test_the_page_without_its_slash_leads_to_the_page(site: Site) -> None:
    answer = site.get("")

    assert answer.status_code == 308
    assert answer.headers["Location"].endswith("/capture/console/")


def test_unknown_paths_are_404_and_other_methods_405(site: Site) -> None:
    assert site.get("/console.map").status_code == 404
    assert site.get("/../api/feed").status_code == 404
    answer = site.client.post("/capture/console/api/feed")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_the_feed_shows_what_was_accepted_with_sensitive_values_masked(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot", "str:cm:card": "4111"})

    status, data = site.feed()

    [row] = data["captured"]
    assert status == 200
    assert (row["person"], row["activity"], row["name"]) == (
        "user@emaildomain.com",
        "act:cm:paid",
        "Paid",
    )
    assert row["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    assert row["at"] == "2026-11-23T00:00:00+00:00"
    assert data["counts"] == {"identified": 1, "accepted": 1}


def test_the_feed_shows_the_exact_reason_of_a_refusal(site: Site) -> None:
    for activity_id, attributes in (("act:cm:paid", {"str:cm:plan": 5}), ("act:cm:no", {})):
        with pytest.raises(Refused):
            site.capture.record(site.session, activity_id, attributes)
    with pytest.raises(Refused):
        site.capture.record(None, "act:cm:paid")

    _, data = site.feed()

    wrong, unknown, nobody = data["refused"]
    assert (wrong["reason"], wrong["field"], wrong["name"]) == (
        "wrong-value",
        "str:cm:plan",
        "Paid",
    )
    assert wrong["person"] == "user@emaildomain.com"
    assert wrong["expected"].startswith("a string")
    assert (unknown["code"], unknown["reason"]) == ("not-found", "unknown-activity")
    assert (nobody["reason"], nobody["person"]) == ("no-session", None)


def test_a_cursor_gets_what_is_new_and_304_when_nothing_is(site: Site) -> None:
    _, first = site.feed()
    assert site.feed(first["cursor"]) == (304, {})

    site.capture.record(site.session, "act:cm:paid")
    _, second = site.feed(first["cursor"])
    assert [row["id"] for row in second["captured"]] == [1]
    assert site.feed(second["cursor"]) == (304, {})

    site.capture.identify(email="other@emaildomain.com")
    status, third = site.feed(second["cursor"])
    assert (status, third["captured"], third["refused"]) == (200, [], [])


def test_an_empty_page_offers_an_activity_that_would_be_accepted(site: Site) -> None:
    shown = site.feed()[1]["example"]

    assert site.capture.record(site.session, **shown).position == 1
    archived = Definition("act:cm:paid", "Paid", client_side=True, archived=True)
    site.backends.definitions.put(archived)  # type: ignore[attr-defined]
    assert site.feed()[1]["example"] is None


@pytest.mark.parametrize("cursor", ["", "x", "another:1:1:1", "{epoch}:1", "{epoch}:1:-1:x"])
def test_any_other_cursor_starts_over(site: Site, cursor: str) -> None:
    site.capture.record(site.session, "act:cm:paid")

    status, data = site.feed(cursor.format(epoch=site.backends.epoch))

    assert status == 200
    assert len(data["captured"]) == 1


def test_people_without_an_address_go_by_what_is_known_of_them(site: Site) -> None:
    session = site.capture.identify(ei="ID4674").session
    site.capture.record(session, "act:cm:paid")

    assert site.feed()[1]["captured"][0]["person"] == "ID4674"


def test_a_definition_that_is_gone_leaves_its_rows(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot"})
    site.backends.definitions._definitions.clear()  # type: ignore[attr-defined]  # noqa: SLF001

    [row] = site.feed()[1]["captured"]

    assert (row["name"], row["attributes"]) == (None, {"str:cm:plan": "•••"})


def test_backends_without_outcomes_have_a_page_all_the_same() -> None:
    site = Site(outcomes=False)
    site.capture.record(site.session, "act:cm:paid")

    status, data = site.feed()

    assert (status, len(data["captured"]), data["refused"], data["counts"]) == (200, 1, [], {})


def test_a_page_of_several_says_that_there_is_more(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid")
    _, first = site.feed()
    for person in range(120):
        session = site.capture.identify(ei=person).session
        site.capture.record(session, "act:cm:paid")

    _, second = site.feed(first["cursor"])
    _, third = site.feed(second["cursor"])
    assert (first["more"], second["more"], third["more"]) == (False, True, False)
    assert [row["id"] for row in second["captured"] + third["captured"]] == list(range(2, 122))
    assert len(site.feed()[1]["captured"]) == 100


@pytest.mark.parametrize("multiprocess", [False, True])
def test_processes_that_count_alone_are_warned_of(site: Site, multiprocess: bool) -> None:
    answer = site.client.get(
        "/capture/console/api/feed", environ_overrides={"wsgi.multiprocess": multiprocess}
    )

    assert json.loads(answer.data)["warnings"] == ["counts-alone"] * multiprocess


def test_a_proxy_that_hides_the_visitors_is_warned_of(site: Site) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    site.client.post("/capture/-/events/track", data="{}", headers=forwarded)

    assert site.feed()[1]["warnings"] == ["behind-proxy"]


class Away:
    """A journal that is not to be had."""

    def find(self, person_id: str, activity_id: str, event_id: str, since: float) -> None:
        raise BackendError("away")

    def append(self, activity: Activity) -> int:
        raise BackendError("away")

    def recent(self, after: int = 0, limit: int = 100) -> list[Captured]:
        raise BackendError("away")


def test_a_backend_that_is_away_is_503_in_the_error_shape(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.backends.journal = Away()
    status, data = site.feed()

    assert (status, data["error"]["code"]) == (503, "unavailable")
    assert "the activity page has no data: away" in caplog.text


def test_a_guard_that_fails_lets_nobody_in(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ: WSGIEnvironment) -> bool:
        raise LookupError

    client = Client(CaptureApp(site.capture, console_guard=broken))
    answer = client.get("/console/")

    assert (answer.status_code, json.loads(answer.data)["error"]["code"]) == (500, "internal")
    assert "LookupError" in caplog.text


def test_every_reason_of_a_refusal_is_in_the_pages_words() -> None:
    """Reasons that are one word; what is a phrase already is shown as it stands."""
    package = Path(ortto_capture.__file__).parent
    words = (package / "console" / "static" / "reasons.js").read_text("utf-8")
    refusals = (name for name, each in vars(errors).items() if getattr(each, "message", None))
    raised = {*refusals, "_refused", "_charge"}
    reasons: set[str] = set()
    for path in package.glob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] in raised:
                # Not the arguments by keyword: those are expectations and fields.
                inside = (each for argument in call.args for each in ast.walk(argument))
                texts = {str(each.value) for each in inside if isinstance(each, ast.Constant)}
                reasons |= {text for text in texts if re.fullmatch("[a-z]+(-[a-z]+)*", text)}

    assert {"disabled", "forged", "ip-limit", "no-session", "wrong-value"} < reasons
    assert {each for each in reasons if not re.search(rf'"([a-z-]+/)?{each}":', words)} == set()
