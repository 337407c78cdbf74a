"""Contract §7, sentence by sentence: who a visitor is, who may say so, and what is kept of whom.

The law of this file: each test's name is a sentence of §7, in its order there. Tokens are bent in
``test_tokens``, spellings of addresses in ``test_identity``; that erasing reaches the bytes on disk
is in ``tests/faults``; that all of it holds after any sequence, in ``test_state_machine``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ortto_capture import (
    Backends,
    Capture,
    Definition,
    NotIdentified,
    RateLimited,
    Refused,
    Settings,
    open_backends,
)

from .contract_model import ADDRESSES, BLANK
from .world import (
    DAY,
    ELSEWHERE,
    HERE,
    IP_LIMIT,
    KEY,
    LOGIN,
    NOW,
    PERSON_LIMIT,
    SECRET,
    Request,
    World,
    activity,
    check_headers,
    forged,
    track,
)

OWNER = {"bol:cm:account-owner": True}
USER = "user@emaildomain.com"
CUSTOMER, MEMBER = "str:cm:customer-id", "int:cm:member"


class People:
    """An account without sources, seen through what it knows of people."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.backends = open_backends("memory:")
        self.backends.definitions.put(Definition(LOGIN, name="Logged in", client_side=True))
        chosen: dict[str, Any] = {"secret_keys": [SECRET], "merge_keys": [CUSTOMER, MEMBER]}
        self.capture = Capture(
            backends=self.backends, settings=Settings(**chosen | settings), clock=lambda: self.now
        )

    def claim(self, email: str | None = None, **members: Any) -> str:
        """``track`` by a browser; the session."""
        return str(self.capture.identify(email=email, **members).session)

    def prove(self, email: str | None = None, ei: str | None = None, **members: Any) -> str:
        """``track`` with what the host vouches for; the session."""
        token = self.capture.sign_identity(email, ei=ei)
        return str(self.capture.identify(identity=token, **members).session)

    def who(self, session: str) -> str:
        """The id of the person this session belongs to."""
        return self.capture.record(session, LOGIN).person_id

    def holds(self, session: str) -> dict[str, str]:
        """The identifiers of this session's person."""
        person = self.backends.people.get(self.who(session))
        assert person is not None
        return dict(person.identifiers)

    def names(self, session: str) -> tuple[str | None, str | None]:
        person = self.backends.people.get(self.who(session))
        assert person is not None
        return person.first, person.last

    def noted(self, note: str) -> int:
        assert self.backends.outcomes is not None
        return self.backends.outcomes.counts().get(f"note:{note}", 0)


def ac(**fields: str) -> list[dict[str, str]]:
    """The member ``ac``: custom fields as further identifiers."""
    keys = {"customer": CUSTOMER, "member": MEMBER, "unlisted": "str:cm:unlisted"}
    return [{"fi": keys[name], "v": value} for name, value in fields.items()]


# -- track and its answers


@pytest.mark.parametrize("member", ["email", "ei"])
def test_track_with_an_address_or_an_external_id_finds_or_creates_the_person(member: str) -> None:
    people = People()
    said: dict[str, Any] = {member: "a-1@emaildomain.com"}
    first, second = (people.capture.identify(**said) for _ in range(2))
    assert first.identified
    assert second.identified
    assert str(first.session).startswith("oc1.")
    assert people.who(str(first.session)) == people.who(str(second.session))
    assert people.who(people.claim("another@emaildomain.com")) != people.who(str(first.session))


def test_identification_without_identity_keeps_a_valid_session() -> None:
    world = World()

    def tracked(session: Any, **members: Any) -> Any:
        request = Request("track", {"key": KEY, "session": session, "v": 0} | members)
        reply = world.send(request)
        assert reply.status == 200
        check_headers(reply)
        return reply.json

    kept = world.sessions[0]
    anonymous = {"session": None, "identified": False}
    assert tracked(kept) == {"session": kept, "identified": True}
    assert tracked(kept, email="  ", ei="", first="Johanna") == tracked(kept)
    for bad in (None, "", "oc1.forged", forged(kept), world.expired, world.unknown_person):
        assert tracked(bad) == anonymous
    assert tracked(None, email="person1@emaildomain.com", skipNonExisting=True) == anonymous
    assert tracked(None, email="never@emaildomain.com", skipNonExisting=True) == anonymous


