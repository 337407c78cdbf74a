"""``send`` and ``explain``: one activity from a terminal."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from werkzeug.wrappers import Response

from ortto_capture import BackendError, Capture, CaptureApp, mount
from ortto_capture.cli.embedded import group

from ..services import serve
from .conftest import DEFINITIONS, JO, Account, Shell, bare

PLAN = ["--attributes", '{"str:cm:plan": "Pot"}']


def sent(shell: Shell, *arguments: str) -> tuple[int, list[tuple[str, int, str, str]]]:
    """The exit code, and what was said of each step."""
    ended = shell("send", *arguments, "--json")
    rows = [json.loads(line) for line in ended.stdout.splitlines()]
    return ended.exit_code, [
        (row["step"], row["status"], row["answer"], row["why"]) for row in rows
    ]


def test_an_activity_goes_the_whole_way(shell: Shell, account: Account) -> None:
    sent_ = sent(shell, "act:cm:plan-chosen", "--email", JO, *PLAN, "--event-id", "once")

    assert sent_ == (0, [("track", 200, "answered", ""), ("activity", 200, "stored", "")])
    [row] = account.backends.journal.latest()
    assert row.attributes == {"str:cm:plan": "Pot"}
    assert (row.event_id, row.assurance) == ("once", "claimed")
    assert account.capture.person(JO) is not None
    assert account.backends.own.outcomes.counts() == {"identified": 1, "accepted": 1}

    again = sent(shell, "act:cm:plan-chosen", "--email", JO, *PLAN, "--event-id", "once")
    assert again[1][1] == ("activity", 200, "a repetition, stored before", "")


@pytest.mark.parametrize(
    ("arguments", "step", "status", "answer", "why"),
    [
        (["act:cm:refund-issued", "--email", JO], "activity", 404, "not-found", "disabled"),
        (["act:cm:login"], "activity", 400, "not-identified", "no-session"),
        (
            ["act:cm:login", "--email", "jo"],
            "track",
            400,
            "bad-request",
            "email is not usable · email",
        ),
        (
            ["act:cm:plan-chosen", "--email", JO],
            "activity",
            400,
            "bad-attribute",
            "missing-attribute · str:cm:plan · a value",
        ),
    ],
)
def test_a_refusal_is_1_and_says_the_reason(
    arguments: list[str],
    step: str,
    status: int,
    answer: str,
    why: str,
    shell: Shell,
    account: Account,
) -> None:
    code, rows = sent(shell, *arguments)

    assert (code, rows[-1][:3]) == (1, (step, status, answer))
    assert rows[-1][3].startswith(why.split(" · ", maxsplit=1)[0])
    assert account.backends.journal.latest() == []
    # It is written down as a refused request like any other.
    assert [each.reason for each in account.backends.own.outcomes.refused()]


def test_limits_of_an_address_are_used_when_one_is_given(shell: Shell, account: Account) -> None:
    for _ in range(2):
        sent(shell, "act:cm:many", "--email", JO, "--ip", "203.0.113.7")
    sent(shell, "act:cm:many", "--ei", "4711")

    asked = shell("explain", "act:cm:many", "--email", JO, "--ip", "203.0.113.7", "--json").stdout
    rows = {row["check"]: row for row in map(json.loads, asked.splitlines())}
    assert (rows["ip-limit"]["taken"], rows["person-limit"]["taken"]) == (2, 2)


def test_the_hosts_own_word_needs_no_switch(shell: Shell, account: Account) -> None:
    assert sent(shell, "act:cm:refund-issued", "--email", JO, "--server") == (
        0,
        [("record_for", 200, "stored", "")],
    )
    [row] = account.backends.journal.latest()
    assert (row.assurance, row.source) == ("verified", "server")
    assert sent(shell, "act:cm:refund-issued", "--server")[1] == [
        ("record_for", 400, "not-identified", "no-session")
    ]


def test_a_storage_fault_is_4(
    shell: Shell, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise BackendError("the disk is away")

    monkeypatch.setattr(Capture, "identify", away)
    assert sent(shell, "act:cm:login", "--email", JO) == (
        4,
        [("track", 503, "unavailable", "the disk is away")],
    )


def test_subscribers_are_told_before_the_command_ends(account: Account, tmp_path: Path) -> None:
    told: list[str] = []
    account.capture.subscribe(lambda captured: told.append(captured.activity_id))
    asked = ["send", "act:cm:login", "--email", JO]

    assert CliRunner().invoke(group(lambda: account.capture), asked).exit_code == 0
    assert told == ["act:cm:login"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--attributes", "{"],
        ["--attributes", "[]"],
        ["--url", "ftp://shop.example"],
        ["--url", "shop.example"],
        ["--url", "https://shop.example", "--server"],
        ["--url", "https://shop.example", "--ip", "203.0.113.7"],
        ["--url", "http://[::1/capture"],
        ["--url", "http://127.0.0.1:99999/capture"],
        ["--url", "http:///capture"],
        ["--key", "shop"],
        ["--server", "--key", "shop"],
        ["--server", "--ip", "203.0.113.7"],
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    wrong: list[str], shell: Shell, account: Account
) -> None:
    assert shell("send", "act:cm:login", *wrong).exit_code == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://jo:s3cret@shop.example/capture",
        "https://jo:s3/cret@shop.example/capture",
        "https://jo:s3cret@[::1/capture",
        "jo:s3cret@shop.example",
    ],
)
@pytest.mark.parametrize("command", [["send", "act:cm:login"], ["doctor"]])
def test_a_password_in_an_address_is_refused_and_never_printed(
    command: list[str], url: str, shell: Shell, account: Account
) -> None:
    ended = shell(*command, "--url", url)

    assert ended.exit_code == 2
    assert "takes no name and password" in ended.stderr
    assert "s3" not in ended.output


# -- over HTTP


@pytest.fixture
def url(account: Account) -> Iterator[str]:
    """An endpoint that is served, and answers elsewhere in another's name."""
    busy = Response('{"ok": true, "error": "busy"}', mimetype="application/json")
    app = CaptureApp(Capture(backends=account.backends))
    host = mount(Response("<h1>The host</h1>", 404), app)
    with serve(mount(host, _Odd(busy), at="/odd")) as base:
        yield f"{base}/capture"


