"""How an activity reads in a feed: its definition's text, with the values in their places.

The law of this file: plain text goes out, in one line; a value that is not there is an ellipsis.
Which values may be shown is for the caller to decide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .model import Definition, places_of

#: Stands in place of a value that is not there.
MISSING = "…"


def sentence(definition: Definition, attributes: Mapping[str, Any]) -> str:
    """Return the text of ``shown_as`` with these values in their places, else the name."""
    if definition.shown_as is None:
        return definition.name
    parts = places_of(definition.shown_as)
    parts[1::2] = [in_words(attributes.get(key)) for key in parts[1::2]]
    return " ".join("".join(parts).split())


def in_words(value: Any) -> str:
    """Return an attribute's value as people read it: ``yes``, ``2026-07-31``, ``a, b``."""
    match value:
        case None:
            return MISSING
        case bool():
            return "yes" if value else "no"
        case {"year": year, "month": month, "day": day}:
            return f"{year:04}-{month:02}-{day:02}"
        case {"n": number, **rest}:
            code = rest.get("c")
            return f"+{code} {number}" if code else str(number)
        case {"name": name, **rest} if not rest:
            return str(name)
        case list():
            return ", ".join(map(in_words, value))
        case dict():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)
