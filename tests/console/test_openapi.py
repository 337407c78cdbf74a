"""The OpenAPI document, and that every route keeps to it whatever it is sent."""

from __future__ import annotations

import os
from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import allow_header_conformance, positive_data_acceptance

from .site import OWN, PAID, Site

SITE = Site()
for _ in range(3):
    SITE.record(attributes={"str:cm:plan": "Pot", "str:cm:card": "4111"})
    SITE.refuse()
EVERY: Any = schemathesis.openapi.from_wsgi(
    "/capture/console/api/openapi.json", SITE.client.application
)
CAMPAIGN = int(os.environ.get("ORTTO_CAPTURE_CAMPAIGN", "1"))
# Conditions hold conditions, and making some of them up takes ten seconds a route.
LONG = "ask|audiences/|reports/{name}$"
SCHEMA = EVERY if CAMPAIGN > 1 else EVERY.exclude(path_regex=LONG)
#: Routes of which a schema cannot say everything: how a limit is written, which time zones there
#: are, which member needs another.
SAID_IN_WORDS = tuple(
    f"/api/{each}"
    for each in ("activities", "ask", "audiences", "feed", "overview", "people", "reports")
)
#: Methods of an audience that has this name.
ALSO_A_NAME = "/api/audiences/count"


def test_the_document_is_openapi_and_has_every_route() -> None:
    document = SITE.asks("/api/openapi.json")

    validate(document)
    assert document["servers"] == [{"url": "/capture/console"}]
    assert {"get", "put"} == set(document["paths"]["/api/activities/{activity_id}"])
    operations = [each for path in document["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(names) == len(set(names)) > 30
    assert all(each["summary"].endswith(".") for each in operations)


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=4 * CAMPAIGN, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_route_keeps_to_the_document(case: Any) -> None:
    case.headers = {**(case.headers or {}), **OWN}
    excluded: list[Any] = []
    if case.path.startswith(SAID_IN_WORDS):
        excluded.append(positive_data_acceptance)
    if case.path == ALSO_A_NAME:
        excluded.append(allow_header_conformance)
    case.call_and_validate(excluded_checks=excluded)


def test_no_answer_to_bytes_of_any_kind_is_a_fault() -> None:
    """After all that was sent above, too."""
    assert SITE.backends.definitions.get(PAID.id) is not None
    for body in (b"", b"\x00", b"\xff", b"[]", b"{", b'{"a":1,"a":2}', b"[" * 5_000, b"{}" * 9):
        for method, path in (("POST", "activities"), ("PUT", "overview"), ("POST", "ask")):
            answer = SITE.client.open(
                f"/capture/console/api/{path}",
                method=method,
                data=body,
                headers={"Content-Type": "application/json", "If-Match": "\xff", **OWN},
            )
            assert 400 <= answer.status_code < 500