def test_track_answers_the_same_for_new_known_and_erased_people() -> None:
    world = World()
    world.session("erased@emaildomain.com")
    world.capture.erase("erased@emaildomain.com")
    replies = []
    for email in ("person0@emaildomain.com", USER, "erased@emaildomain.com"):
        request = track(world)
        request.json["email"] = email
        replies.append(world.send(request))
    assert len({(reply.status, reply.headers, len(reply.body)) for reply in replies}) == 1
    assert {tuple(reply.json) for reply in replies} == {("session", "identified")}
    assert len({len(reply.json["session"]) for reply in replies}) == 1


@pytest.mark.parametrize("allowed", [False, True])
def test_skip_non_existing_never_creates_a_person(allowed: bool) -> None:
    people = People(allow_skip_non_existing=allowed)
    assert people.capture.identify(email=USER, skip_non_existing=True) == (None, False)
    with pytest.raises(NotIdentified):
        people.capture.record(None, LOGIN, person={"email": USER, "skipNonExisting": True})
    proof = people.capture.sign_identity(USER)
    assert people.capture.identify(identity=proof, skip_non_existing=True) == (None, False)
    assert people.capture.person(USER) is None


@pytest.mark.parametrize("allowed", [False, True])
def test_skip_non_existing_tells_a_claimed_caller_nothing_unless_a_setting_allows_it(
    allowed: bool,
) -> None:
    people = People(allow_skip_non_existing=allowed)
    people.claim(USER)
    assert people.capture.identify(email=USER, skip_non_existing=True).identified is allowed
    proof = people.capture.sign_identity(USER)
    assert people.capture.identify(identity=proof, skip_non_existing=True).identified
    said = {"email": USER, "skipNonExisting": True}
    if allowed:
        assert people.capture.record(None, LOGIN, person=said).position
    else:
        with pytest.raises(NotIdentified):
            people.capture.record(None, LOGIN, person=said)


# -- addresses and identifiers


@pytest.mark.parametrize("typed", [each for each, one in ADDRESSES.items() if one != BLANK])
def test_an_address_has_one_spelling(typed: str) -> None:
    """Trimmed, NFC, lower case in ASCII only, the domain as A-labels; no provider tricks."""
    people, address = People(), ADDRESSES[typed]
    if address is None:
        with pytest.raises(Refused):
            people.claim(typed)
        return
    session = people.claim(typed)
    assert people.holds(session) == {"email": address}
    assert people.who(people.claim(address)) == people.who(session)
    found = people.capture.person(typed)
    assert found is not None
    assert found.email == address


def test_people_are_looked_up_by_external_id_then_address_then_custom_fields_as_sent() -> None:
    people = People()
    by = {
        "ei": people.who(people.claim(ei="7")),
        "email": people.who(people.claim(USER)),
        "customer": people.who(people.claim(ac=ac(customer="1"))),
        "member": people.who(people.claim(ac=ac(member="1"))),
    }
    assert len(set(by.values())) == 4
    assert people.who(people.claim(USER, ei="7", ac=ac(customer="1"))) == by["ei"]
    assert people.who(people.claim(USER, ac=ac(customer="1"))) == by["email"]
    assert people.who(people.claim(ac=ac(customer="1", member="1"))) == by["customer"]
    assert people.who(people.claim(ac=ac(member="1", customer="1"))) == by["member"]
    assert people.who(people.claim("new@emaildomain.com", ac=ac(member="1"))) == by["member"]


def test_only_custom_fields_that_the_settings_list_are_identifiers() -> None:
    people = People()
    assert people.claim(ac=ac(unlisted="1")) == "None"
    assert people.holds(people.claim(USER, ac=ac(unlisted="1"))) == {"email": USER}


def test_identifiers_are_set_when_a_person_is_created() -> None:
    people = People()
    session = people.claim(USER, ei=7, ac=ac(customer="1"))
    assert people.holds(session) == {"ei": "7", "email": USER, CUSTOMER: "1"}


