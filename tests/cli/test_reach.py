"""``doctor --url``: real endpoints, and what may stand in front of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from ortto_capture import BackendError, Capture, CaptureApp, Settings, mount
from ortto_capture.backends.memory import MemoryBackends
from ortto_capture.cli.remote import Remote

from ..services import serve
from .conftest import Account, Shell

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

Front = Callable[["WSGIApplication"], "WSGIApplication"]


def looked(shell: Shell, base: str, *options: str) -> dict[str, tuple[str, str]]:
    """What was found at an endpoint and the remedy, by what was looked at."""
    ended = shell("doctor", "--url", f"{base}/capture", "--json", *options)
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    problems = sum(not row["ok"] for row in rows)
    assert (ended.exit_code, ended.stderr) == (
        (1, f"Error: problems: {problems}\n") if problems else (0, "")
    )
    assert all(row["ok"] == (not row["remedy"]) for row in rows)
    return {row["check"]: (row["found"], row["remedy"]) for row in rows}


def problems(found: dict[str, tuple[str, str]]) -> list[str]:
    return [check for check, (_, remedy) in found.items() if remedy]


@pytest.fixture
def app(account: Account) -> CaptureApp:
    return CaptureApp(Capture(backends=account.backends))


def at_capture(app: CaptureApp) -> WSGIApplication:
    return mount(Response("<h1>The host</h1>", 404), app)


def rewriting(**changes: str | None) -> Front:
    """A proxy that changes, adds or removes headers of answers."""

    def front(app: WSGIApplication) -> WSGIApplication:
        def proxied(environ: Any, start_response: Any) -> Any:
            def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
                names = {name.replace("_", "-").lower() for name in changes}
                kept = [each for each in headers if each[0].lower() not in names]
                new = [(name.replace("_", "-"), value) for name, value in changes.items() if value]
                return start_response(status, kept + new, *rest)

            return app(environ, start)

        return proxied

    return front


def seen_from(address: str) -> Front:
    """A proxy at this address, and what it passes on."""

    def front(app: WSGIApplication) -> WSGIApplication:
        return lambda environ, start: app({**environ, "REMOTE_ADDR": address}, start)

    return front


def test_a_sound_endpoint_has_no_problem(shell: Shell, app: CaptureApp, account: Account) -> None:
    with serve(at_capture(app)) as base:
        found = looked(shell, base)

    assert list(found) == ["client", "health", "requests", "headers", "address", "forwarding"]
    assert problems(found) == []
    assert found["client"][0].startswith("app.js arrives, ")
    assert found["address"][0] == "what comes from here is counted for 127.0.0.1"
    assert account.backends.journal.latest() == []
    # One refused request, and no address, is all that it leaves.
    [left] = account.backends.own.outcomes.refused()
    assert (left.reason, left.activity_id) == ("unknown-activity", "act:cm:asked-by-the-doctor")
    assert "127.0.0.1" not in repr(left)


def test_without_the_account_the_address_is_not_looked_at(shell: Shell, app: CaptureApp) -> None:
    with serve(at_capture(app)) as base:
        found = looked(Shell(shell.data / "nowhere"), base)

    assert problems(found) == []
    assert found["address"][0].startswith("not looked at: ")
    assert not (shell.data / "nowhere").exists()


def test_an_account_that_was_named_and_is_none_is_3(shell: Shell, app: CaptureApp) -> None:
    with serve(at_capture(app)) as base:
        ended = shell("doctor", "--url", f"{base}/capture", "--data", "nowhere")

    assert ended.exit_code == 3


def test_where_it_is_not_mounted_every_line_says_so(shell: Shell, account: Account) -> None:
    with serve(Response("<h1>The host</h1>", 404)) as base:
        found = looked(shell, base)

    assert problems(found) == ["client", "health", "requests", "address"]
    assert all("<h1>The host</h1>" in said for said, _ in found.values())
    assert all("mount CaptureApp there" in remedy for _, remedy in found.values())


def test_a_page_that_answers_everything_is_not_taken_for_the_client(
    shell: Shell, account: Account
) -> None:
    with serve(Response("<h1>ap3c</h1>", mimetype="text/html")) as base:
        found = looked(shell, base)

    assert found["client"] == (
        "app.js is served as text/html; charset=utf-8",
        "leave its type alone",
    )
    assert problems(found) == ["client", "health", "requests", "address"]


def test_where_no_server_answers_there_is_one_problem(shell: Shell, account: Account) -> None:
    with serve(Response("")) as base:
        pass
    found = looked(shell, base)

    assert list(found) == ["server"]
    assert "does not answer" in found["server"][0]


def test_a_redirect_is_not_followed_and_its_end_is_named(shell: Shell, app: CaptureApp) -> None:
    """A page's report would become a GET there, and the operator's token would go along."""
    asked: list[str] = []

    def elsewhere(environ: Any, start_response: Any) -> Any:
        asked.append(environ["PATH_INFO"])
        return Response("elsewhere")(environ, start_response)

    with serve(elsewhere) as end, serve(Response("", 301, {"Location": end})) as base:
        found = looked(shell, base)

    assert problems(found) == ["client", "health", "requests", "address"]
    assert all(f"it leads to {end}; name that address" in said for said, _ in found.values())
    assert asked == []


def test_a_backend_that_is_away_is_named_by_the_log(
    shell: Shell, app: CaptureApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise BackendError("the disk is away")

    monkeypatch.setattr(type(app.capture.backends.journal), "ping", away)
    with serve(at_capture(app)) as base:
        found = looked(shell, base)

    assert found["health"] == ("a backend does not answer", "the server's log says which")
    assert problems(found) == ["health"]


@pytest.mark.parametrize(
    ("front", "says"),
    [
        (rewriting(Access_Control_Allow_Origin=None), "Access-Control-Allow-Origin"),
        (rewriting(Cache_Control="max-age=60"), "Cache-Control"),
    ],
    ids=["origin", "cache"],
)
def test_a_proxy_that_changes_headers_is_found(
    front: Front, says: str, shell: Shell, app: CaptureApp
) -> None:
    with serve(front(at_capture(app))) as base:
        found = looked(shell, base)

    assert problems(found) == ["headers"]
    assert found["headers"][0] == f"{says} is not as it was sent"


def test_settings_with_another_key_are_not_those_of_the_server(
    shell: Shell, account: Account
) -> None:
    settings = Settings(secret_keys=["another secret, of more than 32 bytes"])
    other = CaptureApp(Capture(backends=MemoryBackends(), settings=settings))
    with serve(at_capture(other)) as base:
        found = looked(shell, base)

    assert problems(found) == ["address"]
    assert found["address"][0] == "the server has another signing key than this account"


#: Leads to this machine as well, and is not called as it is.
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # it is asked, not listened at


def test_a_server_that_sees_its_proxy_alone_is_found(shell: Shell, app: CaptureApp) -> None:
    with serve(seen_from("10.0.0.7")(at_capture(app))) as base:
        found = looked(shell, base.replace("127.0.0.1", ANY_ADDRESS))

    assert problems(found) == ["address"]
    assert found["address"][0] == "what comes from here is counted for 10.0.0.7"
    assert "behind-a-proxy" in found["address"][1]


def test_a_proxy_on_the_same_machine_that_is_not_accounted_for_is_found(
    shell: Shell, app: CaptureApp, account: Account
) -> None:
    def proxy(environ: Any, start_response: Any) -> Any:
        return endpoint({**environ, "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, start_response)

    endpoint = at_capture(app)
    with serve(proxy) as base:
        found = looked(shell, base)

    assert problems(found) == ["address"]
    assert "that is the address of a proxy" in found["address"][1]


def test_looking_leaves_no_warning_of_its_own(shell: Shell, app: CaptureApp) -> None:
    """An address that the doctor makes up is no proxy's."""
    with serve(at_capture(app)) as base:
        looked(shell, base)

    assert app.capture.warnings == []


