"""Definitions as people write them: the text of a JSON or TOML file to values, and back.

The law of this file: pure functions of the text; no file is opened here. Everything that is wrong
with the content is found at once, and each problem says where it is and what would be right. What
an id, a key or a limit may be is the model's to say. What is written reads back equal.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from types import NoneType
from typing import Any, NamedTuple

from .errors import ConfigurationError
from .model import MAX_ID, Attribute, Definition, Quota

#: What is wrong most often where a parser gives up.
_ADVICE = "put text in quotes; JSON has no comments, and no comma after the last member"
#: In the place of a problem: an id or a key beside a number.
_OWN = re.compile(r" \([^()]*\)")


def _whole(text: str) -> bool:
    """Tell whether UTF-8 can hold the text; JSON has escapes for half a character."""
    return text == text.encode(errors="replace").decode()


class _Shape(NamedTuple):
    """What a value may be.

    :param words: what to write.
    :param rule: returns something false, or raises what the model says, for wrong text.
    :param members: of an object; only the ``required`` ones must be there.
    :param items: of a list, each with an id or key of its own.
    """

    kinds: tuple[type, ...]
    words: str
    rule: Callable[[str], object] = _whole
    members: Mapping[str, _Shape] = {}
    required: tuple[str, ...] = ()
    items: _Shape | None = None


_FLAG = _Shape((bool,), "true or false")
_NAME = _Shape((str,), "a name people can read, in quotes")
_LIMIT = _Shape((str,), 'a limit such as "20/day"', Quota.parse)
_LIMITS = {"person": _LIMIT, "ip": _LIMIT}
_KEY = _Shape((str,), 'a key such as "str:cm:payment-plan"', Attribute)
_ATTRIBUTE = _KEY._replace(
    kinds=(str, dict),
    words=f"{_KEY.words}, or an object with a key",
    members={"key": _KEY, "name": _NAME, "required": _FLAG, "sensitive": _FLAG},
    required=("key",),
)
_ACTIVITY = _Shape(
    (dict,),
    "an object with an id and a name",
    members={
        "id": _Shape((str,), 'an id such as "act:cm:login"', lambda text: Definition(text, "x")),
        "name": _NAME._replace(rule=lambda text: text.strip() and _whole(text)),
        "client_side": _FLAG,
        "attributes": _Shape((list,), 'a list such as ["str::email"]', items=_ATTRIBUTE),
        "limits": _Shape((dict, NoneType), 'limits such as {"ip": "9/hour"}', members=_LIMITS),
        "unknown_attributes": _Shape((str,), '"reject" or "drop"', ("reject", "drop").__contains__),
        "icon": _Shape((str, NoneType), "a name for a picture, in quotes"),
        "archived": _FLAG,
        "needs": _Shape((str,), '"claimed" or "verified"', ("claimed", "verified").__contains__),
        "shown_as": _Shape((str, NoneType), 'a text such as "Placed order #{str:cm:order-id}"'),
    },
    required=("id", "name"),
)
_ACTIVITIES = _Shape((list,), "a list (in TOML, each as [[activities]])", items=_ACTIVITY)
_FILE = _Shape((dict,), "an object with activities", members={"activities": _ACTIVITIES})


def parse_definitions(data: bytes, name: str) -> list[Definition]:
    """Read the content of a definition file, in the order of the file.

    :param name: what to call the file in messages; it is TOML when this ends in ``.toml``.
    :raises ConfigurationError: listing everything that is wrong, one problem a line, each as
        ``file: activities[3] (act:cm:login): member: what is wrong; what would be right``.
    """
    toml = name.endswith(".toml")
    try:
        text = data.decode("utf-8-sig")
        file: Any = tomllib.loads(text) if toml else json.loads(text, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        words = f"{name}: this is no {'TOML' if toml else 'JSON'} in UTF-8: {error}; {_ADVICE}"
        raise ConfigurationError("activities", words) from error
    if problems := [f"{place}: {words}" for place, words in _problems(file, _FILE, name)]:
        raise ConfigurationError("activities", "\n".join(problems))
    made = []
    for number, each in enumerate(file.get("activities", [])):
        attributes = each.get("attributes", ())
        each["attributes"] = [Attribute(**a) if isinstance(a, dict) else a for a in attributes]
        try:
            made.append(Definition(**each))
        except ConfigurationError as error:
            # What only the whole of it tells: a text names an attribute that it does not have.
            problems.append(f"{name}: activities[{number}] ({each['id']}): {error}")
    if problems:
        raise ConfigurationError("activities", "\n".join(problems))
    return made


def parse_definition(value: Any) -> Definition:
    """Read one definition, given as plain JSON types.

    :raises ConfigurationError: for the first thing that is wrong: ``field`` names the member, such
        as ``limits.person`` or ``attributes[0].name``, and the message says what would be right.
    """
    if problem := next(_problems(value, _ACTIVITY, ""), None):
        place, words = problem
        # The key of an attribute stands beside its number for people.
        members = _OWN.sub("", place.removeprefix(": ")).replace(": ", ".")
        raise ConfigurationError(members or "definition", words)
    given = dict(value)
    attributes = given.get("attributes", ())
    given["attributes"] = [Attribute(**a) if isinstance(a, dict) else a for a in attributes]
    return Definition(**given)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; ``json`` itself keeps the last of two without a word."""
    members = dict(pairs)
    if len(members) < len(pairs):
        names = ", ".join(_shown(name) for name, _ in pairs)
        raise ValueError(f"one object has the members {names}, and may have each once")
    return members


