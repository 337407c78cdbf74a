"""A ``Capture`` of one test: visitors, time, and what it says when something is not as expected."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from unittest.mock import ANY

import pytest
from flask import Flask

from ortto_capture import (
    Captured,
    Definition,
    InvalidAttributes,
    NeedsVerified,
    NotIdentified,
    RateLimited,
    StorageFull,
    UnknownActivity,
)
from ortto_capture.contrib.flask import FlaskCapture
from ortto_capture.contrib.flask import captured as captured_signal
from ortto_capture.testing import FakeClock, TestCapture

from .shop import LOGIN, PAID, create_app


def said(failed: pytest.ExceptionInfo[AssertionError]) -> str:
    """What a failed assertion says, without blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in str(failed.value).splitlines())


def expected(text: str) -> str:
    return dedent(text).strip("\n")


# -- visitors


def test_an_identified_client_is_a_verified_visitor(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()

    capture.identify(client, "Jo@example.com")
    captured = capture.activity(client, "act:cm:bought", {"int:cm:price": 12})

    assert captured.assurance == "verified"
    assert capture.recorded("act:cm:bought", email="jo@example.com") == [captured]


def test_a_client_may_only_claim_to_be_a_person(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()

    capture.identify(client, "jo@example.com", verified=False)

    assert capture.activity(client, "act:cm:login").assurance == "claimed"


def test_a_client_is_identified_by_external_id(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()

    capture.identify(client, ei=7)
    capture.activity(client, "act:cm:login")

    capture.assert_recorded("act:cm:login", ei="7", times=1)
    capture.assert_not_recorded("act:cm:login", email="jo@example.com")


def test_without_a_client_identify_returns_the_session(capture: TestCapture) -> None:
    capture.define(LOGIN)
    session = capture.identify(email="jo@example.com").session

    assert capture.record(session, "act:cm:login").assurance == "claimed"


def test_an_address_in_place_of_the_client_is_explained(capture: TestCapture) -> None:
    with pytest.raises(TypeError, match=r"capture\.identify\(client, 'jo@example\.com'\)"):
        capture.identify("jo@example.com")


def test_a_refused_activity_raises_what_refused_it(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    with pytest.raises(NotIdentified):
        capture.activity(client, "act:cm:login")
    capture.identify(client, "jo@example.com")
    with pytest.raises(InvalidAttributes) as refused:
        capture.activity(client, "act:cm:bought", {"int:cm:price": "12"})
    assert refused.value.field == "int:cm:price"
    with pytest.raises(UnknownActivity):
        capture.activity(client, "act:cm:paid")


def test_a_repeated_event_is_recorded_once(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    capture.identify(client, "jo@example.com")

    first = capture.activity(client, "act:cm:login", event_id="once")

    assert capture.activity(client, "act:cm:login", event_id="once").duplicate
    assert capture.recorded() == [first]


def test_an_activity_comes_from_the_first_of_the_app_s_sources(capture: TestCapture) -> None:
    capture.use(app := create_app(sources={"shop": {"name": "Shop"}, "blog": {"name": "Blog"}}))
    client = app.test_client()
    capture.identify(client, "jo@example.com")

    assert capture.activity(client, "act:cm:login").source == "shop"


def test_a_client_of_another_app_is_told_from_a_refused_activity(
    capture: TestCapture, app: Flask
) -> None:
    with pytest.raises(AssertionError, match=r"404, and not by this capture.*capture\.use\(app\)"):
        capture.activity(Flask("another").test_client(), "act:cm:login")


# -- time


def test_ten_a_day_and_ten_more_on_the_next(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    capture.identify(client, "jo@example.com")
    for _ in range(10):
        capture.activity(client, "act:cm:login")
    with pytest.raises(RateLimited):
        capture.activity(client, "act:cm:login")

    capture.clock.advance("1 day")

    capture.activity(client, "act:cm:login")
    capture.assert_recorded("act:cm:login", times=11)


@pytest.mark.parametrize(
    ("span", "seconds"),
    [
        (90, 90),
        (-1.5, -1.5),
        (timedelta(hours=1), 3_600),
        ("90 s", 90),
        ("1 day", 86_400),
        ("2 Hours", 7_200),
        ("1.5h", 5_400),
        ("1 week 2 days 3 min 1 sec", 604_800 + 2 * 86_400 + 181),
    ],
)
def test_the_clock_moves_on_by_what_people_write(
    span: float | str | timedelta, seconds: float
) -> None:
    clock = FakeClock(1_000)
    clock.advance(span)
    assert clock() == 1_000 + seconds


@pytest.mark.parametrize("span", ["", "day", "1 dya", "1 day or so", "1", "1 month"])
def test_words_that_are_no_span_of_time_are_refused(span: str) -> None:
    clock = FakeClock(1_000)
    with pytest.raises(ValueError, match=r'no span of time.*"1 day"'):
        clock.advance(span)
    assert clock() == 1_000


# -- in place of the app's own


def test_the_app_has_its_own_capture_again_afterwards() -> None:
    app = create_app()
    own = app.config["capture_app"].capture
    with TestCapture() as capture:
        capture.use(app)
        capture.use(app)
        assert app.config["capture_app"].capture is capture
    assert app.config["capture_app"].capture is own
    assert own.backends.definitions.get("act:cm:login") == LOGIN


def test_the_app_s_settings_count_and_its_secret_does_not(capture: TestCapture) -> None:
    app = create_app(person_limit="1/day")
    own = app.config["capture_app"].capture
    client = app.test_client()
    capture.use(app)

    capture.identify(client, "jo@example.com")
    capture.activity(client, "act:cm:login")

    with pytest.raises(RateLimited):
        capture.activity(client, "act:cm:login")
    assert capture.settings.secret_keys != own.settings.secret_keys


def test_what_was_defined_for_the_test_outweighs_what_the_app_defines(
    capture: TestCapture,
) -> None:
    capture.define(Definition("act:cm:login", "Logged in", client_side=False))
    capture.use(app := create_app())
    client = app.test_client()
    capture.identify(client, "jo@example.com")

    with pytest.raises(UnknownActivity):
        capture.activity(client, "act:cm:login")


def test_the_app_s_own_subscribers_are_told_of_what_the_test_records(
    capture: TestCapture,
) -> None:
    app = create_app()
    told: list[Captured] = []
    app.config["capture_app"].capture.subscribe(told.append)
    of_the_test: list[Captured] = []
    capture.subscribe(of_the_test.append)
    capture.use(app)
    client = app.test_client()
    capture.identify(client, "jo@example.com")

    captured = capture.activity(client, "act:cm:login", event_id="once")
    capture.activity(client, "act:cm:login", event_id="once")
    client.post("/paid")

    assert capture.flush()
    assert [each.activity_id for each in told] == ["act:cm:login", "act:cm:paid"]
    assert told == of_the_test
    assert told[0] == captured


@pytest.mark.parametrize("times", [1, 2])
def test_the_signal_of_flask_is_sent_once(capture: TestCapture, times: int, tmp_path: Path) -> None:
    """It follows the ``Capture`` that is in place, however often one was put there."""
    app = Flask("shop", instance_path=str(tmp_path))
    tracking = FlaskCapture(definitions=[PAID])
    tracking.init_app(app)
    app.add_url_rule("/", view_func=lambda: str(tracking.record("act:cm:paid")))
    told: list[str] = []

    def seen(sender: Flask, captured: Captured) -> None:
        told.append(captured.activity_id)

    with captured_signal.connected_to(seen, app):
        for _ in range(times):
            with TestCapture() as another:
                another.use(app)
        capture.use(app)
        client = app.test_client()
        capture.identify(client, "jo@example.com")
        client.get("/")

    assert told == ["act:cm:paid"]


# -- what was recorded


def test_what_was_recorded_is_found_by_what_a_test_knows_of_it(
    capture: TestCapture, app: Flask
) -> None:
    client = app.test_client()
    capture.identify(client, "jo@example.com")
    first = capture.activity(client, "act:cm:bought", {"int:cm:price": 12, "str:cm:plan": "pro"})
    second = capture.activity(client, "act:cm:bought", {"int:cm:price": 12})
    login = capture.activity(client, "act:cm:login")
    other = app.test_client()
    capture.identify(other, "al@example.com")
    third = capture.activity(other, "act:cm:bought", {"int:cm:price": 13})

    assert capture.recorded() == [first, second, login, third]
    assert capture.assert_recorded("act:cm:bought") == [first, second, third]
    assert capture.assert_recorded("act:cm:bought", {"int:cm:price": 12}, times=2)
    assert capture.assert_recorded("act:cm:bought", {"str:cm:plan": None}) == [second, third]
    assert capture.assert_recorded("act:cm:bought", email="al@example.com") == [third]
    assert capture.assert_recorded("act:cm:bought", {"int:cm:price": pytest.approx(13)}) == [third]
    capture.assert_not_recorded("act:cm:bought", {"int:cm:price": 14})
    capture.assert_recorded("act:cm:paid", times=0)


def test_what_the_app_records_itself_is_seen(capture: TestCapture, app: Flask) -> None:
    app.test_client().post("/paid")

    [paid] = capture.assert_recorded("act:cm:paid", email="jo@example.com", times=1)
    assert (paid.source, paid.assurance) == ("server", "verified")


def test_a_failure_shows_what_came_and_why_it_was_refused(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    with pytest.raises(NotIdentified):
        capture.activity(client, "act:cm:login")
    capture.identify(client, "jo@example.com")
    capture.activity(client, "act:cm:bought", {"int:cm:price": 12, "str:cm:plan": "pro"})
    refused: list[tuple[str, dict[str, object]]] = [
        ("act:cm:bougth", {"int:cm:price": 12}),
        ("act:cm:paid", {}),
        ("act:cm:bought", {"int:cm:prise": 12}),
        ("act:cm:bought", {"int:price": 12}),
        ("act:cm:bought", {"str:cm:plan": "pro"}),
        ("act:cm:bought", {"int:cm:price": 1, "str:cm:plan": []}),
    ]
    for activity_id, attributes in refused:
        with pytest.raises((UnknownActivity, InvalidAttributes)):
            capture.activity(client, activity_id, attributes)
    client.post("/capture/-/events/activity", data="{")

    with pytest.raises(AssertionError) as failed:
        capture.assert_recorded("act:cm:bought", {"int:cm:price": 13}, email="jo@example.com")

    assert said(failed) == expected("""
        act:cm:bought with {"int:cm:price": 13} by jo@example.com was not recorded

        What came, the oldest first:
          1  act:cm:login   refused, 400  -
               no person is identified: capture.identify(client, email), or ap3c.track first
          2  track          identified    jo@example.com
          3  act:cm:bought  recorded      jo@example.com  {"int:cm:price": 12, "str:cm:plan": "pro"}
               int:cm:price is 12, not 13
          4  act:cm:bougth  refused, 404  -               {"int:cm:price": 12}
               no activity has this id; did you mean act:cm:bought?
          5  act:cm:paid    refused, 404  -
               websites may not send it: its client_side is off
          6  act:cm:bought  refused, 400  jo@example.com  {"int:cm:prise": 12}
               declares no attribute int:cm:prise; did you mean int:cm:price?
          7  act:cm:bought  refused, 400  jo@example.com  {"int:price": 12}
               declares no attribute int:price; did you mean int:cm:price?
          8  act:cm:bought  refused, 400  jo@example.com  {"str:cm:plan": "pro"}
               int:cm:price is required
          9  act:cm:bought  refused, 400  jo@example.com  {"int:cm:price": 1, "str:cm:plan": []}
               str:cm:plan: expected a string of at most 255 characters; sent []
         10  activity       refused, 400  -
               bad-json: the body is not one strict JSON object; reason: not JSON
    """)


def test_a_failure_says_how_long_a_limit_lasts(capture: TestCapture) -> None:
    capture.use(app := create_app(person_limit="1/day", ip_limit="2 per 5 minutes"))
    for email in ("jo@example.com", "al@example.com", "ed@example.com"):
        client = app.test_client()
        capture.identify(client, email)
        if email != "ed@example.com":
            capture.activity(client, "act:cm:login")
        if email != "al@example.com":
            with pytest.raises(RateLimited):
                capture.activity(client, "act:cm:login")

    with pytest.raises(AssertionError) as failed:
        capture.assert_recorded("act:cm:login", times=1)

    assert said(failed).startswith("act:cm:login was recorded 2 times, expected once\n")
    assert "person-limit: 1 per person and day; there is room again after" in said(failed)
    assert "ip-limit: 2 per IP address and 300 seconds" in said(failed)


def test_a_failure_names_what_the_host_has_to_vouch_for(capture: TestCapture, app: Flask) -> None:
    capture.define(Definition("act:cm:login", "Logged in", client_side=True, needs="verified"))
    client = app.test_client()
    capture.identify(client, "jo@example.com", verified=False)
    with pytest.raises(NeedsVerified):
        capture.activity(client, "act:cm:login")

    with pytest.raises(AssertionError, match="asks for a person whom the host vouches for"):
        capture.assert_recorded("act:cm:login")


def test_what_the_app_only_logs_is_shown(capture: TestCapture, app: Flask) -> None:
    capture.record_for("act:cm:paid", {"int:x:y": 1}, email="jo@example.com", on_refused="log")

    with pytest.raises(AssertionError, match="declares no attribute int:x:y; there are none"):
        capture.assert_recorded("act:cm:paid")


def test_a_failure_shows_the_latest_of_many(capture: TestCapture, app: Flask) -> None:
    for number in range(60):
        capture.identify(email=f"{number}@example.com")

    with pytest.raises(AssertionError) as failed:
        capture.assert_recorded("act:cm:login")

    assert "… 20 before these" in said(failed)
    assert " 60  track  identified  59@example.com" in said(failed)
    assert "19@example.com" not in said(failed)


def test_a_misspelled_activity_is_neither_recorded_nor_not_recorded(
    capture: TestCapture, app: Flask
) -> None:
    words = r"act:cm:logn is not defined; did you mean act:cm:login\?"
    with pytest.raises(AssertionError, match=words):
        capture.assert_recorded("act:cm:logn")
    with pytest.raises(AssertionError, match=words):
        capture.assert_not_recorded("act:cm:logn")
    with pytest.raises(
        AssertionError, match="act:cm:bought declares no attribute int:cm:prise; did"
    ):
        capture.assert_not_recorded("act:cm:bought", {"int:cm:prise": 1})
    with pytest.raises(AssertionError, match="no attribute txt:x:y; there are int:cm:price, str"):
        capture.assert_not_recorded("act:cm:bought", {"txt:x:y": 1})


def test_what_is_misspelled_fails_whatever_was_recorded(capture: TestCapture, app: Flask) -> None:
    client = app.test_client()
    capture.identify(client, "jo@example.com")
    capture.activity(client, "act:cm:bought", {"int:cm:price": 1})

    unknown = r"act:cm:logn is not defined; did you mean act:cm:login\?"
    with pytest.raises(AssertionError, match=unknown):
        capture.assert_recorded("act:cm:logn", times=0)
    with pytest.raises(AssertionError, match=unknown):
        capture.wait_for("act:cm:logn", times=0)
    absent = {"int:cm:prise": None}
    undeclared = "act:cm:bought declares no attribute int:cm:prise; did"
    with pytest.raises(AssertionError, match=undeclared):
        capture.assert_recorded("act:cm:bought", absent)
    with pytest.raises(AssertionError, match=undeclared):
        capture.assert_not_recorded("act:cm:bought", absent)
    with pytest.raises(AssertionError, match=undeclared):
        capture.wait_for("act:cm:bought", absent)


def test_true_is_not_one(capture: TestCapture) -> None:
    capture.define(
        Definition("act:cm:set", "Set", attributes=["bol:cm:on", "int:cm:level"], client_side=True)
    )
    capture.record_for("act:cm:set", {"bol:cm:on": True, "int:cm:level": 1}, email="jo@example.com")

    capture.assert_recorded("act:cm:set", {"bol:cm:on": True, "int:cm:level": 1})
    capture.assert_recorded("act:cm:set", {"bol:cm:on": ANY, "int:cm:level": ANY})
    capture.assert_not_recorded("act:cm:set", {"bol:cm:on": 1})
    with pytest.raises(AssertionError, match="int:cm:level is 1, not true"):
        capture.assert_recorded("act:cm:set", {"int:cm:level": True})


def test_a_person_who_never_came_is_said(capture: TestCapture, app: Flask) -> None:
    app.test_client().post("/paid")

    with pytest.raises(AssertionError, match=r"not recorded: no person 'al@example\.com' has come"):
        capture.assert_recorded("act:cm:paid", email="al@example.com")
    with pytest.raises(AssertionError, match="not recorded: no person 7 has come"):
        capture.assert_recorded("act:cm:paid", ei=7)
    capture.assert_not_recorded("act:cm:paid", email="al@example.com")


def test_when_nothing_came_the_failure_says_what_to_do(capture: TestCapture, app: Flask) -> None:
    app.test_client().get("/")

    with pytest.raises(AssertionError, match="A test client runs no scripts"):
        capture.assert_recorded("act:cm:login")


def test_when_nothing_is_defined_the_failure_says_where_to_define_it(capture: TestCapture) -> None:
    with pytest.raises(AssertionError, match="ortto_capture_definitions in pytest's configuration"):
        capture.assert_recorded("act:cm:login")


def test_what_must_not_be_recorded_is_shown(capture: TestCapture, app: Flask) -> None:
    app.test_client().post("/paid")

    with pytest.raises(AssertionError, match="act:cm:paid was recorded once, expected never"):
        capture.assert_not_recorded("act:cm:paid")


def test_a_full_storage_is_raised_and_shown(capture: TestCapture, app: Flask) -> None:
    capture.backends.people.capacity = 0  # type: ignore[attr-defined]

    with pytest.raises(StorageFull):
        capture.identify(app.test_client(), "jo@example.com")

    with pytest.raises(AssertionError, match=r"refused, 503  -\s+StorageFull: 0 people are held"):
        capture.assert_recorded("act:cm:login")
