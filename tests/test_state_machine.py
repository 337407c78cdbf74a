"""Any sequence of requests, in Python and over HTTP, ends as the model of the contract says.

The law of this file: after every step the code of the answer, every stored activity, everybody who
is known and the counts of outcomes equal the model's. A medium joins by a subclass of
``CaptureMachine`` whose ``open`` returns its backends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
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
    Identifier,
    RateLimited,
    Refused,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.backends.file import FileBackends, open_file

from .contract_model import (
    ADDRESSES,
    BAD_EVENT_IDS,
    BLANK,
    BUCKETS,
    DAY,
    FORGED,
    HOUR,
    INVALID,
    VALUES,
    WEEK_MS,
    Contract,
    Event,
    Fields,
    Somebody,
    Ticket,
)
from .services import campaign

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"

LOGIN = "act:cm:login"
EVERYTHING = "act:cm:Everything_45-characters-and-no-fewer-ok"
LOOSE = "act:shop:2nd"
WIDE = "act:cm:wide"

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
    WIDE: {"attributes": {f"bol:cm:b{n}": False for n in range(17)}},
    "act:cm:off": {"attributes": {}, "client_side": False},
    "act:cm:gone": {"attributes": {}, "archived": True},
}


def defaults(definition: dict[str, Any]) -> dict[str, Any]:
    usual = {"limits": {}, "unknown_attributes": "reject", "client_side": True, "archived": False}
    return usual | definition


def built(activity_id: str, definition: dict[str, Any]) -> Definition:
    return Definition(
        activity_id,
        name="An activity",
        client_side=definition["client_side"],
        archived=definition["archived"],
        attributes=[
            Attribute(key, required=needed) for key, needed in definition["attributes"].items()
        ],
        limits={
            kind: f"{amount} per {seconds} second"
            for kind, (amount, seconds) in definition["limits"].items()
        },
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


#: Few people in few spellings, so that limits and identifiers meet; now and then anybody.
emails = st.sampled_from([*list(ADDRESSES)[:3] * 15, *ADDRESSES])
identifiers = {
    "email": st.none() | emails | emails,
    "ei": st.none() | st.none() | st.sampled_from(["1", "A-2", 3, "3", "", "  "]),
    "ac": st.just(())
    | st.lists(
        st.tuples(
            st.sampled_from(["str:cm:customer-id", "int:cm:customer", "str:cm:unlisted"]),
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
simple = st.builds(Fields, email=st.sampled_from(list(ADDRESSES)[:3]))

events = st.sampled_from([LOGIN] * 8 + [*DEFINITIONS, "act:cm:unknown", "act::system"]).flatmap(
    lambda activity_id: st.builds(
        Event,
        activity_id=st.just(activity_id),
        attributes=attributes(activity_id),
        event_id=st.none() | st.sampled_from(["e-1", "E_2"] * 6 + ["x" * 64, *BAD_EVENT_IDS[:2]]),
        age=st.sampled_from([0] * 12 + [500, 0.5, 3_600_000, WEEK_MS, WEEK_MS + 1, -1]),
        gpc=st.booleans(),
    )
)
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

    def open(self) -> Backends:
        return open_backends("memory:")

    def __init__(self) -> None:
        super().__init__()
        self.now = self.latest = 1_700_000_000.0
        self.made = 0
        #: Which stored id each of the model's people turned out to have.
        self.ids: dict[Somebody, str] = {}
        self.tokens: list[tuple[str, Ticket]] = []
        self.bad_tokens: list[tuple[str, Ticket]] = []

    @initialize(tell=st.booleans(), homes=st.sampled_from(HOMES))
    def begin(self, tell: bool, homes: tuple[str, ...]) -> None:
        self.homes = homes
        self.backends = self.open()
        self.settings = Settings(
            secret_keys=[SECRET],
            person_limit="3/day",
            ip_limit="4/hour",
            new_people_limit="3/hour",
            merge_keys=["str:cm:customer-id", "int:cm:customer"],
            session_days=2,
            allow_skip_non_existing=tell,
            # What is forgotten with time has tests of its own.
            retain_activities_days=4_000,
            retain_idle_people_days=4_000,
        )
        self.model = Contract(
            {each: defaults(definition) for each, definition in DEFINITIONS.items()},
            person_limit=(3, DAY),
            ip_limit=(4, HOUR),
            new_people_limit=(3, HOUR),
            merge_keys=("str:cm:customer-id", "int:cm:customer"),
            session_days=2,
            tell_existence=tell,
        )
        for activity_id in DEFINITIONS:
            self.define(activity_id)
        with open_backends("memory:") as elsewhere:
            foreign = Capture(backends=elsewhere, settings=self.settings, clock=lambda: self.now)
            stranger = foreign.identify(email="stranger@emaildomain.com").session
        assert stranger is not None
        self.bad_tokens = [
            (stranger, Ticket(Somebody({}), issued=self.now)),
            (stranger[:-1] + ("A" if stranger[-1] != "A" else "B"), Ticket(None)),
            ("oc1.forged", Ticket(None)),
        ]
        self.restart()

    @rule()
    def restart(self) -> None:
        """A new process remembers nothing, and that changes nothing."""
        self.capture = Capture(
            backends=self.backends,
            settings=self.settings,
            clock=lambda: self.now,
            new_id=self.new_id,
        )
        self.client = Client(mount(untouched, CaptureApp(self.capture), at="/capture"))

    def new_id(self) -> str:
        self.made += 1
        return f"id-{self.made}"

    def define(self, activity_id: str) -> None:
        editor: Any = self.backends.definitions
        editor.put(built(activity_id, self.model.definitions[activity_id]))

    @rule(
        activity_id=st.sampled_from([*DEFINITIONS]),
        state=st.sampled_from([(True, False)] * 4 + [(False, False), (True, True), (False, True)]),
    )
    def redefine(self, activity_id: str, state: tuple[bool, bool]) -> None:
        """Mostly back to what accepts activities."""
        client_side, archived = state
        self.model.definitions[activity_id] |= {"client_side": client_side, "archived": archived}
        self.define(activity_id)

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

    @rule(
        vouched=st.sampled_from([*list(ADDRESSES)[:1] * 5, "strasse@emaildomain.com", FORGED]),
        ei=st.none() | st.sampled_from(["1", "A-2"]),
        first=st.sampled_from([None, "Johanna"]),
        door=doors,
    )
    def track_verified(self, vouched: str, ei: str | None, first: str | None, door: Door) -> None:
        """Perhaps with an external id beside it, which is only claimed."""
        self.identify(Fields(ei=ei, first=first), None, vouched, door)

    def identify(self, who: Fields, token: int | None, vouched: str | None, door: Door) -> None:
        sent, ticket = self.session(token)
        ip, bucket = self.address(door)
        expected = self.model.track(self.now, bucket, who, ticket, vouched)
        body = members(who) | self.proof(vouched)
        if door[0] == "http":
            code, given = self.post("track", body | {"session": sent}, ip)
        else:
            code, given = self.call_identify(body, sent, ip)
        assert code == (expected.code, expected.wait), (code, given)
        if expected.ticket is None:
            assert not given.get("session")
        elif ticket is not None and expected.ticket is ticket:
            assert given["session"] == sent
        else:
            self.tokens.append((given["session"], expected.ticket))

    @rule(event=events, token=tokens, door=doors)
    def act(self, event: Event, token: int, door: Door) -> None:
        """An activity of somebody who identified before."""
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

    @precondition(lambda self: bool(self.model.journal))
    @rule(
        back=st.integers(0, 3),
        week=st.sampled_from([None, None, -0.5, 0, 0.5]),
        by_session=st.booleans(),
        door=doors,
    )
    def resend(self, back: int, week: float | None, by_session: bool, door: Door) -> None:
        """One that was accepted before, of the same person, perhaps just about a week later."""
        row = self.model.journal[-1 - back % len(self.model.journal)]
        same = {key: (value, value) for key, value in row["attributes"].items()}
        newest = [ticket.person for _, ticket in reversed(self.tokens)]
        if week is not None:
            self.set_clock(max(self.now, row["received_at"] + 7 * DAY + week))
        if by_session and row["person"] in newest:
            token, who = newest.index(row["person"]), None
        else:
            known = row["person"].identifiers
            others = tuple((kind, known[kind]) for kind in known if ":" in kind)
            token, who = None, Fields(email=known.get("email"), ei=known.get("ei"), ac=others)
        event = Event(row["activity_id"], same, row["event_id"], person=who)
        self.record(event, token, None, door)

    @rule(
        event=events,
        who=fields | simple,
        token=tokens,
        door=doors,
    )
    def act_as(self, event: Event, who: Fields, token: int | None, door: Door) -> None:
        """An activity that brings its person along, with a bad session or none."""
        ticket = self.session(token)[1]
        valid = ticket is not None and ticket.person in self.model.people
        if valid or who.skip or ADDRESSES.get(who.email or "") is None:
            token = None
        self.record(
            Event(event.activity_id, event.attributes, event.event_id, event.age, who, event.gpc),
            token,
            None,
            door,
        )

    @rule(
        event=events,
        vouched=st.sampled_from([*["user@emaildomain.com", "new@emaildomain.com"] * 3, FORGED]),
        door=doors,
    )
    def act_vouched(self, event: Event, vouched: str, door: Door) -> None:
        self.record(event, None, vouched, door)

    @rule(address=st.sampled_from(list(ADDRESSES)[:3]))
    def erase(self, address: str) -> None:
        """Nothing is left of them, and whoever comes back is somebody new."""
        gone = self.model.erase(str(ADDRESSES[address]))
        erased = self.capture.erase(address)
        assert erased == (None if gone is None else (gone, True))
        assert self.capture.export(address) is None

    def record(self, event: Event, token: int | None, vouched: str | None, door: Door) -> None:
        sent, ticket = self.session(token)
        ip, bucket = self.address(door)
        expected = self.model.activity(self.now, bucket, event, ticket, vouched)
        body: dict[str, Any] = {
            "activity_id": event.activity_id,
            "attributes": {key: raw for key, (raw, _) in event.attributes.items()},
            "event_id": event.event_id,
            "age": event.age,
            "person": None if event.person is None else members(event.person),
            "gpc": event.gpc,
            **self.proof(vouched),
        }
        if door[0] == "http" and json_can_say(event):
            sent_body = {key: value for key, value in body.items() if value is not None}
            code, _ = self.post("activity", sent_body | ({"session": sent} if sent else {}), ip)
        else:
            code = self.call_record(body, sent, ip)
        assert code == (expected.code, expected.wait), (code, expected)

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

    def proof(self, vouched: str | None) -> dict[str, str]:
        if vouched is None:
            return {}
        signed = self.capture.sign_identity(
            "user@emaildomain.com" if vouched == FORGED else vouched
        )
        return {"identity": signed[:-4] if vouched == FORGED else signed}

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
    ) -> tuple[tuple[str, int | None], Any]:
        skip = body.pop("skipNonExisting", False)
        try:
            answer = self.capture.identify(**body, skip_non_existing=skip, session=session, ip=ip)
        except RateLimited as refused:
            return (refused.code, refused.public_retry_after), {}
        except Refused as refused:
            return (refused.code, None), {}
        code = "identified" if answer.identified else "anonymous"
        return (code, None), {"session": answer.session}

    def call_record(
        self, body: dict[str, Any], session: str | None, ip: str | None
    ) -> tuple[str, int | None]:
        activity_id, sent = body.pop("activity_id"), body.pop("attributes")
        try:
            captured = self.capture.record(session, activity_id, sent, ip=ip, **body)
        except RateLimited as refused:
            return refused.code, refused.public_retry_after
        except Refused as refused:
            return refused.code, None
        return ("duplicate" if captured.duplicate else "accepted"), None

    @invariant()
    def the_journal_is_the_models(self) -> None:
        stored = self.backends.journal.recent(after=0, limit=10_000)
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
                assert dict(real.identifiers) == person.identifiers
                assert (real.first, real.last, real.assurance) == (
                    person.first,
                    person.last,
                    person.assurance,
                )
        assert len(set(self.ids.values())) == len(self.ids), "one id for two people"

    @invariant()
    def nobody_else_is_known(self) -> None:
        for address in {*ADDRESSES.values(), "new@emaildomain.com"} - {None, BLANK}:
            if self.model.find("email", str(address)) is None:
                assert self.backends.people.find([Identifier("email", str(address))]) is None

    @invariant()
    def every_request_had_one_outcome(self) -> None:
        if not self.bad_tokens or self.backends.outcomes is None:
            return
        counts = {
            code: count
            for code, count in self.backends.outcomes.counts().items()
            if code == "note:identity-conflict" or not code.startswith("note:")
        }
        assert counts == self.model.outcomes

    def teardown(self) -> None:
        if self.bad_tokens:
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

    def open(self) -> FileBackends:
        self.folder = TemporaryDirectory()
        self.data = Path(self.folder.name, "data")
        return open_file(str(self.data))

    @rule()
    def another_process(self) -> None:
        """The one before has ended as it should."""
        self.backends.close()
        self.backends = open_file(str(self.data))
        self.restart()

    @rule()
    def crash(self) -> None:
        """What a killed process leaves behind is what its files hold at that moment."""
        assert isinstance(self.backends, FileBackends)
        # Counts of outcomes are not durable, and may be lost here.
        self.backends.outcomes.flush()
        left, self.data = self.data, self.data.with_name(self.data.name + "x")
        copytree(left, self.data)
        self.backends.close()
        rmtree(left)
        self.backends = open_file(str(self.data))
        self.restart()

    def teardown(self) -> None:
        super().teardown()
        if self.bad_tokens:
            self.folder.cleanup()


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
TestOnFiles.settings = looked_for(40)
