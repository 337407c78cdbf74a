"""Contract §5, sentence by sentence: what is counted, in which bucket, and what a full limit says.

The law of this file: each test's name is a sentence of §5, in its order there. That limits are
exact whatever the threads do is in ``test_exactness``; that a refused request of every kind charges
nothing, in ``test_answers``; that the same holds after any sequence, in ``test_state_machine``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix

from ortto_capture import (
    BackendError,
    Capture,
    CaptureApp,
    Definition,
    RateLimited,
    Settings,
    open_backends,
)

from .contract_model import BUCKETS
from .host_apps import Reply, ask
from .world import (
    DAY,
    ELSEWHERE,
    HERE,
    HOUR_LEFT,
    IP_LIMIT,
    LOGIN,
    NEW_PEOPLE_LIMIT,
    NOW,
    PERSON_LIMIT,
    SECRET,
    World,
    activity,
    check_headers,
    track,
)

HOUR = 3600
PATH = "/in/capture/-/events/activity"
OWNER = {"bol:cm:account-owner": True}
OTHER = "act:cm:other"


class Account:
    """An account with the default limits, and a clock to set."""

    def __init__(self, **settings: Any) -> None:
        self.now = NOW
        self.capture = Capture(
            backends=open_backends("memory:"),
            settings=Settings(secret_keys=[SECRET], **settings),
            clock=lambda: self.now,
        )
        self.define(LOGIN)
        self.define(OTHER)

    def define(self, activity_id: str, **limits: str) -> None:
        self.capture.backends.definitions.put(
            Definition(activity_id, name="Any", client_side=True, limits=limits)
        )

    def session(self, number: int = 0) -> str:
        return str(self.capture.identify(email=f"person{number}@emaildomain.com").session)

    def accepted(
        self, times: int, session: str | None = None, activity_id: str = LOGIN, **rest: Any
    ) -> int:
        """How many of so many are accepted."""
        count = 0
        for _ in range(times):
            try:
                self.capture.record(session or self.session(), activity_id, **rest)
            except RateLimited:
                continue
            count += 1
        return count

    def came(self, times: int, **rest: Any) -> int:
        """How many of so many new people are identified."""
        count = 0
        for number in range(times):
            try:
                self.capture.identify(email=f"new{self.now}-{number}@emaildomain.com", **rest)
            except RateLimited:
                continue
            count += 1
        return count


# -- defaults, and how they are changed


def test_by_default_a_person_may_do_the_same_ten_times_a_day() -> None:
    account = Account()
    assert account.accepted(12) == 10
    assert account.accepted(12, activity_id=OTHER) == 10
    assert account.accepted(12, account.session(1)) == 10
    account.now += DAY
    assert account.accepted(12) == 10


def test_by_default_an_address_may_report_the_same_a_hundred_times_an_hour() -> None:
    account = Account()
    people = [account.session(number) for number in range(11)]
    assert sum(account.accepted(10, each, ip=HERE) for each in people) == 100
    assert account.accepted(1, people[-1], OTHER, ip=HERE) == 1
    assert account.accepted(1, people[-1], ip=ELSEWHERE) == 1
    account.now += HOUR
    assert account.accepted(1, people[-1], ip=HERE) == 1


def test_both_limits_can_be_changed_for_all_activities() -> None:
    account = Account(person_limit="3/hour", ip_limit="5 per 2 hours")
    assert account.accepted(9) == 3
    account.now += HOUR
    assert sum(account.accepted(9, account.session(n), ip=HERE) for n in range(3)) == 5


@pytest.mark.parametrize(
    ("limits", "person", "address"),
    [
        ({"person": "2/day"}, 2, 7),
        ({"ip": "2/hour"}, 5, 2),
        ({"person": "3/day", "ip": "4/hour"}, 3, 4),
        ({}, 5, 7),
    ],
)
def test_a_definitions_own_limits_replace_the_global_ones_one_by_one(
    limits: dict[str, str], person: int, address: int
) -> None:
    account = Account(person_limit="5/day", ip_limit="7/hour")
    account.define("act:cm:own", **limits)
    assert account.accepted(9, activity_id="act:cm:own") == person
    others = [account.session(number) for number in range(1, 9)]
    of_all = sum(account.accepted(1, each, "act:cm:own", ip=HERE) for each in others)
    assert of_all == min(address, len(others))


@pytest.mark.parametrize(("before", "after", "more"), [(2, 5, 3), (5, 2, 0), (3, 3, 0)])
def test_a_changed_limit_counts_at_once_what_was_accepted_before(
    before: int, after: int, more: int
) -> None:
    account = Account()
    account.define("act:cm:own", person=f"{before}/day")
    assert account.accepted(9, activity_id="act:cm:own") == before
    account.define("act:cm:own", person=f"{after}/day")
    assert account.accepted(9, activity_id="act:cm:own") == more


# -- what is counted, and when


def test_only_accepted_activities_count() -> None:
    """Ours; each kind of refusal is in ``test_answers``."""
    world = World()
    world.fill_person()
    for _ in range(5):
        assert not world.record(world.sessions[0], HERE)
    assert world.record(world.sessions[1], HERE)
    assert world.quotas() == (0, IP_LIMIT - 1)


@pytest.mark.parametrize("full", ["person", "address"])
def test_both_limits_are_taken_in_one_step_or_neither(full: str) -> None:
    world = World()
    world.fill_person() if full == "person" else world.fill_address()
    for _ in range(4):
        assert world.send(activity(world)).status == 429
    assert world.quotas() == (world.person_left, world.ip_left)


def test_windows_are_fixed_and_in_utc_so_that_a_burst_over_a_boundary_is_twice_the_limit() -> None:
    account = Account()
    midnight = (NOW // DAY + 1) * DAY
    account.now = midnight - 0.001
    assert account.accepted(12) == 10
    account.now = midnight
    assert account.accepted(12) == 10
    account.now = midnight + DAY - 0.001
    assert account.accepted(12) == 0
    account.now = midnight + DAY
    assert account.accepted(12) == 10


def test_a_window_of_an_address_begins_at_every_full_hour() -> None:
    account = Account(ip_limit="2/hour")
    hour = (NOW // HOUR + 1) * HOUR
    for moment, passes in (
        (hour - 0.001, 2),
        (hour, 2),
        (hour + HOUR - 0.001, 0),
        (hour + HOUR, 2),
    ):
        account.now = moment
        assert account.accepted(3, ip=HERE) == passes


def test_a_clock_that_goes_back_a_little_grants_nothing_twice() -> None:
    account = Account(ip_limit="2/hour")
    hour = (NOW // HOUR + 1) * HOUR
    for moment, passes in ((hour - 1, 2), (hour + 1, 2), (hour - 1, 0), (hour + 1, 0)):
        account.now = moment
        assert account.accepted(3, ip=HERE) == passes


# -- the buckets


@pytest.mark.parametrize("first", ["claimed", "verified"])
def test_a_stranger_who_claims_an_address_cannot_use_up_the_verified_budget(first: str) -> None:
    """The person's bucket is person × assurance; neither uses up the other."""
    account = Account()
    host = account.capture.sign_identity("user@emaildomain.com")
    by: dict[str, dict[str, Any]] = {
        "claimed": {"person": {"email": "user@emaildomain.com"}},
        "verified": {"identity": host},
    }
    (second,) = by.keys() - {first}

    def record(assurance: str) -> None:
        account.capture.record(None, LOGIN, **by[assurance])

    for assurance in (first, second):
        for _ in range(10):
            record(assurance)
        with pytest.raises(RateLimited):
            record(assurance)
    rows = account.capture.backends.journal.latest(100)
    assert len({row.person_id for row in rows}) == 1


