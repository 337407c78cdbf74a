"""What the contract says of ``track`` and ``activity``, a second time, in plain dicts and lists.

The law of this file: written from the contract's sentences alone, with nothing taken from the
package, so that the two can only agree by both being right. It judges no attribute value and parses
no address: the tables at the end carry the judgement beside each value.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

HOUR, DAY = 3600, 86_400
WEEK_MS = 7 * DAY * 1000

#: What is counted, and how many of it fit in how many seconds.
Charges: TypeAlias = list[tuple[tuple[object, ...], tuple[int, int]]]


@dataclass(eq=False)
class Somebody:
    """A person: who they are is which object they are."""

    identifiers: dict[str, str]
    first: str | None = None
    last: str | None = None
    assurance: str = "claimed"


@dataclass(frozen=True)
class Ticket:
    """What a session token says, or nobody for a forged one."""

    person: Somebody | None
    assurance: str = "claimed"
    issued: float = 0.0


@dataclass(frozen=True)
class Fields:
    """The members of ``track``, addresses and values taken from the tables below."""

    email: str | None = None
    ei: str | int | None = None
    first: str | None = None
    last: str | None = None
    ac: tuple[tuple[str, str], ...] = ()
    skip: bool = False


@dataclass(frozen=True)
class Event:
    """The members of ``activity``; ``attributes`` pairs each sent value with its judgement."""

    activity_id: str
    attributes: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    event_id: str | None = None
    age: float = 0
    person: Fields | None = None
    gpc: bool = False


@dataclass(frozen=True)
class Answer:
    """A code; for 429 the seconds; for ``track`` whose session comes back."""

    code: str
    wait: int | None = None
    ticket: Ticket | None = None


class No(Exception):
    """A refusal on its way out."""


@dataclass
class Contract:
    """One account. Limits are ``(amount, seconds)``; ``definitions`` are plain dicts by id."""

    definitions: dict[str, dict[str, Any]]
    person_limit: tuple[int, int] = (10, DAY)
    ip_limit: tuple[int, int] = (100, HOUR)
    new_people_limit: tuple[int, int] = (100, HOUR)
    merge_keys: tuple[str, ...] = ()
    session_days: int = 365
    tell_existence: bool = False
    people: list[Somebody] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[tuple[object, ...], int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)

    def track(
        self,
        now: float,
        ip: str | None,
        fields: Fields,
        session: Ticket | None = None,
        vouched: str | None = None,
    ) -> Answer:
        """``vouched`` is the address an identity token proves, ``FORGED`` for a bad token."""
        try:
            person, wanted = self._who(fields, vouched)
            if person is None and wanted:
                self._take(now, self._newcomer(ip), [])
                person = Somebody(proven(wanted, vouched))
                self.people.append(person)
        except No as no:
            return self._done(no)
        if person is None:
            kept = session if session and self._valid(session, now) else None
            return self._done(Answer("identified" if kept else "anonymous", ticket=kept))
        self._write(person, fields, wanted, vouched)
        assurance = "claimed" if vouched is None else "verified"
        return self._done(Answer("identified", ticket=Ticket(person, assurance, now)))

    def activity(
        self,
        now: float,
        ip: str | None,
        event: Event,
        session: Ticket | None = None,
        vouched: str | None = None,
    ) -> Answer:
        """Rows 6 to 14 of the table of checks, in their order."""
        try:
            if event.event_id in BAD_EVENT_IDS or not 0 <= event.age <= WEEK_MS:
                raise No(Answer("bad-request"))
            definition = self.definitions.get(event.activity_id)
            if definition is None or definition["archived"] or not definition["client_side"]:
                raise No(Answer("not-found"))
            fields = event.person or Fields()
            wanted: dict[str, str] = {}
            if session and session.person and self._valid(session, now):
                person, assurance = session.person, session.assurance
            else:
                known, wanted = self._who(fields, vouched)
                if known is None and not wanted:
                    stale = session is not None and self._stale(session, now)
                    raise No(Answer("bad-session" if stale else "not-identified"))
                person = known or Somebody(proven(wanted, vouched))
                assurance = "claimed" if vouched is None else "verified"
            attributes = judged(definition, event.attributes)
            repeated = any(
                (row["event_id"], row["activity_id"]) == (event.event_id, event.activity_id)
                and row["person"] is person
                and row["received_at"] >= now - 7 * DAY
                for row in self.journal
            )
            if repeated and event.event_id is not None:
                return self._done(Answer("duplicate"))
            limits = definition["limits"]
            charges: Charges = [
                (
                    ("person", person, assurance, event.activity_id),
                    limits.get("person", self.person_limit),
                )
            ]
            if ip is not None:
                charges.append((("ip", ip, event.activity_id), limits.get("ip", self.ip_limit)))
            new = person not in self.people
            newcomer = self._newcomer(ip)
            # The answer to somebody new does not differ from that to somebody known.
            told = newcomer if wanted else []
            self._take(now, charges + (newcomer if new else []), told)
        except No as no:
            return self._done(no)
        if new:
            self.people.append(person)
        if wanted:
            self._write(person, fields, wanted, vouched)
        row = {
            "event_id": event.event_id,
            "activity_id": event.activity_id,
            "person": person,
            "attributes": attributes,
            "assurance": assurance,
            "occurred_at": now - event.age / 1000,
            "received_at": now,
            "gpc": event.gpc,
        }
        self.journal.append(row)
        return self._done(Answer("accepted"))

    def erase(self, address: str) -> int | None:
        """How many activities went; None for nobody. Limits and journal rows go with the person."""
        person = self.find("email", address)
        if person is None:
            return None
        self.people.remove(person)
        kept = [row for row in self.journal if row["person"] is not person]
        gone = len(self.journal) - len(kept)
        self.journal = kept
        theirs = [key for key in self.counters if key[:2] == ("person", person)]
        for key in theirs:
            del self.counters[key]
        return gone

    def find(self, kind: str, value: str) -> Somebody | None:
        """Who holds this identifier."""
        return next((p for p in self.people if p.identifiers.get(kind) == value), None)

    def _who(self, fields: Fields, vouched: str | None) -> tuple[Somebody | None, dict[str, str]]:
        """The person these members name, and the identifiers to create one by, when allowed."""
        wanted: dict[str, str] = {}
        if fields.ei is not None and str(fields.ei).strip():
            wanted["ei"] = str(fields.ei)
        address = ADDRESSES.get(fields.email, fields.email) if fields.email is not None else BLANK
        if address is None:
            raise No(Answer("bad-request"))
        if address is not BLANK:
            wanted["email"] = address
        wanted.update((key, value) for key, value in fields.ac if key in self.merge_keys)
        if vouched == FORGED:
            raise No(Answer("bad-identity"))
        if vouched is not None:
            wanted["email"] = vouched
        elif fields.skip and not self.tell_existence:
            return None, {}
        found = (self.find(kind, value) for kind, value in proven(wanted, vouched).items())
        person = next((p for p in found if p is not None), None)
        return (None, {}) if person is None and fields.skip else (person, wanted)

    def _write(
        self, person: Somebody, fields: Fields, wanted: dict[str, str], vouched: str | None
    ) -> None:
        verified = vouched is not None
        if vouched is not None:
            if person.assurance == "claimed":
                # Anybody may have claimed the others.
                kept = {kind: v for kind, v in person.identifiers.items() if v == vouched}
                person.identifiers = kept
            if self.find("email", vouched) is None:
                person.identifiers.setdefault("email", vouched)
        if any(person.identifiers.get(kind) != value for kind, value in wanted.items()):
            self._count("note:identity-conflict")
        if verified or person.assurance == "claimed":
            person.first, person.last = fields.first or person.first, fields.last or person.last
            person.assurance = "verified" if verified else "claimed"

    def _valid(self, ticket: Ticket, now: float) -> bool:
        return ticket.person in self.people and now - ticket.issued <= self.session_days * DAY

    def _stale(self, ticket: Ticket, now: float) -> bool:
        """Forged or expired, which is worse than belonging to somebody unknown."""
        return ticket.person is None or now - ticket.issued > self.session_days * DAY

    def _newcomer(self, ip: str | None) -> Charges:
        return [] if ip is None else [(("new", ip), self.new_people_limit)]

    def _take(self, now: float, charges: Charges, told: Charges) -> None:
        """Both limits in one step, or neither; a window is its slot number since the epoch.

        How long to wait is until the first window ends, of those in ``told`` as well.
        """
        slots = [((*key, now // limit[1], limit), limit) for key, limit in charges]
        if any(self.counters.get(slot, 0) >= limit[0] for slot, limit in slots):
            ends = [ends_in(now, limit) for _, limit in charges + told]
            raise No(Answer("rate-limit", wait=min(ends)))
        for slot, _ in slots:
            self.counters[slot] = self.counters.get(slot, 0) + 1

    def _done(self, answer: Answer | No) -> Answer:
        """Exactly one outcome per request."""
        said: Answer = answer.args[0] if isinstance(answer, No) else answer
        self._count(said.code)
        return said

    def _count(self, code: str) -> None:
        self.outcomes[code] = self.outcomes.get(code, 0) + 1


def proven(wanted: dict[str, str], vouched: str | None) -> dict[str, str]:
    """What finds and makes a person: once the host vouches, nothing that is only claimed."""
    return dict(wanted) if vouched is None else {"email": vouched}


def ends_in(now: float, limit: tuple[int, int]) -> int:
    """Whole seconds until the window of ``limit`` ends, at least 1."""
    return max(1, math.ceil((now // limit[1] + 1) * limit[1] - now))


def judged(definition: dict[str, Any], sent: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    """What is stored of ``sent``, each value paired with what it is stored as, or ``INVALID``."""
    kept = {}
    for key, (raw, stored) in sent.items():
        if key not in definition["attributes"]:
            if definition["unknown_attributes"] == "reject":
                raise No(Answer("bad-attribute"))
        elif raw is not None:
            kept[key] = stored
    required = {key for key, needed in definition["attributes"].items() if needed}
    size = len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode())
    if any(value is INVALID for value in kept.values()) or required - set(kept):
        raise No(Answer("bad-attribute"))
    if len(kept) > 15 or size > 16_384:
        raise No(Answer("bad-attribute"))
    return kept


BLANK, FORGED, INVALID = "(blank)", "(forged)", "(invalid)"

BAD_EVENT_IDS = ("no spaces", "x" * 65, "umläut", "a:b", "a\n")

#: Spellings people type, and the address each one is, None for what is no address. Others are
#: addresses as they stand.
ADDRESSES: dict[str, str | None] = {
    "user@emaildomain.com": "user@emaildomain.com",
    "  USER@EmailDomain.COM\t": "user@emaildomain.com",
    "user+tag@emaildomain.com": "user+tag@emaildomain.com",
    "u.ser@emaildomain.com": "u.ser@emaildomain.com",
    "stra\u00dfe@emaildomain.com": "stra\u00dfe@emaildomain.com",
    "STRA\u00dfE@emaildomain.com": "stra\u00dfe@emaildomain.com",
    "strasse@emaildomain.com": "strasse@emaildomain.com",
    "zoe\u0308@emaildomain.com": "zo\u00eb@emaildomain.com",
    "zo\u00eb@emaildomain.com": "zo\u00eb@emaildomain.com",
    "ZO\u00cb@emaildomain.com": "zo\u00cb@emaildomain.com",
    "info@m\u00fcnchen.example": "info@xn--mnchen-3ya.example",
    "info@XN--mnchen-3ya.example": "info@xn--mnchen-3ya.example",
    "": BLANK,
    " \t ": BLANK,
    "nobody": None,
    "two@at@emaildomain.com": None,
    "in side@emaildomain.com": None,
    "con\u0007trol@emaildomain.com": None,
    "@emaildomain.com": None,
    "user@": None,
    "user@" + "a" * 64 + ".example": None,
    "l" * 245 + "@xx.example": None,
}

#: Addresses as servers report them, and the bucket each one shares.
BUCKETS: dict[str, str] = {
    "203.0.113.7": "v4",
    "::ffff:203.0.113.7": "v4",
    "203.0.113.8": "neighbour",
    "2001:db8:0:1::1": "v6",
    "2001:db8:0:1:ffff::2": "v6",
    "2001:db8:0:2::1": "next /64",
    "": "unknown",
    "not an address": "unknown",
}

#: Per type: values that fit, each with what is stored, and values that do not.
VALUES: dict[str, tuple[list[tuple[Any, Any]], list[Any]]] = {
    "str": ([(v, v) for v in ("", "$100 starter plan", "\U0001f4a5" * 255)], ["x" * 256, 5, ["x"]]),
    "txt": ([(v, v) for v in ("", "a\nb", "é" * 4000)], ["x" * 4001, False, {}]),
    "int": (
        [(0, 0), (5, 5), (5.0, 5), (-3.0, -3), (2**53 - 1, 2**53 - 1), (1 - 2**53, 1 - 2**53)],
        [5.5, "5", True, [5]],
    ),
    "bol": ([(True, True), (False, False)], [0, 1, "true", 1.0]),
    "dtz": (
        [(v, v) for v in ({"year": 2024, "month": 2, "day": 29},
                          {"year": 1999, "month": 12, "day": 31, "timezone": "Australia/Sydney"})],
        [{"year": 2023, "month": 2, "day": 29}, {"year": 2024, "month": 2}, "2024-02-29",
         {"year": 2024, "month": 13, "day": 1}, {"year": 2024, "month": "2", "day": 1}],
    ),
    "tme": (
        [(v, v) for v in ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.250+10:00")],
        ["2024-05-01T10:00:00", "yesterday", 1714557600, "2024-13-01T10:00:00Z"],
    ),
    "phn": (
        [(v, v) for v in ({"c": "61", "n": "0401 234-567"}, {"c": "", "n": "(02) 5550.1234"},
                          {"n": "+61 401"})],
        [{"c": "61"}, {"n": "call me"}, {"n": "1" * 21}, {"n": "1" + " " * 32}, "0401 234 567"],
    ),
    "geo": (
        [({"name": "Sydney"}, {"name": "Sydney"})],
        [{}, {"name": "x" * 256}, {"name": "Sydney", "lat": 1}, {"name": 5}, "Sydney"],
    ),
    "sst": ([(v, v) for v in ([], ["a", ""], ["x"] * 100)], [["x"] * 101, [1], "a", ["x" * 256]]),
    "stl": ([(v, v) for v in ([], ["b"], ["é" * 255])], [["x"] * 101, [None], {}, [["a"]]]),
    "obj": (
        [(v, v) for v in ({}, {"a": [1, {"b": None}]}, {"k": "x" * 14_992})],
        [[], "x", {"k": "x" * 14_993}, {"k": "é" * 7_497}],
    ),
}  # fmt: skip
