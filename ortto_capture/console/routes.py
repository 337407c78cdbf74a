"""What a route of the console's API is, what it is asked, and what it answers.

The law of this file: values that one request makes, and nothing of any one route. A route is said
once: dispatch, scopes and the OpenAPI document are made of the same :class:`Route`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

from ..body import whole_body
from ..wire import decode

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: Bytes of a body: a definition with a hundred attributes takes a tenth of it.
MAX_BODY = 65_536
#: Members of a query string, and characters of one.
MAX_QUERY = 20
#: What a visitor of the console may be allowed to do.
SCOPES = ("read", "write", "erase", "pii")

Schema = Mapping[str, Any]


class Problem(Exception):
    """The console does not do what it is asked.

    :param headers: what the answer carries as well.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        expected: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.expected = expected
        self.headers = headers or {}
        super().__init__(f"{code}: {message}")


def not_found(what: str = "not found") -> Problem:
    """There is no such thing."""
    return Problem(404, "not-found", what)


class Visitor(NamedTuple):
    """Who asks: how the records of writes name them, and what they may do.

    ``by_token`` says that the request itself proves it; no browser adds that by itself.
    """

    who: str
    scopes: frozenset[str]
    by_token: bool


class Answer(NamedTuple):
    """What a route returns when a plain JSON value does not say it all.

    :param etag: the tag of the value; made of its bytes when left out.
    :param text: sent in place of a value, as a file of this ``media`` type and ``file`` name.
    """

    value: Any = None
    status: int = 200
    etag: str | None = None
    text: str | None = None
    media: str = "application/json"
    file: str | None = None


@dataclass(frozen=True, eq=False)
class Route:
    """One route.

    :param path: as werkzeug has it, below the mount of the console.
    :param scope: what the visitor needs; None for whatever scopes there are.
    :param call: answers: a plain JSON value, or an :class:`Answer`.
    :param summary: one sentence, for the OpenAPI document.
    :param query: the members of the query string, with their schemas.
    :param body: the schema of the request's body; None when it takes none.
    :param answer: the schema of the answer.
    :param errors: the statuses of refusals that are this route's own.
    :param headers: request headers that it looks at.
    :param held: whether the body is held to its schema before ``call``; what is read by a module
        with words of its own is not.
    """

    method: str
    path: str
    scope: str | None
    call: Callable[[Asked], Any]
    summary: str
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    answer: Schema | None = None
    status: int = 200
    media: str = "application/json"
    errors: tuple[int, ...] = ()
    headers: tuple[str, ...] = ()
    held: bool = True


class Asked:
    """One request, as a route sees it.

    :param arguments: what the path holds.
    """

    def __init__(
        self, environ: WSGIEnvironment, visitor: Visitor, arguments: Mapping[str, Any]
    ) -> None:
        self.environ = environ
        self.visitor = visitor
        self.arguments = arguments

    def __getitem__(self, name: str) -> str:
        """A part of the path."""
        return str(self.arguments[name])

    @cached_property
    def query(self) -> dict[str, str]:
        """The query string; of two members of one name, the later.

        :raises Problem: when it has too many members.
        """
        text = self.environ.get("QUERY_STRING", "").encode("latin-1").decode(errors="replace")
        try:
            return dict(parse_qsl(text, max_num_fields=MAX_QUERY))
        except ValueError:
            raise Problem(400, "bad-request", f"at most {MAX_QUERY} members", field="?") from None

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """A member of the query that is one of several.

        :raises Problem: when it is none of them.
        """
        given = self.query.get(name, default)
        if given not in choices:
            raise Problem(
                400,
                "bad-request",
                f"{name} is none of its choices",
                field=name,
                expected=", ".join(choices),
            )
        return given

    @cached_property
    def body(self) -> dict[str, Any]:
        """The body, one strict JSON object.

        :raises MalformedRequest: when it is none.
        """
        return decode(whole_body(self.environ, MAX_BODY))

    def may(self, scope: str) -> bool:
        """Whether the visitor has this scope."""
        return scope in self.visitor.scopes

    def need(self, scope: str) -> None:
        """Refuse a visitor without this scope.

        :raises Problem: 403 ``missing-scope``.
        """
        if not self.may(scope):
            raise Problem(
                403,
                "missing-scope",
                f"this takes the scope {scope}, which you do not have",
                expected=scope,
            )
