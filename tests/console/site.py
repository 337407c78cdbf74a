"""A website with a console, in memory, and a client of its API."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import Client, TestResponse

from ortto_capture import (
    Attribute,
    Backends,
    Capture,
    CaptureApp,
    Definition,
    Refused,
    Settings,
    mount,
    open_backends,
)
from ortto_capture.testing import FakeClock, Ids

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SECRET = "an example secret of more than 32 bytes"
ALL = ("read", "write", "erase", "pii")
#: What a browser says of a request of the console's own page.
OWN = {"Sec-Fetch-Site": "same-origin"}
PAID = Definition(
    "act:cm:paid",
    "Paid",
    client_side=True,
    attributes=[Attribute("str:cm:plan"), Attribute("str:cm:card", sensitive=True)],
)


class Site:
    """A capture app with its console, and one person identified."""

    def __init__(
        self, *, backends: Backends | None = None, define: bool = True, **settings: Any
    ) -> None:
        self.backends = backends or open_backends("memory:")
        if define:
            self.backends.definitions.put(PAID)
        self.clock = FakeClock()
        self.capture = Capture(
            backends=self.backends,
            # Many at once, by one person.
            settings=Settings(secret_keys=[SECRET], **{"person_limit": "100000/day", **settings}),
            clock=self.clock,
            new_id=Ids(),
        )
        #: What the guard says.
        self.says: Any = True
        self.app = CaptureApp(self.capture, console_guard=self._guard)
        self.client = Client(mount(self.app, self.app, at="/capture"))
        self.session = self.capture.identify(email="user@emaildomain.com").session

    def _guard(self, environ: WSGIEnvironment) -> Any:
        return self.says

    def allow(self, *scopes: str) -> None:
        """Have the guard let in with these scopes only."""
        self.says = list(scopes)

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(f"/capture/console{path}", headers=headers)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """Send JSON, as the console's own page does."""
        return self.client.open(
            f"/capture/console{path}",
            method=method,
            data=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json", **OWN, **headers},
        )

    def asks(self, path: str, status: int = 200) -> Any:
        """Ask for data, which are there."""
        answer = self.get(path)
        assert answer.status_code == status, answer.data
        return json.loads(answer.data)

    def does(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Do something, which is done."""
        answer = self.send(method, path, body, **headers)
        assert answer.status_code in (200, 201, 204), answer.data
        return json.loads(answer.data or b"null")

    def refuses(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        """Try something that is refused; return the status and the code."""
        answer = self.send(method, path, body, **headers)
        return answer.status_code, json.loads(answer.data)["error"]["code"]

    def record(self, activity_id: str = PAID.id, attributes: Any = None) -> None:
        self.capture.record(self.session, activity_id, attributes)

    def refuse(self, activity_id: str = "act:cm:no", attributes: Any = None) -> None:
        with pytest.raises(Refused):
            self.capture.record(self.session, activity_id, attributes)


def without(port: str) -> Backends:
    """Backends in memory that have no such port."""
    return replace(open_backends("memory:"), **{port: None})  # type: ignore[arg-type]


def code(answer: TestResponse) -> str:
    """The code of a refusal."""
    return str(json.loads(answer.data)["error"]["code"])


def others(scope: str) -> Collection[str]:
    """All scopes but one."""
    return [each for each in ALL if each != scope]