def test_identifiers_are_added_later_only_by_verified_calls() -> None:
    """A stranger must not hang another address on a person's record."""
    people = People()
    people.prove(ei="7")
    session = people.claim("mallory@emaildomain.com", ei="7")
    assert people.holds(session) == {"ei": "7"}
    assert people.noted("identity-conflict") == 1
    assert people.capture.person("mallory@emaildomain.com") is None
    session = people.prove(USER, ei="7")
    assert people.holds(session) == {"ei": "7", "email": USER}
    assert people.noted("identity-conflict") == 1


def test_what_is_claimed_beside_a_proof_finds_nothing_and_is_not_added() -> None:
    people = People()
    victim = people.who(people.claim(ei="42"))
    session = people.prove(USER, ac=ac(customer="1"))
    session = people.prove(USER)
    token = people.capture.sign_identity(USER)
    session = str(people.capture.identify(identity=token, ei="42", ac=ac(customer="1")).session)
    assert people.who(session) != victim
    assert people.holds(session) == {"email": USER}
    assert people.noted("identity-conflict") == 2


@pytest.mark.parametrize("known", ["ei", "email"])
def test_a_person_has_one_value_of_each_kind_and_is_never_keyed_anew(known: str) -> None:
    """A second external id, or a second address, is noted and left out, proven or not."""
    people = People()
    first = people.prove(USER, ei="7")
    second = {"ei": "8", "email": USER} if known == "email" else {"ei": "7", "email": "b@b.example"}
    for session in (people.prove(**second), people.claim(**second)):
        assert people.who(session) == people.who(first)
        assert people.holds(session) == {"ei": "7", "email": USER}
    assert people.noted("identity-conflict") == 2
    assert people.capture.person(ei="8") is None
    assert people.capture.person("b@b.example") is None


@pytest.mark.parametrize("how", ["claimed", "verified"])
def test_two_known_people_are_never_merged(how: str) -> None:
    people = People()
    one, other = people.prove(ei="7"), people.prove(USER)
    together = people.claim(USER, ei="7") if how == "claimed" else people.prove(USER, ei="7")
    assert people.who(together) == people.who(one) != people.who(other)
    assert people.holds(one) == {"ei": "7"}
    assert people.holds(other) == {"email": USER}
    assert people.noted("identity-conflict") == 1


def test_a_verified_call_takes_a_proven_identifier_from_a_claimed_holder() -> None:
    """Who keeps the rows without it; the outcome notes ``identity-conflict``."""
    people = People()
    squatter = people.claim(USER, ac=ac(customer="1"), first="Mallory")
    row = people.capture.record(squatter, LOGIN)
    proven = people.prove(ei="7")
    assert people.noted("identity-conflict") == 0
    people.prove(USER, ei="7")
    assert people.holds(proven) == {"ei": "7", "email": USER}
    assert people.holds(squatter) == {CUSTOMER: "1"}
    assert people.names(squatter) == ("Mallory", None)
    assert people.noted("identity-conflict") == 1
    told = people.capture.export(USER)
    assert told is not None
    assert row.event_id not in [each["event_id"] for each in told["activities"]]
    assert people.who(squatter) == row.person_id


def test_a_claimed_holder_of_nothing_but_what_was_taken_keeps_rows_and_session() -> None:
    people = People()
    squatter = people.claim(USER)
    row = people.capture.record(squatter, LOGIN)
    people.prove(ei="7")
    people.prove(USER, ei="7")
    assert people.holds(squatter) == {}
    assert people.who(squatter) == row.person_id
    assert people.who(people.claim(USER)) == people.who(people.claim(ei="7")) != row.person_id


def test_a_stranger_who_claimed_the_external_id_first_is_not_who_it_is_proven_for() -> None:
    """Whatever the lookup order: the host vouched for the other person before."""
    people = People()
    owner = people.prove(USER)
    squatter = people.claim(ei="7")

    again = people.prove(USER, ei="7")

    assert people.who(again) == people.who(owner) != people.who(squatter)
    assert people.holds(owner) == {"email": USER, "ei": "7"}
    assert people.holds(squatter) == {}


