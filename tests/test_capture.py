"""The corners that the table of answers does not reach: the Python API, races, faults of ours."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import pytest

from ortto_capture import (
    BackendError,
    Backends,
    Capture,
    Captured,
    ConfigurationError,
    Definition,
    NotIdentified,
    Person,
    RateLimited,
    Settings,
    Source,
    UnknownActivity,
    open_backends,
)
from ortto_capture.backends.memory import (
    MemoryBackends,
    MemoryJournal,
    MemoryOutcomes,
    MemoryPeople,
)
from ortto_capture.errors import BadToken, CaptureWarning, MalformedRequest, UnknownSource
from ortto_capture.limiting import FixedWindows
from ortto_capture.model import Activity, Charge, Full, Identifier, Outcome
from ortto_capture.pipeline import Retention
from ortto_capture.testing import FakeClock, Ids
from ortto_capture.wire import track_request

SECRET = "an example secret of more than 32 bytes"
LOGIN = "act:cm:login"
HERE = "203.0.113.7"


def account(memory: Backends | None = None, **settings: Any) -> Capture:
    backends = memory or open_backends("memory:")
    backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    return Capture(
        backends=backends,
        settings=Settings(secret_keys=[SECRET], **settings),
        clock=FakeClock(),
        new_id=Ids(),
    )


def identify_over_http(capture: Capture, members: dict[str, Any], *, gpc: bool = False) -> Any:
    """As the edge does: with the capture key checked."""
    with capture.accounted("track") as attempt:
        return attempt.identify(track_request(members), ip=HERE, gpc=gpc)


def test_without_secret_keys_a_random_one_is_made_with_one_warning_that_says_what_it_costs() -> (
    None
):
    with pytest.warns(CaptureWarning, match="Sessions end when it stops") as said:
        one = Capture(backends=open_backends("memory:"))

    assert len(said) == 1
    assert said[0].filename == __file__, "it points at the line that built the account"
    with pytest.warns(CaptureWarning):
        other = Capture(backends=one.backends)
    session = one.identify(email="user@emaildomain.com").session
    assert other.identify(session=session) == (None, False)


def around(people: MemoryPeople, journal: MemoryJournal) -> MemoryBackends:
    """Memory with these two in place of its own."""
    return MemoryBackends(people=people, journal=journal)


@pytest.mark.parametrize("attributes", [[1], "text", 5])
def test_attributes_that_are_no_mapping_are_refused_from_python_too(attributes: Any) -> None:
    capture = account()
    session = capture.identify(email="user@emaildomain.com").session

    with pytest.raises(MalformedRequest) as refused:
        capture.record(session, LOGIN, attributes)

    assert refused.value.field == "attributes"


def test_any_mapping_serves_as_an_object_from_python() -> None:
    capture = account(merge_keys=["str:cm:customer-id"])
    field = MappingProxyType({"fi": "str:cm:customer-id", "v": "1234"})
    session = capture.identify(ac=[field]).session

    captured = capture.record(session, LOGIN, MappingProxyType({}))

    person = capture.backends.people.get(captured.person_id)
    assert person is not None
    assert person.identifiers == (("str:cm:customer-id", "1234"),)


def test_the_host_itself_needs_no_capture_key() -> None:
    """Websites do, once sources are configured."""
    capture = account(sources={"shop": Source("The shop")})
    session = capture.identify(email="user@emaildomain.com").session

    assert capture.record(session, LOGIN).source == ""
    with pytest.raises(UnknownSource):
        identify_over_http(capture, {})


class Racing(MemoryPeople):
    """Another process creates the same person between the look and the write."""

    def __init__(self) -> None:
        super().__init__()
        self.raced = False

    def save(self, person: Person) -> Person:
        if not self.raced:
            self.raced = True
            super().save(person._replace(id="the-other-process"))
        return super().save(person)


@pytest.mark.parametrize("by", ["identify", "record"])
def test_a_visitor_created_by_another_process_meanwhile_is_that_person(by: str) -> None:
    capture = account(around(Racing(), MemoryJournal()), new_people_limit="1/hour")
    fields = {"email": "user@emaildomain.com"}

    if by == "record":
        assert capture.record(None, LOGIN, person=fields, ip=HERE).person_id == "the-other-process"
    else:
        session = capture.identify(**fields, ip=HERE).session  # type: ignore[arg-type]
        assert capture.record(session, LOGIN).person_id == "the-other-process"
    assert capture.identify(email="next@emaildomain.com", ip=HERE).identified, "given back"
    with pytest.raises(RateLimited):
        capture.identify(email="last@emaildomain.com", ip=HERE)


class Elsewhere(MemoryJournal):
    """Another process stores the same event between the look and the write."""

    def __init__(self) -> None:
        super().__init__()
        self.raced = False

    def append(self, activity: Activity) -> Captured | None:
        if not self.raced:
            self.raced = True
            super().append(activity)
        return super().append(activity)


def test_an_event_stored_by_another_process_meanwhile_is_a_duplicate_and_charged_nothing() -> None:
    capture = account(around(MemoryPeople(), Elsewhere()), person_limit="1/day")
    session = capture.identify(email="user@emaildomain.com").session

    captured = capture.record(session, LOGIN, event_id="the-same")

    assert (captured.duplicate, captured.position) == (True, 1)
    assert capture.record(session, LOGIN).position == 2, "the charge was given back"


class Broken(MemoryJournal):
    """Fails in a way that no backend should."""

    def append(self, activity: Activity) -> Captured | None:
        raise ZeroDivisionError


def test_a_fault_of_our_own_is_an_outcome_too_and_gives_charges_back() -> None:
    capture = account(around(MemoryPeople(), Broken()))
    session = capture.identify(email="user@emaildomain.com").session

    with pytest.raises(ZeroDivisionError):
        capture.record(session, LOGIN, ip=HERE)

    assert capture.backends.outcomes is not None
    assert capture.backends.outcomes.counts() == {"identified": 1, "internal": 1}
    assert isinstance(capture.backends.limiter, FixedWindows)
    assert len(capture.backends.limiter) == 0


def test_an_equal_definition_is_prepared_once() -> None:
    """A store that reads anew each time returns equal values, not the same."""

    class Anew:
        def get(self, activity_id: str) -> Definition | None:
            return Definition(activity_id, "X", client_side=True)

        def all(self) -> Sequence[Definition]:
            return []

        def put(self, definition: Definition) -> None:
            """Nothing is kept."""

        def declare(self, definitions: Sequence[Definition]) -> None:
            """Nothing is kept."""

    memory = open_backends("memory:")
    backends = Backends(
        definitions=Anew(), people=memory.people, limiter=memory.limiter, journal=memory.journal
    )
    capture = account(backends)
    session = capture.identify(email="user@emaildomain.com").session

    assert [capture.record(session, LOGIN).position for _ in range(3)] == [1, 2, 3]


def test_a_definitions_own_limits_replace_the_global_ones() -> None:
    capture = account()
    own = Definition(
        "act:cm:own", "Own", client_side=True, limits={"person": "2/day", "ip": "9/hour"}
    )
    capture.backends.definitions.put(own)
    session = capture.identify(email="user@emaildomain.com").session

    for _ in range(2):
        capture.record(session, own.id, ip=HERE)
    with pytest.raises(RateLimited) as refused:
        capture.record(session, own.id, ip=HERE)

    assert (refused.value.quota.amount, refused.value.reason) == (2, "person-limit")


def test_identity_that_is_required_is_accepted_when_the_host_vouches() -> None:
    capture = account(identity="required")

    with pytest.raises(NotIdentified, match="identity-required"):
        capture.identify(email="user@emaildomain.com")
    token = capture.sign_identity("user@emaildomain.com")
    session = capture.identify(identity=token).session
    assert capture.record(session, LOGIN).assurance == "verified"


def test_a_claimed_session_is_not_enough_where_identity_is_required() -> None:
    session = account().identify(email="user@emaildomain.com").session
    strict = account(identity="required")
    strict.backends.people.save(
        Person("id-1", (Identifier("ei", "x"),), None, None, "claimed", 0.0)
    )

    with pytest.raises(NotIdentified, match="identity-required"):
        strict.record(session, LOGIN)
    assert strict.identify(session=session) == (None, False)


def test_what_cannot_be_signed_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="email"):
        account().sign_identity("nobody")


def test_a_visitor_who_opted_out_is_not_identified_where_that_drops() -> None:
    capture = account(gpc="drop")

    answer = identify_over_http(capture, {"email": "user@emaildomain.com"}, gpc=True)

    assert answer == (None, False)
    assert capture.identify(email="user@emaildomain.com").identified


def test_skip_non_existing_finds_known_people_and_creates_none_where_it_is_allowed() -> None:
    capture = account(allow_skip_non_existing=True)
    unknown = {"email": "nobody@emaildomain.com", "skipNonExisting": True}

    assert capture.identify(email="nobody@emaildomain.com", skip_non_existing=True) == (None, False)
    with pytest.raises(NotIdentified):
        capture.record(None, LOGIN, person=unknown)
    capture.identify(email="nobody@emaildomain.com")
    assert capture.identify(email="nobody@emaildomain.com", skip_non_existing=True).identified
    assert capture.record(None, LOGIN, person=unknown).position == 1


def test_a_lost_session_beside_a_person_that_is_no_use_is_what_is_answered() -> None:
    """With a usable ``person`` a bad session is ignored; without one it is 401."""
    capture = account()

    for person in ({"email": "no address"}, {"email": " "}):
        with pytest.raises(BadToken) as refused:
            capture.record("oc1.forged.c.0.x", LOGIN, person=person)
        assert refused.value.reason == "forged"
    with pytest.raises(MalformedRequest) as malformed:
        capture.record(None, LOGIN, person={"email": "no address"})
    assert malformed.value.field == "person.email"


def test_what_is_only_claimed_beside_a_vouched_address_is_not_added_to_it() -> None:
    """Else the first to claim an external id would be whoever the host vouches for by it."""
    capture = account()
    mallory = capture.sign_identity("mallory@emaildomain.com")
    capture.identify(identity=mallory, ei="1001")

    capture.identify(identity=capture.sign_identity("victim@emaildomain.com", ei="1001"))

    victim, other = capture.person("victim@emaildomain.com"), capture.person(ei="1001")
    assert victim == other
    assert victim != capture.person("mallory@emaildomain.com")
    assert capture.backends.outcomes is not None
    assert capture.backends.outcomes.counts()["note:identity-conflict"] == 1


def test_a_strangers_claim_about_two_people_does_not_make_them_one() -> None:
    capture = account()
    capture.identify(email="victim@emaildomain.com", ei="mallory-7")

    first = capture.identify(identity=capture.sign_identity("victim@emaildomain.com"))
    second = capture.identify(identity=capture.sign_identity(ei="mallory-7"))

    assert first.session != second.session
    assert capture.person("victim@emaildomain.com") != capture.person(ei="mallory-7")


def test_the_public_wait_does_not_tell_whether_a_person_is_known() -> None:
    capture = account(ip_limit="1/day")
    capture.record(capture.identify(email="known@emaildomain.com").session, LOGIN, ip=HERE)

    waits = []
    for address in ("known@emaildomain.com", "unknown@emaildomain.com"):
        with pytest.raises(RateLimited) as refused:
            capture.record(None, LOGIN, person={"email": address}, ip=HERE)
        waits.append(refused.value.public_retry_after)

    assert waits[0] == waits[1]


def test_people_made_while_the_journal_fails_are_counted() -> None:
    """They stay in a medium of their own; a stranger could else make any number of them."""
    people = MemoryPeople()
    capture = account(around(people, Broken()), new_people_limit="3/hour")

    for number in range(5):
        with pytest.raises((ZeroDivisionError, RateLimited)):
            capture.record(None, LOGIN, person={"ei": number}, ip=HERE)

    assert len(people) == 3


class NotingNothing(MemoryOutcomes):
    def note(self, outcome: Outcome) -> None:
        raise BackendError("the disk is away")


def test_outcomes_that_cannot_be_noted_change_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    capture = account(MemoryBackends(outcomes=NotingNothing()))

    session = capture.identify(email="user@emaildomain.com").session
    assert capture.record(session, LOGIN).position == 1
    with pytest.raises(UnknownActivity):
        capture.record(session, "act:cm:unknown")
    assert [record.getMessage() for record in caplog.records] == [
        "an outcome is lost: the disk is away"
    ] * 3


def test_what_is_too_old_and_cannot_be_removed_now_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = []

    class Failing(MemoryBackends):
        def retain(self, activities_since: float, people_since: float) -> bool:
            asked.append(activities_since)
            raise BackendError("away")

    capture = account(Failing())
    session = capture.identify(email="user@emaildomain.com").session

    assert capture.record(session, LOGIN).position == 1
    assert capture.record(session, LOGIN).position == 2

    assert len(asked) == 1, "not with every activity"
    assert [each.getMessage() for each in caplog.records] == ["nothing old could be removed: away"]


@pytest.mark.parametrize("attributes", [{}, {"str:cm:undeclared": "x"}])
@pytest.mark.parametrize("gpc", [False, True])
def test_a_person_who_is_gone_is_not_identified_whatever_else_is_wrong(
    attributes: dict[str, str], gpc: bool
) -> None:
    """And nothing is kept of them again, in case they were erased."""
    capture = account(gpc="drop")
    session = capture.identify(email="user@emaildomain.com").session
    capture.erase("user@emaildomain.com")

    with pytest.raises(NotIdentified, match="person-gone"):
        capture.record(session, LOGIN, attributes, gpc=gpc)

    assert capture.backends.outcomes is not None
    assert [each.person_id for each in capture.backends.outcomes.refused()] == [None]


def test_a_claimed_change_of_a_profile_is_bounded_and_then_left_out() -> None:
    """Contract §5: no request that a stranger can repeat writes without a bound."""
    capture = account(new_people_limit="3/hour")
    capture.identify(email="user@emaildomain.com", first="0", ip=HERE)

    for number in range(1, 5):
        answer = capture.identify(email="user@emaildomain.com", first=str(number), ip=HERE)
        assert answer.identified

    person = capture.person("user@emaildomain.com")
    assert person is not None
    assert person.first == "2", "one to create, two to change"
    assert counts(capture)["note:profile-kept"] == 2


def test_an_activity_whose_profile_change_has_no_room_is_stored_without_the_change() -> None:
    capture = account(new_people_limit="1/hour")
    fields = {"email": "user@emaildomain.com"}
    capture.record(None, LOGIN, person={**fields, "first": "John"}, ip=HERE)

    captured = capture.record(None, LOGIN, person={**fields, "first": "Jack"}, ip=HERE)

    assert captured.position == 2
    assert capture.person("user@emaildomain.com").first == "John"  # type: ignore[union-attr]
    assert counts(capture)["note:profile-kept"] == 1


@pytest.mark.parametrize("by", ["identify", "record"])
def test_a_claimed_change_costs_the_same_whether_or_not_the_host_vouches(by: str) -> None:
    """Contract §7: that a known person is verified must not show, in time or in counters."""
    capture = account(new_people_limit="2/hour")
    capture.identify(identity=capture.sign_identity("user@emaildomain.com"), first="Vouched")

    for _ in range(2):
        fields = {"email": "user@emaildomain.com", "first": "Claimed"}
        if by == "identify":
            capture.identify(**fields, ip=HERE)  # type: ignore[arg-type]
        else:
            capture.record(None, LOGIN, person=fields, ip=HERE)

    assert capture.person("user@emaildomain.com").first == "Vouched"  # type: ignore[union-attr]
    with pytest.raises(RateLimited, match="new-people-limit"):
        capture.identify(email="new@emaildomain.com", ip=HERE)


def test_proof_takes_an_identifier_from_a_person_who_only_claimed_it() -> None:
    """Contract §7: the squatter keeps his rows without it; export by it reaches its owner."""
    capture = account()
    capture.identify(identity=capture.sign_identity(ei="1"))
    squatter = capture.record(None, LOGIN, person={"email": "user@emaildomain.com"}).person_id

    capture.identify(identity=capture.sign_identity("user@emaildomain.com", ei="1"))

    owner = capture.person(ei="1")
    assert owner == capture.person("user@emaildomain.com")
    assert owner is not None
    assert owner.id != squatter
    kept = capture.backends.people.get(squatter)
    assert kept is not None
    assert kept.identifiers == ()
    assert [each.person_id for each in capture.backends.journal.latest()] == [squatter]
    assert counts(capture)["note:identity-conflict"] == 1


def test_names_that_were_claimed_go_when_the_host_vouches_first() -> None:
    capture = account()
    capture.identify(email="user@emaildomain.com", first="Mallory", last="Rude")

    capture.identify(identity=capture.sign_identity("user@emaildomain.com"), last="Apple")

    person = capture.person("user@emaildomain.com")
    assert person is not None
    assert (person.first, person.last) == (None, "Apple")


def test_a_signal_handler_that_records_inside_a_decision_is_refused_and_stores_nothing() -> None:
    """It would be undone with the decision that it interrupted, or wait for it for ever."""
    caught: list[BackendError] = []

    class Interrupted(MemoryJournal):
        def append(self, activity: Activity) -> Captured | None:
            if activity.event_id == "outer":
                with pytest.raises(BackendError, match="signal handler") as refused:
                    capture.record(session, LOGIN, event_id="inner")
                caught.append(refused.value)
            return super().append(activity)

    capture = account(around(MemoryPeople(), Interrupted()))
    session = capture.identify(email="user@emaildomain.com").session

    assert capture.record(session, LOGIN, event_id="outer").position == 1
    assert len(caught) == 1
    assert capture.record(session, LOGIN, event_id="inner").position == 2


DAYS = 86_400


class Retaining(MemoryBackends):
    """Memory that says what it was asked to remove."""

    asked: ClassVar[list[float]] = []

    def retain(self, activities_since: float, people_since: float) -> bool:
        self.asked.append(activities_since)
        return False


def test_one_reading_of_a_clock_that_is_ahead_removes_nothing_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Contract §7; else a clock 401 days ahead has rows of ten seconds ago deleted."""
    Retaining.asked = []
    clock = FakeClock()
    capture = Capture(
        backends=Retaining(), settings=Settings(secret_keys=[SECRET]), clock=clock, new_id=Ids()
    )
    capture.backends.definitions.put(Definition(LOGIN, "Logged in", client_side=True))
    session = capture.identify(email="user@emaildomain.com").session
    capture.record(session, LOGIN)
    Retaining.asked.clear()

    clock.advance(301 * DAYS)
    capture.record(session, LOGIN)

    assert Retaining.asked == []
    assert [each.getMessage()[:22] for each in caplog.records] == ["nothing old is removed"]
    clock.advance(60)
    capture.record(session, LOGIN)
    assert len(Retaining.asked) == 1, "a second activity bears it out"


