"""Mistakes of ``documents``."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

from ortto_capture.model import Document

from ..dicts import DictDocuments
from . import LOOSELY, common, forgets, lets_others_in, says_it_is_away, unlocked, wrong


def merges(self: DictDocuments, kind: str, name: str, value: Any, *version: int | None) -> Any:
    before = self.get(kind, name)
    if before is not None and isinstance(before.value, dict) and isinstance(value, dict):
        value = before.value | value
    return DictDocuments.put(self, kind, name, value, *version)


def counts_by_name(self: DictDocuments, stored: int) -> int:
    return stored + 1


def starts_at_zero(self: DictDocuments, stored: int) -> int:
    return self.medium.last - 1


def removes_all(self: DictDocuments, kind: str, name: str, version: int | None = None) -> bool:
    removed = DictDocuments.remove(self, kind, name, version)
    if removed:
        self.rows.clear()
    return removed


mistake = partial(wrong, DictDocuments)

MISTAKES = [
    *[
        mistake(
            f"tells names apart {how}",
            "different_ones",
            asked=lambda self, kind, name, loose=loose: (kind, loose(name)),
        )
        for how, loose in LOOSELY.items()
    ],
    *[
        mistake(
            f"tells kinds apart {how}",
            "different_ones",
            same=lambda self, one, other, loose=loose: loose(one) == loose(other),
            told=lambda self, kind, name, text, version: Document(kind, name, 1, version),
            asked=lambda self, kind, name, loose=loose: (loose(kind), name),
        )
        for how, loose in LOOSELY.items()
        if how in ("without case", "composed", "trimmed")
    ],
    mistake("forgets the kind", "get_returns", asked=lambda self, kind, name: ("", name)),
    mistake(
        "sorts without case",
        "ordered_by_name",
        order=lambda self, names: sorted(names, key=str.lower),
    ),
    mistake("sorts by age", "ordered_by_name", order=lambda self, names: names),
    mistake(
        "returns a thousand", "ordered_by_name", order=lambda self, names: sorted(names)[:1000]
    ),
    mistake(
        "sorts members",
        "stores_plain_json",
        encoded=lambda self, value: json.dumps(value, sort_keys=True),
    ),
    mistake(
        "escapes nothing",
        "stores_plain_json",
        encoded=lambda self, value: (
            json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
        ),
    ),
    mistake(
        "drops what is empty",
        "stores_plain_json",
        told=lambda self, kind, name, text, version: Document(
            kind, name, json.loads(text) or None, version
        ),
    ),
    mistake(
        "lends what it stores",
        "changes_by_put_alone",
        encoded=lambda self, value: value,
        told=lambda self, kind, name, value, version: Document(kind, name, value, version),
    ),
    mistake("writes NaN", "not_json_is_refused", encoded=lambda self, value: json.dumps(value)),
    mistake(
        "writes what it does not know as text",
        "not_json_is_refused",
        encoded=lambda self, value: json.dumps(value, allow_nan=False, default=str),
    ),
    mistake("forgets", "durably", reopened=forgets),
    mistake("merges", "replaces_what", put=merges),
    mistake("counts by name", "higher_than_all", number=counts_by_name),
    mistake("numbers from 0", "higher_than_all", number=starts_at_zero),
    mistake("ignores the version", "nothing_is_written", may=lambda self, stored, version: True),
    mistake(
        "takes any older version",
        "nothing_is_written",
        may=lambda self, stored, version: version is None or version <= stored,
    ),
    mistake(
        "takes 0 for none given",
        "0_says",
        may=lambda self, stored, version: not version or version == stored,
    ),
    mistake("removes all", "and_returns_whether", remove=removes_all),
    mistake(
        "always says that it removed",
        "and_returns_whether",
        remove=lambda self, *given: bool(DictDocuments.remove(self, *given)) or True,
    ),
    mistake(
        "removes any version",
        "another_version",
        may_remove=lambda self, stored, version: True,
    ),
    mistake(
        "removes what must not be there",
        "another_version",
        may_remove=lambda self, stored, version: not version or version == stored,
    ),
    mistake("has no lock", "several_threads", use=unlocked, pause=lets_others_in),
    mistake("takes full for away", "storage_full", make_room=says_it_is_away),
    *common(DictDocuments, "get", "all", "put", "remove"),
]
