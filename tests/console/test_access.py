"""Who may see the console, and what they may do there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import Client, create_environ, run_wsgi_app
from werkzeug.utils import redirect
from werkzeug.wrappers import Response

from ortto_capture import CaptureApp, ConfigurationError, Identity, mount, open_backends
from ortto_capture.console import tokens
from ortto_capture.console.tokens import TokenGuard
from ortto_capture.ports import Documents

from .site import ALL, OWN, PAID, Site, code, without

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


@pytest.fixture
def site() -> Site:
    return Site()


FILES = ["/", "/console.css", "/console.js"]
PATHS = [*FILES, "/api/feed", "/api/me", "/api/activities"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_strict_headers(site: Site, path: str) -> None:
    answer = site.get(path)

    assert answer.status_code == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "trusted-types 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert "Set-Cookie" not in answer.headers


def test_data_are_not_kept_by_any_cache_and_files_are_asked_for_again(site: Site) -> None:
    assert site.get("/api/me").headers["Cache-Control"] == "no-store"
    for path in FILES:
        answer = site.get(path)
        assert answer.headers["Cache-Control"] == "private, no-cache"
        again = site.get(path, **{"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_files_are_compressed_where_the_browser_takes_that(site: Site) -> None:
    plain, packed = site.get("/console.js"), site.get("/console.js", **{"Accept-Encoding": "gzip"})

    assert len(packed.data) < len(plain.data) / 2
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    refusing = site.get("/console.js", **{"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in refusing.headers


# -- the host's guard


@pytest.mark.parametrize("path", [*PATHS, "", "/nothing", "/api/nothing"])
@pytest.mark.parametrize("said", [False, None, [], frozenset()])
def test_whom_the_guard_keeps_out_finds_nothing(site: Site, path: str, said: Any) -> None:
    site.says = said
    answer = site.get(path)

    assert answer.status_code == 404
    assert json.loads(answer.data) == {"error": {"code": "not-found", "message": "not found"}}


@pytest.mark.parametrize("path", ["", "/", "/console.js"])
def test_a_guard_may_answer_in_place_of_a_page(site: Site, path: str) -> None:
    """As a host does that sends its visitors to its login page."""
    login = redirect("/login?next=/capture/console/")
    client = Client(
        mount(Response("host"), CaptureApp(site.capture, console_guard=lambda _: login))
    )
    answer = client.get(f"/capture/console{path}")

    assert (answer.status_code, answer.location) == (302, "/login?next=/capture/console/")


@pytest.mark.parametrize(
    "said", ["/login", "read", 1, {}, ("login", 302), [True], ["read", "all"], object()]
)
def test_a_guard_that_says_neither_yes_nor_no_lets_no_request_in(
    site: Site, said: Any, caplog: pytest.LogCaptureFixture
) -> None:
    site.says = said

    for path in ("/", "/api/feed"):
        assert site.get(path).status_code == 500
    assert f"console_guard: {type(said).__name__} is no bool, no WSGI app and no" in caplog.text


def test_a_program_that_asks_for_data_is_told_that_it_is_signed_out(site: Site) -> None:
    site.says = redirect("/login")
    answer = site.get("/api/feed")

    assert (answer.status_code, code(answer)) == (401, "signed-out")


def test_a_guard_that_fails_lets_no_request_in(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(environ: WSGIEnvironment) -> bool:
        raise LookupError

    client = Client(CaptureApp(site.capture, console_guard=broken))
    answer = client.get("/console/")

    assert (answer.status_code, code(answer)) == (500, "internal")
    assert "LookupError" in caplog.text


@pytest.mark.parametrize("scopes", [["read"], ("read", "pii"), {"write", "erase"}, ALL])
def test_a_guard_may_say_what_a_visitor_may_do(site: Site, scopes: Any) -> None:
    site.says = scopes

    assert site.asks("/api/me")["scopes"] == [each for each in ALL if each in scopes]


def test_what_takes_a_scope_is_refused_without_it(site: Site) -> None:
    site.allow("write", "erase", "pii")
    answer = site.get("/api/activities")
    assert (answer.status_code, code(answer)) == (403, "missing-scope")
    assert json.loads(answer.data)["error"]["expected"] == "read"

    site.allow("read", "erase", "pii")
    assert site.refuses("POST", "/api/activities", {}) == (403, "missing-scope")


# -- without a guard


def test_without_a_guard_and_without_a_token_there_is_no_console(site: Site) -> None:
    client = Client(CaptureApp(site.capture))

    for path in ("/console", "/console/", "/console/api/feed"):
        assert client.get(path).data == client.get("/nothing").data
        assert client.get(path).status_code == 404


def documents(site: Site) -> Documents:
    found = site.backends.documents
    assert found is not None
    return found


def test_a_stored_token_opens_the_console_at_once_and_for_as_long_as_it_is_stored(
    site: Site,
) -> None:
    client = Client(CaptureApp(site.capture))
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    bearer = {"Authorization": f"Bearer {token}"}

    assert client.get("/console/").status_code == 200
    assert code(client.get("/console/api/me")) == "token-needed"
    me = json.loads(client.get("/console/api/me", headers=bearer).data)
    assert (me["who"], me["scopes"]) == ("token Jo", ["read"])
    documents(site).remove(tokens.KIND, "Jo")
    assert client.get("/console/api/me", headers=bearer).status_code == 404


def test_of_a_token_only_a_hash_is_stored(site: Site) -> None:
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    [stored] = documents(site).all(tokens.KIND)

    assert token.startswith("oct_")
    assert token[4:] not in repr(stored)
    assert tokens.new(documents(site), "Al", ["read"], site.clock()) != token


@pytest.mark.parametrize(
    ("name", "scopes"),
    [("", ["read"]), ("Jo\n", ["read"]), ("x" * 65, ["read"]), ("Jo", []), ("Jo", ["all"])],
)
def test_a_token_has_a_plain_name_and_scopes_that_there_are(
    site: Site, name: str, scopes: list[str]
) -> None:
    with pytest.raises(ConfigurationError):
        tokens.new(documents(site), name, scopes, site.clock())


def test_no_two_tokens_have_one_name(site: Site) -> None:
    tokens.new(documents(site), "Jo", ["read"], site.clock())
    with pytest.raises(ConfigurationError, match="there is a token 'Jo'"):
        tokens.new(documents(site), "Jo", ["read"], site.clock())


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"hash": 1, "scopes": ["read"]},
        {"hash": "é", "scopes": ["read"]},
        {"hash": "x"},
    ],
)
def test_a_token_that_was_made_unreadable_lets_none_in_and_harms_no_other(
    site: Site, value: Any
) -> None:
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    documents(site).put(tokens.KIND, "Al", value)

    assert [each.name for each in tokens.stored(documents(site))] == ["Jo"]
    site.says = False
    assert site.get("/api/me", Authorization=f"Bearer {token}").status_code == 200


def test_backends_that_keep_no_documents_have_no_tokens() -> None:
    site = Site(backends=without("documents"))

    assert Client(CaptureApp(site.capture)).get("/console/").status_code == 404
    assert code(site.get("/api/me", Authorization="Bearer oct_x")) == "bad-token"


# -- bearer tokens


def forged(token: str) -> list[str]:
    """Tokens that are nearly right."""
    return [
        "oct_",
        token[:-1],
        token + "x",
        token[:4] + token[4:].swapcase(),
        token[:4] + token[4:][::-1],
        token + "\x00",
        token + "é",
        "oct_" + "x" * 100_000,
        "oct_" + "\xff\xfe",
    ]


@pytest.mark.parametrize("number", range(9))
def test_a_forged_token_is_refused_whatever_the_guard_would_say(site: Site, number: int) -> None:
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    header = f"Bearer {forged(token)[number]}"
    answer = site.client.get(
        "/capture/console/api/me", environ_overrides={"HTTP_AUTHORIZATION": header}
    )

    assert (answer.status_code, code(answer)) == (401, "bad-token")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Basic am86cHc=", "Bearer a.b.c", "oct_x", "", "\xff", "Bearer"]
)
def test_what_is_no_token_of_ours_is_left_to_the_hosts_guard(site: Site, header: str) -> None:
    """A proxy in front of the host may use the header for itself."""
    override = {"HTTP_AUTHORIZATION": header}
    for says, status in ((True, 200), (False, 404)):
        site.says = says
        answer = site.client.get("/capture/console/api/me", environ_overrides=override)
        assert answer.status_code == status


def test_a_stored_token_decides_alone_beside_a_guard(site: Site) -> None:
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    for says in (True, False):
        site.says = says
        answer = site.get("/api/me", Authorization=f"bearer  {token} ")
        assert json.loads(answer.data)["scopes"] == ["read"]


def test_tokens_are_compared_in_constant_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: Any, other: Any) -> bool:
        compared.append(one)
        return bool(one == other)

    monkeypatch.setattr(tokens, "compare_digest", compare)
    made = [tokens.new(documents(site), each, ["read"], site.clock()) for each in ("Al", "Jo")]

    assert site.get("/api/me", Authorization=f"Bearer {made[0]}").status_code == 200
    assert len(compared) == 2, "each stored one is compared with, found or not"
    assert TokenGuard().holds("x") is False
    assert len(compared) == 3


def test_ten_wrong_tokens_a_minute_and_address_and_no_more(site: Site) -> None:
    token = tokens.new(documents(site), "Jo", ["read"], site.clock())
    wrong = {"headers": {"Authorization": "Bearer oct_wrong"}}
    me = "/capture/console/api/me"
    near, far = {"REMOTE_ADDR": "203.0.113.7"}, {"REMOTE_ADDR": "203.0.113.8"}

    for _ in range(10):
        assert site.client.get(me, environ_overrides=near, **wrong).status_code == 401
    answer = site.client.get(me, environ_overrides=near, **wrong)
    assert (answer.status_code, code(answer)) == (429, "rate-limit")
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert site.client.get(me, environ_overrides=far, **wrong).status_code == 401
    # A colleague at the same address, whose token is right.
    right = {"Authorization": f"Bearer {token}"}
    assert site.client.get(me, environ_overrides=near, headers=right).status_code == 200
    site.clock.advance(60)
    assert site.client.get(me, environ_overrides=near, **wrong).status_code == 401


@pytest.mark.parametrize(
    "given", [None, "", "Bearer ", "Basic {token}", "Bearer {token}x", "Bearer \xff", "{token}"]
)
def test_a_token_guard_shows_the_page_to_all_and_data_to_its_bearer(
    given: str | None, site: Site
) -> None:
    guard = TokenGuard()
    token = guard.fragment.removeprefix("#token=")
    client = Client(CaptureApp(site.capture, console_guard=guard))
    headers = {} if given is None else {"Authorization": given.format(token=token)}

    for path in ("", *FILES):
        answer = client.get(f"/console{path}", headers=headers)
        assert answer.status_code == (200 if path else 308)
        assert token.encode() not in answer.data
    for path, status in (("/api/feed", 401), ("/api/", 401), ("//api/feed", 404)):
        assert client.get(f"/console{path}", headers=headers).status_code == status

    bearer = {"Authorization": f"Bearer {token}"}
    let_in = client.get("/console/api/me", headers=bearer)
    me = json.loads(let_in.data)
    assert (me["scopes"], me["who"]) == (list(ALL), "the printed link")
    assert guard(create_environ(headers=bearer))


def test_no_two_token_guards_have_the_same_token() -> None:
    assert len({TokenGuard().fragment for _ in range(100)}) == 100


# -- other sites


@pytest.mark.parametrize("where", ["cross-site", "same-site"])
@pytest.mark.parametrize("path", ["/api/feed", "/console.js", "/"])
def test_requests_from_other_sites_are_refused(site: Site, where: str, path: str) -> None:
    answer = site.get(path, **{"Sec-Fetch-Site": where, "Sec-Fetch-Mode": "no-cors"})

    assert (answer.status_code, code(answer)) == (403, "cross-site")


def test_a_link_on_another_site_leads_to_the_page_and_to_no_data(site: Site) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}

    assert site.get("/?page=live", **link).status_code == 200
    assert site.get("/api/feed", **link).status_code == 403


#: What a browser adds to a form, a picture and a script of another site.
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://other.localhost"},
    # Over http to another machine there is no Sec-Fetch-Site.
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    # No browser at all, or one that tells nothing: the host's cookie proves nothing then.
    {},
]


@pytest.mark.parametrize("told", FOREIGN)
@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "multipart/form-data"])
def test_no_other_site_changes_anything(site: Site, told: dict[str, str], media_type: str) -> None:
    before = site.asks("/api/activities/act:cm:paid")
    for method in ("POST", "PUT", "DELETE"):
        for path in ("/api/activities", f"/api/activities/{PAID.id}"):
            answer = site.client.open(
                f"/capture/console{path}",
                method=method,
                data='{"id": "act:cm:evil", "name": "Evil", "x": "="}',
                headers={"Content-Type": media_type, "If-Match": before["etag"], **told},
            )
            assert answer.status_code in (403, 405)
    assert site.asks("/api/activities/act:cm:paid") == before
    assert site.backends.definitions.get("act:cm:evil") is None


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_form_of_the_hosts_own_page_changes_nothing_either(site: Site, media_type: str) -> None:
    answer = site.client.post(
        "/capture/console/api/activities",
        data='{"id": "act:cm:evil", "name": "x"}',
        headers={"Content-Type": media_type, **OWN},
    )

    assert (answer.status_code, code(answer)) == (415, "unsupported-media-type")


def test_a_program_needs_its_token_and_nothing_of_a_browser(site: Site) -> None:
    token = tokens.new(documents(site), "Jo", ALL, site.clock())
    site.says = False
    path, bearer = "/capture/console/api/activities", {"Authorization": f"Bearer {token}"}
    new = {"id": "act:cm:new", "name": "New"}

    assert site.client.post(path, json=new, headers=bearer).status_code == 201
    cross = {**bearer, "Origin": "https://evil.example"}
    assert site.client.post(path, json=new, headers=cross).status_code == 403


# -- paths


def test_the_page_without_its_slash_leads_to_the_page_and_keeps_its_state(site: Site) -> None:
    answer = site.get("?page=live&q=%C3%A9")

    assert answer.status_code == 308
    assert answer.headers["Location"] == "/capture/console/?page=live&q=%C3%A9"


@pytest.mark.parametrize(
    ("prefix", "leads_to"),
    [("/caf\xc3\xa9", "/caf%C3%A9/capture/console/"), ("//evil.com", "/evil.com/capture/console/")],
)
def test_below_any_prefix_it_leads_to_the_page_of_this_host(
    site: Site, prefix: str, leads_to: str
) -> None:
    """As a server of WSGI has the prefix."""
    environ = create_environ("/capture/console") | {"SCRIPT_NAME": prefix}
    answer = run_wsgi_app(site.client.application, environ)

    assert answer[2]["Location"] == leads_to


def test_unknown_paths_are_404_and_other_methods_405(site: Site) -> None:
    for path in (
        "/console.map",
        "/../api/feed",
        "/index",
        "/pages",
        "/api/",
        "/api//feed",
        "/api/me/",
    ):
        assert site.get(path).status_code == 404
    for path, allowed in (("/api/feed", "GET, HEAD"), ("/", "GET, HEAD"), ("", "GET, HEAD")):
        answer = site.send("POST", path, {})
        assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "path", ["/console/\xff", "/console/api/\xff", "/console/api/activities/\xff"]
)
def test_bytes_that_are_no_text_in_the_path_are_404(site: Site, path: str) -> None:
    environ = create_environ("/") | {"PATH_INFO": f"/capture{path}"}

    assert run_wsgi_app(site.client.application, environ)[1].startswith("404")


def test_head_is_get_without_a_body(site: Site) -> None:
    answer = site.client.head("/capture/console/api/me")

    assert (answer.status_code, answer.data) == (200, b"")


def test_what_did_not_change_is_304(site: Site) -> None:
    for path in ("/api/me", "/api/activities", f"/api/activities/{PAID.id}", "/api/templates"):
        first = site.get(path)
        site.clock.advance(1)
        again = site.get(path, **{"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["Content-Security-Policy"]


def test_another_account_may_be_put_in_place(site: Site) -> None:
    """As tests do with the account of an app."""
    other = Site(backends=open_backends("memory:"))
    site.app.capture = other.capture
    other.record()

    keys = [row["key"] for row in site.asks("/api/feed")["rows"]]
    assert sorted(keys) == ["c1", "o1"]


@pytest.mark.parametrize(
    ("signed_in", "who"),
    [
        (Identity("jo@example.com"), "j•••@e•••.com"),
        (Identity("jo@example.com", ei=7), "user 7"),
        (None, "the host"),
    ],
)
def test_a_record_tells_readers_of_one_host_apart(signed_in: Identity | None, who: str) -> None:
    site = Site()
    site.app = CaptureApp(
        site.capture, identity=lambda environ: signed_in, console_guard=lambda environ: True
    )
    site.client = Client(mount(site.app, site.app, at="/capture"))

    site.does("POST", "/api/activities", {"id": "act:cm:new", "name": "New"})

    [change] = site.asks("/api/changes")["changes"]
    assert change["who"] == who
