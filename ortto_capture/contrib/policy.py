"""Whether a page and its snippet fit together, told from the page's headers.

The law of this file: it says "blocked" only of what every browser blocks. A source that may or may
not be the client's own address counts as if it were: a page that works must not be refused.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import new

_SCRIPT = re.compile(r"<script([^>]*)>(.*?)</script>", re.DOTALL)
_NONCE = re.compile(r' nonce="([^"]*)"')
_HASH = re.compile(r"'(sha256|sha384|sha512)-")
#: With one of these, ``'unsafe-inline'`` means nothing.
_STRICT = ("'nonce-", "'sha256-", "'sha384-", "'sha512-", "'strict-dynamic'")


def blocked(policies: Iterable[str], snippet: str) -> str | None:
    """Say what a page's policies keep from working, and what to do; None when nothing is.

    :param policies: the values of its ``Content-Security-Policy`` headers.
    :param snippet: the HTML that the page has in its head.
    """
    for policy in ",".join(policies).split(","):
        directives: dict[str, list[str]] = {}
        for directive in policy.split(";"):
            first, *sources = directive.split() or [""]
            # As browsers do: the first of a name counts.
            directives.setdefault(first.lower(), sources)
        name = _first(directives, "script-src-elem", "script-src", "default-src")
        if name is not None and (fault := _scripts(directives[name], snippet)) is not None:
            return f"the page's {name} {fault}"
        name = _first(directives, "connect-src", "default-src")
        if name is not None and not _may_be_own(directives[name]):
            return f"the page's {name} does not let the client report: add 'self'"
    return None


def shared(cache_control: str, vary: str, snippet: str) -> str | None:
    """Say that a cache may hand one visitor's identity token to others; None when none may.

    :param cache_control: the page's ``Cache-Control``, empty when there is none.
    :param vary: the page's ``Vary``: a cache tells visitors apart by their cookies.
    """
    told = {each.strip().partition("=")[0] for each in cache_control.lower().split(",")}
    if "oi1." not in snippet or not told & {"public", "s-maxage", "max-age"}:
        return None
    if told & {"private", "no-store"} or re.search(r"\bcookie\b|\*", vary.lower()):
        return None
    return 'caches may keep the page, and it says who one visitor is: give it identity="host"'


def _first(directives: Mapping[str, object], *names: str) -> str | None:
    """The directive that browsers go by."""
    return next((each for each in names if each in directives), None)


def _scripts(sources: list[str], snippet: str) -> str | None:
    """What is wrong with one of the snippet's scripts."""
    for attributes, code in _SCRIPT.findall(snippet):
        nonce = _NONCE.search(attributes)
        if nonce and f"'nonce-{nonce[1]}'" in sources:
            continue
        if " src=" in attributes:
            if "'strict-dynamic'" in sources or not _may_be_own(sources):
                return (
                    "does not let app.js load: give the snippet the policy's nonce, or add 'self'"
                )
        elif not _is_let_in(sources, code):
            return "does not let inline code run: give it the policy's nonce, or use inline=False"
    return None


def _may_be_own(sources: list[str]) -> bool:
    """Whether the client's own address may be among them: what is in quotes is no address."""
    return any(each.lower() == "'self'" or not each.startswith("'") for each in sources)


def _is_let_in(sources: list[str], code: str) -> bool:
    """Whether inline code without the policy's nonce runs."""
    for source in sources:
        if kind := _HASH.match(source):
            digest = b64encode(new(kind[1], code.encode()).digest()).decode()
            if source == f"'{kind[1]}-{digest}'":
                return True
    return "'unsafe-inline'" in sources and not any(each.startswith(_STRICT) for each in sources)
