"""Definitions to begin with: what most websites report first.

The law of this file: values only. Each is a definition that would be accepted as it stands, and
every id and key is one that a page could send today.
"""

from __future__ import annotations

from typing import Any

from .shapes import GIVEN_DEFINITION, TEXT, record


def _attribute(key: str, name: str, *, required: bool = False, sensitive: bool = False) -> Any:
    return {"key": key, "name": name, "required": required, "sensitive": sensitive}


#: ``title`` says when to choose it; the rest is a definition.
TEMPLATES: list[dict[str, Any]] = [
    {
        "title": "People log in",
        "id": "act:cm:logged-in",
        "name": "Logged in",
        "icon": "key",
        "attributes": [_attribute("str:cm:plan", "Plan")],
    },
    {
        "title": "People sign up",
        "id": "act:cm:signed-up",
        "name": "Signed up",
        "icon": "person",
        "attributes": [_attribute("str:cm:plan", "Plan"), _attribute("str:cm:source", "Source")],
        "limits": {"person": "1/day"},
    },
    {
        "title": "People buy",
        "id": "act:cm:purchased",
        "name": "Purchased",
        "icon": "cart",
        "attributes": [
            _attribute("str:cm:order-id", "Order", required=True),
            _attribute("int:cm:amount", "Amount × 1,000"),
            _attribute("str:cm:currency", "Currency"),
        ],
        "needs": "verified",
        "shown_as": "Placed order #{str:cm:order-id}",
    },
    {
        "title": "People look at something",
        "id": "act:cm:viewed-product",
        "name": "Viewed a product",
        "icon": "eye",
        "attributes": [_attribute("str:cm:product", "Product", required=True)],
        "limits": {"person": "100/day"},
        "shown_as": "Viewed {str:cm:product}",
    },
    {
        "title": "People put something into the cart",
        "id": "act:cm:added-to-cart",
        "name": "Added to the cart",
        "icon": "cart",
        "attributes": [
            _attribute("str:cm:product", "Product", required=True),
            _attribute("int:cm:quantity", "Quantity"),
        ],
        "shown_as": "Added {str:cm:product} to the cart",
    },
    {
        "title": "People send a form",
        "id": "act:cm:sent-form",
        "name": "Sent a form",
        "icon": "mail",
        "attributes": [
            _attribute("str:cm:form", "Form", required=True),
            _attribute("txt:cm:message", "Message", sensitive=True),
        ],
        "shown_as": "Sent the form {str:cm:form}",
    },
    {
        "title": "People use a feature",
        "id": "act:cm:used-feature",
        "name": "Used a feature",
        "icon": "star",
        "attributes": [_attribute("str:cm:feature", "Feature", required=True)],
        "shown_as": "Used {str:cm:feature}",
    },
    {
        "title": "People cancel",
        "id": "act:cm:cancelled",
        "name": "Cancelled",
        "icon": "flag",
        "attributes": [_attribute("str:cm:plan", "Plan"), _attribute("txt:cm:reason", "Reason")],
        "needs": "verified",
    },
]
TEMPLATE = record(
    {"title": TEXT, "id": GIVEN_DEFINITION["properties"]["id"], "name": TEXT},
    {k: v for k, v in GIVEN_DEFINITION["properties"].items() if k not in ("id", "name")},
)