def test_an_activity_with_a_proof_takes_an_identifier_as_track_does() -> None:
    people = People()
    squatter = people.claim(USER)
    people.prove(ei="7")
    proof = people.capture.sign_identity(USER, ei="7")
    row = people.capture.record(None, LOGIN, identity=proof)
    assert people.holds(squatter) == {}
    found = people.capture.person(USER)
    assert found is not None
    assert (found.id, row.assurance) == (row.person_id, "verified")
    assert people.noted("identity-conflict") == 1


def test_a_duplicate_notes_no_conflict_that_it_did_not_settle() -> None:
    """§5: a duplicate writes nothing, so that no identifier is taken or left out."""
    people = People()
    proof = people.capture.sign_identity(USER)
    people.capture.record(None, LOGIN, event_id="again", identity=proof)
    again = people.capture.record(
        None, LOGIN, event_id="again", identity=proof, person={"ei": "8", "first": "Jo"}
    )
    assert again.duplicate
    assert people.noted("identity-conflict") == people.noted("profile-kept") == 0
    assert people.names(people.prove(USER)) == (None, None)


def test_a_proven_identifier_is_never_taken_from_a_verified_holder() -> None:
    people = People()
    other = people.prove(USER)
    one = people.prove(USER.replace("user", "one"), ei="7")
    people.prove(USER, ei="7")
    assert people.holds(other) == {"email": USER}
    assert people.holds(one) == {"email": "one@emaildomain.com", "ei": "7"}
    assert people.noted("identity-conflict") == 1


def test_when_a_claimed_profile_is_first_vouched_for_what_was_claimed_goes() -> None:
    """Names and identifiers alike: only what this call says stays."""
    people = People()
    claimed = people.claim(USER, ei="7", ac=ac(customer="1"), first="Mallory", last="Apple")
    proven = people.prove(USER, first="Johanna")
    assert people.who(claimed) == people.who(proven)
    assert people.holds(proven) == {"email": USER}
    assert people.names(proven) == ("Johanna", None)
    assert people.capture.person(ei="7") is None
    assert people.who(people.claim(ei="7")) != people.who(proven)


def test_when_an_activity_first_vouches_for_a_profile_what_was_claimed_goes() -> None:
    people = People()
    claimed = people.claim(USER, ei="7", first="Mallory")
    people.capture.record(None, LOGIN, identity=people.capture.sign_identity(USER))
    assert people.names(claimed) == (None, None)
    assert people.holds(claimed) == {"email": USER}


def test_a_profile_that_was_vouched_for_keeps_what_later_proofs_do_not_say() -> None:
    people = People()
    session = people.prove(USER, ei="7", first="Johanna", last="Appleseed")
    people.prove(USER, first="Jo")
    people.prove(ei="7")
    assert people.names(session) == ("Jo", "Appleseed")
    assert people.holds(session) == {"ei": "7", "email": USER}


# -- sessions


def test_a_new_track_on_the_same_browser_switches_the_session_to_that_person() -> None:
    people = People()
    first = people.claim(USER)
    second = people.claim("another@emaildomain.com", session=first)
    assert people.who(second) != people.who(first)
    assert people.claim(session=second) == second


def test_expiry_and_the_persons_existence_are_checked_each_time() -> None:
    people = People(session_days=30)
    session = people.claim(USER)
    assert people.claim(session=session) == session
    people.now += 31 * DAY
    assert people.capture.identify(session=session) == (None, False)
    people.now -= 31 * DAY
    assert people.claim(session=session) == session
    people.capture.erase(USER)
    assert people.capture.identify(session=session) == (None, False)
    with pytest.raises(NotIdentified):
        people.capture.record(session, LOGIN)


def test_a_person_erased_by_another_process_is_not_identified_here() -> None:
    people = People()
    session = people.claim(USER)
    people.who(session)
    another = Capture(
        backends=people.backends, settings=people.capture.settings, clock=lambda: people.now
    )
    another.erase(USER)
    with pytest.raises(NotIdentified):
        people.capture.record(session, LOGIN)
    assert people.capture.identify(session=session) == (None, False)


