"""How an activity reads in a feed."""

from __future__ import annotations

from typing import Any

import pytest

from ortto_capture import ConfigurationError, Definition
from ortto_capture.sentence import sentence

KEYS = ["str:cm:order-id", "int:cm:amount", "obj:cm:basket"]


def order(text: str | None) -> Definition:
    return Definition("act:cm:order", "Placed an order", attributes=KEYS, shown_as=text)


def test_without_a_text_an_activity_reads_as_its_name() -> None:
    assert sentence(order(None), {"str:cm:order-id": "A7"}) == "Placed an order"


def test_a_text_holds_values_in_their_places() -> None:
    definition = order("Order {str:cm:order-id} of {int:cm:amount} ({str:cm:order-id})")

    assert sentence(definition, {"str:cm:order-id": "A7", "int:cm:amount": 12}) == (
        "Order A7 of 12 (A7)"
    )
    assert sentence(definition, {"int:cm:amount": None}) == "Order … of … (…)"


def test_a_value_adds_neither_a_line_nor_a_place() -> None:
    value = "A7\n{int:cm:amount}"

    assert sentence(order("Order {str:cm:order-id}"), {"str:cm:order-id": value}) == (
        "Order A7 {int:cm:amount}"
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        ("", ""),
        ({"year": 2026, "month": 7, "day": 1, "timezone": "UTC"}, "2026-07-01"),
        ({"c": "61", "n": "0401 234"}, "+61 0401 234"),
        ({"c": "", "n": "0401 234"}, "0401 234"),
        ({"n": "0401 234"}, "0401 234"),
        ({"name": "Sydney"}, "Sydney"),
        (["red", "blue"], "red, blue"),
        ({"sku": ["é"], "name": "x"}, '{"sku":["é"],"name":"x"}'),
    ],
)
def test_each_kind_of_value_is_read_as_people_write_it(value: Any, words: str) -> None:
    text = sentence(order("Order: {obj:cm:basket}"), {"obj:cm:basket": value})

    assert text == f"Order: {words}".strip()


@pytest.mark.parametrize("text", ["", " ", "Order {", "Order }", "{{str:cm:order-id}}", "x" * 256])
def test_a_text_that_cannot_be_read_back_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="each brace around the key of an attribute"):
        order(text)


@pytest.mark.parametrize("text", ["Order {}", "Order {str:cm:other}", "Order {order id}"])
def test_a_place_for_what_the_activity_does_not_declare_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no attribute of this activity"):
        order(text)
