"""Definitions as people write them: the text of a JSON or TOML file to values, and back.

The law of this file: pure functions of the text; no file is opened here. Everything that is wrong
is found at once, and each problem says where it is, in which activity, and what would be right.
Each rule has one home: the shape is the JSON Schema's, what an id, a key or a limit may be is the
model's. What is written reads back equal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from .errors import ConfigurationError
from .located import Located, Place, Unreadable, read_json, read_toml
from .model import MAX_ID, Attribute, Definition, Quota

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

#: Longer values are cut short where a message shows them.
SHOWN = 60


def _table(required: list[str], members: dict[str, Any]) -> dict[str, Any]:
    shape = {"properties": members, "required": required, "additionalProperties": False}
    return {"type": "object", **shape}


def _text(description: str, **more: str) -> dict[str, Any]:
    """The schema of a string; a lone surrogate, which no file can hold, is none."""
    pattern = r"^[^\ud800-\udfff]*$"
    return {"type": "string", "pattern": pattern, "description": description, **more}


_FLAG = {"type": "boolean", "description": "true or false"}
_LIMIT = _text('a limit such as "20/day"', format="limit")
_ATTRIBUTE = _table(
    ["key"],
    {
        "key": _text('a key such as "str:cm:payment-plan"', format="attribute-key"),
        "name": _text("a name people can read, in quotes"),
        "required": _FLAG,
        "sensitive": _FLAG,
    },
) | {
    "type": ["string", "object"],
    "format": "attribute-key",
    "description": 'a key such as "str:cm:payment-plan", or an object with a key',
}
_ACTIVITY = _table(
    ["id", "name"],
    {
        "id": _text('an id such as "act:cm:login", in quotes', format="activity-id"),
        "name": _text(
            "a name people can read, in quotes", pattern=r"^[^\ud800-\udfff]*[^\s\ud800-\udfff]"
        ),
        "client_side": _FLAG,
        "attributes": {
            "type": "array",
            "items": _ATTRIBUTE,
            "description": 'a list of attributes such as ["str::email"]',
        },
        "limits": _table([], {"person": _LIMIT, "ip": _LIMIT})
        | {"type": ["object", "null"], "description": 'limits such as {"person": "20/day"}'},
        "unknown_attributes": {
            "enum": ["reject", "drop"],
            "description": '"reject" or "drop"',
        },
        "icon": _text("a name for a picture, in quotes") | {"type": ["string", "null"]},
        "archived": _FLAG,
    },
) | {"description": "an object with an id and a name"}

#: The whole file as JSON Schema, draft 2020-12; a TOML file is checked as the JSON it stands for.
FILE_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Definitions of activities",
    "description": 'an object such as {"activities": [...]}',
    **_table(
        [],
        {
            "activities": {
                "type": "array",
                "items": _ACTIVITY,
                "description": "a list of activities (in TOML, each under [[activities]])",
            }
        },
    ),
}

_MODEL: dict[str, Callable[[str], object]] = {
    "activity-id": lambda value: Definition(value, "x"),
    "attribute-key": Attribute,
    "limit": Quota.parse,
}


def _validator() -> Validator:
    """``jsonschema`` on the file's schema, with the model's rules as formats; fetches nothing."""
    # Imported on use: it takes 120 ms, and importing this package must stay cheap.
    from jsonschema import Draft202012Validator, FormatChecker
    from referencing import Registry

    formats = FormatChecker(formats=())
    for name, build in _MODEL.items():
        formats.checks(name, ConfigurationError)(
            lambda value, build=build: not isinstance(value, str) or bool(build(value))
        )
    return Draft202012Validator(FILE_SCHEMA, format_checker=formats, registry=Registry())


def parse_definitions(data: bytes, name: str, *, toml: bool = False) -> list[Definition]:
    """Read the content of a definition file, in the order of the file.

    :param name: what to call the file in messages.
    :raises ConfigurationError: listing everything that is wrong, one problem a line, each as
        ``file:line: activity: member: what is wrong; what would be right``.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        words = "this is not UTF-8; save the file in that encoding"
        raise ConfigurationError("activities", f"{name}:{line}: {words}") from None
    try:
        located = (read_toml if toml else read_json)(text)
    except Unreadable as error:
        raise ConfigurationError("activities", f"{name}{error}") from None
    report = _Report(name, located)
    for place, line in located.twice:
        report.add(place, "written twice in one object; remove one", line)
    report.check_shape()
    report.check_unique()
    if report.found:
        raise ConfigurationError("activities", "\n".join(text for _, text in sorted(report.found)))
    return [_definition(members) for members in located.plain.get("activities", ())]


def _definition(members: dict[str, Any]) -> Definition:
    attributes = [
        Attribute(each) if isinstance(each, str) else Attribute(**each)
        for each in members.get("attributes", ())
    ]
    return Definition(**{**members, "attributes": attributes})


