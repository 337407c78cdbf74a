"""The activity page's own promises: who sees it, what it says, and how little it asks for."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from werkzeug.test import Client, TestResponse, create_environ, run_wsgi_app
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

import ortto_capture
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
    errors,
    mount,
    open_backends,
)
from ortto_capture.console.rows import Rows
from ortto_capture.console.token import TokenGuard
from ortto_capture.testing import FakeClock, Ids

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"


class Site:
    """A capture app with its console, and one person identified."""

    def __init__(self, *, outcomes: bool = True, journal: Any = None) -> None:
        memory: Backends = open_backends("memory:")
        self.backends = replace(
            memory,
            outcomes=memory.outcomes if outcomes else None,
            journal=journal or memory.journal,
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
        self.clock = FakeClock()
        self.capture = Capture(
            backends=self.backends,
            # Many at once, by one person.
            settings=Settings(secret_keys=[SECRET], person_limit="100000/day"),
            clock=self.clock,
            new_id=Ids(),
        )
        self.open = True
        app = CaptureApp(self.capture, console_guard=lambda environ: self.open)
        self.client = Client(mount(app, app, at="/capture"))
        self.session = self.capture.identify(email="user@emaildomain.com").session

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(f"/capture/console{path}", headers=headers)

    def refuse(self) -> None:
        with pytest.raises(Refused):
            self.capture.record(self.session, "act:cm:no")

    def feed(self, after: str = "") -> tuple[int, dict[str, Any]]:
        answer = self.get(f"/api/feed?after={quote(after)}")
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


@pytest.mark.parametrize("path", ["", "/", "/console.js"])
def test_a_guard_may_answer_in_place_of_a_page(site: Site, path: str) -> None:
    """As a host does that sends its visitors to its login page."""
    login = redirect("/login?next=/capture/console/")
    client = Client(
        mount(Response("host"), CaptureApp(site.capture, console_guard=lambda _: login))
    )
    answer = client.get(f"/capture/console{path}")

    assert (answer.status_code, answer.location) == (302, "/login?next=/capture/console/")


@pytest.mark.parametrize("said", ["/login", 1, {}, ("login", 302), [True], object()])
def test_a_guard_that_says_neither_yes_nor_no_lets_no_request_in(
    site: Site, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(CaptureApp(site.capture, console_guard=lambda _: said))

    for path in ("/console/", "/console/api/feed"):
        assert client.get(path).status_code == 500
    assert f"console_guard: {type(said).__name__} is no bool, and no WSGI app" in caplog.text


def test_a_program_that_asks_for_data_is_told_that_it_is_signed_out(site: Site) -> None:
    client = Client(CaptureApp(site.capture, console_guard=lambda _: redirect("/login")))
    answer = client.get("/console/api/feed")

    assert answer.status_code == 401
    assert json.loads(answer.data)["error"]["code"] == "signed-out"


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


@pytest.mark.parametrize(
    ("prefix", "leads_to"),
    [("/caf\xc3\xa9", "/caf%C3%A9/capture/console/"), ("//evil.com", "/evil.com/capture/console/")],
)
def test_below_any_prefix_it_leads_to_the_page_of_this_host(
    site: Site, prefix: str, leads_to: str
) -> None:
    """As a server of WSGI has the prefix."""
    environ = create_environ("/capture/console") | {"SCRIPT_NAME": prefix}
    answer = run_wsgi_app(site.client.application, environ)

    assert answer[2]["Location"] == leads_to


def test_unknown_paths_are_404_and_other_methods_405(site: Site) -> None:
    assert site.get("/console.map").status_code == 404
    assert site.get("/../api/feed").status_code == 404
    answer = site.client.post("/capture/console/api/feed")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_the_feed_shows_what_was_accepted_with_sensitive_values_masked(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot", "str:cm:card": "4111"})

    status, data = site.feed()

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

    _, data = site.feed()

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
    _, first = site.feed()
    assert site.feed(first["cursor"]) == (304, {})

    site.capture.record(site.session, "act:cm:paid")
    _, second = site.feed(first["cursor"])
    assert [row["position"] for row in second["rows"]] == [1]
    assert site.feed(second["cursor"]) == (304, {})

    site.capture.identify(email="other@emaildomain.com")
    status, third = site.feed(second["cursor"])
    assert (status, third["rows"]) == (200, [])


def test_an_empty_page_offers_an_activity_that_would_be_accepted(site: Site) -> None:
    shown = site.feed()[1]["example"]

    assert site.capture.record(site.session, **shown).position == 1
    archived = Definition("act:cm:paid", "Paid", client_side=True, archived=True)
    site.backends.definitions.put(archived)
    assert site.feed()[1]["example"] is None


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
    _, empty = site.feed()
    for _ in range(120):
        site.capture.record(site.session, "act:cm:paid")
    _, second = site.feed(empty["cursor"])
    _, third = site.feed(second["cursor"])

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

    _, data = site.feed()
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

    _, data = site.feed()
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

    _, data = site.feed()
    assert kinds(data).count("r") == 200
    assert kinds(data).replace("r" * 60, "R") == "r" * 20 + "cRcRcR"


def test_where_all_there_is_is_loaded_none_is_left_out(site: Site) -> None:
    for _ in range(99):
        site.clock.advance(1)
        site.refuse()
    site.clock.advance(1)
    site.capture.record(site.session, "act:cm:paid")

    assert kinds(site.feed()[1]) == "r" * 99 + "c"


def test_a_page_that_missed_refusals_begins_anew(site: Site) -> None:
    """More than one answer holds were refused between two questions."""
    site.capture.record(site.session, "act:cm:paid")
    _, first = site.feed()
    for _ in range(250):
        site.clock.advance(1)
        site.refuse()

    _, second = site.feed(first["cursor"])
    assert second["anew"] is True
    assert kinds(second) == "r" * 200
    assert site.feed(second["cursor"])[0] == 304


def test_several_pages_go_on_each_from_where_it_is(site: Site) -> None:
    _, one = site.feed()
    site.capture.record(site.session, "act:cm:paid")
    _, other = site.feed()
    site.refuse()
    site.capture.record(site.session, "act:cm:paid")

    # Without time between them the kinds stay together.
    assert kinds(site.feed(one["cursor"])[1]) == "ccr"
    assert kinds(site.feed(other["cursor"])[1]) == "cr"


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
    site = Site(journal=Opaque(open_backends("memory:").journal))
    site.capture.record(site.session, "act:cm:paid")
    _, first = site.feed()
    assert site.feed(first["cursor"])[0] == 304

    site.capture.record(site.session, "act:cm:paid")
    _, second = site.feed(first["cursor"])
    assert [row["position"] for row in second["rows"]] == [2]


# -- what is shown of a row


def test_what_is_not_declared_is_masked_on_the_page(site: Site) -> None:
    """It may have been declared sensitive when it was."""
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot", "str:cm:card": "4111"})
    site.backends.definitions.put(
        Definition("act:cm:paid", "Paid", attributes=[Attribute("str:cm:plan")])
    )

    [row] = site.feed()[1]["rows"]
    assert row["attributes"] == {"str:cm:plan": "Pot", "str:cm:card": "•••"}
    [raw] = site.backends.journal.latest()
    assert Rows(site.backends, show_sensitive=True).captured(raw)["attributes"] == {
        "str:cm:plan": "Pot",
        "str:cm:card": "4111",
    }


def test_people_without_an_address_go_by_what_is_known_of_them(site: Site) -> None:
    session = site.capture.identify(ei="ID4674").session
    site.capture.record(session, "act:cm:paid")

    assert site.feed()[1]["rows"][0]["person"] == "ID4674"


def test_a_definition_that_is_gone_leaves_its_rows(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid", {"str:cm:plan": "Pot"})
    elsewhere = replace(site.backends, definitions=open_backends("memory:").definitions)
    capture = Capture(backends=elsewhere, settings=Settings(secret_keys=[SECRET]))
    client = Client(CaptureApp(capture, console_guard=lambda environ: True))

    [row] = json.loads(client.get("/console/api/feed").data)["rows"]
    assert (row["name"], row["attributes"]) == (None, {"str:cm:plan": "•••"})


def test_backends_without_outcomes_have_a_page_all_the_same() -> None:
    site = Site(outcomes=False)
    site.capture.record(site.session, "act:cm:paid")

    status, data = site.feed()

    assert (status, kinds(data), data["counts"]) == (200, "c", {})


def test_a_page_of_several_says_that_there_is_more(site: Site) -> None:
    site.capture.record(site.session, "act:cm:paid")
    _, first = site.feed()
    for _ in range(120):
        site.capture.record(site.session, "act:cm:paid")

    _, second = site.feed(first["cursor"])
    _, third = site.feed(second["cursor"])
    assert (first["more"], second["more"], third["more"]) == (False, True, False)
    assert [row["position"] for row in second["rows"] + third["rows"]] == list(range(2, 122))
    assert len(site.feed()[1]["rows"]) == 100


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
    """A journal that cannot be reached."""

    def find(self, activity: object) -> None:
        raise BackendError("away")

    def append(self, activity: object) -> None:
        raise BackendError("away")

    def latest(self, limit: int = 100) -> list[Captured]:
        raise BackendError("away")


def test_a_backend_that_is_away_is_503_in_the_error_shape(
    caplog: pytest.LogCaptureFixture,
) -> None:
    status, data = Site(journal=Away()).feed()

    assert (status, data["error"]["code"]) == (503, "unavailable")
    assert "the activity page has no data: away" in caplog.text


@pytest.mark.parametrize(
    "given", [None, "", "Bearer ", "Basic {token}", "Bearer {token}x", "Bearer \xff", "{token}"]
)
def test_a_token_guard_shows_the_page_to_all_and_data_to_its_bearer(
    given: str | None, site: Site
) -> None:
    guard = TokenGuard()
    token = guard.fragment.removeprefix("#token=")
    client = Client(CaptureApp(site.capture, console_guard=guard))
    headers = {} if given is None else {"Authorization": given.format(token=token)}

    for path in ("", "/", "/console.css", "/console.js", "/reasons.js"):
        answer = client.get(f"/console{path}", headers=headers)
        assert answer.status_code == (200 if path else 308)
        assert token.encode() not in answer.data
    for path in ("/api/feed", "//api/feed", "/api/", "/console.js/../api/feed"):
        assert client.get(f"/console{path}", headers=headers).status_code == 404

    let_in = client.get("/console/api/feed", headers={"Authorization": f"Bearer {token}"})
    assert let_in.status_code == 200


def test_no_two_token_guards_have_the_same_token() -> None:
    assert len({TokenGuard().fragment for _ in range(100)}) == 100


def test_a_guard_that_fails_lets_no_request_in(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
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
    refusals = {name for name, each in vars(errors).items() if getattr(each, "message", None)}
    trees = [ast.parse(path.read_text("utf-8")) for path in package.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    # What builds a refusal from a reason, besides the classes themselves.
    functions = {
        node.name: node
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and node.returns
        and ast.unparse(node.returns) in refusals
    }
    inside: list[ast.AST] = [each for node in functions.values() for each in node.body]
    for node in nodes:
        called = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and called in {*refusals, *functions}:
            # Not the arguments by keyword: those are expectations and fields.
            inside += node.args
    # A name stands for the constant of its module.
    constants = {
        ast.unparse(node.targets[0]): node.value for node in nodes if isinstance(node, ast.Assign)
    }
    names = {each.id for part in inside for each in ast.walk(part) if isinstance(each, ast.Name)}
    inside += [constants[name] for name in sorted(names & constants.keys()) if name.isupper()]
    texts = {
        str(each.value)
        for part in inside
        for each in ast.walk(part)
        if isinstance(each, ast.Constant)
    }
    reasons = {text for text in texts if re.fullmatch("[a-z]+(-[a-z]+)*", text)}

    assert {"disabled", "forged", "ip-limit", "no-session", "wrong-value"} < reasons
    assert {each for each in reasons if not re.search(rf'"([a-z-]+/)?{each}":', words)} == set()