def test_a_proof_comes_before_the_session_of_the_visitor_before() -> None:
    people = People()
    before = people.claim("before@emaildomain.com")
    proof = people.capture.sign_identity(USER)
    row = people.capture.record(before, LOGIN, identity=proof)
    assert row.assurance == "verified"
    assert row.person_id != people.who(before)
    with pytest.raises(Refused) as refused:
        people.capture.record(before, LOGIN, identity=forged(proof))
    assert refused.value.code == "bad-identity"


# -- what timing tells


def costs_of(world: World) -> Counter[str]:
    """How often each method that may write was called; a look at one row more does not count."""
    return Counter(
        {
            f"{name}.{method}": count
            for name in ("people", "journal", "limiter")
            for method, count in getattr(world, name).calls.items()
            if method not in ("get", "find", "latest")
        }
    )


@pytest.mark.parametrize("route", ["track", "activity"])
@pytest.mark.parametrize("room", [True, False])
@pytest.mark.parametrize("change", [None, "Mallory"])
def test_whether_a_known_person_is_verified_does_not_show_in_what_a_request_costs(
    route: str, room: bool, change: str | None
) -> None:
    """An unchanged profile, or a change that is refused, writes and charges the same for both."""
    costs = []
    for assurance in ("claimed", "verified"):
        world = World()
        make: Callable[..., str] = world.session if assurance == "claimed" else world.verified
        make(USER)
        world.now += 86_400 * 2
        if not room:
            world.fill_new_people()
        request = track(world) if route == "track" else activity(world)
        said = {"email": USER, "first": change, "last": None}
        if route == "track":
            request.json |= said
        else:
            request.json |= {"session": None, "person": said}
        before = costs_of(world)
        assert world.send(request).status == 200
        costs.append(costs_of(world) - before)
    claimed, verified = costs
    if change and room:
        # The one write that a change is; both were charged for it.
        claimed["people.save"] -= 1
    assert +claimed == +verified


# -- verified identity


@pytest.mark.parametrize("by", [{"email": USER}, {"ei": "7"}, {"email": USER, "ei": "7"}])
def test_an_identity_token_signed_by_the_host_proves_what_was_signed(by: dict[str, str]) -> None:
    people = People()
    session = people.prove(**by)
    assert people.holds(session) == by
    assert people.capture.record(session, LOGIN).assurance == "verified"
    assert people.capture.record(people.claim(**by), LOGIN).assurance == "claimed"


def test_an_identity_token_ends_with_its_age() -> None:
    people = People()
    token = people.capture.sign_identity(USER, max_age=60)
    people.now += 59
    assert people.capture.identify(identity=token).identified
    people.now += 2
    with pytest.raises(Refused) as refused:
        people.capture.identify(identity=token)
    assert (refused.value.status, refused.value.code) == (401, "bad-identity")


def test_where_identity_is_required_a_claim_is_not_enough() -> None:
    people = People(identity="required")
    with pytest.raises(NotIdentified):
        people.claim(USER)
    with pytest.raises(NotIdentified):
        people.capture.record(None, LOGIN, person={"email": USER})
    session = people.prove(USER)
    assert people.capture.record(session, LOGIN).assurance == "verified"


def test_where_identity_is_required_a_claimed_session_ends() -> None:
    people = People()
    claimed, verified = people.claim(USER), people.prove(USER)
    people.capture = Capture(
        backends=people.backends,
        settings=Settings(secret_keys=[SECRET], identity="required"),
        clock=lambda: people.now,
    )
    with pytest.raises(NotIdentified):
        people.capture.record(claimed, LOGIN)
    assert people.capture.identify(session=claimed) == (None, False)
    assert people.capture.identify(session=verified) == (verified, True)
    assert people.capture.record(verified, LOGIN).assurance == "verified"


def test_a_profile_written_by_a_verified_track_is_not_changed_by_claimed_ones() -> None:
    people = People()
    session = people.prove(USER, first="Johanna")
    people.claim(USER, first="Mallory", last="Eve")
    people.capture.record(None, LOGIN, person={"email": USER, "first": "Eve"})
    assert people.names(session) == ("Johanna", None)