class _Report:
    """What is wrong with one file."""

    def __init__(self, name: str, located: Located) -> None:
        self.name = name
        self.plain = located.plain
        self.lines = located.lines
        #: Problems with their lines, 0 where unknown.
        self.found: set[tuple[int, str]] = set()

    def add(self, place: Place, words: str, line: int | None = None) -> None:
        """Note a problem, at the line of the nearest place around it that is known."""
        if line is None:
            line = self.line(place)
        where = f"{self.name}:{line}" if line else self.name
        self.found.add((line, ": ".join([where, *self._names(place), words])))

    def line(self, place: Place) -> int:
        """The line of this place, or of what it is in; 0 when neither is known."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 0)

    def _names(self, place: Place) -> list[str]:
        """The place in words: the activity's id, the attribute's key, the member."""
        names = []
        value = self.plain
        for number, step in enumerate(place):
            value = _inside(value, step)
            if isinstance(step, int):
                noun, key = ("activity", "id") if number == 1 else ("attribute", "key")
                own = value if number > 1 and isinstance(value, str) else _inside(value, key)
                readable = isinstance(own, str) and own.isprintable() and 0 < len(own) <= MAX_ID
                names.append(own if readable else f"{noun} {step + 1}")
            elif step not in ("activities", "attributes") or number == len(place) - 1:
                names.append(step if step.isidentifier() else _shown(step))
        return names

    def check_shape(self) -> None:
        """Everything that the schema and the model's rules can say."""
        error: Any
        for error in _validator().iter_errors(self.plain):
            place = tuple(error.absolute_path)
            schema = error.schema
            members = schema.get("properties", {})
            if error.validator == "required":
                for name in schema["required"]:
                    if name not in error.instance:
                        example = members[name]["description"]
                        self.add((*place, name), f"missing; write {example}")
            elif error.validator == "additionalProperties":
                for name in error.instance:
                    if name not in members:
                        self.add((*place, name), _no_such_member(name, list(members)))
            elif isinstance(error.cause, ConfigurationError):
                self.add(place, str(error.cause).removeprefix(f"{error.cause.field}: "))
            else:
                self.add(place, f"write {schema['description']}, not {_shown(error.instance)}")

    def check_unique(self) -> None:
        """Ids in the file, and keys in each activity, occur once."""
        activities = _list(_inside(self.plain, "activities"))
        self._once(("activities",), [_inside(each, "id") for each in activities])
        for number, activity in enumerate(activities):
            attributes = _list(_inside(activity, "attributes"))
            keys = [each if isinstance(each, str) else _inside(each, "key") for each in attributes]
            self._once(("activities", number, "attributes"), keys)

    def _once(self, place: Place, names: list[Any]) -> None:
        first: dict[str, int] = {}
        for number, name in enumerate(names):
            if isinstance(name, str) and first.setdefault(name, number) != number:
                line = self.line((*place, first[name]))
                above = f" in line {line}" if line else ""
                self.add((*place, number), f"defined already{above}; remove one of the two")


def _inside(value: Any, step: str | int) -> Any:
    """The member or item of ``value``, or None when it has none such."""
    try:
        return value[step]
    except (KeyError, IndexError, TypeError):
        return None


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> str:
    """A value for a message, on one line and not long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if not text.isprintable():
        text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _no_such_member(name: str, members: list[str]) -> str:
    if near := get_close_matches(name[:SHOWN], members, 1):
        return f"no such member; did you mean {near[0]}?"
    return f"no such member; there are {', '.join(members)}"


# -- writing


def format_definitions(definitions: Iterable[Definition]) -> bytes:
    """The file for these definitions: JSON by id, without the members that have their default."""
    ordered = sorted(definitions, key=lambda definition: definition.id)
    file = {"activities": [_members(definition) for definition in ordered]}
    text = json.dumps(file, ensure_ascii=False, indent=2)
    # A lone surrogate becomes JSON's escape for it, which reading then refuses by name.
    return f"{text}\n".encode(errors="backslashreplace")


def _members(definition: Definition) -> dict[str, Any]:
    members = _given(definition)
    if "attributes" in members:
        members["attributes"] = [_attribute(each) for each in definition.attributes]
    if definition.limits is not None:
        members["limits"] = dict(definition.limits)
    return members


def _attribute(attribute: Attribute) -> str | dict[str, Any]:
    members = _given(attribute)
    if attribute == Attribute(attribute.key, "", attribute.required, attribute.sensitive):
        del members["name"]
    return members if len(members) > 1 else attribute.key


def _given(value: Definition | Attribute) -> dict[str, Any]:
    every = {each.name: (getattr(value, each.name), each.default) for each in fields(value)}
    return {name: value for name, (value, default) in every.items() if value != default}
