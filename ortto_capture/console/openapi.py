"""The OpenAPI document of the API, made of the routes that are served.

The law of this file: nothing of one route is written here. What the document says of a route is
what the route says of itself, and how every request is let in and refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .account import own_version
from .people import PERSON
from .requests import ROW
from .routes import Asked, Route, Schema
from .shapes import ANSWER, CONDITION, DEFINITION, QUESTION, TEXT, Plain, mapping, record

#: Statuses that any route may answer with, and those of routes that write.
_ANY = {
    400: "The request is none that this route takes.",
    401: "A token is needed, or the one that was sent is not known.",
    403: "The visitor lacks the scope, or another site sent the request.",
    404: "There is no such thing, or no console for this visitor.",
    405: "This route does not take that method.",
    429: "Too many wrong tokens, or another report is being made.",
    500: "A fault of the server, of which the log has one line.",
    503: "A backend did not do its work.",
}
_WRITING = {
    411: "The length of the body is not declared.",
    413: "The body is too large.",
    415: "The body is not labelled as JSON.",
}
_OWN = {
    409: "It is there already, or cannot be changed here.",
    412: "It is another one by now.",
    422: "The report takes too long: ask for a shorter period.",
    428: "The request does not say what its sender has seen.",
}
_ERROR = record(
    {"error": record({"code": TEXT, "message": TEXT}, {"field": TEXT, "expected": TEXT})}
)
#: Schemas that are written once, and named elsewhere.
NAMED: Mapping[str, Schema] = {
    "Condition": CONDITION,
    "Question": QUESTION,
    "Answer": ANSWER,
    "Definition": DEFINITION,
    "Request": ROW,
    "Person": PERSON,
    "Error": _ERROR,
}
_ARGUMENT = re.compile("<([a-z_]+)>")


def route(others: Sequence[Route]) -> Route:
    """Return the route of the document, which is of those others and of itself."""
    own = Route(
        "GET",
        "/api/openapi.json",
        None,
        lambda asked: document([*others, own], asked),
        "This document.",
        answer=mapping({}),
    )
    return own


def document(routes: Sequence[Route], asked: Asked) -> dict[str, Any]:
    """Describe the routes, as OpenAPI 3.1.

    :param asked: tells where they are mounted.
    """
    paths: dict[str, dict[str, Any]] = {}
    for each in routes:
        path = _ARGUMENT.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The console of ortto_capture",
            "version": own_version() or "0",
            "description": "What arrived and what was refused, for those who run a website.",
        },
        "servers": [{"url": asked.environ.get("SCRIPT_NAME", "") or "/"}],
        "security": [{"token": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {
                name: {member: _short(each) for member, each in schema.items()}
                for name, schema in NAMED.items()
            },
            "responses": {
                str(status): _refusal(words) for status, words in (_ANY | _WRITING | _OWN).items()
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    writing = {} if route.method == "GET" else _WRITING
    statuses = sorted({*_ANY, *writing, *route.errors})
    made: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": _parameters(route),
        "responses": {
            str(route.status): _answer(route),
            **({"304": {"description": "It is what it was."}} if route.method == "GET" else {}),
            **{str(each): {"$ref": f"#/components/responses/{each}"} for each in statuses},
        },
    }
    if route.scope is not None:
        made["description"] = f"It takes the scope `{route.scope}`."
    if route.body is not None:
        content = {"application/json": {"schema": _short(route.body)}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answer(route: Route) -> dict[str, Any]:
    if route.status == 204:
        return {"description": "It is done."}
    schema: Plain = TEXT if route.answer is None else _short(route.answer)
    media = route.media.partition(";")[0]
    return {"description": "The answer.", "content": {media: {"schema": schema}}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": TEXT}
        for name in _ARGUMENT.findall(route.path)
    ]
    in_query = [
        {"name": name, "in": "query", "schema": dict(schema)}
        for name, schema in route.query.items()
    ]
    in_header = [{"name": name, "in": "header", "schema": TEXT} for name in route.headers]
    return [*in_path, *in_query, *in_header]


def _short(schema: Any) -> Any:
    """A schema with the names of those that have one."""
    for name, named in NAMED.items():
        if schema == named:
            return {"$ref": f"#/components/schemas/{name}"}
    if isinstance(schema, Mapping):
        return {member: _short(each) for member, each in schema.items()}
    return [_short(each) for each in schema] if isinstance(schema, list) else schema


def _refusal(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _name(route: Route) -> str:
    """A name for the operation: ``get-activities-overview``."""
    words = re.findall("[a-z]+", _ARGUMENT.sub("one", route.path.removeprefix("/api/")))
    return "-".join([route.method.lower(), *words])