def test_claimed_writes_fill_and_update_claimed_profiles() -> None:
    people = People()
    session = people.claim(USER, first="John")
    people.claim(USER, last="Apple")
    assert people.names(session) == ("John", "Apple")
    people.capture.record(None, LOGIN, person={"email": USER, "first": "Johanna"})
    assert people.names(session) == ("Johanna", "Apple")


# -- erasure and export


@pytest.fixture(params=["memory", "file"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The same account on each medium."""
    world = World(medium="memory:" if request.param == "memory" else f"file:{tmp_path / 'data'}")
    yield world
    world.backends.close()


def test_erasing_takes_the_person_the_rows_and_the_counters_of_both_assurances(
    world: World,
) -> None:
    """The counters: put back with the same id, the person has all of both quotas again."""
    sessions = world.session(USER), world.verified(USER)

    def passed() -> list[bool]:
        return [world.record(each, None) for each in sessions for _ in range(PERSON_LIMIT + 1)]

    whole = ([True] * PERSON_LIMIT + [False]) * 2
    person = world.person("email", USER)
    assert person is not None
    assert passed() == whole
    assert world.capture.erase(USER) == (2 * PERSON_LIMIT, True)
    assert world.person("email", USER) is None
    assert world.people.get(person.id) is None
    assert not world.stored()
    world.people.save(person)
    assert passed() == whole


def test_erasing_leaves_what_others_did(world: World) -> None:
    world.record(world.sessions[0], HERE)
    world.record(world.session(USER), HERE)
    before = world.stored()[0]
    world.capture.erase(USER)
    assert world.stored() == [before]
    assert world.capture.erase(USER) is None
    assert world.record(world.sessions[1], HERE), "the address' own count stays"
    assert not world.record(world.sessions[1], HERE)


def test_an_export_holds_everything_that_names_the_person_refusals_included(world: World) -> None:
    session = world.session(USER)
    accepted = [world.record(session, HERE) for _ in range(PERSON_LIMIT + 1)]
    assert accepted == [True] * PERSON_LIMIT + [False]
    with pytest.raises(Refused):
        world.capture.record(session, LOGIN, {"str:cm:payment-plan": 5})
    with pytest.raises(RateLimited):
        world.capture.record(None, LOGIN, OWNER, person={"email": USER}, ip=ELSEWHERE)
    with pytest.raises(Refused):
        world.capture.record(world.sessions[0], "act:cm:unknown")
    told = world.capture.export(USER)
    assert told is not None
    assert told["person"]["identifiers"] == [{"kind": "email", "value": USER}]
    assert len(told["activities"]) == PERSON_LIMIT
    assert [each["code"] for each in told["refusals"]] == [
        "rate-limit",
        "bad-attribute",
        "rate-limit",
    ]
    assert json.loads(json.dumps(told)) == told, "plain JSON types"
    person = world.person("email", USER)
    assert person is not None
    world.capture.erase(USER)
    assert world.capture.export(USER) is None
    assert world.backends.outcomes is not None
    assert person.id not in str(world.backends.outcomes.refused(limit=1000))


@pytest.mark.parametrize("by", ["email", "ei"])
def test_erase_and_export_find_a_person_by_address_or_external_id(by: str) -> None:
    people = People()
    people.prove(USER, ei="7")
    said: dict[str, Any] = {by: {"email": " USER@emaildomain.com", "ei": 7}[by]}
    told = people.capture.export(**said)
    assert told is not None
    assert people.capture.erase(**said) == (0, True)
    assert people.capture.export(**said) is None


# -- retention


@dataclass(frozen=True, kw_only=True)
class Retaining(Backends):
    """Memory that remembers what it was asked to remove."""

    asked: list[tuple[float, float]] = field(default_factory=list)

    def retain(self, activities_since: float, people_since: float) -> bool:
        self.asked.append((activities_since, people_since))
        return False


def retaining(**settings: Any) -> tuple[People, list[tuple[float, float]]]:
    """An account whose removals are told, with an activity stored now."""
    people = People()
    memory = people.backends
    backends = Retaining(
        definitions=memory.definitions,
        people=memory.people,
        limiter=memory.limiter,
        journal=memory.journal,
    )
    people.capture = Capture(
        backends=backends,
        settings=Settings(secret_keys=[SECRET], person_limit="1000/day", **settings),
        clock=lambda: people.now,
    )
    people.who(people.claim(USER))
    return people, backends.asked


def test_what_is_older_than_the_settings_say_is_removed_while_activities_come() -> None:
    people, asked = retaining()
    for _ in range(3):
        people.now += DAY / 2
        people.who(people.claim(USER))
    assert asked[-1] == (people.now - 400 * DAY, people.now - 30 * DAY)


@pytest.mark.parametrize("days", [1.1, 31, 401])
def test_a_clock_that_is_more_than_a_day_ahead_of_the_newest_activity_removes_nothing(
    days: float, caplog: pytest.LogCaptureFixture
) -> None:
    people, asked = retaining()
    before = len(asked)
    people.now += days * DAY
    people.who(people.claim(USER))
    assert len(asked) == before
    told = [record for record in caplog.records if "old" in record.getMessage()]
    assert len(told) == 1, "logged once"
    people.now -= days * DAY
    people.who(people.claim(USER))
    assert all(since <= NOW - 400 * DAY for since, _ in asked[before:])


def test_a_request_that_stores_nothing_removes_nothing_under_a_clock_that_is_ahead() -> None:
    """One that was opted out is no second witness of the time."""
    people, asked = retaining(gpc="drop")
    before = len(asked)
    people.now += 401 * DAY
    dropped = people.capture.record(people.claim(USER), LOGIN, gpc=True)
    assert dropped.position == 0
    assert len(asked) == before


def test_a_clock_that_is_set_back_does_not_put_retention_off() -> None:
    people, asked = retaining()
    people.now -= DAY / 2
    before = len(asked)
    for _ in range(3):
        people.now += 120
        people.who(people.claim(USER))
    assert len(asked) > before


# -- what is not stored


def test_neither_address_nor_user_agent_nor_page_is_stored() -> None:
    world = World()
    request = activity(world)
    request.headers |= {
        "User-Agent": "An-Agent/1.0",
        "Referer": "https://shop.example/a-page",
        "Cookie": "a-cookie=1",
    }
    assert world.send(request).json == {"ok": True}
    request.json |= {"activity_id": "act:cm:unknown"}
    assert world.send(request).status == 404
    assert world.backends.outcomes is not None
    kept = str([row.plain() for row in world.stored()])
    kept += str(world.backends.outcomes.refused())
    kept += json.dumps(world.capture.export("person0@emaildomain.com"))
    for text in (HERE, "An-Agent", "a-page", "a-cookie"):
        assert text not in kept


@pytest.mark.parametrize("by_header", [True, False])
def test_a_visitor_who_opts_out_is_recorded_as_such_or_dropped_uncounted(by_header: bool) -> None:
    """By setting; the page learns nothing of it."""
    for setting, stored in (("record", 1), ("drop", 0)):
        world = World(gpc=setting)
        request = activity(world)
        if by_header:
            request.headers["Sec-GPC"] = "1"
        else:
            request.json["gpc"] = True
        assert world.send(request).json == {"ok": True}
        assert [row.gpc for row in world.stored()] == [True] * stored
        assert world.counted("opted-out") == 1 - stored
        assert world.quotas() == (PERSON_LIMIT - stored, IP_LIMIT - stored)


@pytest.mark.parametrize("by_header", [True, False])
def test_a_visitor_who_opts_out_is_not_identified_where_that_drops(by_header: bool) -> None:
    """Nor made by an activity that brings a person along."""
    world = World(gpc="drop")
    for route in ("track", "activity"):
        request = track(world) if route == "track" else activity(world)
        if route == "activity":
            request.json |= {"session": None, "person": {"email": USER}}
        if by_header:
            request.headers["Sec-GPC"] = "1"
        else:
            request.json["gpc"] = True
        assert world.send(request).status == 200
        assert world.person("email", USER) is None
