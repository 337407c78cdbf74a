"""Mistakes of ``definitions``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

from ortto_capture.errors import ConfigurationError
from ortto_capture.model import Definition

from ..dicts import DictDefinitions, HandWrittenDefinitions
from . import common, forgets, wrong


def merges(self: DictDefinitions, definition: Definition) -> None:
    before = self.get(definition.id)
    attributes = [*before.attributes] if before else []
    attributes += [each for each in definition.attributes if each not in attributes]
    DictDefinitions.write(self, replaced(definition, attributes=attributes))


def replaced(definition: Definition, **members: Any) -> Definition:
    return replace(definition, **members)


def keeps_the_first(self: DictDefinitions, definition: Definition) -> None:
    if self.get(definition.id) is None:
        DictDefinitions.write(self, definition)


def caches(self: DictDefinitions, activity_id: str) -> Definition | None:
    found = DictDefinitions.get(self, activity_id)
    cached: Definition | None = self.own.setdefault(activity_id, found)
    return cached


def without(member: str, value: Any) -> Callable[[DictDefinitions, Definition], Definition]:
    return lambda self, definition: replaced(definition, **{member: value})


def attributes_without(member: str) -> Callable[[DictDefinitions, Definition], Definition]:
    changes: dict[str, Any] = {member: False}
    return lambda self, definition: replaced(
        definition, attributes=[replace(each, **changes) for each in definition.attributes]
    )


def copies_all(self: DictDefinitions, definition: Definition) -> None:
    everything = dict(self.rows)
    time.sleep(0.0005)
    everything[definition.id] = definition
    self.medium.rows = everything


def refuses_without_a_place(self: DictDefinitions) -> NoReturn:
    raise ConfigurationError("definitions", "cannot be written")


def only_those(self: DictDefinitions, definitions: Sequence[Definition]) -> None:
    self.rows.clear()
    DictDefinitions.declare(self, definitions)


mistake = partial(wrong, DictDefinitions)

MISTAKES = [
    mistake("looks up lower case", "side_by_side", asked=lambda self, id_: id_.lower()),
    mistake(
        "trims what it looks up",
        "ids_that_differ_in_case_or_spelling",
        asked=lambda self, id_: id_.strip(),
    ),
    mistake("keeps ids without case", "side_by_side", key=lambda self, id_: id_.lower()),
    mistake("cuts ids at 64", "side_by_side", key=lambda self, id_: id_[:64]),
    mistake(
        "takes hyphens for underscores",
        "ids_that_differ_in_case_or_spelling",
        key=lambda self, id_: id_.replace("-", "_"),
    ),
    mistake(
        "ends ids at NUL",
        "ids_that_differ_in_case_or_spelling",
        key=lambda self, id_: id_.split("\0")[0],
    ),
    mistake(
        "looks at the slug alone",
        "ids_that_differ_in_case_or_spelling",
        key=lambda self, id_: id_.rpartition(":")[2],
    ),
    mistake(
        "cannot encode every string", "any_string", asked=lambda self, id_: id_.encode().decode()
    ),
    mistake(
        "fails for what is not an id",
        "any_string",
        asked=lambda self, id_: ":".join(id_.split(":", 2)[index] for index in range(3)),
    ),
    mistake(
        "keeps only the first attribute",
        "exactly_this_id",
        stored=lambda self, each: replaced(each, attributes=each.attributes[:1]),
    ),
    mistake(
        "keeps 15 attributes",
        "keep_their_order",
        stored=lambda self, each: replaced(each, attributes=each.attributes[:15]),
    ),
    mistake(
        "sorts attributes",
        "keep_their_order",
        stored=lambda self, each: replaced(
            each, attributes=sorted(each.attributes, key=lambda one: one.key)
        ),
    ),
    mistake("knows no required", "exactly_this_id", stored=attributes_without("required")),
    mistake("knows no sensitive", "exactly_this_id", stored=attributes_without("sensitive")),
    mistake("loses limits", "exactly_this_id", stored=without("limits", None)),
    mistake(
        "keeps one limit",
        "exactly_this_id",
        stored=lambda self, each: replaced(
            each, limits=dict(list((each.limits or {}).items())[:1]) or None
        ),
    ),
    mistake("always rejects", "exactly_this_id", stored=without("unknown_attributes", "reject")),
    mistake("loses icons", "exactly_this_id", stored=without("icon", None)),
    mistake("loses archived", "exactly_this_id", stored=without("archived", False)),
    mistake(
        "leaves archived ones out",
        "all_returns_every",
        all=lambda self: [each for each in DictDefinitions.all(self) if not each.archived],
    ),
    mistake(
        "lists in the order of writing", "ordered_by_id", all=lambda self: list(self.rows.values())
    ),
    mistake("orders without case", "ordered_by_id", order=lambda self, each: each.id.lower()),
    mistake("orders by name", "ordered_by_id", order=lambda self, each: each.name),
    mistake("puts only what is new", "put_replaces", write=keeps_the_first),
    mistake("merges attributes", "put_replaces", write=merges),
    mistake("reads its cache", "the_next_get", get=caches),
    mistake("forgets", "opened_again", reopened=forgets),
    mistake(
        "declares only what is there",
        "creates_those_that_are_missing",
        differs=lambda self, each: self.get(each.id) not in (None, each),
    ),
    mistake(
        "declares only what is missing",
        "declare_replaces",
        differs=lambda self, each: self.get(each.id) is None,
    ),
    mistake(
        "switches back what is declared", "operator_has_switched", declared=lambda self, each: each
    ),
    mistake(
        "opens what was closed to pages",
        "operator_has_switched",
        declared=lambda self, each: replaced(
            each.declared_over(self.get(each.id)), client_side=each.client_side
        ),
    ),
    mistake(
        "takes from the archive",
        "operator_has_switched",
        declared=lambda self, each: replaced(
            each.declared_over(self.get(each.id)), archived=each.archived
        ),
    ),
    mistake(
        "keeps the operator's limits",
        "declare_replaces",
        declared=lambda self, each: replaced(
            each.declared_over(self.get(each.id)), limits=(self.get(each.id) or each).limits
        ),
    ),
    mistake("removes what is not declared", "declare_replaces", declare=only_those),
    mistake("writes at every start", "did_not_change", differs=lambda self, each: True),
    mistake("loses a thread's definition", "several_threads", write=copies_all),
    wrong(
        HandWrittenDefinitions,
        "does not say where",
        "only_people_write",
        refuse=refuses_without_a_place,
    ),
    wrong(HandWrittenDefinitions, "does nothing", "only_people_write", refuse=lambda self: None),
    wrong(
        HandWrittenDefinitions,
        "refuses what is there",
        "only_people_write",
        differs=lambda self, each: True,
    ),
    *common(DictDefinitions, "put", "declare"),
]