class _Odd(CaptureApp):
    """Something else that answers."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        self.mounted_at = set()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.answer(environ, start_response)


def test_over_http_it_goes_as_a_browser_goes(shell: Shell, account: Account, url: str) -> None:
    """The command needs no data of its own then."""
    elsewhere = Shell(shell.data / "nowhere")
    arguments = ("act:cm:plan-chosen", "--email", JO, *PLAN, "--event-id", "once", "--key", "shop")

    assert sent(elsewhere, *arguments, "--url", f"{url}/") == (
        0,
        [("track", 200, "answered", ""), ("activity", 200, "stored", "")],
    )
    assert sent(elsewhere, *arguments, "--url", url)[1][1][2] == "a repetition, stored before"
    [row] = account.backends.journal.latest()
    assert (row.source, row.attributes) == ("shop", {"str:cm:plan": "Pot"})


def test_over_http_the_key_is_the_first_of_the_sources(
    shell: Shell, account: Account, url: str, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[sources.shop]\nname = "Shop"\norigins = ["https://shop.example"]\n')
    asked = ("act:cm:login", "--email", JO, "--url", url, "--config", str(settings))

    assert sent(shell, *asked)[0] == sent(shell, *asked, "--key", "other")[0] == 0
    sources = [each.source for each in account.backends.journal.latest()]
    assert sources == ["shop", "other"]


def test_over_http_the_public_answer_is_shown(shell: Shell, url: str) -> None:
    hidden = "there, ortto-capture tail --refused says why"

    assert sent(shell, "act:cm:refund-issued", "--email", JO, "--url", url)[1][1] == (
        *("activity", 404, "not-found", hidden),
    )
    assert sent(shell, "act:cm:login", "--email", "jo", "--url", url) == (
        1,
        [("track", 400, "bad-request", "email")],
    )
    code, [_, (*answer, why)] = sent(shell, "act:cm:plan-chosen", "--email", JO, "--url", url)
    assert (code, answer) == (1, ["activity", 400, "bad-attribute"])
    assert why.startswith("str:cm:plan · ")


def test_over_http_a_full_limit_says_when_to_come_again(
    shell: Shell, account: Account, url: str
) -> None:
    account.backends.definitions.put(replace(DEFINITIONS[0], limits={"person": "1/day"}))
    sent(shell, "act:cm:login", "--email", JO, "--url", url)
    _, rows = sent(shell, "act:cm:login", "--email", JO, "--url", url)

    assert rows[1][:3] == ("activity", 429, "rate-limit")
    assert rows[1][3].startswith("again in ")


@pytest.mark.parametrize("path", ["", "/wrong", "/odd"])
def test_another_servers_answer_is_told_from_ours(path: str, shell: Shell, url: str) -> None:
    base = url.removesuffix("/capture")
    code, [(step, _, answer, why)] = sent(
        shell, "act:cm:login", "--email", JO, "--url", base + path
    )

    assert (code, step, answer) == (1, "track", "not an answer of ours")
    assert why in ("<h1>The host</h1>", '{"ok": true, "error": "busy"}')


def test_where_no_server_answers_it_is_said(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    ended = shell("send", "act:cm:login", "--email", JO, "--url", f"http://127.0.0.1:{port}/c")

    assert (ended.exit_code, ended.stdout) == (1, "")
    assert f"http://127.0.0.1:{port}/c/-/events/track does not answer" in ended.stderr


# -- explain


def test_each_check_and_each_limit_is_a_line(shell: Shell, busy: Account) -> None:
    asked = ("explain", "act:cm:login", "--email", JO, "--ip", "203.0.113.7")
    lines = [line.split("\t") for line in shell.ok(*asked).splitlines()]

    assert [line[:3] for line in lines] == [
        ["ok", "7", "capture key and origin"],
        ["ok", "8", "definition"],
        ["ok", "9", "person"],
        ["ok", "10", "attributes"],
        ["ok", "11", "repetition"],
        ["ok", "12", "person-limit"],
        ["ok", "12", "ip-limit"],
    ]
    assert lines[2][3] == JO
    assert lines[5][3].startswith("10 of 10 left; a new window begins in ")


def test_what_would_be_refused_is_1_and_says_everything(shell: Shell, busy: Account) -> None:
    asked = ("explain", "act:cm:refund-issued", "--attributes", '{"int:cm:x": 1}')
    ended = shell(*asked)
    lines = [line.split("\t") for line in ended.stdout.splitlines()]

    assert (ended.exit_code, ended.stderr) == (1, "Error: it would be refused: 404 not-found\n")
    assert [line[0] for line in lines] == ["ok", "refused", "refused", "refused"]
    assert [line[3].split(" · ")[:2] for line in lines[1:]] == [
        ["not-found", "disabled"],
        ["not-identified", "no-session"],
        ["bad-attribute", "unknown-attribute"],
    ]


def test_a_person_who_would_be_created_is_told(shell: Shell, account: Account) -> None:
    asked = ("explain", "act:cm:login", "--ei", "0815", "--ip", "203.0.113.7")
    lines = [line.split("\t") for line in shell.ok(*asked).splitlines()]

    assert lines[2][3] == "would be created"
    assert lines[-1][2] == "new-people-limit"
    assert shell("people", "find", "0815").exit_code == 1


def test_a_repetition_is_told(shell: Shell, account: Account) -> None:
    sent(shell, "act:cm:login", "--email", JO, "--event-id", "once")
    asked = ("explain", "act:cm:login", "--email", JO, "--event-id", "once")

    assert "\trepetition\twas stored before: 200, and nothing changes\n" in shell.ok(*asked)
    assert shell("explain", "act:cm:login", "--email", JO, "--event-id", "a b").exit_code == 2


def test_a_full_limit_is_told(shell: Shell, account: Account) -> None:
    for _ in range(3):
        sent(shell, "act:cm:plan-chosen", "--email", JO, *PLAN)
    ended = shell("explain", "act:cm:plan-chosen", "--email", JO, *PLAN)

    assert (ended.exit_code, ended.stderr) == (1, "Error: it would be refused: 429 rate-limit\n")
    assert "refused\t12\tperson-limit\t0 of 3 left; " in ended.stdout
    assert shell("explain", "act:cm:plan-chosen", "--email", JO, *PLAN, "--verified").exit_code == 0


def test_the_key_is_the_first_of_the_sources(
    shell: Shell, account: Account, tmp_path: Path
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('[sources.shop]\nname = "Shop"\norigins = ["https://shop.example"]\n')
    asked = ("explain", "act:cm:login", "--email", JO, "--config", str(settings))

    assert shell(*asked).exit_code == 0
    assert "unknown-key" in shell(*asked, "--key", "other").stdout
    assert "bad-origin" in shell(*asked, "--origin", "https://evil.example").stdout


def test_on_a_terminal_it_says_that_it_would_be_accepted(shell: Shell, busy: Account) -> None:
    written, code = shell.seen("explain", "act:cm:login", "--email", JO, columns=120)
    lines = bare(written)

    assert (code, lines[0].split()) == (0, ["ROW", "CHECK", "FOUND"])
    assert "It would be accepted." in lines