def counts(capture: Capture) -> Any:
    assert capture.backends.outcomes is not None
    return capture.backends.outcomes.counts()


class ErasedMeanwhile(MemoryPeople):
    """Another process erases the person between the look and the decision."""

    def find(self, identifiers: Sequence[Identifier]) -> Person | None:
        found = super().find(identifiers)
        if found is not None:
            self.erase(found.id)
        return found


@pytest.mark.parametrize("by", ["identify", "record"])
def test_a_person_erased_meanwhile_is_not_created_again_by_a_visitor_who_asked_to_skip(
    by: str,
) -> None:
    people = ErasedMeanwhile()
    capture = account(around(people, MemoryJournal()), allow_skip_non_existing=True)
    people.save(Person("id-0", (Identifier("ei", "1"),), None, None, "claimed", 0.0))

    if by == "identify":
        answer = capture.identify(ei="1", first="John", skip_non_existing=True)
        assert answer == (None, False)
    else:
        fields = {"ei": "1", "first": "John", "skipNonExisting": True}
        with pytest.raises(NotIdentified):
            capture.record(None, LOGIN, person=fields)
    assert len(people) == 0


class Foreign(Exception):
    """An exception of another library, with attributes named like ours."""

    code = 42
    reason = object()
    person_id = b"?"