def test_a_server_in_the_same_network_sees_this_machine(shell: Shell, app: CaptureApp) -> None:
    """An address of no visitor of the internet is right there."""
    with serve(at_capture(app)) as base:
        found = looked(shell, base.replace("127.0.0.1", ANY_ADDRESS))
        assert problems(found) == []
        remote = Remote(f"{base.replace('127.0.0.1', ANY_ADDRESS)}/capture")
        assert remote.sees("127.0.0.1")
        assert not remote.sees("10.0.0.7")
    assert not remote.sees("127.0.0.1")


def test_an_address_that_visitors_may_make_up_is_found(shell: Shell, app: CaptureApp) -> None:
    """ProxyFix without a proxy in front."""
    with serve(ProxyFix(at_capture(app))) as base:
        found = looked(shell, base)

    assert problems(found) == ["forwarding"]
    assert found["forwarding"][0] == "any visitor can say which address to count him by"


def test_behind_a_proxy_that_is_accounted_for_all_is_well(shell: Shell, app: CaptureApp) -> None:
    def proxy(environ: Any, start_response: Any) -> Any:
        forwarded = f"{environ.get('HTTP_X_FORWARDED_FOR', '')}, 203.0.113.7".lstrip(", ")
        return fixed({**environ, "HTTP_X_FORWARDED_FOR": forwarded}, start_response)

    fixed = ProxyFix(at_capture(app))
    with serve(proxy) as base:
        found = looked(shell, base)

    assert problems(found) == []
    assert found["address"][0] == "what comes from here is counted for 203.0.113.7"


def test_an_address_of_no_scheme_is_wrong_usage(shell: Shell) -> None:
    assert shell("doctor", "--url", "shop.example/capture").exit_code == 2
