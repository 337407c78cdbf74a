"""``activities`` and ``schema``: what may happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from operator import itemgetter
from typing import Any

import click

from .. import Attribute, Backends, ConfigurationError, Definition
from ..schema import example, json_schema
from .account import Account, Failed, Group, with_account
from .show import Column, Table, document, hint, json_option, safe, say


@click.group(cls=Group)
def activities() -> None:
    """What visitors may do, and what each activity may carry."""


def one(backends: Backends, activity_id: str) -> Definition:
    """The definition with exactly this id, or an end that names those that look like it."""
    found = backends.definitions.get(activity_id)
    if found is not None:
        return found
    # By slug: what stands before it is much the same in all of them.
    slugs = {each.id: each.id.rpartition(":")[2] for each in backends.definitions.all()}
    close = get_close_matches(activity_id.rpartition(":")[2], slugs.values())
    alike = [each for each, slug in slugs.items() if slug in close]
    said = f"no activity has the id {activity_id!r}"
    raise Failed(f"{said}; did you mean {' or '.join(alike)}?" if alike else said)


def _state(each: dict[str, Any]) -> str:
    return "archived" if each["archived"] else "on" if each["client_side"] else "off"


_COLUMNS = [
    Column("ID", itemgetter("id"), "bold"),
    Column("STATE", _state),
    Column("NAME", itemgetter("name")),
    Column(
        "ATTRIBUTES",
        lambda each: " ".join(a["key"] + "*" * a["required"] for a in each["attributes"]),
    ),
]


@activities.command("list")
@json_option
@with_account
def list_(account: Account, as_json: bool) -> None:
    """List all of them; * marks a required attribute."""
    rows = [asdict(each) for each in account.backends.definitions.all()]
    if not Table(_COLUMNS, as_json=as_json).show(rows):
        hint("None yet. For example: ortto-capture activities add act:cm:login --client-side")


@activities.command()
@click.argument("activity")
@json_option
@with_account
def show(account: Account, activity: str, as_json: bool) -> None:
    """Show one, as the definition file has it, and the code that reports it."""
    found = one(account.backends, activity)
    say(document(asdict(found), indent=None if as_json else 2))
    if not as_json:
        attributes = example(found, account.settings.max_attributes)
        call = {"activity_id": found.id, "attributes": attributes}
        say(f"ap3c.activity({document(call)});")


def _attribute(text: str) -> Attribute:
    """``KEY[=NAME][,required][,sensitive]``; a name may hold commas."""
    flags = set()
    while (parts := text.rpartition(","))[2] in ("required", "sensitive"):
        flags.add(parts[2])
        text = parts[0]
    key, _, name = text.partition("=")
    try:
        return Attribute(key, name, "required" in flags, "sensitive" in flags)
    except ConfigurationError as error:
        raise click.BadParameter(safe(str(error))) from error


@activities.command()
@click.argument("activity")
@click.option("--name", help="What people read; made from the id when left out.")
@click.option("--client-side", is_flag=True, help="Let websites send it.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="KEY[=NAME][,required][,sensitive]",
    type=_attribute,
    help='What it may carry, such as "str:cm:plan=Plan,required". May be repeated.',
)
@click.option(
    "--drop-unknown",
    "unknown_attributes",
    flag_value="drop",
    default="reject",
    help="Leave undeclared attributes out, not refuse.",
)
@click.option("--person-limit", metavar="LIMIT", help='Its own limit, such as "20/day".')
@click.option("--ip-limit", metavar="LIMIT", help='Its own limit, such as "500/hour".')
@click.option(
    "--needs-verified",
    "needs",
    flag_value="verified",
    default="claimed",
    help="Refuse it of visitors for whom the host does not vouch.",
)
@click.option("--replace", "replacing", is_flag=True, help="Even if there is one with this id.")
@with_account
def add(
    account: Account,
    /,
    activity: str,
    name: str | None,
    person_limit: str | None,
    ip_limit: str | None,
    replacing: bool,
    **members: Any,
) -> None:
    """Define one."""
    limits = {"person": person_limit, "ip": ip_limit}
    members["limits"] = {kind: limit for kind, limit in limits.items() if limit} or None
    slug = activity.rpartition(":")[2].replace("-", " ").replace("_", " ")
    name = name or slug[:1].upper() + slug[1:]
    try:
        new = Definition(activity, name, **members)
    except ConfigurationError as error:
        raise click.UsageError(safe(str(error))) from error
    definitions = account.create().definitions
    if definitions.get(activity) is not None and not replacing:
        raise Failed(f"{activity} is defined already; --replace defines it anew")
    definitions.put(new)
    say(f"{activity} is defined, and {'on' if new.client_side else 'off'}")
    if not new.client_side:
        hint(f"Websites may send it after: ortto-capture activities enable {activity}")


def _changing(name: str, text: str, said: str, change: Mapping[str, Any]) -> None:
    """Add the command ``name``, which makes the same change to each activity named."""

    @activities.command(name, help=text)
    @click.argument("activity", nargs=-1, required=True)
    @with_account
    def changing(account: Account, activity: Sequence[str]) -> None:
        backends = account.backends
        # All are looked up first: a wrong name changes nothing.
        for found in [one(backends, each) for each in activity]:
            changed = replace(found, **change)
            if changed != found:
                backends.definitions.put(changed)
            say(f"{found.id} is {said}")


_changing(
    "enable",
    "Let websites send them; brings archived ones back.",
    "on",
    {"client_side": True, "archived": False},
)
_changing("disable", "Let websites send them no longer.", "off", {"client_side": False})
_changing("archive", "Put them away; their history stays.", "archived", {"archived": True})


@click.command()
@click.argument("activity")
@json_option
@with_account
def schema(account: Account, activity: str, as_json: bool) -> None:
    """Print the JSON Schema of an activity's attributes."""
    found = json_schema(one(account.backends, activity), account.settings.max_attributes)
    say(document(found, indent=None if as_json else 2))