def test_an_exception_of_another_library_is_internal_whatever_it_carries() -> None:
    """Its attributes would reach the console, and could be of any type."""

    class Failing(MemoryJournal):
        def append(self, activity: Activity) -> Captured | None:
            raise Foreign

    capture = account(around(MemoryPeople(), Failing()))
    session = capture.identify(email="user@emaildomain.com").session

    with pytest.raises(Foreign):
        capture.record(session, LOGIN)

    assert capture.backends.outcomes is not None
    [outcome] = capture.backends.outcomes.refused()
    assert (outcome.code, outcome.reason, outcome.person_id) == ("internal", "Foreign", None)


def test_a_child_forked_while_other_threads_store_can_store() -> None:
    """Its threads may have the numbers of threads that its parent has."""
    inside, go_on = threading.Event(), threading.Event()

    class Slow(MemoryJournal):
        def append(self, activity: Activity) -> Captured | None:
            if activity.event_id == "slow":
                inside.set()
                go_on.wait()
            return super().append(activity)

    # In a lock of its own, so that the fork does not wait for the thread.
    class Loose(MemoryBackends):
        def record(
            self, activity: Activity, charges: Sequence[Charge], people: Sequence[Person] = ()
        ) -> Captured | Full | None:
            return self._record(activity, charges, people)

    capture = account(Loose(journal=Slow()))
    session = capture.identify(email="user@emaildomain.com").session
    thread = threading.Thread(target=lambda: capture.record(session, LOGIN, event_id="slow"))
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        stored: list[Captured] = []
        other = threading.Thread(target=lambda: stored.append(capture.record(session, LOGIN)))
        other.start()
        other.join()
        os._exit(0 if stored else 1)
    _, status = os.waitpid(child, 0)
    go_on.set()
    thread.join()

    assert os.waitstatus_to_exitcode(status) == 0