def test_a_new_secret_in_front_of_the_old_ones_forgets_no_count() -> None:
    """Processes with the old list of secrets and with the new one count together meanwhile."""
    account = Account()
    session = account.session()
    assert account.accepted(6, session, ip=HERE) == 6
    old = account.capture
    account.capture = Capture(
        backends=old.backends,
        settings=Settings(secret_keys=["another secret of more than 32 bytes", SECRET]),
        clock=lambda: account.now,
    )
    assert account.accepted(3, session, ip=HERE) == 3
    account.capture = old
    assert account.accepted(9, session, ip=HERE) == 1


@pytest.mark.parametrize("one", BUCKETS)
@pytest.mark.parametrize("other", BUCKETS)
def test_addresses_share_a_bucket_where_the_contract_says_so(one: str, other: str) -> None:
    """IPv6 by /64, v4-mapped unwrapped, what is empty or no address in one bucket."""
    world = World(ip_limit="1/hour")

    def status(address: str, person: int) -> int:
        request = activity(world)
        request.json["session"] = world.sessions[person]
        extra = {"REMOTE_ADDR": address}
        body, headers = request.bytes, request.headers
        return ask(world.app, "POST", PATH, body=body, headers=headers, **extra).status

    assert status(one, 0) == 200
    assert status(other, 1) == (429 if BUCKETS[one] == BUCKETS[other] else 200)


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("203.0.113.7:5678", "203.0.113.7"),
        ("[2001:db8:0:1::1]:443", "2001:db8:0:1::9"),
        ("[2001:db8:0:1::1]", "2001:db8:0:1::9"),
    ],
)
def test_an_address_with_a_port_is_read_as_the_address(address: str, bucket: str) -> None:
    account = Account(ip_limit="1/hour")
    assert account.accepted(1, account.session(0), ip=address) == 1
    assert account.accepted(1, account.session(1), ip=bucket) == 0
    assert account.accepted(1, account.session(1), ip=ELSEWHERE) == 1


