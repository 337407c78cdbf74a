"""Any sequence of requests, in Python and over HTTP, ends as the model of the contract says.

The law of this file: after every step the code of the answer, every stored activity, every person
and the counts of outcomes equal the model's. The model is contract §4 (rows 6 to 14), §5 and §7;
between requests definitions, quotas and secrets change, people are erased and exported, processes
end and the clock goes back a little. A medium joins by a subclass of ``CaptureMachine`` whose
``open`` returns its backends.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from werkzeug.test import Client

from ortto_capture import (
    Attribute,
    Backends,
    Capture,
    CaptureApp,
    Definition,
    RateLimited,
    Refused,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.model import Identifier

from .contract_model import (
    ADDRESSES,
    BAD_EVENT_IDS,
    BLANK,
    BUCKETS,
    DAY,
    HOUR,
    INVALID,
    VALUES,
    WEEK_MS,
    Contract,
    Event,
    Fields,
    Limit,
    Profile,
    Proof,
    Ticket,
)
from .services import campaign

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LOGIN = "act:cm:login"
EVERYTHING = "act:cm:Everything_45-characters-and-no-fewer-ok"
LOOSE = "act:shop:2nd"
WIDE = "act:cm:wide"
BY_ADDRESS = "act:cm:by-address"
BY_PERSON = "act:cm:by-person"

#: Each as the model wants it; definitions are built from the same lines.
DEFINITIONS: dict[str, dict[str, Any]] = {
    LOGIN: {
        "attributes": {"str::email": False, "str:cm:payment-plan": False, "bol:cm:owner": False},
    },
    EVERYTHING: {
        "attributes": {f"{kind}:cm:a-{kind}": kind == "bol" for kind in VALUES},
    },
    LOOSE: {
        "attributes": {"int:cm:total": False},
        "limits": {"person": (2, DAY), "ip": (3, 2 * HOUR)},
        "unknown_attributes": "drop",
    },
    BY_ADDRESS: {"attributes": {}, "limits": {"ip": (2, HOUR)}},
    BY_PERSON: {"attributes": {}, "limits": {"person": (2, DAY)}},
    WIDE: {"attributes": {f"bol:cm:b{n}": False for n in range(17)}},
    "act:cm:off": {"attributes": {}, "client_side": False},
    "act:cm:gone": {"attributes": {}, "archived": True},
}
MERGE_KEYS = ("str:cm:customer-id", "int:cm:customer")
#: What a definition's own limits, and then the global ones, are changed to.
OWN_LIMITS: list[dict[str, Limit]] = [
    {},
    {"ip": (2, HOUR)},
    {"ip": (5, HOUR)},
    {"person": (1, DAY)},
    {"person": (4, DAY)},
    {"person": (2, 2 * HOUR), "ip": (3, DAY)},
]
GLOBAL_LIMITS: list[tuple[str, Limit]] = [
    ("person_limit", (1, DAY)),
    ("person_limit", (3, DAY)),
    ("person_limit", (5, DAY)),
    ("person_limit", (2, HOUR)),
    ("ip_limit", (2, HOUR)),
    ("ip_limit", (4, HOUR)),
    ("ip_limit", (9, HOUR)),
    ("new_people_limit", (1, HOUR)),
    ("new_people_limit", (3, HOUR)),
    ("new_people_limit", (4, DAY)),
]


def defaults(definition: dict[str, Any]) -> dict[str, Any]:
    usual = {"limits": {}, "unknown_attributes": "reject", "client_side": True, "archived": False}
    return usual | definition


def notation(limit: Limit) -> str:
    return f"{limit[0]} per {limit[1]} second"


def built(activity_id: str, definition: dict[str, Any]) -> Definition:
    return Definition(
        activity_id,
        name="An activity",
        client_side=definition["client_side"],
        archived=definition["archived"],
        attributes=[
            Attribute(key, required=needed) for key, needed in definition["attributes"].items()
        ],
        limits={kind: notation(limit) for kind, limit in definition["limits"].items()},
        unknown_attributes=definition["unknown_attributes"],
    )


def value_for(key: str) -> st.SearchStrategy[tuple[Any, Any]]:
    """A value with its judgement: mostly one that fits, null now and then."""
    good, bad = VALUES[key[:3]]
    pairs = [*good * 8, (None, None), *((value, INVALID) for value in bad[:2])]
    return st.sampled_from(pairs)


@st.composite
def attributes(draw: st.DrawFn, activity_id: str) -> dict[str, tuple[Any, Any]]:
    definition = DEFINITIONS.get(activity_id, {"attributes": {}})
    if activity_id == WIDE:
        count = draw(st.integers(14, 16))
        return {f"bol:cm:b{n}": (True, True) for n in range(count)}
    keys = [key for key, needed in definition["attributes"].items() if needed] + draw(
        st.lists(st.sampled_from([*definition["attributes"], "str:cm:undeclared"]), max_size=3)
    )
    return {key: draw(value_for(key)) for key in keys}


FORGED = Proof(email="user@emaildomain.com", good=False)
EXPIRED = Proof(email="new@emaildomain.com", good=False)

#: Few people in few spellings, so that limits and identifiers meet; now and then any other.
emails = st.sampled_from([*list(ADDRESSES)[:3] * 15, *ADDRESSES])
identifiers = {
    "email": st.none() | emails | emails,
    "ei": st.none() | st.none() | st.sampled_from(["1", "A-2", 3, "3", "", "  "]),
    "ac": st.just(())
    | st.lists(
        st.tuples(
            st.sampled_from([*MERGE_KEYS, "str:cm:unlisted"]),
            st.sampled_from(["1", "1234"]),
        ),
        max_size=2,
        unique_by=lambda pair: pair[0],
    ).map(tuple),
}
fields = st.builds(
    Fields,
    **identifiers,
    first=st.sampled_from([None, "John", "Zoë", ""]),
    last=st.sampled_from([None, "Apple"]),
    skip=st.integers(0, 7).map(lambda n: n == 0),
)
simple = st.builds(
    Fields,
    email=st.sampled_from(list(ADDRESSES)[:3]),
    first=st.sampled_from([None, None, "John", "Zoë"]),
)
#: What the host vouches for: an address, an external id, or both, which may be two people's. The
#: last two tokens are forged and expired.
proofs = st.builds(
    Proof,
    email=st.sampled_from(["user@emaildomain.com", "user@emaildomain.com", "new@emaildomain.com"]),
) | st.builds(
    Proof,
    email=st.sampled_from([None, "user@emaildomain.com", "user+tag@emaildomain.com"]),
    ei=st.sampled_from(["1", "A-2", "3"]),
)
#: Who is erased and exported.
people = st.sampled_from(
    [
        *[("email", "user@emaildomain.com")] * 2,
        ("email", "user+tag@emaildomain.com"),
        ("email", "new@emaildomain.com"),
        *[("ei", value) for value in ("1", "A-2", "3")],
    ]
)
any_proofs = st.one_of(proofs, proofs, proofs, st.sampled_from([FORGED, EXPIRED]))

events = st.sampled_from(
    [LOGIN] * 8 + [BY_ADDRESS, BY_PERSON] * 2 + [*DEFINITIONS, "act:cm:unknown", "act::system"]
).flatmap(
    lambda activity_id: st.builds(
        Event,
        activity_id=st.just(activity_id),
        attributes=attributes(activity_id),
        event_id=st.none() | st.sampled_from(["e-1", "E_2"] * 6 + ["x" * 64, *BAD_EVENT_IDS[:2]]),
        age=st.sampled_from([0] * 12 + [500, 0.5, 3_600_000, WEEK_MS, WEEK_MS + 1, -1]),
        gpc=st.booleans(),
    )
)
#: Every identifier that a request may name.
KNOWN = [
    *[("email", str(address)) for address in {*ADDRESSES.values()} - {None, BLANK}],
    ("email", "new@emaildomain.com"),
    *[("ei", value) for value in ("1", "A-2", "3")],
    *[(key, value) for key in MERGE_KEYS for value in ("1", "1234")],
]
#: Each machine lives at three addresses: two that mostly share a bucket, and one that does not.
HOMES = [
    ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.8"),
    ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"),
    ("", "not an address", "203.0.113.7"),
]
#: The newest sessions are 0, 1 and 2; below 0 are those that never were any good.
tokens = st.sampled_from([0] * 6 + [1, 1, 1, 2, None, -1, -2, -3])
#: "local" is a call from Python that takes no address quota.
doors = st.tuples(
    st.sampled_from(["http", "http", "http", "python", "python", "local"]),
    st.sampled_from([0, 0, 0, 1, 2]),
)
Door = tuple[str, int]


def untouched(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    raise AssertionError("a capture route reached the host")


class CaptureMachine(RuleBasedStateMachine):
    """The package on one side, the model on the other, one clock."""

    backends: Backends

    def open(self) -> Backends:
        return open_backends("memory:")

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = 1_700_000_000.0
        self.made = 0
        self.begun = False
        #: Which stored id each of the model's people turned out to have.
        self.ids: dict[Profile, str] = {}
        self.tokens: list[tuple[str, Ticket]] = []
        self.bad_tokens: list[tuple[str, Ticket]] = []
        self.secrets = ["an example secret of more than 32 bytes"]

    @initialize(tell=st.booleans(), homes=st.sampled_from(HOMES))
    def begin(self, tell: bool, homes: tuple[str, ...]) -> None:
        self.homes = homes
        self.backends = self.open()
        self.model = Contract(
            {each: defaults(definition) for each, definition in DEFINITIONS.items()},
            person_limit=(3, DAY),
            ip_limit=(4, HOUR),
            new_people_limit=(3, HOUR),
            merge_keys=MERGE_KEYS,
            session_days=2,
            tell_existence=tell,
        )
        for activity_id in DEFINITIONS:
            self.define(activity_id)
        with open_backends("memory:") as elsewhere:
            foreign = Capture(backends=elsewhere, settings=self.settings(), clock=lambda: self.now)
            stranger = foreign.identify(email="stranger@emaildomain.com").session
            self.now -= DAY
            self.expired = foreign.sign_identity(EXPIRED.email)
            self.now += DAY
        assert stranger is not None
        self.bad_tokens = [
            (stranger, Ticket(Profile({}), issued=self.now)),
            (stranger[:-1] + ("A" if stranger[-1] != "A" else "B"), Ticket(None)),
            ("oc1.forged", Ticket(None)),
        ]
        self.restart()
        self.begun = True

    def settings(self) -> Settings:
        """As the model has them."""
        return Settings(
            secret_keys=self.secrets,
            person_limit=notation(self.model.person_limit),
            ip_limit=notation(self.model.ip_limit),
            new_people_limit=notation(self.model.new_people_limit),
            merge_keys=self.model.merge_keys,
            session_days=self.model.session_days,
            allow_skip_non_existing=self.model.tell_existence,
            # What is forgotten with time has tests of its own.
            retain_activities_days=4_000,
            retain_idle_people_days=4_000,
        )

    @rule()
    def restart(self) -> None:
        """A new process remembers nothing, and that changes nothing."""
        self.capture = self.serve(self.backends)
        self.client = Client(mount(untouched, CaptureApp(self.capture), at="/capture"))

    def serve(self, backends: Backends) -> Capture:
        return Capture(
            backends=backends,
            settings=self.settings(),
            clock=lambda: self.now,
            new_id=self.new_id,
        )

    def new_id(self) -> str:
        self.made += 1
        return f"id-{self.made}"

    def define(self, activity_id: str) -> None:
        self.backends.definitions.put(built(activity_id, self.model.definitions[activity_id]))

    @rule(
        activity_id=st.sampled_from([*DEFINITIONS]),
        state=st.sampled_from([(True, False)] * 4 + [(False, False), (True, True), (False, True)]),
    )
    def switch(self, activity_id: str, state: tuple[bool, bool]) -> None:
        """Mostly back to what accepts activities."""
        client_side, archived = state
        self.model.definitions[activity_id] |= {"client_side": client_side, "archived": archived}
        self.define(activity_id)

    @rule(
        activity_id=st.sampled_from([LOGIN, LOGIN, LOOSE, BY_ADDRESS, BY_PERSON]),
        limits=st.sampled_from(OWN_LIMITS),
    )
    def change_limits_of(self, activity_id: str, limits: dict[str, Limit]) -> None:
        """At once, against what was charged before; where it has none the global ones hold."""
        self.model.definitions[activity_id]["limits"] = limits
        self.define(activity_id)

    @rule(changed=st.sampled_from(GLOBAL_LIMITS))
    def change_limit(self, changed: tuple[str, Limit]) -> None:
        setattr(self.model, *changed)
        self.restart()

    @rule()
    def rotate_secrets(self) -> None:
        """Older sessions stay good, and nothing that was counted is forgotten."""
        self.secrets = [f"example secret number {len(self.secrets)} of its line", *self.secrets]
        self.restart()

    @rule(
        step=st.sampled_from([0.5, 1, 61, HOUR, DAY, 2 * DAY, 7 * DAY, "hour", "day", "expiry"]),
        off=st.sampled_from([-0.5, 0, 0.5]),
    )
    def later(self, step: float | str, off: float) -> None:
        """Forward, mostly to where something ends."""
        issued = self.tokens[-1][1].issued if self.tokens else self.now
        targets = {
            "hour": (self.now // HOUR + 1) * HOUR + off,
            "day": (self.now // DAY + 1) * DAY + off,
            "expiry": issued + 2 * DAY + (2 if off else -2),
        }
        target = targets[step] if isinstance(step, str) else self.now + step
        self.set_clock(max(self.now, target))

    @rule(back=st.sampled_from([0.5, 60, HOUR / 2, HOUR]))
    def earlier(self, back: float) -> None:
        """Back, as far as the window before the newest one."""
        self.set_clock(max(self.now - back, (self.latest // HOUR - 1) * HOUR))

    def set_clock(self, now: float) -> None:
        """Tokens carry whole seconds, so nothing is asked in the seconds in which one expires."""
        ends = [ticket.issued + 2 * DAY for _, ticket in self.tokens]
        while any(abs(now - end) < 2 for end in ends):
            now += 2
        self.now = now
        self.latest = max(self.latest, now)

    @rule(
        who=fields | simple,
        token=tokens,
        door=doors,
    )
    def track(self, who: Fields, token: int | None, door: Door) -> None:
        self.identify(who, token, None, door)

    @rule(who=st.just(Fields()) | simple | fields, proof=any_proofs, token=tokens, door=doors)
    def track_verified(self, who: Fields, proof: Proof, token: int | None, door: Door) -> None:
        """With members beside the proof that are only claimed."""
        self.identify(who, token, proof, door)

    def identify(self, who: Fields, token: int | None, proof: Proof | None, door: Door) -> None:
        sent, ticket = self.session(token)
        ip, bucket = self.address(door)
        expected = self.model.track(self.now, bucket, who, ticket, proof)
        body = members(who) | self.signed(proof)
        if door[0] == "http":
            answer, given = self.post("track", body | {"session": sent}, ip)
            assert answer == (expected.code, expected.wait), (answer, given)
        else:
            told, given = self.call_identify(body, sent, ip)
            assert told == (expected.code, expected.wait, expected.own_wait), (told, given)
        if expected.ticket is None:
            assert not given.get("session")
        elif ticket is not None and expected.ticket is ticket:
            assert given["session"] == sent
        else:
            self.tokens.append((given["session"], expected.ticket))

    @rule(event=events, token=tokens, door=doors)
    def act(self, event: Event, token: int, door: Door) -> None:
        """An activity of a person who identified before."""
        self.record(event, token, None, door)

    @precondition(lambda self: bool(self.tokens))
    @rule(door=doors, token=st.sampled_from([0, 0, 1, 2]), often=st.integers(2, 4))
    def act_often(self, door: Door, token: int, often: int) -> None:
        """The same good activity again and again."""
        for _ in range(often):
            self.record(Event(LOGIN), token, None, door)

    @rule(door=doors, act=st.booleans())
    def strangers(self, door: Door, act: bool) -> None:
        """More new people than an hour takes from one address."""
        for _ in range(4):
            self.made += 1
            who = Fields(email=f"stranger{self.made}@emaildomain.com")
            if act:
                self.record(Event(LOGIN, person=who), None, None, door)
            else:
                self.identify(who, None, None, door)

    @rule(
        who=st.sampled_from(list(ADDRESSES)[:3]),
        names=st.lists(st.sampled_from(["John", "Zoë", "Johanna", None]), min_size=2, max_size=4),
        door=doors,
        act=st.booleans(),
    )
    def rename(self, who: str, names: list[str | None], door: Door, act: bool) -> None:
        """A stranger changes a profile until that has no room."""
        for name in names:
            fields = Fields(email=who, first=name)
            if act:
                self.record(Event(BY_PERSON, person=fields), None, None, door)
            else:
                self.identify(fields, None, None, door)

    @rule(
        ei=st.sampled_from(["1", "A-2", "3"]),
        email=st.sampled_from(["user@emaildomain.com", "user+tag@emaildomain.com"]),
        proven=st.tuples(st.booleans(), st.booleans()),
        door=doors,
        act=st.booleans(),
    )
    def prove_both(
        self, ei: str, email: str, proven: tuple[bool, bool], door: Door, act: bool
    ) -> None:
        """Two identifiers come apart, each claimed or proven, and are then proven together."""
        ei_is_proven, email_is_proven = proven
        if ei_is_proven:
            self.identify(Fields(), None, Proof(ei=ei), door)
        else:
            self.identify(Fields(ei=ei), None, None, door)
        if email_is_proven:
            self.identify(Fields(), None, Proof(email=email), door)
        else:
            self.identify(Fields(email=email), None, None, door)
        if act:
            self.record(Event(LOGIN), None, Proof(email, ei), door)
        else:
            self.identify(Fields(first="Johanna"), None, Proof(email, ei), door)

    @precondition(lambda self: bool(self.model.journal))
    @rule(
        back=st.integers(0, 3),
        week=st.sampled_from([None, None, -0.5, 0, 0.5]),
        by=st.sampled_from(["session", "person", "proof"]),
        door=doors,
    )
    def resend(self, back: int, week: float | None, by: str, door: Door) -> None:
        """One that was accepted before, of the same person, perhaps just about a week later.

        The assurance may be another one than the first time.
        """
        row = self.model.journal[-1 - back % len(self.model.journal)]
        same = {key: (value, value) for key, value in row["attributes"].items()}
        newest = [ticket.person for _, ticket in reversed(self.tokens)]
        known = row["person"].identifiers
        if week is not None:
            self.set_clock(max(self.now, row["received_at"] + 7 * DAY + week))
        token, who, proof = None, None, None
        if by == "session" and row["person"] in newest:
            token = newest.index(row["person"])
        elif by == "proof" and ("email" in known or "ei" in known):
            proof = Proof(known.get("email"), known.get("ei"))
        else:
            others = tuple((kind, known[kind]) for kind in known if ":" in kind)
            who = Fields(email=known.get("email"), ei=known.get("ei"), ac=others)
        event = Event(row["activity_id"], same, row["event_id"], person=who)
        self.record(event, token, proof, door)

    @rule(event=events, who=fields | simple, token=tokens, door=doors)
    def act_as(self, event: Event, who: Fields, token: int | None, door: Door) -> None:
        """An activity that brings its person along, beside a good session, a bad one or none."""
        self.record(replace(event, person=who), token, None, door)

    @rule(
        event=events,
        who=st.none() | st.none() | simple | fields,
        proof=any_proofs,
        token=tokens,
        door=doors,
    )
    def act_vouched(
        self, event: Event, who: Fields | None, proof: Proof, token: int | None, door: Door
    ) -> None:
        """An activity with a proof, perhaps with a person or a session beside it."""
        self.record(replace(event, person=who), token, proof, door)

    @rule(who=people)
    def erase(self, who: tuple[str, str]) -> None:
        """Nothing is left of them, and the next with their identifiers is a new person."""
        kind, value = who
        person = self.model.find(kind, value)
        gone = self.model.erase(kind, value)
        erased = self.capture.erase(**{kind: value})
        assert erased == (None if gone is None else (gone, True))
        assert self.capture.export(**{kind: value}) is None
        if person is not None and person in self.ids:
            assert self.backends.people.get(self.ids[person]) is None
            assert not self.backends.journal.of(self.ids[person])
            assert self.backends.outcomes is not None
            assert not self.backends.outcomes.of(self.ids[person])

    @rule(who=people)
    def export(self, who: tuple[str, str]) -> None:
        """Everything that names the person, refusals included."""
        person = self.model.find(*who)
        told = self.capture.export(**{who[0]: who[1]})
        if person is None:
            assert told is None
            return
        assert told is not None
        held = {each["kind"]: each["value"] for each in told["person"]["identifiers"]}
        assert held == person.identifiers
        rows = [row for row in self.model.journal if row["person"] is person]
        assert [each["event_id"] for each in told["activities"]] == [
            row["event_id"] for row in rows
        ]
        self.refused(told, person)

    def refused(self, told: dict[str, Any], person: Profile) -> None:
        refused = [code for each, code in self.model.refusals if each is person]
        assert [each["code"] for each in told["refusals"]] == refused

    def record(self, event: Event, token: int | None, proof: Proof | None, door: Door) -> None:
        sent, ticket = self.session(token)
        ip, bucket = self.address(door)
        expected = self.model.activity(self.now, bucket, event, ticket, proof)
        body: dict[str, Any] = {
            "activity_id": event.activity_id,
            "attributes": {key: raw for key, (raw, _) in event.attributes.items()},
            "event_id": event.event_id,
            "age": event.age,
            "person": None if event.person is None else members(event.person),
            "gpc": event.gpc,
            **self.signed(proof),
        }
        if door[0] == "http" and json_can_say(event):
            sent_body = {key: value for key, value in body.items() if value is not None}
            answer, _ = self.post("activity", sent_body | ({"session": sent} if sent else {}), ip)
            assert answer == (expected.code, expected.wait), (answer, expected)
        else:
            told = self.call_record(body, sent, ip)
            assert told == (expected.code, expected.wait, expected.own_wait), (told, expected)

    def address(self, door: Door) -> tuple[str | None, str | None]:
        """Where a request comes from, and the bucket it shares."""
        channel, home = door
        ip = self.homes[home]
        return (None, None) if channel == "local" else (ip, BUCKETS[ip])

    def session(self, token: int | None) -> tuple[str | None, Ticket | None]:
        if token is None:
            return None, None
        if token < 0:
            return self.bad_tokens[token]
        good = self.tokens[-1 - token % len(self.tokens) :] if self.tokens else self.bad_tokens
        return good[0]

    def signed(self, proof: Proof | None) -> dict[str, str]:
        """The member ``identity`` of a request."""
        if proof is None:
            return {}
        if proof is EXPIRED:
            return {"identity": self.expired}
        token = self.capture.sign_identity(proof.email, ei=proof.ei)
        return {"identity": token if proof.good else token[:-4]}

    def post(
        self, route: str, body: dict[str, Any], ip: str | None
    ) -> tuple[tuple[str, int | None], Any]:
        response = self.client.post(
            f"/capture/-/events/{route}",
            data=json.dumps(body),
            content_type="text/plain;charset=UTF-8",
            environ_overrides={"REMOTE_ADDR": ip},
        )
        answer = response.get_json()
        if response.status_code != 200:
            error = answer["error"]
            return (error["code"], error.get("try-in-seconds")), {}
        if route == "track":
            return ("identified" if answer["identified"] else "anonymous", None), answer
        return ("duplicate" if "duplicate" in answer else "accepted", None), answer

    def call_identify(
        self, body: dict[str, Any], session: str | None, ip: str | None
    ) -> tuple[tuple[str, int | None, int | None], Any]:
        skip = body.pop("skipNonExisting", False)
        try:
            answer = self.capture.identify(**body, skip_non_existing=skip, session=session, ip=ip)
        except RateLimited as refused:
            return (refused.code, refused.public_retry_after, refused.retry_after), {}
        except Refused as refused:
            return (refused.code, None, None), {}
        code = "identified" if answer.identified else "anonymous"
        return (code, None, None), {"session": answer.session}

    def call_record(
        self, body: dict[str, Any], session: str | None, ip: str | None
    ) -> tuple[str, int | None, int | None]:
        activity_id, sent = body.pop("activity_id"), body.pop("attributes")
        try:
            captured = self.capture.record(session, activity_id, sent, ip=ip, **body)
        except RateLimited as refused:
            return refused.code, refused.public_retry_after, refused.retry_after
        except Refused as refused:
            return refused.code, None, None
        return ("duplicate" if captured.duplicate else "accepted"), None, None

    @invariant()
    def the_journal_is_the_models(self) -> None:
        stored = self.backends.journal.after("", limit=10_000)
        assert len(stored) == len(self.model.journal)
        positions = [row.position for row in stored]
        assert positions == sorted(set(positions))
        for real, row in zip(stored, self.model.journal, strict=True):
            if row["event_id"] is None:
                row["event_id"] = real.event_id
            assert self.ids.setdefault(row["person"], real.person_id) == real.person_id
            assert (
                real.event_id,
                real.activity_id,
                exactly(real.attributes),
                real.assurance,
                real.received_at.timestamp(),
                real.gpc,
            ) == (
                row["event_id"],
                row["activity_id"],
                exactly(row["attributes"]),
                row["assurance"],
                row["received_at"],
                row["gpc"],
            )
            assert math.isclose(real.occurred_at.timestamp(), row["occurred_at"], abs_tol=1e-3)

    @invariant()
    def the_people_are_the_models(self) -> None:
        for person in self.model.people:
            for identifier in person.identifiers.items():
                real = self.backends.people.find([Identifier(*identifier)])
                assert real is not None, identifier
                assert self.ids.setdefault(person, real.id) == real.id
            if person not in self.ids:
                continue
            stored = self.backends.people.get(self.ids[person])
            assert stored is not None
            assert dict(stored.identifiers) == person.identifiers
            assert (stored.first, stored.last, stored.assurance) == (
                person.first,
                person.last,
                person.assurance,
            )
        assert len(set(self.ids.values())) == len(self.ids), "one id for two people"

    @invariant()
    def no_other_person_is_known(self) -> None:
        for kind, value in KNOWN:
            if self.model.find(kind, value) is None:
                assert self.backends.people.find([Identifier(kind, value)]) is None

    @invariant()
    def every_request_had_one_outcome(self) -> None:
        if self.begun:
            assert self.outcomes() == self.model.outcomes

    def outcomes(self) -> dict[str, int]:
        """How often each code was noted, and those notes that the model knows of."""
        assert self.backends.outcomes is not None
        noted = ("note:identity-conflict", "note:profile-kept")
        return {
            code: count
            for code, count in self.backends.outcomes.counts().items()
            if code in noted or not code.startswith("note:")
        }

    def teardown(self) -> None:
        if self.begun:
            self.backends.close()


def members(who: Fields) -> dict[str, Any]:
    """The members of ``track`` as JSON, those that say nothing left out."""
    said: dict[str, Any] = {"email": who.email, "ei": who.ei, "first": who.first, "last": who.last}
    said["ac"] = [{"fi": key, "v": value} for key, value in who.ac] or None
    said["skipNonExisting"] = who.skip or None
    return {key: value for key, value in said.items() if value is not None}


def json_can_say(event: Event) -> bool:
    """The body cap comes before the attribute checks."""
    return len(json.dumps({key: raw for key, (raw, _) in event.attributes.items()})) < 60_000


def exactly(attributes: Any) -> str:
    """Equality that tells 5 from 5.0 and 1 from true."""
    return json.dumps(attributes, sort_keys=True)


class FileMachine(CaptureMachine):
    """The same on a directory, whose process may end or be killed between any two requests."""

    def open(self) -> Backends:
        self.folder = TemporaryDirectory()
        self.data = Path(self.folder.name, "data")
        return self.opened()

    def opened(self) -> Backends:
        return open_backends(f"file:{self.data}")

    def close(self) -> None:
        self.backends.close()

    @rule()
    def another_process(self) -> None:
        """The one before has ended as it should."""
        self.close()
        self.backends = self.opened()
        self.restart()

    @rule()
    def crash(self) -> None:
        """What a killed process leaves behind is what its files hold at that moment."""
        left, self.data = self.data, self.data.with_name(self.data.name + "x")
        copytree(left, self.data)
        self.close()
        rmtree(left)
        self.backends = self.opened()
        self.restart()
        self.lose_outcomes()

    def lose_outcomes(self) -> None:
        """They are not durable: none too many, and the model goes on with what is left."""
        assert self.backends.outcomes is not None
        left = self.outcomes()
        assert all(count <= self.model.outcomes[code] for code, count in left.items())
        self.model.outcomes = left
        kept = [
            (person, outcome.code)
            for person in self.model.people
            if person in self.ids
            for outcome in self.backends.outcomes.of(self.ids[person])
            if outcome.reason
        ]
        assert not Counter(kept) - Counter(self.model.refusals)
        self.model.refusals = kept

    def teardown(self) -> None:
        if self.begun:
            self.close()
            self.folder.cleanup()


class TwoProcesses(FileMachine):
    """The same, served by two processes in turn, each of which remembers what it has seen."""

    def opened(self) -> Backends:
        self.other = super().opened()
        return super().opened()

    def close(self) -> None:
        super().close()
        self.other.close()

    @rule()
    def restart(self) -> None:
        self.other_capture = self.serve(self.other)
        super().restart()

    @rule()
    def the_other_process(self) -> None:
        """Both live on."""
        self.backends, self.other = self.other, self.backends
        self.capture, self.other_capture = self.other_capture, self.capture
        self.client = Client(mount(untouched, CaptureApp(self.capture), at="/capture"))

    def define(self, activity_id: str) -> None:
        """In both: without this the other would see it within a second of the real clock."""
        super().define(activity_id)
        self.other.definitions.put(built(activity_id, self.model.definitions[activity_id]))

    def outcomes(self) -> dict[str, int]:
        """Each process holds back its own for a while, so that only too many can be told."""
        seen = super().outcomes()
        assert all(count <= self.model.outcomes[code] for code, count in seen.items())
        return self.model.outcomes

    def lose_outcomes(self) -> None:
        """The model goes on with more than are left."""

    def refused(self, told: dict[str, Any], person: Profile) -> None:
        """What the other process holds back is not told here."""


def looked_for(examples: int) -> settings:
    """How long to look."""
    return settings(
        max_examples=campaign(examples),
        stateful_step_count=60,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        deadline=None,
    )


TestOnMemory = CaptureMachine.TestCase
TestOnMemory.settings = looked_for(100)
TestOnFiles = FileMachine.TestCase
TestOnFiles.settings = looked_for(20)
TestOnFilesOfTwo = TwoProcesses.TestCase
TestOnFilesOfTwo.settings = looked_for(20)