@pytest.mark.parametrize(
    ("ran", "removed"),
    [
        pytest.param(3 * DAYS, True, id="the process ran all the time"),
        pytest.param(60.0, False, id="the clock was set"),
    ],
)
def test_the_monotonic_clock_tells_a_quiet_site_from_a_clock_that_was_set(
    ran: float, removed: bool
) -> None:
    """Contract §7: of two activities three days apart."""
    Retaining.asked = []
    clock, monotonic = FakeClock(), FakeClock(0.0)
    backends = Retaining()
    retention = Retention(backends, Settings(), clock, monotonic)
    for seconds in (1.0, ran):
        clock.advance(1.0 if seconds == 1.0 else 3 * DAYS)
        monotonic.advance(seconds)
        event = Activity(str(seconds), LOGIN, "p", {}, "", "claimed", clock(), clock(), False)
        backends.journal.append(event)
        Retaining.asked.clear()
        retention.look(clock())

    assert bool(Retaining.asked) is removed


class Overtaken(MemoryPeople):
    """Another process gives the address to another person between the look and the write."""

    def save(self, person: Person) -> Person:
        if person.email is not None and self.find([Identifier("ei", "other")]) is None:
            held = (Identifier("ei", "other"), Identifier("email", person.email))
            super().save(person._replace(id="other", identifiers=held, assurance="claimed"))
        return super().save(person)


