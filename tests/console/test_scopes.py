"""Every route takes its scope, and no other site's request, whatever route it is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from .site import OWN, PAID, Site, code, others

#: Everything that the document has: method, path and scope.
SITE = Site()
DOCUMENT = SITE.asks("/api/openapi.json")
ROUTES = [
    (
        method.upper(),
        re.sub("{.*?}", "act:cm:paid", path),
        (re.findall("`([a-z]+)`", each.get("description", "")) or [""])[0],
    )
    for path, operations in DOCUMENT["paths"].items()
    for method, each in operations.items()
]
TAKES = [each for each in ROUTES if each[2]]
WRITES = [each for each in ROUTES if each[0] != "GET"]


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


def state(site: Site) -> list[Any]:
    """Everything that a request could change."""
    documents = site.backends.documents
    assert documents is not None
    kinds = ("report", "overview", "audience", "change", "token")
    kept: list[Any] = [list(documents.all(kind)) for kind in kinds]
    person = site.capture.person("user@emaildomain.com")
    return [*kept, list(site.backends.definitions.all()), person]


def test_the_scopes_are_those_that_are_said() -> None:
    said = {(method, path): scope for method, path, scope in ROUTES}

    assert [path for (_, path), scope in said.items() if not scope] == [
        "/api/me",
        "/api/openapi.json",
    ]
    assert {path for (_, path), scope in said.items() if scope in ("pii", "erase")} == {
        "/api/people/act:cm:paid/export",
        "/api/people/act:cm:paid/erase",
        "/api/audiences/act:cm:paid/csv",
        "/api/unmask",
    }
    assert {scope for (method, _), scope in said.items() if method in ("PUT", "DELETE")} == {
        "write"
    }


@pytest.mark.parametrize(("method", "path", "scope"), TAKES)
def test_no_route_answers_without_its_scope(site: Site, method: str, path: str, scope: str) -> None:
    site.allow(*others(scope))
    before = state(site)
    answer = site.send(method, path, {} if method != "GET" else None, **{"If-Match": '"1"'})

    assert (answer.status_code, code(answer)) == (403, "missing-scope")
    assert state(site) == before


@pytest.mark.parametrize(("method", "path", "scope"), TAKES)
def test_every_route_answers_with_its_scope_alone(
    site: Site, method: str, path: str, scope: str
) -> None:
    site.allow(scope)
    answer = site.send(method, path, {} if method != "GET" else None, **{"If-Match": '"1"'})

    assert answer.status_code != 403
    assert answer.status_code < 500


@pytest.mark.parametrize(("method", "path", "scope"), WRITES)
@pytest.mark.parametrize(
    "told",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
    ],
)
def test_no_other_site_changes_anything_by_any_route(
    site: Site, method: str, path: str, scope: str, told: dict[str, str]
) -> None:
    site.says = True
    before = state(site)
    answer = site.client.open(
        f"/capture/console{path}",
        method=method,
        data='{"title": "x", "people": {"did": "act:cm:paid"}, "names": [], "name": "x"}',
        headers={"Content-Type": "application/json", "If-None-Match": "*", **told},
    )

    assert (answer.status_code, code(answer)) == (403, "cross-site")
    assert state(site) == before


@pytest.mark.parametrize(("method", "path", "scope"), WRITES)
def test_a_forms_content_types_change_nothing_by_any_route(
    site: Site, method: str, path: str, scope: str
) -> None:
    if method == "DELETE":
        return
    site.says = True
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = site.client.open(
            f"/capture/console{path}",
            method=method,
            data="{}",
            headers={"Content-Type": media_type, **OWN},
        )
        assert answer.status_code == 415


@pytest.mark.parametrize("junk", ["\xff", "\x00", "x" * 9_000, '"', 'W/"', "*", "-1", "9" * 40, ""])
@pytest.mark.parametrize(
    "header", ["IF_MATCH", "IF_NONE_MATCH", "AUTHORIZATION", "ORIGIN", "HOST", "ACCEPT_ENCODING"]
)
def test_no_header_makes_a_fault(site: Site, header: str, junk: str) -> None:
    site.says = True
    for method, path in (("GET", "/"), ("GET", "/api/feed"), ("PUT", "/api/overview")):
        answer = site.client.open(
            f"/capture/console{path}",
            method=method,
            json={"names": []},
            environ_overrides={f"HTTP_{header}": junk, "HTTP_SEC_FETCH_SITE": "same-origin"},
        )
        assert answer.status_code < 500


def test_the_definition_is_still_there(site: Site) -> None:
    assert site.backends.definitions.get(PAID.id) is not None
