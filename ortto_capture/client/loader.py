"""The HTML that loads the client, and what a page's request tells about it.

The law of this module: requests of all frameworks are looked at and none is imported. What an
argument says outweighs what a request says.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from html import escape
from typing import Any
from urllib.parse import quote

from ..errors import ConfigurationError
from ..identity import Tokens
from . import assets, script_text


class _Markup(str):
    """HTML that the templates of Flask and Django put in as it is: they ask for this method."""

    __slots__ = ()

    def __html__(self) -> str:
        return self


#: The visitor is the one that the host's resolver names when the page asks for it.
HOST = "host"


def inline_snippet(
    key: str, endpoint: str, nonce: object = None, identity: str | None = None
) -> str:
    """The HTML that loads the client, and takes calls made before it has arrived.

    :param endpoint: where the capture app is mounted, as a path or an http(s) URL.
    :param identity: who the page's visitor is: an identity token, ``HOST``, or None for neither.
    :param nonce: as text, or as what a framework has in hand: any object whose text it is, or a
        function that returns it; None for none.
    :raises ConfigurationError: when ``endpoint`` or ``identity`` is none of these, or the nonce is
        empty.
    """
    attribute = _attribute(nonce)
    inline = f"<script{attribute}>{_inline_script(key, endpoint, identity)}</script>\n"
    return _Markup(inline + _tag(attribute, endpoint))


def external_snippet(
    key: str, endpoint: str, nonce: object = None, identity: str | None = None
) -> str:
    """As ``inline_snippet``, without inline code: the client reads the values by itself."""
    told = f' data-key="{escape(key)}" data-endpoint="{escape(_checked(endpoint) or "/")}"'
    if identity is not None:
        told += f' data-identity="{escape(_usable(identity))}"'
    return _Markup(_tag(_attribute(nonce), endpoint, told))


def snippet_hash(key: str, endpoint: str, identity: str | None = None) -> str:
    """The hash of the inline code as a policy names it, quotes included.

    :raises ConfigurationError: when ``identity`` is neither ``HOST`` nor None.
    """
    if identity not in (None, HOST):
        raise ConfigurationError(
            "identity", 'a token differs in each page and so does the hash; give "host", or a nonce'
        )
    digest = sha256(_inline_script(key, endpoint, identity).encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"


def _tag(nonce: str, endpoint: str, told: str = "") -> str:
    # In pages of XML each attribute has a value.
    return f'<script{nonce} src="{escape(_source(endpoint))}"{told} async=""></script>\n'


@cache
def _function() -> str:
    return script_text("snippet.js").strip()


def _inline_script(key: str, endpoint: str, identity: str | None) -> str:
    given: list[object] = [key, _checked(endpoint) or "/", _source(endpoint)]
    if identity is not None:
        given.append({"identity": _usable(identity)})
    return f"\n{_function()}({', '.join(map(_quoted, given))});\n"


def _source(endpoint: str) -> str:
    # The version makes the address new when the file is, so that browsers may keep it for good.
    return f"{_checked(endpoint)}/app.js?v={assets()['app.js'].etag}"


def _checked(endpoint: str) -> str:
    """An endpoint without a slash at its end."""
    endpoint = endpoint.rstrip("/")
    if not (endpoint == "" or endpoint.startswith(("/", "http://", "https://"))):
        raise ConfigurationError(
            "endpoint", f'{endpoint!r} is no path such as "/capture", nor a URL'
        )
    return endpoint


def _usable(identity: str) -> str:
    """What names a visitor to the client."""
    if identity != HOST and not identity.startswith(Tokens.IDENTITY):
        raise ConfigurationError(
            "identity", 'give what capture.sign_identity() returns, "host", or None'
        )
    return identity


def _attribute(nonce: object) -> str:
    if nonce is None:
        return ""
    # Django's is lazy, and false until it is used; flask-talisman's is called.
    text = str(nonce() if callable(nonce) else nonce)
    if not text:
        raise ConfigurationError("nonce", "it is empty; give the nonce of this page's policy")
    return f' nonce="{escape(text)}"'


def _quoted(value: object) -> str:
    """A JavaScript value that cannot end the script it stands in."""
    text = json.dumps(value)  # ASCII only, so the line separators U+2028 and U+2029 are escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


# -- what a request tells


def nonce_of(request: object) -> object:
    """The nonce of a request's policy, None when there is none.

    It is looked for where it usually is: ``request.csp_nonce`` (django-csp, flask-talisman),
    ``request._csp_nonce`` (Django 6), ``request.state.csp_nonce`` (Starlette, FastAPI), and
    ``csp_nonce`` in a WSGI environ or an ASGI scope.
    """
    environ = _environ(request)
    # An environ that Flask has seen holds Flask's request.
    for place in (request, environ.get("werkzeug.request"), getattr(request, "state", None)):
        for name in ("csp_nonce", "_csp_nonce"):
            nonce = getattr(place, name, None)
            # Its truth says nothing: Django's is false until its text is used.
            if nonce is not None:
                return nonce
    return environ.get("csp_nonce")


def prefix_of(request: object) -> str:
    """The path that stands before the host's own ones in a request, such as ``/shop``, quoted."""
    environ = _environ(request)
    # Below a ``Mount``, Starlette keeps the path of the whole app beside that of the part.
    root = environ.get("app_root_path", environ.get("root_path", ""))
    path: str = environ.get("SCRIPT_NAME", root)
    with suppress(UnicodeError):
        # WSGI has bytes as Latin-1; Django and ASGI have decoded them.
        path = path.encode("latin-1").decode()
    path = path.strip("/")  # two slashes would begin with the name of another host
    return f"/{quote(path)}" if path else ""


def _environ(request: object) -> Mapping[str, Any]:
    """A request's WSGI environ or ASGI scope, by the names that frameworks have for it."""
    for name in ("environ", "META", "env", "scope"):
        found = getattr(request, name, None)
        if isinstance(found, Mapping):
            return found
    if isinstance(request, Mapping):
        return request
    raise ConfigurationError(
        "request", f"{type(request).__name__} is no WSGI environ, nor a request that has one"
    )
