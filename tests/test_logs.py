"""What the log holds: an event of a known name in each line, and nothing about a person."""

from __future__ import annotations

import ast
import logging
import re
from typing import Never

import pytest

from ortto_capture import CaptureApp, mount

from .host_apps import ask, bare_host
from .services import ROOT
from .world import World

PAGE = ROOT / "docs" / "reference" / "logs.md"


def events() -> set[str]:
    """The event of each line that the package logs."""
    found = set()
    for path in (ROOT / "ortto_capture").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                [extra] = [each.value for each in node.keywords if each.arg == "extra"]
                assert isinstance(extra, ast.Dict), f"{path}:{node.lineno}"
                fields = dict(
                    zip(map(ast.unparse, filter(None, extra.keys)), extra.values, strict=True)
                )
                found.add(ast.literal_eval(fields["'event'"]))
    return found


def test_every_line_of_the_log_has_an_event_and_the_reference_explains_each() -> None:
    listed = re.findall(r"^\| `([\w-]+)`", PAGE.read_text("utf-8"), re.MULTILINE)

    assert sorted(listed) == sorted(events())


def test_no_line_of_the_log_holds_what_a_visitor_sent(caplog: pytest.LogCaptureFixture) -> None:
    """Refusals, faults of backends, of the host's own functions and of subscribers."""
    private = "private@emaildomain.com"
    world = World()

    def failing(*_: object) -> Never:
        raise ValueError(private)

    world.capture.subscribe(failing)
    app = CaptureApp(world.capture, identity=failing, console_guard=failing)
    host = mount(bare_host(), app)
    own = {"Sec-Fetch-Site": "same-origin"}
    with caplog.at_level(logging.DEBUG, "ortto_capture"):
        world.capture.record_for(
            "act:cm:login", {"bol:cm:account-owner": True, "str::email": private}, email=private
        )
        world.capture.record_for(
            "act:cm:login", {private: private}, email=private, on_refused="log"
        )
        assert world.capture.flush()
        for path in ("-/events/track", "-/identity", "console/", "console/api/feed"):
            method = "POST" if "track" in path else "GET"
            reply = ask(host, method, f"/capture/{path}", body=b'{"key": "shop-key"}', headers=own)
            assert reply.status == 500
        world.people.fault = ValueError(private)
        body = b'{"key": "shop-key", "email": "%s"}' % private.encode()
        ask(world.app, "POST", "/in/capture/-/events/track", body=body)

    lines = [record for record in caplog.records if record.name == "ortto_capture"]
    assert {record.__dict__["event"] for record in lines} == {
        "subscriber-failed",
        "not-recorded",
        "internal",
        "page-failed",
    }
    for record in lines:
        assert private not in f"{record.getMessage()} {record.__dict__}"
