"""Activities as classes: what they declare, what they carry, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal, Optional

import pytest

from ortto_capture import (
    ActivityType,
    Attribute,
    Capture,
    ConfigurationError,
    Definition,
    InvalidAttributes,
    Settings,
    attribute,
)
from ortto_capture.backends.memory import MemoryBackends
from ortto_capture.testing import FakeClock

JO = {"email": "jo@example.com"}


class LoggedIn(ActivityType):
    """Everything else is made from the name."""


class Bought(ActivityType, client_side=True):
    price: int
    plan: Literal["free", "pro"] = attribute("str:cm:payment-plan", name="Plan")
    gift: bool = False
    voucher: str | None = None
    email: str | None = attribute("str::email", default=None, sensitive=True)


class AnHTTPCallFailed3Times(ActivityType):
    """Its name has words that are hard to tell."""


@pytest.fixture
def capture() -> Capture:
    """An account that knows what the classes say."""
    settings = Settings(secret_keys=["a secret of a test, of more than 32 bytes"])
    backends = MemoryBackends()
    backends.definitions.declare([LoggedIn.definition, Bought.definition])
    return Capture(backends=backends, settings=settings, clock=FakeClock())


def test_a_class_says_what_a_definition_says() -> None:
    assert Bought.definition == Definition(
        "act:cm:bought",
        "Bought",
        client_side=True,
        attributes=[
            Attribute("int:cm:price", required=True),
            Attribute("str:cm:payment-plan", "Plan", required=True),
            Attribute("bol:cm:gift"),
            Attribute("str:cm:voucher"),
            Attribute("str::email", sensitive=True),
        ],
    )


def test_everything_that_a_definition_has_can_be_said() -> None:
    class Paid(
        ActivityType,
        id="act:shop:paid-order",
        name="An order was paid",
        client_side=True,
        limits={"person": "20/day"},
        unknown_attributes="drop",
        icon="coin",
        needs="verified",
    ):
        pass

    assert Paid.definition == Definition(
        "act:shop:paid-order",
        "An order was paid",
        client_side=True,
        limits={"person": "20/day"},
        unknown_attributes="drop",
        icon="coin",
        needs="verified",
    )


@pytest.mark.parametrize(
    ("kind", "id_", "name"),
    [
        (LoggedIn, "act:cm:logged-in", "Logged in"),
        (Bought, "act:cm:bought", "Bought"),
        (AnHTTPCallFailed3Times, "act:cm:an-http-call-failed3-times", "An http call failed3 times"),
    ],
)
def test_id_and_name_are_made_from_the_name_of_the_class(
    kind: type[ActivityType], id_: str, name: str
) -> None:
    assert (kind.definition.id, kind.definition.name) == (id_, name)


def test_an_activity_carries_its_values_by_key() -> None:
    assert LoggedIn().attributes == {}
    assert LoggedIn().activity_id == "act:cm:logged-in"
    assert Bought(price=12, plan="pro").attributes == {
        "int:cm:price": 12,
        "str:cm:payment-plan": "pro",
        "bol:cm:gift": False,
    }
    assert Bought(price=12, plan="pro", email="jo@example.com").attributes["str::email"] == (
        "jo@example.com"
    )


def test_an_activity_is_a_value() -> None:
    bought = Bought(price=12, plan="pro")

    assert bought == Bought(price=12, plan="pro") != Bought(price=13, plan="pro")
    assert len({bought, Bought(price=12, plan="pro")}) == 1
    assert repr(bought).startswith("Bought(price=12, plan='pro'")
    with pytest.raises(FrozenInstanceError):
        bought.price = 1  # type: ignore[misc]


class Visited(ActivityType):
    on: date
    at: datetime


def test_a_datetime_is_what_its_attribute_holds() -> None:
    noon = datetime(2026, 7, 31, 12, tzinfo=UTC)

    assert Visited(on=noon, at=noon).attributes == {
        "dtz:cm:on": {"year": 2026, "month": 7, "day": 31},
        "tme:cm:at": "2026-07-31T12:00:00+00:00",
    }


class Everything(ActivityType):
    text: str
    number: int
    flag: bool
    day: date
    moment: datetime
    several: list[str]
    more: Sequence[str]
    pair: tuple[str, ...]
    details: dict[str, Any]
    others: Mapping[str, Any]
    comment: str = attribute("txt:cm:comment")
    tags: list[str] = attribute("sst:cm:tags")
    phone: dict[str, str] = attribute("phn:cm:phone")
    where: dict[str, str] = attribute("geo:cm:where")
    maybe: Optional[int] = None  # noqa: UP045  # also how it was written before


EVERYTHING = Everything(
    text="text",
    number=3,
    flag=True,
    day=date(2026, 7, 31),
    moment=datetime(2026, 7, 31, 12, tzinfo=timezone(timedelta(hours=2))),
    several=["a"],
    more=("b", "c"),
    pair=("d",),
    details={"a": 1},
    others={"b": 2},
    comment="long",
    tags=["e"],
    phone={"c": "61", "n": "0401 234-567"},
    where={"name": "Bergen"},
)


def test_each_type_of_value_is_written_as_json_has_it(capture: Capture) -> None:
    assert EVERYTHING.attributes == {
        "str:cm:text": "text",
        "int:cm:number": 3,
        "bol:cm:flag": True,
        "dtz:cm:day": {"year": 2026, "month": 7, "day": 31},
        "tme:cm:moment": "2026-07-31T12:00:00+02:00",
        "stl:cm:several": ["a"],
        "stl:cm:more": ["b", "c"],
        "stl:cm:pair": ["d"],
        "obj:cm:details": {"a": 1},
        "obj:cm:others": {"b": 2},
        "txt:cm:comment": "long",
        "sst:cm:tags": ["e"],
        "phn:cm:phone": {"c": "61", "n": "0401 234-567"},
        "geo:cm:where": {"name": "Bergen"},
    }


def test_whatever_fits_the_class_is_accepted(capture: Capture) -> None:
    """The types of Python and those of the contract are one thing."""
    everything = replace(Everything.definition, client_side=True)
    capture.backends.definitions.declare([everything])
    stored = capture.record(None, EVERYTHING, person=JO)

    assert dict(stored.attributes) == EVERYTHING.attributes


def test_what_the_types_of_python_cannot_say_is_refused_when_it_is_recorded(
    capture: Capture,
) -> None:
    bought = Bought(price=1, plan="free", voucher="x" * 256)

    with pytest.raises(InvalidAttributes):
        capture.record(None, bought, person=JO)


def test_a_class_can_build_on_another() -> None:
    class BoughtAgain(Bought, id="act:cm:again"):
        times: int

    assert [each.key for each in BoughtAgain.definition.attributes] == [
        *[each.key for each in Bought.definition.attributes],
        "int:cm:times",
    ]
    assert BoughtAgain.definition.name == "Bought again"
    assert not BoughtAgain.definition.client_side
    assert BoughtAgain(price=1, plan="free", times=2).attributes["int:cm:times"] == 2


@pytest.mark.parametrize(
    ("annotation", "given", "says"),
    [
        (float, ..., "Wrong: value: <class 'float'> is no type of attributes; there are str"),
        (int | str, ..., "is no type of attributes"),
        (Literal["a", 1], ..., "is no type of attributes"),
        (None, ..., "is no type of attributes"),
        (str, attribute("int:cm:value"), "int:cm:value is declared with a type that is str or txt"),
        (str, attribute("value"), "Wrong: attribute: 'value' is not type:namespace:slug"),
        (str, attribute("str:cm:other"), "Wrong: attributes: declared twice: str:cm:other"),
        ("Nowhere", ..., "name 'Nowhere' is not defined; import it for the program"),
    ],
)
def test_what_is_wrong_with_a_class_is_said_when_it_is_made(
    annotation: Any, given: Any, says: str
) -> None:
    members = {"__annotations__": {"other": str, "value": annotation}, "__module__": __name__}
    if given is not ...:
        members["value"] = given
    with pytest.raises(ConfigurationError) as refused:
        type("Wrong", (ActivityType,), members)

    assert says in str(refused.value)


@pytest.mark.parametrize("name", ["definition", "activity_id", "attributes"])
def test_what_an_activity_has_already_is_no_name_of_an_attribute(name: str) -> None:
    members = {"__annotations__": {name: str}, "__module__": __name__}
    with pytest.raises(ConfigurationError, match=f"Wrong: {name}: name it otherwise"):
        type("Wrong", (ActivityType,), members)


def test_an_id_that_is_none_names_the_class() -> None:
    with pytest.raises(ConfigurationError, match="Wrong: id: 'login' is not act:namespace:slug"):

        class Wrong(ActivityType, id="login"):
            pass


def test_declared_again_nothing_changes(capture: Capture) -> None:
    before = capture.backends.definitions.all()
    capture.backends.definitions.declare([Bought.definition])

    assert capture.backends.definitions.all() == before


def test_a_time_without_an_offset_is_refused_with_what_is_expected(capture: Capture) -> None:
    class Happened(ActivityType, client_side=True):
        at: datetime

    capture.backends.definitions.declare([Happened.definition])
    naive = Happened(at=datetime(2026, 7, 31, 12, tzinfo=UTC).replace(tzinfo=None))

    with pytest.raises(InvalidAttributes, match="with an offset or Z"):
        capture.record(None, naive, person=JO)


def test_a_choice_may_be_left_out() -> None:
    class Chosen(ActivityType):
        plan: Literal["free", "pro"] | None = None

    assert Chosen.definition.attributes == (Attribute("str:cm:plan"),)


def test_a_server_reports_the_object_itself(capture: Capture) -> None:

    login = capture.record_for(LoggedIn(), email=JO["email"])
    bought = asyncio.run(capture.arecord(Bought(price=3, plan="pro"), email=JO["email"]))

    assert login is not None
    assert bought is not None
    assert [login.activity_id, bought.activity_id] == ["act:cm:logged-in", "act:cm:bought"]
    assert bought.attributes["int:cm:price"] == 3
    unknown = BoughtElsewhere()
    assert capture.record_for(unknown, email=JO["email"], on_refused="log") is None


class BoughtElsewhere(ActivityType):
    """Was not declared."""


def test_an_activity_has_its_attributes_with_it(capture: Capture) -> None:
    with pytest.raises(TypeError, match="has its own attributes"):
        capture.record_for(LoggedIn(), {"int:cm:price": 3}, email=JO["email"])
