"""``types`` and ``docs``: the definitions as TypeScript, and as a page for people.

The law of this file: what is written here follows from the definitions alone, in the order of their
ids, so that it can be kept under version control and compared. What an operator wrote is text:
it ends no comment, no table and no code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import click

from .. import Attribute, Definition
from ..backends.definition_file import read_definitions
from ..schema import example
from .account import Account, destination, output_option, with_account
from .show import safe

_file_argument = click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)

#: A value of each attribute type (contract §6).
_TYPESCRIPT = {
    "str": "string",
    "txt": "string",
    "int": "number",
    "bol": "boolean",
    "dtz": "{ year: number; month: number; day: number; timezone?: string }",
    "tme": "string",
    "phn": "{ c?: string; n: string }",
    "geo": "{ name: string }",
    "sst": "readonly string[]",
    "stl": "readonly string[]",
    "obj": "Members",
}
#: What ``obj`` takes. An interface has no index signature, so it needs the second part; what stands
#: there is of arrays and of functions.
_MEMBERS = "{ [name: string]: unknown } | (object & { concat?: never; bind?: never })"
_WORDS = {
    "str": "text, at most 255 characters",
    "txt": "text, at most 4,000 characters",
    "int": "whole number",
    "bol": "true or false",
    "dtz": "date",
    "tme": "time",
    "phn": "telephone number",
    "geo": "place",
    "sst": "list of texts",
    "stl": "list of texts",
    "obj": "object",
}
#: What the client's own declarations say of an activity, which is: any.
_ANY_ACTIVITY = re.compile(r"^  interface Activity \{\n.*?^  \}\n", re.DOTALL | re.MULTILINE)


def _definitions(account: Account, file: Path | None) -> Sequence[Definition]:
    """Those of a file, or of the account, by id."""
    found = read_definitions(file) if file else account.backends.definitions.all()
    return sorted(found, key=lambda each: each.id)


@click.command()
@_file_argument
@output_option
@with_account
def types(account: Account, file: Path | None, output: Path | None) -> None:
    """Write TypeScript declarations of the activities.

    With them an editor checks each ap3c.activity call. They are those that
    websites may send, in FILE or else in the account.
    """
    text = typescript(_definitions(account, file))
    with destination(output) as written:
        written.write(text)


def typescript(definitions: Sequence[Definition]) -> str:
    """Return the client's declarations with these activities in place of any."""
    own = files("ortto_capture.client").joinpath("app.d.ts").read_text("utf-8")
    sendable = [each for each in definitions if each.client_side and not each.archived]
    lines = [line for each in sendable for line in _declared(each)]
    activities = "\n".join(
        [
            "  /** An object, and neither an array nor a function. */",
            f"  type Members = {_MEMBERS};",
            "",
            "  /** What each activity may carry. */",
            "  interface Attributes {",
            *(f"    {line}" for line in lines),
            "  }",
            "",
            "  /** One of the above; `event_id`: up to 64 of A-Z a-z 0-9 _ -, stored once. */",
            "  type Activity = {",
            "    [Id in keyof Attributes]: { activity_id: Id; event_id?: string } & (",
            "      {} extends Attributes[Id]",
            "        ? { attributes?: Attributes[Id] | null }",
            "        : { attributes: Attributes[Id] }",
            "    );",
            "  }[keyof Attributes];",
            "",
        ]
    )
    written = _ANY_ACTIVITY.sub(lambda _: activities, own)
    return f"// Made by `ortto-capture types`; make it again when a definition changes.\n{written}"


def _declared(definition: Definition) -> Iterator[str]:
    """The member of the interface that stands for one activity."""
    yield f"/** {_comment(definition.name)} */"
    if not definition.attributes:
        taken = "unknown" if definition.unknown_attributes == "drop" else "never"
        yield f"{json.dumps(definition.id)}: {{ [none: string]: {taken} }};"
        return
    yield f"{json.dumps(definition.id)}: {{"
    for each in definition.attributes:
        type_ = _TYPESCRIPT[each.type]
        yield f"  /** {_comment(each.name)} */"
        mark, null = ("", "") if each.required else ("?", " | null")
        yield f"  {json.dumps(each.key)}{mark}: {type_}{null};"
    yield "};"


def _comment(text: str) -> str:
    return safe(text).replace("*/", "*\\/")


@click.command()
@_file_argument
@output_option
@with_account
def docs(account: Account, file: Path | None, output: Path | None) -> None:
    """Write the tracking plan, in Markdown.

    Of all activities in FILE or else in the account.
    """
    text = "\n".join(_page(_definitions(account, file), account))
    with destination(output) as written:
        written.write(text)


def _page(definitions: Sequence[Definition], account: Account) -> Iterator[str]:
    yield "# Tracking plan"
    yield ""
    yield "What visitors may do, and what is kept of it. Made by `ortto-capture docs`."
    yield ""
    yield "| activity | id | |"
    yield "|---|---|---|"
    for each in definitions:
        yield f"| {_text(each.name)} | `{each.id}` | {_state(each)} |"
    yield ""
    for each in definitions:
        yield from _section(each, account)


def _section(definition: Definition, account: Account) -> Iterator[str]:
    yield f"## {_text(definition.name)}"
    yield ""
    limits = dict(definition.limits or {})
    person = limits.get("person", account.settings.person_limit)
    address = limits.get("ip", account.settings.ip_limit)
    yield f"`{definition.id}`: {_state(definition)}."
    yield f"At most {person} for a person, {address} for an address.{_special(definition)}"
    yield ""
    if definition.attributes:
        yield "| attribute | key | value | |"
        yield "|---|---|---|---|"
        for each in definition.attributes:
            yield f"| {_text(each.name)} | `{each.key}` | {_WORDS[each.type]} | {_marks(each)} |"
        yield ""
    if definition.client_side and not definition.archived:
        attributes = example(definition, account.settings.max_attributes)
        call = {"activity_id": definition.id, "attributes": attributes}
        yield "```js"
        yield f"ap3c.activity({json.dumps(call, indent=2)});"
        yield "```"
        yield ""


def _state(definition: Definition) -> str:
    if definition.archived:
        return "put away, no longer accepted"
    return "sent by websites" if definition.client_side else "recorded by the server only"


def _special(definition: Definition) -> str:
    said = ""
    if definition.needs == "verified":
        said += " Only of visitors for whom the host vouches."
    if definition.unknown_attributes == "drop":
        said += " Attributes that are not listed are left out."
    return said


def _marks(attribute: Attribute) -> str:
    marks = {"required": attribute.required, "sensitive": attribute.sensitive}
    return ", ".join(name for name, set_ in marks.items() if set_)


def _text(text: str) -> str:
    """Text as Markdown shows it, also within a table."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", safe(text))
