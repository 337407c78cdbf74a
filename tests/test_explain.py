"""``Capture.explain``: what would become of an activity, and that nothing comes of asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import (
    Attribute,
    BackendError,
    Backends,
    Capture,
    Definition,
    Refused,
    Settings,
    Source,
    open_backends,
)
from ortto_capture.errors import MalformedRequest
from ortto_capture.testing import FakeClock

from .test_activity_type import Bought

JO: dict[str, Any] = {"email": "jo@example.com"}
IP = "203.0.113.7"
SECRET = "a secret of a test, of more than 32 bytes"
DEFINITIONS = [
    Definition("act:cm:login", "Login", client_side=True, attributes=["str:cm:plan"]),
    Definition("act:cm:paid", "Paid", client_side=True, needs="verified"),
    Definition("act:cm:off", "Off", attributes=[Attribute("int:cm:price", required=True)]),
    Definition("act:cm:old", "Old", client_side=True, archived=True),
    Definition("act:cm:rare", "Rare", client_side=True, limits={"person": "1/day", "ip": "2/hour"}),
    Bought.definition,
]


@pytest.fixture(params=["memory", "file"])
def backends(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backends]:
    with open_backends("memory:" if request.param == "memory" else f"file:{tmp_path}") as opened:
        opened.definitions.declare(DEFINITIONS)
        yield opened


@pytest.fixture
def capture(backends: Backends) -> Capture:
    return Capture(
        backends=backends, settings=Settings(secret_keys=[SECRET]), clock=FakeClock(1_795_392_000)
    )


def told(capture: Capture, *asked: Any, **named: Any) -> dict[str, str | None]:
    """The reason why each check refuses, by what it looks at."""
    explained = capture.explain(*asked, **named)
    return {step.check: step.refused.reason if step.refused else None for step in explained.steps}


def test_what_would_be_accepted_passes_every_check_in_the_order_of_the_contract(
    capture: Capture,
) -> None:
    explained = capture.explain("act:cm:login", {"str:cm:plan": "pro"}, **JO, ip=IP)

    assert explained.refused is None
    assert [step.row for step in explained.steps] == [7, 8, 9, 10, 11, 12]
    assert explained.person is None
    assert not explained.duplicate


@pytest.mark.parametrize(
    ("asked", "named", "refused"),
    [
        (("act:cm:none",), JO, {"definition": "unknown-activity"}),
        (("act::system",), {}, {"definition": "system-id", "person": "no-session"}),
        (("act:cm:old",), JO, {"definition": "archived"}),
        (("act:cm:off",), JO, {"definition": "disabled", "attributes": "missing-attribute"}),
        (("act:cm:login",), {}, {"person": "no-session"}),
        (("act:cm:login",), {"email": "no address"}, {"person": "person.email is not usable"}),
        (("act:cm:login",), {"session": "oc1.forged"}, {"person": "forged"}),
        (("act:cm:paid",), JO, {"person": "needs-verified"}),
        (("act:cm:paid",), {**JO, "verified": True}, {}),
        (("act:cm:login", {"int:cm:x": 1}), JO, {"attributes": "unknown-attribute"}),
        (
            ("act:cm:off", {"int:cm:price": "x"}),
            {},
            {"definition": "disabled", "person": "no-session", "attributes": "wrong-value"},
        ),
        ((Bought(price=1, plan="pro"),), JO, {}),
        ((Bought(price=1, plan="x" * 300),), JO, {"attributes": "wrong-value"}),  # type: ignore[arg-type]
    ],
)
def test_everything_that_is_wrong_is_said_at_once(
    asked: tuple[Any, ...], named: Any, refused: dict[str, str], capture: Capture
) -> None:
    found = told(capture, *asked, **named)

    assert {check: reason for check, reason in found.items() if reason} == refused


@pytest.mark.parametrize("key", [None, "other", "shop"])
@pytest.mark.parametrize("origin", [None, "https://shop.example", "https://evil.example"])
def test_key_and_origin_are_those_of_the_sources(
    key: str | None, origin: str | None, backends: Backends
) -> None:
    sources = {"shop": Source("Shop", ["https://shop.example"])}
    capture = Capture(backends=backends, settings=Settings(secret_keys=[SECRET], sources=sources))
    refused = capture.explain("act:cm:login", **JO, key=key, origin=origin).refused
    right = origin != "https://evil.example"

    expected = None if key == "shop" and right else "bad-origin" if key == "shop" else "unknown-key"
    assert (refused and refused.code) == expected


def test_it_agrees_with_what_becomes_of_the_activity(capture: Capture) -> None:
    """Of every kind there is, in the same state."""
    capture.record(None, "act:cm:rare", person=JO, ip=IP)
    for activity_id in [each.id for each in DEFINITIONS] + ["act:cm:none"]:
        for attributes in ({}, {"str:cm:plan": "pro"}, {"int:cm:price": 3}):
            for who in (JO, {"email": "new@example.com"}, {"email": "wrong"}, {}):
                explained = capture.explain(activity_id, attributes, **who, ip=IP).refused
                try:
                    capture.record(None, activity_id, attributes, person=who or None, ip=IP)
                    became = None
                except Refused as refused:
                    became = refused
                assert (explained and explained.code, explained and explained.reason) == (
                    became and became.code,
                    became and became.reason,
                )


def test_what_is_left_of_each_limit_is_told(capture: Capture) -> None:
    def left(**named: Any) -> dict[str, tuple[int, int, int]]:
        rooms = capture.explain("act:cm:rare", **named).limits
        return {room.name: (room.left, room.taken, room.quota.amount) for room in rooms}

    assert left(**JO, ip=IP) == {
        "person-limit": (1, 0, 1),
        "ip-limit": (2, 0, 2),
        "new-people-limit": (100, 0, 100),
    }
    capture.record(None, "act:cm:rare", person=JO, ip=IP)
    assert left(**JO, ip=IP) == {"person-limit": (0, 1, 1), "ip-limit": (1, 1, 2)}
    assert left(**JO) == {"person-limit": (0, 1, 1)}
    assert left(email="al@example.com", ip=IP) == {
        "person-limit": (1, 0, 1),
        "ip-limit": (1, 1, 2),
        "new-people-limit": (99, 1, 100),
    }
    # A stranger's claims use up nothing of the person who is signed in.
    assert left(**JO, verified=True) == {"person-limit": (1, 0, 1)}
    assert capture.explain("act:cm:none", **JO, ip=IP).limits == ()


def test_a_full_limit_is_the_one_with_the_longest_wait(capture: Capture) -> None:
    capture.record(None, "act:cm:rare", person=JO, ip=IP)
    capture.record(None, "act:cm:rare", person={"email": "al@example.com"}, ip=IP)
    explained = capture.explain("act:cm:rare", **JO, ip=IP)

    assert [room.left for room in explained.limits] == [0, 0]
    assert explained.refused is not None
    assert (explained.refused.reason, explained.refused.status) == ("person-limit", 429)
    assert explained.refused.retry_after == explained.limits[0].ends_in  # type: ignore[attr-defined]
    assert explained.refused.public_retry_after == explained.limits[1].ends_in  # type: ignore[attr-defined]


def test_a_lowered_limit_has_nothing_left_rather_than_less(
    capture: Capture, backends: Backends
) -> None:
    for _ in range(3):
        capture.record(None, "act:cm:login", person=JO)
    backends.definitions.put(replace(DEFINITIONS[0], limits={"person": "2/day"}))
    [room] = capture.explain("act:cm:login", **JO).limits

    assert (room.taken, room.left) == (3, 0)


def test_a_repetition_is_told_and_needs_no_room(capture: Capture) -> None:
    capture.record(None, "act:cm:rare", person=JO, event_id="once")
    again = capture.explain("act:cm:rare", **JO, event_id="once")

    assert (again.duplicate, again.refused) == (True, None)
    other = capture.explain("act:cm:rare", **JO, event_id="twice")
    assert (other.duplicate, other.refused and other.refused.code) == (False, "rate-limit")
    # What was claimed does not hide what the host vouches for.
    assert not capture.explain("act:cm:rare", **JO, event_id="once", verified=True).duplicate
    assert not capture.explain("act:cm:rare", email="al@example.com", event_id="once").duplicate


def test_who_it_is_about_is_told(capture: Capture) -> None:
    session = capture.identify(**JO, ei="4711").session
    for named in (
        JO,
        {"ei": "4711"},
        {"session": session},
        {"session": session, "verified": False},
    ):
        assert capture.explain("act:cm:login", **named).person == capture.person(**JO)
    token = capture.sign_identity("al@example.com")
    assert capture.explain("act:cm:paid", identity=token).refused is None
    assert capture.explain("act:cm:paid", session=session, **JO, verified=True).refused is None


def test_nothing_comes_of_asking(capture: Capture, backends: Backends) -> None:
    for _ in range(200):
        capture.explain("act:cm:rare", email="new@example.com", ip=IP, event_id="e")
        capture.explain("act:cm:off", {"x": 1}, ip=IP)

    assert capture.person("new@example.com") is None
    assert backends.journal.latest() == []
    assert backends.outcomes is not None
    assert backends.outcomes.counts() == {}
    assert capture.record(None, "act:cm:rare", person={"email": "new@example.com"}, ip=IP)


def test_what_is_no_request_at_all_is_refused(capture: Capture) -> None:
    with pytest.raises(MalformedRequest):
        capture.explain("act:cm:login", **JO, event_id="a b")
    with pytest.raises(MalformedRequest):
        capture.explain("act:cm:login", email="no address", verified=True)


def test_a_limiter_that_is_away_is_said(capture: Capture, backends: Backends) -> None:
    class Away:
        def taken(self, *_: object) -> int:
            raise BackendError("away")

    def raises(look: Callable[[], object]) -> None:
        with pytest.raises(BackendError):
            look()

    gone = replace(backends, limiter=Away())  # type: ignore[arg-type]
    asked = Capture(backends=gone, settings=capture.settings)
    raises(lambda: asked.explain("act:cm:login", **JO))


def test_an_explanation_is_plain_data_too(capture: Capture) -> None:
    steps = capture.explain("act:cm:login", {"str:cm:plan": 1}, **JO).steps

    assert steps[0].plain() == {
        "row": 7,
        "check": "capture key and origin",
        "ok": True,
        "code": None,
        "reason": None,
        "field": None,
        "expected": None,
    }
    assert steps[3].plain() | {"expected": ""} == {
        "row": 10,
        "check": "attributes",
        "ok": False,
        "code": "bad-attribute",
        "reason": "wrong-value",
        "field": "str:cm:plan",
        "expected": "",
    }