def _problems(value: Any, shape: _Shape, place: str) -> Iterator[tuple[str, str]]:
    """Find everything that is wrong with a value and with what it holds: where, and in words."""
    try:
        fits = isinstance(value, shape.kinds) and (not isinstance(value, str) or shape.rule(value))
        wrong = "" if fits else f"write {shape.words}, not {_shown(value)}"
    except ConfigurationError as error:
        wrong = str(error).removeprefix(f"{error.field}: ")
    if wrong:
        yield place, wrong
    elif isinstance(value, dict):
        for name in shape.required:
            if name not in value:
                yield f"{place}: {name}", f"missing; write {shape.members[name].words}"
        for name, inner in value.items():
            if name in shape.members:
                yield from _problems(inner, shape.members[name], f"{place}: {name}")
            else:
                known = ", ".join(shape.members)
                yield f"{place}: {_shown(name)}", f"unknown; there are {known}"
    elif shape.items is not None:
        seen = set()
        for number, item in enumerate(value):
            own = _own(item)
            here = f"{place}[{number}] ({own})" if own else f"{place}[{number}]"
            if own and own in seen:
                yield here, "defined twice; remove one of the two"
            seen.add(own)
            yield from _problems(item, shape.items, here)


def _own(item: Any) -> str:
    """Return the id of an activity, or the key of an attribute, where it is fit to be shown."""
    own = item.get("id", item.get("key")) if isinstance(item, dict) else item
    return own if isinstance(own, str) and own.isprintable() and len(own) <= MAX_ID else ""


def _shown(value: Any) -> str:
    """Return a value for a message: on one line, and not long."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:60]}…"


def format_definitions(definitions: Iterable[Definition]) -> bytes:
    """Write the file for these definitions: JSON by id, without members that have their default."""
    ordered = sorted(definitions, key=lambda definition: definition.id)
    text = json.dumps({"activities": ordered}, default=_plain, ensure_ascii=False, indent=2)
    # A lone surrogate becomes JSON's escape for it, which reading then refuses by name.
    return f"{text}\n".encode(errors="backslashreplace")


def _plain(value: Definition | Attribute | Mapping[str, str]) -> Any:
    """Return what ``json`` writes for a value of ours; an attribute may be its bare key."""
    if isinstance(value, Mapping):
        return dict(value)
    every = {each.name: (getattr(value, each.name), each.default) for each in fields(value)}
    members = {name: given for name, (given, default) in every.items() if given != default}
    if isinstance(value, Attribute) and value.name == Attribute(value.key).name:
        del members["name"]
    return members["key"] if list(members) == ["key"] else members
