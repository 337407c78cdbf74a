"""``activities import``: activities as Ortto describes them, as definitions of ours.

The law of this file: what cannot be taken over is said, one line each, and keeps nothing else from
being taken over. Ids and keys stay as Ortto has them, so that pages need no change.

Ortto has no export of its activities. What there is are the answers of its API, of creating and
changing one (https://help.ortto.com/a-273-create-a-custom-activity-definition-create), and the
bodies of those requests. Any JSON that holds such objects will do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .. import Attribute, ConfigurationError, Definition
from .account import Account, Failed, with_account
from .show import say

#: Ortto's names of types, and the prefixes of their keys.
_PREFIXES = {
    **dict.fromkeys(("text", "email", "link", "url", "single_select", "timezone"), "str"),
    **dict.fromkeys(("language", "str"), "str"),
    **dict.fromkeys(("large_text", "long_text"), "txt"),
    **dict.fromkeys(("integer", "decimal", "currency"), "int"),
    **dict.fromkeys(("bool", "boolean"), "bol"),
    "date": "dtz",
    **dict.fromkeys(("time", "time_and_date", "datetime"), "tme"),
    "phone": "phn",
    "geo": "geo",
    "object": "obj",
    "multi_select": "sst",
    "text_list": "stl",
}
#: Numbers that Ortto keeps as whole ones, times 1000.
_TIMES_1000 = ("decimal", "currency")
#: Members that have a counterpart here, or name what is only Ortto's.
_TAKEN = {"name", "activity_field_id", "attributes", "icon_id", "state"}
_TECHNICAL = {"created_by", "created_by_id", "created_at", "edited_at", "edited_by"}
#: What Ortto sends for an attribute that has no field of its own.
_NO_FIELD = ("", "do-not-map")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--client-side", is_flag=True, help="Let websites send them: Ortto does not say.")
@click.option(
    "--replace",
    "replacing",
    is_flag=True,
    help="Even those whose id is there already; what Ortto does not say stays.",
)
@with_account
def import_(account: Account, file: Path, client_side: bool, replacing: bool) -> None:
    """Take over Ortto's own definitions, from its API's answers."""
    try:
        read = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{file} is no JSON: {error}") from error
    left: list[str] = []
    found = [each for one in _activities(read) for each in _definition(one, client_side, left)]
    if found:
        definitions = account.create().definitions
        seen: set[str] = set()
        for each in found:
            stored = definitions.get(each.id)
            new = _over(stored, each) if stored is not None else each
            if new.id in seen:
                left.append(f"left out: {new.id}: {new.name}: this id comes before it in the file")
            elif replacing or stored is None:
                definitions.put(new)
                say(f"{new.id} is defined, and {'on' if new.client_side else 'off'}")
            else:
                left.append(f"left out: {new.id}: is defined already; --replace defines it anew")
            seen.add(new.id)
    for line in dict.fromkeys(left):
        say(line, err=True)
    if not found:
        raise Failed(f"{file} holds no activity that could be taken over")


def _over(stored: Definition, new: Definition) -> Definition:
    """``new`` with everything of ``stored`` that Ortto does not say."""
    before = {each.key: each for each in stored.attributes}
    attributes = [
        replace(each, required=before[each.key].required, sensitive=before[each.key].sensitive)
        if each.key in before
        else each
        for each in new.attributes
    ]
    return replace(
        stored,
        name=new.name,
        client_side=stored.client_side or new.client_side,
        attributes=attributes,
        icon=new.icon or stored.icon,
        archived=stored.archived or new.archived,
    )


def _activities(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in a JSON value that describes an activity, wherever it stands."""
    if isinstance(value, dict):
        if "activity_field_id" in value or ("name" in value and "attributes" in value):
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _activities(each)


def _definition(one: Mapping[str, Any], client_side: bool, left: list[str]) -> Iterator[Definition]:
    """The definition of one activity, if it can be one; what is left out goes to ``left``."""
    name = str(one.get("name") or one.get("activity_field_id") or "")
    id_ = str(one.get("activity_field_id") or f"act:cm:{_slug(name)}")
    attributes: dict[str, Attribute] = {}
    given = one.get("attributes")
    if not isinstance(given, list | None):
        left.append(f"left out: {id_}: attributes, which are no list")
    for each in given if isinstance(given, list) else ():
        for attribute in _attribute(each, id_, left):
            if attribute.key in attributes:
                said = f"{attribute.name}: {attribute.key} comes before it in the list"
                left.append(f"left out: {id_}: {said}")
            attributes.setdefault(attribute.key, attribute)
    icon = one.get("icon_id")
    try:
        found = Definition(
            id_,
            name,
            client_side,
            list(attributes.values()),
            icon=icon if isinstance(icon, str) else None,
            archived=one.get("state") == "archived",
        )
    except ConfigurationError as error:
        left.append(f"left out: {name or 'an activity'}: {error}")
        return
    others = sorted(one.keys() - _TAKEN - _TECHNICAL)
    left.extend(f"left out: {id_}: {each}" for each in others if one[each])
    yield found


def _attribute(each: Any, id_: str, left: list[str]) -> Iterator[Attribute]:
    """One attribute, if it can be one."""
    if not isinstance(each, dict):
        left.append(f"left out: {id_}: an attribute that is no object")
        return
    name, kind = str(each.get("name") or ""), str(each.get("display_type") or "").lower()
    key = str(each.get("field_id") or "")
    if key in _NO_FIELD:
        key = f"{_PREFIXES.get(kind, kind)}:cm:{_slug(name)}"
    try:
        yield Attribute(key, name)
    except ConfigurationError:
        said = f"{id_}: {name or key}: there is no type like {kind or key!r} here"
        left.append(f"left out: {said}")
        return
    if kind in _TIMES_1000:
        left.append(f"{id_}: {key} is sent times 1000, as to Ortto: 5000 for 5.00")


def _slug(name: str) -> str:
    """The slug that Ortto makes of a name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