def test_forwarding_headers_are_not_read() -> None:
    """A visitor who could choose the address would have no limit."""
    world = World()
    world.fill_address()
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"):
        request = activity(world)
        request.headers[name] = "198.51.100.77"
        assert world.send(request).status == 429


def test_the_host_may_say_where_a_visitor_is() -> None:
    world = World()
    world.fill_address()
    app = CaptureApp(world.capture, client_ip=lambda environ: environ["HTTP_X_VISITOR"])
    request = activity(world)
    for visitor, status in ((HERE, 429), (f"::ffff:{HERE}", 429), (ELSEWHERE, 200)):
        headers = request.headers | {"X-Visitor": visitor}
        reply = ask(app, "POST", "/-/events/activity", body=request.bytes, headers=headers)
        assert reply.status == status


def said(address: Any, environ: object) -> Any:
    """What the host's own function says, whatever the request is."""
    return address


def test_what_the_host_says_may_be_an_address_object() -> None:
    world = World()
    world.fill_address()
    for address, status in ((HERE, 429), (ELSEWHERE, 200)):
        given: Any = ipaddress.ip_address(address)
        app = CaptureApp(world.capture, client_ip=partial(said, given))
        request = activity(world)
        reply = ask(app, "POST", "/-/events/activity", body=request.bytes, headers=request.headers)
        assert reply.status == status


# -- one bucket for a whole site


def warned(
    world: World, caplog: pytest.LogCaptureFixture, times: int, **request: Any
) -> list[Reply]:
    """Send so many good requests and hold that they were warned of once at most."""
    replies = []
    app = request.pop("app", world.app)
    headers = request.pop("headers", {})
    for number in range(times):
        good = activity(world)
        good.json |= {"session": world.sessions[number % 3], "event_id": f"event-{number}"}
        replies.append(
            ask(
                app, "POST", PATH if app is world.app else "/-/events/activity",
                body=good.bytes, headers=good.headers | headers, **request,
            )
        )  # fmt: skip
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == len(world.capture.warnings) == world.counted("note:behind-proxy") <= 1
    assert world.capture.warnings in ([], ["behind-proxy"]), "the console shows it"
    return replies


