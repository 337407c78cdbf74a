"""A capture endpoint elsewhere, asked over HTTP as a browser asks it.

The law of this file: whatever comes back is an answer, and so is nothing at all. It is told whether
an answer is one of ours: a proxy answers in place of the server, too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from socket import create_connection
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import click

from .account import Failed

#: Seconds that an answer may take.
PATIENCE = 10
#: Bytes of an answer that are read: a page of a proxy may be long.
MOST = 200_000


class Answer(NamedTuple):
    """What came back; names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The object that it is, or an empty one."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def ours(self) -> bool:
        """Whether it has the shape that capture routes answer in."""
        error = self.json.get("error")
        if self.status == 200:
            return bool(self.json) and error is None
        return isinstance(error, dict) and isinstance(error.get("code"), str)

    @property
    def beginning(self) -> str:
        """The first words of it, for a person to recognise, or where it leads."""
        if 300 <= self.status < 400:
            return f"it leads to {self.headers.get('location')}; name that address"
        text = self.body[:200].decode("utf-8", "replace")
        return " ".join(text.split())[:80] or "nothing"


class Remote:
    """A capture endpoint.

    :param url: such as ``https://shop.example/capture``.
    :raises click.UsageError: it is no such address; what it is may be secret, and is not told.
    """

    def __init__(self, url: str) -> None:
        if "@" in url:
            raise click.UsageError("--url takes no name and password, and no @")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = SplitResult("", "", "", "", ""), None
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise click.UsageError("--url takes an address such as https://shop.example/capture")
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = port or (443 if parts.scheme == "https" else 80)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Ask for what is at ``path`` below the endpoint.

        :raises Failed: no server answers.
        """
        # Its scheme was checked.
        return self._ask(Request(f"{self.url}/{path}", headers=dict(headers or {})))  # noqa: S310

    def sees(self, address: str) -> bool:
        """Tell whether ``address`` is what this machine calls from, when no proxy is between."""
        if self._host in ("localhost", "::1") or self._host.startswith("127."):
            return True
        try:
            with create_connection((self._host, self._port), PATIENCE) as connection:
                return bool(connection.getsockname()[0] == address)
        except OSError:
            return False

    def post(self, route: str, members: Mapping[str, Any]) -> Answer:
        """Send what is not None to ``track`` or ``activity``, as the browser client does."""
        sent = {name: value for name, value in members.items() if value is not None}
        body, headers = json.dumps(sent).encode(), {"Content-Type": "text/plain"}
        return self._ask(
            Request(f"{self.url}/-/events/{route}", body, headers)  # noqa: S310
        )

    def _ask(self, request: Request) -> Answer:
        # Some proxies refuse what calls itself Python.
        request.add_header("User-Agent", "ortto-capture")
        try:
            with _OPENER.open(request, timeout=PATIENCE) as found:
                return _answer(found.status, found)
        except HTTPError as error:
            with error:
                return _answer(error.code, error)
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise Failed(f"{request.full_url} does not answer: {reason}") from error


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: a report that is sent as POST would become a GET of another place."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_OPENER = build_opener(_Stay)


def _answer(status: int, found: Any) -> Answer:
    headers = {name.lower(): value for name, value in found.headers.items()}
    return Answer(status, headers, found.read(MOST))
