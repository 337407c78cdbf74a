"""What the contract says of ``track`` and ``activity``, a second time, in plain dicts and lists.

The law of this file: written from the sentences of the contract alone (§3 to §5 and §7), with
nothing taken from the package, so that the two can only agree by both being right. It judges no
attribute value and parses no address: the tables at the end carry the judgement beside each value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeAlias

HOUR, DAY = 3600, 86_400
WEEK_MS = 7 * DAY * 1000

#: An amount, and in how many seconds it fits.
Limit: TypeAlias = tuple[int, int]

#: What is counted, each with its limit.
Charges: TypeAlias = list[tuple[tuple[object, ...], Limit]]


@dataclass(eq=False)
class Profile:
    """A person: which person it is, is which object it is."""

    identifiers: dict[str, str]
    first: str | None = None
    last: str | None = None
    assurance: str = "claimed"


@dataclass(frozen=True)
class Ticket:
    """What a session token says; one without a person is forged."""

    person: Profile | None
    assurance: str = "claimed"
    issued: float = 0.0


@dataclass(frozen=True)
class Proof:
    """What an identity token of the host proves; one that is not ``good`` is forged or expired."""

    email: str | None = None
    ei: str | None = None
    good: bool = True

    @property
    def identifiers(self) -> dict[str, str]:
        """In the order in which people are looked up."""
        both = {"ei": self.ei, "email": self.email}
        return {kind: value for kind, value in both.items() if value is not None}


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
    """A code; for 429 the seconds the public is told and those of the limit that fired.

    For ``track`` also what the session that comes back must say.
    """

    code: str
    wait: int | None = None
    own_wait: int | None = None
    ticket: Ticket | None = None


class No(Exception):
    """A refusal on its way out."""

    def __init__(self, answer: Answer, person: Profile | None = None) -> None:
        self.answer, self.person = answer, person
        super().__init__(answer.code)


@dataclass
class Contract:
    """One account. Limits are ``(amount, seconds)``; ``definitions`` are plain dicts by id."""

    definitions: dict[str, dict[str, Any]]
    person_limit: Limit = (10, DAY)
    ip_limit: Limit = (100, HOUR)
    new_people_limit: Limit = (100, HOUR)
    merge_keys: tuple[str, ...] = ()
    session_days: int = 365
    tell_existence: bool = False
    people: list[Profile] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    counters: dict[tuple[object, ...], int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    #: The code of each refusal that is known to concern a person, with the person.
    refusals: list[tuple[Profile, str]] = field(default_factory=list)

    def track(
        self,
        now: float,
        ip: str | None,
        fields: Fields,
        session: Ticket | None = None,
        proof: Proof | None = None,
    ) -> Answer:
        """Identify, as the second table of §4 and §7 say."""
        try:
            person, wanted = self._who(fields, proof)
            new = person is None and bool(wanted)
            if new:
                person = Profile(proven(wanted, proof))
                self._take(now, self._newcomer(ip), told=[])
                self.people.append(person)
        except No as no:
            return self._refused(no)
        if person is None:
            kept = session if session and self._valid(session, now) else None
            return self._done(Answer("identified" if kept else "anonymous", ticket=kept))
        notes = self._write(now, ip, person, new, fields, wanted, proof)
        ticket = Ticket(person, "claimed" if proof is None else "verified", now)
        return self._done(Answer("identified", ticket=ticket), notes)

    def activity(
        self,
        now: float,
        ip: str | None,
        event: Event,
        session: Ticket | None = None,
        proof: Proof | None = None,
    ) -> Answer:
        """Record, as rows 6 to 14 of §4 say, in their order."""
        try:
            if event.event_id in BAD_EVENT_IDS or not 0 <= event.age <= WEEK_MS:
                raise No(Answer("bad-request"))
            definition = self.definitions.get(event.activity_id)
            if definition is None or definition["archived"] or not definition["client_side"]:
                raise No(Answer("not-found"))
            fields = event.person or Fields()
            wanted: dict[str, str] = {}
            if proof is not None:
                # It comes before the session, which may be that of the visitor before.
                session = None
            if session and session.person and self._valid(session, now):
                person, assurance = session.person, session.assurance
            else:
                known, wanted = self._visitor(now, fields, session, proof)
                person = known or Profile(proven(wanted, proof))
                assurance = "claimed" if proof is None else "verified"
            new = person not in self.people
            attributes = self._judged(definition, event.attributes, person)
            if self._repeated(now, event, person, assurance):
                return self._done(Answer("duplicate"))
            charges = self._charges(ip, event.activity_id, definition["limits"], person, assurance)
            newcomer = self._newcomer(ip)
            self._take(
                now,
                charges + (newcomer if new else []),
                # The answer about a new person does not differ from that about a known one.
                told=newcomer if wanted else [],
                person=person,
            )
        except No as no:
            return self._refused(no)
        if new:
            self.people.append(person)
        notes: Collection[str] = ()
        if wanted:
            notes = self._write(now, ip, person, new, fields, wanted, proof)
        self.journal.append(
            {
                "event_id": event.event_id,
                "activity_id": event.activity_id,
                "person": person,
                "attributes": attributes,
                "assurance": assurance,
                "occurred_at": now - event.age / 1000,
                "received_at": now,
                "gpc": event.gpc,
            }
        )
        return self._done(Answer("accepted"), notes)

    def erase(self, kind: str, value: str) -> int | None:
        """How many activities went, None for an unknown person (§7).

        Limits and journal rows go with the person.
        """
        person = self.find(kind, value)
        if person is None:
            return None
        self.people.remove(person)
        kept = [row for row in self.journal if row["person"] is not person]
        gone = len(self.journal) - len(kept)
        self.journal = kept
        self.refusals = [refusal for refusal in self.refusals if refusal[0] is not person]
        theirs = [key for key in self.counters if key[:2] == ("person", person)]
        for key in theirs:
            del self.counters[key]
        return gone

    def find(self, kind: str, value: str) -> Profile | None:
        """Who holds this identifier."""
        return next((p for p in self.people if p.identifiers.get(kind) == value), None)

    def _who(self, fields: Fields, proof: Proof | None) -> tuple[Profile | None, dict[str, str]]:
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
        if proof is not None:
            if not proof.good:
                raise No(Answer("bad-identity"))
            wanted |= proof.identifiers
        elif fields.skip and not self.tell_existence:
            return None, {}
        found = [self.find(kind, value) for kind, value in proven(wanted, proof).items()]
        holders = [p for p in found if p is not None]
        if proof is not None:
            # Proof beats claim: a person the host vouched for before comes first.
            holders.sort(key=lambda p: p.assurance != "verified")
        person = next(iter(holders), None)
        return (None, {}) if person is None and fields.skip else (person, wanted)

    def _visitor(
        self, now: float, fields: Fields, session: Ticket | None, proof: Proof | None
    ) -> tuple[Profile | None, dict[str, str]]:
        """Row 9 without a valid session; beside a bad one only a usable person helps."""
        stale = session is not None and self._stale(session, now)
        unknown = No(Answer("bad-session" if stale else "not-identified"))
        try:
            known, wanted = self._who(fields, proof)
        except No as no:
            raise unknown if session else no from None
        if known is None and not wanted:
            raise unknown
        return known, wanted

    def _write(
        self,
        now: float,
        ip: str | None,
        person: Profile,
        new: bool,
        fields: Fields,
        wanted: dict[str, str],
        proof: Proof | None,
    ) -> set[str]:
        """Change the profile as far as this call may, and say what is noted."""
        notes = set()
        if proof is not None and self._vouch(person, proof):
            notes.add("identity-conflict")
        if any(person.identifiers.get(kind) != value for kind, value in wanted.items()):
            notes.add("identity-conflict")
        first, last = fields.first or person.first, fields.last or person.last
        if (first, last) == (person.first, person.last):
            return notes
        if proof is None and not new:
            # Charged whether the person is verified or not, or the charge would tell.
            try:
                self._take(now, self._newcomer(ip), told=[])
            except No:
                return notes | {"profile-kept"}
        if proof is not None or person.assurance == "claimed":
            person.first, person.last = first, last
        return notes

    def _vouch(self, person: Profile, proof: Proof) -> bool:
        """What only was claimed goes, what is proven comes; True when another person lost it."""
        if person.assurance == "claimed":
            person.assurance = "verified"
            person.first = person.last = None
            for kind, value in list(person.identifiers.items()):
                if proof.identifiers.get(kind) != value:
                    del person.identifiers[kind]
        taken = False
        for kind, value in proof.identifiers.items():
            if kind in person.identifiers:
                continue
            holder = self.find(kind, value)
            if holder is not None and holder.assurance == "verified":
                continue
            if holder is not None:
                del holder.identifiers[kind]
                taken = True
            person.identifiers[kind] = value
        return taken

    def _repeated(self, now: float, event: Event, person: Profile, assurance: str) -> bool:
        """Row 11: the same id for this person, activity and assurance within 7 days."""
        return event.event_id is not None and any(
            (row["event_id"], row["activity_id"]) == (event.event_id, event.activity_id)
            and row["person"] is person
            and row["assurance"] == assurance
            and row["received_at"] >= now - 7 * DAY
            for row in self.journal
        )

    def _charges(
        self,
        ip: str | None,
        activity_id: str,
        limits: dict[str, Limit],
        person: Profile,
        assurance: str,
    ) -> Charges:
        charges: Charges = [
            (
                ("person", person, assurance, activity_id),
                limits.get("person", self.person_limit),
            )
        ]
        if ip is not None:
            charges.append((("ip", ip, activity_id), limits.get("ip", self.ip_limit)))
        return charges

    def _valid(self, ticket: Ticket, now: float) -> bool:
        return ticket.person in self.people and now - ticket.issued <= self.session_days * DAY

    def _stale(self, ticket: Ticket, now: float) -> bool:
        """Forged or expired, which is answered otherwise than an unknown person's."""
        return ticket.person is None or now - ticket.issued > self.session_days * DAY

    def _newcomer(self, ip: str | None) -> Charges:
        return [] if ip is None else [(("new", ip), self.new_people_limit)]

    def _take(
        self, now: float, charges: Charges, told: Charges, person: Profile | None = None
    ) -> None:
        """Charge all in one step, or none; a window is its slot number since the epoch.

        The public is told when the first window ends, of those in ``told`` as well; operators when
        the last of the full ones does.
        """
        slots = [((*key, limit[1], now // limit[1]), limit) for key, limit in charges]
        full = [limit for slot, limit in slots if self.counters.get(slot, 0) >= limit[0]]
        if full:
            public = min(ends_in(now, limit) for _, limit in charges + told)
            own = max(ends_in(now, limit) for limit in full)
            raise No(Answer("rate-limit", wait=public, own_wait=own), person)
        for slot, _ in slots:
            self.counters[slot] = self.counters.get(slot, 0) + 1

    def _judged(
        self, definition: dict[str, Any], sent: dict[str, tuple[Any, Any]], person: Profile
    ) -> dict[str, Any]:
        """Row 10: what is stored of ``sent``, whose values are paired with their judgement."""
        kept = {}
        for key, (raw, stored) in sent.items():
            if key not in definition["attributes"]:
                if definition["unknown_attributes"] == "reject":
                    raise No(Answer("bad-attribute"), person)
            elif raw is not None:
                kept[key] = stored
        required = {key for key, needed in definition["attributes"].items() if needed}
        size = len(json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode())
        unfit = any(value is INVALID for value in kept.values()) or required - set(kept)
        if unfit or len(kept) > 15 or size > 16_384:
            raise No(Answer("bad-attribute"), person)
        return kept

    def _refused(self, no: No) -> Answer:
        if no.person is not None and no.person in self.people:
            self.refusals.append((no.person, no.answer.code))
        return self._done(no.answer)

    def _done(self, answer: Answer, notes: Collection[str] = ()) -> Answer:
        """Exactly one outcome for each request."""
        for counted in (answer.code, *(f"note:{note}" for note in notes)):
            self.outcomes[counted] = self.outcomes.get(counted, 0) + 1
        return answer


def proven(wanted: dict[str, str], proof: Proof | None) -> dict[str, str]:
    """What finds and makes a person: once the host vouches, nothing that is only claimed."""
    return dict(wanted) if proof is None else proof.identifiers


def ends_in(now: float, limit: Limit) -> int:
    """Whole seconds until the window of ``limit`` ends, at least 1."""
    return max(1, math.ceil((now // limit[1] + 1) * limit[1] - now))


BLANK, INVALID = "(blank)", "(invalid)"

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
    # Two domains with different owners: the mapping is not the transitional one.
    "bob@stra\u00dfe.example": "bob@xn--strae-oqa.example",
    "bob@strasse.example": "bob@strasse.example",
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