@pytest.mark.parametrize(
    ("peer", "forwarded", "warns"),
    [
        ("10.0.0.1", "198.51.100.77", True),
        ("127.0.0.1", "198.51.100.77", True),
        ("fd00::1", "198.51.100.77", True),
        ("10.0.0.1", None, False),
        ("8.8.8.8", "198.51.100.77", False),
        ("8.8.8.8", None, False),
        ("", None, True),
        ("not an address", None, True),
    ],
)
def test_a_site_that_would_share_one_bucket_is_warned_about_once(
    peer: str, forwarded: str | None, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    headers = {"X-Forwarded-For": forwarded}
    warned(world, caplog, 3, REMOTE_ADDR=peer, headers=headers)
    assert bool(world.capture.warnings) is warns


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_every_header_that_proxies_add_is_known(
    header: str, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    warned(world, caplog, 1, REMOTE_ADDR="10.0.0.1", headers={header: "198.51.100.77"})
    assert world.capture.warnings == ["behind-proxy"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1", "192.168.1.5", "::1", "fd00::1"])
def test_a_limit_that_refuses_a_private_address_is_warned_of(
    peer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server may hide the proxy's header: waitress does, unless it is told to trust it."""
    world = World()
    replies = warned(world, caplog, IP_LIMIT, REMOTE_ADDR=peer)
    assert {reply.status for reply in replies} == {200}
    assert not world.capture.warnings, "a private address alone is no fault"
    replies = warned(world, caplog, IP_LIMIT + 2, REMOTE_ADDR=peer)
    assert 429 in {reply.status for reply in replies}
    assert world.capture.warnings == ["behind-proxy"]


def test_a_limit_that_refuses_a_public_address_is_not_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    replies = warned(world, caplog, IP_LIMIT + 2, REMOTE_ADDR="8.8.8.8")
    assert 429 in {reply.status for reply in replies}
    assert not world.capture.warnings


@pytest.mark.parametrize("given", [None, "", "unknown", "127.0.0.1"])
def test_it_is_the_same_when_the_host_says_where_the_visitor_is(
    given: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    app = CaptureApp(world.capture, client_ip=partial(said, given))
    replies = warned(world, caplog, IP_LIMIT + 2, app=app)
    assert [reply.status for reply in replies] == [200] * IP_LIMIT + [429] * 2
    assert world.capture.warnings == ["behind-proxy"]


def test_behind_proxy_fix_every_visitor_has_a_bucket_and_there_is_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As the docs show it: applied last, outside the mount."""
    world = World()
    app = ProxyFix(world.app, x_for=1)

    def status(visitor: str) -> int:
        request = activity(world)
        headers = request.headers | {"X-Forwarded-For": f"1.2.3.4, {visitor}"}
        body = request.bytes
        return ask(app, "POST", PATH, body=body, headers=headers, REMOTE_ADDR="127.0.0.1").status

    world.fill_address()
    assert [status(HERE), status("10.1.2.3"), status(ELSEWHERE)] == [429, 200, 200]
    assert not caplog.records


# -- new people, and changes of those that are known


def test_by_default_a_hundred_new_people_may_come_from_an_address_in_an_hour() -> None:
    account = Account()
    assert account.came(102, ip=HERE) == 100
    assert account.came(1, ip=ELSEWHERE) == 1
    account.now += HOUR
    assert account.came(102, ip=HERE) == 100


def test_new_people_take_no_quota_where_there_is_no_address() -> None:
    account = Account(new_people_limit="1/hour")
    assert account.came(5) == 5


def test_new_people_are_limited_and_known_people_never() -> None:
    world = World()
    world.fill_new_people()
    refused = world.send(track(world))
    assert (refused.status, refused.json["error"]["try-in-seconds"]) == (429, HOUR_LEFT)
    known = track(world)
    known.json |= {"email": "person0@emaildomain.com", "first": None, "last": None}
    for _ in range(20):
        assert world.send(known).json["identified"] is True


def test_new_people_who_come_with_an_activity_are_limited_alike() -> None:
    world = World()
    world.fill_new_people()
    request = activity(world)
    request.json |= {"session": None, "person": {"email": "newcomer@emaildomain.com"}}
    by_activity, by_track = world.send(request), world.send(track(world))
    assert by_activity == by_track
    assert by_activity.json["error"]["code"] == "rate-limit"


def renamed(world: World, route: str, name: str, email: str = "person0@emaildomain.com") -> Reply:
    """A stranger says another name of a known person."""
    if route == "track":
        request = track(world)
        request.json |= {"email": email, "first": name, "last": None}
    else:
        request = activity(world)
        request.json |= {
            "session": None,
            "event_id": f"event-{name}",
            "person": {"email": email, "first": name},
        }
    return world.send(request)


def first_name(world: World, email: str = "person0@emaildomain.com") -> str | None:
    person = world.person("email", email)
    assert person is not None
    return person.first


ROUTES = pytest.mark.parametrize("route", ["track", "activity"])


@ROUTES
def test_a_claimed_change_of_a_known_profile_is_charged_to_the_same_limit(route: str) -> None:
    world = World(person_limit="100/day", ip_limit="100/hour")
    assert renamed(world, route, "Johanna").status == 200
    assert first_name(world) == "Johanna"
    assert renamed(world, route, "Johanna").status == 200, "which changes nothing"
    assert world.new_people() == NEW_PEOPLE_LIMIT - 1


@ROUTES
def test_where_the_limit_has_no_room_the_change_is_left_out_and_the_answer_is_the_same(
    route: str,
) -> None:
    world = World(person_limit="100/day", ip_limit="100/hour")
    changed = renamed(world, route, "Johanna")
    world.fill_new_people()
    kept = renamed(world, route, "Another")
    assert first_name(world) == "Johanna"
    assert world.counted("note:profile-kept") == 1
    check_headers(kept)
    assert (kept.status, kept.headers, kept.json.keys()) == (
        changed.status,
        changed.headers,
        changed.json.keys(),
    )
    if route == "activity":
        assert len(world.stored()) == 2


@ROUTES
def test_a_change_of_a_verified_profile_is_charged_alike_and_changes_nothing(route: str) -> None:
    """Else the quota would tell whether the profile is verified."""
    world = World(person_limit="100/day", ip_limit="100/hour")
    world.verified("user@emaildomain.com", first="John")
    for name in ("Mallory", "Eve"):
        assert renamed(world, route, name, "user@emaildomain.com").status == 200
    assert first_name(world, "user@emaildomain.com") == "John"
    assert world.new_people() == NEW_PEOPLE_LIMIT - 2


def test_what_the_host_vouches_for_changes_a_profile_without_a_charge() -> None:
    world = World()
    for number in range(NEW_PEOPLE_LIMIT + 2):
        world.verified("person0@emaildomain.com", first=f"John {number}", ip=HERE)
    assert first_name(world) == f"John {NEW_PEOPLE_LIMIT + 1}"
    assert world.new_people() == NEW_PEOPLE_LIMIT


@ROUTES
def test_no_request_that_a_stranger_can_repeat_writes_without_a_bound(route: str) -> None:
    world = World()
    before = world.people.calls["save"] + world.journal.calls["append"]
    for number in range(100):
        renamed(world, route, f"Name {number}")
        renamed(world, route, "Name 1")
    after = world.people.calls["save"] + world.journal.calls["append"]
    assert after - before <= NEW_PEOPLE_LIMIT + PERSON_LIMIT + IP_LIMIT


def test_a_refused_activity_changes_no_profile_and_charges_no_change() -> None:
    world = World()
    world.fill_address()
    assert renamed(world, "activity", "Johanna").status == 429
    assert first_name(world) is None
    assert world.new_people() == NEW_PEOPLE_LIMIT


# -- what a full limit says


def test_both_limits_are_refused_alike() -> None:
    """The public answer does not tell which of the two is full."""
    replies = set()
    fills: list[Callable[[World], None]] = [World.fill_person, World.fill_address]
    for fill in fills:
        world = World()
        fill(world)
        replies.add(world.send(activity(world)))
    (reply,) = replies
    assert reply.status == 429
    assert reply.json == {
        "error": {"code": "rate-limit", "message": "rate limit", "try-in-seconds": HOUR_LEFT}
    }
    assert reply.header("Retry-After") == str(int(HOUR_LEFT))
    assert not [name for name, _ in reply.headers if name.lower().startswith("ratelimit")]


def test_the_wait_is_never_less_than_a_second() -> None:
    world = World()
    world.fill_address()
    world.now = NOW + HOUR_LEFT - 0.001
    reply = world.send(activity(world))
    assert (reply.json["error"]["try-in-seconds"], reply.header("Retry-After")) == (1, "1")
    world.now = NOW + HOUR_LEFT
    assert world.send(activity(world)).json == {"ok": True}


@pytest.mark.parametrize(
    ("fill", "reason", "amount", "own"),
    [
        (World.fill_person, "person-limit", PERSON_LIMIT, DAY - NOW % DAY),
        (World.fill_address, "ip-limit", IP_LIMIT, HOUR_LEFT),
    ],
)
def test_the_public_is_told_the_shortest_wait_and_operators_that_of_the_limit_that_fired(
    fill: Callable[[World], None], reason: str, amount: int, own: float
) -> None:
    world = World()
    fill(world)
    with pytest.raises(RateLimited) as refused:
        world.capture.record(world.sessions[0], LOGIN, OWNER, ip=HERE)
    assert refused.value.public_retry_after == HOUR_LEFT
    assert (refused.value.retry_after, refused.value.quota.amount) == (own, amount)
    assert refused.value.reason == reason
    assert world.backends.outcomes is not None
    (outcome,) = world.backends.outcomes.refused()[-1:]
    assert (outcome.code, outcome.reason) == ("rate-limit", reason)


def test_asking_again_after_the_public_wait_may_meet_the_other_limit() -> None:
    world = World()
    world.fill_person()
    world.now += world.send(activity(world)).json["error"]["try-in-seconds"]
    assert world.send(activity(world)).status == 429


def test_the_public_wait_does_not_tell_whether_a_person_is_known() -> None:
    world = World(ip_limit="1/day")
    assert world.record(world.sessions[1], HERE)
    waits = []
    for address in ("person0@emaildomain.com", "unknown@emaildomain.com"):
        request = activity(world)
        request.json |= {"session": None, "person": {"email": address}}
        waits.append(world.send(request))
    assert waits[0] == waits[1]


# -- a limiter that is away


@pytest.mark.parametrize(
    ("policy", "passes"), [("local", PERSON_LIMIT), ("open", PERSON_LIMIT + 2), ("closed", 0)]
)
def test_a_limiter_that_is_away_is_replaced_ignored_or_fatal(policy: str, passes: int) -> None:
    """By choice: the same limits within this process, none, or 503."""
    world = World(on_limiter_error=policy)
    world.limiter.fault = BackendError("away")
    replies = []
    for n in range(PERSON_LIMIT + 2):
        request = activity(world)
        request.json["event_id"] = f"event-{n}"
        replies.append(world.send(request))
    refused = 429 if policy == "local" else 503
    assert [reply.status for reply in replies] == [200] * passes + [refused] * (
        PERSON_LIMIT + 2 - passes
    )
    assert len(world.stored()) == passes


def test_without_a_choice_the_same_limits_are_counted_in_this_process() -> None:
    world = World()
    world.limiter.fault = BackendError("away")
    passed = [world.record(world.sessions[0], HERE) for _ in range(PERSON_LIMIT + 1)]
    assert passed == [True] * PERSON_LIMIT + [False]
    assert world.counted("note:limited-locally") > 0


def test_a_limiter_that_is_away_is_asked_ever_more_rarely() -> None:
    """It takes 250 ms to fail, and no visitor must wait for that each time."""
    world = World(person_limit="1000/day", ip_limit="1000/hour")
    world.limiter.fault = BackendError("away")
    asked = [world.limiter.calls["acquire"]]
    for _ in range(4):
        for _ in range(25):
            world.record(world.sessions[0], HERE)
        asked.append(world.limiter.calls["acquire"])
    first, *later = (after - before for before, after in pairwise(asked))
    assert first == 3
    assert not any(later)
