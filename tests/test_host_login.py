"""Who is signed in at the host: when the host is asked, and what its word is good for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ortto_capture import (
    Capture,
    CaptureApp,
    ConfigurationError,
    Definition,
    Identity,
    NeedsVerified,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.wsgi import HOST_ENVIRON

from .host_apps import Reply, ask, bare_host

JO, ANN = "jo@example.com", "ann@example.com"
OWN = {"Sec-Fetch-Site": "same-origin"}
SECRET = "an example secret of more than 32 bytes"
LOGIN, BOUGHT = "act:cm:login", "act:cm:bought"


class Site:
    """A host whose visitor is ``self.signed_in``, and who counts how often it was asked."""

    def __init__(self, **settings: Any) -> None:
        self.signed_in: Identity | None = None
        self.asked: list[Any] = []
        self.backends = open_backends("memory:")
        self.backends.definitions.declare(
            [
                Definition(LOGIN, "Logged in", client_side=True),
                Definition(BOUGHT, "Bought", client_side=True, needs="verified"),
            ]
        )
        self.capture = Capture(
            backends=self.backends, settings=Settings(secret_keys=[SECRET], **settings)
        )
        self.app = CaptureApp(self.capture, identity=self.who)
        self.wsgi = mount(bare_host(), self.app)

    def who(self, environ: Any) -> Identity | None:
        self.asked.append(environ)
        return self.signed_in

    def post(self, route: str, headers: Any = OWN, **members: Any) -> Reply:
        path = f"/capture/-/events/{route}"
        return ask(self.wsgi, "POST", path, body=json.dumps(members).encode(), headers=headers)

    def activity(self, activity_id: str = LOGIN, headers: Any = OWN, **members: Any) -> Reply:
        return self.post("activity", headers, activity_id=activity_id, **members)

    def claimed(self, email: str) -> str:
        return str(self.capture.identify(email=email).session)

    @property
    def stored(self) -> list[tuple[str | None, str]]:
        """Whose the activities are, and how that was proved."""
        people = self.backends.people
        rows = self.backends.journal.latest()
        found = [(people.get(row.person_id), row.assurance) for row in rows]
        return [(person.email if person else None, assurance) for person, assurance in found]


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with site.backends:
        yield site


# -- what the login vouches for


def test_a_track_of_the_person_who_is_signed_in_is_verified(site: Site) -> None:
    site.signed_in = Identity("Jo@Example.com", ei=7)
    session = site.post("track", email=JO, first="Jo").json["session"]

    assert site.activity(BOUGHT, session=session).status == 200
    person = site.capture.person(ei=7)
    assert person is not None
    assert (person.email, person.first, person.assurance) == (JO, "Jo", "verified")


def test_a_track_that_names_no_person_is_of_the_one_who_is_signed_in(site: Site) -> None:
    site.signed_in = Identity(JO)

    assert site.post("track").json["identified"] is True
    assert site.activity().status == 200
    assert site.stored == [(JO, "verified")]


def test_a_track_that_names_no_person_keeps_the_session_that_it_brings(site: Site) -> None:
    anns = site.claimed(ANN)
    site.signed_in = Identity(JO)

    assert site.post("track", session=anns, first="Ann").json["session"] == anns
    assert site.capture.person(JO) is None
    assert site.post("track", session="oc1.forged").json["session"] not in (None, anns)
    assert site.capture.person(JO) is not None


@pytest.mark.parametrize("named", [{"email": ANN}, {"email": JO, "ei": "8"}, {"ei": "8"}])
def test_a_track_that_names_another_person_stays_a_claim_of_that_person(
    site: Site, named: dict[str, str]
) -> None:
    """The page may have named her before another visitor signed in."""
    site.signed_in = Identity(JO, ei=7)

    assert site.post("track", **named).json["identified"] is True
    person = site.capture.person(named.get("email"), ei=named.get("ei"))
    assert person is not None
    assert person.assurance == "claimed"
    assert site.capture.person(ei=7) is None


def test_a_track_that_cannot_be_compared_with_the_login_stays_a_claim(site: Site) -> None:
    site.signed_in = Identity(ei=7)
    site.activity(session=site.post("track", email=ANN).json["session"])

    assert site.stored == [(ANN, "claimed")]


def test_an_activity_that_brings_its_person_is_vouched_for_in_the_same_way(site: Site) -> None:
    site.signed_in = Identity(JO)

    assert site.activity(person={"email": JO}).status == 200
    assert site.activity(person={"email": ANN}).status == 200
    assert site.stored == [(JO, "verified"), (ANN, "claimed")]


def test_a_claimed_session_of_the_person_who_is_signed_in_counts_where_proof_is_needed(
    site: Site,
) -> None:
    session = site.claimed(JO)
    assert site.activity(BOUGHT, session=session).json["error"]["code"] == "needs-verified"
    site.signed_in = Identity(JO)

    assert site.activity(BOUGHT, session=session).status == 200
    assert site.stored == [(JO, "verified")]


@pytest.mark.parametrize(("first", "then"), [(None, Identity(JO)), (Identity(JO), None)])
def test_a_retry_after_the_visitor_has_signed_in_or_out_is_stored_once(
    site: Site, first: Identity | None, then: Identity | None
) -> None:
    session = site.claimed(JO)
    for site.signed_in in (first, then):
        assert site.activity(session=session, event_id="e").status == 200

    assert site.stored == [(JO, "claimed")]


def test_a_session_of_another_person_stays_what_it_is(site: Site) -> None:
    site.capture.record_for(LOGIN, email=JO)
    session = site.claimed(ANN)
    site.signed_in = Identity(JO)

    assert site.activity(session=session).status == 200
    assert site.activity(BOUGHT, session=session).status == 401
    assert site.stored[1:] == [(ANN, "claimed")]


def test_a_session_is_not_the_login_of_a_person_who_is_not_known_yet(site: Site) -> None:
    session = site.claimed(ANN)
    site.signed_in = Identity(JO)
    site.activity(session=session)

    assert site.stored == [(ANN, "claimed")]


def test_a_forged_session_does_not_become_the_person_who_is_signed_in(site: Site) -> None:
    site.signed_in = Identity(JO)

    assert site.activity(session="oc1.forged").json["error"]["code"] == "bad-session"
    assert site.stored == []


def test_a_token_of_the_page_comes_before_the_login(site: Site) -> None:
    site.signed_in = Identity(JO)
    token = site.capture.sign_identity(ANN)
    site.activity(session=site.post("track", identity=token).json["session"])

    assert site.stored == [(ANN, "verified")]


def test_where_identity_is_required_the_login_is_enough() -> None:
    site = Site(identity="required")
    assert site.activity(person={"email": JO}).json["error"]["code"] == "not-identified"
    site.signed_in = Identity(JO)

    assert site.activity().status == 200
    assert site.activity(person={"email": JO}).status == 200
    assert site.activity(person={"email": ANN}).json["error"]["code"] == "not-identified"
    assert site.stored == [(JO, "verified")] * 2


def test_where_identity_is_required_a_claimed_session_needs_the_login() -> None:
    earlier, site = Site(), Site(identity="required")
    session = str(earlier.capture.identify(email=JO).session)
    site.app.capture = Capture(
        backends=earlier.backends,
        settings=Settings(secret_keys=[SECRET], identity="required"),
    )

    assert site.activity(session=session).json["error"]["code"] == "not-identified"
    site.signed_in = Identity(JO)
    assert site.activity(session=session).status == 200


# -- when the host is asked


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://shop.example"},
        {"Origin": "https://shop.example:8443"},
        {"Origin": "https://shop.example.evil.example"},
        {"Origin": ""},
        {},
    ],
)
def test_the_host_is_never_asked_for_a_request_of_another_origin(
    site: Site, headers: dict[str, str]
) -> None:
    site.signed_in = Identity(JO)
    session = site.claimed(JO)
    forged = {"Content-Type": "text/plain", "Cookie": "sessionid=theirs", **headers}

    assert site.post("track", forged).json["identified"] is False
    assert site.activity(headers=forged).json["error"]["code"] == "not-identified"
    assert site.activity(BOUGHT, forged, session=session).status == 401
    assert site.asked == []


@pytest.mark.parametrize(
    "headers",
    [OWN, {"Origin": "https://shop.example"}, {"Origin": "HTTPS://Shop.Example"}],
)
def test_the_host_is_asked_for_a_request_of_its_own_pages(
    site: Site, headers: dict[str, str]
) -> None:
    site.signed_in = Identity(JO)

    assert site.post("track", headers).json["identified"] is True


@pytest.mark.parametrize("host", ["shop.example:443", ""])
def test_the_default_port_is_the_one_that_browsers_leave_out(site: Site, host: str) -> None:
    """Some proxies name it, and a server without a ``Host`` is known by its name and port."""
    site.signed_in = Identity(JO)
    headers = {"Origin": "https://shop.example", "Host": host}

    assert site.post("track", headers).json["identified"] is True
    assert site.post("track", headers | {"Origin": "https://shop.example:80"}).json == {
        "session": None,
        "identified": False,
    }


def test_the_host_is_not_asked_where_it_does_not_matter(site: Site) -> None:
    verified = site.capture.identify(identity=site.capture.sign_identity(JO)).session

    assert site.activity(session=verified).status == 200
    assert site.activity("act:cm:unknown").status == 404
    assert site.activity(session="oc1.forged").status == 401
    assert site.asked == []


def test_the_host_gets_the_environ_as_it_would_have_been_its_own(site: Site) -> None:
    site.post("track")
    [environ] = site.asked

    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/capture", "/-/events/track")
    host = environ[HOST_ENVIRON]
    assert (host["SCRIPT_NAME"], host["PATH_INFO"]) == ("", "/capture/-/events/track")


def test_a_fault_of_the_host_s_own_function_is_no_exception_of_the_mount(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def who(environ: Any) -> Identity:
        raise ValueError("jo@example.com is away")

    wsgi = mount(bare_host(), CaptureApp(site.capture, identity=who))
    reply = ask(wsgi, "POST", "/capture/-/events/track", body=b"{}", headers=OWN)

    assert (reply.status, reply.json["error"]["code"]) == (500, "internal")
    assert "test_host_login.py" in caplog.text
    assert JO not in caplog.text


def test_a_user_without_a_usable_address_is_not_signed_in_and_the_log_says_so_once(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def who(environ: Any) -> Identity:
        return Identity("jo@example.com is no address")

    site.wsgi = mount(bare_host(), CaptureApp(site.capture, identity=who))

    assert fresh(site, OWN).json == {"identity": None}
    assert site.activity(session=site.claimed(ANN)).status == 200
    assert site.activity(BOUGHT, session=site.claimed(ANN)).status == 401
    assert site.post("track").status == 200
    assert [each.__dict__["event"] for each in caplog.records] == ["unusable-identity"]
    assert JO not in caplog.text


def test_any_other_mistake_in_the_hosts_function_is_a_mistake(site: Site) -> None:
    def who(environ: Any) -> Identity:
        raise ConfigurationError("DATABASES", "there are none")

    site.wsgi = mount(bare_host(), CaptureApp(site.capture, identity=who))

    assert fresh(site, OWN).status == 500


# -- a fresh token for pages that were cached


def fresh(site: Site, headers: dict[str, str], method: str = "GET") -> Reply:
    return ask(site.wsgi, method, "/capture/-/identity", headers=headers)


def test_a_page_of_the_host_gets_a_fresh_token(site: Site) -> None:
    assert fresh(site, OWN).json == {"identity": None}
    site.signed_in = Identity(JO, ei=7)
    reply = fresh(site, OWN)

    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Access-Control-Allow-Origin") is None
    assert reply.header("Cross-Origin-Resource-Policy") == "same-origin"
    identified = site.capture.identify(identity=reply.json["identity"])
    assert site.activity(BOUGHT, session=identified.session).status == 200
    # Over http, to another machine, browsers say nothing with a GET of the same origin.
    assert fresh(site, {}).json["identity"].startswith("oi1.")


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_no_other_page_gets_a_token(site: Site, headers: dict[str, str]) -> None:
    site.signed_in = Identity(JO)
    reply = fresh(site, headers)

    assert (reply.status, reply.json["error"]["code"]) == (404, "not-found")
    assert site.asked == []


def test_a_token_is_only_read(site: Site) -> None:
    assert fresh(site, OWN, "POST").status == 405
    assert fresh(site, OWN, "HEAD").body == b""


def test_without_a_resolver_there_is_no_such_route(site: Site) -> None:
    wsgi = mount(bare_host(), CaptureApp(site.capture))

    assert ask(wsgi, "GET", "/capture/-/identity", headers=OWN).status == 404


def test_a_page_of_the_server_s_own_may_ask_as_well(site: Site) -> None:
    site.signed_in = Identity(JO)

    assert site.app.host_identity({}) == Identity(JO)
    assert CaptureApp(site.capture).host_identity({}) is None


# -- what only the host may vouch for


def test_a_claim_is_not_enough_where_the_definition_needs_proof(site: Site) -> None:
    reply = site.activity(BOUGHT, {}, session=site.claimed(JO))

    error = {"code": "needs-verified", "message": "the host has to vouch for the person"}
    assert (reply.status, reply.json) == (401, {"error": error})
    assert site.activity(BOUGHT, {}, person={"email": "new@example.com"}).status == 401
    assert site.capture.person("new@example.com") is None
    assert site.stored == []
    with pytest.raises(NeedsVerified):
        site.capture.record(site.claimed(JO), BOUGHT)
    outcomes = site.backends.outcomes
    assert outcomes is not None
    jo = site.capture.person(JO)
    assert jo is not None
    refused = outcomes.refused()
    assert [each.reason for each in refused] == ["needs-verified"] * 3
    assert [each.person_id for each in refused] == [jo.id, None, jo.id]


# -- another account in its place


def test_the_subscriber_of_the_app_is_told_whichever_account_is_in_place(site: Site) -> None:
    told: list[str] = []
    app = CaptureApp(site.capture)
    app.subscribe(lambda each: told.append(each.event_id))
    with open_backends("memory:") as backends:
        backends.definitions.put(Definition(LOGIN, "Logged in"))
        other = Capture(backends=backends, settings=Settings(secret_keys=[SECRET]))
        for capture in (other, site.capture, other, site.capture):
            app.capture = capture
        for capture, event_id in ((site.capture, "own"), (other, "other")):
            capture.record_for(LOGIN, email=JO, event_id=event_id)
            assert capture.flush()

    assert told == ["own", "other"]


def test_another_account_takes_the_place_of_the_app_s_own(site: Site) -> None:
    with open_backends("memory:") as backends:
        backends.definitions.put(Definition("act:cm:other", "Other", client_side=True))
        settings = Settings(secret_keys=[SECRET], max_body=200)
        site.app.capture = Capture(backends=backends, settings=settings)
        site.signed_in = Identity(JO)

        assert site.activity("act:cm:other").status == 200
        assert site.activity().status == 404
        assert site.post("track", email="x" * 200).status == 413
        assert len(backends.journal.latest()) == 1
    assert site.stored == []