def test_a_session_is_for_the_person_it_was_decided_for_when_another_process_comes_first() -> None:
    """Not a verified session of the other person, whom nothing proves."""
    capture = account(around(Overtaken(), MemoryJournal()))
    capture.identify(identity=capture.sign_identity(ei="1"))

    proof = capture.sign_identity("user@emaildomain.com", ei="1")
    session = capture.identify(identity=proof).session

    owner = capture.person(ei="1")
    assert owner is not None
    assert capture.record(session, LOGIN).person_id == owner.id
    assert owner.email == "user@emaildomain.com", "proof beats claim"


class GoneAfterTheLook(MemoryPeople):
    """Another process erases the person once they have been looked up."""

    def get(self, person_id: str) -> Person | None:
        found = super().get(person_id)
        self.erase(person_id)
        return found


def test_a_person_erased_between_the_look_and_the_step_is_gone() -> None:
    capture = account(around(GoneAfterTheLook(), MemoryJournal()))
    session = capture.identify(email="user@emaildomain.com").session

    with pytest.raises(NotIdentified, match="person-gone"):
        capture.record(session, LOGIN)

    assert capture.backends.journal.latest() == []


class AlwaysOvertaken(MemoryPeople):
    """Another process is first at every try."""

    def save(self, person: Person) -> Person:
        return person._replace(id="another")


def test_a_decision_that_is_overtaken_every_time_ends_with_an_error() -> None:
    capture = account(around(AlwaysOvertaken(), MemoryJournal()))

    with pytest.raises(BackendError, match="try again"):
        capture.identify(email="user@emaildomain.com")
